//! The configuration of one listener.

use std::time::Duration;

use super::token::HookAuth;
use bookend_config::settings::{HttpSettings, ReadyzDuringStop, Settings};

/// The configuration of one listener.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(super) hook_auth: HookAuth,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<super::tls::ServerCertificate>,
    /// The names in a sidecar's `containers`, whose hooks exist beside those of the app that has no name.
    pub(super) containers: Vec<String>,
    pub(super) post_start_max: Duration,
    pub(super) readyz_during_stop: ReadyzDuringStop,
    /// Whether there is a page at `/`.
    #[cfg(feature = "page")]
    pub(super) page: bool,
}

impl Rules {
    /// For the port.
    pub(crate) fn of_port(http: &HttpSettings, settings: &Settings) -> Rules {
        Rules {
            hook_auth: HookAuth::new(http.token_file.clone(), http.allow_from.clone()),
            #[cfg(feature = "tls")]
            tls: http.tls.clone().map(super::tls::ServerCertificate::new),
            #[cfg(feature = "page")]
            page: http.page,
            ..Rules::of_socket(settings)
        }
    }

    /// For the socket, which knows its peers and needs no token.
    pub(crate) fn of_socket(settings: &Settings) -> Rules {
        let http = settings.http.as_ref();
        Rules {
            hook_auth: HookAuth::new(None, None),
            #[cfg(feature = "tls")]
            tls: None,
            containers: settings.containers.keys().cloned().collect(),
            post_start_max: http.map_or(HttpSettings::POST_START_MAX, |http| http.post_start_max),
            readyz_during_stop: http.map(|http| http.readyz_during_stop).unwrap_or_default(),
            #[cfg(feature = "page")]
            page: false,
        }
    }
}

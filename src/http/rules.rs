//! What the configuration says about the endpoint.

use std::time::{Duration, Instant};

use super::token::HookAuth;
use bookend_config::settings::{HttpSettings, ReadyzDuringStop, Settings};

/// The rules of one door.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(super) gate: HookAuth,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<super::tls::ServerCertificate>,
    /// Whose hooks there are beside those of the app that has no name.
    pub(super) containers: Vec<String>,
    pub(super) post_start_max: Duration,
    pub(super) readyz_during_stop: ReadyzDuringStop,
    /// Whether there is a page at `/`.
    #[cfg(feature = "page")]
    pub(super) page: bool,
}

impl Rules {
    /// The port's.
    pub(crate) fn of_port(http: &HttpSettings, settings: &Settings) -> Rules {
        Rules {
            gate: HookAuth { token_file: http.token_file.clone(), allow_from: http.allow_from.clone() },
            #[cfg(feature = "tls")]
            tls: http.tls.clone().map(super::tls::ServerCertificate::new),
            #[cfg(feature = "page")]
            page: http.page,
            ..Rules::of_socket(settings)
        }
    }

    /// The socket's: its peers are known.
    pub(crate) fn of_socket(settings: &Settings) -> Rules {
        let http = settings.http.as_ref();
        Rules {
            gate: HookAuth::default(),
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

/// Lets something be said now and then, however often it happens: whoever calls must not fill the log.
#[derive(Debug, Default)]
pub(super) struct RateLimit(Option<Instant>);

impl RateLimit {
    pub(super) fn allow(&mut self) -> bool {
        let allow = self.0.is_none_or(|last| last.elapsed() >= SELDOM);
        if allow {
            self.0 = Some(Instant::now());
        }
        allow
    }
}

const SELDOM: Duration = Duration::from_secs(10);

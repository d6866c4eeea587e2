//! `[http]`: the pod-facing listener.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::network::Network;
use crate::words::words;

/// `[http]`: the pod-facing listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// `listen`: the address to bind; a kubelet calls the pod's IP, never localhost.
    pub listen: SocketAddr,
    /// `tls`; `None`: a TLS hello is refused.
    pub tls: Option<TlsSettings>,
    /// `tokenFile`: the tokens that hooks are called with.
    pub token_file: Option<PathBuf>,
    /// `allowFrom`: the networks that hooks may come from; `None`: any.
    pub allow_from: Option<Vec<Network>>,
    /// `postStartMaxSeconds`.
    pub post_start_max: Duration,
    /// `readyzDuringStop`.
    pub readyz_during_stop: ReadyzDuringStop,
    /// `page`: whether there is a page for people at `/`.
    pub page: bool,
}

impl HttpSettings {
    /// The default of `postStartMaxSeconds`.
    pub const POST_START_MAX: Duration = Duration::from_secs(300);
}

/// `http.tls`, `http.selfSigned`: where the certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsSettings {
    /// `certFile` and `keyFile`.
    Files {
        /// The chain.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// `http.selfSigned`.
    SelfSigned,
}

words! {
    /// `readyzDuringStop`: the answer of `/readyz` from the beginning of a stop.
    #[derive(Default)]
    pub enum ReadyzDuringStop {
        /// Whether the app can serve: endpoints that terminate but serve are Kubernetes' last resort.
        #[default]
        Serving = "Serving",
        /// 503.
        Failing = "Failing",
    }
}

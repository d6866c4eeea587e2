//! Why a caller may not call a hook.

use hyper::StatusCode;

/// The reason to refuse a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The caller's address is not in `http.allowFrom`.
    Network,
    /// The caller sent no token, or a wrong one.
    Token,
    /// The token file is missing, unreadable or empty.
    NoTokenFile,
    /// A browser sent the request for a page of another site.
    OtherSite,
    /// The request came to a loopback address, and its Host header is the name of another host.
    Host,
}

impl Refusal {
    /// The reason, for the log and for the response.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Refusal::Network => "the caller's address is not in http.allowFrom",
            Refusal::Token => "the caller must send a token of http.tokenFile, as Authorization: Bearer TOKEN",
            Refusal::NoTokenFile => "http.tokenFile is missing, unreadable or empty; write a token to it",
            Refusal::OtherSite => "a web page of another site requested it (Origin, Sec-Fetch-Site)",
            Refusal::Host => "on a loopback address the Host header must be localhost or an IP address",
        }
    }

    /// The status for a caller that is not a kubelet.
    pub(super) fn status(self) -> StatusCode {
        match self {
            Refusal::Network | Refusal::OtherSite | Refusal::Host => StatusCode::FORBIDDEN,
            Refusal::Token => StatusCode::UNAUTHORIZED,
            Refusal::NoTokenFile => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

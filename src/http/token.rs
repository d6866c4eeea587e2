//! Which callers may call a hook through the port: by token, by source network, or both. The socket needs neither: it
//! knows its peer.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::refusal::Refusal;
use crate::detached::spawn_in_slot;
use crate::files::read_small;
use bookend_config::network::Network;

/// The conditions for a caller of a hook.
#[derive(Debug)]
pub(super) struct HookAuth {
    /// `http.tokenFile`.
    pub(super) token_file: Option<PathBuf>,
    /// `http.allowFrom`; `None`: any address.
    pub(super) allow_from: Option<Vec<Network>>,
    /// The token file is read by one thread at a time: if its volume hangs, there is one thread that waits.
    reader: Arc<Semaphore>,
}

impl HookAuth {
    pub(super) fn new(token_file: Option<PathBuf>, allow_from: Option<Vec<Network>>) -> HookAuth {
        HookAuth { token_file, allow_from, reader: Arc::new(Semaphore::new(1)) }
    }

    /// Checks a caller. `authorization` is the header as it came. The file is read each time, so that a rotated token
    /// counts at once; it holds one token a line, so that an old and a new one can be valid together.
    pub(super) async fn authorize(&self, peer: IpAddr, authorization: Option<&[u8]>) -> Result<(), Refusal> {
        if self.allow_from.as_ref().is_some_and(|networks| !networks.iter().any(|network| network.contains(peer))) {
            return Err(Refusal::Network);
        }
        let Some(path) = self.token_file.clone() else { return Ok(()) };
        let sent = authorization.and_then(bearer).ok_or(Refusal::Token)?;
        let read = timeout(READ_TIME, spawn_in_slot(&self.reader, move || read_small(&path, MOST_BYTES))).await;
        let Ok(Ok(Ok(file))) = read else { return Err(Refusal::NoTokenFile) };
        let tokens: Vec<&[u8]> =
            file.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).collect();
        if tokens.is_empty() {
            // An empty file must not allow every caller.
            return Err(Refusal::NoTokenFile);
        }
        // Every line is compared, each in a time that does not depend on how much of it was right.
        let matches = tokens.iter().fold(0u8, |any, token| any | token.ct_eq(sent).unwrap_u8());
        if matches == 1 { Ok(()) } else { Err(Refusal::Token) }
    }
}

/// The token of `Bearer TOKEN`; the case of the scheme does not matter (RFC 9110, 11.1).
fn bearer(header: &[u8]) -> Option<&[u8]> {
    let at = header.iter().position(|byte| *byte == b' ')?;
    let (scheme, token) = header.split_at(at);
    scheme.eq_ignore_ascii_case(b"bearer").then(|| token.trim_ascii())
}

/// A volume that takes longer hangs: the caller is refused.
const READ_TIME: Duration = Duration::from_secs(2);
/// Enough for thousands of tokens.
const MOST_BYTES: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(token: Option<&str>) -> (HookAuth, PathBuf) {
        let name = std::thread::current().name().unwrap_or("test").replace("::", "-");
        let path = std::env::temp_dir().join(format!("bookend-token-{}-{name}", std::process::id()));
        if let Some(token) = token {
            std::fs::write(&path, token).unwrap();
        }
        (HookAuth::new(Some(path.clone()), None), path)
    }

    fn authorize(auth: &HookAuth, peer: IpAddr, authorization: Option<&[u8]>) -> Result<(), Refusal> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(auth.authorize(peer, authorization))
    }

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    #[test]
    fn only_a_whole_token_of_the_file_is_accepted() {
        let (auth, path) = auth(Some("  s3cret\nn3xt\r\n\n"));
        for good in ["Bearer s3cret", "bearer n3xt", "BEARER   s3cret "] {
            assert_eq!(authorize(&auth, PEER, Some(good.as_bytes())), Ok(()), "{good}");
        }
        for bad in
            ["", "Bearer", "Bearer ", "s3cret", "Basic s3cret", "Bearer s3cre", "Bearer s3cret1", "Bearer s3cret\nn3xt"]
        {
            assert_eq!(authorize(&auth, PEER, Some(bad.as_bytes())), Err(Refusal::Token), "{bad}");
        }
        assert_eq!(authorize(&auth, PEER, None), Err(Refusal::Token));
        std::fs::write(&path, "rotated").unwrap();
        assert_eq!(authorize(&auth, PEER, Some(b"Bearer s3cret")), Err(Refusal::Token));
        assert_eq!(authorize(&auth, PEER, Some(b"Bearer rotated")), Ok(()));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn an_empty_or_missing_token_file_refuses_every_caller() {
        let (auth, path) = auth(Some(" \n\n"));
        assert_eq!(authorize(&auth, PEER, Some(b"Bearer ")), Err(Refusal::NoTokenFile));
        std::fs::remove_file(path).unwrap();
        assert_eq!(authorize(&auth, PEER, Some(b"Bearer x")), Err(Refusal::NoTokenFile));
    }

    #[test]
    fn token_and_network_must_both_match_if_configured() {
        let (mut auth, path) = auth(Some("t"));
        auth.allow_from = Some(vec!["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(authorize(&auth, PEER, Some(b"Bearer t")), Ok(()));
        assert_eq!(authorize(&auth, "::ffff:10.9.9.9".parse().unwrap(), Some(b"Bearer t")), Ok(()));
        assert_eq!(authorize(&auth, "192.0.2.1".parse().unwrap(), Some(b"Bearer t")), Err(Refusal::Network));
        assert_eq!(authorize(&auth, PEER, None), Err(Refusal::Token));
        auth.allow_from = Some(Vec::new());
        assert_eq!(authorize(&auth, PEER, Some(b"Bearer t")), Err(Refusal::Network));
        std::fs::remove_file(path).unwrap();
    }
}

//! HTTPS on the same port: a kubelet's hooks and probes with `scheme: HTTPS`. The certificate comes from files, which are
//! checked at a handshake, once a second at most: a rotated certificate is picked up, and a flood of clients causes no
//! reading. Or it is a self-signed one, made for the first client: a kubelet verifies no certificate.
//!
//! Without a usable certificate the port answers a TLS hello as a port without TLS does: the kubelet falls back to HTTP,
//! and nothing hangs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::Acceptor;
use tokio::io;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{sleep_until, timeout};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{info, warn};

use crate::detached::spawn_in_slot;
use crate::error::describe;
use crate::files::read_small;
use crate::tls::provider;
use bookend_config::settings;

/// Why no certificate can be used.
#[derive(Debug, thiserror::Error)]
enum CertificateError {
    #[error("cannot read {path:?} (http.tls)")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path:?} contains no usable {what} (http.tls)")]
    Pem { what: &'static str, path: PathBuf },
    #[error("certificate and key do not match (http.tls)")]
    Pair(#[source] rustls::Error),
    #[error("cannot make a self-signed certificate (http.tls)")]
    Own(#[source] rcgen::Error),
}

/// The certificate for TLS hellos.
#[derive(Debug)]
pub(super) struct ServerCertificate {
    current: Arc<CurrentCertificate>,
    /// One thread at a time looks at the files: their volume may hang.
    looker: Arc<Semaphore>,
}

/// The state that the handshakes and the thread share.
#[derive(Debug)]
struct CurrentCertificate {
    source: settings::TlsSettings,
    now: Mutex<Current>,
}

/// The certificate in use, and the identities of its files at the last attempt to make one of them; `None`: there was none.
#[derive(Debug, Default)]
struct Current {
    config: Option<Arc<ServerConfig>>,
    identities: Option<FileIdentities>,
    looked: Option<Instant>,
}

type FileIdentities = [(u64, i64, i64, u64); 2];

impl ServerCertificate {
    pub(super) fn new(source: settings::TlsSettings) -> ServerCertificate {
        let current = CurrentCertificate { source, now: Mutex::default() };
        ServerCertificate { current: Arc::new(current), looker: Arc::new(Semaphore::new(1)) }
    }

    /// The configuration for a handshake; `None`: there is no usable certificate. While a look takes long, the old
    /// certificate serves on.
    pub(super) async fn config(&self) -> Option<Arc<ServerConfig>> {
        let is_looking = self.looker.available_permits() == 0;
        let config = self.current.lock().config.clone();
        if self.current.is_fresh() || is_looking && config.is_some() {
            return config;
        }
        let current = Arc::clone(&self.current);
        // The second of two that find no certificate waits for the first one's look, and finds it fresh.
        let look = spawn_in_slot(&self.looker, move || current.look());
        // It may take longer, or find no thread (the pids limit): the port then answers as it does without a certificate.
        let _ = timeout(LOOK_TIME, look).await;
        self.current.lock().config.clone()
    }
}

impl CurrentCertificate {
    fn lock(&self) -> MutexGuard<'_, Current> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_fresh(&self) -> bool {
        self.lock().looked.is_some_and(|looked| looked.elapsed() < LOOK_AGAIN)
    }

    /// Reads the files if they are others than at the last look.
    fn look(&self) {
        if self.is_fresh() {
            return;
        }
        let identities = match &self.source {
            settings::TlsSettings::Files { cert, key } => Some([identities(cert), identities(key)]),
            // They never change.
            settings::TlsSettings::SelfSigned => Some(FileIdentities::default()),
        };
        let is_known = |now: &Current| now.config.is_some() && now.identities == identities;
        if is_known(&self.lock()) {
            self.lock().looked = Some(Instant::now());
            return;
        }
        let made = match &self.source {
            settings::TlsSettings::Files { cert, key } => of_files(cert, key),
            settings::TlsSettings::SelfSigned => of_our_own(),
        };
        let mut now = self.lock();
        now.looked = Some(Instant::now());
        match made {
            Ok(config) => {
                info!("certificate loaded");
                now.config = Some(Arc::new(config));
                now.identities = identities;
            }
            // A certificate and its key are two files: between the two writes of a rotation the old pair stays in use.
            Err(error) if now.identities != identities => {
                warn!("{}", describe(&error));
                now.identities = identities;
            }
            Err(_) => {}
        }
    }
}

/// The server's half of a handshake. `begin` is called when the client's hello is complete. It returns the time at which
/// the expensive part may begin; `None` refuses the handshake.
pub(super) async fn handshake(
    config: Arc<ServerConfig>,
    stream: TcpStream,
    begin: impl FnOnce() -> Option<Instant>,
) -> Option<TlsStream<TcpStream>> {
    let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await.ok()?;
    sleep_until(begin()?.into()).await;
    hello.into_stream(config).await.ok()
}

/// Distinguishes a file from the one that replaced it; zeros for a missing file.
fn identities(path: &Path) -> (u64, i64, i64, u64) {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).map_or((0, 0, 0, 0), |file| (file.ino(), file.mtime(), file.mtime_nsec(), file.size()))
}

fn of_files(cert: &Path, key: &Path) -> Result<ServerConfig, CertificateError> {
    let read = |path: &Path| {
        read_small(path, MOST_PEM).map_err(|source| CertificateError::Read { path: path.to_owned(), source })
    };
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&read(cert)?).collect::<Result<_, _>>().unwrap_or_default();
    if chain.is_empty() {
        return Err(CertificateError::Pem { what: "certificate", path: cert.to_owned() });
    }
    let key = PrivateKeyDer::from_pem_slice(&read(key)?)
        .map_err(|_| CertificateError::Pem { what: "private key", path: key.to_owned() })?;
    configure(chain, key)
}

fn of_our_own() -> Result<ServerConfig, CertificateError> {
    let own = rcgen::generate_simple_self_signed(["bookend".to_owned(), "localhost".to_owned()])
        .map_err(CertificateError::Own)?;
    let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
    configure(vec![own.cert.der().clone()], key)
}

fn configure(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, CertificateError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(CertificateError::Pair)?;
    // A kubelet's probe offers h2, too, which we do not speak.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long a handshake waits for a look.
const LOOK_TIME: Duration = Duration::from_secs(1);
/// A usual chain and key have a hundredth of this size.
const MOST_PEM: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn config(tls: &ServerCertificate) -> Option<Arc<ServerConfig>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(tls.config())
    }

    #[test]
    fn a_certificate_of_our_own_is_made_once() {
        let tls = ServerCertificate::new(settings::TlsSettings::SelfSigned);
        let first = config(&tls).unwrap();
        tls.current.lock().looked = None;
        assert!(Arc::ptr_eq(&first, &config(&tls).unwrap()));
    }

    #[test]
    fn files_that_change_are_read_again_and_a_broken_pair_leaves_the_old_one() {
        let dir = std::env::temp_dir().join(format!("bookend-tls-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (cert, key) = (dir.join("tls.crt"), dir.join("tls.key"));
        let write = |name: &str| {
            let own = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
            std::fs::write(&cert, own.cert.pem()).unwrap();
            std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
        };
        let tls = ServerCertificate::new(settings::TlsSettings::Files { cert: cert.clone(), key: key.clone() });
        let again = || {
            tls.current.lock().looked = None;
            config(&tls)
        };
        assert!(again().is_none(), "there are no files yet");
        write("one");
        let first = again().unwrap();
        assert!(Arc::ptr_eq(&first, &again().unwrap()));
        std::fs::write(&key, "half a rotation").unwrap();
        assert!(Arc::ptr_eq(&first, &again().unwrap()));
        write("two");
        assert!(!Arc::ptr_eq(&first, &again().unwrap()));
        std::fs::remove_dir_all(dir).unwrap();
    }
}

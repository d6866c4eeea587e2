//! TLS: the part that client and endpoint share, and the client's part. One provider (ring), certificates from PEM files.
//!
//! A client trusts the system's bundle of certificate authorities, or those of one file (`caFile`), or every server
//! (`insecureSkipVerify`, as a kubelet does). The binary contains no bundle: the image or the Pod provides it, and an
//! image without a bundle gets an error that names the remedy.

mod provider;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

pub(crate) use provider::provider;

use crate::files::read_small;

/// The servers that a client trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The image's bundle, or the file that `SSL_CERT_FILE` names.
    System(Option<PathBuf>),
    /// The authorities in this file, and no others.
    File(PathBuf),
    /// Every server, without verification.
    Every,
}

/// Why a client cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    /// The file does not exist or cannot be read.
    #[error("cannot read the certificates in {path:?}")]
    Read {
        /// Its path.
        path: PathBuf,
        /// The error of the system call.
        #[source]
        source: std::io::Error,
    },
    /// It is not PEM, or it contains no certificate.
    #[error("{0:?} contains no certificate (PEM, -----BEGIN CERTIFICATE-----)")]
    NoCertificate(PathBuf),
    /// The image has no bundle, for example one that is built FROM scratch.
    #[error(
        "this image has no certificate authorities to verify with (looked for SSL_CERT_FILE, {}): \
         name them in caFile, or set insecureSkipVerify", BUNDLES.join(", ")
    )]
    NoBundle,
    /// rustls refuses the settings.
    #[error("cannot set up TLS")]
    Setup(#[source] rustls::Error),
}

/// The TLS configuration of a client. Reads files.
pub(crate) fn client(trust: &Trust) -> Result<ClientConfig, TrustError> {
    let provider = provider();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TrustError::Setup)?;
    let roots = match trust {
        Trust::System(Some(path)) => authorities(path)?,
        Trust::System(None) => {
            let bundle = BUNDLES.iter().map(Path::new).find(|path| path.exists()).ok_or(TrustError::NoBundle)?;
            authorities(bundle)?
        }
        Trust::File(path) => authorities(path)?,
        Trust::Every => {
            let verifier = Arc::new(Unverified(provider));
            return Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth());
        }
    };
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// The certificates of a PEM file, at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let text = read_small(path, MOST_PEM).map_err(|source| TrustError::Read { path: path.to_owned(), source })?;
    // An unreadable certificate among many is left out: the others are still trusted.
    let found: Vec<_> = CertificateDer::pem_slice_iter(&text).filter_map(Result::ok).collect();
    if found.is_empty() { Err(TrustError::NoCertificate(path.to_owned())) } else { Ok(found) }
}

fn authorities(path: &Path) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates(path)?);
    if added == 0 { Err(TrustError::NoCertificate(path.to_owned())) } else { Ok(roots) }
}

/// `insecureSkipVerify`: accepts any certificate. The server must still prove that it has the key.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The bundles of Debian and Alpine, Fedora and RHEL, openSUSE, newer RHEL, and the BSDs.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// A bundle of all public authorities has 220 kB.
const MOST_PEM: u64 = 4 * 1024 * 1024;

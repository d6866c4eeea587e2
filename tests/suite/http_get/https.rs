//! httpGet handlers over HTTPS: authorities, bundles, certificates.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::*;

/// A private authority, and certificates of it.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: Folder,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("authority {}", NEXT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = Folder::new();
        folder.write("ca.pem", &issuer.pem());
        Authority { issuer, folder }
    }

    pub(crate) fn file(&self) -> String {
        format!("{}/ca.pem", self.folder.shown())
    }

    /// A server with a certificate for this name.
    pub(crate) fn server(&self, name: &str, expired: bool) -> Server {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if expired {
            params.not_before = date_time_ymd(2000, 1, 1);
            params.not_after = date_time_ymd(2001, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Server::serving(&[&answer("200 OK", "")], Some(Arc::new(config)))
    }
}

fn https(server: &Server, more: &str) -> String {
    format!("httpGet = {{ scheme = \"HTTPS\", port = {}, {more} }}", server.port)
}

#[test]
fn https_is_verified_against_the_configured_authority() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let trusted = format!("caFile = \"{}\"", ours.file());
    let server = ours.server("localhost", false);
    succeeds(&https(&server, &trusted));
    assert!(server.request().starts_with("GET / HTTP/1.1\r\n"));

    fails(&https(&theirs.server("localhost", false), &trusted), "UnknownIssuer");
    fails(&https(&ours.server("other.example", false), &trusted), "not valid for name");
    fails(&https(&ours.server("localhost", true), &trusted), "expired");
    // An address is verified as an address.
    succeeds(&https(&ours.server("127.0.0.1", false), &format!("host = \"127.0.0.1\", {trusted}")));
}

#[test]
fn insecure_skip_verify_takes_any_certificate() {
    let authority = Authority::new();
    for (name, expired) in [("localhost", false), ("other.example", false), ("localhost", true)] {
        succeeds(&https(&authority.server(name, expired), "insecureSkipVerify = true"));
    }
}

#[test]
fn without_ca_file_the_systems_bundle_is_used() {
    let authority = Authority::new();
    let folder = Folder::new();
    // SSL_CERT_FILE names it, as for other programs.
    let life = |server: &Server| {
        let config = format!(
            "app.env.SSL_CERT_FILE = \"{}\"\nlifecycle.preStart = {{ {} }}",
            authority.file(),
            https(server, "path = \"/\"")
        );
        Init::configured(&config, &["--", "true"]).finish()
    };
    let finished = life(&authority.server("localhost", false));
    assert_eq!(finished.code(), 0, "{}", finished.log);
    drop(folder);
    // The bundle is this machine's or empty; neither contains our authority.
    let finished = Init::configured(
        &format!("lifecycle.preStart = {{ {} }}", https(&authority.server("localhost", false), "path = \"/\"")),
        &["--", "true"],
    )
    .finish();
    assert_eq!(finished.code(), 125, "{}", finished.log);
    assert!(finished.log.contains("caFile"), "the remedy is named: {}", finished.log);
}

#[test]
fn an_image_without_ca_bundle_gets_an_error_with_a_remedy() {
    if !is_root("an_image_without_ca_bundle_gets_an_error_with_a_remedy") {
        return;
    }
    let authority = Authority::new();
    let server = authority.server("localhost", false);
    let life = |hook: &str, more: &str| {
        let folder = Folder::new();
        folder.write("bookend.toml", &format!("lifecycle.{hook} = {{ {} }}", https(&server, more)));
        // An image FROM scratch, as far as certificates are concerned.
        let image = "for d in /etc/ssl /etc/pki; do [ ! -d $d ] || mount -t tmpfs empty $d || exit; done; exec \"$@\"";
        let mut command = std::process::Command::new("unshare");
        command.args(["--mount", "sh", "-c", image, "sh"]).arg(crate::support::bookend()).arg("-c");
        command.arg(folder.path("bookend.toml")).args(["--", "sh", "-c", "exit 3"]).env_remove("SSL_CERT_FILE");
        Init::start(folder, command).finish()
    };
    let expected = "this image has no certificate authorities to verify with (looked for SSL_CERT_FILE, /etc/ssl/certs/ca-certificates.crt,";
    let to_do = "name them in caFile, or set insecureSkipVerify";
    // The app is not started; the postStop failure is reported, and the exit code is the app's.
    for (hook, code) in [("preStart", 125), ("postStop", 3)] {
        let finished = life(hook, "path = \"/\"");
        assert_eq!(finished.code(), code, "{}", finished.log);
        let reported = finished.log.lines().find(|line| line.contains(expected));
        assert!(reported.is_some_and(|line| line.contains(hook) && line.contains(to_do)), "{}", finished.log);
    }
    for more in [format!("caFile = \"{}\"", authority.file()), "insecureSkipVerify = true".to_owned()] {
        let finished = life("preStart", &more);
        assert_eq!(finished.code(), 3, "{more}: {}", finished.log);
    }
}

#[test]
fn a_bad_ca_file_is_reported_with_its_fault() {
    let folder = Folder::new();
    folder.write("empty.pem", "nothing here\n");
    let server = Server::new(&[&answer("200 OK", "")]);
    let ca = |name: &str| https(&server, &format!("caFile = \"{}/{name}\"", folder.shown()));
    fails(&ca("empty.pem"), "contains no certificate");
    fails(&ca("none.pem"), "No such file");
    // A server without TLS shows it by its first bytes.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        listener.incoming().for_each(|s| s.unwrap().write_all(b"HTTP/1.0 400 No\r\n\r\n").unwrap())
    });
    let plain = format!("httpGet = {{ scheme = \"HTTPS\", port = {port}, insecureSkipVerify = true }}");
    fails(&plain, "TLS handshake with localhost failed");
}

#[test]
fn a_fifo_as_ca_file_is_an_error_and_blocks_nothing() {
    let folder = Folder::new();
    nix::unistd::mkfifo(&folder.path("ca"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (secret, ca) = (folder.write("secret", "s3cret\n"), folder.path("ca"));
    let server = Server::new(&[&answer("200 OK", "")]);
    let port = server.port;
    let mut config = String::new();
    for _ in 0..10 {
        config += &format!(
            "[[lifecycle.postStart]]\nhttpGet = {{ scheme = \"HTTPS\", port = {port}, caFile = {ca:?} }}\n\
             timeoutSeconds = 0.5\nfailurePolicy = \"Ignore\"\n"
        );
    }
    config += &format!(
        "[[lifecycle.postStart]]\ntimeoutSeconds = 5\n\
         httpGet = {{ port = {port}, httpHeaders = [{{ name = \"X-Secret\", valueFrom.file = {secret:?} }}] }}\n"
    );
    let init = Init::configured_in(folder, &config, &PRINTS_SIGNALS);
    init.wait_for_log("bookend: started");
    assert!(init.log().contains("not a regular file"), "{}", init.log());
}

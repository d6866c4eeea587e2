//! A kubelet's hooks and probes over HTTPS. A kubelet does not verify certificates.

use std::sync::Arc;

use bookend_rehearse::connect::trusting_any_certificate;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Stream};

use super::*;

pub(super) struct Seen {
    certificate: Vec<u8>,
    protocol: Option<Vec<u8>>,
}

/// One GET; returns the server's protocol and the response. An end without a head is a failure.
pub(super) fn get(mut stream: TcpStream, request: &str, alpn: &[&str]) -> io::Result<(Seen, String)> {
    let config = trusting_any_certificate(alpn).unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = Stream::new(&mut connection, &mut stream);
    stream.write_all(request.as_bytes())?;
    let answer = read_answer(&mut stream)?;
    let certificate =
        connection.peer_certificates().and_then(|chain| chain.first()).map(|first| first.to_vec()).unwrap_or_default();
    Ok((Seen { certificate, protocol: connection.alpn_protocol().map(<[u8]>::to_vec) }, answer))
}

#[test]
fn https_probes_are_answered_and_rotated_certificates_picked_up() {
    let port = free_port();
    let folder = Folder::new();
    let (cert, key) = (folder.path("tls.crt"), folder.path("tls.key"));
    let write = |name: &str| {
        let own = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        std::fs::write(&cert, own.cert.pem()).unwrap();
        std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
        own.cert.der().to_vec()
    };
    let first = write("one");
    let config = format!("[http]\nlisten = \"127.0.0.1:{port}\"\ntls = {{ certFile = {cert:?}, keyFile = {key:?} }}");
    let init = Init::configured_in(folder, &config, &["--", "sleep", "1000"]);
    init.wait_for_log("started");
    let probe = || {
        let stream = Kubelet::new(port, Scheme::Https).connect().unwrap();
        let request = request(port, "/readyz").replace("kube-lifecycle", "kube-probe");
        get(stream, &request, &["h2", "http/1.1"]).unwrap()
    };
    let (seen, answer) = probe();
    assert_eq!((code_of(&answer), seen.certificate), (200, first));
    assert_eq!(seen.protocol.as_deref(), Some(&b"http/1.1"[..]), "a probe offers h2");
    assert_eq!(code(port, "/readyz"), 200, "the same port speaks HTTP");
    let second = write("two");
    wait_until("the new certificate is shown", || probe().0.certificate == second);
}

#[test]
fn without_a_usable_certificate_an_https_hook_falls_back() {
    let port = free_port();
    let config = format!(
        "[http]\nlisten = \"127.0.0.1:{port}\"\ntls = {{ certFile = \"/no/such.crt\", keyFile = \"/no/such.key\" }}"
    );
    let init = Init::configured(&config, &["--", "sleep", "1000"]);
    init.wait_for_log("started");
    assert!(Kubelet::new(port, Scheme::HttpsFallsBack).hook("/lifecycle/postStart").is_ok());
    init.wait_for_log("cannot read \"/no/such.crt\"");
}

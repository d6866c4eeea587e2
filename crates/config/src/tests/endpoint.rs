//! The keys of the endpoint: their meaning, and the values they refuse.

use std::time::Duration;

use super::*;

#[test]
fn every_key_of_the_endpoint_reaches_the_settings() {
    use crate::settings::{ReadyzDuringStop, SocketPath, TlsSettings};
    let settings = accept(&file(
        "socket = \"/srv/b.sock\"\n[http]\nlisten = \"[::]:9797\"\ntokenFile = \"/run/token\"\n\
         allowFrom = [\"10.0.0.0/8\", \"fd00::1\"]\npostStartMaxSeconds = 7\nreadyzDuringStop = \"Failing\"\n",
    ))
    .settings;
    let http = settings.http.unwrap();
    assert_eq!(settings.socket, SocketPath::At("/srv/b.sock".into()));
    assert_eq!(http.token_file, Some("/run/token".into()));
    assert_eq!(http.allow_from.unwrap().len(), 2);
    assert_eq!(http.post_start_max, Duration::from_secs(7));
    assert_eq!(http.readyz_during_stop, ReadyzDuringStop::Failing);
    assert_eq!(accept(&env(&[("BOOKEND_SOCKET", "None")])).settings.socket, SocketPath::None);
    let tls = |text: &str| accept(&file(&format!("[http]\nlisten = \"[::]:1\"\n{text}"))).settings.http.unwrap().tls;
    assert_eq!(tls("selfSigned = true"), Some(TlsSettings::SelfSigned));
    let files = TlsSettings::Files { cert: "/c".into(), key: "/k".into() };
    assert_eq!(tls("selfSigned = true\ntls = { certFile = \"/c\", keyFile = \"/k\" }"), Some(files));
}

#[test]
fn wrong_values_of_the_endpoint_are_refused() {
    let http = |text: &str| sentences(&file(&format!("[http]\nlisten = \"[::]:9797\"\n{text}")));
    assert_eq!(
        http("allowFrom = [\"10.0.0.1/8\"]"),
        [
            "http.allowFrom[0]: \"10.0.0.1/8\" has bits set after the prefix; write one address without /, or the network 10.0.0.0/8"
        ]
    );
    assert_eq!(
        http("tls.certFile = \"/c\""),
        ["http.tls.keyFile: required key is missing: its private key (PEM); may be the same file as certFile"]
    );
    let page = |text: &str| accept(&file(&format!("[http]\nlisten = \"[::]:1\"\n{text}"))).settings.http.unwrap().page;
    assert!(page("page = true") && !page("page = false") && !page(""));
    let long = format!("socket = \"/{}\"", "x".repeat(107));
    assert_eq!(
        sentences(&file(&long)),
        ["socket: the path is too long for a socket: 108 bytes (at most 107, unix(7))"]
    );
}

#[test]
fn a_feature_that_is_not_built_in_is_refused() {
    let minimal = |text: &str| {
        let text = format!("[http]\nlisten = \"[::]:9797\"\n{text}");
        sentences(&Sources { features: Features { tls: false, page: false }, ..file(&text) })
    };
    assert_eq!(minimal("selfSigned = true"), ["http.selfSigned: this bookend was built without the feature \"tls\""]);
    assert_eq!(minimal("page = true"), ["http.page: this bookend was built without the feature \"page\""]);
    assert_eq!(
        minimal("[lifecycle.preStop]\nhttpGet = { port = 1, scheme = \"HTTPS\" }"),
        ["lifecycle.preStop.httpGet.scheme: this bookend was built without the feature \"tls\""]
    );
}

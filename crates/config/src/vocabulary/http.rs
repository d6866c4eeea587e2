//! The keys of `[http]`.

use crate::key::{Key, Shape};
use crate::kind::Scalar;

pub(super) static HTTP: &[Key] = &[
    Key::required(
        "listen",
        Shape::One(Scalar::Address),
        "address and port to bind; a kubelet calls the pod's IP, never localhost; port 0: any free one",
    ),
    Key::new("tls", Shape::Table(TLS), "", "HTTPS beside HTTP on the same port: the first byte decides"),
    Key::new(
        "selfSigned",
        Shape::One(Scalar::Bool),
        "false",
        "HTTPS with a certificate of bookend's own, where there are no files: kubelets verify none",
    ),
    Key::new(
        "tokenFile",
        Shape::One(Scalar::Path),
        "",
        "hooks then need `Authorization: Bearer` with a line of this file; read at each hook",
    ),
    Key::new(
        "allowFrom",
        Shape::List(Scalar::Network),
        "",
        "networks or addresses that may call hooks; unset: any. A kubelet calls from its node's address",
    ),
    Key::new(
        "postStartMaxSeconds",
        Shape::One(Scalar::Timeout),
        "300",
        "a postStart hook whose handlers run longer has failed for its caller: a kubelet waits without limit",
    ),
    Key::new(
        "readyzDuringStop",
        Shape::One(Scalar::Choice(&["Serving", "Failing"])),
        "\"Serving\"",
        "/readyz from the beginning of a stop: Serving, while the app can serve; Failing, 503 at once",
    ),
    Key::new(
        "page",
        Shape::One(Scalar::Bool),
        "false",
        "a page for people at `/`: phase, probes, handlers and the stop as a picture, followed live",
    ),
];

static TLS: &[Key] = &[
    Key::required("certFile", Shape::One(Scalar::Path), "certificate chain (PEM); read again when it changes"),
    Key::required("keyFile", Shape::One(Scalar::Path), "its private key (PEM)"),
];

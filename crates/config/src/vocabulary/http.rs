//! The keys of `[http]`.

use crate::key::{Key, Shape};
use crate::scalar::Scalar;
use crate::settings::ReadyzDuringStop;

pub(super) static HTTP: &[Key] = &[
    Key::required(
        "listen",
        Shape::One(Scalar::Address),
        "address and port to listen on; a kubelet calls the pod's IP, never localhost; port 0: any free port",
    ),
    Key::new("tls", Shape::Table(TLS), "", "HTTPS beside HTTP on the same port: the first byte decides"),
    Key::new(
        "selfSigned",
        Shape::One(Scalar::Bool),
        "false",
        "HTTPS with a certificate that bookend creates, without files: kubelets do not verify certificates",
    ),
    Key::new(
        "tokenFile",
        Shape::One(Scalar::Path),
        "",
        "file of tokens: hooks then require `Authorization: Bearer` with one of its lines; read at each hook",
    ),
    Key::new(
        "allowFrom",
        Shape::List(Scalar::Network),
        "",
        "networks or addresses that may call hooks; unset: all; a kubelet calls from the address of its node",
    ),
    Key::new(
        "postStartMaxSeconds",
        Shape::One(Scalar::Timeout),
        "300",
        "time limit of a postStart hook in seconds, after which its caller gets a failure: a kubelet waits without limit",
    ),
    Key::new(
        "readyzDuringStop",
        Shape::One(Scalar::Choice(ReadyzDuringStop::WORDS)),
        "\"Serving\"",
        "/readyz from the beginning of a stop: Serving (200 while the app can serve) or Failing (503 at once)",
    ),
    Key::new(
        "page",
        Shape::One(Scalar::Bool),
        "false",
        "a page for people at `/`: phase, probes, handlers and a live picture of the stop",
    ),
];

static TLS: &[Key] = &[
    Key::required("certFile", Shape::One(Scalar::Path), "certificate chain (PEM); read again when it changes"),
    Key::required("keyFile", Shape::One(Scalar::Path), "its private key (PEM); may be the same file as certFile"),
];

//! `httpGet`: an HTTP or HTTPS request like the kubelet's: one GET, or another `method`, with `Connection: close`. Redirects
//! are followed within the host, up to ten requests in all; only 307 and 308 keep another method and its body. A redirect to
//! another host is not followed: its own status decides.
//!
//! | part                 | bound                                                           |
//! | -------------------- | --------------------------------------------------------------- |
//! | time                 | the caller's: it drops the future                               |
//! | head of the response | 16 KiB, 64 headers                                              |
//! | body of the response | the first 10 KiB, which is also the kubelet's limit             |
//! | files, names         | read on a detached thread, see `detached`                       |
//!
//! A report never shows values from `$(VAR)` or from a file: they may be secrets.

mod url;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue,
    LOCATION, USER_AGENT,
};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use super::connect::{ConnectError, connect};
use super::program::{Environment, prefixed, read_value};
use super::report::HandlerReport;
use crate::detached::{DetachedError, spawn_blocking_detached};
use crate::error::describe;
use crate::http::Duplex;
#[cfg(feature = "otel")]
use crate::report::trace::exporter::Exporter;
use bookend_config::settings::{self, Header, HttpGet, Scheme, ValueSource};
use bookend_lifecycle::HandlerResult;
use bookend_lifecycle::printable::printable;
use url::Url;

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
enum HttpError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No thread can be made for work that may block.
    #[error("cannot prepare the request")]
    Thread(#[from] DetachedError),
    /// The host, after `$(VAR)` was filled in.
    #[error("invalid host: empty or contains an illegal character")]
    Host,
    /// Without the value, which may be a secret.
    #[error("cannot send the header {0:?}: its value contains an illegal character")]
    Header(String),
    /// `valueFrom.file` cannot be read.
    #[error("cannot read {path:?} for the header {name:?}")]
    Secret {
        /// The header.
        name: String,
        /// `valueFrom.file`.
        path: PathBuf,
        /// ENOENT, EACCES, ...
        #[source]
        source: std::io::Error,
    },
    /// The trusted certificates cannot be read.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Trust(#[from] crate::tls::TrustError),
    /// A build without `tls`, redirected to https.
    #[cfg(not(feature = "tls"))]
    #[error("cannot use HTTPS: this build of bookend has no TLS")]
    NoTls,
    /// The certificate is not trusted, or the server does not speak TLS.
    #[cfg(feature = "tls")]
    #[error("TLS handshake with {host} failed{}", advice(source))]
    Handshake {
        /// The name that the certificate must have.
        host: String,
        /// The error of rustls.
        #[source]
        source: std::io::Error,
    },
    /// The connection was closed or reset, the server does not speak HTTP, or the head is too long.
    #[error("no valid HTTP response")]
    Http(#[from] hyper::Error),
    #[error("the response redirects to an invalid URL")]
    Location,
    /// Probably a loop.
    #[error("redirected more than {MAX_REQUESTS} times")]
    TooManyRedirects,
}

/// The parts of a request besides its headers.
#[derive(Default)]
struct Content {
    method: Method,
    body: Bytes,
}

impl Content {
    fn new(get: &HttpGet, env: &Environment) -> Content {
        let method = match get.method {
            settings::Method::Get => Method::GET,
            settings::Method::Post => Method::POST,
            settings::Method::Put => Method::PUT,
            settings::Method::Delete => Method::DELETE,
        };
        Content { method, body: env.expand(OsStr::new(&get.body)).into_vec().into() }
    }
}

/// The parts of a response that are used.
struct GetResponse {
    status: StatusCode,
    location: Option<String>,
    body: Vec<u8>,
}

/// Makes the request and reports the result.
pub(crate) async fn run(get: HttpGet, env: Environment) -> HandlerReport {
    match perform(&get, &env).await {
        Ok(response) => judge(&get, &response),
        Err(error) => HandlerReport::new(HandlerResult::Failed, describe(&error)),
    }
}

fn judge(get: &HttpGet, response: &GetResponse) -> HandlerReport {
    let detail = format!("status {}", response.status);
    if get.success_status.iter().any(|range| range.contains(&response.status.as_u16())) {
        return HandlerReport::new(HandlerResult::Succeeded, detail);
    }
    // The body of a failed request may contain the reason.
    let lines = response.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).take(MAX_LINES);
    let output = lines.map(|line| printable(&String::from_utf8_lossy(line)).chars().take(MAX_LINE).collect()).collect();
    HandlerReport { output, ..HandlerReport::new(HandlerResult::Failed, detail) }
}

async fn perform(get: &HttpGet, env: &Environment) -> Result<GetResponse, HttpError> {
    let host = env.expand(OsStr::new(&get.host)).into_string().map_err(|_| HttpError::Host)?;
    let first = Url::new(get.scheme, &host, get.port, &url::path(&get.path, env)).ok_or(HttpError::Host)?;
    let mut headers = headers(&get.headers, env).await?;
    #[cfg(feature = "otel")]
    if let Some(context) = env.traceparent.as_deref().and_then(|context| HeaderValue::from_str(context).ok()) {
        headers.entry("traceparent").or_insert(context);
    }
    let mut content = Content::new(get, env);
    if content.method != Method::GET {
        // Send the header for an empty body, too: without it, servers wait for a body.
        headers.insert(CONTENT_LENGTH, HeaderValue::from(content.body.len()));
    }
    let mut client = HttpClient::new(get, env);
    let mut url = first.clone();
    for _ in 0..MAX_REQUESTS {
        let response = client.exchange(&url, &headers, &content).await?;
        let Some(location) = response.location.as_deref().filter(|_| is_redirect(response.status)) else {
            return Ok(response);
        };
        let next = url.join(location).ok_or(HttpError::Location)?;
        if !next.host.eq_ignore_ascii_case(&first.host) {
            return Ok(response);
        }
        if !matches!(response.status.as_u16(), 307 | 308) && content.method != Method::GET {
            // Go's client and every browser do the same.
            content = Content::default();
            headers.remove(CONTENT_LENGTH);
            headers.remove(CONTENT_TYPE);
        }
        if url::is_absolute(location) {
            // Like Go's client: a configured Host is kept only if the redirect names no host.
            headers.remove(HOST);
        }
        if url.scheme == Scheme::Https && next.scheme == Scheme::Http {
            // Unlike Go's client, we do not send a secret in clear text if it was configured for HTTPS.
            headers.remove(AUTHORIZATION);
            headers.remove(COOKIE);
        }
        url = next;
    }
    Err(HttpError::TooManyRedirects)
}

/// Sends a trace to its collector. The error is for people; it shows no header.
#[cfg(feature = "otel")]
pub(crate) async fn post(exporter: &Exporter, body: String) -> Result<(), String> {
    let url = Url::new(exporter.scheme, &exporter.host, exporter.port, &exporter.path);
    let mut headers = exporter.headers.clone();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let content = Content { method: Method::POST, body: body.into() };
    #[cfg(feature = "tls")]
    let mut client = {
        use crate::tls::Trust;
        let bundle = std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty()).map(PathBuf::from);
        HttpClient { trust: exporter.ca_file.clone().map_or(Trust::System(bundle), Trust::File), config: None }
    };
    #[cfg(not(feature = "tls"))]
    let mut client = HttpClient {};
    let url = url.ok_or("invalid host or path")?;
    // An advice about the keys of a handler is one about a variable here.
    let describe = |error| describe(&error).replace("caFile", "OTEL_EXPORTER_OTLP_CERTIFICATE");
    let response = client.exchange(&url, &headers, &content).await.map_err(describe)?;
    if response.status.is_success() {
        let reply = serde_json::from_slice(&response.body).unwrap_or(serde_json::Value::Null);
        let refused = reply.pointer("/partialSuccess/errorMessage").and_then(|why| why.as_str());
        return match refused.filter(|why| !why.is_empty()) {
            None => Ok(()),
            Some(_) => Err("the collector has refused spans".to_owned()),
        };
    }
    let body = printable(&String::from_utf8_lossy(&response.body));
    // A server may repeat what it was sent.
    let is_secret = |value: &HeaderValue| value.is_sensitive() && value.to_str().is_ok_and(|text| body.contains(text));
    let most = if exporter.headers.values().any(is_secret) { 0 } else { MAX_LINE };
    let why: String = body.chars().take(most).collect();
    Err(format!("status {}{}{why}", response.status, if why.is_empty() { "" } else { ": " }))
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The configured headers, and our own defaults. As for a kubelet, an empty `Accept` or `User-Agent` removes the header.
async fn headers(configured: &[Header], env: &Environment) -> Result<HeaderMap, HttpError> {
    let mut headers = HeaderMap::new();
    for header in configured {
        let refused = || HttpError::Header(header.name.clone());
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| refused())?;
        let value = match &header.value {
            ValueSource::Plain(text) => env.expand(OsStr::new(text)),
            ValueSource::File(file) => {
                let (path, prefix) = file.parts();
                prefixed(prefix, secret(&header.name, path.into()).await?)
            }
        };
        let mut value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| refused())?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    for (name, ours) in [(USER_AGENT, AGENT), (ACCEPT, "*/*")] {
        match headers.get(&name) {
            None => drop(headers.insert(name, HeaderValue::from_static(ours))),
            Some(value) if value.is_empty() => drop(headers.remove(name)),
            Some(_) => {}
        }
    }
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(headers)
}

/// Reads a secret's file when it is needed: it may have been rotated.
async fn secret(name: &str, path: PathBuf) -> Result<OsString, HttpError> {
    let file = path.clone();
    let read = spawn_blocking_detached(path.to_string_lossy().into_owned(), move || read_value(&file)).await?;
    read.map_err(|source| HttpError::Secret { name: name.to_owned(), path, source })
}

/// The state that the requests of one run share.
struct HttpClient {
    #[cfg(feature = "tls")]
    trust: crate::tls::Trust,
    #[cfg(feature = "tls")]
    config: Option<std::sync::Arc<rustls::ClientConfig>>,
}

impl HttpClient {
    #[cfg(not(feature = "tls"))]
    fn new(_: &HttpGet, _: &Environment) -> HttpClient {
        HttpClient {}
    }

    #[cfg(feature = "tls")]
    fn new(get: &HttpGet, env: &Environment) -> HttpClient {
        use crate::tls::Trust;
        let bundle = env.get(OsStr::new("SSL_CERT_FILE")).filter(|path| !path.is_empty());
        let trust = match (&get.ca_file, get.insecure_skip_verify) {
            (_, true) => Trust::Every,
            (Some(path), false) => Trust::File(path.clone()),
            (None, false) => Trust::System(bundle.map(PathBuf::from)),
        };
        HttpClient { trust, config: None }
    }

    /// Makes one request on a new connection.
    async fn exchange(&mut self, url: &Url, headers: &HeaderMap, content: &Content) -> Result<GetResponse, HttpError> {
        let (stream, _own) = connect(&url.host, url.port).await?;
        let stream: Box<dyn Duplex> = match url.scheme {
            Scheme::Http => Box::new(stream),
            Scheme::Https => self.encrypt(&url.host, stream).await?,
        };
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD_BYTES)
            .max_headers(MAX_HEADERS)
            .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
            .await?;
        // The task ends with this function.
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let mut request = Request::new(Full::new(content.body.clone()));
        *request.method_mut() = content.method.clone();
        *request.uri_mut() = url.target();
        *request.headers_mut() = headers.clone();
        if !headers.contains_key(HOST) {
            request.headers_mut().insert(HOST, url.authority());
        }
        read(sender.send_request(request).await?).await
    }

    #[cfg(not(feature = "tls"))]
    async fn encrypt(&mut self, _: &str, _: tokio::net::TcpStream) -> Result<Box<dyn Duplex>, HttpError> {
        Err(HttpError::NoTls)
    }

    #[cfg(feature = "tls")]
    async fn encrypt(&mut self, host: &str, stream: tokio::net::TcpStream) -> Result<Box<dyn Duplex>, HttpError> {
        let config = match &self.config {
            Some(config) => config.clone(),
            None => {
                let trust = self.trust.clone();
                let read = spawn_blocking_detached(format!("{trust:?}"), move || crate::tls::client(&trust)).await??;
                self.config.insert(std::sync::Arc::new(read)).clone()
            }
        };
        let bare = host.trim_matches(['[', ']']).to_owned();
        let name = rustls::pki_types::ServerName::try_from(bare).map_err(|_| HttpError::Host)?;
        let stream = tokio_rustls::TlsConnector::from(config).connect(name, stream).await;
        let stream = stream.map_err(|source| HttpError::Handshake { host: host.to_owned(), source })?;
        Ok(Box::new(stream))
    }
}

async fn read(mut response: Response<Incoming>) -> Result<GetResponse, HttpError> {
    let location = response.headers().get(LOCATION).filter(|value| !value.is_empty());
    let location = location.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let mut body = Vec::new();
    while body.len() < MAX_BODY {
        match response.frame().await {
            Some(frame) => body.extend_from_slice(frame?.data_ref().unwrap_or(&Bytes::new())),
            None => break,
        }
    }
    Ok(GetResponse { status: response.status(), location, body })
}

/// The remedy for a refused certificate.
#[cfg(feature = "tls")]
fn advice(error: &std::io::Error) -> &'static str {
    use rustls::{CertificateError, Error};
    match error.get_ref().and_then(|error| error.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) => {
            " (set caFile to the issuer of its certificate)"
        }
        Some(Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })) => {
            " (set host to a name in its certificate)"
        }
        Some(Error::InvalidCertificate(CertificateError::Other(_))) => {
            " (its certificate is one of an authority, CA:TRUE; a server needs its own)"
        }
        _ => "",
    }
}

const AGENT: &str = concat!("bookend/", env!("CARGO_PKG_VERSION"));
/// The limit of Go's client.
const MAX_REQUESTS: usize = 10;
const MAX_HEAD_BYTES: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
const MAX_BODY: usize = 10 * 1024;
const MAX_LINES: usize = 3;
const MAX_LINE: usize = 200;

//! The URL of a GET: built from a handler's keys, or from the `Location` of a redirect. Pure.

use std::ffi::OsStr;

use hyper::Uri;
use hyper::header::HeaderValue;

use crate::handlers::program::Environment;
use bookend_config::address::{HttpUrl, is_host};
use bookend_config::settings::Scheme;

/// A URL that has been checked completely, so that it can be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) scheme: Scheme,
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    pub(super) host: String,
    pub(super) port: u16,
    authority: HeaderValue,
    target: Uri,
}

impl Url {
    /// `None` if the host is invalid.
    pub(super) fn new(scheme: Scheme, host: &str, port: u16, path: &str) -> Option<Url> {
        // A bare IPv6 address, as a Pod spec has it.
        let host = if host.parse::<std::net::Ipv6Addr>().is_ok() { format!("[{host}]") } else { host.to_owned() };
        if !is_host(&host) {
            return None;
        }
        let authority = HeaderValue::from_str(&format!("{host}:{port}")).ok()?;
        // A path can only be too long.
        Some(Url { scheme, host, port, authority, target: path.parse().ok()? })
    }

    /// The Host header.
    pub(super) fn authority(&self) -> HeaderValue {
        self.authority.clone()
    }

    /// The target in the first line of the request.
    pub(super) fn target(&self) -> Uri {
        self.target.clone()
    }

    /// The URL of a `Location` relative to this one (RFC 3986, section 5.2). `None` if it is invalid or has another scheme.
    pub(super) fn join(&self, location: &str) -> Option<Url> {
        let location = location.split('#').next().unwrap_or_default();
        let (scheme, rest) = match location.split_once("://") {
            Some((scheme, rest)) if is_absolute(location) => (scheme_of(scheme)?, Some(rest)),
            _ => (self.scheme, location.strip_prefix("//")),
        };
        if let Some(rest) = rest {
            // `user@host`: Go sends the user as a header; we send none, to the host itself.
            let HttpUrl { host, port, path, .. } = HttpUrl::after_scheme(scheme, rest).ok()?;
            return Url::new(scheme, host, port, &encode_path(path));
        }
        let (base, query) = (self.target.path(), self.target.query());
        let path = match location.bytes().next() {
            None => query.map_or_else(|| base.to_owned(), |query| format!("{base}?{query}")),
            Some(b'/') => location.to_owned(),
            Some(b'?') => format!("{base}{location}"),
            Some(_) => format!("{}/{location}", base.rsplit_once('/').map_or("", |(folder, _)| folder)),
        };
        Url::new(self.scheme, &self.host, self.port, &encode_path(&without_dots(&path)))
    }
}

/// Whether a `Location` has a scheme.
pub(super) fn is_absolute(location: &str) -> bool {
    location.split_once("://").is_some_and(|(scheme, _)| !scheme.contains(['/', '?', '#']))
}

fn scheme_of(text: &str) -> Option<Scheme> {
    Scheme::ALL.iter().copied().find(|scheme| text.eq_ignore_ascii_case(scheme.name()))
}

/// A handler's `path`, query included, with `$(VAR)` expanded. The value of a variable is encoded as a whole, so that it is
/// always one segment of the path or one value of the query.
pub(super) fn path(configured: &str, env: &Environment) -> String {
    let configured = configured.split('#').next().unwrap_or_default();
    let encoded = env.expand_as(OsStr::new(configured), |value| encode(value, is_unreserved).into_bytes());
    encode_path(&encoded.to_string_lossy())
}

/// A path and query in which every illegal character is encoded. Encoded characters stay as they are.
fn encode_path(text: &str) -> String {
    let allowed = |byte: u8| is_unreserved(byte) || b"%/?:@!$&'()*+,;=[]".contains(&byte);
    let slash = if text.starts_with('/') { "" } else { "/" };
    format!("{slash}{}", encode(text.as_bytes(), allowed))
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn encode(bytes: &[u8], allowed: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        if allowed(byte) { out.push(char::from(byte)) } else { out.push_str(&format!("%{byte:02X}")) }
    }
    out
}

/// `/a/b/../c` is `/a/c`.
fn without_dots(path: &str) -> String {
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_in_folder = false;
    for segment in path.split('/').skip(1) {
        ends_in_folder = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    if ends_in_folder {
        kept.push("");
    }
    let path = format!("/{}", kept.join("/"));
    query.map_or(path.clone(), |query| format!("{path}?{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(path: &str) -> Url {
        Url::new(Scheme::Http, "a.example", 8080, path).unwrap()
    }

    fn shown(url: &Url) -> String {
        format!("{:?} {} {}", url.scheme, url.authority.to_str().unwrap(), url.target)
    }

    #[test]
    fn a_redirect_follows_its_location() {
        for (location, expected) in [
            ("/x?y=1#z", "Http a.example:8080 /x?y=1"),
            ("x", "Http a.example:8080 /folder/x"),
            ("../x", "Http a.example:8080 /x"),
            ("./..", "Http a.example:8080 /"),
            ("?q=2", "Http a.example:8080 /folder/file?q=2"),
            ("https://a.example/", "Https a.example:443 /"),
            ("HTTP://b.example:81", "Http b.example:81 /"),
            ("//b.example/p", "Http b.example:80 /p"),
            ("http://[::1]:8080/p?u=http://c", "Http [::1]:8080 /p?u=http://c"),
            ("http://u:p@b.example/", "Http b.example:80 /"),
            ("/with space/ä", "Http a.example:8080 /with%20space/%C3%A4"),
            ("/back?to=http://b.example/", "Http a.example:8080 /back?to=http://b.example/"),
        ] {
            assert_eq!(shown(&url("/folder/file?old").join(location).unwrap()), expected, "{location}");
        }
        for location in ["ftp://a.example/", "http://", "http://a:b:c/", "http://a.example:70000/", "http:// /"] {
            assert_eq!(url("/").join(location), None, "{location}");
        }
    }

    #[test]
    fn a_variable_is_one_segment_or_one_query_value() {
        let mut env = Environment::default();
        env.set("A", "a b/ü?");
        env.set("B", "ok");
        assert_eq!(path("v1/$(A)/x?b=$(B)&c=$$(B)", &env), "/v1/a%20b%2F%C3%BC%3F/x?b=ok&c=$(B)");
        assert_eq!(path("/$(NO)#f", &env), "/$(NO)");
        assert_eq!(path("", &env), "/");
        assert_eq!(path("/%41 b", &env), "/%41%20b");
    }

    #[test]
    fn a_host_with_other_parts_of_a_url_is_invalid() {
        assert_eq!(Url::new(Scheme::Http, "::1", 1, "/").unwrap().host, "[::1]");
        for host in ["", "a b", "a/b", "u@h", "a:1", "a\r\nX: y", "[::1", "a%41"] {
            assert_eq!(Url::new(Scheme::Http, host, 80, "/"), None, "{host:?}");
        }
    }
}

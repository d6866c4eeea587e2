//! Hosts, ports and HTTP URLs, as people write them: the one parser of the command line, of redirects and of hints.

use std::net::Ipv6Addr;

use crate::settings::Scheme;

/// A host with or without a port: `app`, `app:80`, `10.0.0.1:80`, `[::1]:80`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostPort<'a> {
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    pub host: &'a str,
    /// From 1; `None`: the text has no port.
    pub port: Option<u16>,
}

/// Why a text is not a host with a port, or not an HTTP URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Empty, or a character that no host name has.
    #[error("invalid host: empty or contains an illegal character")]
    Host,
    /// Not a number, 0, or too large.
    #[error("invalid port: not a number from 1 to 65535")]
    Port,
    /// `::1`, of which a colon could begin the port.
    #[error("an IPv6 address needs brackets, like [::1]")]
    Brackets,
    /// Neither `http://` nor `https://`.
    #[error("the URL does not begin with http:// or https://")]
    Scheme,
}

impl<'a> HostPort<'a> {
    /// Reads a host and its port, if there is one.
    ///
    /// # Errors
    /// The part that is wrong.
    pub fn parse(text: &'a str) -> Result<HostPort<'a>, AddressError> {
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(AddressError::Brackets);
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                let is_number = port.bytes().all(|b| b.is_ascii_digit());
                let number = port.parse().ok().filter(|number| is_number && *number > 0);
                (host, Some(number.ok_or(AddressError::Port)?))
            }
            _ => (text, None),
        };
        if is_host(host) { Ok(HostPort { host, port }) } else { Err(AddressError::Host) }
    }
}

/// Whether a text is a host: a name, an IPv4 address, or an IPv6 address in brackets.
pub fn is_host(text: &str) -> bool {
    match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)),
    }
}

/// `http://HOST[:PORT][/PATH][?QUERY]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpUrl<'a> {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    pub host: &'a str,
    /// By default 80 or 443.
    pub port: u16,
    /// Path and query as they stand there, without the fragment; may be empty.
    pub path: &'a str,
    /// Whether a user stands before the host (`user:password@host`). It is not kept.
    pub has_user: bool,
}

impl<'a> HttpUrl<'a> {
    /// Reads a whole URL.
    ///
    /// # Errors
    /// The part that is wrong.
    pub fn parse(url: &'a str) -> Result<HttpUrl<'a>, AddressError> {
        let (name, rest) = url.split_once("://").ok_or(AddressError::Scheme)?;
        let scheme = Scheme::ALL.iter().find(|scheme| scheme.name().eq_ignore_ascii_case(name));
        HttpUrl::after_scheme(*scheme.ok_or(AddressError::Scheme)?, rest)
    }

    /// Reads the part of a URL after `http://`.
    ///
    /// # Errors
    /// The part that is wrong.
    pub fn after_scheme(scheme: Scheme, rest: &'a str) -> Result<HttpUrl<'a>, AddressError> {
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (has_user, authority) = match authority.rsplit_once('@') {
            Some((_, authority)) => (true, authority),
            None => (false, authority),
        };
        // RFC 3986 allows a colon without a port.
        let HostPort { host, port } = HostPort::parse(authority.strip_suffix(':').unwrap_or(authority))?;
        Ok(HttpUrl { scheme, host, port: port.unwrap_or_else(|| default_port(scheme)), path, has_user })
    }
}

fn default_port(scheme: Scheme) -> u16 {
    match scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_read_with_and_without_a_port() {
        for (text, host, port) in [
            ("app", "app", None),
            ("app:80", "app", Some(80)),
            ("10.0.0.1:65535", "10.0.0.1", Some(65535)),
            ("[::1]:8080", "[::1]", Some(8080)),
            ("[::1]", "[::1]", None),
            ("my_app.svc", "my_app.svc", None),
        ] {
            assert_eq!(HostPort::parse(text), Ok(HostPort { host, port }), "{text}");
        }
    }

    #[test]
    fn an_invalid_host_or_port_is_refused_with_its_reason() {
        for (text, error) in [
            ("", AddressError::Host),
            (":80", AddressError::Host),
            ("a b", AddressError::Host),
            ("a/b", AddressError::Host),
            ("u@h", AddressError::Host),
            ("a%41", AddressError::Host),
            ("[::1", AddressError::Host),
            ("[x]", AddressError::Host),
            ("a\r\nX: y", AddressError::Port),
            ("a:0", AddressError::Port),
            ("a:+1", AddressError::Port),
            ("a:99999", AddressError::Port),
            ("a:", AddressError::Port),
            ("a:1:2", AddressError::Host),
            ("::1", AddressError::Brackets),
        ] {
            assert_eq!(HostPort::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_url_has_a_default_port_and_keeps_its_path_and_query() {
        let read = |url| HttpUrl::parse(url).map(|url| (url.scheme, url.host, url.port, url.path, url.has_user));
        assert_eq!(read("http://app"), Ok((Scheme::Http, "app", 80, "", false)));
        assert_eq!(read("HTTPS://app/x?y#z"), Ok((Scheme::Https, "app", 443, "/x?y", false)));
        assert_eq!(read("http://u:p@app:8080?full"), Ok((Scheme::Http, "app", 8080, "?full", true)));
        assert_eq!(read("http://[::1]:81/p?u=http://c"), Ok((Scheme::Http, "[::1]", 81, "/p?u=http://c", false)));
        assert_eq!(read("ftp://app"), Err(AddressError::Scheme));
        assert_eq!(read("http:/app"), Err(AddressError::Scheme));
        assert_eq!(read("http://"), Err(AddressError::Host));
    }
}

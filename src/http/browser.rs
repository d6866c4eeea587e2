//! Requests that a browser sends for a page of another site. With `kubectl port-forward` the port is reachable from a
//! person's browser, and a page that the person visits could call a hook: a GET needs no permission of the server. Pure.
//!
//! - `Sec-Fetch-Site` and `Origin` tell which site the page is of; every current browser sends one of them.
//! - A name that resolves to 127.0.0.1 (DNS rebinding) makes another site's page look like ours. Its name stands in `Host`,
//!   so on a loopback address only `localhost` and IP addresses are accepted there.

use std::net::IpAddr;

use hyper::HeaderMap;
use hyper::header::{HOST, ORIGIN};
use hyper::http::uri::Authority;

use super::refusal::Refusal;

/// Refuses a request of another site's page. `local`: the address that the request came to.
pub(super) fn check(headers: &HeaderMap, local: Option<IpAddr>) -> Result<(), Refusal> {
    let host = headers.get(HOST).map(|host| host.as_bytes());
    if headers.get_all("sec-fetch-site").iter().any(|site| site != "same-origin" && site != "none") {
        return Err(Refusal::OtherSite);
    }
    for origin in headers.get_all(ORIGIN) {
        let authority =
            [&b"http://"[..], b"https://"].iter().find_map(|scheme| origin.as_bytes().strip_prefix(*scheme));
        // `null` is the origin of a sandboxed page.
        if !authority.zip(host).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host)) {
            return Err(Refusal::OtherSite);
        }
    }
    let is_loopback = local.is_some_and(|local| local.to_canonical().is_loopback());
    if is_loopback && host.is_some_and(|host| !is_local(host)) {
        return Err(Refusal::Host);
    }
    Ok(())
}

/// Whether this is the Host header of a request that needs no name server: `localhost:8080`, `127.0.0.1`, `[::1]:8080`.
fn is_local(host: &[u8]) -> bool {
    let Ok(authority) = Authority::try_from(host) else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    name.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    const LOOPBACK: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
    const POD: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 2, 3)));

    fn checked(local: Option<IpAddr>, headers: &[(&'static str, &'static str)]) -> Result<(), Refusal> {
        let header = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        check(&headers.iter().map(header).collect(), local)
    }

    #[test]
    fn a_page_of_another_site_is_refused() {
        for site in ["cross-site", "same-site", "", "unknown"] {
            let headers = [("host", "localhost:8080"), ("sec-fetch-site", site)];
            assert_eq!(checked(LOOPBACK, &headers), Err(Refusal::OtherSite), "{site}");
        }
        for origin in ["http://evil.example", "null", "http://localhost:3000", "file://", "https://localhost:8080.evil"]
        {
            let headers = [("host", "localhost:8080"), ("origin", origin)];
            assert_eq!(checked(POD, &headers), Err(Refusal::OtherSite), "{origin}");
        }
        assert_eq!(checked(POD, &[("origin", "http://a")]), Err(Refusal::OtherSite), "without a Host");
    }

    #[test]
    fn our_own_page_and_a_persons_own_request_are_accepted() {
        let host = ("host", "localhost:8080");
        assert_eq!(checked(LOOPBACK, &[host, ("sec-fetch-site", "none")]), Ok(()));
        let own = [host, ("sec-fetch-site", "same-origin"), ("origin", "http://LOCALHOST:8080")];
        assert_eq!(checked(LOOPBACK, &own), Ok(()));
    }

    #[test]
    fn a_kubelet_is_accepted_on_every_address() {
        for local in [LOOPBACK, POD, None] {
            for host in ["10.1.2.3:8080", "127.0.0.1:8080", "[::1]:8080", "[2001:db8::1]", "localhost"] {
                assert_eq!(checked(local, &[("host", host)]), Ok(()), "{host}");
            }
            assert_eq!(checked(local, &[]), Ok(()), "HTTP/1.0");
        }
        assert_eq!(checked(POD, &[("host", "hooks.example.com")]), Ok(()), "httpHeaders may set a Host");
    }

    #[test]
    fn a_rebound_name_is_refused_on_a_loopback_address() {
        let mapped = Some("::ffff:127.0.0.1".parse().unwrap());
        for local in [LOOPBACK, mapped, Some("::1".parse().unwrap())] {
            for host in ["evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "", "a b"] {
                assert_eq!(checked(local, &[("host", host)]), Err(Refusal::Host), "{host}");
            }
        }
    }
}

//! `GET /` with `http.page`: one page that shows `/status` and follows it. The page is one file that loads nothing; its
//! content security policy lets the browser run this script, apply this style and request this server, and no more.

use http_body_util::{Either, Full};
use hyper::Response;
use hyper::body::Bytes;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};

use super::response::HttpResponse;
use crate::report::identity::PodIdentity;

/// The page itself, with the names of this pod and image as far as they are known.
pub(super) fn page(identity: &PodIdentity) -> HttpResponse {
    let mut response = Response::new(Either::Left(Full::new(Bytes::from(named(identity)))));
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // Another bookend may serve this address next time.
        (CACHE_CONTROL, "no-store"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn named(identity: &PodIdentity) -> String {
    let names: Vec<_> = [&identity.pod, &identity.image].into_iter().flatten().map(|name| escaped(name)).collect();
    PAGE.replacen(PLACE, &format!("{}{}", PLACE, names.join(" · ")), 1)
}

/// A text that is never markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const PAGE: &str = include_str!("page.html");

/// The element of the names.
const PLACE: &str = "<small id=\"identity\">";

/// The hashes of the page's one script and one style; a test compares them with the page.
const POLICY: &str = "default-src 'none'; \
    script-src 'sha256-WjfK+l85EzMSjTBP/TIKaExyDICtrsqhf55Kax9+W8o='; \
    style-src 'sha256-+Ku+JVdz6a46jIQY7wV1A6MbTeKjd3N6dHyn68o9x8E='; \
    connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[cfg(test)]
mod tests {
    use super::*;

    /// In the form of a policy: `'sha256-...'`.
    fn hash(tag: &str) -> String {
        let (_, rest) = PAGE.split_once(&format!("<{tag}>")).unwrap();
        let (text, rest) = rest.split_once(&format!("</{tag}>")).unwrap();
        assert!(!rest.contains(&format!("<{tag}")), "one {tag} alone");
        let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        format!("'sha256-{}'", base64(digest.as_ref()))
    }

    fn base64(bytes: &[u8]) -> String {
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let group = |chunk: &[u8]| {
            let bits = chunk.iter().chain([&0, &0]).take(3).fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
            let letter = |place: usize| letters[bits >> (18 - 6 * place) & 63];
            (0..4).map(|place| if place <= chunk.len() { char::from(letter(place)) } else { '=' }).collect::<String>()
        };
        bytes.chunks(3).map(group).collect()
    }

    #[test]
    fn the_policy_allows_only_the_pages_script_and_style() {
        for tag in ["script", "style"] {
            let part = format!("{tag}-src {};", hash(tag));
            assert!(POLICY.contains(&part), "src/http/page.rs: POLICY needs {part}");
        }
        assert!(POLICY.starts_with("default-src 'none'"));
    }

    #[test]
    fn the_page_knows_every_phase_in_order() {
        use bookend_lifecycle::PhaseName::{Exited, Finishing, Held, Running, Starting, Stopping};
        let names = [Starting, Running, Stopping, Finishing, Held, Exited].map(|phase| format!("{:?}", phase.name()));
        assert!(PAGE.contains(&format!("const PHASES = [{}];", names.join(", "))));
    }

    #[test]
    fn the_page_loads_nothing_and_sets_no_markup() {
        // The name of the SVG namespace is not an address.
        let page = PAGE.replace("http://www.w3.org/2000/svg", "");
        for outside in ["http:", "https:", "src=", "@import", "url(", "innerHTML", "insertAdjacentHTML", "style="] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn the_page_names_pod_and_image_as_text() {
        let identity = PodIdentity { pod: Some("shop/web-1".to_owned()), image: Some("<b>&".to_owned()) };
        assert!(named(&identity).contains("<small id=\"identity\">shop/web-1 · &lt;b&gt;&amp;</small>"));
        assert_eq!(named(&PodIdentity::default()), PAGE);
    }

    /// WCAG 2: the relative luminance of `#rrggbb`.
    fn luminance(colour: &str) -> f64 {
        let part = |at: usize| f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
        let linear = |part: f64| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) };
        0.2126 * linear(part(1)) + 0.7152 * linear(part(3)) + 0.0722 * linear(part(5))
    }

    #[test]
    fn text_has_enough_contrast_in_light_and_in_dark() {
        let schemes: Vec<&str> = PAGE.split(":root {").skip(1).take(2).collect();
        assert_eq!(schemes.len(), 2);
        for scheme in schemes {
            let colour = |name: &str| {
                let (_, rest) = scheme.split_once(&format!("--{name}: ")).unwrap();
                luminance(&rest[..7])
            };
            for ground in ["ground", "sheet"] {
                for text in ["ink", "soft", "good", "busy", "bad", "accent"] {
                    let (one, other) = (colour(ground), colour(text));
                    let contrast = (one.max(other) + 0.05) / (one.min(other) + 0.05);
                    assert!(contrast >= 4.5, "{text} on {ground}: {contrast:.2}");
                }
            }
        }
    }
}

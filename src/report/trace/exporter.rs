//! Whether a trace is sent, to which collector, and for which service: the standard variables of OpenTelemetry
//! (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>). Pure. A message never shows a value of a header.
//!
//! The variable for traces (`OTEL_EXPORTER_OTLP_TRACES_...`) is stronger than the one for all signals. An empty one counts as unset.

use std::path::PathBuf;

use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};

use bookend_config::address::HttpUrl;
use bookend_config::settings::Scheme;

/// The collector, and the resource that the traces are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exporter {
    pub(crate) scheme: Scheme,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    /// The authorities that have signed the collector's certificate; `None`: those of the system.
    pub(crate) ca_file: Option<PathBuf>,
    /// The attributes of the resource.
    pub(crate) resource: Vec<(String, String)>,
}

/// Why no trace is sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExporterError {
    #[error("{0}={1:?}: only http/json can be sent")]
    Protocol(String, String),
    #[error("OTEL_TRACES_EXPORTER={0:?}: only otlp can be sent")]
    Exporter(String),
    /// Without the value, which may contain a password.
    #[error("{0} is not a URL: {1}")]
    Endpoint(String, bookend_config::address::AddressError),
    /// Without the value, which may be a secret.
    #[error("{0} is not a list of NAME=VALUE with commas: see entry {1}")]
    Headers(String, usize),
}

impl Exporter {
    /// `variable`: the value of an environment variable. `program`: the app's. `None`: the variables switch traces off.
    pub(crate) fn of(
        variable: impl Fn(&str) -> Option<String>,
        program: &str,
    ) -> Result<Option<Exporter>, ExporterError> {
        let set = |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        // The value, and the name of its variable.
        let otlp = |what: &str| {
            let names = ["OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"].map(|prefix| format!("{prefix}{what}"));
            names.into_iter().find_map(|name| Some((set(&name)?, name)))
        };
        if set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        if let Some(exporters) = set("OTEL_TRACES_EXPORTER")
            && !exporters.split(',').any(|one| one.trim() == "otlp")
        {
            return if exporters == "none" { Ok(None) } else { Err(ExporterError::Exporter(exporters)) };
        }
        if let Some((protocol, name)) = otlp("PROTOCOL").filter(|(protocol, _)| protocol != "http/json") {
            return Err(ExporterError::Protocol(name, protocol));
        }
        let (endpoint, name) = otlp("ENDPOINT").unwrap_or_else(|| (DEFAULT_ENDPOINT.to_owned(), String::new()));
        let url = HttpUrl::parse(&endpoint).map_err(|error| ExporterError::Endpoint(name.clone(), error))?;
        let path = match name.contains("TRACES") {
            true if url.path.is_empty() => "/".to_owned(),
            true => url.path.to_owned(),
            false => format!("{}/v1/traces", url.path.trim_end_matches('/')),
        };
        Ok(Some(Exporter {
            scheme: url.scheme,
            host: url.host.to_owned(),
            port: url.port,
            path,
            headers: headers(otlp("HEADERS"))?,
            ca_file: otlp("CERTIFICATE").map(|(path, _)| path.into()),
            resource: resource(set("OTEL_RESOURCE_ATTRIBUTES"), set("OTEL_SERVICE_NAME"), program),
        }))
    }
}

/// Our headers, and those of the variable: `api-key=s3cret,tenant=7`.
fn headers(variable: Option<(String, String)>) -> Result<HeaderMap, ExporterError> {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("bookend/", env!("CARGO_PKG_VERSION"))));
    let (list, name) = variable.unwrap_or_default();
    for (index, entry) in list.split(',').enumerate().filter(|(_, entry)| !entry.trim().is_empty()) {
        let header = entry.split_once('=').and_then(|(key, value)| {
            let mut value = HeaderValue::from_str(&decoded(value.trim())).ok()?;
            value.set_sensitive(true);
            Some((HeaderName::from_bytes(key.trim().as_bytes()).ok()?, value))
        });
        let (key, value) = header.ok_or_else(|| ExporterError::Headers(name.clone(), index + 1))?;
        headers.insert(key, value);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(headers)
}

/// The attributes of the resource: `service.name=web,k8s.pod.name=web-1`. An entry that is not one is left out.
fn resource(attributes: Option<String>, service: Option<String>, program: &str) -> Vec<(String, String)> {
    let attributes = attributes.unwrap_or_default();
    let entries = attributes.split(',').filter_map(|entry| entry.split_once('='));
    let mut all: Vec<(String, String)> = entries
        .map(|(key, value)| (key.trim().to_owned(), decoded(value.trim()).chars().take(LONGEST_VALUE).collect()))
        .filter(|(key, _)| !key.is_empty() && key.len() < LONGEST_VALUE)
        .take(MOST_ATTRIBUTES)
        .collect();
    if let Some(service) = service {
        all.retain(|(key, _)| key != SERVICE_NAME);
        all.push((SERVICE_NAME.to_owned(), service));
    } else if !all.iter().any(|(key, _)| key == SERVICE_NAME) {
        all.push((SERVICE_NAME.to_owned(), format!("unknown_service:{program}")));
    }
    all
}

/// A text without its percent encoding.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let digits = after.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(b'%');
                rest = after;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The default of OpenTelemetry for OTLP over HTTP.
const DEFAULT_ENDPOINT: &str = "http://localhost:4318";
const SERVICE_NAME: &str = "service.name";
const MOST_ATTRIBUTES: usize = 128;
const LONGEST_VALUE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(set: &[(&str, &str)]) -> Result<Option<Exporter>, ExporterError> {
        let find = |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Exporter::of(find, "nginx")
    }

    fn url(set: &[(&str, &str)]) -> String {
        let Exporter { scheme, host, port, path, .. } = of(set).unwrap().unwrap();
        format!("{}://{host}:{port}{path}", scheme.name())
    }

    const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const OF_TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

    #[test]
    fn the_endpoint_of_all_signals_gets_the_path_of_traces() {
        assert_eq!(url(&[]), "HTTP://localhost:4318/v1/traces");
        assert_eq!(url(&[(ENDPOINT, "")]), "HTTP://localhost:4318/v1/traces", "empty is unset");
        assert_eq!(url(&[(ENDPOINT, "https://otel.example")]), "HTTPS://otel.example:443/v1/traces");
        assert_eq!(url(&[(ENDPOINT, "http://10.0.0.1:4318/base/")]), "HTTP://10.0.0.1:4318/base/v1/traces");
        assert_eq!(url(&[(OF_TRACES, "http://[::1]:9/x"), (ENDPOINT, "http://a")]), "HTTP://[::1]:9/x", "as it stands");
        assert_eq!(url(&[(OF_TRACES, "http://a:9")]), "HTTP://a:9/");
    }

    #[test]
    fn the_variables_switch_traces_off() {
        assert_eq!(of(&[("OTEL_SDK_DISABLED", "True")]), Ok(None));
        assert_eq!(of(&[("OTEL_TRACES_EXPORTER", "none")]), Ok(None));
        for (name, value) in [("OTEL_SDK_DISABLED", "false"), ("OTEL_TRACES_EXPORTER", "console, otlp")] {
            assert!(of(&[(name, value)]).unwrap().is_some(), "{name}={value}");
        }
    }

    #[test]
    fn another_protocol_or_exporter_is_an_error_that_names_its_variable() {
        let error = |set: &[(&str, &str)]| of(set).unwrap_err().to_string();
        let grpc = "OTEL_EXPORTER_OTLP_PROTOCOL=\"grpc\": only http/json can be sent";
        assert_eq!(error(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]), grpc);
        let json = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json");
        assert!(of(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), json]).unwrap().is_some(), "that of traces is stronger");
        let zipkin = "OTEL_TRACES_EXPORTER=\"zipkin\": only otlp can be sent";
        assert_eq!(error(&[("OTEL_TRACES_EXPORTER", "zipkin")]), zipkin);
        assert!(error(&[(ENDPOINT, "otel:4317")]).starts_with("OTEL_EXPORTER_OTLP_ENDPOINT is not a URL: "));
    }

    #[test]
    fn headers_are_decoded_and_their_values_never_shown() {
        let name = "OTEL_EXPORTER_OTLP_HEADERS";
        let exporter = of(&[(name, "api-key=s3%3Dcret%2C, Tenant = 7 ,content-type=x")]).unwrap().unwrap();
        let get = |key: &str| exporter.headers.get(key).unwrap().to_str().unwrap();
        assert_eq!((get("api-key"), get("tenant"), get("content-type")), ("s3=cret,", "7", "application/json"));
        assert!(!format!("{exporter:?}").contains("cret"), "{exporter:?}");
        for wrong in ["a=b,s3cret", "a=b,sécret=1", "a=b,c=s3%0Acret"] {
            let error = of(&[(name, wrong)]).unwrap_err().to_string();
            assert_eq!(error, "OTEL_EXPORTER_OTLP_HEADERS is not a list of NAME=VALUE with commas: see entry 2");
        }
        let secret = of(&[(ENDPOINT, "http://me:s3cret@a:b/")]).unwrap_err().to_string();
        assert!(!secret.contains("s3cret"), "{secret}");
    }

    #[test]
    fn the_resource_has_the_attributes_and_the_name_of_the_service() {
        let resource = |set: &[(&str, &str)]| of(set).unwrap().unwrap().resource;
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(resource(&[]), [pair("service.name", "unknown_service:nginx")]);
        let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=web-1, service.name = a%20b,broken,=x,e=");
        let pod = pair("k8s.pod.name", "web-1");
        assert_eq!(resource(&[attributes]), [pod.clone(), pair("service.name", "a b"), pair("e", "")]);
        let named = resource(&[attributes, ("OTEL_SERVICE_NAME", "shop")]);
        assert_eq!(named, [pod, pair("e", ""), pair("service.name", "shop")]);
        let many = (0..1000).map(|n| format!("k{n}={}", "v".repeat(2000))).collect::<Vec<_>>().join(",");
        let kept = resource(&[("OTEL_RESOURCE_ATTRIBUTES", &many)]);
        assert_eq!(kept.len(), MOST_ATTRIBUTES + 1);
        assert!(kept.iter().all(|(_, value)| value.len() <= LONGEST_VALUE));
    }

    #[test]
    fn a_broken_percent_encoding_stays_as_it_is() {
        for (text, expected) in [("100%", "100%"), ("%zz%41", "%zzA"), ("%C3%A4", "ä"), ("%+1", "%+1")] {
            assert_eq!(decoded(text), expected);
        }
    }
}

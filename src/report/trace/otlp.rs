//! A request of OTLP/HTTP in JSON: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>. Names are in lower camel
//! case, trace and span ids in hexadecimal, 64-bit integers in strings, enumerations as numbers. Pure.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::report::timestamp::Timestamp;

/// The request as JSON: the spans of one resource.
pub(crate) fn request(resource: &[(String, String)], spans: &[Span]) -> String {
    let attributes = resource.iter().map(|(key, value)| KeyValue { key, value: AttributeValue::String(value.clone()) });
    let scope = Scope { name: "bookend", version: env!("CARGO_PKG_VERSION") };
    let request = TraceRequest {
        resource_spans: [ResourceSpans {
            resource: Resource { attributes: attributes.collect() },
            scope_spans: [ScopeSpans { scope, spans }],
        }],
    };
    // It has no map with keys that are not strings.
    serde_json::to_string(&request).unwrap_or_default()
}

/// One span.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Span {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parent_span_id: Option<SpanId>,
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    pub(crate) start_time_unix_nano: UnixNanos,
    pub(crate) end_time_unix_nano: UnixNanos,
    pub(crate) attributes: Vec<KeyValue<'static>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) events: Vec<SpanEvent>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) dropped_events_count: u32,
    pub(crate) status: Status,
}

/// An event of a span.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SpanEvent {
    pub(crate) time_unix_nano: UnixNanos,
    pub(crate) name: &'static str,
    pub(crate) attributes: Vec<KeyValue<'static>>,
}

/// An attribute.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct KeyValue<'a> {
    pub(crate) key: &'a str,
    pub(crate) value: AttributeValue,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) enum AttributeValue {
    #[serde(rename = "stringValue")]
    String(String),
    #[serde(rename = "boolValue")]
    Bool(bool),
    /// In a string, as every 64-bit integer.
    #[serde(rename = "intValue", serialize_with = "in_a_string")]
    Integer(u64),
    #[serde(rename = "doubleValue")]
    Double(f64),
}

/// `SPAN_KIND_INTERNAL`, `SPAN_KIND_CLIENT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpanKind {
    Internal = 1,
    Client = 3,
}

/// The status of a span.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Status {
    pub(crate) code: StatusCode,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) message: String,
}

/// `STATUS_CODE_UNSET`, `STATUS_CODE_OK`, `STATUS_CODE_ERROR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StatusCode {
    Unset = 0,
    Ok = 1,
    Error = 2,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TraceRequest<'a> {
    resource_spans: [ResourceSpans<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: Resource<'a>,
    scope_spans: [ScopeSpans<'a>; 1],
}

#[derive(Serialize)]
struct Resource<'a> {
    attributes: Vec<KeyValue<'a>>,
}

#[derive(Serialize)]
struct ScopeSpans<'a> {
    scope: Scope,
    spans: &'a [Span],
}

#[derive(Serialize)]
struct Scope {
    name: &'static str,
    version: &'static str,
}

/// The id of a trace, never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceId(pub(crate) u128);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The id of a span, never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpanId(pub(crate) u64);

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UnixNanos(u128);

impl From<Timestamp> for UnixNanos {
    fn from(at: Timestamp) -> UnixNanos {
        UnixNanos(at.unix_nanos())
    }
}

impl Serialize for TraceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for SpanId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for UnixNanos {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl Serialize for SpanKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*self as u8)
    }
}

impl Serialize for StatusCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*self as u8)
    }
}

fn in_a_string<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

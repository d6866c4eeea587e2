//! The vocabulary as a JSON Schema (draft 2020-12), for editors and for programs that write configurations. Everything in
//! it is made from the vocabulary, except the form of each kind of scalar in JSON.
//!
//! A schema cannot express everything that is checked (signals by name, names of ports, rules between keys), and a
//! file that is one layer of several need not have all required keys; `bookend check` has the last word.
//!
//! It is put together as text: built of values it would be 10 kB more of code.

use serde_json::Value as Json;
use toml::de::DeValue;

use crate::deprecated::RENAMED;
use crate::json;
use crate::key::{ANY_NAME, Key, Role, Shape};
use crate::scalar::{MAX_SECONDS, Scalar};
use crate::toml_text::join;
use crate::vocabulary::ROOT;

/// The whole schema, for people to read as well.
pub(crate) fn schema() -> String {
    let mut shared = Shared::default();
    let root = table("", ROOT, &mut shared);
    let text = format!(
        r#"{{"$schema":"https://json-schema.org/draft/2020-12/schema","$id":"urn:bookend:configuration:{version}","title":"bookend's configuration",{root},"$defs":{{{}}}}}"#,
        shared.definitions.join(","),
        version = env!("CARGO_PKG_VERSION"),
    );
    let schema: Json = serde_json::from_str(&text).unwrap_or_default();
    format!("{schema:#}\n")
}

/// Tables of keys that several keys have in common: defined once, under the path of the first.
#[derive(Default)]
struct Shared {
    known: Vec<(*const Key, String)>,
    definitions: Vec<String>,
}

/// The members of the schema of a table.
fn table(path: &str, keys: &'static [Key], shared: &mut Shared) -> String {
    let mut properties = Vec::new();
    for key in keys {
        let shape = shape(&join(path, key.name), key.shape, shared);
        for renamed in RENAMED.iter().filter(|renamed| renamed.table == path && renamed.new == key.name) {
            let about = quoted(&renamed.message());
            properties.push(format!(r#"{}:{{{shape},"description":{about},"deprecated":true}}"#, quoted(renamed.old)));
        }
        let about = quoted(if key.is_documented() { key.about } else { key.warning });
        let default =
            DeValue::parse(key.default).map(|default| format!(r#","default":{}"#, json::of_value(default.get_ref())));
        properties.push(format!(
            r#"{}:{{{shape},"description":{about}{}}}"#,
            quoted(key.name),
            default.unwrap_or_default()
        ));
    }
    let named = |role: fn(Role) -> bool| keys.iter().filter(move |key| role(key.role)).map(|key| quoted(key.name));
    let required: Vec<String> = named(|role| role == Role::Required).collect();
    let either: Vec<String> =
        named(|role| matches!(role, Role::OneOf(_))).map(|name| format!(r#"{{"required":[{name}]}}"#)).collect();
    let mut members =
        format!(r#""type":"object","properties":{{{}}},"additionalProperties":false"#, properties.join(","));
    for (rule, of) in [("required", required), ("oneOf", either)] {
        if !of.is_empty() {
            members.push_str(&format!(r#","{rule}":[{}]"#, of.join(",")));
        }
    }
    members
}

/// A reference to the definition of a table, which is added the first time.
fn reference(path: &str, keys: &'static [Key], shared: &mut Shared) -> String {
    let known = shared.known.iter().find(|(first, _)| *first == keys.as_ptr()).map(|(_, name)| name.clone());
    let name = known.unwrap_or_else(|| {
        shared.known.push((keys.as_ptr(), path.to_owned()));
        let made = table(path, keys, shared);
        shared.definitions.push(format!("{}:{{{made}}}", quoted(path)));
        path.to_owned()
    });
    format!(r#""$ref":{}"#, quoted(&format!("#/$defs/{name}")))
}

/// The members of the schema of a value.
fn shape(path: &str, shape: Shape, shared: &mut Shared) -> String {
    match shape {
        Shape::One(scalar) => one(scalar),
        Shape::List(scalar) => format!(r#""type":"array","items":{{{}}}"#, one(scalar)),
        Shape::Map { names, values } => map(names, &one(values)),
        Shape::Named { names, keys } => map(names, &reference(&join(path, ANY_NAME), keys, shared)),
        Shape::Table(keys) => reference(path, keys, shared),
        Shape::Tables(keys) => {
            let entry = reference(path, keys, shared);
            format!(r#""anyOf":[{{{entry}}},{{"type":"array","items":{{{entry}}}}}]"#)
        }
    }
}

/// The members of the schema of a table with names of the user's choice.
fn map(names: Scalar, values: &str) -> String {
    // A name is a string, even if it is a number or a signal.
    let names = match names {
        Scalar::Integer { .. } => r#""pattern":"^[0-9]+$""#.to_owned(),
        Scalar::Received | Scalar::Stopping | Scalar::SignalOrIgnore | Scalar::StoppingOrIgnore => {
            r#""pattern":"^[A-Za-z0-9+-]+$""#.to_owned()
        }
        names => one(names),
    };
    format!(r#""type":"object","propertyNames":{{{names}}},"additionalProperties":{{{values}}}"#)
}

/// The members of the schema of a scalar.
fn one(scalar: Scalar) -> String {
    let members = match scalar {
        Scalar::Integer { min, max, .. } => {
            return format!(r#""type":"integer","minimum":{min},"maximum":{max}"#);
        }
        Scalar::Choice(words) => {
            let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
            return format!(r#""enum":[{}]"#, words.join(","));
        }
        Scalar::Seconds => return format!(r#""type":"number","minimum":0,"maximum":{MAX_SECONDS}"#),
        Scalar::Timeout => return format!(r#""type":"number","exclusiveMinimum":0,"maximum":{MAX_SECONDS}"#),
        Scalar::Text => r#""type":"string""#,
        Scalar::Name => r#""type":"string","minLength":1"#,
        Scalar::Path => r#""type":"string","pattern":"^/""#,
        Scalar::Socket => r#""type":"string","pattern":"^(/|None$)""#,
        Scalar::Bool => r#""type":"boolean""#,
        // A signal by name; the list of names is not part of the schema.
        Scalar::Received | Scalar::Stopping | Scalar::SignalOrIgnore | Scalar::StoppingOrIgnore => {
            r#""anyOf":[{"type":"string","pattern":"^[A-Za-z0-9+-]+$"},{"type":"integer","minimum":1,"maximum":64}]"#
        }
        Scalar::Address => r#""type":"string","pattern":":[0-9]+$""#,
        Scalar::Network => r#""type":"string","pattern":"^[0-9A-Fa-f.:]+(/[0-9]+)?$""#,
        Scalar::Port => {
            r#""anyOf":[{"type":"integer","minimum":1,"maximum":65535},{"type":"string","pattern":"^[a-z0-9-]{1,15}$"}]"#
        }
        Scalar::PortName => r#""type":"string","pattern":"^[a-z0-9-]{1,15}$""#,
        Scalar::ContainerName => r#""type":"string","pattern":"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$""#,
        Scalar::Program => r#""type":"string","pattern":"^(/.*|[^/]+)$""#,
        Scalar::HeaderName => r#""type":"string","pattern":"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$""#,
        Scalar::Status => {
            r#""anyOf":[{"type":"string","pattern":"^[1-5][0-9]{2}(-[1-5][0-9]{2})?$"},
                {"type":"integer","minimum":100,"maximum":599}]"#
        }
        Scalar::Source => {
            r#""anyOf":[{"type":"string"},{"type":"object","required":["valueFrom"],"additionalProperties":false,
                "properties":{"valueFrom":{"type":"object","required":["file"],"additionalProperties":false,
                "properties":{"file":{"type":"string","pattern":"^/"},"prefix":{"type":"string"}}}}}]"#
        }
        Scalar::Variable => r#""type":"string","pattern":"^[^=]+$""#,
        Scalar::User => {
            r#""anyOf":[{"type":"string","pattern":"^[^:\\s]+(:[^:\\s]+)?$"},
                {"type":"integer","minimum":0,"maximum":4294967294}]"#
        }
        // JSON has no octal: what TOML writes as 0o022 arrives as a number.
        Scalar::Umask => {
            r#""anyOf":[{"type":"string","pattern":"^(0o)?[0-7]{1,4}$"},{"type":"integer","minimum":0,"maximum":511}]"#
        }
        Scalar::Limit => {
            r#""anyOf":[{"const":"unlimited"},{"type":"integer","minimum":0},
                {"type":"object","minProperties":1,"additionalProperties":false,"properties":{
                "soft":{"anyOf":[{"const":"unlimited"},{"type":"integer","minimum":0}]},
                "hard":{"anyOf":[{"const":"unlimited"},{"type":"integer","minimum":0}]}}}]"#
        }
    };
    members.to_owned()
}

/// A JSON string.
fn quoted(text: &str) -> String {
    Json::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_json_with_a_definition_for_each_table() {
        let schema: Json = serde_json::from_str(&schema()).unwrap();
        assert_eq!(schema["$id"], concat!("urn:bookend:configuration:", env!("CARGO_PKG_VERSION")));
        assert_eq!(schema["properties"]["terminationGracePeriodSeconds"]["maximum"], MAX_SECONDS);
        assert_eq!(schema["$defs"]["lifecycle.preStop"]["oneOf"].as_array().map(Vec::len), Some(6));
        assert_eq!(schema["properties"]["ports"]["default"], serde_json::json!({}));
    }
}

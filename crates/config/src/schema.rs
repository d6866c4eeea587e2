//! The vocabulary as a JSON Schema (draft 2020-12), for editors and for programs that write configurations. Everything in
//! it is made from the vocabulary, except the form of each kind of scalar in JSON.
//!
//! A schema cannot express everything that is checked (signals by name, names of ports, rules between keys), and a
//! file that is one layer of several need not have all required keys; `bookend check` has the last word.

use serde_json::{Map, Value as Json, json};
use toml::de::DeValue;

use crate::deprecated::RENAMED;
use crate::key::{ANY_NAME, Key, Role, Shape};
use crate::scalar::{MAX_SECONDS, PORT, Scalar};
use crate::toml_text::join;
use crate::vocabulary::ROOT;

/// The whole schema.
pub(crate) fn schema() -> Json {
    let mut shared = Shared::default();
    let mut root = table("", ROOT, &mut shared);
    if let Json::Object(root) = &mut root {
        root.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        root.insert("title".to_owned(), json!("bookend's configuration"));
        root.insert("$defs".to_owned(), Json::Object(shared.definitions));
    }
    root
}

/// Tables of keys that several keys have in common: defined once, under the path of the first.
#[derive(Default)]
struct Shared {
    known: Vec<(*const Key, String)>,
    definitions: Map<String, Json>,
}

fn table(path: &str, keys: &'static [Key], shared: &mut Shared) -> Json {
    let mut properties = Map::new();
    for key in keys {
        let mut property = shape(&join(path, key.name), key.shape, shared);
        if let Json::Object(property) = &mut property {
            let about = if key.is_documented() { key.about } else { key.warning };
            property.insert("description".to_owned(), json!(about));
            if let Ok(default) = DeValue::parse(key.default) {
                property.insert("default".to_owned(), json_of(default.get_ref()));
            }
        }
        for renamed in RENAMED.iter().filter(|renamed| renamed.table == path && renamed.new == key.name) {
            let mut property = property.clone();
            if let Json::Object(property) = &mut property {
                property.insert("description".to_owned(), json!(renamed.message()));
                property.insert("deprecated".to_owned(), json!(true));
            }
            properties.insert(renamed.old.to_owned(), property);
        }
        properties.insert(key.name.to_owned(), property);
    }
    let named = |role: fn(Role) -> bool| keys.iter().filter(move |key| role(key.role)).map(|key| key.name);
    let required: Vec<&str> = named(|role| role == Role::Required).collect();
    let either: Vec<Json> =
        named(|role| matches!(role, Role::OneOf(_))).map(|name| json!({"required": [name]})).collect();
    let mut object = Map::new();
    object.insert("type".to_owned(), json!("object"));
    object.insert("properties".to_owned(), Json::Object(properties));
    object.insert("additionalProperties".to_owned(), json!(false));
    if !required.is_empty() {
        object.insert("required".to_owned(), json!(required));
    }
    if !either.is_empty() {
        object.insert("oneOf".to_owned(), json!(either));
    }
    Json::Object(object)
}

/// A reference to the definition of a table, which is added the first time.
fn reference(path: &str, keys: &'static [Key], shared: &mut Shared) -> Json {
    let known = shared.known.iter().find(|(first, _)| *first == keys.as_ptr()).map(|(_, name)| name.clone());
    let name = known.unwrap_or_else(|| {
        shared.known.push((keys.as_ptr(), path.to_owned()));
        let made = table(path, keys, shared);
        shared.definitions.insert(path.to_owned(), made);
        path.to_owned()
    });
    json!({"$ref": format!("#/$defs/{name}")})
}

fn shape(path: &str, shape: Shape, shared: &mut Shared) -> Json {
    match shape {
        Shape::One(kind) => one(kind),
        Shape::List(kind) => json!({"type": "array", "items": one(kind)}),
        Shape::Map { names, values } => {
            json!({"type": "object", "propertyNames": name(names), "additionalProperties": one(values)})
        }
        Shape::Named { names, keys } => {
            let each = reference(&join(path, ANY_NAME), keys, shared);
            json!({"type": "object", "propertyNames": name(names), "additionalProperties": each})
        }
        Shape::Table(keys) => reference(path, keys, shared),
        Shape::Tables(keys) => {
            let entry = reference(path, keys, shared);
            json!({"anyOf": [entry, {"type": "array", "items": entry}]})
        }
    }
}

/// A name of the user's choice is a string, even if it is a number.
fn name(kind: Scalar) -> Json {
    match kind {
        Scalar::Integer { .. } => json!({"pattern": "^[0-9]+$"}),
        Scalar::Choice(words) => json!({"enum": words}),
        Scalar::Received | Scalar::Stopping | Scalar::SignalOrIgnore | Scalar::StoppingOrIgnore => {
            json!({"pattern": SIGNAL})
        }
        kind => one(kind),
    }
}

fn one(kind: Scalar) -> Json {
    match kind {
        Scalar::Text => json!({"type": "string"}),
        Scalar::Name => json!({"type": "string", "minLength": 1}),
        Scalar::Path => json!({"type": "string", "pattern": "^/"}),
        Scalar::Socket => json!({"type": "string", "pattern": "^(/|None$)"}),
        Scalar::Bool => json!({"type": "boolean"}),
        Scalar::Seconds => json!({"type": "number", "minimum": 0, "maximum": MAX_SECONDS}),
        Scalar::Timeout => json!({"type": "number", "exclusiveMinimum": 0, "maximum": MAX_SECONDS}),
        Scalar::Integer { min, max, .. } => json!({"type": "integer", "minimum": min, "maximum": max}),
        Scalar::Choice(words) => json!({"enum": words}),
        Scalar::Received | Scalar::Stopping | Scalar::SignalOrIgnore | Scalar::StoppingOrIgnore => {
            json!({"anyOf": [{"type": "string", "pattern": SIGNAL}, {"type": "integer", "minimum": 1, "maximum": 64}]})
        }
        Scalar::Address => json!({"type": "string", "pattern": ":[0-9]+$"}),
        Scalar::Network => json!({"type": "string", "pattern": "^[0-9A-Fa-f.:]+(/[0-9]+)?$"}),
        Scalar::Port => json!({"anyOf": [one(PORT), one(Scalar::PortName)]}),
        Scalar::PortName => json!({"type": "string", "pattern": "^[a-z0-9-]{1,15}$"}),
        Scalar::ContainerName => json!({"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"}),
        Scalar::Program => json!({"type": "string", "pattern": "^(/.*|[^/]+)$"}),
        Scalar::HeaderName => json!({"type": "string", "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"}),
        Scalar::Status => json!({"anyOf": [
            {"type": "string", "pattern": "^[1-5][0-9]{2}(-[1-5][0-9]{2})?$"},
            {"type": "integer", "minimum": 100, "maximum": 599},
        ]}),
        Scalar::Source => json!({"anyOf": [{"type": "string"}, {
            "type": "object",
            "properties": {"valueFrom": {
                "type": "object",
                "properties": {"file": one(Scalar::Path)},
                "additionalProperties": false,
                "required": ["file"],
            }},
            "additionalProperties": false,
            "required": ["valueFrom"],
        }]}),
        Scalar::Variable => json!({"type": "string", "pattern": "^[^=]+$"}),
        Scalar::User => json!({"anyOf": [
            {"type": "string", "pattern": "^[^:\\s]+(:[^:\\s]+)?$"},
            {"type": "integer", "minimum": 0, "maximum": u32::MAX - 1},
        ]}),
        // JSON has no octal: what TOML writes as 0o022 arrives as a number.
        Scalar::Umask => json!({"anyOf": [
            {"type": "string", "pattern": "^(0o)?[0-7]{1,4}$"},
            {"type": "integer", "minimum": 0, "maximum": 0o777},
        ]}),
        Scalar::Limit => {
            let bound = json!({"anyOf": [{"const": "unlimited"}, {"type": "integer", "minimum": 0}]});
            json!({"anyOf": [bound, {
                "type": "object",
                "properties": {"soft": bound, "hard": bound},
                "additionalProperties": false,
                "minProperties": 1,
            }]})
        }
    }
}

/// A signal by name; the list of names is not part of the schema.
const SIGNAL: &str = "^[A-Za-z0-9+-]+$";

/// A TOML value in JSON.
pub(crate) fn json_of(value: &DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => json!(text),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).map_or(Json::Null, Json::from),
        DeValue::Float(number) => serde_json::from_str(number.as_str()).unwrap_or_default(),
        DeValue::Boolean(yes) => json!(yes),
        DeValue::Datetime(date) => json!(date.to_string()),
        DeValue::Array(list) => list.iter().map(|item| json_of(item.get_ref())).collect(),
        DeValue::Table(table) => {
            let mut object = serde_json::Map::new();
            object.extend(table.iter().map(|(name, value)| (name.get_ref().to_string(), json_of(value.get_ref()))));
            Json::Object(object)
        }
    }
}

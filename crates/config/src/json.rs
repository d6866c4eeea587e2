//! The effective configuration as JSON: what `bookend check --json` prints. The same values as `print`, with the same
//! secrets masked, for programs.

use std::time::Duration;

use serde_json::{Map, Value as Json, json};
use toml::de::DeValue;

use crate::budget::BudgetTable;
use crate::print;
use crate::toml_text::join;
use crate::tree::Tree;
use crate::value::Value;
use bookend_lifecycle::seconds::Seconds;

/// The values that are set, by key path, each with its origin.
pub(crate) fn values(tree: &Tree) -> Json {
    let mut values = Map::new();
    for (path, entry) in tree.iter() {
        // A table is shown by the entries of its keys.
        if !matches!(entry.value, Value::Table | Value::OneOf | Value::Single | Value::Tables(_) | Value::Refused) {
            let value = of_toml(&masked(tree, path, &entry.value));
            values.insert(path.to_owned(), json!({ "value": value, "origin": entry.origin.to_string() }));
        }
    }
    Json::Object(values)
}

/// The table of a stop's stages.
pub(crate) fn budget(budget: &BudgetTable) -> Json {
    let stages = budget.stages.iter().map(|stage| {
        json!({
            "stage": stage.stage,
            "what": stage.what,
            "beginsBySeconds": stage.begins_by.map(seconds),
            "takesAtMostSeconds": stage.at_most.map(seconds),
            "fits": stage.fits,
        })
    });
    json!({
        "terminationGracePeriodSeconds": budget.deadlines.map(|deadlines| seconds(deadlines.grace)),
        "stages": stages.collect::<Vec<_>>(),
    })
}

/// A value as TOML, masked if it is a secret: by the name of its variable or header, or by its content.
fn masked(tree: &Tree, path: &str, value: &Value) -> String {
    let (owner, last) = path.rsplit_once('.').unwrap_or(("", path));
    match tree.get(&join(owner, "name")).map(|entry| &entry.value) {
        Some(Value::Text(name)) if last == "value" => print::shown(name, value),
        _ if owner == "env" || owner.ends_with(".env") => print::shown(last, value),
        _ => print::value(value),
    }
}

/// TOML that we wrote ourselves, as JSON.
fn of_toml(text: &str) -> Json {
    DeValue::parse(text).map_or(Json::Null, |value| of_value(value.get_ref()))
}

/// A value of a TOML text, as JSON.
pub(crate) fn of_value(value: &DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => json!(text),
        DeValue::Integer(number) => {
            let radix = number.radix();
            i64::from_str_radix(&number.as_str().replace('_', ""), radix).map_or(Json::Null, Json::from)
        }
        DeValue::Float(number) => number_of_seconds(number.as_str()),
        DeValue::Boolean(yes) => json!(yes),
        DeValue::Datetime(time) => json!(time.to_string()),
        DeValue::Array(items) => items.iter().map(|item| of_value(item.get_ref())).collect(),
        DeValue::Table(table) => {
            let fields = table.iter().map(|(name, value)| (name.get_ref().to_string(), of_value(value.get_ref())));
            Json::Object(fields.collect())
        }
    }
}

/// A number with a fraction: every key that accepts one is a duration. Parsing floating point would add 15 kB of code.
fn number_of_seconds(text: &str) -> Json {
    text.replace('_', "").parse().map_or(Json::Null, |Seconds(time)| json!(time.as_secs_f64()))
}

/// Whole seconds without a fraction, as a person writes them.
fn seconds(time: Duration) -> Json {
    if time.subsec_nanos() == 0 { json!(time.as_secs()) } else { json!(time.as_secs_f64()) }
}

//! Every key reaches the settings: each one is set, and the settings change. A key that is never read fails here; its
//! effect is tested where the effect is.

use super::examples::{document, values};
use super::*;
use crate::key::{Key, Role, Shape, walk};
use crate::settings::Settings;
use crate::vocabulary::ROOT;

#[test]
fn every_key_changes_the_settings() {
    let mut idle = Vec::new();
    walk(ROOT, &mut |path, key| {
        // A table has the effect of its keys; one whose presence alone has an effect has a required key.
        let is_only_a_table = matches!(key.shape, Shape::Table(_)) && key.role == Role::Optional;
        if !is_only_a_table
            && !ONE_VALUE.contains(&path)
            && let Err(why) = changes_something(path, key)
        {
            idle.push(why);
        }
    });
    assert!(idle.is_empty(), "{}", idle.join("\n"));
}

/// A Pod spec may have them, with the value 1 only.
const ONE_VALUE: &[&str] = &["startupProbe.successThreshold", "livenessProbe.successThreshold"];

/// Whether two values of the key, or one and none, give different settings.
fn changes_something(path: &str, key: &Key) -> Result<(), String> {
    let mut outcomes: Vec<Settings> = Vec::new();
    let mut refusals = String::new();
    let values = values(key.shape);
    let none = (key.role == Role::Optional).then(String::new);
    for value in none.iter().chain(&values) {
        let text = document(ROOT, path, value);
        match load(&file(&text)) {
            Ok(effective) => outcomes.push(effective.settings),
            Err(diagnostics) => refusals.push_str(&format!("{text}{diagnostics}\n")),
        }
    }
    if let Role::OneOf(_) = key.role {
        // The value would be refused beside another one, so it is compared with the defaults.
        outcomes.push(Settings::default());
    }
    match outcomes.iter().any(|settings| Some(settings) != outcomes.first()) {
        true => Ok(()),
        false => Err(format!("{path} has no effect:\n{refusals}")),
    }
}

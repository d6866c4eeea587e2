//! The rules of `[[reload]]` between keys, and what a profile adds to its entries.

use crate::collector::Collector;
use crate::document::read_file;
use crate::inputs::Mode;
use crate::profiles;
use crate::toml_text::join;
use crate::tree::{Origin, Tree};
use crate::value::Value;

/// Adds the profile's action and check to each entry that has no action of its own.
pub(crate) fn fill(tree: &mut Tree, profile: &str, collector: &mut Collector<'_>) {
    let text = profiles::reload(profile);
    if text.is_empty() || tree.get("reload").is_none() {
        return;
    }
    let origin = Origin::Profile(profile.to_owned());
    let of_profile = read_file("profile", text, collector).with_origin(&origin);
    for entry in tree.tables("reload") {
        if !actions(tree, &entry).is_empty() {
            continue;
        }
        let has_check = tree.get(&join(&entry, "check")).is_some();
        for (path, value) in of_profile.iter() {
            let Some(name) = path.strip_prefix("reload.") else { continue };
            if !(has_check && name.starts_with("check")) {
                tree.insert(format!("{entry}.{name}"), value.clone());
            }
        }
    }
}

/// Checks the merged entries.
pub(crate) fn check(tree: &Tree, mode: Mode, collector: &mut Collector<'_>) {
    for entry in tree.tables("reload") {
        if tree.is_incomplete(&entry) || collector.is_broken() {
            continue;
        }
        let mut error = |path: &str, message: &str, help: &str| {
            if let Some(at) = tree.get(path) {
                collector.error(at.span, path, message, vec![help.to_owned()]);
            }
        };
        match actions(tree, &entry)[..] {
            [_] => {}
            [] => error(
                &entry,
                "no action: set exactly one of exec, httpGet, signal",
                "app.profile may supply it: docs/profiles.md",
            ),
            _ => error(&entry, "several actions: set exactly one of exec, httpGet, signal", "one entry has one action"),
        }
        let limits = join(&entry, "onLimitsChange");
        if tree.get(&limits).is_some_and(|value| value.value == Value::Bool(true)) {
            if tree.get(&join(&entry, "watch")).is_some() {
                error(&limits, "stands instead of watch, not beside it", "make it an entry of its own");
            }
            if mode == Mode::Sidecar {
                error(&limits, "a sidecar sees only its own limits", "the app's container can run bookend itself");
            }
        }
        let path = join(&entry, "container");
        if let Some(Value::Text(name)) = tree.get(&path).map(|value| &value.value) {
            if mode == Mode::App {
                error(&path, "accepted by `bookend sidecar` only", "`bookend run` has one app");
            } else if tree.get(&join("containers", name)).is_none() {
                error(&path, "the table containers does not have it", "name one of its containers");
            }
        }
    }
}

/// The actions that an entry has.
fn actions(tree: &Tree, entry: &str) -> Vec<&'static str> {
    ["exec", "httpGet", "signal"].into_iter().filter(|name| tree.get(&join(entry, name)).is_some()).collect()
}

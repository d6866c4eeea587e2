//! Which keys are accepted for `bookend run`, which has an app of its own, and which for `bookend sidecar`, which has the
//! apps of other containers. A key without effect is an error.

use crate::collector::Collector;
use crate::inputs::Mode;
use crate::key::Key;
use crate::toml_text::join;
use crate::tree::{Origin, Tree};
#[cfg(feature = "reload")]
use crate::value::Value;
use crate::vocabulary::{PROCESS_KEYS, SIDECAR_APP};

/// Checks the merged tree.
pub(crate) fn check(tree: &Tree, mode: Mode, collector: &mut Collector<'_>) {
    processes(tree, collector);
    match mode {
        Mode::Sidecar => sidecar(tree, collector),
        Mode::Either => {}
        Mode::App => app(tree, collector),
    }
}

/// Whether it has keys that only a sidecar accepts.
pub(crate) fn is_sidecar(tree: &Tree) -> bool {
    ["containers", "app.process"].into_iter().any(|path| tree.get(path).is_some())
}

fn app(tree: &Tree, collector: &mut Collector<'_>) {
    for path in ["containers", "app.process"] {
        let help = "`bookend run` starts the app itself; `bookend check --sidecar` checks a sidecar's configuration";
        error(tree, collector, path, "accepted by `bookend sidecar` only", help);
    }
}

fn sidecar(tree: &Tree, collector: &mut Collector<'_>) {
    let its_own: Vec<String> = SIDECAR_APP.iter().map(|key| join("app", key.name)).collect();
    let of_app =
        tree.iter().map(|(path, _)| path).filter(|path| path.starts_with("app.") && path.matches('.').count() == 1);
    for path in of_app.filter(|path| !its_own.iter().any(|known| known == path)) {
        let help = format!("accepted there: {}; env is the environment of its handlers", names(SIDECAR_APP));
        error(tree, collector, path, NO_APP, &help);
    }
    for path in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let help = "set the probe in the Pod spec of the app's container, where the kubelet runs it";
        error(tree, collector, path, "`bookend sidecar` does not run probes", help);
    }
    let help = "it tells how the app of `bookend run` ended; the kubelet knows how other containers end";
    error(tree, collector, "stateFile", NO_APP, help);
    let help = "the kubelet starts the app and does not wait for a sidecar: what must run before is an init container";
    error(tree, collector, "lifecycle.preStart", NO_APP, help);
    needs_process(tree, collector, "", "app");
    for (_, path) in tree.names("containers") {
        needs_process(tree, collector, &path, &path);
    }
    #[cfg(feature = "reload")]
    for entry in tree.tables("reload") {
        let container = tree.get(&join(&entry, "container")).map(|entry| &entry.value);
        let owner = if let Some(Value::Text(name)) = container { join("containers", name) } else { "app".to_owned() };
        let process = join(&owner, "process");
        if tree.get(&process).is_none() {
            let help = format!("identify the process of the app: {process}");
            let path = join(&entry, "signal");
            error(tree, collector, &path, "the process that gets this signal is not configured", &help);
        }
    }
}

/// A signal needs a process, and so the conditions that identify it.
fn needs_process(tree: &Tree, collector: &mut Collector<'_>, above: &str, owner: &str) {
    let process = join(owner, "process");
    if tree.get(&process).is_some() {
        return;
    }
    let lifecycle = join(above, "lifecycle");
    let hooks = ["postStart", "preStop"].into_iter().flat_map(|hook| tree.tables(&join(&lifecycle, hook)));
    let handlers = hooks.map(|path| join(&path, "signal"));
    for path in [join(&lifecycle, "stopSignal"), join(owner, "stopSignal")].into_iter().chain(handlers) {
        let help = format!("identify the process of the app: {process}");
        error(tree, collector, &path, "the process that gets this signal is not configured", &help);
    }
}

/// A table without conditions would mean every process.
fn processes(tree: &Tree, collector: &mut Collector<'_>) {
    let named = tree.names("containers").into_iter().map(|(_, path)| join(&path, "process"));
    for path in named.chain(["app.process".to_owned()]) {
        let is_set = |key: &Key| tree.get(&join(&path, key.name)).is_some();
        if !PROCESS_KEYS.iter().any(is_set) && !tree.is_incomplete(&path) {
            let help = format!("set at least one of {}", names(PROCESS_KEYS));
            error(tree, collector, &path, "the table has no condition that identifies the process", &help);
        }
    }
}

fn names(keys: &[Key]) -> String {
    keys.iter().map(|key| key.name).collect::<Vec<_>>().join(", ")
}

/// An error at the key, if it is set. The values of a profile do not count: the user did not set them.
fn error(tree: &Tree, collector: &mut Collector<'_>, path: &str, message: &str, help: &str) {
    if let Some(entry) = tree.get(path).filter(|entry| !matches!(entry.origin, Origin::Profile(_))) {
        collector.error(entry.span, path, message, vec![help.to_owned()]);
    }
}

/// Why most of the table `app` is not accepted there.
pub(crate) const NO_APP: &str = "`bookend sidecar` does not start an app";

//! What a configuration may say for `bookend run`, and what for `bookend sidecar`: the one has an app of its own, the
//! other those of other containers. A key that would do nothing is a mistake. Pure.

use super::Mode;
use super::diagnostic::Collector;
use super::key::{Key, join};
use super::tree::{Origin, Tree};
use super::vocabulary::{PROCESS_KEYS, SIDECAR_APP};

/// Checks the merged tree.
pub(super) fn check(tree: &Tree, mode: Mode, report: &mut Collector<'_>) {
    processes(tree, report);
    match mode {
        Mode::Sidecar => sidecar(tree, report),
        Mode::Either => {}
        Mode::App => app(tree, report),
    }
}

/// Whether it says what only a sidecar understands.
pub(super) fn is_sidecar(tree: &Tree) -> bool {
    ["containers", "app.process"].into_iter().any(|path| tree.get(path).is_some())
}

fn app(tree: &Tree, report: &mut Collector<'_>) {
    for path in ["containers", "app.process"] {
        let help = "the app here is a child of bookend; `bookend check --sidecar` checks a sidecar's configuration";
        diagnostic(tree, report, path, "only `bookend sidecar` knows it", help);
    }
}

fn sidecar(tree: &Tree, report: &mut Collector<'_>) {
    let its_own: Vec<String> = SIDECAR_APP.iter().map(|key| join("app", key.name)).collect();
    let of_app =
        tree.iter().map(|(path, _)| path).filter(|path| path.starts_with("app.") && path.matches('.').count() == 1);
    for path in of_app.filter(|path| !its_own.iter().any(|known| known == path)) {
        let help = format!("accepted there: {}; env is its handlers'", names(SIDECAR_APP));
        diagnostic(tree, report, path, NO_APP, &help);
    }
    for path in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let help = "the app's container says it in the Pod spec, and the kubelet probes it";
        diagnostic(tree, report, path, "`bookend sidecar` probes no app", help);
    }
    let help = "the kubelet starts the app, and waits for nobody: what must come before is an init container's";
    diagnostic(tree, report, "lifecycle.preStart", NO_APP, help);
    needs_process(tree, report, "", "app");
    for (_, path) in tree.names("containers") {
        needs_process(tree, report, &path, &path);
    }
}

/// Nobody gets a signal whose process nobody looks for.
fn needs_process(tree: &Tree, report: &mut Collector<'_>, above: &str, owner: &str) {
    let process = join(owner, "process");
    if tree.get(&process).is_some() {
        return;
    }
    let lifecycle = join(above, "lifecycle");
    let hooks = ["postStart", "preStop"].into_iter().flat_map(|hook| tree.tables(&join(&lifecycle, hook)));
    let handlers = hooks.map(|path| join(&path, "signal"));
    for path in [join(&lifecycle, "stopSignal"), join(owner, "stopSignal")].into_iter().chain(handlers) {
        let help = format!("say which process the app is: {process}");
        diagnostic(tree, report, &path, "nobody knows whom this signal is for", &help);
    }
}

/// A table that says nothing would mean every process.
fn processes(tree: &Tree, report: &mut Collector<'_>) {
    let named = tree.names("containers").into_iter().map(|(_, path)| join(&path, "process"));
    for path in named.chain(["app.process".to_owned()]) {
        let says = |key: &Key| tree.get(&join(&path, key.name)).is_some();
        if !PROCESS_KEYS.iter().any(says) && !tree.is_doubtful(&path) {
            let help = format!("at least one of {} is needed", names(PROCESS_KEYS));
            diagnostic(tree, report, &path, "it does not say which process", &help);
        }
    }
}

fn names(keys: &[Key]) -> String {
    keys.iter().map(|key| key.name).collect::<Vec<_>>().join(", ")
}

/// A mistake where the key was said, if it was. What a profile says nobody has said.
fn diagnostic(tree: &Tree, report: &mut Collector<'_>, path: &str, message: &str, help: &str) {
    if let Some(entry) = tree.get(path).filter(|entry| !matches!(entry.origin, Origin::Profile(_))) {
        report.diagnostic(entry.span, path, message.to_owned(), vec![help.to_owned()]);
    }
}

/// Why most of the table app means nothing there.
pub(super) const NO_APP: &str = "`bookend sidecar` starts no app";

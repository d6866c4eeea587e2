//! `[[reload]]`: entries, what a profile supplies, and the rules between keys.

use super::*;
use crate::settings::HandlerKind;
use crate::{Mode, load};
use bookend_lifecycle::signal::Signal;

const WATCH: &str = "[[reload]]\nname = \"tls\"\nwatch = [\"/etc/nginx/tls\"]\n";

#[test]
fn a_profile_supplies_the_action_and_the_check() {
    let effective = accept(&file(&format!("app.profile = \"nginx\"\n{WATCH}")));
    let reload = &effective.settings.reloads[0];
    assert_eq!(reload.action.kind, HandlerKind::Signal(Signal::HUP));
    assert!(matches!(&reload.check.as_ref().unwrap().kind, HandlerKind::Exec(check) if check.command[0] == "nginx"));
    let shown = effective.to_string();
    assert!(shown.contains("signal.name = \"SIGHUP\"  # profile nginx"), "{shown}");
}

#[test]
fn an_own_action_leaves_nothing_to_the_profile() {
    let text = format!("app.profile = \"nginx\"\n{WATCH}exec.command = [\"nginx\", \"-s\", \"reload\"]\n");
    let reload = &accept(&file(&text)).settings.reloads[0];
    assert!(matches!(reload.action.kind, HandlerKind::Exec(_)) && reload.check.is_none());
    let text = format!("app.profile = \"nginx\"\n{WATCH}check.exec.command = [\"/check\"]\n");
    let reload = &accept(&file(&text)).settings.reloads[0];
    assert!(matches!(&reload.check.as_ref().unwrap().kind, HandlerKind::Exec(check) if check.command == ["/check"]));
}

#[test]
fn an_entry_has_exactly_one_action() {
    let none =
        "reload: no action: set exactly one of exec, httpGet, signal | app.profile may supply it: docs/profiles.md";
    assert_eq!(helped(&file("reload = { name = \"tls\" }")), [none]);
    let two = "reload = { name = \"tls\", signal.name = \"HUP\", exec.command = [\"x\"] }";
    assert!(sentences(&file(two))[0].contains("several actions"), "{:?}", sentences(&file(two)));
}

#[test]
fn entries_that_contradict_themselves_are_refused() {
    let of = |more: &str| sentences(&file(&format!("{WATCH}signal.name = \"HUP\"\n{more}")));
    assert_eq!(of("onLimitsChange = true"), ["reload[0].onLimitsChange: stands instead of watch, not beside it"]);
    let twice = of("[[reload]]\nname = \"tls\"\nsignal.name = \"HUP\"");
    assert_eq!(twice, ["reload[1].name: duplicate name: another handler of this list has it"]);
    let never = ["reload[0].pollSeconds: 0 is not a number of seconds (more than 0, at most 31536000)"];
    assert_eq!(of("pollSeconds = 0"), never);
}

#[test]
fn a_reload_of_a_sidecar_names_a_known_container() {
    let sidecar = |text: &str| Sources { mode: Mode::Sidecar, ..file(text) };
    let text = "reload = { name = \"tls\", container = \"web\", signal.name = \"HUP\" }\n";
    let known = format!("containers.web.process.executable = \"/nginx\"\n{text}");
    assert_eq!(accept(&sidecar(&known)).settings.reloads[0].container.as_deref(), Some("web"));
    assert!(sentences(&sidecar(text)).concat().contains("the table containers does not have it"));
    assert!(load(&Sources { mode: Mode::App, ..file(text) }).is_err());
    let unknown = "reload = { name = \"tls\", signal.name = \"HUP\" }";
    assert!(sentences(&sidecar(unknown)).concat().contains("the process that gets this signal is not configured"));
    let by_http = "reload = { name = \"tls\", httpGet = { port = 80, method = \"POST\" } }";
    accept(&sidecar(by_http));
}

#[test]
fn every_snippet_of_the_page_is_accepted() {
    let Some(path) = super::files::repository_file("docs/reload.md") else { return };
    let page = std::fs::read_to_string(path).unwrap();
    let snippets: Vec<&str> = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(snippets.len(), 4);
    for snippet in snippets {
        assert_eq!(accept(&file(snippet)).settings.reloads.len(), 1, "{snippet}");
    }
}

//! `app.profile = "auto"`, and the stop signals that a profile takes from its server's official image.

use std::net::TcpStream;

use crate::support::{Finished, Folder, Init, get, has, in_network_of, is_root, wait_until};
use bookend_test_support::nginx_conf;

const BUDGET: &str = "terminationGracePeriodSeconds = 20\nhttp.listen = \"127.0.0.1:9797\"\n";

fn in_a_pod(folder: Folder, app: &str, command: &[&str]) -> Init {
    let command: Vec<&str> = std::iter::once("--").chain(command.iter().copied()).collect();
    Init::in_a_pod(folder, &format!("{BUDGET}{app}"), "", &command)
}

fn listens(init: &Init, port: u16) {
    in_network_of(init.pid(), || wait_until("the app listens", || TcpStream::connect(("127.0.0.1", port)).is_ok()));
}

#[track_caller]
fn has_lines(finished: &Finished, lines: &[&str]) {
    for line in lines {
        assert!(finished.log.contains(line), "{line}:\n{}", finished.log);
    }
}

#[test]
fn auto_recognises_nginx_behind_an_entrypoint_script() {
    if !has("auto_recognises_nginx_behind_an_entrypoint_script", "nginx") {
        return;
    }
    let folder = Folder::new();
    let dir = folder.shown().to_owned();
    folder.write("nginx.conf", &nginx_conf(&dir));
    let script = folder.write("start.sh", &format!("#!/bin/sh\nexec nginx -c {dir}/nginx.conf -g 'daemon off;'\n"));
    let mut init = in_a_pod(folder, "app.profile = \"auto\"\n", &["sh", script.to_str().unwrap()]);
    listens(&init, 80);
    let status = in_network_of(init.pid(), || get(9797, "/status")).unwrap();
    assert!(status.contains("\"profile\": \"http\""), "the script alone: {status}");
    init.signal(15);
    wait_until("the choice is in the status", || {
        in_network_of(init.pid(), || get(9797, "/status")).is_ok_and(|status| status.contains("\"profile\": \"nginx\""))
    });
    let finished = init.end();
    has_lines(
        &finished,
        &["chosen by the command", "chosen by the running app", "SIGQUIT sent to the app", "preStop drain"],
    );
    assert_eq!(finished.code(), 0, "{}", finished.log);
}

#[test]
fn auto_takes_the_stop_signal_of_the_official_image() {
    if !has("auto_takes_the_stop_signal_of_the_official_image", "haproxy") {
        return;
    }
    let folder = Folder::new();
    let conf = "defaults\n  mode http\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\nfrontend f\n  bind :80\n";
    let conf = folder.write("haproxy.cfg", conf);
    let script = folder.write("docker-entrypoint.sh", "exec haproxy -W -db -f \"$1\"\n");
    let command = ["sh", script.to_str().unwrap(), conf.to_str().unwrap()];
    let mut init = in_a_pod(folder, "app.profile = \"auto\"\n", &command);
    listens(&init, 80);
    init.signal(10);
    let finished = init.end();
    has_lines(&finished, &["stopped by SIGUSR1", "preStop drain", "SIGUSR1 sent to the app"]);
    assert!(!finished.log.contains("SIGKILL"), "{}", finished.log);
}

#[test]
fn the_apache_profile_treats_sigwinch_as_a_stop_signal() {
    if !is_root("the_apache_profile_treats_sigwinch_as_a_stop_signal") {
        return;
    }
    let server = "trap 'exit 0' WINCH; echo up; while :; do sleep 0.05; done";
    for (more, stop, by) in
        [("", 28, "stopped by SIGWINCH"), ("app.signals.SIGWINCH = \"ignore\"\n", 15, "stopped by SIGTERM")]
    {
        let app = format!("app.profile = \"apache\"\nlifecycle.preStop = []\n{more}");
        let mut init = in_a_pod(Folder::new(), &app, &["sh", "-c", server]);
        init.wait_for_out("up");
        init.signal(28);
        if stop != 28 {
            // With `app.signals` an app on a terminal can ignore SIGWINCH.
            init.wait_for_log("app started");
            init.signal(stop);
        }
        let finished = init.end();
        has_lines(&finished, &[by, "SIGWINCH sent to the app"]);
        assert_eq!(finished.code(), 0, "{}", finished.log);
    }
}

#[test]
fn a_worker_under_auto_is_stopped_without_delay() {
    if !is_root("a_worker_under_auto_is_stopped_without_delay") {
        return;
    }
    let mut init = in_a_pod(Folder::new(), "app.profile = \"auto\"\n", &["sh", "-c", "echo up; exec sleep 1000"]);
    init.wait_for_out("up");
    init.signal(15);
    let finished = init.end();
    has_lines(&finished, &["the app listens on no TCP port", "SIGTERM sent to the app"]);
    assert!(!finished.log.contains("waited"), "no drain: {}", finished.log);
}

#[test]
fn an_unknown_server_under_auto_drains() {
    if !is_root("an_unknown_server_under_auto_drains") {
        return;
    }
    let mut init = in_a_pod(Folder::new(), "app.profile = \"auto\"\n", &["python3", "-m", "http.server", "80"]);
    listens(&init, 80);
    init.signal(15);
    let finished = init.end();
    has_lines(&finished, &["quiet after", "SIGTERM sent to the app"]);
}

#[test]
fn check_shows_the_profile_that_auto_chooses() {
    let shown = crate::support::run(&["check", "--profile", "auto", "--", "env", "A=b", "haproxy", "-f", "x"]).out;
    for line in ["stopSignal = \"SIGUSR1\"  # profile haproxy (auto)", "# app.profile \"auto\": haproxy by the command"]
    {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    let json = crate::support::run(&["check", "--json", "--profile", "auto", "--", "/app/server"]).out;
    assert!(json.contains("\"profile\": \"http\""), "{json}");
}

#[test]
fn the_page_of_profiles_shows_every_profile_as_it_is() {
    let page = include_str!("../../docs/profiles.md");
    let refused = crate::support::run(&["check", "--profile", "?"]).log;
    let names = refused.split_once("is not one of auto, ").expect("the known ones are listed").1;
    let names: Vec<&str> = names.lines().next().unwrap().split(", ").map(str::trim).collect();
    assert!(names.len() > 20, "{refused}");
    for name in names {
        let row =
            page.lines().find(|line| line.starts_with(&format!("| `{name}` | ")) && line.matches('|').count() == 8);
        let cells: Vec<&str> = row.unwrap_or_else(|| panic!("{name} has no row")).split('|').map(str::trim).collect();
        let shown = crate::support::run(&["check", "--set", "terminationGracePeriodSeconds=30", "--profile", name]).out;
        let value = |key: &str| {
            let line =
                shown.lines().find(|line| line.starts_with(&format!("{key} = ")) && line.contains("# profile"))?;
            Some(line.split_once(" = ")?.1.split("  #").next()?.trim_matches('"').to_owned())
        };
        let received = |cell: &str| Some(cell.to_owned()).filter(|cell| cell.starts_with("SIG"));
        assert_eq!(value("stopSignal"), received(cells[3]), "{name}\n{shown}");
        assert_eq!(value("secondSignal.signal"), received(cells[5]), "{name}\n{shown}");
        assert_eq!(value("drain.until").is_some(), cells[6].contains("busy"), "{name}\n{shown}");
        assert_eq!(value("stopSignals").is_some(), cells[4] != "default", "{name}\n{shown}");
        assert_eq!(value("stopIsSuccess").is_some(), cells[7].contains("death by"), "{name}\n{shown}");
        assert_eq!(shown.contains("exitCodes."), cells[7].contains("becomes 0"), "{name}\n{shown}");
    }
}

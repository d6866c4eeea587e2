//! The report in the termination message file: begun when a stop or an end begins, rewritten in place, if the file exists and
//! the app left it empty.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::Value;

use crate::support::{Folder, Init, wait_for_socket, wait_until};

fn life(before: Option<&str>, app: &str, more: &str) -> (Folder, Option<u64>) {
    let folder = Folder::new();
    let path = folder.path("message");
    let inode = before.map(|text| {
        folder.write("message", text);
        path.metadata().unwrap().ino()
    });
    let config = format!(
        "{more}terminationMessagePath = \"{}\"\nlifecycle.postStop = {{ failurePolicy = \"Ignore\", exec.command = [\"sh\", \"-c\", \"seq 10000; exit 3\"] }}",
        path.display()
    );
    let mut init = Init::configured_in(folder, &config, &["--", "sh", "-c", app]);
    init.end();
    let folder = std::mem::replace(&mut init.folder, Folder::new());
    (folder, inode)
}

#[test]
fn the_summary_is_written_in_place_within_4096_bytes() {
    let (folder, inode) = life(Some(""), "exit 7", "terminationMessageBytes = 4096\n");
    let text = folder.read("message");
    assert!(text.contains("app exited with 7; exit code 7"), "{text}");
    assert!(text.contains("postStop[0]: exit code 3") && text.contains("| 10000"), "{text}");
    assert!(text.len() <= 4096);
    assert_eq!(folder.path("message").metadata().unwrap().ino(), inode.unwrap());
}

/// The message as a kubelet shows it: the last 4096 bytes of the file, and then the first bytes of an equal share of 12288.
fn as_kubelet_shows(file: &str, containers: usize) -> &str {
    let tail = &file[file.len().saturating_sub(4096)..];
    &tail[..tail.len().min(12 * 1024 / containers)]
}

#[test]
fn the_last_line_survives_in_a_pod_of_12_containers() {
    // The handlers' output is of characters of four bytes and of control characters, which are shown escaped.
    let folder = Folder::new();
    let path = folder.write("message", "");
    let lines =
        "for i in $(seq 300); do printf '\\\\360\\\\237\\\\246\\\\200\\\\033[2J\\\\000%090d\\\\n' $i; done; exit 3";
    let handler = format!("{{ failurePolicy = \"Ignore\", exec.command = [\"sh\", \"-c\", \"{lines}\"] }}");
    let config = format!(
        "terminationMessagePath = \"{}\"\nterminationGracePeriodSeconds = 30\nlifecycle.preStop = [{handler}, {handler}, {handler}]",
        path.display()
    );
    let mut init = Init::configured_in(folder, &config, &["--", "sh", "-c", "echo up; exec sleep 1000"]);
    init.wait_for_out("up");
    init.signal(15);
    assert_eq!(init.end().code(), 143);
    let (text, json) = read_message(&init.folder.path("message"));
    assert!(text.len() <= 1024 && text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    assert!(text.contains("preStop[0] took ") && text.contains("exit code 3") && text.contains("300"), "{text}");
    let shown = as_kubelet_shows(&text, 12);
    assert_eq!(serde_json::from_str::<Value>(shown.lines().next_back().unwrap()).unwrap(), json);
}

#[test]
fn a_symlink_as_termination_message_is_not_followed() {
    // An app of another user could lead a bookend that runs as root to any empty file.
    let folder = Folder::new();
    let (elsewhere, link) = (folder.write("elsewhere", ""), folder.path("message"));
    std::os::unix::fs::symlink(elsewhere, &link).unwrap();
    let config = format!("terminationMessagePath = \"{}\"", link.display());
    let mut init = Init::configured_in(folder, &config, &["--", "sh", "-c", "exit 7"]);
    assert_eq!(init.end().code(), 7);
    assert_eq!(init.folder.read("elsewhere"), "");
}

#[test]
fn the_apps_termination_message_is_kept() {
    let (folder, _) = life(Some("the app's own words"), "exit 7", "");
    assert_eq!(folder.read("message"), "the app's own words");
}

#[test]
fn a_missing_termination_message_file_is_not_created() {
    let (folder, _) = life(None, "exit 7", "");
    assert!(!folder.path("message").exists());
}

#[test]
fn a_fifo_as_termination_message_blocks_nothing() {
    let folder = Folder::new();
    let path = folder.path("message");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let config = format!("terminationMessagePath = \"{}\"", path.display());
    assert_eq!(Init::configured_in(folder, &config, &["--", "sh", "-c", "exit 7"]).finish().code(), 7);
}

/// The text and the JSON of the last line. Panics if the file is torn.
pub(crate) fn read_message(path: &Path) -> (String, Value) {
    let text = std::fs::read_to_string(path).unwrap();
    let last = text.lines().next_back().unwrap_or_default();
    let json: Value = serde_json::from_str(last).unwrap();
    assert_eq!(json.get("format").and_then(Value::as_u64), Some(1), "{text}");
    assert!(text.len() <= 4096 && text.ends_with("}\n"), "{text:?}");
    (text, json)
}

/// A folder with an empty termination message file, and the key that names it.
fn with_message() -> (Folder, String) {
    let folder = Folder::new();
    let path = folder.write("message", "");
    let key = format!("terminationMessagePath = \"{}\"\n", path.display());
    (folder, key)
}

fn wait_for_message(init: &Init, part: &str) -> (String, Value) {
    let path = init.folder.path("message");
    wait_until(part, || std::fs::read_to_string(&path).is_ok_and(|text| text.contains(part)));
    read_message(&path)
}

#[test]
fn a_kill_from_outside_leaves_the_stop_so_far() {
    let (folder, key) = with_message();
    let config = format!(
        "{key}terminationGracePeriodSeconds = 100\nlifecycle.preStop = {{ name = \"pause\", sleep.seconds = 0.3 }}"
    );
    let app = "trap '' TERM; echo up; while :; do sleep 0.05; done";
    let mut init = Init::configured_in(folder, &config, &["--", "sh", "-c", app]);
    init.wait_for_out("up");
    assert_eq!(init.folder.read("message"), "", "nothing is written outside of a stop");
    init.signal(15);
    let (text, json) = wait_for_message(&init, "preStop pause still running at +0.");
    assert!(text.starts_with("stopping since ") && text.contains("Z (SIGTERM): "), "{text}");
    assert_eq!((&json["phase"], &json["stoppedBy"]), (&"Stopping".into(), &"SIGTERM".into()));
    wait_for_message(&init, "app still running at +1.");
    init.signal(9);
    init.end();
    let (text, json) = read_message(&init.folder.path("message"));
    let order = ["stopping since ", "preStop done at +0.", "SIGTERM sent at +0.", "app still running at +"];
    let at: Vec<_> = order.iter().map(|part| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"))).collect();
    assert!(at.is_sorted(), "{text}");
    assert!(json["stageSeconds"]["preStop"].as_f64().is_some_and(|took| took >= 0.3), "{json}");
    assert_eq!((&json["exitCode"], &json["reason"]), (&Value::Null, &Value::Null));
    assert!(json["beganAt"].as_str().is_some_and(|at| at.ends_with('Z') && at > json["startedAt"].as_str().unwrap()));
}

#[test]
fn a_kill_after_a_crash_leaves_how_the_app_ended() {
    let (folder, key) = with_message();
    let config = format!("{key}lifecycle.postStop = {{ name = \"bye\", sleep.seconds = 1000 }}");
    let mut init = Init::configured_in(folder, &config, &["--", "sh", "-c", "exit 7"]);
    let (text, json) = wait_for_message(&init, "postStop bye still running");
    assert!(text.starts_with("ending since ") && text.contains("app exited with 7"), "{text}");
    assert_eq!((&json["reason"], &json["phase"]), (&"Failed".into(), &"Finishing".into()));
    init.signal(9);
    init.end();
}

#[test]
fn the_last_line_is_the_report_as_json() {
    let (folder, key) = with_message();
    let config = format!("{key}terminationGracePeriodSeconds = 30\nlifecycle.preStop.sleep.seconds = 0.1");
    let mut init = Init::configured_in(folder, &config, &["--", "sh", "-c", "echo up; exec sleep 1000"]);
    init.wait_for_out("up");
    init.signal(15);
    assert_eq!(init.end().code(), 143);
    let (text, json) = read_message(&init.folder.path("message"));
    assert!(text.starts_with("stopped by SIGTERM in 0."), "{text}");
    let expected = [("stoppedBy", "SIGTERM"), ("reason", "Stopped"), ("signal", "SIGTERM"), ("phase", "Exited")];
    for (name, value) in expected {
        assert_eq!(json[name], value, "{name}: {json}");
    }
    assert_eq!((&json["exitCode"], &json["oom"]), (&143.into(), &false.into()));
    assert_eq!((&json["requestsCut"], &json["notAccepted"]), (&0.into(), &0.into()));
    assert_eq!(json["terminationGracePeriodSeconds"], 30.0);
    assert!(json["graceLeftSeconds"].as_f64().is_some_and(|left| left > 20.0 && left < 30.0), "{json}");
    assert!(json["version"].is_string(), "{json}");
    assert!(json["stageSeconds"]["app"].is_number(), "{json}");
}

#[test]
fn an_app_that_writes_in_the_stop_keeps_its_message() {
    let (folder, key) = with_message();
    let path = folder.path("message");
    let app = format!("trap 'echo mine > {}; exit 3' TERM; echo up; while :; do sleep 0.02; done", path.display());
    let mut init =
        Init::configured_in(folder, &format!("{key}lifecycle.preStop.sleep.seconds = 0.2"), &["--", "sh", "-c", &app]);
    init.wait_for_out("up");
    init.signal(15);
    wait_for_message(&init, "stopping since");
    assert_eq!(init.end().code(), 3);
    assert_eq!(init.folder.read("message"), "mine\n");
}

#[test]
fn a_hook_without_a_stop_leaves_no_message() {
    let (folder, key) = with_message();
    let config = format!("{key}terminationGracePeriodSeconds = 2\nlifecycle.preStop.exec.command = [\"true\"]");
    let init = Init::configured_in(folder, &config, &["--", "sleep", "1000"]);
    let socket = init.folder.path("bookend.sock");
    wait_for_socket(&socket);
    let mut hook = std::process::Command::new(crate::support::bookend());
    assert!(hook.args(["hook", "preStop"]).env("BOOKEND_SOCKET", &socket).status().unwrap().success());
    wait_for_message(&init, "preStop done");
    wait_until("the message is taken back", || init.folder.read("message").is_empty());
    assert!(init.log().contains("the app keeps running"), "{}", init.log());
}

#[test]
fn a_hung_message_file_delays_neither_stop_nor_exit() {
    // strace delays every write to it, and its own report of the end as well: so its record is what counts.
    let (folder, key) = with_message();
    let (config, record) = (folder.write("bookend.toml", &key), folder.path("record"));
    let mut strace = std::process::Command::new("strace");
    strace.args(["-f", "-qq", "-ttt", "-e", "trace=pwrite64,exit_group", "-e", "signal=none", "-o"]).arg(record);
    strace.args(["-e", "inject=pwrite64:delay_enter=4000000"]).arg(crate::support::bookend()).arg("-c").arg(config);
    strace.args(["--", "sh", "-c", "trap 'exit 3' TERM; echo up; while :; do sleep 0.02; done"]);
    let mut init = Init::start(folder, strace);
    init.wait_for_out("up");
    crate::support::signal(crate::support::child_of(init.pid().unsigned_abs()).unwrap(), 15);
    assert_eq!(init.end().code(), 3, "{}", init.log());
    let record = init.folder.read("record");
    let time_of = |call: &str| -> f64 {
        let line = record.lines().find(|line| line.contains(call)).unwrap_or_else(|| panic!("{call}: {record}"));
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let took = time_of("exit_group(3)") - time_of("pwrite64(");
    assert!(took < 3.0, "{took}: {record}");
}

#[test]
fn a_long_stage_is_logged_when_it_ends() {
    let config = "lifecycle.preStop.sleep.seconds = 2.1";
    let init = Init::configured(config, &["--", "sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"]);
    init.wait_for_out("up");
    init.signal(15);
    init.wait_for_log("a stage of the stop is over stage=\"preStop\" took_seconds=2.1");
}

#[test]
fn the_json_log_has_the_report_as_one_object() {
    let config = "log.format = \"Json\"\nterminationGracePeriodSeconds = 30";
    let init = Init::configured(config, &["--", "sh", "-c", "echo up; exec sleep 1000"]);
    init.wait_for_out("up");
    init.signal(15);
    let finished = init.finish();
    let reports: Vec<Value> = finished
        .log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .filter(|line| line["report"].is_object())
        .collect();
    let [line] = reports.as_slice() else { panic!("{}", finished.log) };
    assert!(line["message"].as_str().is_some_and(|text| text.starts_with("stopped by SIGTERM in ")), "{line}");
    let report = &line["report"];
    assert_eq!((&report["stoppedBy"], &report["exitCode"]), (&"SIGTERM".into(), &143.into()), "{line}");
    assert_eq!(report["timeline"][0]["text"], "stop triggered by SIGTERM", "{line}");
    assert!(!finished.log.contains("+0.000 s"), "the timeline is in the report alone: {}", finished.log);
}

/// bookend as the first process, which may not start: nothing waits for it.
fn first_process(folder: &Folder, config: &str, args: &[&str]) -> std::process::Command {
    let file = folder.write("bookend.toml", config);
    let mut command = std::process::Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]).arg(crate::support::bookend());
    let (verb, rest) = args.split_at(usize::from(args.first() == Some(&"sidecar")));
    command.args(verb).arg("-c").arg(file).args(rest);
    command
}

#[test]
fn a_mistake_in_the_configuration_is_the_message() {
    for args in [&["--", "true"][..], &["sidecar"][..]] {
        let (folder, key) = with_message();
        let config = format!("{key}app.stopSignl = \"SIGQUIT\"\nhttp.token = [\"hunter2\"]\n");
        let mut command = first_process(&folder, &config, args);
        // The file itself has mistakes, so its key for the path does not count.
        command.env("BOOKEND_TERMINATION_MESSAGE_PATH", folder.path("message"));
        let mut init = Init::start(folder, command);
        assert_eq!(init.end().code(), 125, "{}", init.log());
        let text = init.folder.read("message");
        assert!(text.contains("app.stopSignl: unknown key") && init.log().contains(&text), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn the_first_of_many_mistakes_are_in_the_message() {
    let (folder, key) = with_message();
    let unknown: String = (0..200).map(|number| format!("unknown{number} = 1\n")).collect();
    let mut command = first_process(&folder, &format!("{unknown}{key}"), &["--", "true"]);
    command.env("BOOKEND_TERMINATION_MESSAGE_PATH", folder.path("message"));
    let mut init = Init::start(folder, command);
    assert_eq!(init.end().code(), 125, "{}", init.log());
    let text = init.folder.read("message");
    assert!(text.contains("unknown0: unknown key") && text.len() <= 4096, "{} bytes: {text}", text.len());
}

#[test]
fn a_failed_start_is_the_message_and_never_over_an_apps() {
    let app = &["--", "true"][..];
    for (before, args, expected) in [
        ("", app, "bookend: cannot listen on "),
        ("", &["sidecar"], "bookend: cannot listen on "),
        ("mine", app, "mine"),
    ] {
        let (folder, key) = with_message();
        folder.write("message", before);
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let config = format!("{key}http.listen = \"{}\"", taken.local_addr().unwrap());
        let command = first_process(&folder, &config, args);
        let mut init = Init::start(folder, command);
        assert_eq!(init.end().code(), 125, "{}", init.log());
        let text = init.folder.read("message");
        assert!(text.starts_with(expected), "{text}: {}", init.log());
    }
}

#[test]
fn a_process_beside_the_app_writes_no_message() {
    let (folder, _) = with_message();
    let mut command = std::process::Command::new(crate::support::bookend());
    command
        .args(["--set", "app.stopSignl=x", "--", "true"])
        .env("BOOKEND_TERMINATION_MESSAGE_PATH", folder.path("message"));
    let mut init = Init::start(folder, command);
    assert_eq!(init.end().code(), 125);
    assert_eq!(init.folder.read("message"), "");
}

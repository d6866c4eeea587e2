//! `kubectl bookend stops` reads the messages that the real bookend writes, in the JSON of pods. kubectl itself is a script, for its
//! arguments alone.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "tests start programs and wait for them")]

use std::process::{Command, Output};

use bookend_test_support::{Folder, Init, output_with_input, wait_until};
use serde_json::{Value, json};

const TOOL: &str = env!("CARGO_BIN_EXE_kubectl-bookend");

/// How a container ended, as a kubelet reports it.
struct Life {
    exit_code: i32,
    message: String,
    finished: String,
}

/// A life of bookend with an app, ended in this way.
fn life(config: &str, app: &str, end: impl FnOnce(&Init)) -> Life {
    let folder = Folder::new();
    let path = folder.write("message", "");
    let config = format!("terminationMessagePath = {path:?}\n{config}");
    // In a network of its own: bookend counts the resets of all programs in its network.
    let mut init = Init::in_a_pod(folder, &config, "", &["--", "sh", "-c", app]);
    end(&init);
    let exit_code = init.end().code();
    Life { exit_code, message: init.folder.read("message"), finished: now() }
}

fn now() -> String {
    let date = Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).output().unwrap();
    String::from_utf8(date.stdout).unwrap().trim().to_owned()
}

/// Stops it when its app is up.
fn stop(init: &Init) {
    init.wait_for_out("up");
    init.signal(15);
}

/// Stops it, and ends bookend itself when the message shows this.
fn kill_at(part: &'static str) -> impl FnOnce(&Init) {
    move |init| {
        stop(init);
        wait_until(part, || init.folder.read("message").contains(part));
        init.signal(9);
    }
}

/// A server that ignores SIGTERM and never answers the request of its client.
const KEEPS_A_REQUEST: &str = "
import signal, socket, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
server = socket.create_server((\"127.0.0.1\", 8080))
client = socket.create_connection((\"127.0.0.1\", 8080))
connection, _ = server.accept()
client.send(b\"GET / HTTP/1.1\\r\\n\\r\\n\")
connection.recv(100)
print(\"up\", flush=True)
time.sleep(1000)
";
/// The fields of a report that the tool reads, besides `signal`.
const FIELDS: [&str; 12] = [
    "phase",
    "beganAt",
    "tookSeconds",
    "stoppedBy",
    "exitCode",
    "oom",
    "stageSeconds",
    "requestsCut",
    "notAccepted",
    "resetsSent",
    "terminationGracePeriodSeconds",
    "graceLeftSeconds",
];
const OBEYS: &str = "trap 'exit 0' TERM; echo up; while :; do sleep 0.02; done";
const IGNORES: &str = "trap '' TERM; echo up; while :; do sleep 0.02; done";

fn pod(name: &str, life: &Life, reason: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "ownerReferences": [{ "kind": "StatefulSet", "name": name.rsplit_once('-').map_or(name, |(set, _)| set) }],
        },
        "spec": { "terminationGracePeriodSeconds": 100, "containers": [{ "name": "web", "image": "web:1" }] },
        "status": { "containerStatuses": [{ "name": "web", "lastState": {}, "state": { "terminated": {
            "containerID": name,
            "exitCode": life.exit_code,
            "reason": reason,
            "message": life.message,
            "finishedAt": life.finished,
        } } }] }
    })
}

/// Runs the tool with this standard input.
fn tool(args: &[&str], input: &str) -> Output {
    output_with_input(Command::new(TOOL).args(args), input)
}

fn summary(pods: &[Value]) -> Value {
    let list = json!({ "apiVersion": "v1", "items": pods, "kind": "List" }).to_string();
    let output = tool(&["stops", "-f", "-", "--json"], &list);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_kill_of_bookend_is_counted_at_its_stage() {
    let long = "terminationGracePeriodSeconds = 100\n";
    let pause = |hook: &str| format!("{long}lifecycle.{hook} = {{ name = \"pause\", sleep.seconds = 1000 }}");
    let leaves =
        "trap '' TERM; (while :; do sleep 0.05; done) & trap 'exit 0' TERM; echo up; while :; do sleep 0.02; done";
    for (config, app, shown, stage) in [
        (pause("preStop"), OBEYS, "preStop pause still running", "preStop"),
        (long.to_owned(), IGNORES, "app still running", "stop signal"),
        (long.to_owned(), leaves, "SIGTERM sent to the remaining processes", "remaining processes"),
        (pause("postStop"), OBEYS, "postStop pause still running", "postStop"),
    ] {
        let life = life(&config, app, kill_at(shown));
        let summary = summary(&[pod("p", &life, "Error")]);
        assert_eq!(summary["killed"]["byStage"], json!({ stage: 1 }), "{}\n{summary:#}", life.message);
        assert_eq!(summary["killed"]["unfinishedReports"], 1);
        assert_eq!(summary["notClean"][0]["killedIn"], stage);
    }
}

#[test]
fn a_hundred_ended_pods_are_summed_up() {
    let short = "terminationGracePeriodSeconds = 2\n";
    let long = "terminationGracePeriodSeconds = 100\nlifecycle.preStop.sleep.seconds = 0.1\n";
    let clean = life(long, OBEYS, stop);
    for field in FIELDS {
        assert!(clean.message.contains(&format!("\"{field}\":")), "{field}: {}", clean.message);
    }
    let killed = life(short, IGNORES, stop);
    assert!(killed.message.contains("\"signal\":\"SIGKILL\""), "{}", killed.message);
    let failed = life(short, "exit 7", |_| ());
    let completed = life(short, "exit 0", |_| ());
    let sidecar = sidecar();
    let with =
        |life: &Life, message: String| Life { exit_code: life.exit_code, message, finished: life.finished.clone() };
    // The machine may delay any real stop.
    let seconds = r#""stageSeconds":{"preStop":"#;
    let slow = with(
        &clean,
        clean.message.replace(seconds, &format!("{seconds}4")).replace("\"tookSeconds\":", "\"tookSeconds\":4"),
    );
    let cut = life(short, &format!("exec python3 -c '{KEEPS_A_REQUEST}'"), stop);
    let oom = with(&clean, clean.message.replace("\"oom\":false", "\"oom\":true"));
    let torn = with(&clean, clean.message[..clean.message.len() - 20].to_owned());
    let newer = with(&clean, clean.message.replace("{\"format\":1,", "{\"format\":2,"));
    let app = |code: i32, message: &str| Life { exit_code: code, message: message.to_owned(), finished: now() };
    let kinds: [(&str, usize, &Life, &str); 12] = [
        ("clean", 50, &clean, "Completed"),
        ("slow", 1, &slow, "Completed"),
        ("sidecar", 4, &sidecar, "Completed"),
        ("killed", 5, &killed, "Error"),
        ("cut", 2, &cut, "Completed"),
        ("oom", 3, &oom, "OOMKilled"),
        ("failed", 6, &failed, "Error"),
        ("completed", 7, &completed, "Completed"),
        ("torn", 2, &torn, "Completed"),
        ("newer", 1, &newer, "Completed"),
        ("other", 12, &app(1, "panic: cannot connect\n"), "Error"),
        ("other-done", 7, &app(0, ""), "Completed"),
    ];
    let pods: Vec<Value> = kinds
        .iter()
        .flat_map(|(name, count, life, reason)| (0..*count).map(move |n| pod(&format!("{name}-{n}"), life, reason)))
        .collect();
    assert_eq!(pods.len(), 100);
    let summary = summary(&pods);
    let expected = [
        ("/pods", 100),
        ("/stops", 65),
        ("/clean/stops", 55),
        ("/killed/byStage/stop signal", 7),
        ("/killed/unfinishedReports", 0),
        ("/outOfMemory/stops", 3),
        ("/requestsCut/stops", 2),
        ("/requestsCut/connections", 2),
        ("/notAccepted/stops", 0),
        ("/endedByItself/Failed", 6),
        ("/endedByItself/Completed", 7),
        ("/unknown/message cut or damaged", 2),
        ("/unknown/message of a newer bookend", 1),
        ("/workloads/0/killed", 5),
    ];
    for (pointer, number) in expected {
        assert_eq!(summary.pointer(pointer), Some(&json!(number)), "{pointer}: {summary:#}");
    }
    assert_eq!(
        summary["withoutBookend"],
        json!([{ "reason": "Completed", "exitCode": 0, "count": 7 }, { "reason": "Error", "exitCode": 1, "count": 12 }])
    );
    let slowest = &summary["slowest"];
    assert_eq!(slowest.as_array().unwrap().len(), 5);
    let slow =
        slowest.as_array().unwrap().iter().find(|stop| stop["pod"] == "slow-0").unwrap_or_else(|| panic!("{slowest}"));
    assert_eq!(slow["longestStage"]["stage"], "preStop", "{slowest}");
    let list = json!({ "items": pods }).to_string();
    let shown = tool(&["stops", "-f", "-", "--strict"], &list);
    assert_eq!(shown.status.code(), Some(1), "{shown:?}");
    let text = String::from_utf8(shown.stdout).unwrap();
    for line in ["clean             55   84.6 %", "killed             7   10.8 %  stop signal 7", "shop/slow-0 web"] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

/// The stop of a sidecar, whose app runs elsewhere.
fn sidecar() -> Life {
    let folder = Folder::new();
    let message = folder.write("message", "");
    let config = format!(
        "terminationMessagePath = {message:?}\nterminationGracePeriodSeconds = 100\nlifecycle.preStop.sleep.seconds = 0.1\n"
    );
    let config = folder.write("bookend.toml", &config);
    let mut init = Init::in_folder(folder, &["sidecar", "-c", config.to_str().unwrap()]);
    let socket = init.folder.path("bookend.sock");
    wait_until("the sidecar is up", || socket.exists() || !init.log().is_empty());
    init.signal(15);
    let exit_code = init.end().code();
    let message = init.folder.read("message");
    assert!(!message.contains("\"resetsSent\":"), "those of other programs must not count: {message}");
    Life { exit_code, message, finished: now() }
}

#[test]
fn a_pod_that_is_shown_again_counts_once() {
    // As `kubectl get pods --watch -o json` prints a pod with each change.
    let mut one = pod("p", &life("terminationGracePeriodSeconds = 100\n", OBEYS, stop), "Completed");
    one["metadata"]["uid"] = "u".into();
    let output = tool(&["stops", "-f", "-", "--json"], &format!("{one}\n{one}\n{one}"));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&summary["pods"], &summary["stops"]), (&json!(1), &json!(1)), "{summary:#}");
}

#[test]
fn names_and_messages_cannot_control_the_terminal() {
    let clean = life("terminationGracePeriodSeconds = 100\n", OBEYS, stop);
    let mut evil = pod("a\u{1b}[2Jb\nc", &clean, "x\u{202e}y");
    evil["status"]["containerStatuses"][0]["name"] = "\u{7}web".into();
    evil["status"]["containerStatuses"][0]["state"]["terminated"]["message"] =
        clean.message.replace("\"stoppedBy\":\"SIGTERM\"", "\"stoppedBy\":\"\\u001b[31m\\nX\"").into();
    let mut foreign = pod("p", &clean, "\u{1b}[2J\n");
    foreign["status"]["containerStatuses"][0]["state"]["terminated"]["message"] = "\u{1b}[2J".into();
    let list = json!({ "items": [evil, foreign] }).to_string();
    for args in [&["stops", "-f", "-"][..], &["stops", "-f", "-", "--json"]] {
        let output = tool(args, &list);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && !text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text:?}");
        assert!(text.contains("a\u{fffd}[2Jb\u{fffd}c"), "{text}");
    }
}

#[test]
fn input_that_is_not_pods_is_an_error_or_counted() {
    let deployments = tool(&["stops", "-f", "-"], r#"{"kind":"List","items":[{"kind":"Deployment"}]}"#);
    assert!(String::from_utf8_lossy(&deployments.stdout).contains("1 object not read: no pod"), "{deployments:?}");
    for (input, expected) in [("kind: List\n", "it is not JSON"), ("{\"items\":[", "the JSON is not complete")] {
        let output = tool(&["stops", "-f", "-"], input);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(expected), "{output:?}");
    }
    let output = tool(&["stops", "-f", "/missing/pods.json"], "");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("cannot read /missing/pods.json: No such file"),
        "{output:?}"
    );
}

#[test]
fn kubectl_gets_the_options_as_they_are() {
    let folder = Folder::new();
    let script = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > {:?}\necho '{{\"items\":[]}}'\n", folder.path("args"));
    let kubectl = folder.write("kubectl", &script);
    std::fs::set_permissions(&kubectl, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let run = |args: &[&str]| {
        let output = Command::new(TOOL).arg("stops").args(args).env("KUBECTL", &kubectl).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        folder.read("args").lines().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(run(&[]), "get pods --output=json");
    assert_eq!(
        run(&["-n", "shop", "-l", "app=web", "--context", "c"]),
        "--namespace=shop --context=c get pods --output=json --selector=app=web"
    );
    assert_eq!(run(&["-A"]), "get pods --output=json --all-namespaces");
    assert_eq!(run(&["web-1", "web-2"]), "get pods --output=json -- web-1 web-2");
    std::fs::write(&kubectl, "#!/bin/sh\necho 'Error from server: forbidden' >&2; exit 1\n").unwrap();
    let output = Command::new(TOOL).arg("stops").env("KUBECTL", &kubectl).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(2) && errors.contains("forbidden") && errors.contains("failed: exit"),
        "{errors}"
    );
}

#[test]
fn a_thousand_pods_need_no_memory_of_their_own() {
    // 20 MB of JSON, and a limit that leaves no room for them.
    let clean = life("terminationGracePeriodSeconds = 100\n", OBEYS, stop);
    let mut one = pod("p", &clean, "Completed");
    one["metadata"]["annotations"] = json!({ "x": "y".repeat(19_000) });
    let one = one.to_string();
    let pods: Vec<_> =
        (0..1000).map(|n| one.replace("\"containerID\":\"p\"", &format!("\"containerID\":\"p{n}\""))).collect();
    let list = format!("{{\"items\":[{}]}}", pods.join(","));
    let script = "ulimit -v 20000; exec \"$0\" stops -f - --json";
    let output = output_with_input(Command::new("sh").args(["-c", script, TOOL]), &list);
    assert!(output.status.success(), "{output:?}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&summary["pods"], &summary["clean"]["stops"]), (&json!(1000), &json!(1000)));
}

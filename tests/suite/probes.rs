//! The app's probes with real programs and servers: their effect on /startupz, /readyz and /livez, when they run, and
//! what a failed liveness probe can do.

use std::net::TcpListener;
use std::time::Duration;

use crate::support::{Folder, Init, code, free_port, get, wait_until};

const APP: &[&str] = &["--", "sh", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 0.02; done"];

/// A life with an endpoint and these lines; `DIR` is its folder.
fn life(port: u16, config: &str, app: &[&str]) -> Init {
    let folder = Folder::new();
    let config = format!("http.listen = \"127.0.0.1:{port}\"\n{}", config.replace("DIR", folder.shown()));
    let init = Init::configured_in(folder, &config, app);
    wait_until("the endpoint answers", || code(port, "/livez") != 0);
    init
}

#[test]
fn the_others_wait_for_the_startup_probe() {
    let port = free_port();
    let config = r#"
        startupProbe = { exec.command = ["test", "-e", "DIR/started"], periodSeconds = 0.1 }
        readinessProbe = { exec.command = ["sh", "-c", "echo x >> DIR/asked"], periodSeconds = 0.1 }
        livenessProbe = { exec.command = ["sh", "-c", "echo x >> DIR/asked"], periodSeconds = 0.1 }
    "#;
    let init = life(port, config, APP);
    let tries = || get(port, "/status").unwrap_or_default().contains("\"failures\": 2");
    wait_until("it was tried twice", tries);
    assert_eq!((code(port, "/startupz"), code(port, "/readyz"), code(port, "/livez")), (503, 503, 200));
    let reported = get(port, "/startupz?verbose").unwrap();
    assert!(reported.contains("[+]postStart ok\n[-]startupProbe failed: the last attempt: exit code 1"), "{reported}");
    assert!(!init.folder.path("asked").exists(), "the others have not been tried");
    init.folder.write("started", "");
    wait_until("the app has started", || code(port, "/startupz") == 200);
    wait_until("the app is ready", || code(port, "/readyz") == 200);
}

#[test]
fn readiness_follows_the_app_and_its_thresholds() {
    let port = free_port();
    let probe = r#"{ exec.command = ["test", "-e", "DIR/ready"], periodSeconds = 0.1, failureThreshold = 2, successThreshold = 2 }"#;
    let init = life(port, &format!("readinessProbe = {probe}"), APP);
    assert_eq!(code(port, "/readyz"), 503, "not probed yet, or failed");
    assert_eq!(code(port, "/startupz"), 200);
    init.folder.write("ready", "");
    wait_until("ready", || code(port, "/readyz") == 200);
    assert_eq!(code(port, "/lbz"), 200);
    std::fs::remove_file(init.folder.path("ready")).unwrap();
    wait_until("not ready", || code(port, "/readyz") == 503);
    assert_eq!((code(port, "/lbz"), code(port, "/livez")), (503, 200));
    let log = init.log();
    assert_eq!(log.matches("readinessProbe succeeded").count(), 1, "a change is logged, not every attempt: {log}");
    assert_eq!(log.matches("readinessProbe failed: exit code 1").count(), 1, "{log}");
}

#[test]
fn during_a_stop_readiness_goes_on_and_liveness_ends() {
    let port = free_port();
    let config = r#"
        lifecycle.preStop.exec.command = ["sh", "-c", "while ! test -e DIR/go; do sleep 0.02; done"]
        readinessProbe = { exec.command = ["sh", "-c", "echo x >> DIR/ready; test ! -e DIR/gone"], periodSeconds = 0.1, failureThreshold = 1 }
        livenessProbe = { exec.command = ["sh", "-c", "echo x >> DIR/live; test ! -e DIR/gone"], periodSeconds = 0.1, failureThreshold = 1 }
    "#;
    let mut init = life(port, config, APP);
    wait_until("ready", || code(port, "/readyz") == 200);
    wait_until("asked for its life", || !init.folder.read("live").is_empty());
    init.signal(15);
    init.wait_for_log("stopping");
    wait_until("a try that was in flight is over", || {
        let before = init.folder.read("live");
        std::thread::sleep(Duration::from_millis(300));
        init.folder.read("live") == before
    });
    let (ready, live) = (init.folder.read("ready"), init.folder.read("live"));
    init.folder.write("gone", "");
    wait_until("readiness is still asked for", || init.folder.read("ready").len() > ready.len() + 2);
    wait_until("and counts", || code(port, "/readyz") == 503);
    assert_eq!(init.folder.read("live"), live, "a stopping app is not probed for liveness");
    assert_eq!(code(port, "/livez"), 200);
    init.folder.write("go", "");
    assert_eq!(init.end().code(), 5);
}

#[test]
fn nothing_is_probed_while_post_start_runs() {
    let port = free_port();
    let config = r#"
        lifecycle.postStart.exec.command = ["sh", "-c", "while ! test -e DIR/go; do sleep 0.02; done; test ! -e DIR/probed && touch DIR/clean"]
        readinessProbe = { exec.command = ["touch", "DIR/probed"], periodSeconds = 0.1 }
    "#;
    let init = life(port, config, APP);
    init.wait_for_out("up");
    std::thread::sleep(Duration::from_millis(500));
    init.folder.write("go", "");
    wait_until("then it is", || code(port, "/readyz") == 200);
    assert!(init.folder.path("clean").exists(), "not before");
}

#[test]
fn a_failed_liveness_probe_is_only_reported_by_default() {
    let port = free_port();
    let config = r#"livenessProbe = { exec.command = ["sh", "-c", "echo deadlock; exit 1"], periodSeconds = 0.1, failureThreshold = 2 }"#;
    let mut init = life(port, config, APP);
    wait_until("not live", || code(port, "/livez") == 503);
    assert!(get(port, "/livez").unwrap().contains("[-]livenessProbe failed: the last attempt: exit code 1; deadlock"));
    assert_eq!(code(port, "/readyz"), 200, "that is another question");
    init.wait_for_log("livenessProbe failed: exit code 1; deadlock");
    assert!(!init.log().contains("probe=\"livenessProbe\""), "its output is not in the log each time");
    assert!(init.is_running());
    init.signal(15);
    assert_eq!(init.end().code(), 5);
}

#[test]
fn a_failed_liveness_probe_can_stop_the_container() {
    let port = free_port();
    let config = r#"
        lifecycle.preStop.exec.command = ["echo", "preparing"]
        lifecycle.postStop.exec.command = ["sh", "-c", "echo ended by $BOOKEND_TRIGGER, $BOOKEND_REASON"]
        livenessProbe = { exec.command = ["test", "!", "-e", "DIR/dead"], periodSeconds = 0.1, failureThreshold = 2, action = "Stop" }
    "#;
    let mut init = life(port, config, APP);
    init.wait_for_out("up");
    wait_until("it was found alive", || get(port, "/status").unwrap_or_default().contains("\"state\": \"Succeeded\""));
    init.folder.write("dead", "");
    let finished = init.end();
    assert_eq!(finished.code(), 5, "the app's own: {}", finished.log);
    for text in ["stop triggered by a failed livenessProbe", "preparing", "ended by a failed livenessProbe, Stopped"] {
        assert!(finished.log.contains(text), "{text}: {}", finished.log);
    }
}

#[test]
fn a_port_is_probed_by_http_and_by_connecting() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let app = listener.local_addr().unwrap().port();
    let (agents, seen) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 1024];
            let length = stream.read(&mut head).unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..length]).into_owned();
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
            if head.starts_with("GET /healthz ") && agents.send(head).is_err() {
                return;
            }
        }
    });
    let port = free_port();
    let config = format!(
        "ports.app = {app}\nreadinessProbe.httpGet = {{ port = \"app\", path = \"/healthz\" }}\nlivenessProbe.tcpSocket.port = \"app\""
    );
    let _init = life(port, &config, APP);
    wait_until("ready", || code(port, "/readyz") == 200);
    assert!(seen.recv().unwrap().to_lowercase().contains("connection: close"));
    wait_until("live", || get(port, "/livez?verbose").unwrap_or_default().contains("[+]livenessProbe ok"));
}

#[test]
fn a_probe_that_takes_too_long_fails_and_is_killed() {
    let port = free_port();
    let config = r#"livenessProbe = { exec.command = ["sleep", "1000"], periodSeconds = 0.1, timeoutSeconds = 0.2, failureThreshold = 1 }"#;
    let init = life(port, config, APP);
    wait_until("not live", || code(port, "/livez") == 503);
    init.wait_for_log("livenessProbe failed: timed out after 0.200 s");
    // At most one attempt runs at a time, and the earlier attempts have ended.
    let sleepers = || {
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", init.pid())).unwrap_or_default();
        children.split_whitespace().count()
    };
    wait_until("the app and one try", || sleepers() <= 2);
}

#[test]
fn a_running_probe_does_not_delay_the_end() {
    let port = free_port();
    let config = r#"
        app.env.ASKED = "DIR/asked"
        readinessProbe = { exec.command = ["sh", "-c", "touch $ASKED; exec sleep 1000"], timeoutSeconds = 1000 }
    "#;
    let app = "while ! test -e $ASKED; do sleep 0.02; done; exit 6";
    let folder = Folder::new();
    let config = format!("http.listen = \"127.0.0.1:{port}\"\n{}", config.replace("DIR", folder.shown()));
    let began = std::time::Instant::now();
    let finished = Init::configured_in(folder, &config, &["--", "sh", "-c", app]).finish();
    assert_eq!(finished.code(), 6, "{}", finished.log);
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[test]
fn processes_left_by_probes_hold_no_descriptors() {
    let port = free_port();
    let config =
        r#"readinessProbe = { exec.command = ["sh", "-c", "sleep 1000 & echo x >> DIR/asked"], periodSeconds = 0.1 }"#;
    let init = life(port, config, APP);
    let tries = || init.folder.read("asked").lines().count();
    let open = || std::fs::read_dir(format!("/proc/{}/fd", init.pid())).unwrap().count();
    wait_until("it was tried", || tries() > 2);
    let before = open();
    wait_until("it was tried again and again", || tries() > 22);
    assert!(open() < before + 10, "{} descriptors, and {before} before", open());
}

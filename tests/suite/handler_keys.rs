//! Keys that every handler has: retries and their back-off, `on`, its environment; and the signal handler.

use std::time::{Duration, Instant};

use crate::support::{Folder, Init, get, wait_until};

#[test]
fn a_handler_that_fails_is_tried_again_after_growing_pauses() {
    let folder = Folder::new();
    let config = format!(
        r#"
        [lifecycle.preStart]
        retries = 3
        backoffSeconds = 0.2
        exec.command = ["sh", "-c", "echo x >> {0}/tries; test $(wc -l < {0}/tries) = 3"]
        "#,
        folder.shown()
    );
    let began = Instant::now();
    let mut init = Init::configured_in(folder, &config, &["--", "true"]);
    let finished = init.end();
    assert_eq!(finished.code(), 0, "{}", finished.log);
    assert_eq!(init.folder.read("tries"), "x\n".repeat(3), "the third try succeeded, and there was no fourth");
    assert!(began.elapsed() >= Duration::from_millis(600), "0.2 s and 0.4 s: {:?}", began.elapsed());
}

#[test]
fn each_failed_attempt_is_recorded() {
    let config = r#"
        socket = "None"
        lifecycle.preStop = { retries = 2, backoffSeconds = 0.01, exec.command = ["sh", "-c", "exit 3"] }
    "#;
    let init = Init::configured(config, &["--", "sh", "-c", "echo up; exec sleep 1000"]);
    init.wait_for_out("up");
    init.signal(15);
    let finished = init.finish();
    assert_eq!(finished.code(), 143);
    for row in ["preStop[0] took", "preStop[0] (try 2) took", "preStop[0] (try 3) took", "preStop failed"] {
        assert!(finished.log.contains(row), "{row}: {}", finished.log);
    }
    assert!(!finished.log.contains("(try 4)"), "{}", finished.log);
}

#[test]
fn the_attempt_number_is_in_the_status() {
    let port = crate::support::free_port();
    let config = format!(
        "http.listen = \"127.0.0.1:{port}\"\n\
         lifecycle.postStart = {{ retries = 1, backoffSeconds = 0, failurePolicy = \"Ignore\", exec.command = [\"false\"] }}"
    );
    let _init = Init::configured(&config, &["--", "sleep", "1000"]);
    wait_until("both attempts are recorded", || {
        let status = get(port, "/status").unwrap_or_default();
        status.contains("\"attempt\": 1") && status.contains("\"attempt\": 2")
    });
}

#[test]
fn a_signal_handler_sends_one_to_the_app_and_the_list_goes_on() {
    let config = r#"
        [[lifecycle.preStop]]
        signal.name = "SIGUSR1"
        [[lifecycle.preStop]]
        exec.command = ["sleep", "0.3"]
    "#;
    let app = "trap 'echo drained' USR1; trap 'echo stopped; exit 4' TERM; echo up; while :; do sleep 0.02; done";
    let init = Init::configured(config, &["--", "sh", "-c", app]);
    init.wait_for_out("up");
    init.signal(15);
    let finished = init.finish();
    assert_eq!(finished.code(), 4, "{}", finished.log);
    assert_eq!(finished.out, "up\ndrained\nstopped\n");
    assert!(finished.log.contains("SIGUSR1 sent to the app"), "{}", finished.log);
}

#[test]
fn a_post_stop_handler_runs_for_its_configured_ends() {
    let config = r#"
        [[lifecycle.postStop]]
        on = ["Completed"]
        exec.command = ["echo", "it completed"]
        [[lifecycle.postStop]]
        on = ["Failed"]
        exec.command = ["echo", "it failed"]
        [[lifecycle.postStop]]
        on = ["Stopped"]
        exec.command = ["echo", "it was stopped"]
        [[lifecycle.postStop]]
        exec.command = ["echo", "always"]
    "#;
    let reported = |log: &str| {
        let words = ["it completed", "it failed", "it was stopped", "always"];
        words.into_iter().filter(|word| log.contains(word)).collect::<Vec<_>>()
    };
    let finished = Init::configured(config, &["--", "true"]).finish();
    assert_eq!(reported(&finished.log), ["it completed", "always"], "{}", finished.log);
    let finished = Init::configured(config, &["--", "false"]).finish();
    assert_eq!(reported(&finished.log), ["it failed", "always"], "{}", finished.log);
    let init =
        Init::configured(config, &["--", "sh", "-c", "trap 'exit 0' TERM; echo up; while :; do sleep 0.02; done"]);
    init.wait_for_out("up");
    init.signal(15);
    let finished = init.finish();
    assert_eq!(reported(&finished.log), ["it was stopped", "always"], "{}", finished.log);
}

#[test]
fn handlers_find_phase_and_reason_in_their_environment() {
    let tell = "[\"sh\", \"-c\", \"echo ${BOOKEND_HOOK}: $BOOKEND_PHASE ${BOOKEND_APP_PID:-none} $BOOKEND_TRIGGER ${BOOKEND_SECONDS_LEFT:-unbounded}\"]";
    let config = format!(
        "terminationGracePeriodSeconds = 20\n[lifecycle]\n\
         preStart.exec.command = {tell}\npostStart.exec.command = {tell}\npreStop.exec.command = {tell}\n\
         [[lifecycle.postStop]]\nexec.command = {tell}\n\
         [[lifecycle.postStop]]\nexec.command = [\"sh\", \"-c\", \"echo ran $BOOKEND_APP_SECONDS stopped $BOOKEND_STOP_SECONDS code $BOOKEND_EXIT_CODE\"]"
    );
    let app = "trap 'sleep 0.3; exit 9' TERM; echo up; while :; do sleep 0.02; done";
    let init = Init::configured(&config, &["--", "sh", "-c", app]);
    init.wait_for_out("up");
    init.wait_for_log("postStart: Running");
    init.wait_for_log("started");
    init.signal(15);
    let finished = init.finish();
    assert_eq!(finished.code(), 9);
    let line = |word: &str| {
        let from = finished.log.find(word).unwrap_or_else(|| panic!("{word}: {}", finished.log));
        finished.log[from..].split(" handler=").next().unwrap().split(' ').map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(line("preStart: ")[1..], ["Starting", "none", "start", "unbounded"]);
    let started = line("postStart: ");
    assert_eq!([&started[1], &started[3], &started[4]], ["Running", "start", "unbounded"]);
    assert!(started[2].parse::<u32>().is_ok(), "{started:?}");
    let stopping = line("preStop: ");
    assert_eq!([&stopping[1], &stopping[2], &stopping[3]], ["Stopping", &started[2], "SIGTERM"]);
    assert!(stopping[4].parse::<u32>().is_ok_and(|left| (1..=20).contains(&left)), "{stopping:?}");
    assert_eq!(line("postStop: ")[1..4], ["Finishing", "none", "SIGTERM"]);
    let expected = line("ran ");
    let seconds = |at: usize| expected[at].parse::<f64>().unwrap();
    assert!(seconds(3) >= 0.3 && seconds(1) >= seconds(3), "{expected:?}");
    assert_eq!(expected[5], "9");
}

//! exec and sleep handlers: their order, time, output and failure.

use std::time::{Duration, Instant};

use crate::support::{Folder, Init, child_of, free_port, get, wait_until};

#[test]
fn handlers_run_in_order_around_the_app() {
    let config = r#"
        [lifecycle]
        preStart = [{ exec.command = ["sh", "-c", "echo 1"] }, { exec.command = ["sh", "-c", "echo 2"] }]
        postStart.exec.command = ["sh", "-c", "echo 4"]
        preStop.exec.command = ["sh", "-c", "echo 5"]
        postStop = [{ exec.command = ["sh", "-c", "echo 7 $BOOKEND_REASON $BOOKEND_EXIT_CODE $BOOKEND_HOOK"] }]
    "#;
    let app = "trap 'echo 6 >&2; exit 9' TERM; echo 3 >&2; while :; do sleep 0.05; done";
    let init = Init::configured(config, &["--", "sh", "-c", app]);
    init.wait_for_log("4");
    init.wait_for_log("\n3\n");
    init.signal(15);
    let finished = init.finish();
    assert_eq!(finished.code(), 9);
    let order: Vec<_> = finished
        .log
        .lines()
        .filter_map(|line| {
            line.rsplit_once("bookend: ").map_or(Some(line), |(_, text)| text.contains("handler=").then_some(text))
        })
        .filter_map(|text| text.split_whitespace().next())
        .filter(|word| word.parse::<u32>().is_ok() && *word != "4")
        .collect();
    assert_eq!(order, ["1", "2", "3", "5", "6", "7"], "{}", finished.log);
    assert!(finished.log.contains("7 Stopped 9 postStop"), "{}", finished.log);
}

#[test]
fn handler_output_is_logged_line_by_line_with_its_name() {
    let config = r#"
        [lifecycle.postStart]
        name = "greet"
        exec.command = ["sh", "-c", "echo one; echo two >&2; printf three"]
    "#;
    let init = Init::configured(config, &["--", "sleep", "1000"]);
    for line in ["one", "two", "three"] {
        init.wait_for_log(&format!("bookend: {line} handler=\"greet\""));
    }
}

#[test]
fn a_handler_that_prints_without_end_fills_no_log() {
    let config = r#"
        [lifecycle.postStart]
        timeoutSeconds = 2
        failurePolicy = "Ignore"
        exec.command = ["sh", "-c", "yes; :"]
    "#;
    let app = "trap 'echo usr1' USR1; trap 'exit 3' TERM; echo up; while :; do sleep 0.02; done";
    let mut init = Init::configured(config, &["--", "sh", "-c", app]);
    init.wait_for_out("up");
    let began = Instant::now();
    init.wait_for_log("dropped_bytes=");
    init.signal(10);
    init.wait_for_out("usr1");
    init.wait_for_log("timed out after 2.000 s");
    // bookend goes on reading the output: a pipe alone holds 64 kB.
    wait_until("the excess is reported at its end", || {
        let log = init.log();
        let dropped = log.rsplit_once("dropped_bytes=").map_or("", |(_, rest)| rest);
        dropped.split_whitespace().next().is_some_and(|bytes| bytes.parse::<u64>().is_ok_and(|bytes| bytes > 1_000_000))
    });
    init.signal(15);
    assert_eq!(init.end().code(), 3);
    let (log, seconds) = (init.log(), began.elapsed().as_secs());
    let allowed = 1_500_000 + usize::try_from(seconds).unwrap() * 150_000;
    assert!(log.len() < allowed, "{} bytes of log in {seconds} s", log.len());
}

#[test]
fn all_attempts_of_a_handler_share_one_limit_of_output() {
    let config = r#"
        [lifecycle.postStart]
        retries = 9
        backoffSeconds = 0
        failurePolicy = "Ignore"
        exec.command = ["sh", "-c", "yes | head -c 300000; exit 1"]
    "#;
    let mut init = Init::configured(config, &["--", "sleep", "1000"]);
    let began = Instant::now();
    init.wait_for_log("bookend: started");
    init.signal(15);
    assert_eq!(init.end().code(), 143);
    let (log, seconds) = (init.log(), began.elapsed().as_secs());
    // Without the common limit every attempt writes a megabyte: a line of two bytes is logged with its time and its handler.
    let allowed = 1_500_000 + usize::try_from(seconds).unwrap() * 150_000;
    assert!(log.len() < allowed, "{} bytes of log in {seconds} s", log.len());
}

#[test]
fn the_end_of_dropped_output_is_in_the_record() {
    let port = free_port();
    let config = format!(
        "http.listen = \"127.0.0.1:{port}\"\n\
         lifecycle.postStart.exec.command = [\"sh\", \"-c\", \"yes | head -c 3000000; echo last words\"]"
    );
    let init = Init::configured(&config, &["--", "sleep", "1000"]);
    let status = || get(port, "/status").unwrap_or_default();
    wait_until("the handler has ended", || status().contains("\"Succeeded\""));
    let status = status();
    assert!(status.contains("bytes of output were dropped]") && status.contains("\"last words\""), "{status}");
    drop(init);
}

#[test]
fn a_timed_out_handlers_group_gets_term_then_kill() {
    let folder = Folder::new();
    let config = format!(
        r#"
        [lifecycle.preStop]
        timeoutSeconds = 0.5
        exec.command = ["sh", "-c", "trap 'touch {0}/term' TERM; (trap '' TERM; sleep 1000) & while :; do sleep 0.05; done"]
        "#,
        folder.shown()
    );
    let app = "trap 'sleep 2; exit 0' TERM; echo up; while :; do sleep 0.05; done";
    let init = Init::configured_in(folder, &config, &["--", "sh", "-c", app]);
    init.wait_for_out("up");
    let began = Instant::now();
    init.signal(15);
    wait_until("the handler got SIGTERM", || init.folder.path("term").exists());
    init.wait_for_log("timed out after 0.5");
    // While the app takes its two seconds, its whole group is killed.
    wait_until("no process of the group is left", || !has_descendant(init.pid(), "sleep\x001000"));
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(init.finish().code(), 0);
}

fn has_descendant(_: i32, cmdline: &str) -> bool {
    let Ok(entries) = std::fs::read_dir("/proc") else { return false };
    let own = std::fs::read_link("/proc/self/ns/pid").unwrap();
    entries.flatten().any(|entry| {
        let path = entry.path();
        std::fs::read_link(path.join("ns/pid")).is_ok_and(|ns| ns != own)
            && std::fs::read_to_string(path.join("cmdline")).is_ok_and(|line| line.trim_end_matches('\0') == cmdline)
            && std::fs::read_to_string(path.join("environ")).is_ok_and(|env| env.contains("BOOKEND_HOOK=preStop"))
    })
}

#[test]
fn a_failed_pre_start_prevents_the_app_and_exits_125() {
    let config = r#"lifecycle.preStart.exec.command = ["sh", "-c", "echo no; exit 3"]"#;
    let finished = Init::configured(config, &["--", "sh", "-c", "echo started"]).finish();
    assert_eq!(finished.code(), 125);
    assert_eq!(finished.out, "");
    assert!(finished.log.contains("exit code 3"), "{}", finished.log);
}

#[test]
fn a_failed_post_start_stops_the_app_and_an_ignored_one_does_not() {
    let config = r#"
        lifecycle.postStart.exec.command = ["false"]
        lifecycle.preStop.exec.command = ["echo", "preparing"]
    "#;
    let finished = Init::configured(config, &["--", "sleep", "1000"]).finish();
    assert_eq!(finished.code(), 125, "{}", finished.log);
    assert!(finished.log.contains("preparing"), "the whole stop sequence ran: {}", finished.log);

    let config = r#"lifecycle.postStart = { exec.command = ["false"], failurePolicy = "Ignore" }"#;
    let init = Init::configured(config, &["--", "sh", "-c", "sleep 0.3; exit 8"]);
    assert_eq!(init.finish().code(), 8);
}

#[test]
fn post_stop_runs_on_completion_and_on_a_crash() {
    for (end, expected) in [("exit 0", "Completed 0"), ("exit 3", "Failed 3"), ("kill -9 $$", "Failed 137 SIGKILL")] {
        let config = r#"lifecycle.postStop.exec.command = ["sh", "-c", "echo $BOOKEND_REASON $BOOKEND_EXIT_CODE $BOOKEND_SIGNAL"]"#;
        let finished = Init::configured(config, &["--", "sh", "-c", end]).finish();
        assert!(finished.log.contains(expected), "{expected}: {}", finished.log);
    }
}

#[test]
fn a_handler_that_cannot_start_fails_with_the_reason() {
    let config = r#"lifecycle.preStart.exec.command = ["no-such-program"]"#;
    let finished = Init::configured(config, &["--", "true"]).finish();
    assert_eq!(finished.code(), 125);
    assert!(finished.log.contains(r#"cannot execute "no-such-program""#), "{}", finished.log);
}

#[test]
fn each_run_leaves_a_record() {
    let port = free_port();
    let config = format!(
        "http.listen = \"127.0.0.1:{port}\"\n[lifecycle.postStart]\nname = \"greet\"\nexec.command = [\"echo\", \"hello\"]\n"
    );
    let init = Init::configured(&config, &["--", "sleep", "1000"]);
    init.wait_for_log("started");
    assert!(get(port, "/lifecycle/postStart").unwrap().contains("200 OK"));
    let status = get(port, "/status").unwrap();
    for part in ["\"name\": \"greet\"", "\"hook\": \"postStart\"", "\"result\": \"Succeeded\"", "\"hello\""] {
        assert!(status.contains(part), "{part}: {status}");
    }
}

#[test]
fn a_stop_aborts_a_hanging_post_start() {
    let config = r#"lifecycle.postStart.exec.command = ["sleep", "1000"]"#;
    let init = Init::configured(config, &["--", "sh", "-c", "echo up; exec sleep 1000"]);
    init.wait_for_out("up");
    init.signal(15);
    assert_eq!(init.finish().code(), 143);
}

#[test]
fn handlers_start_in_the_working_directory_of_the_image() {
    let folder = Folder::new();
    let config =
        folder.write("bookend.toml", "lifecycle.postStart.exec.command = [\"sh\", \"-c\", \"echo in $(pwd)\"]");
    let mut command = std::process::Command::new(crate::support::bookend());
    command.arg("-c").arg(config).args(["--", "sh", "-c", "pwd; sleep 1000"]).current_dir("/usr/share");
    let mut init = Init::start(folder, command);
    init.wait_for_log("in /usr/share");
    init.wait_for_out("/usr/share");
    assert_eq!(std::fs::read_link(format!("/proc/{}/cwd", init.pid())).unwrap(), std::path::Path::new("/"));
    assert!(child_of(u32::try_from(init.pid()).unwrap()).is_some());
    init.signal(15);
    init.end();
}

#[test]
fn a_stop_during_pre_start_terminates_its_handler_gently() {
    let folder = Folder::new();
    let config = format!(
        r#"
        lifecycle.preStart.exec.command = ["sh", "-c", "trap 'touch {0}/term; exit' TERM; touch {0}/up; while :; do sleep 0.02; done"]
        lifecycle.postStop.exec.command = ["sh", "-c", "echo $BOOKEND_REASON by $BOOKEND_TRIGGER"]
        "#,
        folder.shown()
    );
    let mut init = Init::configured_in(folder, &config, &["--", "true"]);
    wait_until("preStart runs", || init.folder.path("up").exists());
    init.signal(15);
    let finished = init.end();
    assert_eq!(finished.code(), 143, "{}", finished.log);
    assert!(init.folder.path("term").exists(), "the handler got no SIGTERM");
    assert!(finished.log.contains("Stopped by SIGTERM"), "{}", finished.log);
}

#[test]
fn a_handler_that_prints_endlessly_delays_no_signal() {
    let script =
        "$SIG{USR1} = sub { syswrite STDOUT, '.' }; syswrite STDOUT, 'up'; select undef, undef, undef, 0.01 while 1";
    let config = "lifecycle.postStart.exec.command = [\"yes\", \"\"]";
    let mut command = std::process::Command::new(crate::support::bookend());
    let folder = Folder::new();
    let config = folder.write("bookend.toml", config);
    let flood = std::fs::File::options().write(true).open("/dev/null").unwrap();
    command.arg("-c").arg(config).args(["--", "perl", "-e", script]);
    let init = Init::start_with_log(folder, command, flood);
    init.wait_for_out("up");
    // One fast run suffices to show that it is fast: a busy machine may delay any of the others.
    let quickest = (1..=10)
        .map(|n| {
            let began = Instant::now();
            init.signal(10);
            init.wait_for_out(&".".repeat(n));
            began.elapsed()
        })
        .min();
    assert!(quickest < Some(Duration::from_millis(150)), "{quickest:?}");
}

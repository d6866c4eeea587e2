//! The output of `bookend check`: it can be read back, and the budget adds up.

use std::time::Duration;

use super::*;
use crate::budget::Deadlines;

const NGINX: &str = "terminationGracePeriodSeconds = 30\n\
    [app]\ncommand = [\"nginx\"]\nsignals = { HUP = \"ignore\" }\n\
    [[lifecycle.preStop]]\nname = \"pause\"\nsleep.seconds = 3.5\n\
    [lifecycle.postStop]\nexec.command = [\"a\\\"b\"]\ntimeoutSeconds = 2\n";

#[test]
fn the_effective_configuration_is_toml_with_origins() {
    let mut sources = file(NGINX);
    sources.env = variables(&[("BOOKEND_LOG_LEVEL", "Info")]);
    assert_eq!(
        accept(&sources).to_toml().replace("\n[otel]\nenabled = false  # default\n", ""),
        "terminationGracePeriodSeconds = 30  # bookend.toml:1
terminationMessagePath = \"/dev/termination-log\"  # default
terminationMessageBytes = 1024  # default
socket = \"/run/bookend.sock\"  # default

[app]
command = [\"nginx\"]  # bookend.toml:3
stopSignals = [\"SIGTERM\", \"SIGINT\", \"SIGQUIT\"]  # default
signals.SIGHUP = \"ignore\"  # bookend.toml:4
signalScope = \"Process\"  # default
notify = false  # default
stopIsSuccess = false  # default

[[lifecycle.preStop]]  # bookend.toml:5
name = \"pause\"  # bookend.toml:6
sleep.seconds = 3.5  # bookend.toml:7
retries = 0  # default
backoffSeconds = 1  # default
failurePolicy = \"Fail\"  # default

[[lifecycle.postStop]]  # bookend.toml:8
exec.command = [\"a\\\"b\"]  # bookend.toml:9
timeoutSeconds = 2  # bookend.toml:10
retries = 0  # default
backoffSeconds = 1  # default
failurePolicy = \"Fail\"  # default
on = [\"Completed\", \"Failed\", \"Stopped\"]  # default

[log]
format = \"Text\"  # default
level = \"Info\"  # BOOKEND_LOG_LEVEL
"
    );
}

#[test]
fn the_effective_configuration_reads_back_as_itself() {
    let effective = accept(&file(NGINX));
    let again = accept(&file(&effective.to_toml()));
    // The second text sets the defaults: where a value comes from differs, the values do not.
    assert_eq!(again.settings.lifecycle, effective.settings.lifecycle);
    assert_eq!(again.to_toml().lines().count(), effective.to_toml().lines().count());
}

#[test]
fn the_weaker_of_two_stop_signals_is_marked() {
    let weak = "lifecycle.stopSignal = \"SIGINT\"\n[app]\ncommand = [\"a\"]\n";
    assert!(!accept(&file(weak)).to_toml().contains("not in effect"));
    let both = accept(&file(&format!("{weak}stopSignal = \"SIGTERM\"\n"))).to_toml();
    let line = "\n[lifecycle]\nstopSignal = \"SIGINT\"  # bookend.toml:1; not in effect: app.stopSignal is stronger\n";
    assert!(both.contains(line), "{both}");
    let web = "http.listen = \"0.0.0.0:1\"\n[containers.web]\nstopSignal = \"SIGTERM\"\nprocess.executable = \"nginx\"\n\
        lifecycle.stopSignal = \"SIGINT\"\n";
    let both = accept(&file(web)).to_toml();
    assert!(both.contains("# bookend.toml:5; not in effect: containers.web.stopSignal is stronger"), "{both}");
}

#[test]
fn check_prints_toml_as_a_whole() {
    let effective = accept(&file(NGINX));
    accept(&file(&effective.to_string()));
    assert!(effective.to_string().contains("# time budget of a stop: 30 s"), "{effective}");
}

#[test]
fn a_stop_that_fits_is_a_table_without_warnings() {
    let budget = accept(&file(NGINX)).budget();
    assert_eq!(budget.warnings, Vec::<String>::new());
    assert_eq!(
        budget.to_string(),
        "time budget of a stop: 30 s (terminationGracePeriodSeconds)
stage     step                        begins by  takes at most  fits
preStop   pause                             0 s          3.5 s  yes
stop      stop signal to the app          3.5 s       the rest  yes
stop      SIGKILL if it still runs       27.5 s            0 s  yes
postStop  postStop[0]                    27.9 s            2 s  yes
finish    report and exit                29.9 s          0.1 s  yes
"
    );
}

#[test]
fn a_handler_that_cannot_fit_is_a_warning() {
    let text = "terminationGracePeriodSeconds = 10\n\
                [[lifecycle.preStop]]\nname = \"drain\"\nexec.command = [\"a\"]\ntimeoutSeconds = 20\n\
                [lifecycle.postStop]\nsleep.seconds = 3";
    let budget = accept(&file(text)).budget();
    assert_eq!(
        budget.warnings,
        [
            "preStop drain may need until 20 s, but is ended at 6.5 s",
            "postStop postStop[0] may need until 11.9 s, but is ended at 9.9 s",
        ]
    );
    assert!(budget.to_string().contains("  NO\n"), "{budget}");
}

#[test]
fn a_drain_outside_of_pre_stop_is_a_warning() {
    let text = "lifecycle.preStop.drain = {}\nlifecycle.postStop = { name = \"late\", drain = {} }";
    let warning = "lifecycle.postStop.drain: a drain only waits here; it keeps the app serving only in preStop | ";
    assert_eq!(warnings(&file(text)), [warning]);
    let printed = accept(&file(text)).to_string();
    assert!(printed.contains("# warning: lifecycle.postStop.drain: a drain only waits here"), "{printed}");
    assert!(printed.ends_with("^^^^^\n"), "{printed}");
}

#[test]
fn a_handler_without_a_limit_takes_what_is_left() {
    let text = "terminationGracePeriodSeconds = 10\nlifecycle.preStop.exec.command = [\"a\"]";
    let budget = accept(&file(text)).budget();
    assert_eq!(budget.warnings, Vec::<String>::new());
    let (pre_stop, signal) = (&budget.stages[0], &budget.stages[1]);
    assert_eq!((pre_stop.at_most, pre_stop.begins_by), (None, Some(Duration::ZERO)));
    assert_eq!(signal.begins_by, Some(Duration::from_millis(7500)));
}

#[test]
fn without_a_grace_period_there_is_no_deadline() {
    let budget = accept(&file("lifecycle.preStop.sleep.seconds = 100")).budget();
    assert_eq!(budget.warnings, Vec::<String>::new());
    assert!(budget.to_string().starts_with("terminationGracePeriodSeconds is not set"), "{budget}");
}

#[test]
fn deadlines_are_ordered_and_within_the_grace_period() {
    let settings = accept(&file("lifecycle.postStop = { sleep.seconds = 1, timeoutSeconds = 60 }")).settings;
    for grace in (0..200).map(|n| Duration::from_millis(n * n * 17)) {
        let d = Deadlines::of(grace, &settings.lifecycle.post_stop);
        let order = [d.pre_stop, d.kill, d.post_stop_begin, d.post_stop, d.grace];
        assert!(order.is_sorted(), "{grace:?}: {order:?}");
    }
}

#[test]
fn variables_keep_their_order_and_secrets_are_masked() {
    let text = "[app.env]\nZ = \"1\"\nA = \"$(Z)\"\nDB_PASSWORD = \"hunter2\"\nTOKEN.valueFrom.file = \"/t\"\n\
                P.valueFrom = { file = \"/p\", prefix = \"hunter2\" }\n";
    let printed = accept(&file(text)).to_toml();
    let lines: Vec<&str> = printed.lines().filter(|line| line.starts_with("env.")).collect();
    assert_eq!(
        lines,
        [
            "env.Z = \"1\"  # bookend.toml:2",
            "env.A = \"$(Z)\"  # bookend.toml:3",
            "env.DB_PASSWORD = \"********\"  # bookend.toml:4",
            "env.TOKEN = { valueFrom.file = \"/t\" }  # bookend.toml:5",
            "env.P = { valueFrom.file = \"/p\", valueFrom.prefix = \"********\" }  # bookend.toml:6",
        ]
    );
}

#[test]
fn a_sidecars_stop_has_each_app_and_no_sigkill() {
    let text = "terminationGracePeriodSeconds = 30\n\
                [containers.web]\nstopSignal = \"SIGQUIT\"\nprocess.executable = \"nginx\"\n\
                lifecycle.preStop = { name = \"drain\", drain = { maxSeconds = 15 } }\n\
                [containers.queue.lifecycle]\npostStop = { sleep.seconds = 1, timeoutSeconds = 2 }\n";
    let effective = accept(&file(text));
    assert_eq!(effective.budget().warnings, Vec::<String>::new());
    assert_eq!(
        effective.budget().to_string(),
        "time budget of a stop: 30 s (terminationGracePeriodSeconds)
stage     step                                              begins by  takes at most  fits
stop      queue: the kubelet's stop signal to the app             0 s       the rest  yes
postStop  queue: postStop[0]                                   27.5 s            1 s  yes
preStop   web: drain                                              0 s           15 s  yes
stop      web: SIGQUIT to the app, then wait for its end         15 s       the rest  yes
finish    report and exit                                      29.9 s          0.1 s  yes
"
    );
    // The printed text can be read back.
    let printed = effective.to_string();
    assert_eq!(accept(&file(&printed)).settings.containers, effective.settings.containers, "{printed}");
    assert!(!printed.contains("notify"), "a sidecar has no app of its own to have defaults for: {printed}");
}

#[test]
fn an_exec_probe_within_the_quiet_time_is_a_warning() {
    let budget = |probe: &str| {
        let text = format!("lifecycle.preStop.drain = {{}}\n[readinessProbe]\n{probe}");
        accept(&file(&text)).budget().warnings
    };
    let found = budget("periodSeconds = 2\nexec.command = [\"curl\", \"http://localhost\"]");
    assert!(found.len() == 1 && found[0].contains("readinessProbe runs a program within quietSeconds"), "{found:?}");
    assert_eq!(budget("periodSeconds = 2\nhttpGet.port = 80"), Vec::<String>::new());
    assert_eq!(budget("periodSeconds = 3\nexec.command = [\"true\"]"), Vec::<String>::new());
}

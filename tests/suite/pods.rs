//! Pods acted out with real namespaces: an unmodified app and `bookend sidecar` beside it, each in a mount namespace of
//! its own, in one network namespace, with separate PID namespaces or a shared one whose PID 1 is `bookend pause`. The
//! test acts as the kubelet: hooks and signals in its order, over the pod's network.

mod pod;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::signals::assert_idle;
use crate::support::{bookend, copy_program, wait_until};
use pod::{MARK, PORT, PROCESS, Pids, Pod, STOP_SIGNAL, config};

#[test]
fn a_native_sidecar_delays_the_stop_signal_for_its_handlers() {
    for pids in [Pids::Own, Pids::Shared] {
        let test = "a_native_sidecar_delays_the_stop_signal_for_its_handlers";
        let Some(pod) = Pod::new(test, pids) else { return };
        let mut sidecar = pod.sidecar(&format!("terminationGracePeriodSeconds = 20\n{}", config(&pod, "")));
        let mut app = pod.app();
        pod.hook("/lifecycle/postStart").unwrap();
        pod.hook("/lifecycle/preStop").unwrap();
        assert!(!app.has_ended(), "only the kubelet sends the stop signal");
        app.signal(15);
        assert_eq!(app.end().code(), 0);
        assert!(!sidecar.has_ended(), "it exits on no hook");
        sidecar.signal(15);
        let finished = sidecar.end();
        assert_eq!(finished.code(), 0, "{}", finished.log);
        assert_eq!(pod.order(), ["app up", "greeted", "prepared", "app TERM", "over"], "{pids:?}: {}", finished.log);
    }
}

#[test]
fn in_shared_pids_the_sidecar_sends_the_stop_signal() {
    let test = "in_shared_pids_the_sidecar_sends_the_stop_signal";
    let Some(pod) = Pod::new(test, Pids::Shared) else { return };
    let message = pod.folder.write("message", "");
    let config = format!(
        "terminationGracePeriodSeconds = 20\nterminationMessagePath = {message:?}\n{}",
        config(&pod, STOP_SIGNAL)
    );
    let mut sidecar = pod.sidecar(&config);
    let mut app = pod.app();
    // This is another container, whose command line does not match; the pod ends with it.
    let unrelated = pod.container(&["sleep", "1000"]);
    pod.hook("/lifecycle/postStart").unwrap();
    pod.hook("/lifecycle/preStop").unwrap();
    wait_until("the app has ended", || app.has_ended());
    assert_eq!(app.end().code(), 0);
    pod.wait_for_order("over");
    assert_eq!(pod.order(), ["app up", "greeted", "prepared", "app QUIT", "over"], "{}", sidecar.init.log());
    sidecar.init.wait_for_log("the stop of an app is over: stopped by the preStop hook in ");
    for stage in ["preStop done", "SIGQUIT sent to the app", "app has ended", "postStop done"] {
        sidecar.init.wait_for_log(stage);
    }
    assert!(!unrelated.has_ended() && pod.pause_pid().is_some(), "unrelated processes are let alone");
    sidecar.signal(15);
    let finished = sidecar.end();
    assert_eq!(finished.code(), 0);
    // The kubelet signals the sidecar when the app has ended: its report and its message tell the whole stop.
    let (message, _) = crate::termination_message::read_message(&message);
    for line in ["stopped by the preStop hook and SIGTERM in ", "s  SIGQUIT sent to the app", "s  app has ended"] {
        assert!(message.contains(line) && finished.log.contains(line), "{line}: {message}\n{}", finished.log);
    }
    assert_eq!(pod.order().len(), 5, "postStop runs once");
    assert!(!unrelated.has_ended() && pod.pause_pid().is_some(), "unrelated processes are let alone");
}

#[test]
fn a_crash_of_the_app_runs_post_stop_and_its_restart_is_a_new_life() {
    let test = "a_crash_of_the_app_runs_post_stop_and_its_restart_is_a_new_life";
    let Some(pod) = Pod::new(test, Pids::Shared) else { return };
    let mut sidecar = pod.sidecar(&format!("terminationGracePeriodSeconds = 20\n{}", config(&pod, "")));
    for life in 1..=2 {
        let mut app = pod.app();
        pod.hook("/lifecycle/postStart").unwrap();
        if life == 1 {
            app.signal(10);
            assert_eq!(app.end().code(), 3);
            pod.wait_for_order("over");
            assert_eq!(pod.order(), ["app up", "greeted", "app CRASH", "over"], "{}", sidecar.init.log());
            continue;
        }
        pod.hook("/lifecycle/preStop").unwrap();
        app.signal(15);
        assert_eq!(app.end().code(), 0);
        pod.wait_for_order("app TERM");
    }
    sidecar.signal(15);
    assert_eq!(sidecar.end().code(), 0);
    let order = pod.order();
    assert_eq!(order[4..], ["app up", "greeted", "prepared", "app TERM", "over"], "{}", sidecar.init.log());
}

#[test]
fn without_a_shared_namespace_a_repeated_post_start_is_a_new_life() {
    let test = "without_a_shared_namespace_a_repeated_post_start_is_a_new_life";
    let Some(pod) = Pod::new(test, Pids::Own) else { return };
    let mut sidecar = pod.sidecar(&format!("terminationGracePeriodSeconds = 20\n{}", config(&pod, "")));
    for _ in 0..2 {
        let mut app = pod.app();
        pod.hook("/lifecycle/postStart").unwrap();
        pod.hook("/lifecycle/preStop").unwrap();
        app.signal(15);
        app.end();
    }
    sidecar.signal(15);
    assert_eq!(sidecar.end().code(), 0);
    let order = pod.order();
    assert_eq!(order.iter().filter(|expected| *expected == "prepared").count(), 2, "{order:?}");
    assert_eq!(order.iter().filter(|expected| *expected == "greeted").count(), 2, "{order:?}");
    assert_eq!(order.last().map(String::as_str), Some("over"), "{order:?}");
}

#[test]
fn a_killed_sidecar_breaks_the_hook_and_recovers() {
    for pids in [Pids::Own, Pids::Shared] {
        let test = "a_killed_sidecar_breaks_the_hook_and_recovers";
        let Some(pod) = Pod::new(test, pids) else { return };
        let mut config = format!("terminationGracePeriodSeconds = 20\n{}", config(&pod, ""));
        config = config.replace("sleep 0.3;", &format!("test -e {}/back ||  sleep 1000;", pod.folder.shown()));
        let mut sidecar = pod.sidecar(&config);
        let mut app = pod.app();
        pod.hook("/lifecycle/postStart").unwrap();
        let broken = std::thread::scope(|scope| {
            let hook = scope.spawn(|| pod.hook("/lifecycle/preStop"));
            wait_until("the handler runs", || pod.status().contains("\"preStop"));
            sidecar.signal(9);
            hook.join().unwrap()
        });
        assert!(broken.is_err(), "a kubelet sees a failed hook, and goes on: {broken:?}");
        // unshare(1) exits with 1 if its child was killed.
        assert_ne!(sidecar.end().code(), 0);
        assert!(!app.has_ended());
        fs::write(pod.folder.path("back"), "").unwrap();
        let mut sidecar = pod.sidecar(&config);
        pod.hook("/lifecycle/preStop").unwrap();
        app.signal(15);
        assert_eq!(app.end().code(), 0);
        sidecar.signal(15);
        assert_eq!(sidecar.end().code(), 0);
        assert_eq!(pod.order(), ["app up", "greeted", "prepared", "app TERM", "over"], "{pids:?}");
    }
}

#[test]
fn an_ordinary_sidecar_answers_the_hook_before_it_ends() {
    for (pids, before) in [(Pids::Own, "hook"), (Pids::Own, "signal"), (Pids::Shared, "hook"), (Pids::Shared, "signal")]
    {
        let test = "an_ordinary_sidecar_answers_the_hook_before_it_ends";
        let Some(pod) = Pod::new(test, pids) else { return };
        let mut sidecar = pod.sidecar(&format!("terminationGracePeriodSeconds = 20\n{}", config(&pod, "")));
        let mut app = pod.app();
        pod.hook("/lifecycle/postStart").unwrap();
        std::thread::scope(|scope| {
            if before == "signal" {
                sidecar.signal(15);
            }
            let hook = scope.spawn(|| pod.hook("/lifecycle/preStop"));
            if before == "hook" {
                wait_until("the handlers run", || pod.status().contains("\"stoppedBy\""));
                sidecar.signal(15);
            }
            hook.join().unwrap().unwrap();
        });
        app.signal(15);
        assert_eq!(app.end().code(), 0);
        let finished = sidecar.end();
        assert_eq!(finished.code(), 0, "{}", finished.log);
        let order = pod.order();
        let of_app: Vec<&str> = order.iter().map(String::as_str).filter(|expected| *expected != "over").collect();
        assert_eq!(of_app, ["app up", "greeted", "prepared", "app TERM"], "{pids:?}, {before} first: {}", finished.log);
        assert!(order.contains(&"over".to_owned()), "{}", finished.log);
        if pids == Pids::Shared {
            assert_eq!(order.last().map(String::as_str), Some("over"), "the app was seen to end first");
        }
    }
}

#[test]
fn an_app_killed_during_its_hook_leaves_nothing_hanging() {
    for pids in [Pids::Own, Pids::Shared] {
        let test = "an_app_killed_during_its_hook_leaves_nothing_hanging";
        let Some(pod) = Pod::new(test, pids) else { return };
        let before = if pids == Pids::Shared { STOP_SIGNAL } else { "" };
        let mut sidecar = pod.sidecar(&format!("terminationGracePeriodSeconds = 20\n{}", config(&pod, before)));
        let mut app = pod.app();
        pod.hook("/lifecycle/postStart").unwrap();
        let began = Instant::now();
        std::thread::scope(|scope| {
            let hook = scope.spawn(|| pod.hook("/lifecycle/preStop"));
            wait_until("the handlers run", || pod.status().contains("\"stoppedBy\""));
            app.signal(9);
            // The hook is answered or its connection breaks: a kubelet goes on in either case.
            let _ = hook.join().unwrap();
        });
        assert_ne!(app.end().code(), 0);
        sidecar.signal(15);
        let finished = sidecar.end();
        assert_eq!(finished.code(), 0, "{}", finished.log);
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}\n{}", began.elapsed(), finished.log);
        let order = pod.order();
        assert_eq!(order.iter().filter(|expected| *expected == "over").count(), 1, "{order:?}\n{}", finished.log);
    }
}

#[test]
fn a_hung_handler_holds_the_app_within_the_budget() {
    let test = "a_hung_handler_holds_the_app_within_the_budget";
    let Some(pod) = Pod::new(test, Pids::Shared) else { return };
    let config = config(&pod, "").replace("sleep 0.3;", "sleep 1000;");
    let mut sidecar = pod.sidecar(&format!("terminationGracePeriodSeconds = 4\n{config}"));
    let mut app = pod.app();
    pod.hook("/lifecycle/postStart").unwrap();
    let began = Instant::now();
    let _ = pod.hook("/lifecycle/preStop");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}\n{}", began.elapsed(), sidecar.init.log());
    app.signal(15);
    assert_eq!(app.end().code(), 0);
    sidecar.signal(15);
    assert_eq!(sidecar.end().code(), 0);
    assert_eq!(pod.order(), ["app up", "greeted", "app TERM", "over"]);
}

#[test]
fn two_candidate_processes_are_named_and_not_signalled() {
    let test = "two_candidate_processes_are_named_and_not_signalled";
    let Some(pod) = Pod::new(test, Pids::Shared) else { return };
    let config = format!("terminationGracePeriodSeconds = 3\n{}", config(&pod, STOP_SIGNAL));
    let (app, other) = (pod.app(), pod.app());
    let mut sidecar = pod.sidecar(&config);
    sidecar.init.wait_for_log("2 processes may be the app's main process");
    pod.hook("/lifecycle/preStop").unwrap();
    assert!(!app.has_ended() && !other.has_ended());
    sidecar.signal(15);
    assert_eq!(sidecar.end().code(), 0);
    assert!(!app.has_ended() && !other.has_ended());
    assert!(pod.order().contains(&"prepared".to_owned()));
}

#[test]
fn with_hidepid_the_sidecar_reports_it_and_answers_hooks() {
    let test = "with_hidepid_the_sidecar_reports_it_and_answers_hooks";
    let Some(pod) = Pod::new(test, Pids::Shared) else { return };
    let app = pod.app();
    let config = format!("http.listen = \"0.0.0.0:{PORT}\"\n{}", config(&pod, ""));
    let config = pod.folder.write("bookend.toml", &config);
    // A directory in which another user may execute and write files.
    let binary = pod.folder.path("bookend");
    copy_program(bookend(), &binary);
    fs::set_permissions(pod.folder.path("order"), fs::Permissions::from_mode(0o666)).unwrap();
    let script = "mount -t proc -o hidepid=2 proc /proc && \
                  exec setpriv --reuid 65532 --regid 65532 --clear-groups \"$0\" sidecar -c \"$1\"";
    let command = ["sh", "-c", script, binary.to_str().unwrap(), config.to_str().unwrap()];
    let mut sidecar = pod.container(&command);
    sidecar.init.wait_for_log("other users' processes are hidden");
    pod.hook("/lifecycle/preStop").unwrap();
    assert!(!app.has_ended() && pod.order().contains(&"prepared".to_owned()));
    sidecar.signal(15);
    assert_eq!(sidecar.end().code(), 0);
    assert!(!app.has_ended());
}

#[test]
fn two_apps_in_one_pod_have_their_own_hooks_and_their_own_signals() {
    let test = "two_apps_in_one_pod_have_their_own_hooks_and_their_own_signals";
    let Some(pod) = Pod::new(test, Pids::Shared) else { return };
    let set = |name: &str, signal: &str| {
        let process = format!("process.commandLine = \"the-app-itself-{name}\"\nstopSignal = \"{signal}\"\n");
        format!(
            "[containers.{name}]\n{process}[[containers.{name}.lifecycle.preStop]]\n{}\
             [[containers.{name}.lifecycle.postStop]]\n{}",
            pod.handler(&format!("{name} prepared"), ""),
            pod.handler(&format!("{name} over"), ""),
        )
    };
    let config = format!("terminationGracePeriodSeconds = 20\n{}{}", set("web", "SIGQUIT"), set("queue", "SIGTERM"));
    let mut sidecar = pod.sidecar(&config);
    let (mut web, mut queue) = (pod.app_called("web"), pod.app_called("queue"));
    pod.hook("/lifecycle/web/preStop").unwrap();
    assert_eq!(web.end().code(), 0);
    pod.wait_for_order("web over");
    assert_eq!(pod.order()[2..], ["web prepared", "web QUIT", "web over"], "{}", sidecar.init.log());
    assert!(!queue.has_ended());
    pod.hook("/lifecycle/queue/preStop").unwrap();
    assert_eq!(queue.end().code(), 0);
    pod.wait_for_order("queue over");
    assert_eq!(pod.order()[5..], ["queue prepared", "queue TERM", "queue over"], "{}", sidecar.init.log());
    sidecar.signal(15);
    assert_eq!(sidecar.end().code(), 0);
}

#[test]
fn orphaned_workers_are_not_taken_for_the_app() {
    let test = "orphaned_workers_are_not_taken_for_the_app";
    let Some(pod) = Pod::new(test, Pids::Shared) else { return };
    let mut sidecar = pod.sidecar(&format!("terminationGracePeriodSeconds = 3\n{}", config(&pod, STOP_SIGNAL)));
    let order = pod.folder.path("order");
    // The worker reports every signal it gets; its command line has the mark, as its master's has.
    let worker = format!("trap 'echo worker got it >> {order:?}' TERM QUIT; : {MARK}; while :; do sleep 0.02; done");
    let master = format!("sh -c \"$0\" & echo up; : {MARK}; while :; do sleep 0.02; done");
    let mut app = pod.container(&["sh", "-c", &master, &worker]);
    app.init.wait_for_out("up");
    sidecar.init.wait_for_log("the app's process is found");
    app.signal(9);
    assert_ne!(app.end().code(), 0);
    pod.wait_for_order("over");
    pod.hook("/lifecycle/preStop").unwrap();
    sidecar.signal(15);
    let finished = sidecar.end();
    assert_eq!(finished.code(), 0, "{}", finished.log);
    assert_eq!(finished.log.matches("the app's process is found").count(), 1, "{}", finished.log);
    assert!(!pod.order().contains(&"worker got it".to_owned()), "{:?}", pod.order());
}

/// A handler that signals the app, and one that prints why the app ended.
fn signals_and_tells(pod: &Pod) -> String {
    let expected = pod.handler("$BOOKEND_REASON $BOOKEND_TRIGGER", "");
    format!(
        "[app]\n{PROCESS}{STOP_SIGNAL}[[lifecycle.preStop]]\nsignal.name = \"SIGHUP\"\n[[lifecycle.postStop]]\n{expected}"
    )
}

#[test]
fn a_handlers_signal_reaches_the_app_of_another_container() {
    let test = "a_handlers_signal_reaches_the_app_of_another_container";
    let Some(pod) = Pod::new(test, Pids::Shared) else { return };
    let sidecar = pod.sidecar(&signals_and_tells(&pod));
    let mut app = pod.app();
    pod.hook("/lifecycle/preStop").unwrap();
    assert_eq!(app.end().code(), 0, "it was the sidecar's signal that ended it");
    pod.wait_for_order("Stopped the preStop hook");
    assert_eq!(pod.order(), ["app up", "app HUP", "app QUIT", "Stopped the preStop hook"], "{}", sidecar.init.log());
}

#[test]
fn without_hook_calls_the_stop_signal_runs_the_handlers() {
    let test = "without_hook_calls_the_stop_signal_runs_the_handlers";
    let Some(pod) = Pod::new(test, Pids::Shared) else { return };
    let mut app = pod.app();
    let mut sidecar = pod.sidecar(&signals_and_tells(&pod));
    sidecar.init.wait_for_log("the app's process is found");
    sidecar.signal(15);
    let finished = sidecar.end();
    assert_eq!((finished.code(), app.end().code()), (0, 0), "{}", finished.log);
    assert_eq!(pod.order(), ["app up", "app HUP", "app QUIT", "Stopped SIGTERM"], "{}", finished.log);
    assert_eq!(finished.log.matches("stop triggered by").count(), 1, "{}", finished.log);
}

#[test]
fn an_ended_app_is_unknown_and_the_next_one_is_found() {
    let test = "an_ended_app_is_unknown_and_the_next_one_is_found";
    let Some(pod) = Pod::new(test, Pids::Shared) else { return };
    let expected = pod.handler("$BOOKEND_CONTAINER $BOOKEND_REASON", "");
    let sidecar = pod.sidecar(&format!("[containers.web]\n{PROCESS}[[containers.web.lifecycle.postStop]]\n{expected}"));
    for life in 1..=2 {
        let mut app = pod.app();
        wait_until("it is found", || sidecar.init.log().matches("the app's process is found").count() == life);
        app.signal(9);
        app.end();
        wait_until("postStop has run", || pod.order().iter().filter(|line| *line == "web Unknown").count() == life);
    }
}

#[test]
fn watching_a_process_costs_no_wake_up() {
    let Some(pod) = Pod::new("watching_a_process_costs_no_wake_up", Pids::Shared) else { return };
    let _app = pod.app();
    let sidecar = pod.sidecar(&format!("[app]\n{PROCESS}"));
    sidecar.init.wait_for_log("the app's process is found");
    assert_idle(sidecar.pid());
}

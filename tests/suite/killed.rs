//! SIGKILL at each system call of a start and of a stop: the termination message and the state file are complete and correct, however
//! far they have come.

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::start_up::Traced;
use crate::support::{Folder, Init, wait_until};
use crate::termination_message::read_message;

/// A folder for the files that outlive bookend, and the configuration that names them.
fn files() -> (Folder, String) {
    let folder = Folder::new();
    folder.write("message", "");
    let config = format!(
        "app.pdeathSignal = \"SIGKILL\"\nsocket = \"None\"\nterminationGracePeriodSeconds = 30\nterminationMessagePath = \"{0}/message\"\n\
         stateFile = \"{0}/state\"\nlifecycle.preStop.sleep.seconds = 0.02\nlifecycle.postStop.exec.command = [\"true\"]\n",
        folder.shown()
    );
    (folder, config)
}

/// The stage in the state file, or nothing. Panics if the line is torn.
fn stage(files: &Folder) -> String {
    let text = std::fs::read_to_string(files.path("state")).unwrap_or_default();
    if text.is_empty() {
        return text;
    }
    let words: Vec<_> = text.trim_end().split(' ').collect();
    let &[magic, version, stage, _, at, sum] = words.as_chunks::<6>().0.first().expect("six words");
    assert!(words.len() == 6 && magic == "bookend-life" && version == "1", "torn: {text:?}");
    assert!(at.ends_with('Z') && sum.len() == 16 && text.contains('\n'), "torn: {text:?}");
    stage.to_owned()
}

#[test]
fn a_start_that_is_killed_at_any_call_leaves_whole_files() {
    let mut seen = Vec::new();
    for point in 0.. {
        let (files, config) = files();
        let mut traced = Traced::start(&config, &["sleep", "1000"]);
        for _ in 0..point {
            traced.next_call(|_| {}).expect("it has not ended");
        }
        kill(traced.pid, Signal::SIGKILL).unwrap();
        wait_until("it has ended", || !traced.init.is_running());
        let stage = stage(&files);
        assert_eq!(files.read("message"), "", "there was no stop");
        assert!(["", "Starting", "Running"].contains(&stage.as_str()), "{stage}");
        let is_over = stage == "Running";
        seen.push(stage);
        if is_over {
            break;
        }
        assert!(point < 1000, "{seen:?}");
    }
    assert!(seen.len() > 20 && seen.iter().any(|stage| stage == "Starting"), "{seen:?}");
}

#[test]
fn a_stop_that_is_killed_at_any_call_leaves_whole_files() {
    let (mut stages, mut heads) = (Vec::new(), Vec::new());
    for point in 0.. {
        let (files, config) = files();
        // bookend is PID 1, so that /proc shows few processes: reading those of a whole machine takes a thousand calls.
        let init = Init::configured_in(Folder::new(), &config, &["--", "sh", "-c", "echo up; exec sleep 1000"]);
        init.wait_for_out("up");
        wait_until("it runs", || stage(&files) == "Running");
        let pid = Pid::from_raw(init.pid());
        let mut traced = Traced::waiting(init, pid);
        kill(pid, Signal::SIGTERM).unwrap();
        let ended = (0..point).any(|_| traced.next_call(|_| {}).is_none());
        if !ended {
            kill(pid, Signal::SIGKILL).unwrap();
            wait_until("it has ended", || {
                let _ = waitpid(pid, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG));
                !traced.init.is_running()
            });
        }
        let stage = stage(&files);
        let text = files.read("message");
        if !text.is_empty() {
            let (text, json) = read_message(&files.path("message"));
            let is_over = text.starts_with("stopped by SIGTERM in ");
            assert!(is_over || text.starts_with("stopping since "), "{text}");
            assert_eq!(is_over, json["exitCode"] == 143, "{text}");
            assert_eq!(json["stoppedBy"], "SIGTERM", "{text}");
        }
        heads.push(text.split_whitespace().take(2).collect::<Vec<_>>().join(" "));
        stages.push(stage);
        if ended {
            break;
        }
        assert!(point < 1000, "{}", stages.len());
    }
    assert_eq!((stages.last().unwrap().as_str(), heads.last().unwrap().as_str()), ("Reported", "stopped by"));
    for expected in ["Running", "Stopping", "Reported"] {
        assert!(stages.iter().any(|stage| stage == expected), "{expected}: {stages:?}");
    }
    for expected in ["", "stopping since"] {
        assert!(heads.iter().any(|head| head == expected), "{expected}: {heads:?}");
    }
    assert!(stages.len() > 30, "{stages:?}");
}

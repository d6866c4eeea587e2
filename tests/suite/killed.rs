//! SIGKILL at each system call of a start and of a stop: the termination message and the state file are complete and correct, however
//! far they have come.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::start_up::Traced;
use crate::support::{Folder, Init, bookend, wait_until};
use crate::termination_message::read_message;

/// A folder for the files that outlive bookend, and the configuration that names them.
fn files() -> (Folder, String) {
    let folder = Folder::new();
    folder.write("message", "");
    let config = format!(
        "app.pdeathSignal = \"SIGKILL\"\nsocket = \"None\"\nterminationGracePeriodSeconds = 30\nterminationMessagePath = \"{0}/message\"\n\
         stateFile = \"{0}/state\"\nlifecycle.preStop.sleep.seconds = 0.02\nlifecycle.postStop.exec.command = [\"touch\", \"{0}/post\"]\n",
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

/// A life that is killed at each system call of its end, and what its files may then contain.
struct Scenario {
    /// `None`: that of all tests.
    binary: Option<PathBuf>,
    env: &'static [(&'static str, &'static str)],
    /// Before the configuration of [`files`].
    args: &'static [&'static str],
    config: String,
    app: &'static [&'static str],
    /// A signal to bookend, or else the file `go` for the app.
    signal: Option<Signal>,
    /// The beginning of the first line of an unfinished and of a finished message.
    heads: [&'static str; 2],
    exit_code: i64,
    /// Stages of the state file that must be seen.
    stages: &'static [&'static str],
}

const STOPS: Scenario = Scenario {
    binary: None,
    env: &[],
    args: &[],
    config: String::new(),
    app: &["--", "sh", "-c", "echo up; exec sleep 1000"],
    signal: Some(Signal::SIGTERM),
    heads: ["stopping since ", "stopped by SIGTERM in "],
    exit_code: 143,
    stages: &["Running", "Stopping", "Reported"],
};

/// Ends the other threads when one of them has panicked.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Scenario {
    /// Kills it at this call. Returns the stage, the message, and whether it ended by itself before that call.
    fn killed_at(&self, point: usize) -> (String, String, bool) {
        let (files, config) = files();
        let config = if self.args.is_empty() { format!("{config}{}", self.config) } else { self.config.clone() };
        let config = config.replace("{F}", files.shown());
        // bookend is PID 1, so that /proc shows few processes: reading those of a whole machine takes a thousand calls.
        let app: Vec<String> = self.app.iter().map(|word| word.replace("{F}", files.shown())).collect();
        let app: Vec<&str> = app.iter().map(String::as_str).collect();
        let init = if self.args.is_empty() {
            Init::of_binary(self.binary.as_ref().unwrap_or(&bookend()), Folder::new(), self.env, &config, &app)
        } else {
            let folder = Folder::new();
            let path = folder.write("bookend.toml", &config);
            Init::in_folder(folder, &[self.args, &["-c", path.to_str().unwrap()]].concat())
        };
        if self.args.is_empty() {
            init.wait_for_out("up");
            wait_until("it runs", || stage(&files) == "Running");
        } else {
            init.wait_for_log("answering hooks");
        }
        let pid = Pid::from_raw(init.pid());
        let mut traced = Traced::waiting(init, pid);
        match self.signal {
            Some(signal) => kill(pid, signal).unwrap(),
            None => drop(files.write("go", "")),
        }
        let has_ended = (0..point).any(|_| traced.next_call(|_| {}).is_none());
        if !has_ended {
            kill(pid, Signal::SIGKILL).unwrap();
            wait_until("it has ended", || {
                let _ = waitpid(pid, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG));
                !traced.init.is_running()
            });
        }
        let text = files.read("message");
        if !text.is_empty() {
            let (text, json) = read_message(&files.path("message"));
            let is_over = text.starts_with(self.heads[1]);
            assert!(is_over || text.starts_with(self.heads[0]), "{text}");
            assert_eq!(is_over, json.get("exitCode") == Some(&self.exit_code.into()), "{text}");
            // A stage that it reports was reached.
            assert!(!text.contains("postStop done") || files.path("post").exists(), "{text}");
        }
        let stage = stage(&files);
        assert!(stage != "PostStopOver" || files.path("post").exists());
        (stage, text, has_ended)
    }

    /// Kills it at each call in turn, four at a time, until it ends by itself before that.
    fn run(&self) {
        let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
        let seen = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let _others_end_after_a_panic = Over(&is_over);
                    while !is_over.load(Ordering::Relaxed) {
                        let point = next.fetch_add(1, Ordering::Relaxed);
                        assert!(point < 2000, "it does not end");
                        let (stage, text, has_ended) = self.killed_at(point);
                        is_over.fetch_or(has_ended, Ordering::Relaxed);
                        seen.lock().unwrap().push((stage, text, has_ended));
                    }
                });
            }
        });
        let seen = seen.into_inner().unwrap();
        let heads: Vec<&str> = seen.iter().map(|(_, text, _)| text.lines().next().unwrap_or_default()).collect();
        // A sidecar without an app has nothing to wait for.
        for expected in self.heads.iter().skip(usize::from(!self.args.is_empty())) {
            assert!(heads.iter().any(|head| head.starts_with(*expected)), "{expected}: {heads:?}");
        }
        for expected in self.stages.iter().filter(|stage| **stage != "Reported") {
            assert!(seen.iter().any(|(stage, ..)| stage == expected), "{expected}: {heads:?}");
        }
        // An exit does not wait longer than a moment for its last write, so a loaded machine may need more than one life for this.
        let is_whole = |(stage, text, has_ended): (String, String, bool)| {
            has_ended && text.starts_with(self.heads[1]) && (self.stages.is_empty() || stage == "Reported")
        };
        assert!((0..50).any(|_| is_whole(self.killed_at(usize::MAX))), "no life has reported its end");
        assert!(seen.len() > 30, "{heads:?}");
    }
}

#[test]
fn a_stop_that_is_killed_at_any_call_leaves_whole_files() {
    STOPS.run();
}

#[test]
fn a_failure_that_is_killed_at_any_call_leaves_whole_files() {
    Scenario {
        config: "app.holdOnFailureSeconds = 0.05\n".to_owned(),
        app: &["--", "sh", "-c", "echo up; until [ -e {F}/go ]; do sleep 0.01; done; exit 7"],
        signal: None,
        heads: ["ending since ", "ended after "],
        exit_code: 7,
        stages: &["Running", "Ending", "PostStopOver", "Reported"],
        ..STOPS
    }
    .run();
}

#[test]
fn a_sidecar_that_is_killed_at_any_call_leaves_a_whole_message() {
    Scenario {
        args: &["sidecar"],
        config: "socket = \"None\"\nhttp.listen = \"127.0.0.1:0\"\nterminationMessagePath = \"{F}/message\"\n"
            .to_owned(),
        exit_code: 0,
        stages: &[],
        ..STOPS
    }
    .run();
}

/// A binary of this build: that of a release does not have the feature.
#[cfg(feature = "otel")]
#[test]
fn a_traced_stop_that_is_killed_at_any_call_leaves_whole_files() {
    Scenario {
        binary: Some(PathBuf::from(env!("CARGO_BIN_EXE_bookend"))),
        // No process listens there: the trace cannot be sent.
        env: &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")],
        config: "otel.enabled = true\n".to_owned(),
        ..STOPS
    }
    .run();
}

#[test]
fn missed_post_stop_never_runs_twice_wherever_its_start_is_killed() {
    let config = |files: &Folder| {
        format!(
            "app.pdeathSignal = \"SIGKILL\"\nsocket = \"None\"\nstateFile = \"{0}/state\"\nlifecycle.postStop = {{ on = [\"Unseen\"], \
             exec.command = [\"sh\", \"-c\", \"echo once >> {0}/left\"] }}\n",
            files.shown()
        )
    };
    // The line of a life that was killed while it ran.
    let before = {
        let (files, config) = files();
        let init = Init::configured_in(Folder::new(), &config, &["--", "sleep", "1000"]);
        wait_until("it runs", || stage(&files) == "Running");
        drop(init);
        files.read("state")
    };
    let mut stages = Vec::new();
    for point in 0.. {
        let files = Folder::new();
        files.write("state", &before);
        let mut traced = Traced::start(&config(&files), &["sleep", "1000"]);
        for _ in 0..point {
            traced.next_call(|_| {}).expect("it has not ended");
        }
        kill(traced.pid, Signal::SIGKILL).unwrap();
        wait_until("it has ended", || !traced.init.is_running());
        // The handler may have survived.
        drop(traced);
        stages.push(stage(&files));
        let finished = Init::configured_in(Folder::new(), &config(&files), &["--", "true"]).finish();
        assert_eq!(finished.code(), 0, "{}", finished.log);
        let runs = std::fs::read_to_string(files.path("left")).unwrap_or_default().lines().count();
        // The life that is killed here has a postStop of its own once it has begun.
        let has_claimed = stages.iter().any(|stage| stage == "CatchingUp");
        let has_begun = has_claimed && stages[point] != "CatchingUp";
        let expected = if !has_claimed {
            1..=1
        } else if has_begun {
            1..=2
        } else {
            0..=1
        };
        assert!(expected.contains(&runs), "{point}: {stages:?}: {runs} runs: {}", finished.log);
        if has_begun && stages[point] == "Running" {
            break;
        }
        assert!(point < 2000, "{stages:?}");
    }
    assert!(stages.len() > 20, "{stages:?}");
}

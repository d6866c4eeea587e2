//! A signal at any point of the start is neither lost nor delivered twice. The test stops bookend at each of its system
//! calls, and between fork and exec of the app, sends every signal, and lets it go on.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::support::{Folder, Init, PATIENCE, PRINTS_SIGNALS, bookend, child_of, free_port, wait_until};

/// Blocks all signals, waits to be traced, and executes its arguments.
const WAITER: &str =
    "use POSIX; sigprocmask(SIG_BLOCK, POSIX::SigSet->new(1..31, 34..64)); kill STOP => $$; exec @ARGV";

/// All signals that are forwarded: not ours (SIGCHLD, and SIGPWR for a stop), and not SIGTTIN and SIGTTOU. SIGCONT discards pending stop signals and the
/// other way round (signal(7)), so they are not sent together.
fn all_but_cont() -> Vec<i32> {
    (1..=8).chain(10..=16).chain([20]).chain(23..=29).chain([31]).chain(34..=64).collect()
}

/// bookend, stopped at a system call.
pub(crate) struct Traced {
    pub(crate) init: Init,
    pub(crate) pid: Pid,
    /// Between the beginning of a system call and its end.
    inside: bool,
    _watchdog: Watchdog,
}

/// Kills a tracee that does not come to its next stop: then waitpid(2), which waits without end, returns, and the test fails.
struct Watchdog(Arc<AtomicBool>);

impl Watchdog {
    fn of(pid: Pid) -> Watchdog {
        let is_over = Arc::new(AtomicBool::new(false));
        let watched = Arc::clone(&is_over);
        std::thread::spawn(move || {
            let end = Instant::now() + PATIENCE;
            while !watched.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(100));
                if Instant::now() > end && !watched.load(Ordering::Relaxed) {
                    let child = child_of(u32::try_from(pid.as_raw()).unwrap()).map(Pid::from_raw);
                    for pid in child.into_iter().chain([pid]) {
                        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
                    }
                    return;
                }
            }
        });
        Watchdog(is_over)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Traced {
    /// At its exec.
    pub(crate) fn start(config: &str, app: &[&str]) -> Traced {
        let folder = Folder::new();
        let path = folder.write("bookend.toml", config);
        let mut command = Command::new("perl");
        command.args(["-e", WAITER]).arg(bookend()).arg("-c").arg(path).arg("--").args(app);
        let init = Init::start(folder, command);
        let pid = Pid::from_raw(init.pid());
        Traced::seize(init, pid)
    }

    /// A bookend that waits for events, stopped there.
    pub(crate) fn waiting(init: Init, pid: Pid) -> Traced {
        let watchdog = Watchdog::of(pid);
        let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACEFORK | Options::PTRACE_O_EXITKILL;
        ptrace::seize(pid, options).unwrap();
        ptrace::interrupt(pid).unwrap();
        wait(pid);
        // The next stop is the end of that call.
        Traced { init, pid, inside: true, _watchdog: watchdog }
    }

    /// The process is a waiter, below the process that was started.
    fn seize(init: Init, pid: Pid) -> Traced {
        let stat = format!("/proc/{pid}/stat");
        wait_until("it waits", || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T ")));
        let watchdog = Watchdog::of(pid);
        let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_TRACEFORK;
        let options = options | Options::PTRACE_O_EXITKILL;
        ptrace::seize(pid, options).unwrap();
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).unwrap();
        while !matches!(wait(pid), WaitStatus::PtraceEvent(_, _, libc::PTRACE_EVENT_EXEC)) {
            ptrace::cont(pid, None).unwrap();
        }
        Traced { init, pid, inside: true, _watchdog: watchdog }
    }

    /// Goes on to the beginning of the next system call and returns it. `None`: it has ended. A child is not traced further; it is
    /// stopped before its exec while `before_exec` looks at it.
    pub(crate) fn next_call(&mut self, mut before_exec: impl FnMut(Pid)) -> Option<libc::c_long> {
        let mut signal = None;
        loop {
            ptrace::syscall(self.pid, signal.take()).unwrap();
            match wait(self.pid) {
                WaitStatus::PtraceEvent(_, _, libc::PTRACE_EVENT_FORK) => {
                    let child = Pid::from_raw(i32::try_from(ptrace::getevent(self.pid).unwrap()).unwrap());
                    wait(child);
                    while call_of(child) != Some(libc::SYS_execve) {
                        ptrace::syscall(child, None).unwrap();
                        wait(child);
                    }
                    before_exec(self.pid);
                    ptrace::detach(child, None).unwrap();
                }
                WaitStatus::PtraceSyscall(_) => {
                    self.inside = !self.inside;
                    // Between the end of one call and the beginning of the next nothing happens that a signal could see.
                    if self.inside {
                        return call_of(self.pid);
                    }
                }
                WaitStatus::Exited(..) | WaitStatus::Signaled(..) => return None,
                // A signal on its way to bookend: the tracer has to pass it on.
                WaitStatus::Stopped(_, delivered) => signal = Some(delivered),
                _ => {}
            }
        }
    }

    /// Goes on to the beginning of this system call of its start. `false`: it began to wait for events before that.
    fn go_to(&mut self, point: usize) -> bool {
        // The number on x86-64, and the only one there is on aarch64.
        let waits = |call| call == libc::SYS_epoll_pwait || call == EPOLL_WAIT;
        (0..=point).all(|_| !waits(self.next_call(|_| {}).expect("it has not ended")))
    }

    /// Lets bookend continue once its app is up, so that a signal that comes twice is seen twice. Returns the signals that came.
    fn go_on_and_count(mut self, signals: &[i32]) {
        while child_of(u32::try_from(self.pid.as_raw()).unwrap()).is_none() {
            self.next_call(|_| {}).unwrap();
        }
        self.init.wait_for_out("up");
        ptrace::detach(self.pid, None).unwrap();
        for signal in signals {
            self.init.wait_for_out(&format!("<{signal}>"));
        }
        // A second delivery would have come before this.
        self.init.signal(64);
        let sent_before = usize::from(signals.contains(&64));
        wait_until("the last one has come", || self.init.out().matches("<64>").count() > sent_before);
        for signal in signals.iter().filter(|signal| **signal != 64) {
            assert_eq!(self.init.out().matches(&format!("<{signal}>")).count(), 1, "signal {signal}");
        }
    }
}

fn wait(pid: Pid) -> WaitStatus {
    waitpid(pid, Some(WaitPidFlag::__WALL)).unwrap()
}

/// The system call it is stopped at.
fn call_of(pid: Pid) -> Option<libc::c_long> {
    syscall_of(pid).split(' ').next()?.parse().ok()
}

/// The same with its arguments: proc_pid_syscall(5).
fn syscall_of(pid: Pid) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default()
}

/// Sends all of them at once.
fn send(pid: Pid, signals: &[i32]) {
    let script = format!(
        "for n in {}; do kill -$n {pid} || exit; done",
        signals.iter().map(i32::to_string).collect::<Vec<_>>().join(" ")
    );
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
}

/// An app that blocks everything, or survives everything, must not outlive its test.
const DIES_WITH_US: &str = "app.pdeathSignal = \"SIGKILL\"\n";

/// A separate signal begins a stop here, so that all other signals go to the app. There is a listener to bind.
fn config() -> String {
    format!(
        "{DIES_WITH_US}app.stopSignals = [\"SIGPWR\"]\nsocket = \"None\"\nhttp.listen = \"127.0.0.1:{}\"\n",
        free_port()
    )
}

/// Starts bookend again and again, until it was stopped at each system call up to its first wait for events.
/// Each run finds that point by itself: the number of calls may differ, for instance with inherited descriptors.
fn at_each_call(config: impl Fn() -> String, app: &[&str], mut stopped: impl FnMut(usize, Traced)) {
    for point in 0.. {
        let mut traced = Traced::start(&config(), app);
        if !traced.go_to(point) {
            ptrace::detach(traced.pid, None).unwrap();
            return assert!(point > 20, "{point}");
        }
        stopped(point, traced);
    }
}

#[cfg(target_arch = "x86_64")]
const EPOLL_WAIT: libc::c_long = libc::SYS_epoll_wait;
#[cfg(not(target_arch = "x86_64"))]
const EPOLL_WAIT: libc::c_long = libc::SYS_epoll_pwait;

#[test]
fn every_signal_arrives_once_at_each_start_system_call() {
    at_each_call(config, &PRINTS_SIGNALS, |point, traced| {
        let signals = if point % 4 == 0 { vec![18] } else { all_but_cont() };
        send(traced.pid, &signals);
        traced.go_on_and_count(&signals);
    });
}

#[test]
fn every_signal_arrives_once_between_fork_and_exec() {
    for signals in [all_but_cont(), vec![18]] {
        let mut traced = Traced::start(&config(), &PRINTS_SIGNALS);
        let mut sent = false;
        while !sent {
            traced
                .next_call(|pid| {
                    send(pid, &signals);
                    sent = true;
                })
                .unwrap();
        }
        traced.go_on_and_count(&signals);
    }
}

#[test]
fn sigrtmin_survives_the_first_thread_of_a_start() {
    // Files are read on a thread, and musl unblocks 34 in us for a moment before it makes its first one.
    let config = config() + "app.env.HOST = { valueFrom.file = \"/etc/hostname\" }\n";
    let traced = Traced::start(&config, &PRINTS_SIGNALS);
    send(traced.pid, &[34]);
    // Not traced any further: nix cannot name a real-time signal that stops a tracee.
    ptrace::detach(traced.pid, None).unwrap();
    traced.init.wait_for_out("<34>");
}

#[test]
fn a_stop_works_at_each_start_system_call() {
    let config = || format!("{DIES_WITH_US}socket = \"None\"");
    at_each_call(config, &["sleep", "1000"], |_, traced| {
        send(traced.pid, &[15]);
        ptrace::detach(traced.pid, None).unwrap();
        // The app is started with everything blocked and never unblocks: only without an app the code is 143.
        wait_until("the stop has come to the app, or there is none", || {
            traced.init.has_ended() || app_has_pending(traced.pid, 15)
        });
    });
}

/// Whether the signal is pending in the app, which blocks it as bookend was started with it blocked.
fn app_has_pending(pid: Pid, signal: u32) -> bool {
    let app = child_of(u32::try_from(pid.as_raw()).unwrap());
    let status = app.and_then(|app| std::fs::read_to_string(format!("/proc/{app}/status")).ok()).unwrap_or_default();
    let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:\t"));
    pending.and_then(|set| u64::from_str_radix(set, 16).ok()).is_some_and(|set| set >> (signal - 1) & 1 == 1)
}

#[test]
fn a_parent_that_died_early_is_noticed() {
    let folder = Folder::new();
    let (config, marker) =
        (folder.write("bookend.toml", "pdeathSignal = \"SIGTERM\"\nsocket = \"None\""), folder.path("marker"));
    let mut parent = Command::new("sh");
    parent.args(["-c", "\"$@\" & wait", "sh", "perl", "-e", WAITER]).arg(bookend()).arg("-c").arg(config);
    parent.args(["--", "touch"]).arg(&marker);
    let init = Init::start(folder, parent);
    let parent = init.pid().unsigned_abs();
    wait_until("the parent has its child", || child_of(parent).is_some());
    let mut traced = Traced::seize(init, Pid::from_raw(child_of(parent).unwrap()));
    let asks = format!("{} 0x1 ", libc::SYS_prctl);
    while !syscall_of(traced.pid).starts_with(&asks) {
        traced.next_call(|_| panic!("bookend starts the app before it checks its parent")).expect("it has not ended");
    }
    traced.init.signal(9);
    // A process whose status was reaped has no children any more.
    traced.init.end();
    ptrace::detach(traced.pid, None).unwrap();
    let bookend = format!("/proc/{}/exe", traced.pid);
    wait_until("it has ended", || std::fs::read_link(&bookend).is_err());
    assert!(!marker.exists(), "the app was started");
}

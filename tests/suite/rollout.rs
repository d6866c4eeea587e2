//! A rollout loses nothing: nginx under bookend, clients that still arrive for one, three and six seconds, always the
//! same configuration. 0 refused, 0 reset, 0 truncated; and the stop takes no longer than it needs.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Finished, Folder, Init, get_as, in_network_of, wait_until};
use bookend_rehearse::load::{Load, Outcome, wait_for_port};
use bookend_test_support::nginx_conf;

/// The trigger of the stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// The stop signal alone.
    Signal,
    /// The kubelet's preStop hook, and the signal after its response.
    Hook,
}

#[derive(Debug, Clone, Copy)]
struct Rollout {
    late: u64,
    by: By,
    /// 5 ms of CPU every 100 ms, for nginx and bookend together.
    throttled: bool,
}

const LOAD: Load =
    Load { port: 80, new: 40, keep_alive: 4, slow: 1, proxied: 3, silent: 3, late: Duration::ZERO, kept_end: false };
/// The profile's.
const MIN: Duration = Duration::from_secs(3);
const QUIET: Duration = Duration::from_secs(2);
/// `/slow`.
const LONGEST: Duration = Duration::from_secs(2);

impl Rollout {
    /// The deviations; empty if there are none.
    fn run(self, felt: &AtomicBool) -> String {
        let folder = Folder::new();
        let dir = folder.shown().to_owned();
        std::fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        folder.write("nginx.conf", &nginx_conf(&dir));
        std::fs::write(folder.path("slow"), vec![b'x'; 400_000]).unwrap();
        let config = format!(
            "terminationGracePeriodSeconds = 30\nhttp.listen = \"0.0.0.0:9797\"\n\
             [app]\nprofile = \"nginx\"\ncommand = [\"nginx\", \"-c\", \"{dir}/nginx.conf\", \"-g\", \"daemon off;\"]"
        );
        let quota = self.throttled.then(Quota::new);
        let prelude = quota.as_ref().map(Quota::enter).unwrap_or_default();
        let mut init = Init::in_a_pod(folder, &config, &prelude, &[]);
        let pid = init.pid();
        wait_for_port(pid, 80);
        let load = Load { late: Duration::from_secs(self.late), ..LOAD }.start(pid);
        wait_until("the load is on", || load.so_far().ok >= 40);
        let over = AtomicBool::new(false);
        let (finished, took) = std::thread::scope(|scope| {
            scope.spawn(|| stall_workers(pid, &over));
            let began = Instant::now();
            load.stop_begins();
            if self.by == By::Hook {
                let answer = in_network_of(pid, || get_as("kube-lifecycle/1.36", 9797, "/lifecycle/preStop"));
                assert!(answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")), "{}", init.log());
            }
            init.signal(15);
            let finished = init.end();
            over.store(true, Ordering::Relaxed);
            (finished, began.elapsed())
        });
        let outcome = load.finish();
        if quota.as_ref().is_some_and(Quota::was_felt) {
            felt.store(true, Ordering::Relaxed);
        }
        self.judge(&finished, took, outcome)
    }

    fn judge(self, finished: &Finished, took: Duration, outcome: Outcome) -> String {
        let mut wrong = Vec::new();
        let counts = outcome.counts;
        if counts.lost() != 0 {
            wrong.push("requests were lost".to_owned());
        }
        if counts.ok_after_stop == 0 {
            wrong.push("no load reached nginx after the stop began".to_owned());
        }
        if !finished.log.contains("only idle connections are left") {
            wrong.push("nginx was not held by the silent connections".to_owned());
        }
        if finished.code() != 0 || finished.log.contains("SIGKILL") {
            wrong.push(format!("exit code {}", finished.code()));
        }
        // A machine that delayed the generator delayed bookend as well, but a lost request is never noise. With a twentieth
        // of a shared processor, no upper limit of the stop is claimed.
        let most =
            MIN.max(Duration::from_secs(self.late) + QUIET) + LONGEST + Duration::from_secs(1) + 2 * outcome.stall;
        if took > most && !self.throttled {
            wrong.push(format!("the stop took {took:?}, more than {most:?}"));
        }
        if wrong.is_empty() { String::new() } else { format!("{self:?}: {wrong:?} {counts:?}\n{}\n", finished.log) }
    }
}

/// Stops nginx' workers for 50 ms, ten times a second, through the whole stop.
fn stall_workers(init: i32, over: &AtomicBool) {
    let parent_of = |pid: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse::<i32>().ok())
    };
    let children = |pid: i32| -> Vec<i32> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    };
    let Some(master) = children(init).first().copied() else { return };
    let workers = children(master);
    while !over.load(Ordering::Relaxed) {
        for signal in [Signal::SIGSTOP, Signal::SIGCONT] {
            for worker in workers.iter().filter(|worker| parent_of(**worker) == Some(master)) {
                // The process may end at this moment.
                let _ = kill(Pid::from_raw(*worker), signal);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A control group with 5 ms of CPU every 100 ms. Dropping it removes it.
pub(crate) struct Quota(PathBuf);

impl Quota {
    pub(crate) fn new() -> Quota {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let name = format!("bookend-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let first = PathBuf::from("/sys/fs/cgroup/cpu");
        if first.exists() {
            let group = first.join(name);
            std::fs::create_dir(&group).unwrap();
            std::fs::write(group.join("cpu.cfs_period_us"), "100000").unwrap();
            std::fs::write(group.join("cpu.cfs_quota_us"), "5000").unwrap();
            return Quota(group);
        }
        let root = PathBuf::from("/sys/fs/cgroup");
        // The write is refused if the controller is on already or not available; the next lines show which.
        let _ = std::fs::write(root.join("cgroup.subtree_control"), "+cpu");
        let group = root.join(name);
        std::fs::create_dir(&group).unwrap();
        std::fs::write(group.join("cpu.max"), "5000 100000").unwrap();
        Quota(group)
    }

    /// Whether this machine allows it.
    pub(crate) fn can_be_had() -> bool {
        std::panic::catch_unwind(|| drop(Quota::new())).is_ok()
    }

    /// Whether it ever throttled a process.
    fn was_felt(&self) -> bool {
        let stat = std::fs::read_to_string(self.0.join("cpu.stat")).unwrap();
        stat.lines().any(|line| line.strip_prefix("nr_throttled ").is_some_and(|count| count != "0"))
    }

    /// Changes it in place, as a kubelet resizes a container.
    #[cfg(feature = "reload")]
    pub(crate) fn double(&self) {
        let first = self.0.join("cpu.cfs_quota_us");
        let (file, value) = if first.exists() { (first, "10000") } else { (self.0.join("cpu.max"), "10000 100000") };
        std::fs::write(file, value).unwrap();
    }

    /// A line of shell that enters it.
    pub(crate) fn enter(&self) -> String {
        format!("echo 0 >{}/cgroup.procs", self.0.display())
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        // The last process may not be reaped yet.
        let end = Instant::now() + Duration::from_secs(5);
        while std::fs::remove_dir(&self.0).is_err() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// All of them at the same time, each in a network of its own.
fn run(throttled: bool) {
    let cases = [1, 3, 6].into_iter().flat_map(|late| [By::Signal, By::Hook].map(|by| Rollout { late, by, throttled }));
    // Whether the quota throttled a process.
    let felt = AtomicBool::new(false);
    let wrong: String = std::thread::scope(|scope| {
        let felt = &felt;
        let running: Vec<_> = cases.map(|case| scope.spawn(move || case.run(felt))).collect();
        running.into_iter().map(|case| case.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(felt.into_inner(), throttled, "the quota did not count");
}

#[test]
fn nginx_loses_nothing_at_any_removal() {
    run(false);
}

#[test]
fn nginx_loses_nothing_with_a_twentieth_of_a_processor() {
    if Quota::can_be_had() {
        run(true);
    } else {
        crate::servers::not_run("nginx_loses_nothing_with_a_twentieth_of_a_processor", "no CPU quota here");
    }
}

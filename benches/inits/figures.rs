//! The measurements. For each figure all inits take turns, so that other load of this machine affects all alike.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::container::{Container, now};
use crate::subjects::{Kind, Subject};

/// The samples of each init, by its name.
pub(crate) type Samples = HashMap<&'static str, Vec<f64>>;

/// How much is measured.
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    pub(crate) signals: usize,
    pub(crate) storms: usize,
    pub(crate) orphans: usize,
    pub(crate) idle: Duration,
}

/// The first rounds fill caches.
const WARM_UP: usize = 5;

/// From the exec of the init to the first instruction of the application's main; microseconds.
pub(crate) fn start_up(subjects: &[Subject], folder: &Path, effort: &Effort) -> Samples {
    in_turns(subjects, effort.rounds, |subject| {
        let container = Container::start(subject, folder, 0);
        let began = container.reported_time("exec")?;
        Some((container.reported_time("main")? - began) as f64 / 1e3)
    })
}

/// From the exec of the init to the first connection that is taken; microseconds. Only bookend has a port.
pub(crate) fn listen(subjects: &[Subject], folder: &Path, effort: &Effort) -> Samples {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let set = format!("http.listen={port}");
    let listeners: Vec<Subject> = subjects
        .iter()
        .filter(|subject| subject.kind == Kind::Configured)
        .map(|subject| {
            let mut command = subject.command.clone();
            command.splice(1..1, ["--set".to_owned(), set.clone()]);
            Subject { command, program: subject.program.clone(), ..*subject }
        })
        .collect();
    in_turns(&listeners, effort.rounds, |subject| {
        let container = Container::start(subject, folder, 0);
        let taken = first_connection(port)?;
        let began = container.reported_time("exec")?;
        container.reported_time("main")?;
        Some((taken - began) as f64 / 1e3)
    })
}

fn first_connection(port: SocketAddr) -> Option<i64> {
    let end = now() + 10_000_000_000;
    while now() < end {
        if TcpStream::connect(port).is_ok() {
            return Some(now());
        }
    }
    None
}

/// From the stop signal to the end of the container; milliseconds. In each round all inits are started, and stopped in
/// turn when the youngest is older than the time in which a kubelet's postStart hook arrives: bookend waits for those.
pub(crate) fn shutdown(subjects: &[Subject], folder: &Path, effort: &Effort) -> Samples {
    let mut samples = Samples::new();
    for round in 0..effort.rounds {
        let mut started: Vec<(&Subject, Container)> = subjects
            .iter()
            .filter(|subject| subject.is_in(round))
            .map(|subject| (subject, Container::start(subject, folder, 0)))
            .filter(|(_, container)| container.reported_time("main").is_some())
            .collect();
        quiet(&started.iter().map(|(_, container)| container).collect::<Vec<_>>(), Duration::from_millis(150));
        // The first one finds a processor that has slept.
        let first = round % started.len().max(1);
        started.rotate_left(first);
        for (subject, container) in &started {
            let began = now();
            kill(container.init, subject.stop).unwrap();
            let took = container.gone().map(|gone| (gone - began) as f64 / 1e6);
            samples.entry(subject.name).or_default().extend(took);
        }
    }
    samples
}

/// The cost and speed of running inits. They all run at the same time, and are asked in turn.
pub(crate) struct Living {
    pub(crate) resident: Samples,
    pub(crate) unshared: Samples,
    pub(crate) dirty: Samples,
    pub(crate) wake_ups: Samples,
    pub(crate) latency: Samples,
    pub(crate) storm: Samples,
    pub(crate) storm_cpu: Samples,
}

pub(crate) fn living(subjects: &[Subject], folder: &Path, effort: &Effort) -> Living {
    let containers: Vec<(&Subject, Container)> = subjects
        .iter()
        .map(|subject| (subject, Container::start(subject, folder, effort.orphans)))
        .filter(|(_, container)| container.reported_time("main").is_some())
        .collect();
    quiet(&containers.iter().map(|(_, container)| container).collect::<Vec<_>>(), Duration::from_millis(500));
    let of = |field: &str| -> Samples {
        let sum = |container: &Container| container.inits().into_iter().map(|pid| rollup(pid, field)).sum();
        with_inits(&containers).map(|(subject, container)| (subject.name, vec![sum(container)])).collect()
    };
    let (resident, unshared, dirty) = (of("Rss"), of("Private_Clean"), of("Private_Dirty"));
    let shared_dirty = of("Shared_Dirty");
    let add = |one: &Samples, two: &Samples| -> Samples {
        one.iter().map(|(name, samples)| (*name, vec![samples[0] + two[name][0]])).collect()
    };
    let before: Vec<u64> = with_inits(&containers).map(|(_, container)| switches(container)).collect();
    std::thread::sleep(effort.idle);
    let wake_ups = with_inits(&containers)
        .zip(before)
        .map(|((subject, container), before)| (subject.name, vec![(switches(container) - before) as f64]))
        .collect();
    let latency = latency(&containers, effort.signals);
    let (storm, storm_cpu) = storms(&containers, effort.storms);
    Living {
        resident,
        unshared: add(&unshared, &dirty),
        dirty: add(&dirty, &shared_dirty),
        wake_ups,
        latency,
        storm,
        storm_cpu,
    }
}

/// From the signal to the init to its arrival in the application; microseconds.
fn latency(containers: &[(&Subject, Container)], signals: usize) -> Samples {
    let mut samples = Samples::new();
    let mut asked: Vec<_> = containers.iter().filter(|(subject, _)| subject.hands_on_signals()).collect();
    for _ in 0..signals {
        // An init that has failed once is not waited for again.
        asked.retain(|(subject, container)| {
            let began = now();
            let arrived = kill(container.init, Signal::SIGUSR1).ok().and_then(|()| container.reported_time("signal"));
            let sample = arrived.map(|arrived| (arrived - began) as f64 / 1e3);
            samples.entry(subject.name).or_default().extend(sample);
            sample.is_some()
        });
    }
    samples
}

/// Orphans that end at the same time: milliseconds until the last one is reaped, and milliseconds of PID 1's processor time.
fn storms(containers: &[(&Subject, Container)], storms: usize) -> (Samples, Samples) {
    let (mut times, mut cpu) = (Samples::new(), Samples::new());
    let mut asked: Vec<_> = containers.iter().filter(|(subject, _)| subject.reaps()).collect();
    for round in 0..storms {
        // An init that has failed once is not waited for again; supervisord takes ten seconds for a storm.
        asked.retain(|(subject, container)| {
            if subject.kind == Kind::Supervisor && round >= 2 {
                return false;
            }
            let before = processor_time(container.init);
            let asked = container.app().and_then(|app| kill(app, Signal::SIGUSR2).ok());
            let took = asked.and_then(|()| container.reported_time("storm")).filter(|took| *took >= 0);
            let spent = processor_time(container.init) - before;
            times.entry(subject.name).or_default().extend(took.map(|took| took as f64 / 1e6));
            cpu.entry(subject.name).or_default().extend(took.map(|_| spent as f64 / 1e6));
            took.is_some()
        });
    }
    (times, cpu)
}

/// The executed files, in kB of 1000 bytes; libraries and interpreters that they load are not counted.
pub(crate) fn sizes(subjects: &[Subject]) -> Samples {
    let of = |subject: &Subject| kilobytes(&subject.program).map(|size| (subject.name, vec![size]));
    subjects.iter().filter_map(of).collect()
}

/// The same of the minimal bookend, if `make build-minimal` has built one.
pub(crate) fn size_minimal() -> Samples {
    let size = std::env::var("MINIMAL_BIN").ok().and_then(|path| kilobytes(&path));
    size.map(|size| ("bookend", vec![size])).into_iter().collect()
}

fn kilobytes(path: &str) -> Option<f64> {
    Some(std::fs::metadata(path).ok()?.len() as f64 / 1e3)
}

fn in_turns(subjects: &[Subject], rounds: usize, measure: impl Fn(&Subject) -> Option<f64>) -> Samples {
    let mut samples = Samples::new();
    for round in 0..rounds + WARM_UP.min(rounds - 1) {
        let is_warm = round >= WARM_UP.min(rounds - 1);
        for subject in subjects.iter().filter(|subject| subject.is_in(round)) {
            let sample = measure(subject);
            if let Some(sample) = sample.filter(|_| is_warm || subject.kind == Kind::Supervisor) {
                samples.entry(subject.name).or_default().push(sample);
            }
        }
    }
    samples
}

/// Waits until none of them has been woken up for this long; those that never stop waking up, for ten times as long.
fn quiet(containers: &[&Container], period: Duration) {
    let woken = || containers.iter().map(|container| switches(container)).sum::<u64>();
    for _ in 0..10 {
        let before = woken();
        std::thread::sleep(period);
        if woken() == before {
            return;
        }
    }
}

/// Without an init the cost is zero.
fn with_inits<'a>(containers: &'a [(&Subject, Container)]) -> impl Iterator<Item = &'a (&'a Subject, Container)> {
    containers.iter().filter(|(subject, _)| subject.kind != Kind::None)
}

/// Context switches of the init's processes, voluntary and not.
fn switches(container: &Container) -> u64 {
    let of = |pid: Pid| -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let lines = status.lines().filter(|line| line.contains("voluntary_ctxt_switches"));
        lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
    };
    container.inits().into_iter().map(of).sum()
}

/// A line of /proc/PID/smaps_rollup in kB.
fn rollup(pid: Pid, field: &str) -> f64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}

/// Nanoseconds.
fn processor_time(pid: Pid) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

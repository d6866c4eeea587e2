//! The checks. Each is a life or two of an init with the application of `app.py`, or with nginx.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bookend_rehearse::load::{Load, get, wait_for_port};
use bookend_test_support::nginx_conf;

use crate::inits::{Extras, Init};
use crate::{Life, wait};

/// A job that an init may claim.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Claim {
    Stop,
    Forward,
    ExitCode,
    NotFound,
    Reap,
    ReapMany,
    Remaining,
    PreStart,
    PreStop,
    PostStop,
    Hook,
    Drain,
    Several,
    Restart,
}

/// The result of a check.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Result {
    Yes,
    No(String),
    NotItsJob,
    Measured(String),
}

pub(crate) struct Check {
    pub(crate) title: &'static str,
    pub(crate) claim: Claim,
    /// Whether the check also runs for inits that do not claim it, because a figure can be compared for all inits.
    measured: bool,
    /// In the README's table.
    pub(crate) in_short: bool,
    run: fn(&Init, &Path) -> Result,
}

const fn check(title: &'static str, claim: Claim, in_short: bool, run: fn(&Init, &Path) -> Result) -> Check {
    Check { title, claim, measured: false, in_short, run }
}

pub(crate) const CHECKS: [Check; 17] = [
    check("a stop reaches the app as SIGTERM or SIGINT", Claim::Stop, false, stop_reaches_the_app),
    check("HUP, USR1, USR2 and WINCH reach the app", Claim::Forward, true, signals_reach_the_app),
    check("SIGRTMIN+3 reaches the app", Claim::Forward, false, real_time),
    check("the exit code is the app's", Claim::ExitCode, true, exit_code),
    check("137 if SIGKILL killed the app", Claim::ExitCode, false, killed),
    check("127 if the program does not exist", Claim::NotFound, false, missing),
    check("an orphan is reaped", Claim::Reap, true, one_orphan),
    check("1000 orphans that end at once are reaped within 5 s", Claim::ReapMany, false, many_orphans),
    check("remaining processes get a signal and time", Claim::Remaining, true, remaining),
    check("a command before the app", Claim::PreStart, false, pre_start),
    check("a command before the stop signal", Claim::PreStop, true, pre_stop),
    check("a command after the app's end", Claim::PostStop, false, post_stop),
    check("an HTTP hook of the kubelet is answered", Claim::Hook, true, hook),
    check("several services", Claim::Several, false, several),
    check("a crashed service is restarted", Claim::Restart, true, restart),
    Check {
        measured: true,
        ..check("stop of nginx while clients come for 3 s: lost requests", Claim::Drain, true, lost)
    },
    Check { measured: true, ..check("the same: duration", Claim::Drain, false, duration) },
];

/// Runs the check, unless it is not the init's job.
pub(crate) fn run(check: &Check, init: &Init, folder: &Path) -> Result {
    if !check.measured && !init.claims.contains(&check.claim) {
        return Result::NotItsJob;
    }
    let result = (check.run)(init, folder);
    if let Result::No(why) = &result {
        eprintln!(
            "  {}: {why}: {}",
            init.name,
            std::fs::read_to_string(folder.join("life/log")).unwrap_or_default().trim()
        );
    }
    result
}

fn yes_if(condition: bool, otherwise: impl Into<String>) -> Result {
    if condition { Result::Yes } else { Result::No(otherwise.into()) }
}

/// The application of this comparison.
fn start(init: &Init, folder: &Path, mode: &str, extras: Extras) -> Life {
    let app = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/conformance/app.py");
    let dir = folder.join("life").display().to_string();
    let words = ["/usr/bin/env", "python3", "-IS", app, &dir, mode].map(str::to_owned);
    Life::start(init, folder, &words, extras)
}

/// A supervisor may take seconds to start a service, and a busy machine longer to start a thousand processes.
const START: u64 = 60;
/// The same for an end: slow is not wrong.
const END: u64 = 60;

fn stop_reaches_the_app(init: &Init, folder: &Path) -> Result {
    let mut life = start(init, folder, "wait", Extras::default());
    if !life.has("started", START) {
        return Result::No("the app does not start".into());
    }
    life.signal(init.stop);
    yes_if(life.has("ended", END) && life.end(END).is_some(), "no signal, or no end after it")
}

fn signals_reach_the_app(init: &Init, folder: &Path) -> Result {
    forwarded(init, folder, &["HUP", "USR1", "USR2", "WINCH"], &["1", "10", "12", "28"])
}

fn real_time(init: &Init, folder: &Path) -> Result {
    forwarded(init, folder, &["RTMIN+3"], &["37"])
}

fn forwarded(init: &Init, folder: &Path, names: &[&str], numbers: &[&str]) -> Result {
    let life = start(init, folder, "wait", Extras::default());
    if !life.has("started", START) {
        return Result::No("the app does not start".into());
    }
    for name in names {
        life.signal(name);
    }
    let all = wait(3, || {
        let seen = life.text("signals");
        numbers.iter().all(|number| seen.lines().any(|line| line == *number))
    });
    yes_if(all, format!("only {:?}", life.text("signals")))
}

fn exit_code(init: &Init, folder: &Path) -> Result {
    let code = start(init, folder, "exit", Extras::default()).end(END);
    yes_if(code == Some(7), format!("{code:?}"))
}

fn killed(init: &Init, folder: &Path) -> Result {
    let code = start(init, folder, "die", Extras::default()).end(END);
    yes_if(code == Some(137), format!("{code:?}"))
}

fn missing(init: &Init, folder: &Path) -> Result {
    let code = Life::start(init, folder, &["/no/such/program".to_owned()], Extras::default()).end(END);
    yes_if(code == Some(127), code.map_or("no end".to_owned(), |code| code.to_string()))
}

fn one_orphan(init: &Init, folder: &Path) -> Result {
    orphans(init, folder, "orphans-1")
}

fn many_orphans(init: &Init, folder: &Path) -> Result {
    orphans(init, folder, "orphans-1000")
}

fn orphans(init: &Init, folder: &Path, mode: &str) -> Result {
    let life = start(init, folder, mode, Extras::default());
    if !life.has("started", START) {
        return Result::No("the app does not start".into());
    }
    // They end as soon as they are orphans.
    std::thread::sleep(Duration::from_millis(500));
    yes_if(wait(5, || zombies(life.init) == 0), format!("{} zombies after five seconds", zombies(life.init)))
}

/// Zombies among the children of a process.
fn zombies(parent: i32) -> usize {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    let is_zombie = |pid: &&str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'))
    };
    children.split_whitespace().filter(is_zombie).count()
}

fn remaining(init: &Init, folder: &Path) -> Result {
    let mut life = start(init, folder, "child", Extras::default());
    if !life.has("started", START) {
        return Result::No("the app does not start".into());
    }
    life.signal(init.stop);
    life.end(END);
    yes_if(life.has("child-ended", 0), "it was killed")
}

fn hooks(init: &Init, folder: &Path, file: &str) -> Result {
    let mut life = start(init, folder, "wait", Extras { hooks: true, ..Extras::default() });
    if !life.has("started", START) {
        return Result::No("the app does not start".into());
    }
    let before = life.has("pre-start", 0);
    life.signal(init.stop);
    life.end(END);
    yes_if(life.has(file, 0) && (file != "pre-start" || before), format!("{file} did not run"))
}

fn pre_start(init: &Init, folder: &Path) -> Result {
    hooks(init, folder, "pre-start")
}

fn pre_stop(init: &Init, folder: &Path) -> Result {
    hooks(init, folder, "pre-stop")
}

fn post_stop(init: &Init, folder: &Path) -> Result {
    hooks(init, folder, "post-stop")
}

fn hook(init: &Init, folder: &Path) -> Result {
    let life = start(init, folder, "wait", Extras { hooks: true, ..Extras::default() });
    if !life.has("started", START) {
        return Result::No("the app does not start".into());
    }
    let answer = get(life.init, 9797, "/lifecycle/preStop");
    yes_if(answer.starts_with("HTTP/1.1 200") && life.has("pre-stop", 0), answer)
}

fn several(init: &Init, folder: &Path) -> Result {
    let life = start(init, folder, "wait", Extras { second: true, ..Extras::default() });
    yes_if(life.has("started", START) && life.has("second", START), "the second service does not start")
}

fn restart(init: &Init, folder: &Path) -> Result {
    let life = start(init, folder, "crash", Extras::default());
    yes_if(life.has("started", START), "it is not started again")
}

fn lost(init: &Init, folder: &Path) -> Result {
    rollout(init, folder).map_or_else(Result::No, |(lost, _)| Result::Measured(lost.to_string()))
}

fn duration(init: &Init, folder: &Path) -> Result {
    rollout(init, folder).map_or_else(Result::No, |(_, took)| Result::Measured(format!("{:.1} s", took.as_secs_f64())))
}

/// nginx, stopped by the init's stop signal while clients come: the lost requests, and how long the stop took.
fn rollout(init: &Init, folder: &Path) -> Rollout {
    // One life for both rows.
    static DONE: Mutex<BTreeMap<&str, Rollout>> = Mutex::new(BTreeMap::new());
    DONE.lock().unwrap().entry(init.name).or_insert_with(|| roll_out(init, folder)).clone()
}

type Rollout = std::result::Result<(u64, Duration), String>;

fn roll_out(init: &Init, folder: &Path) -> Rollout {
    let dir = folder.join("nginx");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("nginx.conf"), nginx_conf(dir.to_str().unwrap())).unwrap();
    std::fs::write(dir.join("slow"), vec![b'x'; 400_000]).unwrap();
    let nginx = Command::new("sh").args(["-c", "command -v nginx"]).output().unwrap();
    let nginx = String::from_utf8_lossy(&nginx.stdout).trim().to_owned();
    let words = [&nginx, "-c", &format!("{}/nginx.conf", dir.display()), "-g", "daemon off;"].map(str::to_owned);
    let mut life = Life::start(init, folder, &words, Extras { drain: true, ..Extras::default() });
    wait_for_port(life.init, 80);
    let load = Load {
        port: 80,
        new: 50,
        keep_alive: 8,
        slow: 2,
        proxied: 0,
        silent: 1,
        late: Duration::from_secs(3),
        kept_end: true,
    };
    let load = load.start(life.init);
    std::thread::sleep(Duration::from_secs(2));
    let began = Instant::now();
    load.stop_begins();
    life.signal(init.stop);
    let ended = life.end(20);
    let took = began.elapsed();
    drop(life);
    let lost = load.finish().counts.lost();
    ended.map(|_| (lost, took)).ok_or_else(|| "it does not end within 20 s".to_owned())
}

//! Start-up, side by side: from the exec of an init to the first instruction of the application's main, each
//! init as the real PID 1 of a fresh PID namespace, round-robin, so that whatever else this machine does hits
//! all alike. What counts is the ratio to tini of the same run. `make bench` runs it as root.
#![expect(unsafe_code, reason = "fork and exec with a clock reading between them")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a bench that cannot measure stops")]
#![expect(clippy::cast_sign_loss, reason = "the monotonic clock does not run before zero")]

use std::ffi::CString;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};

use nix::sched::{CloneFlags, unshare};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{ForkResult, dup2_stdout, execve, fork, pipe};

const ROUNDS: usize = 400;

fn main() {
    let probe = variable("PROBE");
    let bookend = variable("BOOKEND_BIN");
    let config = std::env::temp_dir().join(format!("bookend-bench-{}.toml", std::process::id()));
    std::fs::write(&config, CONFIG).unwrap();
    let config_path = config.to_str().unwrap();
    let candidates: Vec<(&str, Vec<&str>)> = vec![
        ("no init", vec![]),
        ("tini", vec!["/usr/bin/tini", "--"]),
        ("tini-static", vec!["/usr/bin/tini-static", "--"]),
        ("dumb-init", vec!["/usr/bin/dumb-init", "--"]),
        ("bookend", vec![&bookend, "--"]),
        ("bookend, [http] and handlers", vec![&bookend, "-c", config_path, "--"]),
    ];
    let mut candidates: Vec<_> = candidates
        .into_iter()
        .filter(|(_, words)| words.first().is_none_or(|program| std::path::Path::new(program).exists()))
        .map(|(name, words)| {
            let command: Vec<CString> =
                words.into_iter().chain([probe.as_str()]).map(|w| CString::new(w).unwrap()).collect();
            (name, command, Vec::with_capacity(ROUNDS))
        })
        .collect();
    for round in 0..ROUNDS + 10 {
        for (_, command, samples) in &mut candidates {
            let sample = life(command);
            // The first rounds fill the page cache.
            if round >= 10 {
                samples.push(sample);
            }
        }
    }
    let _ = std::fs::remove_file(&config);
    let median = |samples: &mut Vec<u64>| {
        samples.sort_unstable();
        samples[samples.len() / 2]
    };
    let medians: Vec<(&str, u64)> = candidates.iter_mut().map(|(name, _, samples)| (*name, median(samples))).collect();
    let tini = medians.iter().find(|(name, _)| *name == "tini").map_or(1, |(_, ns)| *ns);
    println!("start-up: exec of the init to the app's main; median of {ROUNDS} rounds, interleaved");
    for (name, ns) in medians {
        let (us, ratio) = (ns as f64 / 1000.0, ns as f64 / tini as f64);
        println!("{name:<30} {us:>9.0} us  {ratio:>5.2} x tini");
    }
}

const CONFIG: &str = r#"
terminationGracePeriodSeconds = 30
log.level = "Error"
http.listen = "127.0.0.1:0"
lifecycle.postStart.sleep.seconds = 0
lifecycle.preStop.sleep.seconds = 1
"#;

/// What a container usually has; nothing of `make bench`'s own, which would be a configuration.
fn environment() -> Vec<CString> {
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    [path, "HOSTNAME=bench", "HOME=/root"].map(|variable| CString::new(variable).unwrap()).to_vec()
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; run `make bench`"))
}

/// One life of an init; nanoseconds from its exec to the probe's main.
fn life(command: &[CString]) -> u64 {
    let (read, write) = pipe().unwrap();
    // SAFETY: this program has one thread.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => namespace(command, write),
        ForkResult::Parent { child } => {
            drop(write);
            let mut told = String::new();
            std::fs::File::from(read).read_to_string(&mut told).unwrap();
            nix::sys::wait::waitpid(child, None).unwrap();
            let times: Vec<u64> = told.split_whitespace().map(|word| word.parse().unwrap()).collect();
            let [began, main] = times[..] else { panic!("the probe did not run: {told:?}") };
            main - began
        }
    }
}

fn namespace(command: &[CString], write: OwnedFd) -> ! {
    unshare(CloneFlags::CLONE_NEWPID).unwrap_or_else(|errno| panic!("PID namespaces need root: {errno}"));
    // SAFETY: this program has one thread.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            dup2_stdout(write.as_fd()).unwrap();
            drop(write);
            let began = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap();
            let text = format!("{} ", began.tv_sec() as u64 * 1_000_000_000 + began.tv_nsec() as u64);
            nix::unistd::write(std::io::stdout().as_fd(), text.as_bytes()).unwrap();
            let error = execve(&command[0], command, &environment()).unwrap_err();
            panic!("{}: {error}", command[0].to_string_lossy())
        }
        ForkResult::Parent { child } => {
            drop(write);
            nix::sys::wait::waitpid(child, None).unwrap();
            std::process::exit(0)
        }
    }
}

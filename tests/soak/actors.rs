//! The app and the handlers. Each writes its events into the trace, one whole line at a time.

use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, SigmaskHow};

use crate::server::Server;

/// Plays a part and returns its exit code: `app TRACE CODE MILLIS ON_TERM LEFTOVER ON_SECOND`,
/// `handler TRACE NAME RESULT MILLIS` or `probe FILE MILLIS`.
pub(crate) fn play(words: &[String]) -> i32 {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["app", trace, code, millis, on_term, leftover, on_second] => {
            app(trace, code, number(millis), on_term, leftover, on_second)
        }
        ["handler", trace, name, result, millis] => {
            say(trace, &format!("{name} begins"));
            std::thread::sleep(Duration::from_millis(number(millis)));
            say(trace, &format!("{name} ends"));
            i32::from(result != "ok")
        }
        // It fails when this much time has passed since the first of its kind.
        ["probe", file, fails_after] => {
            let first = std::fs::File::options().append(true).create(true).open(file).unwrap();
            let age = first.metadata().unwrap().modified().unwrap().elapsed().unwrap_or_default();
            i32::from(age > Duration::from_millis(number(fails_after)))
        }
        ["leftover"] => {
            // It ignores SIGTERM, until SIGKILL.
            let _deaf = signal_hook::iterator::Signals::new([libc::SIGTERM]).unwrap();
            std::thread::sleep(Duration::from_secs(60));
            0
        }
        _ => panic!("no such part: {words:?}"),
    }
}

/// `code`: an exit code, or `signal N`. `on_term`: the same for the moment a stop signal comes, `ignore`, or
/// `drain`: when its last connection is closed. `on_second`: the same for SIGUSR1, or `ignore`; `none`: it is not a server.
#[expect(clippy::zombie_processes, reason = "it leaves its child to the init: that is what is tried")]
fn app(trace: &str, code: &str, millis: u64, on_term: &str, leftover: &str, on_second: &str) -> i32 {
    let known = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGUSR1];
    // signal-hook drops a signal that comes between its sigaction(2) and its own entry for it.
    let blocked = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK).unwrap();
    let mut signals = signal_hook::iterator::Signals::new(known).unwrap();
    blocked.thread_set_mask().unwrap();
    if leftover == "yes" {
        Command::new(std::env::current_exe().unwrap()).args(["actor", "leftover"]).spawn().unwrap();
    }
    let mut server = (on_second != "none").then(|| Server::listen(trace));
    say(trace, "app up");
    let end = Instant::now() + Duration::from_millis(millis);
    let mut drains = false;
    loop {
        for signal in signals.pending() {
            say(trace, &format!("app {signal}"));
            match (signal, on_term) {
                (libc::SIGHUP, _) => {}
                (libc::SIGUSR1, _) if on_second == "ignore" => {}
                (libc::SIGUSR1, _) => return leave(on_second),
                (_, "ignore") => {}
                (_, "drain") => drains = true,
                _ => return leave(on_term),
            }
        }
        let connections = server.as_mut().map_or(0, |server| server.serve(drains));
        if Instant::now() > end || drains && connections == 0 {
            return leave(code);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn leave(how: &str) -> i32 {
    match how.strip_prefix("signal ") {
        Some(signal) => {
            let signal: i32 = signal.parse().unwrap();
            signal_hook::low_level::emulate_default_handler(signal).unwrap();
            panic!("signal {signal} does not kill")
        }
        None => how.parse().unwrap(),
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap()
}

fn say(trace: &str, what: &str) {
    let file = std::fs::File::options().append(true).create(true).open(trace);
    file.and_then(|mut file| file.write_all(format!("{what}\n").as_bytes())).unwrap();
}

//! The app and the handlers. Each writes what it sees into the trace, one whole line at a time.

use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

/// Plays a part and returns its exit code: `app TRACE CODE MILLIS ON_TERM LEFTOVER`, `handler TRACE NAME RESULT MILLIS`
/// or `probe FILE MILLIS`.
pub(crate) fn play(words: &[String]) -> i32 {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["app", trace, code, millis, on_term, leftover] => app(trace, code, number(millis), on_term, leftover),
        ["handler", trace, name, result, millis] => {
            say(trace, &format!("{name} begins"));
            std::thread::sleep(Duration::from_millis(number(millis)));
            say(trace, &format!("{name} ends"));
            i32::from(result != "ok")
        }
        // It fails when so much time has passed since the first of its kind.
        ["probe", file, fails_after] => {
            let first = std::fs::File::options().append(true).create(true).open(file).unwrap();
            let age = first.metadata().unwrap().modified().unwrap().elapsed().unwrap_or_default();
            i32::from(age > Duration::from_millis(number(fails_after)))
        }
        ["leftover"] => {
            // It ignores what it is asked, until SIGKILL.
            let _deaf = signal_hook::iterator::Signals::new([libc::SIGTERM]).unwrap();
            std::thread::sleep(Duration::from_secs(60));
            0
        }
        _ => panic!("no such part: {words:?}"),
    }
}

/// `code`: a number it exits with, or `signal N`. `on_term`: the same for the moment a stop signal comes, or `ignore`.
#[expect(clippy::zombie_processes, reason = "it leaves its child to the init: that is what is tried")]
fn app(trace: &str, code: &str, millis: u64, on_term: &str, leftover: &str) -> i32 {
    let known = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];
    let mut signals = signal_hook::iterator::Signals::new(known).unwrap();
    if leftover == "yes" {
        Command::new(std::env::current_exe().unwrap()).args(["actor", "leftover"]).spawn().unwrap();
    }
    say(trace, "app up");
    let end = Instant::now() + Duration::from_millis(millis);
    loop {
        for signal in signals.pending() {
            say(trace, &format!("app {signal}"));
            if signal != libc::SIGHUP && on_term != "ignore" {
                return leave(on_term);
            }
        }
        if Instant::now() > end {
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

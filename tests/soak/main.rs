//! `make soak`: thousands of whole lives of random containers, each judged by the state machine itself. The real
//! binary is PID 1 of a PID namespace; app, handlers, signals and hooks are drawn from a seed. The events that bookend
//! logged are replayed into a fresh machine, and its actions are compared with what app and handlers saw.
//!
//! module     | for                                                          |
//! | ---------- | ------------------------------------------------------------ |
//! `scenario` | a life, drawn from its seed                                   |
//! `life`     | runs it                                                      |
//! `verdict`  | the machine's verdict, and whether the world agrees           |
//! `actors`   | the app and the handlers: this program with other arguments   |
//! | `server`   | an app that is a server, and its clients                      |
//!
//! `cargo test` runs a few lives. `SOAK_LIVES`, `SOAK_SEED` (one life: `SOAK_LIVES=1` and the printed seed), `SOAK_JOBS`.
#![expect(clippy::disallowed_methods, reason = "a test starts programs and waits for them; it is not PID 1")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a life that cannot be lived is a failure"
)]

mod actors;
mod life;
mod scenario;
mod server;
mod verdict;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    if words.get(1).is_some_and(|word| word == "actor") {
        std::process::exit(actors::play(&words[2..]));
    }
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let lives = number("SOAK_LIVES").unwrap_or(24);
    let seed = number("SOAK_SEED").unwrap_or(1);
    let jobs = number("SOAK_JOBS").unwrap_or(4);
    let (next, began) = (AtomicU64::new(0), Instant::now());
    let (failures, account) = (Mutex::new(Vec::new()), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= lives {
                        return;
                    }
                    let seed = seed + index;
                    match one(seed) {
                        Ok(passed) => {
                            let mut account = account.lock().unwrap();
                            passed.into_iter().for_each(|mark| *account.entry(mark).or_insert(0u64) += 1);
                        }
                        Err(why) => {
                            eprintln!("deviation: SOAK_LIVES=1 SOAK_SEED={seed}\n{why}\n");
                            failures.lock().unwrap().push(seed);
                        }
                    }
                    if (index + 1) % 500 == 0 {
                        println!("soak: {} lives, {:.0} s", index + 1, began.elapsed().as_secs_f64());
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    let seconds = began.elapsed().as_secs_f64();
    println!("soak: {lives} lives, {seconds:.1} s, {} deviations {failures:?}, first seed {seed}", failures.len());
    for (mark, lives) in account.into_inner().unwrap() {
        println!("{lives:>7} {mark}");
    }
    println!("{} passed, {} failed", lives - failures.len() as u64, failures.len());
    assert!(failures.is_empty(), "some lives did not match the state machine");
}

fn one(seed: u64) -> Result<Vec<&'static str>, String> {
    let scenario = scenario::Scenario::of(seed);
    // A helper that times out panics: that is a deviation like any other.
    let lived = std::panic::catch_unwind(|| life::live(&scenario)).map_err(|_| format!("it hangs:\n{scenario:#?}"))?;
    verdict::judge(&scenario, &lived).map_err(|why| {
        format!("{why}\n--- scenario\n{scenario:#?}\n--- trace\n{}\n--- log\n{}", lived.trace.join("\n"), lived.log)
    })
}

//! One life of the server under one strategy, with its traffic.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bookend_rehearse::plan::Plan;

use super::args::Args;
use super::bookend::Bookend;
use super::interrupt;
use super::place::{Place, results};
use super::results::Run;
use super::strategy::Strategy;

/// One life under one strategy.
pub(crate) fn one(
    place: &dyn Place,
    strategy: &Strategy,
    bookend: Option<&Bookend>,
    plan: &Plan,
    args: &Args,
) -> Result<Run, String> {
    let launch = strategy.launch(place, bookend)?;
    let mut life = place.begin(&launch, plan)?;
    let life = life.as_mut();
    let end = Instant::now() + Duration::from_secs_f64(args.start_seconds.clamp(1.0, 600.0));
    while let Err(problem) = life.generator().wait_for_answer(1.0) {
        interrupt::check()?;
        if !life.is_running() {
            return Err(format!("the server ended before it answered:\n{}", life.log().trim_end()));
        }
        if Instant::now() >= end {
            return Err(format!("{problem}; the server's output:\n{}", life.log().trim_end()));
        }
    }
    life.generator().start()?;
    life.generator().warm_up()?;
    let began = Instant::now();
    life.generator().stop_begins()?;
    let grace = Duration::from_secs(args.grace);
    let mut hook_problem = None;
    match strategy {
        Strategy::Sleep(seconds) => {
            let end = began + Duration::from_secs(*seconds).min(grace);
            while Instant::now() < end && life.is_running() {
                interrupt::check()?;
                std::thread::sleep(Duration::from_millis(20).min(end.saturating_duration_since(Instant::now())));
            }
        }
        Strategy::Script(script) => life.script(script, grace)?,
        Strategy::BookendHook => {
            let address = SocketAddr::from(([127, 0, 0, 1], args.hook_port));
            let answer = life.generator().hook(address, "/lifecycle/preStop", grace.as_secs_f64());
            hook_problem = answer.err();
        }
        _ => {}
    }
    // After a hook that used up the grace period, a kubelet gives two seconds more.
    let left = grace.saturating_sub(began.elapsed()).max(Duration::from_secs(2));
    let ending = life.stop(left)?;
    let took = began.elapsed();
    let report = results(life)?;
    let total = report.total();
    Ok(Run {
        strategy: strategy.id(),
        title: strategy.title(),
        late_seconds: plan.late_seconds,
        lost: total.lost(),
        total,
        stop_seconds: (took.as_secs_f64() * 100.0).round() / 100.0,
        exit_code: ending.code,
        killed: ending.killed,
        leftovers: ending.leftovers,
        hook_problem,
        report,
    })
}

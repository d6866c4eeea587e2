//! A configuration with which nothing is lost, found by trying: the first profile or drain that loses nothing, then the smallest
//! `minSeconds`, and the grace period that its stops need. The result is what was tried, exactly.

use bookend_rehearse::counts::Kind;
use bookend_rehearse::plan::Plan;

use super::args::Args;
use super::bookend::{Bookend, Configuration, Drain, Settings};
use super::interrupt;
use super::one_run::one;
use super::place::Place;
use super::results::{Advice, Results};
use super::strategy::Strategy;

/// Adds the advice to the results.
pub(crate) fn find(
    found: &mut Results,
    place: &dyn Place,
    bookend: &Bookend,
    plan: &Plan,
    args: &Args,
) -> Result<(), String> {
    if args.tries == 0 {
        return Ok(());
    }
    let ours = |strategy: &str| strategy.starts_with("bookend-");
    if found.not_run.iter().any(|run| ours(&run.strategy)) && !found.runs.iter().any(|run| ours(&run.strategy)) {
        found.no_advice = Some("the server did not run with bookend; the reasons are above".to_owned());
        return Ok(());
    }
    let lost = found.runs.iter().filter(|run| ours(&run.strategy)).map(|run| run.lost).sum::<u64>();
    if !matches!(bookend.configuration, Configuration::Settings(_)) && lost == 0 {
        found.no_advice = Some("nothing was lost with this configuration".to_owned());
        return Ok(());
    }
    let mut search = Search { place, bookend, plan, args, not_run: None };
    match (search.best()?, search.not_run) {
        (Some(advice), _) => found.advice = Some(advice),
        (None, Some(problem)) => found.no_advice = Some(format!("a configuration could not be tried: {problem}")),
        (None, None) => {
            found.no_advice = Some(
                "every configuration that was tried lost requests. The kinds of loss in the table and the findings say more: a server that ends \
                 requests by itself, or responses without an end, need a change of the server"
                    .to_owned(),
            );
        }
    }
    Ok(())
}

struct Search<'a> {
    place: &'a dyn Place,
    bookend: &'a Bookend,
    plan: &'a Plan,
    args: &'a Args,
    /// Why the last life that could not be run could not.
    not_run: Option<String>,
}

/// The result of some tries.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Tried {
    Lost,
    /// Nothing was lost, in this longest stop.
    Clean(f64),
    /// The same, but the server did not end by its stop signal within the grace period.
    Killed(f64),
}

impl Search<'_> {
    fn best(&mut self) -> Result<Option<Advice>, String> {
        let (late, max) = (self.late(), self.late() + 10);
        // A drain that ends by silence needs enough clients to tell silence from chance.
        let rate: u32 =
            self.plan.open_loops.iter().filter(|open| open.kind == Kind::New).map(|open| open.per_second).sum();
        let floor = if rate >= 10 { 1 } else { late };
        let drain = |min, until_not_busy| Drain { min, quiet: 2, max, until_not_busy };
        let mut reasons = Vec::new();
        for (profile, until_not_busy) in self.kinds() {
            let what = match (&profile, until_not_busy) {
                (Some(profile), _) => format!("profile {profile}"),
                (None, false) => "a drain without a profile".to_owned(),
                (None, true) => "a drain until no connection is busy".to_owned(),
            };
            // This drain lasts through the whole removal, regardless of the number of clients.
            let mut whole = self.settings(profile.clone(), drain(late + 1, until_not_busy));
            let mut tried = self.tries(&whole, 1)?;
            if let Tried::Killed(_) = tried {
                // Some servers give their requests a time of their own, gunicorn 30 s.
                let longer = Settings { grace: whole.grace + LONGER, ..whole.clone() };
                if let Tried::Clean(seconds) = self.tries(&longer, 1)? {
                    (whole, tried) = (longer, Tried::Clean(seconds));
                }
            }
            if tried == Tried::Lost {
                reasons.push(format!("{what} lost requests even with minSeconds = {}", late + 1));
                continue;
            }
            let mut best = whole.clone();
            for min in [floor, floor + 2, late] {
                if min > late {
                    continue;
                }
                let smaller = Settings { drain: Some(drain(min, until_not_busy)), ..whole.clone() };
                let result = self.tries(&smaller, 1)?;
                if result != Tried::Lost {
                    (best, tried) = (smaller, result);
                    break;
                }
                reasons.push(format!("minSeconds = {min} lost requests"));
            }
            // The tries that count are with the grace period that is advised.
            if let Tried::Clean(seconds) = tried {
                best.grace = grace(seconds, max, late);
            }
            let longest = match self.tries(&best, self.args.tries)? {
                Tried::Lost => {
                    reasons.push(format!("{what} lost requests in one of several tries"));
                    continue;
                }
                Tried::Clean(longest) => longest,
                Tried::Killed(longest) => {
                    reasons.push(
                        "the server does not end by its stop signal: SIGKILL ended it, and cuts every request that still runs then"
                            .to_owned(),
                    );
                    longest
                }
            };
            return Ok(Some(self.advice(&best, longest, floor, reasons)));
        }
        Ok(None)
    }

    /// The kinds in the order in which they are tried: a profile knows more than a drain alone, and a drain without a condition ends earlier.
    fn kinds(&self) -> Vec<(Option<String>, bool)> {
        let profile = self.args.profile.clone().or_else(|| self.bookend.profile_for(&self.place.command()));
        let profile = profile.filter(|name| name != "none");
        let own = |name: &String| self.bookend.waits_for_busy_connections(name, &self.place.command());
        let with = profile.iter().flat_map(|name| [(Some(name.clone()), own(name)), (Some(name.clone()), true)]);
        let mut kinds: Vec<_> = with.chain([(None, false), (None, true)]).collect();
        kinds.dedup();
        kinds
    }

    fn settings(&self, profile: Option<String>, drain: Drain) -> Settings {
        Settings { grace: self.args.grace.max(drain.max + 10), profile, drain: Some(drain) }
    }

    /// Lives with these settings, and with their grace period.
    fn tries(&mut self, settings: &Settings, tries: u32) -> Result<Tried, String> {
        let mut bookend = self.bookend.clone();
        bookend.configuration = Configuration::Settings(settings.clone());
        let args = Args { grace: settings.grace, ..self.args.clone() };
        let (mut longest, mut killed): (f64, bool) = (0.0, false);
        for attempt in 0..tries {
            interrupt::check()?;
            // Alternating: the advice holds for both.
            let strategy = if attempt % 2 == 0 { Strategy::BookendSignal } else { Strategy::BookendHook };
            let drain = settings.drain.map_or(0, |drain| drain.min);
            let profile = settings.profile.as_deref().unwrap_or("none");
            eprintln!("advice: profile {profile}, minSeconds {drain}, {} ...", strategy.title());
            match one(self.place, &strategy, Some(&bookend), self.plan, &args) {
                Ok(run) if run.lost == 0 => {
                    longest = longest.max(run.stop_seconds);
                    // bookend's own SIGKILL is the same for the server.
                    killed |= run.killed || run.exit_code == 137;
                }
                Ok(_) => return Ok(Tried::Lost),
                Err(problem) => {
                    interrupt::check()?;
                    eprintln!("  not run: {problem}");
                    self.not_run = Some(problem);
                    return Ok(Tried::Lost);
                }
            }
        }
        Ok(if killed { Tried::Killed(longest) } else { Tried::Clean(longest) })
    }

    fn advice(&self, settings: &Settings, longest: f64, floor: u64, mut reasons: Vec<String>) -> Advice {
        let min = settings.drain.map(|drain| drain.min);
        if floor == 1 {
            reasons.push(format!(
                "clients came until {} s after the stop began, and so many that the drain saw the silence after the last one. With less than ten \
                 new connections a second, set minSeconds to the time that the removal of an endpoint takes",
                self.plan.late_seconds
            ));
        }
        reasons.push(format!("the longest stop took {longest:.1} s"));
        let pod = format!(
            "terminationGracePeriodSeconds: {}\ncontainers:\n- name: app\n  lifecycle:\n    preStop: {{ httpGet: {{ port: {}, path: /lifecycle/preStop }} }}\n",
            settings.grace, self.args.hook_port
        );
        Advice {
            tries: self.args.tries,
            lost: 0,
            stop_seconds: longest,
            min_seconds: min,
            termination_grace_period_seconds: settings.grace,
            profile: settings.profile.clone(),
            toml: settings.toml() + &format!("\n[http]\nlisten = \"0.0.0.0:{}\"\n", self.args.hook_port),
            pod,
            reasons,
        }
    }

    /// The whole seconds in which clients arrive.
    fn late(&self) -> u64 {
        std::time::Duration::from_secs_f64(self.plan.late_seconds.ceil()).as_secs()
    }
}

/// More time for a server that did not end within the grace period, in seconds.
const LONGER: u64 = 60;

/// The grace period: a drain that takes its longest, what the stop took beyond the drain of this run, and a reserve; in steps of five.
fn grace(stop_seconds: f64, max: u64, late: u64) -> u64 {
    let stop = std::time::Duration::from_secs_f64(stop_seconds.max(0.0).ceil()).as_secs();
    let beyond = stop.saturating_sub(late);
    (max + beyond + 3).div_ceil(5) * 5
}

#[test]
fn the_grace_period_holds_the_longest_drain_and_the_rest() {
    assert_eq!(grace(7.2, 15, 5), 25);
    assert_eq!(grace(20.0, 15, 5), 35);
    assert_eq!(grace(0.0, 11, 1), 15);
}

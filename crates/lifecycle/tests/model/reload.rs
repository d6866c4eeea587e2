//! A reload (`src/reload.rs` itself) against every history of changes, results, waits and stops. Content 0 is the app's at the
//! start, [`BROKEN`] fails its check, and [`HALF`] is the middle of a change.

use std::time::Duration;

use bookend_lifecycle::HandlerResult;
use bookend_lifecycle::reload::{Content, Reload, ReloadAction, ReloadEvent, ReloadNote, ReloadRule, ReloadRunId};
use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::check::bounds;

const STEP: Duration = Duration::from_secs(1);
const BROKEN: u64 = 8;
const HALF: u64 = 9;
/// The app's content after an action that failed or was aborted.
const UNKNOWN: u64 = 10;

#[derive(Debug, Clone, Copy)]
struct ReloadSetting {
    has_check: bool,
    notifies: bool,
    polls: bool,
    /// How often the files change.
    changes: u8,
    requests: u8,
    stops: u8,
    failures: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Flight {
    Look(ReloadRunId),
    Check(ReloadRunId),
    Apply(ReloadRunId),
}

/// The files, the app and the runs, as they are seen from outside.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Files {
    reload: Reload,
    now: Duration,
    is_allowed: bool,
    disk: u64,
    /// The end of the change that is under way.
    half: Option<u64>,
    flight: Option<Flight>,
    /// The content that the last check has passed, or that the last look has read.
    passed: Option<u64>,
    /// The content that the last check was started for.
    checked: Option<u64>,
    /// The content that the app has read last.
    app: u64,
    /// The broken content that was reported last.
    known: Option<u64>,
    /// The same, as long as no look finds another one.
    reported: Option<u64>,
    /// A run was aborted whose result is still under way.
    late: Option<ReloadRunId>,
    /// The content of the last run that failed.
    failed: Option<u64>,
    was_forced: bool,
    /// The results that a client waits for; with 2, the next one began before its request.
    awaited: u8,
    left: [u8; 4],
    broken: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The clock moves to the next timer.
    Wait,
    Changes(u64),
    /// The first half of a change to this content.
    BeginsTo(u64),
    Ends,
    Touches,
    Requests,
    Looks,
    /// The files could not be read in time.
    Hangs,
    /// The check, or the action, ends.
    Results(HandlerResult),
    Late,
    Reloading,
    Ready,
    Allow(bool),
}

impl Files {
    fn must(&mut self, holds: bool, promise: &'static str) {
        if !holds && self.broken.is_none() {
            self.broken = Some(promise);
        }
    }

    fn event(&mut self, setting: ReloadSetting, event: ReloadEvent) {
        let was_applying = self.reload.is_applying();
        for action in self.reload.apply(self.now, event) {
            if !self.is_allowed {
                let is_end = matches!(action, ReloadAction::Abort(_) | ReloadAction::Tell(ReloadNote::Aborted));
                self.must(is_end, "nothing runs that may not");
            }
            match action {
                ReloadAction::Look(run) => self.begin(Flight::Look(run)),
                ReloadAction::Check(run) => {
                    self.must(setting.has_check, "only what is configured runs");
                    self.checked = Some(self.disk);
                    self.begin(Flight::Check(run));
                }
                ReloadAction::Apply(run) => {
                    self.must(self.passed == Some(self.disk), "only the content that has passed is applied");
                    self.must(self.disk != HALF, "half of a change is never applied");
                    self.must(!setting.has_check || self.disk != BROKEN, "broken content is never applied");
                    let is_news = self.disk != self.app || self.was_forced;
                    self.must(is_news, "a touched file applies nothing");
                    self.was_forced = false;
                    self.begin(Flight::Apply(run));
                }
                ReloadAction::Abort(run) => {
                    let aborted = self.flight.take();
                    self.must(aborted.is_some_and(|flight| flight.run() == run), "what is aborted has run");
                    self.late = Some(run);
                }
                ReloadAction::Tell(ReloadNote::CheckFailed) => {
                    self.must(self.reported != Some(self.disk) || self.was_forced, "broken content is reported once");
                    (self.known, self.reported) = (Some(self.disk), Some(self.disk));
                    self.was_forced = false;
                }
                ReloadAction::Tell(ReloadNote::Failed(pause)) => {
                    self.failed = Some(self.disk);
                    self.must(pause.is_some() || self.reload.state_name() != "Backoff", "the last try is the last");
                }
                ReloadAction::Tell(ReloadNote::Succeeded) => self.app = self.passed.unwrap_or(UNKNOWN),
                // The loop answers each client.
                ReloadAction::Tell(ReloadNote::Aborted) => self.awaited = 0,
            }
            if let ReloadAction::Tell(note) = action {
                let has_failed = matches!(note, ReloadNote::Failed(_) | ReloadNote::Aborted);
                self.app = if was_applying && has_failed { UNKNOWN } else { self.app };
                self.awaited = self.awaited.saturating_sub(1);
            }
        }
        self.must(self.reload.next_at().is_none_or(|at| at >= self.now), "what is due has begun");
        let idles = self.reload.state_name() == "Idle";
        self.must(!idles || self.flight.is_none(), "an idle reload has no run");
        let is_over = idles && self.is_allowed && self.half.is_none() && self.failed != Some(self.disk);
        self.must(!idles || self.awaited == 0, "each request has a result");
        let is_current = self.app == self.disk || self.known == Some(self.disk);
        let is_polled = setting.polls && self.reload.next_at().is_some();
        self.must(!is_over || is_current || is_polled, "every change is applied or reported");
    }

    fn begin(&mut self, flight: Flight) {
        self.must(self.flight.is_none(), "one run at a time");
        self.flight = Some(flight);
    }

    /// Whether this brings back the content that is checked now. Two looks cannot see that, and reports of changes would:
    /// docs/reload.md names this limit of polling.
    fn is_undone(&self, setting: ReloadSetting, to: u64) -> bool {
        setting.polls && self.reload.state_name() == "Checking" && self.checked == Some(to) && self.disk != to
    }

    fn change(&mut self, setting: ReloadSetting, to: u64) {
        self.disk = to;
        if !setting.polls {
            self.event(setting, ReloadEvent::Changed);
        }
    }
}

impl Flight {
    fn run(self) -> ReloadRunId {
        match self {
            Flight::Look(run) | Flight::Check(run) | Flight::Apply(run) => run,
        }
    }
}

impl Model for ReloadSetting {
    type State = Files;
    type Action = Step;

    fn init_states(&self) -> Vec<Files> {
        let rule = ReloadRule {
            settle: STEP,
            splay: STEP,
            poll: None,
            timeout: 3 * STEP,
            has_check: self.has_check,
            notifies: self.notifies,
        };
        let mut files = Files {
            reload: Reload::new(rule),
            now: Duration::ZERO,
            is_allowed: false,
            disk: 0,
            half: None,
            flight: None,
            passed: None,
            checked: None,
            app: 0,
            known: None,
            reported: None,
            late: None,
            failed: None,
            was_forced: false,
            awaited: 0,
            left: [self.changes, self.requests, self.stops, self.failures],
            broken: None,
        };
        files.event(*self, ReloadEvent::Baseline(Some(Content(0))));
        if self.polls {
            files.event(*self, ReloadEvent::Unwatched(4 * STEP));
        }
        vec![files]
    }

    fn actions(&self, files: &Files, steps: &mut Vec<Step>) {
        if files.broken.is_some() {
            return;
        }
        let [changes, requests, stops, failures] = files.left;
        // Without a check nothing but the settling tells half of a change from a whole one.
        let may_wait = self.has_check || files.half.is_none();
        if may_wait && files.reload.next_at().is_some_and(|_| files.now < 60 * STEP) {
            steps.push(Step::Wait);
        }
        match files.half {
            Some(_) => steps.push(Step::Ends),
            None if changes > 0 => {
                steps.extend([Step::Changes(1), Step::Changes(BROKEN), Step::BeginsTo(1), Step::Changes(0)]);
                steps.extend((!self.polls).then_some(Step::Touches));
            }
            None => {}
        }
        steps.extend((requests > 0 && files.is_allowed).then_some(Step::Requests));
        match files.flight {
            Some(Flight::Look(_)) => {
                steps.push(Step::Looks);
                steps.extend((failures > 0).then_some(Step::Hangs));
            }
            Some(Flight::Check(_) | Flight::Apply(_)) => {
                let passes = !matches!(files.flight, Some(Flight::Check(_)) if [BROKEN, HALF].contains(&files.disk));
                let result = if passes { HandlerResult::Succeeded } else { HandlerResult::Failed };
                steps.push(Step::Results(result));
                steps.extend((failures > 0).then_some(Step::Results(HandlerResult::TimedOut)));
            }
            None => {}
        }
        steps.extend(files.late.map(|_| Step::Late));
        if self.notifies {
            steps.extend([Step::Reloading, Step::Ready]);
        }
        steps.extend((!files.is_allowed).then_some(Step::Allow(true)));
        steps.extend((files.is_allowed && stops > 0).then_some(Step::Allow(false)));
    }

    fn next_state(&self, files: &Files, step: Step) -> Option<Files> {
        let mut files = files.clone();
        match step {
            Step::Wait => {
                files.now = files.reload.next_at()?;
                files.event(*self, ReloadEvent::TimePassed);
            }
            Step::Changes(to) if files.is_undone(*self, to) => return None,
            Step::Ends if files.half.is_some_and(|to| files.is_undone(*self, to)) => return None,
            Step::Changes(to) => {
                files.left[0] -= 1;
                files.change(*self, to);
            }
            Step::BeginsTo(to) => {
                files.left[0] -= 1;
                files.half = Some(to);
                files.change(*self, HALF);
            }
            Step::Ends => {
                let to = files.half.take()?;
                files.change(*self, to);
            }
            Step::Touches => {
                files.left[0] -= 1;
                files.event(*self, ReloadEvent::Changed);
            }
            Step::Requests => {
                files.left[1] -= 1;
                files.was_forced = true;
                files.awaited = if files.reload.is_applying() { 2 } else { 1 };
                files.event(*self, ReloadEvent::Requested);
            }
            Step::Looks => {
                let run = files.flight.take()?.run();
                // A person who asks in the middle of a change gets what is there; a watched change is waited for.
                if files.half.is_some() && (files.was_forced || self.polls) {
                    return None;
                }
                let seen = files.disk;
                files.reported = files.reported.filter(|reported| *reported == seen);
                if !self.has_check {
                    files.passed = Some(seen);
                }
                files.event(*self, ReloadEvent::Looked(run, Some(Content(seen))));
            }
            Step::Hangs => {
                let run = files.flight.take()?.run();
                files.left[3] -= 1;
                files.event(*self, ReloadEvent::Looked(run, None));
            }
            Step::Results(result) => {
                let flight = files.flight.take()?;
                if result == HandlerResult::TimedOut {
                    files.left[3] -= 1;
                }
                match (flight, result) {
                    (Flight::Check(_), HandlerResult::Succeeded) => files.passed = Some(files.disk),
                    (Flight::Apply(_), HandlerResult::Succeeded) => {
                        // The app has read its files at some time since the action began; a change meanwhile is news.
                        files.app = files.passed?;
                    }
                    _ => {}
                }
                files.event(*self, ReloadEvent::Ended(flight.run(), result));
            }
            Step::Late => {
                let run = files.late.take()?;
                let before = files.reload.clone();
                files.event(*self, ReloadEvent::Ended(run, HandlerResult::Succeeded));
                files.event(*self, ReloadEvent::Looked(run, Some(Content(files.disk))));
                let is_same = files.reload == before;
                files.must(is_same, "the result of an aborted run changes nothing");
            }
            Step::Reloading => files.event(*self, ReloadEvent::Reloading),
            Step::Ready => files.event(*self, ReloadEvent::Ready),
            Step::Allow(is_allowed) => {
                files.left[2] -= u8::from(!is_allowed);
                files.is_allowed = is_allowed;
                files.event(*self, ReloadEvent::Allowed(is_allowed));
            }
        }
        Some(files)
    }

    fn properties(&self) -> Vec<Property<ReloadSetting>> {
        vec![
            Property::always("every promise", |_, files: &Files| files.broken.is_none()),
            Property::sometimes("a change is applied", |_, files: &Files| files.app == 1),
        ]
    }
}

#[test]
fn every_promise_of_a_reload_holds() {
    let plain = ReloadSetting {
        has_check: true,
        notifies: false,
        polls: false,
        changes: 1 + bounds().disturbances.min(2),
        requests: 0,
        stops: 1,
        failures: 1,
    };
    for setting in [
        plain,
        ReloadSetting { has_check: false, failures: 2, ..plain },
        ReloadSetting { requests: 1, changes: 1, ..plain },
        ReloadSetting { notifies: true, changes: 1, failures: 0, ..plain },
        ReloadSetting { polls: true, failures: 0, ..plain },
    ] {
        let checker = setting.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        let (states, depth) = (checker.unique_state_count(), checker.max_depth());
        println!("{states:>9} states, {depth:>2} moves deep: reload, {setting:?}");
        if let Some((name, path)) = checker.discoveries().into_iter().find(|(name, _)| *name == "every promise") {
            let last = path.last_state().clone();
            panic!(
                "broken: {:?} ({name})\nsetting: {setting:?}\nhistory: {:?}\nlast: {last:?}",
                last.broken,
                path.into_actions()
            );
        }
        assert!(checker.discovery("a change is applied").is_some(), "the model is too small to mean anything");
    }
}

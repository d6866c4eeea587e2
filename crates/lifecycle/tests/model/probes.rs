//! The probes (`src/probe.rs` itself) against every history of results, waits and phases of the app's life.
//! The meaning of a probe's results is stated here a second time.

use std::time::Duration;

use bookend_lifecycle::probe::{ProbeAction, ProbeConditions, ProbeKind, ProbeRule, ProbeRunId, ProbeState, Probes};
use stateright::{Checker, HasDiscoveries, Model, Property};

const STEP: Duration = Duration::from_secs(5);
const DELAY: Duration = Duration::from_secs(5);
const PERIOD: Duration = Duration::from_secs(10);

/// Which probes there are, and their thresholds.
#[derive(Debug, Clone, Copy)]
struct Setting {
    there: [bool; 3],
    failures: u32,
    successes: u32,
    notifies: bool,
}

/// The observations of one probe.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Memory {
    flying: Option<ProbeRunId>,
    began: Option<Duration>,
    /// The last result, and how often it came in a row.
    row: Option<(bool, u32)>,
    state: ProbeState,
    aborted: Option<ProbeRunId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Life {
    probes: Probes,
    view: ProbeConditions,
    now: Duration,
    memory: [Memory; 3],
    /// The bounds of the history.
    waits: u8,
    results: u8,
    broken: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    Wait,
    Ends(ProbeKind, bool),
    /// The result of a run that was aborted.
    EndsLate(ProbeKind),
    PostStartOver,
    Ready,
    Extends,
    Stops,
    AppGone,
}

impl Life {
    fn must(&mut self, holds: bool, promise: &'static str) {
        if !holds && self.broken.is_none() {
            self.broken = Some(promise);
        }
    }

    fn state(&self, kind: ProbeKind) -> ProbeState {
        self.memory[place(kind)].state
    }

    /// By the table at the top of src/probe.rs.
    fn may_run(&self, setting: Setting, kind: ProbeKind) -> bool {
        let startup_over =
            !setting.there[place(ProbeKind::Startup)] || self.state(ProbeKind::Startup) == ProbeState::Succeeded;
        let past = startup_over && self.view.notified;
        let alive = self.view.app_since.is_some() && self.view.post_start_over;
        alive
            && match kind {
                ProbeKind::Startup => !startup_over && !self.view.stopping,
                ProbeKind::Readiness => past && !self.view.signalled,
                ProbeKind::Liveness => past && !self.view.stopping,
            }
    }

    fn ends(&mut self, setting: Setting, kind: ProbeKind, good: bool) {
        let Some(run) = self.memory[place(kind)].flying.take() else { return };
        let is_excused =
            kind == ProbeKind::Startup && !good && self.view.startup_extended_to.is_some_and(|until| self.now < until);
        let before = self.state(kind);
        let memory = &mut self.memory[place(kind)];
        if !is_excused {
            let streak = memory.row.filter(|(last, _)| *last == good).map_or(0, |(_, count)| count) + 1;
            memory.row = Some((good, streak));
            let (threshold, state) =
                if good { (setting.successes, ProbeState::Succeeded) } else { (setting.failures, ProbeState::Failed) };
            if streak >= threshold {
                memory.state = state;
            }
        }
        let expected = (self.state(kind) != before).then_some((kind, self.state(kind)));
        let reported_outcome = self.probes.ended(self.now, run, good, &self.view);
        self.must(reported_outcome == expected, "a state changes after its threshold in a row, and is reported then");
        let again = self.probes.ended(self.now, run, good, &self.view);
        self.must(again.is_none(), "a run has one result");
    }

    /// Lets the probes go on, and checks the result.
    fn update(&mut self, setting: Setting) {
        for act in self.probes.update(self.now, &self.view) {
            match act {
                ProbeAction::Start(kind, run) => {
                    self.must(setting.there[place(kind)] && self.may_run(setting, kind), "a probe runs when it may");
                    let delayed = self.view.app_since.is_some_and(|since| self.now >= since + DELAY);
                    self.must(delayed, "no probe runs before its delay is over");
                    let memory = &self.memory[place(kind)];
                    let apart = memory.began.is_none_or(|began| memory.aborted.is_some() || self.now >= began + PERIOD);
                    self.must(memory.flying.is_none() && apart, "one run at a time, and one a period");
                    let memory = &mut self.memory[place(kind)];
                    (memory.flying, memory.began, memory.aborted) = (Some(run), Some(self.now), None);
                }
                ProbeAction::Abort(kind) => {
                    self.must(!self.may_run(setting, kind), "a run is ended when it may not run any more");
                    let memory = &mut self.memory[place(kind)];
                    let aborted = memory.flying.take();
                    memory.aborted = aborted;
                    self.must(aborted.is_some(), "what is ended has run");
                }
            }
        }
        for kind in ProbeKind::ALL {
            let memory = &self.memory[place(kind)];
            let flies = memory.flying.is_some();
            let waits = setting.there[place(kind)] && self.may_run(setting, kind) && !flies;
            self.must(!flies || self.may_run(setting, kind), "nothing runs that may not");
            self.must(flies == self.probes.is_in_flight(kind), "what runs is known");
            self.must(!waits || self.probes.next_at().is_some(), "a probe that may run has its time");
        }
        self.must(self.probes.next_at().is_none_or(|at| at > self.now), "what is due has begun");
        let shown = [self.probes.has_started(), self.probes.is_ready(), self.probes.is_live()];
        let is = |kind| !setting.there[place(kind)] || self.state(kind) == ProbeState::Succeeded;
        let live = self.state(ProbeKind::Liveness) != ProbeState::Failed;
        let expected = [is(ProbeKind::Startup), is(ProbeKind::Readiness), live];
        self.must(shown == expected, "started, ready and live are shown as the results add up");
    }
}

impl Model for Setting {
    type State = Life;
    type Action = Move;

    fn init_states(&self) -> Vec<Life> {
        let rule = ProbeRule {
            initial_delay: DELAY,
            period: PERIOD,
            failure_threshold: self.failures,
            success_threshold: self.successes,
        };
        let mut life = Life {
            probes: Probes::new(|kind| self.there[place(kind)].then_some(rule)),
            view: ProbeConditions { app_since: Some(STEP), notified: !self.notifies, ..ProbeConditions::default() },
            now: STEP,
            memory: Default::default(),
            waits: 6,
            results: 6,
            broken: None,
        };
        life.update(*self);
        vec![life]
    }

    fn actions(&self, life: &Life, moves: &mut Vec<Move>) {
        if life.broken.is_some() {
            return;
        }
        if life.waits > 0 {
            moves.push(Move::Wait);
        }
        for kind in ProbeKind::ALL {
            let memory = &life.memory[place(kind)];
            if memory.flying.is_some() && life.results > 0 {
                moves.extend([Move::Ends(kind, true), Move::Ends(kind, false)]);
            }
            moves.extend(memory.aborted.map(|_| Move::EndsLate(kind)));
        }
        let view = life.view;
        moves.extend((!view.post_start_over).then_some(Move::PostStartOver));
        moves.extend((!view.notified).then_some(Move::Ready));
        moves.extend((self.notifies && view.startup_extended_to.is_none()).then_some(Move::Extends));
        // A stop begins, and then the app gets its stop signal.
        moves.extend((!view.signalled).then_some(Move::Stops));
        moves.extend(view.app_since.map(|_| Move::AppGone));
    }

    fn next_state(&self, life: &Life, next: Move) -> Option<Life> {
        let mut life = life.clone();
        match next {
            Move::Wait => {
                life.waits -= 1;
                life.now += STEP;
            }
            Move::Ends(kind, good) => {
                life.results -= 1;
                life.ends(*self, kind, good);
            }
            Move::EndsLate(kind) => {
                let run = life.memory[place(kind)].aborted.take()?;
                let before = life.probes.clone();
                let reported_outcome = life.probes.ended(life.now, run, false, &life.view);
                life.must(
                    reported_outcome.is_none() && life.probes == before,
                    "the result of an aborted run changes nothing",
                );
                // The period of the aborted run does not count any more.
                life.memory[place(kind)].began = None;
            }
            Move::PostStartOver => life.view.post_start_over = true,
            Move::Ready => life.view.notified = true,
            Move::Extends => life.view.startup_extended_to = Some(life.now + 2 * STEP),
            Move::Stops => (life.view.signalled, life.view.stopping) = (life.view.stopping, true),
            Move::AppGone => life.view.app_since = None,
        }
        life.update(*self);
        Some(life)
    }

    fn properties(&self) -> Vec<Property<Setting>> {
        vec![Property::always("every promise", |_, life: &Life| life.broken.is_none())]
    }
}

fn place(kind: ProbeKind) -> usize {
    kind as usize
}

#[test]
fn every_promise_of_the_probes_holds() {
    for setting in [
        Setting { there: [true, true, true], failures: 2, successes: 1, notifies: false },
        Setting { there: [true, true, false], failures: 1, successes: 2, notifies: true },
        Setting { there: [false, true, true], failures: 2, successes: 2, notifies: false },
        Setting { there: [false, false, true], failures: 3, successes: 1, notifies: true },
    ] {
        let checker = setting.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        let (states, depth) = (checker.unique_state_count(), checker.max_depth());
        println!("{states:>9} states, {depth:>2} moves deep: probes, {setting:?}");
        if let Some((_, path)) = checker.discoveries().into_iter().next() {
            let last = path.last_state().clone();
            panic!(
                "broken: {:?}\nsetting: {setting:?}\nhistory: {:?}\nlast: {last:?}",
                last.broken,
                path.into_actions()
            );
        }
    }
}

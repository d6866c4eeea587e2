//! The shipped state machine (`src/lifecycle.rs` itself, through its public words) against every history of a
//! bounded world: stateright walks through all of them, and looks for one that breaks a promise.
//!
//! | room        | for                                                                       |
//! | ----------- | ------------------------------------------------------------------------- |
//! | `settings`  | the configurations and the natures of app and handlers that are looked at |
//! | `world`     | the kubelet, the app, the handlers, the clock: what can happen next       |
//! | `memory`    | the observer: what it has seen                                            |
//! | `promises`  | what must hold of every action                                            |
//! | `states`    | what must hold in every state                                             |
//! | `landmarks` | what the histories must have reached                                      |
//! | `probes`    | the app's probes (`src/probe.rs`), in a world of their own                |
//!
//! docs/proof.md lists the promises and says what is covered. `make model` goes deeper than `cargo test`.
#![expect(clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod landmarks;
mod memory;
mod probes;
mod promises;
mod settings;
mod states;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use landmarks::Landmark;
use settings::Setting;
use stateright::{Checker, HasDiscoveries, Model, Property};
use world::{Move, World};

/// One setting, and the parts of the machine that some history has reached.
struct Histories {
    setting: Setting,
    bounds: Bounds,
    landmarks: AtomicU64,
}

/// What makes the world finite: each is used up.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// Hooks, signals, requests, callers that hang up.
    disturbances: u8,
    /// How often the clock moves on without an alarm.
    ticks: u8,
}

impl Model for Histories {
    type State = World;
    type Action = Move;

    fn init_states(&self) -> Vec<World> {
        let world = World::new(&self.setting, self.bounds);
        [Move::Begin, Move::StopBeforeBegin].into_iter().filter_map(|first| self.next_state(&world, first)).collect()
    }

    fn actions(&self, world: &World, moves: &mut Vec<Move>) {
        world.moves(&self.setting, moves);
    }

    fn next_state(&self, world: &World, next: Move) -> Option<World> {
        let mut world = world.clone();
        let reached = world.go(&self.setting, next);
        self.landmarks.fetch_or(reached, Ordering::Relaxed);
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Histories>> {
        vec![Property::always("every promise", |_, world: &World| world.broken.is_none())]
    }
}

/// Every history of one setting, to its end. Returns the landmarks.
///
/// The world has no cycle (each move uses something up), so a history that does not reach Exit shows as a state in
/// which nothing is bound to come any more: liveness is a promise about states here (`Promise::ReachesExit`).
fn check(setting: Setting, bounds: Bounds) -> u64 {
    let began = std::time::Instant::now();
    let model = Histories { setting, bounds, landmarks: AtomicU64::new(0) };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let builder = model.checker().threads(threads).finish_when(HasDiscoveries::AnyFailures);
    // Breadth first: the history that is shown is a shortest one.
    let checker = builder.spawn_bfs().join();
    let model = checker.model();
    let name = model.setting.name;
    println!(
        "{:>9} states, {:>2} moves deep, {:>2} disturbances, {:>2} ticks, {:>6.2} s: {name}",
        checker.unique_state_count(),
        checker.max_depth(),
        bounds.disturbances,
        bounds.ticks,
        began.elapsed().as_secs_f64()
    );
    if let Some((_, path)) = checker.discoveries().into_iter().next() {
        let last = path.last_state().clone();
        let promise = last.broken;
        panic!("broken: {promise:?}\nsetting: {name}\nhistory: {:?}\nlast: {last:?}", path.into_actions());
    }
    model.landmarks.load(Ordering::Relaxed)
}

/// `MODEL_DISTURBANCES` and `MODEL_TICKS` bound the world; `make model` sets them higher.
#[test]
fn every_promise_holds_in_every_history_of_the_bounded_world() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let bounds = Bounds { disturbances: number("MODEL_DISTURBANCES", 1), ticks: number("MODEL_TICKS", 1) };
    let reached = settings::all().into_iter().fold(0, |reached, setting| reached | check(setting, bounds));
    // A model that never gets anywhere keeps every promise.
    let missed: Vec<_> = Landmark::ALL.iter().filter(|mark| reached & mark.bit() == 0).collect();
    assert!(missed.is_empty(), "no history reaches {missed:?}: the model is too small to mean anything");
}

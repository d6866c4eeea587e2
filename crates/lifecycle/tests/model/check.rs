//! Every history of a bounded world, to its end.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};

use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::landmarks::Landmark;
use crate::promises::Promise;

/// The limits that make a world finite: each of these is used up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Hooks, signals, requests, callers that hang up.
    pub(crate) disturbances: u8,
    /// How often the clock moves on without a timer.
    pub(crate) ticks: u8,
}

/// `MODEL_DISTURBANCES` and `MODEL_TICKS` bound the worlds; `make model` sets them higher.
pub(crate) fn bounds() -> Bounds {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().expect("a number"));
    Bounds { disturbances: number("MODEL_DISTURBANCES", 1), ticks: number("MODEL_TICKS", 1) }
}

/// A machine and its surroundings at one moment.
pub(crate) trait Bounded: Clone + Debug + Eq + Hash + Send + Sync + 'static {
    type Setting: Send + Sync + 'static;
    type Move: Copy + Debug + PartialEq + Send + Sync + 'static;

    fn beginnings(setting: &Self::Setting, bounds: Bounds) -> Vec<Self>;
    /// Everything that can happen next.
    fn moves(&self, setting: &Self::Setting, moves: &mut Vec<Self::Move>);
    /// Lets it happen, and checks the result. Returns the landmarks that were passed.
    fn go(&mut self, setting: &Self::Setting, next: Self::Move) -> u64;
    fn broken(&self) -> Option<Promise>;
}

/// One setting, and the parts of the machine that any history has reached.
struct Histories<W: Bounded> {
    setting: W::Setting,
    bounds: Bounds,
    landmarks: AtomicU64,
}

impl<W: Bounded> Model for Histories<W> {
    type State = W;
    type Action = W::Move;

    fn init_states(&self) -> Vec<W> {
        W::beginnings(&self.setting, self.bounds)
    }

    fn actions(&self, world: &W, moves: &mut Vec<W::Move>) {
        if world.broken().is_none() {
            world.moves(&self.setting, moves);
        }
    }

    fn next_state(&self, world: &W, next: W::Move) -> Option<W> {
        let mut world = world.clone();
        let reached = world.go(&self.setting, next);
        self.landmarks.fetch_or(reached, Ordering::Relaxed);
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Histories<W>>> {
        vec![Property::always("every promise", |_, world: &W| world.broken().is_none())]
    }
}

/// Every history of one setting, to its end. Returns the landmarks.
///
/// A world has no cycle (each move uses something up), so a history that does not reach Exit shows as a state in
/// which no further event must come: liveness is a promise about states here (`Promise::ReachesExit`).
pub(crate) fn check<W: Bounded>(name: &str, setting: W::Setting, bounds: Bounds) -> u64 {
    let began = std::time::Instant::now();
    let model = Histories::<W> { setting, bounds, landmarks: AtomicU64::new(0) };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let builder = model.checker().threads(threads).finish_when(HasDiscoveries::AnyFailures);
    // Breadth first: the history that is shown is a shortest one.
    let checker = builder.spawn_bfs().join();
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
        let promise = last.broken();
        panic!("broken: {promise:?}\nsetting: {name}\nhistory: {:?}\nlast: {last:?}", path.into_actions());
    }
    checker.model().landmarks.load(Ordering::Relaxed)
}

/// A model that reaches no landmark would keep every promise without proving anything.
pub(crate) fn must_have_reached(landmarks: [&[Landmark]; 2], reached: u64) {
    let missed: Vec<_> = landmarks.into_iter().flatten().filter(|mark| reached & mark.bit() == 0).collect();
    assert!(missed.is_empty(), "no history reaches {missed:?}: the model is too small to mean anything");
}

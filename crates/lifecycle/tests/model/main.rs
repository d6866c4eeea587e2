//! The shipped state machines (`src/lifecycle.rs` and the sidecar's, `src/lifecycle/elsewhere.rs`, themselves, through
//! their public words) against every history of a bounded world: stateright walks through all of them, and looks for one that
//! breaks a promise.
//!
//! | room        | for                                                                       |
//! | ----------- | ------------------------------------------------------------------------- |
//! | `check`     | walks through them, shows a history that breaks a promise                 |
//! | `settings`  | the configurations and the natures of app and handlers that are looked at |
//! | `world`     | the kubelet, the app, the handlers, the clock: what can happen next       |
//! | `memory`    | the observer: what it has seen                                            |
//! | `observer`  | what must hold of every action                                            |
//! | `states`    | what must hold in every state                                             |
//! | `elsewhere` | the sidecar's machine, with a world and an observer of its own            |
//! | `edge`      | what both worlds have: clock, alarms, running handlers, callers           |
//! | `lists`     | what both observers know: how far each list of handlers is                |
//! | `promises`  | the promises by name                                                      |
//! | `landmarks` | what the histories must have reached                                      |
//! | `probes`    | the app's probes (`src/probe.rs`), in a world of their own                |
//!
//! docs/proof.md lists the promises and says what is covered. `make model` goes deeper than `cargo test`.
#![expect(clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod check;
mod edge;
mod elsewhere;
mod landmarks;
mod lists;
mod memory;
mod observer;
mod probes;
mod promises;
mod settings;
mod states;
mod world;

use check::{bounds, check, must_have_reached};
use landmarks::Landmark;
use world::World;

#[test]
fn every_promise_of_a_container_holds() {
    let settings = settings::all().into_iter();
    let reached = settings.fold(0, |reached, setting| reached | check::<World>(setting.name, setting, bounds()));
    must_have_reached([Landmark::OF_BOTH, Landmark::OF_LIFECYCLE], reached);
}

#[test]
fn every_promise_of_a_sidecar_holds() {
    let settings = elsewhere::settings::all().into_iter();
    let reached =
        settings.fold(0, |reached, setting| reached | check::<elsewhere::World>(setting.name, setting, bounds()));
    must_have_reached([Landmark::OF_BOTH, Landmark::OF_ELSEWHERE], reached);
}

//! The shipped state machines (`src/container.rs` and `src/sidecar.rs` themselves, through their public interface) against
//! every history of a bounded world: stateright walks through all of them, and looks for one that
//! breaks a promise.
//!
//! module      | for                                                                       |
//! | ----------- | ------------------------------------------------------------------------- |
//! | `check`     | walks through them, shows a history that breaks a promise                 |
//! `settings`  | the configurations, and how app and handlers behave                       |
//! | `world`     | the kubelet, the app, the handlers, the clock: what can happen next       |
//! `memory`    | the observer's memory                                                     |
//! `observer`  | what must hold for every action                                           |
//! | `states`    | what must hold in every state                                             |
//! | `sidecar`   | the sidecar's machine, with a world and an observer of its own            |
//! `edge`      | what both worlds have: clock, timers, running handlers, callers           |
//! `lists`     | what both observers know: the progress of each handler list               |
//! | `promises`  | the promises by name                                                      |
//! | `landmarks` | what the histories must have reached                                      |
//! | `probes`    | the app's probes (`src/probe.rs`), in a world of their own                |
//! | `reload`    | reloads (`src/reload.rs`), in a world of their own                        |
//!
//! docs/proof.md lists the promises and what is covered. `make model` goes deeper than `cargo test`.
#![expect(clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod check;
mod edge;
mod landmarks;
mod lists;
mod memory;
mod observer;
mod probes;
mod promises;
mod reload;
mod settings;
mod sidecar;
mod states;
mod world;

use check::{bounds, check, must_have_reached};
use landmarks::Landmark;
use world::World;

#[test]
fn every_promise_of_a_container_holds() {
    let settings = settings::all().into_iter();
    let reached = settings.fold(0, |reached, setting| reached | check::<World>(setting.name, setting, bounds()));
    must_have_reached([Landmark::OF_BOTH, Landmark::OF_CONTAINER], reached);
}

#[test]
fn every_promise_of_a_sidecar_holds() {
    let settings = sidecar::settings::all().into_iter();
    let reached =
        settings.fold(0, |reached, setting| reached | check::<sidecar::World>(setting.name, setting, bounds()));
    must_have_reached([Landmark::OF_BOTH, Landmark::OF_SIDECAR], reached);
}

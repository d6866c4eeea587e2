//! The loop: what happens becomes an event, the machine decides, and the actions are carried out here.

pub(crate) mod container;
mod dispatcher;
mod plan;
pub(crate) mod sidecar;

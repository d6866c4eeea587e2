//! From a Pod's template to one whose containers run under bookend or beside it, and back. Pure: values in, values and notes out.
//!
//! ```text
//!   container ─► carry (bookend.toml) ─► config (it must be accepted) ─► wrap ─► template: init container, volumes, hooks, probes
//!   template  ─► beside ─► template: native sidecar, hooks
//!   template  ─► undo ─► template as it was (annotation `bookend-original/NAME`)
//! ```

mod beside;
mod carry;
mod hooks;
mod names;
mod original;
mod parts;
mod undo;
mod wrap;

pub(crate) use self::beside::{Beside, beside};
pub(crate) use self::names::{DEFAULT_GRACE_SECONDS, image};
pub(crate) use self::undo::undo;
pub(crate) use self::wrap::{Wrap, wrap};

//! bookend: the first and the last process of a container.

pub mod config;
pub mod signal;
pub mod lifecycle;

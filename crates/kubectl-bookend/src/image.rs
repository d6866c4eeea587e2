//! The program that an image runs: its ENTRYPOINT, CMD and STOPSIGNAL, from an engine, an OCI layout or the published ones of well-known
//! images. A manifest does not show them.

mod engine;
mod layout;
mod official;
mod program;

pub(crate) use self::engine::from_engine;
pub(crate) use self::layout::{from_layout, has_one_image};
pub(crate) use self::official::official;
pub(crate) use self::program::ImageProgram;

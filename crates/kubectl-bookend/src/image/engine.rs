//! An image that a container engine of this machine has.

use std::process::Command;
use std::time::Duration;

use super::program::{ImageProgram, of_config};
use crate::child::run;

/// Asks an engine, or each known one, for the image. It is not pulled. The name of the engine that has it comes with the answer.
pub(crate) fn from_engine(engine: Option<&str>, image: &str) -> Option<(String, ImageProgram)> {
    let engines = engine.map_or(ENGINES.to_vec(), |engine| vec![engine]);
    engines.into_iter().find_map(|engine| {
        let text = inspect(engine, image)?;
        let config = serde_json::from_str(&text).ok()?;
        Some((engine.to_owned(), of_config(&config)))
    })
}

fn inspect(engine: &str, image: &str) -> Option<String> {
    let args = ["image", "inspect", "--format", "{{json .Config}}", image];
    // No engine, or one without the image: another source may have it.
    let ended = run(Command::new(engine).args(args), Some(PATIENCE), MOST).ok()?;
    (ended.status.success() && !ended.is_cut).then(|| String::from_utf8(ended.stdout).ok())?
}

/// Engines with docker's command line.
const ENGINES: [&str; 3] = ["docker", "podman", "nerdctl"];
/// An engine whose daemon hangs is not at hand.
const PATIENCE: Duration = Duration::from_secs(10);
const MOST: usize = 4_000_000;

//! An image that a container engine of this machine has.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::program::{ImageProgram, of_config};

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
    let mut command = Command::new(engine);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    // No engine, or one without the image: another source may have it.
    let mut child = command.spawn().ok()?;
    let stdout = child.stdout.take()?;
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = stdout.take(MOST).read_to_string(&mut text);
        text
    });
    let end = Instant::now() + PATIENCE;
    while child.try_wait().ok()?.is_none() {
        if Instant::now() > end {
            // It is our child and not reaped, so its pid is its own.
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let succeeded = child.wait().ok()?.success();
    reader.join().ok().filter(|_| succeeded)
}

/// Engines with docker's command line.
const ENGINES: [&str; 3] = ["docker", "podman", "nerdctl"];
/// An engine whose daemon hangs is not at hand.
const PATIENCE: Duration = Duration::from_secs(10);
const MOST: u64 = 4_000_000;

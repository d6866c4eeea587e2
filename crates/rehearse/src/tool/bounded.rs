//! Programs that are run for their output, with a deadline.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The output of a program, and whether it succeeded.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the program to its end, at most this long. A program that takes longer is killed.
pub(crate) fn run(command: &mut Command, most: Duration) -> Result<Output, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| format!("cannot run {name}: {error}"))?;
    let stdout = child.stdout.take().map(read);
    let stderr = child.stderr.take().map(read);
    let end = Instant::now() + most;
    let status = loop {
        match child.try_wait().map_err(|error| format!("cannot wait for {name}: {error}"))? {
            Some(status) => break status,
            None if Instant::now() >= end => {
                // The program is our child and is not reaped yet, so its pid cannot be reused.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{name} did not end within {} s", most.as_secs()));
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let text = |reader: Option<std::thread::JoinHandle<String>>| {
        reader.and_then(|reader| reader.join().ok()).unwrap_or_default()
    };
    Ok(Output { success: status.success(), stdout: text(stdout), stderr: text(stderr) })
}

fn read(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // Output that cannot be read is not shown.
        let _ = pipe.by_ref().take(MOST).read_to_end(&mut bytes);
        // The program must not wait for a reader.
        let _ = std::io::copy(&mut pipe, &mut std::io::sink());
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The most bytes that are kept.
const MOST: u64 = 8 * 1024 * 1024;

//! Texts of files, up to a bound.

use std::path::{Path, PathBuf};

use crate::files::read_beginning;

/// The name of PID 1, and its command line.
pub(crate) fn first_process() -> (String, Vec<String>) {
    let name = read("/proc/1/comm").unwrap_or_default().trim().to_owned();
    let line = read("/proc/1/cmdline").unwrap_or_default();
    (name, line.split_terminator('\0').map(str::to_owned).collect())
}

/// The text of a program that is a text file; `None` for a binary.
pub(super) fn read_script(path: PathBuf) -> Option<String> {
    let bytes = read_beginning(&path, MAX_BYTES).ok()?;
    (!bytes.starts_with(b"\x7fELF")).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// The file, or the beginning of it. A pipe or a device is left alone: reading it may never end.
pub(super) fn read(path: impl AsRef<Path>) -> Option<String> {
    let bytes = read_beginning(path.as_ref(), MAX_BYTES).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Far more than a configuration file has.
const MAX_BYTES: u64 = 1024 * 1024;

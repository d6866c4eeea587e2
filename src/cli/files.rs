//! The configuration files: their names and their text.
//!
//! They are read while all signals are blocked for an app that does not exist yet. So no read here blocks without a
//! limit, whatever kind of file the path names.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::files::{read_stdin, read_stream};
use crate::process::is_first_process;
use bookend_config::{Document, MAX_BYTES};
use bookend_lifecycle::printable::printable;

/// Reads the named files, or those of /etc/bookend that exist. All that cannot be read are reported at once.
pub(super) fn read(named: &[PathBuf]) -> Result<Vec<Document>, String> {
    let mut errors = String::new();
    let mut fail = |path: &Path, error: io::Error| {
        errors.push_str(&format!("bookend: cannot read the configuration file {}: {error}\n", shown(path)));
    };
    let files = if named.is_empty() { default_files(&mut fail) } else { named.to_vec() };
    let mut documents = Vec::new();
    for path in files {
        match text(&path) {
            Ok(text) => documents.push(Document { name: path.display().to_string(), text }),
            Err(error) => fail(&path, error),
        }
    }
    if errors.is_empty() { Ok(documents) } else { Err(errors) }
}

/// `https://user:password@host/bookend.toml` is shown without the user.
fn shown(path: &Path) -> String {
    printable(&bookend_config::without_secrets(&path.to_string_lossy()))
}

/// `BOOKEND_CONFIG`, or /etc/bookend/bookend.toml and then /etc/bookend/conf.d/*.toml in the order of their names. A file
/// that cannot be examined is an error: without it a stop could silently lose its drain.
fn default_files(fail: &mut impl FnMut(&Path, io::Error)) -> Vec<PathBuf> {
    // An empty variable counts as unset.
    if let Some(path) = std::env::var_os("BOOKEND_CONFIG").filter(|path| !path.is_empty()) {
        return vec![path.into()];
    }
    let main = PathBuf::from("/etc/bookend/bookend.toml");
    // The link itself is examined: a dangling one exists, and reading it reports what is wrong.
    let is_missing = main.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound);
    let folder = Path::new("/etc/bookend/conf.d");
    let mut parts: Vec<PathBuf> = match std::fs::read_dir(folder) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(error) => {
            if error.kind() != ErrorKind::NotFound {
                fail(folder, error);
            }
            Vec::new()
        }
    };
    parts.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    parts.sort_unstable();
    (!is_missing).then_some(main).into_iter().chain(parts).collect()
}

/// The whole text of a file. A pipe is read to its end: a shell passes the output of a command that way.
fn text(path: &Path) -> io::Result<String> {
    let most = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    let bytes = if path == Path::new(STDIN) {
        read_stdin(most, if is_first_process() { PIPE_TIMEOUT } else { STDIN_TIMEOUT })?
    } else {
        read_stream(path, most, PIPE_TIMEOUT)?
    };
    String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        let line = good.filter(|byte| **byte == b'\n').count() + 1;
        io::Error::other(format!("line {line} is not UTF-8; save the file with that encoding"))
    })
}

/// The name that means standard input.
const STDIN: &str = "-";
/// A stop signal that arrives meanwhile is delayed by this at most.
const PIPE_TIMEOUT: Duration = Duration::from_secs(5);
/// A person may type, or a pipeline may download first.
const STDIN_TIMEOUT: Duration = Duration::from_secs(60);

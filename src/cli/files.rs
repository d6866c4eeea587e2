//! The configuration's files: which they are, and their text. They are read while every signal is held for an app that
//! is not there yet, so nothing here waits or reads without end, whatever stands in a file's place.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::files::read_stream;
use bookend_config::{Document, MAX_BYTES};
use bookend_lifecycle::small_map::SmallMap;

/// The files that were named, or those of /etc/bookend that exist. All that cannot be read are told at once.
pub(super) fn read(named: &[PathBuf]) -> Result<Vec<Document>, String> {
    let mut errors = String::new();
    let mut fail = |path: &Path, error: io::Error| {
        errors.push_str(&format!("bookend: cannot read the configuration {}: {error}\n", path.display()));
    };
    let files = if named.is_empty() { those_of_the_image(&mut fail) } else { named.to_vec() };
    let mut documents = Vec::new();
    for path in files {
        match text(&path) {
            Ok(text) => documents.push(Document { name: path.display().to_string(), text }),
            Err(error) => fail(&path, error),
        }
    }
    if errors.is_empty() { Ok(documents) } else { Err(errors) }
}

/// `BOOKEND_CONFIG`, or /etc/bookend/bookend.toml and then /etc/bookend/conf.d/*.toml in the order of their names. What
/// may not be looked at is not taken for what is not there: a stop would go without its drain, and nobody would know.
fn those_of_the_image(fail: &mut impl FnMut(&Path, io::Error)) -> Vec<PathBuf> {
    // An empty variable counts as not set, as all of them do.
    if let Some(path) = std::env::var_os("BOOKEND_CONFIG").filter(|path| !path.is_empty()) {
        return vec![path.into()];
    }
    let main = PathBuf::from("/etc/bookend/bookend.toml");
    // The link itself: one to nowhere is there, and reading it says what is wrong.
    let is_missing = main.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound);
    let folder = Path::new("/etc/bookend/conf.d");
    let mut parts: SmallMap<PathBuf, ()> = match std::fs::read_dir(folder) {
        Ok(entries) => entries.flatten().map(|entry| (entry.path(), ())).collect(),
        Err(error) => {
            if error.kind() != ErrorKind::NotFound {
                fail(folder, error);
            }
            SmallMap::new()
        }
    };
    parts.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    (!is_missing).then_some(main).into_iter().chain(parts.into_iter().map(|(part, ())| part)).collect()
}

/// The whole text. A pipe is read to its end, which is how a shell hands over what a command prints.
fn text(path: &Path) -> io::Result<String> {
    let most = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    String::from_utf8(read_stream(path, most, PATIENCE)?).map_err(|error| {
        let good = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        let line = good.filter(|byte| **byte == b'\n').count() + 1;
        io::Error::other(format!("line {line} is not UTF-8; save the file with that encoding"))
    })
}

/// For a pipe. A stop that comes meanwhile waits as long.
const PATIENCE: Duration = Duration::from_secs(5);

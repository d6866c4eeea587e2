//! `bookend copy DEST`: puts this very binary there. An init container runs it where there is neither a shell
//! nor cp(1), as any user, with a read-only root; the app's container then starts what it finds.
//!
//! The file appears whole or not at all: it is written beside its place, made executable, synced, read back
//! and compared, and only then renamed. Whatever fails before that leaves nothing behind.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::sys::statvfs::{FsFlags, fstatvfs};

use super::outcome::{Done, Failure, print};
use crate::process::executed_path;
use crate::report::log::last_words;

#[derive(Debug, clap::Args)]
pub(super) struct Copy {
    /// A file, replaced if it is there, or a directory, which then gets a file named bookend
    #[arg(value_name = "DEST")]
    destination: PathBuf,
}

impl Copy {
    pub(super) fn run(&self) -> Done {
        let unread = |error| Failure::no(format!("bookend: cannot read this binary to copy it: {error}\n"));
        let binary = own_bytes().map_err(unread)?;
        let place = place(&self.destination);
        let failed = |error| Failure::no(format!("bookend: cannot copy to {}: {error}\n", place.display()));
        if fs::metadata(&place).is_ok_and(|there| !there.is_file()) {
            // A rename would put a file where everybody expects /dev/null.
            return Err(failed(io::Error::other("what is there is no regular file, and is not replaced by one")));
        }
        let mut new = Unfinished::beside(&place).map_err(failed)?;
        new.fill(&binary).map_err(failed)?;
        if fstatvfs(&new.file).is_ok_and(|fs| fs.flags().contains(FsFlags::ST_NOEXEC)) {
            last_words(&format!(
                "bookend: {} is mounted noexec here: nothing can be started from it\n",
                self.destination.display()
            ));
        }
        new.finish(&place).map_err(failed)?;
        print(&format!("{}: bookend {}, {} bytes\n", place.display(), env!("CARGO_PKG_VERSION"), binary.len()));
        Ok(())
    }
}

/// The file that is running, even where its name has another one by now; without /proc, the file of the name
/// that execve(2) was given.
fn own_bytes() -> io::Result<Vec<u8>> {
    fs::read("/proc/self/exe").or_else(|error| match executed_path() {
        Some(path) if is_elf(&path) => fs::read(path),
        _ => Err(error),
    })
}

/// Guards against the name's having become something else.
fn is_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"\x7fELF"
}

fn place(destination: &Path) -> PathBuf {
    if destination.is_dir() || destination.as_os_str().as_bytes().ends_with(b"/") {
        destination.join("bookend")
    } else {
        destination.to_owned()
    }
}

/// A new file that is removed again unless it is finished.
struct Unfinished {
    file: File,
    path: PathBuf,
    finished: bool,
}

impl Unfinished {
    /// In the same directory: a rename crosses no file system.
    fn beside(place: &Path) -> io::Result<Unfinished> {
        let name = place.file_name().unwrap_or(OsStr::new("bookend"));
        // In a container we are PID 1 every time, and a copy that was killed may have left its file.
        let stamp = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
        let mut hidden = OsStr::new(".").to_owned();
        hidden.push(name);
        hidden.push(format!(".{}-{stamp}", std::process::id()));
        let path = place.with_file_name(hidden);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Unfinished { file, path, finished: false })
    }

    fn fill(&mut self, binary: &[u8]) -> io::Result<()> {
        self.file.write_all(binary)?;
        // Whatever the umask is: another container's user starts it.
        self.file.set_permissions(Permissions::from_mode(0o755))?;
        self.file.sync_all()?;
        if fs::read(&self.path)? != binary {
            return Err(io::Error::other("what was written reads back differently: the storage is broken"));
        }
        Ok(())
    }

    fn finish(mut self, place: &Path) -> io::Result<()> {
        fs::rename(&self.path, place)?;
        self.finished = true;
        // The name is as durable as the content. Some file systems cannot sync a directory; theirs is the risk.
        let directory = place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let _ = File::open(directory).and_then(|directory| directory.sync_all());
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.finished {
            // Already failing: the first error is the one to tell.
            let _ = fs::remove_file(&self.path);
        }
    }
}

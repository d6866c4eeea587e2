//! `bookend copy DEST`: copies this binary. An init container runs it in images without a shell or cp(1), as any user,
//! with a read-only root file system; the app's container then starts the copy.
//!
//! The file appears complete or not at all: it is written beside its destination, made executable, synced, read back
//! and compared, and only then renamed. A failure leaves no file behind.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::sys::statvfs::{FsFlags, fstatvfs};

use super::outcome::{Failure, Outcome, print};
use crate::process::executed_path;
use crate::report::log::last_words;

#[derive(Debug, clap::Args)]
pub(super) struct CopyArgs {
    /// A file, which is replaced if it exists, or a directory, which gets a file named bookend
    #[arg(value_name = "DEST")]
    destination: PathBuf,
}

impl CopyArgs {
    pub(super) fn run(&self) -> Outcome {
        let unread = |error| Failure::new(format!("bookend: cannot read this binary: {error}\n"));
        let binary = own_bytes().map_err(unread)?;
        let path = file_path(&self.destination);
        let failed = |error| Failure::new(format!("bookend: cannot copy to {}: {error}\n", path.display()));
        if fs::metadata(&path).is_ok_and(|existing| !existing.is_file()) {
            // A rename would replace a device such as /dev/null.
            return Err(failed(io::Error::other("it exists and is not a regular file")));
        }
        let mut new = PartialFile::beside(&path).map_err(failed)?;
        new.fill(&binary).map_err(failed)?;
        if fstatvfs(&new.file).is_ok_and(|fs| fs.flags().contains(FsFlags::ST_NOEXEC)) {
            last_words(&format!(
                "bookend: warning: {} is mounted noexec here: no program can be started from it\n",
                self.destination.display()
            ));
        }
        new.finish(&path).map_err(failed)?;
        print(&format!("{}: bookend {}, {} bytes\n", path.display(), env!("CARGO_PKG_VERSION"), binary.len()));
        Ok(())
    }
}

/// The file that is running, even if its name has been replaced since. Without /proc: the file that execve(2) was given.
fn own_bytes() -> io::Result<Vec<u8>> {
    fs::read("/proc/self/exe").or_else(|error| match executed_path() {
        Some(path) if is_elf(&path) => fs::read(path),
        _ => Err(error),
    })
}

/// Whether the path still names an ELF binary.
fn is_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"\x7fELF"
}

/// The file to write.
fn file_path(destination: &Path) -> PathBuf {
    if destination.is_dir() || destination.as_os_str().as_bytes().ends_with(b"/") {
        destination.join("bookend")
    } else {
        destination.to_owned()
    }
}

/// A new file, removed again unless it is finished.
struct PartialFile {
    file: File,
    path: PathBuf,
    finished: bool,
}

impl PartialFile {
    /// The file is in the same directory, because a rename cannot cross file systems.
    fn beside(path: &Path) -> io::Result<PartialFile> {
        let name = path.file_name().unwrap_or(OsStr::new("bookend"));
        // Our pid is 1 in every container, and a killed copy may have left its file.
        let stamp = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
        let mut hidden = OsStr::new(".").to_owned();
        hidden.push(name);
        hidden.push(format!(".{}-{stamp}", std::process::id()));
        let path = path.with_file_name(hidden);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(PartialFile { file, path, finished: false })
    }

    fn fill(&mut self, binary: &[u8]) -> io::Result<()> {
        self.file.write_all(binary)?;
        // The umask must not apply: the user of another container starts the file.
        self.file.set_permissions(Permissions::from_mode(0o755))?;
        self.file.sync_all()?;
        if fs::read(&self.path)? != binary {
            return Err(io::Error::other("the written file reads back differently: the storage is faulty"));
        }
        Ok(())
    }

    fn finish(mut self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)?;
        self.finished = true;
        // Makes the name as durable as the content. Some file systems cannot sync a directory; that is not an error.
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let _ = File::open(directory).and_then(|directory| directory.sync_all());
        Ok(())
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.finished {
            // The copy has already failed; the first error is the one to report.
            let _ = fs::remove_file(&self.path);
        }
    }
}

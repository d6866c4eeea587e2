//! A file that tells, while a stop lasts, how far it has come: the termination message, or the state for the next life. It
//! is written in place (a bind mount cannot be replaced by a rename), each content with one write and never truncated
//! before: a reader finds the old content or the new one, whenever bookend is killed.
//!
//! The write may take as long as the file system likes, so it has a thread of its own. While it does not return, newer
//! contents replace one another, and the newest is written next.
//!
//! The file is ours if it is empty, or byte for byte what we wrote last. An app that wrote its own message keeps it.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::warn;

use super::message::padded;
use crate::detached::start_thread;

/// Kubernetes' default `terminationMessagePath`.
pub(crate) const TERMINATION_LOG: &str = "/dev/termination-log";

/// A file and its writer.
#[derive(Debug, Clone)]
pub(crate) struct RewrittenFile(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    /// The warning if it cannot be written.
    warning: &'static str,
    state: Mutex<State>,
    idle: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The content to write next.
    next: Option<String>,
    /// The content of the file, while no thread writes.
    last: Vec<u8>,
    is_writing: bool,
    has_warned: bool,
    /// The file is not there, or it is not ours.
    is_over: bool,
}

impl RewrittenFile {
    /// `last`: the content that the file has, if it is ours already.
    pub(crate) fn new(path: PathBuf, warning: &'static str, last: Vec<u8>) -> RewrittenFile {
        let state = Mutex::new(State { last, ..State::default() });
        RewrittenFile(Arc::new(Shared { path, warning, state, idle: Condvar::new() }))
    }

    /// Writes this content soon; an empty one empties the file. `or_here`: if no thread can be started, write it now.
    pub(crate) fn write(&self, content: String, or_here: bool) {
        let mut state = self.0.state();
        if state.is_over {
            return;
        }
        state.next = Some(content);
        if std::mem::replace(&mut state.is_writing, true) {
            return;
        }
        drop(state);
        let shared = Arc::clone(&self.0);
        if start_thread(Box::new(move || shared.write_all())).is_err() {
            // EAGAIN: the pids limit counts threads as well.
            if or_here {
                return self.0.write_all();
            }
            self.0.state().is_writing = false;
        }
    }

    /// The content of the file, while no write is in progress.
    pub(crate) fn into_content(self) -> Vec<u8> {
        std::mem::take(&mut self.0.state().last)
    }

    /// Whether it is worth a thread. Only paths in memory are looked up here: another file system may hang.
    pub(crate) fn may_exist(&self) -> bool {
        !self.0.path.starts_with("/dev") || self.0.path.exists()
    }

    /// Waits until everything is written, but no longer than this.
    pub(crate) fn wait(&self, patience: Duration) {
        let state = self.0.state();
        drop(self.0.idle.wait_timeout_while(state, patience, |state| state.is_writing));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the newest content until there is none.
    fn write_all(&self) {
        let mut state = self.state();
        while let Some(next) = state.next.take().filter(|_| !state.is_over) {
            let mut last = std::mem::take(&mut state.last);
            drop(state);
            let written = rewrite(&self.path, &mut last, &next);
            state = self.state();
            state.last = last;
            match written {
                Ok(is_ours) => state.is_over = !is_ours,
                Err(error) if error.kind() == io::ErrorKind::NotFound => state.is_over = true,
                Err(_) if state.has_warned => {}
                Err(error) => {
                    state.has_warned = true;
                    warn!(%error, path = %self.path.display(), "{}", self.warning);
                }
            }
        }
        state.is_writing = false;
        self.idle.notify_all();
    }
}

/// Writes the content over the last one. `false`: the file is not ours.
///
/// It is opened with O_NONBLOCK, because a FIFO in its place would block until there is a reader, and with O_NOFOLLOW,
/// because an app of another user may have put a link there.
pub(crate) fn rewrite(path: &Path, last: &mut Vec<u8>, content: &str) -> io::Result<bool> {
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW);
    let denied = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
    // A file that cannot be read is ours while it is empty.
    let mut file = match options.clone().read(true).open(path) {
        Err(error) if denied(&error) => options.open(path)?,
        opened => opened?,
    };
    let meta = file.metadata()?;
    let is_ours = meta.is_file()
        && (meta.len() == 0 || {
            let mut found = Vec::new();
            meta.len() == last.len() as u64
                && (&mut file).take(meta.len()).read_to_end(&mut found).is_ok()
                && found == *last
        });
    if !is_ours {
        return Ok(false);
    }
    if content.is_empty() {
        last.clear();
        return file.set_len(0).map(|()| true);
    }
    // If the file was emptied meanwhile, nothing of ours is left behind the new content.
    let behind = if meta.len() == 0 { 0 } else { last.len() };
    let content = padded(content, behind).into_bytes();
    let written = file.write_at(&content, 0)?;
    // On a full disk only a part may be written.
    let rest = last.get(written..behind).unwrap_or_default();
    *last = [content.get(..written).unwrap_or_default(), rest].concat();
    if written < content.len() { Err(io::ErrorKind::WriteZero.into()) } else { Ok(true) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path in the folder of temporary files, and an empty file there if it `exists`.
    fn file(name: &str, exists: bool) -> PathBuf {
        let path = std::env::temp_dir().join(format!("bookend-rewritten-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        if exists {
            std::fs::write(&path, "").unwrap();
        }
        path
    }

    fn text(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_file_is_rewritten_in_place_while_it_is_ours() {
        let (path, mut last) = (file("ours", true), Vec::new());
        assert!(rewrite(&path, &mut last, "stopping for a long time\n{1}\n").unwrap());
        assert!(rewrite(&path, &mut last, "over\n{2}\n").unwrap());
        assert_eq!(text(&path).lines().map(str::trim_end).collect::<Vec<_>>(), ["over", "{2}"]);
        assert_eq!(text(&path).len(), "stopping for a long time\n{1}\n".len());
        assert!(rewrite(&path, &mut last, "").unwrap());
        assert_eq!(text(&path), "");
        assert!(rewrite(&path, &mut last, "again\n").unwrap());
        std::fs::write(&path, "mine!\n").unwrap();
        assert!(!rewrite(&path, &mut last, "over\n").unwrap());
        assert_eq!(text(&path), "mine!\n");
        std::fs::write(&path, "").unwrap();
        assert!(rewrite(&path, &mut last, "x\n").unwrap(), "an app may empty the file");
        assert_eq!(text(&path), "x\n");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_file_that_does_not_exist_is_not_created() {
        let path = file("missing", false);
        let file = RewrittenFile::new(path.clone(), "it", Vec::new());
        file.write("x\n".to_owned(), false);
        file.wait(Duration::from_secs(60));
        assert!(!path.exists());
    }

    #[test]
    fn while_a_write_hangs_newer_contents_replace_one_another() {
        let path = file("slow", true);
        let file = RewrittenFile::new(path.clone(), "it", Vec::new());
        file.0.state().is_writing = true;
        for content in ["a\n", "b\n", "c\n"] {
            file.write(content.to_owned(), false);
        }
        file.wait(Duration::from_millis(1));
        assert_eq!(text(&path), "", "the wait has an end");
        file.0.write_all();
        assert_eq!(text(&path), "c\n");
        std::fs::remove_file(&path).unwrap();
    }
}

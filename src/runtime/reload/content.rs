//! A look at the watched files: a hash of their names and bytes. It blocks, so it runs on a thread of its own. On its way it
//! watches each file and directory before it reads it, so that no change is missed.
//!
//! The number of files, of watches and of bytes is bounded. Files beyond the bound of bytes count by their size and time.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata, OpenOptions};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::process::file_watch::{FileWatch, WatchDescriptor};
use bookend_lifecycle::reload::Content;

/// A watch, and the only name in its directory that counts; `None`: everything does.
pub(crate) type Watched = (WatchDescriptor, Option<OsString>);

/// The result of a look.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) content: Content,
    /// The latest change of a file or a directory, in seconds and nanoseconds since 1970.
    pub(crate) newest: (i64, i64),
    pub(crate) watched: Vec<Watched>,
    /// Why not everything is watched.
    pub(crate) unwatched: Option<String>,
    /// The first file that could not be read.
    pub(crate) error: Option<String>,
}

/// Looks at the files. `watch`: `None` without inotify.
pub(super) fn look(paths: &[PathBuf], watch: Option<&FileWatch>) -> Look {
    let look = Look { content: Content(0), newest: (0, 0), watched: Vec::new(), unwatched: None, error: None };
    let mut walk = Walk { watch, look, hash: DefaultHasher::new(), entries: MOST_ENTRIES, bytes: MOST_BYTES };
    for path in paths {
        walk.path(path, DEPTH);
    }
    Look { content: Content(walk.hash.finish()), ..walk.look }
}

struct Walk<'a> {
    watch: Option<&'a FileWatch>,
    look: Look,
    hash: DefaultHasher,
    /// The rest of the bounds.
    entries: usize,
    bytes: u64,
}

impl Walk<'_> {
    /// A path whose parts may be links.
    fn path(&mut self, path: &Path, depth: usize) {
        self.name(path.as_os_str());
        match self.resolve(path) {
            Ok((real, file)) => {
                if depth == DEPTH && !file.is_dir() {
                    // A new file of this name may take its place.
                    self.watch_name(&real);
                }
                self.entry(&real, &file, depth);
            }
            Err(error) => self.failed(path, &error),
        }
    }

    /// Follows the links of a path, and watches the name of each link, and the first name that is missing.
    fn resolve(&mut self, path: &Path) -> io::Result<(PathBuf, Metadata)> {
        let parts = |path: &Path| path.components().map(|part| part.as_os_str().to_owned()).collect::<Vec<_>>();
        let mut rest: VecDeque<OsString> = parts(path).into();
        let mut here = PathBuf::from("/");
        let mut links = 0;
        while let Some(part) = rest.pop_front() {
            let next = here.join(&part);
            if part == ".." {
                here.pop();
                continue;
            }
            let file = match fs::symlink_metadata(&next) {
                Err(error) => {
                    self.watch_name(&next);
                    return Err(error);
                }
                Ok(file) => file,
            };
            if file.is_symlink() {
                self.watch_name(&next);
                self.saw(&file);
                links += 1;
                if links > MOST_LINKS {
                    return Err(io::Error::other("too many links"));
                }
                let target = fs::read_link(&next)?;
                for part in parts(&target).into_iter().rev() {
                    rest.push_front(part);
                }
            } else {
                // An absolute part replaces what is before it.
                here = next;
            }
        }
        let file = fs::symlink_metadata(&here)?;
        Ok((here, file))
    }

    /// A file or a directory that is not a link.
    fn entry(&mut self, path: &Path, file: &Metadata, depth: usize) {
        if self.entries == 0 {
            return;
        }
        self.entries -= 1;
        self.saw(file);
        if file.is_dir() {
            self.add(path, None);
            if let Err(error) = self.directory(path, depth) {
                self.failed(path, &error);
            }
        } else if file.is_file() {
            self.add(path, None);
            if let Err(error) = self.file(path, file) {
                self.failed(path, &error);
            }
        }
    }

    fn directory(&mut self, path: &Path, depth: usize) -> io::Result<()> {
        if depth == 0 {
            return Ok(());
        }
        let mut names: Vec<OsString> = Vec::new();
        for entry in fs::read_dir(path)?.take(self.entries) {
            let name = entry?.file_name();
            if !is_passing(&name)
                && let Err(place) = names.binary_search(&name)
            {
                names.insert(place, name);
            }
        }
        for name in names {
            let child = path.join(&name);
            match fs::symlink_metadata(&child) {
                Ok(file) if file.is_symlink() => self.path(&child, depth - 1),
                Ok(file) => {
                    self.name(&name);
                    self.entry(&child, &file, depth - 1);
                }
                // It has gone meanwhile, which is reported as a change.
                Err(_) => {}
            }
        }
        self.hash.write_u8(0xff);
        Ok(())
    }

    fn file(&mut self, path: &Path, known: &Metadata) -> io::Result<()> {
        if known.len() > self.bytes {
            self.hash.write_u64(known.len());
            self.hash.write_i64(known.mtime());
            self.hash.write_i64(known.mtime_nsec());
            return Ok(());
        }
        // If a FIFO has taken its place, opening it does not wait.
        let mut file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let count = file.read(&mut buffer)?;
            let bytes = buffer.get(..count).unwrap_or_default();
            self.hash.write(bytes);
            self.bytes = self.bytes.saturating_sub(bytes.len() as u64);
            if count == 0 || self.bytes == 0 {
                self.hash.write_u8(0xfe);
                return Ok(());
            }
        }
    }

    fn name(&mut self, name: &OsStr) {
        self.hash.write(name.as_bytes());
        self.hash.write_u8(0);
    }

    fn saw(&mut self, file: &Metadata) {
        self.look.newest = self.look.newest.max((file.ctime(), file.ctime_nsec()));
    }

    fn failed(&mut self, path: &Path, error: &io::Error) {
        self.hash.write_i32(error.raw_os_error().unwrap_or(-1));
        if error.kind() != io::ErrorKind::NotFound {
            self.look.error.get_or_insert_with(|| format!("cannot read {path:?}: {error}"));
        }
    }

    fn watch_name(&mut self, path: &Path) {
        if let (Some(folder), Some(name)) = (path.parent(), path.file_name()) {
            self.add(folder, Some(name));
        }
    }

    fn add(&mut self, path: &Path, only: Option<&OsStr>) {
        let Some(watch) = self.watch else { return };
        let added = match self.look.watched.len() < MOST_WATCHES {
            true => watch.add(path).map_err(|errno| errno.desc()),
            false => Err("too many files"),
        };
        match added {
            Ok(id) => self.look.watched.push((id, only.map(OsStr::to_owned))),
            // It has gone meanwhile; the directory reports that.
            Err(_) if !path.exists() => {}
            Err(why) => drop(self.look.unwatched.get_or_insert_with(|| format!("cannot watch {path:?}: {why}"))),
        }
    }
}

/// The kubelet's own entries of a volume (`..data`), and the files that editors leave for a moment.
fn is_passing(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.starts_with(b"..")
        || name.starts_with(b".#")
        || name.ends_with(b"~")
        || (name.starts_with(b".") && [&b".swp"[..], b".swo", b".swx"].iter().any(|end| name.ends_with(end)))
}

/// How deep directories are followed.
const DEPTH: usize = 8;
const MOST_LINKS: usize = 40;
const MOST_ENTRIES: usize = 4096;
const MOST_WATCHES: usize = 1024;
const MOST_BYTES: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::{Duration, SystemTime};

    use super::*;

    /// A folder of this test.
    struct Files(PathBuf);

    impl Files {
        fn new(name: &str) -> Files {
            let folder = std::env::temp_dir().join(format!("bookend-content-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Files(folder)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        fn write(&self, name: &str, text: &str) {
            fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
            fs::write(self.path(name), text).unwrap();
        }

        fn look(&self) -> Look {
            look(std::slice::from_ref(&self.0), None)
        }

        /// Whether this work changes the content.
        fn changes(&self, work: impl FnOnce()) -> bool {
            let before = self.look().content;
            work();
            self.look().content != before
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn names_and_bytes_are_the_content_and_times_are_not() {
        let files = Files::new("bytes");
        files.write("a", "one");
        assert!(!files.changes(|| files.write("a", "one")));
        assert!(files.changes(|| files.write("a", "two")));
        assert!(files.changes(|| fs::rename(files.path("a"), files.path("b")).unwrap()));
        assert!(files.changes(|| fs::remove_file(files.path("b")).unwrap()));
    }

    #[test]
    fn files_of_the_kubelet_and_of_editors_do_not_count() {
        let files = Files::new("names");
        for name in ["..data", ".a.swp", "a~", ".#a"] {
            assert!(!files.changes(|| files.write(name, "x")), "{name}");
        }
        assert!(files.changes(|| files.write(".a", "x")));
    }

    #[test]
    fn a_file_beyond_the_bound_of_bytes_counts_by_size_and_time() {
        let files = Files::new("large");
        let large = fs::File::create(files.path("large")).unwrap();
        large.set_len(MOST_BYTES + 1).unwrap();
        assert!(files.changes(|| large.set_len(MOST_BYTES + 2).unwrap()));
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        assert!(files.changes(|| large.set_modified(old).unwrap()), "its time is all that tells of a change");
    }

    #[test]
    fn directories_are_followed_eight_levels_deep() {
        let files = Files::new("deep");
        let deepest = "d/".repeat(DEPTH - 1);
        files.write(&format!("{deepest}d/a"), "below");
        assert!(files.changes(|| files.write(&format!("{deepest}a"), "x")));
        assert!(!files.changes(|| files.write(&format!("{deepest}d/a"), "other")));
    }

    #[test]
    fn links_in_a_circle_are_reported() {
        let files = Files::new("circle");
        symlink(files.path("b"), files.path("a")).unwrap();
        symlink(files.path("a"), files.path("b")).unwrap();
        assert!(files.look().error.is_some_and(|error| error.contains("too many links")));
    }

    #[test]
    fn watches_are_bounded_and_the_rest_is_reported() {
        let files = Files::new("watches");
        (0..=MOST_WATCHES).for_each(|number| files.write(&number.to_string(), ""));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let _inside = runtime.enter();
        let (watch, _events) = FileWatch::begin().unwrap();
        let look = look(std::slice::from_ref(&files.0), Some(&watch));
        assert_eq!(look.watched.len(), MOST_WATCHES);
        assert!(look.unwatched.is_some_and(|why| why.ends_with("too many files")));
    }
}

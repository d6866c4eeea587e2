//! The unix socket: the listener for the command line, and the only one that takes requests to stop or signal the app.
//! Only root and our own user may use it: it has mode 0600, and the peer's credentials are checked as well.
//!
//! Two bookends never fight for a path. A socket on which a process listens is left alone. One on which no process listens
//! was left by a dead bookend; it is replaced under a lock on its directory.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
use nix::sys::stat::Mode;

use crate::process::set_umask;

/// Why the socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    /// A bookend of another container with the same /run, or one beside us.
    #[error("another bookend listens at {0:?}; set `socket` to another path")]
    InUse(PathBuf),
    /// The file of another program.
    #[error("{0:?} exists and is not a socket; remove it, or set `socket` to another path")]
    NotASocket(PathBuf),
    /// Another process holds a lock on the directory: a bookend for a moment, any other for as long as it likes.
    #[error("another process holds a lock on the directory of {0:?}")]
    Locked(PathBuf),
    /// EACCES, EROFS, ENOENT and others.
    #[error("cannot create the socket {path:?}")]
    Create {
        /// The path of the socket.
        path: PathBuf,
        /// The system call's error.
        #[source]
        source: io::Error,
    },
}

/// Whether a dead socket is replaced under the lock only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    Required,
    /// Another process has held the lock for longer than any bookend does.
    Ignored,
}

/// A listening socket, and the file that is removed with it.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    path: PathBuf,
    /// Device and inode: only the file that we created is removed at the end.
    identity: Option<(u64, u64)>,
}

impl ControlSocket {
    /// Opens the socket, and waits for nothing.
    pub(crate) fn open(path: &Path, lock: Lock) -> Result<(UnixListener, ControlSocket), SocketError> {
        let failed = |source: io::Error| SocketError::Create { path: path.to_owned(), source };
        let listener = match listen_at(path) {
            Err(Errno::EADDRINUSE) => replace_dead(path, lock)?,
            // An image FROM scratch has no /run.
            Err(Errno::ENOENT) if path.parent() == Some(Path::new("/run")) && fs::create_dir("/run").is_ok() => {
                listen_at(path).map_err(|errno| failed(errno.into()))?
            }
            listener => listener.map_err(|errno| failed(errno.into()))?,
        };
        Ok((listener, ControlSocket { path: path.to_owned(), identity: identity(path) }))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file, if it is still ours.
    pub(crate) fn remove(&self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // If the directory is read-only by now, the file stays; the next bookend finds that no process listens.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

fn listen_at(path: &Path) -> Result<UnixListener, Errno> {
    let address = UnixAddr::new(path)?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd: OwnedFd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    // The file has its mode from the first moment. A chmod(2) of the path would follow a link that the owner of the
    // directory may have put in its place. The umask is the whole process' one; no other thread of ours creates files.
    let before = set_umask(ALL_BUT_OWNER.bits())?;
    let bound = bind(fd.as_raw_fd(), &address);
    let _ = set_umask(before);
    bound?;
    // At once: a client that finds the file must find a listener.
    listen(&fd, Backlog::new(BACKLOG)?)?;
    Ok(fd.into())
}

fn replace_dead(path: &Path, lock: Lock) -> Result<UnixListener, SocketError> {
    let failed = |source: io::Error| SocketError::Create { path: path.to_owned(), source };
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if !is_socket {
        return Err(SocketError::NotASocket(path.to_owned()));
    }
    let directory = fs::File::open(path.parent().unwrap_or(Path::new("/"))).map_err(failed)?;
    // Without the lock, two bookends that find the same dead socket could each remove the other's new one.
    match directory.try_lock() {
        Err(fs::TryLockError::WouldBlock) if lock == Lock::Required => {
            return Err(SocketError::Locked(path.to_owned()));
        }
        Err(fs::TryLockError::Error(source)) => return Err(failed(source)),
        Ok(()) | Err(fs::TryLockError::WouldBlock) => {}
    }
    if is_live(path) {
        return Err(SocketError::InUse(path.to_owned()));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    listen_at(path).map_err(|errno| failed(errno.into()))
}

/// Whether a process listens at the path. Only a refusal means that none does: if the backlog is full, the process is
/// there and busy. A connect(2) to a unix socket waits for room in the backlog, so this one is non-blocking.
fn is_live(path: &Path) -> bool {
    let Ok(address) = UnixAddr::new(path) else { return true };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let Ok(fd) = socket(AddressFamily::Unix, SockType::Stream, flags, None) else { return true };
    let stream = UnixStream::from(fd);
    let result = nix::sys::socket::connect(stream.as_raw_fd(), &address);
    !matches!(result, Err(Errno::ECONNREFUSED | Errno::ENOENT))
}

/// Whether this peer may use the socket: root, or the user we run as.
pub(super) fn may_use(peer: u32) -> bool {
    peer == 0 || peer == nix::unistd::geteuid().as_raw()
}

/// bind(2) creates the file with mode 0777 less the umask: this leaves 0600.
const ALL_BUT_OWNER: Mode = Mode::S_IXUSR.union(Mode::S_IRWXG).union(Mode::S_IRWXO);
const BACKLOG: i32 = 64;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("bookend-socket-{}-{name}", std::process::id()))
    }

    #[test]
    fn the_socket_has_mode_0600_and_is_removed_at_the_end() {
        let path = path("own");
        let (_listener, socket) = ControlSocket::open(&path, Lock::Required).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        socket.remove();
        assert!(!path.exists());
    }

    #[test]
    fn a_dead_socket_is_replaced_and_a_live_one_is_not() {
        let path = path("dead");
        let (listener, first) = ControlSocket::open(&path, Lock::Required).unwrap();
        assert!(matches!(ControlSocket::open(&path, Lock::Required), Err(SocketError::InUse(_))));
        drop(listener);
        let (_listener, second) = ControlSocket::open(&path, Lock::Required).unwrap();
        // The file at the path belongs to another bookend now.
        if first.identity != second.identity {
            first.remove();
            assert!(path.exists());
        }
        second.remove();
    }

    #[test]
    fn a_lock_that_another_process_holds_is_reported_or_ignored() {
        let folder = path("locked");
        fs::create_dir(&folder).unwrap();
        let path = folder.join("socket");
        drop(ControlSocket::open(&path, Lock::Required).unwrap());
        let held = fs::File::open(&folder).unwrap();
        held.lock().unwrap();
        assert!(matches!(ControlSocket::open(&path, Lock::Required), Err(SocketError::Locked(_))));
        let (_listener, socket) = ControlSocket::open(&path, Lock::Ignored).unwrap();
        socket.remove();
        fs::remove_dir(&folder).unwrap();
    }

    #[test]
    fn a_file_of_another_program_is_left_alone() {
        let path = path("file");
        fs::write(&path, "mine").unwrap();
        assert!(matches!(ControlSocket::open(&path, Lock::Required), Err(SocketError::NotASocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        fs::remove_file(&path).unwrap();
    }
}

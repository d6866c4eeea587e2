//! The unix socket: the door for the command line, and the only one with verbs that stop or signal the app.
//! For root and our own user alone, twice over: mode 0600, and the peer's credentials are looked at.
//!
//! Two bookends never fight for a path. A socket that answers is left alone; one that nobody listens at is what a
//! dead bookend left behind, and is replaced under a lock on its directory.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
use nix::sys::stat::{Mode, fchmod};

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketError {
    /// A bookend of another container with the same /run, or one beside us.
    #[error("a running bookend answers at {0:?} already")]
    Live(PathBuf),
    /// Somebody's file.
    #[error("{0:?} is there and is no socket")]
    NotASocket(PathBuf),
    /// EACCES, EROFS, ENOENT, ...
    #[error("cannot make the socket {path:?}")]
    Make {
        /// Where it was to be.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// A listening socket, and the file that is to go with us.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    path: PathBuf,
    /// Device and inode: what is removed at the end is what we made.
    identity: Option<(u64, u64)>,
}

impl ControlSocket {
    /// Makes it. Nothing here waits.
    pub(crate) fn open(path: &Path) -> Result<(UnixListener, ControlSocket), SocketError> {
        let failed = |source: io::Error| SocketError::Make { path: path.to_owned(), source };
        let listener = match listen_at(path) {
            Err(Errno::EADDRINUSE) => replace_a_dead_one(path)?,
            // An image FROM scratch has no /run.
            Err(Errno::ENOENT) if path.parent() == Some(Path::new("/run")) && fs::create_dir("/run").is_ok() => {
                listen_at(path).map_err(|errno| failed(errno.into()))?
            }
            listener => listener.map_err(|errno| failed(errno.into()))?,
        };
        let identity = fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()));
        Ok((listener, ControlSocket { path: path.to_owned(), identity }))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the file away, if it is still ours.
    pub(crate) fn remove(&self) {
        let now = fs::symlink_metadata(&self.path).ok().map(|file| (file.dev(), file.ino()));
        if now.is_some() && now == self.identity {
            // Read-only by now, or gone: then it stays, and the next bookend finds nobody listening at it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn listen_at(path: &Path) -> Result<UnixListener, Errno> {
    let address = UnixAddr::new(path)?;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd: OwnedFd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    // The file is made with the mode of the socket itself, less the umask: there is no moment at which it is open
    // to others, and no umask of the whole process to be changed. A kernel without that (gVisor) has the credentials.
    let _ = fchmod(&fd, OWNER_ONLY);
    bind(fd.as_raw_fd(), &address)?;
    // At once: whoever finds the file is to find somebody behind it.
    listen(&fd, Backlog::new(BACKLOG)?)?;
    // A umask that takes from the owner took too much.
    let _ = fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(OWNER_ONLY.bits()));
    Ok(fd.into())
}

fn replace_a_dead_one(path: &Path) -> Result<UnixListener, SocketError> {
    let failed = |source: io::Error| SocketError::Make { path: path.to_owned(), source };
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if !is_socket {
        return Err(SocketError::NotASocket(path.to_owned()));
    }
    // Without the lock two that find the same dead one would each remove the other's new one.
    let directory = fs::File::open(path.parent().unwrap_or(Path::new("/"))).map_err(failed)?;
    directory.try_lock().map_err(|error| failed(error.into()))?;
    if somebody_listens_at(path) {
        return Err(SocketError::Live(path.to_owned()));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    listen_at(path).map_err(|errno| failed(errno.into()))
}

/// Only a refusal says that nobody does: a full backlog is somebody, too busy to answer. A connect to a unix
/// socket waits for room in the backlog, so it is asked without waiting.
fn somebody_listens_at(path: &Path) -> bool {
    let Ok(address) = UnixAddr::new(path) else { return true };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let Ok(fd) = socket(AddressFamily::Unix, SockType::Stream, flags, None) else { return true };
    let stream = UnixStream::from(fd);
    let result = nix::sys::socket::connect(stream.as_raw_fd(), &address);
    !matches!(result, Err(Errno::ECONNREFUSED | Errno::ENOENT))
}

/// Whether this peer may talk to us: root, or the user we run as.
pub(super) fn may_talk(peer: u32) -> bool {
    peer == 0 || peer == nix::unistd::geteuid().as_raw()
}

const OWNER_ONLY: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);
const BACKLOG: i32 = 64;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("bookend-socket-{}-{name}", std::process::id()))
    }

    #[test]
    fn the_socket_is_its_owners_alone_and_goes_with_us() {
        let path = path("own");
        let (_listener, socket) = ControlSocket::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        socket.remove();
        assert!(!path.exists());
    }

    #[test]
    fn a_dead_ones_socket_is_replaced_and_a_live_ones_is_not() {
        let path = path("dead");
        let (listener, first) = ControlSocket::open(&path).unwrap();
        assert!(matches!(ControlSocket::open(&path), Err(SocketError::Live(_))));
        drop(listener);
        let (_listener, second) = ControlSocket::open(&path).unwrap();
        // The file at the path is another's now.
        if first.identity != second.identity {
            first.remove();
            assert!(path.exists());
        }
        second.remove();
    }

    #[test]
    fn somebodys_file_is_left_alone() {
        let path = path("file");
        fs::write(&path, "mine").unwrap();
        assert!(matches!(ControlSocket::open(&path), Err(SocketError::NotASocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        fs::remove_file(&path).unwrap();
    }
}

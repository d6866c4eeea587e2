//! The listeners of the HTTP endpoint: the port that hooks and probes call, and the socket of the command line.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use socket2::SockRef;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::detached::{DetachedError, run_bounded, spawn_blocking_detached};
use crate::error::describe;
use crate::http::{self, ControlSocket, Endpoint, Lock, Rules, SocketError};
use bookend_config::settings::Settings;

/// The port is in use, or the address is not ours.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} (http.listen)")]
pub(crate) struct ListenError {
    address: SocketAddr,
    #[source]
    source: io::Error,
}

/// Binds the port, if one is configured. This comes before everything else, so that an early hook finds it.
pub(super) fn bind(settings: &Settings) -> Result<Option<TcpListener>, ListenError> {
    let Some(http) = &settings.http else { return Ok(None) };
    // std sets SO_REUSEADDR and close-on-exec; the backlog holds the calls that come before the runtime is there.
    let listener = TcpListener::bind(http.listen).map_err(|source| ListenError { address: http.listen, source })?;
    // A second listen(2) changes nothing but the size of the backlog. If it is refused, the 128 of std remain.
    let _ = SockRef::from(&listener).listen(BACKLOG);
    Ok(Some(listener))
}

/// Connections that wait to be accepted: those of one tenth of a second in a flood of 40,000 a second, so that a probe
/// among them is not lost. The kernel cuts it to net.core.somaxconn, which is 4096, and 128 before Linux 5.4.
const BACKLOG: i32 = 4096;

/// The open listeners.
pub(super) struct Listeners {
    /// A handle for the tasks of the endpoint; it counts their connections.
    endpoint: Endpoint,
    has_port: bool,
    socket: Arc<OnceLock<ControlSocket>>,
}

impl Listeners {
    pub(super) fn new(endpoint: Endpoint) -> Listeners {
        Listeners { endpoint, has_port: false, socket: Arc::default() }
    }

    /// Begins to serve the port. Calls may already wait in its backlog.
    pub(super) fn open_port(&mut self, listener: TcpListener, settings: &Settings) {
        let Some(http) = &settings.http else { return };
        let listener = listener.set_nonblocking(true).and_then(|()| tokio::net::TcpListener::from_std(listener));
        match listener {
            Ok(listener) => {
                self.has_port = true;
                let rules = Rules::of_port(http, settings);
                crate::tasks::spawn(http::serve_port(listener, self.endpoint.clone(), rules));
            }
            Err(error) => warn!(%error, listen = %http.listen, "cannot serve the port: hooks and probes will fail"),
        }
    }

    /// Opens the socket. By now the app runs, or its preStart handlers are about to.
    pub(super) fn open_socket(&mut self, settings: &Settings) {
        let Some((path, is_configured)) = settings.socket.path() else { return };
        let is_needed = is_configured || may_be_called(settings);
        let opening = SocketOpening {
            path: path.to_owned(),
            is_needed,
            endpoint: self.endpoint.clone(),
            rules: Rules::of_socket(settings),
            slot: Arc::clone(&self.socket),
        };
        if !may_hang(path) {
            return opening.open();
        }
        let looked_at = path.to_owned();
        let look = move || drop(looked_at.symlink_metadata());
        match run_bounded(MOMENT, look.clone()) {
            Err(DetachedError::Lost) => drop(crate::tasks::spawn(opening.open_late(look))),
            Ok(()) | Err(DetachedError::Thread(_)) => opening.open(),
        }
    }

    /// The path at which the command line reaches us.
    pub(super) fn socket_path(&self) -> Option<&Path> {
        self.socket.get().map(ControlSocket::path)
    }

    pub(super) fn remove_socket(&self) {
        let Some(path) = self.socket_path() else { return };
        let slot = Arc::clone(&self.socket);
        let remove = move || slot.get().into_iter().for_each(ControlSocket::remove);
        if !may_hang(path) || matches!(run_bounded(MOMENT, remove.clone()), Err(DetachedError::Thread(_))) {
            remove();
        }
    }

    pub(super) fn has_port(&self) -> bool {
        self.has_port
    }

    /// Whether a client is connected, or waits in a backlog.
    pub(super) async fn has_clients(&self) -> bool {
        // The first turn lets the kernel report a backlog, the second lets the listener accept from it.
        for _ in 0..2 {
            tokio::task::yield_now().await;
        }
        self.endpoint.connections() > 0
    }
}

/// Whether a directory other than the container's own /run has the socket: it may be on a volume that hangs.
fn may_hang(path: &Path) -> bool {
    path.parent() != Some(Path::new("/run"))
}

/// A socket that is about to be opened.
struct SocketOpening {
    path: PathBuf,
    /// A failure is a warning.
    is_needed: bool,
    endpoint: Endpoint,
    rules: Rules,
    slot: Arc<OnceLock<ControlSocket>>,
}

impl SocketOpening {
    fn open(self) {
        match ControlSocket::open(&self.path, Lock::Required) {
            // Retried without the loop, which does not stand still for a lock.
            Err(SocketError::Locked(_)) => drop(crate::tasks::spawn(async move {
                let opened = open_locked(&self.path).await;
                self.serve(opened);
            })),
            opened => self.serve(opened.map_err(|error| describe(&error))),
        }
    }

    /// Opens the socket when its directory answers: `look` waits for that.
    async fn open_late(self, look: impl FnOnce() + Send + 'static) {
        let mut answer = std::pin::pin!(spawn_blocking_detached(format!("socket {:?}", self.path), look));
        if timeout(PATIENCE, &mut answer).await.is_err() {
            report(&format!("the directory of the socket {:?} does not answer", self.path), self.is_needed);
            let _ = answer.await;
        }
        self.open();
    }

    fn serve(self, opened: Result<(UnixListener, ControlSocket), String>) {
        let SocketOpening { is_needed, endpoint, rules, slot, .. } = self;
        match opened.and_then(|opened| serve(opened, endpoint, rules)) {
            Ok(socket) => drop(slot.set(socket)),
            Err(error) => report(&error, is_needed),
        }
    }
}

/// Opens the socket whose directory another process has locked: waits a while, then goes on without the lock.
async fn open_locked(path: &Path) -> Result<(UnixListener, ControlSocket), String> {
    for _ in 0..LOCK_RETRIES {
        tokio::time::sleep(LOCK_RETRY).await;
        match ControlSocket::open(path, Lock::Required) {
            Err(SocketError::Locked(_)) => {}
            opened => return opened.map_err(|error| describe(&error)),
        }
    }
    warn!(?path, "another process holds a lock on the socket's directory: replacing the dead socket without the lock");
    ControlSocket::open(path, Lock::Ignored).map_err(|error| describe(&error))
}

/// Begins to serve the socket.
fn serve(opened: (UnixListener, ControlSocket), endpoint: Endpoint, rules: Rules) -> Result<ControlSocket, String> {
    let (listener, socket) = opened;
    let listener = tokio::net::UnixListener::from_std(listener).map_err(|error| error.to_string())?;
    crate::tasks::spawn(http::serve_socket(listener, endpoint, rules));
    Ok(socket)
}

fn report(error: &str, is_needed: bool) {
    let effect = "exec hooks and commands like `bookend status` cannot reach this process; \
                  set BOOKEND_SOCKET to a path in a writable volume, or to None";
    match is_needed {
        true => warn!("{error}: {effect}"),
        // Not root, or a read-only /run: an init without a configuration does not warn about that.
        false => info!("{error}: {effect}"),
    }
}

/// Whether hooks, handlers or probes are configured: an exec hook may then call the socket.
fn may_be_called(settings: &Settings) -> bool {
    let hooks = &settings.lifecycle;
    settings.http.is_some()
        || !settings.containers.is_empty()
        || !(hooks.post_start.is_empty() && hooks.pre_stop.is_empty())
}

/// How long the loop waits for the directory of the socket; and after which time it is reported that it does not answer.
const MOMENT: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(2);
/// A bookend holds the lock for less than a millisecond.
const LOCK_RETRIES: usize = 20;
const LOCK_RETRY: Duration = Duration::from_millis(25);

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;
    use bookend_config::{Document, Sources};

    #[test]
    fn the_backlog_holds_more_connections_than_std_allows() {
        let somaxconn = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap_or_default();
        if somaxconn.trim().parse().unwrap_or(128) < 300 {
            return;
        }
        let file = Document { name: "file".to_owned(), text: "http.listen = \"127.0.0.1:0\"".to_owned() };
        let settings = bookend_config::load(&Sources { files: vec![file], ..Sources::default() }).unwrap().settings;
        let listener = bind(&settings).unwrap().unwrap();
        let address = listener.local_addr().unwrap();
        // Not one of them is accepted.
        let connect = || TcpStream::connect_timeout(&address, Duration::from_secs(10)).unwrap();
        let clients: Vec<TcpStream> = (0..250).map(|_| connect()).collect();
        assert_eq!(clients.len(), 250);
    }
}

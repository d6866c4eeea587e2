//! The running bookend, asked over its unix socket.
//!
//! HTTP/1.0 with one request per connection, so that a response ends where the connection ends. No async runtime and no
//! client library: an exec probe runs this code every few seconds.

use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::sockopt::{PeerCredentials, SendTimeout};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, getsockopt, send, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::{AccessFlags, access, geteuid};

use super::outcome::{Failure, Outcome, print};
use super::sleep::pause;
use super::trust::is_trusted;

/// Which bookend to ask.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Client {
    /// Socket of the running bookend [default: $BOOKEND_SOCKET, else /run/bookend.sock]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Trust a bookend that runs as this user, besides root and the user of this command
    #[arg(long, value_name = "UID")]
    peer_uid: Option<u32>,
}

/// A complete response.
#[derive(Debug)]
pub(super) struct ClientResponse {
    pub(super) code: u16,
    pub(super) body: String,
}

/// A response that is read as it arrives.
#[derive(Debug)]
pub(super) struct ResponseStream {
    pub(super) code: u16,
    connection: UnixConnection,
    /// The part of the body that arrived with the head.
    first: io::Cursor<Vec<u8>>,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// ENOENT, ECONNREFUSED: no process listens there.
    #[error(
        "no bookend is running at {path}: {source}; if it uses another socket, name it with --socket or BOOKEND_SOCKET"
    )]
    NotRunning {
        /// The socket.
        path: PathBuf,
        /// From connect(2).
        source: io::Error,
    },
    /// No process listens there, and bookend cannot have created its socket in this place.
    #[error(
        "no socket at {path}, and bookend cannot create one there as this user: {source}; set BOOKEND_SOCKET of the \
         container to a path in a writable volume"
    )]
    NoPlace {
        /// The socket.
        path: PathBuf,
        /// From access(2) of its directory.
        source: io::Error,
    },
    /// The configuration disables the socket.
    #[error("the socket is disabled (\"None\"); name one with --socket or BOOKEND_SOCKET")]
    NoSocket,
    /// EACCES, EPERM.
    #[error(
        "cannot connect to {path}: {source}; run this as the user that bookend runs as, or as root with CAP_DAC_OVERRIDE"
    )]
    Forbidden {
        /// The socket.
        path: PathBuf,
        /// From connect(2).
        source: io::Error,
    },
    /// An invalid path, no descriptors, ...
    #[error("cannot ask bookend at {path}: {source}")]
    Io {
        /// The socket.
        path: PathBuf,
        /// From the system call.
        source: io::Error,
    },
    /// The connection ended before the response was complete.
    #[error(
        "bookend at {0} closed the connection before its response was complete: \
         the container is ending, or too many clients are connected"
    )]
    Truncated(PathBuf),
    /// The deadline has passed.
    #[error("bookend at {0} did not respond in time")]
    Timeout(PathBuf),
    /// Another user listens there, who may have put the socket there.
    #[error(
        "the process listening on {path} runs as uid {peer}, this command as uid {own}: not trusted; \
         if it is your bookend, pass --peer-uid {peer}"
    )]
    Untrusted {
        /// The socket.
        path: PathBuf,
        /// The user of the listening process.
        peer: u32,
        /// Our own user.
        own: u32,
    },
    /// The response is not HTTP.
    #[error("the process listening on {0} is not bookend")]
    NotBookend(PathBuf),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        Failure::new(format!("bookend: {error}\n"))
    }
}

impl ClientResponse {
    /// The body, if bookend accepted the request; otherwise its reason.
    pub(super) fn print_if_accepted(&self) -> Outcome {
        match self.code {
            200..300 => {
                print(&self.body);
                Ok(())
            }
            _ => Err(self.refusal()),
        }
    }

    /// The failure that a response with an error status means.
    pub(super) fn refusal(&self) -> Failure {
        Failure::new(format!("bookend: the request was refused (status {}): {}\n", self.code, self.body.trim_end()))
    }
}

impl Client {
    /// Sends one request and reads the complete response.
    pub(super) fn request(&self, request: &str, deadline: Option<Instant>) -> Result<ClientResponse, ClientError> {
        let mut stream = self.stream(request, deadline)?;
        let mut body = Vec::new();
        match (&mut stream).take(MAX_BODY_BYTES).read_to_end(&mut body) {
            Ok(_) if stream.is_truncated(body.len()) => Err(ClientError::Truncated(self.path())),
            Ok(_) => Ok(ClientResponse { code: stream.code, body: String::from_utf8_lossy(&body).into_owned() }),
            Err(error) => Err(self.error(error)),
        }
    }

    /// Does the same as `request`, but waits for a bookend that does not listen yet: a postStart hook can run before
    /// main().
    pub(super) fn request_with_retry(
        &self,
        request: &str,
        deadline: Option<Instant>,
    ) -> Result<ClientResponse, ClientError> {
        let retry_until = Instant::now() + FIRST_WAIT;
        let retry_until = deadline.map_or(retry_until, |deadline| deadline.min(retry_until));
        loop {
            match self.request(request, deadline) {
                Err(ClientError::NotRunning { .. }) if Instant::now() < retry_until => pause(RETRY_INTERVAL),
                result => return result,
            }
        }
    }

    /// Sends one request and returns the response to be read as it arrives. `deadline` covers all of it.
    pub(super) fn stream(&self, request: &str, deadline: Option<Instant>) -> Result<ResponseStream, ClientError> {
        let path = self.path();
        if path == Path::new("None") {
            return Err(ClientError::NoSocket);
        }
        let mut connection = self.connect(&path, deadline)?;
        let version = env!("CARGO_PKG_VERSION");
        let head = format!("{request} HTTP/1.0\r\nHost: localhost\r\nUser-Agent: bookend/{version}\r\n\r\n");
        connection.send(head.as_bytes()).map_err(|error| self.error(error))?;
        let mut read = Vec::new();
        let end_of_head = loop {
            let mut chunk = [0; 4096];
            let count = connection.read(&mut chunk).map_err(|error| self.error(error))?;
            if count == 0 {
                let is_empty = read.is_empty();
                return Err(if is_empty { ClientError::Truncated(path) } else { ClientError::NotBookend(path) });
            }
            read.extend(chunk.iter().take(count));
            if let Some(at) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if read.len() > MAX_HEAD_BYTES {
                return Err(ClientError::NotBookend(path));
            }
        };
        let first = read.split_off(end_of_head);
        let head = String::from_utf8_lossy(&read);
        let code =
            head.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let code = code.ok_or(ClientError::NotBookend(path))?;
        connection.content_length = content_length(&head);
        Ok(ResponseStream { code, connection, first: io::Cursor::new(first) })
    }

    fn path(&self) -> PathBuf {
        let variable = || std::env::var_os("BOOKEND_SOCKET").filter(|path| !path.is_empty()).map(PathBuf::from);
        self.socket.clone().or_else(variable).unwrap_or_else(|| PathBuf::from("/run/bookend.sock"))
    }

    fn connect(&self, path: &Path, deadline: Option<Instant>) -> Result<UnixConnection, ClientError> {
        let connected: io::Result<_> = (|| {
            let address = UnixAddr::new(path)?;
            let fd: OwnedFd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
            // With a full backlog connect(2) blocks, on a unix socket for SO_SNDTIMEO. Without time left we still try:
            // "not running" is a better message than "not in time".
            if let Some(deadline) = deadline {
                let left = deadline.saturating_duration_since(Instant::now());
                let micros = i64::try_from(left.as_micros()).unwrap_or(i64::MAX).max(1);
                setsockopt(&fd, SendTimeout, &TimeVal::microseconds(micros))?;
            }
            connect(fd.as_raw_fd(), &address)?;
            let peer = getsockopt(&fd, PeerCredentials)?.uid();
            Ok((UnixStream::from(fd), peer))
        })();
        let (stream, peer) = connected.map_err(|error| self.error(error))?;
        let own = geteuid().as_raw();
        match is_trusted(own, peer, self.peer_uid, path) {
            true => Ok(UnixConnection { stream, deadline, content_length: None }),
            false => Err(ClientError::Untrusted { path: path.to_owned(), peer, own }),
        }
    }

    fn error(&self, source: io::Error) -> ClientError {
        let path = self.path();
        match source.kind() {
            io::ErrorKind::NotFound => match place_error(&path) {
                Some(source) => ClientError::NoPlace { path, source },
                None => ClientError::NotRunning { path, source },
            },
            io::ErrorKind::ConnectionRefused => ClientError::NotRunning { path, source },
            io::ErrorKind::PermissionDenied => ClientError::Forbidden { path, source },
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientError::Timeout(path),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => ClientError::Truncated(path),
            _ => ClientError::Io { path, source },
        }
    }
}

impl ResponseStream {
    /// Whether the connection ended before the announced length had arrived.
    fn is_truncated(&self, count: usize) -> bool {
        self.connection.content_length.is_some_and(|length| count < length)
    }
}

impl Read for &mut ResponseStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.first.read(buffer)? {
            0 => self.connection.read(buffer),
            count => Ok(count),
        }
    }
}

#[derive(Debug)]
struct UnixConnection {
    stream: UnixStream,
    deadline: Option<Instant>,
    content_length: Option<usize>,
}

impl UnixConnection {
    fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            // Without MSG_NOSIGNAL, SIGPIPE would end us silently if bookend has just ended.
            match send(self.stream.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL) {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.stream.set_read_timeout(time_left(self.deadline)?)?;
            match self.stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // If a server closes with some of our bytes unread, the connection is reset. That also ends the
                // response.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(0),
                result => return result,
            }
        }
    }
}

/// The time left until the deadline. `None`: there is no limit.
fn time_left(deadline: Option<Instant>) -> io::Result<Option<Duration>> {
    let Some(deadline) = deadline else { return Ok(None) };
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
}

fn content_length(head: &str) -> Option<usize> {
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    })
}

/// Why a process of this user cannot create a socket in its directory. bookend itself creates only /run.
fn place_error(path: &Path) -> Option<io::Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty())?;
    match access(folder, AccessFlags::W_OK | AccessFlags::X_OK) {
        Err(Errno::ENOENT) if folder == Path::new("/run") => access(Path::new("/"), AccessFlags::W_OK).err(),
        result => result.err(),
    }
    .map(io::Error::from)
}

/// How long a hook waits for a bookend that does not listen yet.
const FIRST_WAIT: Duration = Duration::from_secs(10);
const RETRY_INTERVAL: Duration = Duration::from_millis(10);
const MAX_BODY_BYTES: u64 = 16 * 1024 * 1024;
const MAX_HEAD_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixListener;

    use super::*;

    /// The result of a request to a server that reads the request and writes this response.
    fn request(name: &str, response: &'static str) -> Result<ClientResponse, ClientError> {
        let path = std::env::temp_dir().join(format!("bookend-client-{}-{name}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let count = stream.read(&mut request).unwrap();
            stream.write_all(response.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..count]).into_owned()
        });
        let client = Client { socket: Some(path.clone()), peer_uid: None };
        let result = client.request("GET /status", Some(Instant::now() + FIRST_WAIT));
        assert!(server.join().unwrap().starts_with("GET /status HTTP/1.0\r\n"));
        std::fs::remove_file(path).unwrap();
        result
    }

    #[test]
    fn a_response_ends_where_the_connection_ends() {
        let response = request("whole", "HTTP/1.0 503 Service Unavailable\r\nA: b\r\n\r\nnot yet\n").unwrap();
        assert_eq!((response.code, response.body.as_str()), (503, "not yet\n"));
    }

    #[test]
    fn a_truncated_response_is_an_error() {
        assert!(matches!(request("nothing", ""), Err(ClientError::Truncated(_))));
        assert!(matches!(
            request("short", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"),
            Err(ClientError::Truncated(_))
        ));
    }

    #[test]
    fn a_server_that_does_not_speak_http_is_not_bookend() {
        assert!(matches!(request("ssh", "SSH-2.0-OpenSSH_9.2\r\n"), Err(ClientError::NotBookend(_))));
        assert!(matches!(request("words", "hello, who is it?\r\n\r\n"), Err(ClientError::NotBookend(_))));
    }
}

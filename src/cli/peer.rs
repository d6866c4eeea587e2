//! The running bookend, asked over its unix socket: HTTP/1.0, one request a connection, so that an answer is what
//! comes until the connection ends. No runtime and no client library: an exec probe runs this every few seconds.

use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, send, setsockopt, socket, sockopt::SendTimeout,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::outcome::Failure;
use super::sleep::pause;

/// Where it is.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Peer {
    /// The running bookend's socket [default: $BOOKEND_SOCKET, else /run/bookend.sock]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) body: String,
}

/// An answer that goes on.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) code: u16,
    connection: Connection,
    /// What came with the head.
    begun: io::Cursor<Vec<u8>>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum PeerError {
    /// ENOENT, ECONNREFUSED: nobody listens.
    #[error(
        "no bookend answers at {path}: {source}; is it the container's first process? --socket or BOOKEND_SOCKET names another place"
    )]
    Nobody {
        /// The socket.
        path: PathBuf,
        /// As the kernel says it.
        source: io::Error,
    },
    /// What the configuration calls no socket.
    #[error("the socket is said to be \"None\", so no bookend answers; --socket or BOOKEND_SOCKET names one")]
    NoSocket,
    /// EACCES, EPERM.
    #[error(
        "may not talk to the bookend at {path}: {source}; it answers the user it runs as, and root that has its capabilities"
    )]
    Forbidden {
        /// The socket.
        path: PathBuf,
        /// As the kernel says it.
        source: io::Error,
    },
    /// A path that is none, no descriptors, ...
    #[error("cannot ask the bookend at {path}: {source}")]
    Broken {
        /// The socket.
        path: PathBuf,
        /// As the kernel says it.
        source: io::Error,
    },
    /// The end of the stream where an answer should be.
    #[error(
        "the bookend at {0} ended before it had answered: the container is ending, or its limit of callers is reached"
    )]
    Cut(PathBuf),
    /// The time was over.
    #[error("the bookend at {0} has not answered in time")]
    Late(PathBuf),
    /// Not HTTP.
    #[error("what answers at {0} is no bookend")]
    Stranger(PathBuf),
}

impl From<PeerError> for Failure {
    fn from(error: PeerError) -> Failure {
        Failure::no(format!("bookend: {error}\n"))
    }
}

impl Peer {
    /// One request, and the whole answer to it.
    pub(super) fn ask(&self, request: &str, until: Option<Instant>) -> Result<Answer, PeerError> {
        let mut stream = self.open(request, until)?;
        let mut body = Vec::new();
        match (&mut stream).take(MOST_BYTES).read_to_end(&mut body) {
            Ok(_) if stream.is_cut(body.len()) => Err(PeerError::Cut(self.path())),
            Ok(_) => Ok(Answer { code: stream.code, body: String::from_utf8_lossy(&body).into_owned() }),
            Err(error) => Err(self.why(error)),
        }
    }

    /// The same; a bookend that is not there yet is waited for. A postStart hook can come before main() has begun.
    pub(super) fn ask_patiently(&self, request: &str, until: Option<Instant>) -> Result<Answer, PeerError> {
        let patience = Instant::now() + FIRST_WAIT;
        let patience = until.map_or(patience, |until| until.min(patience));
        loop {
            match self.ask(request, until) {
                Err(PeerError::Nobody { .. }) if Instant::now() < patience => pause(AGAIN),
                done => return done,
            }
        }
    }

    /// One request, and an answer that is read as it comes. `until` is for all of it.
    pub(super) fn open(&self, request: &str, until: Option<Instant>) -> Result<Stream, PeerError> {
        let path = self.path();
        if path == Path::new("None") {
            return Err(PeerError::NoSocket);
        }
        let mut connection = self.connect(&path, until)?;
        let version = env!("CARGO_PKG_VERSION");
        let head = format!("{request} HTTP/1.0\r\nHost: localhost\r\nUser-Agent: bookend/{version}\r\n\r\n");
        connection.send(head.as_bytes()).map_err(|error| self.why(error))?;
        let mut read = Vec::new();
        let end_of_head = loop {
            let mut chunk = [0; 4096];
            let count = connection.read(&mut chunk).map_err(|error| self.why(error))?;
            if count == 0 {
                return Err(if read.is_empty() { PeerError::Cut(path) } else { PeerError::Stranger(path) });
            }
            read.extend(chunk.iter().take(count));
            if let Some(at) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if read.len() > MOST_HEAD_BYTES {
                return Err(PeerError::Stranger(path));
            }
        };
        let begun = read.split_off(end_of_head);
        let head = String::from_utf8_lossy(&read);
        let code =
            head.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let code = code.ok_or(PeerError::Stranger(path))?;
        connection.expected = length(&head);
        Ok(Stream { code, connection, begun: io::Cursor::new(begun) })
    }

    pub(super) fn path(&self) -> PathBuf {
        let variable = || std::env::var_os("BOOKEND_SOCKET").filter(|path| !path.is_empty()).map(PathBuf::from);
        self.socket.clone().or_else(variable).unwrap_or_else(|| PathBuf::from("/run/bookend.sock"))
    }

    fn connect(&self, path: &Path, until: Option<Instant>) -> Result<Connection, PeerError> {
        let connected = (|| {
            let address = UnixAddr::new(path)?;
            let fd: OwnedFd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
            // A full backlog makes connect(2) wait, on a unix socket as long as SO_SNDTIMEO says. Without time left
            // it is tried all the same: that nobody is there says more than that it is late.
            if let Some(until) = until {
                let left = until.saturating_duration_since(Instant::now());
                let micros = i64::try_from(left.as_micros()).unwrap_or(i64::MAX).max(1);
                setsockopt(&fd, SendTimeout, &TimeVal::microseconds(micros))?;
            }
            connect(fd.as_raw_fd(), &address)?;
            Ok(UnixStream::from(fd))
        })();
        match connected {
            Ok(stream) => Ok(Connection { stream, until, expected: None }),
            Err(error) => Err(self.why(error)),
        }
    }

    fn why(&self, source: io::Error) -> PeerError {
        let path = self.path();
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => PeerError::Nobody { path, source },
            io::ErrorKind::PermissionDenied => PeerError::Forbidden { path, source },
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => PeerError::Late(path),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => PeerError::Cut(path),
            _ => PeerError::Broken { path, source },
        }
    }
}

impl Stream {
    /// Whether the connection ended before all that was announced had come.
    fn is_cut(&self, count: usize) -> bool {
        self.connection.expected.is_some_and(|expected| count < expected)
    }
}

impl Read for &mut Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.begun.read(buffer)? {
            0 => self.connection.read(buffer),
            count => Ok(count),
        }
    }
}

#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    until: Option<Instant>,
    /// Content-Length.
    expected: Option<usize>,
}

impl Connection {
    fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            // Without MSG_NOSIGNAL a bookend that is just ending would end us without a word.
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
            self.stream.set_read_timeout(left(self.until)?)?;
            match self.stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A server that goes away with a byte of ours unread resets the connection: that is its end, too.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(0),
                done => return done,
            }
        }
    }
}

/// What is left of the time. `None`: there is no limit.
fn left(until: Option<Instant>) -> io::Result<Option<Duration>> {
    let Some(until) = until else { return Ok(None) };
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
}

fn length(head: &str) -> Option<usize> {
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    })
}

/// How long a hook waits for a bookend that has not begun to listen.
const FIRST_WAIT: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(10);
const MOST_BYTES: u64 = 16 * 1024 * 1024;
const MOST_HEAD_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixListener;

    use super::*;

    /// What the peer says of a server that reads the request and writes this.
    fn ask(name: &str, answer: &'static str) -> Result<Answer, PeerError> {
        let path = std::env::temp_dir().join(format!("bookend-peer-{}-{name}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let count = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..count]).into_owned()
        });
        let answered = Peer { socket: Some(path.clone()) }.ask("GET /status", Some(Instant::now() + FIRST_WAIT));
        assert!(server.join().unwrap().starts_with("GET /status HTTP/1.0\r\n"));
        std::fs::remove_file(path).unwrap();
        answered
    }

    #[test]
    fn an_answer_is_what_comes_until_the_end() {
        let answer = ask("whole", "HTTP/1.0 503 Service Unavailable\r\nA: b\r\n\r\nnot yet\n").unwrap();
        assert_eq!((answer.code, answer.body.as_str()), (503, "not yet\n"));
    }

    #[test]
    fn an_answer_that_is_cut_short_is_none() {
        assert!(matches!(ask("nothing", ""), Err(PeerError::Cut(_))));
        assert!(matches!(ask("short", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"), Err(PeerError::Cut(_))));
    }

    #[test]
    fn a_stranger_is_named_so() {
        assert!(matches!(ask("ssh", "SSH-2.0-OpenSSH_9.2\r\n"), Err(PeerError::Stranger(_))));
        assert!(matches!(ask("words", "what do you want?\r\n\r\n"), Err(PeerError::Stranger(_))));
    }
}

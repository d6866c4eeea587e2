//! An app that is a server, and its clients, over real connections: silent ones, and clients with requests.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use bookend_test_support::PATIENCE;

/// The app's side.
pub(crate) struct Server {
    listener: Option<TcpListener>,
    connections: Vec<Connection>,
}

struct Connection {
    stream: TcpStream,
    /// When the request on it is answered.
    answer_at: Option<Instant>,
}

impl Server {
    /// Listens on a port of its own, and writes it to the file that the clients read.
    pub(crate) fn listen(trace: &str) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        // Complete, or absent.
        let (unfinished, port) = (format!("{trace}.port.new"), port_file(trace));
        std::fs::write(&unfinished, listener.local_addr().unwrap().port().to_string()).unwrap();
        std::fs::rename(unfinished, port).unwrap();
        Server { listener: Some(listener), connections: Vec::new() }
    }

    /// Does what is due now, and returns the number of connections. A draining server accepts no more.
    pub(crate) fn serve(&mut self, drains: bool) -> usize {
        if drains {
            self.listener = None;
        }
        while let Some(Ok((stream, _))) = self.listener.as_ref().map(TcpListener::accept) {
            stream.set_nonblocking(true).unwrap();
            self.connections.push(Connection { stream, answer_at: None });
        }
        self.connections.retain_mut(Connection::serve);
        self.connections.len()
    }
}

impl Connection {
    /// Whether the client is still connected.
    fn serve(&mut self) -> bool {
        if self.answer_at.is_some_and(|at| at <= Instant::now()) {
            self.answer_at = None;
            if self.stream.write_all(ANSWER).is_err() {
                return false;
            }
        }
        let mut request = [0; 2];
        match self.stream.read(&mut request) {
            Ok(0) => false,
            Ok(_) => {
                let millis = u16::from_le_bytes(request);
                self.answer_at = Some(Instant::now() + Duration::from_millis(millis.into()));
                true
            }
            Err(why) => why.kind() == ErrorKind::WouldBlock,
        }
    }
}

/// A client's behaviour once it is connected.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Client {
    /// Sends nothing, and closes after this many milliseconds, if ever.
    Silent { millis: Option<u64> },
    /// Sends a request whose response takes this long, and keeps the connection.
    Asks { millis: u16 },
}

/// The result of a client.
pub(crate) struct Left {
    pub(crate) asked: Option<Asked>,
    /// A client that does not close by itself stays connected as long as this is kept.
    _connection: Option<TcpStream>,
}

/// The result of a client's request.
#[derive(Debug)]
pub(crate) struct Asked {
    /// When the request had been written, in microseconds of the day.
    pub(crate) at: u64,
    pub(crate) answered: bool,
}

/// Waits for the app's port as long as the container runs, then this many milliseconds more, and acts as that client
/// until the app or the client closes.
pub(crate) fn connect(trace: &str, after: u64, client: Client, is_running: &dyn Fn() -> bool) -> Option<Left> {
    let port = loop {
        match std::fs::read_to_string(port_file(trace)) {
            Ok(port) => break port.parse::<u16>().unwrap(),
            Err(_) if is_running() => sleep(Duration::from_millis(5)),
            Err(_) => return None,
        }
    };
    sleep(Duration::from_millis(after));
    // The app may have ended, or accept no more clients.
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let mut answer = Vec::new();
    match client {
        Client::Silent { millis } => {
            stream.set_read_timeout(Some(millis.map_or(PATIENCE, Duration::from_millis))).unwrap();
            // Until the app closes it, or the time is over.
            let _ = stream.read_to_end(&mut answer);
            Some(Left { asked: None, _connection: millis.is_none().then_some(stream) })
        }
        Client::Asks { millis } => {
            stream.write_all(&millis.to_le_bytes()).ok()?;
            let at = micros_of_day();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let _ = stream.read_to_end(&mut answer);
            Some(Left { asked: Some(Asked { at, answered: answer == ANSWER }), _connection: Some(stream) })
        }
    }
}

fn port_file(trace: &str) -> PathBuf {
    Path::new(trace).with_extension("port")
}

fn micros_of_day() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros() % 86_400_000_000).unwrap()
}

const ANSWER: &[u8] = b"the whole answer";

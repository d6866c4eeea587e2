//! How long a signal takes to the application while others attack its init: processes of the container, clients of the
//! endpoint, and a handler. An attack on the endpoint, or by a handler, is for bookend alone.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use crate::container::{Container, now};
use crate::figures::Samples;
use crate::subjects::{Kind, Subject};

/// Something that others do to an init.
pub(crate) struct Attack {
    pub(crate) title: &'static str,
    /// `BENCH_ATTACK` of the application.
    inside: Option<&'static str>,
    /// Sent on each connection to the port, by clients that make new ones without end.
    clients: Option<Client>,
    /// A handler without end.
    handler: Option<&'static str>,
}

#[derive(Clone, Copy)]
enum Client {
    /// Sends these bytes and nothing more.
    Holds(&'static [u8]),
    /// Sends a request and reads the answer.
    Asks(&'static [u8]),
}

const fn inside(title: &'static str, name: &'static str) -> Attack {
    Attack { title, inside: Some(name), clients: None, handler: None }
}

const fn from_outside(title: &'static str, client: Client) -> Attack {
    Attack { title, inside: None, clients: Some(client), handler: None }
}

pub(crate) const ALL: [Attack; 9] = [
    inside("SIGCHLD flood", "SIGCHLD"),
    inside("real-time signal flood", "realtime"),
    inside("orphan churn beside 5,000 sleeping orphans", "churn"),
    inside("200 orphans stopped and continued", "toggle"),
    from_outside("connection flood", Client::Holds(b"")),
    from_outside("TLS flood", Client::Holds(b"\x16\x03\x01\x02\x00\x01\x00")),
    Attack {
        inside: Some("crowd"),
        ..from_outside(
            "/status flood, 15,000 processes",
            Client::Asks(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        )
    },
    Attack {
        inside: Some("crowd"),
        ..from_outside(
            "/metrics flood, 15,000 processes",
            Client::Asks(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        )
    },
    Attack { title: "a handler that prints without end", inside: None, clients: None, handler: Some("yes") },
];

/// The inits that take part, under their own names.
const NAMES: [&str; 4] = ["bookend", "bookend, http and handlers", "tini", "dumb-init"];
/// The attack is under way by then.
const BEGINNING: Duration = Duration::from_millis(500);
/// Signals come one by one.
const BETWEEN: Duration = Duration::from_millis(5);
/// Connections of one client that are open at the same time.
const HELD: usize = 200;
const CLIENTS: usize = 2;

/// From the signal to the init to its arrival in the application; milliseconds.
pub(crate) fn latency(subjects: &[Subject], folder: &Path, attack: &Attack, signals: usize) -> Samples {
    let is_for_all = attack.clients.is_none() && attack.handler.is_none();
    let takes_part =
        |subject: &&Subject| NAMES.contains(&subject.name) && (is_for_all || subject.kind == Kind::Configured);
    let mut samples = Samples::new();
    for subject in subjects.iter().filter(takes_part) {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let attacked = with_settings(subject, port, attack.handler);
        let container = Container::start_attacked(&attacked, folder, 0, attack.inside);
        container.reported_time("main").unwrap();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..if attack.clients.is_some() { CLIENTS } else { 0 } {
                scope.spawn(|| flood(port, attack.clients.unwrap(), &is_over));
            }
            std::thread::sleep(BEGINNING);
            for _ in 0..signals {
                let began = now();
                let arrived =
                    kill(container.init, Signal::SIGUSR1).ok().and_then(|()| container.reported_time("signal"));
                // One that does not come within the bench's patience.
                let Some(arrived) = arrived else { break };
                samples.entry(subject.name).or_default().push((arrived - began) as f64 / 1e6);
                std::thread::sleep(BETWEEN);
            }
            is_over.store(true, Ordering::Relaxed);
        });
    }
    samples
}

/// The subject with this port and this postStart handler, if it has a configuration.
fn with_settings(subject: &Subject, port: SocketAddr, handler: Option<&str>) -> Subject {
    let mut command = subject.command.clone();
    if subject.kind == Kind::Configured {
        let mut set =
            vec!["--set".to_owned(), format!("http.listen={port}"), "--set".to_owned(), "log.level=Info".to_owned()];
        if let Some(handler) = handler {
            set.extend(["--set".to_owned(), format!("lifecycle.postStart={{ exec.command = [\"{handler}\"] }}")]);
        }
        command.splice(1..1, set);
    }
    Subject { command, program: subject.program.clone(), ..*subject }
}

fn flood(port: SocketAddr, client: Client, is_over: &AtomicBool) {
    let mut held = std::collections::VecDeque::new();
    while !is_over.load(Ordering::Relaxed) {
        let Ok(mut stream) = TcpStream::connect_timeout(&port, Duration::from_millis(200)) else { continue };
        let (Client::Holds(bytes) | Client::Asks(bytes)) = client;
        let _ = stream.write_all(bytes);
        match client {
            Client::Holds(_) => {
                held.push_back(stream);
                if held.len() > HELD {
                    held.pop_front();
                }
            }
            Client::Asks(_) => {
                let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
                let _ = stream.read_to_end(&mut Vec::new());
            }
        }
    }
}

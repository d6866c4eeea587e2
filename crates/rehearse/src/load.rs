//! The load of bookend's own tests and of `make bench-drain`: HTTP/1.1 on 127.0.0.1, in the network namespace of a process.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

pub use crate::counts::Counts;
use crate::counts::Kind;
use crate::namespace::enter;
use crate::plan::{OpenLoop, Plan, Target};
use crate::traffic;

/// The load: which requests, and how many.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// The port of the server, on 127.0.0.1 of its network namespace.
    pub port: u16,
    /// New connections a second, one request each.
    pub new: u32,
    /// Clients that keep their connection, ten requests a second each.
    pub keep_alive: u32,
    /// Requests for `/slow` a second, each on a connection of its own.
    pub slow: u32,
    /// Requests for `/proxied` a second, each on a connection of its own.
    pub proxied: u32,
    /// Connections that never send a byte.
    pub silent: u32,
    /// How long new connections go on after the stop began.
    pub late: Duration,
    /// Whether clients close their kept connections when the endpoint is removed. A proxy that stays keeps them open.
    pub kept_end: bool,
}

/// The result of a run.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// The results of the requests.
    pub counts: Counts,
    /// The longest delay of the generator itself. A large value blames the machine, not the server.
    pub stall: Duration,
}

/// A load in progress.
pub struct Running(traffic::Running);

impl Load {
    /// The same as a plan for any server.
    pub fn plan(self) -> Plan {
        let open = |kind, path, per_second| OpenLoop { kind, target: Target::local(self.port, path), per_second };
        Plan {
            open_loops: vec![
                open(Kind::New, "/", self.new),
                open(Kind::Slow, "/slow", self.slow),
                open(Kind::Proxied, "/proxied", self.proxied),
            ],
            kept: self.keep_alive,
            silent: self.silent,
            warm_seconds: 0.0,
            late_seconds: self.late.as_secs_f64(),
            close_kept: self.kept_end,
            upstream_port: Some(9000),
            ..Plan::new(Target::local(self.port, "/"))
        }
    }

    /// Starts the load in the network namespace of the process `pid`. The upstream of `/proxied` listens there on port 9000.
    ///
    /// # Panics
    /// If the namespace cannot be entered or the upstream's port is in use.
    pub fn start(self, pid: i32) -> Running {
        Running(self.plan().start(Some(pid), BTreeMap::new()))
    }
}

impl Running {
    /// The stop begins now. The endpoint is removed `late` after it.
    pub fn stop_begins(&self) {
        self.0.stop_begins();
    }

    /// The results so far.
    pub fn so_far(&self) -> Counts {
        self.0.so_far()
    }

    /// Waits until the endpoint is removed and the requests in flight have their result.
    ///
    /// # Panics
    /// If the generator panicked.
    pub fn finish(self) -> Outcome {
        let report = self.0.finish();
        for lost in report.losses.iter().filter(|_| std::env::var_os("LOAD_DEBUG").is_some()) {
            eprintln!("{lost:?}");
        }
        Outcome { counts: report.total(), stall: Duration::from_secs_f64(report.stall_seconds) }
    }
}

/// Waits until a process listens on the port, in the network namespace of the process `pid`.
///
/// # Panics
/// If no process listens there within a minute.
pub fn wait_for_port(pid: i32, port: u16) {
    let inside = std::thread::spawn(move || {
        enter(pid);
        let end = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "no process listens on port {port}");
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    inside.join().expect("a process listens on the port");
}

/// Sends one GET and returns the whole response; empty if the connection broke.
///
/// # Panics
/// If the network namespace cannot be entered.
pub fn get(pid: i32, port: u16, path: &str) -> String {
    let text = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    let inside = std::thread::spawn(move || {
        enter(pid);
        let mut answer = String::new();
        if let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) {
            // A broken connection is a result, too.
            let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.read_to_string(&mut answer));
        }
        answer
    });
    inside.join().expect("it does not panic")
}

/// Longer than any response takes. A response that has not come by then is lost.
const PATIENCE: Duration = Duration::from_secs(60);

//! One life: bookend as PID 1, the actions at their times, each caller on a thread of its own.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::{scope, sleep};
use std::time::Duration;

use crate::scenario::{Deed, Scenario};
use crate::server::{self, Asked};
use bookend_test_support::{Folder, Init, PATIENCE, code_of, wait_until};

/// The result of a life.
pub(crate) struct Lived {
    pub(crate) code: i32,
    pub(crate) log: String,
    pub(crate) trace: Vec<String>,
    /// The status that each caller of a hook got; 0: a broken connection.
    pub(crate) answers: Vec<(&'static str, u16)>,
    /// The results of the app's clients that sent a request.
    pub(crate) asked: Vec<Asked>,
}

pub(crate) fn live(scenario: &Scenario) -> Lived {
    let folder = Folder::new();
    let actor = std::env::current_exe().unwrap();
    let actor = actor.to_str().unwrap();
    let (trace, socket) = (folder.path("trace"), folder.path("bookend.sock"));
    let trace = trace.to_str().unwrap();
    let config = scenario.toml(actor, trace);
    let app = ["--", actor, "actor", "app", trace].into_iter().chain(scenario.app.iter().map(String::as_str));
    let mut init = Init::configured_in(folder, &config, &app.collect::<Vec<_>>());
    let pid = nix::unistd::Pid::from_raw(init.pid());
    // Between exec and the first instruction the kernel itself drops a signal to PID 1 (pid_namespaces(7)); no program
    // can prevent that. From its first instruction on bookend keeps signals.
    wait_until("bookend has its first instruction behind it", || keeps_signals(init.pid()) || init.has_ended());
    let (answers, clients) = scope(|scope| {
        let is_running = move || Path::new(&format!("/proc/{pid}")).exists();
        let connect = |(after, client)| scope.spawn(move || server::connect(trace, after, client, &is_running));
        let clients: Vec<_> = scenario.clients.iter().copied().map(connect).collect();
        let mut callers = Vec::new();
        for (after, deed) in &scenario.deeds {
            sleep(Duration::from_millis(*after));
            if !init.is_running() {
                break;
            }
            match deed {
                Deed::Signal(number) => {
                    let signal = nix::sys::signal::Signal::try_from(*number).unwrap();
                    // It may have ended just now; unshare has not been reaped, so the pid is not reused.
                    let _ = nix::sys::signal::kill(pid, signal);
                }
                Deed::Call(hook) => {
                    let request = format!("GET /lifecycle/{hook} HTTP/1.1\r\nHost: localhost\r\n\r\n");
                    let socket = socket.clone();
                    callers.push((*hook, scope.spawn(move || ask(&socket, &request))));
                }
                Deed::Request => {
                    let request = "POST /stop HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
                    // The app starts before the socket: a caller that wants a stop repeats its request until it is accepted.
                    wait_until("the stop is heard", || ask(&socket, request) != 0 || !init.is_running());
                }
            }
        }
        let answers = callers.into_iter().map(|(hook, caller)| (hook, caller.join().unwrap())).collect();
        (answers, clients.into_iter().filter_map(|client| client.join().unwrap()).collect::<Vec<_>>())
    });
    let finished = init.end();
    let asked = clients.into_iter().filter_map(|client| client.asked).collect();
    let trace = init.folder.read("trace").lines().map(str::to_owned).collect();
    Lived { code: finished.code(), log: finished.log, trace, answers, asked }
}

/// Whether SIGTERM is blocked or caught.
fn keeps_signals(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
        u64::from_str_radix(line.trim(), 16).unwrap_or(0)
    };
    (mask("SigBlk:") | mask("SigCgt:")) & (1 << (15 - 1)) != 0
}

/// One request; 0 if no process answers (any more).
fn ask(socket: &Path, request: &str) -> u16 {
    let answer = UnixStream::connect(socket).and_then(|mut stream| {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    });
    answer.map_or(0, |answer| code_of(&answer))
}

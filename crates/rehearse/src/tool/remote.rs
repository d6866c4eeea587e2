//! The load generator's side of a rehearsal: in this process, or in a container that shares the network of the server's. There the same
//! binary reads one JSON object a line from stdin, and answers each with one line.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, ExitCode};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use bookend_rehearse::counts::Report;
use bookend_rehearse::plan::Plan;
use bookend_rehearse::traffic::Running;
use serde::{Deserialize, Serialize};

/// The hidden first argument with which this binary is the load generator.
pub(crate) const WORD: &str = "load";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Order {
    Plan(Box<Plan>),
    Await(f64),
    Start,
    WarmUp,
    StopBegins,
    Hook(SocketAddr, String, f64),
    Finish,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Answer {
    Done,
    Failed(String),
    Status(String),
    Report(Box<Report>),
}

/// A load generator, wherever it runs.
pub(crate) trait Generator {
    /// Waits until the server answers, at most this many seconds.
    fn wait_for_answer(&mut self, seconds: f64) -> Result<(), String>;
    /// Asks each URL once, and starts the load.
    fn start(&mut self) -> Result<(), String>;
    /// Returns at the moment at which the stop must begin.
    fn warm_up(&mut self) -> Result<(), String>;
    /// The stop begins now.
    fn stop_begins(&mut self) -> Result<(), String>;
    /// Calls a hook as a kubelet does, and returns the first line of the answer.
    fn hook(&mut self, address: SocketAddr, path: &str, seconds: f64) -> Result<String, String>;
    /// Waits for the results.
    fn finish(&mut self) -> Result<Report, String>;
}

/// The load generator in this process.
pub(crate) struct Here {
    plan: Plan,
    runtime: tokio::runtime::Runtime,
    running: Option<Running>,
}

impl Here {
    pub(crate) fn new(plan: Plan) -> Result<Here, String> {
        plan.check()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Here { plan, runtime: runtime.map_err(|error| error.to_string())?, running: None })
    }

    fn running(&self) -> Result<&Running, String> {
        self.running.as_ref().ok_or_else(|| "the load was not started".to_owned())
    }
}

impl Generator for Here {
    fn wait_for_answer(&mut self, seconds: f64) -> Result<(), String> {
        self.runtime.block_on(self.plan.wait_for_answer(Duration::from_secs_f64(seconds)))
    }

    fn start(&mut self) -> Result<(), String> {
        let statuses = self.runtime.block_on(self.plan.statuses())?;
        self.running = Some(self.plan.clone().start(None, statuses));
        Ok(())
    }

    fn warm_up(&mut self) -> Result<(), String> {
        self.running()?.warm_up();
        Ok(())
    }

    fn stop_begins(&mut self) -> Result<(), String> {
        self.running()?.stop_begins();
        Ok(())
    }

    fn hook(&mut self, address: SocketAddr, path: &str, seconds: f64) -> Result<String, String> {
        hook(address, path, Duration::from_secs_f64(seconds))
    }

    fn finish(&mut self) -> Result<Report, String> {
        Ok(self.running.take().ok_or("the load was not started")?.finish())
    }
}

/// A kubelet's httpGet hook. The app may not be started yet when bookend already answers, so it is asked again for a second.
fn hook(address: SocketAddr, path: &str, most: Duration) -> Result<String, String> {
    let call = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(most.max(Duration::from_millis(1))))?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: kube-lifecycle/1.36\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.take(64 * 1024).read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned())
    };
    let answer = call().map_err(|error| format!("the hook {path} at {address}: {error}"))?;
    if answer.starts_with("HTTP/1.1 2") {
        Ok(answer)
    } else {
        Err(format!("the hook {path} was answered with: {answer}"))
    }
}

/// The load generator in another process: this binary, with pipes as stdin and stdout.
pub(crate) struct There {
    /// Killed with this side, if it does not end by itself.
    child: Child,
    stdin: ChildStdin,
    answers: Receiver<String>,
}

impl There {
    pub(crate) fn new(mut child: Child, plan: &Plan) -> Result<There, String> {
        let (stdin, stdout) = child.stdin.take().zip(child.stdout.take()).ok_or("the load generator has no pipes")?;
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut there = There { child, stdin, answers };
        there.done(&Order::Plan(Box::new(plan.clone())), 60.0)?;
        Ok(there)
    }

    fn ask(&mut self, order: &Order, seconds: f64) -> Result<Answer, String> {
        let line = serde_json::to_string(order).map_err(|error| error.to_string())?;
        let sent = writeln!(self.stdin, "{line}").and_then(|()| self.stdin.flush());
        sent.map_err(|error| format!("the load generator does not run: {error}"))?;
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        loop {
            super::interrupt::check()?;
            match self.answers.recv_timeout(Duration::from_millis(50)) {
                Ok(line) => {
                    let answer = serde_json::from_str(&line);
                    return match answer.map_err(|_| format!("the load generator printed: {line}"))? {
                        Answer::Failed(problem) => Err(problem),
                        answer => Ok(answer),
                    };
                }
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => {
                    return Err("the load generator ended".to_owned());
                }
                Err(_) if Instant::now() >= end => return Err("the load generator does not answer".to_owned()),
                Err(_) => {}
            }
        }
    }

    fn done(&mut self, order: &Order, seconds: f64) -> Result<(), String> {
        self.ask(order, seconds).map(drop)
    }
}

impl Drop for There {
    fn drop(&mut self) {
        // This is our own child, and it is not reaped yet.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Generator for There {
    fn wait_for_answer(&mut self, seconds: f64) -> Result<(), String> {
        self.done(&Order::Await(seconds), seconds + 30.0)
    }

    fn start(&mut self) -> Result<(), String> {
        self.done(&Order::Start, 300.0)
    }

    fn warm_up(&mut self) -> Result<(), String> {
        self.done(&Order::WarmUp, 60.0)
    }

    fn stop_begins(&mut self) -> Result<(), String> {
        self.done(&Order::StopBegins, 10.0)
    }

    fn hook(&mut self, address: SocketAddr, path: &str, seconds: f64) -> Result<String, String> {
        match self.ask(&Order::Hook(address, path.to_owned(), seconds), seconds + 10.0)? {
            Answer::Status(status) => Ok(status),
            other => Err(format!("the load generator answered {other:?}")),
        }
    }

    fn finish(&mut self) -> Result<Report, String> {
        match self.ask(&Order::Finish, 1000.0)? {
            Answer::Report(report) => Ok(*report),
            other => Err(format!("the load generator answered {other:?}")),
        }
    }
}

/// The other side: orders on stdin, answers on stdout, until stdin ends.
pub(crate) fn serve() -> ExitCode {
    let mut here: Option<Here> = None;
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let answer = match serde_json::from_str(&line) {
            Ok(order) => perform(&mut here, order).unwrap_or_else(Answer::Failed),
            Err(error) => Answer::Failed(format!("cannot read the order: {error}")),
        };
        let Ok(text) = serde_json::to_string(&answer) else { return ExitCode::FAILURE };
        let mut stdout = std::io::stdout();
        if writeln!(stdout, "{text}").and_then(|()| stdout.flush()).is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn perform(here: &mut Option<Here>, order: Order) -> Result<Answer, String> {
    if let Order::Plan(plan) = order {
        *here = Some(Here::new(*plan)?);
        return Ok(Answer::Done);
    }
    let here = here.as_mut().ok_or("the first order is the plan")?;
    match order {
        Order::Plan(_) => Ok(()),
        Order::Await(seconds) => here.wait_for_answer(seconds),
        Order::Start => here.start(),
        Order::WarmUp => here.warm_up(),
        Order::StopBegins => here.stop_begins(),
        Order::Hook(address, path, seconds) => return here.hook(address, &path, seconds).map(Answer::Status),
        Order::Finish => return here.finish().map(|report| Answer::Report(Box::new(report))),
    }
    .map(|()| Answer::Done)
}

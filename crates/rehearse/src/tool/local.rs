//! Lives as children of this process, in the container in which it runs. It needs no privileges: the processes that a life leaves behind
//! become children of this process, which is their subreaper.

use std::collections::VecDeque;
use std::io::Read;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bookend_rehearse::plan::{Plan, Target};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::bounded::{self, Output};
use super::interrupt;
use super::place::{Ending, Launch, Life, Place};
use super::remote::{Generator, Here};

/// This container.
pub(crate) struct Local {
    pub(crate) command: Vec<String>,
    pub(crate) stop_signal: Signal,
}

impl Place for Local {
    fn begin(&self, launch: &Launch, plan: &Plan) -> Result<Box<dyn Life + '_>, String> {
        let generator = Here::new(plan.clone())?;
        nix::sys::prctl::set_child_subreaper(true)
            .map_err(|error| format!("prctl(PR_SET_CHILD_SUBREAPER): {error}"))?;
        wait_until_closed(&plan.target)?;
        let words: Vec<&String> = launch.init.iter().chain(&self.command).collect();
        let (program, arguments) = words.split_first().ok_or("the command is missing: give it after --")?;
        let mut command = Command::new(program);
        command.args(arguments).envs(launch.env.iter().map(|(name, value)| (name, value)));
        // It has its own group: a Ctrl-C on the terminal is for this process, which cleans up.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("cannot start {program}: {error}"))?;
        let log = Arc::new(Mutex::new(VecDeque::new()));
        for pipe in [
            child.stdout.take().map(|pipe| Pipe::from(OwnedFd::from(pipe))),
            child.stderr.take().map(|pipe| Pipe::from(OwnedFd::from(pipe))),
        ]
        .into_iter()
        .flatten()
        {
            let log = Arc::clone(&log);
            std::thread::spawn(move || keep_the_end(pipe, &log));
        }
        let pid = Pid::from_raw(i32::try_from(child.id()).map_err(|_| "a pid is a positive number")?);
        Ok(Box::new(Child { pid, status: None, stop_signal: self.stop_signal, generator, log }))
    }

    fn inside(&self, file: &Path, _: &str) -> String {
        file.display().to_string()
    }

    fn command(&self) -> Vec<String> {
        self.command.clone()
    }

    fn has(&self, path: &str) -> bool {
        Path::new(path).exists()
    }

    fn run(&self, launch: &Launch, words: &[String]) -> Result<Output, String> {
        let (program, arguments) = words.split_first().ok_or("a program is missing")?;
        let mut command = Command::new(program);
        command.args(arguments).envs(launch.env.iter().map(|(name, value)| (name, value)));
        bounded::run(&mut command, Duration::from_secs(60))
    }

    fn notes(&self) -> Vec<String> {
        vec![
            "PID 1 was not reproduced: no process here was PID 1. As PID 1 of a container, a program without a handler for its stop signal \
             ignores it, and SIGKILL ends it at the end of the grace period. The rest of the image ran as it is."
                .to_owned(),
        ]
    }
}

/// A file descriptor of a pipe.
type Pipe = std::fs::File;

/// A life before this one may still be closing its port.
fn wait_until_closed(target: &Target) -> Result<(), String> {
    let end = Instant::now() + Duration::from_secs(5);
    while TcpStream::connect(target.address).is_ok() {
        if Instant::now() >= end {
            return Err(format!("a server that this rehearsal did not start listens on {}", target.address));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn keep_the_end(mut pipe: Pipe, log: &Mutex<VecDeque<u8>>) {
    let mut bytes = [0; 4096];
    while let Ok(length @ 1..) = pipe.read(&mut bytes) {
        let Ok(mut log) = log.lock() else { return };
        log.extend(bytes.iter().take(length));
        let excess = log.len().saturating_sub(LOG);
        log.drain(..excess);
    }
}

struct Child {
    pid: Pid,
    /// Set when it was reaped.
    status: Option<i32>,
    stop_signal: Signal,
    generator: Here,
    log: Arc<Mutex<VecDeque<u8>>>,
}

impl Child {
    /// Reaps the children that have ended. The pid of a child is not reused until then.
    fn reap(&mut self) {
        loop {
            let status = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => Some((pid, code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => Some((pid, 128 + signal as i32)),
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
                // Real-time signals have no name in nix; the process is reaped nevertheless.
                Err(_) if self.is_gone() => Some((self.pid, 255)),
                _ => None,
            };
            if let Some((pid, code)) = status
                && pid == self.pid
            {
                self.status = Some(code);
            }
        }
    }

    fn is_gone(&self) -> bool {
        !Path::new(&format!("/proc/{}", self.pid)).exists()
    }

    fn wait(&mut self, most: Duration) -> Result<bool, String> {
        let end = Instant::now() + most;
        loop {
            self.reap();
            if self.status.is_some() {
                return Ok(true);
            }
            interrupt::check()?;
            if Instant::now() >= end {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Kills the processes that the life left behind. They are our own children, or become so when their parents end.
    fn clean_up(&mut self) {
        let end = Instant::now() + Duration::from_secs(5);
        if self.status.is_none() {
            // This is our child, and it is not reaped yet.
            let _ = kill(self.pid, Signal::SIGKILL);
        }
        loop {
            self.reap();
            let left = children();
            if left.is_empty() || Instant::now() >= end {
                return;
            }
            for (pid, _) in left {
                let _ = kill(pid, Signal::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.clean_up();
    }
}

impl Life for Child {
    fn generator(&mut self) -> &mut dyn Generator {
        &mut self.generator
    }

    fn is_running(&mut self) -> bool {
        self.reap();
        self.status.is_none()
    }

    fn log(&mut self) -> String {
        // The thread that reads the pipe may not have stored the last lines yet.
        std::thread::sleep(Duration::from_millis(50));
        let Ok(log) = self.log.lock() else { return String::new() };
        String::from_utf8_lossy(&log.iter().copied().collect::<Vec<_>>()).into_owned()
    }

    fn script(&mut self, script: &str, most: Duration) -> Result<(), String> {
        let mut command = Command::new("sh");
        command.args(["-c", script]).process_group(0);
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| format!("cannot start sh: {error}"))?;
        let pid = Pid::from_raw(i32::try_from(child.id()).map_err(|_| "a pid is a positive number")?);
        let end = Instant::now() + most;
        // `reap` reaps this child, because it reaps every child.
        while Instant::now() < end && children().iter().any(|(child, _)| *child == pid) {
            interrupt::check()?;
            self.reap();
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn stop(&mut self, most: Duration) -> Result<Ending, String> {
        self.reap();
        if self.status.is_none() {
            kill(self.pid, self.stop_signal).map_err(|error| format!("cannot send {}: {error}", self.stop_signal))?;
        }
        let ended = self.wait(most)?;
        if !ended {
            let _ = kill(self.pid, Signal::SIGKILL);
            self.wait(Duration::from_secs(10))?;
        }
        self.reap();
        let leftovers = children().into_iter().map(|(_, name)| name).collect();
        self.clean_up();
        Ok(Ending { code: self.status.unwrap_or(255), killed: !ended, leftovers: Some(leftovers) })
    }
}

/// Our children that run, with their names.
fn children() -> Vec<(Pid, String)> {
    let us = std::process::id().to_string();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let child = |entry: std::fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let (head, rest) = stat.rsplit_once(") ")?;
        let mut fields = rest.split(' ');
        let (state, parent) = (fields.next()?, fields.next()?);
        let name = head.split_once('(')?.1.to_owned();
        (parent == us && state != "Z" && state != "X").then_some((Pid::from_raw(pid), name))
    };
    entries.filter_map(child).collect()
}

/// How much of a life's output is kept.
const LOG: usize = 16 * 1024;

//! The output of exec handlers: logged line by line with the handler's name, and its last lines are kept for the record.
//! Bounded in every direction: the length of a line, the number of lines, and the wait for a pipe that a grandchild still
//! holds. A process that a hook's handler leaves behind is read on. One that a probe leaves behind is not: every few seconds
//! another one would hold a descriptor of ours.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tracing::{debug, info};

use super::context::Purpose;
use bookend_lifecycle::printable::printable;

/// The output of one handler, read until the last process that holds the pipe has ended.
pub(super) struct Relay {
    lines: Arc<Mutex<VecDeque<String>>>,
    /// Requests that the task reads what is in the pipe now; the inner sender confirms it.
    rest: oneshot::Sender<oneshot::Sender<()>>,
}

impl Relay {
    pub(super) fn start(name: &str, purpose: Purpose, pipe: OwnedFd) -> io::Result<Relay> {
        let pipe = Receiver::from_owned_fd(pipe)?;
        let lines = Arc::default();
        let (rest, requested) = oneshot::channel();
        let reader = RelayTask {
            pipe,
            splitter: Splitter::default(),
            name: name.to_owned(),
            purpose,
            lines: Arc::clone(&lines),
        };
        tokio::spawn(reader.run(requested));
        Ok(Relay { lines, rest })
    }

    /// The last lines so far.
    pub(super) fn last_lines(&self) -> Vec<String> {
        lock(&self.lines).iter().cloned().collect()
    }

    /// The last lines when the handler has ended, so that all of its output is in the pipe. A grandchild that keeps the pipe
    /// open is not waited for.
    pub(super) async fn finish(self) -> Vec<String> {
        let Relay { lines, rest } = self;
        let (answer, read) = oneshot::channel();
        if rest.send(answer).is_ok() {
            // Confirmed when the pipe is empty; dropped when it has ended.
            let _ = read.await;
        }
        lock(&lines).iter().cloned().collect()
    }
}

/// The task of a relay.
struct RelayTask {
    pipe: Receiver,
    splitter: Splitter,
    name: String,
    purpose: Purpose,
    lines: Arc<Mutex<VecDeque<String>>>,
}

impl RelayTask {
    async fn run(mut self, mut requested: oneshot::Receiver<oneshot::Sender<()>>) {
        let mut chunk = [0u8; 1024];
        let mut is_over = false;
        loop {
            let read = tokio::select! {
                answer = &mut requested, if !is_over => {
                    is_over = true;
                    if let Ok(answer) = answer {
                        self.rest(&mut chunk).await;
                        let _ = answer.send(());
                    }
                    match self.purpose {
                        Purpose::Hook(_) => continue,
                        Purpose::Probe => break,
                    }
                }
                read = self.pipe.read(&mut chunk) => read.unwrap_or(0),
            };
            let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
            self.take(bytes);
            // A handler that prints without end must not delay a signal.
            yield_now().await;
        }
        let RelayTask { mut splitter, name, purpose, lines, .. } = self;
        splitter.finish(|line| emit(&name, purpose, line, &lines));
    }

    /// Reads until the pipe is empty. It asks the kernel, because the runtime's readiness may be outdated. It reads at most as
    /// much as a pipe can hold, because a grandchild may go on writing.
    async fn rest(&mut self, chunk: &mut [u8]) {
        let mut left = LARGEST_PIPE;
        while let Ok(read @ 1..) = nix::unistd::read(self.pipe.as_fd(), chunk) {
            self.take(chunk.get(..read).unwrap_or_default());
            left = left.saturating_sub(read);
            if left == 0 {
                return;
            }
            yield_now().await;
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        let RelayTask { splitter, name, purpose, lines, .. } = self;
        splitter.push(bytes, |line| emit(name, *purpose, line, lines));
    }
}

fn emit(name: &str, purpose: Purpose, line: &[u8], lines: &Mutex<VecDeque<String>>) {
    let text = printable(&String::from_utf8_lossy(line));
    match purpose {
        Purpose::Hook(_) => info!(handler = name, "{text}"),
        Purpose::Probe => debug!(probe = name, "{text}"),
    }
    let mut lines = lock(lines);
    if lines.len() == LINES_KEPT {
        lines.pop_front();
    }
    lines.push_back(text.chars().take(KEPT_LENGTH).collect());
}

fn lock(lines: &Mutex<VecDeque<String>>) -> MutexGuard<'_, VecDeque<String>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Cuts a stream into lines of bounded length.
#[derive(Default)]
struct Splitter {
    partial: Vec<u8>,
}

impl Splitter {
    fn push(&mut self, bytes: &[u8], mut emit: impl FnMut(&[u8])) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            for part in piece.chunks(LONGEST_LINE) {
                if self.partial.len() + part.len() > LONGEST_LINE + 1 {
                    emit(&std::mem::take(&mut self.partial));
                }
                self.partial.extend_from_slice(part);
            }
            if self.partial.ends_with(b"\n") {
                self.partial.pop();
                emit(&std::mem::take(&mut self.partial));
            }
        }
    }

    fn finish(&mut self, mut emit: impl FnMut(&[u8])) {
        if !self.partial.is_empty() {
            emit(&std::mem::take(&mut self.partial));
        }
    }
}

/// The largest pipe of an unprivileged process (pipe(7), pipe-max-size).
const LARGEST_PIPE: usize = 1024 * 1024;
const LONGEST_LINE: usize = 4096;
const LINES_KEPT: usize = 10;
const KEPT_LENGTH: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        let mut splitter = Splitter::default();
        for chunk in chunks {
            splitter.push(chunk, |line| lines.push(line.to_vec()));
        }
        splitter.finish(|line| lines.push(line.to_vec()));
        lines
    }

    #[test]
    fn lines_are_complete_however_they_arrive() {
        assert_eq!(
            split(&[b"one\ntw", b"o\n", b"\nthree"]),
            [b"one".to_vec(), b"two".into(), b"".into(), b"three".into()]
        );
    }

    #[test]
    fn a_very_long_line_is_split_without_loss() {
        let long = vec![b'x'; 3 * LONGEST_LINE + 5];
        let lines = split(&[&long, b"y\n"]);
        assert!(lines.iter().all(|line| line.len() <= LONGEST_LINE + 1));
        assert_eq!(lines.concat().len(), long.len() + 1);
    }
}

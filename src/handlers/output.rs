//! The output of exec handlers: logged line by line with the handler's name, and its last lines are kept for the record.
//! These are bounded: the length of a line, the number of lines, the bytes in the log ([`OutputBudgets`]), and the
//! wait for a pipe that a grandchild still holds. If a hook's handler leaves a process behind, we still read its output.
//! If a probe leaves a process behind, we do not: every few seconds another such process would hold a descriptor of ours.
//!
//! If a handler prints without end, we still read its output, so that it does not block, but more slowly than it prints.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::context::Purpose;
use super::output_budget::OutputBudgets;
use crate::report::rate_limit::RateLimit;
use bookend_lifecycle::printable::printable;

/// The output of one handler, read until the last process that holds the pipe has ended.
pub(super) struct Relay {
    kept: Arc<Mutex<Kept>>,
    /// Requests that the task reads what is in the pipe now; the inner sender confirms it.
    rest: oneshot::Sender<oneshot::Sender<()>>,
}

/// The part that is kept for the record.
#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<String>,
    /// The bytes that were not logged, and the last of them: the record shows the end of the output.
    dropped: u64,
    tail: Vec<u8>,
}

impl Kept {
    fn line(&mut self, text: &str) {
        if self.lines.len() == LINES_KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(text.chars().take(KEPT_LENGTH).collect());
    }

    /// The last lines.
    fn shown(&mut self) -> Vec<String> {
        let tail = std::mem::take(&mut self.tail);
        tail.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).for_each(|line| self.line(&text(line)));
        let dropped = (self.dropped > 0).then(|| format!("[{} bytes of output were dropped]", self.dropped));
        dropped.into_iter().chain(self.lines.iter().cloned()).collect()
    }
}

impl Relay {
    pub(super) fn start(name: &str, purpose: Purpose, pipe: OwnedFd, budgets: &OutputBudgets) -> io::Result<Relay> {
        let pipe = Receiver::from_owned_fd(pipe)?;
        let kept = Arc::<Mutex<Kept>>::default();
        let (rest, requested) = oneshot::channel();
        let reader = RelayTask {
            pipe,
            splitter: Splitter::default(),
            budgets: budgets.clone(),
            reports: RateLimit::default(),
            reported_bytes: 0,
            name: name.to_owned(),
            purpose,
            kept: Arc::clone(&kept),
        };
        crate::tasks::spawn(reader.run(requested));
        Ok(Relay { kept, rest })
    }

    /// The last lines so far.
    pub(super) fn last_lines(&self) -> Vec<String> {
        lock(&self.kept).shown()
    }

    /// The last lines when the handler has ended, so that all of its output is in the pipe. A grandchild that keeps the pipe
    /// open is not waited for.
    pub(super) async fn finish(self) -> Vec<String> {
        let Relay { kept, rest } = self;
        let (answer, read) = oneshot::channel();
        if rest.send(answer).is_ok() {
            // Confirmed when the pipe is empty; dropped when it has ended.
            let _ = read.await;
        }
        lock(&kept).shown()
    }
}

/// The task of a relay.
struct RelayTask {
    pipe: Receiver,
    splitter: Splitter,
    budgets: OutputBudgets,
    /// Of dropped output; and how much the log has reported.
    reports: RateLimit,
    reported_bytes: u64,
    name: String,
    purpose: Purpose,
    kept: Arc<Mutex<Kept>>,
}

impl RelayTask {
    async fn run(mut self, mut requested: oneshot::Receiver<oneshot::Sender<()>>) {
        let mut chunk = vec![0u8; CHUNK];
        let mut is_over = false;
        loop {
            let read = tokio::select! {
                answer = &mut requested, if !is_over => {
                    is_over = true;
                    if let Ok(answer) = answer {
                        self.rest(&mut chunk).await;
                        self.finish();
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
            if !self.take(bytes).await {
                chunk.resize(LARGE_CHUNK, 0);
                sleep(PAUSE).await;
            }
        }
        self.finish();
    }

    /// Reads until the pipe is empty. It asks the kernel, because the runtime's readiness may be outdated. It reads at most as
    /// much as a pipe can hold, because a grandchild may go on writing.
    async fn rest(&mut self, chunk: &mut [u8]) {
        let mut left = LARGEST_PIPE;
        while let Ok(read @ 1..) = nix::unistd::read(self.pipe.as_fd(), chunk) {
            let _ = self.take(chunk.get(..read).unwrap_or_default()).await;
            left = left.saturating_sub(read);
            if left == 0 {
                return;
            }
        }
    }

    /// Logs or drops what was read, in pieces: the many lines of a handler that prints without end must not delay a signal.
    /// Returns whether all of it was logged.
    async fn take(&mut self, bytes: &[u8]) -> bool {
        let mut pieces = bytes.chunks(PIECE);
        for piece in pieces.by_ref() {
            let lines = piece.iter().filter(|byte| **byte == b'\n').count();
            if !self.budgets.take(&self.name, piece.len() + lines * LINE_COST) {
                self.drop_output(piece);
                // The budget is not refilled within one read.
                pieces.for_each(|piece| self.drop_output(piece));
                return false;
            }
            let RelayTask { splitter, name, purpose, kept, .. } = self;
            splitter.push(piece, |line| emit(name, *purpose, line, kept));
            yield_now().await;
        }
        true
    }

    fn drop_output(&mut self, bytes: &[u8]) {
        self.end_line();
        let mut kept = lock(&self.kept);
        let excess = (kept.tail.len() + bytes.len()).saturating_sub(TAIL).min(kept.tail.len());
        kept.tail.drain(..excess);
        kept.tail.extend_from_slice(bytes);
        kept.dropped += u64::try_from(bytes.len()).unwrap_or_default();
        drop(kept);
        if self.reports.allow() {
            self.report_dropped();
        }
    }

    /// Ends the last line, and reports what was dropped since the last report.
    fn finish(&mut self) {
        self.end_line();
        if lock(&self.kept).dropped > self.reported_bytes {
            self.report_dropped();
        }
    }

    fn end_line(&mut self) {
        let RelayTask { splitter, name, purpose, kept, .. } = self;
        splitter.finish(|line| emit(name, *purpose, line, kept));
    }

    fn report_dropped(&mut self) {
        let dropped_bytes = lock(&self.kept).dropped;
        self.reported_bytes = dropped_bytes;
        if self.purpose != Purpose::Probe {
            warn!(handler = self.name, dropped_bytes, "output dropped: the log takes 1 MB of a handler, then 100 kB/s");
        }
    }
}

fn emit(name: &str, purpose: Purpose, line: &[u8], kept: &Mutex<Kept>) {
    let text = text(line);
    match purpose {
        Purpose::Hook(_) => info!(handler = name, "{text}"),
        Purpose::Probe => debug!(probe = name, "{text}"),
    }
    lock(kept).line(&text);
}

fn text(line: &[u8]) -> String {
    printable(&String::from_utf8_lossy(line))
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
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

/// A line is logged with its time and the handler's name.
const LINE_COST: usize = 64;
/// The bytes that are read at once.
const CHUNK: usize = 1024;
/// The bytes that are read at once if a handler prints more than is logged: a whole pipe.
const LARGE_CHUNK: usize = 64 * 1024;
/// The pause between two such reads: the handler may print 20 MB a second, at a hundredth of a processor.
const PAUSE: Duration = Duration::from_millis(2);
/// The part of what was read that is logged in one turn of the loop.
const PIECE: usize = 128;
/// How much of the end of dropped output is kept.
const TAIL: usize = 2048;
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

//! The story so far, as it is told: in the log, in `/status`, to those who follow, and in the end as a whole.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use tracing::{debug, info, warn};

use super::{Dispatcher, Run, millis};
use crate::http::{DrainView, LifecycleEvent, RunningHandlerView, StatusView, ZombieParent};
use crate::process::zombies::{self, NegligentParent};
use crate::report::journal::describe_note;
use bookend_lifecycle::small_map::SmallMap;
use bookend_lifecycle::{Note, Outcome};

impl Dispatcher {
    /// Something an operator would retell, in the log, the timeline and for those who follow.
    pub(crate) fn tell(&mut self, container: Option<&str>, note: Note) {
        let text = match container {
            Some(name) => format!("{name}: {}", describe_note(note)),
            None => describe_note(note),
        };
        self.publish(&LifecycleEvent::Note { text: &text });
        match note {
            Note::StopBegan(_) | Note::LeftoversKilled | Note::LeftoversRemain => {
                // Those who know more say it.
            }
            Note::Started => info!("{text}"),
            Note::HookOver(_, Outcome::Failed)
            | Note::NoTimeLeft(..)
            | Note::Rearmed
            | Note::Killed
            | Note::AppStays
            | Note::AnswerNotTaken => warn!("{text}"),
            // Told in the timeline, when the stop is over.
            _ => debug!("{text}"),
        }
        self.journal.note(self.began.elapsed(), note, text);
    }

    /// What a status tells besides how things stand.
    pub(crate) fn story(&mut self, drain: Option<DrainView>) -> StatusView {
        if self.zombies.is_stale(self.now()) {
            self.look_for_zombies();
        }
        let guilty = &self.guilty;
        let shown = guilty.iter().take(MOST_PARENTS);
        let shown = shown.map(|one| ZombieParent { pid: one.pid, name: one.name.clone(), zombies: one.zombies });
        StatusView {
            zombies: guilty.iter().map(|one| one.zombies).sum(),
            zombie_parents: shown.collect(),
            handlers: self.journal.records().cloned().collect(),
            running: self.unfinished(),
            timeline: self.journal.timeline().collect(),
            drain,
            ..StatusView::default()
        }
    }

    /// The handlers that run, the oldest first.
    fn unfinished(&self) -> Vec<RunningHandlerView> {
        let runs: SmallMap<_, _> = self.runs.iter().map(|(id, run)| ((run.began, *id), run)).collect();
        let shown = |run: &Run| RunningHandlerView {
            container: run.container.clone(),
            hook: run.hook.name(),
            name: run.name.clone(),
            started_ms: millis(run.began),
        };
        runs.values().copied().map(shown).collect()
    }

    /// After a round of reaping that found orphans.
    pub(crate) fn found_orphans(&mut self) {
        if self.zombies.is_due(self.now()) {
            self.look_for_zombies();
        }
    }

    /// Those that only their own parents can reap; a parent that does not is told of once.
    fn look_for_zombies(&mut self) {
        self.guilty = zombies::guilty_parents();
        for NegligentParent { pid, name, zombies, .. } in self.zombies.look(self.began.elapsed(), &self.guilty) {
            warn!(pid, name, zombies, "a process does not wait for its children: only it can reap these zombies");
        }
    }

    /// The last act: the story told, once in the log and once in the termination message.
    pub(crate) fn finish(&mut self, code: u8, termination_message_path: Option<&Path>) {
        let now = self.now();
        self.publish(&LifecycleEvent::Exited { exit_code: code });
        self.subscribers.close();
        if let Some(socket) = &self.socket {
            socket.remove();
        }
        info!("{}", self.journal.headline(now, code));
        if self.journal.was_a_stop() {
            for row in self.journal.timeline() {
                info!("  {row}");
            }
        }
        let path = termination_message_path.unwrap_or(Path::new(TERMINATION_LOG));
        write_termination_message(path, || self.journal.summary(now, code, TERMINATION_BYTES));
        crate::report::log::flush();
    }
}

/// Kubernetes reads the file when the container has ended; an app that wrote its own message keeps it.
/// Written in place: the file is a bind mount, which a rename would replace. Opened without waiting: a FIFO in
/// its place would wait for a reader; and no link is followed, which an app of another user may have put there.
fn write_termination_message(path: &Path, summary: impl FnOnce() -> String) {
    let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
    let Ok(mut file) = OpenOptions::new().write(true).custom_flags(flags).open(path) else { return };
    let is_empty_file = file.metadata().is_ok_and(|meta| meta.is_file() && meta.len() == 0);
    if is_empty_file && let Err(error) = file.write_all(summary().as_bytes()) {
        warn!(%error, path = %path.display(), "cannot write the termination message");
    }
}

/// `/status` names so many parents of zombies.
const MOST_PARENTS: usize = 10;
/// Kubernetes' default `terminationMessagePath`.
const TERMINATION_LOG: &str = "/dev/termination-log";
/// Kubernetes keeps this much of it.
const TERMINATION_BYTES: usize = 4096;

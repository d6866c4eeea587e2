//! Reports what happens: to the log, to the timeline of the stop, to the subscribers of `/events`, and at the end to the
//! termination message.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use crate::http::{Delivery, LifecycleEvent, Subscribers, ZombieParent};
use crate::process::zombies::{self, NegligentParent, ZombieWatch};
use crate::report::journal::{Journal, describe_cut, describe_note, describe_trigger};
use crate::report::timestamp::Timestamp;
use bookend_lifecycle::seconds::Seconds;
use bookend_lifecycle::{Note, Outcome, Time, Trigger};

pub(super) struct Reporter {
    began: Instant,
    pub(super) started_at: Timestamp,
    pub(super) journal: Journal,
    /// The grace period of the stop.
    grace: Option<Duration>,
    pub(super) subscribers: Subscribers,
    /// From the report on: those that may not have read it.
    pub(super) followers: Vec<(Delivery, Option<i32>)>,
    zombie_watch: ZombieWatch,
    /// The result of the last look for zombies.
    negligent: Vec<NegligentParent>,
}

impl Reporter {
    pub(super) fn new(began: Instant) -> Reporter {
        Reporter {
            began,
            started_at: Timestamp::now(),
            journal: Journal::default(),
            grace: None,
            subscribers: Subscribers::default(),
            followers: Vec::new(),
            zombie_watch: ZombieWatch::default(),
            negligent: Vec::new(),
        }
    }

    pub(super) fn began(&self) -> Instant {
        self.began
    }

    pub(super) fn now(&self) -> Time {
        self.began.elapsed()
    }

    pub(super) fn publish(&mut self, event: &LifecycleEvent<'_>) {
        self.subscribers.publish(self.began.elapsed(), Timestamp::now(), event);
    }

    /// Reports a note of a machine.
    pub(super) fn note(&mut self, container: Option<&str>, note: Note) {
        let text = describe_note(note);
        self.note_as(note, container.map_or(text.clone(), |name| format!("{name}: {text}")));
    }

    /// The same in these words.
    pub(super) fn note_as(&mut self, note: Note, text: String) {
        self.publish(&LifecycleEvent::Note { text: &text });
        match note {
            // The loop logs these: it knows more.
            Note::StopBegan(_) | Note::LeftoversRefused | Note::LeftoversRemain => {}
            Note::Started => info!("{text}"),
            Note::HookOver(_, Outcome::Failed)
            | Note::NoTimeLeft(..)
            | Note::Rearmed
            | Note::Killed
            | Note::LeftoversKilled
            | Note::AppStays
            | Note::AnswerNotTaken => warn!("{text}"),
            // The timeline has these; it is logged when the stop is over.
            Note::HookOver(..)
            | Note::Escalated(_)
            | Note::StopSignalSent(_)
            | Note::SecondSignalSent(_)
            | Note::PassedOn(_)
            | Note::AppEnded(_)
            | Note::LeftoversTerminated
            | Note::LeftoversEnded => debug!("{text}"),
        }
        self.journal.note(self.now(), note, text);
    }

    /// Logs the beginning of a stop.
    pub(super) fn stop_began(&mut self, container: Option<&str>, trigger: Trigger, grace: Option<Duration>) {
        self.grace = grace;
        let grace = grace.map(|grace| Seconds(grace).to_f64());
        info!(container, trigger = describe_trigger(trigger), grace_seconds = grace, "stopping");
    }

    /// How long followers may take to read the report: half a second, or what is left of the stop's budget.
    pub(super) fn delivery_time(&self) -> Duration {
        let end = self.grace.and_then(|grace| self.journal.stop_began().map(|began| began + grace));
        end.map_or(DELIVERY, |end| DELIVERY.min(end.saturating_sub(self.now() + LAST_MOMENT)))
    }

    /// Warns of something that no note of a machine covers.
    pub(super) fn remark(&mut self, text: String) {
        warn!("{text}");
        self.publish(&LifecycleEvent::Note { text: &text });
        self.journal.remark(self.now(), text);
    }

    /// Warns of requests that our own signal is about to cut.
    pub(super) fn requests_cut(&mut self, count: u32) {
        let text = describe_cut(count);
        warn!("{text}");
        self.publish(&LifecycleEvent::Note { text: &text });
        self.journal.note_cut(self.now(), count);
    }

    /// Called after a round of reaping that found orphans.
    pub(super) fn found_orphans(&mut self) {
        if self.zombie_watch.is_due(self.now()) {
            self.look_for_zombies();
        }
    }

    /// The number of zombies that only their own parents can reap, and the worst of these parents.
    pub(super) fn zombies(&mut self) -> (usize, Vec<ZombieParent>) {
        if self.zombie_watch.is_stale(self.now()) {
            self.look_for_zombies();
        }
        let worst = self.negligent.iter().take(MAX_PARENTS);
        let worst = worst.map(|one| ZombieParent { pid: one.pid, name: one.name.clone(), zombies: one.zombies });
        (self.negligent.iter().map(|one| one.zombies).sum(), worst.collect())
    }

    fn look_for_zombies(&mut self) {
        self.negligent = zombies::negligent_parents();
        for NegligentParent { pid, name, zombies, .. } in
            self.zombie_watch.scanned(self.began.elapsed(), &self.negligent)
        {
            warn!(pid, name, zombies, "a process does not wait for its children: only it can reap these zombies");
        }
    }

    /// The last act: the stop report, in the log and in the termination message.
    pub(super) fn finish(&mut self, code: u8, termination_message_path: Option<&Path>) {
        let now = self.now();
        self.publish(&LifecycleEvent::Exited { exit_code: code });
        self.followers = self.subscribers.close();
        info!("{}", self.journal.headline(now, code));
        if self.journal.stop_began().is_some() {
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
///
/// The file is written in place: it is a bind mount, which a rename would replace. It is opened with O_NONBLOCK, because a
/// FIFO in its place would block until there is a reader, and with O_NOFOLLOW, because an app of another user may have put
/// a link there.
fn write_termination_message(path: &Path, summary: impl FnOnce() -> String) {
    let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
    let Ok(mut file) = OpenOptions::new().write(true).custom_flags(flags).open(path) else { return };
    let is_empty_file = file.metadata().is_ok_and(|meta| meta.is_file() && meta.len() == 0);
    if is_empty_file && let Err(error) = file.write_all(summary().as_bytes()) {
        warn!(%error, path = %path.display(), "cannot write the termination message");
    }
}

/// How long followers may take to read the report.
const DELIVERY: Duration = Duration::from_millis(500);
/// The exit itself.
const LAST_MOMENT: Duration = Duration::from_millis(50);
/// The number of negligent parents in `/status`.
const MAX_PARENTS: usize = 10;
/// Kubernetes' default `terminationMessagePath`.
const TERMINATION_LOG: &str = "/dev/termination-log";
/// Kubernetes keeps this much of it.
const TERMINATION_BYTES: usize = 4096;

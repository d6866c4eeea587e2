//! Reports what happens: to the log, to the timeline of the stop, to the subscribers of `/events`, and to the termination
//! message, which is begun when a stop or an end begins, and rewritten after each stage and once a second.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tracing::{Level, debug, info, warn};

use super::followers::Followers;
use crate::http::{LifecycleEvent, StatusSnapshot, Subscribers, ZombieParent};
use crate::process::zombies::{NegligentParent, ZombieWatch};
use crate::report::journal::{Journal, NoteText, describe_cut, describe_note, describe_trigger};
use crate::report::message;
use crate::report::rewritten_file::{RewrittenFile, TERMINATION_LOG};
use crate::report::stop_report::{StopFacts, StopReport};
use crate::report::timestamp::Timestamp;
use crate::runtime::life_before::LifeBefore;
#[cfg(feature = "otel")]
use crate::runtime::trace::Trace;
use bookend_config::settings::{LogFormat, Settings};
use bookend_lifecycle::past::{LifeStage, Past};
use bookend_lifecycle::seconds::Seconds;
use bookend_lifecycle::{Hook, Note, Outcome, Time, Trigger};

pub(super) struct Reporter {
    began: Instant,
    pub(super) started_at: Timestamp,
    pub(super) journal: Journal,
    /// When the timeline began, and the time of day then.
    origin: (Time, Timestamp),
    /// The grace period of the stop.
    grace: Option<Duration>,
    pub(super) subscribers: Subscribers,
    /// The clients of `/events` that got the report and may not have read it. Empty before the report.
    pub(super) followers: Followers,
    zombie_watch: ZombieWatch,
    /// The result of the last look for zombies.
    negligent: Vec<NegligentParent>,
    log_format: LogFormat,
    /// The life before this one; `None` without a state file.
    pub(super) past: Option<Past>,
    /// The state file, if this life may write it.
    state: Option<RewrittenFile>,
    /// Of the termination message.
    most_bytes: usize,
    /// `None`: the file does not exist, or the path is empty.
    message: Option<RewrittenFile>,
    /// Nothing happens any more until a stop.
    is_held: bool,
    /// Something has happened since the message was written.
    has_news: bool,
    /// When it was written.
    written: Time,
    #[cfg(feature = "otel")]
    pub(super) trace: Trace,
}

impl Reporter {
    pub(super) fn new(began: Instant, settings: &Settings) -> Reporter {
        let path = settings.termination_message_path.as_deref().unwrap_or(Path::new(TERMINATION_LOG));
        let message = (!path.as_os_str().is_empty())
            .then(|| RewrittenFile::new(path.to_owned(), "cannot write the termination message", Vec::new()));
        let started_at = Timestamp::now();
        Reporter {
            #[cfg(feature = "otel")]
            trace: Trace::new(settings, started_at),
            log_format: settings.log.format,
            message,
            most_bytes: settings.termination_message_bytes.unwrap_or(message::DEFAULT_BYTES),
            past: None,
            state: None,
            is_held: false,
            has_news: false,
            written: Time::ZERO,
            began,
            started_at,
            journal: Journal::default(),
            origin: (Time::ZERO, started_at),
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

    /// The time of day of a moment. That of the timeline's beginning is remembered: a change of the clock, or a checkpoint and
    /// restore, in the middle of a stop does not move it.
    pub(super) fn wall_clock(&self, time: Time) -> Timestamp {
        match self.origin {
            (origin, at) if origin == time => at,
            _ => Timestamp::now().before(self.now().saturating_sub(time)),
        }
    }

    fn began_at(&self) -> Timestamp {
        self.wall_clock(self.journal.origin().unwrap_or_default())
    }

    pub(super) fn publish(&mut self, event: &LifecycleEvent<'_>) {
        #[cfg(feature = "otel")]
        if let (LifecycleEvent::Signal { signal }, Some(recorder)) = (event, self.trace.recorder()) {
            recorder.signal(self.began.elapsed(), &signal.to_string());
        }
        self.subscribers.publish(|| (self.began.elapsed(), Timestamp::now()), event);
    }

    /// Reports a note of a machine. `now`: for the beginning of a stop, the time that the machine counts from.
    pub(super) fn note(&mut self, now: Time, container: Option<&str>, note: Note) {
        let text = match container {
            Some(name) => NoteText::Other(format!("{name}: {}", describe_note(note))),
            None => NoteText::Usual(note),
        };
        self.note_as(now, note, text);
    }

    /// The same in these words.
    pub(super) fn note_as(&mut self, now: Time, note: Note, text: NoteText) {
        let published = if self.subscribers.are_any() { text.to_string() } else { String::new() };
        self.publish(&LifecycleEvent::Note { text: &published });
        match note {
            Note::Held(_) => {
                self.is_held = true;
                warn!(
                    "the app has failed: {text}: look with `kubectl exec` or `kubectl debug`; a stop ends it, as does `bookend stop`"
                );
            }
            // The loop logs these: it knows more.
            Note::StopBegan(_) | Note::LeftoversRefused | Note::LeftoversRemain => {}
            Note::Started | Note::CaughtUp => info!("{text}"),
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
            | Note::SecondSignalSent(..)
            | Note::PassedOn(_)
            | Note::NoHookCame
            | Note::AppEnded(_)
            | Note::LeftoversTerminated
            | Note::LeftoversEnded => debug!("{text}"),
        }
        self.journal.note(now, note, text);
        if let Some(origin) = self.journal.origin() {
            self.origin = (origin, self.wall_clock(origin));
        }
        self.has_news = true;
        match note {
            Note::HookOver(Hook::PostStop, _) if self.journal.has_timeline() => {
                self.write_life_stage(LifeStage::PostStopOver)
            }
            Note::Rearmed => self.write_life_stage(LifeStage::Running),
            _ => {}
        }
        if note == Note::Rearmed {
            self.stop_over();
        }
    }

    /// In a sidecar: the stop of an app is over, and bookend goes on. The kubelet may end it without another report.
    pub(super) fn app_stop_over(&mut self, status: &StatusSnapshot) {
        let Some(began) = self.journal.stop_began() else { return self.stop_over() };
        let (took, by) = (Seconds(self.now().saturating_sub(began)), self.journal.stopped_by().unwrap_or_default());
        self.log_report(&format!("the stop of an app is over: stopped by {by} in {took:.3} s"), status, None);
        #[cfg(feature = "otel")]
        self.trace_over(status, None);
        self.stop_over();
    }

    /// The stop is over, and bookend goes on: a message of it would be taken for that of a later end.
    pub(super) fn stop_over(&mut self) {
        if self.journal.has_timeline() || self.written > Time::ZERO {
            self.journal.stop_over(self.now());
            if let Some(message) = self.message.as_ref().filter(|_| self.written > Time::ZERO) {
                message.write(String::new(), false);
            }
            self.written = Time::ZERO;
        }
    }

    /// Logs the beginning of a stop.
    pub(super) fn stop_began(&mut self, container: Option<&str>, trigger: Trigger, grace: Option<Duration>) {
        self.grace = grace;
        let grace = grace.map(|grace| Seconds(grace).to_f64());
        info!(container, trigger = describe_trigger(trigger), grace_seconds = grace, "stopping");
    }

    /// Logs a stage of a stop that has taken long: a container that is killed later has logged at least this.
    pub(super) fn stage_over(&mut self, container: Option<&str>, stage: Option<(&'static str, Duration)>) {
        #[cfg(feature = "otel")]
        if let (Some((stage, took)), Some(recorder)) = (stage, self.trace.recorder()) {
            let now = self.began.elapsed();
            recorder.stage_over(container, stage, now.saturating_sub(took), now);
        }
        if let Some((stage, took)) = stage.filter(|(_, took)| *took > LONG) {
            info!(container, stage, took_seconds = Seconds(took).to_f64(), "a stage of the stop is over");
        }
    }

    /// How long followers may take to read the report: half a second, or what is left of the stop's budget.
    pub(super) fn delivery_time(&self) -> Duration {
        let end = self.grace.and_then(|grace| self.journal.stop_began().map(|began| began + grace));
        end.map_or(DELIVERY, |end| DELIVERY.min(end.saturating_sub(self.now() + LAST_MOMENT)))
    }

    /// Warns of something that no note of a machine covers.
    pub(super) fn remark(&mut self, text: String) {
        warn!("{text}");
        self.add_remark(text);
    }

    /// Adds to the timeline what the log has in other words.
    pub(super) fn add_remark(&mut self, text: String) {
        self.publish(&LifecycleEvent::Note { text: &text });
        self.journal.remark(self.now(), text);
    }

    /// Warns of kills of the OOM killer.
    pub(super) fn out_of_memory(&mut self, text: String) {
        if self.journal.has_timeline() {
            return self.remark(text);
        }
        // There is no timeline yet: the app's end that follows begins it.
        warn!("{text}");
        self.publish(&LifecycleEvent::Note { text: &text });
    }

    /// Warns of requests that our own signal is about to cut. `are_all`: whether every connection was counted.
    pub(super) fn requests_cut(&mut self, count: u32, are_all: bool) {
        let text = describe_cut(count, are_all);
        warn!("{text}");
        self.publish(&LifecycleEvent::Note { text: &text });
        self.journal.note_cut(self.now(), count, are_all);
    }

    /// Whether it is time for a scan for zombies that no client has asked for.
    pub(super) fn is_scan_due(&self) -> bool {
        self.zombie_watch.is_due(self.now())
    }

    /// Whether the last scan is too old for a client.
    pub(super) fn is_scan_stale(&self) -> bool {
        self.zombie_watch.is_stale(self.now())
    }

    /// The number of zombies that only their own parents can reap, and the worst of these parents: as of the last scan.
    pub(super) fn zombies(&self) -> (usize, Vec<ZombieParent>) {
        let worst = self.negligent.iter().take(MAX_PARENTS);
        let worst = worst.map(|one| ZombieParent { pid: one.pid, name: one.name.clone(), zombies: one.zombies });
        (self.negligent.iter().map(|one| one.zombies).sum(), worst.collect())
    }

    pub(super) fn scanned(&mut self, found: Vec<NegligentParent>) {
        self.negligent = found;
        for NegligentParent { pid, name, zombies, .. } in
            self.zombie_watch.scanned(self.began.elapsed(), &self.negligent)
        {
            warn!(pid, name, zombies, "a process does not wait for its children: only it can reap these zombies");
        }
    }

    // ---- The state file -------------------------------------------------------------------------

    /// Takes over what the state file tells. From now on this life writes it.
    pub(super) fn life_before(&mut self, path: PathBuf, life: LifeBefore) {
        // A file that cannot be read or written is not a damaged one.
        let past = life.past.warning().filter(|_| life.past != Past::Unknown || life.error.is_none());
        for text in past.into_iter().chain(life.error.map(|why| format!("cannot use stateFile: {why}"))) {
            warn!("{text}");
            self.publish(&LifecycleEvent::Note { text: &text });
        }
        self.past.get_or_insert(life.past);
        self.state = life.content.map(|content| RewrittenFile::new(path, "cannot write stateFile", content));
    }

    /// The content of the state file, for a writer that must be waited for.
    pub(super) fn take_state(&mut self) -> Vec<u8> {
        self.state.take().map(|file| file.into_content()).unwrap_or_default()
    }

    /// Writes how far this life has come.
    pub(super) fn write_life_stage(&self, stage: LifeStage) {
        if let Some(state) = &self.state {
            state.write(stage.line(&Timestamp::now().to_string()), false);
        }
    }

    // ---- The report of a stop -------------------------------------------------------------------

    /// Whether the termination message must be written now: something has happened in a stop, or a second has passed.
    pub(super) fn is_report_due(&mut self) -> bool {
        if self.next_report().is_none_or(|at| at > self.now() && !self.has_news) {
            return false;
        }
        if self.written == Time::ZERO {
            self.message.take_if(|message| !message.may_exist());
        }
        self.message.is_some() || self.state.is_some()
    }

    /// When it is to be written although nothing has happened. There is no timer outside of a stop.
    pub(super) fn next_report(&self) -> Option<Time> {
        let is_resting = self.is_held && !self.has_news;
        let has_file = self.message.is_some() || self.state.is_some();
        (has_file && self.journal.has_timeline() && !is_resting).then(|| self.written + REWRITE)
    }

    /// Writes how far the stop has come. `runs`: the handler in progress.
    pub(super) fn report_progress(&mut self, status: &StatusSnapshot, runs: Option<&str>) {
        let now = self.now();
        (self.has_news, self.written) = (false, now);
        let took = now.saturating_sub(self.journal.origin().unwrap_or_default());
        match self.journal.stop_began() {
            _ if self.journal.is_post_stop_over() => {}
            Some(_) => self.write_life_stage(LifeStage::Stopping(took)),
            None => self.write_life_stage(LifeStage::Ending(took)),
        }
        let Some(file) = &self.message else { return };
        let mut head = self.journal.progress(now, self.began_at(), runs, status.app.pid.is_some());
        if let Some(open) = status.open {
            head.push_str(&format!(", {} connections", open.connections));
            if let Some(busy) = open.busy {
                head.push_str(&format!(", {busy} busy"));
            }
        }
        file.write(self.message(&head, status, None), false);
    }

    fn message(&self, head: &str, status: &StatusSnapshot, code: Option<u8>) -> String {
        let (rows, failures) = self.journal.details();
        message::compose(self.most_bytes, head, &rows, &failures, &self.report(status, code, false))
    }

    fn report(&self, status: &StatusSnapshot, exit_code: Option<u8>, with_timeline: bool) -> String {
        let stopped_by = self.journal.stopped_by();
        let timeline = if with_timeline { self.journal.timeline().collect() } else { Vec::new() };
        let (began, now) = (self.journal.origin().unwrap_or_default(), self.now());
        let began_at = self.began_at();
        let facts = StopFacts { began, began_at, now, stopped_by: stopped_by.as_deref(), exit_code, timeline };
        StopReport::of(status, facts).to_json()
    }

    fn log_report(&self, head: &str, status: &StatusSnapshot, code: Option<u8>) {
        match self.log_format {
            LogFormat::Json => info!(report = self.report(status, code, true), "{head}"),
            LogFormat::Text => {
                info!("{head}");
                let rows = self.journal.timeline().filter(|_| self.journal.stop_began().is_some());
                rows.for_each(|row| info!("  {row}"));
            }
        }
    }

    /// Sends the trace of a stop that is over.
    #[cfg(feature = "otel")]
    fn trace_over(&mut self, status: &StatusSnapshot, exit_code: Option<u8>) {
        let stopped_by = self.journal.stopped_by();
        let (began, now) = (self.journal.origin().unwrap_or_default(), self.now());
        let began_at = self.began_at();
        let facts =
            StopFacts { began, began_at, now, stopped_by: stopped_by.as_deref(), exit_code, timeline: Vec::new() };
        self.trace.over(now, &StopReport::of(status, facts));
    }

    /// Whether the report of the exit has a place to go to: the log, the termination message or a trace.
    pub(super) fn wants_report(&mut self) -> bool {
        self.message.take_if(|message| !message.may_exist());
        #[cfg(feature = "otel")]
        if self.trace.recorder().is_some() {
            return true;
        }
        self.message.is_some() || tracing::event_enabled!(Level::INFO)
    }

    /// Writes the stop report, to the log and to the termination message. `status`: `None` if no report is wanted.
    pub(super) fn finish(&mut self, code: u8, status: Option<&StatusSnapshot>) {
        let now = self.now();
        self.publish(&LifecycleEvent::Exited { exit_code: code });
        self.followers = self.subscribers.close();
        if let Some(status) = status {
            let head = self.journal.headline(now, code);
            self.log_report(&head, status, Some(code));
            #[cfg(feature = "otel")]
            self.trace_over(status, Some(code));
            if let Some(file) = &self.message {
                file.write(self.message(&head, status, Some(code)), true);
            }
        }
        self.write_life_stage(LifeStage::Reported);
        // A file system that hangs must not hold the exit.
        let until = now + LAST_WRITE;
        self.message.iter().chain(&self.state).for_each(|file| file.wait(until.saturating_sub(self.now())));
        crate::report::log::flush();
    }
}

/// How long followers may take to read the report.
const DELIVERY: Duration = Duration::from_millis(500);
/// The exit itself.
const LAST_MOMENT: Duration = Duration::from_millis(50);
/// A stage that takes longer is logged when it ends.
const LONG: Duration = Duration::from_secs(2);
/// How often the message of a stop that lasts is rewritten.
const REWRITE: Duration = Duration::from_secs(1);
/// How long the exit waits for the last write: the share that the budget keeps for the report.
const LAST_WRITE: Duration = Duration::from_millis(100);
/// The number of negligent parents in `/status`.
const MAX_PARENTS: usize = 10;

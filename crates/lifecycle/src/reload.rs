//! Reloads: when the app reads its changed files again. One machine for each `[[reload]]`. Events and times go in,
//! actions come out.
//!
//! ```text
//!            changed · requested · poll          quiet, and other content
//!    Idle ────────────────────────────► Settling ────────────────────────► Checking ──► Applying ──► Idle
//!     ▲                                    ▲ │ the same content               │  │         │ failed
//!     │◄───────────────────────────────────┼─┘                                │  │         ▼
//!     │◄───────────────────────────────────┼── the check failed ──────────────┘  │      Backoff ──► Settling
//!     └── no more tries ◄── Backoff        └── changed meanwhile ────────────────┘
//! ```
//!
//! Its promises:
//! 1. Nothing runs while a reload is not allowed: before the app has started, during a stop, after the app's end.
//! 2. At most one look, check or action is in flight.
//! 3. Content is applied only if it is the content that the check has passed, and was quiet.
//! 4. Content decides: a change that leaves the content as it was applies nothing, unless the action before has failed.
//! 5. A change during a reload leads to one more look.
//! 6. A failed check is reported once, and is repeated only after another change.
//! 7. Each request has a result that began after it, or joins a reload whose action has not begun.
//!
//! The end of an action is that of its handler. With `app.notify` an app that answers with RELOADING=1 ends it with READY=1.

mod vocabulary;

use std::time::Duration;

pub use self::vocabulary::{Content, ReloadAction, ReloadEvent, ReloadNote, ReloadRule, ReloadRunId};
use crate::hook::HandlerResult;
use crate::time::Time;

/// One `[[reload]]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reload {
    rule: ReloadRule,
    is_allowed: bool,
    state: ReloadState,
    /// The content that the app has; `None`: not known, as it may have read a part of what it failed to apply.
    applied: Option<Content>,
    /// The content that is not tried again until it changes.
    rejected: Option<Content>,
    /// The content of the look before: without reports of changes, only the same content twice is quiet.
    seen: Option<Content>,
    /// A change that no look has seen from its beginning.
    has_changed: bool,
    /// The content need not be another one.
    is_forced: bool,
    /// When the first change came that is not applied yet.
    changed_at: Option<Time>,
    poll_at: Option<Time>,
    /// The content that was checked or applied last.
    tried: Option<Content>,
    /// Failures in a row, with this content.
    failures: u32,
    runs: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum ReloadState {
    Idle,
    /// Waits until the files are quiet.
    Settling(Time),
    /// Reads them.
    Looking(ReloadRunId),
    Checking {
        run: ReloadRunId,
        content: Content,
    },
    /// The check has ended: is it still the content that was checked?
    Verifying {
        run: ReloadRunId,
        content: Content,
        has_passed: bool,
    },
    Applying {
        content: Content,
        step: ApplyStep,
        until: Time,
    },
    Backoff(Time),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum ApplyStep {
    /// The action runs.
    Runs(ReloadRunId, Answer),
    /// It has ended; the app may send RELOADING=1.
    AwaitReloading,
    /// READY=1 ends the reload.
    AwaitReady,
}

/// The app's answer to an action that still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Answer {
    Nothing,
    Reloading,
    Ready,
}

impl Reload {
    /// A reload whose baseline follows.
    pub fn new(rule: ReloadRule) -> Reload {
        Reload {
            rule,
            is_allowed: false,
            state: ReloadState::Idle,
            applied: None,
            rejected: None,
            seen: None,
            has_changed: false,
            is_forced: false,
            changed_at: None,
            poll_at: None,
            tried: None,
            failures: 0,
            runs: 0,
        }
    }

    /// Whether the app may be reloaded now.
    pub fn is_allowed(&self) -> bool {
        self.is_allowed
    }

    /// Whether the action runs: a request that comes now is about the next one.
    pub fn is_applying(&self) -> bool {
        matches!(self.state, ReloadState::Applying { .. })
    }

    /// Whether the files are not quiet yet, or are read to find out.
    pub fn is_settling(&self) -> bool {
        matches!(self.state, ReloadState::Settling(_) | ReloadState::Looking(_))
    }

    /// The name of the state in `/status`.
    pub fn state_name(&self) -> &'static str {
        match self.state {
            ReloadState::Idle => "Idle",
            ReloadState::Settling(_) | ReloadState::Looking(_) => "Settling",
            ReloadState::Checking { .. } | ReloadState::Verifying { .. } => "Checking",
            ReloadState::Applying { .. } => "Applying",
            ReloadState::Backoff(_) => "Backoff",
        }
    }

    /// When [`ReloadEvent::TimePassed`] must come, if no event comes before.
    pub fn next_at(&self) -> Option<Time> {
        match self.state {
            ReloadState::Settling(at) | ReloadState::Backoff(at) => Some(at),
            ReloadState::Applying { step: ApplyStep::AwaitReloading | ApplyStep::AwaitReady, until, .. } => Some(until),
            ReloadState::Idle => self.poll_at.filter(|_| self.is_allowed),
            _ => None,
        }
    }

    /// Takes an event.
    pub fn apply(&mut self, now: Time, event: ReloadEvent) -> Vec<ReloadAction> {
        let mut actions = Vec::new();
        match event {
            ReloadEvent::Allowed(is_allowed) => self.allow(now, is_allowed, &mut actions),
            ReloadEvent::Baseline(content) if !self.has_changed => {
                self.applied = content;
                self.has_changed = content.is_none();
                self.begin_if_changed(now);
            }
            // The files have changed before they could be read: the app's content is not known.
            ReloadEvent::Baseline(_) => {}
            ReloadEvent::Changed => self.changed(now),
            ReloadEvent::Requested => self.requested(&mut actions),
            ReloadEvent::Unwatched(period) => {
                let period = *self.rule.poll.get_or_insert(period);
                self.poll_at.get_or_insert(now + period);
            }
            ReloadEvent::Looked(run, content) => self.looked(now, run, content, &mut actions),
            ReloadEvent::Ended(run, result) => self.ended(now, run, result, &mut actions),
            ReloadEvent::Reloading | ReloadEvent::Ready => self.notified(now, event, &mut actions),
            ReloadEvent::TimePassed => self.time_passed(now, &mut actions),
        }
        actions
    }

    fn allow(&mut self, now: Time, is_allowed: bool, actions: &mut Vec<ReloadAction>) {
        if is_allowed == self.is_allowed {
            return;
        }
        self.is_allowed = is_allowed;
        if is_allowed {
            self.poll_at = self.rule.poll.map(|poll| now + poll);
            return self.begin_if_changed(now);
        }
        actions.extend(self.run_in_flight().map(ReloadAction::Abort));
        if self.state != ReloadState::Idle {
            let is_told = self.is_forced || !self.is_settling();
            actions.extend(is_told.then_some(ReloadAction::Tell(ReloadNote::Aborted)));
            // If the app lives on, the files are looked at again.
            (self.has_changed, self.is_forced, self.failures) = (true, false, 0);
            self.state = ReloadState::Idle;
        }
    }

    fn run_in_flight(&self) -> Option<ReloadRunId> {
        match self.state {
            ReloadState::Looking(run) | ReloadState::Checking { run, .. } | ReloadState::Verifying { run, .. } => {
                Some(run)
            }
            ReloadState::Applying { step: ApplyStep::Runs(run, _), .. } => Some(run),
            _ => None,
        }
    }

    fn changed(&mut self, now: Time) {
        self.has_changed = true;
        self.changed_at.get_or_insert(now);
        match self.state {
            ReloadState::Idle => self.begin_if_changed(now),
            ReloadState::Settling(_) | ReloadState::Backoff(_) => self.settle(now),
            // The end of what runs looks at it.
            _ => {}
        }
    }

    fn begin_if_changed(&mut self, now: Time) {
        if self.is_allowed && self.state == ReloadState::Idle && self.has_changed {
            self.settle(now);
            if self.is_forced {
                // A request waits neither for quiet files nor for the splay.
                self.state = ReloadState::Settling(now);
            }
        }
    }

    fn requested(&mut self, actions: &mut Vec<ReloadAction>) {
        if !self.is_allowed {
            return;
        }
        self.is_forced = true;
        match self.state {
            ReloadState::Idle | ReloadState::Settling(_) | ReloadState::Backoff(_) => self.look(actions),
            ReloadState::Applying { .. } => self.has_changed = true,
            // It joins what runs.
            _ => {}
        }
    }

    /// Waits until the files are quiet. Files that change all the time are looked at nevertheless, after a while.
    fn settle(&mut self, now: Time) {
        self.has_changed = false;
        let first = *self.changed_at.get_or_insert(now) + self.rule.settle + self.rule.splay;
        self.state = ReloadState::Settling((now + self.rule.settle).max(first).min(first + LONGEST_SETTLING).max(now));
    }

    fn look(&mut self, actions: &mut Vec<ReloadAction>) {
        self.has_changed = false;
        let run = self.next_run();
        self.state = ReloadState::Looking(run);
        actions.push(ReloadAction::Look(run));
    }

    fn next_run(&mut self) -> ReloadRunId {
        self.runs += 1;
        ReloadRunId(self.runs)
    }

    fn looked(&mut self, now: Time, run: ReloadRunId, content: Option<Content>, actions: &mut Vec<ReloadAction>) {
        let verified = match self.state {
            ReloadState::Looking(own) if own == run => None,
            ReloadState::Verifying { run: own, content, has_passed } if own == run => Some((content, has_passed)),
            // The result of an aborted look.
            _ => return,
        };
        let Some(content) = content else { return self.fail(now, None, actions) };
        match verified {
            None => {}
            Some((checked, _)) if self.has_changed || content != checked => return self.settle(now),
            Some((_, true)) => return self.act(now, content, actions),
            Some((_, false)) => {
                (self.rejected, self.is_forced) = (Some(content), false);
                actions.push(ReloadAction::Tell(ReloadNote::CheckFailed));
                return self.idle(now);
            }
        }
        if self.has_changed && self.is_patient(now) {
            return self.settle(now);
        }
        let seen = self.seen.replace(content);
        let is_known = [self.applied, self.rejected].contains(&Some(content));
        if is_known && !self.is_forced {
            if self.applied == Some(content) {
                self.rejected = None;
            }
            self.failures = 0;
            return self.idle(now);
        }
        if self.rule.poll.is_some() && !self.is_forced && seen != Some(content) {
            return self.settle(now);
        }
        if self.tried.replace(content) != Some(content) {
            self.failures = 0;
        }
        match self.rule.has_check {
            true => {
                let run = self.next_run();
                self.state = ReloadState::Checking { run, content };
                actions.push(ReloadAction::Check(run));
            }
            false => self.act(now, content, actions),
        }
    }

    fn act(&mut self, now: Time, content: Content, actions: &mut Vec<ReloadAction>) {
        let run = self.next_run();
        (self.applied, self.rejected, self.is_forced) = (None, None, false);
        let until = now + self.rule.timeout;
        self.state = ReloadState::Applying { content, step: ApplyStep::Runs(run, Answer::Nothing), until };
        actions.push(ReloadAction::Apply(run));
    }

    fn ended(&mut self, now: Time, run: ReloadRunId, result: HandlerResult, actions: &mut Vec<ReloadAction>) {
        match (self.state, result) {
            (ReloadState::Checking { run: own, .. }, _) if own != run => {}
            // The check may have seen half of a change.
            (ReloadState::Checking { .. }, _) if self.has_changed && self.is_patient(now) => self.settle(now),
            (ReloadState::Checking { content, .. }, HandlerResult::Succeeded | HandlerResult::Failed) => {
                let run = self.next_run();
                let has_passed = result == HandlerResult::Succeeded;
                self.state = ReloadState::Verifying { run, content, has_passed };
                actions.push(ReloadAction::Look(run));
            }
            (ReloadState::Checking { content, .. }, _) => self.fail(now, Some(content), actions),
            (ReloadState::Applying { step: ApplyStep::Runs(own, answer), content, until }, _) if own == run => {
                let (step, until) = match (result, answer) {
                    (HandlerResult::Succeeded, Answer::Nothing) if self.rule.notifies => {
                        (ApplyStep::AwaitReloading, (now + NOTICE).min(until))
                    }
                    (HandlerResult::Succeeded, Answer::Reloading) => (ApplyStep::AwaitReady, until),
                    (HandlerResult::Succeeded, _) => return self.done(now, content, actions),
                    _ => return self.fail(now, Some(content), actions),
                };
                self.state = ReloadState::Applying { content, step, until };
            }
            // The result of an aborted run.
            _ => {}
        }
    }

    fn notified(&mut self, now: Time, event: ReloadEvent, actions: &mut Vec<ReloadAction>) {
        let ReloadState::Applying { step, content, until } = &mut self.state else { return };
        let is_ready = event == ReloadEvent::Ready;
        match step {
            ApplyStep::Runs(_, answer) if is_ready && *answer == Answer::Reloading => *answer = Answer::Ready,
            ApplyStep::Runs(_, answer) if !is_ready => *answer = Answer::Reloading,
            ApplyStep::AwaitReloading if !is_ready => {
                *until = now + self.rule.timeout;
                *step = ApplyStep::AwaitReady;
            }
            ApplyStep::AwaitReady if is_ready => {
                let content = *content;
                self.done(now, content, actions);
            }
            // A READY=1 that no RELOADING=1 came before, or a second RELOADING=1.
            _ => {}
        }
    }

    fn time_passed(&mut self, now: Time, actions: &mut Vec<ReloadAction>) {
        if self.next_at().is_none_or(|at| at > now) {
            return;
        }
        match self.state {
            ReloadState::Settling(_) | ReloadState::Backoff(_) => self.look(actions),
            ReloadState::Idle => {
                self.seen = None;
                self.look(actions);
            }
            ReloadState::Applying { content, step: ApplyStep::AwaitReloading, .. } => self.done(now, content, actions),
            ReloadState::Applying { content, .. } => self.fail(now, Some(content), actions),
            _ => {}
        }
    }

    fn done(&mut self, now: Time, content: Content, actions: &mut Vec<ReloadAction>) {
        (self.applied, self.failures) = (Some(content), 0);
        actions.push(ReloadAction::Tell(ReloadNote::Succeeded));
        self.idle(now);
    }

    /// `content`: what is not tried again after the last failure.
    fn fail(&mut self, now: Time, content: Option<Content>, actions: &mut Vec<ReloadAction>) {
        self.failures += 1;
        let pause = (self.failures <= MOST_RETRIES).then(|| FIRST_PAUSE * (1 << (self.failures - 1)));
        actions.push(ReloadAction::Tell(ReloadNote::Failed(pause)));
        match pause {
            Some(pause) if !self.has_changed => {
                self.changed_at = None;
                self.state = ReloadState::Backoff(now + pause);
            }
            Some(_) => self.idle(now),
            None => {
                // A request that came during the action is about the next one.
                self.is_forced &= self.is_applying();
                (self.failures, self.rejected) = (0, content);
                self.idle(now);
            }
        }
    }

    fn idle(&mut self, now: Time) {
        self.state = ReloadState::Idle;
        self.changed_at = None;
        self.poll_at = self.rule.poll.map(|poll| now + poll);
        self.begin_if_changed(now);
    }

    /// Whether a change in between is waited for.
    fn is_patient(&self, now: Time) -> bool {
        self.changed_at.is_none_or(|at| now < at + self.rule.settle + self.rule.splay + LONGEST_SETTLING)
    }
}

/// Files that change all the time are applied nevertheless.
const LONGEST_SETTLING: Duration = Duration::from_secs(60);
/// An app that speaks RELOADING=1 sends it within this time.
const NOTICE: Duration = Duration::from_secs(1);
/// The pauses are 1, 2, 4, 8 and 16 s.
const MOST_RETRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;

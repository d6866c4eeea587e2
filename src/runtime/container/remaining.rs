//! The processes that the app leaves behind, and sessions (`docker exec`).

use std::time::Duration;

use tracing::warn;

use crate::detached::{DetachedError, run_bounded};
use crate::process::leftovers::{self, Refused, Seen};
use crate::report::journal::describe_note;
use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{Note, Remaining, Time};

/// Looks for the processes that remain, from SIGTERM to the exit.
#[derive(Debug, Default)]
pub(super) struct RemainingProcesses {
    is_awaited: bool,
    /// The last result.
    reported: Option<Remaining>,
    /// When to look again: the ends of sessions are reported to their parents, not to us.
    look_at: Option<Time>,
    /// The report of the last SIGKILL to them.
    killed: String,
}

impl RemainingProcesses {
    /// Sends SIGKILL to all of them.
    pub(super) fn kill(&mut self, followers: &[i32]) {
        // Read before the kill: afterwards they have no names.
        let seen = leftovers::seen(followers);
        let text = match seen.refused {
            Refused::All => "SIGKILL was refused to the remaining processes".to_owned(),
            _ => describe_note(Note::LeftoversKilled),
        };
        self.killed = with_names(text, &seen);
        signal_all(&[Signal::KILL], followers);
    }

    /// The processes that the last SIGKILL has ended, with names.
    pub(super) fn take_killed(&mut self) -> String {
        std::mem::take(&mut self.killed)
    }

    /// Sends SIGTERM to all of them. `followers` wait for our own end. Returns whether some may be left; then the next look is
    /// reported in any case.
    pub(super) fn terminate(&mut self, followers: &[i32]) -> bool {
        // A stopped process takes SIGTERM only when it is continued.
        let may_remain = signal_all(&[Signal::TERM, Signal::CONT], followers);
        (self.is_awaited, self.reported) = (true, (!may_remain).then_some(Remaining::Nothing));
        may_remain
    }

    /// Which remain, if that has changed. `children`: whether the reaper has seen any.
    pub(super) fn look(&mut self, now: Time, children: bool, followers: &[i32]) -> Option<Remaining> {
        if !self.is_awaited {
            return None;
        }
        let remaining = match children {
            _ if !followers.is_empty() && !leftovers::are_any_but(followers) => Remaining::Nothing,
            true => Remaining::Children,
            false if leftovers::are_any() => Remaining::Sessions,
            false => Remaining::Nothing,
        };
        let is_polled = remaining == Remaining::Sessions || (!followers.is_empty() && remaining != Remaining::Nothing);
        self.look_at = is_polled.then_some(now + INTERVAL);
        (self.reported.replace(remaining) != Some(remaining)).then_some(remaining)
    }

    /// Whether the next look is the first one after SIGTERM.
    pub(super) fn is_first(&self) -> bool {
        self.is_awaited && self.reported.is_none()
    }

    /// The next time to look.
    pub(super) fn due(&self) -> Option<Time> {
        self.look_at
    }
}

/// A list of processes takes the longer to read the more there are: a thread does it, and the loop waits for a moment at most.
/// Returns whether some may be left: zombies count.
fn signal_all(signals: &'static [Signal], followers: &[i32]) -> bool {
    let takes_one_call = leftovers::one_call_reaches_all(followers);
    // Mostly none is left. Each kill(-1) visits all processes of the machine, so it is asked once.
    let are_any = if takes_one_call { leftovers::are_any() } else { leftovers::are_any_but(followers) };
    if !are_any {
        // A list of processes has no zombies.
        return !takes_one_call;
    }
    let spared = followers.to_vec();
    let work = move || signals.iter().for_each(|signal| leftovers::signal_all(*signal, &spared));
    let has_thread = !takes_one_call && !matches!(run_bounded(MOMENT, work.clone()), Err(DetachedError::Thread(_)));
    if !has_thread {
        work();
    }
    true
}

/// The note with the names of the processes.
pub(super) fn describe(note: Note, followers: &[i32]) -> String {
    with_names(describe_note(note), &leftovers::seen(followers))
}

fn with_names(text: String, seen: &Seen) -> String {
    if seen.names.is_empty() { text } else { format!("{text}: {}", seen.names) }
}

/// Whether the kernel refuses signals to every one of them.
pub(super) fn are_refused(followers: &[i32]) -> bool {
    leftovers::seen(followers).refused == Refused::All
}

/// Logs why some of them survived SIGKILL.
pub(super) fn report_survivors(followers: &[i32]) {
    let seen = leftovers::seen(followers);
    let text = with_names(describe_note(Note::LeftoversRemain), &seen);
    let why = match seen.refused {
        Refused::None if seen.names.is_empty() => {
            "they cannot be seen in /proc: they are held in the kernel, or bookend may not signal them"
        }
        Refused::None => "they are in uninterruptible sleep or a frozen cgroup, or a tracer holds them",
        _ => why_refused(),
    };
    warn!("{text}: {why}");
}

/// Why signals to remaining processes are refused.
pub(super) fn why_refused() -> &'static str {
    match leftovers::are_seen() {
        true => {
            "bookend may not signal them: it needs CAP_KILL for processes of another user, and no seccomp profile or security \
             module may forbid kill(2)"
        }
        false => "without a /proc of its own bookend does not find them, and has sent no signal",
    }
}

/// Enough for some hundred processes.
const MOMENT: Duration = Duration::from_millis(5);
/// How often sessions are looked for, for two seconds at most.
const INTERVAL: Duration = Duration::from_millis(20);

//! The configuration that the machines need.

use std::time::Duration;

use litemap::LiteMap;

use crate::budget::longest;
use crate::hook::Hook;
use crate::life::Reason;
use crate::signal::Signal;

/// The configuration of one life.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Plan {
    /// `terminationGracePeriodSeconds`.
    pub grace: Option<Duration>,
    /// `leftoversSeconds`: how long processes that remain after the app's end have after SIGTERM. `None`: during a stop with
    /// a grace period the rest of it without the reserve, otherwise two seconds.
    pub leftovers: Option<Duration>,
    /// The handlers of each hook, in order.
    pub hooks: LiteMap<Hook, Vec<HandlerPlan>>,
    /// The signals that begin a stop.
    pub stop_signals: Vec<Signal>,
    /// The signal that stops the app; `None` stands for the signal that bookend received.
    pub stop_signal: Option<Signal>,
    /// Signals that are forwarded as another one (`Some`) or dropped (`None`).
    pub signals: LiteMap<Signal, Option<Signal>>,
    /// `exitCodes`: the app's exit codes that are replaced.
    pub exit_codes: LiteMap<u8, u8>,
    /// `stopIsSuccess`: whether an app that our stop signal killed counts as exit code 0.
    pub stop_is_success: bool,
    /// `secondSignal`: the second signal for an app that only idle connections keep running.
    pub second_signal: Option<SecondSignal>,
    /// `holdOnFailureSeconds`: how long the container stays when the app has failed by itself.
    pub hold: Option<Duration>,
    /// The exit code with which any refused signal ends the life, as tini does. `None`: only a stop that cannot be carried out
    /// ends it, with 137.
    pub exit_if_refused: Option<u8>,
}

impl Plan {
    /// The handlers of a hook, in order.
    pub(crate) fn handlers(&self, hook: Hook) -> &[HandlerPlan] {
        self.hooks.get(&hook).map_or(&[], Vec::as_slice)
    }

    /// The signal that the app gets in place of this one; `None` if it is dropped.
    pub fn forwarded(&self, signal: Signal) -> Option<Signal> {
        self.signals.get(&signal).copied().unwrap_or(Some(signal))
    }
}

/// The signal for an app that has got its stop signal and is kept running by idle connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecondSignal {
    /// `afterSeconds`: how long a connection without one received byte must have been open.
    pub after: Duration,
    /// `signal`.
    pub signal: Signal,
}

/// The configuration of one handler.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HandlerPlan {
    /// `timeoutSeconds`, for each attempt.
    pub timeout: Option<Duration>,
    /// Whether the hook fails if this handler fails (`failurePolicy = "Fail"`).
    pub required: bool,
    /// How many more attempts follow a failure.
    pub retries: u32,
    /// The pause before the first retry; it doubles with each retry.
    pub backoff: Duration,
    /// The handler only waits (sleep, drain): it has no purpose once the app has ended.
    pub waits_only: bool,
    /// The reasons for which a postStop handler runs (`on`). Other hooks ignore it.
    pub on: On,
}

impl HandlerPlan {
    /// The longest time that the handler can take with its retries; `None` if only the budget limits it.
    pub(crate) fn longest(&self) -> Option<Duration> {
        longest(self.timeout, self.retries, self.backoff)
    }
}

/// The reasons for which a postStop handler runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct On {
    /// `Completed`.
    pub completed: bool,
    /// `Failed`.
    pub failed: bool,
    /// `Stopped`.
    pub stopped: bool,
    /// `Unseen`.
    pub unseen: bool,
}

impl On {
    /// Every end that bookend sees, which is the default.
    pub const EVERY: On = On { completed: true, failed: true, stopped: true, unseen: false };

    /// The words of the key, one for each field.
    pub const WORDS: &'static [&'static str] =
        &[Reason::Completed.name(), Reason::Failed.name(), Reason::Stopped.name(), Reason::Unseen.name()];

    /// Whether the handler runs for this reason.
    pub fn includes(self, reason: Reason) -> bool {
        match reason {
            Reason::Completed => self.completed,
            Reason::Failed => self.failed,
            Reason::Stopped => self.stopped,
            // The app completed or failed, but which of the two is not known.
            Reason::Unknown => self.completed || self.failed,
            Reason::Unseen => self.unseen,
        }
    }
}

impl Default for On {
    fn default() -> On {
        On::EVERY
    }
}

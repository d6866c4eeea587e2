//! Stopping: one latch, many triggers; preStop at most once, then the stop signal, then SIGKILL at the deadline
//! if there is one.

use super::{AfterPreStop, ConnectionState, ContainerLifecycle, Phase, Stage, Step, Stop};
use crate::signal::Signal;
use crate::time::Time;
use crate::vocabulary::{Action, AppStatus, Hook, Note, Outcome, Timer, Trigger};

impl ContainerLifecycle {
    pub(super) fn signal(&mut self, now: Time, signal: Signal) {
        let target = match self.plan.signals.get(&signal) {
            Some(None) => return,
            Some(Some(rewritten)) => *rewritten,
            None => signal,
        };
        if self.plan.stop_signals.contains(&signal) {
            return self.stop_signal(now, signal, self.plan.stop_signal.unwrap_or(target));
        }
        match self.phase {
            Phase::Starting if self.held.contains(&target) => {}
            Phase::Starting => self.held.push(target),
            Phase::Running | Phase::Stopping { .. } => self.out.push(Action::SignalApp(target)),
            // Nobody is there who could get it.
            Phase::Finishing { .. } | Phase::Exited => {}
        }
    }

    pub(super) fn stop_signal(&mut self, now: Time, received: Signal, send: Signal) {
        let trigger = Trigger::Signal(received);
        match self.phase {
            Phase::Starting => {
                let stop = Stop { trigger, began: now, signal_seen: true };
                self.stop_before_start(now, stop, received);
            }
            Phase::Running => self.begin_stop(now, trigger, AfterPreStop::Signal(send)),
            Phase::Stopping { ref mut stop, stage } => {
                stop.signal_seen = true;
                match stage {
                    // The kubelet's patience is over, or a person's: the handlers had their time.
                    Stage::PreStop(_) => {
                        self.out.push(Action::Tell(Note::Escalated(Hook::PreStop)));
                        self.abort_list(Hook::PreStop, Outcome::Aborted);
                        self.signal_app(now, send);
                    }
                    Stage::AwaitSignal => self.signal_app(now, send),
                    // Told again, the app is told again. A repeated stop signal never means SIGKILL.
                    Stage::Signalled(_) => self.out.push(Action::SignalApp(send)),
                    // SIGKILL is on its way; nothing is left to say to the app.
                    Stage::Killed => {}
                }
            }
            Phase::Finishing { .. } => self.stop_signal_while_finishing(now, trigger),
            Phase::Exited => {}
        }
    }

    pub(super) fn stop_signal_while_finishing(&mut self, now: Time, trigger: Trigger) {
        let Phase::Finishing { stop, step, .. } = &mut self.phase else { return };
        let step = *step;
        match stop {
            Some(stop) if stop.signal_seen => match step {
                Step::Linger => {
                    self.out.push(Action::Tell(Note::Escalated(Hook::PreStop)));
                    self.abort_list(Hook::PreStop, Outcome::Aborted);
                    self.enter_leftovers(now);
                }
                Step::Leftovers { killed: false } => self.kill_leftovers(now),
                Step::PostStop => {
                    self.out.push(Action::Tell(Note::Escalated(Hook::PostStop)));
                    self.cut_post_stop(now);
                }
                // The last steps are bounded by fractions of a second: nothing to hurry.
                Step::Leftovers { killed: true } | Step::Answers => {}
            },
            // The signal that follows a hook, after the app has gone by itself: as expected.
            Some(stop) => stop.signal_seen = true,
            // The app had ended by itself; from now on somebody counts the seconds.
            None => {
                *stop = Some(Stop { trigger, began: now, signal_seen: true });
                self.out.push(Action::Tell(Note::StopBegan(trigger)));
                match (step, self.budget.post_stop_deadline(now)) {
                    (Step::PostStop, Some(end)) => self.out.push(Action::SetTimer { timer: Timer::PostStop, at: end }),
                    (Step::Leftovers { killed: false }, Some(_)) => self.arm_leftovers(now),
                    // The other steps are short by themselves.
                    _ => {}
                }
            }
        }
    }

    /// There is no app yet, and there is not going to be one. As a program of its own would die of the signal.
    fn stop_before_start(&mut self, now: Time, stop: Stop, signal: Signal) {
        self.abort_list(Hook::PreStart, Outcome::Aborted);
        self.out.push(Action::Tell(Note::StopBegan(stop.trigger)));
        let code = if self.plan.stop_is_success { 0 } else { signal.exit_code() };
        self.finish(now, AppStatus::NotStarted { code }, Some(stop), self.others);
    }

    pub(super) fn stop_requested(&mut self, now: Time) {
        let send = self.default_stop_signal();
        match &mut self.phase {
            Phase::Starting => {
                let stop = Stop { trigger: Trigger::Request, began: now, signal_seen: false };
                self.stop_before_start(now, stop, send);
            }
            Phase::Running => self.begin_stop(now, Trigger::Request, AfterPreStop::Signal(send)),
            // The handlers of a hook are in flight: they finish, and then nobody is waited for.
            Phase::Stopping { stage: Stage::PreStop(then @ AfterPreStop::AwaitSignal), .. } => {
                *then = AfterPreStop::Signal(send);
                self.arm_kill(now);
            }
            Phase::Stopping { stage: Stage::AwaitSignal, .. } => self.signal_app(now, send),
            // A stop is going on already.
            Phase::Stopping { .. } | Phase::Finishing { .. } | Phase::Exited => {}
        }
    }

    /// A failed postStart, a failed liveness probe: the whole stop sequence, for an app that runs.
    pub(super) fn stop_running(&mut self, now: Time, trigger: Trigger) {
        if self.phase == Phase::Running {
            let send = self.default_stop_signal();
            self.begin_stop(now, trigger, AfterPreStop::Signal(send));
        }
        // Stopping or finishing already: the failure changes nothing any more.
    }

    pub(super) fn default_stop_signal(&self) -> Signal {
        self.plan.stop_signal.unwrap_or(Signal::TERM)
    }

    pub(super) fn begin_stop(&mut self, now: Time, trigger: Trigger, then: AfterPreStop) {
        let signal_seen = matches!(trigger, Trigger::Signal(_));
        let stop = Stop { trigger, began: now, signal_seen };
        self.phase = Phase::Stopping { stop, stage: Stage::PreStop(then) };
        self.out.push(Action::Tell(Note::StopBegan(trigger)));
        if let AfterPreStop::Signal(_) = then {
            self.arm_kill(now);
            // Beside a preStop hook postStart goes on (Kubernetes promises no order); a stop that we carry on by
            // ourselves is not to be held up by one that hangs.
            self.abort_list(Hook::PostStart, Outcome::Aborted);
        }
        let deadline = self.budget.pre_stop_deadline(now);
        self.run_list(now, Hook::PreStop, deadline);
    }

    pub(super) fn pre_stop_over(&mut self, now: Time) {
        match self.phase {
            Phase::Stopping { stage: Stage::PreStop(AfterPreStop::Signal(send)), .. } => self.signal_app(now, send),
            Phase::Stopping { ref mut stage, .. } if matches!(stage, Stage::PreStop(AfterPreStop::AwaitSignal)) => {
                *stage = Stage::AwaitSignal;
                let patience = self.plan.grace.unwrap_or(crate::budget::REARM_WITHOUT_GRACE);
                self.out.push(Action::SetTimer { timer: Timer::Rearm, at: now + patience });
            }
            Phase::Finishing { step: Step::Linger, .. } => self.enter_leftovers(now),
            // The handlers were overtaken by the signal; they have been reported as aborted.
            _ => {}
        }
    }

    /// The stop signal itself. Whatever still runs beside the app has had its time.
    pub(super) fn signal_app(&mut self, now: Time, send: Signal) {
        let Phase::Stopping { stage, .. } = &mut self.phase else { return };
        *stage = Stage::Signalled(ConnectionState::Working);
        self.abort_list(Hook::PostStart, Outcome::Aborted);
        self.sent.push(send);
        if self.plan.second_signal.is_some() || self.plan.grace.is_some() {
            // Before the signal: the app closes its listeners with it, and then nobody knows its ports. Without
            // either bookend cuts nothing by itself, and there is nothing to count.
            self.out.push(Action::WatchConnections);
        }
        self.out.push(Action::SignalApp(send));
        self.out.push(Action::Tell(Note::StopSignalSent(send)));
        self.arm_kill(now);
    }

    pub(super) fn connections_idle(&mut self, now: Time) {
        let Some(second_signal) = self.plan.second_signal else { return };
        if let Phase::Stopping { stage: Stage::Signalled(connections @ ConnectionState::Working), .. } = &mut self.phase
        {
            *connections = ConnectionState::Idle(now);
            self.out.push(Action::SetTimer { timer: Timer::SecondSignal, at: now + second_signal.after });
        }
        // Said again, or too late: nothing changes.
    }

    pub(super) fn connections_busy_or_gone(&mut self) {
        if let Phase::Stopping { stage: Stage::Signalled(connections @ ConnectionState::Idle(_)), .. } = &mut self.phase
        {
            // The alarm still rings, and finds nobody idle.
            *connections = ConnectionState::Working;
        }
    }

    pub(super) fn send_second_signal(&mut self, now: Time, stop: Stop, since: Time) {
        let Some(second_signal) = self.plan.second_signal.filter(|second_signal| now >= since + second_signal.after)
        else {
            return;
        };
        self.phase = Phase::Stopping { stop, stage: Stage::Signalled(ConnectionState::SecondSignalSent) };
        self.sent.push(second_signal.signal);
        self.out.push(Action::SendSecondSignal(second_signal.signal));
        self.out.push(Action::Tell(Note::SecondSignalSent(second_signal.signal)));
    }

    pub(super) fn arm_kill(&mut self, now: Time) {
        let Some(stop) = self.stop() else { return };
        if let Some(at) = self.budget.kill_at(stop.began, now) {
            self.out.push(Action::SetTimer { timer: Timer::Kill, at });
        }
    }
}

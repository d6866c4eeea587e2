//! The machine's verdict. The events that bookend logged are applied to a fresh machine, in the same order at the same
//! times. Its actions must match what the app, the handlers and the callers saw, and its exit code the real one.

use std::time::Duration;

use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{
    Action, AppStatus, CallerId, ContainerLifecycle, Event, HandlerResult, Hook, Machine, Note, Outcome, Remaining,
    RunId, SecondSignalReason, Timer, Trigger,
};

use crate::life::Lived;
use crate::scenario::{Scenario, name};

/// The landmarks of a life, for the summary at the end.
pub(crate) fn judge(scenario: &Scenario, lived: &Lived) -> Result<Vec<&'static str>, String> {
    // The log begins some time after the start. On a busy machine that time is long, and it is not logged. It
    // decides only whether there was still time for some step.
    let at_once = judge_as_of(Duration::ZERO, scenario, lived);
    let later = || (1..60).find_map(|n| judge_as_of(Duration::from_millis(50) * n, scenario, lived).ok());
    at_once.or_else(|why| later().ok_or(why))
}

fn judge_as_of(late: Duration, scenario: &Scenario, lived: &Lived) -> Result<Vec<&'static str>, String> {
    let (orders, watched) = replay(scenario, lived, late)?;
    let exit = |order: &Action| if let Action::Exit(code) = order { Some(*code) } else { None };
    let exits: Vec<_> = orders.iter().filter_map(exit).collect();
    let code = u8::try_from(lived.code).map_err(|_| format!("exit code {}", lived.code))?;
    if exits != [code] {
        return Err(format!("the machine exits with {exits:?}, the binary with {code}"));
    }
    handlers_ran_as_ordered(scenario, lived, &orders)?;
    signals_arrived_as_ordered(lived, &orders)?;
    callers_heard_as_ordered(lived, &orders)?;
    nothing_was_cut_or_held_in_vain(scenario, lived, &orders, watched)?;
    Ok(landmarks(lived, &orders))
}

fn landmarks(lived: &Lived, orders: &[Action]) -> Vec<&'static str> {
    let mut passed: Vec<_> = orders
        .iter()
        .filter_map(|order| match order {
            Action::StartHandler { .. } => Some("a handler ran"),
            Action::AbortHandler(_) => Some("a handler was aborted"),
            Action::KillApp => Some("the app got SIGKILL"),
            Action::Tell(Note::LeftoversTerminated) => Some("something was left"),
            Action::KillLeftovers => Some("leftovers got SIGKILL"),
            Action::Answer { .. } => Some("a hook was answered"),
            Action::SendSecondSignal(_) => {
                Some("only idle connections held the app: a second signal (app.secondSignal)")
            }
            Action::WatchConnections if lived.log.contains("\"ConnectionsIdle\"") => Some("connections became idle"),
            Action::Tell(Note::Escalated(_)) => Some("a second signal moved it on"),
            Action::Tell(Note::StopSignalSent(_)) => Some("the app got the stop signal"),
            Action::Tell(Note::HookOver(_, Outcome::Failed)) => Some("a hook failed"),
            Action::Tell(Note::AppEnded(AppStatus::NotStarted { .. })) => Some("the app was never started"),
            Action::Tell(Note::StopBegan(Trigger::PostStartFailed)) => Some("postStart stopped it"),
            Action::Tell(Note::StopBegan(Trigger::Hook)) => Some("a hook began the stop"),
            Action::Tell(Note::StopBegan(Trigger::Request)) => Some("a request began the stop"),
            Action::Tell(Note::StopBegan(Trigger::Signal(_))) => Some("a signal began the stop"),
            Action::Tell(Note::StopBegan(Trigger::LivenessFailed)) => Some("a liveness probe began the stop"),
            Action::Tell(Note::Rearmed) => Some("the latch was armed again"),
            Action::SetTimer { timer: Timer::Retry(_), .. } => Some("a handler was to be tried again"),
            Action::Tell(Note::NoTimeLeft(..)) => Some("no time was left for a handler"),
            _ => None,
        })
        .collect();
    passed.sort_unstable();
    passed.dedup();
    passed
}

/// The actions, and when the connections were first to be looked at, in microseconds of the day.
fn replay(scenario: &Scenario, lived: &Lived, late: Duration) -> Result<(Vec<Action>, Option<u64>), String> {
    let mut machine = ContainerLifecycle::new(scenario.plan());
    let mut now = Duration::ZERO;
    let mut orders = Vec::new();
    let mut apply = |now: Duration, event: Event| {
        let actions = machine.apply(now, event);
        let ordered = [Action::StartApp, Action::WatchConnections].map(|action| actions.contains(&action));
        orders.extend(actions);
        ordered
    };
    // Without preStart handlers the app is started before the log exists: its first event is that the app has started.
    let mut has_begun = false;
    let (mut began, mut watched) = (None, None);
    for line in lived.log.lines() {
        let Ok(line) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        let at = line["timestamp"].as_str().and_then(micros);
        if let Some(at) = at {
            // Debug lines are written when an event is taken up, which is when its time is read.
            now = late + Duration::from_micros(at.saturating_sub(*began.get_or_insert(at)));
        }
        if line["message"] == "event" {
            let text = line["event"].as_str().unwrap_or_default();
            let event = event(text).ok_or_else(|| format!("an unknown event: {text}"))?;
            if !std::mem::replace(&mut has_begun, true) && event == Event::AppStarted {
                apply(now, Event::Begin);
            }
            if let [_, true] = apply(now, event) {
                watched = watched.or(at);
            }
        }
    }
    Ok((orders, watched))
}

/// The handlers that left traces are those that were started, in their order. An aborted handler may have left
/// no trace.
fn handlers_ran_as_ordered(scenario: &Scenario, lived: &Lived, orders: &[Action]) -> Result<(), String> {
    for hook in [Hook::PreStart, Hook::PostStart, Hook::PreStop, Hook::PostStop] {
        let seen: Vec<_> = lived
            .trace
            .iter()
            .filter_map(|line| line.strip_suffix(" begins"))
            .filter(|line| line.starts_with(hook.name()))
            .collect();
        let mut ordered = orders.iter().filter_map(|order| match order {
            Action::StartHandler { hook: which, index, .. } if *which == hook && scenario.is_exec(hook, *index) => {
                Some(name(hook, *index))
            }
            _ => None,
        });
        for seen in &seen {
            if !ordered.any(|ordered| ordered == *seen) {
                return Err(format!("{seen} ran, and was not ordered (or not then)"));
            }
        }
        // At most once per stop, checked without the machine; retries are allowed.
        let rearmed = orders.contains(&Action::Tell(Note::Rearmed));
        let twice = seen.iter().enumerate().any(|(at, name)| seen[..at].contains(name));
        if twice && !scenario.has_retries(hook) && !(hook == Hook::PreStop && rearmed) {
            return Err(format!("a handler of {} ran twice", hook.name()));
        }
    }
    let position = |what: &str| lived.trace.iter().position(|line| line.starts_with(what));
    let ends_of_app = lived.trace.iter().rposition(|line| line.starts_with("app "));
    match (ends_of_app, position("postStop")) {
        (Some(app), Some(post_stop)) if post_stop < app => Err("postStop ran beside the app".to_owned()),
        _ => Ok(()),
    }
}

/// The app saw no signal that was not ordered. (It may have ended before it saw one; the kernel keeps each once.)
fn signals_arrived_as_ordered(lived: &Lived, orders: &[Action]) -> Result<(), String> {
    for number in [1, 2, 10, 15] {
        let signal = Signal::new(number).unwrap();
        let seen = lived.trace.iter().filter(|line| **line == format!("app {number}")).count();
        let to_app = [Action::SignalApp(signal), Action::SendSecondSignal(signal)];
        let ordered = orders.iter().filter(|order| to_app.contains(order)).count();
        if seen > ordered {
            return Err(format!("the app saw {signal} {seen} times; it was ordered {ordered} times"));
        }
    }
    let killed = orders.contains(&Action::KillApp);
    let deaf = lived.log.contains("app was killed by SIGKILL");
    if killed && !deaf && !orders.iter().any(|order| matches!(order, Action::Tell(Note::AppEnded(_)))) {
        return Err("SIGKILL was ordered, and the app's end was never seen".to_owned());
    }
    Ok(())
}

/// Every caller was answered as the machine decided. A caller after Exit finds no process, or gets a late response.
fn callers_heard_as_ordered(lived: &Lived, orders: &[Action]) -> Result<(), String> {
    for (hook, word) in [(Hook::PreStop, "preStop"), (Hook::PostStart, "postStart")] {
        let ordered = orders.iter().filter_map(|order| match order {
            Action::Answer { hook: which, outcome, .. } if *which == hook => Some(*outcome),
            _ => None,
        });
        let mut ordered: Vec<u16> =
            ordered.map(|outcome| if outcome == Outcome::Succeeded { 200 } else { 500 }).collect();
        for (_, code) in lived.answers.iter().filter(|(hook, code)| *hook == word && *code != 0) {
            match ordered.iter().position(|ordered| ordered == code) {
                Some(place) => drop(ordered.remove(place)),
                // Answered in the last milliseconds, by rule: no handler can run any more.
                None if matches!(code, 200 | 500 | 503) && lived.log.contains("exit code") => {}
                None => return Err(format!("{word} was answered with {code}, which was not ordered")),
            }
        }
        if !ordered.is_empty() {
            return Err(format!("{word}: the responses {ordered:?} were decided, and no caller got them"));
        }
    }
    Ok(())
}

/// The second signal (`app.secondSignal`), checked without the machine: it cuts no request that was in flight when the stop
/// signal went out, it is sent only if there are connections, and an app that only silent ones hold needs no SIGKILL.
fn nothing_was_cut_or_held_in_vain(
    scenario: &Scenario,
    lived: &Lived,
    orders: &[Action],
    watched: Option<u64>,
) -> Result<(), String> {
    // Shortly before SIGKILL the second signal goes out even if requests are in flight.
    let near_sigkill =
        |order: &Action| matches!(order, Action::Tell(Note::SecondSignalSent(_, SecondSignalReason::SigkillNear)));
    let hurried = lived.trace.iter().any(|line| line == "app 10") && !orders.iter().any(near_sigkill);
    let killed = orders.contains(&Action::KillApp);
    let was_there = |at: u64| watched.is_some_and(|watched| at < watched);
    if hurried && !killed && lived.asked.iter().any(|asked| was_there(asked.at) && !asked.answered) {
        return Err(format!("the second signal cut a request: {:?}, watched since {watched:?}", lived.asked));
    }
    if hurried && scenario.clients.is_empty() {
        return Err("there was no connection, and the app got a second signal".to_owned());
    }
    let asked_to_stop = lived.trace.iter().any(|line| line == "app 15" || line == "app 2");
    if killed && asked_to_stop && scenario.has_only_silent_connections() {
        return Err("only silent connections held the app until SIGKILL".to_owned());
    }
    Ok(())
}

/// Microseconds of the day.
fn micros(timestamp: &str) -> Option<u64> {
    let (_, time) = timestamp.trim_end_matches('Z').split_once('T')?;
    let (clock, fraction) = time.split_once('.')?;
    let seconds = clock.split(':').try_fold(0, |sum, part| Some(sum * 60 + part.parse::<u64>().ok()?))?;
    Some(seconds * 1_000_000 + fraction.parse::<u64>().ok()?)
}

/// An event as `{:?}` shows it.
fn event(text: &str) -> Option<Event> {
    let inside = |prefix: &str| text.strip_prefix(prefix)?.strip_suffix(')');
    let field = |name: &str| {
        let from = text.find(&format!("{name}: "))? + name.len() + 2;
        let rest = &text[from..];
        Some(rest.split([',', ' ']).next()?.trim_end_matches(['}', ' ']).to_owned())
    };
    let number = |text: &str| text.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().ok();
    let hook = |text: &str| match text {
        "PreStart" => Some(Hook::PreStart),
        "PostStart" => Some(Hook::PostStart),
        "PreStop" => Some(Hook::PreStop),
        "PostStop" => Some(Hook::PostStop),
        _ => None,
    };
    let signal = |text: &str| Signal::new(i32::try_from(number(text)?).ok()?);
    Some(match text {
        "Begin" => Event::Begin,
        "AppStarted" => Event::AppStarted,
        "LeftoversRefused" => Event::LeftoversRefused,
        "Remaining(Nothing)" => Event::Remaining(Remaining::Nothing),
        "Remaining(Sessions)" => Event::Remaining(Remaining::Sessions),
        "Remaining(Children)" => Event::Remaining(Remaining::Children),
        "StopRequested" => Event::StopRequested,
        "LivenessFailed" => Event::LivenessFailed,
        "ConnectionsIdle" => Event::ConnectionsIdle,
        _ if text.starts_with("AppNotStarted") => {
            Event::AppNotStarted { code: u8::try_from(number(&field("code")?)?).ok()? }
        }
        _ if text.starts_with("AppEnded") => {
            let status = field("status")?;
            let status = if status.starts_with("Exited") {
                AppStatus::Exited(u8::try_from(number(&status)?).ok()?)
            } else {
                AppStatus::Signalled(signal(&status)?)
            };
            Event::AppEnded { status }
        }
        _ if text.starts_with("HandlerEnded") => {
            let result = match field("result")?.as_str() {
                "Succeeded" => HandlerResult::Succeeded,
                "Failed" => HandlerResult::Failed,
                "TimedOut" => HandlerResult::TimedOut,
                _ => return None,
            };
            Event::HandlerEnded { run: RunId(number(&field("run")?)?), result }
        }
        _ if text.starts_with("HookCalled") => {
            Event::HookCalled { hook: hook(&field("hook")?)?, caller: CallerId(number(&field("caller")?)?) }
        }
        _ if text.starts_with("CallerDone") => Event::CallerDone(CallerId(number(inside("CallerDone(")?)?)),
        _ if text.starts_with("SignalSent") => Event::SignalSent(signal(inside("SignalSent(")?)?),
        _ if text.starts_with("SignalFromPreStop") => Event::SignalFromPreStop(signal(inside("SignalFromPreStop(")?)?),
        _ if text.starts_with("SignalRefused") => Event::SignalRefused(signal(inside("SignalRefused(")?)?),
        _ if text.starts_with("Signal") => Event::Signal(signal(inside("Signal(")?)?),
        _ => Event::TimerFired(match inside("TimerFired(")? {
            "Kill" => Timer::Kill,
            "SecondSignal" => Timer::SecondSignal,
            "Rearm" => Timer::Rearm,
            "Linger" => Timer::Linger,
            "Leftovers" => Timer::Leftovers,
            "PostStop" => Timer::PostStop,
            "Answers" => Timer::Answers,
            retry => Timer::Retry(hook(retry.strip_prefix("Retry(")?.strip_suffix(')')?)?),
        }),
    })
}

//! The second signal for an app that only idle connections keep running.

use super::*;
use crate::action::SecondSignalReason;

fn with_second_signal(after: u64) -> Plan {
    Plan { second_signal: Some(SecondSignal { after: secs(after), signal: Signal::INT }), ..graceful(30, &[]) }
}

#[test]
fn only_idle_connections_bring_the_second_signal() {
    let mut life = running(with_second_signal(1));
    let begun = life.at(secs(10), Event::Signal(Signal::QUIT));
    let order = [Action::WatchConnections, Action::SignalApp(Signal::QUIT)];
    assert!(begun.windows(2).any(|pair| pair == order), "watched before the listeners close: {begun:?}");
    let sent = life.at(secs(12), Event::ConnectionsIdle);
    assert_eq!(sent, second_signal(SecondSignalReason::ConnectionsIdle));
    assert_eq!(life.then(Event::ConnectionsIdle), [], "there is no third signal");
    assert_eq!(life.fire(secs(38), Timer::SecondSignal), []);
    // SIGKILL still comes at the deadline.
    assert!(life.fire(secs(40), Timer::Kill).contains(&Action::KillApp));
}

fn second_signal(why: SecondSignalReason) -> [Action; 2] {
    [Action::SendSecondSignal(Signal::INT), Action::Tell(Note::SecondSignalSent(Signal::INT, why))]
}

#[test]
fn the_second_signal_comes_before_sigkill_whatever_is_seen() {
    let mut life = running(with_second_signal(1));
    let begun = life.at(secs(10), Event::Signal(Signal::QUIT));
    let at = timer(&begun, Timer::SecondSignal).unwrap();
    assert_eq!(Some(at + secs(1)), timer(&begun, Timer::Kill));
    assert_eq!(life.fire(at, Timer::SecondSignal), second_signal(SecondSignalReason::SigkillNear));
    assert!(life.fire(at + secs(1), Timer::Kill).contains(&Action::KillApp));
}

#[test]
fn without_a_grace_period_only_idle_connections_bring_it() {
    let mut life = running(Plan { grace: None, ..with_second_signal(1) });
    let begun = life.at(secs(10), Event::Signal(Signal::QUIT));
    assert_eq!(timer(&begun, Timer::SecondSignal), None);
    assert_eq!(life.at(secs(900), Event::ConnectionsIdle), second_signal(SecondSignalReason::ConnectionsIdle));
}

#[test]
fn connections_are_watched_if_a_stop_may_cut_them() {
    let watched = |plan: Plan| running(plan).then(Event::Signal(Signal::TERM)).contains(&Action::WatchConnections);
    assert!(!watched(plan_with(&[])), "bookend cuts no connection");
    assert!(watched(graceful(30, &[])), "SIGKILL may cut them");
    assert!(watched(Plan { grace: None, ..with_second_signal(1) }), "the second signal may cut them");
}

#[test]
fn a_death_by_the_second_signal_is_a_success() {
    let mut life = running(Plan { stop_is_success: true, ..with_second_signal(1) });
    life.at(secs(10), Event::Signal(Signal::QUIT));
    life.at(secs(11), Event::ConnectionsIdle);
    let status = AppStatus::Signalled(Signal::INT);
    assert_eq!(exit(&life.then(app_ended(status))), Some(0));
}

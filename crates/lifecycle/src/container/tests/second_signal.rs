//! The second signal for an app that only idle connections keep running.

use super::*;

fn with_second_signal(after: u64) -> Plan {
    Plan { second_signal: Some(SecondSignal { after: secs(after), signal: Signal::INT }), ..graceful(30, &[]) }
}

#[test]
fn only_idle_connections_bring_the_second_signal() {
    let mut story = running(with_second_signal(1));
    let begun = story.at(secs(10), Event::Signal(Signal::QUIT));
    let order = [Action::WatchConnections, Action::SignalApp(Signal::QUIT)];
    assert!(begun.windows(2).any(|pair| pair == order), "watched before the listeners close: {begun:?}");
    let idle = story.at(secs(12), Event::ConnectionsIdle);
    assert_eq!(idle, [Action::SetTimer { timer: Timer::SecondSignal, at: secs(13) }]);
    let sent = story.fire(secs(13), Timer::SecondSignal);
    assert_eq!(sent, [Action::SendSecondSignal(Signal::INT), Action::Tell(Note::SecondSignalSent(Signal::INT))]);
    assert_eq!(story.then(Event::ConnectionsIdle), [], "there is no third signal");
    // SIGKILL still comes at the deadline.
    assert!(story.fire(secs(40), Timer::Kill).contains(&Action::KillApp));
}

#[test]
fn connections_are_watched_if_a_stop_may_cut_them() {
    let watched = |plan: Plan| running(plan).then(Event::Signal(Signal::TERM)).contains(&Action::WatchConnections);
    assert!(!watched(plan_with(&[])), "bookend cuts no connection");
    assert!(watched(graceful(30, &[])), "SIGKILL may cut them");
    assert!(watched(Plan { grace: None, ..with_second_signal(1) }), "the second signal may cut them");
}

#[test]
fn a_busy_connection_restarts_the_idle_time() {
    let mut story = running(with_second_signal(2));
    story.at(secs(10), Event::Signal(Signal::QUIT));
    story.at(secs(11), Event::ConnectionsIdle);
    story.at(secs(12), Event::ConnectionsBusyOrGone);
    assert_eq!(story.fire(secs(13), Timer::SecondSignal), []);
    let idle = story.at(secs(14), Event::ConnectionsIdle);
    assert_eq!(timer(&idle, Timer::SecondSignal), Some(secs(16)));
    assert_eq!(story.fire(secs(15), Timer::SecondSignal), [], "the timer of the first idle time");
}

#[test]
fn a_death_by_the_second_signal_is_a_success() {
    let mut story = running(Plan { stop_is_success: true, ..with_second_signal(1) });
    story.at(secs(10), Event::Signal(Signal::QUIT));
    story.at(secs(11), Event::ConnectionsIdle);
    story.fire(secs(12), Timer::SecondSignal);
    let status = AppStatus::Signalled(Signal::INT);
    assert_eq!(exit(&story.then(app_ended(status))), Some(0));
}

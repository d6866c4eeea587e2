//! Every key reaches the settings.

use std::time::Duration;

use super::*;
use crate::config::settings::{FailurePolicy, HandlerKind, LogFormat, SignalScope};
use crate::signal::Signal;

#[test]
fn a_single_table_and_a_list_of_one_are_the_same() {
    let table = accept(&file("[lifecycle.preStop]\nexec.command = [\"a\", \"b\"]")).settings;
    let list = accept(&file("[[lifecycle.preStop]]\nexec.command = [\"a\", \"b\"]")).settings;
    let inline = accept(&file("lifecycle = { preStop = [{ exec = { command = [\"a\", \"b\"] } }] }")).settings;
    assert_eq!(table, list);
    assert_eq!(table, inline);
    assert_eq!(table.lifecycle.pre_stop[0].name, "preStop[0]");
    assert_eq!(table.lifecycle.pre_stop[0].kind, HandlerKind::Exec { command: vec!["a".into(), "b".into()] });
}

#[test]
fn the_documentations_example_is_read() {
    let settings = accept(&file(
        "terminationGracePeriodSeconds = 30\n\
         [app]\ncommand = [\"nginx\", \"-g\", \"daemon off;\"]\nstopSignal = \"SIGQUIT\"\n\
         signals = { SIGHUP = \"SIGHUP\", SIGWINCH = \"ignore\" }\nsignalScope = \"ProcessGroup\"\n\
         stopSignals = [\"SIGTERM\", \"SIGRTMIN+3\"]\nexitCodes = { 143 = 0 }\n\
         [http]\nlisten = \"[::]:9797\"\n\
         [[lifecycle.postStart]]\nexec.command = [\"/bin/sh\", \"-c\", \"echo Hello\"]\n\
         [[lifecycle.preStop]]\nname = \"pause\"\nsleep = { seconds = 0.25 }\ntimeoutSeconds = 1\nfailurePolicy = \"Ignore\"\n\
         [log]\nformat = \"Json\"\n",
    ))
    .settings;
    assert_eq!(settings.termination_grace_period, Some(Duration::from_secs(30)));
    assert_eq!(settings.app.signals.get(&Signal::HUP), Some(&Some(Signal::HUP)));
    assert_eq!(settings.app.signal_scope, SignalScope::ProcessGroup);
    assert_eq!(settings.app.stop_signals, Some(vec![Signal::TERM, "RTMIN+3".parse().expect("a signal")]));
    assert_eq!(settings.app.exit_codes.get(&143), Some(&0));
    let pause = &settings.lifecycle.pre_stop[0];
    assert_eq!(pause.name, "pause");
    assert_eq!(pause.kind, HandlerKind::Sleep { duration: Duration::from_millis(250) });
    assert_eq!(pause.timeout, Some(Duration::from_secs(1)));
    assert_eq!(pause.failure_policy, FailurePolicy::Ignore);
    assert_eq!(settings.log.format, LogFormat::Json);
}

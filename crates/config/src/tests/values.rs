//! Every key reaches the settings.

use std::time::Duration;

use super::*;
use crate::settings::{
    CommandFrom, FailurePolicy, FileValue, HandlerKind, Header, HttpGet, Id, LogFormat, Method, PortState, Program,
    Scheme, SignalScope, TcpSocket, User, ValueSource,
};
use bookend_lifecycle::drain::{Drain, Until};
use bookend_lifecycle::probe::ProbeRule;
use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{On, SecondSignal};

#[test]
fn a_single_table_and_a_list_of_one_are_the_same() {
    let table = accept(&file("[lifecycle.preStop]\nexec.command = [\"a\", \"b\"]")).settings;
    let list = accept(&file("[[lifecycle.preStop]]\nexec.command = [\"a\", \"b\"]")).settings;
    let inline = accept(&file("lifecycle = { preStop = [{ exec = { command = [\"a\", \"b\"] } }] }")).settings;
    assert_eq!(table, list);
    assert_eq!(table, inline);
    assert_eq!(table.lifecycle.pre_stop[0].name, "preStop[0]");
    let program = Program { command: vec!["a".into(), "b".into()], ..Program::default() };
    assert_eq!(table.lifecycle.pre_stop[0].kind, HandlerKind::Exec(program));
}

#[test]
fn the_example_of_the_documentation_is_read() {
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

#[test]
fn a_program_has_an_environment_a_directory_and_a_user() {
    let text = "env = { B = \"2\", A = { valueFrom = { file = \"/run/a\", prefix = \"x \" } } }\nworkingDir = \"/srv\"\nuser = ";
    let program = |user| Program {
        command: vec!["p".into()],
        env: vec![
            ("B".to_owned(), ValueSource::Plain("2".to_owned())),
            ("A".to_owned(), ValueSource::File(FileValue::new("/run/a", "x "))),
        ],
        working_dir: Some("/srv".into()),
        user: Some(user),
    };
    let id = |text: &str| text.parse().map_or_else(|_| Id::Name(text.to_owned()), Id::Number);
    for (value, user, group) in [
        ("\"nobody\"", "nobody", None),
        ("1000", "1000", None),
        ("\"1000\"", "1000", None),
        ("\"1000:50\"", "1000", Some("50")),
        ("\"nobody:staff\"", "nobody", Some("staff")),
        ("\"4294967294\"", "4294967294", None),
    ] {
        let user = User { user: id(user), group: group.map(id) };
        let settings = accept(&file(&format!("[app]\ncommand = [\"p\"]\n{text}{value}"))).settings;
        assert_eq!(settings.app.program, program(user.clone()));
        assert_eq!(settings.app.command_from, CommandFrom::Configuration);
        let settings = accept(&file(&format!("[lifecycle.preStop.exec]\ncommand = [\"p\"]\n{text}{value}"))).settings;
        assert_eq!(settings.lifecycle.pre_stop[0].kind, HandlerKind::Exec(program(user)));
    }
}

#[test]
fn variables_keep_their_order_through_all_layers() {
    let sources = Sources {
        files: vec![
            document("a", "app.env = { Z = \"1\", Y = \"1\" }"),
            document("b", "app.env = { X = \"1\", Z = \"2\" }"),
        ],
        env: variables(&[("BOOKEND_APP_ENV", "{ W = \"1\" }")]),
        overrides: vec![option("app.env.Y", "$(W)"), option("app.env.V.valueFrom.file", "/v")],
        ..Sources::default()
    };
    let env = accept(&sources).settings.app.program.env;
    let plain = |name: &str, value: &str| (name.to_owned(), ValueSource::Plain(value.to_owned()));
    let file = ("V".to_owned(), ValueSource::File(FileValue::new("/v", "")));
    assert_eq!(env, [plain("X", "1"), plain("Z", "2"), plain("W", "1"), plain("Y", "$(W)"), file]);
}

#[test]
fn every_key_of_a_drain_reaches_the_settings() {
    let settings = accept(&file(
        "lifecycle.preStop.drain = { minSeconds = 1, quietSeconds = 0.5, maxSeconds = 9, fallbackSeconds = 4, \
         toleratedConnections = 2, ports = [80, 443], until = \"NoConnections\", onlyIfListening = true, udp = true, \
         multiplexed = true }",
    ))
    .settings;
    let expected = Drain {
        min: Duration::from_secs(1),
        quiet: Duration::from_millis(500),
        max: Duration::from_secs(9),
        fallback: Some(Duration::from_secs(4)),
        tolerated: 2,
        ports: vec![80, 443],
        only_if_listening: true,
        udp: true,
        until: Until::NoConnections,
        multiplexed: Some(true),
    };
    assert_eq!(settings.lifecycle.pre_stop[0].kind, HandlerKind::Drain(expected));
    let settings = accept(&file("lifecycle.preStop.drain = {}")).settings;
    assert_eq!(settings.lifecycle.pre_stop[0].kind, HandlerKind::Drain(Drain::default()));
}

#[test]
fn a_pod_specs_stop_signal_is_the_apps_which_is_stronger() {
    let signal = |text: &str| accept(&file(text)).settings.app.stop_signal;
    assert_eq!(signal("lifecycle.stopSignal = \"SIGQUIT\""), Some(Signal::QUIT));
    assert_eq!(signal("lifecycle.stopSignal = \"SIGQUIT\"\napp.stopSignal = \"SIGINT\""), Some(Signal::INT));
}

#[test]
fn a_second_signal_has_a_default_time() {
    let second_signal = |text: &str| accept(&file(text)).settings.app.second_signal;
    assert_eq!(second_signal("app.command = [\"a\"]"), None);
    let after = Duration::from_secs(1);
    assert_eq!(second_signal("app.secondSignal.signal = \"TERM\""), Some(SecondSignal { after, signal: Signal::TERM }));
    let after = Duration::from_millis(200);
    assert_eq!(
        second_signal("app.secondSignal = { signal = \"INT\", afterSeconds = 0.2 }"),
        Some(SecondSignal { after, signal: Signal::INT })
    );
}

#[test]
fn a_pod_specs_http_get_is_read_field_by_field() {
    let settings = accept(&file(
        "ports = { web = 8443 }\n\
         [[lifecycle.preStop]]\nretries = 2\nbackoffSeconds = 0.5\n\
         httpGet = { host = \"h\", port = \"web\", path = \"/p?q\", scheme = \"HTTPS\", method = \"put\", body = \"b\", caFile = \"/ca\", \
         insecureSkipVerify = true, successStatus = [204, \"300-399\"], httpHeaders = [\
         { name = \"A\", value = \"x\" }, { name = \"B\", valueFrom = { file = \"/b\", prefix = \"Bearer \" } }] }\n\
         [[lifecycle.preStop]]\ntcpSocket = { host = \"t\", port = 80, until = \"Closed\" }\n\
         [[lifecycle.preStop]]\nsignal.name = \"HUP\"\n\
         [[lifecycle.postStop]]\non = [\"Failed\"]\nsleep.seconds = 1\n",
    ))
    .settings;
    let hooks = &settings.lifecycle;
    let get = HttpGet {
        host: "h".to_owned(),
        port: 8443,
        path: "/p?q".to_owned(),
        scheme: Scheme::Https,
        method: Method::Put,
        body: "b".to_owned(),
        headers: vec![
            Header { name: "A".to_owned(), value: ValueSource::Plain("x".to_owned()) },
            Header { name: "B".to_owned(), value: ValueSource::File(FileValue::new("/b", "Bearer ")) },
        ],
        success_status: vec![204..=204, 300..=399],
        ca_file: Some("/ca".into()),
        insecure_skip_verify: true,
    };
    assert_eq!(hooks.pre_stop[0].kind, HandlerKind::HttpGet(get));
    assert_eq!((hooks.pre_stop[0].retries, hooks.pre_stop[0].backoff), (2, Duration::from_millis(500)));
    assert_eq!(
        hooks.pre_stop[1].kind,
        HandlerKind::TcpSocket(TcpSocket { host: "t".to_owned(), port: 80, until: PortState::Closed })
    );
    assert_eq!((hooks.pre_stop[1].retries, hooks.pre_stop[1].backoff), (0, Duration::from_secs(1)));
    assert_eq!(hooks.pre_stop[2].kind, HandlerKind::Signal(Signal::HUP));
    assert_eq!(hooks.pre_stop[2].on, On::EVERY);
    assert_eq!(hooks.post_stop[0].on, On { completed: false, failed: true, stopped: false, unseen: false });
}

#[test]
fn a_pod_specs_probes_are_read_and_a_zero_is_the_default() {
    let values = "{ tcpSocket.port = 80, initialDelaySeconds = 1, periodSeconds = 2, timeoutSeconds = 3, \
                failureThreshold = 4, successThreshold = 1, action = \"Stop\" }";
    let settings = accept(&file(&format!(
        "livenessProbe = {values}\n\
         readinessProbe = {{ tcpSocket.port = 80, periodSeconds = 0, timeoutSeconds = 0, failureThreshold = 0, successThreshold = 0 }}"
    )))
    .settings;
    let secs = Duration::from_secs;
    let rule = |initial_delay, period, failure_threshold, success_threshold| ProbeRule {
        initial_delay: secs(initial_delay),
        period: secs(period),
        failure_threshold,
        success_threshold,
    };
    let liveness = settings.probes.liveness.clone().unwrap();
    assert_eq!((liveness.rule, liveness.handler.timeout), (rule(1, 2, 4, 1), Some(secs(3))));
    assert_eq!(
        liveness.handler.kind,
        HandlerKind::TcpSocket(TcpSocket { host: "localhost".to_owned(), port: 80, until: PortState::Open })
    );
    assert!(settings.probes.stop_on_liveness);
    // Kubernetes' defaults; the API server does not distinguish zero from unset either.
    let readiness = settings.probes.readiness.clone().unwrap();
    assert_eq!((readiness.rule, readiness.handler.timeout), (rule(0, 10, 3, 1), Some(secs(1))));
    let unset = accept(&file("readinessProbe.tcpSocket.port = 80")).settings.probes;
    assert_eq!(unset.readiness, Some(readiness));
    assert!(unset.startup.is_none() && unset.liveness.is_none() && !unset.stop_on_liveness);
}

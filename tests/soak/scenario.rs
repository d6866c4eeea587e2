//! A life, drawn from its seed: the configuration, the app, the handlers, and the actions on it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::{HandlerPlan, Hook, On, Plan, Reason, SecondSignal};

use crate::server::Client;

#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) grace: Option<u64>,
    pub(crate) stop_is_success: bool,
    pub(crate) handlers: BTreeMap<Hook, Vec<Handler>>,
    /// A liveness probe that stops the app, and the milliseconds until it begins to fail.
    pub(crate) liveness: Option<u64>,
    /// The app's arguments after `app TRACE`.
    pub(crate) app: [String; 5],
    /// `app.secondSignal` after this many milliseconds; the app is then a server.
    second_signal: Option<u64>,
    /// Its clients, each connected this many milliseconds after it listens.
    pub(crate) clients: Vec<(u64, Client)>,
    /// The actions, each after this many milliseconds.
    pub(crate) deeds: Vec<(u64, Deed)>,
}

#[derive(Debug)]
pub(crate) struct Handler {
    kind: Kind,
    required: bool,
    timeout: Option<u64>,
    retries: u32,
    on: On,
}

#[derive(Debug)]
enum Kind {
    Exec {
        succeeds: bool,
        millis: u64,
    },
    Sleep {
        millis: u64,
    },
    /// At least this long; it watches the connections of the whole machine, and ends when they allow it.
    Drain {
        millis: u64,
    },
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Deed {
    Signal(i32),
    Call(&'static str),
    Request,
}

/// The same seed gives the same life on every machine (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) >> 8) % most
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// Milliseconds before the first retry.
const BACKOFF: u64 = 20;
const HOOKS: [Hook; 4] = [Hook::PreStart, Hook::PostStart, Hook::PreStop, Hook::PostStop];

impl Scenario {
    pub(crate) fn of(seed: u64) -> Scenario {
        let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let random = &mut random;
        let deaf = random.one_in(6);
        // Without a grace period no process ends an app that ignores signals.
        let grace = (deaf || random.one_in(2)).then(|| 1 + random.below(2));
        let handlers = HOOKS.map(|hook| (hook, (0..random.below(3)).map(|_| Handler::random(hook, random)).collect()));
        let codes = ["0", "1", "7", "signal 9", "signal 11", "signal 15"];
        let mut choose = |all: &[&str]| all[usize::try_from(random.below(all.len() as u64)).unwrap()].to_owned();
        let (code, on_term) = (choose(&codes), choose(&codes));
        let deeds: Vec<_> = (0..random.below(5)).map(|_| (random.below(120), Deed::random(random))).collect();
        let liveness = random.one_in(5).then(|| random.below(300));
        // If a process ends it, half of the apps wait for that: a lost signal is a life that hangs.
        let is_ended = deeds.iter().any(|(_, deed)| matches!(deed, Deed::Signal(2 | 15) | Deed::Request));
        // A probe does not run in the stop of a hook that no signal follows, which may last for half a minute.
        let calls = deeds.iter().any(|(_, deed)| matches!(deed, Deed::Call("preStop")));
        let is_ended = is_ended || liveness.is_some() && !calls;
        let millis = if is_ended && random.one_in(2) { 600_000 } else { random.below(400) };
        let app = [
            code,
            millis.to_string(),
            if deaf { "ignore".to_owned() } else { on_term },
            if random.one_in(5) { "yes" } else { "no" }.to_owned(),
            "none".to_owned(),
        ];
        let stop_is_success = random.one_in(4);
        let (second_signal, clients) = (None, Vec::new());
        let mut life = Scenario {
            grace,
            stop_is_success,
            handlers: handlers.into(),
            liveness,
            app,
            second_signal,
            clients,
            deeds,
        };
        if random.one_in(6) {
            life.becomes_a_server(random);
        }
        life
    }

    /// The app drains its connections at a stop signal, and most of the time something holds it.
    fn becomes_a_server(&mut self, random: &mut Random) {
        let [_, millis, on_term, _, on_second] = &mut self.app;
        if on_term != "ignore" && !random.one_in(4) {
            "drain".clone_into(on_term);
        }
        let ways = ["0", "1", "signal 10", "signal 9", "ignore"];
        ways[usize::try_from(random.below(5)).unwrap()].clone_into(on_second);
        self.second_signal = Some(50 + random.below(200));
        self.clients = (0..random.below(4)).map(|_| (50 + random.below(100), Client::random(random))).collect();
        // They are connected when something happens and a stop comes.
        self.handlers.insert(Hook::PreStart, Vec::new());
        self.deeds.push((random.below(200), Deed::Signal(15)));
        self.deeds[0].0 += 200;
        "600000".clone_into(millis);
        let is_deaf = on_second == "ignore";
        if is_deaf || self.has_requests() || self.grace.is_some() {
            // An answered connection counts as busy for two seconds, and without a deadline it holds the second signal for a
            // minute.
            self.grace = Some(if random.one_in(3) { 6 } else { 3 });
        }
    }

    pub(crate) fn toml(&self, actor: &str, trace: &str) -> String {
        let mut out = String::from("log.level = \"Debug\"\nlog.format = \"Json\"\n");
        if let Some(grace) = self.grace {
            writeln!(out, "terminationGracePeriodSeconds = {grace}").unwrap();
        }
        writeln!(out, "app.stopIsSuccess = {}", self.stop_is_success).unwrap();
        if let Some(after) = self.second_signal {
            writeln!(out, "app.secondSignal = {{ signal = \"SIGUSR1\", afterSeconds = {} }}", seconds(after)).unwrap();
        }
        if let Some(fails_after) = self.liveness {
            let words = [actor, "actor", "probe", &format!("{trace}.probe"), &fails_after.to_string()];
            out.push_str("[livenessProbe]\naction = \"Stop\"\nperiodSeconds = 0.1\nfailureThreshold = 1\n");
            writeln!(out, "exec.command = {words:?}").unwrap();
        }
        for (hook, handlers) in &self.handlers {
            for (index, handler) in handlers.iter().enumerate() {
                writeln!(out, "[[lifecycle.{}]]", hook.name()).unwrap();
                match handler.kind {
                    Kind::Exec { succeeds, millis } => {
                        let result = if succeeds { "ok" } else { "no" };
                        let name = name(*hook, index);
                        let words = [actor, "actor", "handler", trace, &name, result, &millis.to_string()];
                        writeln!(out, "exec.command = {words:?}").unwrap();
                    }
                    Kind::Sleep { millis } => writeln!(out, "sleep.seconds = {}", seconds(millis)).unwrap(),
                    Kind::Drain { millis } => {
                        let (min, max) = (seconds(millis), seconds(millis + 100));
                        let quiet = "quietSeconds = 0.01, fallbackSeconds = 0.05";
                        writeln!(out, "drain = {{ minSeconds = {min}, {quiet}, maxSeconds = {max} }}").unwrap();
                    }
                }
                if handler.retries > 0 {
                    writeln!(out, "retries = {}\nbackoffSeconds = {}", handler.retries, seconds(BACKOFF)).unwrap();
                }
                if *hook == Hook::PostStop {
                    let ends = [Reason::Completed, Reason::Failed, Reason::Stopped];
                    let ends: Vec<_> = ends.into_iter().filter(|end| handler.on.includes(*end)).collect();
                    writeln!(out, "on = {:?}", ends.into_iter().map(Reason::name).collect::<Vec<_>>()).unwrap();
                }
                if let Some(timeout) = handler.timeout {
                    writeln!(out, "timeoutSeconds = {}", seconds(timeout)).unwrap();
                }
                if !handler.required {
                    out.push_str("failurePolicy = \"Ignore\"\n");
                }
            }
        }
        out
    }

    /// The machine's plan for it.
    pub(crate) fn plan(&self) -> Plan {
        let plan_of = |handler: &Handler| HandlerPlan {
            timeout: handler.timeout.map(Duration::from_millis),
            required: handler.required,
            retries: handler.retries,
            backoff: Duration::from_millis(BACKOFF),
            waits_only: !matches!(handler.kind, Kind::Exec { .. }),
            on: handler.on,
        };
        Plan {
            grace: self.grace.map(Duration::from_secs),
            hooks: self.handlers.iter().map(|(hook, all)| (*hook, all.iter().map(plan_of).collect())).collect(),
            stop_signals: [2, 3, 15].into_iter().filter_map(Signal::new).collect(),
            stop_is_success: self.stop_is_success,
            second_signal: self
                .second_signal
                .map(|after| SecondSignal { after: Duration::from_millis(after), signal: Signal::new(10).unwrap() }),
            ..Plan::default()
        }
    }

    /// Whether this handler leaves traces.
    pub(crate) fn is_exec(&self, hook: Hook, index: usize) -> bool {
        matches!(self.handlers[&hook][index].kind, Kind::Exec { .. })
    }

    /// Whether only silent connections hold the app, and the second signal ends it.
    pub(crate) fn has_only_silent_connections(&self) -> bool {
        let [_, _, on_term, _, on_second] = &self.app;
        on_term == "drain" && on_second != "ignore" && !self.has_requests()
    }

    fn has_requests(&self) -> bool {
        self.clients.iter().any(|(_, client)| matches!(client, Client::Asks { .. }))
    }

    /// Whether a handler of the hook may run more than once.
    pub(crate) fn has_retries(&self, hook: Hook) -> bool {
        self.handlers[&hook].iter().any(|handler| handler.retries > 0)
    }
}

pub(crate) fn name(hook: Hook, index: usize) -> String {
    format!("{}[{index}]", hook.name())
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

impl Handler {
    fn random(hook: Hook, random: &mut Random) -> Handler {
        let millis = random.below(80);
        let hangs = random.one_in(8);
        let succeeds = !random.one_in(if hook == Hook::PreStart { 12 } else { 4 });
        let kind = match random.below(6) {
            0 => Kind::Sleep { millis },
            1 if hook == Hook::PreStop => Kind::Drain { millis },
            _ => Kind::Exec { succeeds, millis: if hangs { 60_000 } else { millis } },
        };
        let timeout = (hangs || random.one_in(3)).then(|| 50 + random.below(200));
        let retries = if random.one_in(4) { 1 + u32::from(random.one_in(2)) } else { 0 };
        let on = match random.below(6) {
            0 => On { completed: false, ..On::EVERY },
            1 => On { failed: false, ..On::EVERY },
            2 => On { stopped: false, ..On::EVERY },
            _ => On::EVERY,
        };
        Handler { kind, required: !random.one_in(3), timeout, retries, on }
    }
}

impl Client {
    fn random(random: &mut Random) -> Client {
        match random.below(3) {
            0 => Client::Asks { millis: u16::try_from(random.below(1500)).unwrap() },
            1 => Client::Silent { millis: Some(100 + random.below(600)) },
            _ => Client::Silent { millis: None },
        }
    }
}

impl Deed {
    fn random(random: &mut Random) -> Deed {
        match random.below(8) {
            0..3 => Deed::Signal(15),
            3 => Deed::Signal(1),
            4 => Deed::Signal(2),
            5 => Deed::Call("preStop"),
            6 => Deed::Call("postStart"),
            _ => Deed::Request,
        }
    }
}

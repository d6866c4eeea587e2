//! The alert rules of config/alerts.yaml on what bookend really exports: lives are scraped every few milliseconds until they end,
//! and promtool evaluates the rules on that record as scrapers of 15, 30 and 60 s would have seen it.
//!
//! The record runs [`PACE`] times faster than the time of the rules, and so do the durations in it. A life that goes on is held at
//! its last sample. The series of kube-state-metrics are made from the exit code that the life had.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::{Folder, Init, get, in_network_of, is_root, not_run, wait_until};

/// A second of the record is two minutes of the rules.
const PACE: f64 = 120.0;
const PORT: u16 = 9797;
/// The first life begins, and the record ends: in seconds of the rules.
const BEGIN: f64 = 600.0;
const END: f64 = 3600.0;
/// A container is started again this much later.
const AGAIN: f64 = 12.0;

struct Life {
    name: &'static str,
    config: &'static str,
    app: &'static str,
    /// It goes on as it is until this stands in a sample; then comes its end.
    until: &'static str,
    end: End,
    /// All alerts that fire, in alphabetical order, and one that may fire besides.
    alerts: &'static [&'static str],
    may_fire: &'static str,
}

enum End {
    /// It goes on.
    LivesOn,
    Stop,
    /// A stop, and SIGKILL from outside when it has begun.
    StopAndKill,
    /// SIGKILL from outside.
    Kill,
    /// The same by the OOM killer: the reason that a kubelet reports is another one.
    OutOfMemory,
    /// A stop that does not come to its end.
    StopThatHangs,
    /// A client has a request in flight when the stop begins.
    StopWithClient,
    /// It ends by itself.
    ByItself,
}

const STUBBORN: &str = "trap '' TERM; echo up; while :; do sleep 0.05; done";
const UP: &str = "bookend_phase{phase=\"Running\"} 1";

const LIVES: &[Life] = &[
    Life {
        name: "a clean stop",
        config: "terminationGracePeriodSeconds = 30\nlifecycle.preStop.drain = { minSeconds = 0.1, quietSeconds = 0.1, maxSeconds = 1 }",
        app: "echo up; exec sleep 1000",
        until: UP,
        end: End::Stop,
        alerts: &[],
        may_fire: "",
    },
    Life {
        name: "over a long budget",
        config: "terminationGracePeriodSeconds = 4",
        app: STUBBORN,
        until: UP,
        end: End::Stop,
        alerts: &["BookendStopOutOfBudget", "ContainerKilled"],
        may_fire: "",
    },
    Life {
        name: "over a budget of 36 s: its metrics are not scraped",
        config: "terminationGracePeriodSeconds = 0.3",
        app: STUBBORN,
        until: UP,
        end: End::Stop,
        alerts: &["ContainerKilled"],
        may_fire: "",
    },
    Life {
        name: "killed while running",
        config: "",
        app: STUBBORN,
        until: UP,
        end: End::Kill,
        alerts: &["BookendLifeUnreported", "ContainerKilled"],
        may_fire: "",
    },
    Life {
        name: "killed in a stop",
        config: "terminationGracePeriodSeconds = 30",
        app: STUBBORN,
        until: UP,
        end: End::StopAndKill,
        alerts: &["BookendLifeUnreported", "ContainerKilled"],
        may_fire: "",
    },
    Life {
        name: "killed together with the app for lack of memory",
        config: "",
        app: STUBBORN,
        until: UP,
        end: End::OutOfMemory,
        alerts: &["BookendLifeUnreported", "ContainerOutOfMemory"],
        may_fire: "",
    },
    Life {
        name: "a request is cut",
        config: "terminationGracePeriodSeconds = 0.3\nlog.format = \"Json\"",
        app: "exec python3 -c 'import signal, socket; signal.signal(15, signal.SIG_IGN); s = socket.create_server((\"127.0.0.1\", 8080)); print(\"up\", flush=True); c = s.accept(); signal.pause()'",
        until: UP,
        end: End::StopWithClient,
        alerts: &["ContainerKilled"],
        may_fire: "",
    },
    Life {
        name: "a failed handler",
        config: "lifecycle.postStart = { name = \"x\", failurePolicy = \"Ignore\", exec.command = [\"false\"] }",
        app: STUBBORN,
        until: "result=\"Failed\"} 1",
        end: End::LivesOn,
        alerts: &["BookendHandlerFailed"],
        may_fire: "",
    },
    Life {
        name: "held after a failure",
        config: "app.holdOnFailureSeconds = 1000",
        app: "echo up; exit 3",
        until: "bookend_phase{phase=\"Held\"} 1",
        end: End::LivesOn,
        alerts: &["BookendHeld"],
        may_fire: "",
    },
    Life {
        name: "postStart hangs",
        config: "lifecycle.postStart.exec.command = [\"sleep\", \"1000\"]",
        app: STUBBORN,
        until: UP,
        end: End::LivesOn,
        alerts: &["BookendNotStarted"],
        may_fire: "",
    },
    Life {
        name: "a stop without a budget hangs",
        config: "",
        app: STUBBORN,
        until: UP,
        end: End::StopThatHangs,
        alerts: &["BookendStopHangs"],
        may_fire: "",
    },
    Life {
        name: "preStart fails",
        config: "lifecycle.preStart.exec.command = [\"sh\", \"-c\", \"sleep 0.3; exit 1\"]",
        app: STUBBORN,
        until: "bookend_phase{phase=\"Starting\"} 1",
        end: End::ByItself,
        alerts: &["ContainerNotStarted"],
        // A scrape may see the failed handler in the last moment.
        may_fire: "BookendHandlerFailed",
    },
];

/// Each with the seconds since the life began.
type Samples = Vec<(f64, BTreeMap<String, f64>)>;

/// The samples of a life.
struct Record {
    samples: Samples,
    /// When it ended, and its exit code.
    ended: Option<(f64, i32)>,
    log: String,
    folder: Folder,
}

impl Record {
    /// The sample of a scraper so many seconds after its beginning; `None`: the port does not answer.
    fn at(&self, seconds: f64) -> Option<&BTreeMap<String, f64>> {
        let is_over = self.ended.is_some_and(|(ended, _)| seconds >= ended);
        self.samples.iter().rev().find(|(at, _)| *at <= seconds).map(|(_, sample)| sample).filter(|_| !is_over)
    }

    /// Whether scrapers of 60 s must have seen that the budget was half used: on a machine that stands still, none may.
    fn is_dense(&self) -> bool {
        let over = self.samples.iter().filter(|(_, sample)| {
            let value = |name: &str| sample.get(&format!("bookend_grace_{name}_seconds{{instance=\"a\"}}"));
            value("left").zip(value("period")).is_some_and(|(left, period)| *left < 0.45 * period)
        });
        let first = over.map(|(at, _)| *at).next();
        first.zip(self.ended).is_some_and(|(first, (ended, _))| (ended - first) * PACE > 90.0)
    }
}

fn record(life: &Life) -> Record {
    let is_usable = |record: &Record| !life.alerts.contains(&"BookendStopOutOfBudget") || record.is_dense();
    let mut records = (0..5).map(|_| record_once(life, Folder::new()));
    records.find(is_usable).expect("this machine stood still five times")
}

fn record_once(life: &Life, folder: Folder) -> Record {
    let config = format!(
        "stateFile = \"{}/state\"\nhttp.listen = \"127.0.0.1:{PORT}\"\nlog.level = \"Info\"\n{}\n",
        folder.shown(),
        life.config
    );
    let mut init = Init::in_a_pod(folder, &config, "", &["--", "sh", "-c", life.app]);
    let (samples, ended) = in_network_of(init.pid(), || scrape(life, &init));
    // A life that goes on is ended by the drop of the process.
    let ended = matches!(life.end, End::LivesOn | End::StopThatHangs).then_some(None).unwrap_or(Some(ended));
    if ended.is_none() {
        init.signal(9);
    }
    let finished = init.end();
    // unshare(1) may report another code for a child that SIGKILL has ended.
    let is_killed = matches!(life.end, End::Kill | End::StopAndKill | End::OutOfMemory);
    let ended = ended.map(|at| (at, if is_killed { 137 } else { finished.code() }));
    Record { samples, ended, log: finished.log, folder: std::mem::replace(&mut init.folder, Folder::new()) }
}

/// Scrapes it until it has ended, or until it goes on as it is.
fn scrape(life: &Life, init: &Init) -> (Samples, f64) {
    let (began, mut samples, mut has_begun) = (Instant::now(), Vec::new(), false);
    let mut client = None;
    while !init.has_ended() {
        let text = get(PORT, "/metrics").unwrap_or_default();
        if text.contains("\nbookend_") {
            samples.push((began.elapsed().as_secs_f64(), parsed(&text)));
        }
        if !has_begun && text.contains(life.until) {
            has_begun = true;
            if !matches!(life.end, End::LivesOn | End::ByItself) {
                // From now on the app handles its signals.
                init.wait_for_out("up");
            }
            match life.end {
                End::LivesOn => break,
                End::ByItself => {}
                End::Stop | End::StopThatHangs => init.signal(Signal::SIGTERM as i32),
                End::Kill | End::OutOfMemory => init.signal(Signal::SIGKILL as i32),
                End::StopAndKill => {
                    init.signal(Signal::SIGTERM as i32);
                    let state = init.folder.path("state");
                    let is_stopping = || std::fs::read_to_string(&state).is_ok_and(|text| text.contains(" Stopping "));
                    wait_until("the stop is in the state file", is_stopping);
                    init.signal(Signal::SIGKILL as i32);
                }
                End::StopWithClient => {
                    let mut stream = TcpStream::connect(("127.0.0.1", 8080)).unwrap();
                    stream.write_all(b"GET / HTTP/1.1\r\n").unwrap();
                    client = Some(stream);
                    init.signal(Signal::SIGTERM as i32);
                }
            }
        }
        if matches!(life.end, End::StopThatHangs) && text.contains("bookend_phase{phase=\"Stopping\"} 1") {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(client);
    (samples, began.elapsed().as_secs_f64())
}

/// The samples of the metrics that the rules name, with the label of a scraper. Durations pass as fast as the record.
fn parsed(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| line.starts_with("bookend_"));
    let used = lines
        .filter_map(|line| line.rsplit_once(' '))
        .filter(|(series, _)| USED.iter().any(|name| series.split('{').next() == Some(name)));
    used.filter_map(|(series, value)| {
        let pace = if series.starts_with("bookend_grace_") { PACE } else { 1.0 };
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_prefix('}').map_or(format!(",{labels}"), str::to_owned);
        Some((
            format!("{name}{{instance=\"a\"{labels}{}", if labels.is_empty() { "}" } else { "" }),
            value.parse::<f64>().ok()? * pace,
        ))
    })
    .collect()
}

/// The metrics of the rules.
const USED: [&str; 8] = [
    "bookend_handler_runs_total",
    "bookend_started",
    "bookend_phase",
    "bookend_grace_left_seconds",
    "bookend_grace_period_seconds",
    "bookend_orphans_reaped_total",
    "bookend_oom_kills_total",
    "bookend_previous_life_info",
];

/// The series of a life and of the one that follows it, as a scraper of this interval sees them, in promtool's notation.
fn series(life: &Life, first: &Record, next: Option<&Record>, interval: f64, shift: f64) -> String {
    let begin = BEGIN + shift;
    let again = first.ended.map(|(ended, _)| begin + ended * PACE + AGAIN);
    let sample = |second: f64| match (again, next) {
        (Some(again), Some(next)) if second >= again => next.at((second - again) / PACE),
        _ if second >= begin => first.at((second - begin) / PACE),
        _ => None,
    };
    let seconds: Vec<f64> = (0..).map(|n| f64::from(n) * interval).take_while(|second| *second <= END).collect();
    let names: BTreeSet<&String> =
        seconds.iter().filter_map(|second| sample(*second)).flat_map(BTreeMap::keys).collect();
    let mut text = String::new();
    for name in names {
        let mut was_there = false;
        let values = seconds.iter().map(|second| {
            let value = sample(*second).and_then(|sample| sample.get(name));
            let gone = if std::mem::replace(&mut was_there, value.is_some()) { "stale" } else { "_" };
            value.map_or(gone.to_owned(), f64::to_string)
        });
        text.push_str(&format!("      - {{ series: '{name}', values: '{}' }}\n", values.collect::<Vec<_>>().join(" ")));
    }
    let Some((again, (_, code))) = again.zip(first.ended) else { return text };
    let reason = match (&life.end, code) {
        (End::OutOfMemory, _) => "OOMKilled",
        (_, 0) => "Completed",
        _ => "Error",
    };
    let labels = "namespace=\"n\", pod=\"p\", container=\"c\"";
    let since = |value: i32| {
        let values = seconds.iter().map(|second| if *second >= again { value.to_string() } else { "_".to_owned() });
        values.collect::<Vec<_>>().join(" ")
    };
    let restarts = since(1).replace('_', "0");
    for (name, more, values) in [
        ("restarts_total", String::new(), restarts),
        ("last_terminated_exitcode", String::new(), since(code)),
        ("last_terminated_reason", format!(", reason=\"{reason}\""), since(1)),
    ] {
        text.push_str(&format!(
            "      - {{ series: 'kube_pod_container_status_{name}{{{labels}{more}}}', values: '{values}' }}\n"
        ));
    }
    text
}

#[test]
fn alerts_fire_on_what_real_lives_have_exported() {
    let test = "alerts_fire_on_what_real_lives_have_exported";
    if !is_root(test) || (Command::new("promtool").arg("--version").output().is_err() && !not_run(test, "no promtool"))
    {
        return;
    }
    let records: Vec<(&Life, Record, Option<Record>)> = std::thread::scope(|scope| {
        let both = |life: &'static Life| {
            let first = record(life);
            let next = first.ended.map(|_| {
                let next = Life { config: "", app: STUBBORN, until: UP, end: End::LivesOn, ..*life };
                let folder = Folder::new();
                folder.write("state", &first.folder.read("state"));
                record_once(&next, folder)
            });
            (life, first, next)
        };
        let threads: Vec<_> = LIVES.iter().map(|life| scope.spawn(move || both(life))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let panels = crate::watching::panels();
    let failures = panels.iter().find(|panel| panel["title"] == "Failed handler runs").map(crate::watching::queries);
    let failures = failures.unwrap().concat();
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/config/alerts.yaml");
    let mut text = format!("rule_files: [{rules}]\nevaluation_interval: 15s\ntests:\n");
    for (life, first, next) in &records {
        if matches!(life.end, End::StopWithClient) {
            // The fields of the query of the log in docs/monitoring.md.
            assert!(first.log.contains("\"requestsCut\":1") && first.log.contains("\"exitCode\":137"), "{}", first.log);
        }
        // The panel of the dashboard shows the first failure of a life, too.
        let failed = match life.alerts {
            ["BookendHandlerFailed"] => {
                format!(
                    "      - {{ expr: '{failures}', eval_time: {END}s, exp_samples: [{{ labels: '{{}}', value: 1 }}] }}\n"
                )
            }
            _ => String::new(),
        };
        let expected: Vec<String> =
            life.alerts.iter().map(|alert| format!("{{ labels: '{{alertname=\"{alert}\"}}', value: 1 }}")).collect();
        for interval in [15.0, 30.0, 60.0] {
            for part in [0.0, 0.6] {
                text.push_str(&format!(
                    "  - name: '{}, scraped every {interval} s'\n    interval: {interval}s\n    input_series:\n{}    promql_expr_test:\n      \
                     - {{ expr: 'max by (alertname) (max_over_time(ALERTS{{alertstate=\"firing\", alertname!=\"{}\"}}[2h]))', eval_time: {END}s, exp_samples: [{}] }}\n{failed}",
                    life.name,
                    series(life, first, next.as_ref(), interval, part * interval),
                    life.may_fire,
                    expected.join(", ")
                ));
            }
        }
    }
    let folder = Folder::new();
    let file = folder.write("records.yaml", &text);
    let tested = Command::new("promtool").args(["test", "rules"]).arg(file).output().unwrap();
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
}

#[test]
fn each_metric_of_a_rule_is_recorded() {
    let rules = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/alerts.yaml")).unwrap();
    let words = rules.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let named: BTreeSet<&str> = words.filter(|word| word.starts_with("bookend_")).collect();
    assert_eq!(named, BTreeSet::from(USED));
}

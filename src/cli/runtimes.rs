//! How container runtimes stop a container: the signal, and the time until SIGKILL, if nothing else is configured there.
//! docs/cli.md names the source and the date of each line. Pure.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use bookend_config::settings::Settings;
use bookend_lifecycle::seconds::Seconds;
use bookend_lifecycle::signal::Signal;

/// A runtime whose defaults we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum RuntimeName {
    Kubernetes,
    Docker,
    Compose,
    Podman,
    Ecs,
    Nomad,
    CloudRun,
}

/// The defaults of a runtime.
struct RuntimeDefaults {
    name: &'static str,
    signal: Signal,
    grace_seconds: u64,
    /// The setting that changes the grace period. `None`: it is fixed.
    setting: Option<&'static str>,
}

impl RuntimeName {
    fn defaults(self) -> RuntimeDefaults {
        let (name, grace_seconds, setting) = match self {
            RuntimeName::Kubernetes => ("kubernetes", 30, Some("terminationGracePeriodSeconds of the Pod")),
            RuntimeName::Docker => ("docker", 10, Some("docker run --stop-timeout, or docker stop --timeout")),
            RuntimeName::Compose => ("compose", 10, Some("stop_grace_period of the service")),
            RuntimeName::Podman => ("podman", 10, Some("podman run --stop-timeout, or podman stop --time")),
            RuntimeName::Ecs => ("ecs", 30, Some("stopTimeout of the container definition (Fargate: at most 120)")),
            RuntimeName::Nomad => {
                ("nomad", 5, Some("kill_timeout of the task (at most max_kill_timeout of the client)"))
            }
            RuntimeName::CloudRun => ("cloud-run", 10, None),
        };
        RuntimeDefaults { name, signal: Signal::TERM, grace_seconds, setting }
    }
}

/// How this container will be stopped.
#[derive(Debug, Clone, Copy)]
pub(super) struct StopOfRuntime {
    runtime: RuntimeName,
    grace: Duration,
}

impl StopOfRuntime {
    /// `grace`: the value that is set at the runtime, if it is not the default.
    pub(super) fn new(runtime: RuntimeName, grace: Option<Duration>) -> StopOfRuntime {
        let grace = grace.unwrap_or(Duration::from_secs(runtime.defaults().grace_seconds));
        StopOfRuntime { runtime, grace }
    }

    /// The values of the configuration that do not fit the runtime.
    pub(super) fn warnings(self, settings: &Settings) -> Vec<String> {
        let RuntimeDefaults { name, signal, setting, .. } = self.runtime.defaults();
        let grace = Seconds(self.grace);
        let mut warnings = Vec::new();
        match settings.termination_grace_period {
            None => warnings.push(format!(
                "{name} sends SIGKILL after {grace} s, but terminationGracePeriodSeconds is not set: set it to {grace}"
            )),
            Some(ours) if ours > self.grace => {
                let ours = Seconds(ours);
                let remedy = match setting {
                    Some(setting) => format!("raise {setting}, or lower terminationGracePeriodSeconds to {grace}"),
                    None => format!("lower terminationGracePeriodSeconds to {grace}"),
                };
                warnings.push(format!(
                    "terminationGracePeriodSeconds is {ours}, but {name} sends SIGKILL after {grace} s: {remedy}"
                ));
            }
            Some(_) => {}
        }
        let begins_stop = settings.app.stop_signals.as_ref().is_none_or(|signals| signals.contains(&signal));
        if !begins_stop {
            warnings.push(format!("{name} sends {signal}, which does not begin a stop: add it to app.stopSignals"));
        }
        warnings
    }

    /// The same facts for programs.
    pub(super) fn to_json(self) -> Value {
        let RuntimeDefaults { name, signal, .. } = self.runtime.defaults();
        json!({ "name": name, "stopSignal": signal.to_string(), "graceSeconds": self.grace.as_secs_f64() })
    }
}

impl fmt::Display for StopOfRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RuntimeDefaults { name, signal, setting, .. } = self.runtime.defaults();
        let grace = Seconds(self.grace);
        write!(f, "{name}: {signal} or the image's STOPSIGNAL, then SIGKILL after {grace} s")?;
        match setting {
            Some(setting) => write!(f, " (set by {setting})"),
            None => write!(f, " (cannot be changed)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        let files = vec![bookend_config::Document { name: "test".to_owned(), text: text.to_owned() }];
        let sources = bookend_config::Sources { files, ..Default::default() };
        bookend_config::load(&sources).expect("it is valid").settings
    }

    #[test]
    fn a_budget_beyond_the_runtimes_is_a_warning() {
        let warnings = |name, grace: Option<u64>, text: &str| {
            StopOfRuntime::new(name, grace.map(Duration::from_secs)).warnings(&settings(text))
        };
        let half_a_minute = "terminationGracePeriodSeconds = 30";
        assert_eq!(warnings(RuntimeName::Kubernetes, None, half_a_minute), Vec::<String>::new());
        assert_eq!(warnings(RuntimeName::Ecs, None, half_a_minute), Vec::<String>::new());
        assert!(warnings(RuntimeName::Docker, None, half_a_minute)[0].contains("--stop-timeout"));
        assert_eq!(warnings(RuntimeName::Docker, Some(30), half_a_minute), Vec::<String>::new());
        assert!(
            warnings(RuntimeName::CloudRun, None, half_a_minute)[0]
                .ends_with("lower terminationGracePeriodSeconds to 10")
        );
        assert!(warnings(RuntimeName::Nomad, None, "")[0].contains("SIGKILL after 5 s"));
        let signals = "terminationGracePeriodSeconds = 5\napp.stopSignals = [\"SIGINT\"]";
        assert!(warnings(RuntimeName::Compose, None, signals)[0].contains("does not begin a stop"));
    }

    #[test]
    fn the_documentation_has_the_defaults_of_each_runtime() {
        use clap::ValueEnum;
        let docs = include_str!("../../docs/cli.md");
        for runtime in RuntimeName::value_variants() {
            let RuntimeDefaults { name, signal, grace_seconds, .. } = runtime.defaults();
            let row = format!("| `{name}` | {signal} | {grace_seconds} s | ");
            assert!(docs.contains(&row), "docs/cli.md lacks {row}");
        }
    }
}

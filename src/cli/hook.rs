//! `bookend hook postStart|preStop`: an exec hook of a Pod, for images without a shell or curl. The kubelet shows only
//! what the hook itself prints, so the last lines of the handlers are printed again.

use std::ffi::OsStr;
use std::time::{Duration, Instant};

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, Command};

use super::client::Client;
use super::outcome::{Failure, Outcome, print};
use super::seconds::seconds;
use super::status::{HandlerRun, StatusView};

#[derive(Debug, clap::Args)]
pub(super) struct HookArgs {
    /// Hook to run; in a sidecar with the container's NAME
    #[arg(value_name = "[NAME/]HOOK", value_parser = HookParser)]
    hook: HookName,
    /// Longest time to wait for the response [default: as long as the handlers take]
    #[arg(long = "timeout-seconds", alias = "timeoutSeconds", value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    #[command(flatten)]
    client: Client,
}

/// `preStop`, `web/preStop`.
#[derive(Debug, Clone)]
struct HookName {
    container: Option<String>,
    hook: String,
}

/// Reads it; the completion scripts offer the hooks.
#[derive(Debug, Clone)]
struct HookParser;

const HOOKS: [&str; 2] = ["postStart", "preStop"];

impl TypedValueParser for HookParser {
    type Value = HookName;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<HookName, clap::Error> {
        let text = value.to_str().unwrap_or_default();
        let (container, hook) = text.rsplit_once('/').map_or((None, text), |(name, hook)| (Some(name), hook));
        // The name becomes part of an HTTP path and must not end it.
        let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && !name.is_empty();
        match HOOKS.contains(&hook) && container.is_none_or(is_name) {
            true => Ok(HookName { container: container.map(str::to_owned), hook: hook.to_owned() }),
            false => PossibleValuesParser::new(HOOKS)
                .parse_ref(command, arg, value)
                .map(|hook| HookName { container: None, hook }),
        }
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(HOOKS.into_iter().map(PossibleValue::new)))
    }
}

impl HookArgs {
    pub(super) fn run(&self) -> Outcome {
        let HookName { container, hook } = &self.hook;
        let path = container.as_ref().map(|name| format!("{name}/{hook}"));
        let path = path.as_ref().unwrap_or(hook);
        let deadline = self.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let response = self.client.request_with_retry(&format!("GET /lifecycle/{path}"), deadline)?;
        let text = format!("{}\n{}", response.body.trim_end(), self.handler_report());
        match response.code {
            200 => {
                print(&text);
                Ok(())
            }
            _ => Err(Failure::new(text)),
        }
    }

    /// The runs of the handlers of this hook. Empty if bookend does not respond any more.
    fn handler_report(&self) -> String {
        let deadline = Instant::now() + Duration::from_secs(1);
        let Ok(response) = self.client.request("GET /status", Some(deadline)) else { return String::new() };
        let Ok(view) = StatusView::read(&response.body) else { return String::new() };
        last_round(&view.handlers, &self.hook).iter().map(|run| run.summary()).collect()
    }
}

/// The runs of a hook's last round. A name that repeats without being a retry belongs to an earlier round.
fn last_round<'a>(runs: &'a [HandlerRun], hook: &HookName) -> Vec<&'a HandlerRun> {
    let mut round: Vec<&HandlerRun> = Vec::new();
    for run in runs.iter().rev().filter(|run| run.hook == hook.hook && run.container == hook.container) {
        if round.iter().any(|later| later.name == run.name && later.attempt <= run.attempt) {
            break;
        }
        round.push(run);
    }
    round.reverse();
    round
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_the_last_round_with_all_its_retries() {
        let run = |hook: &str, name: &str, attempt| {
            let mut run = HandlerRun::default();
            (run.hook, run.name, run.attempt) = (hook.to_owned(), name.to_owned(), attempt);
            run
        };
        // A preStop hook without a stop signal after it, and then a stop.
        let first =
            [run("postStart", "greet", 1), run("preStop", "a", 1), run("preStop", "b", 1), run("preStop", "b", 2)];
        let second = [run("preStop", "a", 1), run("preStop", "b", 1), run("preStop", "b", 2), run("preStop", "b", 3)];
        let all = [first.to_vec(), second.to_vec()].concat();
        let hook = HookName { container: None, hook: "preStop".to_owned() };
        let reported: Vec<_> = last_round(&all, &hook).iter().map(|run| (run.name.clone(), run.attempt)).collect();
        let expected: Vec<_> = second.iter().map(|run| (run.name.clone(), run.attempt)).collect();
        assert_eq!(reported, expected);
    }
}

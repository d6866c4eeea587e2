//! `bookend hook postStart|preStop`: a Pod's exec hook in an image without a shell or curl. The kubelet keeps what
//! a hook prints for its event alone, so the handlers' last lines are printed again.

use std::ffi::OsStr;
use std::time::{Duration, Instant};

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, Command};

use super::outcome::{Done, Failure, print};
use super::peer::Peer;
use super::sleep::seconds;
use super::status::{HandlerRun, View};

#[derive(Debug, clap::Args)]
pub(super) struct Hook {
    /// Which handlers are to run, of a sidecar's container NAME/...; the answer comes when they are done
    #[arg(value_name = "[NAME/]HOOK", value_parser = Names)]
    hook: HookCall,
    /// How long to wait for the answer [default: as long as the handlers take]
    #[arg(long = "timeoutSeconds", value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    #[command(flatten)]
    peer: Peer,
}

/// `preStop`, `web/preStop`.
#[derive(Debug, Clone)]
struct HookCall {
    container: Option<String>,
    hook: String,
}

/// Reads it; completions offer the hooks themselves.
#[derive(Debug, Clone)]
struct Names;

const HOOKS: [&str; 2] = ["postStart", "preStop"];

impl TypedValueParser for Names {
    type Value = HookCall;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, said: &OsStr) -> Result<HookCall, clap::Error> {
        let text = said.to_str().unwrap_or_default();
        let (container, hook) = text.rsplit_once('/').map_or((None, text), |(name, hook)| (Some(name), hook));
        // What stands in a path of HTTP is not to end it.
        let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && !name.is_empty();
        match HOOKS.contains(&hook) && container.is_none_or(is_name) {
            true => Ok(HookCall { container: container.map(str::to_owned), hook: hook.to_owned() }),
            false => PossibleValuesParser::new(HOOKS)
                .parse_ref(command, arg, said)
                .map(|hook| HookCall { container: None, hook }),
        }
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(HOOKS.into_iter().map(PossibleValue::new)))
    }
}

impl Hook {
    pub(super) fn run(&self) -> Done {
        let HookCall { container, hook } = &self.hook;
        let path = container.as_ref().map(|name| format!("{name}/{hook}"));
        let path = path.as_ref().unwrap_or(hook);
        let until = self.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let answer = self.peer.ask_patiently(&format!("GET /lifecycle/{path}"), until)?;
        let text = format!("{}\n{}", answer.body.trim_end(), self.told());
        match answer.code {
            200 => {
                print(&text);
                Ok(())
            }
            _ => Err(Failure::no(text)),
        }
    }

    /// What the handlers of this hook did, as far as bookend still answers.
    fn told(&self) -> String {
        let until = Instant::now() + Duration::from_secs(1);
        let Ok(answer) = self.peer.ask("GET /status", Some(until)) else { return String::new() };
        let Ok(view) = View::read(&answer.body) else { return String::new() };
        last_run(&view.handlers, &self.hook).iter().map(|run| run.story()).collect()
    }
}

/// The runs of a hook's last round: a name that comes again, and was not tried again, is another round's.
fn last_run<'a>(runs: &'a [HandlerRun], called: &HookCall) -> Vec<&'a HandlerRun> {
    let mut round: Vec<&HandlerRun> = Vec::new();
    for run in runs.iter().rev().filter(|run| run.hook == called.hook && run.container == called.container) {
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
    fn what_is_told_is_the_last_round_with_all_its_tries() {
        let run = |hook: &str, name: &str, attempt| {
            let mut run = HandlerRun::default();
            (run.hook, run.name, run.attempt) = (hook.to_owned(), name.to_owned(), attempt);
            run
        };
        // A preStop hook that nobody followed, and then a stop.
        let first =
            [run("postStart", "greet", 1), run("preStop", "a", 1), run("preStop", "b", 1), run("preStop", "b", 2)];
        let second = [run("preStop", "a", 1), run("preStop", "b", 1), run("preStop", "b", 2), run("preStop", "b", 3)];
        let all = [first.to_vec(), second.to_vec()].concat();
        let called = HookCall { container: None, hook: "preStop".to_owned() };
        let told: Vec<_> = last_run(&all, &called).iter().map(|run| (run.name.clone(), run.attempt)).collect();
        let expected: Vec<_> = second.iter().map(|run| (run.name.clone(), run.attempt)).collect();
        assert_eq!(told, expected);
    }
}

//! `bookend hook postStart|preStop`: a Pod's exec hook in an image without a shell or curl. The kubelet keeps what
//! a hook prints for its event alone, so the handlers' last lines are printed again.

use std::time::{Duration, Instant};

use super::outcome::{Done, Failure, print};
use super::peer::Peer;
use super::sleep::seconds;
use super::status::{HandlerRun, View};

#[derive(Debug, clap::Args)]
pub(super) struct Hook {
    /// Which handlers are to run; the answer comes when they are done
    #[arg(value_name = "HOOK")]
    hook: Name,
    /// How long to wait for the answer [default: as long as the handlers take]
    #[arg(long = "timeoutSeconds", value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    #[command(flatten)]
    peer: Peer,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Name {
    #[value(name = "postStart")]
    PostStart,
    #[value(name = "preStop")]
    PreStop,
}

impl Hook {
    pub(super) fn run(&self) -> Done {
        let name = match self.hook {
            Name::PostStart => "postStart",
            Name::PreStop => "preStop",
        };
        let until = self.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let answer = self.peer.ask_patiently(&format!("GET /lifecycle/{name}"), until)?;
        let text = format!("{}\n{}", answer.body.trim_end(), self.told(name));
        match answer.code {
            200 => {
                print(&text);
                Ok(())
            }
            _ => Err(Failure::no(text)),
        }
    }

    /// What the handlers of this hook did, as far as bookend still answers.
    fn told(&self, hook: &str) -> String {
        let until = Instant::now() + Duration::from_secs(1);
        let Ok(answer) = self.peer.ask("GET /status", Some(until)) else { return String::new() };
        let Ok(view) = View::read(&answer.body) else { return String::new() };
        last_run(&view.handlers, hook).iter().map(|run| run.story()).collect()
    }
}

/// The runs of a hook's last round: a name that comes again, and was not tried again, is another round's.
fn last_run<'a>(runs: &'a [HandlerRun], hook: &str) -> Vec<&'a HandlerRun> {
    let mut round: Vec<&HandlerRun> = Vec::new();
    for run in runs.iter().rev().filter(|run| run.hook == hook) {
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
        let told: Vec<_> = last_run(&all, "preStop").iter().map(|run| (run.name.clone(), run.attempt)).collect();
        let expected: Vec<_> = second.iter().map(|run| (run.name.clone(), run.attempt)).collect();
        assert_eq!(told, expected);
    }
}

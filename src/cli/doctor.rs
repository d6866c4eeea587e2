//! `bookend doctor [-c FILE] [-- COMMAND...]`: what would drop requests, and the fix. Before the container starts (in
//! a Dockerfile's RUN, in CI) or inside a running one.

use std::ffi::OsString;

use super::outcome::{Done, Failure, print};
use super::{Command, run};
use crate::doctor::{Verdict, examine, gather};
use crate::exit;
use crate::process::inherited::Inherited;
use bookend_lifecycle::signal::Signal;

#[derive(Debug, clap::Args)]
pub(super) struct Doctor {
    /// The image's STOPSIGNAL, which nobody can see from inside; or STOPSIGNAL in the environment
    #[arg(long = "stopSignal", value_name = "SIGNAL")]
    stop_signal: Option<Signal>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// What it is to be looked at as; without it, and in a running container, what bookend was started with there
    #[command(flatten)]
    run: run::Run,
}

impl Doctor {
    pub(super) fn run(mut self, inherited: &Inherited) -> Done {
        self.ask_first_process();
        let (effective, _) = run::load(&self.run.config, self.run.set, self.run.command, bookend_config::Mode::Either)?;
        let from_env = || std::env::var("STOPSIGNAL").ok()?.parse().ok();
        let report = examine(&gather::facts(&effective, self.stop_signal.or_else(from_env), inherited));
        print(&if self.json { format!("{}\n", report.to_json()) } else { report.to_string() });
        match report.verdict() {
            Verdict::Healthy => Ok(()),
            Verdict::Found => Err(Failure::no("")),
            Verdict::Unseen => Err(Failure {
                code: exit::FAILED,
                text: "bookend: nothing was found, but not everything could be looked at\n".to_owned(),
            }),
        }
    }

    /// In a running container PID 1 has been told what we have not.
    fn ask_first_process(&mut self) {
        let (name, words) = gather::first_process();
        let run = &self.run;
        let asked = !(run.config.is_empty() && run.set.is_empty() && run.command.is_empty());
        if asked || name != "bookend" || std::process::id() == 1 {
            return;
        }
        if let Ok(Command::Run(run)) = super::parse(words.into_iter().map(OsString::from).collect()) {
            self.run = run;
        }
    }
}

//! `bookend doctor [-c FILE] [-- COMMAND...]`: finds what would lose requests, and how to fix it. Runs before the
//! container starts (in a Dockerfile's RUN, in CI) or inside a running one.

use std::ffi::OsString;

use super::load::{RunArgs, load};
use super::outcome::{Failure, Outcome, print};
use crate::doctor::{Diagnosis, examine, gather};
use crate::process::inherited::Inherited;
use bookend_lifecycle::signal::Signal;

#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    /// The image's STOPSIGNAL, which is not visible inside a container [default: $STOPSIGNAL]
    #[arg(long = "stop-signal", alias = "stopSignal", value_name = "SIGNAL")]
    stop_signal: Option<Signal>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// The subject; without it, and in a running container, what bookend was started with there
    #[command(flatten)]
    run: RunArgs,
}

impl DoctorArgs {
    /// `parse_run` reads the command line of the container's own bookend.
    pub(super) fn run(mut self, inherited: &Inherited, parse_run: fn(Vec<OsString>) -> Option<RunArgs>) -> Outcome {
        self.adopt_first_process(parse_run);
        self.run.set.extend(self.run.profile.take());
        let (effective, _) = load(&self.run.config, self.run.set, self.run.command, bookend_config::Mode::Either)?;
        let from_env = || std::env::var("STOPSIGNAL").ok()?.parse().ok();
        let report = examine(&gather::facts(&effective, self.stop_signal.or_else(from_env), inherited));
        print(&if self.json { format!("{}\n", report.to_json()) } else { report.to_string() });
        match report.diagnosis() {
            Diagnosis::Healthy => Ok(()),
            Diagnosis::Findings => Err(Failure::new("")),
            Diagnosis::Incomplete => {
                Err(Failure::usage("bookend: no finding, but not everything could be examined (see above)\n"))
            }
        }
    }

    /// In a running container, the command line of PID 1 says what bookend runs there.
    fn adopt_first_process(&mut self, parse_run: fn(Vec<OsString>) -> Option<RunArgs>) {
        let (name, words) = gather::first_process();
        let run = &self.run;
        let has_subject =
            !(run.config.is_empty() && run.set.is_empty() && run.profile.is_none() && run.command.is_empty());
        if has_subject || name != "bookend" || std::process::id() == 1 {
            return;
        }
        if let Some(run) = parse_run(words.into_iter().map(OsString::from).collect()) {
            self.run = run;
        }
    }
}

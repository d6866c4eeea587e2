//! `kubectl bookend doctor`: what in the manifest of a Pod loses requests at a stop or a rollout. It looks from outside, at YAML alone:
//! `bookend doctor` looks inside.
//!
//! ```text
//! object_args (files or kubectl) ─► subject (each container) ─► configuration (ConfigMap, variables, args) ─► checks ─► finding
//! ```

mod bookend_checks;
mod configuration;
mod examine;
mod finding;
mod hook;
mod object_args;
mod pod_checks;
mod subject;
#[cfg(test)]
mod tests;

#[cfg(test)]
use examine::examine;
pub(crate) use examine::{Checks, Examination};
pub(crate) use object_args::ObjectArgs;

use bookend_lifecycle::printable::printable;

use crate::outcome::{Failure, Outcome, print};

#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    objects: ObjectArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl DoctorArgs {
    pub(crate) fn run(&self) -> Outcome {
        let examination = self.objects.examine(Checks::All)?;
        match self.json {
            true => print(&format!("{:#}\n", examination.to_json())),
            false => print(&report(&examination)),
        }
        verdict(&examination)
    }
}

/// Findings first, then notes, then what is not known.
pub(crate) fn report(examination: &Examination) -> String {
    let mut text = String::new();
    for is_note in [false, true] {
        let these = examination.findings.iter().filter(|finding| finding.is_note == is_note);
        text.extend(these.map(ToString::to_string));
    }
    for why in &examination.not_examined {
        text.push_str(&format!("not examined: {}\n\n", printable(why)));
    }
    let (findings, notes) = (examination.count(), examination.findings.len() - examination.count());
    let counted = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let containers = counted(examination.containers.len(), "container");
    text.push_str(&format!("{containers}: {}, {}\n", counted(findings, "finding"), counted(notes, "note")));
    text
}

/// Exit code 1 for findings, 2 if there are none and not everything could be examined.
pub(crate) fn verdict(examination: &Examination) -> Outcome {
    match (examination.count(), examination.not_examined.len()) {
        (0, 0) => Ok(()),
        (0, _) => Err(Failure::usage("not everything could be examined")),
        (1, _) => Err(Failure::new("1 finding")),
        (many, _) => Err(Failure::new(format!("{many} findings"))),
    }
}

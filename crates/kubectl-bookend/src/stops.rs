//! `kubectl bookend stops`: how the stops of a namespace, of a label or of named pods went. It reads what Kubernetes keeps of ended
//! containers: exit code, reason, and the termination message with bookend's report.
//!
//! ```text
//! kubectl or file ─► objects (one at a time) ─► ended ─► verdict ─► summary ─► print
//!                                                 └─ message
//! ```

mod ended;
mod message;
mod moment;
mod print;
mod summary;
mod verdict;

use std::path::PathBuf;

use bookend_lifecycle::printable::printable;

use crate::chosen_pods::PodArgs;
use crate::objects::each_object;
use crate::outcome::{Failure, Outcome, print};
use summary::Summary;

#[derive(Debug, clap::Args)]
pub(crate) struct StopsArgs {
    #[command(flatten)]
    pods: PodArgs,
    /// Read the output of `kubectl get pods -o json` from a file; `-`: stdin
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["pods", "selector", "all_namespaces"])]
    filename: Option<PathBuf>,
    /// Length of the lists of slow stops and of stops that were not clean
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u16).range(..=1000))]
    list: u16,
    /// Exit with 1 if a stop was not clean
    #[arg(long)]
    strict: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl StopsArgs {
    pub(crate) fn run(&self) -> Outcome {
        let mut summary = Summary::new(self.list.into());
        match &self.filename {
            Some(file) => {
                let name = printable(&file.display().to_string());
                let fail = |error: &str| Failure::usage(format!("cannot read {name}: {}", printable(error)));
                let read = if file.as_os_str() == "-" {
                    each_object(std::io::stdin().lock(), &mut |object| summary.add(&object))
                } else {
                    let file = std::fs::File::open(file).map_err(|error| fail(&error.to_string()))?;
                    each_object(file, &mut |object| summary.add(&object))
                };
                read.map_err(|error| fail(&error))?;
            }
            None => self.pods.each(&mut |object| summary.add(&object))?,
        }
        match self.json {
            true => print(&format!("{:#}\n", print::to_json(&summary))),
            false => print(&print::table(&summary)),
        }
        match summary.stops - summary.clean {
            0 => Ok(()),
            _ if !self.strict => Ok(()),
            1 => Err(Failure::new("1 stop was not clean")),
            many => Err(Failure::new(format!("{many} stops were not clean"))),
        }
    }
}

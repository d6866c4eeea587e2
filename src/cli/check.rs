//! `bookend check [-c FILE] [--set KEY=VALUE] [FILE...] [-- COMMAND]`: the values in effect, and whether a stop fits its budget.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::load::{load, read_override, read_profile};
use super::outcome::{Failure, Outcome, print};
use super::runtimes::{RuntimeName, StopOfRuntime};
use super::seconds::seconds;
use crate::process::cgroup::{Cgroup, OOM_GROUP};
use bookend_config::{Mode, Override};

#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// Configuration files; the last one that sets a key wins; `-` is standard input
    files: Vec<PathBuf>,
    /// Configuration file, as `bookend run` takes it; read before FILES
    #[arg(short, long, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// Set one key, stronger than files and environment; lists and tables in TOML
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = read_override)]
    set: Vec<Override>,
    /// Defaults for a server, as app.profile
    #[arg(long, value_name = "NAME", value_parser = read_profile)]
    profile: Option<Override>,
    /// Check it as `bookend sidecar` would, instead of `bookend run`
    #[arg(long)]
    sidecar: bool,
    /// Exit with 1 if there is a warning
    #[arg(long)]
    strict: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Compare with the stop of kubernetes, docker, compose, podman, ecs, nomad or cloud-run
    #[arg(long, value_name = "NAME", hide_possible_values = true)]
    runtime: Option<RuntimeName>,
    /// Grace period that is set at the runtime [default: the default of the runtime]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, requires = "runtime")]
    runtime_grace: Option<Duration>,
    /// The command as `bookend run` would get it: an image's CMD, a Pod's args
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl CheckArgs {
    pub(super) fn run(&self) -> Outcome {
        let mode = if self.sidecar { Mode::Sidecar } else { Mode::App };
        let set = self.set.iter().chain(&self.profile).cloned().collect();
        let files = [&*self.config, &*self.files].concat();
        let (effective, _) = load(&files, set, self.command.clone(), mode)?;
        let runtime = self.runtime.map(|name| StopOfRuntime::new(name, self.runtime_grace));
        let of_runtime = runtime.map(|runtime| runtime.warnings(&effective.settings)).unwrap_or_default();
        if self.json {
            let mut report = effective.to_json();
            if let Some(warnings) = report.get_mut("warnings").and_then(serde_json::Value::as_array_mut) {
                warnings.extend(of_runtime.iter().map(|warning| warning.as_str().into()));
            }
            if let (Some(fields), Some(runtime)) = (report.as_object_mut(), runtime) {
                fields.insert("runtime".to_owned(), runtime.to_json());
            }
            print(&format!("{report:#}\n"));
        } else {
            print(&effective.to_string());
            if self.command.is_empty() && !effective.settings.app.program.command.is_empty() {
                print("# app.command: an image's CMD or a Pod's args replace it; to check that, add `-- COMMAND`\n");
            }
            if let Some(runtime) = runtime {
                print(&format!("# runtime {runtime}\n"));
            }
            if Cgroup::own().is_some_and(|cgroup| cgroup.dies_as_a_group()) {
                print(&format!("# note: {OOM_GROUP}\n"));
            }
            of_runtime.iter().for_each(|warning| print(&format!("# warning: {warning}\n")));
        }
        match effective.all_warnings().len() + of_runtime.len() {
            1.. if self.strict => Err(Failure::new("")),
            _ => Ok(()),
        }
    }
}

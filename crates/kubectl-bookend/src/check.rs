//! `kubectl bookend check`: the configuration of bookend in the containers of manifests or of the cluster, put together from ConfigMaps,
//! variables and args, and whether it fits the Pod.

use bookend_lifecycle::printable::printable;
use serde_json::{Value, json};

use crate::doctor::{Checks, Examination, ObjectArgs, report, verdict};
use crate::outcome::{Failure, Outcome, print};

#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    objects: ObjectArgs,
    /// Show all values that are in effect, as `bookend check` does
    #[arg(long)]
    values: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl CheckArgs {
    pub(crate) fn run(&self) -> Outcome {
        let examination = self.objects.examine(Checks::Configuration)?;
        if examination.containers.iter().all(|container| container.configuration.is_none()) {
            return Err(Failure::new(
                "nothing in these objects shows bookend; `kubectl bookend doctor` examines all containers",
            ));
        }
        match self.json {
            true => print(&format!("{:#}\n", to_json(&examination))),
            false => print(&format!("{}{}", self.configurations(&examination), report(&examination))),
        }
        verdict(&examination)
    }

    /// Each container with its sources, its budget and, if asked for, its values.
    fn configurations(&self, examination: &Examination) -> String {
        let mut text = String::new();
        for container in &examination.containers {
            let Some(configuration) = &container.configuration else { continue };
            let from =
                if configuration.files.is_empty() { "no file".to_owned() } else { configuration.files.join("; ") };
            text.push_str(&format!("--- {}\nfrom {}\n", printable(&container.name), printable(&from)));
            if let Ok(effective) = &configuration.effective {
                let shown = if self.values { effective.to_string() } else { effective.budget().to_string() };
                text.extend(shown.trim_end().lines().map(|line| format!("{}\n", printable(line))));
            }
            text.push('\n');
        }
        text
    }
}

/// The findings, and of each container the object of `bookend check --json`.
fn to_json(examination: &Examination) -> Value {
    let mut value = examination.to_json();
    let configurations: Vec<Value> = examination
        .containers
        .iter()
        .filter_map(|container| {
            let configuration = container.configuration.as_ref()?;
            let effective = configuration.effective.as_ref().ok().map(bookend_config::Effective::to_json);
            Some(json!({ "container": container.name, "files": configuration.files, "check": effective }))
        })
        .collect();
    if let Some(fields) = value.as_object_mut() {
        fields.insert("configurations".to_owned(), configurations.into());
    }
    value
}

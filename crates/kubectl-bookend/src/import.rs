//! `kubectl bookend import`: a container's lifecycle, probes and grace period as a bookend.toml.

use std::path::PathBuf;

use crate::convert;
use crate::manifests;
use crate::outcome::{Failure, Outcome, note, print};

#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    /// Manifest (YAML or JSON) with a Pod, or with a workload that has one; `-`: stdin
    file: PathBuf,
    /// Name of the container; optional if there is only one
    #[arg(long, value_name = "NAME")]
    container: Option<String>,
    /// Write the manifest that runs the container under bookend; stdout gets the bookend.toml
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
}

impl ImportArgs {
    pub(crate) fn run(&self) -> Outcome {
        let file = self.file.display();
        let text = manifests::text(&self.file)?;
        let imported = convert::import(&text, self.container.as_deref())
            .map_err(|error| Failure::usage(format!("cannot import {file}: {error}")))?;
        if let Some(path) = &self.manifest {
            std::fs::write(path, &imported.manifest)
                .map_err(|error| Failure::usage(format!("cannot write {}: {error}", path.display())))?;
        }
        print(&imported.config);
        for line in &imported.notes {
            note(&format!("note: {line}"));
        }
        Ok(())
    }
}

//! `bookend import`: a manifest's lifecycle, probes and grace period as a bookend.toml.

use std::path::PathBuf;

use super::outcome::{Failure, Outcome};

#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    /// Manifest (YAML) with a Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, Job or CronJob
    file: PathBuf,
    /// Name of the container; optional if there is only one
    #[arg(long, value_name = "NAME")]
    container: Option<String>,
    /// Write the manifest that runs the container under bookend; stdout gets the bookend.toml
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
}

impl ImportArgs {
    /// The images' binary contains no YAML parser. The word stays a subcommand, so that no build runs an app by this name.
    #[cfg(not(feature = "import"))]
    pub(super) fn run(&self) -> Outcome {
        let ImportArgs { file, container: _, manifest: _ } = self;
        Err(Failure::usage(format!(
            "bookend: cannot import {}: this binary was built without the feature `import`; \
             build one that has it: cargo build --features import\n",
            file.display()
        )))
    }

    #[cfg(feature = "import")]
    pub(super) fn run(&self) -> Outcome {
        use super::files;
        use super::outcome::print;
        use crate::report::log::last_words;

        let file = self.file.display();
        let text = files::read_text(&self.file)
            .map_err(|error| Failure::usage(format!("bookend: cannot read {file}: {error}\n")))?;
        let imported = crate::import::import(&text, self.container.as_deref())
            .map_err(|error| Failure::usage(format!("bookend: cannot import {file}: {error}\n")))?;
        if let Some(path) = &self.manifest {
            std::fs::write(path, &imported.manifest)
                .map_err(|error| Failure::new(format!("bookend: cannot write {}: {error}\n", path.display())))?;
        }
        print(&imported.config);
        for note in &imported.notes {
            last_words(&format!("note: {note}\n"));
        }
        Ok(())
    }
}

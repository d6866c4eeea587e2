//! `bookend import`: a manifest's lifecycle, probes and grace period as a bookend.toml.

use std::path::PathBuf;

use super::outcome::Done;

#[derive(Debug, clap::Args)]
pub(super) struct Import {
    /// The manifest (YAML): a Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, Job or CronJob among its documents
    file: PathBuf,
    /// Which container; may be left out where there is only one
    #[arg(long, value_name = "NAME")]
    container: Option<String>,
    /// Write the manifest with the container under bookend there; the bookend.toml goes to stdout
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
}

impl Import {
    /// The binary of the images has no YAML in it; the word is ours all the same, so that no build runs an app by it.
    #[cfg(not(feature = "import"))]
    pub(super) fn run(&self) -> Done {
        let Import { file, container: _, manifest: _ } = self;
        let (file, said) = (file.display(), "this bookend is built without `import`");
        Err(format!("bookend: cannot import {file}: {said}; build one: cargo build --features import\n").into())
    }

    #[cfg(feature = "import")]
    pub(super) fn run(&self) -> Done {
        use super::outcome::{Failure, print};
        use crate::report::log::last_words;

        let file = self.file.display();
        let text = std::fs::read_to_string(&self.file).map_err(|e| format!("bookend: cannot read {file}: {e}\n"))?;
        let imported = crate::import::import(&text, self.container.as_deref())
            .map_err(|error| format!("bookend: cannot import {file}: {error}\n"))?;
        if let Some(path) = &self.manifest {
            std::fs::write(path, &imported.manifest)
                .map_err(|error| Failure::no(format!("bookend: cannot write {}: {error}\n", path.display())))?;
        }
        print(&imported.config);
        for note in &imported.notes {
            last_words(&format!("note: {note}\n"));
        }
        Ok(())
    }
}

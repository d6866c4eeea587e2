//! `bookend import`: from a Kubernetes manifest to the bookend.toml that carries one container's lifecycle, probes
//! and grace period, and to the manifest that runs that container under bookend without building its image again.
//! Pure: text in, texts out. What cannot be carried over is named, never dropped in silence.
//!
//! ```text
//!   manifest ─► workload (which pod, which container) ─► carry ─► bookend.toml ─► config (it must be accepted)
//!                                                    └─► patch ─► manifest: init container, volume, hooks
//! ```

mod carry;
mod patch;
#[cfg(test)]
mod tests;
mod workload;

use serde_json::Value;

use bookend_config::{Document, Sources};

/// What a manifest becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The bookend.toml.
    pub config: String,
    /// The whole manifest, with the container under bookend.
    pub manifest: String,
    /// What could not be carried over, or means something else here; one sentence each.
    pub notes: Vec<String>,
}

/// Why there is nothing to import.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Not YAML, or more of it than any manifest has.
    #[error("not YAML: {0}")]
    Yaml(String),
    /// No document is a workload.
    #[error("no Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, Job or CronJob in it (found: {found})")]
    NoWorkload {
        /// The kinds that are there.
        found: String,
    },
    /// More containers than one, and none was named.
    #[error("which container? name one with --container: {candidates}")]
    Ambiguous {
        /// `Deployment/web: app, proxy`.
        candidates: String,
    },
    /// The named container is not there.
    #[error("no container is called {name:?}; there are: {candidates}")]
    NoSuchContainer {
        /// As it was named.
        name: String,
        /// `Deployment/web: app, proxy`.
        candidates: String,
    },
    /// What came out is not a configuration: its fields were no valid Pod spec.
    #[error("the container's fields are not what a Pod spec allows:\n{0}")]
    Refused(String),
    /// The texts could not be written.
    #[error("cannot write what was imported: {0}")]
    Write(String),
}

/// Carries one container over. `container` may stay unnamed where there is only one.
///
/// # Errors
/// See [`ImportError`].
pub fn import(text: &str, container: Option<&str>) -> Result<Imported, ImportError> {
    let mut documents: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|error| ImportError::Yaml(error.to_string()))?;
    let place = workload::find(&documents, container)?;
    let mut notes = Vec::new();
    let carried = {
        let pod = place.pod(&documents).unwrap_or(&Value::Null);
        let container = place.container(&documents).unwrap_or(&Value::Null);
        carry::carry(pod, container, &mut notes)
    };
    let config = format!("{}{}", HEADER, toml::to_string(&carried).map_err(|e| ImportError::Write(e.to_string()))?);
    let sources = Sources {
        files: vec![Document { name: "bookend.toml".to_owned(), text: config.clone() }],
        ..Sources::default()
    };
    bookend_config::load(&sources).map_err(|mistakes| ImportError::Refused(mistakes.to_string()))?;
    patch::patch(&mut documents, &place, &config, &mut notes);
    let manifest = serde_saphyr::to_string_multiple(&documents).map_err(|e| ImportError::Write(e.to_string()))?;
    Ok(Imported { config, manifest, notes })
}

const HEADER: &str = "# Written by `bookend import`; `bookend check` shows what is in effect.\n";

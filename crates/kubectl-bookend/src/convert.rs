//! Converts one container's lifecycle, probes and grace period of a Kubernetes manifest to a bookend.toml, and the manifest to one that runs the container under bookend without rebuilding its image. Pure: text in, texts out.
//! A field that cannot be converted is reported.
//!
//! ```text
//!   manifest ─► workload (which pod, which container) ─► carry ─► bookend.toml ─► config (it must be accepted)
//!                                                    └─► patch ─► manifest: init container, volume, hooks
//! ```

mod carry;
mod error;
mod patch;
#[cfg(test)]
mod tests;
mod workload;

use serde_json::Value;

pub use self::error::ImportError;
use bookend_config::{Document, Sources};

/// A converted manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The bookend.toml.
    pub config: String,
    /// The whole manifest, with the container under bookend.
    pub manifest: String,
    /// Fields that could not be converted, or have another meaning here; one sentence each.
    pub notes: Vec<String>,
}

/// Converts one container. `container` may be `None` if there is only one.
///
/// # Errors
/// See [`ImportError`].
pub fn import(text: &str, container: Option<&str>) -> Result<Imported, ImportError> {
    let mut documents: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|error| ImportError::Yaml(error.to_string()))?;
    let path = workload::find(&documents, container)?;
    let mut notes = Vec::new();
    let carried = {
        let pod = path.pod(&documents).unwrap_or(&Value::Null);
        let container = path.container(&documents).unwrap_or(&Value::Null);
        carry::carry(pod, container, &mut notes)
    };
    let config = format!("{}{}", HEADER, toml::to_string(&carried).map_err(|e| ImportError::Write(e.to_string()))?);
    let sources = Sources {
        files: vec![Document { name: "bookend.toml".to_owned(), text: config.clone() }],
        ..Sources::default()
    };
    bookend_config::load(&sources).map_err(|mistakes| ImportError::Refused(mistakes.to_string()))?;
    patch::patch(&mut documents, &path, &config, &mut notes);
    let manifest = serde_saphyr::to_string_multiple(&documents).map_err(|e| ImportError::Write(e.to_string()))?;
    Ok(Imported { config, manifest, notes })
}

const HEADER: &str = "# Written by `kubectl bookend import`; `bookend check` shows what is in effect.\n";

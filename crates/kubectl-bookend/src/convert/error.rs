//! Why a manifest cannot be imported.

/// Why a manifest cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Not YAML, or beyond the limits of the parser.
    #[error("it is not valid YAML: {0}")]
    Yaml(String),
    /// No document is a workload.
    #[error("it contains no Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, Job or CronJob, only {found}")]
    NoWorkload {
        /// The kinds that it contains.
        found: String,
    },
    /// Several containers, and no name was given.
    #[error("it contains several containers; name one with --container: {candidates}")]
    Ambiguous {
        /// `Deployment/web: app, proxy`.
        candidates: String,
    },
    /// It contains no container of this name.
    #[error("it contains no container {name:?}, only {candidates}")]
    NoSuchContainer {
        /// The name that was given.
        name: String,
        /// `Deployment/web: app, proxy`.
        candidates: String,
    },
    /// The result is not a valid configuration, because the manifest is not a valid Pod spec.
    #[error("fields of the container are not valid in a Pod spec:\n{0}")]
    Refused(String),
    /// The result cannot be serialized.
    #[error("cannot serialize the result: {0}")]
    Write(String),
}

//! The reports of bookend: the log, the journal of handler runs and stops, the termination message, and the counters behind
//! the metrics.

pub(crate) mod counters;
pub(crate) mod identity;
pub(crate) mod journal;
pub(crate) mod log;
pub(crate) mod message;
pub(crate) mod rate_limit;
pub(crate) mod rewritten_file;
pub(crate) mod stop_report;
pub(crate) mod timestamp;
#[cfg(feature = "otel")]
pub(crate) mod trace;

//! The reports of bookend: the log, the journal of handler runs and stops, and the counters behind the metrics.

pub(crate) mod counters;
pub(crate) mod journal;
pub(crate) mod log;
pub(crate) mod timestamp;

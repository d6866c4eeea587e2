//! The reports of a reload's tasks to the loop.

use super::content::Look;
use crate::handlers::HandlerReport;
use crate::process::file_watch::InotifyEvent;
use bookend_lifecycle::reload::ReloadRunId;

/// A report. The number is that of the entry.
#[derive(Debug)]
pub(crate) enum ReloadMessage {
    Events(Vec<InotifyEvent>),
    /// inotify reports nothing any more.
    NoEvents,
    /// A look has ended; without a run it is the first one. `None`: it did not end in time.
    Looked(usize, Option<ReloadRunId>, Option<Look>),
    Ended(usize, ReloadRunId, HandlerReport),
}

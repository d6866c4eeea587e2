//! The knowledge of the life before this one, from the state file.

use bookend_lifecycle::past::Past;

/// The past, and the file as it is now.
#[derive(Debug)]
pub(super) struct LifeBefore {
    pub(super) past: Past,
    /// The content of the file, if this life may write it.
    pub(super) content: Option<Vec<u8>>,
    /// The postStop handlers that it has missed are to run now. The file tells so already: they never run twice.
    pub(super) catches_up: bool,
    /// The file could not be read or written.
    pub(super) error: Option<String>,
}

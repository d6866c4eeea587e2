//! Whether the app's process in the other container exists, as far as it is known.

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum AppPresence {
    /// Not known.
    Unseen,
    There,
    Gone,
}

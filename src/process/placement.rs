//! The placement of a child among sessions, process groups and terminals.

/// The placement of a child, and whether it gets the terminal that is our stdin, if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ProcessPlacement {
    /// It leads a process group of its own, which gets the foreground of the terminal on our stdin, if our group has
    /// it: a background job takes no terminal away.
    #[default]
    ForegroundGroup,
    /// It leads a process group of its own; the terminal stays as it is.
    BackgroundGroup,
    /// It leads a session of its own. Our controlling terminal becomes that session's.
    Session,
    /// It stays in our own process group.
    OurGroup,
}

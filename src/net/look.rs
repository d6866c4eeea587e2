//! What a drain decides by. Pure; here alone, so that `drain` can be built without the rest of `net` (scripts/machine).

/// What the sockets of some ports look like at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Look {
    /// Connections that wait to be accepted.
    pub(crate) queue: u32,
    /// Connections that both sides may use.
    pub(crate) connections: u32,
    /// Those on which somebody waits for something; `None`: the source does not tell.
    pub(crate) busy: Option<u32>,
}

//! The settings that the app, exec handlers and exec probes have in common.

use std::ffi::OsString;
use std::path::PathBuf;

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Program {
    /// `command`: program and arguments. Not empty; the app's may be empty until `run` starts.
    pub command: Vec<OsString>,
    /// `env`, in the order of the configuration, which is the order in which `$(VAR)` finds them.
    pub env: Vec<(String, ValueSource)>,
    /// `workingDir`; `None`: bookend's own.
    pub working_dir: Option<PathBuf>,
    /// `user`; `None`: bookend's own.
    pub user: Option<User>,
}

/// A value of `env` or `httpHeaders`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueSource {
    /// The value itself; `$(VAR)` is expanded in it.
    Plain(String),
    /// `valueFrom`.
    File(FileValue),
}

/// `valueFrom`: the content of `file` at the time of use, without the line break at its end, after `prefix`; never expanded.
/// They are kept in one text, with the NUL between them that neither may contain: the values of all keys stay small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileValue(String);

impl FileValue {
    /// Of an absolute path, and the text before the content.
    pub fn new(path: &str, prefix: &str) -> FileValue {
        FileValue([path, "\0", prefix].concat())
    }

    /// The path, and the text before the content.
    pub fn parts(&self) -> (&str, &str) {
        self.0.split_once('\0').unwrap_or_default()
    }
}

/// `user`: `name`, `uid`, `uid:gid`, `name:group`, ...
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The part before the colon.
    pub user: Id,
    /// The part after it; `None`: the user's own group.
    pub group: Option<Id>,
}

/// A user or group by name or by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Id {
    /// Looked up in /etc/passwd or /etc/group.
    Name(String),
    /// Used as it is.
    Number(u32),
}

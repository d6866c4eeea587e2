//! The sources of a configuration before they are read: texts, variables, options. Depends on nothing.

use std::ffi::OsString;

/// One configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its path as the user gave it, or another name for it (`-` for standard input). Diagnostics and origins show it.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// One option of the command line that sets a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The key's path: `http.listen`, `app.env.LANG`.
    pub path: String,
    /// A scalar as bare text, anything else in TOML.
    pub value: String,
    /// The option as the user gave it, without the value. Diagnostics and origins show it.
    pub flag: String,
}

/// The program that the configuration is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// `bookend check`: a sidecar's configuration is recognised by its keys.
    #[default]
    Either,
    /// `bookend run`: an app of our own.
    App,
    /// `bookend sidecar`: apps of other containers.
    Sidecar,
}

/// The features of the bookend that will use the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    /// HTTPS.
    pub tls: bool,
    /// The page for people.
    pub page: bool,
}

impl Default for Features {
    /// The default features of the `bookend` package.
    fn default() -> Features {
        Features { tls: true, page: true }
    }
}

/// All sources of a configuration, weakest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sources {
    /// The files; a later one is stronger.
    pub files: Vec<Document>,
    /// The whole environment; variables that begin with `BOOKEND_` are read.
    pub env: Vec<(OsString, OsString)>,
    /// Options of the command line; a later one is stronger.
    pub overrides: Vec<Override>,
    /// The command after `--`; may be empty.
    pub command: Vec<OsString>,
    /// The program that it is for.
    pub mode: Mode,
    /// The features of the bookend that will use it.
    pub features: Features,
}

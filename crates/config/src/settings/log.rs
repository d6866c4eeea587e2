//! `[log]`.

use crate::words::words;

/// `[log]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogSettings {
    /// `format`.
    pub format: LogFormat,
    /// `level`; `None`: info with a configuration, warn without one (as silent as tini).
    pub level: Option<LogLevel>,
}

words! {
    /// `format`: the form of a log line.
    #[derive(Default)]
    pub enum LogFormat {
        /// For people.
        #[default]
        Text = "Text",
        /// One JSON object a line.
        Json = "Json",
    }
}

words! {
    /// `level`: how much is logged.
    pub enum LogLevel {
        /// Failures only.
        Error = "Error",
        /// Failures, and everything that did not go as configured.
        Warn = "Warn",
        /// Warnings, and the events that an operator would report: started, ready, stopping, exited.
        Info = "Info",
        /// Everything, with the details.
        Debug = "Debug",
    }
}

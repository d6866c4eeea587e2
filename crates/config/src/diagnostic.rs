//! Errors and warnings about a configuration: the key, what was found, why it is wrong, what is accepted, and the place.

use std::fmt;

use crate::source::Span;

/// How serious a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration is used, but it may not be what the user wanted.
    Warning,
}

/// One error or warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How serious it is.
    pub severity: Severity,
    /// The key path, `lifecycle.preStop[0].exec.command`; empty for invalid TOML.
    pub path: String,
    /// The problem, with the value that was found and the accepted ones: one sentence.
    pub message: String,
    /// Further sentences: a likely meaning, a word of Kubernetes that has another name here.
    pub help: Vec<String>,
    /// The place: `bookend.toml:6:1`, `environment variable BOOKEND_LOG_LEVEL`; empty if there is no place.
    pub place: String,
    /// The line with a caret below the place; empty if it may hold a secret, and after the first fifty.
    pub shown: String,
    /// Orders diagnostics as a reader meets them.
    pub(crate) span: Span,
    /// Whether the text is not valid TOML.
    pub(crate) is_syntax: bool,
}

impl Diagnostic {
    /// All of it on one line, for a log.
    pub fn one_line(&self) -> String {
        let mut line = String::new();
        for part in [&self.path, &self.message].into_iter().chain(&self.help) {
            let separator = match line.len() {
                0 => "",
                length if length == self.path.len() => ": ",
                _ => "; ",
            };
            line.push_str(separator);
            line.push_str(part);
        }
        if self.place.is_empty() { line } else { format!("{line} ({})", self.place) }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let separator = if self.path.is_empty() { "" } else { ": " };
        writeln!(f, "{severity}: {}{separator}{}", self.path, self.message)?;
        if !self.place.is_empty() {
            writeln!(f, "  --> {}", self.place)?;
        }
        f.write_str(&self.shown)?;
        for help in &self.help {
            writeln!(f, "  = {help}")?;
        }
        Ok(())
    }
}

/// All errors and warnings about a configuration: errors first, each group in the order of the sources.
#[derive(Debug, Clone, PartialEq, Eq, Default, thiserror::Error)]
#[error("{}", self.render())]
pub struct Diagnostics(Vec<Diagnostic>);

/// More diagnostics than this are counted, not shown: a wrong file should not flood a log.
pub(crate) const SHOWN: usize = 50;

impl Diagnostics {
    pub(crate) fn new(diagnostics: Vec<Diagnostic>) -> Diagnostics {
        Diagnostics(diagnostics)
    }

    /// Each of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn render(&self) -> String {
        let mut out = String::new();
        for diagnostic in self.0.iter().take(SHOWN) {
            out.push_str(&diagnostic.to_string());
            out.push('\n');
        }
        if self.0.len() > SHOWN {
            out.push_str(&format!("the first {SHOWN} of "));
        }
        let count = |severity, noun: &str| match self.0.iter().filter(|one| one.severity == severity).count() {
            0 => None,
            1 => Some(format!("1 {noun}")),
            count => Some(format!("{count} {noun}s")),
        };
        let counts = [count(Severity::Error, "error"), count(Severity::Warning, "warning")];
        out.push_str(&counts.into_iter().flatten().collect::<Vec<_>>().join(", "));
        out
    }
}

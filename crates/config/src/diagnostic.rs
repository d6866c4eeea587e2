//! Mistakes: what was said wrong, where, and what is accepted. All of them are collected before any
//! is shown, each with its key path, file, line, column and the line itself with a caret. Text that
//! may be a secret is masked. Pure; depends on nothing of ours but `snippet.rs`.

use std::fmt;

use super::snippet;

/// Everything that is wrong with what was said, in the order it was said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.render())]
pub struct Diagnostics(Vec<Diagnostic>);

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The key path, `lifecycle.preStop[0].exec.command`; empty where there is none (TOML syntax).
    pub path: String,
    /// What was found and what is accepted: one sentence.
    pub message: String,
    /// Further sentences: a likely meaning, a word of Kubernetes that is another one here.
    pub help: Vec<String>,
    /// Where it was said, with the line and a caret; empty where there are so many that nobody is shown it.
    pub shown: String,
    /// Orders mistakes as a reader meets them.
    span: Span,
}

/// Where something was said: an index into [`Report::sources`] and a span of bytes in its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Span {
    /// Which of the sources.
    pub(super) source: usize,
    /// The first byte.
    pub(super) start: usize,
    /// The byte after the last.
    pub(super) end: usize,
}

impl Span {
    /// In the only source there is.
    pub(super) fn at(start: usize) -> Span {
        Span { start, ..Span::default() }
    }
}

/// One text in which something was said.
#[derive(Debug)]
pub(super) struct Source<'a> {
    /// What kind of text it is.
    pub(super) medium: SourceKind,
    /// File path, variable, or flag.
    pub(super) name: &'a str,
    /// The text.
    pub(super) text: &'a str,
    /// Lines with a syntax error, counted from 1: what else is wrong there follows from it.
    pub(super) broken: Vec<usize>,
}

/// The layers, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceKind {
    /// A configuration file.
    File,
    /// An environment variable.
    Variable,
    /// An option of the command line.
    Flag,
}

/// Collects mistakes while the layers are read.
#[derive(Debug, Default)]
pub(super) struct Collector<'a> {
    /// Every text, in the order of precedence.
    pub(super) sources: Vec<Source<'a>>,
    diagnostics: Vec<Diagnostic>,
}

/// More mistakes than this are counted, not shown: a wrong file should not flood a log.
const SHOWN: usize = 50;

impl Diagnostics {
    /// Each mistake, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    fn render(&self) -> String {
        let mut out = String::new();
        for diagnostic in self.0.iter().take(SHOWN) {
            out.push_str(&diagnostic.to_string());
            out.push('\n');
        }
        match self.0.len() {
            1 => out.push_str("1 mistake"),
            count @ 2..=SHOWN => out.push_str(&format!("{count} mistakes")),
            count => out.push_str(&format!("{SHOWN} mistakes and {} more", count.saturating_sub(SHOWN))),
        }
        out
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        writeln!(f, "{}", self.message)?;
        f.write_str(&self.shown)?;
        for help in &self.help {
            writeln!(f, "  = {help}")?;
        }
        Ok(())
    }
}

impl<'a> Collector<'a> {
    /// Takes a text in and says which place it has among the sources.
    pub(super) fn source(&mut self, medium: SourceKind, name: &'a str, text: &'a str) -> usize {
        self.sources.push(Source { medium, name, text, broken: Vec::new() });
        self.sources.len().saturating_sub(1)
    }

    /// A mistake in TOML's grammar. What else stands on its line is not reported again.
    pub(super) fn syntax(&mut self, span: Span, path: &str, message: &str) {
        self.diagnostic(span, path, message.to_owned(), Vec::new());
        let line = self.line(span);
        if let Some(said) = self.sources.get_mut(span.source) {
            said.broken.push(line);
        }
    }

    /// A mistake at a place; dropped where a syntax error of the same line explains it.
    pub(super) fn diagnostic(&mut self, span: Span, path: &str, message: String, help: Vec<String>) {
        let Some(said) = self.sources.get(span.source) else { return };
        if !said.broken.is_empty() && said.broken.contains(&self.line(span)) {
            return;
        }
        self.diagnostics.push(Diagnostic { path: path.to_owned(), message, help, shown: String::new(), span });
    }

    /// A mistake that no text shows, only the name of a medium: a variable that is not UTF-8.
    pub(super) fn unseen(&mut self, path: &str, message: String) {
        let span = Span { source: self.sources.len(), start: 0, end: 0 };
        self.diagnostics.push(Diagnostic {
            path: path.to_owned(),
            message,
            help: Vec::new(),
            shown: String::new(),
            span,
        });
    }

    /// Whether a text has syntax errors: then what seems missing may stand in the broken part.
    pub(super) fn is_broken(&self, source: usize) -> bool {
        self.sources.get(source).is_some_and(|said| !said.broken.is_empty())
    }

    /// The line a place begins in, from 1.
    pub(super) fn line(&self, span: Span) -> usize {
        self.sources.get(span.source).map_or(1, |said| snippet::line_and_column(said.text, span.start).0)
    }

    /// All mistakes, or nothing wrong.
    pub(super) fn finish(self) -> Result<(), Diagnostics> {
        if self.diagnostics.is_empty() {
            return Ok(());
        }
        let mut diagnostics = in_order(self.diagnostics, |diagnostic| diagnostic.span);
        diagnostics.dedup();
        // A line is looked for from the text's beginning: of those alone that somebody will see.
        for diagnostic in diagnostics.iter_mut().take(SHOWN) {
            if let Some(said) = self.sources.get(diagnostic.span.source) {
                diagnostic.shown = snippet::render(said, diagnostic.span, &diagnostic.path);
            }
        }
        Err(Diagnostics(diagnostics))
    }
}

/// In the order in which they were said. What is sorted is the places alone: code that sorts is 3 kB for each type.
pub(super) fn in_order<T>(said: Vec<T>, span: impl Fn(&T) -> Span) -> Vec<T> {
    let mut order: Vec<(Span, usize)> = said.iter().map(span).zip(0..).collect();
    order.sort_unstable();
    let mut said: Vec<Option<T>> = said.into_iter().map(Some).collect();
    order.into_iter().filter_map(|(_, at)| said.get_mut(at)?.take()).collect()
}

//! Collects errors and warnings while the layers are read, and shows them at the end, each with its place and line.

use crate::diagnostic::{Diagnostic, Diagnostics, SHOWN, Severity};
use crate::key::Shape;
use crate::masking::hidden;
use crate::secrets::mentions_secret;
use crate::snippet::{place, render};
use crate::source::{Source, SourceKind, Span, in_order, line_and_column};

/// All texts and all diagnostics so far.
#[derive(Debug, Default)]
pub(crate) struct Collector<'a> {
    /// Every text, weakest first.
    pub(crate) sources: Vec<Source<'a>>,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Collector<'a> {
    /// Adds a text and returns its index. `path`, `shape`: the key it is the value of.
    pub(crate) fn source(
        &mut self,
        kind: SourceKind,
        name: &'a str,
        text: &'a str,
        path: &str,
        shape: Option<Shape>,
    ) -> usize {
        self.sources.push(Source {
            kind,
            name,
            text,
            path: path.to_owned(),
            shape,
            broken: Vec::new(),
            is_guessed: false,
        });
        self.sources.len().saturating_sub(1)
    }

    /// Invalid TOML. Other errors on the same line are not reported.
    pub(crate) fn syntax(&mut self, span: Span, path: &str, message: String, help: Vec<String>) {
        self.add(Severity::Error, span, path, message, help, true);
        self.mark_broken(span);
        if let Some(source) = self.sources.get_mut(span.source) {
            source.is_guessed = true;
        }
    }

    /// A key that stands twice in a table. The second one is not read.
    pub(crate) fn duplicate(&mut self, span: Span, message: String) {
        self.add(Severity::Error, span, "", message, Vec::new(), true);
        self.mark_broken(span);
    }

    fn mark_broken(&mut self, span: Span) {
        let line = self.line(span);
        if let Some(source) = self.sources.get_mut(span.source) {
            source.broken.push(line);
        }
    }

    /// An error at a place.
    pub(crate) fn error(&mut self, span: Span, path: &str, message: impl Into<String>, help: Vec<String>) {
        self.add(Severity::Error, span, path, message.into(), help, false);
    }

    /// A warning at a place.
    pub(crate) fn warning(&mut self, span: Span, path: &str, message: impl Into<String>, help: Vec<String>) {
        self.add(Severity::Warning, span, path, message.into(), help, false);
    }

    /// An error without a place in a text: a variable that is not UTF-8.
    pub(crate) fn error_without_place(&mut self, path: &str, message: &str) {
        let span = Span { source: self.sources.len(), start: 0, end: 0 };
        self.push(Severity::Error, span, path, message.to_owned(), Vec::new(), false);
    }

    /// A warning about a variable that is not a key.
    pub(crate) fn unknown_variable(&mut self, name: &'a str, help: Vec<String>) {
        let source = self.source(SourceKind::Variable, name, "", "", None);
        self.push(
            Severity::Warning,
            Span { source, start: 0, end: 0 },
            name,
            "unknown variable".to_owned(),
            help,
            false,
        );
    }

    /// Dropped where a syntax error on the same line explains it.
    fn add(&mut self, severity: Severity, span: Span, path: &str, message: String, help: Vec<String>, syntax: bool) {
        let Some(source) = self.sources.get(span.source) else { return };
        if source.broken.is_empty() || !source.broken.contains(&self.line(span)) {
            self.push(severity, span, path, message, help, syntax);
        }
    }

    fn push(&mut self, severity: Severity, span: Span, path: &str, message: String, help: Vec<String>, syntax: bool) {
        let (path, place, shown) = (path.to_owned(), String::new(), String::new());
        self.diagnostics.push(Diagnostic { severity, path, message, help, place, shown, span, is_syntax: syntax });
    }

    /// Whether a text is not valid TOML: then what seems missing may be in the invalid part.
    pub(crate) fn is_broken(&self) -> bool {
        self.sources.iter().any(|source| !source.broken.is_empty())
    }

    /// The line of a place, from 1.
    fn line(&self, span: Span) -> usize {
        self.sources.get(span.source).map_or(1, |source| line_and_column(source.text, span.start).0)
    }

    /// The warnings. If there is an error: all of them.
    ///
    /// # Errors
    /// There is an error.
    pub(crate) fn finish(mut self) -> Result<Diagnostics, Diagnostics> {
        if self.diagnostics.is_empty() {
            return Ok(Diagnostics::default());
        }
        self.drop_guesses();
        let mut diagnostics = in_order(std::mem::take(&mut self.diagnostics), |diagnostic| diagnostic.span);
        diagnostics.dedup();
        let (mut all, warnings): (Vec<_>, Vec<_>) =
            diagnostics.into_iter().partition(|diagnostic| diagnostic.severity == Severity::Error);
        let is_valid = all.is_empty();
        all.extend(warnings);
        self.show(&mut all);
        let all = Diagnostics::new(all);
        if is_valid { Ok(all) } else { Err(all) }
    }

    /// If a quote is missing, the parser may take a part of a secret for a key. Of a text that is not valid TOML and may
    /// hold secrets, only the syntax errors are reported.
    fn drop_guesses(&mut self) {
        for (index, source) in self.sources.iter().enumerate() {
            if !source.is_guessed || !mentions_secret(source.text) {
                continue;
            }
            self.diagnostics.retain(|diagnostic| diagnostic.span.source != index || diagnostic.is_syntax);
            if let Some(first) = self.diagnostics.iter_mut().find(|diagnostic| diagnostic.span.source == index) {
                let why = "no line is shown because the text may contain secrets; other errors are reported once it is valid TOML";
                first.help.push(why.to_owned());
            }
        }
    }

    /// A line is searched from the beginning of the text, and hidden parts are found by reading it again: only for
    /// those that are shown.
    fn show(&self, diagnostics: &mut [Diagnostic]) {
        let mut known = None;
        for diagnostic in diagnostics.iter_mut().take(SHOWN) {
            let index = diagnostic.span.source;
            let Some(source) = self.sources.get(index) else { continue };
            diagnostic.place = place(source, diagnostic.span);
            if known.as_ref().is_none_or(|(of, _)| *of != index) {
                known = Some((index, hidden(source)));
            }
            if let Some((_, Some(hidden))) = &known {
                diagnostic.shown = render(source, diagnostic.span, hidden);
            }
        }
    }
}

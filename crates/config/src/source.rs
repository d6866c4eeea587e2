//! The texts a configuration comes from, and places in them.

use crate::key::Shape;

/// One text: a file, a variable's value, an option's value.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    /// The kind of text.
    pub(crate) kind: SourceKind,
    /// File path, variable, or option.
    pub(crate) name: &'a str,
    /// The text.
    pub(crate) text: &'a str,
    /// The key that the text is the value of; empty for a file.
    pub(crate) path: String,
    /// The form of the text; `None`: there is no such key.
    pub(crate) shape: Option<Shape>,
    /// Lines with a syntax error, counted from 1: other errors there are consequences.
    pub(crate) broken: Vec<usize>,
    /// Whether the parser had to guess where a value ends: then a part of a value may seem to be a key.
    pub(crate) is_guessed: bool,
}

/// The kind of a text, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceKind {
    /// A configuration file.
    File,
    /// An environment variable.
    Variable,
    /// An option of the command line.
    Flag,
}

/// A place: the index of a source, and a range of bytes in its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Span {
    /// Which of the sources.
    pub(crate) source: usize,
    /// The first byte.
    pub(crate) start: usize,
    /// The byte after the last.
    pub(crate) end: usize,
}

impl Span {
    /// A place in the only source there is.
    pub(crate) fn at(start: usize) -> Span {
        Span { start, ..Span::default() }
    }
}

/// Line and column of a byte, both from 1; columns count characters.
pub(crate) fn line_and_column(text: &str, byte: usize) -> (usize, usize) {
    let end = (0..=byte.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let before = text.get(..end).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// Sorts by place: weaker sources first, then from top to bottom. Only the places are sorted, because each type that is
/// sorted costs 3 kB of code.
pub(crate) fn in_order<T>(items: Vec<T>, span: impl Fn(&T) -> Span) -> Vec<T> {
    let mut order: Vec<(Span, usize)> = items.iter().map(span).zip(0..).collect();
    order.sort_unstable();
    let mut items: Vec<Option<T>> = items.into_iter().map(Some).collect();
    order.into_iter().filter_map(|(_, at)| items.get_mut(at)?.take()).collect()
}

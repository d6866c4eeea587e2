//! Positions in a text: lines and columns, dashes and anchors, and how a collection is written. Depends on `node`.

use std::ops::Range;

use super::node::{Kind, Node, NodeEntry};

/// A text, asked for positions.
pub(super) struct TextPositions<'t> {
    pub(super) text: &'t str,
}

impl TextPositions<'_> {
    /// The dash of an item in block style.
    pub(super) fn dash(&self, item: &Node) -> Option<usize> {
        let before = self.text.get(..self.with_anchor(item)?.start)?.trim_end();
        before.ends_with('-').then(|| before.len() - 1)
    }

    /// The place of a value with the anchor in front of it.
    pub(super) fn with_anchor(&self, node: &Node) -> Option<Range<usize>> {
        if !node.has_anchor {
            return Some(node.range.clone());
        }
        let start = self.text.get(..node.range.start)?.rfind('&')?;
        Some(start..node.range.end)
    }

    /// Between two entries in flow style: on one line, or each on a line of its own.
    pub(super) fn flow_separator(&self, entry: usize) -> String {
        let line = self.line_start(entry);
        match self.text.get(line..entry) {
            Some(before) if before.trim().is_empty() && line > 0 => format!(",\n{before}"),
            _ => ", ".to_owned(),
        }
    }

    /// A text in double quotes.
    pub(super) fn is_quoted(&self, node: &Node) -> bool {
        self.text.get(node.range.start..).is_some_and(|text| text.starts_with('"'))
    }

    pub(super) fn is_json(&self) -> bool {
        self.text.trim_start().starts_with('{')
    }

    pub(super) fn line_start(&self, at: usize) -> usize {
        self.text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1)
    }

    /// Before the line end, which may be that of Windows.
    pub(super) fn line_end(&self, at: usize) -> usize {
        let line = self.text.get(at..).and_then(|after| after.split('\n').next()).unwrap_or_default();
        let is_last = at + line.len() == self.text.len();
        at + if is_last { line } else { line.strip_suffix('\r').unwrap_or(line) }.len()
    }

    /// Behind the line end.
    pub(super) fn next_line(&self, at: usize) -> usize {
        self.text.get(at..).and_then(|after| after.find('\n')).map_or(self.text.len(), |end| at + end + 1)
    }

    /// `\r\n` if the first line ends so.
    pub(super) fn newline(&self) -> &'static str {
        match self.text.split_once('\n') {
            Some((first, _)) if first.ends_with('\r') => "\r\n",
            _ => "\n",
        }
    }

    pub(super) fn column(&self, at: usize) -> usize {
        self.text.get(self.line_start(at)..at).map_or(0, |before| before.chars().count())
    }

    /// The first mapping below a key in block style: how much further its keys stand.
    pub(super) fn first_map_indent(&self, node: &Node) -> Option<usize> {
        let Kind::Mapping { flow: false, entries } = &node.kind else { return None };
        entries.iter().find_map(|entry| match &entry.value.kind {
            Kind::Mapping { flow: false, entries } => {
                self.column(entries.first()?.key_range.start).checked_sub(self.column(entry.key_range.start))
            }
            _ => None,
        })
    }

    /// The first list below a key in block style: how much further its dashes stand.
    pub(super) fn first_list_indent(&self, node: &Node) -> Option<usize> {
        match &node.kind {
            Kind::Mapping { flow: false, entries } => entries.iter().find_map(|entry| {
                if let Kind::Sequence { flow: false, items } = &entry.value.kind {
                    let dash = self.column(self.dash(items.first()?)?);
                    return dash.checked_sub(self.column(entry.key_range.start));
                }
                self.first_list_indent(&entry.value)
            }),
            Kind::Sequence { items, .. } => items.iter().find_map(|item| self.first_list_indent(item)),
            _ => None,
        }
    }
}

/// How new entries of a mapping are written.
pub(super) enum Style {
    Block { indent: usize },
    Flow,
    Json,
}

impl Style {
    pub(super) fn of(text: &str, node: &Node, flow: bool, entries: &[NodeEntry]) -> Style {
        let first = entries.first().map_or(node.range.start, |first| first.key_range.start);
        if flow {
            let is_quoted = text.get(first..).is_some_and(|key| key.starts_with('"'));
            return if is_quoted || text.trim_start().starts_with('{') { Style::Json } else { Style::Flow };
        }
        let line = text.get(..first).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1);
        Style::Block { indent: text.get(line..first).map_or(0, |before| before.chars().count()) }
    }
}

//! Writes wanted values into a text: only the lines of values that differ change. Depends on `node`, `positions`
//! and `render`.
//!
//! | what differs                  | the change                                                              |
//! | ----------------------------- | ----------------------------------------------------------------------- |
//! | a key or an item is new       | it stands behind the one before it, in the style of its collection      |
//! | a key or an item is gone      | its lines are cut                                                       |
//! | a scalar, or another kind     | its text is replaced                                                    |
//! | what edits cannot express     | the collection is written anew, as a last resort the document           |
//!
//! The result is read again: it has the wanted values, or the caller gets the document written anew.

use std::ops::Range;

use serde_json::{Map, Value};

use super::node::{Kind, Node, NodeEntry, YamlError, parse};
use super::positions::{Style, TextPositions};
use super::render::{self, Indents};

/// A text with the wanted values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rewritten {
    pub(crate) text: String,
    /// Documents that were written anew, by position, because edits could not express the change.
    pub(crate) anew: Vec<usize>,
}

/// The text with these values, one for each of its documents.
pub(crate) fn rewrite(text: &str, wanted: &[Value]) -> Result<Rewritten, YamlError> {
    let documents = parse(text)?;
    let mut editor = Editor::new(text, &documents);
    let mut anew = Vec::new();
    for (at, (node, wanted)) in documents.iter().zip(wanted).enumerate() {
        let before = editor.edits.len();
        if editor.change(node, wanted).is_none() {
            editor.edits.truncate(before);
            editor.replace_document(node, wanted);
            anew.push(at);
        }
    }
    let edited = editor.applied();
    if values(&edited).is_ok_and(|values| values == wanted) {
        return Ok(Rewritten { text: edited, anew });
    }
    // An anchor was changed, and an alias elsewhere means it.
    let mut editor = Editor::new(text, &documents);
    let mut anew = Vec::new();
    for (at, (node, wanted)) in documents.iter().zip(wanted).enumerate() {
        if node.value() != *wanted {
            editor.replace_document(node, wanted);
            anew.push(at);
        }
    }
    Ok(Rewritten { text: editor.applied(), anew })
}

fn values(text: &str) -> Result<Vec<Value>, YamlError> {
    Ok(parse(text)?.iter().map(Node::value).collect())
}

struct Editor<'t> {
    positions: TextPositions<'t>,
    indents: Indents,
    edits: Vec<(Range<usize>, String)>,
}

/// `None`: edits cannot express it.
type Done = Option<()>;

impl<'t> Editor<'t> {
    fn new(text: &'t str, documents: &[Node]) -> Editor<'t> {
        let mut editor = Editor {
            positions: TextPositions { text },
            indents: Indents { map: 2, list: 0, has_inline_lists: true, quotes_inline: false },
            edits: Vec::new(),
        };
        let map = documents.iter().find_map(|document| editor.positions.first_map_indent(document));
        editor.indents.map = map.filter(|indent| (1..=8).contains(indent)).unwrap_or(2);
        let list = documents.iter().find_map(|document| editor.positions.first_list_indent(document));
        editor.indents.list = list.unwrap_or_default();
        let lists: Vec<(bool, &Node)> = documents.iter().flat_map(Node::scalar_lists).collect();
        let inline = lists.iter().filter(|(flow, _)| *flow).count();
        editor.indents.has_inline_lists = lists.is_empty() || inline > 0;
        let quoted = lists.iter().filter(|(flow, first)| *flow && editor.positions.is_quoted(first)).count();
        editor.indents.quotes_inline = 2 * quoted > inline;
        editor
    }

    /// The text with all edits.
    fn applied(mut self) -> String {
        self.edits.sort_by_key(|(range, _)| (range.start, range.end));
        let mut out = String::with_capacity(self.positions.text.len() + 4096);
        let newline = self.positions.newline();
        let mut at = 0;
        for (range, new) in &self.edits {
            // A cut inside another one is a part of it.
            if range.start < at {
                continue;
            }
            out.push_str(self.positions.text.get(at..range.start).unwrap_or_default());
            out.push_str(&new.replace('\n', newline));
            at = range.end;
        }
        out.push_str(self.positions.text.get(at..).unwrap_or_default());
        // A new last line needs a line end, which a literal block has.
        if at == self.positions.text.len() && !self.edits.is_empty() && !out.ends_with('\n') {
            out.push_str(newline);
        }
        out
    }

    fn edit(&mut self, range: Range<usize>, new: String) -> Done {
        self.edits.push((range, new));
        Some(())
    }

    fn change(&mut self, node: &Node, wanted: &Value) -> Done {
        if node.value() == *wanted {
            return Some(());
        }
        let before = self.edits.len();
        let done = match (&node.kind, wanted) {
            (Kind::Mapping { flow, entries }, Value::Object(fields)) => {
                self.change_mapping(node, *flow, entries, fields)
            }
            (Kind::Sequence { flow, items }, Value::Array(new)) => self.change_sequence(node, *flow, items, new),
            (Kind::Scalar(_), Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null)
                if !node.range.is_empty() && !node.has_anchor =>
            {
                let is_literal = self.positions.text.get(node.range.clone())?.starts_with(['|', '>']);
                let is_block = is_literal || matches!(wanted, Value::String(text) if text.contains('\n'));
                if is_block { None } else { self.edit(node.range.clone(), render::flow(wanted)) }
            }
            _ => None,
        };
        if done.is_none() {
            self.edits.truncate(before);
        }
        done
    }

    fn change_mapping(&mut self, node: &Node, flow: bool, entries: &[NodeEntry], wanted: &Map<String, Value>) -> Done {
        let is_kept = |entry: &&NodeEntry| entry.is_merge || wanted.contains_key(&entry.key);
        if node.has_anchor
            || wanted.is_empty()
            || entries.is_empty()
            || (!flow && !entries.iter().any(|entry| is_kept(&entry)))
        {
            return None;
        }
        let merged = node.value();
        let merged = merged.as_object()?;
        if merged.keys().any(|key| !wanted.contains_key(key) && !entries.iter().any(|entry| entry.key == *key)) {
            return None;
        }
        let style = Style::of(self.positions.text, node, flow, entries);
        let first_kept = entries.iter().position(|entry| is_kept(&entry)).unwrap_or(entries.len());
        for (at, entry) in entries.iter().enumerate().filter(|(_, entry)| !entry.is_merge) {
            match wanted.get(&entry.key) {
                None => self.cut_entry(entries, at, flow, at < first_kept)?,
                Some(value) => {
                    if self.change(&entry.value, value).is_none() {
                        self.replace_value(entry, value, flow, &style)?;
                    }
                }
            }
        }
        // New keys that follow each other go in as one text.
        let mut after: Option<&NodeEntry> = None;
        let mut new: Vec<(&String, &Value)> = Vec::new();
        for (key, value) in wanted {
            let own = entries.iter().find(|entry| entry.key == *key && !entry.is_merge);
            match own {
                Some(entry) => {
                    self.insert_entries(entries, after, &new, flow, &style)?;
                    new.clear();
                    after = Some(entry);
                }
                None if merged.get(key) == Some(value) => {}
                None => new.push((key, value)),
            }
        }
        self.insert_entries(entries, after, &new, flow, &style)
    }

    fn insert_entries(
        &mut self,
        entries: &[NodeEntry],
        after: Option<&NodeEntry>,
        new: &[(&String, &Value)],
        flow: bool,
        style: &Style,
    ) -> Done {
        if new.is_empty() {
            return Some(());
        }
        let rendered = |(key, value): &(&String, &Value)| match style {
            Style::Json => format!("{}: {}", Value::String((*key).clone()), render::json_value(value)),
            Style::Flow => render::flow_entry(key, value),
            Style::Block { indent } => render::entry(key, value, *indent, self.indents),
        };
        let new: Vec<String> = new.iter().map(rendered).collect();
        // A long line of flow style is better written anew in block style.
        if matches!(style, Style::Flow) && new.iter().map(String::len).sum::<usize>() > LONG {
            return None;
        }
        if flow {
            let separator =
                entries.first().map_or(", ".to_owned(), |first| self.positions.flow_separator(first.key_range.start));
            let new = new.join(&separator);
            return match (after, entries.first()) {
                (Some(entry), _) => self.edit(at(entry.value.range.end), format!("{separator}{new}")),
                (None, Some(first)) => self.edit(at(first.key_range.start), format!("{new}{separator}")),
                (None, None) => None,
            };
        }
        let Style::Block { indent } = style else { return None };
        let separator = format!("\n{}", " ".repeat(*indent));
        let new = new.join(&separator);
        match after {
            Some(entry) => self.insert_line_after(entry.value.range.end, format!("{separator}{new}")),
            None => {
                let first = entries.first()?.key_range.start;
                self.insert_line_before(first, &new, &separator)
            }
        }
    }

    fn replace_value(&mut self, entry: &NodeEntry, value: &Value, flow: bool, style: &Style) -> Done {
        let old = &entry.value;
        match style {
            Style::Json => self.edit(old.range.clone(), render::json_value(value)),
            Style::Flow if flow && !old.range.is_empty() => {
                self.edit(self.positions.with_anchor(old)?, render::flow(value))
            }
            Style::Block { indent } => {
                let behind_key = self.positions.text.get(entry.key_range.end..)?;
                let colon = entry.key_range.end + behind_key.find(':')? + 1;
                let new = match render::entry("x", value, *indent, self.indents) {
                    new if new.starts_with("x:") => new.get(2..)?.to_owned(),
                    _ => return None,
                };
                // A value of several lines goes below a comment at the key.
                let is_below = new.starts_with('\n');
                let comment = self.positions.text.get(colon..)?.lines().next()?.trim().starts_with('#');
                let start = if comment && is_below { self.positions.line_end(colon) } else { colon };
                if comment && !is_below {
                    return None;
                }
                self.edit(start.min(old.range.end.max(colon))..old.range.end.max(colon), new)
            }
            Style::Flow => None,
        }
    }

    /// `is_first`: no entry before it stays.
    fn cut_entry(&mut self, entries: &[NodeEntry], at: usize, flow: bool, is_first: bool) -> Done {
        let entry = entries.get(at)?;
        let (start, end) = (entry.key_range.start, entry.value.range.end);
        let next = entries.get(at + 1).map(|next| next.key_range.start);
        if flow {
            // With the comma in front of it, or behind it.
            let before = at.checked_sub(1).and_then(|before| entries.get(before));
            let range = if is_first { start..next? } else { before?.value.range.end..end };
            return self.edit(range, String::new());
        }
        let line = self.positions.line_start(start);
        if self.positions.text.get(line..start)?.trim().is_empty() {
            return self.cut_lines(line, end);
        }
        // The first key of an item stands behind its dash: the next one moves there.
        self.edit(start..next?, String::new())
    }

    fn change_sequence(&mut self, node: &Node, flow: bool, items: &[Node], wanted: &[Value]) -> Done {
        if node.has_anchor || wanted.is_empty() || items.is_empty() {
            return None;
        }
        let old: Vec<Value> = items.iter().map(Node::value).collect();
        let pairs = aligned(&old, wanted);
        if !flow && pairs.is_empty() {
            return None;
        }
        for (at, item) in items.iter().enumerate() {
            match pairs.iter().find(|(old, _)| *old == at) {
                Some((_, new)) => {
                    let value = wanted.get(*new)?;
                    if self.change(item, value).is_none() {
                        self.replace_item(item, value, flow)?;
                    }
                }
                None if flow => self.cut_flow_item(items, at, pairs.iter().all(|(kept, _)| *kept > at))?,
                None => {
                    let dash = self.positions.dash(item)?;
                    let line = self.positions.line_start(dash);
                    self.positions.text.get(line..dash)?.trim().is_empty().then_some(())?;
                    self.cut_lines(line, item.range.end)?;
                }
            }
        }
        let mut after: Option<&Node> = None;
        let mut new = Vec::new();
        for (at, value) in wanted.iter().enumerate() {
            match pairs.iter().find(|(_, new)| *new == at) {
                Some((old, _)) => {
                    self.insert_items(items, after, &new, flow)?;
                    new.clear();
                    after = items.get(*old);
                }
                None => new.push(value),
            }
        }
        self.insert_items(items, after, &new, flow)
    }

    fn insert_items(&mut self, items: &[Node], after: Option<&Node>, new: &[&Value], flow: bool) -> Done {
        if new.is_empty() {
            return Some(());
        }
        if flow {
            let is_json =
                self.positions.is_json() || items.first().is_some_and(|first| self.positions.is_quoted(first));
            let rendered: Vec<String> =
                new.iter().map(|value| if is_json { render::json_value(value) } else { render::flow(value) }).collect();
            let separator =
                items.first().map_or(", ".to_owned(), |first| self.positions.flow_separator(first.range.start));
            let new = rendered.join(&separator);
            return match (after, items.first()) {
                (Some(item), _) => self.edit(at(item.range.end), format!("{separator}{new}")),
                (None, Some(first)) => self.edit(at(first.range.start), format!("{new}{separator}")),
                (None, None) => None,
            };
        }
        let first = self.positions.dash(items.first()?)?;
        let indent = self.positions.column(first);
        let indents = self.indents;
        let rendered: Vec<String> =
            new.iter().map(|value| format!("-{}", render::block(value, indent + 2, indents, true))).collect();
        let separator = format!("\n{}", " ".repeat(indent));
        let new = rendered.join(&separator);
        match after {
            Some(item) => self.insert_line_after(item.range.end, format!("{separator}{new}")),
            None => self.insert_line_before(first, &new, &separator),
        }
    }

    fn replace_item(&mut self, item: &Node, value: &Value, flow: bool) -> Done {
        if flow {
            let new = if self.positions.is_json() { render::json_value(value) } else { render::flow(value) };
            return self.edit(self.positions.with_anchor(item)?, new);
        }
        let dash = self.positions.dash(item)?;
        let indent = self.positions.column(dash) + 2;
        let new = render::block(value, indent, self.indents, true);
        self.edit(dash + 1..item.range.end.max(dash + 1), new)
    }

    fn cut_flow_item(&mut self, items: &[Node], at: usize, is_first: bool) -> Done {
        let item = items.get(at)?;
        let before = at.checked_sub(1).and_then(|before| items.get(before));
        let range = match is_first {
            true => item.range.start..items.get(at + 1)?.range.start,
            false => before?.range.end..item.range.end,
        };
        self.edit(range, String::new())
    }

    fn replace_document(&mut self, node: &Node, wanted: &Value) {
        let is_json = matches!(node.kind, Kind::Mapping { flow: true, .. });
        let new = match is_json {
            true => render::json_value(wanted),
            false => render::block(wanted, 0, self.indents, true).trim_start().to_owned(),
        };
        self.edits.push((node.range.clone(), new));
    }

    /// Whole lines, with the line end.
    fn cut_lines(&mut self, start: usize, end: usize) -> Done {
        self.edit(start..self.positions.next_line(end), String::new())
    }

    /// Behind the line in which a value ends, and behind a comment in it.
    fn insert_line_after(&mut self, end: usize, new: String) -> Done {
        self.edit(at(self.positions.line_end(end)), new)
    }

    /// Before the line of the first thing in a collection, which may itself be cut; behind a dash before the thing.
    fn insert_line_before(&mut self, first: usize, new: &str, separator: &str) -> Done {
        let line = self.positions.line_start(first);
        let pad = self.positions.text.get(line..first)?;
        match pad.trim().is_empty() {
            true => self.edit(at(line), format!("{pad}{new}\n")),
            false => self.edit(at(first), format!("{new}{separator}")),
        }
    }
}

/// A new text in flow style that is longer does not belong on one line.
const LONG: usize = 60;

fn at(at: usize) -> Range<usize> {
    at..at
}

/// Which old item is which new one: equal ones, else those of the same name, in the same order.
fn aligned(old: &[Value], new: &[Value]) -> Vec<(usize, usize)> {
    let is_same = |a: &Value, b: &Value| {
        let name = |value: &Value| value.get("name").or_else(|| value.get("mountPath")).cloned();
        a == b || name(a).is_some_and(|known| name(b) == Some(known))
    };
    let same_names = || old.iter().zip(new).all(|(old, new)| old.get("name") == new.get("name"));
    if old.len() == new.len() && same_names() {
        return (0..old.len()).map(|at| (at, at)).collect();
    }
    let mut pairs = Vec::new();
    let mut from = 0;
    for (at, value) in new.iter().enumerate() {
        if let Some(found) = (from..old.len()).find(|known| old.get(*known).is_some_and(|old| is_same(old, value))) {
            pairs.push((found, at));
            from = found + 1;
        }
    }
    pairs
}

//! A text as documents, and each value with its place in the text. Depends on `scalar`.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle};
use serde_json::{Map, Value};

use super::scalar::plain;

/// Why a text is not YAML.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum YamlError {
    /// The parser refused it.
    #[error("{0}")]
    Syntax(String),
    /// kubectl would take one of them, and the API server neither.
    #[error("line {line}: the key {key:?} is there twice")]
    Duplicate {
        /// The second one.
        line: usize,
        /// The key.
        key: String,
    },
    /// Aliases of aliases can become larger than memory.
    #[error("its aliases repeat too much")]
    TooLarge,
}

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// From its tag or first character to behind its last one. Comments and line ends behind it are not in it.
    pub(super) range: Range<usize>,
    /// An anchor stands in front of it.
    pub(super) has_anchor: bool,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Scalar(Value),
    Sequence {
        flow: bool,
        items: Vec<Node>,
    },
    Mapping {
        flow: bool,
        entries: Vec<NodeEntry>,
    },
    /// `*name`, and the value that it stands for.
    Alias(Value),
}

#[derive(Debug, Clone)]
pub(super) struct NodeEntry {
    pub(super) key: String,
    pub(super) key_range: Range<usize>,
    pub(super) value: Node,
    /// `<<: *other`
    pub(super) is_merge: bool,
}

impl Node {
    /// The value as kubectl reads it.
    pub(crate) fn value(&self) -> Value {
        match &self.kind {
            Kind::Scalar(value) | Kind::Alias(value) => value.clone(),
            Kind::Sequence { items, .. } => items.iter().map(Node::value).collect(),
            Kind::Mapping { entries, .. } => {
                let mut map = Map::new();
                for entry in entries.iter().filter(|entry| !entry.is_merge) {
                    map.insert(entry.key.clone(), entry.value.value());
                }
                for merged in entries.iter().filter(|entry| entry.is_merge) {
                    let list = match merged.value.value() {
                        Value::Array(list) => list,
                        other => vec![other],
                    };
                    for (key, value) in list.into_iter().filter_map(into_map).flatten() {
                        map.entry(key).or_insert(value);
                    }
                }
                Value::Object(map)
            }
        }
    }

    /// Each list of scalars that is not empty: whether it is in flow style, and its first item.
    pub(super) fn scalar_lists(&self) -> Vec<(bool, &Node)> {
        match &self.kind {
            Kind::Sequence { flow, items } => {
                let is_scalar = |item: &Node| matches!(item.kind, Kind::Scalar(_));
                let own = items.first().filter(|_| items.iter().all(is_scalar)).map(|first| (*flow, first));
                items.iter().flat_map(Node::scalar_lists).chain(own).collect()
            }
            Kind::Mapping { entries, .. } => entries.iter().flat_map(|entry| entry.value.scalar_lists()).collect(),
            Kind::Scalar(_) | Kind::Alias(_) => Vec::new(),
        }
    }

    /// Whether a mapping in the text begins with `{{`: a template that was not rendered.
    pub(crate) fn has_template_braces(&self, text: &str) -> bool {
        match &self.kind {
            Kind::Mapping { flow: true, .. } if text.get(self.range.clone()).is_some_and(|t| t.starts_with("{{")) => {
                true
            }
            Kind::Mapping { entries, .. } => entries.iter().any(|entry| entry.value.has_template_braces(text)),
            Kind::Sequence { items, .. } => items.iter().any(|item| item.has_template_braces(text)),
            Kind::Scalar(_) | Kind::Alias(_) => false,
        }
    }
}

fn into_map(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

/// The documents of a text; an empty one is left out.
pub(crate) fn parse(text: &str) -> Result<Vec<Node>, YamlError> {
    let options = granit_parser::options! { emit_comments: false };
    let mut reader = Reader {
        parser: Parser::new_from_str_with_options(text, options),
        text,
        anchors: HashMap::new(),
        budget: MOST_COPIED,
    };
    let mut documents = Vec::new();
    while let Some((event, span)) = reader.next()? {
        match event {
            Event::DocumentStart(..) => reader.anchors.clear(),
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd | Event::Comment(..) => {}
            event => {
                let node = reader.node(event, &span)?;
                if !matches!(node.kind, Kind::Scalar(Value::Null)) {
                    documents.push(node);
                }
            }
        }
    }
    Ok(documents)
}

struct Reader<'t> {
    parser: Parser<'t, granit_parser::StrInput<'t>>,
    text: &'t str,
    anchors: HashMap<usize, Value>,
    /// How many more values aliases may repeat.
    budget: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<Option<(Event<'t>, Span)>, YamlError> {
        let event = self.parser.next_event();
        event.transpose().map_err(|error| YamlError::Syntax(error.to_string()))
    }

    fn node(&mut self, event: Event<'t>, span: &Span) -> Result<Node, YamlError> {
        let mut range = span.byte_range().unwrap_or_default();
        let mut anchor = 0;
        let kind = match event {
            Event::Alias(id) => {
                let value = self.anchors.get(&id).cloned().unwrap_or(Value::Null);
                self.budget = self.budget.checked_sub(size(&value)).ok_or(YamlError::TooLarge)?;
                Kind::Alias(value)
            }
            Event::Scalar(text, style, id, tag) => {
                anchor = id;
                let tag = tag.as_ref().and_then(|tag| tag.core_suffix());
                Kind::Scalar(match (style, tag) {
                    (ScalarStyle::Plain, None) if range.is_empty() => Value::Null,
                    (ScalarStyle::Plain, None) => plain(&text),
                    (_, Some("int" | "float" | "bool" | "null")) => plain(&text),
                    _ => Value::String(text.into_owned()),
                })
            }
            Event::SequenceStart(style, id, _) => {
                anchor = id;
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        Some((Event::SequenceEnd, end)) => {
                            range.end = self.end(style, &end, items.last());
                            break;
                        }
                        Some((event, span)) => items.push(self.node(event, &span)?),
                        None => break,
                    }
                }
                Kind::Sequence { flow: style == StructureStyle::Flow, items }
            }
            Event::MappingStart(style, id, _) => {
                anchor = id;
                let (entries, end) = self.entries()?;
                range.end = self.end(style, &end, entries.last().map(|entry| &entry.value));
                Kind::Mapping { flow: style == StructureStyle::Flow, entries }
            }
            _ => Kind::Scalar(Value::Null),
        };
        // A block scalar ends with the last of its characters; the indentation of the next line is not its own.
        if let Some(text) = self.text.get(range.clone()) {
            range.end = range.start + text.trim_end().len();
        }
        if let Some(tag) = span.tag_start().and_then(|tag| tag.byte_offset()) {
            range.start = range.start.min(tag);
        }
        let node = Node { range, has_anchor: anchor != 0, kind };
        if anchor != 0 {
            self.anchors.insert(anchor, node.value());
        }
        Ok(node)
    }

    fn entries(&mut self) -> Result<(Vec<NodeEntry>, Span), YamlError> {
        let mut entries = Vec::new();
        let mut keys = HashSet::new();
        loop {
            let (event, span) = match self.next()? {
                Some((Event::MappingEnd, end)) => return Ok((entries, end)),
                Some(next) => next,
                None => return Ok((entries, Span::default())),
            };
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let written = match &event {
                Event::Scalar(text, ..) => Some(text.clone().into_owned()),
                _ => None,
            };
            let key_node = self.node(event, &span)?;
            // A JSON object has texts as keys.
            let key = written.unwrap_or_else(|| key_node.value().to_string());
            if !is_merge && !keys.insert(key.clone()) {
                return Err(YamlError::Duplicate { line: span.start.line(), key });
            }
            let Some((event, span)) = self.next()? else { return Ok((entries, Span::default())) };
            let mut value = self.node(event, &span)?;
            if value.range.is_empty() {
                // A value that is not written stands behind the colon.
                let colon = self.text.get(key_node.range.end..).and_then(|rest| rest.find(':')).unwrap_or_default();
                value.range = key_node.range.end + colon + 1..key_node.range.end + colon + 1;
            }
            entries.push(NodeEntry { key, key_range: key_node.range, value, is_merge });
        }
    }

    /// The end of a collection: a closing bracket, or the last thing in it.
    fn end(&self, style: StructureStyle, end: &Span, last: Option<&Node>) -> usize {
        let end = end.byte_range().unwrap_or(self.text.len()..self.text.len());
        match (style, last) {
            (StructureStyle::Block, Some(last)) => last.range.end,
            _ => end.end,
        }
    }
}

/// How many values there are in a value.
fn size(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(fields) => 1 + fields.values().map(size).sum::<usize>(),
        _ => 1,
    }
}

/// The most values that aliases may repeat.
const MOST_COPIED: usize = 200_000;

//! The line of a field of an object, for messages. Depends on `node`.

use serde_json::Value;

use super::node::{Kind, Node};

/// The line, counted from 1, of a field like `spec.containers[web].lifecycle` in the object `Pod/web`. A field that does not exist has the
/// line of the nearest one above it. `None`: there is no such object.
pub(crate) fn line_of(text: &str, documents: &[Node], object: &str, field: &str) -> Option<usize> {
    let mut at = documents.iter().find_map(|document| find(document, object))?;
    let mut place = at.range.start;
    for step in field.split('.') {
        let (key, item) =
            step.split_once('[').map_or((step, None), |(key, item)| (key, Some(item.trim_end_matches(']'))));
        let Some(next) = entry(at, key) else { break };
        (at, place) = next;
        let Some(item) = item else { continue };
        let Some(next) = items(at).find(|node| name_of(node, "name").as_deref() == Some(item)) else { break };
        (at, place) = (next, next.range.start);
    }
    Some(text.get(..place)?.matches('\n').count() + 1)
}

/// The object, or the one in a list.
fn find<'n>(document: &'n Node, object: &str) -> Option<&'n Node> {
    let name = entry(document, "metadata").and_then(|(metadata, _)| name_of(metadata, "name"));
    let kind = name_of(document, "kind").unwrap_or_default();
    if format!("{kind}/{}", name.unwrap_or_default()) == object {
        return Some(document);
    }
    let (list, _) = entry(document, "items")?;
    items(list).find_map(|item| find(item, object))
}

/// The value of a key, and where the key stands.
fn entry<'n>(node: &'n Node, key: &str) -> Option<(&'n Node, usize)> {
    let Kind::Mapping { entries, .. } = &node.kind else { return None };
    let entry = entries.iter().find(|entry| entry.key == key && !entry.is_merge)?;
    Some((&entry.value, entry.key_range.start))
}

fn items(node: &Node) -> impl Iterator<Item = &Node> {
    let items = if let Kind::Sequence { items, .. } = &node.kind { items.as_slice() } else { &[] };
    items.iter()
}

fn name_of(node: &Node, key: &str) -> Option<String> {
    match &entry(node, key)?.0.kind {
        Kind::Scalar(Value::String(name)) | Kind::Alias(Value::String(name)) => Some(name.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::node::parse;
    use super::*;

    #[test]
    fn the_line_of_a_field_or_of_the_nearest_above_it_is_found() {
        let text = "# web\nkind: Pod\nmetadata:\n  name: a\n---\nkind: List\nitems:\n- kind: Pod\n  metadata: {name: b}\n  spec:\n    containers:\n    - name: one\n    - image: i\n      name: two\n      lifecycle:\n        preStop:\n          sleep: {seconds: 1}\n";
        let documents = parse(text).unwrap();
        let line = |object: &str, field: &str| line_of(text, &documents, object, field);
        assert_eq!(line("Pod/b", "spec.containers[two].lifecycle.preStop"), Some(16));
        assert_eq!(line("Pod/b", "spec.containers[two].readinessProbe"), Some(13));
        assert_eq!(line("Pod/b", "spec.containers[z]"), Some(11));
        assert_eq!(line("Pod/a", "spec.containers[one]"), Some(2));
        assert_eq!(line("Pod/c", "spec"), None);
    }
}

//! Manifests: the texts of files, folders and standard input, and the documents in a text.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::outcome::Failure;
use crate::yaml;

/// A file with manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ManifestFile {
    /// Its path; `-` is standard input.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// The files, all manifests of the folders (not below them), and standard input for `-`.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Vec<ManifestFile>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        let below = if path != Path::new(STDIN) && path.is_dir() { in_folder(path)? } else { vec![path.clone()] };
        for path in below {
            files.push(ManifestFile { text: text(&path)?, path });
        }
    }
    Ok(files)
}

/// The text of one file; `-` is standard input.
pub(crate) fn text(path: &Path) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let read = if path == Path::new(STDIN) {
        std::io::stdin().lock().take(MOST + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MOST + 1).read_to_end(&mut bytes))
    };
    let name = if path == Path::new(STDIN) { "standard input".to_owned() } else { path.display().to_string() };
    read.map_err(|error| Failure::usage(format!("cannot read {name}: {error}")))?;
    if bytes.len() as u64 > MOST {
        return Err(Failure::usage(format!("cannot read {name}: it is larger than {} MB", MOST / 1_000_000)));
    }
    String::from_utf8(bytes).map_err(|_| Failure::usage(format!("cannot read {name}: it is not UTF-8")))
}

/// The documents of a text, YAML or JSON. The items of a `kind: List` stand in place of the list.
pub(crate) fn documents(name: &str, text: &str) -> Result<Vec<Value>, Failure> {
    // Lists of kubectl are JSON, and can be large.
    if text.starts_with('{') {
        let json: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
        if let Ok(documents) = json {
            return Ok(documents.into_iter().flat_map(items).collect());
        }
    }
    let nodes = yaml::parse(text).map_err(|error| Failure::usage(format!("{name} is not valid YAML: {error}")))?;
    Ok(nodes.iter().map(yaml::Node::value).flat_map(items).collect())
}

/// The items of a list, `List` or `PodList`, or the object itself. A list may contain lists.
pub(crate) fn items(mut object: Value) -> Vec<Value> {
    let is_list = object.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
    match object.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) if is_list => items.into_iter().flat_map(self::items).collect(),
        _ if is_list => Vec::new(),
        _ => vec![object],
    }
}

fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let fail = |error| Failure::usage(format!("cannot read {}: {error}", folder.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let is_manifest = path.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|known| end == *known));
        if is_manifest && path.is_file() {
            files.push(path);
        }
    }
    files.sort_unstable();
    if folder.join("Chart.yaml").exists() {
        let folder = folder.display();
        let text = format!(
            "{folder} is a chart of Helm: render it first, as in `helm template RELEASE {folder} | kubectl bookend inject -`"
        );
        return Err(Failure::usage(text));
    }
    match files.is_empty() {
        true => Err(Failure::usage(format!("{} contains no .yaml, .yml or .json file", folder.display()))),
        false => Ok(files),
    }
}

/// The name that means standard input.
const STDIN: &str = "-";
/// The most bytes of one file: a list of all pods of a large cluster.
const MOST: u64 = 512_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_items_of_a_list_stand_in_its_place() {
        let text = "kind: Pod\nmetadata: {name: a}\n---\nkind: List\nitems:\n- {kind: Pod, metadata: {name: b}}\n\
                    - {kind: PodList, items: [{kind: Pod, metadata: {name: c}}]}\n";
        let documents = documents("x", text).unwrap();
        let names: Vec<_> =
            documents.iter().map(|document| document.pointer("/metadata/name").unwrap().as_str().unwrap()).collect();
        assert_eq!(names, ["a", "b", "c"]);
    }

    #[test]
    fn a_folder_gives_its_manifests_in_order() {
        let folder = std::env::temp_dir().join(format!("kubectl-bookend-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["b.yml", "a.yaml", "c.json", "d.txt"] {
            std::fs::write(folder.join(name), name).unwrap();
        }
        let files = read(std::slice::from_ref(&folder)).unwrap();
        let texts: Vec<_> = files.iter().map(|file| file.text.as_str()).collect();
        assert_eq!(texts, ["a.yaml", "b.yml", "c.json"]);
        std::fs::remove_dir_all(&folder).unwrap();
        let error = read(std::slice::from_ref(&folder)).unwrap_err();
        assert!(error.text.starts_with("cannot read "), "{}", error.text);
    }
}

//! Rules of the structure that only a reading of the sources can hold: imports without cycles, few modules at the top,
//! names that mean one thing, files of one subject. Imports are read as text, in `use` items and in paths of the code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A module by its path below the crate; the crate itself is empty.
type Module = Vec<String>;
type Imports = BTreeMap<Module, BTreeSet<Module>>;

const CRATES: [&str; 6] = [
    "src",
    "crates/lifecycle/src",
    "crates/config/src",
    "crates/kubectl-bookend/src",
    "crates/rehearse/src",
    "crates/test-support/src",
];

#[test]
fn imports_have_no_cycle() {
    let mut cycles = Vec::new();
    for name in CRATES {
        let imports = imports(&sources(name));
        for (module, imported) in &imports {
            for other in imported.iter().filter(|other| reaches(&imports, other, module)) {
                cycles.push(format!("{name}: {} imports {}", module.join("::"), other.join("::")));
            }
        }
    }
    assert!(cycles.is_empty(), "these imports lead back to their module: {cycles:#?}");
}

#[test]
fn the_top_level_has_few_modules_and_few_imports_between_them() {
    let imports = imports(&sources("src"));
    let top = |module: &Module| module.first().cloned();
    let tops: BTreeSet<_> = imports.keys().filter_map(top).collect();
    let pairs = imports.iter().flat_map(|(module, others)| others.iter().map(move |other| (top(module), top(other))));
    let between: BTreeSet<_> =
        pairs.filter(|(module, other)| module.is_some() && other.is_some() && module != other).collect();
    assert!(tops.len() <= 24, "{} modules: {tops:?}", tops.len());
    assert!(between.len() <= 80, "{} imports between them", between.len());
}

#[test]
fn a_type_name_means_one_type_in_its_crate() {
    // The modules of bookend-rehearse are public: its users write `http2::Outcome`.
    for name in CRATES.into_iter().filter(|name| !name.contains("rehearse")) {
        let mut seen: BTreeMap<String, Module> = BTreeMap::new();
        for (module, code) in sources(name) {
            for line in code.lines().map(str::trim_start) {
                let words: Vec<&str> = line.split([' ', '<', '(', ';', '{', '=']).collect();
                let Some(at) = words.iter().position(|word| ["struct", "enum", "trait", "union"].contains(word)) else {
                    continue;
                };
                let is_definition =
                    words[..at].iter().all(|word| word.starts_with("pub") || *word == "crate)" || *word == "super)");
                let Some(defined) = words.get(at + 1).filter(|_| is_definition) else { continue };
                // Twice in one module: a build with a feature and one without it.
                let before = seen.insert((*defined).to_owned(), module.clone());
                if let Some(other) = before.filter(|other| *other != module) {
                    panic!("{name}: {defined} is a type of {} and of {}", other.join("::"), module.join("::"));
                }
            }
        }
    }
}

#[test]
fn a_long_file_gives_its_reason_in_the_header() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let all = ["src", "crates", "tests", "benches"].iter().flat_map(|folder| files(&root.join(folder)));
    let without_reason = all.filter_map(|path| {
        let text = std::fs::read_to_string(&path).unwrap();
        let header: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
        let lines = text.lines().count();
        (lines > 450 && !header.contains("One file")).then(|| format!("{}: {lines} lines", path.display()))
    });
    let without_reason: Vec<_> = without_reason.collect();
    assert!(without_reason.is_empty(), "split them, or write \"One file: WHY\" in the header: {without_reason:#?}");
}

/// The modules of a crate with their code: no comments, no strings, no tests.
fn sources(name: &str) -> BTreeMap<Module, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let mut all = BTreeMap::new();
    for path in files(&root) {
        let below = path.strip_prefix(&root).unwrap().with_extension("");
        let module: Module = below.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        if module.iter().any(|part| part == "tests") || module == ["main"] {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        // A quote in a comment or in a character would be the beginning of a string.
        let lines = code.lines().map(|line| line.split("//").next().unwrap().replace("'\"'", "").replace("\\\"", ""));
        let code = lines.collect::<Vec<_>>().join("\n");
        let code = code.split('"').step_by(2).collect::<Vec<_>>().join(" ");
        all.insert(if module == ["lib"] { Module::new() } else { module }, code);
    }
    all
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let all = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    let mut all: Vec<_> = all.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect();
    all.sort();
    all
}

/// The modules that each module names.
fn imports(sources: &BTreeMap<Module, String>) -> Imports {
    let mut all = Imports::new();
    for (module, code) in sources {
        let children = sources.keys().filter(|child| child.len() == module.len() + 1 && child.starts_with(module));
        let mut starts: Vec<(String, Module)> =
            children.map(|child| (child.last().unwrap().clone(), child.clone())).collect();
        starts.push(("crate".to_owned(), Module::new()));
        starts.push(("self".to_owned(), module.clone()));
        let parent = module.split_last().map_or(Module::new(), |(_, parent)| parent.to_vec());
        starts.push(("super".to_owned(), parent));
        let mut paths = Vec::new();
        for (word, begin) in starts {
            let path = format!("{word}::");
            for (at, _) in code.match_indices(&path) {
                let before = &code[..at];
                let is_start =
                    !before.ends_with(|char: char| char.is_alphanumeric() || ['_', ':', '.'].contains(&char));
                if is_start && !before.ends_with("pub(in ") {
                    read_tree(&begin, &code[at + path.len()..], &mut paths);
                }
            }
        }
        let named = paths.iter().filter_map(|path| {
            let lengths = (0..=path.len()).rev();
            lengths
                .map(|length| -> Module { path.iter().take(length).cloned().collect() })
                .find(|prefix| sources.contains_key(prefix))
        });
        all.insert(module.clone(), named.filter(|other| other != module).collect());
    }
    all
}

/// Reads `a::{b, c::D}` behind a prefix into paths, and returns what follows it.
fn read_tree<'a>(prefix: &Module, text: &'a str, paths: &mut Vec<Module>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start_matches([',', ' ', '\n']);
            if let Some(after) = rest.strip_prefix('}') {
                return after;
            }
            let after = read_tree(prefix, rest, paths);
            let after = after
                .strip_prefix(" as ")
                .map_or(after, |name| name.trim_start_matches(|char: char| char.is_alphanumeric() || char == '_'));
            if after.len() == rest.len() {
                return after;
            }
            rest = after;
        }
    }
    let end = text.find(|char: char| !char.is_alphanumeric() && char != '_').unwrap_or(text.len());
    let mut path = prefix.clone();
    match &text[..end] {
        "" => {}
        "self" => {}
        "super" => drop(path.pop()),
        name => path.push(name.to_owned()),
    }
    match text[end..].strip_prefix("::") {
        Some(rest) => read_tree(&path, rest, paths),
        None => {
            paths.push(path);
            &text[end..]
        }
    }
}

fn reaches(imports: &Imports, from: &Module, to: &Module) -> bool {
    let (mut open, mut seen) = (vec![from], BTreeSet::new());
    while let Some(module) = open.pop() {
        if module == to {
            return true;
        }
        if seen.insert(module) {
            open.extend(imports.get(module).into_iter().flatten());
        }
    }
    false
}

#[test]
fn a_tree_of_imports_is_read_as_paths() {
    let mut paths = Vec::new();
    let rest = read_tree(&Module::new(), "a::{self, b, c::{D, E as F},\n super::g::h}; x", &mut paths);
    let shown: Vec<_> = paths.iter().map(|path| path.join("::")).collect();
    assert_eq!(shown, ["a", "a::b", "a::c::D", "a::c::E", "g::h"]);
    assert_eq!(rest, "; x");
}

//! The ready-made files under `config/`: each is read without a mistake.

use std::path::{Path, PathBuf};

use super::*;

/// A file of the repository. `None`: this is the package alone, which has no documents.
pub(super) fn repository_file(path: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    if !root.join("config").is_dir() {
        println!("NOT RUN: {path} is not part of this package");
        return None;
    }
    Some(root.join(path))
}

/// Name and text of every ready-made file.
pub(super) fn ready_made() -> Vec<(String, String)> {
    let files = repository_file("config").into_iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    files
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().ok()?;
            name.ends_with(".toml").then_some(name)
        })
        .map(|name| {
            let text = std::fs::read_to_string(repository_file("config")?.join(&name)).ok()?;
            Some((name, text))
        })
        .map(Option::unwrap)
        .collect()
}

#[test]
fn every_ready_made_configuration_is_accepted() {
    for (name, text) in ready_made() {
        let effective = accept(&Sources { files: vec![document(&name, &text)], ..Sources::default() });
        let warnings = effective.budget().warnings;
        assert!(warnings.is_empty(), "{name}: {warnings:?}");
    }
}

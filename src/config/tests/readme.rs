//! The README's reference of keys cannot drift: it is the vocabulary, row by row.

use crate::config::key::{Key, Shape, env_name, walk};
use crate::config::vocabulary::ROOT;

#[test]
fn the_readme_has_a_row_for_every_key() {
    let readme = include_str!("../../../README.md");
    let expected = reference();
    assert!(readme.contains(&expected), "put this into README.md, below the mark `reference`:\n\n{expected}");
}

/// One row a key; the handlers' keys once, since all four hooks have the same.
fn reference() -> String {
    let mut rows = String::from("| key | default | what it says |\n| --- | --- | --- |\n");
    walk(ROOT, &mut |path, key| {
        let path = match path.strip_prefix("lifecycle.") {
            Some(rest) => match rest.split_once('.') {
                Some(("preStart", key)) => format!("lifecycle.*.{key}"),
                Some(_) => return,
                None => path.to_owned(),
            },
            None => path.to_owned(),
        };
        rows.push_str(&row(&path, key));
    });
    rows
}

fn row(path: &str, key: &Key) -> String {
    let default = if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
    let about = key.about.replace('|', "\\|");
    let variable = match key.shape {
        Shape::One(_) if !path.contains('*') => format!("; `{}`", env_name(path)),
        _ => String::new(),
    };
    format!("| `{path}` | {default} | {about}{variable} |\n")
}

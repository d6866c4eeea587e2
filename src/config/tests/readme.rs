//! The README's reference of keys cannot drift: it is the vocabulary, row by row.

use crate::config::key::{Key, Shape, env_name, walk};
use crate::config::vocabulary::ROOT;

#[test]
fn the_readme_has_a_row_for_every_key() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let expected = reference();
    if std::env::var_os("BLESS").is_some() {
        let (before, rest) = readme.split_once(MARK).unwrap();
        let after = rest.lines().skip_while(|line| line.is_empty() || line.starts_with('|'));
        let after = after.map(|line| format!("{line}\n")).collect::<String>();
        std::fs::write(path, format!("{before}{MARK}\n{expected}\n{after}")).unwrap();
        return;
    }
    assert!(readme.contains(&expected), "not what the vocabulary says; run: BLESS=1 cargo test --lib readme");
}

/// What stands above the table.
const MARK: &str = "<!-- reference: made from the table of keys, and checked by a test -->\n";

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

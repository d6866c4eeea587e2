//! The reference of keys cannot drift: docs/keys.md and config/reference.toml are made from the vocabulary.
//! `BLESS=1 cargo test --lib readme` writes both.

use super::examples::values;
use super::*;
use crate::key::{ANY_NAME, Key, Role, Shape, env_name, find, join, walk};
use crate::vocabulary::ROOT;

#[test]
fn keys_and_reference_of_the_readme_are_what_the_vocabulary_says() {
    let mut stale = Vec::new();
    for (file, text) in [("docs/keys.md", keys_page()), ("config/reference.toml", reference_file())] {
        let Some(path) = super::files::repository_file(file) else { return };
        if std::fs::read_to_string(&path).is_ok_and(|there| there == text) {
            continue;
        }
        match std::env::var_os("BLESS") {
            Some(_) => std::fs::write(path, text).unwrap(),
            None => stale.push(file),
        }
    }
    assert!(stale.is_empty(), "not what the vocabulary says: {stale:?}; run: BLESS=1 cargo test --lib readme");
}

#[test]
fn the_reference_file_has_every_key_and_says_nothing_but_defaults() {
    let text = reference_file();
    assert_eq!(accept(&file(&text)).settings, crate::settings::Settings::default());
    walk(ROOT, &mut |path, key| {
        if !matches!(key.shape, Shape::Table(_) | Shape::Tables(_) | Shape::Named { .. }) {
            assert!(text.contains(&format!("{} = ", key.name)), "{path}");
        }
    });
}

#[test]
fn a_line_of_the_reference_and_the_header_above_it_are_keys_as_soon_as_the_hash_is_removed() {
    let (mut header, mut lines) = (String::new(), 0);
    for line in reference_file().lines().filter_map(|line| line.strip_prefix('#')) {
        if line.starts_with('[') {
            header = format!("{line}\n");
        } else if !line.starts_with(' ') {
            lines += 1;
            let Err(diagnostics) = load(&file(&format!("{header}{line}\n"))) else { continue };
            let told = diagnostics.to_string();
            assert!(!told.contains("unknown key") && !told.contains("TOML"), "{header}{line}\n{told}");
        }
    }
    assert!(lines > 70, "{lines}");
}

#[test]
fn every_default_of_the_reference_is_one_that_is_accepted_and_changes_nothing() {
    walk(ROOT, &mut |path, key| {
        if !key.default.is_empty() {
            let settings = |value: &str| accept(&file(&super::examples::document(ROOT, path, value))).settings;
            let (said, unsaid) = (settings(key.default), settings(""));
            if !KEPT_AS_SAID.contains(&path) {
                assert_eq!(said, unsaid, "{path} = {}; kept as said? add it to KEPT_AS_SAID", key.default);
            }
        }
    });
}

/// Defaults that stand where they are used: what is said is kept, and means the same.
const KEPT_AS_SAID: &[&str] = &["terminationMessagePath", "socket", "app.stopSignals"];

/// Walks every key once: a table that has (mostly) the keys of one before is told by its name, with what differs.
fn walk_once(visit: &mut dyn FnMut(Row<'_>)) {
    fn descend(
        prefix: &str,
        span: Span,
        keys: &mut dyn Iterator<Item = &'static Key>,
        told: &mut Vec<(&'static [Key], String)>,
        visit: &mut dyn FnMut(Row<'_>),
    ) {
        for key in keys {
            let path = join(prefix, key.name);
            let (inner, below) = match key.shape {
                Shape::Table(inner) => (inner, span),
                Shape::Tables(inner) | Shape::Named { keys: inner, .. } => (inner, Span::InAList),
                _ => (&[][..], span),
            };
            let path_below = match key.shape {
                Shape::Named { .. } => join(&path, ANY_NAME),
                _ => path.clone(),
            };
            let before = told.iter().find(|(known, _)| is_mostly(inner, known)).cloned();
            visit(Row { path: &path, key, span, same_as: before.as_ref().map(|(_, path)| path.as_str()) });
            match before {
                Some((known, _)) => {
                    let mut new = inner.iter().filter(|key| !has(known, key));
                    descend(&path_below, below, &mut new, told, visit);
                }
                None if inner.is_empty() => {}
                None => {
                    told.push((inner, path.clone()));
                    descend(&path_below, below, &mut inner.iter(), told, visit);
                }
            }
        }
    }
    descend("", Span::AtOnePlace, &mut ROOT.iter(), &mut Vec::new(), visit);
}

fn has(keys: &[Key], key: &Key) -> bool {
    keys.iter().any(|known| known.name == key.name && known.about == key.about && known.default == key.default)
}

fn is_mostly(keys: &[Key], known: &[Key]) -> bool {
    let common = keys.iter().filter(|key| has(known, key)).count();
    !keys.is_empty() && (keys.as_ptr() == known.as_ptr() || (common >= 3 && common * 2 > keys.len().max(known.len())))
}

struct Row<'a> {
    path: &'a str,
    key: &'static Key,
    span: Span,
    /// The table whose keys are the same.
    same_as: Option<&'a str>,
}

#[derive(Clone, Copy, PartialEq)]
enum Span {
    AtOnePlace,
    /// In a list of tables: no variable names it.
    InAList,
}

fn keys_page() -> String {
    let mut page = String::from(
        "# Every key\n\nMade from the table that the program reads them with. What does not fit into a line is told in \
         [configuration.md](configuration.md).\nA key without a default is unset. A scalar has a variable of its own; lists \
         and tables are said there in TOML.\n\n| key | default | what it says |\n| --- | --- | --- |\n",
    );
    walk_once(&mut |row| {
        let default = if row.key.default.is_empty() { String::new() } else { format!("`{}`", row.key.default) };
        let about = row.key.about.replace('|', "\\|");
        let more = match (row.key.shape, row.same_as) {
            (_, Some(path)) => format!("; keys as in `{path}`"),
            (Shape::One(_), _) if row.span == Span::AtOnePlace => format!("; `{}`", env_name(row.path)),
            _ => String::new(),
        };
        page.push_str(&format!("| `{}` | {default} | {about}{more} |\n", row.path));
    });
    page
}

fn reference_file() -> String {
    let mut text = String::from(
        "# Every key with its default, or with an example where nothing is the default (\"unset\"). Remove the # before a\n\
         # line, and before the header of its table, to say it. Made from the table that the program reads the keys with.\n",
    );
    // The keys of a list inside a table are told, not said: the line of the list shows them.
    let mut list = None;
    walk_once(&mut |row| {
        let (path, key) = (row.path, row.key);
        if matches!(key.shape, Shape::Tables(_)) && path.matches('.').count() > 1 {
            list = Some(format!("{path}."));
        }
        if list.as_ref().is_some_and(|list| path.starts_with(list)) {
            text.push_str(&format!("#   {}: {}\n", name_below_header(path), key.about));
            return;
        }
        let same = row.same_as.map(|path| format!("; keys as in {path}")).unwrap_or_default();
        let about = format!("# {}{same}\n", key.about);
        let name = name_below_header(path);
        match key.shape {
            Shape::Named { .. } => text.push_str(&format!("\n{about}#[{path}.{ANY_NAME}]\n")),
            Shape::Table(_) if !path.contains('.') => text.push_str(&format!("\n{about}#[{path}]\n")),
            Shape::Tables(_) if path.matches('.').count() == 1 => text.push_str(&format!("\n{about}#[[{path}]]\n")),
            Shape::Table(_) => {
                let either = matches!(key.role, Role::OneOf(_)).then_some(" (one of its kind)").unwrap_or_default();
                text.push_str(&format!("\n# {name}{either}: {}{same}\n", key.about));
            }
            _ => {
                let shown = values(key.shape).into_iter().next().unwrap_or_default();
                let (value, unset) = match (key.default, key.role) {
                    ("", Role::Optional) => (shown, "  # unset"),
                    ("", _) => (shown, "  # needed where its table is"),
                    (default, _) => (default.to_owned(), ""),
                };
                text.push_str(&format!("{about}#{name} = {value}{unset}\n"));
            }
        }
    });
    text
}

/// The key as it stands below the header of its table: `exec.command` below `[[lifecycle.preStart]]`.
fn name_below_header(path: &str) -> &str {
    let (first, rest) = path.split_once('.').unwrap_or(("", path));
    match (first, find(ROOT, first).map(|key| key.shape)) {
        (_, Some(Shape::Named { .. })) => rest.split_once('.').map_or(rest, |(_, name)| name),
        ("lifecycle", _) => rest.split_once('.').map_or(rest, |(_, name)| name),
        _ => rest,
    }
}

//! The reference of keys is current: docs/keys.md and config/reference.toml are made from the vocabulary.
//! `BLESS=1 cargo test -p bookend-config reference` writes both.

use super::examples::{SHOWN, document as one_key, shown};
use super::*;
use crate::key::{ANY_NAME, Key, Role, Shape, env_name, find, walk};
use crate::toml_text::join;
use crate::vocabulary::ROOT;

#[test]
fn the_reference_in_the_repository_is_current() {
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
    assert!(stale.is_empty(), "not current: {stale:?}; run: BLESS=1 cargo test -p bookend-config reference");
}

#[test]
fn the_reference_file_has_every_key_and_sets_none() {
    let text = reference_file();
    assert_eq!(accept(&file(&text)).settings, crate::settings::Settings::default());
    walk(ROOT, &mut |path, key| {
        if key.is_documented() && !matches!(key.shape, Shape::Table(_) | Shape::Tables(_) | Shape::Named { .. }) {
            assert!(text.contains(&format!("{} = ", key.name)), "{path}");
        }
    });
}

#[test]
fn a_key_of_the_reference_is_set_when_its_hash_is_removed() {
    let (mut header, mut lines) = (String::new(), 0);
    for line in reference_file().lines().filter_map(|line| line.strip_prefix('#')) {
        if line.starts_with('[') {
            header = format!("{line}\n");
        } else if !line.starts_with(' ') {
            lines += 1;
            let Err(diagnostics) = load(&file(&format!("{header}{line}\n"))) else { continue };
            let shown = diagnostics.to_string();
            assert!(!shown.contains("unknown key") && !shown.contains("TOML"), "{header}{line}\n{shown}");
        }
    }
    assert!(lines > 70, "{lines}");
}

#[test]
fn every_default_of_the_reference_changes_nothing() {
    walk(ROOT, &mut |path, key| {
        if !key.default.is_empty() {
            let settings = |value: &str| accept(&file(&one_key(ROOT, path, value))).settings;
            let (set, unset) = (settings(key.default), settings(""));
            if !KEPT.contains(&path) {
                assert_eq!(
                    set, unset,
                    "{path} = {}; if settings keep this default as a value, add it to KEPT",
                    key.default
                );
            }
        }
    });
}

/// The settings keep these defaults as values: the code that uses them has the same default for "unset".
const KEPT: &[&str] = &["terminationMessagePath", "terminationMessageBytes", "socket", "app.stopSignals"];

#[test]
fn every_key_without_a_default_has_an_example_that_is_accepted() {
    let mut used = Vec::new();
    walk_once(&mut |row| {
        let is_table = matches!(row.key.shape, Shape::Table(_) | Shape::Named { .. });
        let is_list_of_handlers = matches!(row.key.shape, Shape::Tables(_)) && row.path.matches('.').count() <= 1;
        let is_in_a_list = row.path.contains("httpHeaders.");
        if is_table || is_list_of_handlers || is_in_a_list || !row.key.default.is_empty() {
            return;
        }
        let value = shown(row.path, row.key.shape);
        if !row.path.starts_with("containers.") {
            accept(&file(&one_key(ROOT, row.path, &value)));
        }
        used.push(value);
    });
    for (end, value) in SHOWN {
        assert!(used.iter().any(|used| used == value), "not used: {end}");
    }
}

#[test]
fn a_drain_is_documented_in_pre_stop_alone() {
    let page = keys_page();
    assert!(page.contains("`lifecycle.preStop.drain.minSeconds`"));
    for list in ["preStart", "postStart", "postStop"] {
        assert!(!page.contains(&format!("`lifecycle.{list}.drain")), "{list}");
    }
}

/// Visits every documented key once: a table that has mostly the keys of an earlier one is visited with its name, and
/// with the keys that differ.
fn walk_once(visit: &mut dyn FnMut(Row<'_>)) {
    fn descend(
        prefix: &str,
        position: Position,
        keys: &mut dyn Iterator<Item = &'static Key>,
        known: &mut Vec<(&'static [Key], String)>,
        visit: &mut dyn FnMut(Row<'_>),
    ) {
        for key in keys.filter(|key| key.is_documented()) {
            let path = join(prefix, key.name);
            let (inner, below) = match key.shape {
                Shape::Table(inner) => (inner, position),
                Shape::Tables(inner) | Shape::Named { keys: inner, .. } => (inner, Position::InAList),
                _ => (&[][..], position),
            };
            let path_below = match key.shape {
                Shape::Named { .. } => join(&path, ANY_NAME),
                _ => path.clone(),
            };
            let before = known.iter().find(|(earlier, _)| is_mostly(inner, earlier)).cloned();
            visit(Row { path: &path, key, position, same_as: before.as_ref().map(|(_, path)| path.as_str()) });
            match before {
                Some((earlier, _)) => {
                    let mut new = inner.iter().filter(|key| !has(earlier, key));
                    descend(&path_below, below, &mut new, known, visit);
                }
                None if inner.is_empty() => {}
                None => {
                    known.push((inner, path.clone()));
                    descend(&path_below, below, &mut inner.iter(), known, visit);
                }
            }
        }
    }
    descend("", Position::AtOnePlace, &mut ROOT.iter(), &mut Vec::new(), visit);
}

fn has(keys: &[Key], key: &Key) -> bool {
    keys.iter().any(|known| {
        known.is_documented() && known.name == key.name && known.about == key.about && known.default == key.default
    })
}

fn is_mostly(keys: &[Key], known: &[Key]) -> bool {
    let common = keys.iter().filter(|key| has(known, key)).count();
    !keys.is_empty() && (keys.as_ptr() == known.as_ptr() || (common >= 3 && common * 2 > keys.len().max(known.len())))
}

struct Row<'a> {
    path: &'a str,
    key: &'static Key,
    position: Position,
    /// The table with the same keys.
    same_as: Option<&'a str>,
}

#[derive(Clone, Copy, PartialEq)]
enum Position {
    AtOnePlace,
    /// In a list of tables: it has no variable.
    InAList,
}

fn keys_page() -> String {
    let mut page = String::from(
        "# Every key\n\nThis page is generated from the table that the program reads its keys with. \
         [configuration.md](configuration.md) has what does not fit into one line.\nA key without a default is unset. \
         The environment variable of each scalar is shown; a list or a table has one as well, whose value is \
         written in TOML.\n\n| key | default | meaning |\n| --- | --- | --- |\n",
    );
    walk_once(&mut |row| {
        let default = if row.key.default.is_empty() { String::new() } else { format!("`{}`", row.key.default) };
        let about = row.key.about.replace('|', "\\|");
        let more = match (row.key.shape, row.same_as) {
            (_, Some(path)) => format!("; keys as in `{path}`"),
            (Shape::One(_), _) if row.position == Position::AtOnePlace => format!("; `{}`", env_name(row.path)),
            _ => String::new(),
        };
        page.push_str(&format!("| `{}` | {default} | {about}{more} |\n", row.path));
    });
    page
}

fn reference_file() -> String {
    let mut text = String::from(
        "# Every key with its default, or with an example if it has no default (\"unset\"). To set a key, remove the # before\n\
         # its line and before the header of its table. Generated from the table that the program reads its keys with.\n",
    );
    // The keys of a list inside a table are described only: the line of the list shows them.
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
            Shape::Tables(_) if path.matches('.').count() <= 1 => text.push_str(&format!("\n{about}#[[{path}]]\n")),
            Shape::Table(_) => {
                let either =
                    matches!(key.role, Role::OneOf(_)).then_some(" (exactly one of these)").unwrap_or_default();
                text.push_str(&format!("\n# {name}{either}: {}{same}\n", key.about));
            }
            _ => {
                let shown = shown(path, key.shape);
                let (value, unset) = match (key.default, key.role) {
                    ("", Role::Optional) => (shown, "  # unset"),
                    ("", _) => (shown, "  # required in its table"),
                    (default, _) => (default.to_owned(), ""),
                };
                text.push_str(&format!("{about}#{name} = {value}{unset}\n"));
            }
        }
    });
    text
}

/// The key below the header of its table: `exec.command` below `[[lifecycle.preStart]]`.
fn name_below_header(path: &str) -> &str {
    let (first, rest) = path.split_once('.').unwrap_or(("", path));
    match (first, find(ROOT, first).map(|key| key.shape)) {
        (_, Some(Shape::Named { .. })) => rest.split_once('.').map_or(rest, |(_, name)| name),
        ("lifecycle", _) => rest.split_once('.').map_or(rest, |(_, name)| name),
        _ => rest,
    }
}

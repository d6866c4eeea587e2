//! A key of the configuration: its name, the shape of its value, its default and one line about it. The vocabulary is in
//! `vocabulary.rs`; everything that has to know which keys exist (reading, "did you mean", the environment's names,
//! `check`, the schema, the reference) walks these types and nothing else.

use crate::scalar::Scalar;
use crate::toml_text::join;

/// One key of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    /// As a Pod spec spells it: camelCase.
    pub(crate) name: &'static str,
    /// The form of its value.
    pub(crate) shape: Shape,
    /// Whether it must, may or must not stand beside others.
    pub(crate) role: Role,
    /// The default as TOML text; empty where unset has a meaning of its own, which `about` describes.
    pub(crate) default: &'static str,
    /// One line for the schema and the reference: what it does, with its unit.
    pub(crate) about: &'static str,
    /// Why the key has no use at this place; empty if it has one. A key without use is accepted with this warning and is not documented.
    pub(crate) warning: &'static str,
}

/// The form of a value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// One scalar: also an environment variable with the bare text.
    One(Scalar),
    /// A list of scalars; a later layer replaces it as a whole.
    List(Scalar),
    /// A table with names of the user's choice; layers merge by name.
    Map {
        /// The kind of the names.
        names: Scalar,
        /// The kind of the values.
        values: Scalar,
    },
    /// A table with known keys; layers merge by key.
    Table(&'static [Key]),
    /// A table with names of the user's choice, each a table with known keys; layers merge by name and key.
    Named {
        /// The kind of the names.
        names: Scalar,
        /// The keys of each.
        keys: &'static [Key],
    },
    /// One table or a list of tables; a later layer replaces it as a whole.
    Tables(&'static [Key]),
}

impl Shape {
    /// The form in words.
    pub(crate) fn accepts(self) -> String {
        match self {
            Shape::One(scalar) => scalar.accepts(),
            Shape::List(Scalar::Text) => "a list of strings like [\"program\", \"argument\"]".to_owned(),
            Shape::List(scalar) => format!("a list, each {}", scalar.accepts()),
            Shape::Map { .. } => "a table like { name = value }".to_owned(),
            Shape::Named { .. } => "a table of tables like { name = { ... } }".to_owned(),
            Shape::Table(_) => "a table".to_owned(),
            Shape::Tables(_) => "a table or a list of tables".to_owned(),
        }
    }

    /// Whether it is a table with known keys, or several.
    pub(crate) fn has_keys(self) -> bool {
        match self {
            Shape::One(_) | Shape::List(_) | Shape::Map { .. } => false,
            Shape::Table(_) | Shape::Named { .. } | Shape::Tables(_) => true,
        }
    }
}

/// How a key relates to the others of its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// May be absent.
    Optional,
    /// Must be there if the table is.
    Required,
    /// Exactly one of the keys with this role must be there: the kinds of a handler. The noun they have in common.
    OneOf(&'static str),
}

impl Key {
    /// A key that may be absent.
    pub(crate) const fn new(name: &'static str, shape: Shape, default: &'static str, about: &'static str) -> Key {
        Key { name, shape, role: Role::Optional, default, about, warning: "" }
    }

    /// A key that its table requires.
    pub(crate) const fn required(name: &'static str, shape: Shape, about: &'static str) -> Key {
        Key { name, shape, role: Role::Required, default: "", about, warning: "" }
    }

    /// One of several keys of which exactly one must be there; `noun` is what they have in common.
    pub(crate) const fn one_of(noun: &'static str, name: &'static str, shape: Shape, about: &'static str) -> Key {
        Key { name, shape, role: Role::OneOf(noun), default: "", about, warning: "" }
    }

    /// The same, for a key that has no use at this place.
    pub(crate) const fn useless(self, warning: &'static str) -> Key {
        Key { warning, ..self }
    }

    /// Whether the reference shows it.
    pub(crate) fn is_documented(&self) -> bool {
        self.warning.is_empty()
    }
}

/// One table made of parts, put together by the compiler: `static TABLE: &[Key] = keys![PART, &[KEY], OTHER];`
macro_rules! keys {
    ($($part:expr),+ $(,)?) => {{
        const PARTS: &[&[Key]] = &[$($part),+];
        const ALL: [Key; crate::key::total(PARTS)] = crate::key::concat(PARTS);
        &ALL
    }};
}

pub(crate) use keys;

/// How many keys there are in the parts.
#[expect(clippy::indexing_slicing, reason = "the compiler evaluates it and rejects a wrong index")]
pub(crate) const fn total(parts: &[&[Key]]) -> usize {
    let (mut total, mut part) = (0, 0);
    while part < parts.len() {
        total += parts[part].len();
        part += 1;
    }
    total
}

/// The keys of the parts, one after another.
#[expect(clippy::indexing_slicing, reason = "the compiler evaluates it and rejects a wrong index")]
pub(crate) const fn concat<const N: usize>(parts: &[&[Key]]) -> [Key; N] {
    let mut all = [Key::new("", Shape::Table(&[]), "", ""); N];
    let (mut at, mut part) = (0, 0);
    while part < parts.len() {
        let mut index = 0;
        while index < parts[part].len() {
            all[at] = parts[part][index];
            at += 1;
            index += 1;
        }
        part += 1;
    }
    all
}

/// The key of this name in a table.
pub(crate) fn find(keys: &'static [Key], name: &str) -> Option<&'static Key> {
    keys.iter().find(|key| key.name == name)
}

/// Calls `visit` with the path of every key, tables before what they hold. Keys inside a list of
/// tables have the list's path as their parent: `lifecycle.preStop.exec.command`; those of a table with a name of the
/// user's choice have [`ANY_NAME`] in theirs.
pub(crate) fn walk(keys: &'static [Key], visit: &mut dyn FnMut(&str, &'static Key)) {
    fn descend(prefix: &str, keys: &'static [Key], visit: &mut dyn FnMut(&str, &'static Key)) {
        for key in keys {
            let path = join(prefix, key.name);
            visit(&path, key);
            match key.shape {
                Shape::Table(inner) | Shape::Tables(inner) => descend(&path, inner, visit),
                Shape::Named { keys, .. } => descend(&join(&path, ANY_NAME), keys, visit),
                Shape::One(_) | Shape::List(_) | Shape::Map { .. } => {}
            }
        }
    }
    descend("", keys, visit);
}

/// Stands for the user's name in the path of a key.
pub(crate) const ANY_NAME: &str = "NAME";

/// The variable that sets the key of this path: `BOOKEND_` and the path in SCREAMING_SNAKE.
pub(crate) fn env_name(path: &str) -> String {
    let mut name = String::from("BOOKEND_");
    for c in path.chars() {
        match c {
            '.' => name.push('_'),
            c if c.is_ascii_uppercase() => {
                name.push('_');
                name.push(c);
            }
            c => name.push(c.to_ascii_uppercase()),
        }
    }
    name
}

/// Whether a variable sets the key of this path. Keys in a list and keys with a name of the user's choice have none.
pub(crate) fn has_variable(mut keys: &'static [Key], path: &str) -> bool {
    let mut names = path.split('.');
    while let Some(name) = names.next() {
        match find(keys, name).map(|key| key.shape) {
            Some(Shape::Table(inner)) => keys = inner,
            Some(_) => return names.next().is_none(),
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::ROOT;

    #[test]
    fn keys_in_lists_and_named_tables_have_no_variable() {
        let has = |path| has_variable(ROOT, path);
        assert!(has("http.listen") && has("lifecycle.preStop") && has("livenessProbe.httpGet.path"));
        assert!(!has("lifecycle.preStop.httpGet.caFile") && !has("lifecycle.preStop[0].httpGet.caFile"));
        assert!(!has("app.env.HOME") && !has("http.unknown.listen"));
    }

    #[test]
    fn environment_names_are_the_key_path_in_screaming_snake() {
        assert_eq!(env_name("http.listen"), "BOOKEND_HTTP_LISTEN");
        assert_eq!(env_name("terminationGracePeriodSeconds"), "BOOKEND_TERMINATION_GRACE_PERIOD_SECONDS");
        assert_eq!(env_name("app.stopSignal"), "BOOKEND_APP_STOP_SIGNAL");
        assert_eq!(env_name("log.level"), "BOOKEND_LOG_LEVEL");
    }
}

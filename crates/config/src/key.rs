//! What a key of the configuration is: its name, the shape of its value, its default and one line
//! about it. The vocabulary itself stands in `vocabulary.rs`; everything that has to know which keys
//! exist (reading, "did you mean", the environment's names, `check`, the schema, the README's
//! reference) walks these types and nothing else. Pure; depends on nothing of ours.

use super::kind::Scalar;
use bookend_lifecycle::printable::is_printable;

/// One key of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// As a Pod spec spells it: camelCase.
    pub(super) name: &'static str,
    /// What its value looks like.
    pub(super) shape: Shape,
    /// Whether it must, may or must not stand beside others.
    pub(super) role: Role,
    /// The default as TOML text; empty where unset means something of its own, told in `about`.
    pub(super) default: &'static str,
    /// One line for the schema and the reference: what it does, with its unit.
    pub(super) about: &'static str,
}

/// What a value looks like.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// One scalar: also an environment variable with the bare text.
    One(Scalar),
    /// A list of scalars; a later layer replaces it as a whole.
    List(Scalar),
    /// A table with names of the user's choice; layers merge by name.
    Map {
        /// What the names are.
        names: Scalar,
        /// What stands on the right.
        values: Scalar,
    },
    /// A table with known keys; layers merge by key.
    Table(&'static [Key]),
    /// A table with names of the user's choice, each a table with known keys; layers merge by name and key.
    Named {
        /// What the names are.
        names: Scalar,
        /// What each of them has.
        keys: &'static [Key],
    },
    /// One table or a list of tables; a later layer replaces it as a whole.
    Tables(&'static [Key]),
}

impl Shape {
    /// Whether it is a table with known keys, or several.
    pub(super) fn has_keys(self) -> bool {
        match self {
            Shape::One(_) | Shape::List(_) | Shape::Map { .. } => false,
            Shape::Table(_) | Shape::Named { .. } | Shape::Tables(_) => true,
        }
    }
}

/// How a key relates to the others of its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// May be absent.
    Optional,
    /// Must be there if the table is.
    Required,
    /// Exactly one of the keys with this role must be there: the kinds of a handler. The noun they have in common.
    OneOf(&'static str),
}

impl Key {
    /// A key that may be absent.
    pub(super) const fn new(name: &'static str, shape: Shape, default: &'static str, about: &'static str) -> Key {
        Key { name, shape, role: Role::Optional, default, about }
    }

    /// A key its table cannot do without.
    pub(super) const fn required(name: &'static str, shape: Shape, about: &'static str) -> Key {
        Key { name, shape, role: Role::Required, default: "", about }
    }

    /// A kind of handler: one table of its own.
    pub(super) const fn one_of(name: &'static str, keys: &'static [Key], about: &'static str) -> Key {
        Key::either("handler", name, Shape::Table(keys), about)
    }

    /// One of several keys of which exactly one must be there; `noun` is what they have in common.
    pub(super) const fn either(noun: &'static str, name: &'static str, shape: Shape, about: &'static str) -> Key {
        Key { name, shape, role: Role::OneOf(noun), default: "", about }
    }
}

/// The key of this name in a table.
pub(super) fn find(keys: &'static [Key], name: &str) -> Option<&'static Key> {
    keys.iter().find(|key| key.name == name)
}

/// Calls `visit` with the path of every key, tables before what they hold. Keys inside a list of
/// tables have the list's path as their parent: `lifecycle.preStop.exec.command`; those of a table with a name of the
/// user's choice have [`ANY_NAME`] in theirs.
pub(super) fn walk(keys: &'static [Key], visit: &mut dyn FnMut(&str, &'static Key)) {
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
pub(super) const ANY_NAME: &str = "NAME";

/// `prefix.name`, with the name quoted where TOML demands it. Without `format!`: the keys of a configuration are joined
/// while the app waits to be started.
pub(super) fn join(prefix: &str, name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let mut path = String::with_capacity(prefix.len() + 1 + name.len());
    path.push_str(prefix);
    if !prefix.is_empty() {
        path.push('.');
    }
    if bare {
        path.push_str(name)
    } else {
        path.push_str(&quote(name))
    }
    path
}

/// A TOML basic string.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if !is_printable(c) => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The variable that says the key of this path: `BOOKEND_` and the path in SCREAMING_SNAKE.
pub(super) fn env_name(path: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_names_are_the_key_path_in_screaming_snake() {
        assert_eq!(env_name("http.listen"), "BOOKEND_HTTP_LISTEN");
        assert_eq!(env_name("terminationGracePeriodSeconds"), "BOOKEND_TERMINATION_GRACE_PERIOD_SECONDS");
        assert_eq!(env_name("app.stopSignal"), "BOOKEND_APP_STOP_SIGNAL");
        assert_eq!(env_name("log.level"), "BOOKEND_LOG_LEVEL");
    }

    #[test]
    fn names_that_toml_cannot_write_bare_are_quoted() {
        assert_eq!(join("app.env", "A_b-1"), "app.env.A_b-1");
        assert_eq!(join("app.env", "a.b"), "app.env.\"a.b\"");
        assert_eq!(join("", "\u{1b}"), "\"\\u001B\"");
    }
}

//! Text that TOML reads back: quoted strings and key paths.

use bookend_lifecycle::printable::is_printable;

/// A TOML basic string.
pub(crate) fn quote(text: &str) -> String {
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

/// `prefix.name`, with the name quoted where TOML requires it. Without `format!`: the keys of a configuration are joined
/// while the app waits to be started.
pub(crate) fn join(prefix: &str, name: &str) -> String {
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

/// The last name of a path, as it stands there: `exec` of `lifecycle.preStop[0].exec`, `preStop[0]` of its parent.
pub(crate) fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or_default()
}

/// The first name of a path, unquoted: what `join` has put there.
pub(crate) fn first_name(path: &str) -> String {
    let Some(quoted) = path.strip_prefix('"') else {
        return path.split(['.', '[']).next().unwrap_or_default().to_owned();
    };
    let mut name = String::new();
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => match chars.next() {
                Some('n') => name.push('\n'),
                Some('t') => name.push('\t'),
                Some('u') => {
                    let code: String = chars.by_ref().take(4).collect();
                    name.extend(u32::from_str_radix(&code, 16).ok().and_then(char::from_u32));
                }
                Some(other) => name.push(other),
                None => break,
            },
            c => name.push(c),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_toml_cannot_write_bare_are_quoted() {
        assert_eq!(join("app.env", "A_b-1"), "app.env.A_b-1");
        assert_eq!(join("app.env", "a.b"), "app.env.\"a.b\"");
        assert_eq!(join("", "\u{1b}"), "\"\\u001B\"");
    }

    #[test]
    fn a_joined_name_is_read_back() {
        for name in ["A", "a.b", "q\"\\", "new\nline", "tab\t", "\u{1b}", "ä", ""] {
            assert_eq!(first_name(&join("", name)), name);
        }
    }
}

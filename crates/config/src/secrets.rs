//! Which values may be secrets. Diagnostics and `bookend check` show the key of such a value and never the value itself,
//! because both are read where logs are kept. Errs on the side of hiding. Depends on nothing.

use std::borrow::Cow;

/// Stands for a secret.
pub(crate) const MASK: &str = "********";

/// Whether the name of a key, a variable or a header suggests that its value is a secret.
pub(crate) fn suggests_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    WORDS.iter().any(|word| name.contains(word))
}

/// Parts of such names, in lower case.
const WORDS: &[&str] = &[
    "auth",
    "bearer",
    "connectionstring",
    "connection_string",
    "cookie",
    "credential",
    "dsn",
    "jwt",
    "key",
    "pass",
    "private",
    "pwd",
    "salt",
    "secret",
    "session",
    "signature",
    "token",
    "webhook",
];

/// Whether all values of a table of this name may be secrets: environments and headers.
pub(crate) fn is_secret_table(name: &str) -> bool {
    ["env", "envfrom", "environment", "headers", "httpheaders"].iter().any(|table| name.eq_ignore_ascii_case(table))
}

/// Whether the value at this key path may be a secret.
pub(crate) fn is_secret(path: &str) -> bool {
    path.split('.').any(|name| {
        let name = name.trim_matches('"').split('[').next().unwrap_or_default();
        is_secret_table(name) || suggests_secret(name)
    })
}

/// Whether a text that is not valid TOML may hold a secret: one of the names above is somewhere in it, or a URL with a
/// user. Ignores all other characters, because a misplaced quote may stand inside of the name.
pub(crate) fn mentions_secret(text: &str) -> bool {
    let folded: String = text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let words = WORDS.iter().map(|word| word.replace('_', "")).chain(["env", "header"].map(str::to_owned));
    text.contains('@') || words.into_iter().any(|word| folded.contains(&word))
}

/// Whether a diagnostic may show this value. A missing quote makes a value of the lines that follow it, so a secret may be
/// part of any value: in the text of more than one line, or beside a name that suggests it.
pub(crate) fn may_be_shown(text: &str) -> bool {
    let is_path = text.starts_with('/') && !text.contains(|c: char| c.is_whitespace() || "=\"'".contains(c));
    is_path || !(text.contains('\n') || mentions_secret(text))
}

/// A value as a message may show it.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    match may_be_shown(text) {
        true => without_secrets(text),
        false => "a string that may hold a secret".into(),
    }
}

/// A text of a person as it may be shown: without the value after `password=`, the user of a URL and the like.
pub fn without_secrets(text: &str) -> Cow<'_, str> {
    redact(text).map_or(text.into(), Cow::Owned)
}

/// The words of a command as they may be shown.
pub fn command_without_secrets(words: &[String]) -> String {
    let before = std::iter::once(None).chain(words.iter().map(|word| Some(word.as_str())));
    let shown = words.iter().zip(before).map(|(word, before)| argument(before, word).unwrap_or_else(|| word.clone()));
    shown.collect::<Vec<_>>().join(" ")
}

/// The text without its secrets: the value after `password=` or `Authorization:`, the user of a URL and its query.
/// `None`: there is nothing to hide.
pub(crate) fn redact(text: &str) -> Option<String> {
    // Almost all texts: found out without an allocation.
    if !text.contains(['=', ':', '@']) {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    for word in text.split_inclusive(|c: char| c.is_whitespace() || c == '"' || c == '\'') {
        out.push_str(&without_user_and_query(word));
    }
    if let Some(at) = assignment(&out) {
        out.truncate(at);
        out.push_str(MASK);
    }
    (out != text).then_some(out)
}

/// The start of the value in the first assignment to a suspicious name. A value that is a path or nothing but a
/// reference (`$(VAR)`) is not a secret.
fn assignment(text: &str) -> Option<usize> {
    text.match_indices(['=', ':']).find_map(|(at, _)| {
        let before = text.get(..at)?.trim_end_matches(|c: char| c.is_whitespace() || c == '"' || c == '\'');
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let name = before.get(before.trim_end_matches(is_of_name).len()..)?;
        let value = text.get(at + 1..)?;
        let is_reference = value.starts_with("$(") && value.ends_with(')') && value.matches('$').count() == 1;
        let is_harmless = value.trim().is_empty() || value.starts_with('/') || is_reference;
        (suggests_secret(name) && !is_harmless).then_some(at + 1)
    })
}

/// `scheme://user:password@host/path?query` without user and query; `user:password@host` likewise.
fn without_user_and_query(word: &str) -> String {
    let (before, rest) = match word.find("://") {
        Some(at) => word.split_at(at + 3),
        None => word.split_at(word.find('=').map_or(0, |at| at + 1)),
    };
    let is_url = before.ends_with("://");
    // A password may contain an `@` or a `/` that should have been encoded.
    let (user, rest) = match rest.rfind('@') {
        Some(at) if is_url || rest.get(..at).is_some_and(|user| user.contains(':')) => (MASK, rest.get(at..)),
        _ => ("", Some(rest)),
    };
    let rest = rest.unwrap_or_default();
    match rest.find('?') {
        Some(at) if is_url => {
            let end = rest.trim_end_matches(|c: char| c.is_whitespace() || c == '"' || c == '\'').len();
            let tail = rest.get(end..).unwrap_or_default();
            format!("{before}{user}{}?{MASK}{tail}", rest.get(..at).unwrap_or_default())
        }
        _ => format!("{before}{user}{rest}"),
    }
}

/// Whether this argument of a program is an option whose value, the next argument, is a secret: `--password`.
pub(crate) fn takes_secret(argument: &str) -> bool {
    argument.starts_with('-') && !argument.contains('=') && suggests_secret(argument)
}

/// An argument of a program as it may be shown. `before`: the argument before it.
pub(crate) fn argument(before: Option<&str>, argument: &str) -> Option<String> {
    let is_value = !argument.starts_with(['-', '/']) && !argument.is_empty();
    match before.is_some_and(takes_secret) && is_value {
        true => Some(MASK.to_owned()),
        false => redact(argument),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_suggest_a_secret_are_recognised() {
        for name in ["DB_PASSWORD", "API_KEY", "githubToken", "Authorization", "PGPASS", "SENTRY_DSN", "X-Auth", "pwd"]
        {
            assert!(suggests_secret(name), "{name}");
        }
        for name in ["PORT", "HOME", "LANG", "LISTEN", "POD_IP", "TZ"] {
            assert!(!suggests_secret(name), "{name}");
        }
    }

    #[test]
    fn paths_below_an_environment_are_secret() {
        for path in
            ["app.env.LANG", "lifecycle.preStop[0].exec.env.\"a.b\"", "app.env", "http.tokenFile", "a.environment"]
        {
            assert!(is_secret(path), "{path}");
        }
        for path in ["app.command", "http.listen", "lifecycle.preStop[1].httpGet.path", ""] {
            assert!(!is_secret(path), "{path}");
        }
    }

    #[test]
    fn secrets_inside_a_text_are_masked() {
        for (text, shown) in [
            ("postgres://u:hunter2@db:5432/app?sslmode=off", "postgres://********@db:5432/app?********"),
            ("https://hunter2@example.com", "https://********@example.com"),
            ("https://example.com/x?hunter2", "https://example.com/x?********"),
            ("http://u:p/q@h/", "http://********@h/"),
            ("u:hunter2@tcp(db)/app", "********@tcp(db)/app"),
            ("--password=hunter2", "--password=********"),
            ("srv --db-password=hunter2 --port=80", "srv --db-password=********"),
            ("Authorization: Bearer hunter2", "Authorization:********"),
            ("{\"token\": \"hunter2\"}", "{\"token\":********"),
            ("/drain?token=hunter2", "/drain?token=********"),
            ("--db=postgres://u:hunter2@db/", "--db=postgres://********@db/"),
            ("dsn=u:hunter2@db", "dsn=********"),
            ("x=u:hunter2@db", "x=********@db"),
        ] {
            assert_eq!(redact(text).as_deref(), Some(shown), "{text}");
        }
        for text in
            ["/drain?wait=1", "http://example.com/", "--key=/etc/tls.key", "TOKEN=$(TOKEN)", "a=b", "me@host", ""]
        {
            assert_eq!(redact(text), None, "{text}");
        }
    }

    #[test]
    fn the_argument_after_a_password_option_is_masked() {
        assert_eq!(argument(Some("--password"), "hunter2").as_deref(), Some(MASK));
        assert_eq!(argument(Some("--key"), "/etc/tls.key"), None);
        assert_eq!(argument(Some("--port"), "80"), None);
        assert_eq!(argument(Some("-c"), "x --token=y").as_deref(), Some("x --token=********"));
    }
}

//! The variables that a preStart handler sets: it writes TOML to descriptor 3, one `KEY = "value"` a line. A value may be
//! a secret, so no error shows one.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::document::DUPLICATE;
use crate::scalar::Scalar;
use crate::secrets::MASK;
use crate::source::{Span, in_order, line_and_column};
use crate::toml_text::quote;
use crate::value::type_of;

/// Reads all pairs, in the order they were written.
///
/// # Errors
/// One sentence for each error, with its line and key: `line 2: PORT: a number is not a string`.
pub fn read(bytes: &[u8]) -> Result<Vec<(String, String)>, Vec<String>> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        vec![format!("line {}: not UTF-8", before.iter().filter(|b| **b == b'\n').count() + 1)]
    })?;
    let line = |at: usize| line_and_column(text, at).0;
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.iter().any(|error| error.message() != DUPLICATE) {
        // The parser guesses where a value ends, and may take a part of it for a key: only the lines are reported.
        let syntax = errors.iter().map(|error| {
            let at = line(error.span().unwrap_or(0..0).start);
            format!("line {at}: invalid TOML: {}; accepted: KEY = \"value\"", error.message())
        });
        return Err(syntax.collect());
    }
    let duplicates = errors.iter().map(|error| {
        let span = error.span().unwrap_or(0..0);
        (
            span.start,
            format!("line {}: {DUPLICATE} {}", line(span.start), shown(text.get(span).unwrap_or_default().trim())),
        )
    });
    let mut errors: Vec<(usize, String)> = duplicates.collect();
    let mut pairs: Vec<(usize, String, String)> = Vec::new();
    for (name, value) in table.get_ref() {
        let at = name.span().start;
        match pair(name.get_ref(), value) {
            Ok(value) => pairs.push((at, name.get_ref().to_string(), value)),
            Err(why) => errors.push((at, format!("line {}: {}: {why}", line(at), shown(name.get_ref())))),
        }
    }
    if errors.is_empty() {
        let pairs = in_order(pairs, |(at, ..)| Span::at(*at));
        return Ok(pairs.into_iter().map(|(_, name, value)| (name, value)).collect());
    }
    Err(in_order(errors, |(at, _)| Span::at(*at)).into_iter().map(|(_, sentence)| sentence).collect())
}

/// The name in a message. `"PASSWORD=hunter2" = ""`: it holds the value.
fn shown(name: &str) -> String {
    match name.split_once('=') {
        Some((name, _)) => quote(&[name, "=", MASK].concat()),
        None => quote(name),
    }
}

fn pair(name: &str, value: &Spanned<DeValue<'_>>) -> Result<String, String> {
    let is_name = Scalar::Variable.read(&DeValue::String(name.into())).is_ok();
    if !is_name {
        return Err("not the name of an environment variable".to_owned());
    }
    match value.get_ref() {
        DeValue::String(text) if text.contains('\0') => Err("the value contains a NUL byte".to_owned()),
        DeValue::String(text) => Ok(text.to_string()),
        other => Err(format!("{} is not a string; put the value in quotes", type_of(other))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn refused(text: &str, expected: &[&str]) {
        assert_eq!(read(text.as_bytes()).unwrap_err(), expected, "{text}");
    }

    #[test]
    fn variables_keep_the_order_they_were_written_in() {
        let text = "# a comment\nB = \"2\"\nA = '$(B)'\n\n\"odd name\" = \"\"\"two\nlines\"\"\"\n";
        let pairs = [("B", "2"), ("A", "$(B)"), ("odd name", "two\nlines")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(read(text.as_bytes()).unwrap(), pairs);
        assert_eq!(read(b"").unwrap(), []);
    }

    #[test]
    fn an_error_has_its_line_and_key_and_no_value() {
        refused(
            "A = \"1\"\nPORT = 8080\nB = true\n[C]\nD = 1\n",
            &[
                "line 2: \"PORT\": a number is not a string; put the value in quotes",
                "line 3: \"B\": true or false without quotes is not a string; put the value in quotes",
                "line 4: \"C\": a table is not a string; put the value in quotes",
            ],
        );
        refused("A = \"hunter2\"\nA = \"hunter3\"", &["line 2: duplicate key \"A\""]);
        refused("\"a=hunter2\" = \"x\"", &["line 1: \"a=********\": not the name of an environment variable"]);
        refused("\"\" = \"x\"", &["line 1: \"\": not the name of an environment variable"]);
        refused("A = \"hunter2\\u0000\"", &["line 1: \"A\": the value contains a NUL byte"]);
        refused("a.b = \"x\"", &["line 1: \"a\": a table is not a string; put the value in quotes"]);
        assert_eq!(read(b"A = \"1\"\nB = \"\xff\"").unwrap_err(), ["line 2: not UTF-8"]);
    }

    #[test]
    fn invalid_toml_is_reported_by_line() {
        for text in ["A = \"1\"\nB=hunter2\n", "A = \"1\"\nexport B=hunter2\n", "A = \"1\"\nB = \"hunter2\n"] {
            let diagnostics = read(text.as_bytes()).unwrap_err().join("\n");
            assert!(
                diagnostics.starts_with("line 2: invalid TOML: ") && !diagnostics.contains("hunter2"),
                "{diagnostics}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }

        #[test]
        fn anything_like_toml_is_read_without_a_panic(text in "([A-C]|=|\"|'|\n| |\\[|\\]|#|\\.|1|\\\\|\\{|\\}|é){0,40}") {
            match read(text.as_bytes()) {
                Ok(pairs) => prop_assert!(pairs.iter().all(|(name, _)| !name.is_empty() && !name.contains('='))),
                Err(diagnostics) => prop_assert!(!diagnostics.is_empty()),
            }
        }

        #[test]
        fn pairs_written_as_toml_are_read_back(pairs in prop::collection::btree_map("[A-Z_]{1,8}", "\\PC{0,20}", 0..8)) {
            let text: String = pairs.iter().map(|(name, value)| format!("{name} = {}\n", quote(value))).collect();
            let read = read(text.as_bytes()).unwrap();
            prop_assert_eq!(read.into_iter().collect::<std::collections::BTreeMap<_, _>>(), pairs);
        }
    }
}

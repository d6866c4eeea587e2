//! What a preStart handler writes to descriptor 3: TOML, one `KEY = "value"` a line. Pure, and total on bytes. A
//! value may be a secret: no mistake shows one.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Span, in_order};
use super::key::quote;
use super::kind::Scalar;

/// Reads all of it, in the order it was written; or says every mistake with its line and key.
///
/// # Errors
/// One sentence a mistake: `line 2: PORT: a number is not a string`.
pub fn read(bytes: &[u8]) -> Result<Vec<(String, String)>, Vec<String>> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        vec![format!("line {}: it is not UTF-8", before.iter().filter(|b| **b == b'\n').count() + 1)]
    })?;
    let line = |at: usize| text.bytes().take(at).filter(|b| *b == b'\n').count() + 1;
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut diagnostics: Vec<(usize, String)> = errors
        .iter()
        .map(|error| {
            let span = error.span().unwrap_or(0..0);
            let at = line(span.start);
            match (error.message(), text.get(span)) {
                ("duplicate key", Some(key)) => (at, format!("line {at}: {}: it is set twice", quote(key.trim()))),
                (message, _) => (at, format!("line {at}: not TOML: {message}; accepted: KEY = \"value\"")),
            }
        })
        .collect();
    let broken: Vec<usize> = diagnostics.iter().map(|(line, _)| *line).collect();
    let mut pairs: Vec<(usize, String, String)> = Vec::new();
    for (name, value) in table.get_ref() {
        let at = line(name.span().start);
        if broken.contains(&at) {
            // What the parser guesses on a broken line is not told again.
            continue;
        }
        match pair(name.get_ref(), value) {
            Ok(value) => pairs.push((name.span().start, name.get_ref().to_string(), value)),
            Err(why) => diagnostics.push((at, format!("line {at}: {}: {why}", quote(name.get_ref())))),
        }
    }
    if diagnostics.is_empty() {
        let pairs = in_order(pairs, |(at, ..)| Span::at(*at));
        return Ok(pairs.into_iter().map(|(_, name, value)| (name, value)).collect());
    }
    let diagnostics = in_order(diagnostics, |(line, _)| Span::at(*line));
    Err(diagnostics.into_iter().map(|(_, sentence)| sentence).collect())
}

fn pair(name: &str, value: &Spanned<DeValue<'_>>) -> Result<String, String> {
    Scalar::Variable.read(&DeValue::String(name.into())).map_err(|_| "this is no name of a variable".to_owned())?;
    match value.get_ref() {
        DeValue::String(text) if text.contains('\0') => Err("the value contains a NUL byte".to_owned()),
        DeValue::String(text) => Ok(text.to_string()),
        other => {
            let what = match other {
                DeValue::Integer(_) | DeValue::Float(_) => "a number",
                DeValue::Boolean(_) => "true or false",
                DeValue::Datetime(_) => "a date",
                DeValue::Array(_) => "a list",
                _ => "a table",
            };
            Err(format!("{what} is not a string; a value stands in quotes"))
        }
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
    fn variables_come_in_the_order_they_were_written() {
        let text = "# a comment\nB = \"2\"\nA = '$(B)'\n\n\"odd name\" = \"\"\"two\nlines\"\"\"\n";
        let pairs = [("B", "2"), ("A", "$(B)"), ("odd name", "two\nlines")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(read(text.as_bytes()).unwrap(), pairs);
        assert_eq!(read(b"").unwrap(), []);
    }

    #[test]
    fn every_mistake_has_its_line_and_key_and_no_value() {
        refused(
            "A = \"1\"\nPORT = 8080\nB = true\n[C]\nD = 1\n",
            &[
                "line 2: \"PORT\": a number is not a string; a value stands in quotes",
                "line 3: \"B\": true or false is not a string; a value stands in quotes",
                "line 4: \"C\": a table is not a string; a value stands in quotes",
            ],
        );
        refused("A = \"hunter2\"\nA = \"hunter3\"", &["line 2: \"A\": it is set twice"]);
        refused("\"a=b\" = \"x\"", &["line 1: \"a=b\": this is no name of a variable"]);
        refused("\"\" = \"x\"", &["line 1: \"\": this is no name of a variable"]);
        refused("A = \"hunter2\\u0000\"", &["line 1: \"A\": the value contains a NUL byte"]);
        refused("a.b = \"x\"", &["line 1: \"a\": a table is not a string; a value stands in quotes"]);
        assert_eq!(read(b"A = \"1\"\nB = \"\xff\"").unwrap_err(), ["line 2: it is not UTF-8"]);
    }

    #[test]
    fn what_is_no_toml_is_told_by_line() {
        for text in ["A = \"1\"\nB=hunter2\n", "A = \"1\"\nexport B=hunter2\n", "A = \"1\"\nB = \"hunter2\n"] {
            let diagnostics = read(text.as_bytes()).unwrap_err().join("\n");
            assert!(diagnostics.starts_with("line 2: not TOML: ") && !diagnostics.contains("hunter2"), "{diagnostics}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }

        #[test]
        fn nothing_that_looks_like_toml_is_a_panic(text in "([A-C]|=|\"|'|\n| |\\[|\\]|#|\\.|1|\\\\|\\{|\\}|é){0,40}") {
            match read(text.as_bytes()) {
                Ok(pairs) => prop_assert!(pairs.iter().all(|(name, _)| !name.is_empty() && !name.contains('='))),
                Err(diagnostics) => prop_assert!(!diagnostics.is_empty()),
            }
        }

        #[test]
        fn what_is_written_as_toml_is_read_back(pairs in prop::collection::btree_map("[A-Z_]{1,8}", "\\PC{0,20}", 0..8)) {
            let text: String = pairs.iter().map(|(name, value)| format!("{name} = {}\n", quote(value))).collect();
            let read = read(text.as_bytes()).unwrap();
            prop_assert_eq!(read.into_iter().collect::<std::collections::BTreeMap<_, _>>(), pairs);
        }
    }
}

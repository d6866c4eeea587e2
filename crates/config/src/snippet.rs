//! The line of a file with a caret under what is meant. Long lines are cut around the caret, control
//! characters are shown as `?` (a configuration may not paint the terminal), and quoted text on a
//! line that may hold a secret is masked. Pure.

use super::diagnostic::{Source, SourceKind, Span};
use bookend_lifecycle::printable::printable_char;

/// `  --> file:3:7`, the line, and the caret below it.
pub(super) fn render(said: &Source<'_>, span: Span, path: &str) -> String {
    let (line, column) = line_and_column(said.text, span.start);
    let head = match said.medium {
        SourceKind::File => format!("  --> {}:{line}:{column}\n", said.name),
        SourceKind::Variable => format!("  --> environment variable {}\n", said.name),
        SourceKind::Flag => format!("  --> command line {}\n", said.name),
    };
    let Some(text) = said.text.lines().nth(line.saturating_sub(1)) else { return head };
    let masked = if is_secret(path, said.text, line, text) { mask(text) } else { text.to_owned() };
    let before = column.saturating_sub(1);
    let span = said.text.get(span.start..span.end).unwrap_or_default();
    let marked = span.lines().next().unwrap_or_default().chars().count().max(1);
    let label = match said.medium {
        SourceKind::File => String::new(),
        SourceKind::Variable | SourceKind::Flag => format!("{}=", said.name),
    };
    let (cut, shift) = window(&masked, before);
    let room = (cut.chars().count() + 1).saturating_sub(before.saturating_sub(shift)).max(1);
    let number = if said.medium == SourceKind::File { line.to_string() } else { String::new() };
    let gutter = " ".repeat(number.len());
    let indent = " ".repeat(label.chars().count() + before.saturating_sub(shift));
    let carets = "^".repeat(marked.min(room));
    format!("{head} {gutter} |\n {number} | {label}{cut}\n {gutter} | {indent}{carets}\n")
}

/// Line and column of a byte, both from 1; columns count characters.
pub(super) fn line_and_column(text: &str, byte: usize) -> (usize, usize) {
    let end = (0..=byte.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let before = text.get(..end).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// At most this many characters of a line are shown.
const WIDTH: usize = 100;

/// The part of the line around the caret, clean of control characters, and how many were cut before.
fn window(text: &str, before: usize) -> (String, usize) {
    let shift = if before > WIDTH * 3 / 4 { before - WIDTH / 2 } else { 0 };
    let cut = text.chars().skip(shift).take(WIDTH).map(|c| match c {
        '\t' => ' ',
        c => printable_char(c),
    });
    (cut.collect::<String>().trim_end().to_owned(), shift)
}

/// Whether the line may carry a secret: by its own words, by its key path, or by its table's header.
fn is_secret(path: &str, text: &str, line: usize, shown: &str) -> bool {
    let header = text.lines().take(line).filter(|l| l.trim_start().starts_with('[')).last().unwrap_or_default();
    let lower = shown.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| lower.contains(word))
        || SECRET_TABLES.iter().any(|table| path.contains(table) || header.contains(table) || shown.contains(table))
}

/// Words after which a value is nobody's business.
pub(super) const SECRET_WORDS: &[&str] =
    &["authorization", "token", "secret", "passw", "cookie", "credential", "api-key", "apikey", "api_key"];

/// Tables whose values are never shown: environments and headers.
const SECRET_TABLES: &[&str] = &["httpHeaders", ".env", "env."];

/// The line with everything between quotes replaced, character by character, so that carets still fit.
fn mask(text: &str) -> String {
    let mut quote = None;
    text.chars()
        .map(|c| match quote {
            None => {
                if c == '"' || c == '\'' {
                    quote = Some(c);
                }
                c
            }
            Some(end) if c == end => {
                quote = None;
                c
            }
            Some(_) => '*',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Source<'_> {
        Source { medium: SourceKind::File, name: "/etc/b.toml", text, broken: Vec::new() }
    }

    #[test]
    fn the_caret_stands_under_the_value_and_lines_count_from_one() {
        let text = "a = 1\nport = 70000\n";
        let span = Span { source: 0, start: 13, end: 18 };
        let shown = "  --> /etc/b.toml:2:8\n   |\n 2 | port = 70000\n   |        ^^^^^\n";
        assert_eq!(render(&file(text), span, "port"), shown);
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let text = format!("a = \"{}\" # x", "y".repeat(5000));
        let span = Span { source: 0, start: 5007, end: 5008 };
        let shown = render(&file(&text), span, "a");
        assert!(shown.lines().all(|line| line.chars().count() <= 120), "{shown}");
        assert!(shown.contains('#') && shown.contains('^'), "{shown}");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let text = "a = \u{1b}[31m\u{7f}\n";
        let shown = render(&file(text), Span { source: 0, start: 4, end: 5 }, "a");
        assert!(!shown.contains('\u{1b}') && !shown.contains('\u{7f}'), "{shown:?}");
    }

    #[test]
    fn a_line_that_may_hold_a_secret_shows_no_quoted_text() {
        for text in [
            "httpHeaders = [{ name = \"X\", valu = \"hunter2\" }]",
            "Authorization = \"hunter2\"",
            "[app.env]\nA = \"hunter2\"",
            "api_key = \"hunter2",
        ] {
            let start = text.len() - 3;
            let shown = render(&file(text), Span { source: 0, start, end: start + 1 }, "");
            assert!(!shown.contains("hunter2") && shown.contains('^'), "{shown}");
        }
    }

    #[test]
    fn a_place_outside_the_text_or_inside_a_character_is_no_panic() {
        let text = "ä = 1\nö";
        for start in 0..12 {
            for end in 0..12 {
                render(&file(text), Span { source: 0, start, end }, "x");
            }
        }
    }
}

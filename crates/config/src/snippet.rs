//! The line of a text with a caret under the place. Long lines are cut around the caret, unprintable characters are
//! replaced (a configuration must not control the terminal), and hidden ranges are `********`.

use std::ops::Range;

use crate::secrets::MASK;
use crate::source::{Source, SourceKind, Span, line_and_column};
use bookend_lifecycle::printable::{printable, printable_char};

/// `bookend.toml:3:7`, or the name of the variable or option.
pub(crate) fn place(source: &Source<'_>, span: Span) -> String {
    let name = printable(source.name);
    match source.kind {
        SourceKind::File => {
            let (line, column) = line_and_column(source.text, span.start);
            format!("{name}:{line}:{column}")
        }
        SourceKind::Variable => format!("environment variable {name}"),
        SourceKind::Flag => format!("command line {name}"),
    }
}

/// The line and the caret below it. `hidden`: ranges of bytes that are not shown.
pub(crate) fn render(source: &Source<'_>, span: Span, hidden: &[Range<usize>]) -> String {
    let (line, _) = line_and_column(source.text, span.start);
    let Some((start, text)) = nth_line(source.text, line) else { return String::new() };
    let shown = masked(start, text, hidden);
    let column_of = |byte: usize| shown.iter().position(|(at, _)| *at >= byte).unwrap_or(shown.len());
    // A hidden range is marked as a whole.
    let inside = hidden.iter().find(|range| range.start < span.start && span.start < range.end);
    let before = column_of(inside.map_or(span.start, |range| range.start));
    let marked = column_of(span.end).saturating_sub(before).max(1);
    let label = match source.kind {
        SourceKind::File => String::new(),
        SourceKind::Variable | SourceKind::Flag => format!("{}=", source.name),
    };
    let (cut, shift) = window(&shown, before);
    let room = (cut.chars().count() + 1).saturating_sub(before.saturating_sub(shift)).max(1);
    let number = if source.kind == SourceKind::File { line.to_string() } else { String::new() };
    let gutter = " ".repeat(number.len());
    let indent = " ".repeat(label.chars().count() + before.saturating_sub(shift));
    let carets = "^".repeat(marked.min(room));
    format!(" {gutter} |\n {number} | {label}{cut}\n {gutter} | {indent}{carets}\n")
}

/// The line with this number, from 1, and where it begins.
fn nth_line(text: &str, number: usize) -> Option<(usize, &str)> {
    let mut start = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if index + 1 == number {
            return Some((start, line.trim_end_matches(['\n', '\r'])));
        }
        start += line.len();
    }
    None
}

/// The characters of a line with the byte each stands for. A hidden range is [`MASK`], whatever its length.
fn masked(start: usize, line: &str, hidden: &[Range<usize>]) -> Vec<(usize, char)> {
    let mut shown = Vec::new();
    let mut masked_until = 0;
    for (at, c) in line.char_indices() {
        let at = start + at;
        if at < masked_until {
            continue;
        }
        match hidden.iter().find(|range| range.contains(&at)) {
            Some(range) => {
                // A comment is left out.
                if c != '#' {
                    shown.extend(MASK.chars().map(|c| (range.start, c)));
                }
                masked_until = range.end;
            }
            None => shown.push((at, c)),
        }
    }
    shown
}

/// At most this many characters of a line are shown.
const WIDTH: usize = 100;

/// The part of the line around the caret, and how many characters were cut before it.
fn window(shown: &[(usize, char)], before: usize) -> (String, usize) {
    let shift = if before > WIDTH * 3 / 4 { before - WIDTH / 2 } else { 0 };
    let cut = shown.iter().skip(shift).take(WIDTH).map(|(_, c)| match *c {
        '\t' => ' ',
        c => printable_char(c),
    });
    (cut.collect::<String>().trim_end().to_owned(), shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Source<'_> {
        let (path, shape, broken) = (String::new(), None, Vec::new());
        Source { kind: SourceKind::File, name: "/etc/b.toml", text, path, shape, broken, is_guessed: false }
    }

    fn one(range: Range<usize>) -> Vec<Range<usize>> {
        std::iter::once(range).collect()
    }

    fn at(start: usize, end: usize) -> Span {
        Span { source: 0, start, end }
    }

    #[test]
    fn the_caret_is_below_the_value_and_lines_count_from_one() {
        let source = file("a = 1\nport = 70000\n");
        assert_eq!(place(&source, at(13, 18)), "/etc/b.toml:2:8");
        assert_eq!(render(&source, at(13, 18), &[]), "   |\n 2 | port = 70000\n   |        ^^^^^\n");
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let text = format!("a = \"{}\" # x", "y".repeat(5000));
        let shown = render(&file(&text), at(5007, 5008), &[]);
        assert!(shown.lines().all(|line| line.chars().count() <= 120), "{shown}");
        assert!(shown.contains('#') && shown.contains('^'), "{shown}");
    }

    #[test]
    fn unprintable_characters_do_not_reach_the_terminal() {
        let shown = render(&file("a = \u{1b}[31m\u{7f}\u{202e}\n"), at(4, 5), &[]);
        assert!(!shown.contains(['\u{1b}', '\u{7f}', '\u{202e}']), "{shown:?}");
    }

    #[test]
    fn a_hidden_range_has_no_length_and_the_caret_still_fits() {
        let source = file("A = \"hunter2\", b = 7");
        assert_eq!(
            render(&source, at(19, 20), &one(4..13)),
            "   |\n 1 | A = ********, b = 7\n   |                   ^\n"
        );
        assert_eq!(render(&source, at(4, 13), &one(4..13)), "   |\n 1 | A = ********, b = 7\n   |     ^^^^^^^^\n");
        assert_eq!(render(&source, at(6, 8), &one(4..13)), "   |\n 1 | A = ********, b = 7\n   |     ^^^^^^^^\n");
    }

    #[test]
    fn the_second_line_of_a_hidden_range_is_hidden() {
        let source = file("A = \"\"\"x\nhunter2\"\"\"; b = 1");
        assert_eq!(render(&source, at(21, 22), &one(4..19)), "   |\n 2 | ********; b = 1\n   |           ^\n");
    }

    #[test]
    fn a_place_outside_the_text_or_inside_a_character_is_accepted() {
        for start in 0..12 {
            for end in 0..12 {
                render(&file("ä = 1\nö"), at(start, end), &one(1..3));
            }
        }
    }
}

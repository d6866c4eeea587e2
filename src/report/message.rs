//! The text of the termination message: a headline, the timeline, the output of failed handlers, and as the last line the
//! report as JSON. Kubernetes keeps 4096 bytes of it, and of a Pod with n containers the first 12288 / n bytes of each. Pure.

use std::collections::VecDeque;

use super::journal::shortened;
use bookend_lifecycle::printable::printable;

/// Kubernetes keeps this much of a termination message.
pub(crate) const MOST_BYTES: usize = 4096;
/// The default of `terminationMessageBytes`: a Pod with twelve containers keeps this much of each.
pub(crate) const DEFAULT_BYTES: usize = 1024;
/// The first line at most.
const MOST_OF_THE_HEAD: usize = 1024;
/// Each other line gets at most this part of the message: one long line must not push all others out.
const PART_OF_A_LINE: usize = 8;
/// For `(99 earlier lines left out)`.
const MARK: usize = 32;

/// Puts the message together: at most so many bytes. If not everything fits, the oldest lines are left out: of the timeline
/// (`rows`), and of what the failed handlers wrote, which gets half of the room. The last line is always whole.
pub(crate) fn compose(most: usize, head: &str, rows: &[String], failures: &[String], json: &str) -> String {
    let room = most.saturating_sub(json.len() + 2 + 2 * MARK);
    let head = without_middle(head, room.min(MOST_OF_THE_HEAD));
    let room = room - head.len();
    let longest = most / PART_OF_A_LINE;
    let failures = newest(failures, room / 2, longest);
    let rows = newest(rows, room - length(&failures), longest);
    let mut text = head;
    text.push('\n');
    for line in rows.iter().chain(&failures) {
        text.push_str(line);
        text.push('\n');
    }
    text.push_str(json);
    text.push('\n');
    text
}

/// A long line keeps its beginning and its end: the end has the newest facts.
fn without_middle(line: &str, most: usize) -> String {
    let line = printable(line);
    if line.len() <= most {
        return line;
    }
    let begin = shortened(line.clone(), most / 3);
    let rest = line.len() - most.saturating_sub(begin.len());
    let rest = (rest..=line.len()).find(|at| line.is_char_boundary(*at)).unwrap_or_default();
    begin + line.get(rest..).unwrap_or_default()
}

/// The newest lines that fit, and a mark in place of the others. `longest`: of one line.
fn newest(lines: &[String], room: usize, longest: usize) -> VecDeque<String> {
    let mut kept = VecDeque::new();
    let mut left = room;
    for line in lines.iter().rev() {
        let line = cut(line, longest);
        let Some(rest) = left.checked_sub(line.len() + 1) else {
            kept.push_front(format!("({} earlier lines left out)", lines.len() - kept.len()));
            break;
        };
        left = rest;
        kept.push_front(line);
    }
    kept
}

fn length(lines: &VecDeque<String>) -> usize {
    // The mark has room of its own.
    lines.iter().map(|line| line.len() + 1).sum::<usize>().saturating_sub(if lines.is_empty() { 0 } else { MARK })
}

/// At most so many bytes of a line, and no character that moves a cursor.
fn cut(line: &str, most: usize) -> String {
    let mut line = printable(line);
    let end = (0..=most.min(line.len())).rev().find(|at| line.is_char_boundary(*at));
    line.truncate(end.unwrap_or(0));
    line
}

/// The same content with at least so many bytes: spaces before the last line cover what a longer content left behind.
pub(crate) fn padded(content: &str, at_least: usize) -> String {
    let mut content = content.to_owned();
    let end = content.trim_end_matches('\n').rfind('\n').unwrap_or(content.len());
    content.insert_str(end, &" ".repeat(at_least.saturating_sub(content.len())));
    content
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn everything_is_there_if_it_fits() {
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        let text = compose(
            MOST_BYTES,
            "head",
            &lines(&["+0.000 s  a", "+1.000 s  b"]),
            &lines(&["preStop x: exit code 1"]),
            "{}",
        );
        assert_eq!(text, "head\n+0.000 s  a\n+1.000 s  b\npreStop x: exit code 1\n{}\n");
    }

    #[test]
    fn a_long_first_line_keeps_its_end() {
        let head =
            format!("stopping since 12:00:01Z (SIGTERM): {}é, app still running at +9.0 s", "é at +1.0 s, ".repeat(50));
        let text = compose(1024, &head, &["a".to_owned()], &[], &"x".repeat(600));
        let first = text.lines().next().unwrap();
        assert!(
            first.starts_with("stopping since 12:00:01Z (SIGTERM)") && first.ends_with("app still running at +9.0 s"),
            "{first}"
        );
        assert!(text.len() <= 1024 && first.contains("..."), "{first}");
    }

    #[test]
    fn padding_stands_before_the_last_line() {
        assert_eq!(padded("a\nb\n", 8), "a    \nb\n");
        assert_eq!(padded("a\nb\n", 2), "a\nb\n");
        assert_eq!(padded("one\n", 6), "one\n  ");
        assert_eq!(padded("", 2), "  ");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn the_newest_facts_survive_the_cut(
            head in "[a-z]{0,30}(é|\u{202e}){0,700}",
            rows in proptest::collection::vec("[a-z]{0,9}(xyz ){0,170}", 0..40),
            failures in proptest::collection::vec("\\PC{0,9}(äb){0,70}", 0..60),
            json in "\\{[a-z]{0,1000}\\}",
            most in prop_oneof![DEFAULT_BYTES..MOST_BYTES, Just(MOST_BYTES)],
        ) {
            let text = compose(most, &head, &rows, &failures, &json);
            // Its own length is bounded: `stop_report.rs`.
            let json_fits = json.len() + 2 * MARK + 2 <= most;
            prop_assert!(text.len() <= most || !json_fits, "{}", text.len());
            let lines: Vec<&str> = text.lines().collect();
            prop_assert_eq!(lines.last(), Some(&json.as_str()));
            // A shorter message may have no room for the newest line of each part.
            for newest in [rows.last(), failures.last()].into_iter().flatten().filter(|_| most == MOST_BYTES) {
                let newest = cut(newest, MOST_BYTES / PART_OF_A_LINE);
                prop_assert!(lines.contains(&newest.as_str()), "{text}");
            }
        }

        #[test]
        fn padding_changes_no_line_but_its_end(content in "([a-z]{0,9}\n){1,5}", more in 0usize..50) {
            let padded = padded(&content, content.len() + more);
            prop_assert_eq!(padded.len(), content.len() + more);
            let without: Vec<&str> = padded.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
            let lines: Vec<&str> = content.lines().filter(|line| !line.is_empty()).collect();
            prop_assert_eq!(without, lines);
        }
    }
}

//! Lines of configuration files that are `key = value` or `Key value`, with their places. Pure.

use std::time::Duration;

use super::Place;

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
}

/// What stands between a key and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Separator {
    /// `key = value`
    Equals,
    /// `Key value`
    Blank,
}

/// The last value of a key in these files, and where it stands.
pub(super) fn last_value(files: &[File], key: &str, separator: Separator) -> Option<(String, Place)> {
    let mut found = None;
    for file in files {
        for (number, line) in (1..).zip(file.text.lines()) {
            let line = line.trim();
            let said = match separator {
                Separator::Equals => line.split_once('='),
                Separator::Blank => line.split_once(char::is_whitespace),
            };
            if let Some((name, value)) = said
                && name.trim().eq_ignore_ascii_case(key)
            {
                let value = value.split(" #").next().unwrap_or(value).trim().trim_matches(['"', '\'']);
                found = Some((value.to_owned(), Place { file: file.path.clone(), line: number }));
            }
        }
    }
    found
}

/// The line where a key stands commented out, as a place to write it.
pub(super) fn commented_out(files: &[File], key: &str) -> Option<Place> {
    let is_it = |line: &str| {
        let rest = line.trim_start().strip_prefix([';', '#'])?.trim_start().strip_prefix(key)?;
        rest.trim_start().starts_with('=').then_some(())
    };
    files.iter().find_map(|file| {
        let line = file.text.lines().position(|line| is_it(line).is_some())? + 1;
        Some(Place { file: file.path.clone(), line })
    })
}

/// `10`, `10s`, `2m`, `1m 30s`, `500ms`: nginx', php-fpm's and others' way to say a time; a bare number is seconds.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut sum = Duration::ZERO;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at_checked(digits)?;
        let unit = after.find(|c: char| c.is_ascii_digit() || c.is_whitespace()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(unit)?;
        let number: u64 = number.parse().ok()?;
        let part = match unit {
            "ms" => Duration::from_millis(number),
            "" | "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.checked_mul(60)?),
            "h" => Duration::from_secs(number.checked_mul(3600)?),
            "d" => Duration::from_secs(number.checked_mul(86400)?),
            _ => return None,
        };
        sum = sum.checked_add(part)?;
        rest = after.trim_start();
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_the_servers_read_them() {
        for (text, millis) in
            [("10", 10_000), ("10s", 10_000), ("2m", 120_000), ("1m 30s", 90_000), ("500ms", 500), ("1h", 3_600_000)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "10x", "ten", "-1"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn the_last_value_counts_and_a_comment_does_not() {
        let text = ";a = 1\na = 2\n a = \"3\" # said\nab = 4\n".to_owned();
        let file = File { path: "conf".to_owned(), text };
        let (value, place) = last_value(std::slice::from_ref(&file), "a", Separator::Equals).expect("it is there");
        assert_eq!((value.as_str(), place.line), ("3", 3));
        assert_eq!(commented_out(&[file], "a").expect("it is there").line, 1);
    }
}

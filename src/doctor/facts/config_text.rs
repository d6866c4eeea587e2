//! Configuration files whose lines are `key = value` or `Key value`. Pure.

use std::time::Duration;

use crate::doctor::finding::FileLine;

/// A file and its text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ConfigFile {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The separator of a key and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Separator {
    /// `key = value`
    Equals,
    /// `Key value`
    Blank,
}

/// The last value of a key in these files, and its place.
pub(crate) fn last_value(files: &[ConfigFile], key: &str, separator: Separator) -> Option<(String, FileLine)> {
    let mut found = None;
    for file in files {
        for (number, line) in (1..).zip(file.text.lines()) {
            let line = line.trim();
            let pair = match separator {
                Separator::Equals => line.split_once('='),
                Separator::Blank => line.split_once(char::is_whitespace),
            };
            if let Some((name, value)) = pair
                && name.trim().eq_ignore_ascii_case(key)
            {
                let value = value.split(" #").next().unwrap_or(value).trim().trim_matches(['"', '\'']);
                found = Some((value.to_owned(), FileLine { file: file.path.clone(), line: number }));
            }
        }
    }
    found
}

/// The line where a key is commented out: the place to set it.
pub(crate) fn commented_out(files: &[ConfigFile], key: &str) -> Option<FileLine> {
    let is_it = |line: &str| {
        let rest = line.trim_start().strip_prefix([';', '#'])?.trim_start().strip_prefix(key)?;
        rest.trim_start().starts_with('=').then_some(())
    };
    files.iter().find_map(|file| {
        let line = file.text.lines().position(|line| is_it(line).is_some())? + 1;
        Some(FileLine { file: file.path.clone(), line })
    })
}

/// `10`, `10s`, `2m`, `1m 30s`, `500ms`: a time as most servers write it. A bare number is seconds.
pub(crate) fn duration(text: &str) -> Option<Duration> {
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
    fn times_are_read_as_servers_read_them() {
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
        let text = ";a = 1\na = 2\n a = \"3\" # last\nab = 4\n".to_owned();
        let file = ConfigFile { path: "conf".to_owned(), text };
        let (value, place) = last_value(std::slice::from_ref(&file), "a", Separator::Equals).expect("it is there");
        assert_eq!((value.as_str(), place.line), ("3", 3));
        assert_eq!(commented_out(&[file], "a").expect("it is there").line, 1);
    }
}

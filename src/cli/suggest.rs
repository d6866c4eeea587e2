//! A hint for a COMMAND that does not exist and reads like a subcommand: `bookend stauts`, `bookend -c f check`. Pure,
//! apart from the look into PATH.

use std::ffi::OsStr;
use std::path::Path;

/// The subcommand that was probably meant. `None`: the program exists, or resembles no subcommand.
pub(super) fn subcommand(program: &OsStr, subcommands: &[&'static str]) -> Option<&'static str> {
    let meant = closest(program.to_str()?, subcommands)?;
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/bin:/usr/bin".into());
    let exists = std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file());
    (!exists).then_some(meant)
}

/// The word itself, or the one that is at most two slips away: one for words of up to four letters.
fn closest(word: &str, known: &[&'static str]) -> Option<&'static str> {
    const LONGEST: usize = 14;
    if word.len() > LONGEST || !word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return None;
    }
    let allowed = |candidate: &str| if candidate.len().min(word.len()) <= 4 { 1 } else { 2 };
    let distances = known.iter().map(|candidate| (distance(word, candidate), *candidate));
    let (_, closest) = distances.filter(|(slips, candidate)| *slips <= allowed(candidate)).min()?;
    Some(closest)
}

/// Letters that are wrong, missing, too many, or exchanged with their neighbour (optimal string alignment).
fn distance(one: &str, other: &str) -> usize {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX - 1);
            let mut least = (at(&row, j) + usize::from(a != b)).min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            let exchanged = i > 0 && j > 0 && one.get(i - 1) == Some(b) && other.get(j - 1) == Some(a);
            if exchanged {
                least = least.min(at(&before, j - 1) + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["run", "status", "check", "stop", "completions"];

    #[test]
    fn a_slip_is_recognised() {
        for (word, meant) in [
            ("stauts", "status"),
            ("stats", "status"),
            ("check", "check"),
            ("chekc", "check"),
            ("stpo", "stop"),
            ("rnu", "run"),
            ("completion", "completions"),
        ] {
            assert_eq!(closest(word, KNOWN), Some(meant), "{word}");
        }
    }

    #[test]
    fn other_programs_are_not_taken_for_slips() {
        for word in ["nginx", "node", "sh", "java", "/stauts", "sleeper", "Status", "ruby", "", "php-fpm"] {
            assert_eq!(closest(word, KNOWN), None, "{word}");
        }
    }

    #[test]
    fn a_program_that_exists_is_never_a_slip() {
        assert_eq!(subcommand(OsStr::new("sh"), &["sha"]), None);
        assert_eq!(subcommand(OsStr::new("shaa"), &["sha"]), Some("sha"));
    }
}

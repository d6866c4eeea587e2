//! The previous life, as the state file describes it: one line that each life rewrites as it proceeds.
//!
//! ```text
//! bookend-life 1 Stopping 9.900 2026-11-29T12:00:10.000Z 0123456789abcdef
//! ```
//!
//! A line that is cut anywhere, or that another program wrote, is an unknown past and never an error: the last word is a
//! checksum of the others.

use std::time::Duration;

use crate::seconds::Seconds;

/// How far a life has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LifeStage {
    /// The postStop handlers that the previous life missed run now. This life has not begun.
    CatchingUp,
    /// preStart handlers run, or the app is being started.
    Starting,
    /// The app runs.
    Running,
    /// A stop has begun, so long ago.
    Stopping(Duration),
    /// The app has ended by itself, so long ago.
    Ending(Duration),
    /// The postStop handlers are over.
    PostStopOver,
    /// The life has ended with a report.
    Reported,
}

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Past {
    /// There was no previous life, or the file is new.
    Nothing,
    /// The file is torn.
    Unknown,
    /// The file is that of another program: it must not be written.
    Foreign,
    /// The life came this far; the time of the last line, as its writer put it.
    Life(LifeStage, String),
}

impl LifeStage {
    /// The name in the file, and as `end` in `/status` and in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            LifeStage::CatchingUp => "CatchingUp",
            LifeStage::Starting => "Starting",
            LifeStage::Running => "Running",
            LifeStage::Stopping(_) => "Stopping",
            LifeStage::Ending(_) => "Ending",
            LifeStage::PostStopOver => "PostStopOver",
            LifeStage::Reported => "Reported",
        }
    }

    fn of(name: &str, time: Duration) -> Option<LifeStage> {
        let all = [
            LifeStage::CatchingUp,
            LifeStage::Starting,
            LifeStage::Running,
            LifeStage::Stopping(time),
            LifeStage::Ending(time),
            LifeStage::PostStopOver,
            LifeStage::Reported,
        ];
        all.into_iter().find(|stage| stage.name() == name)
    }

    /// How long the stop or the end had lasted.
    pub fn time(self) -> Option<Duration> {
        match self {
            LifeStage::Stopping(time) | LifeStage::Ending(time) => Some(time),
            _ => None,
        }
    }

    /// The line in the file. `now`: the time, without a space.
    pub fn line(self, now: &str) -> String {
        let words = format!("{MAGIC}{} {:.3} {now}", self.name(), Seconds(self.time().unwrap_or_default()));
        format!("{words} {:016x}\n", checksum(&words))
    }
}

impl Past {
    /// Reads the content of the file.
    pub fn read(bytes: &[u8]) -> Past {
        if bytes.is_empty() {
            return Past::Nothing;
        }
        if !bytes.starts_with(MAGIC.as_bytes()) {
            // A power failure may leave zeros.
            let is_torn = MAGIC.as_bytes().starts_with(bytes) || bytes.iter().all(|byte| *byte == 0);
            return if is_torn { Past::Unknown } else { Past::Foreign };
        }
        let text = std::str::from_utf8(bytes).ok().and_then(|text| text.split_once('\n'));
        text.and_then(|(line, rest)| read_line(line).filter(|_| rest.trim().is_empty())).unwrap_or(Past::Unknown)
    }

    /// Whether its postStop handlers have not run, or not all of them.
    pub fn owes_post_stop(&self) -> bool {
        use LifeStage::{Ending, Running, Starting, Stopping};
        matches!(self, Past::Life(Starting | Running | Stopping(_) | Ending(_), _))
    }

    /// The end of the life in one word.
    pub fn end(&self) -> Option<&'static str> {
        match self {
            Past::Nothing => None,
            Past::Unknown | Past::Foreign => Some("Unknown"),
            Past::Life(stage, _) => Some(stage.name()),
        }
    }

    /// A warning, unless the life ended with a report.
    pub fn warning(&self) -> Option<String> {
        let (stage, seen) = match self {
            Past::Nothing | Past::Life(LifeStage::Reported, _) => return None,
            Past::Unknown => return Some("stateFile is damaged: the end of the previous life is not known".to_owned()),
            Past::Foreign => return Some("stateFile is the file of another program: it is left as it is".to_owned()),
            Past::Life(stage, seen) => (stage, seen),
        };
        let when = match stage {
            LifeStage::CatchingUp => "while it ran the postStop handlers of the life before".to_owned(),
            LifeStage::Starting => "during its start".to_owned(),
            LifeStage::Running => "while running".to_owned(),
            LifeStage::Stopping(time) => format!("{:.1} s into a stop", Seconds(*time)),
            LifeStage::Ending(time) => format!("{:.1} s after the app's end", Seconds(*time)),
            LifeStage::PostStopOver | LifeStage::Reported => "after its postStop handlers".to_owned(),
        };
        Some(format!("the previous life ended without a report, {when} (last seen {seen})"))
    }
}

fn read_line(line: &str) -> Option<Past> {
    let (words, sum) = line.rsplit_once(' ')?;
    if sum.len() != 16 || u64::from_str_radix(sum, 16).ok()? != checksum(words) {
        return None;
    }
    let mut fields = words.strip_prefix(MAGIC)?.split(' ');
    let (name, time, seen) = (fields.next()?, fields.next()?, fields.next()?);
    let time = time.parse::<Seconds>().ok()?;
    Some(Past::Life(LifeStage::of(name, time.0)?, seen.to_owned()))
}

/// FNV-1a: <https://datatracker.ietf.org/doc/html/rfc9923>.
fn checksum(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The beginning of each line; the number is that of the format.
const MAGIC: &str = "bookend-life 1 ";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: &str = "2026-11-29T12:00:10.000Z";

    fn stages() -> impl Strategy<Value = LifeStage> {
        (0..7usize, 0..4_000_000u64).prop_map(|(n, ms)| {
            let time = Duration::from_millis(ms);
            let names = ["CatchingUp", "Starting", "Running", "Stopping", "Ending", "PostStopOver", "Reported"];
            LifeStage::of(names[n], time).unwrap()
        })
    }

    #[test]
    fn the_warning_tells_when_the_life_ended() {
        let of = |stage: LifeStage| Past::read(stage.line(NOW).as_bytes()).warning().unwrap_or_default();
        let stopping = of(LifeStage::Stopping(Duration::from_millis(9900)));
        assert_eq!(stopping, format!("the previous life ended without a report, 9.9 s into a stop (last seen {NOW})"));
        assert!(of(LifeStage::Running).contains("while running"));
        assert_eq!(of(LifeStage::Reported), "");
        assert_eq!(Past::read(b"").warning(), None);
    }

    #[test]
    fn a_foreign_file_has_no_missed_post_stop() {
        for bytes in
            [&b"root:x:0:0"[..], b"\xff\xfe", b"bookend", b"\0\0\0", b"bookend-life 2 Running", b"bookend-life 1 x\n"]
        {
            let past = Past::read(bytes);
            assert!(matches!(past, Past::Unknown | Past::Foreign), "{past:?}");
            assert!(!past.owes_post_stop() && past.end() == Some("Unknown"));
        }
        assert_eq!(Past::read(b"root:x:0:0"), Past::Foreign);
        assert_eq!(Past::read(b"bookend"), Past::Unknown);
    }

    proptest! {
        #[test]
        fn a_whole_line_is_read_back_and_a_torn_one_is_unknown(stage in stages(), cut in 0..200usize, pad in 0..30usize) {
            let line = stage.line(NOW);
            let whole = format!("{line}{}", " ".repeat(pad));
            prop_assert_eq!(Past::read(whole.as_bytes()), Past::Life(stage, NOW.to_owned()));
            let torn = &line.as_bytes()[..cut.min(line.len() - 1)];
            let expected = if torn.is_empty() { Past::Nothing } else { Past::Unknown };
            prop_assert_eq!(Past::read(torn), expected);
        }

        #[test]
        fn two_lines_mixed_at_any_byte_are_one_of_them_or_unknown(a in stages(), b in stages(), at in 0..100usize) {
            let (new, old) = (a.line(NOW), b.line("2026-11-29T12:00:09.000Z"));
            let at = at.min(new.len()).min(old.len());
            let mixed = [&new.as_bytes()[..at], &old.as_bytes()[at..]].concat();
            let is_one = mixed.starts_with(new.as_bytes()) || mixed == old.as_bytes();
            prop_assert!(is_one || !matches!(Past::read(&mixed), Past::Life(..)), "{mixed:?}");
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Past::read(&bytes).warning();
        }
    }
}

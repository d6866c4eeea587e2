//! Parses the messages that an app sends with sd_notify(3): a datagram with one assignment per line.
//!
//! | assignment                | effect                                                                          |
//! | ------------------------- | ------------------------------------------------------------------------------- |
//! | `READY=1`                 | the app has started; `/startupz` and `/readyz` wait for it                      |
//! | `RELOADING=1`             | a reload that bookend has begun ends with the next READY=1 (`[[reload]]`)       |
//! | `STOPPING=1`              | the app is ending by itself; `/lbz` reports that it takes no new clients        |
//! | `STATUS=...`              | shown in `/status`                                                              |
//! | `EXTEND_TIMEOUT_USEC=...` | failures of the startupProbe do not count during this time                      |
//! | anything else             | ignored: MAINPID (the app is our child), WATCHDOG (use a livenessProbe), others |

use std::time::Duration;

use crate::printable::printable_char;

/// One assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// `READY=1`.
    Ready,
    /// `RELOADING=1`; only with the feature `reload`.
    Reloading,
    /// `STOPPING=1`.
    Stopping,
    /// `STATUS=...`, without control characters, at most 200 characters.
    Status(String),
    /// `EXTEND_TIMEOUT_USEC=...`, at most one hour.
    ExtendTimeout(Duration),
}

/// Parses a datagram. Returns at most 16 messages, in order; lines that are not understood are skipped.
pub fn parse(datagram: &[u8]) -> Vec<Message> {
    datagram.split(|byte| *byte == b'\n').filter_map(message).take(MOST_MESSAGES).collect()
}

fn message(line: &[u8]) -> Option<Message> {
    let at = line.iter().position(|byte| *byte == b'=')?;
    let (name, value) = (line.get(..at)?, line.get(at + 1..)?);
    match (name, value) {
        (b"READY", b"1") => Some(Message::Ready),
        #[cfg(feature = "reload")]
        (b"RELOADING", b"1") => Some(Message::Reloading),
        (b"STOPPING", b"1") => Some(Message::Stopping),
        (b"STATUS", text) => {
            let text = String::from_utf8_lossy(text);
            Some(Message::Status(text.chars().map(printable_char).take(LONGEST_STATUS).collect()))
        }
        (b"EXTEND_TIMEOUT_USEC", number) if !number.is_empty() && number.iter().all(u8::is_ascii_digit) => {
            let micros = std::str::from_utf8(number).ok()?.parse().unwrap_or(u64::MAX);
            Some(Message::ExtendTimeout(Duration::from_micros(micros).min(LONGEST_EXTENSION)))
        }
        _ => None,
    }
}

/// No real app sends more in one datagram.
const MOST_MESSAGES: usize = 16;
const LONGEST_STATUS: usize = 200;
const LONGEST_EXTENSION: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::printable::is_printable;

    #[test]
    fn known_assignments_are_parsed_and_others_ignored() {
        let datagram = b"READY=1\nSTATUS=Serving 12 clients\xff\x1b[2J\nMAINPID=4711\nWATCHDOG=1\nEXTEND_TIMEOUT_USEC=2500000\nSTOPPING=1\n";
        assert_eq!(
            parse(datagram),
            [
                Message::Ready,
                Message::Status("Serving 12 clients\u{fffd}\u{fffd}[2J".to_owned()),
                Message::ExtendTimeout(Duration::from_millis(2500)),
                Message::Stopping,
            ]
        );
    }

    #[test]
    fn assignments_that_only_look_similar_are_ignored() {
        for line in [
            "",
            "READY",
            "READY=",
            "READY=0",
            "READY=11",
            " READY=1",
            "ready=1",
            "READY=1 ",
            "=1",
            "EXTEND_TIMEOUT_USEC=-1",
            "EXTEND_TIMEOUT_USEC=",
            "EXTEND_TIMEOUT_USEC=1s",
        ] {
            assert_eq!(parse(line.as_bytes()), [], "{line:?}");
        }
    }

    #[test]
    fn an_extension_is_at_most_one_hour() {
        let line = format!("EXTEND_TIMEOUT_USEC={}", "9".repeat(400));
        assert_eq!(parse(line.as_bytes()), [Message::ExtendTimeout(LONGEST_EXTENSION)]);
    }

    proptest! {
        #[test]
        fn any_bytes_become_few_and_short_messages(
            pieces in prop::collection::vec(prop_oneof![
                prop::collection::vec(any::<u8>(), 0..300),
                Just(b"READY=1\n".to_vec()), Just(b"STATUS=".to_vec()), Just(b"EXTEND_TIMEOUT_USEC=".to_vec()),
                Just(b"99999999999999999999\n".to_vec()), Just(b"\n".to_vec()), Just(b"=".to_vec()),
            ], 0..40),
        ) {
            let messages = parse(&pieces.concat());
            prop_assert!(messages.len() <= MOST_MESSAGES);
            for message in messages {
                match message {
                    Message::Status(text) => {
                        prop_assert!(text.chars().count() <= LONGEST_STATUS && text.chars().all(|c| c == '\t' || is_printable(c)));
                    }
                    Message::ExtendTimeout(time) => prop_assert!(time <= LONGEST_EXTENSION),
                    Message::Ready | Message::Reloading | Message::Stopping => {}
                }
            }
        }
    }
}

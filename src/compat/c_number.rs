//! Numbers as C's library reads them: the originals use strtol(3), atoi(3) and sscanf(3).

/// The number at the beginning of the text, after white space, and the rest. `None`: the text does not begin with one.
pub(super) fn leading(text: &str) -> Option<(i64, &str)> {
    let text = text.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = unsigned.len() - unsigned.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, rest) = text.split_at_checked(text.len() - unsigned.len() + digits)?;
    if digits == 0 {
        return None;
    }
    // Out of range: strtol(3) gives the nearest number there is.
    let clamped = if number.starts_with('-') { i64::MIN } else { i64::MAX };
    Some((number.parse().unwrap_or(clamped), rest))
}

/// The whole text as strtol(3) reads it; an empty text is 0.
pub(super) fn whole(text: &str) -> Option<i64> {
    match leading(text) {
        Some((number, "")) => Some(number),
        None if text.is_empty() => Some(0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_may_have_white_space_and_a_sign_before_it() {
        for (text, expected) in [
            ("15", Some((15, ""))),
            (" 15:2", Some((15, ":2"))),
            ("+7x", Some((7, "x"))),
            ("-1", Some((-1, ""))),
            ("007", Some((7, ""))),
            ("99999999999999999999", Some((i64::MAX, ""))),
            ("-99999999999999999999 ", Some((i64::MIN, " "))),
            ("", None),
            (" ", None),
            ("-", None),
            ("x1", None),
            ("--1", None),
        ] {
            assert_eq!(leading(text), expected, "{text:?}");
        }
    }

    #[test]
    fn strtol_reads_an_empty_text_as_0_and_refuses_what_follows_a_number() {
        for (text, expected) in [("", Some(0)), (" 1", Some(1)), ("1 ", None), (" ", None), ("0x1", None)] {
            assert_eq!(whole(text), expected, "{text:?}");
        }
    }
}

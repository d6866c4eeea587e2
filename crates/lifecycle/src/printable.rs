//! Text that others wrote, made safe to show: process names, paths, the output of handlers, answers of other programs.
//!
//! Such text must not move the cursor of a terminal, forge a line of the log, or show its characters in another order
//! than they stand in. Each dangerous character becomes one U+FFFD, so that columns and lengths stay as they were.

/// Replaces every character that [`is_printable`] refuses, and keeps tabs.
pub fn printable(text: &str) -> String {
    text.chars().map(printable_char).collect()
}

/// The same for one character.
pub fn printable_char(c: char) -> char {
    if c == '\t' || is_printable(c) { c } else { char::REPLACEMENT_CHARACTER }
}

/// Whether the character changes nothing but its own place on a screen: it is not a control character, does not end a
/// line and does not change the direction of the text.
pub fn is_printable(c: char) -> bool {
    let ends_a_line = matches!(c, '\u{2028}' | '\u{2029}');
    // Bidirectional marks, embeddings, overrides and isolates (UAX #9); they can show a text in another order.
    let is_bidirectional =
        matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    // U+0085, which ends a line, is a control character as well.
    !c.is_control() && !ends_a_line && !is_bidirectional
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_line_and_bidirectional_characters_are_replaced() {
        let dangerous = ["\0", "\n", "\r", "\x1b", "\x7f", "\u{80}", "\u{85}", "\u{9b}", "\u{2028}", "\u{2029}"];
        let bidirectional = ["\u{61c}", "\u{200e}", "\u{200f}", "\u{202a}", "\u{202e}", "\u{2066}", "\u{2069}"];
        for text in dangerous.into_iter().chain(bidirectional) {
            assert_eq!(printable(&format!("a{text}b")), "a\u{fffd}b", "{text:?}");
        }
    }

    #[test]
    fn letters_of_all_scripts_and_tabs_stay() {
        for text in ["a\tb", "naïve", "שלום", "日本語", "🦀", "\u{200d}", "\u{fffd}"] {
            assert_eq!(printable(text), text);
        }
    }
}

//! `$(VAR)` as a Pod spec has it. Depends on nothing.
//!
//! | text             | becomes                                                        |
//! | ---------------- | -------------------------------------------------------------- |
//! | `$(VAR)`         | the value of VAR; unchanged if VAR is not set                  |
//! | `$$`             | `$`, so that `$$(VAR)` is a literal `$(VAR)`                   |
//! | `$(` without `)` | unchanged; the text after it is expanded                       |
//! | `$` before others, or at the end | unchanged                                      |
//!
//! An inserted value is not expanded again. The rules are those of Kubernetes' expansion.go, on bytes: there,
//! a `$` before a letter outside ASCII garbles the letter, and here it does not.

/// Expands a text with the values that `lookup` finds.
pub fn expand<V: AsRef<[u8]>>(text: &[u8], lookup: impl Fn(&[u8]) -> Option<V>) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = split_at(rest, b'$') {
        out.extend_from_slice(before);
        rest = match after {
            [b'$', rest @ ..] => {
                out.push(b'$');
                rest
            }
            [b'(', reference @ ..] => match split_at(reference, b')') {
                Some((name, rest)) => {
                    match lookup(name) {
                        Some(value) => out.extend_from_slice(value.as_ref()),
                        None => out.extend_from_slice(&[b"$(", name, b")"].concat()),
                    }
                    rest
                }
                None => {
                    out.extend_from_slice(b"$(");
                    reference
                }
            },
            other => {
                out.push(b'$');
                other
            }
        };
    }
    out.extend_from_slice(rest);
    out
}

/// The text before the first such byte and after it.
fn split_at(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|b| *b == byte)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lookup(name: &[u8]) -> Option<&'static [u8]> {
        let value = match std::str::from_utf8(name).ok()? {
            "VAR_A" => "A",
            "VAR_B" => "B",
            "VAR_REF" => "$(VAR_A)",
            "VAR_EMPTY" => "",
            _ => return None,
        };
        Some(value.as_bytes())
    }

    #[track_caller]
    fn becomes(text: &str, expected: &str) {
        assert_eq!(expand(text.as_bytes(), lookup), expected.as_bytes(), "{text}");
    }

    #[test]
    fn a_reference_becomes_the_value_and_an_unknown_one_stays() {
        becomes("$(VAR_A)", "A");
        becomes("___$(VAR_B)___", "___B___");
        becomes("$(VAR_A)$(VAR_B)", "AB");
        becomes("$(VAR_EMPTY)", "");
        becomes("$(VAR_DNE)", "$(VAR_DNE)");
        becomes("$()", "$()");
        becomes("foo\\$(VAR_A)", "foo\\A");
    }

    #[test]
    fn two_dollars_are_one() {
        becomes("$$(VAR_A)", "$(VAR_A)");
        becomes("$$$(VAR_A)", "$A");
        becomes("$$$$(VAR_A)", "$$(VAR_A)");
        becomes("kill $$", "kill $");
    }

    #[test]
    fn other_dollars_stay() {
        becomes("$", "$");
        becomes("$VAR_A", "$VAR_A");
        becomes("${VAR_A}", "${VAR_A}");
        becomes("$(VAR_A", "$(VAR_A");
        becomes("$(VAR_A$$", "$(VAR_A$");
        becomes("$ä", "$ä");
        becomes("VAR_A)$", "VAR_A)$");
    }

    #[test]
    fn a_name_reaches_to_the_first_closing_bracket() {
        becomes("$(VAR_A))", "A)");
        becomes("$($(VAR_A))", "$($(VAR_A))");
        becomes("$((VAR_A))", "$((VAR_A))");
    }

    #[test]
    fn an_inserted_value_is_not_expanded_again() {
        becomes("$(VAR_REF)", "$(VAR_A)");
    }

    /// expansion.go, step by step with its cursor and its checkpoint: slower, and another shape than ours.
    fn reference(text: &[u8]) -> Vec<u8> {
        let (mut out, mut cursor, mut checkpoint) = (Vec::new(), 0, 0);
        while cursor < text.len() {
            if text[cursor] == b'$' && cursor + 1 < text.len() {
                out.extend_from_slice(&text[checkpoint..cursor]);
                let rest = &text[cursor + 1..];
                let (read, advance) = match rest[0] {
                    b'$' => (b"$".to_vec(), 1),
                    b'(' => match rest.iter().position(|b| *b == b')') {
                        Some(end) => {
                            let name = &rest[1..end];
                            let value = lookup(name).map(<[u8]>::to_vec);
                            (value.unwrap_or_else(|| [b"$(", name, b")"].concat()), end + 1)
                        }
                        None => (b"$(".to_vec(), 1),
                    },
                    other => (vec![b'$', other], 1),
                };
                out.extend_from_slice(&read);
                cursor += advance;
                checkpoint = cursor + 1;
            }
            cursor += 1;
        }
        out.extend_from_slice(text.get(checkpoint..).unwrap_or_default());
        out
    }

    proptest! {
        #[test]
        fn every_text_is_expanded_as_in_kubernetes(text in "([$()x]|VAR_A|VAR_REF|ä|\\$\\(VAR_B\\)){0,12}") {
            prop_assert_eq!(expand(text.as_bytes(), lookup), reference(text.as_bytes()));
        }

        #[test]
        fn a_text_without_a_dollar_stays_itself(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let bytes: Vec<u8> = bytes.into_iter().filter(|b| *b != b'$').collect();
            prop_assert_eq!(expand(&bytes, lookup), bytes);
        }

        #[test]
        fn doubled_dollars_give_any_text_back(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let doubled: Vec<u8> = bytes.iter().flat_map(|b| if *b == b'$' { vec![*b, *b] } else { vec![*b] }).collect();
            prop_assert_eq!(expand(&doubled, lookup), bytes);
        }
    }
}

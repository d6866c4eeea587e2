//! The rules of our language that a program can check, held over documents, messages and comments.
//!
//! The register is plain technical English (CONTRIBUTING.md, "Language"). This test knows a few words and sentence
//! starts of the dialect that the project once had. A text without them can still be hard to read; one with them is.

use std::fs;
use std::path::{Path, PathBuf};

/// A paragraph, a table cell, a comment or a string literal, without inline code.
struct Text {
    line: usize,
    text: String,
}

#[test]
fn documents_messages_and_comments_are_in_plain_english() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for path in files(root) {
        let shown = path.strip_prefix(root).unwrap().display().to_string();
        if shown == "tests/suite/language.rs" {
            continue;
        }
        let Ok(source) = fs::read_to_string(&path) else { continue };
        let texts = match path.extension().and_then(|extension| extension.to_str()) {
            Some("md") => markdown(&source),
            // The strings of tests are scripts, files and other programs' words.
            Some("rs") if shown.split('/').any(|part| part == "tests" || part == "tests.rs") => comments(&source),
            Some("rs") => rust(&source),
            _ => hash_comments(&source),
        };
        for Text { line, text } in texts {
            found.extend(objections(&text).into_iter().map(|what| format!("{shown}:{line}: {what}")));
        }
    }
    assert!(found.is_empty(), "{} places:\n{}", found.len(), found.join("\n"));
}

#[test]
fn the_rules_find_the_dialect_and_leave_english_alone() {
    for dialect in [
        "Nobody waits for it.",
        "the host is no host",
        "Two values are no list.",
        "the key is said twice",
        "it tries in vain",
        "It is empty. What is left is read.",
        "Where the kernel has it, it is used.",
        "what answers at {0} is no bookend",
    ] {
        assert!(!objections(dialect).is_empty(), "{dialect}");
    }
    for english in [
        "The user is \"nobody\", uid nobody:nogroup.",
        "There is no registry, and it is no longer needed.",
        "What does a stop cost? It depends.",
        "See where it is.",
        "It shows what is in effect.",
        "The answer is no, and it stays so.",
    ] {
        assert!(objections(english).is_empty(), "{english}: {:?}", objections(english));
    }
    let code = "let a = \"x \\\" nobody waits\"; // It is said.\n// Twice.\nlet b = r#\"so or so\"#; let c = '\"';";
    let texts: Vec<_> = rust(code).into_iter().map(|text| (text.line, text.text)).collect();
    let expected = [(1, "It is said. Twice."), (1, "x \\\" nobody waits"), (3, "so or so")];
    assert_eq!(texts, expected.map(|(line, text)| (line, text.to_owned())));
}

/// The files whose language is ours: sources, documents, configuration, scripts.
fn files(root: &Path) -> Vec<PathBuf> {
    let folders = ["src", "crates", "tests", "benches", "docs", "config", "images", "scripts", ".ci", ".cargo", "fuzz"];
    let mut all: Vec<_> = folders.iter().flat_map(|folder| below(&root.join(folder))).collect();
    all.extend(fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()));
    let ours = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let below = path.strip_prefix(root).unwrap();
        let generated = ["corpus", "target"].iter().any(|part| below.components().any(|c| c.as_os_str() == *part));
        !generated && matches!(extension, Some("rs" | "md" | "toml" | "yaml" | "sh" | "envsh") | None)
    };
    all.retain(ours);
    all.retain(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("LICENSE")));
    all.sort();
    all
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
}

/// Each rule that the text breaks, with the place.
fn objections(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let words = words(text);
    for (index, &(start, word)) in words.iter().enumerate() {
        let end = start + word.len();
        let lower = word.to_lowercase();
        let next = words.get(index + 1).map_or("", |(_, word)| word);
        let no_word = words.get(index + 1).is_some_and(|(at, no)| text[at + no.len()..].starts_with(' '));
        let after_next = words.get(index + 2).map_or("", |(_, word)| word);
        let before = index.checked_sub(1).and_then(|before| words.get(before)).map_or("", |(_, word)| word);
        let objection = match lower.as_str() {
            "nobody" if !is_a_name(text, start, end) => Some("nobody"),
            "said" | "told" => Some("said, told"),
            "is" | "are" | "was" | "were" if next == "no" && no_word && !before.eq_ignore_ascii_case("there") => {
                let compares = ["longer", "more", "less", "fewer", "later", "earlier", "better", "worse"];
                (!compares.contains(&after_next) && !after_next.is_empty()).then_some("is no X: write is not an X")
            }
            "in" if next == "vain" => Some("in vain"),
            "so" if next == "or" && after_next == "so" => Some("so or so"),
            "who" | "whom" | "whose" | "whoever" | "what" | "whatever" | "where" | "wherever" => {
                let starts = starts_a_sentence(text, start) && !is_a_question(text, end);
                (starts && words.len() > 2).then_some("a headless sentence start")
            }
            _ => None,
        };
        if let Some(objection) = objection {
            let from = text[..start].char_indices().rev().nth(30).map_or(0, |(at, _)| at);
            let to = text[end..].char_indices().nth(40).map_or(text.len(), |(at, _)| end + at);
            found.push(format!("{objection}: {}", &text[from..to]));
        }
    }
    found
}

/// The words with their byte positions.
fn words(text: &str) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, char) in text.char_indices().chain([(text.len(), ' ')]) {
        let inside = char.is_alphanumeric() || char == '_' || char == '\'';
        match (inside, start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                words.push((from, &text[from..at]));
                start = None;
            }
            _ => {}
        }
    }
    words
}

/// The user of that name: quoted, or part of `nobody:x:65534`, a path, an assignment, a list of arguments.
fn is_a_name(text: &str, start: usize, end: usize) -> bool {
    let before = text[..start].chars().next_back();
    let after = text[end..].chars().next();
    let marks = ['"', '\'', '`', ':', '/', '=', '\\', '<', '('];
    (before.is_none() && after.is_none())
        || before.is_some_and(|char| marks.contains(&char))
        || after.is_some_and(|char| marks.contains(&char))
}

/// At the beginning of a sentence, with a capital letter, or of the whole text in any case.
fn starts_a_sentence(text: &str, start: usize) -> bool {
    let before = text[..start].trim_end();
    let capital = text[start..].starts_with(char::is_uppercase);
    before.is_empty() || (capital && before.len() < start && before.ends_with(['.', '!', '?', ':']))
}

fn is_a_question(text: &str, end: usize) -> bool {
    let rest = &text[end..];
    let stop = rest.char_indices().find(|&(at, char)| {
        matches!(char, '.' | '?' | '!') && rest[at + 1..].chars().next().is_none_or(char::is_whitespace)
    });
    stop.is_some_and(|(_, char)| char == '?')
}

/// Paragraphs, list items and table cells; headings and fenced blocks are left out.
fn markdown(source: &str) -> Vec<Text> {
    let mut texts = Vec::new();
    let mut paragraph = Text { line: 0, text: String::new() };
    let mut fenced = false;
    for (number, line) in source.lines().chain([""]).enumerate() {
        let line = line.trim();
        let item = line.trim_start_matches(|char: char| char.is_ascii_digit() || ['-', '*'].contains(&char));
        let is_item = item.len() < line.len() && (item.starts_with(' ') || item.starts_with(". "));
        let ends = line.is_empty() || line.starts_with(['#', '|', '<']) || line.starts_with("```") || is_item || fenced;
        if ends && !paragraph.text.is_empty() {
            let text = without_code(&paragraph.text);
            texts.push(Text { line: paragraph.line, text });
            paragraph.text.clear();
        }
        if line.starts_with("```") {
            fenced = !fenced;
        } else if line.starts_with('|') {
            let cells = line.split('|').map(|cell| without_code(cell.trim()));
            texts.extend(cells.filter(|cell| !cell.is_empty()).map(|text| Text { line: number + 1, text }));
        } else if !fenced && !line.is_empty() && !line.starts_with(['#', '<']) {
            if paragraph.text.is_empty() {
                paragraph.line = number + 1;
            } else {
                paragraph.text.push(' ');
            }
            paragraph.text.push_str(if is_item { item.trim_start_matches(['.', ' ']) } else { line });
        }
    }
    texts
}

/// `code` becomes one neutral word; emphasis and the brackets of links go.
fn without_code(text: &str) -> String {
    let pieces = text.split('`').enumerate();
    let text: String = pieces.map(|(index, piece)| if index % 2 == 0 { piece } else { "CODE" }).collect();
    text.replace("**", "").replace('[', "")
}

/// Comments and string literals.
fn rust(source: &str) -> Vec<Text> {
    let (mut all, literals) = comments_and_literals(source);
    all.extend(literals);
    all.sort_by_key(|text| text.line);
    all
}

fn comments(source: &str) -> Vec<Text> {
    comments_and_literals(source).0
}

/// Comments, neighbouring lines joined, and string literals.
fn comments_and_literals(source: &str) -> (Vec<Text>, Vec<Text>) {
    let (mut texts, mut literals): (Vec<Text>, Vec<Text>) = (Vec::new(), Vec::new());
    // The line of the comment that was pushed last.
    let mut comment = None;
    let (mut at, mut line) = (0, 1);
    while let Some(char) = source[at..].chars().next() {
        let rest = &source[at..];
        let mut length = char.len_utf8();
        if rest.starts_with("//") {
            length = rest.find('\n').unwrap_or(rest.len());
            let body = rest[..length].trim_start_matches('/').trim_start_matches('!').trim();
            match (comment, texts.last_mut()) {
                (Some(last), Some(text)) if last + 1 == line && !body.is_empty() => {
                    text.text.push(' ');
                    text.text.push_str(body);
                }
                _ if body.is_empty() => {}
                _ => texts.push(Text { line, text: body.to_owned() }),
            }
            comment = (!body.is_empty()).then_some(line);
        } else if let Some(body) = raw_string(rest) {
            length = body.1;
            comment = None;
            literals.push(Text { line, text: body.0.replace('\n', " ") });
        } else if char == '"' {
            let mut escaped = false;
            let inner = rest[1..].find(|char| {
                let ends = char == '"' && !escaped;
                escaped = char == '\\' && !escaped;
                ends
            });
            length = inner.map_or(rest.len(), |inner| inner + 2);
            comment = None;
            let body = rest[1..].get(..length.saturating_sub(2)).unwrap_or_default();
            let body = body.split("\\\n").map(str::trim_start).collect::<String>();
            literals.push(Text { line, text: body.replace("\\n", " ").replace('\n', " ") });
        } else if char == '\'' {
            // A char literal; a lifetime has no second quote close by.
            let literal = rest[1..].strip_prefix('\\').map_or(0, |_| 1);
            let close = rest[1 + literal..].char_indices().nth(1).map(|(at, _)| at + 1 + literal);
            length = match close {
                Some(close) if rest[close..].starts_with('\'') => close + 1,
                _ => 1,
            };
        } else if char.is_alphanumeric() || char == '_' {
            length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        }
        line += rest[..length].matches('\n').count();
        at += length;
    }
    let plain =
        |texts: Vec<Text>| texts.into_iter().map(|text| Text { text: without_code(&text.text), ..text }).collect();
    (plain(texts), plain(literals))
}

/// `r#"..."#`: the body, and the length of the whole.
fn raw_string(rest: &str) -> Option<(&str, usize)> {
    let after = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = body.find(&close)?;
    Some((&body[..end], rest.len() - body.len() + end + close.len()))
}

/// The comments of TOML, YAML, shell, make and Dockerfiles, neighbouring lines joined.
fn hash_comments(source: &str) -> Vec<Text> {
    let mut texts: Vec<Text> = Vec::new();
    let mut last = 0;
    for (number, line) in (1..).zip(source.lines()) {
        let Some((code, body)) = line.split_once('#').filter(|(code, _)| code.is_empty() || code.ends_with(' ')) else {
            continue;
        };
        let body = body.trim_start_matches(['#', '!']).trim();
        if last + 1 == number && code.trim().is_empty() && !body.is_empty() && !texts.is_empty() {
            let text = &mut texts.last_mut().unwrap().text;
            text.push(' ');
            text.push_str(body);
        } else if !body.is_empty() {
            texts.push(Text { line: number, text: body.to_owned() });
        }
        last = if body.is_empty() { 0 } else { number };
    }
    texts.into_iter().map(|text| Text { text: without_code(&text.text), ..text }).collect()
}

//! Any sources give settings that print and read back as themselves, or diagnostics that can be shown.
//! `BOOKEND_FUZZ_SECONDS` sets the time for each property (two by default).

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};

use super::examples::{document as one_key, values};
use super::files::ready_made;
use super::*;
use crate::key::{Shape, walk};
use crate::settings::Settings;
use crate::vocabulary::ROOT;
use bookend_lifecycle::printable::is_printable;

/// Runs the property with new cases until the time is over.
pub(super) fn for_some_time<S: Strategy>(strategy: S, property: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let seconds = std::env::var("BOOKEND_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2.0);
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut rounds = 0u64;
    while rounds == 0 || Instant::now() < end {
        let config = Config { cases: 200, failure_persistence: None, max_shrink_iters: 4096, ..Config::default() };
        if let Err(failure) = TestRunner::new(config).run(&strategy, &property) {
            panic!("{failure}");
        }
        rounds += 1;
    }
    eprintln!("{rounds} rounds of 200 cases");
}

/// The promise for any sources.
fn answers(sources: &Sources) -> Result<(), TestCaseError> {
    match load(sources) {
        Ok(effective) => {
            let printed = effective.to_string();
            let again = load(&file(&printed));
            let Ok(again) = again else {
                return Err(TestCaseError::fail(format!(
                    "the output is not read back:\n{printed}\n{}",
                    again.unwrap_err()
                )));
            };
            let third = load(&file(&again.to_toml()));
            prop_assert_eq!(third.map(|third| third.settings).ok(), Some(again.settings.clone()));
            if !printed.contains("********") && sources.command.is_empty() {
                prop_assert_eq!(normal(again.settings), normal(effective.settings));
            }
        }
        Err(diagnostics) => {
            prop_assert!(diagnostics.iter().count() > 0);
            let shown = diagnostics.to_string();
            prop_assert!(shown.chars().all(|c| c == '\n' || is_printable(c)), "{shown:?}");
            prop_assert!(shown.lines().count() < 2000, "too long");
        }
    }
    Ok(())
}

/// Settings in which unset keys are the same as their defaults.
fn normal(mut settings: Settings) -> Settings {
    settings.termination_message_bytes.get_or_insert(1024);
    let path = settings.termination_message_path.get_or_insert_with(|| "/dev/termination-log".into());
    let _ = path;
    settings.app.stop_signals.get_or_insert_with(|| {
        vec![
            bookend_lifecycle::signal::Signal::TERM,
            bookend_lifecycle::signal::Signal::INT,
            bookend_lifecycle::signal::Signal::QUIT,
        ]
    });
    if settings.socket == crate::settings::SocketPath::Default {
        settings.socket = crate::settings::SocketPath::At("/run/bookend.sock".into());
    }
    settings
}

/// Every key with every example value, as a document of its own.
pub(super) fn documents() -> Vec<String> {
    let mut all = Vec::new();
    walk(ROOT, &mut |path, key| {
        all.extend(values(key.shape).iter().map(|value| one_key(ROOT, path, value)));
    });
    all
}

/// Words of a configuration, and some others.
pub(super) fn words() -> Vec<String> {
    let mut words: Vec<String> = [
        "=",
        ".",
        ",",
        "\n",
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "\"",
        "'",
        "\"\"\"",
        "#",
        " ",
        "\\",
        "\\u0000",
        "\u{1b}",
        "é",
        "\u{202e}",
        "0",
        "-1",
        "1e999",
        "nan",
        "0x7fffffffffffffff",
        "99999999999999999999",
        "true",
        "\"\"",
        "\"SIGTERM\"",
        "\"SIGRTMIN+3\"",
        "1979-05-27",
        "\"hunter2\"",
        "valueFrom",
        "file",
        "\"/run/x\"",
        "unknown",
    ]
    .map(str::to_owned)
    .to_vec();
    walk(ROOT, &mut |path, key| {
        words.push(key.name.to_owned());
        words.push(path.to_owned());
        words.extend(values(key.shape));
        if let Shape::Tables(_) = key.shape {
            words.push(format!("[[{path}]]\n"));
        }
    });
    words.sort();
    words.dedup();
    words
}

/// A text with some ranges replaced by words.
pub(super) fn edited(text: &str, edits: &[(Index, usize, String)]) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for (span, length, word) in edits {
        let start = span.index(text.len() + 1);
        let end = (start + length).min(text.len());
        text.splice(start..end, word.chars());
    }
    text.into_iter().collect()
}

#[test]
fn any_text_of_the_right_words_is_accepted_or_refused() {
    let text = prop::collection::vec(select(words()), 0..40).prop_map(|words| words.concat());
    for_some_time(text, |text| answers(&file(&text)));
}

#[test]
fn any_change_to_a_real_file_is_accepted_or_refused() {
    let mut texts: Vec<String> = ready_made().into_iter().map(|(_, text)| text).collect();
    texts.extend(documents());
    let edit = (any::<Index>(), 0usize..8, select(words()));
    let text = (select(texts), prop::collection::vec(edit, 0..6)).prop_map(|(text, edits)| edited(&text, &edits));
    for_some_time(text, |text| answers(&file(&text)));
}

#[test]
fn any_layers_of_right_values_are_accepted_or_refused() {
    let layers = prop::collection::vec(select(documents()), 0..8);
    for_some_time(layers, |texts| {
        let files = texts.iter().enumerate().map(|(n, text)| document(&format!("{n}.toml"), text)).collect();
        answers(&Sources { files, ..Sources::default() })
    });
}

#[test]
fn any_variables_and_options_are_accepted_or_refused() {
    let mut names = vec!["BOOKEND_".to_owned(), "BOOKEND_X".to_owned(), "BOOKEND_HTTP_PORT".to_owned()];
    let mut paths = vec![String::new(), ".".to_owned(), "app.env.A.valueFrom.file".to_owned(), "app.env.".to_owned()];
    walk(ROOT, &mut |path, _| {
        names.push(crate::key::env_name(path));
        paths.push(path.to_owned());
        paths.push(format!("{path}.SIGHUP"));
    });
    let variables = prop::collection::vec((select(names), select(words())), 0..4);
    let options = prop::collection::vec((select(paths), select(words())), 0..4);
    for_some_time((variables, options, any::<bool>()), |(variables, options, command)| {
        let env = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>();
        let overrides = options.iter().map(|(path, value)| option(path, value)).collect();
        let command = if command { vec!["program".into(), "$(X)".into()] } else { Vec::new() };
        answers(&Sources { env: super::variables(&env), overrides, command, ..Sources::default() })
    });
}

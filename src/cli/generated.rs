//! Tests that write the completion scripts, the manual page and the help texts in docs/cli.md from the command line's own
//! description, and compare the committed files with it. `BLESS=1 cargo test --lib generated` writes them.

use std::fs;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, CommandFactory, Parser};
use clap_complete::shells;

use super::args::{Cli, SUBCOMMANDS};
use super::manual::manual;

#[test]
fn completions_manual_and_docs_match_the_command_line() {
    let mut stale = Vec::new();
    for (file, text) in [
        ("src/cli/generated/bookend.bash", not_indented(&completions(with_plain_help(), shells::Bash))),
        ("src/cli/generated/bookend.zsh", completions(with_plain_help(), shells::Zsh)),
        ("src/cli/generated/bookend.fish", completions(Cli::command(), shells::Fish)),
        ("src/cli/generated/bookend.1", manual(&built(), &subcommands())),
        ("docs/cli.md", docs()),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        if fs::read_to_string(&path).is_ok_and(|there| there == text) {
            continue;
        }
        match std::env::var_os("BLESS") {
            Some(_) => fs::write(path, text).unwrap(),
            None => stale.push(file),
        }
    }
    assert!(stale.is_empty(), "out of date: {stale:?}: BLESS=1 cargo test --lib generated");
}

#[test]
fn every_command_line_in_the_documents_is_valid() {
    use clap::error::ErrorKind::{DisplayHelp, DisplayVersion, InvalidValue, MissingRequiredArgument, ValueValidation};
    let is_ours = |word: &str| word.starts_with('-') || SUBCOMMANDS.contains(&word);
    let mut shown = 0;
    for document in documents() {
        let mut text = fs::read_to_string(&document).unwrap();
        if document.ends_with("docs/troubleshooting.md") {
            // The first cell of a row is a message.
            let rest = |line: &str| {
                line.strip_prefix("| `").and_then(|row| row.split_once("` |")).map(|(_, rest)| rest.to_owned())
            };
            text = text.lines().map(|line| rest(line).unwrap_or_else(|| line.to_owned()) + "\n").collect();
        }
        for line in command_lines(&text) {
            shown += 1;
            // `bookend signal NAME`, `bookend hook`: a placeholder is not a value, and a name is not a whole command.
            let fits = match Cli::try_parse_from(&line).map_err(|error| error.kind()) {
                Ok(_) | Err(DisplayHelp | DisplayVersion) => true,
                Err(InvalidValue | ValueValidation | MissingRequiredArgument) => true,
                Err(_) => false,
            };
            assert!(fits && line.get(1).is_none_or(|word| is_ours(word)), "{}: {line:?}", document.display());
        }
    }
    assert!(shown > 60, "{shown}");
}

fn documents() -> Vec<PathBuf> {
    let below = |folder: &str| fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
    let paths = below(".").chain(below("docs")).map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// Commands in `code`, on a line of a block, or as a list in images and Pods.
fn command_lines(text: &str) -> Vec<Vec<String>> {
    let blocks: Vec<_> = text.split("\n```").skip(1).step_by(2).collect();
    let shell = blocks.iter().filter_map(|block| block.strip_prefix("sh\n")).flat_map(str::lines);
    let prose: String = text.split("\n```").step_by(2).collect();
    let spans = prose.split('`').skip(1).step_by(2).filter(|span| !span.contains(['[', '\u{b7}']));
    let is_bookend = |word: &String| {
        word == "bookend" || word == "target/release/bookend" || word.starts_with('/') && word.ends_with("/bookend")
    };
    let words = |text: &str| {
        // There `bookend` is the name of an image, or a word of a message.
        if text.starts_with("docker build") || text.starts_with("scripts/check-image") || text.ends_with(" ...") {
            return None;
        }
        let words = text.split(' ').take_while(|word| !["|", ">", "#"].contains(word) && !word.starts_with("->"));
        let mut words: Vec<_> = words.filter(|word| !word.is_empty()).map(str::to_owned).collect();
        let at = words.iter().position(is_bookend)?;
        // The plugin's own test reads those.
        if at > 0 && words.get(at - 1).is_some_and(|word| word == "kubectl") {
            return None;
        }
        // `docker run --entrypoint /bookend IMAGE ARGUMENTS`
        if at > 0 && words.get(at - 1).is_some_and(|word| word == "--entrypoint") {
            words.remove(at + 1);
        }
        Some(words.get(at..)?.to_vec())
    };
    let typed = shell.chain(spans).filter_map(words);
    let lists = blocks.iter().flat_map(|block| block.split('[').skip(1)).filter_map(|list| {
        let (list, _) = list.split_once(']')?;
        serde_json::from_str(&format!("[{list}]")).ok()
    });
    typed.chain(lists.filter(|list: &Vec<String>| list.first().is_some_and(is_bookend))).collect()
}

fn built() -> Command {
    let mut cli = Cli::command();
    cli.build();
    cli
}

fn subcommands() -> Vec<Command> {
    built().get_subcommands().filter(|sub| sub.get_name() != "help" && !sub.is_hide_set()).cloned().collect()
}

fn completions(mut cli: Command, shell: impl clap_complete::Generator) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut cli, "bookend", &mut text);
    String::from_utf8(text).unwrap()
}

/// Nearly half of the script for bash is indentation.
fn not_indented(text: &str) -> String {
    text.lines().map(|line| line.trim_start().to_owned() + "\n").collect()
}

/// clap's own `help` is a second tree of all subcommands, a third of a script. Here it takes the name of one; the script
/// for fish could not complete that.
fn with_plain_help() -> Command {
    let help = Command::new("help").about("Print this message or the help of the given subcommand(s)");
    let help =
        help.disable_help_flag(true).arg(Arg::new("COMMAND").value_parser(PossibleValuesParser::new(SUBCOMMANDS)));
    Cli::command().disable_help_subcommand(true).subcommand(help)
}

/// docs/cli.md with each block that begins with `$ bookend ... --help` as it is now.
fn docs() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
    let committed = fs::read_to_string(path).unwrap();
    let mut missing: Vec<String> = subcommands().iter().map(|sub| sub.get_name().to_owned()).collect();
    let mut text = String::new();
    for block in committed.split_inclusive("```\n") {
        let Some((before, help)) = block.split_once("```text\n$ bookend ") else {
            text.push_str(block);
            continue;
        };
        let (name, _) = help.split_once("--help\n").unwrap_or_default();
        let name = name.trim();
        missing.retain(|subcommand| subcommand != name);
        text.push_str(&format!("{before}{}", help_block(name)));
    }
    if std::env::var_os("BLESS").is_some() {
        missing.iter().for_each(|name| text.push_str(&format!("\n## {name}\n\n{}", help_block(name))));
    } else {
        assert!(missing.is_empty(), "docs/cli.md lacks {missing:?}: BLESS=1 cargo test --lib generated");
    }
    text
}

/// The output of `bookend NAME --help`.
fn help_block(name: &str) -> String {
    let line = ["bookend", name, "--help"].into_iter().filter(|word| !word.is_empty());
    let help = Cli::try_parse_from(line.clone()).unwrap_err();
    let line = line.collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = help.render().to_string().lines().map(|line| line.trim_end().to_owned()).collect();
    format!("```text\n$ {line}\n{}\n```\n", lines.join("\n").trim_end())
}

//! Tests that write the completion scripts and the help texts in docs/kubectl-bookend.md from the command line's own description, and
//! compare the committed files with it. `BLESS=1 cargo test -p kubectl-bookend generated` writes them.
//!
//! Some functions are as in src/cli/generated.rs of bookend. They are not shared: a packed crate runs its unit tests without the crate
//! that supports the tests, and the library of either program has no use for them.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory, Parser};
use clap_complete::shells;

use crate::cli::Cli;

#[test]
fn completions_and_docs_match_the_command_line() {
    if !root().join("docs").is_dir() {
        // A packed crate stands alone.
        return;
    }
    let mut stale = Vec::new();
    for (file, text) in [
        ("crates/kubectl-bookend/src/generated/kubectl-bookend.bash", completions(shells::Bash)),
        ("crates/kubectl-bookend/src/generated/kubectl-bookend.zsh", completions(shells::Zsh)),
        ("crates/kubectl-bookend/src/generated/kubectl-bookend.fish", completions(shells::Fish)),
        ("docs/kubectl-bookend.md", docs()),
    ] {
        let path = root().join(file);
        if fs::read_to_string(&path).is_ok_and(|there| there == text) {
            continue;
        }
        match std::env::var_os("BLESS") {
            Some(_) => fs::write(path, text).unwrap(),
            None => stale.push(file),
        }
    }
    assert!(stale.is_empty(), "out of date: {stale:?}: BLESS=1 cargo test -p kubectl-bookend generated");
}

#[test]
fn every_command_line_in_the_documents_is_valid() {
    use clap::error::ErrorKind::{DisplayHelp, DisplayVersion, InvalidValue, MissingRequiredArgument};
    if !root().join("docs").is_dir() {
        return;
    }
    let mut shown = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for line in command_lines(&text) {
            shown += 1;
            let fits = match Cli::try_parse_from(&line).map_err(|error| error.kind()) {
                Ok(_) | Err(DisplayHelp | DisplayVersion) => true,
                // A name in prose is not a whole command.
                Err(InvalidValue | MissingRequiredArgument) => true,
                Err(_) => false,
            };
            assert!(fits, "{}: {line:?}", document.display());
        }
    }
    assert!(shown > 5, "{shown}");
}

/// `kubectl bookend ...` in `code` and on a line of a block, up to a pipe or a comment.
fn command_lines(text: &str) -> Vec<Vec<String>> {
    let blocks = text.split("\n```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n"));
    let prose: String = text.split("\n```").step_by(2).collect();
    let spans = prose.split('`').skip(1).step_by(2);
    let lines = blocks.flat_map(str::lines).chain(spans).flat_map(|line| line.split(" | "));
    let commands = lines.filter_map(|line| line.trim().strip_prefix("kubectl bookend"));
    let words = commands.map(|line| {
        let words = line.split_whitespace().take_while(|word| ![">", "#", "..."].contains(word));
        std::iter::once("kubectl-bookend").chain(words).map(str::to_owned).collect()
    });
    words.filter(|words: &Vec<String>| words.len() > 1).collect()
}

fn documents() -> Vec<PathBuf> {
    let below = |folder: &str| fs::read_dir(root().join(folder)).unwrap();
    let paths = below(".").chain(below("docs")).map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn built() -> Command {
    let mut cli = Cli::command();
    cli.build();
    cli
}

fn completions(shell: impl clap_complete::Generator) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "kubectl-bookend", &mut text);
    String::from_utf8(text).unwrap()
}

/// docs/kubectl-bookend.md with each block that begins with `$ kubectl bookend ... --help` as it is now.
fn docs() -> String {
    let committed = fs::read_to_string(root().join("docs/kubectl-bookend.md")).unwrap();
    let names = built().get_subcommands().map(|sub| sub.get_name().to_owned()).collect::<Vec<_>>();
    let mut missing: Vec<String> = names.into_iter().filter(|name| name != "help").collect();
    let mut text = String::new();
    for block in committed.split_inclusive("```\n") {
        let Some((before, help)) = block.split_once("```text\n$ kubectl bookend ") else {
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
        assert!(missing.is_empty(), "docs/kubectl-bookend.md lacks {missing:?}: BLESS=1 cargo test -p kubectl-bookend");
    }
    text
}

/// The output of `kubectl bookend NAME --help`.
fn help_block(name: &str) -> String {
    let line = ["kubectl-bookend", name, "--help"].into_iter().filter(|word| !word.is_empty());
    let help = Cli::try_parse_from(line).unwrap_err().render().to_string();
    let lines: Vec<String> = help.lines().map(|line| line.trim_end().to_owned()).collect();
    let wide: Vec<_> = lines.iter().filter(|line| line.chars().count() > 100).collect();
    assert!(wide.is_empty(), "{name}: {wide:#?}");
    let shown = if name.is_empty() { String::new() } else { format!("{name} ") };
    format!("```text\n$ kubectl bookend {shown}--help\n{}\n```\n", lines.join("\n").trim_end())
}

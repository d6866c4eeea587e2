//! `bookend completions SHELL` and `bookend man`: texts that a test writes from the command line's own
//! description, and holds to it. The code that makes them would be more than twice as large as they are.

use super::outcome::{Done, print};

#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    /// The shell they are for
    shell: Shell,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Completions {
    pub(super) fn run(&self) -> Done {
        print(match self.shell {
            Shell::Bash => include_str!("generated/bookend.bash"),
            Shell::Zsh => include_str!("generated/bookend.zsh"),
            Shell::Fish => include_str!("generated/bookend.fish"),
        });
        Ok(())
    }
}

pub(super) fn man() -> Done {
    print(include_str!("generated/bookend.1"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use clap::builder::PossibleValuesParser;
    use clap::{Arg, Command, CommandFactory, Parser};
    use clap_complete::shells;

    use crate::cli::manual::manual;
    use crate::cli::{Cli, SUBCOMMANDS};

    #[test]
    fn completions_manual_and_docs_say_what_the_command_line_is() {
        let mut stale = Vec::new();
        for (file, text) in [
            ("src/cli/generated/bookend.bash", not_indented(&completions(with_plain_help(), shells::Bash))),
            ("src/cli/generated/bookend.zsh", completions(with_plain_help(), shells::Zsh)),
            ("src/cli/generated/bookend.fish", completions(Cli::command(), shells::Fish)),
            ("src/cli/generated/bookend.1", manual(&built(), &verbs())),
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
        assert!(stale.is_empty(), "no longer true: {stale:?}: BLESS=1 cargo test --lib generated");
    }

    #[test]
    fn every_command_line_of_bookend_that_the_documents_show_is_one() {
        use clap::error::ErrorKind::{
            DisplayHelp, DisplayVersion, InvalidValue, MissingRequiredArgument, ValueValidation,
        };
        let is_said = |word: &str| word.starts_with('-') || super::super::SUBCOMMANDS.contains(&word);
        let mut shown = 0;
        for document in documents() {
            let text = fs::read_to_string(&document).unwrap();
            for line in command_lines(&text) {
                shown += 1;
                // `bookend signal NAME`, `bookend hook`: placeholders are no values, and a name is no whole command.
                let fits = match Cli::try_parse_from(&line).map_err(|error| error.kind()) {
                    Ok(_) | Err(DisplayHelp | DisplayVersion) => true,
                    Err(InvalidValue | ValueValidation | MissingRequiredArgument) => true,
                    Err(_) => false,
                };
                assert!(fits && line.get(1).is_none_or(|word| is_said(word)), "{}: {line:?}", document.display());
            }
        }
        assert!(shown > 60, "{shown}");
    }

    fn documents() -> Vec<PathBuf> {
        let below = |folder: &str| fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
        let paths = below(".").chain(below("docs")).map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
    }

    /// In code: a command in `code` or on a line of a block, or a list as images and Pods have it.
    fn command_lines(text: &str) -> Vec<Vec<String>> {
        let blocks: Vec<_> = text.split("\n```").skip(1).step_by(2).collect();
        let shell = blocks.iter().filter_map(|block| block.strip_prefix("sh\n")).flat_map(str::lines);
        let prose: String = text.split("\n```").step_by(2).collect();
        let spans = prose.split('`').skip(1).step_by(2).filter(|span| !span.contains(['[', '\u{b7}']));
        let is_bookend = |word: &String| {
            word == "bookend" || word == "target/release/bookend" || word.starts_with('/') && word.ends_with("/bookend")
        };
        let words = |said: &str| {
            let words = said.split(' ').take_while(|word| !["|", ">", "#"].contains(word) && !word.starts_with("->"));
            let words: Vec<_> = words.filter(|word| !word.is_empty()).map(str::to_owned).collect();
            let at = words.iter().position(is_bookend)?;
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

    fn verbs() -> Vec<Command> {
        built().get_subcommands().filter(|verb| verb.get_name() != "help" && !verb.is_hide_set()).cloned().collect()
    }

    fn completions(mut cli: Command, shell: impl clap_complete::Generator) -> String {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut cli, "bookend", &mut text);
        String::from_utf8(text).unwrap()
    }

    /// Nearly half of the script for bash is blanks that nobody reads.
    fn not_indented(text: &str) -> String {
        text.lines().map(|line| line.trim_start().to_owned() + "\n").collect()
    }

    /// clap's own `help` is a second tree of all verbs, a third of a script; here it takes the name of one. Fish's
    /// script would not complete that.
    fn with_plain_help() -> Command {
        let help = Command::new("help").about("Print this message or the help of the given subcommand(s)");
        let help =
            help.disable_help_flag(true).arg(Arg::new("COMMAND").value_parser(PossibleValuesParser::new(SUBCOMMANDS)));
        Cli::command().disable_help_subcommand(true).subcommand(help)
    }

    /// docs/cli.md with each block that begins with `$ bookend VERB --help` as it is now.
    fn docs() -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
        let there = fs::read_to_string(path).unwrap();
        let mut verbs = verbs();
        let mut text = String::new();
        let mut blocks = there.split_inclusive("```\n");
        for block in &mut blocks {
            let Some((before, help)) = block.split_once("```text\n$ bookend ") else {
                text.push_str(block);
                continue;
            };
            let name = help.split_once(" --help\n").map(|(name, _)| name).unwrap_or_default();
            let place = verbs.iter().position(|verb| verb.get_name() == name);
            let mut verb = verbs.remove(place.unwrap_or_else(|| panic!("docs/cli.md: there is no verb {name:?}")));
            let help = verb.render_long_help().to_string();
            text.push_str(&format!("{before}```text\n$ bookend {name} --help\n{}\n```\n", help.trim_end()));
        }
        let forgotten: Vec<_> = verbs.iter().map(Command::get_name).collect();
        if std::env::var_os("BLESS").is_some() {
            for mut verb in verbs {
                let (name, help) = (verb.get_name().to_owned(), verb.render_long_help().to_string());
                text.push_str(&format!("\n## {name}\n\n```text\n$ bookend {name} --help\n{}\n```\n", help.trim_end()));
            }
        } else {
            assert!(forgotten.is_empty(), "docs/cli.md lacks {forgotten:?}: BLESS=1 cargo test --lib generated");
        }
        text
    }
}

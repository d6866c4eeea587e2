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
    use std::path::Path;

    use clap::{Command, CommandFactory};
    use clap_complete::shells;

    use crate::cli::Cli;

    #[test]
    fn completions_manual_and_docs_say_what_the_command_line_is() {
        let mut stale = Vec::new();
        for (file, text) in [
            ("src/cli/generated/bookend.bash", completions(shells::Bash)),
            ("src/cli/generated/bookend.zsh", completions(shells::Zsh)),
            ("src/cli/generated/bookend.fish", completions(shells::Fish)),
            ("src/cli/generated/bookend.1", manual()),
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

    fn verbs() -> Vec<Command> {
        let mut cli = Cli::command();
        cli.build();
        cli.get_subcommands().filter(|verb| verb.get_name() != "help" && !verb.is_hide_set()).cloned().collect()
    }

    fn completions(shell: impl clap_complete::Generator) -> String {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "bookend", &mut text);
        String::from_utf8(text).unwrap()
    }

    /// One page for all verbs: whoever has a problem in a container has one terminal.
    fn manual() -> String {
        let page = clap_mangen::Man::new(Cli::command()).section("1");
        let mut text = Vec::new();
        page.render_title(&mut text).unwrap();
        page.render_name_section(&mut text).unwrap();
        page.render_synopsis_section(&mut text).unwrap();
        page.render_description_section(&mut text).unwrap();
        page.render_options_section(&mut text).unwrap();
        text.extend(b".SH VERBS\n");
        for verb in verbs() {
            let mut section = Vec::new();
            let page = clap_mangen::Man::new(verb.clone().disable_help_flag(true));
            page.render_synopsis_section(&mut section).unwrap();
            page.render_description_section(&mut section).unwrap();
            if verb.get_arguments().any(|argument| argument.get_id() != "help") {
                page.render_options_section(&mut section).unwrap();
            }
            let lines = String::from_utf8(section).unwrap();
            // Each is a part of this page, not a page.
            let lines = lines.lines().filter(|line| *line != ".ie \\n(.g .ds Aq \\(aq" && *line != ".el .ds Aq '");
            text.extend(format!(".SS {}\n", verb.get_name()).bytes());
            for line in lines {
                match line.strip_prefix(".SH ") {
                    Some("SYNOPSIS") => {}
                    Some(_) => text.extend(b".PP\n"),
                    None => text.extend(format!("{line}\n").bytes()),
                }
            }
        }
        text.extend(include_str!("generated/exit.1").bytes());
        String::from_utf8(text).unwrap()
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

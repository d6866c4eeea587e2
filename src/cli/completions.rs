//! `bookend completions SHELL` and `bookend man`. A test writes these texts from the command line's own description and
//! compares them with it (`generated`). The code that generates them would be more than twice as large.

use super::outcome::{Outcome, print};

#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell that reads the script
    shell: ShellName,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ShellName {
    Bash,
    Zsh,
    Fish,
}

impl CompletionsArgs {
    pub(super) fn run(&self) -> Outcome {
        print(match self.shell {
            ShellName::Bash => include_str!("generated/bookend.bash"),
            ShellName::Zsh => include_str!("generated/bookend.zsh"),
            ShellName::Fish => include_str!("generated/bookend.fish"),
        });
        Ok(())
    }
}

pub(super) fn man() -> Outcome {
    print(include_str!("generated/bookend.1"));
    Ok(())
}

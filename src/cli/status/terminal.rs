//! The width and colours of the terminal that stdout is connected to.

use std::io::{IsTerminal, stdout};

use crate::process::terminal_width;

/// A terminal, or a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terminal {
    /// Columns. `None`: not a terminal, so no chart and no shortened lines.
    pub(super) width: Option<usize>,
    pub(super) colour: bool,
}

impl Terminal {
    pub(super) fn of_stdout() -> Terminal {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if !stdout().is_terminal() {
            return Terminal { width: None, colour: false };
        }
        let columns = variable("COLUMNS").and_then(|columns| columns.parse().ok());
        let width = columns.or_else(|| terminal_width().map(usize::from)).unwrap_or(80);
        // https://no-color.org
        let colour = variable("NO_COLOR").is_none() && variable("TERM").is_none_or(|term| term != "dumb");
        Terminal { width: Some(width.max(40)), colour }
    }

    pub(super) fn paint(self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Plain => return text.to_owned(),
            Colour::Good => 32,
            Colour::Busy => 33,
            Colour::Bad => 31,
            Colour::Quiet => 2,
            Colour::Strong => 1,
        };
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Shortened to the width of the terminal; `used` columns are taken.
    pub(super) fn cut(self, text: &str, used: usize) -> String {
        let Some(room) = self.width.map(|width| width.saturating_sub(used)) else { return text.to_owned() };
        match room {
            0..4 => String::new(),
            _ if text.chars().count() <= room => text.to_owned(),
            _ => text.chars().take(room - 1).chain(['…']).collect(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    Plain,
    Good,
    Busy,
    Bad,
    Quiet,
    Strong,
}

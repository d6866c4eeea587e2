//! `bookend check [FILE...]`: what is in effect, and whether a stop fits its budget.

use std::path::PathBuf;

use super::outcome::{Done, print};
use super::run;

#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// Configuration files; where several set the same key, the last one wins
    files: Vec<PathBuf>,
}

impl Check {
    pub(super) fn run(&self) -> Done {
        let (effective, _) = run::load(&self.files, Vec::new())?;
        print(&effective.to_string());
        Ok(())
    }
}

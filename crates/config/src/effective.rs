//! The result of loading a configuration: the settings, the origin of each value, and the warnings.

use std::ffi::OsString;
use std::fmt;

use crate::auto_profile::AutoProfile;
use crate::budget::BudgetTable;
use crate::diagnostic::Diagnostics;
use crate::inputs::Mode;
use crate::json;
use crate::print;
use crate::settings::{AppSettings, Program, Settings};
use crate::tree::{Origin, Tree};

/// A configuration without errors.
#[derive(Debug, Clone)]
pub struct Effective {
    /// The settings that the program works with.
    pub settings: Settings,
    /// Deprecated keys, unknown variables, keys without effect.
    pub warnings: Diagnostics,
    /// With `app.profile = "auto"`.
    pub auto: Option<AutoProfile>,
    pub(crate) mode: Mode,
    pub(crate) tree: Tree,
}

impl Effective {
    /// Zero config: the defaults, and a command. The same as loading nothing but the command, without its cost.
    pub fn of_command(command: Vec<OsString>) -> Effective {
        let program = Program { command, ..Program::default() };
        let app = AppSettings { program, ..AppSettings::default() };
        let settings = Settings { app, ..Settings::default() };
        Effective { settings, warnings: Diagnostics::default(), auto: None, mode: Mode::App, tree: Tree::default() }
    }

    /// The origin of the value at a key path.
    pub fn origin(&self, path: &str) -> Origin {
        self.tree.get(path).map_or(Origin::Default, |entry| entry.origin.clone())
    }

    /// Whether anything is set besides a command and the path of the socket: otherwise bookend is as silent as tini.
    pub fn is_configured(&self) -> bool {
        self.tree.iter().any(|(path, entry)| path != "socket" && entry.origin != Origin::CommandLine("--".to_owned()))
    }

    /// The effective configuration as TOML, each value with a comment that names its origin. Secrets are masked.
    pub fn to_toml(&self) -> String {
        print::toml(&self.tree, self.mode)
    }

    /// The same as one JSON object: the values that are set, the budget, and all warnings.
    pub fn to_json(&self) -> serde_json::Value {
        let mode = if self.mode == Mode::Sidecar { "sidecar" } else { "run" };
        serde_json::json!({
            "mode": mode,
            "profile": self.settings.app.profile,
            "values": json::values(&self.tree),
            "budget": json::budget(&self.budget()),
            "warnings": self.all_warnings(),
        })
    }

    /// All warnings: values that are accepted and will not work as configured, and stages that do not fit the budget.
    pub fn all_warnings(&self) -> Vec<String> {
        let budget = self.budget();
        let diagnostics = self.warnings.iter().map(ToString::to_string);
        diagnostics.chain(budget.warnings).collect()
    }

    /// Whether the stages of a stop fit into the grace period.
    pub fn budget(&self) -> BudgetTable {
        match self.mode {
            Mode::Sidecar => BudgetTable::of_sidecar(&self.settings),
            Mode::Either | Mode::App => BudgetTable::of(&self.settings),
        }
    }
}

impl fmt::Display for Effective {
    /// The output of `bookend check`, which is TOML as a whole: budget and warnings are comments.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.to_toml())?;
        if let Some(auto) = &self.auto {
            let chosen = auto.chosen();
            writeln!(
                f,
                "# app.profile \"auto\": {chosen} by the command; the running app decides when a stop begins\n#"
            )?;
        }
        self.budget().to_string().lines().try_for_each(|line| writeln!(f, "# {line}"))?;
        for warning in self.warnings.iter() {
            writeln!(f, "#")?;
            warning.to_string().lines().try_for_each(|line| writeln!(f, "# {line}"))?;
        }
        Ok(())
    }
}

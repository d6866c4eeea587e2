//! The findings of the rehearsal.

use bookend_rehearse::counts::{Counts, Kind, Report};
use serde::Serialize;

use super::strategy::Strategy;

/// One life.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Run {
    pub(crate) strategy: String,
    pub(crate) title: String,
    pub(crate) late_seconds: f64,
    /// Requests that a user would have seen fail.
    pub(crate) lost: u64,
    /// Of all kinds of traffic together.
    pub(crate) total: Counts,
    pub(crate) stop_seconds: f64,
    pub(crate) exit_code: i32,
    /// SIGKILL at the end of the grace period.
    pub(crate) killed: bool,
    /// Processes that were left when the first one ended; null: not seen.
    pub(crate) leftovers: Option<Vec<String>>,
    /// A hook that was not answered with success.
    pub(crate) hook_problem: Option<String>,
    #[serde(flatten)]
    pub(crate) report: Report,
}

/// A strategy that could not be run.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NotRun {
    pub(crate) strategy: String,
    pub(crate) reason: String,
}

/// A configuration with which nothing was lost.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Advice {
    /// Lives with exactly this configuration.
    pub(crate) tries: u32,
    /// In all of them together.
    pub(crate) lost: u64,
    /// The longest stop of them.
    pub(crate) stop_seconds: f64,
    pub(crate) min_seconds: Option<u64>,
    pub(crate) termination_grace_period_seconds: u64,
    pub(crate) profile: Option<String>,
    /// bookend.toml.
    pub(crate) toml: String,
    /// The Pod's fields.
    pub(crate) pod: String,
    /// Why these values.
    pub(crate) reasons: Vec<String>,
}

/// A finding of `bookend doctor`.
#[derive(Debug, Clone, Serialize, serde::Deserialize)]
pub(crate) struct Finding {
    pub(crate) check: String,
    pub(crate) what: String,
    pub(crate) why: String,
    pub(crate) fix: String,
}

/// Everything.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Results {
    pub(crate) version: &'static str,
    pub(crate) image: Option<String>,
    pub(crate) command: Vec<String>,
    pub(crate) url: String,
    pub(crate) grace_seconds: u64,
    pub(crate) traffic: String,
    pub(crate) runs: Vec<Run>,
    pub(crate) not_run: Vec<NotRun>,
    pub(crate) judged: Vec<String>,
    pub(crate) allow_lost: u64,
    /// No judged strategy lost more than allowed; null: no judged strategy ran.
    pub(crate) passed: Option<bool>,
    pub(crate) advice: Option<Advice>,
    /// Why there is no advice.
    pub(crate) no_advice: Option<String>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) notes: Vec<String>,
}

impl Results {
    /// Whether every judged strategy ran and lost no more than allowed.
    pub(crate) fn judge(&mut self) {
        let judged: Vec<&Run> = self.runs.iter().filter(|run| self.judged.contains(&run.strategy)).collect();
        let could_not_run = self.not_run.iter().any(|not_run| self.judged.contains(&not_run.strategy));
        self.passed = if judged.iter().any(|run| run.lost > self.allow_lost) {
            Some(false)
        } else if judged.is_empty() || could_not_run {
            None
        } else {
            Some(true)
        };
    }
}

impl Run {
    /// Whole and cut transfers: downloads, uploads, streams and websockets that took part.
    pub(crate) fn transfers(&self) -> Vec<(Kind, u64, u64)> {
        let kinds = [Kind::Download, Kind::Upload, Kind::Stream, Kind::Websocket];
        kinds.into_iter().filter_map(|kind| self.report.kinds.get(&kind).map(|c| (kind, c.ok, c.lost()))).collect()
    }
}

/// The number of a strategy in the order of the table.
pub(crate) fn not_run(strategy: &Strategy, reason: String) -> NotRun {
    NotRun { strategy: strategy.id(), reason }
}

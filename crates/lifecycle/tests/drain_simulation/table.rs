//! The table "how to choose" of docs/drain.md.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::outcome::{Odds, shipped};
use crate::traffic::{Pattern, Profile, Removal};
use crate::{STOPS, at_once, choice};

pub(crate) const BEGIN: &str = "<!-- simulation: begin -->";
pub(crate) const END: &str = "<!-- simulation: end -->";

/// The page in the repository. `None`: this is the package alone.
pub(crate) fn page() -> Option<PathBuf> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/drain.md");
    if !page.exists() {
        println!("NOT RUN: docs/drain.md is not part of this package");
        return None;
    }
    Some(page)
}

/// The rows, one per choice.
pub(crate) fn rows() -> String {
    let straggler =
        |rate: f64| Profile { proxies: 100, rate, pattern: Pattern::Random, removal: Removal::Straggler(6.0) };
    let columns = [
        ("removed by 3 s, 2/s", at_once(3.0, 2.0)),
        ("by 6 s, 200/s", at_once(6.0, 200.0)),
        ("by 6 s, 20/s", at_once(6.0, 20.0)),
        ("by 6 s, 2/s", at_once(6.0, 2.0)),
        ("by 10 s, 2/s", at_once(10.0, 2.0)),
        ("99 of 100 proxies by 1 s, the last by 6 s, 200/s", straggler(200.0)),
    ];
    let mut text = String::from("| `minSeconds` | `quietSeconds` |");
    columns.iter().for_each(|(name, _)| write!(text, " {name} |").expect("a String"));
    text.push_str("\n| --- | --- |");
    columns.iter().for_each(|_| text.push_str(" --- |"));
    text.push('\n');
    for (min, quiet) in [(0.0, 1.0), (3.0, 1.0), (3.0, 2.0), (3.0, 4.0), (6.0, 2.0), (10.0, 2.0)] {
        let mark = if (min, quiet) == (3.0, 2.0) { " (default)" } else { "" };
        write!(text, "| {min}{mark} | {quiet} |").expect("a String");
        for (_, profile) in &columns {
            let odds = Odds::of(profile, &choice(min, quiet), STOPS, shipped);
            write!(text, " {} %, {:.1} s |", percent(odds.stops_with_loss), odds.median_seconds).expect("a String");
        }
        text.push('\n');
    }
    text
}

/// Stops with a loss, in percent of all.
fn percent(losses: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let percent = losses as f64 * 100.0 / STOPS as f64;
    format!("{percent:.1}")
}

//! The report: a table for each figure, each row with its ratio to tini in the same run, the target and whether it is reached.

use std::fmt::Write;

use crate::figures::Samples;
use crate::subjects::{Kind, Subject};

/// One figure of all inits.
pub(crate) struct Figure<'a> {
    pub(crate) title: &'a str,
    pub(crate) unit: &'a str,
    pub(crate) of: Of,
    pub(crate) samples: &'a Samples,
    /// bookend's as a plain init, and with an endpoint and handlers.
    pub(crate) targets: [Target; 2],
}

/// How the samples become one figure.
#[derive(Clone, Copy)]
pub(crate) enum Of {
    Median,
    Percentile99,
}

#[derive(Clone, Copy)]
pub(crate) enum Target {
    None,
    /// At most this many times tini's figure of the same run.
    OfTini(f64),
    /// At most this figure.
    Most(f64),
    /// At most this figure, or so many times tini's of the same run, whichever is larger.
    MostOrOfTini(f64, f64),
}

impl Of {
    fn value(self, samples: &[f64]) -> Option<f64> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let index = match self {
            Of::Median => sorted.len() / 2,
            Of::Percentile99 => (sorted.len() * 99 / 100).min(sorted.len().saturating_sub(1)),
        };
        sorted.get(index).copied()
    }
}

/// All tables, and at the end the missed targets.
pub(crate) struct Report<'a> {
    pub(crate) subjects: &'a [Subject],
    pub(crate) text: String,
    missed: Vec<String>,
    reached: usize,
}

impl Report<'_> {
    pub(crate) fn new(subjects: &[Subject]) -> Report<'_> {
        Report { subjects, text: String::new(), missed: Vec::new(), reached: 0 }
    }

    /// `tini`: the reference of the ratios, if it is not tini's value of this figure.
    pub(crate) fn add(&mut self, figure: &Figure, tini: Option<f64>) -> Option<f64> {
        let value = |name: &str| figure.samples.get(name).and_then(|samples| figure.of.value(samples));
        let tini = tini.or_else(|| value("tini"));
        writeln!(self.text, "\n### {}\n", figure.title).unwrap();
        writeln!(self.text, "| init | {} | x tini | target | |\n| --- | --- | --- | --- | --- |", figure.unit).unwrap();
        for subject in self.subjects {
            let Some(value) = value(subject.name) else { continue };
            let ratio = tini.filter(|tini| *tini > 0.0).map(|tini| value / tini);
            let shown = ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
            let (target, verdict) = self.verdict(figure, subject, value, ratio);
            writeln!(self.text, "| {} | {} | {shown} | {target} | {verdict} |", subject.name, number(value)).unwrap();
        }
        value("tini")
    }

    fn verdict(
        &mut self,
        figure: &Figure,
        subject: &Subject,
        value: f64,
        ratio: Option<f64>,
    ) -> (String, &'static str) {
        let target = match subject.kind {
            Kind::Plain => figure.targets[0],
            Kind::Configured => figure.targets[1],
            _ => Target::None,
        };
        let (target, reached) = match target {
            Target::None => return (String::new(), ""),
            Target::OfTini(most) => (format!("<= {most:.1} x tini"), ratio.is_some_and(|ratio| ratio <= most)),
            Target::Most(most) => (format!("<= {}", number(most)), value <= most),
            Target::MostOrOfTini(most, times) => {
                let reached = value <= most || ratio.is_some_and(|ratio| ratio <= times);
                (format!("<= {} or {times:.1} x tini", number(most)), reached)
            }
        };
        if reached {
            self.reached += 1;
            return (target, "reached");
        }
        let ratio = ratio.map_or_else(String::new, |ratio| format!(", {ratio:.2} x tini"));
        self.missed.push(format!("{}, {}: {}{ratio}; target {target}", figure.title, subject.name, number(value)));
        (target, "**missed**")
    }

    pub(crate) fn finish(mut self) -> String {
        let targets = self.reached + self.missed.len();
        writeln!(self.text, "\n{} of {targets} targets reached", self.reached).unwrap();
        for missed in &self.missed {
            writeln!(self.text, "- missed: {missed}").unwrap();
        }
        self.text
    }
}

/// Three digits: more cannot be trusted.
fn number(value: f64) -> String {
    match value {
        value if value >= 100.0 || value == value.trunc() => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

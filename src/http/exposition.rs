//! The two texts that Prometheus reads. They differ in what a metric is called above its samples, and in a few lines.
//! (<https://prometheus.io/docs/specs/om/open_metrics_spec/>,
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>)

use std::fmt::{Display, Write};
use std::time::Duration;

use crate::seconds::Seconds;

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// OpenMetrics 1.0.
    Open,
    /// Prometheus' own, 0.0.4.
    Plain,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    Counter,
    Histogram,
    /// Says something in its labels.
    Info,
}

/// The text so far.
pub(super) struct Exposition {
    text: String,
    format: Format,
    /// Of the samples to come.
    name: String,
}

/// A sample's labels, in the order they are told in.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

impl Exposition {
    pub(super) fn new(format: Format) -> Exposition {
        Exposition { text: String::new(), format, name: String::new() }
    }

    /// Begins a metric. One that ends in `_seconds` has that unit.
    pub(super) fn metric(&mut self, kind: Kind, name: &str, help: &str) {
        let (word, ending) = match (kind, self.format) {
            (Kind::Gauge, _) => ("gauge", ""),
            (Kind::Counter, _) => ("counter", "_total"),
            (Kind::Histogram, _) => ("histogram", ""),
            (Kind::Info, Format::Open) => ("info", "_info"),
            (Kind::Info, Format::Plain) => ("gauge", "_info"),
        };
        let family = format!("bookend_{name}");
        self.name = format!("{family}{ending}");
        let (named, unit) = match self.format {
            Format::Open if name.ends_with("_seconds") => (&family, format!("# UNIT {family} seconds\n")),
            Format::Open => (&family, String::new()),
            Format::Plain => (&self.name, String::new()),
        };
        self.text.push_str(&format!("# HELP {named} {help}\n# TYPE {named} {word}\n{unit}"));
    }

    /// A sample of the metric that was begun last.
    pub(super) fn sample(&mut self, labels: Labels<'_>, value: &dyn Display) {
        self.line("", labels, None, value);
    }

    /// A time.
    pub(super) fn time(&mut self, labels: Labels<'_>, time: Duration) {
        self.sample(labels, &float(time));
    }

    /// A histogram: how many there were up to each bound and no more than the one before it, and how many in all.
    pub(super) fn histogram(&mut self, labels: Labels<'_>, buckets: &[(Duration, u64)], count: u64, sum: Duration) {
        let mut so_far = 0;
        for (bound, count) in buckets {
            so_far += count;
            let bound = match self.format {
                Format::Open => float(*bound),
                Format::Plain => Seconds(*bound).to_string(),
            };
            self.line("_bucket", labels, Some(&bound), &so_far);
        }
        self.line("_bucket", labels, Some("+Inf"), &count);
        self.line("_sum", labels, None, &float(sum));
        self.line("_count", labels, None, &count);
    }

    /// All of it.
    pub(super) fn finish(mut self) -> String {
        if self.format == Format::Open {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    fn line(&mut self, ending: &str, labels: Labels<'_>, bound: Option<&str>, value: &dyn Display) {
        let bound = bound.map(|bound| ("le", bound));
        let labels: Vec<String> = labels.iter().copied().chain(bound).map(label).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{}{ending}{labels} {value}", self.name);
    }
}

fn label((name, value): (&str, &str)) -> String {
    format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// As OpenMetrics wants a number that need not be whole: `30.0`.
fn float(time: Duration) -> String {
    let text = Seconds(time).to_string();
    if text.contains('.') { text } else { format!("{text}.0") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(format: Format) -> String {
        let mut out = Exposition::new(format);
        out.metric(Kind::Info, "build", "the version");
        out.sample(&[("version", "1")], &1);
        out.metric(Kind::Counter, "runs", "how many");
        out.sample(&[("name", "a\\b\"c\nd"), ("result", "Failed")], &7);
        out.metric(Kind::Gauge, "left_seconds", "what is left");
        out.time(&[], Duration::from_millis(30_000));
        out.metric(Kind::Histogram, "took_seconds", "how long");
        let buckets = [(Duration::from_millis(10), 1), (Duration::from_millis(2000), 2)];
        out.histogram(&[("name", "x")], &buckets, 4, Duration::from_millis(12_500));
        out.finish()
    }

    #[test]
    fn prometheus_text_names_what_its_samples_are_called() {
        let lines = "# HELP bookend_build_info the version\n# TYPE bookend_build_info gauge\n\
            bookend_build_info{version=\"1\"} 1\n\
            # HELP bookend_runs_total how many\n# TYPE bookend_runs_total counter\n\
            bookend_runs_total{name=\"a\\\\b\\\"c\\nd\",result=\"Failed\"} 7\n\
            # HELP bookend_left_seconds what is left\n# TYPE bookend_left_seconds gauge\n\
            bookend_left_seconds 30.0\n\
            # HELP bookend_took_seconds how long\n# TYPE bookend_took_seconds histogram\n\
            bookend_took_seconds_bucket{name=\"x\",le=\"0.01\"} 1\nbookend_took_seconds_bucket{name=\"x\",le=\"2\"} 3\n\
            bookend_took_seconds_bucket{name=\"x\",le=\"+Inf\"} 4\nbookend_took_seconds_sum{name=\"x\"} 12.5\n\
            bookend_took_seconds_count{name=\"x\"} 4\n";
        assert_eq!(told(Format::Plain), lines);
    }

    #[test]
    fn open_metrics_names_the_family_its_unit_and_the_end() {
        let lines = "# HELP bookend_build the version\n# TYPE bookend_build info\n\
            bookend_build_info{version=\"1\"} 1\n\
            # HELP bookend_runs how many\n# TYPE bookend_runs counter\n\
            bookend_runs_total{name=\"a\\\\b\\\"c\\nd\",result=\"Failed\"} 7\n\
            # HELP bookend_left_seconds what is left\n# TYPE bookend_left_seconds gauge\n\
            # UNIT bookend_left_seconds seconds\nbookend_left_seconds 30.0\n\
            # HELP bookend_took_seconds how long\n# TYPE bookend_took_seconds histogram\n\
            # UNIT bookend_took_seconds seconds\n\
            bookend_took_seconds_bucket{name=\"x\",le=\"0.01\"} 1\nbookend_took_seconds_bucket{name=\"x\",le=\"2.0\"} 3\n\
            bookend_took_seconds_bucket{name=\"x\",le=\"+Inf\"} 4\nbookend_took_seconds_sum{name=\"x\"} 12.5\n\
            bookend_took_seconds_count{name=\"x\"} 4\n# EOF\n";
        assert_eq!(told(Format::Open), lines);
    }
}

//! `GET /metrics`: the snapshot as numbers, made when somebody asks. OpenMetrics where the client says that it takes
//! it, Prometheus' own text otherwise.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, NoLabelSet, prometheus_text, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::status::StatusView;
use crate::report::counters::{BOUNDS_MS, Counters};
use bookend_lifecycle::small_map::SmallMap;

/// The body and its content type.
pub(super) fn answer(status: Box<StatusView>, accepts: &str) -> (String, &'static str) {
    let mut registry = Registry::with_prefix("bookend");
    registry.register_collector(Box::new(Snapshot(status)));
    let mut body = String::new();
    let is_open = accepts.contains("application/openmetrics-text");
    // Writing to a string does not fail.
    let _ = if is_open { text::encode(&mut body, &registry) } else { prometheus_text::encode(&mut body, &registry) };
    let kind = if is_open {
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    } else {
        "text/plain; version=0.0.4; charset=utf-8"
    };
    (body, kind)
}

const PHASES: [&str; 4] = ["Starting", "Running", "Stopping", "Finishing"];

/// The snapshot as a collector has to be: with a Debug that nobody calls, and that of a whole snapshot is 8 kB.
struct Snapshot(Box<StatusView>);

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Snapshot")
    }
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.encode(encoder)
    }
}

impl StatusView {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = MetricWriter(&mut encoder);
        out.info("build", "bookend's own version", &[("version", self.version)])?;
        let phases = PHASES.map(|phase| ([("phase", phase)], u64::from(self.phase == phase)));
        out.gauges("phase", "1 for the phase the container is in", None, phases)?;
        out.gauge("app_up", "whether the main process is alive", None, u64::from(self.app.pid.is_some()))?;
        out.gauge("started", "whether postStart is over and succeeded", None, u64::from(self.started))?;
        out.gauge("ready", "whether new clients may be sent here", None, u64::from(self.ready))?;
        out.gauge("serving", "whether the app can answer clients", None, u64::from(self.serving))?;
        out.count("orphans_reaped", "children reaped that nobody waited for", self.orphans_reaped)?;
        let zombies = u64::try_from(self.zombies).unwrap_or(u64::MAX);
        out.gauge("zombies", "zombies whose living parent does not wait for them", None, zombies)?;
        let parents = self.zombie_parents.iter().map(|guilty| {
            let zombies = u64::try_from(guilty.zombies).unwrap_or(u64::MAX);
            ([("name", guilty.name.clone()), ("pid", guilty.pid.to_string())], zombies)
        });
        out.gauges("zombie_parent", "zombies of each living parent, of the ten worst", None, parents)?;
        let seconds = Some(&Unit::Seconds);
        if let Some(containers) = &self.containers {
            let phases = containers.iter().flat_map(|(name, container)| {
                PHASES.map(|phase| (labels(Some(name), &[("phase", phase)]), u64::from(container.phase == phase)))
            });
            out.gauges("container_phase", "1 for the phase a sidecar's container is in", None, phases)?;
            let seen = containers.iter().filter(|(_, container)| container.sees_app);
            let up = seen.map(|(name, container)| (labels(Some(name), &[]), u64::from(container.pid.is_some())));
            out.gauges("container_app_up", "whether the process that is looked for is there", None, up)?;
        }
        let named = self
            .containers
            .iter()
            .flat_map(SmallMap::iter)
            .map(|(name, container)| (Some(name.as_str()), &container.counters));
        let tallies: Vec<(Option<&str>, &Counters)> = std::iter::once((None, &self.counters)).chain(named).collect();
        let stages = tallies.iter().flat_map(|(of, counters)| {
            counters.start.iter().map(|(stage, took)| (labels(*of, &[("stage", stage)]), took.as_secs_f64()))
        });
        out.gauges("start_duration", "how long the stages of the start took", seconds, stages)?;
        let stages = tallies.iter().flat_map(|(of, counters)| {
            counters.stop.iter().map(|(stage, took)| (labels(*of, &[("stage", stage)]), took.as_secs_f64()))
        });
        out.gauges("stop_duration", "how long the stages of the last stop took", seconds, stages)?;
        if let Some(grace) = self.termination_grace_period_seconds {
            out.gauge("grace_period", "terminationGracePeriodSeconds", seconds, grace.0.as_secs_f64())?;
        }
        if let Some(left) = self.grace_left_seconds {
            out.gauge("grace_left", "what is left of it in the stop that is going on", seconds, left.0.as_secs_f64())?;
        }
        if let Some(profile) = &self.profile {
            out.info("profile", "app.profile", &[("profile", profile.as_str())])?;
        }
        if let Some(count) = self.new_connections {
            out.count("new_connections", "connections to the app that have come since the stop began", count)?;
        }
        if let Some(drain) = self.drain {
            out.count("drain_new_connections", "connections that the last drain has seen come", drain.new_connections)?;
            let help = "1 where the last drain could not see connections and waited for a fixed time";
            out.gauge("drain_blind", help, None, u64::from(drain.blind))?;
            for (name, help, number) in [
                ("drain_waiting", "connections nobody had accepted at the drain's last look", drain.waiting),
                ("drain_connections", "connections at the drain's last look", drain.connections),
                ("drain_busy", "connections somebody waited on at the drain's last look", drain.busy),
            ] {
                if let Some(number) = number {
                    out.gauge(name, help, None, u64::from(number))?;
                }
            }
        }
        if let Some(lost) = self.lost {
            out.count("requests_cut", "requests that SIGKILL or the second signal cut", lost.requests_cut.into())?;
            let help = "connections nobody had accepted when the stop signal went out";
            out.count("connections_not_accepted", help, lost.not_accepted.into())?;
            out.count("resets_sent", "resets the network namespace has sent since the stop signal", lost.resets_sent)?;
        }
        let states = self.probes.iter().map(|probe| ([("probe", probe.name)], u64::from(probe.state == "Success")));
        out.gauges("probe_success", "1 while the probe of the app holds", None, states)?;
        let tries = self.probes.iter().flat_map(|probe| {
            let of = |result, count| ([("probe", probe.name), ("result", result)], count);
            [of("Succeeded", probe.successes), of("Failed", probe.failures)]
        });
        out.counter("probe_tries", "tries of the app's probes", tries)?;
        let hooks = tallies.iter().flat_map(|(of, counters)| {
            let told = counters.hooks.iter();
            told.map(|((hook, result), count)| (labels(*of, &[("hook", hook), ("result", result.name())]), *count))
        });
        out.counter("hooks", "lifecycle hooks that were called, by what they were told", hooks)?;
        let signals = tallies.iter().flat_map(|(of, counters)| {
            counters.signals.iter().map(|(signal, count)| (labels(*of, &[("signal", &signal.to_string())]), *count))
        });
        out.counter("signals_sent", "signals the app was sent", signals)?;
        let runs = tallies.iter().flat_map(|(of, counters)| {
            counters.runs.iter().map(|((hook, name, result), count)| {
                (labels(*of, &[("hook", hook), ("name", name), ("result", result.name())]), *count)
            })
        });
        out.counter("handler_runs", "handler runs that are over", runs)?;
        let help = "how long handler runs took";
        let mut metric = out.0.encode_descriptor("handler_duration", help, seconds, MetricType::Histogram)?;
        let spreads =
            tallies.iter().flat_map(|(of, counters)| counters.durations.iter().map(move |spread| (of, spread)));
        for (of, ((hook, name), spread)) in spreads {
            let buckets: Vec<(f64, u64)> =
                BOUNDS_MS.iter().map(|ms| Duration::from_millis(*ms).as_secs_f64()).zip(spread.counts).collect();
            let labels = labels(*of, &[("hook", hook), ("name", name)]);
            let mut one = metric.encode_family(&labels)?;
            let rest = spread.count - spread.counts.iter().sum::<u64>();
            let buckets = [buckets, vec![(f64::INFINITY, rest)]].concat();
            one.encode_histogram::<NoLabelSet>(spread.sum.as_secs_f64(), spread.count, &buckets, None)?;
        }
        Ok(())
    }
}

/// In a sidecar the app of a container that has a name is told by it.
fn labels<'a>(container: Option<&'a str>, rest: &[(&'a str, &str)]) -> Vec<(&'a str, String)> {
    let container = container.map(|name| ("container", name.to_owned()));
    container.into_iter().chain(rest.iter().map(|(key, value)| (*key, (*value).to_owned()))).collect()
}

/// The shapes that are needed here, each with a name, a line of help and its samples.
struct MetricWriter<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl MetricWriter<'_, '_> {
    fn info(&mut self, name: &str, help: &str, labels: &impl EncodeLabelSet) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(labels)
    }

    fn gauge(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: impl EncodeGaugeValue) -> fmt::Result {
        self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn gauges<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        samples: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        samples.into_iter().try_for_each(|(labels, value)| metric.encode_family(&labels)?.encode_gauge(&value))
    }

    fn count(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, u64, f64>(&value, None)
    }

    fn counter<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        samples.into_iter().try_for_each(|(labels, value)| {
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, f64>(&value, None)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{DrainView, LossView};

    #[test]
    fn a_drain_tells_what_it_sees_and_nothing_it_does_not() {
        let drain = DrainView { new_connections: 7, blind: true, ..DrainView::default() };
        let status = StatusView { drain: Some(drain), new_connections: Some(9), ..StatusView::default() };
        let text = answer(Box::new(status), "").0;
        for line in
            ["bookend_drain_new_connections_total 7", "bookend_drain_blind 1", "bookend_new_connections_total 9"]
        {
            assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
        }
        assert!(!text.contains("drain_busy"), "{text}");
    }

    #[test]
    fn what_a_stop_cost_is_told_once_there_was_one() {
        let quiet = answer(Box::default(), "").0;
        assert!(!quiet.contains("requests_cut"), "{quiet}");
        let lost = Some(LossView { requests_cut: 1, not_accepted: 2, resets_sent: 3 });
        let text = answer(Box::new(StatusView { lost, ..StatusView::default() }), "").0;
        for line in [
            "bookend_requests_cut_total 1",
            "bookend_connections_not_accepted_total 2",
            "bookend_resets_sent_total 3",
            "bookend_app_up 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
        }
    }
}

//! `GET /metrics`: the snapshot as numbers, made for each request. OpenMetrics if the client accepts it, Prometheus' own
//! text otherwise.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, NoLabelSet, prometheus_text, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::status::StatusSnapshot;
use crate::report::counters::{BOUNDS_MS, Counters};
use bookend_lifecycle::PhaseName;
use bookend_lifecycle::probe::ProbeState;

/// The body and its content type.
pub(super) fn answer(status: Box<StatusSnapshot>, accepts: &str) -> (String, &'static str) {
    let mut registry = Registry::with_prefix("bookend");
    registry.register_collector(Box::new(StatusCollector(status)));
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

/// The phases in which metrics can be read.
const PHASES: [PhaseName; 5] =
    [PhaseName::Starting, PhaseName::Running, PhaseName::Stopping, PhaseName::Finishing, PhaseName::Held];

/// The snapshot as a collector. The trait asks for Debug; a derived one of the whole snapshot would be 8 kB of code that
/// is never called.
struct StatusCollector(Box<StatusSnapshot>);

impl fmt::Debug for StatusCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Snapshot")
    }
}

impl Collector for StatusCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.encode(encoder)
    }
}

impl StatusSnapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = MetricWriter(&mut encoder);
        out.info("build", "version of bookend", &[("version", self.version)])?;
        if let Some(life) = &self.previous_life {
            out.info("previous_life", "how far the previous life came, from stateFile", &[("end", life.end)])?;
        }
        let phases = PHASES.map(|phase| ([("phase", phase.name())], u64::from(self.phase == phase)));
        out.gauges("phase", "1 for the present phase of the container", None, phases)?;
        out.gauge("app_up", "1 while the main process is alive", None, u64::from(self.app.pid.is_some()))?;
        out.gauge(
            "started",
            "1 once postStart, the startupProbe and READY=1 have succeeded, as far as configured",
            None,
            u64::from(self.started),
        )?;
        out.gauge("ready", "1 while new clients may be sent to the app", None, u64::from(self.ready))?;
        out.gauge("serving", "1 while the app can answer clients", None, u64::from(self.serving))?;
        out.count("orphans_reaped", "reaped children that bookend had not started itself", self.orphans_reaped)?;
        out.count("oom_kills", "processes that the kernel's OOM killer ended", self.counters.oom_kills)?;
        let zombies = u64::try_from(self.zombies).unwrap_or(u64::MAX);
        out.gauge("zombies", "zombies whose parent is alive and does not wait for them", None, zombies)?;
        let parents = self.zombie_parents.iter().map(|parent| {
            let zombies = u64::try_from(parent.zombies).unwrap_or(u64::MAX);
            ([("name", parent.name.clone()), ("pid", parent.pid.to_string())], zombies)
        });
        out.gauges(
            "zombie_parent",
            "zombies of each parent that does not wait for them, for the ten worst",
            None,
            parents,
        )?;
        let seconds = Some(&Unit::Seconds);
        if let Some(containers) = &self.containers {
            let phases = containers.iter().flat_map(|(name, container)| {
                PHASES
                    .map(|phase| (labels(Some(name), &[("phase", phase.name())]), u64::from(container.phase == phase)))
            });
            out.gauges("container_phase", "1 for the present phase of the app in a sidecar's container", None, phases)?;
            let watched = containers.iter().filter(|(_, container)| container.watches_process);
            let up = watched.map(|(name, container)| (labels(Some(name), &[]), u64::from(container.pid.is_some())));
            out.gauges("container_app_up", "1 while the watched process of a sidecar's container is known", None, up)?;
        }
        let named =
            self.containers.iter().flatten().map(|(name, container)| (Some(name.as_str()), &container.counters));
        let all: Vec<(Option<&str>, &Counters)> = std::iter::once((None, &self.counters)).chain(named).collect();
        let stages = all.iter().flat_map(|(of, counters)| {
            counters.start.iter().map(|(stage, took)| (labels(*of, &[("stage", stage)]), took.as_secs_f64()))
        });
        out.gauges("start_duration", "duration of each stage of the start", seconds, stages)?;
        let stages = all.iter().flat_map(|(of, counters)| {
            counters.stop.iter().map(|(stage, took)| (labels(*of, &[("stage", stage)]), took.as_secs_f64()))
        });
        out.gauges("stop_duration", "duration of each stage of the last stop", seconds, stages)?;
        if let Some(grace) = self.termination_grace_period_seconds {
            out.gauge("grace_period", "terminationGracePeriodSeconds", seconds, grace.0.as_secs_f64())?;
        }
        if let Some(left) = self.grace_left_seconds {
            out.gauge(
                "grace_left",
                "time left of the grace period in the stop in progress",
                seconds,
                left.0.as_secs_f64(),
            )?;
        }
        if let Some(profile) = &self.profile {
            out.info("profile", "app.profile", &[("profile", profile.as_str())])?;
        }
        if let Some(count) = self.new_connections {
            out.count("new_connections", "connections to the app since the stop began", count)?;
        }
        if let Some(drain) = self.drain {
            out.count("drain_new_connections", "new connections during the last drain", drain.new_connections)?;
            let help = "1 if the last drain could not observe connections and waited for a fixed time";
            out.gauge("drain_unavailable", help, None, u64::from(drain.unavailable))?;
            let help = "deprecated, use bookend_drain_unavailable";
            out.gauge("drain_blind", help, None, u64::from(drain.unavailable))?;
            for (name, help, number) in [
                ("drain_not_accepted", "connections not yet accepted at the drain's last sample", drain.not_accepted),
                ("drain_waiting", "deprecated, use bookend_drain_not_accepted", drain.not_accepted),
                ("drain_connections", "connections at the drain's last sample", drain.connections),
                ("drain_busy", "connections in use at the drain's last sample", drain.busy),
            ] {
                if let Some(number) = number {
                    out.gauge(name, help, None, u64::from(number))?;
                }
            }
        }
        if let Some(lost) = self.lost {
            out.count(
                "requests_cut",
                "connections on which SIGKILL or the second signal may have cut requests",
                lost.requests_cut.into(),
            )?;
            let help = "connections that the app had not accepted when the stop signal was sent";
            out.count("connections_not_accepted", help, lost.not_accepted.into())?;
            out.count("resets_sent", "resets sent by the network namespace since the stop signal", lost.resets_sent)?;
        }
        let states =
            self.probes.iter().map(|probe| ([("probe", probe.name)], u64::from(probe.state == ProbeState::Succeeded)));
        out.gauges("probe_success", "1 while the app's probe succeeds", None, states)?;
        let tries = self.probes.iter().flat_map(|probe| {
            let of = |result, count| ([("probe", probe.name), ("result", result)], count);
            [of("Succeeded", probe.successes), of("Failed", probe.failures)]
        });
        out.counter("probe_tries", "attempts of the app's probes, by result", tries)?;
        #[cfg(feature = "reload")]
        if !self.reloads.is_empty() {
            let counts = self.reloads.iter().flat_map(|reload| {
                let of = |result, count| ([("name", reload.name.as_str()), ("result", result)], count);
                [
                    of("Succeeded", reload.succeeded),
                    of("CheckFailed", reload.check_failed),
                    of("Failed", reload.failed),
                    of("Aborted", reload.aborted),
                ]
            });
            out.counter("reloads", "reloads of the app, by result", counts)?;
            let last = self.reloads.iter().filter_map(|reload| {
                Some(([("name", reload.name.as_str())], reload.succeeded_at?.since_1970().as_secs_f64()))
            });
            out.gauges("reload_last_success_timestamp", "time of the last reload that succeeded", seconds, last)?;
        }
        let hooks = all.iter().flat_map(|(of, counters)| {
            let hooks = counters.hooks.iter();
            hooks.map(|((hook, result), count)| (labels(*of, &[("hook", hook), ("result", result.name())]), *count))
        });
        out.counter("hooks", "calls of lifecycle hooks, by result", hooks)?;
        let signals = all.iter().flat_map(|(of, counters)| {
            counters.signals.iter().map(|(signal, count)| (labels(*of, &[("signal", &signal.to_string())]), *count))
        });
        out.counter("signals_sent", "signals sent to the app", signals)?;
        let runs = all.iter().flat_map(|(of, counters)| {
            counters.runs.iter().map(|((hook, name, result), count)| {
                (labels(*of, &[("hook", hook), ("name", name), ("result", result.name())]), *count)
            })
        });
        out.counter("handler_runs", "completed handler runs, by result", runs)?;
        let help = "duration of handler runs";
        let mut metric = out.0.encode_descriptor("handler_duration", help, seconds, MetricType::Histogram)?;
        let histograms =
            all.iter().flat_map(|(of, counters)| counters.durations.iter().map(move |histogram| (of, histogram)));
        for (of, ((hook, name), histogram)) in histograms {
            let buckets: Vec<(f64, u64)> =
                BOUNDS_MS.iter().map(|ms| Duration::from_millis(*ms).as_secs_f64()).zip(histogram.counts).collect();
            let labels = labels(*of, &[("hook", hook), ("name", name)]);
            let mut one = metric.encode_family(&labels)?;
            let rest = histogram.count - histogram.counts.iter().sum::<u64>();
            let buckets = [buckets, vec![(f64::INFINITY, rest)]].concat();
            one.encode_histogram::<NoLabelSet>(histogram.sum.as_secs_f64(), histogram.count, &buckets, None)?;
        }
        Ok(())
    }
}

/// In a sidecar, the label `container` names the app's container.
fn labels<'a>(container: Option<&'a str>, rest: &[(&'a str, &str)]) -> Vec<(&'a str, String)> {
    let container = container.map(|name| ("container", name.to_owned()));
    container.into_iter().chain(rest.iter().map(|(key, value)| (*key, (*value).to_owned()))).collect()
}

/// Writes metrics, each with a name, a line of help and its samples.
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
    use crate::http::{DrainSnapshot, LossSnapshot};

    #[test]
    fn a_drain_exports_only_what_it_observed() {
        let drain = DrainSnapshot { new_connections: 7, unavailable: true, ..DrainSnapshot::default() };
        let status = StatusSnapshot { drain: Some(drain), new_connections: Some(9), ..StatusSnapshot::default() };
        let text = answer(Box::new(status), "").0;
        for line in [
            "bookend_drain_new_connections_total 7",
            "bookend_drain_unavailable 1",
            "bookend_drain_blind 1",
            "bookend_new_connections_total 9",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
        }
        assert!(!text.contains("drain_busy"), "{text}");
    }

    #[test]
    fn losses_are_exported_once_there_was_a_stop() {
        let quiet = answer(Box::default(), "").0;
        assert!(!quiet.contains("requests_cut"), "{quiet}");
        let lost = Some(LossSnapshot { requests_cut: 1, not_accepted: 2, resets_sent: 3 });
        let text = answer(Box::new(StatusSnapshot { lost, ..StatusSnapshot::default() }), "").0;
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

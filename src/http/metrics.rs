//! `GET /metrics`: the snapshot as numbers, made when somebody asks. OpenMetrics where the client says that it takes
//! it, Prometheus' own text otherwise.

use std::time::Duration;

use super::exposition::{Exposition, Format, Kind, Labels};
use super::status::{DrainView, Status};
use crate::small_map::SmallMap;
use crate::tally::{BOUNDS_MS, Tally};

/// The body and its content type.
pub(super) fn answer(status: &Status, accepts: &str) -> (String, &'static str) {
    let (format, kind) = match accepts.contains("application/openmetrics-text") {
        true => (Format::Open, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        false => (Format::Plain, "text/plain; version=0.0.4; charset=utf-8"),
    };
    let mut out = Exposition::new(format);
    tell(status, &mut out);
    (out.finish(), kind)
}

fn tell(status: &Status, out: &mut Exposition) {
    out.metric(Kind::Info, "build", "bookend's own version");
    out.sample(&[("version", status.version)], &1);
    out.metric(Kind::Gauge, "phase", "1 for the phase the container is in");
    phases(out, None, status.phase);
    gauge(out, "app_up", "whether the main process is alive", status.app.pid.is_some());
    gauge(out, "started", "whether postStart is over and succeeded", status.started);
    gauge(out, "ready", "whether new clients may be sent here", status.ready);
    gauge(out, "serving", "whether the app can answer clients", status.serving);
    count(out, "orphans_reaped", "children reaped that nobody waited for", status.orphans_reaped);
    out.metric(Kind::Gauge, "zombies", "zombies whose living parent does not wait for them");
    out.sample(&[], &status.zombies);
    out.metric(Kind::Gauge, "zombie_parent", "zombies of each living parent, of the ten worst");
    for guilty in &status.zombie_parents {
        out.sample(&[("name", &guilty.name), ("pid", &guilty.pid.to_string())], &guilty.zombies);
    }
    if let Some(containers) = &status.containers {
        out.metric(Kind::Gauge, "container_phase", "1 for the phase a sidecar's container is in");
        for (name, container) in containers.iter() {
            phases(out, Some(name), container.phase);
        }
        out.metric(Kind::Gauge, "container_app_up", "whether the process that is looked for is there");
        for (name, container) in containers.iter().filter(|(_, container)| container.sees_app) {
            out.sample(&[("container", name)], &u8::from(container.pid.is_some()));
        }
    }
    let named = status.containers.iter().flat_map(SmallMap::iter);
    let named = named.map(|(name, container)| (Some(name.as_str()), &container.tally));
    let tallies: Vec<(Option<&str>, &Tally)> = std::iter::once((None, &status.tally)).chain(named).collect();
    out.metric(Kind::Gauge, "start_duration_seconds", "how long the stages of the start took");
    for (of, stage, took) in
        tallies.iter().flat_map(|(of, tally)| tally.start.iter().map(move |(s, took)| (of, s, took)))
    {
        out.time(&labels(*of, &[("stage", stage)]), *took);
    }
    out.metric(Kind::Gauge, "stop_duration_seconds", "how long the stages of the last stop took");
    for (of, stage, took) in
        tallies.iter().flat_map(|(of, tally)| tally.stop.iter().map(move |(s, took)| (of, s, took)))
    {
        out.time(&labels(*of, &[("stage", stage)]), *took);
    }
    if let Some(grace) = status.termination_grace_period_seconds {
        out.metric(Kind::Gauge, "grace_period_seconds", "terminationGracePeriodSeconds");
        out.time(&[], grace.0);
    }
    if let Some(left) = status.grace_left_seconds {
        out.metric(Kind::Gauge, "grace_left_seconds", "what is left of it in the stop that is going on");
        out.time(&[], left.0);
    }
    if let Some(profile) = &status.profile {
        out.metric(Kind::Info, "profile", "app.profile");
        out.sample(&[("profile", profile)], &1);
    }
    if let Some(new) = status.new_connections {
        count(out, "new_connections", "connections to the app that have come since the stop began", new);
    }
    if let Some(drain) = status.drain {
        tell_drain(drain, out);
    }
    if let Some(lost) = status.lost {
        count(out, "requests_cut", "requests that SIGKILL or the second signal cut", lost.requests_cut.into());
        let help = "connections nobody had accepted when the stop signal went out";
        count(out, "connections_not_accepted", help, lost.not_accepted.into());
        let help = "resets the network namespace has sent since the stop signal";
        count(out, "resets_sent", help, lost.resets_sent);
    }
    out.metric(Kind::Gauge, "probe_success", "1 while the probe of the app holds");
    for probe in &status.probes {
        out.sample(&[("probe", probe.name)], &u8::from(probe.state == "Success"));
    }
    out.metric(Kind::Counter, "probe_tries", "tries of the app's probes");
    for probe in &status.probes {
        out.sample(&[("probe", probe.name), ("result", "Succeeded")], &probe.successes);
        out.sample(&[("probe", probe.name), ("result", "Failed")], &probe.failures);
    }
    out.metric(Kind::Counter, "hooks", "lifecycle hooks that were called, by what they were told");
    for (of, tally) in &tallies {
        for ((hook, result), count) in tally.hooks.iter() {
            out.sample(&labels(*of, &[("hook", hook), ("result", result)]), count);
        }
    }
    out.metric(Kind::Counter, "signals_sent", "signals the app was sent");
    for (of, tally) in &tallies {
        for (signal, count) in tally.signals.iter() {
            out.sample(&labels(*of, &[("signal", &signal.to_string())]), count);
        }
    }
    out.metric(Kind::Counter, "handler_runs", "handler runs that are over");
    for (of, tally) in &tallies {
        for ((hook, name, result), count) in tally.runs.iter() {
            out.sample(&labels(*of, &[("hook", hook), ("name", name), ("result", result)]), count);
        }
    }
    out.metric(Kind::Histogram, "handler_duration_seconds", "how long handler runs took");
    for (of, tally) in &tallies {
        for ((hook, name), spread) in tally.durations.iter() {
            let buckets: Vec<_> = BOUNDS_MS.map(Duration::from_millis).into_iter().zip(spread.counts).collect();
            out.histogram(&labels(*of, &[("hook", hook), ("name", name)]), &buckets, spread.count, spread.sum);
        }
    }
}

fn tell_drain(drain: DrainView, out: &mut Exposition) {
    let help = "connections that the last drain has seen come";
    count(out, "drain_new_connections", help, drain.new_connections);
    let help = "1 where the last drain could not see connections and waited for a fixed time";
    gauge(out, "drain_blind", help, drain.blind);
    for (name, help, number) in [
        ("drain_waiting", "connections nobody had accepted at the drain's last look", drain.waiting),
        ("drain_connections", "connections at the drain's last look", drain.connections),
        ("drain_busy", "connections somebody waited on at the drain's last look", drain.busy),
    ] {
        if let Some(number) = number {
            out.metric(Kind::Gauge, name, help);
            out.sample(&[], &number);
        }
    }
}

fn gauge(out: &mut Exposition, name: &str, help: &str, is_so: bool) {
    out.metric(Kind::Gauge, name, help);
    out.sample(&[], &u8::from(is_so));
}

fn count(out: &mut Exposition, name: &str, help: &str, number: u64) {
    out.metric(Kind::Counter, name, help);
    out.sample(&[], &number);
}

fn phases(out: &mut Exposition, container: Option<&str>, now: &str) {
    for phase in ["Starting", "Running", "Stopping", "Finishing"] {
        out.sample(&labels(container, &[("phase", phase)]), &u8::from(phase == now));
    }
}

/// In a sidecar the app of a container that has a name is told by it.
fn labels<'a>(container: Option<&'a str>, rest: Labels<'a>) -> Vec<(&'a str, &'a str)> {
    container.map(|name| ("container", name)).into_iter().chain(rest.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{DrainView, Lost};

    #[test]
    fn a_drain_tells_what_it_sees_and_nothing_it_does_not() {
        let drain = DrainView { new_connections: 7, blind: true, ..DrainView::default() };
        let status = Status { drain: Some(drain), new_connections: Some(9), ..Status::default() };
        let text = answer(&status, "").0;
        for line in
            ["bookend_drain_new_connections_total 7", "bookend_drain_blind 1", "bookend_new_connections_total 9"]
        {
            assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
        }
        assert!(!text.contains("drain_busy"), "{text}");
    }

    #[test]
    fn what_a_stop_cost_is_told_once_there_was_one() {
        let quiet = answer(&Status::default(), "").0;
        assert!(!quiet.contains("requests_cut"), "{quiet}");
        let lost = Some(Lost { requests_cut: 1, not_accepted: 2, resets_sent: 3 });
        let text = answer(&Status { lost, ..Status::default() }, "").0;
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

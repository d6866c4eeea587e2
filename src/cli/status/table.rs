//! The table of `bookend status`. Pure: a view and a terminal in, text out.
//!
//! ```text
//! bookend   0.1.0, up 2 h 3 min
//! pod       shop/web-7d4b9
//! phase     Stopping by SIGTERM, 2.1 s of 30 s
//! clients   served, no new ones
//! app       pid 7
//!
//! handler          result           took
//! postStart greet  Succeeded     0.004 s  exit code 0
//!
//! stop
//! preStop pause    ━━━━━━━━━━━━━━━           2.001 s  slept 2.000 s
//! SIGQUIT sent to the app         ╵         +2.002 s
//! ```

use super::terminal::{Colour, Terminal};
#[cfg(feature = "reload")]
use super::view::ReloadView;
use super::view::{ContainerView, HandlerRun, LostView, StatusView};
use crate::report::identity::PodIdentity;
use bookend_lifecycle::printable::printable;
use bookend_lifecycle::probe::ProbeState;
use bookend_lifecycle::seconds::Seconds;
use bookend_lifecycle::{HandlerResult, PhaseName};

/// Draws the table.
pub(super) fn draw(view: &StatusView, identity: &PodIdentity, terminal: Terminal) -> String {
    let mut text = head(view, identity, terminal);
    if !(view.handlers.is_empty() && view.running.is_empty()) {
        text.push('\n');
        text.push_str(&handlers(view, terminal));
    }
    if !view.timeline.is_empty() {
        text.push('\n');
        text.push_str(&timeline(view, terminal));
    }
    // Columns are padded; trailing blanks are not sent.
    text.lines().flat_map(|line| [line.trim_end(), "\n"]).collect()
}

fn head(view: &StatusView, identity: &PodIdentity, terminal: Terminal) -> String {
    let containers = view.containers.as_deref().unwrap_or_default();
    let names: Vec<String> = containers.iter().map(|container| printable(&container.name)).collect();
    let mut rows: Vec<(&str, Colour, String)> = Vec::new();
    let ours = env!("CARGO_PKG_VERSION");
    let asked_by = if view.version == ours { String::new() } else { format!(" (this command is {ours})") };
    let up = view.uptime_seconds.map(|seconds| format!(", up {}", span(seconds))).unwrap_or_default();
    rows.push(("bookend", Colour::Strong, format!("{}{asked_by}{up}", printable(&view.version))));
    for (name, value) in [("pod", &identity.pod), ("image", &identity.image)] {
        rows.extend(value.as_ref().map(|value| (name, Colour::Plain, printable(value))));
    }
    rows.push(("phase", phase_colour(view), phase(view)));
    let (colour, clients) = match (view.ready, view.serving) {
        (true, _) => (Colour::Good, "served"),
        (false, true) => (Colour::Busy, "served, no new ones"),
        (false, false) => (Colour::Bad, "not served"),
    };
    rows.push(("clients", colour, clients.to_owned()));
    rows.push(match (&view.app.pid, &view.app.ended) {
        (Some(pid), _) => ("app", Colour::Plain, format!("pid {pid}")),
        (None, Some(ended)) => ("app", Colour::Plain, printable(ended)),
        (None, None) if view.containers.is_some() => ("app", Colour::Plain, "in another container".to_owned()),
        (None, None) => ("app", Colour::Plain, "not started".to_owned()),
    });
    for (name, container) in names.iter().zip(containers) {
        rows.push((name, container_colour(container), container_row(container)));
    }
    for probe in &view.probes {
        let colour = match probe.state.as_str() {
            state if state == ProbeState::Succeeded.name() => Colour::Good,
            state if state == ProbeState::Failed.name() => Colour::Bad,
            _ => Colour::Busy,
        };
        let detail = if probe.detail.is_empty() { String::new() } else { format!(": {}", printable(&probe.detail)) };
        rows.push((probe_name(&probe.name), colour, format!("{}{detail}", printable(&probe.state))));
    }
    #[cfg(feature = "reload")]
    for reload in &view.reloads {
        rows.push(reload_row(reload));
    }
    if let Some(lost) = &view.lost {
        let LostView { requests_cut, not_accepted, resets_sent } = lost;
        let is_clean = requests_cut + not_accepted + resets_sent == 0;
        let text = format!(
            "requests on up to {requests_cut} connections cut, {not_accepted} not accepted, {resets_sent} resets"
        );
        let (colour, text) = if is_clean { (Colour::Good, "nothing".to_owned()) } else { (Colour::Bad, text) };
        rows.push(("lost", colour, text));
    }
    if view.orphans_reaped > 0 {
        rows.push(("orphans", Colour::Plain, format!("{} reaped", view.orphans_reaped)));
    }
    rows.into_iter()
        .map(|(name, colour, what)| {
            let what = terminal.paint(colour, &terminal.cut(&what, 10));
            format!("{}{what}\n", terminal.paint(Colour::Quiet, &format!("{name:<10}")))
        })
        .collect()
}

fn container_colour(container: &ContainerView) -> Colour {
    if container.phase == PhaseName::Running.name() { Colour::Good } else { Colour::Busy }
}

/// `Stopping by the preStop hook, pid 7`
fn container_row(container: &ContainerView) -> String {
    let by = container.stopped_by.as_ref().map(|by| format!(" by {}", printable(by))).unwrap_or_default();
    let process = match container.pid {
        Some(pid) => format!(", pid {pid}"),
        None if container.watches_process => ", no process found".to_owned(),
        None => String::new(),
    };
    format!("{}{by}{process}", printable(&container.phase))
}

/// `tls: Idle, Succeeded at 2026-11-30T02:03:29.123Z: SIGHUP sent to the app`
#[cfg(feature = "reload")]
fn reload_row(reload: &ReloadView) -> (&'static str, Colour, String) {
    let colour = match reload.result.as_str() {
        "Succeeded" => Colour::Good,
        "CheckFailed" | "Failed" => Colour::Bad,
        _ => Colour::Plain,
    };
    let last = match reload.result.as_str() {
        "" => "no reload yet".to_owned(),
        result => format!("{result} at {}: {}", reload.ended_at, reload.detail),
    };
    ("reload", colour, printable(&format!("{}: {}, {last}", reload.name, reload.state)))
}

/// The column has room for one word.
fn probe_name(name: &str) -> &str {
    name.strip_suffix("Probe").unwrap_or(name)
}

fn phase(view: &StatusView) -> String {
    let mut text = printable(&view.phase);
    if view.phase == PhaseName::Running.name() && !view.started {
        text.push_str(", postStart still running");
    }
    if let Some(by) = &view.stopped_by {
        text.push_str(&format!(" by {}", printable(by)));
    }
    if let (Some(now), Some(began)) = (view.uptime_seconds, view.stop_began_seconds) {
        text.push_str(&format!(", {:.1} s", Seconds::of(now - began)));
        if let Some(grace) = view.termination_grace_period_seconds {
            text.push_str(&format!(" of {} s", Seconds::of(grace)));
        }
    }
    text
}

fn phase_colour(view: &StatusView) -> Colour {
    match view.phase.as_str() {
        phase if phase == PhaseName::Running.name() && view.started => Colour::Good,
        phase if phase == PhaseName::Finishing.name() => Colour::Bad,
        _ => Colour::Busy,
    }
}

fn handlers(view: &StatusView, terminal: Terminal) -> String {
    let names = column("handler", view.handlers.iter().chain(&view.running).map(HandlerRun::label));
    let results = column("running", view.handlers.iter().map(|run| printable(&run.result)));
    let header = format!("{:<names$}  {:<results$}  {:>10}", "handler", "result", "took");
    let mut text = format!("{}\n", terminal.paint(Colour::Quiet, &header));
    for run in &view.handlers {
        let colour = if run.result == HandlerResult::Succeeded.name() { Colour::Good } else { Colour::Bad };
        let result = terminal.paint(colour, &format!("{:<results$}", printable(&run.result)));
        let took = Seconds::of(run.took_seconds);
        let detail = terminal.cut(&printable(&run.detail), names + results + 16);
        text.push_str(&format!("{:<names$}  {result}  {took:>8.3} s  {detail}\n", run.label()));
        if run.result != HandlerResult::Succeeded.name() {
            for line in &run.output {
                let line = terminal.cut(&format!("  | {}", printable(line)), 0);
                text.push_str(&format!("{}\n", terminal.paint(Colour::Quiet, &line)));
            }
        }
    }
    for run in &view.running {
        let result = terminal.paint(Colour::Busy, &format!("{:<results$}", "running"));
        let since = Seconds::of(view.uptime_seconds.unwrap_or_default() - run.started_seconds);
        text.push_str(&format!("{:<names$}  {result}  {since:>8.3} s\n", run.label()));
    }
    text
}

/// The stop as a chart: a bar for what took time, a mark for an instant.
fn timeline(view: &StatusView, terminal: Terminal) -> String {
    let mut text = format!("{}\n", terminal.paint(Colour::Quiet, "stop"));
    let began = view.stop_began_seconds;
    let end = view.timeline.last().map_or(0.0, |row| row.at_seconds);
    let end = match (view.uptime_seconds, began, view.app.ended.is_some()) {
        (Some(now), Some(began), false) => end.max(now - began),
        _ => end,
    };
    let rows = view.timeline.iter().map(|row| {
        // `preStop pause took 2.001 s: slept 2.000 s` is a run that has ended.
        let run = view.handlers.iter().find(|run| row.text.starts_with(&format!("{} took ", run.label())));
        match (run, began) {
            (Some(run), Some(began)) => (run.label(), run.started_seconds - began, row.at_seconds, true),
            _ => (printable(&row.text), row.at_seconds, row.at_seconds, false),
        }
    });
    let now = view.uptime_seconds.unwrap_or_default() - began.unwrap_or_default();
    let running = view.running.iter().map(|run| (run.label(), run.started_seconds - began.unwrap_or(0.0), now, true));
    let rows: Vec<_> = rows.chain(running.filter(|(_, from, ..)| *from > -ROUNDING)).collect();
    let Some(width) = terminal.width else {
        return rows.iter().zip(&view.timeline).fold(text, |text, (_, row)| {
            format!("{text}{:>+9.3} s  {}\n", Seconds::of(row.at_seconds), printable(&row.text))
        });
    };
    let names = column("", rows.iter().map(|(name, ..)| name.clone())).min(width * 2 / 5);
    let room = width.saturating_sub(names + 2 + 13).clamp(8, 60);
    for (name, from, to, is_run) in rows {
        let (left, right) = (column_at(from, end, room), column_at(to, end, room));
        let bar = match is_run {
            true => "━".repeat((right - left).max(1)),
            false => "╵".to_owned(),
        };
        let bar: String = format!("{}{bar}", " ".repeat(left.min(room - 1)));
        let when = match is_run {
            true => format!("{:>9.3} s", Seconds::of(to - from)),
            false => format!("{:>+9.3} s", Seconds::of(to)),
        };
        let name: String = Terminal { width: Some(names), ..terminal }.cut(&name, 0);
        let colour = if is_run { Colour::Busy } else { Colour::Plain };
        text.push_str(&format!("{name:<names$}  {}{when}\n", terminal.paint(colour, &format!("{bar:<room$}"))));
    }
    text
}

/// Times are rounded to milliseconds one by one: a run that began with the stop may seem to begin a little earlier.
const ROUNDING: f64 = 0.005;

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the number of columns")]
fn column_at(at: f64, end: f64, room: usize) -> usize {
    let room = u16::try_from(room).unwrap_or(u16::MAX);
    if end <= 0.0 { 0 } else { (at / end * f64::from(room)).round().clamp(0.0, f64::from(room)) as usize }
}

fn column(header: &str, texts: impl Iterator<Item = String>) -> usize {
    texts.map(|text| text.chars().count()).chain([header.chars().count()]).max().unwrap_or(0)
}

/// `3.2 s`, `4 min 5 s`, `2 h 3 min`, `3 d 4 h`.
fn span(seconds: f64) -> String {
    let whole = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
    match whole {
        0..60 => format!("{:.1} s", Seconds::of(seconds)),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        3600..86400 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86400, whole % 86400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STOPPING: &str = r#"{
        "version": "0.1.0", "phase": "Stopping", "started": true, "ready": false, "serving": true,
        "uptimeSeconds": 14.0, "stopBeganSeconds": 10.0, "terminationGracePeriodSeconds": 30.0,
        "app": { "pid": 7 }, "stoppedBy": "SIGTERM", "orphansReaped": 0,
        "handlers": [
            { "hook": "postStart", "name": "greet", "startedSeconds": 0.003, "tookSeconds": 0.004, "result": "Failed", "detail": "exit code 3", "output": ["a\u001b[2Jb"] },
            { "hook": "preStop", "name": "pause", "startedSeconds": 10.0, "tookSeconds": 2.0, "result": "Succeeded", "detail": "slept 2.000 s" }
        ],
        "probes": [{ "name": "readinessProbe", "state": "Failed", "detail": "status 503" }],
        "lost": { "requestsCut": 2, "notAccepted": 0, "resetsSent": 1 },
        "running": [{ "hook": "preStop", "name": "flush", "startedSeconds": 12.5 }],
        "timeline": [
            { "atSeconds": 0.0, "text": "stop triggered by SIGTERM" },
            { "atSeconds": 2.0, "text": "preStop pause took 2.000 s: slept 2.000 s" },
            { "atSeconds": 2.0, "text": "SIGQUIT sent to the app" }
        ]
    }"#;

    fn drawn(json: &str, width: Option<usize>, colour: bool) -> String {
        let identity = PodIdentity { pod: Some("shop/web-1".to_owned()), image: None };
        draw(&StatusView::read(json).unwrap(), &identity, Terminal { width, colour })
    }

    #[test]
    fn a_stop_is_drawn_as_bars_on_a_terminal() {
        let text = drawn(STOPPING, Some(80), false);
        assert!(text.contains("phase     Stopping by SIGTERM, 4.0 s of 30 s\n"), "{text}");
        assert!(text.contains("pod       shop/web-1\n") && !text.contains("image"), "{text}");
        assert!(text.contains("readiness Failed: status 503\n"), "{text}");
        assert!(text.contains("lost      requests on up to 2 connections cut, 0 not accepted, 1 resets\n"), "{text}");
        let bar = |name: &str| text.lines().rfind(|line| line.starts_with(name)).unwrap().to_owned();
        assert_eq!(bar("preStop pause   ").matches('━').count(), 20, "half of the time: {text}");
        assert!(bar("SIGQUIT sent").contains('╵'));
        assert!(
            bar("preStop flush").contains("━━━") && text.contains("preStop flush    running       1.500 s"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'), "no escape sequence, neither ours nor a handler's: {text}");
        assert!(drawn(STOPPING, Some(80), true).contains("\u{1b}[33m"));
    }

    #[test]
    #[cfg(feature = "reload")]
    fn a_reload_is_shown_with_its_last_result_and_when() {
        let json = r#"{ "version": "0.1.0", "reloads": [
            { "name": "tls", "state": "Idle", "result": "Succeeded", "endedAt": "2026-11-30T02:03:29.123Z", "detail": "SIGHUP sent" },
            { "name": "conf", "state": "Settling" }
        ] }"#;
        let text = drawn(json, None, false);
        for row in ["tls: Idle, Succeeded at 2026-11-30T02:03:29.123Z: SIGHUP sent", "conf: Settling, no reload yet"] {
            assert!(text.contains(&format!("reload    {row}\n")), "{text}");
        }
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in [40, 60, 80, 200] {
            let text = drawn(STOPPING, Some(width), false);
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}:\n{text}");
        }
    }

    #[test]
    fn without_a_terminal_there_is_only_text() {
        let text = drawn(STOPPING, None, false);
        assert!(text.contains("   +2.000 s  preStop pause took 2.000 s: slept 2.000 s\n"), "{text}");
        assert!(!text.contains('━'));
    }

    #[test]
    fn a_status_of_another_version_is_shown_as_far_as_it_is_known() {
        let text = drawn("{ \"version\": \"9.0.0\", \"phase\": \"Dreaming\", \"new\": {} }", None, false);
        assert!(text.contains("9.0.0 (this command is") && text.contains("Dreaming"), "{text}");
        assert!(StatusView::read("<html>").is_err());
    }

    #[test]
    fn a_time_span_has_two_units() {
        assert_eq!([0.04, 65.0, 7380.0, 100_000.0].map(span), ["0.0 s", "1 min 5 s", "2 h 3 min", "1 d 3 h"]);
    }
}

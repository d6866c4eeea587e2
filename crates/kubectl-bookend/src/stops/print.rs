//! The summary as a table for people and as one JSON object. Pure.

use std::collections::BTreeMap;
use std::fmt::Write;

use bookend_lifecycle::printable::printable;
use serde_json::{Value, json};

use super::summary::{Loss, NamedStop, Summary, WorkloadName, WorkloadStops};

/// For people.
pub(super) fn table(summary: &Summary) -> String {
    let mut text = format!("{}, {} with a report\n", counted(summary.pods, "pod"), counted(summary.stops, "stop"));
    if summary.others > 0 {
        line(&mut text, format_args!("{} not read: no pod", counted(summary.others, "object")));
    }
    if summary.stops > 0 {
        text.push('\n');
        let rows: [(&str, u64, String); 7] = [
            ("clean", summary.clean, String::new()),
            ("killed", summary.killed, killed(summary)),
            ("out of memory", summary.oom, String::new()),
            ("over budget", summary.over_budget, String::new()),
            ("requests cut", summary.requests_cut.stops, lost(summary.requests_cut, "on up to ", "connection")),
            ("not accepted", summary.not_accepted.stops, lost(summary.not_accepted, "", "connection")),
            ("reset", summary.resets_sent.stops, lost(summary.resets_sent, "", "reset")),
        ];
        for (name, count, detail) in rows {
            let percent = format!("{:.1} %", 100.0 * summary.share(count));
            line(&mut text, format_args!("{name:<14}{count:>6} {percent:>8}  {detail}"));
        }
    }
    for (title, counts) in [("unknown", &summary.unknown), ("ended by itself", &summary.ended)] {
        if !counts.is_empty() {
            line(&mut text, format_args!("\n{title:<14} {}", sum(counts)));
        }
    }
    if summary.oom_without_stop > 0 {
        line(&mut text, format_args!("{:<14} {} of these", "out of memory", summary.oom_without_stop));
    }
    workloads(&mut text, summary);
    list(&mut text, "slowest stops", &summary.slowest);
    list(&mut text, "not clean, the newest first", &summary.not_clean);
    if !summary.without_bookend.is_empty() {
        text.push_str("\nended containers without bookend\n");
        for ((reason, code), count) in &summary.without_bookend {
            line(&mut text, format_args!("{count:>6}  {} ({code})", printable(reason_name(reason))));
        }
    }
    text
}

/// One line for each workload, if there are several; those with the most stops that were not clean come first.
fn workloads(text: &mut String, summary: &Summary) {
    let all = by_trouble(summary);
    if all.len() < 2 {
        return;
    }
    let most = summary.longest.max(1);
    line(text, format_args!("\n stops  clean killed    oom   over   lost   slowest  workload and container"));
    for (name, counts) in all.iter().take(most) {
        let WorkloadStops { stops, clean, killed, oom, over_budget, lost, slowest_seconds } = counts;
        let WorkloadName { namespace, workload, container } = name;
        let name = place(namespace, workload, container);
        line(
            text,
            format_args!(
                "{stops:>6} {clean:>6} {killed:>6} {oom:>6} {over_budget:>6} {lost:>6} {slowest_seconds:>7.1} s  {name}"
            ),
        );
    }
    if all.len() > most {
        line(text, format_args!("        and {} more", all.len() - most));
    }
}

fn by_trouble(summary: &Summary) -> Vec<(&WorkloadName, &WorkloadStops)> {
    let mut all: Vec<_> = summary.workloads.iter().collect();
    all.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.stops - counts.clean));
    all
}

/// Stops, one line each.
fn list(text: &mut String, title: &str, stops: &[NamedStop]) {
    if stops.is_empty() {
        return;
    }
    line(text, format_args!("\n{title}"));
    for named in stops {
        let stop = &named.stop;
        let grace = stop.grace_seconds.map(|grace| format!(" of {grace} s")).unwrap_or_default();
        let mut facts = vec![format!("by {}", shown(&stop.stopped_by))];
        facts.extend(stop.longest_stage.as_ref().map(|(stage, took)| format!("{} took {took:.1} s", shown(stage))));
        facts.extend(stop.killed_in.map(|stage| match stop.is_unfinished {
            true => format!("bookend was killed in the stage {stage}"),
            false => "the app was killed".to_owned(),
        }));
        facts.extend(stop.oom.then(|| "out of memory".to_owned()));
        facts.extend(stop.over_budget.then(|| "over budget".to_owned()));
        for (count, what) in
            [(stop.requests_cut, "cut"), (stop.not_accepted, "not accepted"), (stop.resets_sent, "reset")]
        {
            facts.extend((count > 0).then(|| format!("{count} {what}")));
        }
        let took = stop.took_seconds;
        let name = place(&named.namespace, &named.pod, &named.container);
        line(text, format_args!("{took:>8.1} s{grace}  {name}  {}", facts.join(", ")));
    }
}

/// `shop/web-7d4b9 web`
fn place(namespace: &str, name: &str, container: &str) -> String {
    let name = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") };
    format!("{} {}", shown(&name), shown(container))
}

/// A name of the cluster, which any program may have chosen.
fn shown(text: &str) -> String {
    let text = printable(text);
    if text.chars().count() <= MOST_CHARS { text } else { text.chars().take(MOST_CHARS).chain(['…']).collect() }
}

fn killed(summary: &Summary) -> String {
    if summary.killed_in.is_empty() { String::new() } else { by_name(&summary.killed_in) }
}

fn lost(loss: Loss, before: &str, what: &str) -> String {
    if loss.count == 0 { String::new() } else { format!("{before}{}", counted(loss.count, what)) }
}

/// `12: no message 7, message cut or damaged 5`
fn sum(counts: &BTreeMap<&'static str, u64>) -> String {
    format!("{}: {}", counts.values().sum::<u64>(), by_name(counts))
}

fn by_name(counts: &BTreeMap<&'static str, u64>) -> String {
    let parts: Vec<_> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    parts.join(", ")
}

fn reason_name(reason: &str) -> &str {
    if reason.is_empty() { "no reason" } else { reason }
}

fn counted(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A line without blanks at its end.
fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    let line = line.to_string();
    // A String takes all that is written.
    let _ = writeln!(text, "{}", line.trim_end());
}

const MOST_CHARS: usize = 120;

/// For programs.
pub(super) fn to_json(summary: &Summary) -> Value {
    let share = |count: u64| json!({ "stops": count, "share": rounded(summary.share(count)) });
    let lost = |loss: Loss, what: &str| {
        let mut value = share(loss.stops);
        if let Some(fields) = value.as_object_mut() {
            fields.insert(what.to_owned(), loss.count.into());
        }
        value
    };
    let without: Vec<Value> = summary
        .without_bookend
        .iter()
        .map(|((reason, code), count)| json!({ "reason": printable(reason), "exitCode": code, "count": count }))
        .collect();
    let mut killed = share(summary.killed);
    if let Some(fields) = killed.as_object_mut() {
        fields.insert("byStage".to_owned(), json!(summary.killed_in));
        fields.insert("unfinishedReports".to_owned(), json!(summary.unfinished));
    }
    json!({
        "pods": summary.pods,
        "stops": summary.stops,
        "clean": share(summary.clean),
        "killed": killed,
        "outOfMemory": share(summary.oom),
        "overBudget": share(summary.over_budget),
        "requestsCut": lost(summary.requests_cut, "connections"),
        "notAccepted": lost(summary.not_accepted, "connections"),
        "resetsSent": lost(summary.resets_sent, "resets"),
        "unknown": summary.unknown,
        "endedByItself": summary.ended,
        "outOfMemoryWithoutStop": summary.oom_without_stop,
        "withoutBookend": without,
        "workloads": by_trouble(summary).into_iter().map(workload_to_json).collect::<Vec<_>>(),
        "slowest": summary.slowest.iter().map(stop_to_json).collect::<Vec<_>>(),
        "notClean": summary.not_clean.iter().map(stop_to_json).collect::<Vec<_>>(),
    })
}

fn workload_to_json((name, counts): (&WorkloadName, &WorkloadStops)) -> Value {
    json!({
        "namespace": printable(&name.namespace),
        "workload": printable(&name.workload),
        "container": printable(&name.container),
        "stops": counts.stops,
        "clean": counts.clean,
        "killed": counts.killed,
        "outOfMemory": counts.oom,
        "overBudget": counts.over_budget,
        "lost": counts.lost,
        "slowestSeconds": rounded(counts.slowest_seconds),
    })
}

fn stop_to_json(named: &NamedStop) -> Value {
    let stop = &named.stop;
    json!({
        "namespace": printable(&named.namespace),
        "pod": printable(&named.pod),
        "container": printable(&named.container),
        "stoppedBy": printable(&stop.stopped_by),
        "tookSeconds": rounded(stop.took_seconds),
        "graceSeconds": stop.grace_seconds,
        "longestStage": stop.longest_stage.as_ref().map(|(stage, took)| json!({ "stage": printable(stage), "tookSeconds": rounded(*took) })),
        "clean": stop.is_clean(),
        "killedIn": stop.killed_in,
        "unfinishedReport": stop.is_unfinished,
        "outOfMemory": stop.oom,
        "overBudget": stop.over_budget,
        "requestsCut": stop.requests_cut,
        "notAccepted": stop.not_accepted,
        "resetsSent": stop.resets_sent,
    })
}

/// Three decimals.
fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

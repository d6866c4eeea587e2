//! The results as a table, as JSON and as Markdown.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use super::args::Args;
use super::results::{Results, Run};

/// Prints what the command line asks for.
pub(crate) fn all(found: &Results, args: &Args) -> Result<(), String> {
    let mut stdout = std::io::stdout();
    let text = if args.json {
        serde_json::to_string_pretty(found).map_err(|error| error.to_string())? + "\n"
    } else {
        table(found)
    };
    if args.markdown.as_deref() != Some(Path::new("-")) {
        stdout.write_all(text.as_bytes()).map_err(|error| format!("cannot print: {error}"))?;
    }
    if let Some((file, advice)) = args.advice.as_deref().zip(found.advice.as_ref()) {
        std::fs::write(file, &advice.toml).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    match args.markdown.as_deref() {
        None => Ok(()),
        Some(file) if file == Path::new("-") => stdout.write_all(markdown(found).as_bytes()),
        Some(file) => OpenOptions::new()
            .create(true)
            .append(true)
            .open(file)
            .and_then(|mut file| file.write_all(markdown(found).as_bytes())),
    }
    .map_err(|error| format!("cannot write the Markdown summary: {error}"))
}

/// The traffic in a line.
pub(crate) fn traffic(args: &Args) -> String {
    let mut parts = vec![
        format!("{} new connections/s", args.rate),
        format!("{} kept", args.kept),
        format!("{} silent", args.silent),
    ];
    if args.slow_url.is_some() {
        parts.push(format!("{} slow requests/s", args.slow_rate));
    }
    let counted = [
        ("downloads", args.download_url.len()),
        ("uploads", args.upload_url.len()),
        ("streams", args.stream_url.len()),
        ("websockets", args.websocket_url.len()),
        ("HTTP/2 URLs", args.http2_url.len()),
        ("gRPC URLs", args.grpc_url.len()),
    ];
    parts.extend(counted.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}")));
    if args.proxies > 1 {
        parts.push(format!("{} proxies that stop within {} s", args.proxies, args.spread));
    }
    parts.join(", ")
}

const HEAD: [&str; 11] =
    ["strategy", "late", "ok", "refused", "reset", "truncated", "failed", "races", "stop", "exit", "verdict"];

fn cells(run: &Run, judged: bool) -> [String; 11] {
    let c = &run.total;
    let leftovers = run.leftovers.as_ref().map_or(0, Vec::len);
    let left = if leftovers > 0 { format!(", {leftovers} left") } else { String::new() };
    let killed = if run.killed { ", SIGKILL" } else { "" };
    let mut verdict = if run.lost == 0 { "nothing lost".to_owned() } else { format!("lost {}", run.lost) };
    for (kind, whole, cut) in run.transfers() {
        verdict += &format!("; {}: {whole} whole, {cut} cut", kind.name());
    }
    if judged {
        verdict += " (judged)";
    }
    [
        run.title.clone(),
        format!("{} s", run.late_seconds),
        c.ok.to_string(),
        c.refused.to_string(),
        c.reset.to_string(),
        c.truncated.to_string(),
        (c.failed + c.hung).to_string(),
        (c.idle_races + c.unprocessed).to_string(),
        format!("{:.1} s{killed}", run.stop_seconds),
        format!("{}{left}", run.exit_code),
        verdict,
    ]
}

fn rows(found: &Results) -> Vec<[String; 11]> {
    found.runs.iter().map(|run| cells(run, found.judged.contains(&run.strategy))).collect()
}

fn table(found: &Results) -> String {
    let mut rows = rows(found);
    rows.insert(0, HEAD.map(str::to_owned));
    let mut text = format!("{}, grace {} s\n\n", found.traffic, found.grace_seconds);
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width =
                rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
            line += &format!("{cell:<width$}  ");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text.push('\n');
    for line in remarks(found) {
        text += &format!("{line}\n");
    }
    if let Some(advice) = &found.advice {
        text += &format!("\nadvice: nothing was lost in {} tries with this bookend.toml:\n\n", advice.tries);
        text += &indented(&advice.toml);
        text += "\nand these fields of the Pod:\n\n";
        text += &indented(&advice.pod);
        for reason in &advice.reasons {
            text += &format!("  - {reason}\n");
        }
    }
    text += &format!("\n{}\n", verdict(found));
    text
}

fn indented(text: &str) -> String {
    text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") }).collect()
}

fn verdict(found: &Results) -> String {
    let judged = found.judged.join(", ");
    match found.passed {
        Some(true) => format!("passed: {judged} lost no more than {}", found.allow_lost),
        Some(false) => format!("failed: {judged} lost more than {}", found.allow_lost),
        None => format!("no verdict: {judged} did not run"),
    }
}

/// Facts that the table does not show.
fn remarks(found: &Results) -> Vec<String> {
    let mut lines = Vec::new();
    for run in &found.runs {
        if let Some(left) = run.leftovers.as_ref().filter(|left| !left.is_empty()) {
            lines.push(format!("{}: left when the first process ended: {}", run.title, left.join(", ")));
        }
        if run.killed {
            lines.push(format!(
                "{}: the stop signal did not end it within the grace period; SIGKILL did, and cuts every request that still runs then",
                run.title
            ));
        }
        if let Some(problem) = &run.hook_problem {
            lines.push(format!("{}: {problem}", run.title));
        }
        if let Some((first, last)) = run.report.losses.first().zip(run.report.last_loss_seconds) {
            let kinds: Vec<String> = run
                .report
                .kinds
                .iter()
                .filter(|(_, counts)| counts.lost() > 0)
                .map(|(kind, counts)| format!("{} {}", counts.lost(), kind.name()))
                .collect();
            let (title, from) = (&run.title, first.seen_seconds);
            lines.push(format!(
                "{title}: lost {}, seen {from:.1} to {last:.1} s after the stop began",
                kinds.join(", ")
            ));
        }
        if run.report.failed_before > 0 {
            lines.push(format!("{}: {} requests failed before the stop began", run.title, run.report.failed_before));
        }
        if run.report.not_sent > 0 {
            lines.push(format!(
                "{}: {} requests were not sent, because 5000 were in flight",
                run.title, run.report.not_sent
            ));
        }
        if run.report.stall_seconds > 0.5 {
            lines.push(format!("{}: the machine delayed the load by {:.1} s", run.title, run.report.stall_seconds));
        }
    }
    lines.extend(found.not_run.iter().map(|not_run| format!("not run: {}: {}", not_run.strategy, not_run.reason)));
    lines.extend(found.findings.iter().map(|finding| {
        format!("doctor: {}: {}\n    why  {}\n    fix  {}", finding.check, finding.what, finding.why, finding.fix)
    }));
    lines.extend(found.notes.iter().map(|note| format!("note: {note}")));
    lines.extend(found.no_advice.iter().map(|reason| format!("no advice: {reason}")));
    lines
}

fn markdown(found: &Results) -> String {
    let name = found.image.clone().unwrap_or_else(|| found.command.join(" "));
    let mut text =
        format!("## Rollout of {name}\n\n{}\n\n{}, grace {} s\n\n", verdict(found), found.traffic, found.grace_seconds);
    text += &format!("| {} |\n|{}\n", HEAD.join(" | "), " --- |".repeat(HEAD.len()));
    for row in rows(found) {
        text += &format!("| {} |\n", row.map(|cell| cell.replace('|', "\\|")).join(" | "));
    }
    text.push('\n');
    for line in remarks(found) {
        text += &format!("- {}\n", line.replace('\n', " "));
    }
    if let Some(advice) = &found.advice {
        text += &format!(
            "\nNothing was lost in {} tries with this configuration:\n\n```toml\n{}```\n\n```yaml\n{}```\n",
            advice.tries, advice.toml, advice.pod
        );
    }
    text
}

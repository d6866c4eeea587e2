//! The manual page: handwritten parts (manual/*.1), and between them every option and subcommand as clap knows them. A
//! test generates it and compares generated/bookend.1 with it.

use clap::{Arg, Command};

/// One page for all subcommands, because a container has one terminal.
pub(super) fn manual(cli: &Command, subcommands: &[Command]) -> String {
    let options: Vec<&Arg> =
        subcommands.iter().flat_map(Command::get_arguments).filter(|arg| !is_left_out(arg)).collect();
    let is_common = |arg: &Arg| options.iter().filter(|other| is_same(arg, other)).count() > 1;
    let mut page = include_str!("manual/head.1").replace("VERSION", cli.get_version().unwrap_or_default());
    page.push_str(".SH OPTIONS\n");
    for arg in cli.get_arguments() {
        let of = if is_common(arg) { users(arg, subcommands) } else { String::new() };
        page.push_str(&entry(arg, &of));
    }
    let mut listed: Vec<&Arg> = cli.get_arguments().collect();
    for arg in options.iter().copied().filter(|arg| is_common(arg)) {
        if !listed.iter().any(|other| is_same(arg, other)) {
            listed.push(arg);
            page.push_str(&entry(arg, &users(arg, subcommands)));
        }
    }
    page.push_str(
        ".SH SUBCOMMANDS\nOPTIONS lists the options of several subcommands; each subcommand has\n.BR \\-\\-help .\n",
    );
    for subcommand in subcommands {
        let usage = subcommand.clone().render_usage().to_string().replacen("Usage: bookend ", "", 1);
        let about = subcommand.get_about().map(ToString::to_string).unwrap_or_default();
        page.push_str(&format!(".SS {}\n{}", escaped(&usage), filled(&about)));
        for arg in subcommand
            .get_arguments()
            .filter(|arg| !is_left_out(arg) && !listed.iter().any(|other| is_same(arg, other)))
        {
            page.push_str(&entry(arg, ""));
        }
    }
    page + include_str!("manual/tail.1")
}

/// Whether the list omits this option: it is hidden, or all subcommands have it.
fn is_left_out(arg: &Arg) -> bool {
    arg.get_id() == "help" || arg.is_hide_set()
}

fn is_same(one: &Arg, other: &Arg) -> bool {
    one.get_id() == other.get_id()
        && one.get_help().map(ToString::to_string) == other.get_help().map(ToString::to_string)
}

/// `(hook, probe)`.
fn users(arg: &Arg, subcommands: &[Command]) -> String {
    let takes = |subcommand: &&Command| subcommand.get_arguments().any(|other| is_same(arg, other));
    let names: Vec<_> = subcommands.iter().filter(takes).map(Command::get_name).collect();
    format!(" ({})", names.join(", "))
}

/// An option and its help text.
fn entry(arg: &Arg, more: &str) -> String {
    let mut tag = Vec::new();
    tag.extend(arg.get_short().map(|short| format!("\\fB\\-{short}\\fR")));
    tag.extend(arg.get_long().map(|long| format!("\\fB\\-\\-{}\\fR", escaped(long))));
    let value = arg.get_value_names().filter(|_| arg.get_action().takes_values()).and_then(<[_]>::first);
    let value = value.map(|value| format!("\\fI{}\\fR", escaped(value))).unwrap_or_default();
    let tag = [tag.join(", "), value].join(" ");
    let mut text = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let values: Vec<_> = arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if !values.is_empty() && arg.get_action().takes_values() {
        text.push_str(&format!(": {}", values.join(", ")));
    }
    if let [default] = arg.get_default_values()
        && arg.get_action().takes_values()
    {
        text.push_str(&format!(" [default: {}]", default.display()));
    }
    format!(".TP\n{}\n{}", tag.trim(), filled(&(text + more)))
}

/// Wrapped for readers of the source; man(1) fills the page anyway.
fn filled(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace().map(escaped) {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(&word),
            Some(line) if line.len() + 1 + word.len() < 80 => line.push_str(&format!(" {word}")),
            _ => lines.push(word),
        }
    }
    // A line that begins with one of these characters would be a roff request.
    let lines = lines
        .iter()
        .map(|line| if line.starts_with(['.', '\'']) { format!("\\&{line}\n") } else { format!("{line}\n") });
    lines.collect()
}

/// As roff reads it: groff_char(7), "Eight-bit encodings and other special characters".
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    // `code`, as clap's help has it.
    let mut parts = text.split('`');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.enumerate().fold(first, |text, (n, part)| text + if n % 2 == 0 { "\\fB" } else { "\\fR" } + part)
}

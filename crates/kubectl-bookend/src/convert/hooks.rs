//! Hooks that send signals: to PID 1, which is bookend in a wrapped container, or by name.

use bookend_lifecycle::signal::Signal;

use crate::shell::{base_name, commands, script_of};

/// The effect of a hook's command on signals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Signalling {
    /// It only sends PID 1 this signal.
    Only(String),
    /// It also sends PID 1 a signal.
    PidOne,
    /// `pkill -f`: bookend has the app's words on its command line, too.
    FullCommandLine,
    No,
}

/// Reads the command of an exec handler.
pub(super) fn signalling(command: &[String]) -> Signalling {
    let commands = commands(command);
    let has_expansion = script_of(command).is_some_and(|script| script.contains(['$', '`']));
    if let [only] = commands.as_slice()
        && !has_expansion
        && let Some(signal) = kill(only)
    {
        return Signalling::Only(signal);
    }
    let any = |test: fn(&[String]) -> bool| {
        commands.iter().any(|words| (0..words.len()).any(|at| words.get(at..).is_some_and(test)))
    };
    if any(|words| kill(words).is_some() || is_kill_of_written_pid(words)) {
        Signalling::PidOne
    } else if any(is_pkill_full) {
        Signalling::FullCommandLine
    } else {
        Signalling::No
    }
}

/// The signal of `kill -s QUIT 1`, `kill -QUIT 1`, `kill -3 1` or `kill 1`.
fn kill(words: &[String]) -> Option<String> {
    let (program, rest) = words.split_first()?;
    if base_name(program) != "kill" {
        return None;
    }
    let rest: Vec<&str> = rest.iter().map(String::as_str).filter(|word| *word != "--").collect();
    let signal = match rest.as_slice() {
        ["1"] => "TERM",
        ["-s" | "-n" | "--signal", signal, "1"] => signal,
        [option, "1"] => option
            .strip_prefix("--signal=")
            .or_else(|| option.strip_prefix("-s"))
            .or_else(|| option.strip_prefix('-'))?,
        _ => return None,
    };
    named(signal)
}

/// `kill -QUIT 1 2>/dev/null`, `kill 1 || true`: another word follows.
fn is_kill_of_written_pid(words: &[String]) -> bool {
    words
        .split_first()
        .is_some_and(|(program, rest)| base_name(program) == "kill" && rest.iter().any(|word| word == "1"))
}

fn is_pkill_full(words: &[String]) -> bool {
    let is_full = |word: &String| {
        let short = word.starts_with('-') && !word.starts_with("--") && word.contains('f') && word.len() <= 3;
        short || word == "--full"
    };
    words.split_first().is_some_and(|(program, rest)| base_name(program) == "pkill" && rest.iter().any(is_full))
}

/// A signal's name as the configuration has it.
fn named(signal: &str) -> Option<String> {
    let name = signal.parse::<Signal>().ok()?.to_string();
    OF_STOPS_AND_RELOADS.contains(&name.as_str()).then_some(name)
}

/// Signals that a server may take for a stop or a reload.
const OF_STOPS_AND_RELOADS: [&str; 7] = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGTERM", "SIGWINCH"];

#[cfg(test)]
mod tests {
    use super::*;

    fn of(command: &[&str]) -> Signalling {
        signalling(&command.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_hook_that_only_signals_pid_1_is_recognised() {
        for (command, signal) in [
            (&["kill", "-QUIT", "1"][..], "SIGQUIT"),
            (&["/bin/kill", "-s", "SIGTERM", "1"], "SIGTERM"),
            (&["kill", "1"], "SIGTERM"),
            (&["kill", "-3", "1"], "SIGQUIT"),
            (&["/bin/sh", "-c", "kill -s QUIT 1"], "SIGQUIT"),
            (&["bash", "-ec", "exec kill -USR1 -- 1"], "SIGUSR1"),
            (&["bash", "-e", "-c", "kill -USR1 1"], "SIGUSR1"),
        ] {
            assert_eq!(of(command), Signalling::Only(signal.to_owned()), "{command:?}");
        }
    }

    #[test]
    fn other_ways_to_signal_are_told_apart() {
        for script in
            ["sleep 5; kill -QUIT 1", "kill -TERM 1 || true", "sleep 1 && kill 1 && sleep 10", "kill -15 1 2>/dev/null"]
        {
            assert_eq!(of(&["sh", "-c", script]), Signalling::PidOne, "{script}");
        }
        // The kernel drops it: PID 1 cannot be killed from inside.
        assert_eq!(of(&["kill", "-9", "1"]), Signalling::PidOne);
        for command in
            [&["pkill", "-f", "server"][..], &["sh", "-c", "sleep 3; pkill -TERM -f server"], &["pkill", "--full", "x"]]
        {
            assert_eq!(of(command), Signalling::FullCommandLine, "{command:?}");
        }
        for command in [
            &[][..],
            &["sh", "-c", "nginx -s quit; sleep 1"],
            &["pkill", "nginx"],
            &["kill", "-9", "12"],
            &["sleep", "1"],
        ] {
            assert_eq!(of(command), Signalling::No, "{command:?}");
        }
    }
}

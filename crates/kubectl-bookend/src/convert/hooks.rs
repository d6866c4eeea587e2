//! Hooks that send signals: to PID 1, which is bookend in a wrapped container, or by name.

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
pub(super) fn signalling(command: &[&str]) -> Signalling {
    let script = match command {
        [shell, flag, script, ..] if is_shell(shell) && flag.starts_with('-') && flag.ends_with('c') => *script,
        [] => return Signalling::No,
        words => {
            return match kill(words) {
                Some(signal) => Signalling::Only(signal),
                None if is_pkill_full(words) => Signalling::FullCommandLine,
                None => Signalling::No,
            };
        }
    };
    // Not a shell's whole grammar: commands are separated as in the scripts of hooks.
    let commands: Vec<Vec<&str>> = script
        .split([';', '\n', '|', '&', '(', ')', '`'])
        .map(|command| command.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect())
        .filter(|words: &Vec<&str>| !words.is_empty())
        .collect();
    match commands.as_slice() {
        [only] if !script.contains(['$', '`']) => {
            let words = only.strip_prefix(&["exec"]).unwrap_or(only);
            if let Some(signal) = kill(words) {
                return Signalling::Only(signal);
            }
        }
        _ => {}
    }
    let any = |test: fn(&[&str]) -> bool| {
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
fn kill(words: &[&str]) -> Option<String> {
    let (program, rest) = words.split_first()?;
    if base(program) != "kill" {
        return None;
    }
    let rest: Vec<&str> = rest.iter().copied().filter(|word| *word != "--").collect();
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
fn is_kill_of_written_pid(words: &[&str]) -> bool {
    words.split_first().is_some_and(|(program, rest)| base(program) == "kill" && rest.contains(&"1"))
}

fn is_pkill_full(words: &[&str]) -> bool {
    let is_full = |word: &&str| {
        let short = word.starts_with('-') && !word.starts_with("--") && word.contains('f') && word.len() <= 3;
        short || **word == *"--full"
    };
    words.split_first().is_some_and(|(program, rest)| base(program) == "pkill" && rest.iter().any(is_full))
}

/// A signal's name as the configuration has it.
fn named(signal: &str) -> Option<String> {
    if signal.chars().all(|char| char.is_ascii_digit()) && !signal.is_empty() {
        let number: u8 = signal.parse().ok()?;
        let name = NUMBERS.iter().find(|(known, _)| *known == number)?.1;
        return Some(format!("SIG{name}"));
    }
    let upper = signal.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    NUMBERS.iter().any(|(_, known)| *known == name).then(|| format!("SIG{name}"))
}

fn is_shell(word: &str) -> bool {
    ["sh", "bash", "ash", "dash", "zsh", "ksh"].contains(&base(word))
}

fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// The signals of stops and reloads, with their numbers on x86 and Arm.
const NUMBERS: &[(u8, &str)] =
    &[(1, "HUP"), (2, "INT"), (3, "QUIT"), (10, "USR1"), (12, "USR2"), (15, "TERM"), (28, "WINCH")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_that_only_signals_pid_1_is_recognised() {
        for (command, signal) in [
            (&["kill", "-QUIT", "1"][..], "SIGQUIT"),
            (&["/bin/kill", "-s", "SIGTERM", "1"], "SIGTERM"),
            (&["kill", "1"], "SIGTERM"),
            (&["kill", "-3", "1"], "SIGQUIT"),
            (&["/bin/sh", "-c", "kill -s QUIT 1"], "SIGQUIT"),
            (&["bash", "-ec", "exec kill -USR1 -- 1"], "SIGUSR1"),
        ] {
            assert_eq!(signalling(command), Signalling::Only(signal.to_owned()), "{command:?}");
        }
    }

    #[test]
    fn other_ways_to_signal_are_told_apart() {
        for script in
            ["sleep 5; kill -QUIT 1", "kill -TERM 1 || true", "sleep 1 && kill 1 && sleep 10", "kill -15 1 2>/dev/null"]
        {
            assert_eq!(signalling(&["sh", "-c", script]), Signalling::PidOne, "{script}");
        }
        for command in
            [&["pkill", "-f", "server"][..], &["sh", "-c", "sleep 3; pkill -TERM -f server"], &["pkill", "--full", "x"]]
        {
            assert_eq!(signalling(command), Signalling::FullCommandLine, "{command:?}");
        }
        for command in [
            &[][..],
            &["sh", "-c", "nginx -s quit; sleep 1"],
            &["pkill", "nginx"],
            &["kill", "-9", "12"],
            &["sleep", "1"],
        ] {
            assert_eq!(signalling(command), Signalling::No, "{command:?}");
        }
    }
}

//! Hooks that send signals: to PID 1, which is bookend in a wrapped container, or by name.

use bookend_lifecycle::signal::Signal;

use crate::shell::{base_name, commands, ends_server, script_of};

/// The effect of a hook's command on signals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Signalling {
    /// It only sends PID 1 a signal, before or after pauses.
    Steps(Vec<Step>),
    /// It also sends PID 1 a signal.
    PidOne,
    /// It ends the server by this command.
    OwnCommand(String),
    /// `pkill -f`: bookend has the app's words on its command line, too.
    FullCommandLine,
    No,
}

/// A step of a hook that is nothing but signals and pauses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Signal(String),
    Sleep(u64),
}

/// Reads the command of an exec handler; `app` are the words of the container's process.
pub(super) fn signalling(command: &[String], app: &[String]) -> Signalling {
    let commands = commands(command);
    let is_plain = script_of(command).is_none_or(|script| {
        !script.replace("&&", ";").contains(['$', '`', '|', '&', '<', '>', '(', ')', '{', '}', '#', '\\'])
            && !script.split([' ', ';', '\n', '\t']).any(|word| CONDITIONS.contains(&word))
    });
    let steps = commands.iter().map(|words| match sleep(words) {
        Some(seconds) => Some(Step::Sleep(seconds)),
        None => kill(words).or_else(|| of_server(words, app)).map(Step::Signal),
    });
    let steps: Option<Vec<Step>> = steps.collect();
    if is_plain
        && let Some(steps) = steps
        && steps.iter().filter(|step| matches!(step, Step::Signal(_))).count() == 1
    {
        return Signalling::Steps(steps);
    }
    let any = |test: fn(&[String]) -> bool| {
        commands.iter().any(|words| (0..words.len()).any(|at| words.get(at..).is_some_and(test)))
    };
    if any(|words| kill(words).is_some() || is_kill_of_written_pid(words)) {
        Signalling::PidOne
    } else if any(is_pkill_full) {
        Signalling::FullCommandLine
    } else if let Some(own) = commands.iter().find(|words| ends_server(words)) {
        Signalling::OwnCommand(own.join(" "))
    } else {
        Signalling::No
    }
}

/// The seconds of `sleep 5`.
fn sleep(words: &[String]) -> Option<u64> {
    match words {
        [program, seconds] if base_name(program) == "sleep" => seconds.parse().ok(),
        _ => None,
    }
}

/// The signal that a server's own command sends, if the app is that server: `nginx -s quit`, `apachectl -k graceful-stop`.
fn of_server(words: &[String], app: &[String]) -> Option<String> {
    let (program, rest) = words.split_first()?;
    let rest: Vec<&str> = rest.iter().map(String::as_str).filter(|word| *word != "-k").collect();
    // An entrypoint script runs the words behind it in its place.
    let server = app
        .iter()
        .map(|word| base_name(word))
        .find(|word| !word.ends_with("entrypoint.sh") && !word.ends_with("entrypoint"))?;
    let (servers, signal): (&[&str], _) = match (base_name(program), rest.as_slice()) {
        ("nginx", ["-s", "quit"]) => (&["nginx"], "SIGQUIT"),
        ("nginx", ["-s", "stop"]) => (&["nginx"], "SIGTERM"),
        ("apachectl" | "apache2ctl" | "httpd" | "apache2", ["graceful-stop"]) => (APACHE, "SIGWINCH"),
        ("apachectl" | "apache2ctl" | "httpd" | "apache2", ["stop"]) => (APACHE, "SIGTERM"),
        _ => return None,
    };
    servers.contains(&server).then(|| signal.to_owned())
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

/// Programs that are Apache's server, or become it.
const APACHE: &[&str] = &["httpd", "apache2", "httpd-foreground", "apache2-foreground"];
/// Words of a shell's script that is more than a list of commands.
const CONDITIONS: [&str; 9] = ["if", "while", "until", "for", "case", "!", "elif", "else", "time"];
/// Signals that a server may take for a stop or a reload.
const OF_STOPS_AND_RELOADS: [&str; 7] = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGTERM", "SIGWINCH"];

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn of(command: &[&str]) -> Signalling {
        signalling(&words(command), &words(&["/app"]))
    }

    fn signal(name: &str) -> Step {
        Step::Signal(name.to_owned())
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
            assert_eq!(of(command), Signalling::Steps(vec![self::signal(signal)]), "{command:?}");
        }
    }

    #[test]
    fn other_ways_to_signal_are_told_apart() {
        for script in
            ["kill -TERM 1 || true", "kill -15 1 2>/dev/null", "kill 1 &", "if true; then kill 1; fi", "echo x; kill 1"]
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
            &["nginx", "-s", "reload"],
            &["kill", "-9", "12"],
            &["sleep", "1"],
            &["sh", "-c", "sleep 1; sleep 2"],
        ] {
            assert_eq!(of(command), Signalling::No, "{command:?}");
        }
    }

    #[test]
    fn pauses_around_a_signal_are_steps_of_their_own() {
        for (script, steps) in [
            ("sleep 5; kill -QUIT 1", vec![Step::Sleep(5), signal("SIGQUIT")]),
            ("sleep 1 && kill 1 && sleep 10", vec![Step::Sleep(1), signal("SIGTERM"), Step::Sleep(10)]),
            ("sleep 3\nexec kill -s USR1 1\n", vec![Step::Sleep(3), signal("SIGUSR1")]),
        ] {
            assert_eq!(of(&["sh", "-c", script]), Signalling::Steps(steps), "{script}");
        }
        for script in ["sleep 1m; kill 1", "kill 1; kill -QUIT 1", "sleep $N; kill 1"] {
            assert_eq!(of(&["sh", "-c", script]), Signalling::PidOne, "{script}");
        }
    }

    #[test]
    fn a_server_s_own_command_is_its_signal_if_the_app_is_it() {
        let quit = words(&["sh", "-c", "/usr/sbin/nginx -s quit; sleep 4"]);
        let steps = Signalling::Steps(vec![signal("SIGQUIT"), Step::Sleep(4)]);
        for app in [&["nginx", "-g", "daemon off;"][..], &["/docker-entrypoint.sh", "/usr/sbin/nginx"]] {
            assert_eq!(signalling(&quit, &words(app)), steps, "{app:?}");
        }
        for app in [&[][..], &["sh", "-c", "exec nginx"], &["/usr/bin/supervisord", "nginx"]] {
            assert_eq!(
                signalling(&quit, &words(app)),
                Signalling::OwnCommand("/usr/sbin/nginx -s quit".to_owned()),
                "{app:?}"
            );
        }
        for command in [&["apachectl", "graceful-stop"][..], &["httpd", "-k", "graceful-stop"]] {
            let found = signalling(&words(command), &words(&["httpd-foreground"]));
            assert_eq!(found, Signalling::Steps(vec![signal("SIGWINCH")]), "{command:?}");
        }
        for command in
            [&["sh", "-c", "nginx -s quit; while killall -0 nginx; do sleep 1; done"][..], &["killall", "java"]]
        {
            assert!(
                matches!(signalling(&words(command), &words(&["nginx"])), Signalling::OwnCommand(_)),
                "{command:?}"
            );
        }
    }
}

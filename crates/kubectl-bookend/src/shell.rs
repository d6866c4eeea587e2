//! The simple commands in the words of an exec action: a program's own words, or those of a shell's script. It reads scripts as hooks
//! have them, and not a shell's whole grammar. Pure.

/// The simple commands of an exec hook: its own words, or those of a shell's script.
pub(crate) fn commands(words: &[String]) -> Vec<Vec<String>> {
    let Some(script) = script_of(words) else { return vec![words.to_vec()] };
    let script = script.replace("\\\n", " ");
    let lines = script.split(['\n', ';', '|', '&', '(', ')', '{', '}']);
    let commands = lines.map(|line| {
        let words = line.split_whitespace().map(|word| word.trim_matches(['"', '\'']).to_owned());
        words.skip_while(|word| KEYWORDS.contains(&word.as_str())).collect::<Vec<_>>()
    });
    commands.filter(|command| !command.is_empty()).collect()
}

/// The script of `sh -c SCRIPT`.
pub(crate) fn script_of(words: &[String]) -> Option<&str> {
    let is_shell = SHELLS.contains(&base_name(words.first()?));
    let at = words.iter().position(|word| word.starts_with('-') && word.ends_with('c')).filter(|_| is_shell)?;
    words.get(at + 1).map(String::as_str)
}

/// The name of a program without its folder.
pub(crate) fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether it is a signal to PID 1 or by name, or a server's own command for its end.
pub(crate) fn ends_server(command: &[String]) -> bool {
    let program = command.first().map(|word| base_name(word)).unwrap_or_default();
    let has = |words: &[&str]| command.iter().skip(1).any(|word| words.contains(&word.as_str()));
    match program {
        // A pid from a file, from pidof or from a variable is the server's.
        "kill" => !has(&["-0", "-l"]) && (has(&["1"]) || command.iter().any(|word| word.contains(['$', '`']))),
        "pkill" | "killall" | "killall5" => !has(&["-0"]),
        "nginx" | "openresty" => has(&["quit", "stop"]),
        "apachectl" | "apache2ctl" | "httpd" | "apache2" => has(&["stop", "graceful-stop"]),
        "caddy" | "supervisorctl" | "catalina.sh" | "service" | "pm2" => has(&["stop", "shutdown"]),
        "redis-cli" => has(&["shutdown", "SHUTDOWN"]),
        _ => false,
    }
}

const SHELLS: [&str; 7] = ["sh", "bash", "ash", "dash", "zsh", "ksh", "busybox"];
const KEYWORDS: [&str; 14] =
    ["exec", "then", "do", "if", "elif", "else", "!", "while", "until", "time", "done", "fi", "esac", "\\"];

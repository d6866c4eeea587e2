//! A hook or a probe of a Pod spec, and what its command does as far as its words show it. Pure.

use serde_json::Value;

use crate::shell::{base_name, commands, ends_server};
use crate::wrapped::words;

/// The action of a hook or a probe.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum HookAction<'a> {
    Sleep(f64),
    Exec(Vec<String>),
    HttpGet {
        port: &'a Value,
        path: &'a str,
        host: Option<&'a str>,
    },
    TcpSocket,
    /// gRPC, or a kind that this program does not know.
    Other,
}

impl<'a> HookAction<'a> {
    /// `None`: there is no such hook.
    pub(crate) fn of(hook: Option<&'a Value>) -> Option<HookAction<'a>> {
        let hook = hook.filter(|hook| hook.is_object())?;
        let kind = |name: &str| hook.get(name).filter(|action| !action.is_null());
        Some(if let Some(sleep) = kind("sleep") {
            HookAction::Sleep(sleep.get("seconds").and_then(Value::as_f64).unwrap_or_default())
        } else if let Some(exec) = kind("exec") {
            HookAction::Exec(words(exec, "command"))
        } else if let Some(get) = kind("httpGet") {
            let text = |name: &str| get.get(name).and_then(Value::as_str);
            HookAction::HttpGet {
                port: get.get("port").unwrap_or(&Value::Null),
                path: text("path").unwrap_or("/"),
                host: text("host"),
            }
        } else if kind("tcpSocket").is_some() {
            HookAction::TcpSocket
        } else {
            HookAction::Other
        })
    }

    /// How long it surely waits, in seconds.
    pub(crate) fn pause(&self) -> f64 {
        match self {
            HookAction::Sleep(seconds) => *seconds,
            HookAction::Exec(words) => commands(words).iter().filter_map(|command| sleep_of(command)).sum(),
            _ => 0.0,
        }
    }
}

/// Whether the command is `sleep`, and the seconds.
pub(crate) fn sleep_of(command: &[String]) -> Option<f64> {
    if base_name(command.first()?) != "sleep" {
        return None;
    }
    let seconds = command.iter().skip(1).map(|word| match word.split_at_checked(word.len().saturating_sub(1)) {
        Some((number, "s")) => number.parse::<f64>().unwrap_or(0.0),
        Some((number, "m")) => number.parse::<f64>().unwrap_or(0.0) * 60.0,
        Some((number, "h")) => number.parse::<f64>().unwrap_or(0.0) * 3600.0,
        _ => word.parse::<f64>().unwrap_or(0.0),
    });
    Some(seconds.filter(|seconds| seconds.is_finite()).sum())
}

/// The command that ends the server, if it stands before any pause.
pub(crate) fn ends_server_at_once(words: &[String]) -> Option<String> {
    for command in commands(words) {
        if sleep_of(&command).is_some() {
            return None;
        }
        if ends_server(&command) {
            return Some(command.join(" "));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn exec(words: &[&str]) -> Value {
        json!({ "exec": { "command": words } })
    }

    #[test]
    fn the_pause_of_a_hook_is_added_up() {
        for (hook, expected) in [
            (json!({ "sleep": { "seconds": 5 } }), 5.0),
            (exec(&["sleep", "15"]), 15.0),
            (exec(&["/bin/sh", "-c", "sleep 10 && nginx -s quit; sleep 1m"]), 70.0),
            (exec(&["bash", "-ec", "if true; then /bin/sleep \"2s\"; fi"]), 2.0),
            (exec(&["sh", "-c", "echo sleep 5"]), 0.0),
            (exec(&["sleep", "infinity"]), 0.0),
            (json!({ "httpGet": { "port": 1 } }), 0.0),
            (json!({ "sleep": null, "exec": null }), 0.0),
            (exec(&[]), 0.0),
        ] {
            assert!((HookAction::of(Some(&hook)).unwrap().pause() - expected).abs() < 1e-9, "{hook}");
        }
        assert_eq!(HookAction::of(Some(&Value::Null)), None);
    }

    #[test]
    fn a_command_ends_the_server_unless_a_pause_comes_first() {
        let ends =
            |words: &[&str]| ends_server_at_once(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        for words in [
            &["kill", "-QUIT", "1"][..],
            &["sh", "-c", "kill -s TERM 1; sleep 5"],
            &["/bin/sh", "-c", "/usr/sbin/nginx -s quit; while pgrep -x nginx; do sleep 1; done"],
            &["pkill", "-TERM", "java"],
            &["sh", "-c", "kill -TERM $(cat /run/nginx.pid)"],
            &["apachectl", "graceful-stop"],
        ] {
            assert!(ends(words).is_some(), "{words:?}");
        }
        for words in [
            &["sh", "-c", "sleep 5; kill 1"][..],
            &["kill", "-0", "1"],
            &["nginx", "-s", "reload"],
            &["sh", "-c", "echo kill 1"],
            &["sh"],
            &[],
        ] {
            assert_eq!(ends(words), None, "{words:?}");
        }
    }
}

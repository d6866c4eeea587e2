//! gunicorn: its command line, GUNICORN_CMD_ARGS and its configuration file, strongest first. Pure. The file is Python:
//! plain assignments are read, computed values are not.

use super::command::option;
use super::config_text::{ConfigFile, Separator, last_value};
use crate::doctor::finding::FileLine;

/// gunicorn as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Gunicorn {
    /// Its arguments, those of GUNICORN_CMD_ARGS first.
    pub(crate) args: Vec<String>,
    /// gunicorn.conf.py, or what `-c` names.
    pub(crate) files: Vec<ConfigFile>,
}

impl Gunicorn {
    /// A setting and its place. `None`: gunicorn's default.
    pub(crate) fn setting(&self, name: &str, options: &[&str]) -> Option<(String, Option<FileLine>)> {
        let given = option(self.args.iter().map(String::as_str), options);
        given
            .map(|value| (value.to_owned(), None))
            .or_else(|| last_value(&self.files, name, Separator::Equals).map(|(value, at)| (value, Some(at))))
    }

    pub(crate) fn daemonizes(&self) -> bool {
        self.args.iter().any(|arg| arg == "-D" || arg == "--daemon")
            || last_value(&self.files, "daemon", Separator::Equals).is_some_and(|(value, _)| value == "True")
    }

    /// The addresses that it listens on.
    pub(crate) fn binds(&self) -> Vec<String> {
        let is_bind = |arg: &&str| ["-b", "--bind"].contains(arg);
        let mut binds = Vec::new();
        let mut args = self.args.iter().map(String::as_str).peekable();
        while let Some(arg) = args.next() {
            if is_bind(&arg) {
                binds.extend(args.peek().map(|value| (*value).to_owned()));
            } else if let Some(value) = arg.strip_prefix("--bind=").or_else(|| arg.strip_prefix("-b")) {
                binds.push(value.to_owned());
            }
        }
        if binds.is_empty()
            && let Some((value, _)) = last_value(&self.files, "bind", Separator::Equals)
        {
            let is_punctuation = |c: char| matches!(c, '[' | ']' | '"' | '\'' | ' ' | ',');
            // A list of strings, or one string. An IPv6 address has brackets of its own inside the quotes.
            binds.extend(value.split(',').map(|part| part.trim().trim_matches(is_punctuation).to_owned()));
        }
        binds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gunicorn(args: &[&str], file: &str) -> Gunicorn {
        let files = vec![ConfigFile { path: "gunicorn.conf.py".to_owned(), text: file.to_owned() }];
        Gunicorn { args: args.iter().map(|arg| (*arg).to_owned()).collect(), files }
    }

    #[test]
    fn addresses_and_daemon_mode_are_read() {
        let binds = |args: &[&str], file: &str| gunicorn(args, file).binds();
        assert_eq!(binds(&["-b", "0.0.0.0:80", "--bind=[::]:80", "app"], "bind = 'x'"), ["0.0.0.0:80", "[::]:80"]);
        assert_eq!(binds(&["app"], "bind = \"127.0.0.1:9\"\n"), ["127.0.0.1:9"]);
        assert_eq!(binds(&["app"], "bind = [\"127.0.0.1:9\", \"unix:/x\"]\n"), ["127.0.0.1:9", "unix:/x"]);
        assert!(gunicorn(&["-D"], "").daemonizes() && gunicorn(&[], "daemon = True\n").daemonizes());
        assert!(!gunicorn(&[], "daemon = False\n").daemonizes());
    }
}

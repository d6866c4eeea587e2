//! The app's command as it will really run: without the wrappers, and with the shells that stay in front of it. Pure.

use std::fmt;

use super::known_server;
use super::shell::{self, MainCommand};
use bookend_config::command_without_secrets;
use bookend_config::wrapper::{base_name, is_interpreter, unwrapped};

/// The app's command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct AppCommand {
    /// The command as it was given.
    pub(crate) given: Vec<String>,
    /// The program that serves, and its arguments.
    pub(crate) server: Vec<String>,
    /// The shell that stays between bookend and the server.
    pub(crate) shell: Option<ShellInFront>,
    /// The script that stays between bookend and the server.
    pub(crate) script: Option<ScriptInFront>,
    /// Whether the server's name was read from a shell text, where it may be a function or depend on a variable, or is a
    /// module or a script of an interpreter.
    pub(crate) is_from_text: bool,
    /// package.json of the working directory, for `npm start`.
    pub(crate) package_json: Option<String>,
}

/// `sh -c TEXT` without exec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShellInFront {
    pub(crate) text: String,
    /// Whether the server is its only command: many shells replace themselves by it.
    pub(crate) is_alone: bool,
    /// Whether the server is its last command.
    pub(crate) is_last: bool,
}

/// A shell script without exec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScriptInFront {
    pub(crate) path: String,
    /// The line that runs the server, from 1.
    pub(crate) line: usize,
    /// Whether the server is its last command.
    pub(crate) is_last: bool,
}

impl AppCommand {
    /// Takes the wrappers off. `text_of` reads the beginning of a program.
    pub(crate) fn new(given: Vec<String>, text_of: impl Fn(&str) -> Option<String>) -> AppCommand {
        // A script that runs itself would never end.
        const MOST_WRAPPERS: usize = 10;
        let mut command = AppCommand { server: given.clone(), given, ..AppCommand::default() };
        let mut is_argument_of_shell = false;
        for _ in 0..MOST_WRAPPERS {
            let step = command.unwrap_once(&text_of, is_argument_of_shell);
            let Some(step) = step.filter(|step| !step.words.is_empty()) else { break };
            is_argument_of_shell = step.is_argument_of_shell;
            command.server = step.words;
        }
        command
    }

    fn unwrap_once(&mut self, text_of: &impl Fn(&str) -> Option<String>, is_script: bool) -> Option<Step> {
        let words = self.server.clone();
        let path = words.first()?;
        let program = base_name(path);
        if let Some(words) = unwrapped(program, &words) {
            self.is_from_text |= is_interpreter(program);
            return Some(Step { words, is_argument_of_shell: false });
        }
        if shell::is_shell(program) {
            let Some(at) = words.iter().position(|word| word.starts_with('-') && word.ends_with('c')) else {
                // `sh -e script args`
                let words = words.iter().skip(1).skip_while(|word| word.starts_with('-')).cloned().collect();
                return Some(Step { words, is_argument_of_shell: true });
            };
            let text = words.get(at + 1)?;
            let MainCommand { words, execs, is_alone, is_last, .. } = shell::main_command(text)?;
            if !execs {
                self.shell = Some(ShellInFront { text: text.clone(), is_alone, is_last });
            }
            self.is_from_text = true;
            return Some(Step { words, is_argument_of_shell: false });
        }
        let text = text_of(path).filter(|text| is_script || shell::is_shell_script(text));
        if let Some(main) = text.as_deref().and_then(shell::main_command) {
            if !main.execs && self.script.is_none() {
                let (path, line, is_last) = (path.clone(), main.line, main.is_last);
                self.script = Some(ScriptInFront { path, line, is_last });
            }
            if known_server::find(program).is_some() {
                // `apache2ctl`, `httpd-foreground`: what they run is known.
                return None;
            }
            self.is_from_text = true;
            return Some(Step { words: with_arguments(main.words, &words), is_argument_of_shell: false });
        }
        // The script of an image that is not here: most end with `exec "$@"`.
        let is_entrypoint = text_of(path).is_none() && program.contains("entrypoint");
        let passes_on = is_entrypoint && words.get(1).is_some_and(|word| !word.starts_with('-'));
        passes_on.then(|| Step { words: words.into_iter().skip(1).collect(), is_argument_of_shell: false })
    }

    /// The server's program, without its directory.
    pub(crate) fn program(&self) -> &str {
        self.server.first().map_or("", |word| base_name(word))
    }

    /// The server's arguments.
    pub(crate) fn args(&self) -> impl Iterator<Item = &str> {
        self.server.iter().skip(1).map(String::as_str)
    }

    /// The value of an option: `--name value`, `--name=value`, `-n value`.
    pub(crate) fn option(&self, names: &[&str]) -> Option<&str> {
        option(self.args(), names)
    }

    pub(crate) fn has(&self, words: &[&str]) -> bool {
        self.args().any(|arg| words.contains(&arg))
    }
}

/// As it was given, without secrets.
impl fmt::Display for AppCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&command_without_secrets(&self.given))
    }
}

/// The words that one wrapper runs.
struct Step {
    words: Vec<String>,
    /// `sh script`: it is a script whatever its first line is.
    is_argument_of_shell: bool,
}

/// With the script's own arguments in place of `"$@"`.
fn with_arguments(command: Vec<String>, script: &[String]) -> Vec<String> {
    let arguments = script.get(1..).unwrap_or_default();
    let is_all = |word: &str| ["$@", "${@}", "$*"].contains(&word);
    command.into_iter().flat_map(|word| if is_all(&word) { arguments.to_vec() } else { vec![word] }).collect()
}

/// The last value of an option among these words.
pub(crate) fn option<'a>(words: impl Iterator<Item = &'a str>, names: &[&str]) -> Option<&'a str> {
    let mut words = words.peekable();
    let mut found = None;
    while let Some(word) = words.next() {
        if names.contains(&word) {
            found = words.peek().copied().or(found);
        } else if let Some((name, value)) = word.split_once('=')
            && names.contains(&name)
        {
            found = Some(value);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &[&str]) -> AppCommand {
        with_files(words, &[])
    }

    fn with_files(words: &[&str], files: &[(&str, &str)]) -> AppCommand {
        let text_of = |path: &str| files.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned());
        AppCommand::new(words.iter().map(|word| (*word).to_owned()).collect(), text_of)
    }

    #[test]
    fn a_command_is_shown_without_secrets() {
        for (given, shown) in [
            (&["srv", "--password", "hunter2", "-v"][..], "srv --password ******** -v"),
            (&["env", "DB=postgres://u:hunter2@db/", "srv"], "env DB=postgres://********@db/ srv"),
        ] {
            assert_eq!(command(given).to_string(), shown);
        }
    }

    #[test]
    fn wrappers_are_taken_off() {
        for given in [
            &["nginx", "-g", "daemon off;"][..],
            &["/docker-entrypoint.sh", "nginx", "-g", "daemon off;"],
            &["tini", "-e", "143", "--", "nginx", "-g", "daemon off;"],
            &["env", "-u", "HOME", "A=b", "gosu", "www-data", "nginx", "-g", "daemon off;"],
            &["sh", "-c", "mkdir -p /run/nginx && exec nginx -g 'daemon off;'"],
            &["/bin/bash", "-ec", "LANG=C exec nginx -g \"daemon off;\""],
        ] {
            let command = command(given);
            assert_eq!(command.server, ["nginx", "-g", "daemon off;"], "{given:?}");
            assert_eq!((command.shell, command.script), (None, None), "{given:?}");
        }
        assert_eq!(command(&["python3", "-m", "gunicorn", "app"]).program(), "gunicorn");
        assert_eq!(command(&["catalina.sh", "run"]).server, ["catalina.sh", "run"]);
    }

    #[test]
    fn a_script_is_read_to_find_the_server() {
        let entrypoint = "#!/bin/sh\nset -e\nexec gosu app \"$@\"\n";
        let execs = with_files(&["/entrypoint.sh", "nginx", "-g", "x"], &[("/entrypoint.sh", entrypoint)]);
        assert_eq!((execs.server.as_slice(), execs.script), (&["nginx", "-g", "x"].map(str::to_owned)[..], None));
        let start = "#!/bin/bash\nmigrate\ngunicorn app:app\n";
        let stays = with_files(&["/start.sh"], &[("/start.sh", start)]);
        assert_eq!(stays.program(), "gunicorn");
        let script = stays.script.expect("it stays");
        assert_eq!((script.path.as_str(), script.line, script.is_last), ("/start.sh", 3, true));
        // Without #!, but run by a shell.
        let stays = with_files(&["sh", "start"], &[("start", "node server.js\n")]);
        assert_eq!((stays.program(), stays.script.is_some()), ("node", true));
        // A script that runs itself.
        with_files(&["/a"], &[("/a", "#!/bin/sh\nexec /a\n")]);
    }

    #[test]
    fn the_scripts_of_apache_stay_apache() {
        let ctl = "#!/bin/sh\ncase $1 in\n*)\n  $HTTPD \"$@\"\nesac\nexit $?\n";
        let command = with_files(&["apache2ctl", "-DFOREGROUND"], &[("apache2ctl", ctl)]);
        assert_eq!((command.program(), command.script.as_ref().map(|script| script.line)), ("apache2ctl", Some(4)));
        let foreground = "#!/bin/sh\nexec httpd -DFOREGROUND \"$@\"\n";
        assert_eq!(with_files(&["httpd-foreground"], &[("httpd-foreground", foreground)]).script, None);
    }
}

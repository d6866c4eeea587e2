//! The app's command as it will really run: wrappers taken off, and what a shell would do to it. Pure.

use super::{Facts, Finding, Place};

/// The app's command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Command {
    /// As it was said.
    pub(super) said: Vec<String>,
    /// The program that serves, and its arguments: what is left when the wrappers are taken off.
    pub(super) server: Vec<String>,
    /// The shell that stays between bookend and the server, if one does.
    pub(super) shell: Option<Shell>,
    /// A script among the wrappers, with its text where it could be read.
    pub(super) script: Option<Script>,
    /// package.json of the working directory, for `npm start`.
    pub(super) package_json: Option<String>,
}

/// How a shell stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shell {
    /// What it was given after `-c`.
    pub(super) text: String,
    /// Whether the server is all it runs: many shells become their only command by themselves.
    pub(super) alone: bool,
}

/// A shell script the command goes through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) path: String,
    pub(super) text: String,
}

/// Programs that run what stands after their own options. The number: how many words of theirs come first.
const WRAPPERS: &[(&str, usize)] = &[
    ("tini", 0),
    ("dumb-init", 0),
    ("docker-init", 0),
    ("catatonit", 0),
    ("env", 0),
    ("exec", 0),
    ("nice", 0),
    ("nohup", 0),
    ("setpriv", 0),
    ("gosu", 1),
    ("su-exec", 1),
];

impl Command {
    /// Takes the wrappers off.
    pub(super) fn new(said: Vec<String>) -> Command {
        let mut command = Command { server: said.clone(), said, ..Command::default() };
        // Each turn takes words away.
        while command.unwrap_once() {}
        command
    }

    fn unwrap_once(&mut self) -> bool {
        let words = self.server.clone();
        let Some(program) = words.first().map(|word| base_name(word)) else { return false };
        let rest = || words.iter().skip(1).cloned();
        if let Some(&(_, own)) = WRAPPERS.iter().find(|(name, _)| *name == program) {
            let is_theirs = |word: &String| word.starts_with('-') || (program == "env" && word.contains('='));
            return self.become_if_any(rest().skip_while(is_theirs).skip(own).collect());
        }
        if is_shell(program) {
            let Some(at) = words.iter().position(|word| word.starts_with('-') && word.ends_with('c')) else {
                // `sh script args`: as the script itself.
                return self.become_if_any(rest().skip_while(|word| word.starts_with('-')).collect());
            };
            let Some(text) = words.get(at + 1) else { return false };
            let (last, execs, alone) = last_command(text);
            if !execs && !last.is_empty() {
                self.shell = Some(Shell { text: text.clone(), alone });
            }
            return self.become_if_any(last);
        }
        // An entry point script that ends in `exec "$@"`.
        let is_script = program.ends_with(".sh") || program.contains("entrypoint");
        if is_script && words.len() > 1 && self.script.is_none() {
            self.script = Some(Script { path: words.first().cloned().unwrap_or_default(), text: String::new() });
            return self.become_if_any(rest().collect());
        }
        false
    }

    fn become_if_any(&mut self, words: Vec<String>) -> bool {
        let any = !words.is_empty();
        if any {
            self.server = words;
        }
        any
    }

    /// The server's program, without its directory.
    pub(super) fn program(&self) -> &str {
        self.server.first().map_or("", |word| base_name(word))
    }

    /// The server's arguments.
    pub(super) fn args(&self) -> impl Iterator<Item = &str> {
        self.server.iter().skip(1).map(String::as_str)
    }

    /// The value of an option: `--name value`, `--name=value`, `-n value`.
    pub(super) fn option(&self, names: &[&str]) -> Option<&str> {
        option(self.args(), names)
    }

    pub(super) fn has(&self, words: &[&str]) -> bool {
        self.args().any(|arg| words.contains(&arg))
    }

    pub(super) fn shown(&self) -> String {
        self.said.join(" ")
    }
}

/// The last value of an option among these words.
pub(super) fn option<'a>(words: impl Iterator<Item = &'a str>, names: &[&str]) -> Option<&'a str> {
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

pub(super) fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn is_shell(program: &str) -> bool {
    matches!(program, "sh" | "bash" | "dash" | "ash" | "ksh" | "zsh")
}

/// The last command of a shell text as words, whether it is exec'ed, and whether it is the only one.
fn last_command(text: &str) -> (Vec<String>, bool, bool) {
    let parts: Vec<Vec<String>> = split_commands(text).into_iter().filter(|part| !part.is_empty()).collect();
    let alone = parts.len() == 1;
    let mut last = parts.into_iter().next_back().unwrap_or_default();
    // Assignments before the command.
    let assignments = last.iter().take_while(|word| word.contains('=') && !word.starts_with('-')).count();
    last.drain(..assignments);
    let execs = last.first().is_some_and(|word| word == "exec");
    if execs {
        last.remove(0);
    }
    (last, execs, alone)
}

/// Commands between `;`, `&&`, `||`, `|`, `&` and line breaks, each as words. Quotes count, expansions do not.
fn split_commands(text: &str) -> Vec<Vec<String>> {
    let (mut commands, mut words, mut word) = (Vec::new(), Vec::new(), String::new());
    let (mut quote, mut quoted) = (None, false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None | Some('"'), '\\') => word.extend(chars.next()),
            (Some(_), c) => word.push(c),
            (None, '\'' | '"') => (quote, quoted) = (Some(c), true),
            (None, c) => {
                let ends_command = matches!(c, ';' | '&' | '|' | '\n');
                if !ends_command && !c.is_whitespace() {
                    word.push(c);
                    continue;
                }
                if !word.is_empty() || quoted {
                    words.push(std::mem::take(&mut word));
                    quoted = false;
                }
                if ends_command {
                    commands.push(std::mem::take(&mut words));
                }
            }
        }
    }
    if !word.is_empty() || quoted {
        words.push(word);
    }
    commands.push(words);
    commands
}

/// The words of a text, as a shell would split it.
pub(super) fn words(text: &str) -> Vec<String> {
    split_commands(text).concat()
}

pub(super) fn program_missing(facts: &Facts) -> Vec<Finding> {
    let missing = facts.missing_programs.iter().map(|(who, program)| {
        Finding::new(
            format!("{who} runs {program}, which is not there"),
            "it fails when it is needed: at the start, or in the middle of a stop",
            format!("install {program} in this image, or name it with its path"),
        )
    });
    missing.collect()
}

pub(super) fn shell_without_exec(facts: &Facts) -> Vec<Finding> {
    let command = &facts.command;
    let mut findings = Vec::new();
    if let Some(shell) = &command.shell {
        let program = command.program();
        let why = "the shell is the app and gets the stop signal; what serves gets none, until SIGKILL";
        let fix =
            format!("begin its last command with exec: `exec {program} ...`; or use no shell: [\"{program}\", ...]");
        findings.push(if shell.alone {
            let what = format!("`{}` in a shell (a shell-form CMD?): only some shells become {program}", shell.text);
            Finding::note(what, format!("where it does not, {why}"), fix)
        } else {
            Finding::new(format!("a shell stays in front of {program}: `{}`", shell.text), why, fix)
        });
    }
    if let Some(script) = command.script.as_ref().filter(|script| script.text.starts_with("#!")) {
        let code = script.text.lines().map(|line| line.split('#').next().unwrap_or(""));
        let execs = code.into_iter().any(|line| line.split([' ', ';', '\t', '&', '|']).any(|word| word == "exec"));
        if !execs {
            let line = script.text.lines().count();
            findings.push(
                Finding::new(
                    format!("{} never execs", script.path),
                    "the script is the app and gets the stop signal; a shell waits for its child before it heeds it",
                    "end it with: exec \"$@\"",
                )
                .at(Some(Place { file: script.path.clone(), line })),
            );
        }
    }
    findings
}

pub(super) fn npm(facts: &Facts) -> Vec<Finding> {
    let program = facts.command.program();
    if !matches!(program, "npm" | "npx" | "yarn" | "pnpm") {
        return Vec::new();
    }
    // `npm start`, `npm run web`, `yarn web`.
    let args: Vec<_> = facts.command.args().filter(|arg| !arg.starts_with('-')).collect();
    let script = match args.as_slice() {
        ["run" | "run-script", name, ..] => Some(*name),
        [name, ..] if program != "npx" => Some(*name),
        _ => None,
    };
    let body = script.and_then(|name| {
        let package: serde_json::Value = serde_json::from_str(facts.command.package_json.as_deref()?).ok()?;
        Some(package.get("scripts")?.get(name)?.as_str()?.to_owned())
    });
    let instead = match &body {
        Some(body) => words(body).iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", "),
        None => "\"node\", \"server.js\"".to_owned(),
    };
    let found = Finding::new(
        format!("{program} is the command"),
        format!("{program} runs the server below a shell: the stop signal ends {program}, and the server is cut off"),
        format!("run the server itself: command = [{instead}]"),
    );
    vec![found.at(body.map(|_| Place { file: "package.json".to_owned(), line: 0 }))]
}

#[cfg(test)]
mod tests {
    use super::super::Weight;
    use super::*;

    fn command(words: &[&str]) -> Command {
        Command::new(words.iter().map(|word| (*word).to_owned()).collect())
    }

    fn facts(command: Command) -> Facts {
        Facts { command, ..Facts::default() }
    }

    #[test]
    fn wrappers_are_taken_off() {
        for said in [
            &["nginx", "-g", "daemon off;"][..],
            &["/docker-entrypoint.sh", "nginx", "-g", "daemon off;"],
            &["tini", "-g", "--", "nginx", "-g", "daemon off;"],
            &["env", "A=b", "gosu", "www-data", "nginx", "-g", "daemon off;"],
            &["sh", "-c", "mkdir -p /run/nginx && exec nginx -g 'daemon off;'"],
            &["/bin/bash", "-ec", "LANG=C exec nginx -g \"daemon off;\""],
        ] {
            let command = command(said);
            assert_eq!(command.server, ["nginx", "-g", "daemon off;"], "{said:?}");
            assert_eq!(command.shell, None, "{said:?}");
        }
    }

    #[test]
    fn a_shell_that_stays_is_a_finding_and_one_that_may_go_is_a_note() {
        let found = shell_without_exec(&facts(command(&["sh", "-c", "migrate; java -jar app.jar"])));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].weight, Weight::Finding);
        assert!(found[0].fix.contains("exec java"), "{found:?}");
        let found = shell_without_exec(&facts(command(&["/bin/sh", "-c", "gunicorn app"])));
        assert_eq!(found[0].weight, Weight::Note);
        assert_eq!(shell_without_exec(&facts(command(&["sh", "-c", "a; exec b"]))), []);
    }

    #[test]
    fn a_script_that_never_execs_is_named_with_its_last_line() {
        let mut command = command(&["/entrypoint.sh", "server"]);
        command.script.as_mut().expect("it is a script").text = "#!/bin/sh\n# exec comes later\n\"$@\"\n".to_owned();
        let found = shell_without_exec(&facts(command.clone()));
        assert_eq!(found[0].at, Some(Place { file: "/entrypoint.sh".to_owned(), line: 3 }));
        command.script.as_mut().expect("a script").text.push_str("exec \"$@\"\n");
        assert_eq!(shell_without_exec(&facts(command)), []);
    }

    #[test]
    fn npm_is_replaced_by_what_its_script_says() {
        let mut npm_start = command(&["npm", "start"]);
        npm_start.package_json = Some(r#"{"scripts": {"start": "node --enable-source-maps dist/main.js"}}"#.to_owned());
        let found = npm(&facts(npm_start));
        assert!(found[0].fix.contains(r#"["node", "--enable-source-maps", "dist/main.js"]"#), "{found:?}");
        assert_eq!(npm(&facts(command(&["yarn", "web"]))).len(), 1);
        assert_eq!(npm(&facts(command(&["node", "server.js"]))), []);
    }
}

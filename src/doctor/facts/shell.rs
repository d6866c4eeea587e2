//! Shell texts and scripts: the command that serves, and how the shell runs it. Quotes are understood, expansions are not.
//! Pure.

/// The command of a shell text that runs for as long as the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MainCommand {
    pub(crate) words: Vec<String>,
    /// Its line, from 1.
    pub(crate) line: usize,
    /// Whether `exec` replaces the shell by it.
    pub(crate) execs: bool,
    /// Whether it is the only command: some shells replace themselves by their last one.
    pub(crate) is_alone: bool,
    /// Whether commands follow it.
    pub(crate) is_last: bool,
}

/// Finds the command: the last one that is exec'ed, or else the last one that is not a small tool such as `echo`.
pub(crate) fn main_command(text: &str) -> Option<MainCommand> {
    let commands: Vec<(usize, Vec<String>)> =
        split_commands(text).into_iter().map(|(line, words)| (line, stripped(words))).collect();
    let commands: Vec<_> = commands.into_iter().filter(|(_, words)| !words.is_empty()).collect();
    let is_exec = |words: &[String]| words.first().is_some_and(|word| word == "exec") && words.len() > 1;
    let exec = commands.iter().rposition(|(_, words)| is_exec(words));
    let at = exec.or_else(|| commands.iter().rposition(|(_, words)| !is_small_tool(words)))?;
    let (line, words) = commands.get(at)?.clone();
    let words = if exec.is_some() { words.into_iter().skip(1).collect() } else { words };
    let (is_alone, is_last) = (commands.len() == 1, at + 1 == commands.len());
    Some(MainCommand { words, line, execs: exec.is_some(), is_alone, is_last })
}

/// The words of a text, as a shell splits it.
pub(crate) fn words(text: &str) -> Vec<String> {
    split_commands(text).into_iter().flat_map(|(_, words)| words).collect()
}

/// Whether this is the beginning of a script for a shell: `#!/bin/sh`, `#!/usr/bin/env bash`.
pub(crate) fn is_shell_script(text: &str) -> bool {
    let line = text.lines().next().and_then(|line| line.strip_prefix("#!")).unwrap_or_default();
    let mut words = line.split_whitespace().map(|word| word.rsplit('/').next().unwrap_or(word));
    match words.next() {
        Some("env") => words.find(|word| !word.starts_with('-')).is_some_and(is_shell),
        Some(program) => is_shell(program),
        None => false,
    }
}

pub(crate) fn is_shell(program: &str) -> bool {
    matches!(program, "sh" | "bash" | "dash" | "ash" | "ksh" | "zsh")
}

/// Without keywords, assignments and redirections in front of it, and without redirections anywhere.
fn stripped(words: Vec<String>) -> Vec<String> {
    const KEYWORDS: &[&str] = &["if", "then", "else", "elif", "do", "while", "until", "!", "{", "(", "time", "eval"];
    let is_redirection = |word: &str| word.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with(['<', '>']);
    let is_assignment = |word: &str| {
        word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        })
    };
    let mut out: Vec<String> = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if is_redirection(&word) {
            // `> file` names it in the next word, `2>&1` and `>file` in the same.
            if word.ends_with(['<', '>']) {
                words.next();
            }
        } else if !out.is_empty() || !(KEYWORDS.contains(&word.as_str()) || is_assignment(&word)) {
            out.push(word);
        }
    }
    // The pattern of a case branch: `start) run`.
    if out.first().is_some_and(|word| word.ends_with(')') && !word.contains('(')) {
        return stripped(out.split_off(1));
    }
    out
}

/// Builtins and tools that end by themselves.
fn is_small_tool(words: &[String]) -> bool {
    const TOOLS: &[&str] = &[
        ":", ".", "[", "[[", "alias", "case", "cat", "cd", "chmod", "chown", "cp", "date", "declare", "do", "done",
        "echo", "env", "esac", "eval", "exec", "exit", "export", "false", "fi", "find", "for", "function", "grep",
        "hostname", "id", "if", "install", "kill", "let", "ln", "local", "ls", "mkdir", "mktemp", "mv", "printf",
        "pwd", "read", "readonly", "return", "rm", "sed", "set", "shift", "shopt", "sleep", "source", "stat", "sync",
        "tee", "test", "then", "touch", "trap", "true", "ulimit", "umask", "unset", "wait", "}", ")",
    ];
    let program = words.first().map_or("", String::as_str);
    let program = program.rsplit('/').next().unwrap_or(program);
    TOOLS.contains(&program) || program.ends_with("()") || program.ends_with(";;")
}

/// Commands between `;`, `&&`, `||`, `|`, `&` and line breaks, each as words with its line. Comments are left out.
fn split_commands(text: &str) -> Vec<(usize, Vec<String>)> {
    let (mut commands, mut words, mut word) = (Vec::new(), Vec::new(), String::new());
    let (mut quote, mut is_quoted, mut line, mut begins_at) = (None, false, 1, 1);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let at = line;
        line += usize::from(c == '\n');
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None | Some('"'), '\\') => match chars.next() {
                // The line continues.
                Some('\n') => line += 1,
                Some(c) => word.push(c),
                None => {}
            },
            (Some(_), c) => word.push(c),
            (None, '\'' | '"') => (quote, is_quoted) = (Some(c), true),
            (None, '#') if word.is_empty() && !is_quoted => while chars.next_if(|c| *c != '\n').is_some() {},
            (None, c) => {
                // `2>&1`, `>&2`, `&>file`: not the end of a command.
                let redirects = c == '&' && (word.ends_with('>') || chars.peek() == Some(&'>'));
                let ends_command = matches!(c, ';' | '&' | '|' | '\n') && !redirects;
                if !ends_command && !c.is_whitespace() {
                    if words.is_empty() && word.is_empty() {
                        begins_at = at;
                    }
                    word.push(c);
                    continue;
                }
                if !word.is_empty() || is_quoted {
                    words.push(std::mem::take(&mut word));
                    is_quoted = false;
                }
                if ends_command {
                    commands.push((begins_at, std::mem::take(&mut words)));
                    begins_at = line;
                }
            }
        }
    }
    if !word.is_empty() || is_quoted {
        words.push(word);
    }
    commands.push((begins_at, words));
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    fn main_of(text: &str) -> (String, usize, bool) {
        let command = main_command(text).expect("there is one");
        (command.words.join(" "), command.line, command.execs)
    }

    #[test]
    fn the_main_command_is_the_one_that_serves() {
        for (text, expected, line, execs) in [
            ("migrate; java -jar app.jar", "java -jar app.jar", 1, false),
            ("celery -A app worker; echo done", "celery -A app worker", 1, false),
            ("mkdir -p /run/x && exec nginx -g 'daemon off;'", "nginx -g daemon off;", 1, true),
            ("LANG=C exec nginx 2>&1 >/dev/null", "nginx", 1, true),
            ("#!/bin/sh\nset -e # exec later\n\nserver \\\n  --port 1 &\nwait $!\n", "server --port 1", 4, false),
            ("if [ -z $A ]; then\n  exec gosu app \"$@\"\nfi\nexec \"$@\"\n", "$@", 4, true),
            ("case $1 in\nstart) exec catalina run ;;\nesac\n", "catalina run", 2, true),
            ("exec >log 2>&1\nnode server.js\n", "node server.js", 2, false),
            ("eval exec java $OPTS Bootstrap start", "java $OPTS Bootstrap start", 1, true),
        ] {
            assert_eq!(main_of(text), (expected.to_owned(), line, execs), "{text}");
        }
        assert_eq!(main_command("echo a; exit 0"), None);
    }

    #[test]
    fn only_scripts_of_a_shell_are_shell_scripts() {
        for text in ["#!/bin/sh\n", "#!/usr/bin/env bash\n", "#! /bin/bash -e\n", "#!/usr/bin/env -S bash -e\n"] {
            assert!(is_shell_script(text), "{text}");
        }
        for text in ["#!/usr/bin/python3\n", "\u{7f}ELF", "", "#!/usr/bin/env node\n"] {
            assert!(!is_shell_script(text), "{text}");
        }
    }
}

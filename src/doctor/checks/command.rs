//! The app's command: missing programs, shells and package managers in front of the server. Pure.

use crate::doctor::facts::Facts;
use crate::doctor::facts::shell::words;
use crate::doctor::finding::{FileLine, Finding};

pub(crate) fn program_missing(facts: &Facts) -> Vec<Finding> {
    let missing = facts.missing_programs.iter().map(|(owner, program)| {
        Finding::new(
            format!("{owner} runs {program}, which does not exist"),
            "it fails when it is needed: at the start, or in the middle of a stop",
            format!("install {program} in this image, or write its full path"),
        )
    });
    missing.collect()
}

pub(crate) fn shell_without_exec(facts: &Facts) -> Vec<Finding> {
    let command = &facts.command;
    let program = command.program();
    let why = "the shell gets the stop signal and does not pass it on; the server gets no signal until SIGKILL";
    let fix = |is_last: bool, alternative: String| match is_last {
        true => format!("begin its last command with exec: `exec {program} ...`{alternative}"),
        false => {
            format!(
                "make {program} the last command, with exec; move what follows it into a postStop handler{alternative}"
            )
        }
    };
    let mut findings = Vec::new();
    if let Some(shell) = &command.shell {
        let text = bookend_config::without_secrets(&shell.text);
        let fix = fix(shell.is_last, format!("; or use no shell: [\"{program}\", ...]"));
        findings.push(if shell.is_alone {
            let what =
                format!("`{text}` runs in a shell (a shell-form CMD?); only some shells replace themselves by it");
            Finding::note(what, format!("in the others, {why}"), fix)
        } else {
            Finding::new(format!("a shell stays in front of {program}: `{text}`"), why, fix)
        });
    }
    if let Some(script) = &command.script {
        let found = if ["apache2ctl", "apachectl"].contains(&program) {
            let fix =
                "run the server itself: [\"sh\", \"-c\", \". /etc/apache2/envvars && exec apache2 -DFOREGROUND\"]";
            Finding::new(format!("{program} is a shell script that stays in front of Apache"), why, fix)
        } else {
            let what = format!("the script {} stays in front of {program}: it does not exec", script.path);
            Finding::new(what, why, fix(script.is_last, String::new()))
        };
        findings.push(found.at(Some(FileLine { file: script.path.clone(), line: script.line })));
    }
    findings
}

pub(crate) fn npm(facts: &Facts) -> Vec<Finding> {
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
    vec![found.at(body.map(|_| FileLine { file: "package.json".to_owned(), line: 0 }))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::facts::command::AppCommand;
    use crate::doctor::finding::Severity;

    fn facts(words: &[&str], files: &[(&str, &str)]) -> Facts {
        let text_of = |path: &str| files.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned());
        let command = AppCommand::new(words.iter().map(|word| (*word).to_owned()).collect(), text_of);
        Facts { command, ..Facts::default() }
    }

    #[test]
    fn a_shell_that_stays_is_a_finding_and_one_that_may_not_is_a_note() {
        let found = shell_without_exec(&facts(&["sh", "-c", "migrate; java -jar app.jar"], &[]));
        assert_eq!((found.len(), found[0].severity), (1, Severity::Finding));
        assert!(found[0].fix.contains("exec java"), "{found:?}");
        let found = shell_without_exec(&facts(&["/bin/sh", "-c", "gunicorn app"], &[]));
        assert_eq!(found[0].severity, Severity::Note);
        assert_eq!(shell_without_exec(&facts(&["sh", "-c", "a; exec b"], &[])), []);
    }

    #[test]
    fn the_server_and_not_the_echo_after_it_is_to_be_execed() {
        let found = shell_without_exec(&facts(&["bash", "-c", "celery -A app worker; echo done"], &[]));
        assert!(found[0].fix.contains("make celery the last command"), "{found:?}");
        assert!(!found[0].fix.contains("echo"), "{found:?}");
    }

    #[test]
    fn a_script_without_exec_is_named_with_the_line_of_the_server() {
        let at = |words: &[&str], text: &str| {
            let found = shell_without_exec(&facts(words, &[(words[0], text)]));
            found.first().and_then(|found| found.at.clone()).map(|at| at.line)
        };
        assert_eq!(at(&["/entrypoint.sh", "server"], "#!/bin/sh\n# exec comes later\n\"$@\"\n"), Some(3));
        assert_eq!(at(&["/start.sh"], "#!/bin/sh\nset -e\ngunicorn app\n"), Some(3));
        assert_eq!(at(&["/start.sh"], "#!/bin/sh\nexec gunicorn app\n"), None);
        assert_eq!(at(&["/entrypoint.sh", "server"], "#!/bin/sh\nexec \"$@\"\n"), None);
        let apache = shell_without_exec(&facts(
            &["apache2ctl", "-DFOREGROUND"],
            &[("apache2ctl", "#!/bin/sh\n$HTTPD \"$@\"\n")],
        ));
        assert!(apache[0].fix.contains("exec apache2 -DFOREGROUND"), "{apache:?}");
    }

    #[test]
    fn npm_is_replaced_by_the_command_of_its_script() {
        let mut npm_start = facts(&["npm", "start"], &[]);
        npm_start.command.package_json =
            Some(r#"{"scripts": {"start": "node --enable-source-maps dist/main.js"}}"#.to_owned());
        let found = npm(&npm_start);
        assert!(found[0].fix.contains(r#"["node", "--enable-source-maps", "dist/main.js"]"#), "{found:?}");
        assert_eq!(npm(&facts(&["yarn", "web"], &[])).len(), 1);
        assert_eq!(npm(&facts(&["node", "server.js"], &[])), []);
    }

    #[test]
    fn a_program_that_does_not_exist_is_a_finding() {
        let missing_programs = vec![("the app".to_owned(), "ngnix".to_owned())];
        assert_eq!(program_missing(&Facts { missing_programs, ..Facts::default() }).len(), 1);
        assert_eq!(program_missing(&Facts::default()), []);
    }
}

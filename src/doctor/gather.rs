//! Reads everything that the checks examine. Files are read up to a bound, and programs run within a time limit
//! (`tool`). A fact that cannot be examined is recorded, not guessed.

mod container;
mod servers;
mod text;
mod tool;

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

pub(crate) use self::text::first_process;
use self::text::{read, read_script};
use super::facts::Facts;
use super::facts::command::AppCommand;
use super::facts::config_text::ConfigFile;
use crate::process::inherited::Inherited;
use bookend_config::Effective;
use bookend_config::profiles::of_program;
use bookend_config::settings::{Handler, HandlerKind, Settings};
use bookend_lifecycle::signal::Signal;

/// Gathers the facts.
pub(crate) fn facts(effective: &Effective, image_stop_signal: Option<Signal>, inherited: &Inherited) -> Facts {
    let mut effective = effective.clone();
    let program = &effective.settings.app.program;
    let dir = program.working_dir.clone().unwrap_or_else(|| PathBuf::from("."));
    let given = program.command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let mut command = AppCommand::new(given, |program| find_script(&dir, program).and_then(read_script));
    if matches!(command.program(), "npm" | "npx" | "yarn" | "pnpm") {
        command.package_json = read(dir.join("package.json"));
    }
    choose_profile(&mut effective, &command);
    let (settings, budget) = (&effective.settings, effective.budget());
    let signal_by = budget.stages.iter().find(|stage| stage.stage == "stop").and_then(|stage| stage.begins_by);
    let kill = budget.deadlines.map(|deadlines| deadlines.kill);
    let mut gatherer = Gatherer { dir, command, inherited, not_examined: Vec::new() };
    if gatherer.command.given.is_empty() {
        gatherer.not_examined.push("the app: no command is configured or given after --".to_owned());
    }
    Facts {
        budget_warnings: budget.warnings,
        time_for_app: kill.zip(signal_by).map(|(kill, signal)| kill.saturating_sub(signal)),
        missing_programs: gatherer.missing_programs(settings),
        image_stop_signal,
        nginx: gatherer.nginx(),
        php_fpm: gatherer.php_fpm(),
        gunicorn: gatherer.gunicorn(),
        uwsgi: gatherer.uwsgi(),
        apache: gatherer.apache(),
        server_files: gatherer.server_files(),
        container: container::facts(settings),
        settings: settings.clone(),
        command: gatherer.command,
        not_examined: gatherer.not_examined,
    }
}

/// With `app.profile = "auto"`, the profile that the running app will choose. A shell in front of the server is the app.
fn choose_profile(effective: &mut Effective, command: &AppCommand) {
    let program = if command.shell.is_none() && command.script.is_none() { command.program() } else { "" };
    if let Some((auto, name)) = effective.auto.as_mut().zip(of_program(program)) {
        effective.settings.adopt(auto.choose(name));
    }
}

/// The paths and names by which it reads about the app.
struct Gatherer<'a> {
    /// The working directory of the app.
    dir: PathBuf,
    command: AppCommand,
    inherited: &'a Inherited,
    not_examined: Vec<String>,
}

impl Gatherer<'_> {
    fn file(&self, path: &str) -> Option<ConfigFile> {
        Some(ConfigFile { path: path.to_owned(), text: read(self.dir.join(path))? })
    }

    /// A file that the command line names. If it cannot be read, the report says so.
    fn named_file(&mut self, server: &str, path: &str) -> Option<ConfigFile> {
        let file = self.file(path);
        if file.is_none() {
            self.not_examined.push(format!("the configuration file {path} of {server}: it cannot be read"));
        }
        file
    }

    /// Runs a program and returns its output. If it does not succeed, the report says why.
    fn output(&mut self, program: &str, args: &[String]) -> Option<String> {
        let printed = match tool::run(self.inherited, program, args) {
            Ok(printed) if printed.success => return Some(printed.out + &printed.err),
            Ok(printed) => printed,
            Err(error) => {
                self.not_examined.push(error);
                return None;
            }
        };
        let last = printed.err.lines().chain(printed.out.lines()).rfind(|line| !line.trim().is_empty());
        self.not_examined.push(format!("`{program} {}` failed: {}", args.join(" "), last.unwrap_or("no message")));
        None
    }

    fn missing_programs(&self, settings: &Settings) -> Vec<(String, String)> {
        let command = &self.command;
        // A name from a shell text may be a builtin or a function.
        let server = command.server.first().filter(|_| !command.is_from_text);
        let app = [command.given.first(), server].into_iter().flatten();
        let mut named: Vec<(String, String)> = app.map(|program| ("the app".to_owned(), program.clone())).collect();
        named.dedup();
        let exec = |handler: &Handler| match &handler.kind {
            HandlerKind::Exec(program) => {
                let name = program.command.first()?.to_string_lossy().into_owned();
                Some((format!("the handler {}", handler.name), name))
            }
            _ => None,
        };
        named.extend(settings.handlers().filter_map(exec));
        // `sh script`, `python main.py`: it need not be executable.
        let is_script = |program: &str| {
            command.given.first().is_some_and(|first| first != program) && find_script(&self.dir, program).is_some()
        };
        // `$(VAR)` is expanded later.
        named.retain(|(_, program)| {
            !program.is_empty()
                && !program.contains('$')
                && find_program(&self.dir, program).is_none()
                && !is_script(program)
        });
        named
    }
}

/// The path of a program: as named, or in PATH.
fn find_program(dir: &Path, name: &str) -> Option<PathBuf> {
    let is_program =
        |path: &PathBuf| fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
    if name.contains('/') {
        return Some(dir.join(name)).filter(is_program);
    }
    let path = env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/bin:/usr/bin".into());
    env::split_paths(&path).map(|folder| folder.join(name)).find(is_program)
}

/// The path of a program, or of a file that a shell or another interpreter can run. Such a file need not be executable
/// or in PATH.
fn find_script(dir: &Path, name: &str) -> Option<PathBuf> {
    let script = || Some(dir.join(name)).filter(|path| path.is_file());
    find_program(dir, name).or_else(script)
}

//! Prepares a program of the configuration for its start: expands its command and environment, reads secrets from their
//! files, and looks up its user. It starts nothing.
//!
//! An environment has layers; a later one overrides an earlier one:
//!
//! | layer                                          | for                                   |
//! | ---------------------------------------------- | ------------------------------------- |
//! | the environment of bookend                     | the app and all handlers              |
//! | HOME, USER, LOGNAME of the program's `user`    | a program with a `user`               |
//! | `app.env`                                      | the app and all handlers              |
//! | variables set by preStart handlers             | the app and later handlers            |
//! | `BOOKEND_...`, and `TRACEPARENT` in a trace    | all handlers                          |
//! | `exec.env`                                     | that handler                          |

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::detached::DetachedError;
use crate::files::read_small;
use crate::process::setup::{ChildLimit, ChildSetup, resource};
use crate::process::spawn_error::{SpawnError, c_string};
use crate::process::user::{self, AccountId, Identity, UnknownId};
use bookend_config::expand::expand;
use bookend_config::settings::{AppSettings, CommandFrom, Id, Program, ResourceLimit, ValueSource};

/// Variables, in any order.
pub(crate) type Variables = Vec<(OsString, OsString)>;

/// Why a program of the configuration was not started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramError {
    /// `valueFrom.file` cannot be read.
    #[error("{key}: cannot read {}", path.display())]
    File {
        key: String,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// /etc/passwd or /etc/group has no such entry.
    #[error("{key}")]
    User { key: String, source: UnknownId },
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// A volume hangs, or there is no thread to read it.
    #[error("cannot read the files that the app needs (app.env, app.user)")]
    Files(#[from] DetachedError),
}

/// The app before it is spawned, and the variables that it is given in addition to those that bookend was started with.
pub(crate) type PreparedApp = Result<(Prepared, Variables), ProgramError>;

/// The environment of a program.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    /// The environment of bookend.
    inherited: Variables,
    /// Variables that were set since; they override the inherited ones.
    set: Variables,
    /// The context of the span of the handler whose environment this is.
    #[cfg(feature = "otel")]
    pub(crate) traceparent: Option<String>,
}

impl Environment {
    /// The environment of bookend, with these variables set.
    pub(crate) fn with(set: Variables) -> Environment {
        Environment {
            inherited: std::env::vars_os().collect(),
            set,
            #[cfg(feature = "otel")]
            traceparent: None,
        }
    }

    /// Sets a variable.
    pub(crate) fn set(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        set(&mut self.set, name.into(), value.into());
    }

    /// The value of a variable.
    pub(crate) fn get(&self, name: &OsStr) -> Option<&OsStr> {
        find(&self.set, name).or_else(|| find(&self.inherited, name))
    }

    /// Expands every `$(VAR)` of this environment in a text.
    pub(crate) fn expand(&self, text: &OsStr) -> OsString {
        self.expand_as(text, <[u8]>::to_vec)
    }

    /// The same with each value in another form.
    pub(crate) fn expand_as(&self, text: &OsStr, form: fn(&[u8]) -> Vec<u8>) -> OsString {
        let value = |name: &[u8]| self.get(OsStr::from_bytes(name)).map(|value| form(value.as_bytes()));
        OsString::from_vec(expand(text.as_bytes(), value))
    }

    /// Sets HOME, USER and LOGNAME to those of the user, unless they are configured.
    fn become_user(&mut self, identity: &Identity) {
        set(&mut self.inherited, "HOME".into(), identity.home.clone());
        for variable in ["USER", "LOGNAME"] {
            match &identity.name {
                Some(name) => set(&mut self.inherited, variable.into(), name.clone()),
                None => self.inherited.retain(|(name, _)| name != variable),
            }
        }
    }

    /// Adds the `env` of a table. Each value may refer to variables before it. Names in `kept` are left alone.
    fn add(
        &mut self,
        env: &[(String, ValueSource)],
        table: &str,
        kept: &[(OsString, OsString)],
    ) -> Result<(), ProgramError> {
        for (name, source) in env {
            if find(kept, OsStr::new(name)).is_none() {
                let value = self.value(source, || format!("{table}.env.{name}"))?;
                self.set(name, value);
            }
        }
        Ok(())
    }

    /// Reads a value from its file, or expands it. `key` is for the error.
    pub(crate) fn value(&self, source: &ValueSource, key: impl FnOnce() -> String) -> Result<OsString, ProgramError> {
        match source {
            ValueSource::Plain(text) => Ok(self.expand(OsStr::new(text))),
            ValueSource::File(file) => {
                let (path, prefix) = file.parts();
                match read_value(path.as_ref()) {
                    Ok(value) => Ok(prefixed(prefix, value)),
                    Err(source) => Err(ProgramError::File { key: key(), path: path.into(), source }),
                }
            }
        }
    }

    /// All variables, each name once.
    fn into_variables(self) -> Variables {
        let Environment { inherited, set, .. } = self;
        let mut all: Variables = inherited.into_iter().filter(|(name, _)| find(&set, name).is_none()).collect();
        all.extend(set);
        all
    }
}

/// The variables of `app.env` and of preStart handlers (`set`); the latter override the former.
pub(crate) fn container_variables(app: &AppSettings, set: &[(OsString, OsString)]) -> Result<Variables, ProgramError> {
    variables_of(&app.program.env, set)
}

fn variables_of(env: &[(String, ValueSource)], set: &[(OsString, OsString)]) -> Result<Variables, ProgramError> {
    if env.is_empty() {
        // The usual case: our own environment is not copied.
        return Ok(set.to_vec());
    }
    let mut environment = Environment::with(set.to_vec());
    environment.add(env, "app", set)?;
    Ok(environment.set)
}

/// The environment of a handler or a probe, before the files that it needs are read.
#[derive(Debug)]
pub(crate) struct PendingEnvironment {
    /// `app.env`, if it is not in `set` already.
    pub(crate) app: Vec<(String, ValueSource)>,
    /// The variables of the container so far.
    pub(crate) set: Variables,
    /// `BOOKEND_...`
    pub(crate) own: Variables,
    /// The context of the handler's span.
    #[cfg(feature = "otel")]
    pub(crate) traceparent: Option<String>,
}

impl PendingEnvironment {
    pub(crate) fn new(app: Vec<(String, ValueSource)>, set: Variables, own: Variables) -> PendingEnvironment {
        PendingEnvironment {
            app,
            set,
            own,
            #[cfg(feature = "otel")]
            traceparent: None,
        }
    }

    pub(crate) fn reads_files(&self) -> bool {
        any_file(&self.app)
    }

    /// Reads the files. A volume may hang: must not be called in the loop if there are any.
    pub(crate) fn read(self) -> Result<Environment, ProgramError> {
        let mut environment = Environment::with(variables_of(&self.app, &self.set)?);
        for (name, value) in self.own {
            environment.set(name, value);
        }
        #[cfg(feature = "otel")]
        if let Some(context) = self.traceparent {
            environment.set("TRACEPARENT", context.as_str());
            environment.traceparent = Some(context);
        }
        Ok(environment)
    }
}

/// Whether files are read to prepare a program: values from files, /etc/passwd and /etc/group.
pub(crate) fn reads_files(program: &Program) -> bool {
    program.user.is_some() || any_file(&program.env)
}

fn any_file(env: &[(String, ValueSource)]) -> bool {
    env.iter().any(|(_, source)| matches!(source, ValueSource::File(..)))
}

/// A program that is ready to be spawned.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) command: Vec<OsString>,
    /// `None`: the environment of bookend, byte for byte.
    pub(crate) env: Option<Variables>,
    pub(crate) setup: Arc<ChildSetup>,
}

/// Prepares the app. `variables` are those of [`container_variables`].
pub(crate) fn prepare_app(app: &AppSettings, variables: &[(OsString, OsString)]) -> Result<Prepared, ProgramError> {
    let limit = |(name, limit): (&String, &ResourceLimit)| {
        Some(ChildLimit { name: name.clone(), resource: resource(name)?, soft: limit.soft, hard: limit.hard })
    };
    let setup = Arc::new(ChildSetup {
        umask: app.umask,
        limits: app.rlimits.iter().filter_map(limit).collect(),
        oom_score_adj: app.oom_score_adj.and_then(|score| CString::new(score.to_string()).ok()),
        ..set_up(&app.program, "app")?
    });
    let is_plain = variables.is_empty() && setup.identity.is_none();
    if is_plain && app.command_from == CommandFrom::CommandLine {
        // The usual case: nothing is copied.
        return Ok(Prepared { command: app.program.command.clone(), env: None, setup });
    }
    let mut environment = Environment::with(variables.to_vec());
    if let Some(identity) = &setup.identity {
        environment.become_user(identity);
    }
    let command = match app.command_from {
        CommandFrom::CommandLine => app.program.command.clone(),
        CommandFrom::Configuration => app.program.command.iter().map(|word| environment.expand(word)).collect(),
    };
    Ok(Prepared { command, env: (!is_plain).then(|| environment.into_variables()), setup })
}

/// Prepares a handler's program. `environment` does not contain its own `env` yet.
pub(crate) fn prepare_exec(program: &Program, mut environment: Environment) -> Result<Prepared, ProgramError> {
    let setup = set_up(program, "exec")?;
    if let Some(identity) = &setup.identity {
        environment.become_user(identity);
    }
    environment.add(&program.env, "exec", &[])?;
    let command = program.command.iter().map(|word| environment.expand(word)).collect();
    Ok(Prepared { command, env: Some(environment.into_variables()), setup: Arc::new(setup) })
}

fn set_up(program: &Program, table: &'static str) -> Result<ChildSetup, ProgramError> {
    let identity = match &program.user {
        Some(user) => Some(
            user::look_up(account_id(&user.user), user.group.as_ref().map(account_id), nix::unistd::getegid().as_raw())
                .map_err(|source| ProgramError::User { key: format!("{table}.user"), source })?,
        ),
        None => None,
    };
    let working_dir = program.working_dir.as_deref().map(|path| c_string(path.as_os_str())).transpose()?;
    Ok(ChildSetup { table, identity, working_dir, ..ChildSetup::default() })
}

fn account_id(id: &Id) -> AccountId<'_> {
    match id {
        Id::Name(name) => AccountId::Name(name),
        Id::Number(number) => AccountId::Number(*number),
    }
}

fn find<'a>(variables: &'a [(OsString, OsString)], name: &OsStr) -> Option<&'a OsStr> {
    variables.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_os_str())
}

/// Sets a variable, or replaces its value.
pub(crate) fn set(variables: &mut Variables, name: OsString, value: OsString) {
    match variables.iter_mut().find(|(known, _)| *known == name) {
        Some((_, old)) => *old = value,
        None => variables.push((name, value)),
    }
}

/// Reads a file without the line break at its end, which editors and `echo` add and which does not belong to a secret.
pub(crate) fn read_value(path: &Path) -> io::Result<OsString> {
    let mut bytes = read_small(path, MAX_VALUE)?;
    if bytes.contains(&0) {
        return Err(io::Error::other("it contains a NUL byte, which is illegal in a variable"));
    }
    if bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    Ok(OsString::from_vec(bytes))
}

/// The value of a file, after `valueFrom.prefix`.
pub(crate) fn prefixed(prefix: &str, value: OsString) -> OsString {
    let mut all = OsString::from(prefix);
    all.push(value);
    all
}

/// execve(2) allows 128 KiB for a string; half of it is enough for a value.
const MAX_VALUE: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use bookend_config::settings::RLIMITS;

    fn plain(name: &str, value: &str) -> (String, ValueSource) {
        (name.to_owned(), ValueSource::Plain(value.to_owned()))
    }

    fn app(env: Vec<(String, ValueSource)>) -> AppSettings {
        AppSettings { program: Program { env, ..Program::default() }, ..AppSettings::default() }
    }

    #[test]
    fn a_value_may_refer_to_earlier_variables_only() {
        let app = app(vec![plain("A", "1$(B)"), plain("B", "2$(A)"), plain("A", "$(B)3")]);
        let variables = container_variables(&app, &[]).unwrap();
        assert_eq!(find(&variables, OsStr::new("B")), Some(OsStr::new("21$(B)")));
        assert_eq!(find(&variables, OsStr::new("A")), Some(OsStr::new("21$(B)3")));
    }

    #[test]
    fn pre_start_variables_override_app_env() {
        let set = vec![("HOST".into(), "db".into()), ("B".into(), "set".into())];
        let app = app(vec![plain("DSN", "sql://$(HOST)"), plain("B", "configured"), plain("C", "$(B)")]);
        let variables = container_variables(&app, &set).unwrap();
        for (name, value) in [("DSN", "sql://db"), ("B", "set"), ("C", "set"), ("HOST", "db")] {
            assert_eq!(find(&variables, OsStr::new(name)), Some(OsStr::new(value)), "{name}");
        }
    }

    #[test]
    fn a_configured_home_overrides_the_users() {
        let mut environment = Environment::with(vec![("HOME".into(), "/home/configured".into())]);
        let identity =
            Identity { uid: 1, gid: 1, groups: vec![1], name: Some("daemon".into()), home: "/usr/sbin".into() };
        environment.become_user(&identity);
        assert_eq!(environment.get(OsStr::new("HOME")), Some(OsStr::new("/home/configured")));
        assert_eq!(environment.get(OsStr::new("USER")), Some(OsStr::new("daemon")));
        environment.become_user(&Identity { name: None, ..identity });
        assert_eq!(environment.get(OsStr::new("USER")), None);
    }

    #[test]
    fn every_configurable_limit_has_a_resource_number_of_its_own() {
        let mut numbers: Vec<_> = RLIMITS.iter().map(|name| resource(name).expect(name)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), RLIMITS.len());
    }

    #[test]
    fn no_variable_occurs_twice() {
        let mut environment = Environment::with(vec![("PATH".into(), "/a".into())]);
        environment.set("PATH", "/b");
        let names: Vec<OsString> = environment.into_variables().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.iter().filter(|name| *name == "PATH").count(), 1);
    }

    #[test]
    fn a_value_file_is_read_without_its_last_line_break() {
        let path = std::env::temp_dir().join(format!("bookend-value-{}", std::process::id()));
        for (content, value) in
            [("s3cret\n", "s3cret"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("", ""), (" $(A) ", " $(A) ")]
        {
            std::fs::write(&path, content).unwrap();
            assert_eq!(read_value(&path).unwrap(), value);
        }
        for content in [vec![b'x'; 65537], b"a\0b".to_vec()] {
            std::fs::write(&path, content).unwrap();
            read_value(&path).unwrap_err();
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read_value(Path::new("/dev/zero")).unwrap_err().to_string(), "not a regular file");
        assert_eq!(read_value(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}

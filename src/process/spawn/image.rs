//! The arguments of execve(2): paths, words and environment. They are made before the clone, because the child must not allocate.

use std::cell::Cell;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::ptr;

use crate::process::activation::{self, ListenPid};
use crate::process::spawn_error::{SpawnError, c_string};

/// The environment of a child.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ChildEnv<'a> {
    /// The environment that we were started with, byte for byte.
    Inherited,
    /// These variables and no others.
    Only(&'a [(OsString, OsString)]),
}

/// The user of the sockets that systemd's socket activation passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ActivationSockets {
    /// The child: a `LISTEN_PID` that names us is changed to name the child (sd_listen_fds(3)).
    ForChild,
    /// A process other than this child.
    NotForChild,
}

/// A program, ready to be executed.
pub(super) struct Image {
    /// The paths to try, in order.
    pub(super) candidates: Vec<CString>,
    /// Owns what `argv` and `shell_argv` point to.
    _args: Vec<CString>,
    pub(super) argv: Vec<*const libc::c_char>,
    /// `/bin/sh`, a place for the script's path, the arguments: for a script without `#!`.
    pub(super) shell_argv: Vec<Cell<*const libc::c_char>>,
    /// Owns what `own_envp` points to.
    _own_env: Option<Vec<CString>>,
    pub(super) own_envp: Option<Vec<*const libc::c_char>>,
    pub(super) listen_pid: Option<ListenPid>,
}

impl Image {
    pub(super) fn prepare(
        command: &[OsString],
        env: ChildEnv<'_>,
        sockets: ActivationSockets,
    ) -> Result<Image, SpawnError> {
        let program = command.first().map_or(OsStr::new(""), OsString::as_os_str);
        let args = command.iter().map(|arg| c_string(arg)).collect::<Result<Vec<_>, _>>()?;
        let activated = sockets == ActivationSockets::ForChild && activation::names_us();
        let own_env = match env {
            ChildEnv::Inherited if !activated => None,
            ChildEnv::Inherited => Some(std::env::vars_os().map(|(key, value)| variable(&key, &value)).collect()),
            ChildEnv::Only(env) => Some(env.iter().map(|(key, value)| variable(key, value)).collect()),
        };
        let own_env: Option<Vec<CString>> = own_env.transpose()?;
        let mut own_envp = own_env.as_deref().map(pointers);
        let listen_pid = activated.then(ListenPid::new);
        if let (Some(listen_pid), Some(env), Some(envp)) = (&listen_pid, &own_env, &mut own_envp) {
            activation::correct(env, envp, listen_pid);
        }
        let argv = pointers(&args);
        let script_args = argv.iter().skip(1).copied().chain([ptr::null()]);
        let shell_argv = [SHELL.as_ptr(), ptr::null()].into_iter().chain(script_args).map(Cell::new).collect();
        let candidates = candidates(program, env)?;
        Ok(Image { candidates, _args: args, argv, shell_argv, _own_env: own_env, own_envp, listen_pid })
    }
}

/// The paths to try: the program itself if it has a slash, else in each directory of `PATH`.
fn candidates(program: &OsStr, env: ChildEnv<'_>) -> Result<Vec<CString>, SpawnError> {
    if program.as_bytes().contains(&b'/') {
        return Ok(vec![c_string(program)?]);
    }
    if program.is_empty() {
        // ENOENT, as with execvp(3).
        return Ok(Vec::new());
    }
    let path = match env {
        ChildEnv::Inherited => std::env::var_os("PATH"),
        ChildEnv::Only(env) => env.iter().rev().find(|(key, _)| key == "PATH").map(|(_, value)| value.clone()),
    };
    path.as_deref()
        .unwrap_or(OsStr::new(DEFAULT_PATH))
        .as_bytes()
        .split(|byte| *byte == b':')
        .map(|dir| {
            let dir = if dir.is_empty() { b".".as_slice() } else { dir };
            c_string(OsStr::from_bytes(&[dir, b"/", program.as_bytes()].concat()))
        })
        .collect()
}

fn variable(key: &OsStr, value: &OsStr) -> Result<CString, SpawnError> {
    // The value stays out of the error: it may be a secret.
    CString::new([key.as_bytes(), b"=", value.as_bytes()].concat()).map_err(|_| SpawnError::Nul(key.to_owned()))
}

/// A null-terminated array as execve(2) takes it.
fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

/// The shell that runs a script without `#!`, as execvp(3) has it.
pub(super) const SHELL: &CStr = c"/bin/sh";
/// The search path without a `PATH`: containerd and docker set the same.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

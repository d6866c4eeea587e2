//! The changes that a child makes to itself between clone and exec: user, working directory, umask, limits; and the error of each
//! change, named by its configuration key.

#![expect(unsafe_code, reason = "system calls between clone and exec, raw because the C library's act on all threads")]

use std::ffi::CString;
use std::io;

use super::spawn_error::SpawnError;
use super::sys::errno;
use super::user::Identity;

/// The changes that a child makes to itself before it executes its program; the default changes nothing.
#[derive(Debug, Default)]
pub(crate) struct ChildSetup {
    /// The configuration's table, for errors: `app`, `exec`.
    pub(crate) table: &'static str,
    /// `user`.
    pub(crate) identity: Option<Identity>,
    /// `workingDir`.
    pub(crate) working_dir: Option<CString>,
    /// `umask`.
    pub(crate) umask: Option<libc::mode_t>,
    /// `rlimits`.
    pub(crate) limits: Vec<ChildLimit>,
    /// `oomScoreAdj`, as the kernel reads it.
    pub(crate) oom_score_adj: Option<CString>,
}

/// A limit of setrlimit(2). `None` keeps that half as it is.
#[derive(Debug, Clone)]
pub(crate) struct ChildLimit {
    /// The key below `rlimits`.
    pub(crate) name: String,
    /// `RLIMIT_...`, see [`resource`].
    pub(crate) resource: libc::c_long,
    pub(crate) soft: Option<u64>,
    pub(crate) hard: Option<u64>,
}

/// The step that failed between clone and exec, as a number that fits through the pipe to the parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum ChildStep {
    Exec = 0,
    OomScoreAdj,
    User,
    WorkingDir,
    Umask,
    ParentDeath,
    /// The first of `limits`; those after it follow.
    Limit,
}

impl ChildSetup {
    /// The error of a step other than `Exec`, with the key that asked for it.
    pub(super) fn error(&self, step: i32, source: io::Error) -> SpawnError {
        let shown = |text: &Option<CString>| text.as_deref().unwrap_or_default().to_string_lossy().into_owned();
        let limit = usize::try_from(step - ChildStep::Limit as i32).ok().and_then(|index| self.limits.get(index));
        let (key, what) = match limit {
            Some(limit) => (format!("rlimits.{}", limit.name), "cannot set the limit".to_owned()),
            None if step == ChildStep::User as i32 => {
                let identity = self.identity.as_ref().map(ToString::to_string).unwrap_or_default();
                ("user".to_owned(), format!("cannot become {identity}"))
            }
            None if step == ChildStep::OomScoreAdj as i32 => {
                let score = shown(&self.oom_score_adj);
                ("oomScoreAdj".to_owned(), format!("cannot write {score} to /proc/self/oom_score_adj"))
            }
            None if step == ChildStep::Umask as i32 => ("umask".to_owned(), "cannot set the mask".to_owned()),
            None if step == ChildStep::ParentDeath as i32 => {
                ("pdeathSignal".to_owned(), "cannot ask the kernel for the signal".to_owned())
            }
            None => ("workingDir".to_owned(), format!("cannot enter {}", shown(&self.working_dir))),
        };
        SpawnError::SetUp { key: format!("{}.{key}", self.table), what, source }
    }

    /// Applies everything. The error is the step that failed, and the errno.
    ///
    /// # Safety
    /// Called in the child between clone and exec: it makes only async-signal-safe calls (signal-safety(7)).
    pub(super) unsafe fn apply(&self) -> Result<(), (i32, i32)> {
        // The order follows from what each step needs: limits and the OOM score need privileges, and the directory
        // is entered as the user who works there.
        if let Some(score) = &self.oom_score_adj {
            // SAFETY: we are between clone and exec.
            unsafe { set_oom_score_adj(score) }.map_err(|error| (ChildStep::OomScoreAdj as i32, error))?;
        }
        for (step, limit) in (ChildStep::Limit as i32..).zip(&self.limits) {
            // SAFETY: we are between clone and exec.
            unsafe { set_limit(limit) }.map_err(|error| (step, error))?;
        }
        if let Some(identity) = &self.identity {
            // SAFETY: we are between clone and exec.
            unsafe { become_user(identity) }.map_err(|error| (ChildStep::User as i32, error))?;
        }
        if let Some(dir) = &self.working_dir {
            // SAFETY: a live NUL-terminated string.
            let result = unsafe { libc::chdir(dir.as_ptr()) };
            if result < 0 {
                return Err((ChildStep::WorkingDir as i32, errno()));
            }
        }
        if let Some(mask) = self.umask {
            // SAFETY: umask(2) takes an integer.
            let before = unsafe { libc::umask(mask) };
            // A seccomp profile refuses it.
            if before > 0o777 {
                return Err((ChildStep::Umask as i32, errno()));
            }
        }
        Ok(())
    }
}

/// Sets one limit. The raw call, since glibc's setrlimit(3) changes the largest values.
///
/// # Safety
/// Called in the child between clone and exec.
unsafe fn set_limit(limit: &ChildLimit) -> Result<(), i32> {
    let mut now = [0u64; 2];
    let null = std::ptr::null::<u64>();
    // SAFETY: pid 0 means this process; null asks for no change; `now` is a live rlimit64, two u64 (prlimit(2)).
    if unsafe { libc::syscall(libc::SYS_prlimit64, 0, limit.resource, null, now.as_mut_ptr()) } < 0 {
        return Err(errno());
    }
    let [soft, hard] = now;
    let hard = limit.hard.unwrap_or(hard);
    let wanted = [limit.soft.unwrap_or(soft.min(hard)), hard];
    // SAFETY: pid 0 means this process; `wanted` is a live rlimit64, and null asks for no old value.
    if unsafe { libc::syscall(libc::SYS_prlimit64, 0, limit.resource, wanted.as_ptr(), null) } < 0 {
        return Err(errno());
    }
    Ok(())
}

/// Writes the child's own oom_score_adj.
///
/// # Safety
/// Called in the child between clone and exec.
unsafe fn set_oom_score_adj(score: &CString) -> Result<(), i32> {
    // SAFETY: a NUL-terminated string and integers.
    let file = unsafe { libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC) };
    if file < 0 {
        return Err(errno());
    }
    // SAFETY: `file` is open, and `score` is live and has that many bytes.
    let written = unsafe { libc::write(file, score.as_ptr().cast(), score.as_bytes().len()) };
    let error = errno();
    // SAFETY: `file` was opened above, and nothing else uses it.
    unsafe { libc::close(file) };
    if written < 0 { Err(error) } else { Ok(()) }
}

/// Becomes another user, for good. The raw calls: the C library's change all threads of the process, with signals and
/// locks that do not work in the child of a clone. Groups first, since an ordinary user may not change them.
///
/// # Safety
/// Called in the child between clone and exec.
unsafe fn become_user(identity: &Identity) -> Result<(), i32> {
    let (uid, gid, groups) = (identity.uid, identity.gid, &identity.groups);
    // SAFETY: both calls take nothing and cannot fail.
    let (own_uid, own_gid) = unsafe { (libc::syscall(libc::SYS_geteuid), libc::syscall(libc::SYS_getegid)) };
    if uid != 0 && own_uid == libc::c_long::from(uid) && own_gid == libc::c_long::from(gid) {
        // The runtime has made us this user already: without privileges nothing else could be done.
        return Ok(());
    }
    // SAFETY: the pointer is to a live array of as many gids as its length says.
    if unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) } < 0 {
        return Err(errno());
    }
    // SAFETY: setresgid(2) takes three integers.
    if unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) } < 0 {
        return Err(errno());
    }
    // SAFETY: setresuid(2) takes three integers.
    if unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) } < 0 {
        return Err(errno());
    }
    Ok(())
}

/// The number of a resource by its name in `rlimits`; `None`: there is no such limit.
pub(crate) fn resource(name: &str) -> Option<libc::c_long> {
    Some(libc::c_long::from(match name {
        "as" => libc::RLIMIT_AS,
        "core" => libc::RLIMIT_CORE,
        "cpu" => libc::RLIMIT_CPU,
        "data" => libc::RLIMIT_DATA,
        "fsize" => libc::RLIMIT_FSIZE,
        "locks" => libc::RLIMIT_LOCKS,
        "memlock" => libc::RLIMIT_MEMLOCK,
        "msgqueue" => libc::RLIMIT_MSGQUEUE,
        "nice" => libc::RLIMIT_NICE,
        "nofile" => libc::RLIMIT_NOFILE,
        "nproc" => libc::RLIMIT_NPROC,
        "rss" => libc::RLIMIT_RSS,
        "rtprio" => libc::RLIMIT_RTPRIO,
        "rttime" => libc::RLIMIT_RTTIME,
        "sigpending" => libc::RLIMIT_SIGPENDING,
        "stack" => libc::RLIMIT_STACK,
        _ => return None,
    }))
}

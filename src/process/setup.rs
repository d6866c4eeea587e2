//! What a child changes of itself: the keys of a program that the kernel has to carry out between clone and exec,
//! and the error of each, named by its key.

#![expect(unsafe_code, reason = "system calls between clone and exec, raw where the C library speaks to all threads")]

use std::ffi::CString;
use std::io;

use super::spawn::SpawnError;
use super::user::Identity;
use bookend_config::settings::ResourceLimit;

/// What a child changes of itself before it executes its program; the default changes nothing.
#[derive(Debug, Default)]
pub(crate) struct Setup {
    /// The configuration's table, for errors: `app`, `exec`.
    pub(crate) table: &'static str,
    /// `user`.
    pub(crate) identity: Option<Identity>,
    /// `workingDir`.
    pub(crate) working_dir: Option<CString>,
    /// `umask`.
    pub(crate) umask: Option<libc::mode_t>,
    /// `rlimits`: their names, numbers and values.
    pub(crate) rlimits: Vec<(String, libc::c_long, ResourceLimit)>,
    /// `oomScoreAdj`, as the kernel reads it.
    pub(crate) oom_score_adj: Option<CString>,
}

/// A step of a child's set-up that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Step {
    Exec = 0,
    OomScoreAdj,
    User,
    WorkingDir,
    /// The first of `rlimits`; those after it follow.
    Rlimit,
}

impl Setup {
    /// The error of a step, with the key that asked for it.
    pub(super) fn error(&self, step: i32, source: io::Error) -> SpawnError {
        let shown = |text: &Option<CString>| text.as_deref().unwrap_or_default().to_string_lossy().into_owned();
        let limit = usize::try_from(step - Step::Rlimit as i32).ok().and_then(|index| self.rlimits.get(index));
        let (key, what) = match limit {
            Some((name, _, _)) => (format!("rlimits.{name}"), "cannot set the limit".to_owned()),
            None if step == Step::User as i32 => {
                let who = self.identity.as_ref().map(ToString::to_string).unwrap_or_default();
                ("user".to_owned(), format!("cannot become {who}"))
            }
            None if step == Step::OomScoreAdj as i32 => {
                let score = shown(&self.oom_score_adj);
                ("oomScoreAdj".to_owned(), format!("cannot write {score} to /proc/self/oom_score_adj"))
            }
            None => ("workingDir".to_owned(), format!("cannot enter {}", shown(&self.working_dir))),
        };
        SpawnError::SetUp { key: format!("{}.{key}", self.table), what, source }
    }

    /// Carries it out. The step that failed, and why.
    ///
    /// # Safety
    /// Called in the child between clone and exec: system calls only (signal-safety(7)).
    pub(super) unsafe fn apply(&self) -> Result<(), (i32, i32)> {
        // In the order of what each needs: limits and scores privileges, the directory the user who works there.
        // SAFETY: the caller's promise is passed on; the strings are NUL-terminated, and live.
        unsafe {
            if let Some(score) = &self.oom_score_adj {
                set_oom_score_adj(score).map_err(|error| (Step::OomScoreAdj as i32, error))?;
            }
            for (step, (_, resource, limit)) in (Step::Rlimit as i32..).zip(&self.rlimits) {
                set_limit(*resource, *limit).map_err(|error| (step, error))?;
            }
            if let Some(who) = &self.identity {
                become_user(who).map_err(|error| (Step::User as i32, error))?;
            }
            if let Some(dir) = &self.working_dir
                && libc::chdir(dir.as_ptr()) < 0
            {
                return Err((Step::WorkingDir as i32, errno()));
            }
            if let Some(mask) = self.umask {
                libc::umask(mask);
            }
        }
        Ok(())
    }
}

/// Sets one limit, keeping the half that was not said. The raw call, as above.
///
/// # Safety
/// Called in the child between clone and exec.
unsafe fn set_limit(resource: libc::c_long, limit: ResourceLimit) -> Result<(), i32> {
    let mut now = [0u64; 2];
    let none = std::ptr::null::<u64>();
    // SAFETY: rlimit64 is two u64, soft and hard; the arrays are live; 0 means this process (prlimit(2)).
    unsafe {
        if libc::syscall(libc::SYS_prlimit64, 0, resource, none, now.as_mut_ptr()) < 0 {
            return Err(errno());
        }
        let [soft, hard] = now;
        let hard = limit.hard.unwrap_or(hard);
        let wanted = [limit.soft.unwrap_or(soft.min(hard)), hard];
        if libc::syscall(libc::SYS_prlimit64, 0, resource, wanted.as_ptr(), none) < 0 {
            return Err(errno());
        }
    }
    Ok(())
}

/// Writes the child's own oom_score_adj. A child of vfork(2) has one of its own (proc(5) says nothing of it; the
/// kernel's __set_oom_adj does), so that ours stays.
///
/// # Safety
/// Called in the child between clone and exec.
unsafe fn set_oom_score_adj(score: &CString) -> Result<(), i32> {
    // SAFETY: NUL-terminated strings and a length that is the string's own.
    unsafe {
        let file = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if file < 0 {
            return Err(errno());
        }
        let written = libc::write(file, score.as_ptr().cast(), score.as_bytes().len());
        let error = errno();
        libc::close(file);
        if written < 0 { Err(error) } else { Ok(()) }
    }
}

/// Becomes another user, for good. The raw calls: those of the C library speak to all threads of the process,
/// and our memory is our parent's. Groups first, since an ordinary user may not change them.
///
/// # Safety
/// Called in the child between clone and exec.
unsafe fn become_user(who: &Identity) -> Result<(), i32> {
    // SAFETY: plain numbers, and a live array of as many gids as said.
    unsafe {
        let ours = libc::syscall(libc::SYS_geteuid) == libc::c_long::from(who.uid)
            && libc::syscall(libc::SYS_getegid) == libc::c_long::from(who.gid);
        if ours && who.uid != 0 {
            // Already so, by the runtime: without privileges nothing else could be done.
            return Ok(());
        }
        let (uid, gid) = (who.uid, who.gid);
        if libc::syscall(libc::SYS_setgroups, who.groups.len(), who.groups.as_ptr()) < 0
            || libc::syscall(libc::SYS_setresgid, gid, gid, gid) < 0
            || libc::syscall(libc::SYS_setresuid, uid, uid, uid) < 0
        {
            return Err(errno());
        }
    }
    Ok(())
}

/// The number of a resource of `settings::RLIMITS`.
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

pub(super) fn errno() -> i32 {
    nix::errno::Errno::last_raw()
}

#[cfg(test)]
mod tests {
    use super::resource;
    use bookend_config::settings::RLIMITS;

    #[test]
    fn every_limit_that_can_be_said_has_a_number_of_its_own() {
        let mut numbers: Vec<_> = RLIMITS.iter().map(|name| resource(name).expect(name)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), RLIMITS.len());
    }
}

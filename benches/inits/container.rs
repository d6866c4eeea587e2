//! One life of an init: PID 1 of a fresh PID and mount namespace with /proc and an empty /run, as in a container, with the
//! bench's application, which reports its events on a datagram socket.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigHandler, SigSet, Signal, kill, signal};
use nix::sys::wait::waitpid;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, execve};

use crate::subjects::Subject;

/// Longer than any init needs for anything.
const PATIENCE: Duration = Duration::from_secs(12);

pub(crate) struct Container {
    /// PID 1, as seen from outside.
    pub(crate) init: Pid,
    socket: UnixDatagram,
    path: PathBuf,
}

impl Container {
    /// Starts the init without waiting for anything.
    pub(crate) fn start(subject: &Subject, folder: &Path, orphans: usize) -> Container {
        Container::start_attacked(subject, folder, orphans, None)
    }

    /// The same, with an attack that the application begins.
    pub(crate) fn start_attacked(subject: &Subject, folder: &Path, orphans: usize, attack: Option<&str>) -> Container {
        let path = folder.join("socket").join(subject.name);
        let _ = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let command: Vec<CString> = subject.command.iter().map(text).collect();
        let program = text(&subject.program);
        let env = environment(&path, orphans, attack);
        let output_file = folder.join("output").join(subject.name);
        // SAFETY: this program has one thread; without CLONE_VM that is a fork.
        let pid = unsafe {
            let flags = libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::SIGCHLD;
            libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0)
        };
        match pid {
            -1 => panic!("namespaces need root: {}", io::Error::last_os_error()),
            0 => {
                become_container(&output_file).unwrap_or_else(|error| panic!("cannot make the container: {error}"));
                UnixDatagram::unbound().unwrap().send_to(format!("exec {}", now()).as_bytes(), &path).unwrap();
                let error = execve(&program, &command, &env).unwrap_err();
                panic!("{}: {error}", subject.program)
            }
            pid => Container { init: Pid::from_raw(i32::try_from(pid).unwrap()), socket, path },
        }
    }

    /// The time in the next message of this name, in nanoseconds; `None` if no message comes.
    pub(crate) fn reported_time(&self, what: &str) -> Option<i64> {
        let mut buffer = [0; 64];
        loop {
            let length = self.socket.recv(&mut buffer).ok()?;
            let message = std::str::from_utf8(&buffer[..length]).ok()?;
            let (name, number) = message.split_once(' ')?;
            if name == what {
                return number.parse().ok();
            }
        }
    }

    /// All processes of the container except the application, which has no children. The first one is PID 1.
    pub(crate) fn inits(&self) -> Vec<Pid> {
        let mut tree = vec![self.init];
        let mut next = 0;
        while let Some(parent) = tree.get(next) {
            tree.extend(children(*parent));
            next += 1;
        }
        tree.retain(|pid| *pid == self.init || !is_app(*pid));
        tree
    }

    pub(crate) fn app(&self) -> Option<Pid> {
        let mut tree = vec![self.init];
        while let Some(pid) = tree.pop() {
            if is_app(pid) {
                return Some(pid);
            }
            tree.extend(children(pid));
        }
        None
    }

    /// Waits for the end of PID 1, and so of the container. Returns its time; `None` if it does not come.
    pub(crate) fn gone(&self) -> Option<i64> {
        // SAFETY: our own child, which has not been reaped.
        let raw = unsafe { libc::syscall(libc::SYS_pidfd_open, self.init.as_raw(), 0) };
        assert!(raw >= 0, "pidfd_open: {}", io::Error::last_os_error());
        // SAFETY: the descriptor was just opened, and no other code owns it.
        let pidfd = unsafe { OwnedFd::from_raw_fd(i32::try_from(raw).unwrap()) };
        let timeout = PollTimeout::try_from(PATIENCE).unwrap();
        let ready = poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], timeout).unwrap();
        (ready == 1).then(now)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = kill(self.init, Signal::SIGKILL);
        let _ = waitpid(self.init, None);
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Nanoseconds of the monotonic clock, which the application reads as well.
pub(crate) fn now() -> i64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap();
    now.tv_sec() * 1_000_000_000 + now.tv_nsec()
}

/// In the child, until its exec.
fn become_container(output_file: &Path) -> io::Result<()> {
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), none)?;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), none)?;
    nix::unistd::setsid()?;
    // A bench that is killed takes its containers along.
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    let (null, output_file) = (std::fs::File::open("/dev/null")?, std::fs::File::create(output_file)?);
    dup2_stdin(&null)?;
    dup2_stdout(&output_file)?;
    dup2_stderr(&output_file)?;
    // Rust's runtime ignores SIGPIPE, and the process that started us may have ignored or blocked more signals.
    for number in Signal::iterator().filter(|number| !matches!(number, Signal::SIGKILL | Signal::SIGSTOP)) {
        // SAFETY: a default disposition runs no code.
        unsafe { signal(number, SigHandler::SigDfl) }?;
    }
    SigSet::empty().thread_set_mask()?;
    Ok(())
}

/// The usual environment of a container, and how the application reaches the bench; nothing that would configure an init.
fn environment(socket: &Path, orphans: usize, attack: Option<&str>) -> Vec<CString> {
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let socket = format!("BENCH_SOCKET={}", socket.display());
    let mut all =
        [path, "HOSTNAME=bench", "HOME=/root", &socket, &format!("BENCH_ORPHANS={orphans}")].map(text).to_vec();
    all.extend(attack.map(|attack| text(format!("BENCH_ATTACK={attack}"))));
    all
}

fn text(text: impl AsRef<str>) -> CString {
    CString::new(text.as_ref()).unwrap()
}

fn children(pid: Pid) -> Vec<Pid> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect()
}

/// By its executable: a supervisor may rename its processes.
fn is_app(pid: Pid) -> bool {
    std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.file_name().is_some_and(|name| name == "app"))
}

//! The system calls that nix cannot make for us, each as a safe function. Signal sets are whole 64-bit
//! masks here: both C libraries strip "their" real-time signals (32-34) from every set they touch, and
//! nix's `Signal` has none of the real-time signals at all, so a child that died of one would lose its status.

#![expect(unsafe_code, reason = "raw system calls; each block carries its argument")]

use std::ffi::{CStr, OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

use libc::c_int;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::Pid;
use bookend_lifecycle::signal::Signal;

/// A set of signals as the kernel keeps it: bit n-1 stands for signal n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SignalSet(u64);

impl SignalSet {
    /// All 64 of them. SIGKILL and SIGSTOP are ignored by the kernel in every mask.
    pub(crate) const ALL: SignalSet = SignalSet(u64::MAX);

    /// The set without this signal.
    pub(crate) fn without(self, signal: Signal) -> SignalSet {
        SignalSet(self.0 & !bit(signal))
    }

    /// Whether the signal is in the set.
    pub(crate) fn contains(self, signal: Signal) -> bool {
        self.0 & bit(signal) != 0
    }

    pub(super) fn as_ptr(&self) -> *const u64 {
        &raw const self.0
    }
}

impl FromIterator<Signal> for SignalSet {
    fn from_iter<I: IntoIterator<Item = Signal>>(signals: I) -> SignalSet {
        SignalSet(signals.into_iter().fold(0, |set, signal| set | bit(signal)))
    }
}

fn bit(signal: Signal) -> u64 {
    1 << (signal.number() - 1)
}

/// The size the kernel expects of every signal set (rt_sigprocmask(2)).
pub(super) const SIGSET_BYTES: usize = size_of::<u64>();

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Sets the thread's signal mask and returns the one before: rt_sigprocmask(2).
pub(super) fn set_mask(mask: SignalSet) -> SignalSet {
    let mut old = 0u64;
    // SAFETY: both pointers are to live u64, the size is theirs. It cannot fail with these arguments.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, mask.as_ptr(), &raw mut old, SIGSET_BYTES) };
    SignalSet(old)
}

/// Does the work with every signal blocked: a thread that is made meanwhile has them blocked for its whole life.
pub(crate) fn with_signals_blocked<T>(work: impl FnOnce() -> T) -> T {
    let before = set_mask(SignalSet::ALL);
    let done = work();
    set_mask(before);
    done
}

/// The signals that wait to be delivered: rt_sigpending(2).
pub(super) fn pending() -> SignalSet {
    let mut set = 0u64;
    // SAFETY: the pointer is to a live u64, the size is its own.
    unsafe { libc::syscall(libc::SYS_rt_sigpending, &raw mut set, SIGSET_BYTES) };
    SignalSet(set)
}

/// What a signal does to us, as the kernel keeps it: the C libraries refuse to speak of their own signals.
#[repr(C)]
#[derive(Debug, Default)]
struct Action {
    handler: libc::sighandler_t,
    flags: libc::c_ulong,
    restorer: usize,
    mask: u64,
}

/// Sets an action, if there is one to set, and returns the one before: rt_sigaction(2). Async-signal-safe.
fn set_action(signal: Signal, new: Option<&Action>) -> Action {
    let mut old = Action::default();
    let new = new.map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: null or live, both of the kernel's layout; whoever sets a handler answers for it. It fails for SIGKILL and
    // SIGSTOP alone, and then does nothing.
    unsafe { libc::syscall(libc::SYS_rt_sigaction, signal.number(), new, &raw mut old, SIGSET_BYTES) };
    old
}

/// Whether the disposition of this signal is SIG_IGN.
pub(super) fn is_ignored(signal: Signal) -> bool {
    set_action(signal, None).handler == libc::SIG_IGN
}

/// Sets a disposition to SIG_DFL or SIG_IGN. Async-signal-safe: it is called between clone and exec.
pub(super) fn set_disposition(signal: Signal, ignore: bool) {
    let handler = if ignore { libc::SIG_IGN } else { libc::SIG_DFL };
    set_action(signal, Some(&Action { handler, ..Action::default() }));
}

/// Gives a signal a handler, past the C library. It runs with all signals blocked, and does async-signal-safe things alone.
pub(super) fn set_raw_handler(
    signal: Signal,
    handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void),
) {
    let flags = libc::SA_SIGINFO | libc::SA_RESTART | restorer::FLAG;
    set_action(
        signal,
        Some(&Action {
            handler: handler as libc::sighandler_t,
            flags: libc::c_ulong::from(flags.cast_unsigned()),
            restorer: restorer::address(),
            mask: SignalSet::ALL.0,
        }),
    );
}

/// How a handler returns: x86-64 has no such code in its vDSO, the program brings it (sigreturn(2)).
#[cfg(target_arch = "x86_64")]
mod restorer {
    /// SA_RESTORER.
    pub(super) const FLAG: libc::c_int = 0x0400_0000;

    pub(super) fn address() -> usize {
        rt_sigreturn as *const () as usize
    }

    #[unsafe(naked)]
    extern "C" fn rt_sigreturn() {
        core::arch::naked_asm!("mov eax, {number}", "syscall", number = const libc::SYS_rt_sigreturn)
    }
}

/// How a handler returns: through the vDSO.
#[cfg(not(target_arch = "x86_64"))]
mod restorer {
    pub(super) const FLAG: libc::c_int = 0;

    pub(super) fn address() -> usize {
        0
    }
}

/// A non-blocking, close-on-exec signalfd(2) for these signals.
pub(super) fn signalfd(set: SignalSet) -> io::Result<OwnedFd> {
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: -1 asks for a new descriptor; the set is a live u64 of the given size.
    let fd = check(unsafe { libc::syscall(libc::SYS_signalfd4, -1, set.as_ptr(), SIGSET_BYTES, flags) })?;
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made it, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Lets the runtime say when this descriptor can be read.
pub(super) fn watch_readable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd names the same open file for as long as it lives, and it moves into the AsyncFd.
    let watched = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
    watched.map_err(io::Error::from)
}

/// One signal from a signalfd, and the process that sent it (0: from outside our PID namespace).
pub(super) fn read_signalfd(fd: BorrowedFd<'_>) -> io::Result<(Signal, u32)> {
    let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
    let size = size_of::<libc::signalfd_siginfo>();
    // SAFETY: the buffer is as large as said; the kernel writes whole records or nothing (signalfd(2)).
    let read = unsafe { libc::read(fd.as_raw_fd(), info.as_mut_ptr().cast(), size) };
    match usize::try_from(read) {
        Err(_) => Err(io::Error::last_os_error()),
        Ok(n) if n == size => {
            // SAFETY: the record has been written whole.
            let info = unsafe { info.assume_init() };
            let number = i32::try_from(info.ssi_signo).map_err(io::Error::other)?;
            let signal = Signal::new(number).ok_or_else(|| io::Error::other("a signal beyond 64"))?;
            Ok((signal, info.ssi_pid))
        }
        Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Waits until one of the signals comes, and takes it: rt_sigtimedwait(2) without a timeout.
pub(super) fn wait_for_signal(set: SignalSet) -> io::Result<Signal> {
    let none = std::ptr::null::<libc::c_void>();
    // SAFETY: the set is live and of the given size; neither siginfo nor a timeout is asked for.
    let result = unsafe { libc::syscall(libc::SYS_rt_sigtimedwait, set.as_ptr(), none, none, SIGSET_BYTES) };
    let number = i32::try_from(check(result)?).map_err(io::Error::other)?;
    Signal::new(number).ok_or_else(|| io::Error::other("a signal beyond 64"))
}

/// Takes a signal that is pending; `false`: it was not.
pub(super) fn take_pending(signal: Signal) -> bool {
    let set = SignalSet::from_iter([signal]);
    let (info, at_once) = (std::ptr::null::<libc::c_void>(), libc::timespec { tv_sec: 0, tv_nsec: 0 });
    // SAFETY: the set and the timeout are live, the size is the set's; no siginfo is asked for.
    let taken =
        unsafe { libc::syscall(libc::SYS_rt_sigtimedwait, set.as_ptr(), info, &raw const at_once, SIGSET_BYTES) };
    taken == libc::c_long::from(signal.number())
}

/// What has become of a child, as wait(2) says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waited {
    /// A child has ended, or was stopped or continued.
    Changed(Pid, c_int),
    /// Children are there; there is no news of them.
    Nothing,
    /// There are no children at all.
    NoChildren,
}

/// Takes the news of one child, of this one if given, without waiting. Called by the reaper alone.
pub(super) fn wait_changed(which: Option<Pid>) -> Waited {
    // __WALL: children of clone(2) with other exit signals, too.
    let flags = libc::WNOHANG | libc::WUNTRACED | libc::WCONTINUED | libc::__WALL;
    let mut status = 0;
    loop {
        let which = which.map_or(-1, Pid::as_raw);
        // SAFETY: the status is a live c_int.
        let pid = unsafe { libc::waitpid(which, &raw mut status, flags) };
        return match pid {
            0 => Waited::Nothing,
            -1 if io::Error::last_os_error().raw_os_error() == Some(libc::EINTR) => continue,
            -1 => Waited::NoChildren,
            pid => Waited::Changed(Pid::from_raw(pid), status),
        };
    }
}

/// The news of one child, left where it is, and its pid with it: waitid(2) with WNOWAIT.
pub(super) fn peek_changed() -> Waited {
    waitid(None, libc::WEXITED | libc::WSTOPPED | libc::WCONTINUED | libc::WNOWAIT)
}

/// Takes the news that this child was stopped or continued, and none of its end.
pub(super) fn wait_stopped(pid: Pid) -> Waited {
    waitid(Some(pid), libc::WSTOPPED | libc::WCONTINUED)
}

/// waitid(2) without waiting. A child that has ended is none to whoever does not ask for ends.
fn waitid(which: Option<Pid>, flags: c_int) -> Waited {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let (kind, id) = which.map_or((libc::P_ALL, 0), |pid| (libc::P_PID, pid.as_raw().cast_unsigned()));
    // SAFETY: the record is live and zeroed, as waitid(2) asks of callers that use WNOHANG.
    let result = unsafe { libc::waitid(kind, id, info.as_mut_ptr(), flags | libc::WNOHANG | libc::__WALL) };
    // SAFETY: zeroed or written by the kernel; si_pid is 0 when there is no news.
    let (pid, code, status) = unsafe {
        let info = info.assume_init();
        (info.si_pid(), info.si_code, info.si_status())
    };
    match (result, pid) {
        (0, 0) => Waited::Nothing,
        (0, pid) => Waited::Changed(Pid::from_raw(pid), wait_status(code, status)),
        _ => Waited::NoChildren,
    }
}

/// What waitid(2) says, as waitpid(2) would have said it.
fn wait_status(code: c_int, status: c_int) -> c_int {
    match code {
        libc::CLD_EXITED => (status & 0xff) << 8,
        libc::CLD_DUMPED => status | 0x80,
        libc::CLD_STOPPED | libc::CLD_TRAPPED => status << 8 | 0x7f,
        libc::CLD_CONTINUED => 0xffff,
        // CLD_KILLED
        _ => status,
    }
}

/// kill(2) with any of the 64 signals. Negative: the process group; -1: everybody.
pub(crate) fn send(pid: Pid, signal: Signal) -> io::Result<()> {
    // SAFETY: kill(2) takes plain numbers.
    check(libc::c_long::from(unsafe { libc::kill(pid.as_raw(), signal.number()) })).map(drop)
}

/// Holds a process, whatever becomes of its number: pidfd_open(2).
pub(super) fn pidfd_open(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: plain numbers.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })?;
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made it, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends a signal to the process that is held: pidfd_send_signal(2).
pub(super) fn pidfd_send(fd: BorrowedFd<'_>, signal: Signal) -> io::Result<()> {
    let none = std::ptr::null::<libc::c_void>();
    // SAFETY: a live descriptor and plain numbers; no siginfo is given.
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd.as_raw_fd(), signal.number(), none, 0) }).map(drop)
}

/// The time since the boot, which is what /proc counts the start of a process from: clock_gettime(2), CLOCK_BOOTTIME.
pub(crate) fn since_boot() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes a timespec, and the memory is of that type.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The arguments that C's main was given.
///
/// # Safety
/// `argv` has `argc` pointers to NUL-terminated strings.
pub unsafe fn arguments(argc: c_int, argv: *const *const libc::c_char) -> Vec<OsString> {
    let count = usize::try_from(argc).unwrap_or(0);
    let arg = |index| {
        // SAFETY: the caller's promise.
        let arg = unsafe { CStr::from_ptr(*argv.add(index)) };
        OsString::from_vec(arg.to_bytes().to_vec())
    };
    (0..count).map(arg).collect()
}

/// The environment we were started with, as execve(2) takes it. Nobody changes it: setenv(3) is never called.
pub(super) fn environ() -> *const *const libc::c_char {
    unsafe extern "C" {
        static environ: *const *const libc::c_char;
    }
    // SAFETY: the C library has set it before main, and one thread reads it.
    unsafe { environ }
}

/// How many columns the terminal on stdout has: tty_ioctl(4), TIOCGWINSZ.
pub(crate) fn terminal_width() -> Option<u16> {
    let mut size = MaybeUninit::<libc::winsize>::zeroed();
    // SAFETY: the kernel writes a winsize, and the memory is of that type.
    let result = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, size.as_mut_ptr()) };
    // SAFETY: zeroed, or written by the kernel.
    let columns = unsafe { size.assume_init() }.ws_col;
    (result == 0 && columns > 0).then_some(columns)
}

/// The path that execve(2) was given for this program: getauxval(3), AT_EXECFN.
pub(crate) fn executed_path() -> Option<PathBuf> {
    // SAFETY: a plain number; 0 says that the kernel passed none.
    let text = unsafe { libc::getauxval(libc::AT_EXECFN) } as *const libc::c_char;
    if text.is_null() {
        return None;
    }
    // SAFETY: the kernel has put a NUL-terminated string above our stack, where it stays for as long as we live.
    let text = unsafe { CStr::from_ptr(text) };
    Some(PathBuf::from(OsStr::from_bytes(text.to_bytes())))
}

/// Makes orphaned descendants ours: prctl(2), PR_SET_CHILD_SUBREAPER.
pub(crate) fn become_subreaper() -> io::Result<()> {
    // SAFETY: plain numbers.
    check(libc::c_long::from(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) })).map(drop)
}

/// Whether /proc shows us to our own user: PR_GET_DUMPABLE of prctl(2).
pub(super) fn dumpable() -> libc::c_int {
    // SAFETY: plain numbers.
    unsafe { libc::prctl(libc::PR_GET_DUMPABLE, 0, 0, 0, 0) }
}

/// Sets it back. Refused for 2, which is what nobody has been set to.
pub(super) fn set_dumpable(dumpable: libc::c_int) {
    // SAFETY: plain numbers.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, dumpable, 0, 0, 0) };
}

/// Whether we are PID 1 of a PID namespace: then every orphan is ours, and kill(-1) means this container.
pub(crate) fn is_first_process() -> bool {
    std::process::id() == 1
}

/// A copy of the descriptor that is not 0, 1 or 2, close-on-exec.
pub(super) fn duplicate_above(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: a live descriptor and plain numbers.
    let copy = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3) };
    check(libc::c_long::from(copy))?;
    // SAFETY: the kernel has just made it, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Closes a descriptor that is not close-on-exec: what was there when we were exec'ed, and nothing that we opened.
pub(super) fn close_if_inherited(fd: RawFd) {
    // SAFETY: plain numbers; EBADF says that there is none.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    if flags >= 0 && flags & libc::FD_CLOEXEC == 0 {
        // SAFETY: everything we open is close-on-exec, so no owner of ours loses its descriptor.
        unsafe { libc::close(fd) };
    }
}

/// What we get when our parent dies: prctl(2), PR_SET_PDEATHSIG.
pub(super) fn set_parent_death_signal(signal: Signal) -> io::Result<()> {
    // SAFETY: plain numbers.
    check(libc::c_long::from(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal.number(), 0, 0, 0) })).map(drop)
}

/// Whether orphans below come to us: we are PID 1 or a subreaper.
pub(crate) fn gets_orphans() -> bool {
    let mut subreaper: c_int = 0;
    // SAFETY: the number is written into a live c_int.
    let result = unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut subreaper, 0, 0, 0) };
    is_first_process() || (result == 0 && subreaper != 0)
}

/// Gives up the controlling terminal, if stdin is it: ioctl_tty(2), TIOCNOTTY.
pub(super) fn give_up_terminal() -> io::Result<()> {
    // SAFETY: plain numbers.
    check(libc::c_long::from(unsafe { libc::ioctl(0, libc::TIOCNOTTY) })).map(drop)
}

/// pwritev2(2) with RWF_NOWAIT: EAGAIN instead of waiting for a reader, on this one write.
pub(crate) fn write_without_waiting(fd: BorrowedFd<'_>, bytes: io::IoSlice<'_>) -> Result<usize, nix::errno::Errno> {
    // The kernel takes the offset in two halves; -1 in both is the file's own position.
    let (whole, low, high): (libc::c_long, libc::c_long, libc::c_long) = (1, -1, -1);
    let (fd, vector) = (fd.as_raw_fd(), (&raw const bytes).cast::<libc::iovec>());
    // SAFETY: IoSlice is an iovec by its documentation; the kernel reads `whole` of them.
    let written = unsafe { libc::syscall(libc::SYS_pwritev2, fd, vector, whole, low, high, libc::RWF_NOWAIT) };
    usize::try_from(written).map_err(|_| nix::errno::Errno::last())
}

// What has a pointer to more than a number in it, and can be tried without the kernel: `make memory` runs it under miri.
#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::io::Write;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn arguments_are_read_to_the_byte_and_none_may_be_there() {
        let texts = [c"bookend", c"", c"\xff "].map(CString::from);
        let argv: Vec<_> = texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect();
        // SAFETY: as many pointers as said, to strings that live.
        let read = |argc| unsafe { arguments(argc, argv.as_ptr()) };
        assert_eq!(read(3), ["bookend".into(), "".into(), OsString::from_vec(b"\xff ".to_vec())]);
        assert!(read(0).is_empty());
    }

    #[test]
    fn a_signal_is_read_whole_or_not_at_all() {
        let (ours, theirs) = nix::unistd::pipe().unwrap();
        let mut theirs = std::fs::File::from(theirs);
        // struct signalfd_siginfo: the signal, and the sender's pid behind errno and code (signalfd(2)).
        let record = |signal: u32| [signal, 0, 0, 77].into_iter().chain([0; 28]).flat_map(u32::to_ne_bytes);
        theirs.write_all(&record(34).collect::<Vec<_>>()).unwrap();
        assert_eq!(read_signalfd(ours.as_fd()).unwrap(), (Signal::new(34).unwrap(), 77));
        theirs.write_all(&record(65).collect::<Vec<_>>()).unwrap();
        assert!(read_signalfd(ours.as_fd()).is_err(), "there is no signal 65");
        theirs.write_all(&[15; 127]).unwrap();
        assert_eq!(read_signalfd(ours.as_fd()).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn both_ways_to_wait_say_the_same() {
        assert!(libc::WIFEXITED(wait_status(libc::CLD_EXITED, 7)));
        assert_eq!(libc::WEXITSTATUS(wait_status(libc::CLD_EXITED, 7)), 7);
        for code in [libc::CLD_KILLED, libc::CLD_DUMPED] {
            assert!(libc::WIFSIGNALED(wait_status(code, 64)));
            assert_eq!(libc::WTERMSIG(wait_status(code, 64)), 64);
        }
        assert!(libc::WIFSTOPPED(wait_status(libc::CLD_STOPPED, 20)));
        assert_eq!(libc::WSTOPSIG(wait_status(libc::CLD_STOPPED, 20)), 20);
        assert!(libc::WIFCONTINUED(wait_status(libc::CLD_CONTINUED, 18)));
    }

    #[test]
    fn a_copy_of_a_descriptor_is_another_one_and_no_standard_one() {
        let (ours, _theirs) = nix::unistd::pipe().unwrap();
        let copy = duplicate_above(ours.as_fd()).unwrap();
        assert!(copy.as_raw_fd() > 2 && copy.as_raw_fd() != ours.as_raw_fd());
    }

    #[test]
    fn the_environment_is_the_one_that_everybody_sees() {
        let mut entry = environ();
        let mut seen = 0;
        // SAFETY: a null pointer ends it (environ(7)).
        while unsafe { !(*entry).is_null() } {
            // SAFETY: it is not the last one.
            entry = unsafe { entry.add(1) };
            seen += 1;
        }
        assert_eq!(seen, std::env::vars_os().count());
    }
}

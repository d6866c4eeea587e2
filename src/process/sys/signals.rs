//! Signals as the kernel keeps them: masks, dispositions, pending signals, and kill(2), for all 64 of them.

#![expect(unsafe_code, reason = "system calls on 64-bit signal sets; each block carries its argument")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::time::TimeSpec;
use nix::unistd::Pid;

use bookend_lifecycle::signal::Signal;

/// A set of signals as the kernel keeps it: bit n-1 stands for signal n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SignalSet(u64);

impl SignalSet {
    /// All 64 of them. The kernel ignores SIGKILL and SIGSTOP in every mask.
    pub(crate) const ALL: SignalSet = SignalSet(u64::MAX);

    /// The set without this signal.
    pub(crate) fn without(self, signal: Signal) -> SignalSet {
        SignalSet(self.0 & !bit(signal))
    }

    /// Whether the signal is in the set.
    pub(crate) fn contains(self, signal: Signal) -> bool {
        self.0 & bit(signal) != 0
    }

    pub(in crate::process) fn as_ptr(&self) -> *const u64 {
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

/// The size that the kernel expects of every signal set: rt_sigprocmask(2).
pub(in crate::process) const SIGSET_BYTES: usize = size_of::<u64>();

/// Sets the thread's signal mask and returns the one before: rt_sigprocmask(2).
pub(in crate::process) fn set_mask(mask: SignalSet) -> SignalSet {
    let mut old = 0u64;
    // SAFETY: `mask` and `old` are live u64 values and the size is that of a u64. With a valid `how` and valid
    // pointers the call fails only if a seccomp profile refuses it (`Inherited::blocks_signals`).
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, mask.as_ptr(), &raw mut old, SIGSET_BYTES) };
    SignalSet(old)
}

/// Does the work with every signal blocked. A thread that is created meanwhile has them blocked for its whole life.
pub(crate) fn with_signals_blocked<T>(work: impl FnOnce() -> T) -> T {
    let before = set_mask(SignalSet::ALL);
    let done = work();
    set_mask(before);
    done
}

/// The signals that are pending for this thread: rt_sigpending(2).
pub(in crate::process) fn pending() -> SignalSet {
    let mut set = 0u64;
    // SAFETY: the pointer is to a live u64 and the size is that of a u64.
    unsafe { libc::syscall(libc::SYS_rt_sigpending, &raw mut set, SIGSET_BYTES) };
    SignalSet(set)
}

/// A signal's action in the kernel's layout (struct kernel_sigaction): the C libraries refuse their own signals.
#[repr(C)]
#[derive(Debug, Default)]
struct KernelAction {
    handler: libc::sighandler_t,
    flags: libc::c_ulong,
    restorer: usize,
    mask: u64,
}

/// Sets an action, if one is given, and returns the one before: rt_sigaction(2). Async-signal-safe.
fn set_action(signal: Signal, new: Option<&KernelAction>) -> KernelAction {
    let mut old = KernelAction::default();
    let new = new.map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `new` is null or points to a live value of the kernel's layout, `old` is live and of the same layout, and
    // the size is that of a signal set. A handler in `new` is a function that may run at any time: the one caller that
    // sets a handler, `set_raw_handler`, requires an async-signal-safe one. The call fails only for SIGKILL and
    // SIGSTOP, and then it changes nothing.
    unsafe { libc::syscall(libc::SYS_rt_sigaction, signal.number(), new, &raw mut old, SIGSET_BYTES) };
    old
}

/// Whether the disposition of this signal is SIG_IGN.
pub(in crate::process) fn is_ignored(signal: Signal) -> bool {
    set_action(signal, None).handler == libc::SIG_IGN
}

/// Sets a disposition to SIG_DFL or SIG_IGN. Async-signal-safe: it is called between clone and exec.
pub(in crate::process) fn set_disposition(signal: Signal, ignore: bool) {
    let handler = if ignore { libc::SIG_IGN } else { libc::SIG_DFL };
    set_action(signal, Some(&KernelAction { handler, ..KernelAction::default() }));
}

/// Gives a signal a handler without asking the C library. The handler runs with all signals blocked and must be
/// async-signal-safe.
pub(in crate::process) fn set_raw_handler(
    signal: Signal,
    handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void),
) {
    let flags = libc::SA_SIGINFO | libc::SA_RESTART | restorer::FLAG;
    set_action(
        signal,
        Some(&KernelAction {
            handler: handler as libc::sighandler_t,
            flags: libc::c_ulong::from(flags.cast_unsigned()),
            restorer: restorer::address(),
            mask: SignalSet::ALL.0,
        }),
    );
}

/// How a handler returns on x86-64: the vDSO has no code for it, so the program brings it (sigreturn(2)).
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

/// How a handler returns elsewhere: through the vDSO.
#[cfg(not(target_arch = "x86_64"))]
mod restorer {
    pub(super) const FLAG: libc::c_int = 0;

    pub(super) fn address() -> usize {
        0
    }
}

/// A non-blocking, close-on-exec signalfd(2) for these signals.
pub(in crate::process) fn signalfd(set: SignalSet) -> io::Result<OwnedFd> {
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: -1 asks for a new descriptor; `set` is a live u64 and the size is that of a u64.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_signalfd4, -1, set.as_ptr(), SIGSET_BYTES, flags) })?;
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just created this descriptor, and only this function knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Reads one signal from a signalfd, and the pid of its sender (0: a process outside of our PID namespace).
pub(in crate::process) fn read_signalfd(fd: BorrowedFd<'_>) -> io::Result<(Signal, u32)> {
    let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
    let size = size_of::<libc::signalfd_siginfo>();
    // SAFETY: the buffer is live and has `size` bytes. The kernel writes whole records or nothing (signalfd(2)).
    let read = unsafe { libc::read(fd.as_raw_fd(), info.as_mut_ptr().cast(), size) };
    match usize::try_from(read) {
        Err(_) => Err(io::Error::last_os_error()),
        Ok(n) if n == size => {
            // SAFETY: the kernel has written all `size` bytes, and every bit pattern is a valid record of integers.
            let info = unsafe { info.assume_init() };
            let number = i32::try_from(info.ssi_signo).map_err(io::Error::other)?;
            let signal = Signal::new(number).ok_or_else(|| io::Error::other("a signal beyond 64"))?;
            Ok((signal, info.ssi_pid))
        }
        Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Takes one pending signal of the set without waiting. `None`: no signal of the set is pending.
pub(in crate::process) fn take_pending(set: SignalSet) -> Option<Signal> {
    wait_for_signal(set, Some(Duration::ZERO))
}

/// Waits until one of the signals arrives, and takes it. `time`: the longest wait; `None`: no limit. Returns `None` if no
/// signal arrived in this time, or if the wait ended early.
pub(in crate::process) fn wait_for_signal(set: SignalSet, time: Option<Duration>) -> Option<Signal> {
    let (info, limit) = (std::ptr::null::<libc::c_void>(), time.map(TimeSpec::from_duration));
    let limit = limit.as_ref().map_or(std::ptr::null(), |limit| std::ptr::from_ref(limit.as_ref()));
    // SAFETY: `set` and the timeout, a timespec, are live, and the size is that of the set. Null for siginfo and for the
    // timeout is allowed.
    let taken = unsafe { libc::syscall(libc::SYS_rt_sigtimedwait, set.as_ptr(), info, limit, SIGSET_BYTES) };
    match Errno::result(taken) {
        Ok(number) => i32::try_from(number).ok().and_then(Signal::new),
        Err(Errno::EAGAIN | Errno::EINTR) => None,
        Err(_) => wait_at_signalfd(set, time),
    }
}

/// The same where the kernel refuses rt_sigtimedwait(2). If it refuses signalfd(2), too, this is a short sleep: callers
/// ask again and again, and must not use up a processor.
fn wait_at_signalfd(set: SignalSet, time: Option<Duration>) -> Option<Signal> {
    let fd = signalfd(set).ok();
    let longest = Duration::from_millis(if fd.is_some() { 60_000 } else { 100 });
    let time = PollTimeout::try_from(time.map_or(longest, |time| time.min(longest))).unwrap_or(PollTimeout::ZERO);
    let mut watched = fd.as_ref().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN));
    // An error costs nothing: a signal that has arrived is read below.
    let _ = poll(watched.as_mut_slice(), time);
    Some(read_signalfd(fd.as_ref()?.as_fd()).ok()?.0)
}

/// kill(2) with any of the 64 signals. A negative pid is a process group; -1 is every process that we may signal.
pub(in crate::process) fn send(pid: Pid, signal: Signal) -> io::Result<()> {
    // SAFETY: kill(2) takes two integers.
    Errno::result(unsafe { libc::kill(pid.as_raw(), signal.number()) })?;
    Ok(())
}

/// Whether kill(2) would send a signal to this process.
pub(in crate::process) fn ask(pid: Pid) -> io::Result<()> {
    Ok(nix::sys::signal::kill(pid, None)?)
}

// Everything here with a pointer that works without a kernel: `make memory` runs it under miri.
#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_signalfd_record_is_read_whole_or_refused() {
        let (ours, theirs) = nix::unistd::pipe().unwrap();
        let mut theirs = std::fs::File::from(theirs);
        // struct signalfd_siginfo: the signal, errno, code and the sender's pid (signalfd(2)).
        let record = |signal: u32| [signal, 0, 0, 77].into_iter().chain([0; 28]).flat_map(u32::to_ne_bytes);
        theirs.write_all(&record(34).collect::<Vec<_>>()).unwrap();
        assert_eq!(read_signalfd(ours.as_fd()).unwrap(), (Signal::new(34).unwrap(), 77));
        theirs.write_all(&record(65).collect::<Vec<_>>()).unwrap();
        assert!(read_signalfd(ours.as_fd()).is_err(), "there is no signal 65");
        theirs.write_all(&[15; 127]).unwrap();
        assert_eq!(read_signalfd(ours.as_fd()).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}

//! The processes below us, read from /proc at each call.

use std::fs::File;
use std::io::Read;

use bookend_lifecycle::printable::printable;

/// A process of /proc.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) pid: i32,
    /// 0: it joined the PID namespace from outside, as `docker exec` does.
    pub(crate) parent: i32,
    pub(crate) is_zombie: bool,
    /// Not even SIGKILL ends it: it sleeps uninterruptibly, as it also does in the freezer of cgroup v1. That of cgroup v2
    /// lets SIGKILL through.
    pub(crate) is_uninterruptible: bool,
    pub(crate) is_kernel_thread: bool,
    /// The name of its program, 15 bytes at most.
    pub(crate) name: String,
    /// Its start, in hundredths of a second since the boot: together with the pid this identifies a process.
    pub(crate) started: u64,
}

/// How much is read of one process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Most {
    pub(crate) children: usize,
    /// Each has a list of children of its own.
    pub(crate) threads: usize,
}

impl Most {
    /// Everything: not for the loop.
    pub(crate) const ALL: Most = Most { children: usize::MAX, threads: usize::MAX };
}

/// The processes below us; as PID 1, all but us. Each is read when the iterator reaches it. Empty without /proc.
pub(super) fn below_us(most: Most) -> Box<dyn Iterator<Item = Member>> {
    let own = own_pid();
    match super::is_first_process() {
        _ if is_of_others() => Box::new(std::iter::empty()),
        // Processes that joined the namespace have no parent in it, but belong to this container.
        true => Box::new(all_processes().filter(move |member| member.pid != own)),
        false => below(own, most),
    }
}

/// The processes below this one, each read when the iterator reaches it.
pub(crate) fn below(root: i32, most: Most) -> Box<dyn Iterator<Item = Member>> {
    let Some(mut next) = children_of(root, most) else {
        // A kernel without lists of children.
        return Box::new(all_processes().filter(move |member| descends_from(member.pid, root) == Some(true)));
    };
    Box::new(std::iter::from_fn(move || {
        loop {
            let pid = next.pop()?;
            next.extend(children_of(pid, most).unwrap_or_default());
            if let Some(member) = member(pid) {
                return Some(member);
            }
        }
    }))
}

/// The children of a process, by the lists of its threads (CONFIG_PROC_CHILDREN). `None`: there are no such lists.
fn children_of(pid: i32, most: Most) -> Option<Vec<i32>> {
    let mut found = Vec::new();
    let mut text = String::new();
    let mut has_lists = false;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten().take(most.threads) {
        // A thread that has ended meanwhile has no list: another thread of its process has its children now.
        let Ok(list) = File::open(thread.path().join("children")) else { continue };
        has_lists = true;
        text.clear();
        // A pid and a space have eight bytes at most. The thread may have ended since its list was opened.
        let _ = list.take((most.children as u64).saturating_mul(8)).read_to_string(&mut text);
        found.extend(text.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
    }
    has_lists.then_some(found)
}

/// Whether this process descends from us, found by climbing from it. `None`: it or one of its ancestors has ended
/// meanwhile.
pub(super) fn is_below_us(pid: i32) -> Option<bool> {
    descends_from(pid, own_pid())
}

/// Whether a process descends from this ancestor. `None`: it or one of its ancestors has ended meanwhile.
pub(crate) fn descends_from(pid: i32, ancestor: i32) -> Option<bool> {
    climb(pid, ancestor, MOST_GENERATIONS, parent_of)
}

/// The same for the loop, which has no time for more than a hundred generations: an ancestor farther away is not found.
pub(crate) fn descends_closely_from(pid: i32, ancestor: i32) -> Option<bool> {
    climb(pid, ancestor, CLOSE_GENERATIONS, parent_of)
}

fn parent_of(pid: i32) -> Option<i32> {
    member(pid).map(|member| member.parent)
}

fn climb(mut pid: i32, ancestor: i32, most: usize, parent_of: impl Fn(i32) -> Option<i32>) -> Option<bool> {
    for _ in 0..most {
        match parent_of(pid)? {
            0 => return Some(false),
            parent if parent == ancestor => return Some(true),
            parent => pid = parent,
        }
    }
    Some(false)
}

/// Whether a process handles a signal, or waits for it: one that it does neither with would end it, or have no effect.
/// `None`: /proc does not show it.
#[cfg(feature = "reload")]
pub(crate) fn receives(pid: super::Pid, signal: bookend_lifecycle::signal::Signal) -> Option<bool> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let has = |name: &str| {
        let mask = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(u64::from_str_radix(mask.trim(), 16).ok()? >> (signal.number() - 1) & 1 == 1)
    };
    Some(has("SigCgt:")? || has("SigBlk:")?)
}

/// Whether /proc shows us.
pub(super) fn shows_us() -> bool {
    !is_of_others() && member(own_pid()).is_some()
}

/// Whether /proc is that of another PID namespace, as with the node's in a container: its pids are not ours.
fn is_of_others() -> bool {
    let own = own_pid().to_string();
    std::fs::read_link("/proc/self").is_ok_and(|link| link.as_os_str() != own.as_str())
}

/// Our own pid.
pub(crate) fn own_pid() -> i32 {
    nix::unistd::getpid().as_raw()
}

/// All processes that /proc shows us, each read when the iterator reaches it.
fn all_processes() -> impl Iterator<Item = Member> {
    pids().into_iter().flatten().filter_map(member)
}

/// The pids alone, which cost little.
pub(crate) fn pids() -> std::io::Result<impl Iterator<Item = i32>> {
    let entries = std::fs::read_dir("/proc")?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()))
}

/// The process with this pid, if it exists.
pub(crate) fn member(pid: i32) -> Option<Member> {
    // One read, longer than the name and the numbers up to the start can be.
    let mut stat = [0; 1024];
    let length = File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut stat).ok()?;
    parse(pid, stat.get(..length)?)
}

/// proc_pid_stat(5): the name in brackets may contain spaces and brackets, so the last closing bracket ends it.
fn parse(pid: i32, stat: &[u8]) -> Option<Member> {
    let begin = stat.iter().position(|byte| *byte == b'(')?;
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let (is_zombie, is_uninterruptible) = (matches!(state, "Z" | "X"), state == "D");
    let parent = fields.next()?.parse().ok()?;
    let flags: u32 = fields.nth(FLAGS_AFTER_PARENT)?.parse().ok()?;
    let started = fields.nth(STARTED_AFTER_FLAGS)?.parse().ok()?;
    let name = printable(&String::from_utf8_lossy(stat.get(begin + 1..end)?));
    let is_kernel_thread = flags & KERNEL_THREAD != 0;
    Some(Member { pid, parent, is_zombie, is_uninterruptible, is_kernel_thread, name, started })
}

/// The number of fields between (proc_pid_stat(5)): the parent is the fourth, the flags the ninth, the start the 22nd.
const FLAGS_AFTER_PARENT: usize = 4;
const STARTED_AFTER_FLAGS: usize = 12;
/// PF_KTHREAD of linux/sched.h.
const KERNEL_THREAD: u32 = 0x0020_0000;
/// A chain of parents is not longer than this. The limit also ends the climb if the chain changes meanwhile.
const MOST_GENERATIONS: usize = 10_000;
const CLOSE_GENERATIONS: usize = 100;

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn the_loop_climbs_a_bounded_number_of_generations() {
        let read = std::cell::Cell::new(0);
        // Each process is the child of the one with the next lower number.
        let parent = |pid: i32| {
            read.set(read.get() + 1);
            Some(pid - 1)
        };
        assert_eq!(climb(50_000, 2, CLOSE_GENERATIONS, parent), Some(false));
        assert_eq!(read.get(), 100);
        assert_eq!(climb(101, 2, CLOSE_GENERATIONS, parent), Some(true));
        assert_eq!(climb(102, 2, CLOSE_GENERATIONS, parent), Some(true));
        assert_eq!(climb(103, 2, CLOSE_GENERATIONS, parent), Some(false));
        assert_eq!(climb(9_000, 2, MOST_GENERATIONS, parent), Some(true));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a child, and threads that end")]
    fn a_thread_that_ends_hides_no_child_of_its_process() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let is_over = AtomicBool::new(false);
        let short_lives = || {
            while !is_over.load(Ordering::Relaxed) {
                std::thread::spawn(|| {}).join().unwrap();
            }
        };
        let missed = std::thread::scope(|scope| {
            scope.spawn(short_lives);
            scope.spawn(short_lives);
            let is_there = |found: Vec<i32>| found.contains(&pid);
            let missed = (0..2000).filter(|_| !children_of(own_pid(), Most::ALL).is_some_and(is_there)).count();
            is_over.store(true, Ordering::Relaxed);
            missed
        });
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(missed, 0);
    }

    #[test]
    fn only_the_state_makes_a_process_uninterruptible() {
        let is_it = |stat: &str| {
            let stat = format!("{stat} 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 999");
            parse(42, stat.as_bytes()).unwrap().is_uninterruptible
        };
        assert!(is_it("42 (a) D 7"));
        assert!(!is_it("42 (a) S 7"));
        assert!(!is_it("42 (x) D y) S 7"), "a name can contain anything");
    }

    #[test]
    fn the_parent_is_found_behind_any_name() {
        let rest = "42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 999";
        let parse = |stat: &[u8]| {
            let stat = [stat, b" ", rest.as_bytes()].concat();
            parse(42, &stat).map(|found| (found.name, found.parent, found.is_zombie, found.started))
        };
        assert_eq!(parse(b"42 (a) S 7"), Some(("a".to_owned(), 7, false, 123_456)));
        assert_eq!(parse(b"42 (x) R (9 1) Z 7"), Some(("x) R (9 1".to_owned(), 7, true, 123_456)));
        assert_eq!(parse(b"42 (a\nb) S 7"), Some(("a\u{fffd}b".to_owned(), 7, false, 123_456)));
        assert_eq!(parse(b"42 (cut"), None);
        assert_eq!(parse(b")42("), None);
        assert_eq!(parse(b""), None);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a process with a child")]
    fn processes_below_are_found_by_lists_of_children_or_by_climbing() {
        let script = "sh -c 'sleep 1000 & wait' & echo $!; wait";
        let mut shell = Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let root = i32::try_from(shell.id()).unwrap();
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let names = |found: &mut dyn Iterator<Item = Member>| {
            let mut names: Vec<_> = found.map(|member| member.name).collect();
            names.sort_unstable();
            names
        };
        while names(&mut below(root, Most::ALL)) != ["sh", "sleep"] {
            assert!(std::time::Instant::now() < end, "{:?}", names(&mut below(root, Most::ALL)));
        }
        let climbing = &mut all_processes().filter(|member| descends_from(member.pid, root) == Some(true));
        assert_eq!(names(climbing), ["sh", "sleep"]);
        assert_eq!(children_of(i32::MAX, Most::ALL), None, "there is no such process");
        let all = below(root, Most::ALL).map(|member| member.pid).collect::<Vec<_>>();
        all.into_iter().for_each(|pid| {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Some(nix::sys::signal::SIGKILL)).unwrap()
        });
        shell.wait().unwrap();
    }
}

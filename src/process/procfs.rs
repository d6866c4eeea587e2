//! The processes below us, read from /proc at each call.

use std::collections::HashMap;
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
    pub(crate) is_kernel_thread: bool,
    /// The name of its program, 15 bytes at most.
    pub(crate) name: String,
    /// Its start, in hundredths of a second since the boot: together with the pid this identifies a process.
    pub(crate) started: u64,
}

/// The processes below us; as PID 1, all but us. Empty without /proc.
pub(super) fn below_us() -> Vec<Member> {
    some_below_us(usize::MAX)
}

/// The processes below us among the first `most` that /proc shows.
pub(super) fn some_below_us(most: usize) -> Vec<Member> {
    let own = own_pid();
    let some = all_processes().into_iter().flatten().take(most);
    // Processes that joined the namespace have no parent in it, but belong to this container.
    if super::is_first_process() { some.filter(|member| member.pid != own).collect() } else { descendants(own, some) }
}

/// The processes below this one, among the first `most` that /proc shows.
pub(crate) fn below(root: i32, most: usize) -> Vec<Member> {
    descendants(root, all_processes().into_iter().flatten().take(most))
}

/// Whether this process descends from us, found by climbing from it. `None`: it or one of its ancestors has ended
/// meanwhile.
pub(super) fn is_below_us(pid: i32) -> Option<bool> {
    descends_from(pid, own_pid())
}

/// Whether a process descends from this ancestor. `None`: it or one of its ancestors has ended meanwhile.
pub(crate) fn descends_from(mut pid: i32, ancestor: i32) -> Option<bool> {
    for _ in 0..MOST_GENERATIONS {
        match member(pid)?.parent {
            0 => return Some(false),
            parent if parent == ancestor => return Some(true),
            parent => pid = parent,
        }
    }
    Some(false)
}

/// Our own pid.
pub(crate) fn own_pid() -> i32 {
    nix::unistd::getpid().as_raw()
}

/// All processes that /proc shows us, each read when the iterator reaches it.
fn all_processes() -> std::io::Result<impl Iterator<Item = Member>> {
    Ok(pids()?.filter_map(member))
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
    let is_zombie = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    let flags: u32 = fields.nth(FLAGS_AFTER_PARENT)?.parse().ok()?;
    let started = fields.nth(STARTED_AFTER_FLAGS)?.parse().ok()?;
    let name = printable(&String::from_utf8_lossy(stat.get(begin + 1..end)?));
    Some(Member { pid, parent, is_zombie, is_kernel_thread: flags & KERNEL_THREAD != 0, name, started })
}

/// The number of fields between (proc_pid_stat(5)): the parent is the fourth, the flags the ninth, the start the 22nd.
const FLAGS_AFTER_PARENT: usize = 4;
const STARTED_AFTER_FLAGS: usize = 12;
/// PF_KTHREAD of linux/sched.h.
const KERNEL_THREAD: u32 = 0x0020_0000;
/// A chain of parents is not longer than this. The limit also ends the climb if the chain changes meanwhile.
const MOST_GENERATIONS: usize = 10_000;

fn descendants(root: i32, all: impl IntoIterator<Item = Member>) -> Vec<Member> {
    let mut children: HashMap<i32, Vec<Member>> = HashMap::new();
    for member in all {
        children.entry(member.parent).or_default().push(member);
    }
    let mut found = Vec::new();
    let mut next = vec![root];
    while let Some(pid) = next.pop() {
        for member in children.remove(&pid).unwrap_or_default() {
            next.push(member.pid);
            found.push(member);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(parents: &[(i32, i32)]) -> Vec<Member> {
        parents.iter().map(|&(pid, parent)| Member { pid, parent, ..Member::default() }).collect()
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
    fn only_descendants_are_found_and_a_ring_of_parents_ends() {
        let mut found: Vec<_> =
            descendants(5, all(&[(5, 1), (6, 5), (7, 6), (8, 1), (9, 8)])).iter().map(|m| m.pid).collect();
        found.sort_unstable();
        assert_eq!(found, [6, 7]);
        // A tree that changed while it was read.
        assert_eq!(descendants(5, all(&[(6, 7), (7, 6), (5, 5)])).len(), 1);
    }
}

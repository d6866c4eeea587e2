//! The ports an app listens on: the sockets its processes hold (/proc/PID/fd), joined with those that listen. Where
//! that cannot be read (another user's process, no CAP_SYS_PTRACE) it is every listening port of the namespace but
//! our own. Looked at once, when a stop begins: an app closes its listeners in its own time.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use super::Socket;
use crate::small_map::SmallMap;

/// The ports of the process and its descendants, in order, from all sockets that listen here.
pub(crate) fn of_app(app: Option<i32>, listeners: &[Socket]) -> Vec<u16> {
    let held: HashSet<u64> = app.map(family_of).unwrap_or_default().into_iter().flat_map(held_by).collect();
    let mut ports: SmallMap<u16, ()> =
        listeners.iter().filter(|socket| held.contains(&socket.inode)).map(|socket| (socket.port, ())).collect();
    if ports.is_empty() {
        let ours: HashSet<u64> = held_in(Path::new("/proc/self/fd")).collect();
        ports =
            listeners.iter().filter(|socket| !ours.contains(&socket.inode)).map(|socket| (socket.port, ())).collect();
    }
    ports.keys().copied().collect()
}

/// The process and its descendants, as far as /proc shows them.
fn family_of(app: i32) -> Vec<i32> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    for pid in pids.take(MOST_PROCESSES) {
        let parent = fs::read(format!("/proc/{pid}/stat")).ok().and_then(|stat| parent_in(&stat));
        if let Some(parent) = parent {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut family = vec![app];
    let mut unseen = vec![app];
    while let Some(pid) = unseen.pop() {
        let new = children.remove(&pid).unwrap_or_default();
        family.extend(&new);
        unseen.extend(new);
    }
    family
}

/// The parent in a line of /proc/PID/stat: `12 (a) name) S 1 ...`; the name may hold anything.
fn parent_in(stat: &[u8]) -> Option<i32> {
    let end_of_name = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end_of_name + 1..)?).ok()?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Inodes of the sockets a process holds; none where we may not look.
fn held_by(pid: i32) -> impl Iterator<Item = u64> {
    held_in(Path::new(&format!("/proc/{pid}/fd")))
}

fn held_in(folder: &Path) -> impl Iterator<Item = u64> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(MOST_DESCRIPTORS);
    entries.filter_map(|entry| inode_in(fs::read_link(entry.path()).ok()?.to_str()?))
}

/// `socket:[12345]`
fn inode_in(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Looked at, at most: a stop does not wait for more.
const MOST_PROCESSES: usize = 4096;
const MOST_DESCRIPTORS: usize = 4096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::net::State;

    #[test]
    fn a_name_may_hold_anything() {
        assert_eq!(parent_in(b"12 (nginx) S 7 12 12"), Some(7));
        assert_eq!(parent_in(b"12 (a) S 9 (b) R 7 12"), Some(7));
        assert_eq!(inode_in("socket:[77]"), Some(77));
        assert_eq!(inode_in("pipe:[77]"), None);
    }

    #[test]
    fn without_a_process_to_look_at_every_port_counts() {
        let listener = |port| Socket { state: State::Listen, port, unread: 0, unsent: 0, inode: u64::MAX, info: None };
        assert_eq!(of_app(None, &[listener(443), listener(80), listener(80)]), [80, 443]);
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..60), text in ".{0,30}") {
            let _ = (parent_in(&bytes), inode_in(&text));
        }
    }
}

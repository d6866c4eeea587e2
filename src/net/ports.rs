//! The ports that an app listens on: the sockets of its processes (/proc/PID/fd), as far as they listen. If these cannot
//! be read (another user's process, no CAP_SYS_PTRACE), all listening ports of the namespace but our own. They are read
//! once, when a stop begins, because an app may close its listeners at any time after that.

use std::collections::HashSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::Socket;
use crate::process::procfs;
use bookend_lifecycle::sorted::collect_set;

/// The ports of the process and its descendants, in order, from all sockets that listen here.
pub(crate) fn of_app(app: Option<i32>, listeners: &[Socket]) -> Vec<u16> {
    let ports_of = |counts: &dyn Fn(u64) -> bool| {
        let counted = listeners.iter().filter(|socket| counts(socket.inode));
        collect_set(counted.map(|socket| socket.port))
    };
    let held = app.and_then(held_by_family);
    match held {
        Some(held) => ports_of(&|inode| held.contains(&inode)),
        None => {
            let ours = held_in(Path::new("/proc/self/fd")).unwrap_or_default();
            ports_of(&|inode| !ours.contains(&inode))
        }
    }
}

/// Whether the sockets of the app can be read, so that `of_app` does not name the ports of others.
pub(crate) fn are_shown(app: Option<i32>) -> bool {
    app.and_then(held_by_family).is_some()
}

/// The sockets of the app and its descendants. `None`: no socket was seen, and some process cannot be read.
fn held_by_family(app: i32) -> Option<HashSet<u64>> {
    let mut held = HashSet::new();
    let mut all_seen = true;
    for pid in family_of(app) {
        match held_in(Path::new(&format!("/proc/{pid}/fd"))) {
            Ok(sockets) => held.extend(sockets),
            // The app exists, so /proc hides it from us. Other processes may have ended meanwhile.
            Err(error) => all_seen &= pid != app && error.kind() != ErrorKind::PermissionDenied,
        }
    }
    (all_seen || !held.is_empty()).then_some(held)
}

/// The process and its descendants, as far as /proc shows them; of a child of ours, those that have become ours as well,
/// as a daemon does.
fn family_of(app: i32) -> Vec<i32> {
    let us = procfs::own_pid();
    let is_ours = procfs::member(app).is_some_and(|member| member.parent == us);
    let below = procfs::below(if is_ours { us } else { app }, MOST_PROCESSES);
    std::iter::once(app).chain(below.into_iter().map(|member| member.pid).filter(|pid| *pid != app)).collect()
}

/// Inodes of the sockets in a folder of descriptors.
fn held_in(folder: &Path) -> io::Result<HashSet<u64>> {
    let entries = fs::read_dir(folder)?.flatten().take(MOST_DESCRIPTORS);
    Ok(entries.filter_map(|entry| inode_in(fs::read_link(entry.path()).ok()?.to_str()?)).collect())
}

/// `socket:[12345]`
fn inode_in(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// How many processes are read at most: a stop does not wait for more.
const MOST_PROCESSES: usize = 4096;
const MOST_DESCRIPTORS: usize = 4096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::net::TcpState;

    #[test]
    fn a_link_to_a_socket_has_its_inode() {
        assert_eq!(inode_in("socket:[77]"), Some(77));
        assert_eq!(inode_in("pipe:[77]"), None);
    }

    #[test]
    fn without_a_process_to_look_at_every_port_counts() {
        let listener = |port| Socket {
            state: TcpState::Listen,
            port,
            local_peer: None,
            peer: 0,
            unread: 0,
            unsent: 0,
            inode: u64::MAX,
            info: None,
        };
        assert_eq!(of_app(None, &[listener(443), listener(80), listener(80)]), [80, 443]);
    }

    proptest! {
        #[test]
        fn any_text_gives_an_answer(text in ".{0,30}") {
            let _ = inode_in(&text);
        }
    }
}

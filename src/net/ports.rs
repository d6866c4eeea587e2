//! The ports that an app listens on: the sockets of its processes (/proc/PID/fd), as far as they listen. If these cannot
//! be read (another user's process, no CAP_SYS_PTRACE), all listening ports of the namespace but our own. They are read
//! once, when a stop begins, because an app may close its listeners at any time after that.

use std::collections::HashSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, Instant};

use super::Socket;
use crate::process::procfs;
use bookend_lifecycle::sorted::collect_set;

/// How long a look at the processes of an app may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PortsLook {
    /// No further process is read after that, but the app itself is.
    pub(crate) time: Duration,
    /// How many threads of a process are asked for their children.
    pub(crate) threads: usize,
}

impl PortsLook {
    /// For the loop, right before a signal: the app's own process in any case, and of the others what there is time for.
    pub(crate) const IN_HASTE: PortsLook = PortsLook { time: Duration::from_millis(4), threads: 200 };
    /// For a thread.
    pub(crate) const BESIDE: PortsLook = PortsLook { time: Duration::from_secs(1), threads: 4096 };
}

/// The ports of the process and its descendants, in order, from all sockets that listen here. And whether these are its own:
/// if its sockets cannot be read, they are those of all processes but us. `look`: how long, and how much of one process.
pub(crate) fn of_app(app: Option<i32>, listeners: &[Socket], look: PortsLook) -> (Vec<u16>, bool) {
    let end = Instant::now() + look.time;
    let ours = held_in(Path::new("/proc/self/fd")).unwrap_or_default();
    let others: Vec<&Socket> = listeners.iter().filter(|socket| !ours.contains(&socket.inode)).collect();
    let held = app.and_then(|app| held_by(family_of(app, look.threads), &others, end));
    let is_counted = |socket: &&Socket| held.as_ref().is_none_or(|held| held.contains(&socket.inode));
    (collect_set(others.iter().copied().filter(is_counted).map(|socket| socket.port)), held.is_some())
}

/// The sockets of these processes, until all the wanted ones are found. The first process is the app. `None`: no wanted socket
/// was found, and some process was not read.
fn held_by(mut family: impl Iterator<Item = i32>, wanted: &[&Socket], end: Instant) -> Option<HashSet<u64>> {
    let (mut held, mut all_seen, mut is_app) = (HashSet::new(), true, true);
    // The next process of the family is looked for only if it is needed.
    while !wanted.iter().all(|socket| held.contains(&socket.inode)) {
        if !is_app && Instant::now() > end {
            all_seen = false;
            break;
        }
        let Some(pid) = family.next() else { break };
        match held_in(Path::new(&format!("/proc/{pid}/fd"))) {
            Ok(sockets) => held.extend(sockets),
            // The app exists, so /proc hides it from us. Other processes may have ended meanwhile.
            Err(error) => all_seen &= !is_app && error.kind() != ErrorKind::PermissionDenied,
        }
        is_app = false;
    }
    (all_seen || wanted.iter().any(|socket| held.contains(&socket.inode))).then_some(held)
}

/// The process and its descendants, as far as /proc shows them; of a child of ours, those that have become ours as well,
/// as a daemon does. Each is read when the iterator reaches it.
fn family_of(app: i32, threads: usize) -> impl Iterator<Item = i32> {
    let us = procfs::own_pid();
    let below = std::iter::once_with(move || {
        let is_ours = procfs::member(app).is_some_and(|member| member.parent == us);
        let most = procfs::Most { children: MOST_PROCESSES, threads };
        procfs::below(if is_ours { us } else { app }, most).take(MOST_PROCESSES)
    });
    std::iter::once(app).chain(below.flatten().map(|member| member.pid).filter(move |pid| *pid != app))
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

/// How many processes are read at most.
const MOST_PROCESSES: usize = 4096;
/// Listeners are among the first descriptors.
const MOST_DESCRIPTORS: usize = 1024;

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use proptest::prelude::*;

    use super::*;
    use crate::net::TcpState;

    #[test]
    fn a_link_to_a_socket_has_its_inode() {
        assert_eq!(inode_in("socket:[77]"), Some(77));
        assert_eq!(inode_in("pipe:[77]"), None);
    }

    fn listener(port: u16, inode: u64) -> Socket {
        Socket { state: TcpState::Listen, port, local_peer: None, peer: 0, unread: 0, unsent: 0, inode, info: None }
    }

    #[test]
    fn the_app_is_read_however_late_and_a_part_is_not_all() {
        let us = i32::try_from(std::process::id()).unwrap();
        let open = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let open = inode_in(fs::read_link(format!("/proc/self/fd/{}", open.as_raw_fd())).unwrap().to_str().unwrap());
        let (ours, other) = (listener(80, open.unwrap()), listener(443, u64::MAX));
        let late = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        let found = |wanted: &[&Socket], end| held_by([us, us].into_iter(), wanted, end);
        assert!(found(&[&ours, &other], late).is_some_and(|held| held.contains(&ours.inode)));
        assert!(found(&[&other], late).is_none(), "a process that was not read may listen there");
        assert!(found(&[&other], late + Duration::from_secs(60)).is_some(), "both have been read");
    }

    #[test]
    fn without_a_process_to_look_at_every_port_counts() {
        let listener = |port| listener(port, u64::MAX);
        let found = of_app(None, &[listener(443), listener(80), listener(80)], PortsLook::IN_HASTE);
        assert_eq!(found, (vec![80, 443], false));
    }

    proptest! {
        #[test]
        fn any_text_gives_an_answer(text in ".{0,30}") {
            let _ = inode_in(&text);
        }
    }
}

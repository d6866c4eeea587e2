//! Zombies that we cannot reap, because a living process other than us is their parent and does not wait for them.
//! They are looked for only when a client asks or a child of ours has ended, never periodically.

use std::cmp::Reverse;
use std::time::Duration;

use litemap::LiteMap;

use super::procfs::{self, Member};
use bookend_lifecycle::sorted::collect_map;

/// A living process that does not wait for its children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NegligentParent {
    /// Its pid.
    pub(crate) pid: i32,
    /// The name of its program.
    pub(crate) name: String,
    /// How many of its children are zombies.
    pub(crate) zombies: usize,
    /// The zombie that was started first: its start and its pid.
    pub(crate) oldest: (u64, i32),
}

/// All parents of such zombies, the one with the most zombies first.
pub(crate) fn negligent_parents() -> Vec<NegligentParent> {
    negligent_among(procfs::own_pid(), &procfs::below_us(procfs::Most::ALL).collect::<Vec<_>>())
}

fn negligent_among(own: i32, members: &[Member]) -> Vec<NegligentParent> {
    let alive = collect_map(members.iter().filter(|m| !m.is_zombie).map(|m| (m.pid, m.name.as_str())));
    let mut children: LiteMap<i32, Vec<(u64, i32)>> = LiteMap::new();
    // Our own zombies are about to be reaped.
    for zombie in members.iter().filter(|m| m.is_zombie && m.parent != own) {
        children.entry(zombie.parent).or_default().push((zombie.started, zombie.pid));
    }
    let named = children.into_iter().filter_map(|(pid, zombies)| {
        let name = (*alive.get(&pid)?).to_owned();
        let (oldest, zombies) = (zombies.iter().min().copied()?, zombies.len());
        Some(((Reverse(zombies), pid), NegligentParent { pid, name, zombies, oldest }))
    });
    collect_map(named).into_iter().map(|(_, parent)| parent).collect()
}

/// The parents that were found before, and those that were reported. Pure: it is given the time and what was found.
#[derive(Debug, Default)]
pub(crate) struct ZombieWatch {
    /// By pid.
    suspects: LiteMap<i32, Suspect>,
    last_scan: Option<Duration>,
}

/// A parent with zombies.
#[derive(Debug, Clone, Copy)]
struct Suspect {
    oldest_zombie: (u64, i32),
    /// When this zombie was seen first.
    since: Duration,
    is_reported: bool,
}

impl ZombieWatch {
    /// Whether it is time for a scan that no client has asked for.
    pub(crate) fn is_due(&self, now: Duration) -> bool {
        self.is_older_than(BETWEEN_SCANS, now)
    }

    /// Whether the last scan is too old to be shown to a client. A scan reads /proc, ten microseconds for each process,
    /// and any client may ask.
    pub(crate) fn is_stale(&self, now: Duration) -> bool {
        self.is_older_than(FRESH, now)
    }

    fn is_older_than(&self, time: Duration, now: Duration) -> bool {
        self.last_scan.is_none_or(|last| now.saturating_sub(last) >= time)
    }

    /// Records a scan; returns the parents to report, each once. Every parent has a zombie for a moment, and a parent
    /// whose children come and go has another one at every scan: only a zombie that is there at two scans, some time
    /// apart, is one that its parent does not wait for.
    pub(crate) fn scanned<'a>(&mut self, now: Duration, negligent: &'a [NegligentParent]) -> Vec<&'a NegligentParent> {
        self.last_scan = Some(now);
        self.suspects.retain(|pid, _| negligent.iter().any(|found| found.pid == *pid));
        let mut news = Vec::new();
        for found in negligent {
            let new = Suspect { oldest_zombie: found.oldest, since: now, is_reported: false };
            let suspect = self.suspects.entry(found.pid).or_insert(new);
            if suspect.oldest_zombie != found.oldest {
                *suspect = Suspect { is_reported: suspect.is_reported, ..new };
            }
            if now.saturating_sub(suspect.since) >= BETWEEN_SCANS && !suspect.is_reported {
                suspect.is_reported = true;
                news.push(found);
            }
        }
        news
    }
}

/// The time between two scans that no client asked for, and the age at which a zombie is worth a warning.
const BETWEEN_SCANS: Duration = Duration::from_secs(5);
/// How long the result of a scan is reused.
const FRESH: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn member(pid: i32, parent: i32, is_zombie: bool) -> Member {
        Member { pid, parent, is_zombie, name: format!("p{pid}"), ..Member::default() }
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn negligent(zombie: i32) -> NegligentParent {
        NegligentParent { pid: 2, name: "app".to_owned(), zombies: 1, oldest: (0, zombie) }
    }

    #[test]
    fn only_living_parents_other_than_us_are_negligent() {
        let members = [
            member(2, 1, false),
            member(3, 2, true),
            member(4, 2, true),
            // Our own zombie, about to be reaped; and its child, which is about to become ours.
            member(5, 1, true),
            member(6, 5, true),
            member(7, 4, true),
            member(8, 1, false),
            member(9, 8, true),
        ];
        let found: Vec<_> = negligent_among(1, &members).into_iter().map(|p| (p.pid, p.name, p.zombies)).collect();
        assert_eq!(found, [(2, "p2".to_owned(), 2), (8, "p8".to_owned(), 1)]);
    }

    #[test]
    fn the_oldest_zombie_is_the_one_that_was_started_first() {
        let started = |pid, started| Member { started, ..member(pid, 2, true) };
        let members = [member(2, 1, false), started(3, 70), started(5, 60), started(4, 60)];
        assert_eq!(negligent_among(1, &members).first().map(|found| (found.zombies, found.oldest)), Some((3, (60, 4))));
    }

    #[test]
    fn a_parent_whose_children_come_and_go_is_not_negligent() {
        let mut watch = ZombieWatch::default();
        for n in 0..20 {
            assert!(watch.scanned(secs(5 * u64::try_from(n).unwrap()), &[negligent(n)]).is_empty(), "scan {n}");
        }
        // A zombie that stays is one that it does not wait for.
        assert!(watch.scanned(secs(100), &[negligent(30)]).is_empty());
        assert_eq!(watch.scanned(secs(105), &[negligent(30)]).len(), 1);
    }

    #[test]
    fn a_parent_is_reported_once_and_not_at_the_first_scan() {
        let negligent = [negligent(7)];
        let mut watch = ZombieWatch::default();
        assert!(watch.is_due(secs(0)));
        assert!(watch.scanned(secs(0), &negligent).is_empty());
        assert!(!watch.is_due(secs(1)));
        assert!(watch.is_stale(secs(1)) && !watch.is_stale(Duration::from_millis(999)));
        assert!(watch.scanned(secs(1), &negligent).is_empty());
        assert_eq!(watch.scanned(secs(6), &negligent).len(), 1);
        assert!(watch.scanned(secs(100), &negligent).is_empty());
        // The parent has reaped its zombies, and neglects others later.
        assert!(watch.scanned(secs(101), &[]).is_empty());
        assert!(watch.scanned(secs(102), &negligent).is_empty());
        assert_eq!(watch.scanned(secs(110), &negligent).len(), 1);
    }
}

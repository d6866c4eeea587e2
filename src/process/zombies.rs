//! Zombies with a guilty parent: those that we cannot reap, because a living process other than us is their parent
//! and does not wait for them. They are looked for only when somebody asks or a child of ours has ended, never by
//! the clock.

use std::cmp::Reverse;
use std::time::Duration;

use super::procfs::{self, Member};
use bookend_lifecycle::small_map::SmallMap;

/// A living process that does not wait for its children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NegligentParent {
    /// Its pid.
    pub(crate) pid: i32,
    /// The name of its program.
    pub(crate) name: String,
    /// How many of its children are zombies.
    pub(crate) zombies: usize,
    /// The one of them that was started first: when, and its pid.
    pub(crate) oldest: (u64, i32),
}

/// Those there are, the worst first.
pub(crate) fn guilty_parents() -> Vec<NegligentParent> {
    guilty_among(procfs::own_pid(), &procfs::below_us())
}

fn guilty_among(own: i32, members: &[Member]) -> Vec<NegligentParent> {
    let alive: SmallMap<i32, &str> =
        members.iter().filter(|m| !m.is_zombie).map(|m| (m.pid, m.name.as_str())).collect();
    let mut children: SmallMap<i32, Vec<(u64, i32)>> = SmallMap::new();
    // Our own are about to be reaped.
    for zombie in members.iter().filter(|m| m.is_zombie && m.parent != own) {
        children.or_insert(zombie.parent, Vec::new()).push((zombie.started, zombie.pid));
    }
    let named = children.into_iter().filter_map(|(pid, zombies)| {
        let name = (*alive.get(&pid)?).to_owned();
        let (oldest, zombies) = (zombies.iter().min().copied()?, zombies.len());
        Some(((Reverse(zombies), pid), NegligentParent { pid, name, zombies, oldest }))
    });
    named.collect::<SmallMap<_, _>>().into_iter().map(|(_, guilty)| guilty).collect()
}

/// Who has been found guilty before, and who has been told of. Pure: it is given the time and what there is.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// By its pid: its oldest zombie, and when that was seen first.
    since: SmallMap<i32, ((u64, i32), Duration)>,
    told: SmallMap<i32, ()>,
    last_look: Option<Duration>,
}

impl Watch {
    /// Whether it is time for a look that nobody has asked for.
    pub(crate) fn is_due(&self, now: Duration) -> bool {
        self.has_not_looked_for(BETWEEN_LOOKS, now)
    }

    /// Whether what was seen last is too old to be told to whoever asks. A look reads /proc, ten microseconds for each
    /// process, and anybody may ask.
    pub(crate) fn is_stale(&self, now: Duration) -> bool {
        self.has_not_looked_for(FRESH, now)
    }

    fn has_not_looked_for(&self, time: Duration, now: Duration) -> bool {
        self.last_look.is_none_or(|last| now.saturating_sub(last) >= time)
    }

    /// Takes down a look; returns those who are to be told of, each once. Every parent has a zombie for a moment, and one
    /// whose children come and go all the time has another at every look: it is the same one, at two looks a while apart,
    /// that nobody waits for.
    pub(crate) fn look<'a>(&mut self, now: Duration, guilty: &'a [NegligentParent]) -> Vec<&'a NegligentParent> {
        self.last_look = Some(now);
        let is_there = |pid: &i32| guilty.iter().any(|found| found.pid == *pid);
        self.since.retain(is_there);
        self.told.retain(is_there);
        let mut news = Vec::new();
        for found in guilty {
            let seen = self.since.or_insert(found.pid, (found.oldest, now));
            if seen.0 != found.oldest {
                *seen = (found.oldest, now);
            }
            let since = seen.1;
            if now.saturating_sub(since) >= BETWEEN_LOOKS && self.told.insert(found.pid, ()).is_none() {
                news.push(found);
            }
        }
        news
    }
}

/// Between two looks that nobody asked for; and how long a zombie must be seen to be worth a warning.
const BETWEEN_LOOKS: Duration = Duration::from_secs(5);
/// How long a look is told again.
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

    fn guilty(zombie: i32) -> NegligentParent {
        NegligentParent { pid: 2, name: "app".to_owned(), zombies: 1, oldest: (0, zombie) }
    }

    #[test]
    fn only_the_living_and_only_others_are_guilty() {
        let members = [
            member(2, 1, false),
            member(3, 2, true),
            member(4, 2, true),
            // Ours: about to be reaped; and its own child, which is about to become ours.
            member(5, 1, true),
            member(6, 5, true),
            member(7, 4, true),
            member(8, 1, false),
            member(9, 8, true),
        ];
        let found: Vec<_> = guilty_among(1, &members).into_iter().map(|g| (g.pid, g.name, g.zombies)).collect();
        assert_eq!(found, [(2, "p2".to_owned(), 2), (8, "p8".to_owned(), 1)]);
    }

    #[test]
    fn the_oldest_zombie_is_the_one_that_was_started_first() {
        let started = |pid, started| Member { started, ..member(pid, 2, true) };
        let members = [member(2, 1, false), started(3, 70), started(5, 60), started(4, 60)];
        assert_eq!(guilty_among(1, &members).first().map(|found| (found.zombies, found.oldest)), Some((3, (60, 4))));
    }

    #[test]
    fn a_parent_whose_children_come_and_go_waits_for_them() {
        let mut watch = Watch::default();
        for n in 0..20 {
            assert!(watch.look(secs(5 * u64::try_from(n).unwrap()), &[guilty(n)]).is_empty(), "look {n}");
        }
        // One that it has waited for, and one that it does not.
        assert!(watch.look(secs(100), &[guilty(30)]).is_empty());
        assert_eq!(watch.look(secs(105), &[guilty(30)]).len(), 1);
    }

    #[test]
    fn a_parent_is_told_of_once_and_not_at_first_sight() {
        let guilty = [guilty(7)];
        let mut watch = Watch::default();
        assert!(watch.is_due(secs(0)));
        assert!(watch.look(secs(0), &guilty).is_empty());
        assert!(!watch.is_due(secs(1)));
        assert!(watch.is_stale(secs(1)) && !watch.is_stale(Duration::from_millis(999)));
        assert!(watch.look(secs(1), &guilty).is_empty());
        assert_eq!(watch.look(secs(6), &guilty).len(), 1);
        assert!(watch.look(secs(100), &guilty).is_empty());
        // It has mended its ways, and fallen back.
        assert!(watch.look(secs(101), &[]).is_empty());
        assert!(watch.look(secs(102), &guilty).is_empty());
        assert_eq!(watch.look(secs(110), &guilty).len(), 1);
    }
}

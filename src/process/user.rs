//! Users and groups as /etc/passwd and /etc/group have them, read by ourselves: a static binary meets any
//! image, and the C library's own look-up would load modules that are not there (nsswitch.conf(5)).
//!
//! | said      | uid    | gid                                | supplementary groups                 |
//! | --------- | ------ | ---------------------------------- | ------------------------------------ |
//! | a name    | its    | its own, or what stands after `:`  | those that name it (initgroups(3))   |
//! | a number  | itself | as above; without an entry bookend's own | as above; without an entry none |

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use crate::files::read_beginning;
use bookend_config::settings::{Id, User};

/// Who a program runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The supplementary groups; the gid is one of them, as initgroups(3) has it.
    pub(crate) groups: Vec<u32>,
    /// `None`: no entry in /etc/passwd.
    pub(crate) name: Option<OsString>,
    /// `/` without an entry, as container runtimes have it.
    pub(crate) home: OsString,
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.name.as_deref().unwrap_or(OsStr::new("a user without a name"));
        write!(f, "{} (uid {}, gid {})", name.to_string_lossy(), self.uid, self.gid)
    }
}

/// Why nobody can be found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnknownId {
    #[error("there is no user {0:?} in /etc/passwd")]
    User(String),
    #[error("there is no group {0:?} in /etc/group")]
    Group(String),
}

/// Looks a user up in the files of this container. `own_gid` is the group of who has no other.
pub(crate) fn look_up(user: &User, own_gid: u32) -> Result<Identity, UnknownId> {
    identity(user, &read(Path::new("/etc/passwd")), &read(Path::new("/etc/group")), own_gid)
}

fn identity(user: &User, passwd: &[u8], group: &[u8], own_gid: u32) -> Result<Identity, UnknownId> {
    let account = accounts(passwd).find(|account| match &user.user {
        Id::Name(name) => account.name == name.as_bytes(),
        Id::Number(uid) => account.uid == *uid,
    });
    let uid = match (&account, &user.user) {
        (Some(account), _) => account.uid,
        (None, Id::Number(uid)) => *uid,
        (None, Id::Name(name)) => return Err(UnknownId::User(name.clone())),
    };
    let gid = match &user.group {
        Some(Id::Number(gid)) => *gid,
        Some(Id::Name(name)) => groups(group)
            .find(|group| group.name == name.as_bytes())
            .map(|group| group.gid)
            .ok_or_else(|| UnknownId::Group(name.clone()))?,
        None => account.as_ref().map_or(own_gid, |account| account.gid),
    };
    let mut all = vec![gid];
    if let Some(account) = &account {
        let named = groups(group).filter(|group| group.members.split(|b| *b == b',').any(|m| m == account.name));
        for group in named {
            if !all.contains(&group.gid) && all.len() < MAX_GROUPS {
                all.push(group.gid);
            }
        }
    }
    let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let home = account.as_ref().map(|account| account.home).filter(|home| !home.is_empty());
    Ok(Identity {
        uid,
        gid,
        groups: all,
        name: account.as_ref().map(|account| text(account.name)),
        home: home.map_or_else(|| OsStr::new("/").to_owned(), text),
    })
}

/// A line of passwd(5).
struct Account<'a> {
    name: &'a [u8],
    uid: u32,
    gid: u32,
    home: &'a [u8],
}

/// A line of group(5).
struct Group<'a> {
    name: &'a [u8],
    gid: u32,
    members: &'a [u8],
}

/// Lines that are none are skipped, as getpwnam(3) does: one broken line must not hide the others.
fn accounts(passwd: &[u8]) -> impl Iterator<Item = Account<'_>> {
    lines(passwd).filter_map(|line| {
        let mut fields = line.split(|b| *b == b':');
        let (name, _password) = (fields.next()?, fields.next()?);
        let (uid, gid) = (number(fields.next()?)?, number(fields.next()?)?);
        let (_comment, home) = (fields.next(), fields.next().unwrap_or_default());
        Some(Account { name, uid, gid, home })
    })
}

fn groups(group: &[u8]) -> impl Iterator<Item = Group<'_>> {
    lines(group).filter_map(|line| {
        let mut fields = line.split(|b| *b == b':');
        let (name, _password, gid) = (fields.next()?, fields.next()?, number(fields.next()?)?);
        Some(Group { name, gid, members: fields.next().unwrap_or_default() })
    })
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|b| *b == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.is_empty() && !line.starts_with(b"#") && !line.starts_with(b":"))
}

fn number(field: &[u8]) -> Option<u32> {
    // The largest means "do not change" to setresuid(2).
    std::str::from_utf8(field).ok()?.parse().ok().filter(|id| *id != u32::MAX)
}

/// The file, or nothing where there is none: an image FROM scratch has no users, and numbers are fine.
fn read(path: &Path) -> Vec<u8> {
    read_beginning(path, MAX_BYTES).unwrap_or_default()
}

/// What the kernel takes (setgroups(2)).
const MAX_GROUPS: usize = 65536;
/// More is no list of users.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/bash\n# a comment\nbroken\nwww-data:x:33:33:www:/var/www:\n\
        nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\r\nbare:x:7:8\n+nis::::::";
    const GROUP: &[u8] =
        b"root:x:0:\nadm:*:4:syslog,www-data\nwww-data:x:33:\nssl:x:110:nobody,www-data\nagain:x:110:www-data\nnogroup:x:65534:";

    fn who(user: &str, group: Option<&str>) -> Result<Identity, UnknownId> {
        let id = |said: &str| said.parse().map_or_else(|_| Id::Name(said.to_owned()), Id::Number);
        identity(&User { user: id(user), group: group.map(id) }, PASSWD, GROUP, 42)
    }

    #[test]
    fn a_name_has_its_own_group_and_those_that_name_it() {
        let www = who("www-data", None).unwrap();
        assert_eq!((www.uid, www.gid, &*www.groups), (33, 33, &[33, 4, 110][..]));
        assert_eq!((www.name, www.home), (Some("www-data".into()), "/var/www".into()));
    }

    #[test]
    fn a_number_with_an_entry_is_that_user() {
        assert_eq!(who("33", None), who("www-data", None));
        assert_eq!(who("65534", None).unwrap().groups, [65534, 110]);
    }

    #[test]
    fn a_number_without_an_entry_is_fine_and_has_no_group_of_others() {
        let stranger = who("1234", None).unwrap();
        assert_eq!((stranger.uid, stranger.gid, &*stranger.groups), (1234, 42, &[42][..]));
        assert_eq!((stranger.name, stranger.home), (None, "/".into()));
        assert_eq!(who("1234", Some("4")).unwrap().groups, [4]);
    }

    #[test]
    fn a_group_that_is_said_replaces_the_users_own() {
        let www = who("www-data", Some("nogroup")).unwrap();
        assert_eq!((www.gid, &*www.groups), (65534, &[65534, 4, 110][..]));
        assert_eq!(who("www-data", Some("7")).unwrap().gid, 7);
    }

    #[test]
    fn nobody_of_that_name_is_an_error_that_names_it() {
        assert_eq!(who("nobdy", None).unwrap_err().to_string(), "there is no user \"nobdy\" in /etc/passwd");
        assert_eq!(who("33", Some("staff")).unwrap_err().to_string(), "there is no group \"staff\" in /etc/group");
        assert_eq!(who("broken", None), Err(UnknownId::User("broken".to_owned())));
    }

    #[test]
    fn a_line_without_a_home_means_the_root() {
        let bare = who("bare", None).unwrap();
        assert_eq!((bare.gid, bare.home), (8, "/".into()));
    }

    proptest! {
        #[test]
        fn no_file_is_a_panic(passwd in "[a:0,\n\r#]{0,60}", group in "[a:0,\n]{0,60}", user in 0u32..3) {
            let user = User { user: Id::Number(user), group: Some(Id::Name("a".to_owned())) };
            let _ = identity(&user, passwd.as_bytes(), group.as_bytes(), 0);
        }
    }
}

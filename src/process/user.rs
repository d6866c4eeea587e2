//! Users and groups of /etc/passwd and /etc/group, read by ourselves: a static binary runs in any image, and the C
//! library's own look-up would load modules that are not there (nsswitch.conf(5)).
//!
//! | configured | uid        | gid                                          | supplementary groups                      |
//! | ---------- | ---------- | -------------------------------------------- | ----------------------------------------- |
//! | a name     | its uid    | its group, or the one after `:`              | the groups that name it (initgroups(3))   |
//! | a number   | the number | the same; without an entry, bookend's own    | the same; without an entry, no other group |

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use crate::files::read_beginning;

/// A user or a group, by name or number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccountId<'a> {
    Name(&'a str),
    Number(u32),
}

/// The user that a program runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The supplementary groups, which include the gid, as with initgroups(3).
    pub(crate) groups: Vec<u32>,
    /// `None`: /etc/passwd has no entry.
    pub(crate) name: Option<OsString>,
    /// Without an entry `/`, as in container runtimes.
    pub(crate) home: OsString,
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.name.as_deref().unwrap_or(OsStr::new("a user without a name"));
        write!(f, "{} (uid {}, gid {})", name.to_string_lossy(), self.uid, self.gid)
    }
}

/// A name that is not in its file, or whose file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnknownId {
    #[error("/etc/passwd has no user {0:?}")]
    User(String),
    #[error("/etc/group has no group {0:?}")]
    Group(String),
    /// It may be there.
    #[error("cannot look up {0:?} in {1}: {2}")]
    Unread(String, &'static str, String),
}

/// Looks a user up in the files of this container. `own_gid` is the group of a user that has no other.
pub(crate) fn look_up(user: AccountId<'_>, group: Option<AccountId<'_>>, own_gid: u32) -> Result<Identity, UnknownId> {
    let read = |path| read_beginning(Path::new(path), MAX_BYTES);
    let (passwd, groups) = (read(PASSWD), read(GROUP));
    // Numbers work without these files: an image FROM scratch has none.
    let (of_passwd, of_group) = (passwd.as_deref().unwrap_or_default(), groups.as_deref().unwrap_or_default());
    identity(user, group, of_passwd, of_group, own_gid).map_err(|unknown| {
        let (name, path, file) = match &unknown {
            UnknownId::User(name) => (name, PASSWD, &passwd),
            UnknownId::Group(name) | UnknownId::Unread(name, ..) => (name, GROUP, &groups),
        };
        match file {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                UnknownId::Unread(name.clone(), path, error.to_string())
            }
            _ => unknown,
        }
    })
}

fn identity(
    user: AccountId<'_>,
    primary_group: Option<AccountId<'_>>,
    passwd: &[u8],
    group: &[u8],
    own_gid: u32,
) -> Result<Identity, UnknownId> {
    let account = accounts(passwd).find(|account| match user {
        AccountId::Name(name) => account.name == name.as_bytes(),
        AccountId::Number(uid) => account.uid == uid,
    });
    let uid = match (&account, user) {
        (Some(account), _) => account.uid,
        (None, AccountId::Number(uid)) => uid,
        (None, AccountId::Name(name)) => return Err(UnknownId::User(name.to_owned())),
    };
    let gid = match primary_group {
        Some(AccountId::Number(gid)) => gid,
        Some(AccountId::Name(name)) => groups(group)
            .find(|group| group.name == name.as_bytes())
            .map(|group| group.gid)
            .ok_or_else(|| UnknownId::Group(name.to_owned()))?,
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

/// Malformed lines are skipped, as getpwnam(3) does: one of them must not hide the others.
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
    // For setresuid(2) the largest number means "do not change".
    std::str::from_utf8(field).ok()?.parse().ok().filter(|id| *id != u32::MAX)
}

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
/// The kernel's limit (setgroups(2)).
const MAX_GROUPS: usize = 65536;
/// A larger file is not a list of users.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ACCOUNTS: &[u8] = b"root:x:0:0:root:/root:/bin/bash\n# a comment\nbroken\nwww-data:x:33:33:www:/var/www:\n\
        nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\r\nbare:x:7:8\n+nis::::::";
    const GROUPS: &[u8] =
        b"root:x:0:\nadm:*:4:syslog,www-data\nwww-data:x:33:\nssl:x:110:nobody,www-data\nagain:x:110:www-data\nnogroup:x:65534:";

    fn found(user: &str, group: Option<&str>) -> Result<Identity, UnknownId> {
        fn id(text: &str) -> AccountId<'_> {
            text.parse().map_or(AccountId::Name(text), AccountId::Number)
        }
        identity(id(user), group.map(id), ACCOUNTS, GROUPS, 42)
    }

    #[test]
    fn a_name_gets_its_group_and_the_groups_that_list_it() {
        let www = found("www-data", None).unwrap();
        assert_eq!((www.uid, www.gid, &*www.groups), (33, 33, &[33, 4, 110][..]));
        assert_eq!((www.name, www.home), (Some("www-data".into()), "/var/www".into()));
    }

    #[test]
    fn a_number_with_an_entry_is_the_same_as_its_name() {
        assert_eq!(found("33", None), found("www-data", None));
        assert_eq!(found("65534", None).unwrap().groups, [65534, 110]);
    }

    #[test]
    fn a_number_without_an_entry_gets_bookends_group_only() {
        let unlisted = found("1234", None).unwrap();
        assert_eq!((unlisted.uid, unlisted.gid, &*unlisted.groups), (1234, 42, &[42][..]));
        assert_eq!((unlisted.name, unlisted.home), (None, "/".into()));
        assert_eq!(found("1234", Some("4")).unwrap().groups, [4]);
    }

    #[test]
    fn a_configured_group_replaces_the_users_own() {
        let www = found("www-data", Some("nogroup")).unwrap();
        assert_eq!((www.gid, &*www.groups), (65534, &[65534, 4, 110][..]));
        assert_eq!(found("www-data", Some("7")).unwrap().gid, 7);
    }

    #[test]
    fn an_unknown_name_is_an_error_that_names_it() {
        assert_eq!(found("nobdy", None).unwrap_err().to_string(), "/etc/passwd has no user \"nobdy\"");
        assert_eq!(found("33", Some("staff")).unwrap_err().to_string(), "/etc/group has no group \"staff\"");
        assert_eq!(found("broken", None), Err(UnknownId::User("broken".to_owned())));
    }

    #[test]
    fn an_entry_without_a_home_gets_the_root_directory() {
        let bare = found("bare", None).unwrap();
        assert_eq!((bare.gid, bare.home), (8, "/".into()));
    }

    proptest! {
        #[test]
        fn no_file_content_causes_a_panic(passwd in "[a:0,\n\r#]{0,60}", group in "[a:0,\n]{0,60}", user in 0u32..3) {
            let primary = Some(AccountId::Name("a"));
            let _ = identity(AccountId::Number(user), primary, passwd.as_bytes(), group.as_bytes(), 0);
        }
    }
}

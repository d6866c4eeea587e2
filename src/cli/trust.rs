//! Whether the process that listens on a socket may be trusted to be the container's bookend.
//!
//! | client | listening process              | trusted                                                        |
//! | ------ | ------------------------------ | -------------------------------------------------------------- |
//! | any    | root, or the client's own user | yes                                                            |
//! | root   | another user                   | if only root and that user can replace the socket and its path |
//! | other  | a third user                   | no                                                             |
//!
//! `--peer-uid` trusts one more user. Without this check, a user who can write to the socket's directory could take the
//! place of a bookend that is not running, and report success to a preStop hook.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Whether a client of user `own` may talk to a process of user `peer` behind the socket `path`.
pub(super) fn is_trusted(own: u32, peer: u32, allowed: Option<u32>, path: &Path) -> bool {
    const ROOT: u32 = 0;
    peer == ROOT || peer == own || allowed == Some(peer) || own == ROOT && belongs_to(path, &[ROOT, peer])
}

/// Whether only these users can replace the socket. Checks the path as named and with its links resolved.
fn belongs_to(path: &Path, owners: &[u32]) -> bool {
    let Ok(resolved) = path.canonicalize() else { return false };
    let named = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    [named, resolved].iter().all(|path| {
        let Some(folder) = path.parent() else { return false };
        let mut above = folder.ancestors().skip(1);
        is_owned(path, owners)
            && folder.metadata().is_ok_and(|folder| owners.contains(&folder.uid()) && !others_can_write(&folder))
            && above.all(|folder| {
                // In a sticky directory such as /tmp, others cannot rename what they do not own.
                let is_safe = |folder: &Metadata| !others_can_write(folder) || folder.mode() & STICKY != 0;
                folder.metadata().is_ok_and(|folder| owners.contains(&folder.uid()) && is_safe(&folder))
            })
    })
}

fn is_owned(path: &Path, owners: &[u32]) -> bool {
    path.symlink_metadata().is_ok_and(|file| owners.contains(&file.uid()))
}

/// The members of a group count as others: we do not know them.
fn others_can_write(folder: &Metadata) -> bool {
    folder.mode() & 0o022 != 0
}

const STICKY: u32 = 0o1000;

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn root_and_the_own_user_are_always_trusted() {
        let path = Path::new("/no/such/socket");
        assert!(is_trusted(1000, 0, None, path) && is_trusted(1000, 1000, None, path) && is_trusted(0, 0, None, path));
        assert!(!is_trusted(1000, 1001, None, path) && !is_trusted(0, 1001, None, path));
        assert!(is_trusted(1000, 1001, Some(1001), path) && !is_trusted(1000, 1002, Some(1001), path));
    }

    #[test]
    fn a_third_user_must_not_be_able_to_replace_the_socket() {
        let folder = std::env::temp_dir().join(format!("bookend-trust-{}", std::process::id()));
        let inner = folder.join("inner");
        fs::create_dir_all(&inner).unwrap();
        let socket = inner.join("socket");
        fs::write(&socket, "").unwrap();
        let me = fs::metadata(&socket).unwrap().uid();
        let with = |path: &Path, mode: u32| {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
            belongs_to(&socket, &[0, me])
        };
        assert!(with(&inner, 0o755));
        assert!(!with(&inner, 0o775), "a group can write");
        assert!(!with(&inner, 0o1777), "in a sticky directory, others could have been first");
        assert!(with(&inner, 0o700));
        assert!(!with(&folder, 0o777), "the directory itself can be renamed");
        assert!(with(&folder, 0o1777), "but not out of a sticky one");
        assert!(!belongs_to(&socket, &[me + 1]), "another owner");
        fs::remove_dir_all(folder).unwrap();
    }
}

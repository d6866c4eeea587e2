//! Tells which container a process belongs to, from what /proc shows to the other containers of a pod. Pure.
//!
//! | file              | shows                                                                              |
//! | ----------------- | ---------------------------------------------------------------------------------- |
//! | /proc/N/mountinfo | Kubernetes' name of the container: the kubelet mounts the termination message from `…/pods/UID/containers/NAME/FILE` |
//! | /proc/N/cgroup    | the runtime's id of the container: `…/cri-containerd-ID.scope`, `/docker/ID`        |
//!
//! Seen from inside a cgroup namespace, our own container's cgroup is `/` and the others are `/../…`.

use std::path::PathBuf;

/// The known facts about the container of a process; none if no runtime has left a trace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ContainerIdentity {
    /// `UID/NAME`: Kubernetes' name of the container, after the UID of its pod.
    pub(super) name: Option<String>,
    /// The runtime's id: 64 digits.
    pub(super) id: Option<String>,
    /// The mount namespace, if we may read it. Containers with different ones are different, even if one runs inside the
    /// other.
    pub(super) mounts: Option<PathBuf>,
}

impl ContainerIdentity {
    pub(super) fn read(cgroup: &str, mountinfo: &str, mounts: Option<PathBuf>) -> ContainerIdentity {
        ContainerIdentity { name: kubernetes_name(mountinfo), id: id(cgroup), mounts }
    }

    /// Whether the configuration names this container: by its name, or by its id, which may be shortened as docker(1) does.
    pub(super) fn is_named(&self, selector: &str) -> bool {
        let name = self.name.as_deref().and_then(|name| name.rsplit('/').next());
        let id = self.id.as_deref().filter(|_| selector.len() >= SHORT_ID);
        name == Some(selector) || id.is_some_and(|id| id.starts_with(selector))
    }

    /// Whether both are known to be the same container. An unknown container is not the same as any other.
    pub(super) fn is_same(&self, other: &ContainerIdentity) -> bool {
        let same = |one: &Option<String>, other: &Option<String>| one.is_some() && one == other;
        let differ = |one: &Option<PathBuf>, other: &Option<PathBuf>| one.is_some() && other.is_some() && one != other;
        (same(&self.id, &other.id) || same(&self.name, &other.name)) && !differ(&self.mounts, &other.mounts)
    }

    /// For error messages.
    pub(super) fn shown(&self) -> Option<&str> {
        let name = self.name.as_deref().and_then(|name| name.rsplit('/').next());
        name.or(self.id.as_deref().and_then(|id| id.get(..SHORT_ID)))
    }
}

/// `…/pods/UID/containers/NAME/FILE`, as the root of a mount (proc_pid_mountinfo(5)): `UID/NAME`.
fn kubernetes_name(mountinfo: &str) -> Option<String> {
    mountinfo.lines().find_map(|line| {
        let root = line.split(' ').nth(3)?;
        let mut parts = root.rsplit('/');
        let (_file, name) = (parts.next()?, parts.next()?);
        let (containers, uid, pods) = (parts.next()?, parts.next()?, parts.next()?);
        (containers == "containers" && pods == "pods").then(|| format!("{uid}/{name}"))
    })
}

/// The last id in the path: if one container runs inside another, the process belongs to the inner one.
fn id(cgroup: &str) -> Option<String> {
    let words = cgroup.split(|c: char| !c.is_ascii_alphanumeric());
    let is_id = |word: &&str| word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
    words.rev().find(is_id).map(str::to_owned)
}

/// Whether the cgroup is outside our cgroup namespace: `0::/../ID`.
pub(super) fn is_outside(cgroup: &str) -> bool {
    cgroup.lines().any(|line| line.splitn(3, ':').nth(2).is_some_and(|path| path.starts_with("/..")))
}

/// The length to which docker(1) shortens an id. A shorter word might be a name.
const SHORT_ID: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4f0e3a2b1c4f0e3a2b1c4f0e3a2b1c4f0e3a2b1c4f0e3a2b1c4f0e3a2b1c0123";
    const MOUNTS: &str = "\
        1 2 0:50 / / ro,relatime - overlay overlay rw\n\
        3 1 8:1 /var/lib/kubelet/pods/0b1d/volumes/kubernetes.io~empty-dir/run /run rw - ext4 /dev/sda1 rw\n\
        4 1 8:1 /var/lib/kubelet/pods/0b1d/containers/web/8c2f1a90 /dev/termination-log rw - ext4 /dev/sda1 rw\n\
        5 1 8:1 /var/lib/kubelet/pods/0b1d/etc-hosts /etc/hosts rw - ext4 /dev/sda1 rw\n";

    #[test]
    fn the_id_is_found_in_the_cgroup_paths_of_all_runtimes() {
        let paths = [
            format!("0::/kubepods.slice/kubepods-burstable.slice/kubepods-pod0b1d.slice/cri-containerd-{ID}.scope\n"),
            format!("0::/../cri-containerd-{ID}.scope\n"),
            format!("0::/../crio-{ID}.scope/container\n"),
            format!("12:pids:/docker/{ID}\n0::/\n"),
            format!("0::/system.slice/docker-{ID}.scope/init\n"),
            format!("0::/machine.slice/libpod_parent/libpod-{ID}/container\n"),
            format!("4:memory:/kubepods/besteffort/pod0b1d/{ID}\n"),
        ];
        for path in paths {
            assert_eq!(id(&path).as_deref(), Some(ID), "{path}");
        }
        assert_eq!(id("0::/user.slice/user-1000.slice/session-1.scope\n"), None);
    }

    #[test]
    fn a_container_is_selected_by_name_or_by_id() {
        let container = ContainerIdentity::read(&format!("0::/../cri-containerd-{ID}.scope"), MOUNTS, None);
        assert_eq!(container.name.as_deref(), Some("0b1d/web"));
        for selector in ["web", ID, &ID[..12]] {
            assert!(container.is_named(selector), "{selector}");
        }
        for selector in ["we", "0b1d/web", "run", &ID[..8], &ID[1..]] {
            assert!(!container.is_named(selector), "{selector}");
        }
        assert_eq!(container.shown(), Some("web"));
    }

    #[test]
    fn an_unknown_container_is_not_the_same_as_any() {
        let (unknown, known) = (ContainerIdentity::default(), ContainerIdentity::read("", MOUNTS, None));
        assert!(!unknown.is_same(&unknown) && !unknown.is_same(&known) && known.is_same(&known));
        // A container that runs inside another one and shares its cgroup.
        let mounted = |mounts: &str| ContainerIdentity { mounts: Some(mounts.into()), ..known.clone() };
        assert!(!mounted("mnt:[1]").is_same(&mounted("mnt:[2]")) && mounted("mnt:[1]").is_same(&known));
        // The same name in another pod.
        assert!(!known.is_same(&ContainerIdentity::read("", &MOUNTS.replace("0b1d", "77aa"), None)));
    }

    #[test]
    fn other_containers_are_outside_our_cgroup_namespace() {
        assert!(is_outside("0::/../cri-containerd-x.scope\n") && is_outside("4:memory:/../x\n0::/\n"));
        assert!(!is_outside("0::/\n") && !is_outside("0::/a/../b\n") && !is_outside(""));
    }
}

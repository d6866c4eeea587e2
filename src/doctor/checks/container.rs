//! The container: namespaces, capabilities, and the files that bookend needs. Pure.

use crate::doctor::facts::Facts;
use crate::doctor::finding::Finding;
use crate::process::cgroup::{OOM_GROUP, OOM_GROUP_FIX};
use bookend_config::settings::Id;

pub(crate) fn unreadable_file(facts: &Facts) -> Vec<Finding> {
    let found = |(key, path, reason): &(String, String, String)| {
        let what = format!("cannot read {path} ({key}): {reason}");
        let why = "bookend needs it at the start, or when a hook is called";
        let fix = "mount it, and let bookend's user read it (a secret's defaultMode, fsGroup)";
        // Before the container runs, a secret is not mounted yet.
        if facts.container.inside { Finding::new(what, why, fix) } else { Finding::note(what, why, fix) }
    };
    facts.container.unreadable.iter().map(found).collect()
}

/// Outside of a container the network is always the machine's own.
pub(crate) fn host_network(facts: &Facts) -> Vec<Finding> {
    let in_container = facts.container.inside || facts.container.in_kubernetes;
    if !in_container || !facts.container.host_network || !facts.drains() {
        return Vec::new();
    }
    vec![Finding::note(
        "the network namespace is the node's (hostNetwork)",
        "drain looks at the sockets of the app's own ports and may miss short connections; its minimum is fallbackSeconds",
        "set fallbackSeconds to the time that the removal of an endpoint takes",
    )]
}

pub(crate) fn drain_unavailable(facts: &Facts) -> Vec<Finding> {
    let Some(reason) = facts.container.drain_unavailable.as_ref().filter(|_| facts.drains()) else {
        return Vec::new();
    };
    vec![Finding::new(
        format!("drain cannot count connections here: {reason}"),
        "it waits for its fixed minimum, whatever arrives",
        "set minSeconds to the time that the removal of an endpoint takes; or allow what is missing (/proc, netlink)",
    )]
}

pub(crate) fn not_pid_1(facts: &Facts) -> Vec<Finding> {
    let container = &facts.container;
    if !container.inside || container.first_process == "bookend" {
        return Vec::new();
    }
    vec![Finding::note(
        format!("PID 1 is {}: the PID namespace is shared, or another init is in front", container.first_process),
        "bookend gets orphans as a subreaper; a process that detaches from it belongs to PID 1 and is not ended at the stop",
        "if that matters, remove shareProcessNamespace or the second init",
    )]
}

/// Without CAP_KILL, root itself may not signal processes of another user: kill(2).
pub(crate) fn cap_kill(facts: &Facts) -> Vec<Finding> {
    let Some(user) = &facts.settings.app.program.user else { return Vec::new() };
    let stays_root = matches!(&user.user, Id::Number(0)) || matches!(&user.user, Id::Name(name) if name == "root");
    if stays_root || facts.container.can_signal_others != Some(false) || !facts.container.inside {
        return Vec::new();
    }
    vec![Finding::new(
        "app.user is another user than bookend's, and bookend has no CAP_KILL",
        "the kernel refuses the stop signal and SIGKILL: a stop without a report, until the runtime's own SIGKILL",
        "add the capability KILL beside SETUID and SETGID; or run the whole container as that user",
    )]
}

pub(crate) fn socket(facts: &Facts) -> Vec<Finding> {
    let Some(reason) = &facts.container.socket_error else { return Vec::new() };
    let why = "`bookend hook`, `status`, `stop` and `events` cannot reach the running bookend";
    let fix = "mount a volume for it and set BOOKEND_SOCKET to a path there, or mount a tmpfs at /run";
    let is_configured = facts.settings.socket.path().is_some_and(|(_, is_configured)| is_configured);
    vec![if is_configured { Finding::new(reason, why, fix) } else { Finding::note(reason, why, fix) }]
}

pub(crate) fn termination_log(facts: &Facts) -> Vec<Finding> {
    let container = &facts.container;
    if !container.inside || !container.in_kubernetes || container.termination_log {
        return Vec::new();
    }
    vec![Finding::note(
        "the file for the termination message does not exist",
        "the report of a stop is in the container's log only, not in `kubectl describe pod`",
        "set terminationMessagePath here and in the Pod to the same path",
    )]
}

pub(crate) fn oom_group(facts: &Facts) -> Vec<Finding> {
    if !facts.container.dies_as_a_group || facts.settings.lifecycle.post_stop.is_empty() {
        return Vec::new();
    }
    let why = "an app that uses more memory than its limit takes bookend along; `kubectl describe pod` shows OOMKilled";
    vec![Finding::note(OOM_GROUP, why, OOM_GROUP_FIX)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::facts::container::ContainerFacts;
    use crate::doctor::finding::Severity;
    use bookend_config::{Document, Sources};

    fn facts(text: &str) -> Facts {
        let files = vec![Document { name: "test".to_owned(), text: text.to_owned() }];
        let settings = bookend_config::load(&Sources { files, ..Sources::default() }).expect("it is valid").settings;
        Facts { settings, ..Facts::default() }
    }

    #[test]
    fn a_drain_that_cannot_count_is_found() {
        let mut facts = facts("lifecycle.preStop.drain.minSeconds = 2");
        assert_eq!(drain_unavailable(&facts), []);
        facts.container.drain_unavailable = Some("/proc/net/snmp cannot be read".to_owned());
        assert_eq!(drain_unavailable(&facts).len(), 1);
    }

    #[test]
    fn the_hosts_network_is_found_in_a_container_only() {
        let mut facts = facts("lifecycle.preStop.drain.minSeconds = 2");
        facts.container.host_network = true;
        assert_eq!(host_network(&facts), [], "a laptop, or the build of an image");
        facts.container.inside = true;
        assert_eq!(host_network(&facts).len(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_finding_in_a_running_container() {
        let mut facts = facts("");
        facts.container.unreadable = vec![("http.tokenFile".to_owned(), "/x".to_owned(), "no such file".to_owned())];
        assert_eq!(unreadable_file(&facts)[0].severity, Severity::Note);
        facts.container.inside = true;
        assert_eq!(unreadable_file(&facts)[0].severity, Severity::Finding);
    }

    #[test]
    fn a_shared_pid_namespace_is_a_note() {
        let mut facts = facts("");
        facts.container =
            ContainerFacts { inside: true, first_process: "pause".to_owned(), ..ContainerFacts::default() };
        assert_eq!(not_pid_1(&facts).len(), 1);
        facts.container.first_process = "bookend".to_owned();
        assert_eq!(not_pid_1(&facts), []);
    }

    #[test]
    fn another_user_needs_the_capability_to_signal_it() {
        let found = |user: &str, can: Option<bool>| {
            let mut facts = facts(&format!("app.user = {user:?}"));
            facts.container = ContainerFacts { inside: true, can_signal_others: can, ..ContainerFacts::default() };
            cap_kill(&facts).len()
        };
        assert_eq!(found("www-data", Some(false)), 1);
        assert_eq!((found("www-data", Some(true)), found("www-data", None), found("0", Some(false))), (0, 0, 0));
    }
}

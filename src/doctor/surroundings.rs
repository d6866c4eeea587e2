//! Where the container runs: its namespaces, its network, the files bookend needs. Pure; `gather` looks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Facts, Finding};
use bookend_config::settings::HandlerKind;

/// What was seen around us.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Surroundings {
    /// bookend runs as another process here: this is the container, not the build of its image.
    pub(super) inside: bool,
    /// The name of PID 1.
    pub(super) first_process: String,
    /// Kubernetes' variables are there.
    pub(super) in_kubernetes: bool,
    /// The network is the node's own.
    pub(super) host_network: bool,
    /// Why new connections cannot be counted, or the accept queue not be seen.
    pub(super) blind: Option<String>,
    /// `address:port` of everything that listens for TCP, without bookend's own.
    pub(super) listens: Vec<String>,
    /// PORT is in the environment: many servers listen there.
    pub(super) port_is_given: bool,
    /// Files the configuration names: by which key, which, why it cannot be read.
    pub(super) unreadable: Vec<(String, String, String)>,
    /// How many CPUs we may run on.
    pub(super) cpus: u64,
    /// How much of them the cgroup allows, in thousandths.
    pub(super) cpu_quota: Option<u64>,
    /// Why the socket cannot be made.
    pub(super) socket: Option<String>,
    /// Whether the termination message has somewhere to go.
    pub(super) termination_log: bool,
}

/// The listeners of /proc/net/tcp or tcp6: the address in hexadecimal words of this machine, state 0A.
pub(super) fn listeners(text: &str) -> impl Iterator<Item = (IpAddr, u16)> {
    text.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_whitespace();
        let local = fields.nth(1)?;
        let state = fields.nth(1)?;
        let (address, port) = local.split_once(':')?;
        let listener = (ip(address)?, u16::from_str_radix(port, 16).ok()?);
        (state == "0A").then_some(listener)
    })
}

/// Thousandths of a CPU in a quota and its period: `50000 100000`. `max` and -1: there is none.
pub(super) fn cpus_of_quota(text: &str) -> Option<u64> {
    let mut numbers = text.split_whitespace().map(|word| word.parse::<u64>().ok());
    let (quota, period) = (numbers.next()??, numbers.next()??);
    quota.saturating_mul(1000).checked_div(period).filter(|cpus| *cpus > 0)
}

fn ip(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(hex.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    match hex.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(0)?))),
        32 => {
            let mut bytes = [0; 16];
            for (part, at) in bytes.chunks_exact_mut(4).zip([0, 8, 16, 24]) {
                part.copy_from_slice(&word(at)?);
            }
            Some(IpAddr::V6(Ipv6Addr::from(bytes)))
        }
        _ => None,
    }
}

fn drains(facts: &Facts) -> bool {
    facts.settings.lifecycle.pre_stop.iter().any(|handler| matches!(handler.kind, HandlerKind::Drain(_)))
}

pub(super) fn hooks_on_loopback(facts: &Facts) -> Vec<Finding> {
    let Some(http) = facts.settings.http.as_ref().filter(|http| http.listen.ip().is_loopback()) else {
        return Vec::new();
    };
    vec![Finding::new(
        format!("http.listen is {}", http.listen),
        "a kubelet calls the pod's IP: its hooks and probes are refused",
        format!("http.listen = \"0.0.0.0:{}\"", http.listen.port()),
    )]
}

pub(super) fn unreadable_file(facts: &Facts) -> Vec<Finding> {
    let around = &facts.surroundings;
    let found = |(key, path, reason): &(String, String, String)| {
        let what = format!("{key} names {path}: {reason}");
        let why = "bookend needs it at the start, or when a hook comes";
        let fix = "mount it, and let bookend's user read it (a secret's defaultMode, fsGroup)";
        // Before the container runs, a secret is not mounted yet.
        if around.inside { Finding::new(what, why, fix) } else { Finding::note(what, why, fix) }
    };
    around.unreadable.iter().map(found).collect()
}

pub(super) fn host_network(facts: &Facts) -> Vec<Finding> {
    if !facts.surroundings.host_network || !drains(facts) {
        return Vec::new();
    }
    vec![Finding::new(
        "the network is the node's own (hostNetwork)",
        "drain would count the connections of the whole node; it waits for its fixed minimum instead",
        "sleep.seconds instead of drain, as long as an endpoint's removal takes",
    )]
}

pub(super) fn drain_is_blind(facts: &Facts) -> Vec<Finding> {
    let Some(reason) = facts.surroundings.blind.as_ref().filter(|_| drains(facts)) else { return Vec::new() };
    vec![Finding::new(
        format!("drain sees nothing here: {reason}"),
        "it waits for its fixed minimum, whatever arrives",
        "minSeconds as long as an endpoint's removal takes; or allow what is missing (/proc, netlink)",
    )]
}

pub(super) fn not_pid_1(facts: &Facts) -> Vec<Finding> {
    let around = &facts.surroundings;
    if !around.inside || around.first_process == "bookend" {
        return Vec::new();
    }
    vec![Finding::note(
        format!("PID 1 is {}: the PID namespace is shared, or another init is in front", around.first_process),
        "orphans come to bookend as a subreaper; what detaches from it is PID 1's, and is not ended at the stop",
        "no shareProcessNamespace, no second init, where that matters",
    )]
}

pub(super) fn socket(facts: &Facts) -> Vec<Finding> {
    let Some(reason) = &facts.surroundings.socket else { return Vec::new() };
    let why = "`bookend hook`, `status`, `stop` and `events` find nobody to talk to";
    let fix = "BOOKEND_SOCKET=/tmp/bookend.sock, or a tmpfs at /run";
    let asked_for = facts.settings.socket.path().is_some_and(|(_, asked_for)| asked_for);
    vec![if asked_for { Finding::new(reason, why, fix) } else { Finding::note(reason, why, fix) }]
}

pub(super) fn termination_log(facts: &Facts) -> Vec<Finding> {
    let around = &facts.surroundings;
    if !around.inside || !around.in_kubernetes || around.termination_log {
        return Vec::new();
    }
    vec![Finding::note(
        "there is no termination message file",
        "the story of a stop is in the container's log only, not in `kubectl describe pod`",
        "terminationMessagePath here and in the Pod must be the same",
    )]
}

#[cfg(test)]
mod tests {
    use super::super::Weight;
    use super::*;
    use bookend_config::{Document, Sources};

    /// As the kernel prints it on a little-endian machine.
    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
        \x20  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n\
        \x20  1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0\n\
        \x20  2: 0100007F:0050 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 100 0 0 10 0\n";
    const TCP6: &str = "  sl  local_address                         remote_address                        st\n\
        \x20  0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0\n";

    #[cfg(target_endian = "little")]
    #[test]
    fn listeners_are_read_as_the_kernel_shows_them() {
        let found: Vec<_> = listeners(TCP).chain(listeners(TCP6)).map(|(ip, port)| format!("{ip} {port}")).collect();
        assert_eq!(found, ["127.0.0.1 8080", "0.0.0.0 80", "::1 80"]);
    }

    fn facts(text: &str) -> Facts {
        let files = vec![Document { name: "test".to_owned(), text: text.to_owned() }];
        let settings = bookend_config::load(&Sources { files, ..Sources::default() }).expect("it is right").settings;
        Facts { settings, ..Facts::default() }
    }

    #[test]
    fn hooks_on_loopback_are_found() {
        assert_eq!(hooks_on_loopback(&facts("http.listen = \"127.0.0.1:9797\"")).len(), 1);
        assert_eq!(hooks_on_loopback(&facts("http.listen = \"0.0.0.0:9797\"")), []);
    }

    #[test]
    fn a_drain_that_sees_nothing_or_too_much_is_found() {
        let mut facts = facts("lifecycle.preStop.drain.minSeconds = 2");
        assert_eq!((host_network(&facts), drain_is_blind(&facts)), (vec![], vec![]));
        facts.surroundings.host_network = true;
        facts.surroundings.blind = Some("/proc/net/snmp cannot be read".to_owned());
        assert_eq!((host_network(&facts).len(), drain_is_blind(&facts).len()), (1, 1));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_finding_where_the_container_runs() {
        let mut facts = facts("");
        facts.surroundings.unreadable = vec![("http.tokenFile".to_owned(), "/x".to_owned(), "no such file".to_owned())];
        assert_eq!(unreadable_file(&facts)[0].weight, Weight::Note);
        facts.surroundings.inside = true;
        assert_eq!(unreadable_file(&facts)[0].weight, Weight::Finding);
    }

    #[test]
    fn quotas_are_read_in_both_ways() {
        assert_eq!(cpus_of_quota("5000 100000\n"), Some(50));
        assert_eq!(cpus_of_quota("max 100000\n"), None);
        assert_eq!(cpus_of_quota("-1\n100000\n"), None);
        assert_eq!(cpus_of_quota(""), None);
    }

    #[test]
    fn a_shared_pid_namespace_is_a_note() {
        let mut facts = facts("");
        facts.surroundings =
            Surroundings { inside: true, first_process: "pause".to_owned(), ..Surroundings::default() };
        assert_eq!(not_pid_1(&facts).len(), 1);
        facts.surroundings.first_process = "bookend".to_owned();
        assert_eq!(not_pid_1(&facts), []);
    }
}

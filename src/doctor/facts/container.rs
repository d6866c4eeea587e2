//! The container: its namespaces, its network, and the files that bookend needs. Pure; `gather` reads them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The container, or the build of its image.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct ContainerFacts {
    /// bookend runs as another process here: this is the container, not the build of its image.
    pub(crate) inside: bool,
    /// The name of PID 1.
    pub(crate) first_process: String,
    /// The variables of Kubernetes are set.
    pub(crate) in_kubernetes: bool,
    /// The network namespace is the node's.
    pub(crate) host_network: bool,
    /// Why connections cannot be counted.
    pub(crate) drain_unavailable: Option<String>,
    /// `address:port` of every TCP listener but bookend's own.
    pub(crate) listens: Vec<String>,
    /// PORT is set: many servers listen there.
    pub(crate) port_is_given: bool,
    /// Files of the configuration that cannot be read: the key, the file, the reason.
    pub(crate) unreadable: Vec<(String, String, String)>,
    /// The number of CPUs that this process may use.
    pub(crate) cpus: u64,
    /// The CPU limit of the cgroup, in thousandths of a CPU.
    pub(crate) cpu_quota: Option<u64>,
    /// Why the socket cannot be created.
    pub(crate) socket_error: Option<String>,
    /// Whether the file for the termination message exists.
    pub(crate) termination_log: bool,
    /// The default gateway, if it is in the subnet of this container: on a bridge network the engine and the kubelet call
    /// from it.
    pub(crate) bridge: Option<IpAddr>,
    /// An OOM kill ends bookend together with the app.
    pub(crate) dies_as_a_group: bool,
    /// Whether bookend may signal processes of other users. `None`: not known.
    pub(crate) can_signal_others: Option<bool>,
}

/// The listeners of /proc/net/tcp or tcp6: the address in hexadecimal words of this machine, state 0A.
pub(crate) fn listeners(text: &str) -> impl Iterator<Item = (IpAddr, u16)> {
    text.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_whitespace();
        let local = fields.nth(1)?;
        let state = fields.nth(1)?;
        let (address, port) = local.split_once(':')?;
        let listener = (ip(address)?, u16::from_str_radix(port, 16).ok()?);
        (state == "0A").then_some(listener)
    })
}

/// Thousandths of a CPU in a quota and its period: `50000 100000`. `max` and -1 mean no limit.
pub(crate) fn cpus_of_quota(text: &str) -> Option<u64> {
    let mut numbers = text.split_whitespace().map(|word| word.parse::<u64>().ok());
    let (quota, period) = (numbers.next()??, numbers.next()??);
    quota.saturating_mul(1000).checked_div(period).filter(|cpus| *cpus > 0)
}

/// The default gateway of /proc/net/route, if a route without a gateway leads to it: addresses in hexadecimal words of
/// this machine.
pub(crate) fn bridge(text: &str) -> Option<IpAddr> {
    struct KernelRoute {
        destination: u32,
        gateway: u32,
        mask: u32,
    }
    let routes: Vec<KernelRoute> = text
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let word = |at: usize| u32::from_str_radix(fields.get(at)?, 16).ok();
            Some(KernelRoute { destination: word(1)?, gateway: word(2)?, mask: word(7)? })
        })
        .collect();
    let gateway = routes.iter().find(|route| route.destination == 0 && route.gateway != 0)?.gateway;
    // A route to the gateway alone belongs to a point-to-point network, where the gateway is not a caller.
    let is_subnet = |route: &&KernelRoute| route.gateway == 0 && route.mask != 0 && route.mask != u32::MAX;
    let is_near = routes.iter().filter(is_subnet).any(|route| gateway & route.mask == route.destination);
    is_near.then(|| IpAddr::V4(Ipv4Addr::from(gateway.to_ne_bytes())))
}

/// Whether a process with this /proc/self/status has CAP_KILL.
pub(crate) fn has_cap_kill(status: &str) -> Option<bool> {
    const CAP_KILL: u64 = 1 << 5;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    Some(u64::from_str_radix(effective.trim(), 16).ok()? & CAP_KILL != 0)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// As the kernel prints it on a little-endian machine.
    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
        \x20  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n\
        \x20  1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0\n\
        \x20  2: 0100007F:0050 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 100 0 0 10 0\n";
    const TCP6: &str = "  sl  local_address                         remote_address                        st\n\
        \x20  0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0\n";

    #[cfg(target_endian = "little")]
    #[test]
    fn listeners_are_read_from_the_kernels_table() {
        let found: Vec<_> = listeners(TCP).chain(listeners(TCP6)).map(|(ip, port)| format!("{ip} {port}")).collect();
        assert_eq!(found, ["127.0.0.1 8080", "0.0.0.0 80", "::1 80"]);
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn the_bridge_is_a_gateway_in_the_own_subnet() {
        const HEAD: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
        let docker = "eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        assert_eq!(bridge(&format!("{HEAD}{docker}")), Some("172.17.0.1".parse().expect("an address")));
        let calico = "eth0\t00000000\t0101FEA9\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            eth0\t0101FEA9\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0\n";
        assert_eq!(bridge(&format!("{HEAD}{calico}")), None);
        assert_eq!(bridge(""), None);
    }

    #[test]
    fn quotas_of_both_cgroup_versions_are_read() {
        assert_eq!(cpus_of_quota("5000 100000\n"), Some(50));
        assert_eq!(cpus_of_quota("max 100000\n"), None);
        assert_eq!(cpus_of_quota("-1\n100000\n"), None);
        assert_eq!(cpus_of_quota(""), None);
    }

    #[test]
    fn the_capability_to_signal_others_is_read() {
        assert_eq!(has_cap_kill("Name:\tx\nCapEff:\t00000000000000e0\n"), Some(true));
        assert_eq!(has_cap_kill("CapEff:\t00000000000000c0\n"), Some(false));
        assert_eq!(has_cap_kill(""), None);
    }
}

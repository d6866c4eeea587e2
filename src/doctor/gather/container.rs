//! The container around us.

use std::env;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::{AccessFlags, access};

use super::text::{first_process, read};
use crate::doctor::facts::container::{ContainerFacts, bridge, cpus_of_quota, has_cap_kill, listeners};
use crate::net::tcp_monitor::{self, TcpMonitor};
use crate::process::Pid;
use crate::process::cgroup::Cgroup;
use bookend_config::settings::{HandlerKind, Settings, TlsSettings, ValueSource};

pub(super) fn facts(settings: &Settings) -> ContainerFacts {
    let (name, _) = first_process();
    let socket = settings.socket.path().map(|(path, _)| path);
    let exists = socket.is_some_and(Path::exists);
    let inside = exists || name == "bookend";
    let is_writable = |folder: &Path| access(folder, AccessFlags::W_OK).is_ok();
    let folder = socket.and_then(Path::parent).filter(|folder| !exists && !is_writable(folder));
    let own_port = settings.http.as_ref().map(|http| http.listen.port());
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().filter_map(read).collect::<Vec<_>>();
    let listens = tables.iter().flat_map(|text| listeners(text)).filter(|(_, port)| Some(*port) != own_port);
    let mut tcp_monitor = TcpMonitor::open();
    let drain_unavailable = match (TcpMonitor::counters(), tcp_monitor.sockets(&[])) {
        (None, _) => Some("/proc/net/snmp cannot be read"),
        (_, None) => Some("neither netlink nor /proc/net/tcp lists sockets"),
        _ => None,
    };
    let message = settings
        .termination_message_path
        .as_deref()
        .unwrap_or(Path::new(crate::report::rewritten_file::TERMINATION_LOG));
    // bookend's own capabilities, where it runs.
    let status = if name == "bookend" { read("/proc/1/status") } else { read("/proc/self/status") };
    ContainerFacts {
        inside,
        first_process: name,
        in_kubernetes: env::var_os("KUBERNETES_SERVICE_HOST").is_some(),
        host_network: tcp_monitor::is_host_network(),
        drain_unavailable: drain_unavailable.map(str::to_owned),
        listens: listens.map(|(ip, port)| SocketAddr::new(ip, port).to_string()).collect(),
        port_is_given: env::var_os("PORT").is_some(),
        unreadable: unreadable(settings),
        cpus: cpus(),
        cpu_quota: cpu_quota(),
        socket_error: folder.map(|folder| format!("the socket cannot be created in {}", folder.display())),
        termination_log: message.exists(),
        dies_as_a_group: Cgroup::own().is_some_and(|cgroup| cgroup.dies_as_a_group()),
        bridge: read("/proc/net/route").and_then(|text| bridge(&text)),
        can_signal_others: status.and_then(|status| has_cap_kill(&status)),
    }
}

/// The files of the configuration that cannot be read: the key, the file, the reason.
fn unreadable(settings: &Settings) -> Vec<(String, String, String)> {
    let mut named = Vec::new();
    let mut add = |key: String, path: Option<&Path>| named.extend(path.map(|path| (key, path.to_owned())));
    if let Some(http) = &settings.http {
        add("http.tokenFile".to_owned(), http.token_file.as_deref());
        if let Some(TlsSettings::Files { cert, key }) = &http.tls {
            add("http.tls.certFile".to_owned(), Some(cert));
            add("http.tls.keyFile".to_owned(), Some(key));
        }
    }
    for (name, value) in &settings.app.program.env {
        add(format!("app.env.{name}"), file_of(value));
    }
    for handler in settings.handlers() {
        let owner = &handler.name;
        match &handler.kind {
            HandlerKind::Exec(program) => {
                for (name, value) in &program.env {
                    add(format!("exec.env.{name} of {owner}"), file_of(value));
                }
            }
            HandlerKind::HttpGet(get) => {
                add(format!("httpGet.caFile of {owner}"), get.ca_file.as_deref());
                for header in &get.headers {
                    add(format!("the header {} of {owner}", header.name), file_of(&header.value));
                }
            }
            _ => {}
        }
    }
    // It is not opened: it may be a pipe.
    let reason = |path: &Path| access(path, AccessFlags::R_OK).err().map(|errno| io::Error::from(errno).to_string());
    named.into_iter().filter_map(|(key, path)| Some((key, path.display().to_string(), reason(&path)?))).collect()
}

fn file_of(value: &ValueSource) -> Option<&Path> {
    match value {
        ValueSource::File(file) => Some(Path::new(file.parts().0)),
        ValueSource::Plain(_) => None,
    }
}

/// The CPUs that the scheduler may choose. A program that does not know quotas counts the same number.
fn cpus() -> u64 {
    let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or_default()).map(|_| 1).sum()
}

/// The file of cgroup v2, or the two of v1.
fn cpu_quota() -> Option<u64> {
    let v1 = || {
        let part = |name: &str| read(format!("/sys/fs/cgroup/cpu/cpu.cfs_{name}_us"));
        Some(format!("{} {}", part("quota")?, part("period")?))
    };
    cpus_of_quota(&read("/sys/fs/cgroup/cpu.max").or_else(v1)?)
}

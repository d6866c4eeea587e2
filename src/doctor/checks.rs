//! Every check: a pure function from the facts to findings. docs/doctor.md describes each by its name.

mod apache;
mod caddy;
mod command;
mod container;
mod daemon;
mod gunicorn;
mod haproxy;
mod listen;
mod nginx;
mod php_fpm;
mod quic;
mod server;
mod stop;
mod supervisord;
mod uvicorn;
mod uwsgi;

use super::facts::Facts;
use super::finding::Finding;

/// One check.
pub(crate) struct Check {
    pub(crate) id: &'static str,
    pub(crate) examine: fn(&Facts) -> Vec<Finding>,
}

/// All of them, in the order of the report.
pub(crate) const CHECKS: &[Check] = &[
    Check { id: "program-missing", examine: command::program_missing },
    Check { id: "unreadable-file", examine: container::unreadable_file },
    Check { id: "daemonizes", examine: daemon::daemonizes },
    Check { id: "shell-without-exec", examine: command::shell_without_exec },
    Check { id: "npm", examine: command::npm },
    Check { id: "supervisord", examine: supervisord::supervisord },
    Check { id: "unknown-server", examine: server::unknown_server },
    Check { id: "stop-signal", examine: server::stop_signal },
    Check { id: "stop-signal-of-the-image", examine: server::stop_signal_of_the_image },
    Check { id: "no-drain", examine: stop::no_drain },
    Check { id: "quic", examine: quic::quic },
    Check { id: "budget", examine: stop::budget },
    Check { id: "no-budget", examine: stop::no_budget },
    Check { id: "no-time-for-the-app", examine: stop::no_time_for_the_app },
    Check { id: "nginx-worker-shutdown-timeout", examine: nginx::worker_shutdown_timeout },
    Check { id: "nginx-keepalive-min-timeout", examine: nginx::keepalive_min_timeout },
    Check { id: "nginx-lingering-close", examine: nginx::lingering_close },
    Check { id: "nginx-master-process", examine: nginx::master_process },
    Check { id: "nginx-sigwinch", examine: nginx::sigwinch },
    Check { id: "nginx-worker-processes", examine: nginx::worker_processes },
    Check { id: "php-fpm-process-control-timeout", examine: php_fpm::process_control_timeout },
    Check { id: "gunicorn-graceful-timeout", examine: gunicorn::graceful_timeout },
    Check { id: "uvicorn-graceful-timeout", examine: uvicorn::graceful_timeout },
    Check { id: "apache-graceful-shutdown-timeout", examine: apache::graceful_shutdown_timeout },
    Check { id: "haproxy-hard-stop-after", examine: haproxy::hard_stop_after },
    Check { id: "caddy-grace-period", examine: caddy::grace_period },
    Check { id: "uwsgi-die-on-term", examine: uwsgi::die_on_term },
    Check { id: "uwsgi-worker-reload-mercy", examine: uwsgi::worker_reload_mercy },
    Check { id: "loopback-only", examine: listen::loopback_only },
    Check { id: "hooks-on-loopback", examine: listen::hooks_on_loopback },
    Check { id: "allow-from", examine: listen::allow_from },
    Check { id: "host-network", examine: container::host_network },
    Check { id: "drain-unavailable", examine: container::drain_unavailable },
    Check { id: "not-pid-1", examine: container::not_pid_1 },
    Check { id: "cap-kill", examine: container::cap_kill },
    Check { id: "socket", examine: container::socket },
    Check { id: "termination-log", examine: container::termination_log },
    Check { id: "oom-group", examine: container::oom_group },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_describes_every_check_and_no_other() {
        let docs = include_str!("../../docs/doctor.md");
        let described: Vec<_> =
            docs.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |")).map(|(id, _)| id).collect();
        let checks: Vec<_> = CHECKS.iter().map(|check| check.id).collect();
        assert_eq!(described, checks);
    }
}

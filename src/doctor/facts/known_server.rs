//! Servers that are known by the name of their program: how each is stopped. Pure.

/// One server.
#[derive(Debug)]
pub(crate) struct KnownServer {
    pub(crate) programs: &'static [&'static str],
    /// The signal that lets requests in flight finish. Empty: the server has no such signal.
    pub(crate) graceful: &'static str,
    /// The effect of SIGTERM, if the graceful signal is another one.
    pub(crate) on_sigterm: &'static str,
    /// The STOPSIGNAL of its official image, if it is not SIGTERM.
    pub(crate) image_signal: Option<&'static str>,
}

/// A server whose graceful signal is SIGTERM.
const fn plain(programs: &'static [&'static str]) -> KnownServer {
    KnownServer { programs, graceful: "SIGTERM", on_sigterm: "", image_signal: None }
}

/// From the servers' own manuals: nginx(8), php-fpm(8), httpd's stopping.html, haproxy's management guide, unicorn's
/// SIGNALS, gunicorn's signals page, PostgreSQL's server-shutdown page, lighttpd(8). Of images: their Dockerfiles.
const SERVERS: &[KnownServer] = &[
    KnownServer {
        programs: &["nginx", "nginx-debug"],
        graceful: "SIGQUIT",
        on_sigterm: "closes every connection at once",
        image_signal: Some("SIGQUIT"),
    },
    KnownServer {
        programs: &["php-fpm"],
        graceful: "SIGQUIT",
        on_sigterm: "ends the children in the middle of requests",
        image_signal: Some("SIGQUIT"),
    },
    KnownServer {
        programs: &["apache2", "httpd", "apache2ctl", "apachectl", "apache2-foreground", "httpd-foreground"],
        graceful: "SIGWINCH",
        on_sigterm: "ends the children in the middle of requests",
        image_signal: Some("SIGWINCH"),
    },
    KnownServer {
        programs: &["haproxy"],
        graceful: "SIGUSR1",
        on_sigterm: "closes every connection at once",
        image_signal: Some("SIGUSR1"),
    },
    KnownServer {
        programs: &["unicorn", "unicorn_rails"],
        graceful: "SIGQUIT",
        on_sigterm: "kills the workers at once",
        image_signal: None,
    },
    KnownServer {
        programs: &["postgres"],
        graceful: "SIGINT",
        on_sigterm: "waits until the last client has disconnected",
        image_signal: Some("SIGINT"),
    },
    KnownServer {
        programs: &["lighttpd"],
        graceful: "SIGINT",
        on_sigterm: "closes every connection at once",
        image_signal: None,
    },
    // uWSGI has no separate signal for a graceful stop: the check `uwsgi-die-on-term` examines its handling of SIGTERM.
    KnownServer { programs: &["uwsgi", "uwsgi-core"], graceful: "", on_sigterm: "", image_signal: None },
    KnownServer { programs: &["varnishd", "sshd"], graceful: "", on_sigterm: "", image_signal: None },
    plain(&[
        "gunicorn",
        "node",
        "java",
        "catalina.sh",
        "envoy",
        "puma",
        "uvicorn",
        "hypercorn",
        "granian",
        "daphne",
        "waitress-serve",
        "caddy",
        "traefik",
        "dotnet",
        "redis-server",
        "valkey-server",
        "mysqld",
        "mariadbd",
        "mongod",
        "memcached",
    ]),
];

/// Programs that no client connects to.
const WORKERS: &[&str] = &["celery", "sidekiq", "rq", "dramatiq", "cron", "crond", "supercronic", "supervisord"];

/// The server of a program. The program of php-fpm has its version in its name.
pub(crate) fn find(program: &str) -> Option<&'static KnownServer> {
    let program = if is_php_fpm(program) { "php-fpm" } else { program };
    SERVERS.iter().find(|server| server.programs.contains(&program))
}

/// Whether a program is known not to be a server.
pub(crate) fn is_worker(program: &str) -> bool {
    WORKERS.contains(&program)
}

pub(crate) fn is_php_fpm(program: &str) -> bool {
    program.strip_prefix("php-fpm").is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

#[cfg(test)]
mod tests {
    use bookend_config::profiles::of_program;
    use bookend_lifecycle::signal::Signal;

    use super::*;

    #[test]
    fn signals_and_profiles_of_the_table_exist() {
        for server in SERVERS {
            for signal in [Some(server.graceful).filter(|name| !name.is_empty()), server.image_signal] {
                assert!(signal.is_none_or(|name| name.parse::<Signal>().is_ok()), "{server:?}");
            }
            for profile in server.programs.iter().filter_map(|program| of_program(program)) {
                let text = format!("app.profile = {profile:?}");
                let files = vec![bookend_config::Document { name: "test".to_owned(), text }];
                let sources = bookend_config::Sources { files, ..Default::default() };
                assert!(bookend_config::load(&sources).is_ok(), "{profile}");
            }
        }
    }
}

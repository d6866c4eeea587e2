//! Defaults for known servers, as the weakest layer of a configuration: the signal that lets requests finish, the signal
//! that ends the server at once, and how long clients still come. Plain TOML, so that a profile
//! can set whatever a file can, and `bookend check` shows it with its origin. docs/profiles.md names the source of each value.

/// Their names.
pub(crate) const NAMES: &[&str] =
    &["nginx", "php-fpm", "gunicorn", "uwsgi", "unicorn", "node", "java", "envoy", "haproxy", "apache", "postgres"];

/// The text of a profile.
///
/// The stop signal is the Pod spec's `lifecycle.stopSignal`: both that and `app.stopSignal` are stronger.
pub(crate) fn text(name: &str) -> Option<&'static str> {
    Some(match name {
        "nginx" => {
            r#"
            # SIGWINCH, which a terminal sends when it is resized, makes a daemon's workers shut down.
            lifecycle.stopSignal = "SIGQUIT"
            app = { secondSignal.signal = "SIGTERM", signals.SIGWINCH = "ignore" }
            lifecycle.preStop = { name = "drain", drain = {} }
            "#
        }
        "php-fpm" | "unicorn" => {
            r#"
            lifecycle.stopSignal = "SIGQUIT"
            app = { secondSignal.signal = "SIGTERM" }
            lifecycle.preStop = { name = "drain", drain = {} }
            "#
        }
        "gunicorn" => {
            r#"
            lifecycle.stopSignal = "SIGTERM"
            app = { secondSignal.signal = "SIGQUIT" }
            lifecycle.preStop = { name = "drain", drain = {} }
            "#
        }
        "haproxy" => {
            r#"
            lifecycle.stopSignal = "SIGUSR1"
            app = { secondSignal.signal = "SIGTERM" }
            lifecycle.preStop = { name = "drain", drain = {} }
            "#
        }
        "apache" => {
            r#"
            # The graceful stop is SIGWINCH; the one that a resized terminal sends must not stop it.
            lifecycle.stopSignal = "SIGWINCH"
            app = { secondSignal.signal = "SIGTERM", signals.SIGWINCH = "ignore" }
            lifecycle.preStop = { name = "drain", drain = {} }
            "#
        }
        "uwsgi" => {
            r#"
            # SIGTERM reloads it, unless die-on-term is set; it has no signal that lets requests finish.
            lifecycle.stopSignal = "SIGINT"
            lifecycle.preStop = { name = "drain", drain = { maxSeconds = 20, until = "NoBusyConnections" } }
            "#
        }
        "java" => {
            r#"
            # A JVM that SIGTERM stopped in good order exits with 143.
            lifecycle.stopSignal = "SIGTERM"
            app = { exitCodes.143 = 0 }
            lifecycle.preStop = { name = "drain", drain = { maxSeconds = 20, until = "NoBusyConnections" } }
            "#
        }
        "node" | "envoy" => {
            r#"
            lifecycle.stopSignal = "SIGTERM"
            lifecycle.preStop = { name = "drain", drain = { maxSeconds = 20, until = "NoBusyConnections" } }
            "#
        }
        "postgres" => {
            r#"
            # Fast shutdown, once no query runs: the smart one waits for the last idle client of a pool.
            lifecycle.stopSignal = "SIGINT"
            lifecycle.preStop.name = "drain"
            lifecycle.preStop.drain = { minSeconds = 0, quietSeconds = 1, maxSeconds = 10, until = "NoBusyConnections" }
            "#
        }
        _ => return None,
    })
}

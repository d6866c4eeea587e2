//! What is known of some servers, as the weakest layer of a configuration: the signal that lets requests finish, the
//! one that ends the server at once, and how long clients still come. Plain TOML, so that whatever a file can say a
//! profile can, and `bookend check` shows it with its origin. docs/profiles.md names the source of each value.

/// The names there are.
pub(super) const NAMES: &[&str] =
    &["nginx", "php-fpm", "gunicorn", "uwsgi", "unicorn", "node", "java", "envoy", "haproxy", "apache", "postgres"];

/// What a profile says.
///
/// The stop signal is the Pod spec's `lifecycle.stopSignal`: both that and `app.stopSignal` are stronger.
pub(super) fn text(name: &str) -> Option<&'static str> {
    Some(match name {
        "nginx" => {
            r#"
            # SIGWINCH, which a terminal sends when it is resized, tells a daemon's workers to shut down.
            lifecycle.stopSignal = "SIGQUIT"
            app = { hurry.signal = "SIGTERM", signals.SIGWINCH = "ignore" }
            lifecycle.preStop = { name = "drain", drain = {} }
            "#
        }
        "php-fpm" | "unicorn" => {
            r#"
            lifecycle.stopSignal = "SIGQUIT"
            app = { hurry.signal = "SIGTERM" }
            lifecycle.preStop = { name = "drain", drain = {} }
            "#
        }
        "gunicorn" => {
            r#"
            lifecycle.stopSignal = "SIGTERM"
            app = { hurry.signal = "SIGQUIT" }
            lifecycle.preStop = { name = "drain", drain = {} }
            "#
        }
        "haproxy" => {
            r#"
            lifecycle.stopSignal = "SIGUSR1"
            app = { hurry.signal = "SIGTERM" }
            lifecycle.preStop = { name = "drain", drain = {} }
            "#
        }
        "apache" => {
            r#"
            # The graceful stop is SIGWINCH; one that a resized terminal sends must not be it.
            lifecycle.stopSignal = "SIGWINCH"
            app = { hurry.signal = "SIGTERM", signals.SIGWINCH = "ignore" }
            lifecycle.preStop = { name = "drain", drain = {} }
            "#
        }
        "uwsgi" => {
            r#"
            # SIGTERM reloads it, unless die-on-term is set; no signal of its own lets requests finish.
            lifecycle.stopSignal = "SIGINT"
            lifecycle.preStop = { name = "drain", drain = { maxSeconds = 20, until = "NoBusyConnections" } }
            "#
        }
        "java" => {
            r#"
            # A JVM that SIGTERM ended in good order exits with 143.
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

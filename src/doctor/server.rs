//! What is known of servers by their name: which signal is the graceful one, how they are kept in the
//! foreground. And what concerns all of them. Pure.

use super::{Facts, Finding, Place};
use bookend_lifecycle::signal::Signal;

/// A server we know by the name of its program.
struct Server {
    programs: &'static [&'static str],
    /// The signal that lets requests in flight finish.
    graceful: &'static str,
    /// What SIGTERM does, where that is another one.
    otherwise: &'static str,
}

/// From the servers' own manuals: nginx(8), php-fpm(8), httpd's stopping.html, haproxy's management guide,
/// unicorn's SIGNALS, gunicorn's signals page, PostgreSQL's server-shutdown page.
const SERVERS: &[Server] = &[
    Server { programs: &["nginx", "nginx-debug"], graceful: "SIGQUIT", otherwise: "closes every connection at once" },
    Server { programs: &["php-fpm"], graceful: "SIGQUIT", otherwise: "ends the children in the middle of requests" },
    Server {
        programs: &["apache2", "httpd", "apache2ctl", "apachectl", "apache2-foreground", "httpd-foreground"],
        graceful: "SIGWINCH",
        otherwise: "ends the children in the middle of requests",
    },
    Server { programs: &["haproxy"], graceful: "SIGUSR1", otherwise: "closes every connection at once" },
    Server { programs: &["unicorn", "unicorn_rails"], graceful: "SIGQUIT", otherwise: "kills the workers at once" },
    Server { programs: &["postgres"], graceful: "SIGINT", otherwise: "waits until the last client has gone by itself" },
    Server { programs: &["gunicorn"], graceful: "SIGTERM", otherwise: "" },
    // No signal of its own is graceful: `uwsgi` looks at what it makes of SIGTERM.
    Server { programs: &["uwsgi", "uwsgi-core"], graceful: "", otherwise: "" },
    Server {
        programs: &["node", "java", "puma", "uvicorn", "envoy", "caddy", "traefik"],
        graceful: "SIGTERM",
        otherwise: "",
    },
];

/// php-fpm's program has its version in its name.
pub(super) fn is_php_fpm(program: &str) -> bool {
    program.strip_prefix("php-fpm").is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

fn known(facts: &Facts) -> Option<&'static Server> {
    let program = facts.command.program();
    let program = if is_php_fpm(program) { "php-fpm" } else { program };
    SERVERS.iter().find(|server| server.programs.contains(&program))
}

/// Whether clients connect to it.
pub(super) fn serves(facts: &Facts) -> bool {
    known(facts).is_some()
}

pub(super) fn stop_signal(facts: &Facts) -> Vec<Finding> {
    let Some(server) = known(facts) else { return Vec::new() };
    let Ok(graceful) = server.graceful.parse::<Signal>() else { return Vec::new() };
    let program = facts.command.program();
    match facts.settings.app.stop_signal {
        Some(signal) if signal == graceful => Vec::new(),
        Some(signal) => vec![Finding::new(
            format!("{program} is stopped with {signal}"),
            format!("its graceful signal is {graceful}; {signal} cuts requests off"),
            format!("app.stopSignal = \"{graceful}\""),
        )],
        // What is received is passed on: SIGTERM, or what the image says.
        None if graceful == facts.image_stop_signal.unwrap_or(Signal::TERM) => Vec::new(),
        None => vec![Finding::new(
            format!("the stop signal that is received goes to {program} as it is"),
            format!("SIGTERM {}; its graceful signal is {graceful}", server.otherwise),
            format!("app.stopSignal = \"{graceful}\""),
        )],
    }
}

pub(super) fn stop_signal_of_the_image(facts: &Facts) -> Vec<Finding> {
    let Some(signal) = facts.image_stop_signal else { return Vec::new() };
    let begins_a_stop = match &facts.settings.app.stop_signals {
        Some(signals) => signals.contains(&signal),
        None => [Signal::TERM, Signal::INT, Signal::QUIT].contains(&signal),
    };
    if begins_a_stop {
        return Vec::new();
    }
    vec![Finding::new(
        format!("the image's STOPSIGNAL {signal} begins no stop"),
        "bookend passes it on to the app: no preStop, no budget",
        format!("add it to app.stopSignals, or STOPSIGNAL SIGTERM in the Dockerfile instead of {signal}"),
    )]
}

pub(super) fn daemonizes(facts: &Facts) -> Vec<Finding> {
    let command = &facts.command;
    let why = "the app ends at once, and the container with it";
    let found = |what: &str, fix: &str, at: Option<Place>| vec![Finding::new(what, why, fix).at(at)];
    if let Some(nginx) = facts.nginx.as_ref().filter(|nginx| nginx.daemonizes()) {
        let said = nginx.find("daemon").map(|said| said.at.clone());
        return found(
            "nginx puts itself into the background",
            "daemon off; (or -g \"daemon off;\")",
            said.or_else(|| nginx.main_file()),
        );
    }
    if let Some(fpm) = &facts.php_fpm
        && fpm.value("daemonize") == Some("yes")
        && !command.has(&["-F", "--nodaemonize"])
    {
        return found("php-fpm puts itself into the background", "run it with --nodaemonize", None);
    }
    if facts.gunicorn.as_ref().is_some_and(|gunicorn| gunicorn.daemonizes()) {
        return found("gunicorn puts itself into the background", "no --daemon, no daemon = True", None);
    }
    if let Some(at) = facts.uwsgi.as_ref().and_then(|uwsgi| uwsgi.daemonizes()) {
        return found("uWSGI puts itself into the background", "no daemonize; log to stderr: it is the default", at);
    }
    let in_background = match command.program() {
        "haproxy" => command.has(&["-D"]),
        "apache2" | "httpd" => !command.has(&["-X", "-DFOREGROUND", "FOREGROUND"]),
        "apache2ctl" | "apachectl" => !command.has(&["-X", "-DFOREGROUND", "FOREGROUND"]),
        "pg_ctl" | "service" | "systemctl" | "start-stop-daemon" => command.has(&["start", "restart"]),
        _ => false,
    };
    if !in_background {
        return Vec::new();
    }
    let fix = match command.program() {
        "haproxy" => "no -D; -W for master and workers",
        "apache2" | "httpd" | "apache2ctl" | "apachectl" => "run it with -DFOREGROUND",
        _ => "run the server itself, in the foreground",
    };
    found(&format!("{} puts the server into the background", command.program()), fix, None)
}

/// Where clients can reach the app, as far as it is configured or seen.
pub(super) fn loopback_only(facts: &Facts) -> Vec<Finding> {
    let (listens, at): (Vec<String>, Option<Place>) = if let Some(nginx) = &facts.nginx {
        let listen: Vec<_> = nginx.directives.iter().filter(|directive| directive.name == "listen").collect();
        let addresses = listen.iter().filter_map(|listen| listen.args.first().cloned()).collect();
        (addresses, listen.first().map(|listen| listen.at.clone()))
    } else if let Some(gunicorn) = &facts.gunicorn {
        let binds = gunicorn.binds();
        // Its default, where PORT does not say another.
        let default = || vec!["127.0.0.1:8000".to_owned()];
        let port_is_given = facts.surroundings.port_is_given;
        (if binds.is_empty() && !port_is_given { default() } else { binds }, None)
    } else if is_php_fpm(facts.command.program()) || !facts.surroundings.inside {
        // php-fpm's clients are in its own pod.
        return Vec::new();
    } else {
        (facts.surroundings.listens.clone(), None)
    };
    if listens.is_empty() || !listens.iter().all(|address| is_loopback(address)) {
        return Vec::new();
    }
    let program = facts.command.program();
    let found = Finding::new(
        format!("{program} listens on loopback only: {}", listens.join(", ")),
        "neither a Service nor a kubelet's probe reaches it: they call the pod's IP",
        "listen on 0.0.0.0 or [::]",
    );
    vec![found.at(at)]
}

fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.starts_with("127.") || host == "localhost" || host == "[::1]" || host == "::1"
}

#[cfg(test)]
mod tests {
    use super::super::command::Command;
    use super::super::gunicorn::Gunicorn;
    use super::super::nginx::Nginx;
    use super::super::php_fpm::PhpFpm;
    use super::*;

    fn facts(words: &[&str]) -> Facts {
        Facts { command: Command::new(words.iter().map(|word| (*word).to_owned()).collect()), ..Facts::default() }
    }

    #[test]
    fn every_server_has_a_signal_that_exists() {
        let wrong = |server: &&Server| !server.graceful.is_empty() && server.graceful.parse::<Signal>().is_err();
        assert!(SERVERS.iter().find(wrong).is_none());
    }

    #[test]
    fn nginx_needs_sigquit_from_bookend_or_from_the_image() {
        let mut nginx = facts(&["nginx", "-g", "daemon off;"]);
        assert!(stop_signal(&nginx)[0].fix.contains("SIGQUIT"));
        nginx.image_stop_signal = Some(Signal::QUIT);
        assert_eq!(stop_signal(&nginx), []);
        nginx.settings.app.stop_signal = Some(Signal::TERM);
        assert_eq!(stop_signal(&nginx).len(), 1);
        nginx.settings.app.stop_signal = Some(Signal::QUIT);
        assert_eq!(stop_signal(&nginx), []);
        assert_eq!(stop_signal(&facts(&["gunicorn", "app"])), []);
        assert!(stop_signal(&facts(&["php-fpm8.2"]))[0].fix.contains("SIGQUIT"));
    }

    #[test]
    fn a_profile_leaves_no_wrong_signal_and_no_missing_drain() {
        for (profile, program) in [
            ("nginx", "nginx"),
            ("php-fpm", "php-fpm8.4"),
            ("gunicorn", "gunicorn"),
            ("uwsgi", "uwsgi"),
            ("unicorn", "unicorn"),
            ("node", "node"),
            ("java", "java"),
            ("envoy", "envoy"),
            ("haproxy", "haproxy"),
            ("apache", "apache2ctl"),
            ("postgres", "postgres"),
        ] {
            let text = format!("app.profile = {profile:?}");
            let files = vec![bookend_config::Document { name: "test".to_owned(), text }];
            let sources = bookend_config::Sources { files, ..Default::default() };
            let mut facts = facts(&[program]);
            facts.settings = bookend_config::load(&sources).expect("it is right").settings;
            facts.uwsgi = (program == "uwsgi").then(super::super::uwsgi::Uwsgi::default);
            assert_eq!(stop_signal(&facts), [], "{profile}");
            assert_eq!(super::super::stop::no_drain(&facts), [], "{profile}");
            assert_eq!(super::super::uwsgi::die_on_term(&facts), [], "{profile}");
        }
    }

    #[test]
    fn a_stopsignal_that_begins_no_stop_is_found() {
        let mut apache = facts(&["httpd-foreground"]);
        apache.image_stop_signal = "SIGWINCH".parse().ok();
        assert_eq!(stop_signal_of_the_image(&apache).len(), 1);
        apache.image_stop_signal = Some(Signal::QUIT);
        assert_eq!(stop_signal_of_the_image(&apache), []);
    }

    #[test]
    fn what_daemonizes_is_found_at_its_line() {
        let mut nginx = facts(&["nginx"]);
        nginx.nginx = Some(Nginx::read("# configuration file /n.conf:\nuser a;\ndaemon on;\n", "", ""));
        assert_eq!(daemonizes(&nginx)[0].at, Some(Place { file: "/n.conf".to_owned(), line: 2 }));
        let mut fpm = facts(&["php-fpm8.2"]);
        let shown = "[date] NOTICE: \tdaemonize = yes\n".to_owned();
        fpm.php_fpm = Some(PhpFpm { shown, files: Vec::new() });
        assert_eq!(daemonizes(&fpm).len(), 1);
        fpm.command = Command::new(vec!["php-fpm8.2".to_owned(), "-F".to_owned()]);
        assert_eq!(daemonizes(&fpm), []);
        assert_eq!(daemonizes(&facts(&["httpd"])).len(), 1);
        assert_eq!(daemonizes(&facts(&["apache2ctl", "-D", "FOREGROUND"])), []);
        assert_eq!(daemonizes(&facts(&["service", "nginx", "start"])).len(), 1);
        assert_eq!(daemonizes(&facts(&["node", "x.js"])), []);
    }

    #[test]
    fn a_server_on_loopback_alone_is_found() {
        let with = |listen: &str| {
            let mut nginx = facts(&["nginx"]);
            nginx.nginx = Some(Nginx::read(&format!("# configuration file /n.conf:\n{listen}"), "", ""));
            loopback_only(&nginx).len()
        };
        assert_eq!(with("listen 127.0.0.1:80; listen [::1]:80;"), 1);
        assert_eq!(with("listen 80;"), 0);
        assert_eq!(with("listen 127.0.0.1:81; listen [::]:80;"), 0);
        let mut gunicorn = facts(&["gunicorn", "app"]);
        gunicorn.gunicorn = Some(Gunicorn::default());
        assert_eq!(loopback_only(&gunicorn).len(), 1, "its default is 127.0.0.1:8000");
        gunicorn.surroundings.port_is_given = true;
        assert_eq!(loopback_only(&gunicorn), []);
    }
}

//! Servers that put themselves into the background: the app ends at once, and the container with it. Pure.

use crate::doctor::facts::Facts;
use crate::doctor::facts::command::AppCommand;
use crate::doctor::finding::{FileLine, Finding};

/// How a server is kept in the foreground.
enum StaysInFront {
    /// It needs one of these options.
    Needs(&'static [&'static str]),
    /// It must not have one of these.
    Without(&'static [&'static str]),
}

/// Servers whose command line alone decides it; for nginx, php-fpm, gunicorn and uWSGI their configuration counts, too.
/// From their manuals.
const DAEMONS: &[(&[&str], StaysInFront, &str)] = &[
    (
        &["apache2", "httpd", "apache2ctl", "apachectl"],
        StaysInFront::Needs(&["-X", "-DFOREGROUND", "FOREGROUND"]),
        "run it with -DFOREGROUND",
    ),
    (&["haproxy"], StaysInFront::Without(&["-D"]), "remove -D; use -W for master and workers"),
    (&["sshd"], StaysInFront::Needs(&["-D", "-De", "-d"]), "run it with -D -e"),
    (&["lighttpd"], StaysInFront::Needs(&["-D"]), "run it with -D"),
    (&["varnishd"], StaysInFront::Needs(&["-F", "-d", "-C"]), "run it with -F"),
    (&["crond"], StaysInFront::Needs(&["-f", "-n", "-d"]), "run it with -f (busybox) or -n (cronie)"),
    (&["cron"], StaysInFront::Needs(&["-f"]), "run it with -f"),
    (&["named"], StaysInFront::Needs(&["-f", "-g"]), "run it with -g"),
    (
        &["dnsmasq"],
        StaysInFront::Needs(&["-k", "--keep-in-foreground", "-d", "--no-daemon"]),
        "run it with --keep-in-foreground",
    ),
    (&["squid"], StaysInFront::Needs(&["-N", "--foreground"]), "run it with --foreground"),
    (&["memcached", "mosquitto"], StaysInFront::Without(&["-d"]), "remove -d"),
    (
        &["pg_ctl", "service", "systemctl", "start-stop-daemon"],
        StaysInFront::Without(&["start", "restart"]),
        "run the server itself, in the foreground",
    ),
];

pub(crate) fn daemonizes(facts: &Facts) -> Vec<Finding> {
    let command = &facts.command;
    let found = |program: &str, fix: &str, at: Option<FileLine>| {
        let what = format!("{program} puts itself into the background");
        vec![Finding::new(what, "the app ends at once, and the container with it", fix).at(at)]
    };
    if let Some(nginx) = facts.nginx.as_ref().filter(|nginx| nginx.daemonizes()) {
        let at = nginx.find("daemon").map(|directive| directive.at.clone()).or_else(|| nginx.main_file());
        return found("nginx", "daemon off; (or -g \"daemon off;\")", at);
    }
    if let Some(fpm) = &facts.php_fpm
        && fpm.value("daemonize") == Some("yes")
        && !command.has(&["-F", "--nodaemonize"])
    {
        return found("php-fpm", "run it with --nodaemonize", None);
    }
    if facts.gunicorn.as_ref().is_some_and(|gunicorn| gunicorn.daemonizes()) {
        return found("gunicorn", "remove --daemon and daemon = True", None);
    }
    if let Some(at) = facts.uwsgi.as_ref().and_then(|uwsgi| uwsgi.daemonizes()) {
        return found("uWSGI", "remove daemonize; without it, uWSGI logs to stderr", at);
    }
    let program = command.program();
    let Some((_, foreground, fix)) = DAEMONS.iter().find(|(programs, ..)| programs.contains(&program)) else {
        return Vec::new();
    };
    if is_in_foreground(command, foreground) { Vec::new() } else { found(program, fix, None) }
}

fn is_in_foreground(command: &AppCommand, foreground: &StaysInFront) -> bool {
    match foreground {
        StaysInFront::Needs(options) => command.has(options),
        StaysInFront::Without(options) => !command.has(options),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::facts::nginx::Nginx;
    use crate::doctor::facts::php_fpm::PhpFpm;

    fn facts(line: &str) -> Facts {
        let words = line.split(' ').map(str::to_owned).collect();
        Facts { command: AppCommand::new(words, |_| None), ..Facts::default() }
    }

    #[test]
    fn servers_that_go_into_the_background_are_found() {
        for line in [
            "httpd",
            "service nginx start",
            "haproxy -D -f h.cfg",
            "/usr/sbin/sshd",
            "lighttpd -f l.conf",
            "varnishd -a :80",
            "crond",
            "memcached -d",
        ] {
            assert_eq!(daemonizes(&facts(line)).len(), 1, "{line}");
        }
        for line in [
            "apache2ctl -D FOREGROUND",
            "haproxy -W -f h.cfg",
            "/usr/sbin/sshd -D -e",
            "lighttpd -D -f l.conf",
            "varnishd -F -a :80",
            "crond -f",
            "memcached",
            "node x.js",
        ] {
            assert_eq!(daemonizes(&facts(line)), [], "{line}");
        }
    }

    #[test]
    fn the_line_that_daemonizes_is_named() {
        let mut nginx = facts("nginx");
        nginx.nginx = Some(Nginx::read("# configuration file /n.conf:\nuser a;\ndaemon on;\n", "", ""));
        assert_eq!(daemonizes(&nginx)[0].at, Some(FileLine { file: "/n.conf".to_owned(), line: 2 }));
        let mut fpm = facts("php-fpm8.2");
        let dump = "[date] NOTICE: \tdaemonize = yes\n".to_owned();
        fpm.php_fpm = Some(PhpFpm { dump, files: Vec::new() });
        assert_eq!(daemonizes(&fpm).len(), 1);
        fpm.command = AppCommand::new(vec!["php-fpm8.2".to_owned(), "-F".to_owned()], |_| None);
        assert_eq!(daemonizes(&fpm), []);
    }
}

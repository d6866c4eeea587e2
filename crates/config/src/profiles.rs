//! Defaults for known servers, as the weakest layer of a configuration: the signal that lets requests finish, the signal
//! that ends the server at once, the STOPSIGNAL of its official image, and the drain while clients still come. Plain TOML in
//! parts that profiles share, so that a profile can set whatever a file can, and `bookend check` shows it with its origin.
//! docs/profiles.md names the source of each value.

#[cfg(feature = "auto")]
use crate::wrapper::{base_name, is_interpreter, unwrapped};

/// One server.
struct Profile {
    name: &'static str,
    /// The programs that it is recognised by, without a version at the end.
    #[cfg_attr(not(feature = "auto"), expect(dead_code, reason = "only the choice by the program reads it"))]
    programs: &'static [&'static str],
    /// Its text.
    parts: &'static [&'static str],
}

const fn profile(name: &'static str, programs: &'static [&'static str], parts: &'static [&'static str]) -> Profile {
    Profile { name, programs, parts }
}

/// All of them.
///
/// The stop signal is the Pod spec's `lifecycle.stopSignal`: both that and `app.stopSignal` are stronger.
static PROFILES: &[Profile] = &[
    // A daemon's workers take the SIGWINCH of a resized terminal for a shutdown.
    profile(
        "nginx",
        &["nginx", "nginx-debug", "openresty"],
        &[QUIT, THEN_TERM, DRAIN, "app.signals.SIGWINCH = \"ignore\""],
    ),
    profile("php-fpm", &["php-fpm"], &[QUIT, THEN_TERM, DRAIN]),
    profile("gunicorn", &["gunicorn"], &[TERM, THEN_QUIT, DRAIN]),
    // SIGTERM reloads it, unless die-on-term is set; it has no signal that lets requests finish.
    profile("uwsgi", &["uwsgi", "uwsgi-core"], &[INT, DRAIN_REQUESTS]),
    profile("unicorn", &["unicorn", "unicorn_rails"], &[QUIT, THEN_TERM, DRAIN]),
    profile(
        "node",
        &["node", "nodejs"],
        &[TERM, "app.secondSignal.signal = \"SIGHUP\"\napp.exitCodes.129 = 0", DRAIN_REQUESTS],
    ),
    // A JVM that SIGTERM stopped in good order exits with 143. SIGQUIT is a thread dump.
    profile(
        "java",
        &["java", "catalina.sh"],
        &[TERM, "app.exitCodes.143 = 0\napp.stopSignals = [\"SIGTERM\", \"SIGINT\"]", DRAIN_REQUESTS],
    ),
    // Its clients and the proxies before it speak HTTP/2.
    profile(
        "envoy",
        &["envoy"],
        &[
            TERM,
            "lifecycle.preStop = { name = \"drain\", drain = { maxSeconds = 20, until = \"NoBusyConnections\", multiplexed = true } }",
        ],
    ),
    profile(
        "haproxy",
        &["haproxy"],
        &["lifecycle.stopSignal = \"SIGUSR1\"", STOPSIGNALS, "\"SIGUSR1\"]", THEN_TERM, DRAIN],
    ),
    profile(
        "apache",
        &["apache2", "httpd", "apache2ctl", "apachectl", "apache2-foreground", "httpd-foreground"],
        &["lifecycle.stopSignal = \"SIGWINCH\"", STOPSIGNALS, "\"SIGWINCH\"]", THEN_TERM, DRAIN],
    ),
    // Fast shutdown, once no query runs: the smart one waits for the last idle client of a pool.
    profile(
        "postgres",
        &["postgres"],
        &[
            INT,
            "lifecycle.preStop = { name = \"drain\", drain = { minSeconds = 0, quietSeconds = 1, maxSeconds = 10, until = \"NoBusyConnections\" } }",
        ],
    ),
    profile("uvicorn", &["uvicorn"], &[TERM, THEN_INT, STOP_IS_SUCCESS, DRAIN]),
    profile("hypercorn", &["hypercorn"], &[TERM, DRAIN_REQUESTS]),
    profile("granian", &["granian"], &[TERM, DRAIN]),
    profile("waitress", &["waitress-serve", "waitress"], &[TERM, STOP_IS_SUCCESS, DRAIN_REQUESTS]),
    profile("daphne", &["daphne"], &[TERM, STOP_IS_SUCCESS, DRAIN_REQUESTS]),
    profile("puma", &["puma"], &[TERM, STOP_IS_SUCCESS, DRAIN]),
    profile("caddy", &["caddy"], &[TERM, THEN_QUIT, DRAIN]),
    profile("traefik", &["traefik"], &[TERM, DRAIN]),
    profile("lighttpd", &["lighttpd"], &[INT, THEN_TERM, DRAIN]),
    profile("varnish", &["varnishd"], &[TERM, DRAIN_REQUESTS]),
    // A program in Go without a handler of its own.
    profile("go", &[], &[TERM, STOP_IS_SUCCESS, DRAIN_REQUESTS]),
    // Not chosen by "auto": it is there for its reload.
    #[cfg(feature = "reload")]
    profile("prometheus", &[], &[TERM, DRAIN_REQUESTS]),
    // Any server, and a worker or a Job, which listens on no port.
    profile(
        HTTP,
        &[],
        &[
            "lifecycle.preStop = { name = \"drain\", drain = { maxSeconds = 20, until = \"NoBusyConnections\", onlyIfListening = true } }",
        ],
    ),
];

const QUIT: &str = "lifecycle.stopSignal = \"SIGQUIT\"";
const TERM: &str = "lifecycle.stopSignal = \"SIGTERM\"";
const INT: &str = "lifecycle.stopSignal = \"SIGINT\"";
const THEN_TERM: &str = "app.secondSignal.signal = \"SIGTERM\"";
const THEN_QUIT: &str = "app.secondSignal.signal = \"SIGQUIT\"";
const THEN_INT: &str = "app.secondSignal.signal = \"SIGINT\"";
/// The default ones, and the STOPSIGNAL of the official image.
const STOPSIGNALS: &str = "app.stopSignals = [\"SIGTERM\", \"SIGINT\", \"SIGQUIT\", ";
const STOP_IS_SUCCESS: &str = "app.stopIsSuccess = true";
const DRAIN: &str = "lifecycle.preStop = { name = \"drain\", drain = {} }";
/// For a server whose stop signal is not graceful.
const DRAIN_REQUESTS: &str =
    "lifecycle.preStop = { name = \"drain\", drain = { maxSeconds = 20, until = \"NoBusyConnections\" } }";

/// The profile of an unknown program.
pub(crate) const HTTP: &str = "http";
/// The value of `app.profile` that leaves the choice to bookend.
#[cfg(feature = "auto")]
pub(crate) const AUTO: &str = "auto";

/// The values of `app.profile`.
#[expect(clippy::indexing_slicing, reason = "the compiler evaluates it and rejects a wrong index")]
pub(crate) const NAMES: &[&str] = &{
    const FIRST: &[&str] = if cfg!(feature = "auto") { &["auto"] } else { &[] };
    let mut names = ["auto"; PROFILES.len() + FIRST.len()];
    let mut index = 0;
    while index < PROFILES.len() {
        names[index + FIRST.len()] = PROFILES[index].name;
        index += 1;
    }
    names
};

/// The action and the check that a profile supplies for `[[reload]]`; empty if it has none.
#[cfg(feature = "reload")]
pub(crate) fn reload(name: &str) -> &'static str {
    match name {
        "nginx" => "reload.signal.name = \"SIGHUP\"\nreload.check.exec.command = [\"nginx\", \"-t\", \"-q\"]",
        // Of the master process (-W).
        "haproxy" => {
            "reload.signal.name = \"SIGUSR2\"\nreload.check.exec.command = [\"haproxy\", \"-c\", \"-q\", \"-f\", \"/usr/local/etc/haproxy/haproxy.cfg\"]"
        }
        "apache" => "reload.signal.name = \"SIGUSR1\"\nreload.check.exec.command = [\"apachectl\", \"-t\"]",
        "php-fpm" => "reload.signal.name = \"SIGUSR2\"\nreload.check.exec.command = [\"php-fpm\", \"-t\"]",
        "gunicorn" => "reload.signal.name = \"SIGHUP\"",
        // Needs --web.enable-lifecycle.
        "prometheus" => {
            "reload.httpGet = { method = \"POST\", port = 9090, path = \"/-/reload\" }\nreload.check.exec.command = [\"promtool\", \"check\", \"config\", \"/etc/prometheus/prometheus.yml\"]"
        }
        _ => "",
    }
}

/// The text of a profile; an empty one for an unknown name.
pub(crate) fn text(name: &str, has_grace_period: bool) -> String {
    let text = PROFILES.iter().find(|profile| profile.name == name).map(|profile| profile.parts.join("\n"));
    let text = text.unwrap_or_default();
    // The runtime's own grace period may be ten seconds (docker stop): half of it is for the requests in flight, so that a
    // server under bookend is never worse off than without it.
    match has_grace_period {
        true => text,
        false => text
            .replace("drain = {}", "drain = { maxSeconds = 5 }")
            .replace("maxSeconds = 20", "maxSeconds = 5")
            .replace("maxSeconds = 10", "maxSeconds = 5"),
    }
}

#[cfg(feature = "auto")]
/// The profile of a server by the name of its program, which may end in a version: `php-fpm8.2`.
pub fn of_program(program: &str) -> Option<&'static str> {
    let of = |name: &str| PROFILES.iter().find(|profile| profile.programs.contains(&name)).map(|profile| profile.name);
    // `apache2` ends in a digit by itself.
    of(program).or_else(|| of(program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.')))
}

#[cfg(feature = "auto")]
/// The profile of a command.
pub(crate) fn of_command(words: &[String]) -> Option<&'static str> {
    const MOST_WRAPPERS: usize = 10;
    let mut words = words.to_vec();
    for _ in 0..MOST_WRAPPERS {
        let program = base_name(words.first()?);
        let inner = match unwrapped(program, &words) {
            Some(inner) => inner,
            // The script of an image: most end with `exec "$@"`.
            None if program.contains("entrypoint") && words.get(1).is_some_and(|word| !word.starts_with('-')) => {
                words.split_off(1)
            }
            None => return of_program(program),
        };
        words = inner;
    }
    None
}

#[cfg(feature = "auto")]
/// The profile of a process that runs. `None`: the process does not show it.
pub fn of_process(process: &AppProcess) -> Option<&'static str> {
    let executable = process.executable.as_deref().map(|path| base_name(path.trim_end_matches(" (deleted)")));
    // The executable of a script is its interpreter, and that of an emulated program the emulator.
    let is_host = |name: &str| is_interpreter(name) || ["perl", "ld-", "qemu-"].iter().any(|one| name.starts_with(one));
    if let Some(executable) = executable.filter(|name| !is_host(name)) {
        return Some(of_program(executable).unwrap_or(HTTP));
    }
    let title = process.command_line.first().map(|title| title.split([' ', ':']).next().unwrap_or_default().to_owned());
    of_command(&process.command_line).or_else(|| of_program(base_name(&title?))).or_else(|| of_program(&process.name))
}

#[cfg(feature = "auto")]
/// A process as the kernel shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppProcess {
    /// The path of its program. `None`: it cannot be read.
    pub executable: Option<String>,
    /// Its arguments, or the title that it has set instead.
    pub command_line: Vec<String>,
    /// Its name, cut off after 15 bytes.
    pub name: String,
}

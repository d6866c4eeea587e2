//! The doctor's eyes: everything it touches, it touches here. Files are read up to a bound, programs are run up to
//! one (`tool`), and what cannot be looked at is written down, never guessed.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::{AccessFlags, access};

use super::apache::{self, Apache};
use super::command::{Command, Script, base_name, words};
use super::config_text::File as ConfigFile;
use super::gunicorn::Gunicorn;
use super::nginx::Nginx;
use super::php_fpm::{self, PhpFpm};
use super::server::is_php_fpm;
use super::surroundings::{Surroundings, cpus_of_quota, listeners};
use super::uwsgi::Uwsgi;
use super::{Facts, tool};
use crate::files::read_beginning;
use crate::net::tcp_monitor::{self, TcpMonitor};
use crate::process::Pid;
use crate::process::inherited::Inherited;
use bookend_config::Effective;
use bookend_config::settings::{Handler, HandlerKind, Settings, TlsSettings, ValueSource};
use bookend_lifecycle::signal::Signal;
use bookend_lifecycle::small_map::SmallMap;

/// Looks at everything the checks ask about.
pub(crate) fn facts(effective: &Effective, image_stop_signal: Option<Signal>, inherited: &Inherited) -> Facts {
    let settings = &effective.settings;
    let program = &settings.app.program;
    let budget = effective.budget();
    let signal_by = budget.stages.iter().find(|stage| stage.stage == "stop").and_then(|stage| stage.begins_by);
    let kill = budget.deadlines.map(|deadlines| deadlines.kill);
    let mut look = Look {
        dir: program.working_dir.clone().unwrap_or_else(|| PathBuf::from(".")),
        command: Command::new(program.command.iter().map(|word| word.to_string_lossy().into_owned()).collect()),
        inherited,
        unseen: Vec::new(),
    };
    look.read_script();
    if matches!(look.command.program(), "npm" | "npx" | "yarn" | "pnpm") {
        look.command.package_json = look.text("package.json");
    }
    if look.command.said.is_empty() {
        look.unseen.push("the app: no command is configured, and none was given after --".to_owned());
    }
    Facts {
        budget_warnings: budget.warnings,
        time_for_app: kill.zip(signal_by).map(|(kill, signal)| kill.saturating_sub(signal)),
        missing_programs: look.missing_programs(settings),
        image_stop_signal,
        nginx: look.nginx(),
        php_fpm: look.php_fpm(),
        gunicorn: look.gunicorn(),
        uwsgi: look.uwsgi(),
        apache: look.apache(),
        surroundings: surroundings(settings),
        settings: settings.clone(),
        command: look.command,
        unseen: look.unseen,
    }
}

/// The name of PID 1, and its command line.
pub(crate) fn first_process() -> (String, Vec<String>) {
    let name = read("/proc/1/comm").unwrap_or_default().trim().to_owned();
    let line = read("/proc/1/cmdline").unwrap_or_default();
    (name, line.split_terminator('\0').map(str::to_owned).collect())
}

struct Look<'a> {
    /// Where relative paths of the app begin.
    dir: PathBuf,
    command: Command,
    inherited: &'a Inherited,
    unseen: Vec<String>,
}

impl Look<'_> {
    fn text(&self, path: &str) -> Option<String> {
        read(self.dir.join(path))
    }

    fn file(&self, path: &str) -> Option<ConfigFile> {
        Some(ConfigFile { path: path.to_owned(), text: self.text(path)? })
    }

    /// The program, and what it prints; why not, where it does not succeed.
    fn shown(&mut self, program: &str, args: &[String]) -> Option<String> {
        let printed = match tool::run(self.inherited, program, args) {
            Ok(printed) if printed.success => return Some(printed.out + &printed.err),
            Ok(printed) => printed,
            Err(error) => {
                self.unseen.push(error);
                return None;
            }
        };
        let said = printed.err.lines().chain(printed.out.lines()).rfind(|line| !line.trim().is_empty());
        self.unseen.push(format!("`{program} {}` failed: {}", args.join(" "), said.unwrap_or("no message")));
        None
    }

    fn read_script(&mut self) {
        let Some(path) = self.command.script.as_ref().map(|script| script.path.clone()) else { return };
        if let Some(text) = self.find_program(&path).and_then(read) {
            self.command.script = Some(Script { path, text });
        }
    }

    /// Where a program is: as named, or in PATH.
    fn find_program(&self, name: &str) -> Option<PathBuf> {
        let is_program = |path: &PathBuf| {
            fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
        };
        if name.contains('/') {
            return Some(self.dir.join(name)).filter(is_program);
        }
        let path = env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/bin:/usr/bin".into());
        env::split_paths(&path).map(|folder| folder.join(name)).find(is_program)
    }

    fn missing_programs(&self, settings: &Settings) -> Vec<(String, String)> {
        let app = [self.command.said.first(), self.command.server.first()].into_iter().flatten();
        let mut named: Vec<(String, String)> = app.map(|program| ("the app".to_owned(), program.clone())).collect();
        named.dedup();
        let hooks = &settings.lifecycle;
        let handlers = [&hooks.pre_start, &hooks.post_start, &hooks.pre_stop, &hooks.post_stop];
        let exec = |handler: &Handler| match &handler.kind {
            HandlerKind::Exec(program) => {
                let name = program.command.first()?.to_string_lossy().into_owned();
                Some((format!("the handler {}", handler.name), name))
            }
            _ => None,
        };
        named.extend(handlers.into_iter().flatten().filter_map(exec));
        // Where `$(VAR)` stands, the name is made later; a shell's builtins are no files.
        named.retain(|(_, program)| {
            let is_builtin = self.command.shell.is_some() && Some(program) == self.command.server.first();
            !program.is_empty() && !program.contains('$') && !is_builtin && self.find_program(program).is_none()
        });
        named
    }

    fn nginx(&mut self) -> Option<Nginx> {
        if !matches!(self.command.program(), "nginx" | "nginx-debug") {
            return None;
        }
        let program = self.command.server.first()?.clone();
        let mut args: Vec<String> = self.command.server.iter().skip(1).cloned().collect();
        let given = self.command.option(&["-g"]).unwrap_or_default().to_owned();
        let version =
            tool::run(self.inherited, &program, &["-v".to_owned()]).map(|printed| printed.err).unwrap_or_default();
        args.push("-T".to_owned());
        let dump = self.shown(&program, &args)?;
        Some(Nginx::read(&dump, &given, &version))
    }

    fn php_fpm(&mut self) -> Option<PhpFpm> {
        if !is_php_fpm(self.command.program()) {
            return None;
        }
        let program = self.command.server.first()?.clone();
        let is_ours = |arg: &&String| !matches!(arg.as_str(), "-F" | "--nodaemonize" | "-D" | "--daemonize");
        let mut args: Vec<String> = self.command.server.iter().skip(1).filter(is_ours).cloned().collect();
        args.push("-tt".to_owned());
        let shown = self.shown(&program, &args)?;
        let main = php_fpm::main_file(&shown).and_then(|path| self.file(path));
        let mut files: Vec<ConfigFile> = main.into_iter().collect();
        let patterns: Vec<String> =
            files.iter().flat_map(|file| php_fpm::includes(&file.text)).map(str::to_owned).collect();
        files.extend(patterns.iter().flat_map(|pattern| matching(pattern)).filter_map(|path| self.file(&path)));
        Some(PhpFpm { shown, files })
    }

    fn gunicorn(&mut self) -> Option<Gunicorn> {
        if self.command.program() != "gunicorn" {
            return None;
        }
        let from_env = env::var("GUNICORN_CMD_ARGS").map(|text| words(&text)).unwrap_or_default();
        let args: Vec<String> = from_env.into_iter().chain(self.command.args().map(str::to_owned)).collect();
        let config = super::command::option(args.iter().map(String::as_str), &["-c", "--config"]);
        let path = config.map_or("gunicorn.conf.py", |path| path.trim_start_matches("file:")).to_owned();
        let file = self.file(&path);
        if file.is_none() && config.is_some() {
            self.unseen.push(format!("gunicorn's configuration {path}"));
        }
        Some(Gunicorn { args, files: file.into_iter().collect() })
    }

    fn uwsgi(&mut self) -> Option<Uwsgi> {
        if !matches!(self.command.program(), "uwsgi" | "uwsgi-core") {
            return None;
        }
        let args: Vec<String> = self.command.args().map(str::to_owned).collect();
        let is_ini = |arg: &&String| arg.ends_with(".ini");
        let paths = args.iter().filter(is_ini).map(|arg| arg.trim_start_matches("--ini=").to_owned());
        let mut files = Vec::new();
        for path in paths.collect::<Vec<_>>() {
            match self.file(&path) {
                Some(file) => files.push(file),
                None => self.unseen.push(format!("uWSGI's configuration {path}")),
            }
        }
        Some(Uwsgi { args, files })
    }

    fn apache(&mut self) -> Option<Apache> {
        // Debian's apache2 needs the environment that apache2ctl gives it.
        let program = match self.command.program() {
            "apache2" | "apache2ctl" | "apache2-foreground" => "apache2ctl",
            "httpd" | "httpd-foreground" => "httpd",
            "apachectl" => "apachectl",
            _ => return None,
        };
        let args = ["-t", "-D", "DUMP_INCLUDES"].map(str::to_owned);
        let shown = self.shown(program, &args)?;
        Some(Apache { files: apache::included(&shown).filter_map(|path| self.file(path)).collect() })
    }
}

/// The files of a pattern whose last part may have one star, as php-fpm's includes do. A relative one begins where
/// the official image's php has its prefix.
fn matching(pattern: &str) -> Vec<String> {
    let pattern = Path::new("/usr/local").join(pattern);
    let name = base_name(pattern.to_str().unwrap_or_default()).to_owned();
    let Some((before, after)) = name.split_once('*') else {
        return pattern.to_str().map(str::to_owned).into_iter().collect();
    };
    let entries = pattern.parent().and_then(|folder| fs::read_dir(folder).ok());
    let found: SmallMap<String, ()> = entries
        .into_iter()
        .flat_map(|entries| entries.flatten().take(MOST_FILES))
        .filter_map(|entry| entry.path().to_str().map(str::to_owned))
        .filter(|path| base_name(path).starts_with(before) && base_name(path).ends_with(after))
        .map(|path| (path, ()))
        .collect();
    found.into_iter().map(|(path, ())| path).collect()
}

fn surroundings(settings: &Settings) -> Surroundings {
    let (name, _) = first_process();
    let socket = settings.socket.path().map(|(path, _)| path);
    let there = socket.is_some_and(Path::exists);
    let inside = there || name == "bookend";
    let writable = |folder: &Path| access(folder, AccessFlags::W_OK).is_ok();
    let folder = socket.and_then(Path::parent).filter(|folder| !there && !writable(folder));
    let own_port = settings.http.as_ref().map(|http| http.listen.port());
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().filter_map(read).collect::<Vec<_>>();
    let listens = tables.iter().flat_map(|text| listeners(text)).filter(|(_, port)| Some(*port) != own_port);
    let mut tcp_monitor = TcpMonitor::open();
    let blind = match (TcpMonitor::counters(), tcp_monitor.sockets(&[])) {
        (None, _) => Some("/proc/net/snmp cannot be read"),
        (_, None) => Some("neither netlink nor /proc/net/tcp shows sockets"),
        _ => None,
    };
    let message = settings.termination_message_path.as_deref().unwrap_or(Path::new("/dev/termination-log"));
    Surroundings {
        inside,
        first_process: name,
        in_kubernetes: env::var_os("KUBERNETES_SERVICE_HOST").is_some(),
        host_network: tcp_monitor::is_host_network(),
        blind: blind.map(str::to_owned),
        listens: listens.map(|(ip, port)| std::net::SocketAddr::new(ip, port).to_string()).collect(),
        port_is_given: env::var_os("PORT").is_some(),
        unreadable: unreadable(settings),
        cpus: cpus(),
        cpu_quota: cpu_quota(),
        socket: folder.map(|folder| format!("the socket cannot be made in {}", folder.display())),
        termination_log: message.exists(),
    }
}

/// The files the configuration names and that cannot be read.
fn unreadable(settings: &Settings) -> Vec<(String, String, String)> {
    let mut named: Vec<(String, &Path)> = Vec::new();
    if let Some(http) = &settings.http {
        named.extend(http.token_file.as_deref().map(|path| ("http.tokenFile".to_owned(), path)));
        if let Some(TlsSettings::Files { cert, key }) = &http.tls {
            named.push(("http.tls.certFile".to_owned(), cert));
            named.push(("http.tls.keyFile".to_owned(), key));
        }
    }
    for (name, value) in &settings.app.program.env {
        if let ValueSource::File(path) = value {
            named.push((format!("app.env.{name}"), path));
        }
    }
    // Not opened: what it is said to be may be a pipe.
    let reason = |path: &Path| access(path, AccessFlags::R_OK).err().map(|errno| io::Error::from(errno).to_string());
    named.into_iter().filter_map(|(key, path)| Some((key, path.display().to_string(), reason(path)?))).collect()
}

/// Those that the scheduler may choose from, as a program counts them that knows nothing of quotas.
fn cpus() -> u64 {
    let may = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    (0..CpuSet::count()).filter(|cpu| may.is_set(*cpu).unwrap_or_default()).map(|_| 1).sum()
}

/// cgroup v2's file, or the two of v1.
fn cpu_quota() -> Option<u64> {
    let v1 = || {
        let part = |name: &str| read(format!("/sys/fs/cgroup/cpu/cpu.cfs_{name}_us"));
        Some(format!("{} {}", part("quota")?, part("period")?))
    };
    cpus_of_quota(&read("/sys/fs/cgroup/cpu.max").or_else(v1)?)
}

/// The beginning of a regular file.
fn read(path: impl AsRef<Path>) -> Option<String> {
    let bytes = read_beginning(path.as_ref(), MOST_BYTES).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Far more than a configuration file has.
const MOST_BYTES: u64 = 1024 * 1024;
const MOST_FILES: usize = 1000;

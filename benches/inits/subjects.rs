//! The measured inits, and how each of them is asked to run the application.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

/// An init and what it can do.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    /// The executed file; `command[0]` is its name.
    pub(crate) program: String,
    pub(crate) command: Vec<String>,
    pub(crate) kind: Kind,
    /// The signal that stops it.
    pub(crate) stop: Signal,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// bookend without a configuration, or as tini.
    Plain,
    /// bookend with an endpoint and handlers.
    Configured,
    /// Others: they have no targets.
    Other,
    /// Other supervisors: slow, and they do not forward signals.
    Supervisor,
    /// The application without an init: no process forwards signals or reaps.
    None,
}

impl Subject {
    pub(crate) fn hands_on_signals(&self) -> bool {
        self.kind != Kind::Supervisor
    }

    /// The application itself does not reap, and ends only by the signals it waits for.
    pub(crate) fn reaps(&self) -> bool {
        self.kind != Kind::None
    }

    /// A supervisor takes up to seconds for work that takes an init a millisecond, so it takes part in a few rounds.
    pub(crate) fn is_in(&self, round: usize) -> bool {
        self.kind != Kind::Supervisor || round < SUPERVISORS
    }
}

/// Enough rounds to show how a supervisor performs.
const SUPERVISORS: usize = 7;

/// All inits in the order of the report. Missing ones are named in the second list.
pub(crate) fn all(bookend: &str, folder: &Path) -> (Vec<Subject>, Vec<String>) {
    let app = folder.join("app").display().to_string();
    let config = write(folder, "bookend.toml", CONFIG);
    let scan = service(folder, "s6", &app);
    let services = service(folder, "runit", &app);
    let supervisord = write(folder, "supervisord.conf", &SUPERVISORD.replace("APP", &app));
    fs::create_dir(folder.join("horust")).unwrap();
    write(folder, "horust/app.toml", &format!("command = \"{app}\"\n[environment]\nkeep-env = true\n"));
    let horust_services = folder.join("horust").display().to_string();
    let built = std::env::var("BENCH_INITS").unwrap_or_default();
    let (pid1, horust) = (format!("{built}/pid1"), format!("{built}/horust"));
    let minimal = std::env::var("MINIMAL_BIN").unwrap_or_default();
    let floor = folder.join("floor").display().to_string();

    use Kind::{Configured, Other, Plain, Supervisor};
    let with_app = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).chain([app.clone()]).collect();
    let init = |name, kind, program: &str, words: &[&str]| Subject {
        name,
        program: program.to_owned(),
        command: with_app(words),
        kind,
        stop: Signal::SIGTERM,
    };
    let supervisor = |name, words: &[&str], stop| Subject {
        name,
        program: words[0].to_owned(),
        command: words.iter().map(|word| (*word).to_owned()).collect(),
        kind: Supervisor,
        stop,
    };
    let mut subjects = vec![
        init("bookend", Plain, bookend, &["bookend", "--"]),
        init("bookend as tini", Plain, bookend, &["tini", "--"]),
        init("bookend, http and handlers", Configured, bookend, &["bookend", "-c", &config, "--"]),
        init("minimal bookend", Other, &minimal, &["bookend", "--"]),
        init("tini", Other, "/usr/bin/tini", &["tini", "--"]),
        init("tini-static", Other, "/usr/bin/tini-static", &["tini-static", "--"]),
        init("dumb-init", Other, "/usr/bin/dumb-init", &["dumb-init", "--"]),
        init("catatonit", Other, "/usr/bin/catatonit", &["catatonit", "--"]),
        init("pid1 (crate)", Other, &pid1, &["pid1"]),
        supervisor("horust (crate)", &[&horust, "--services-path", &horust_services], Signal::SIGTERM),
        supervisor("s6-svscan", &["/usr/bin/s6-svscan", &scan], Signal::SIGTERM),
        // SIGTERM would leave the services without a supervisor; SIGHUP stops them.
        supervisor("runsvdir (runit)", &["/usr/bin/runsvdir", "-P", &services], Signal::SIGHUP),
        supervisor("supervisord", &["/usr/bin/supervisord", "-n", "-c", &supervisord], Signal::SIGTERM),
        init("floor.c", Other, &floor, &["floor"]),
        Subject { kind: Kind::None, ..init("no init", Other, &app, &[]) },
    ];
    let mut missing = Vec::new();
    fs::create_dir(folder.join("program")).unwrap();
    subjects.retain_mut(|subject| {
        // Copies: how a file once came into the page cache decides how many page faults its start costs.
        let copy = folder.join("program").join(subject.name);
        // Written to disk: pages that wait for the disk would count as dirty memory of the process that maps them.
        let copied = fs::copy(&subject.program, &copy).and_then(|_| fs::File::open(&copy)?.sync_all());
        if let Err(error) = &copied {
            missing.push(format!("{}: {}: {error}", subject.name, subject.program));
        } else if subject.kind != Kind::None {
            subject.program = copy.display().to_string();
        }
        copied.is_ok()
    });
    (subjects, missing)
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// A folder of services with one whose `run` is the application itself: a shell between them would be measured, too.
fn service(folder: &Path, name: &str, app: &str) -> String {
    let services: PathBuf = folder.join(name);
    fs::create_dir_all(services.join("app")).unwrap();
    std::os::unix::fs::symlink(app, services.join("app/run")).unwrap();
    services.display().to_string()
}

/// An endpoint and a handler of each hook, none of which takes time of its own.
const CONFIG: &str = r#"
terminationGracePeriodSeconds = 30
log.level = "Error"
http.listen = "127.0.0.1:0"
lifecycle.postStart.sleep.seconds = 0
lifecycle.preStop.sleep.seconds = 0
"#;

const SUPERVISORD: &str = "
[supervisord]
nodaemon = true
user = root
logfile = /dev/null
logfile_maxbytes = 0
pidfile = /run/supervisord.pid
[program:app]
command = APP
autorestart = false
";

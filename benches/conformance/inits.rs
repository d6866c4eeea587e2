//! The inits, how each of them is asked to run an application, and what it claims.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::checks::Claim;

/// An init of the comparison.
pub(crate) struct Init {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    program: PathBuf,
    kind: Kind,
    /// The signal that stops it.
    pub(crate) stop: &'static str,
    pub(crate) claims: &'static [Claim],
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Bookend,
    /// PROGRAM WORDS APP.
    Wrapper(&'static [&'static str]),
    /// A folder of services, each with `run` and `finish`.
    Services(&'static [&'static str]),
    Supervisord,
    Circus,
    /// A Procfile.
    Procfile,
    Pm2,
    /// A folder of services, each a TOML file.
    Horust,
    /// /etc/inittab.
    Busybox,
}

/// The needs of an application beside its command.
#[derive(Clone, Copy, Default)]
pub(crate) struct Extras {
    /// Commands before and after the app, which write the files `pre-start`, `pre-stop` and `post-stop`.
    pub(crate) hooks: bool,
    /// A second service that writes the file `second`.
    pub(crate) second: bool,
    /// The setting that holds the stop signal back while clients come, if the init has one.
    pub(crate) drain: bool,
}

use Claim::{
    Drain, ExitCode, Forward, Hook, NotFound, PostStop, PreStart, PreStop, Reap, ReapMany, Remaining, Restart, Several,
    Stop,
};

const WRAPPER: &[Claim] = &[Stop, Forward, ExitCode, Reap, ReapMany];
const SERVICES: &[Claim] = &[Stop, Reap, ReapMany, PreStart, PostStop, Several, Restart];
const SUPERVISOR: &[Claim] = &[Stop, Reap, Several, Restart];

/// The inits that are installed, and the others with the reason.
pub(crate) fn all(bookend: &str, root: &Path) -> (Vec<Init>, Vec<String>) {
    let tools = root.join("target/conformance");
    let crates = root.join("target/bench-inits/bin");
    let init =
        |name, program: PathBuf, kind, stop, claims| Init { name, version: String::new(), program, kind, stop, claims };
    let debian = |program: &str| Path::new("/usr/bin").join(program);
    let ours: &[Claim] =
        &[Stop, Forward, ExitCode, NotFound, Reap, ReapMany, Remaining, PreStart, PreStop, PostStop, Hook, Drain];
    let all = vec![
        init("bookend", bookend.into(), Kind::Bookend, "TERM", ours),
        init(
            "tini",
            debian("tini"),
            Kind::Wrapper(&["--"]),
            "TERM",
            &[Stop, Forward, ExitCode, NotFound, Reap, ReapMany],
        ),
        init("dumb-init", debian("dumb-init"), Kind::Wrapper(&["--"]), "TERM", WRAPPER),
        init("catatonit", debian("catatonit"), Kind::Wrapper(&["--"]), "TERM", WRAPPER),
        init("s6-svscan", debian("s6-svscan"), Kind::Services(&[]), "TERM", SERVICES),
        // Its stop is the job of runit(8): after SIGHUP it ends without waiting, and as PID 1 takes the services along.
        init(
            "runsvdir",
            debian("runsvdir"),
            Kind::Services(&["-P"]),
            "HUP",
            &[Reap, ReapMany, PreStart, Several, Restart],
        ),
        init("supervisord", debian("supervisord"), Kind::Supervisord, "TERM", SUPERVISOR),
        init(
            "circusd",
            tools.join("venv/bin/circusd"),
            Kind::Circus,
            "TERM",
            &[Stop, Several, Restart, PreStart, PreStop, PostStop],
        ),
        init("honcho", tools.join("venv/bin/honcho"), Kind::Procfile, "TERM", &[Stop, Several]),
        init("foreman", debian("foreman"), Kind::Procfile, "TERM", &[Stop, Several]),
        init("pm2-runtime", tools.join("node_modules/.bin/pm2-runtime"), Kind::Pm2, "TERM", &[Stop, Several, Restart]),
        init("pid1 (crate)", crates.join("pid1"), Kind::Wrapper(&["--"]), "TERM", &[Stop, ExitCode, Reap, ReapMany]),
        init("horust (crate)", crates.join("horust"), Kind::Horust, "TERM", SUPERVISOR),
        // It runs its shutdown actions, sends SIGTERM to all processes, and SIGKILL a second later.
        init(
            "busybox init",
            debian("busybox"),
            Kind::Busybox,
            "TERM",
            &[Stop, Reap, ReapMany, Remaining, PreStart, PreStop, Several, Restart],
        ),
    ];
    let mut missing = Vec::new();
    let mut found = Vec::new();
    for mut init in all {
        if init.program.exists() {
            init.version = version(&init, &tools, &crates);
            found.push(init);
        } else {
            missing.push(format!("{} is not installed", init.name));
        }
    }
    (found, missing)
}

fn version(init: &Init, tools: &Path, crates: &Path) -> String {
    let output = |program: &Path, words: &[&str]| {
        let output = Command::new(program).args(words).output().map(|output| output.stdout).unwrap_or_default();
        String::from_utf8_lossy(&output).trim().to_owned()
    };
    let package = match init.name {
        "s6-svscan" => "s6",
        "runsvdir" => "runit",
        "supervisord" => "supervisor",
        "foreman" => "ruby-foreman",
        "busybox init" => "busybox-static",
        "pid1 (crate)" => "pid1-exe",
        "horust (crate)" => "horust",
        "circusd" => "circus",
        name => name,
    };
    match init.kind {
        Kind::Bookend => output(&init.program, &["-V"]),
        _ if init.program.starts_with(tools.join("venv")) => {
            let shown = output(&tools.join("venv/bin/pip"), &["show", package]);
            let version = shown.lines().find_map(|line| line.strip_prefix("Version: ")).unwrap_or_default().to_owned();
            format!("{package} {version} (PyPI)")
        }
        Kind::Pm2 => {
            let text = std::fs::read_to_string(tools.join("node_modules/pm2/package.json")).unwrap_or_default();
            let version =
                text.split("\"version\": \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
            format!("pm2 {version} (npm)")
        }
        _ if init.name.contains("crate") => {
            let text = std::fs::read_to_string(crates.join("../.crates.toml")).unwrap_or_default();
            let prefix = format!("\"{package} ");
            let version = text.lines().find_map(|line| line.strip_prefix(&prefix)?.split(' ').next());
            format!("{package} {} (crates.io)", version.unwrap_or_default())
        }
        _ => {
            let version = output(Path::new("/usr/bin/dpkg-query"), &["--show", "--showformat", "${Version}", package]);
            format!("{package} {version} (Debian)")
        }
    }
}

impl Init {
    /// The command of PID 1.
    pub(crate) fn words(&self, folder: &Path, app: &[String], extras: Extras) -> Vec<String> {
        let program = self.program.display().to_string();
        let dir = folder.display().to_string();
        let quoted: Vec<String> = app.iter().map(|word| format!("'{word}'")).collect();
        // An inittab has a line for it.
        let pre =
            if extras.hooks && self.kind != Kind::Busybox { format!("touch {dir}/pre-start\n") } else { String::new() };
        let run = script(folder, "run", &format!("{pre}exec {}\n", quoted.join(" ")));
        let second = script(folder, "second-run", &format!("touch {dir}/second\nexec sleep 1000\n"));
        let with_app = |words: Vec<String>| words.into_iter().chain(app.iter().cloned()).collect::<Vec<_>>();
        let words = |text: String| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        match self.kind {
            Kind::Bookend => {
                let mut config = "log.level = \"Error\"\nterminationGracePeriodSeconds = 20\n".to_owned();
                if extras.drain {
                    config += "app.profile = \"auto\"\n";
                }
                if extras.hooks {
                    config += "http.listen = \"127.0.0.1:9797\"\n";
                    for (hook, file) in [("preStart", "pre-start"), ("preStop", "pre-stop"), ("postStop", "post-stop")]
                    {
                        config += &format!("[lifecycle.{hook}]\nexec.command = [\"touch\", \"{dir}/{file}\"]\n");
                    }
                }
                // The plain checks are for bookend without a configuration.
                if !extras.drain && !extras.hooks {
                    return with_app(words(format!("{program} --")));
                }
                std::fs::write(folder.join("bookend.toml"), config).unwrap();
                with_app(words(format!("{program} -c {dir}/bookend.toml --")))
            }
            Kind::Wrapper(options) => {
                with_app([program].into_iter().chain(options.iter().map(|word| (*word).to_owned())).collect())
            }
            Kind::Services(options) => {
                let service = |name: &str, run: &str| {
                    let service = folder.join("services").join(name);
                    std::fs::create_dir_all(&service).unwrap();
                    std::os::unix::fs::symlink(run, service.join("run")).unwrap();
                    if extras.hooks {
                        script(&service, "finish", &format!("touch {dir}/post-stop\n"));
                    }
                };
                service("app", &run);
                if extras.second {
                    service("second", &second);
                }
                let options = options.iter().map(|word| (*word).to_owned());
                [program].into_iter().chain(options).chain([format!("{dir}/services")]).collect()
            }
            Kind::Supervisord => {
                let program_of = |name, command| format!("[program:{name}]\ncommand = {command}\n");
                let second = if extras.second { program_of("second", &second) } else { String::new() };
                let text = format!(
                    "[supervisord]\nnodaemon = true\nuser = root\nlogfile = /dev/null\nlogfile_maxbytes = 0\npidfile = {dir}/pid\n{}{second}",
                    program_of("app", &run)
                );
                std::fs::write(folder.join("supervisord.conf"), text).unwrap();
                words(format!("{program} -n -c {dir}/supervisord.conf"))
            }
            Kind::Circus => {
                let second = if extras.second { format!("[watcher:second]\ncmd = {second}\n") } else { String::new() };
                let mut hooks = String::new();
                if extras.hooks {
                    let hook = |name: &str, file: &str| {
                        format!("def {name}(*_, **__):\n    open('{dir}/{file}', 'w').close()\n    return True\n")
                    };
                    let module = hook("pre_start", "pre-start")
                        + &hook("pre_stop", "pre-stop")
                        + &hook("post_stop", "post-stop");
                    std::fs::write(folder.join("conformance_hooks.py"), module).unwrap();
                    hooks = "hooks.before_start = conformance_hooks.pre_start\nhooks.before_stop = conformance_hooks.pre_stop\n\
                             hooks.after_stop = conformance_hooks.post_stop\n"
                        .to_owned();
                }
                let text =
                    format!("[circus]\nwarmup_delay = 0\n[watcher:app]\ncmd = {run}\ncopy_env = true\n{hooks}{second}");
                std::fs::write(folder.join("circus.ini"), text).unwrap();
                words(format!("{program} {dir}/circus.ini"))
            }
            Kind::Procfile => {
                let second = if extras.second { format!("second: {second}\n") } else { String::new() };
                std::fs::write(folder.join("Procfile"), format!("app: exec {run}\n{second}")).unwrap();
                words(format!("{program} start -f {dir}/Procfile"))
            }
            Kind::Pm2 => {
                let app = |name: &str, script: &str| {
                    format!(
                        "{{ \"name\": \"{name}\", \"script\": \"{script}\", \"interpreter\": \"none\", \"kill_timeout\": 20000 }}"
                    )
                };
                let second = if extras.second { format!(", {}", app("second", &second)) } else { String::new() };
                std::fs::write(folder.join("pm2.json"), format!("{{ \"apps\": [{}{second}] }}", app("app", &run)))
                    .unwrap();
                words(format!("{program} start {dir}/pm2.json"))
            }
            Kind::Horust => {
                let services = folder.join("services");
                std::fs::create_dir(&services).unwrap();
                let service = |name: &str, command: &str| {
                    let text = format!(
                        "command = \"{command}\"\n[environment]\nkeep-env = true\n[termination]\nwait = \"20s\"\n\
                         [restart]\nstrategy = \"on-failure\"\nbackoff = \"1s\"\nattempts = 3\n"
                    );
                    std::fs::write(services.join(format!("{name}.toml")), text).unwrap();
                };
                service("app", &run);
                if extras.second {
                    service("second", &second);
                }
                words(format!("{program} --services-path {dir}/services"))
            }
            Kind::Busybox => {
                let mut text = format!("::respawn:{run}\n");
                if extras.second {
                    text += &format!("::respawn:{second}\n");
                }
                if extras.hooks {
                    text += &format!("::sysinit:/bin/touch {dir}/pre-start\n::shutdown:/bin/touch {dir}/pre-stop\n");
                }
                std::fs::write(folder.join("inittab"), text).unwrap();
                // The path is fixed, so it gets an /etc of its own in its mount namespace.
                let start = format!(
                    "cp -a /etc {dir}/etc && cp {dir}/inittab {dir}/etc/inittab && mount --bind {dir}/etc /etc && exec {program} init"
                );
                vec!["sh".to_owned(), "-c".to_owned(), start]
            }
        }
    }
}

fn script(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}")).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    path.display().to_string()
}

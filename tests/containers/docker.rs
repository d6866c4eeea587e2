//! The container engine for the tests: images built once, containers that clean up after
//! themselves, and waiting with a deadline. Everything goes through the `docker` command line.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// The time limit of every wait: long enough for a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The images of `scripts/images`: `bookend-test`, `bookend-test:debian`, `bookend-test:nginx`.
pub(crate) const PREFIX: &str = "bookend-test";

/// Whether the images are available. If not, the test reports it by name; in CI that is a failure.
pub(crate) fn ready(test: &str) -> bool {
    static IMAGES: OnceLock<Result<(), String>> = OnceLock::new();
    let Err(reason) = IMAGES.get_or_init(build_images) else {
        return true;
    };
    bookend_test_support::not_run(test, reason)
}

fn build_images() -> Result<(), String> {
    let binary = env::var_os("BOOKEND_BIN").ok_or("BOOKEND_BIN is not set (make test sets it)")?;
    if !Path::new(&binary).is_file() {
        return Err(format!("BOOKEND_BIN is not a file: {}", binary.display()));
    }
    let info = run(Command::new("docker").arg("info"));
    if info.code != Some(0) {
        return Err("no container engine answers (scripts/with-engine brings one)".into());
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/images");
    let build = run(Command::new(script).arg(PREFIX));
    if build.code != Some(0) {
        return Err(format!("scripts/images failed with {:?}:\n{}", build.code, build.stderr));
    }
    let folder = Folder::new("tools");
    build_image(&format!("{PREFIX}{TOOLS}"), TOOLS_DOCKERFILE, &folder);
    Ok(())
}

/// bookend:debian with curl and nginx, which tests use and a base image does not have.
pub(crate) const TOOLS: &str = ":tools";
const TOOLS_DOCKERFILE: &str = "FROM bookend-base:nginx\nCOPY --from=bookend-test /bookend /bookend\n\
                                ENTRYPOINT [\"/bookend\", \"--\"]\nCMD [\"bash\"]\n";

/// `docker build` in this folder, with an image of the tests as base and without a network.
pub(crate) fn build_image(image: &str, dockerfile: &str, folder: &Folder) {
    let path = folder.write("Dockerfile", dockerfile).display().to_string();
    let mut build = Command::new("docker");
    // The classic builder, as in scripts/images: it asks no registry for local images.
    build.env("DOCKER_BUILDKIT", "0").args(["build", "--network", "none", "--tag", image, "--file", &path]);
    let finished = run(build.arg(&folder.path));
    assert_eq!(finished.code, Some(0), "{image}: {finished:#?}");
}

/// `docker image rm`, without complaint.
pub(crate) fn remove_images(images: &[&str]) {
    docker(&[&["image", "rm", "--force"], images].concat());
}

/// The result of a command.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn run(command: &mut Command) -> Finished {
    match command.output() {
        Ok(output) => Finished {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        },
        Err(error) => Finished { code: None, stdout: String::new(), stderr: error.to_string() },
    }
}

/// `docker ARGS`, ended by timeout(1) if the engine hangs.
fn docker(args: &[&str]) -> Finished {
    run(Command::new("timeout").args(["--kill-after=5", "60", "docker"]).args(args))
}

pub(crate) fn docker_ok(args: &[&str]) -> Finished {
    let finished = docker(args);
    assert_eq!(finished.code, Some(0), "docker {args:?}: {finished:#?}");
    finished
}

/// The namespaces that a container shares with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Namespaces {
    Network,
    NetworkAndPids,
}

/// A container of one test. Its name is unique on the machine; dropping it removes it.
#[derive(Debug)]
pub(crate) struct Container {
    name: String,
}

impl Container {
    /// `docker run --detach OPTIONS bookend-testTAG COMMAND`, without a network but loopback.
    pub(crate) fn start(test: &str, tag: &str, options: &[&str], command: &[&str]) -> Self {
        let container = Self::named(test);
        let image = format!("{PREFIX}{tag}");
        let first = ["run", "--detach", "--network", "none", "--name", &container.name];
        let args = [&first, options, &[image.as_str()], command].concat();
        docker_ok(&args);
        container
    }

    /// `docker run --detach OPTIONS IMAGE COMMAND`, with an image of any name.
    pub(crate) fn start_image(name: &str, options: &[&str], image: &str, command: &[&str]) -> Self {
        let container = Self::named(name);
        docker_ok(&[&["run", "--detach", "--name", &container.name], options, &[image], command].concat());
        container
    }

    /// In namespaces of another container.
    pub(crate) fn start_beside(
        test: &str,
        other: &Container,
        namespaces: Namespaces,
        tag: &str,
        options: &[&str],
        command: &[&str],
    ) -> Self {
        let container = Self::named(test);
        let (image, others) = (format!("{PREFIX}{tag}"), format!("container:{}", other.name));
        let mut first = vec!["run", "--detach", "--name", &container.name, "--network", &others];
        if namespaces == Namespaces::NetworkAndPids {
            first.extend(["--pid", &others]);
        }
        docker_ok(&[&first, options, &[image.as_str()], command].concat());
        container
    }

    /// In the network of another container, in the foreground, to its end.
    pub(crate) fn run_beside(test: &str, other: &Container, tag: &str, options: &[&str], command: &[&str]) -> Finished {
        let container = Self::named(&format!("{test}-beside"));
        let (image, network) = (format!("{PREFIX}{tag}"), format!("container:{}", other.name));
        let first = ["run", "--network", &network, "--name", &container.name];
        docker(&[&first, options, &[image.as_str()], command].concat())
    }

    /// The same in the foreground, to its end: shows the exit code that the engine reports.
    pub(crate) fn run(test: &str, tag: &str, command: &[&str]) -> Finished {
        Self::run_with(test, tag, &[], command)
    }

    /// With options of `docker run`.
    pub(crate) fn run_with(test: &str, tag: &str, options: &[&str], command: &[&str]) -> Finished {
        let container = Self::named(test);
        let image = format!("{PREFIX}{tag}");
        let first = ["run", "--network", "none", "--name", &container.name];
        docker(&[&first, options, &[image.as_str()], command].concat())
    }

    /// The same as a command that the caller starts on a separate terminal. Also returns the container that it creates.
    pub(crate) fn command(test: &str, tag: &str, options: &[&str], command: &[&str]) -> (Command, Self) {
        let container = Self::named(test);
        let image = format!("{PREFIX}{tag}");
        let mut docker = Command::new("setsid");
        docker.args(["--ctty", "--wait", "docker", "run", "--network", "none", "--name", &container.name]);
        docker.args(options).arg(image).args(command);
        (docker, container)
    }

    /// Its name in the engine.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Builds an image from a Dockerfile of the documentation, on the images of the tests.
    pub(crate) fn build(tag: &str, dockerfile: &str, folder: &Folder) {
        let ours = dockerfile
            .replace("debian:stable-slim", "bookend-base")
            .replace("--from=bookend ", &format!("--from={PREFIX} "))
            .replace("FROM bookend:", &format!("FROM {PREFIX}:"));
        build_image(&format!("{PREFIX}{tag}"), &ours, folder);
    }

    /// The output of `docker image inspect`.
    pub(crate) fn image(tag: &str, format: &str) -> String {
        let image = format!("{PREFIX}{tag}");
        docker_ok(&["image", "inspect", "--format", format, &image]).stdout.trim().to_owned()
    }

    /// A file of an image, without running it.
    pub(crate) fn file_of(test: &str, tag: &str, path: &str, folder: &Folder) -> Vec<u8> {
        let container = Self::named(test);
        docker_ok(&["create", "--name", &container.name, &format!("{PREFIX}{tag}")]);
        container.file(path, folder)
    }

    /// A file of the container, which need not run.
    pub(crate) fn file(&self, path: &str, folder: &Folder) -> Vec<u8> {
        let copy = folder.path.join("copy");
        docker_ok(&["cp", &format!("{}:{path}", self.name), &copy.display().to_string()]);
        fs::read(copy).expect("docker cp has written it")
    }

    /// A container that was started by other means; it is removed as well.
    pub(crate) fn of_id(id: String) -> Self {
        Self { name: id }
    }

    fn named(test: &str) -> Self {
        Self { name: format!("bookend-{}-{test}", process::id()) }
    }

    /// `docker exec`: a command inside the container.
    pub(crate) fn exec(&self, command: &[&str]) -> Finished {
        docker(&[&["exec", &self.name], command].concat())
    }

    /// The status of a GET from inside the container; 0 without a response.
    pub(crate) fn get(&self, url: &str) -> u16 {
        let curl = ["curl", "--silent", "--max-time", "30", "--output", "/dev/null"];
        let finished = self.exec(&[&curl[..], &["--write-out", "%{http_code}", url]].concat());
        finished.stdout.trim().parse().unwrap_or(0)
    }

    /// `docker stop`; how long it took.
    pub(crate) fn stop(&self, options: &[&str]) -> Duration {
        let start = Instant::now();
        docker_ok(&[&["stop"], options, &[self.name.as_str()]].concat());
        start.elapsed()
    }

    /// `docker kill --signal SIGNAL`: despite its name any signal, and it does not wait.
    pub(crate) fn kill(&self, signal: &str) {
        docker_ok(&["kill", "--signal", signal, &self.name]);
    }

    /// The same, unless the container has ended.
    pub(crate) fn kill_if_running(&self, signal: &str) {
        let finished = docker(&["kill", "--signal", signal, &self.name]);
        assert!(finished.code == Some(0) || finished.stderr.contains("is not running"), "{finished:#?}");
    }

    /// `docker start`: once more, after its end.
    pub(crate) fn start_again(&self) {
        docker_ok(&["start", &self.name]);
    }

    /// The engine's id of it.
    pub(crate) fn id(&self) -> String {
        docker_ok(&["inspect", "--format", "{{.Id}}", &self.name]).stdout.trim().to_owned()
    }

    /// Waits for the container's end; its exit code.
    pub(crate) fn exit_code(&self) -> i32 {
        let ended = || self.state().strip_prefix("exited ").and_then(|code| code.trim().parse().ok());
        wait_for("the container ends", ended).unwrap_or_else(|| self.give_up("it did not end"))
    }

    /// stdout and stderr of the container so far.
    pub(crate) fn log(&self) -> String {
        let finished = docker_ok(&["logs", &self.name]);
        finished.stdout + &finished.stderr
    }

    /// One line a process: its state (`ps`' STAT) and its command line.
    pub(crate) fn processes(&self) -> Vec<String> {
        let finished = docker_ok(&["top", &self.name, "-eo", "pid,stat,args"]);
        let rows = finished.stdout.lines().skip(1);
        rows.filter_map(|row| row.trim_start().split_once(' '))
            .map(|(_pid, rest)| rest.trim_start().to_owned())
            .collect()
    }

    /// Waits until `condition` holds; a failure shows the container's log.
    pub(crate) fn wait_until(&self, what: &str, condition: impl Fn() -> bool) {
        let held_before_the_end = || match condition() {
            true => Some(true),
            // A container that has ended will not fulfil the condition.
            false => (!self.state().starts_with("running")).then_some(false),
        };
        if wait_for(what, held_before_the_end) != Some(true) {
            self.give_up(what);
        }
    }

    /// `running 0`, `exited 7`: the engine's state and the exit code.
    fn state(&self) -> String {
        let format = "{{.State.Status}} {{.State.ExitCode}}";
        docker_ok(&["inspect", "--format", format, &self.name]).stdout
    }

    fn give_up(&self, what: &str) -> ! {
        panic!("waited {PATIENCE:?} until {what}; the log of {}:\n{}", self.name, self.log())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        docker(&["rm", "--force", "--volumes", &self.name]);
    }
}

/// Asks again and again until there is a result; `None` after `PATIENCE`.
pub(crate) fn wait_for<T>(what: &str, answer: impl Fn() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let found = answer();
        if found.is_some() {
            return found;
        }
        thread::sleep(Duration::from_millis(50));
    }
    eprintln!("gave up: {what}");
    None
}

/// A directory of one test that a container can mount; dropping it removes it.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
}

impl Folder {
    pub(crate) fn new(test: &str) -> Self {
        let path = env::temp_dir().join(format!("bookend-{}-{test}", process::id()));
        fs::create_dir_all(&path).expect("the temporary directory is writable");
        Self { path }
    }

    /// Writes a file that every user may write to; its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::create_dir_all(path.parent().expect("it is below the folder")).expect("the folder is ours");
        fs::write(&path, text).expect("the folder is ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("the file is ours");
        path
    }

    /// The same, to be executed.
    pub(crate) fn write_program(&self, name: &str, text: &str) -> PathBuf {
        let path = self.write(name, text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the file is ours");
        path
    }

    pub(crate) fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path.join(name)).ok()
    }

    /// The option that shows `name` of this folder (all of it: "") as `target` in the container.
    pub(crate) fn mount(&self, name: &str, target: &str) -> String {
        format!("--volume={}:{target}", self.path.join(name).display())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.path).ok();
    }
}

//! Lives as containers of an engine with Docker's command line. Two containers a life: one that holds the network and runs the load, and
//! one that joins its network and runs the image as it is. Files go in by `cp`, so the engine may be anywhere.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bookend_rehearse::plan::Plan;
use serde_json::Value;

use super::bounded::{self, Output};
use super::interrupt;
use super::place::{Ending, Launch, Life, Place};
use super::remote::{Generator, There, WORD};

/// An engine and an image.
pub(crate) struct Engine {
    program: String,
    image: String,
    entrypoint: Vec<String>,
    arguments: Vec<String>,
    network: String,
    /// For every container of the image: environment, volumes.
    options: Vec<String>,
    stop_signal: Option<String>,
    myself: PathBuf,
}

impl Engine {
    /// Reads the image. `command` replaces its CMD.
    pub(crate) fn new(
        program: &str,
        image: &str,
        command: &[String],
        network: &str,
        options: &[String],
        stop_signal: Option<&str>,
    ) -> Result<Engine, String> {
        let myself = std::env::current_exe().map_err(|error| format!("cannot find this program's file: {error}"))?;
        let mut engine = Engine {
            program: program.to_owned(),
            image: image.to_owned(),
            entrypoint: Vec::new(),
            arguments: command.to_vec(),
            network: network.to_owned(),
            options: options.to_vec(),
            stop_signal: stop_signal.map(str::to_owned),
            myself,
        };
        let text = engine.call(&["image", "inspect", image], SHORT).map_err(|problem| {
            format!("{problem}\nbookend-rehearse pulls nothing; if the image is missing, run: {program} pull {image}")
        })?;
        let images: Value = serde_json::from_str(&text).map_err(|error| format!("cannot read the image: {error}"))?;
        let config = images.get(0).and_then(|image| image.get("Config")).cloned().unwrap_or_default();
        let words = |key: &str| -> Vec<String> {
            let list = config.get(key).and_then(Value::as_array).into_iter().flatten();
            list.filter_map(|word| word.as_str().map(str::to_owned)).collect()
        };
        engine.entrypoint = words("Entrypoint");
        if command.is_empty() {
            engine.arguments = words("Cmd");
        }
        if engine.stop_signal.is_none() {
            let signal = config.get("StopSignal").and_then(Value::as_str).filter(|signal| !signal.is_empty());
            engine.stop_signal = signal.map(str::to_owned);
        }
        if engine.entrypoint.is_empty() && engine.arguments.is_empty() {
            return Err(format!("{image} has neither ENTRYPOINT nor CMD: give a command after --"));
        }
        Ok(engine)
    }

    /// The stop signal that the engine will send.
    fn stop_signal(&self) -> &str {
        self.stop_signal.as_deref().unwrap_or("SIGTERM")
    }

    fn call(&self, words: &[&str], most: Duration) -> Result<String, String> {
        let output = bounded::run(Command::new(&self.program).args(words), most)?;
        if output.success {
            return Ok(output.stdout);
        }
        let verb = words.first().copied().unwrap_or_default();
        Err(format!("{} {verb}: {}", self.program, output.stderr.trim()))
    }

    /// Creates a container and returns its name. It is removed when the name is dropped.
    fn create(&self, kind: &str, options: &[&str], words: &[String]) -> Result<Container<'_>, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bookend-rehearse-{}-{number}-{kind}", std::process::id());
        let mut all = vec!["create", "--name", &name];
        all.extend(options);
        all.push(&self.image);
        all.extend(words.iter().map(String::as_str));
        self.call(&all, LONG)?;
        Ok(Container { engine: self, name })
    }

    /// A container of the image with another program in front of its command.
    fn create_app(
        &self,
        kind: &str,
        network: &str,
        launch: &Launch,
        words: &[String],
    ) -> Result<Container<'_>, String> {
        let mut options: Vec<&str> = vec!["--network", network];
        options.extend(self.options.iter().map(String::as_str));
        if let Some(signal) = &self.stop_signal {
            options.extend(["--stop-signal", signal]);
        }
        let env: Vec<String> = launch.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        for variable in &env {
            options.extend(["--env", variable]);
        }
        let container = match words.split_first() {
            Some((first, rest)) => {
                options.extend(["--entrypoint", first]);
                self.create(kind, &options, rest)?
            }
            None => self.create(kind, &options, &self.arguments)?,
        };
        for (file, inside) in &launch.files {
            container.copy(file, inside)?;
        }
        Ok(container)
    }
}

impl Place for Engine {
    fn begin(&self, launch: &Launch, plan: &Plan) -> Result<Box<dyn Life + '_>, String> {
        interrupt::check()?;
        let options = ["--interactive", "--network", &self.network, "--entrypoint", MYSELF];
        let load = self.create("load", &options, &[WORD.to_owned()])?;
        load.copy(&self.myself, MYSELF)?;
        let mut start = Command::new(&self.program);
        start.args(["start", "--attach", "--interactive", &load.name]);
        start.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let child = start.spawn().map_err(|error| format!("cannot run {}: {error}", self.program))?;
        let generator = There::new(child, plan)?;
        let words: Vec<String> = if launch.init.is_empty() {
            Vec::new()
        } else {
            launch.init.iter().cloned().chain(self.command()).collect()
        };
        let app = self.create_app("app", &format!("container:{}", load.name), launch, &words)?;
        self.call(&["start", &app.name], LONG)?;
        Ok(Box::new(Pod { generator, app, _load: load }))
    }

    fn inside(&self, _: &Path, name: &str) -> String {
        format!("/bookend-rehearse-{name}")
    }

    fn command(&self) -> Vec<String> {
        without_init(&self.entrypoint).iter().chain(&self.arguments).cloned().collect()
    }

    fn has(&self, path: &str) -> bool {
        let launch = Launch::default();
        let container = self.create_app("look", "none", &launch, &[]);
        container.is_ok_and(|container| {
            let from = format!("{}:{path}", container.name);
            bounded::run(Command::new(&self.program).args(["cp", &from, "-"]), SHORT).is_ok_and(|output| output.success)
        })
    }

    fn run(&self, launch: &Launch, words: &[String]) -> Result<Output, String> {
        let container = self.create_app("run", "none", launch, words)?;
        bounded::run(Command::new(&self.program).args(["start", "--attach", &container.name]), LONG)
    }

    fn stop_signal_of_the_image(&self) -> Option<String> {
        Some(self.stop_signal().to_owned())
    }

    fn notes(&self) -> Vec<String> {
        vec![format!(
            "Each strategy ran in a container of {} with its own ENTRYPOINT, CMD and stop signal ({}). Remaining processes are not seen: the \
             kernel ends them with PID 1.",
            self.image,
            self.stop_signal()
        )]
    }
}

/// A container of ours, by name.
struct Container<'a> {
    engine: &'a Engine,
    name: String,
}

impl Container<'_> {
    fn copy(&self, file: &Path, inside: &str) -> Result<(), String> {
        let file = file.canonicalize().map_err(|error| format!("{}: {error}", file.display()))?;
        let to = format!("{}:{inside}", self.name);
        self.engine.call(&["cp", &file.display().to_string(), &to], LONG).map(drop)
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if let Err(problem) = self.engine.call(&["rm", "--force", "--volumes", &self.name], LONG) {
            eprintln!("bookend-rehearse: {} is left: {problem}", self.name);
        }
    }
}

/// The two containers of a life. The order of the fields is that of their removal.
struct Pod<'a> {
    generator: There,
    app: Container<'a>,
    _load: Container<'a>,
}

impl Life for Pod<'_> {
    fn generator(&mut self) -> &mut dyn Generator {
        &mut self.generator
    }

    fn is_running(&mut self) -> bool {
        let state = self.app.engine.call(&["inspect", "--format", "{{.State.Running}}", &self.app.name], SHORT);
        state.is_ok_and(|state| state.trim() == "true")
    }

    fn log(&mut self) -> String {
        let mut command = Command::new(&self.app.engine.program);
        let logs = bounded::run(command.args(["logs", "--tail", "40", &self.app.name]), SHORT);
        logs.map(|output| output.stdout + &output.stderr).unwrap_or_default()
    }

    fn script(&mut self, script: &str, most: Duration) -> Result<(), String> {
        let mut command = Command::new(&self.app.engine.program);
        // As with a kubelet, the stop goes on if a script fails or takes too long.
        let _ = bounded::run(command.args(["exec", &self.app.name, "sh", "-c", script]), most);
        Ok(())
    }

    fn stop(&mut self, most: Duration) -> Result<Ending, String> {
        interrupt::check()?;
        let began = Instant::now();
        // Whole seconds; the engine sends SIGKILL then.
        let seconds = most.as_secs_f64().ceil().max(1.0);
        let engine = self.app.engine;
        engine.call(&["stop", "--time", &seconds.to_string(), &self.app.name], most + LONG)?;
        let took = began.elapsed();
        let state = engine.call(&["inspect", "--format", "{{.State.ExitCode}}", &self.app.name], SHORT)?;
        let code = state.trim().parse().map_err(|_| format!("the engine reports the exit code {}", state.trim()))?;
        Ok(Ending { code, killed: code == 137 && took.as_secs_f64() >= seconds, leftovers: None })
    }
}

/// An ENTRYPOINT without the init in front of the server: two inits would not show what either of them does.
fn without_init(words: &[String]) -> &[String] {
    let name = words.first().and_then(|word| word.rsplit('/').next()).unwrap_or_default();
    if !["bookend", "tini", "tini-static", "docker-init", "dumb-init", "catatonit"].contains(&name) {
        return words;
    }
    match words.iter().position(|word| word == "--") {
        Some(at) => words.get(at + 1..).unwrap_or_default(),
        None => words.get(1..).unwrap_or_default(),
    }
}

#[test]
fn an_init_of_the_image_is_taken_off() {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(without_init(&words("/bookend -c /web.toml -- /start.sh")), words("/start.sh"));
    assert_eq!(without_init(&words("/usr/bin/tini /start.sh")), words("/start.sh"));
    assert_eq!(without_init(&words("/docker-entrypoint.sh run")), words("/docker-entrypoint.sh run"));
}

/// This binary, in a container.
const MYSELF: &str = "/bookend-rehearse";
/// How long a query of the engine may take.
const SHORT: Duration = Duration::from_secs(60);
/// How long an operation of the engine on a container may take.
const LONG: Duration = Duration::from_secs(120);

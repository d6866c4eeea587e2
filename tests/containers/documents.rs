//! The commands that README and docs/start-docker.md show, run as they are written.

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bookend_test_support::not_run;

use crate::docker::{Finished, Folder, run, wait_for};
use crate::named_images::NamedImages;

/// The names that the documents use, for as long as a test runs. A machine that has them already is left alone.
struct Names {
    folder: Folder,
    _images: Arc<NamedImages>,
    _alone: MutexGuard<'static, ()>,
}

impl Names {
    fn new(test: &str) -> Option<Names> {
        let images = NamedImages::get(test)?;
        let alone = alone();
        let exists = |kind: &str, name: &str| run(Command::new("docker").args([kind, "inspect", name])).code == Some(0);
        let taken = [("image", "web"), ("container", "web"), ("volume", "bookend")];
        if let Some((kind, name)) = taken.into_iter().find(|(kind, name)| exists(kind, name)) {
            not_run(test, &format!("the engine already has a {kind} called {name}"));
            return None;
        }
        Some(Names { folder: Folder::new(test), _images: images, _alone: alone })
    }

    /// A line as a reader types it, in the folder.
    fn sh(&self, line: &str) -> Finished {
        run(&mut self.command(line))
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        // The classic builder asks no registry for local images.
        command.args(["-c", line]).current_dir(&self.folder.path).env("DOCKER_BUILDKIT", "0");
        command
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.sh("docker rm --force web; docker image rm web; docker volume rm bookend");
    }
}

/// Held by those who use the names `web` and `bookend` beside [`NamedImages`].
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The fenced blocks of one language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    text.split(fence.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn the_readmes_three_lines_drain_and_stop_nginx() {
    let test = "the_readmes_three_lines_drain_and_stop_nginx";
    let Some(names) = Names::new(test) else { return };
    let shown = blocks(include_str!("../../README.md"), "sh");
    let mut lines = shown.first().expect("an example").lines();
    assert_eq!(lines.next(), Some("docker build -t bookend ."), "has a test of its own");
    let copied = names.sh(lines.next().expect("the README has a line that copies the binary"));
    assert_eq!(copied.code, Some(0), "{copied:#?}");
    let line = lines.next().expect("the README has a line that starts nginx");
    let mut running = names.command(&format!("exec {line}"));
    let running = running.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("sh is there");
    let is_up = || {
        let listed = names.sh("docker ps --quiet --filter ancestor=nginx");
        let id = listed.stdout.trim().to_owned();
        (names.sh(&format!("docker logs {id}")).stderr.contains("started")).then_some(())
    };
    let up = wait_for("nginx is up", is_up);
    // Ctrl-C.
    let pid = nix::unistd::Pid::from_raw(i32::try_from(running.id()).expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).expect("docker runs");
    let finished = bookend_test_support::output_of(running);
    let log = String::from_utf8_lossy(&finished.stderr);
    assert!(up.is_some(), "{log}");
    assert_eq!(finished.status.code(), Some(0), "{log}");
    for text in ["stopped by SIGINT", "preStop drain", "SIGQUIT sent to the app"] {
        assert!(log.contains(text), "{text}: {log}");
    }
}

#[test]
fn the_first_steps_with_docker_run_as_written() {
    let test = "the_first_steps_with_docker_run_as_written";
    let Some(names) = Names::new(test) else { return };
    let page = include_str!("../../docs/start-docker.md");
    for (file, language) in [("Dockerfile", "dockerfile"), ("bookend.toml", "toml")] {
        names.folder.write(file, blocks(page, language).first().expect("an example"));
    }
    let mut log = String::new();
    for line in blocks(page, "sh").iter().skip(1).flat_map(|block| block.lines()) {
        if line.starts_with("docker exec") {
            let started = || (names.sh("docker exec web /bookend probe startup").code == Some(0)).then_some(());
            wait_for("postStart has run", started).expect("it starts");
        }
        let finished = names.sh(line);
        // The doctor may have findings. The stop signal is that of the image.
        let accepted = if line.ends_with("doctor") { &[Some(0), Some(1)][..] } else { &[Some(0)] };
        assert!(accepted.contains(&finished.code), "{line}: {finished:#?}");
        log.push_str(&finished.stdout);
        log.push_str(&finished.stderr);
    }
    for text in ["Hello from the postStart handler", "stopped by SIGQUIT", "gone: Stopped, exit code 0"] {
        assert!(log.contains(text), "{text}: {log}");
    }
}

/// `make test` ignores it because nginx without bookend waits minutes for silent connections; `make rehearse` runs it.
#[test]
#[ignore = "nginx waits minutes for silent connections: `make rehearse` runs it"]
fn the_commands_of_the_rehearsal_run_as_written() {
    let test = "the_commands_of_the_rehearsal_run_as_written";
    let Some(names) = Names::new(test) else { return };
    for variable in ["REHEARSE_BIN", "BOOKEND_BIN"] {
        let file = std::env::var(variable).expect("make sets it");
        let name = std::path::Path::new(&file).file_name().expect("a file").to_owned();
        std::fs::copy(&file, names.folder.path.join(name)).expect("it is built");
    }
    let shown = blocks(include_str!("../../docs/rehearse.md"), "sh");
    // The first two blocks build the binaries, by make and by the Dockerfile; the second one has a test of its own.
    let commands: Vec<&str> = shown.iter().skip(2).flat_map(|block| block.lines()).collect();
    assert_eq!(commands.len(), 3, "{commands:?}");
    for line in commands {
        let finished = names.sh(line);
        assert_eq!(finished.code, Some(0), "{line}: {finished:#?}");
        assert!(finished.stdout.contains("bookend, by hook"), "{line}: {finished:#?}");
    }
}

#[test]
fn the_checks_for_ci_run_as_written() {
    let test = "the_checks_for_ci_run_as_written";
    let Some(names) = Names::new(test) else { return };
    let page = include_str!("../../docs/start-docker.md");
    for (file, language) in [("Dockerfile", "dockerfile"), ("bookend.toml", "toml")] {
        names.folder.write(file, blocks(page, language).first().expect("an example"));
    }
    let built = names.sh("docker build -t web .");
    assert_eq!(built.code, Some(0), "{built:#?}");
    let linked = names.sh(concat!("ln -s ", env!("CARGO_MANIFEST_DIR"), "/scripts scripts"));
    assert_eq!(linked.code, Some(0), "{linked:#?}");
    let shown = blocks(include_str!("../../docs/base-image.md"), "sh");
    let mut lines = shown.first().expect("an example").lines();
    let check = names.sh(lines.next().expect("check"));
    assert_eq!(check.code, Some(0), "{check:#?}");
    let line = lines.next().expect("doctor");
    let doctor = names.sh(&format!("FINDINGS=allowed {line}"));
    assert!(doctor.code == Some(0) && doctor.stdout.contains("nginx -g daemon off;"), "{doctor:#?}");
    assert_eq!(names.sh(line).code, Some(0), "it drains and has a graceful stop signal: {doctor:#?}");
    names.folder.write("bookend.toml", "app.comand = \"x\"\n");
    let wrong = names.sh(&line.replace("--doctor bookend web", "--check bookend bookend.toml"));
    assert!(wrong.code != Some(0) && wrong.stderr.contains("comand"), "{wrong:#?}");
}

//! `docker run -it`: a shell under bookend, and a person who types.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::docker::{Container, ready, wait_for};

/// The output of the terminal so far.
#[derive(Clone, Default)]
struct Screen(Arc<Mutex<String>>);

impl Screen {
    fn text(&self) -> String {
        self.0.lock().expect("no thread panics while it holds the lock").clone()
    }

    /// Reads everything until no process has the terminal any more.
    fn show(&self, mut terminal: File) {
        let screen = self.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length) = terminal.read(&mut bytes) {
                let text = String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).into_owned();
                screen.0.lock().expect("no thread panics while it holds the lock").push_str(&text);
            }
        });
    }
}

#[test]
fn docker_run_it_has_job_control_and_resizes() {
    let test = "docker_run_it_has_job_control_and_resizes";
    if !ready(test) {
        return;
    }
    let pty = nix::pty::openpty(None, None).expect("a terminal");
    let (terminal, screen) = (File::from(pty.master), Screen::default());
    screen.show(terminal.try_clone().expect("a descriptor"));
    let shell = ["bash", "--norc", "--noprofile", "-i"];
    let (mut docker, container) = Container::command(test, crate::DEBIAN, &["--interactive", "--tty"], &shell);
    let slave = || Stdio::from(pty.slave.try_clone().expect("a descriptor"));
    docker.stdin(slave()).stdout(slave()).stderr(slave());
    let mut docker = docker.spawn().expect("docker(1)");
    drop(pty.slave);
    let shown = |text: &str, times: usize| {
        let found = wait_for(text, || (screen.text().matches(text).count() >= times).then_some(()));
        assert!(found.is_some(), "{text:?} was not shown {times} times: {}", screen.text());
    };
    let keys = |text: &str| (&terminal).write_all(text.as_bytes()).expect("the terminal is there");

    shown("# ", 1);
    // Typed text is shown, too, so the expected output is written in another way.
    keys("sh -c 'echo jo\"\"b; exec sleep 1000'\n");
    shown("job\r\n", 1);
    keys("\u{3}");
    keys("echo code-$?\n");
    shown("code-130", 1);
    keys("sh -c 'echo jo\"\"b; exec sleep 1000'\n");
    shown("job\r\n", 2);
    keys("\u{1a}");
    shown("Stopped", 1);
    keys("bg; kill %1; wait %1; echo code-$?\n");
    shown("code-143", 1);
    // Either end of the terminal can set the size; the client informs the engine.
    let resized = Command::new("stty")
        .args(["rows", "33", "cols", "77"])
        .stdin(terminal.try_clone().expect("a descriptor"))
        .status();
    assert!(resized.expect("stty(1)").success());
    keys("until stty size | grep '33 77'; do sleep 0.05; done; echo si\"\"ze\n");
    shown("size\r\n", 1);
    assert!(!screen.text().contains("no job control"), "{}", screen.text());
    keys("exit 7\n");
    assert_eq!(docker.wait().expect("our child").code(), Some(7), "{}", screen.text());
    drop(container);
}

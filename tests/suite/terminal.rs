//! With a terminal the app has the foreground; without one nothing changes.

use std::process::Command;

use crate::support::{Folder, Init, bookend, child_of, signal, wait_until};

/// Runs a script under bookend on a pseudo-terminal of its own.
fn on_a_terminal(script: &str) -> String {
    let mut command = Command::new("script");
    command.args(["-qec", &format!("{} -- sh -c '{script}'", bookend().display()), "/dev/null"]);
    Init::start(Folder::new(), command).finish().out
}

#[test]
fn the_apps_group_has_the_foreground() {
    let out = on_a_terminal("ps -o pgid=,tpgid= -p $$");
    let groups: Vec<_> = out.split_whitespace().collect();
    assert_eq!(groups.len(), 2, "{out}");
    assert_eq!(groups[0], groups[1], "its own group and the terminal's");
}

#[test]
fn ctrl_c_reaches_the_app_once() {
    // The pipe delivers what is typed; it is typed when the app is ready for it.
    let typist = r#"(until grep -q up "$OUT"; do sleep 0.05; done; printf '\003'; until grep -q caught "$OUT"; do sleep 0.05; done)"#;
    let app = r#"trap "echo caught; exit 5" INT; echo up; while :; do sleep 0.05; done"#;
    let folder = Folder::new();
    let out = folder.path("out");
    let mut command = Command::new("sh");
    let line = format!("{typist} | script -qfec \"$BOOKEND -- sh -c '$APP'\" /dev/null");
    command.args(["-c", &line]).env("APP", app).env("BOOKEND", bookend()).env("OUT", &out);
    let mut init = Init::start(folder, command);
    let finished = init.end();
    assert_eq!(finished.code(), 5, "{finished:?}");
    assert_eq!(finished.out.matches("caught").count(), 1, "{finished:?}");
}

/// A terminal of the test's own, and an interactive shell on it that leads its session.
struct Session {
    terminal: std::fs::File,
    shell: Init,
}

impl Session {
    /// `first`: the kind of shell; `setsid --ctty` makes the terminal its own.
    fn start(first: &[&str]) -> Session {
        let folder = Folder::new();
        let pty = nix::pty::openpty(None, None).unwrap();
        let slave = |fd: &std::os::fd::OwnedFd| std::process::Stdio::from(fd.try_clone().unwrap());
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).args(first).env("PS1", "$ ").env("BOOKEND", bookend());
        let shell = Init::start_on(folder, command, [slave(&pty.slave), slave(&pty.slave), slave(&pty.slave)]);
        let session = Session { terminal: pty.master.into(), shell };
        session.read_in_background();
        session
    }

    /// The output goes to the folder's `out`, where the helpers look.
    fn read_in_background(&self) {
        let mut terminal = self.terminal.try_clone().unwrap();
        let mut out = std::fs::File::create(self.shell.folder.path("out")).unwrap();
        // The read ends with EIO when no process has the terminal open any more.
        std::thread::spawn(move || std::io::copy(&mut terminal, &mut out));
    }

    /// Types, and waits until this is printed once more than before.
    fn keys_until(&self, text: &str, printed: &str) {
        let count = || self.shell.out().matches(printed).count();
        let before = count();
        self.keys(text);
        wait_until(printed, || count() > before);
    }

    /// Leaves the shell; a shell that mentions a stopped job first is asked again.
    fn exit(mut self, text: &str) -> i32 {
        wait_until("the shell ends", || {
            use std::io::Write;
            // The shell may have ended already, and its terminal with it.
            let _ = (&self.terminal).write_all(text.as_bytes());
            std::thread::sleep(std::time::Duration::from_millis(50));
            self.shell.has_ended()
        });
        self.shell.end().code()
    }

    fn keys(&self, text: &str) {
        use std::io::Write;
        (&self.terminal).write_all(text.as_bytes()).unwrap();
    }
}

/// Prints what happens to it, and never what was typed: an echo is not a response. It reads only on request, by a file:
/// a job that reads in the background is stopped, and a shell that has not noticed it yet resumes a stopped job. `print` loses
/// its text if the handler of another signal exits in the middle of it.
const APP: &str = r#"$SIG{INT} = sub { say("caught-int") }; $SIG{WINCH} = sub { say("size-" . `stty size`) };
    $SIG{CONT} = sub { say("continued") }; $SIG{TERM} = sub { say("bye"); exit 5 };
    sub say { syswrite STDOUT, "$_[0]\n" }
    say("app-up"); while (1) { select undef, undef, undef, 0.02; if (unlink "$0.read") { my $l = <STDIN>; say("read-$l") if defined $l } }"#;

#[test]
fn an_interactive_shell_has_job_control_over_the_app() {
    let session = Session::start(&["bash", "--norc", "--noprofile", "-i"]);
    let shell = &session.shell;
    let app = shell.folder.write("app.pl", APP).display().to_string();
    session.keys(&format!("\"$BOOKEND\" -- perl {app}\n"));
    shell.wait_for_out("app-up");
    session.keys_until("\u{3}", "caught-int");
    // Ctrl-Z stops the job, and the shell shows its prompt again.
    session.keys_until("\u{1a}", "Stopped");
    session.keys_until("echo prompt-$((40+2))\n", "prompt-42");
    // The job goes on in the background, and reads from the terminal again in the foreground.
    session.keys_until("bg\n", "continued");
    session.keys_until("echo back-$((40+3))\n", "back-43");
    session.keys("fg\n");
    // The shell gives the terminal to the job without a signal: the job runs already. The app gets it when it reads.
    wait_until("the shell has given the terminal away", || {
        nix::unistd::tcgetpgrp(&session.terminal).is_ok_and(|group| group.as_raw() != shell.pid())
    });
    shell.folder.write("app.pl.read", "");
    session.keys("line\n");
    shell.wait_for_out("read-line");
    // The test repeats this, and brings the stopped job directly to the foreground.
    session.keys_until("\u{1a}", "Stopped");
    session.keys_until("fg\n", "continued");
    // The kernel reports a terminal's new size, whoever sets it.
    let mut stty = Command::new("stty");
    stty.args(["rows", "33", "cols", "77"]).stdin(session.terminal.try_clone().unwrap());
    assert!(stty.status().unwrap().success());
    shell.wait_for_out("size-33 77");
    // When the job ends, the shell gets the terminal and the exit code.
    session.keys_until("\u{1a}", "Stopped");
    session.keys("kill %1; fg; echo code-$?\n");
    shell.wait_for_out("bye");
    shell.wait_for_out("code-5");
    assert_eq!(shell.out().matches("caught-int").count(), 1, "Ctrl-C came once");
    assert_eq!(session.exit("exit 7\n"), 7);
}

#[test]
fn behind_a_pipe_the_app_gets_the_terminal_when_it_asks_for_it() {
    let session = Session::start(&["bash", "--norc", "--noprofile", "-i"]);
    // ssh and sudo read in this way: the data come through the pipe, the password from the terminal.
    let asks = "echo ask-$((40+2)); read -r word </dev/tty; echo got-$word-$(cat)";
    session.keys(&format!("echo data | \"$BOOKEND\" -- sh -c '{asks}'; echo code-$?\n"));
    session.shell.wait_for_out("ask-42");
    session.keys("secret\n");
    session.shell.wait_for_out("got-secret-data");
    session.shell.wait_for_out("code-0");
    // The shell has its terminal back, and job control works with a pipe as well.
    session.keys("echo data | \"$BOOKEND\" -- sh -c 'echo job-$((40+1)); exec sleep 1000'\n");
    session.shell.wait_for_out("job-41");
    session.keys_until("\u{1a}", "Stopped");
    session.keys_until("kill %1; fg; echo back-$((40+3))\n", "back-43");
    assert_eq!(session.exit("exit 7\n"), 7);
}

#[test]
fn a_background_job_does_not_take_the_terminal() {
    let session = Session::start(&["bash", "--norc", "--noprofile", "-i"]);
    session.keys("\"$BOOKEND\" -- sh -c 'echo in-\"the\"-back; exec sleep 1000' &\n");
    session.shell.wait_for_out("in-the-back");
    session.keys("echo prompt-$((40+2))\n");
    session.shell.wait_for_out("prompt-42");
    session.keys_until("kill %1; wait; echo gone-$((40+4))\n", "gone-44");
    assert_eq!(session.exit("exit 7\n"), 7);
}

#[test]
fn a_shell_under_bookend_has_job_control_itself() {
    let first = bookend().display().to_string();
    let session = Session::start(&[&first, "--", "bash", "--norc", "--noprofile", "-i"]);
    let shell = &session.shell;
    // A key discards typed input that was not read yet.
    shell.wait_for_out("$ ");
    session.keys_until("sh -c 'echo jo\"\"b; exec sleep 1000'\n", "job\r\n");
    session.keys_until("\u{1a}", "Stopped");
    // A shell does not leave a stopped job behind.
    session.keys_until("kill -9 %1; wait; echo flags-$-\n", "flags-h");
    assert!(!shell.out().contains("no job control"), "{}", shell.out());
    assert_eq!(session.exit("exit 7\n"), 7);
}

#[test]
fn ctrl_z_without_a_shell_does_not_hang_the_terminal() {
    let first = bookend().display().to_string();
    let session = Session::start(&[&first, "--", "perl", "-e", APP]);
    let shell = &session.shell;
    shell.wait_for_out("app-up");
    session.keys("\u{1a}");
    shell.wait_for_out("continued");
    session.keys("\u{3}");
    shell.wait_for_out("caught-int");
}

#[test]
fn the_terminal_is_given_back_at_the_end() {
    let script = "\"$BOOKEND\" -- true; stty sane && read line && echo got-$line";
    let session = Session::start(&["sh", "-c", script]);
    wait_until("the script reads", || {
        session.keys("word\n");
        std::thread::sleep(std::time::Duration::from_millis(50));
        session.shell.out().contains("got-word")
    });
}

#[test]
fn a_refusing_terminal_is_not_an_error() {
    // The cases are the terminal of another session, a closed one, a hung-up one, and stdin without a terminal.
    for error in ["EPERM", "EIO", "ENXIO", "ENOTTY"] {
        let inject = format!("inject=ioctl:error={error}");
        let first = bookend().display().to_string();
        let strace =
            ["strace", "-f", "-qqq", "-e", "signal=none", "-e", "trace=ioctl", "-e", &inject, "-o", "/dev/null"];
        // The app reports by echo, which does not use the terminal; a stop and a continue use the terminal, too.
        let app = "trap 'echo by\"\"e; exit 7' TERM; echo u\"\"p; while :; do sleep 0.02; done";
        let session = Session::start(&[&strace[..], &[&first, "--", "sh", "-c", app]].concat());
        session.shell.wait_for_out("up");
        let first = child_of(session.shell.pid().unsigned_abs()).unwrap();
        let app = child_of(first.unsigned_abs()).unwrap();
        let state = |letter: &str| {
            let stat = std::fs::read_to_string(format!("/proc/{app}/stat")).unwrap();
            stat.contains(&format!(") {letter} "))
        };
        signal(app, 19);
        wait_until("it is stopped", || state("T") || state("t"));
        signal(first, 18);
        wait_until("it goes on", || !state("T") && !state("t"));
        signal(first, 15);
        session.shell.wait_for_out("bye");
        let mut shell = session.shell;
        let finished = shell.end();
        assert_eq!(finished.code(), 7, "{error}");
        assert!(!shell.out().contains("error") && !shell.out().contains("WARN"), "{error}: {}", shell.out());
    }
}

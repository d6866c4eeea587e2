//! bookend leaves nothing of its own in the app: the app inherits what it would without bookend.

use std::process::{Command, Stdio};

use crate::support::{Folder, Init, bookend, wait_until};

/// The child prints everything that an init could have changed.
const TELL: &str = "grep -E '^(Sig(Blk|Ign|Cgt)|NoNewPrivs|Seccomp)' /proc/self/status; ulimit -a; umask; pwd; env | grep -v '^_=' | sort; ls /proc/self/fd | sort -n | tr '\\n' ' '";

fn expected(through_bookend: bool, setup: &str) -> String {
    let folder = Folder::new();
    let config = folder.write("bookend.toml", "lifecycle.preStop.sleep.seconds = 0\nhttp.listen = \"127.0.0.1:0\"");
    let prefix =
        if through_bookend { format!("{} -c {} -- ", bookend().display(), config.display()) } else { String::new() };
    let script = format!("{setup}; exec {prefix} sh -c \"$TELL\"");
    let child = Command::new("bash").args(["-c", &script]).env("TELL", TELL).stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&child.stdout).into_owned()
}

#[test]
fn the_app_inherits_what_it_would_without_bookend() {
    for setup in [
        ":",
        "trap '' HUP PIPE TERM USR1 CHLD",
        "exec 3</etc/passwd 7>/dev/null",
        "umask 077; cd /usr; ulimit -n 321; ulimit -c 0",
        "exec 0<&-",
    ] {
        let without = expected(false, setup);
        assert!(without.contains("SigIgn"), "{without}");
        assert_eq!(expected(true, setup), without, "{setup}");
    }
}

#[test]
fn the_app_gets_the_signal_mask_bookend_found() {
    let script = "use POSIX; my $s = POSIX::SigSet->new(SIGUSR1, SIGTERM, 40); sigprocmask(SIG_BLOCK, $s); exec @ARGV";
    let mut command = Command::new("perl");
    command.args(["-e", script]).arg(bookend()).args(["--", "grep", "SigBlk", "/proc/self/status"]);
    let finished = Init::start(Folder::new(), command).finish();
    assert_eq!(finished.out, "SigBlk:\t0000008000004200\n");
}

#[test]
fn handlers_get_the_mask_and_dispositions_bookend_found() {
    let tell = ["-E", "Sig(Blk|Ign|Cgt)", "/proc/self/status"];
    let without = Command::new("grep").args(tell).output().unwrap();
    let config =
        format!("lifecycle.postStart = {{ name = \"tell\", exec.command = {:?} }}", [&["grep"], &tell[..]].concat());
    let init = Init::configured(&config, &["--", "sleep", "1000"]);
    for line in String::from_utf8_lossy(&without.stdout).lines() {
        init.wait_for_log(&format!("{line} handler"));
    }
}

#[test]
fn listen_pid_names_the_app() {
    // systemd starts a service in this way: the variable names the executed process, which is bookend.
    let folder = Folder::new();
    let mut command = Command::new("sh");
    let tell = "echo $$ $LISTEN_PID ${LISTEN_PIDFDID-none} $LISTEN_FDS $LISTEN_FDNAMES; cat <&3";
    folder.write("passed", "the socket");
    let line =
        "export LISTEN_PID=$$ LISTEN_PIDFDID=7 LISTEN_FDS=1 LISTEN_FDNAMES=web; exec \"$0\" -- sh -c \"$1\" 3<\"$2\"";
    command.args(["-c", line]).arg(bookend()).arg(tell).arg(folder.path("passed"));
    let finished = Init::start(folder, command).finish();
    let words: Vec<_> = finished.out.split_whitespace().collect();
    assert_eq!(words[0], words[1], "{finished:?}");
    assert_eq!(words[2..], ["none", "1", "web", "the", "socket"], "{finished:?}");
    // A variable that names another process stays as it is.
    let mut command = Command::new(bookend());
    command
        .args(["--", "sh", "-c", "echo $LISTEN_PID $LISTEN_PIDFDID"])
        .env("LISTEN_PID", "1")
        .env("LISTEN_PIDFDID", "7");
    assert_eq!(Init::start(Folder::new(), command).finish().out, "1 7\n");
}

#[test]
fn bookend_holds_no_descriptor_or_directory_of_the_app() {
    // A FIFO passed to the app reaches its end when the app closes it, not when bookend exits.
    let folder = Folder::new();
    let (here, fifo) = (std::path::PathBuf::from(folder.shown()), folder.path("fifo"));
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let reader = std::thread::spawn({
        let fifo = fifo.clone();
        move || std::fs::read_to_string(fifo).unwrap()
    });
    let mut command = Command::new("sh");
    let app = "echo said >&7; exec 7>&-; pwd; trap 'exit 0' TERM; while :; do sleep 0.05; done";
    command.args(["-c", "cd \"$0\"; exec \"$1\" -- sh -c \"$2\" 7>fifo"]).arg(&here).arg(bookend()).arg(app);
    let mut init = Init::start(folder, command);
    assert_eq!(reader.join().unwrap(), "said\n");
    init.wait_for_out(here.to_str().unwrap());
    let proc = std::path::PathBuf::from(format!("/proc/{}", init.pid()));
    // The app may be faster than the test.
    wait_until("bookend is at /", || std::fs::read_link(proc.join("cwd")).unwrap() == std::path::Path::new("/"));
    let links = || std::fs::read_dir(proc.join("fd")).unwrap().flatten();
    let holds = || links().filter_map(|fd| std::fs::read_link(fd.path()).ok()).any(|link| link == here);
    wait_until("the working directory is not pinned", || !holds());
    init.signal(15);
    assert_eq!(init.end().code(), 0);
}

#[test]
fn the_app_leads_a_group_and_keeps_the_oom_score() {
    let tell = "cut -d' ' -f1,5,6 /proc/self/stat; cat /proc/self/oom_score_adj; cut -d' ' -f6 /proc/$PPID/stat";
    let mut command = Command::new("sh");
    command.args(["-c", "echo 100 >/proc/self/oom_score_adj; exec \"$0\" -- sh -c \"exec sh -c \\\"\\$0\\\"\" \"$1\""]);
    command.arg(bookend()).arg(format!("echo $$; {tell}"));
    let finished = Init::start(Folder::new(), command).finish();
    let words: Vec<_> = finished.out.split_whitespace().collect();
    let [app, _, group, session, score, ours] = words[..] else { panic!("{finished:?}") };
    assert_eq!((group, score, session), (app, "100", ours), "{finished:?}");
}

#[test]
fn the_app_gets_its_signal_when_bookend_dies() {
    let app = "trap 'echo told; exit' USR1; echo up; while :; do sleep 0.05; done";
    let folder = Folder::new();
    let config = folder.write("bookend.toml", "app.pdeathSignal = \"SIGUSR1\"");
    let init = Init::ordinary(folder, &["-c", config.to_str().unwrap(), "--", "sh", "-c", app]);
    init.wait_for_out("up");
    init.signal(9);
    init.wait_for_out("told");
}

#[test]
fn bookend_gets_its_signal_when_its_parent_dies() {
    let folder = Folder::new();
    let config = folder.write("bookend.toml", "pdeathSignal = \"SIGTERM\"");
    let app = "trap 'echo told; exit' TERM; echo up; while :; do sleep 0.05; done";
    let mut command = Command::new("sh");
    command.args(["-c", "\"$0\" -c \"$1\" -- sh -c \"$2\" & wait"]).arg(bookend()).arg(config).arg(app);
    let init = Init::start(folder, command);
    init.wait_for_out("up");
    init.signal(9);
    init.wait_for_out("told");
}

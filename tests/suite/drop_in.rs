//! Under another init's name bookend does what that init does.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Folder, Init, bookend, code as code_at, free_port, signal, wait_until};

/// bookend under this name.
fn named(folder: &Folder, name: &str) -> PathBuf {
    let path = folder.path(name);
    symlink(bookend(), &path).unwrap();
    path
}

fn start(name: &str, args: &[&str]) -> Init {
    start_with(name, args, &[])
}

fn start_with(name: &str, args: &[&str], env: &[(&str, &str)]) -> Init {
    let folder = Folder::new();
    let mut command = Command::new(named(&folder, name));
    command.args(args).envs(env.iter().copied());
    Init::start(folder, command)
}

fn code(name: &str, args: &[&str]) -> i32 {
    start(name, args).finish().code()
}

/// /proc/PID/stat after the name: state, parent, group, session, ... Empty if the process does not exist.
fn stat(pid: i32) -> Vec<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().map(str::to_owned).collect()
}

fn is_stopped(pid: i32) -> bool {
    stat(pid).first().is_some_and(|state| state == "T")
}

/// Its child, once it has executed the program: between clone and exec it is still bookend.
fn child_of(init: &Init) -> i32 {
    let program = |pid: i32| std::fs::read_link(format!("/proc/{pid}/exe")).ok();
    let ours = program(init.pid());
    let mut child = None;
    wait_until("there is a child", || {
        child = crate::support::child_of(u32::try_from(init.pid()).unwrap());
        child.is_some_and(|child| program(child) != ours)
    });
    child.unwrap()
}

#[test]
fn tini_exits_as_tini_does() {
    assert_eq!(code("tini", &["--", "sh", "-c", "exit 9"]), 9);
    assert_eq!(code("tini-static", &["sh", "-c", "kill -9 $$"]), 137);
    assert_eq!(code("tini", &["-e", "9", "-e143", "--", "sh", "-c", "exit 9"]), 0);
    assert_eq!(code("tini", &["-e", "143", "--", "sh", "-c", "kill $$"]), 0);
    assert_eq!(code("tini", &["no-such-program"]), 127);
    assert_eq!(code("tini", &["/etc/passwd"]), 126);
    assert_eq!(code("tini", &["/etc/passwd/x"]), 1, "ENOTDIR");
    assert_eq!(code("tini", &["-z"]), 1);
    assert_eq!(code("tini", &[]), 1);
    // strtol(3) reads these values as 0 and 1.
    assert_eq!(code("tini", &["-e", "", "--", "sh", "-c", "exit 1"]), 1);
    assert_eq!(code("tini", &["-e", " 1", "--", "sh", "-c", "exit 1"]), 0);
    assert_eq!(code("tini", &["-e", "-0", "--", "sh", "-c", "exit 0"]), 0);
    assert_eq!(code("tini", &["-e", "-1", "--", "sh", "-c", "exit 0"]), 1);
    // The last one counts.
    assert_eq!(code("tini", &["-p", "SIGTERM", "-p", "SIGHUP", "--", "sh", "-c", "exit 3"]), 3);
}

#[test]
fn a_script_without_an_interpreter_line_runs_through_the_shell() {
    let folder = Folder::new();
    let executable = |name: &str, text: &str| {
        let path = folder.write(name, text);
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let script = executable("script", "echo \"$0 $*\"; exit 7\n");
    let empty = executable("empty", "");
    for name in ["bookend", "tini", "dumb-init"] {
        let finished = start(name, &["--", &script, "a", "b c"]).finish();
        assert_eq!((finished.code(), finished.out.trim_end()), (7, &*format!("{script} a b c")), "{name}");
        assert_eq!(code(name, &["--", &empty]), 0, "{name}");
        // The script is found in a directory of PATH.
        let path = format!("/no/such:{}:/usr/bin:/bin", folder.shown());
        assert_eq!(start_with(name, &["--", "script"], &[("PATH", &path)]).finish().code(), 7, "{name}");
    }
}

#[test]
fn under_another_name_no_thread_is_started_for_a_stop() {
    for name in ["tini", "dumb-init"] {
        let folder = Folder::new();
        let mut strace = Command::new("strace");
        strace.args(["-qq", "-f", "-e", "trace=clone,clone3", "-o"]).arg(folder.path("strace"));
        strace.arg(named(&folder, name)).args(["--", "sh", "-c", "exit 3"]);
        let mut init = Init::start(folder, strace);
        assert_eq!(init.end().code(), 3);
        let trace = init.folder.read("strace");
        assert!(trace.contains("SIGCHLD") && !trace.contains("CLONE_THREAD"), "{name}: {trace}");
    }
}

#[test]
fn docker_init_prints_the_version_dockerd_reads() {
    let finished = start("docker-init", &["--version"]).finish();
    assert_eq!(finished.code(), 0);
    assert!(finished.out.starts_with("tini version ") && finished.out.contains("bookend"), "{}", finished.out);
}

#[test]
fn tini_forwards_every_signal_and_kills_no_process() {
    let script = "(trap '' TERM; exec sleep 1000) & echo left $!; trap 'echo got; exit 3' TERM; echo up; while :; do sleep 0.05; done";
    let init = start("tini", &["--", "sh", "-c", script]);
    init.wait_for_out("up");
    init.signal(15);
    let finished = init.finish();
    let left: i32 = finished.out.split_whitespace().nth(1).unwrap().parse().unwrap();
    let lives_on = !stat(left).is_empty();
    signal(left, 9);
    assert!(lives_on, "as under tini");
    assert_eq!(finished.code(), 3);
    assert!(finished.out.contains("got"));
}

#[test]
fn tini_signals_the_group_on_request() {
    for (args, env) in [(&["-g", "--"][..], &[][..]), (&["--"], &[("TINI_KILL_PROCESS_GROUP", "1")])] {
        let init = start_with("tini", &[args, &["perl", "-e", GROUP]].concat(), env);
        init.wait_for_out("up");
        init.signal(10);
        assert_eq!(init.finish().code(), 4);
    }
}

/// An app that ignores SIGUSR1, with a child that does not; it ends when the child has ended.
const GROUP: &str = r#"
    $SIG{USR1} = 'IGNORE';
    my $child = fork;
    if (!$child) { $SIG{USR1} = 'DEFAULT'; syswrite STDOUT, "up"; sleep 1000; exit 0 }
    waitpid $child, 0; exit 4
"#;

#[test]
fn tini_is_a_subreaper_only_on_request() {
    // A grandchild whose parent ends: which process becomes its parent?
    let script = "( (sleep 0.3; exec sh -c 'echo parent $PPID') & ); sleep 1; echo init $PPID";
    let warning = "zombie reaping won't work";
    let parent_is_init = |out: &str| {
        let of = |word: &str| out.lines().find_map(|line| line.strip_prefix(word)).map(str::to_owned);
        of("parent ") == of("init ")
    };
    let finished = start("tini", &["--", "sh", "-c", script]).finish();
    assert!(finished.log.contains(warning) && !parent_is_init(&finished.out), "{finished:?}");
    for (args, env) in [(&["-s", "--"][..], &[][..]), (&["--"], &[("TINI_SUBREAPER", "")])] {
        let finished = start_with("tini", &[args, &["sh", "-c", script]].concat(), env).finish();
        assert!(!finished.log.contains(warning) && parent_is_init(&finished.out), "{finished:?}");
    }
    let finished = start_with("tini", &["--", "true"], &[("TINI_VERBOSITY", "0")]).finish();
    assert_eq!(finished.log, "");
}

#[test]
fn tini_reports_every_orphan_on_request() {
    let script = "(sleep 0.1 & ); sleep 0.5";
    let expected = "Reaped zombie process with pid=";
    assert!(start("tini", &["-sw", "--", "sh", "-c", script]).finish().log.contains(expected));
    assert!(!start("tini", &["-s", "--", "sh", "-c", script]).finish().log.contains(expected));
}

#[test]
fn tini_gets_a_signal_when_its_parent_dies() {
    let folder = Folder::new();
    let app = "trap 'echo told; exit' USR1; echo up; while :; do sleep 0.05; done";
    let mut command = Command::new("sh");
    command.args(["-c", "\"$0\" -s -p SIGUSR1 -- sh -c \"$1\" & wait"]).arg(named(&folder, "tini")).arg(app);
    let init = Init::start(folder, command);
    init.wait_for_out("up");
    init.signal(9);
    init.wait_for_out("told");
}

#[test]
fn dumb_init_exits_as_dumb_init_does() {
    assert_eq!(code("dumb-init", &["sh", "-c", "exit 9"]), 9);
    assert_eq!(code("dumb-init", &["-c", "--", "sh", "-c", "kill -9 $$"]), 137);
    let finished = start("dumb-init", &["/no/such"]).finish();
    assert_eq!(finished.code(), 2);
    assert!(finished.log.contains("[dumb-init] /no/such: No such file or directory"), "{}", finished.log);
    assert_eq!(code("dumb-init", &["/etc/passwd"]), 2);
    assert_eq!(code("dumb-init", &["--yolo"]), 1);
    assert_eq!(code("dumb-init", &["-r", "15:32", "true"]), 1);
    assert_eq!(code("dumb-init", &["-r", "15:2x", "true"]), 0, "as sscanf(3) reads it");
    assert_eq!(code("dumb-init", &["/etc/passwd/x"]), 2, "ENOTDIR");
    assert_eq!(code("dumb-init", &["--version"]), 0);
}

#[test]
fn dumb_init_runs_its_child_in_a_session_unless_single() {
    for (mode, is_own) in [("1", true), ("0", false)] {
        let mut init = start_with("dumb-init", &["sleep", "1000"], &[("DUMB_INIT_SETSID", mode)]);
        let child = child_of(&init);
        let expected = if is_own { vec![child.to_string(); 2] } else { stat(init.pid())[2..4].to_vec() };
        assert_eq!(stat(child)[2..4], expected, "group and session");
        init.signal(15);
        assert_eq!(init.end().code(), 143);
    }
}

#[test]
fn dumb_init_signals_the_session_after_its_child_ended() {
    // The child's message shows that both are ready: its parent is ready before it.
    let child = "(trap 'echo child got TERM; exit' TERM; echo up; while :; do sleep 0.05; done) &";
    let script = format!("trap 'exit 5' USR1; {child} while :; do sleep 0.05; done");
    let mut init = start("dumb-init", &["sh", "-c", &script]);
    init.wait_for_out("up");
    signal(child_of(&init), 10);
    assert_eq!(init.end().code(), 5);
    init.wait_for_out("child got TERM");
}

#[test]
fn dumb_init_rewrites_and_drops_signals() {
    let script = "trap 'echo got 2' INT; trap 'echo got 15' TERM; trap 'echo got 28' WINCH; trap 'echo got 1; exit' HUP; echo up; while :; do sleep 0.02; done";
    for mode in ["0", "1"] {
        let args = ["-r", "15:2", "--rewrite=28:0", "bash", "-c", script];
        let init = start_with("dumb-init", &args, &[("DUMB_INIT_SETSID", mode)]);
        init.wait_for_out("up");
        init.signal(28);
        init.signal(15);
        init.wait_for_out("got 2");
        init.signal(1);
        let out = init.finish().out;
        assert!(out.contains("got 1\n") && !out.contains("got 15") && !out.contains("got 28"), "{out}");
    }
}

#[test]
fn dumb_init_suspends_itself_with_its_session() {
    let mut init = start("dumb-init", &["sleep", "1000"]);
    let child = child_of(&init);
    for number in [20, 21, 22] {
        init.signal(number);
        wait_until("both are stopped", || is_stopped(init.pid()) && is_stopped(child));
        init.signal(18);
        wait_until("both go on", || !is_stopped(init.pid()) && !is_stopped(child));
    }
    init.signal(15);
    assert_eq!(init.end().code(), 143);
}

#[test]
fn a_drop_in_reads_no_configuration_and_is_silent() {
    // bookend is not PID 1 here: it is a nested init, and the variables are meant for the outer one.
    for (name, variable) in [("tini", "BOOKEND_CONFIG"), ("dumb-init", "BOOKEND_NO_SUCH_KEY")] {
        let env = [(variable, "/no/such/file"), ("TINI_SUBREAPER", "1")];
        let finished = start_with(name, &["--", "true"], &env).finish();
        assert_eq!((finished.code(), finished.log.as_str()), (0, ""), "{name}");
    }
}

#[test]
fn docker_run_init_takes_bookend_variables() {
    // `docker run --init -e ...` starts bookend as PID 1 under the name docker-init, configured by variables only.
    let folder = Folder::new();
    let hook = r#"lifecycle.preStop.exec.command = ["echo", "bookend was asked for"]"#;
    let config = folder.write("bookend.toml", hook);
    let app = "trap 'exit 6' TERM; echo up; while :; do sleep 0.05; done";
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]).arg(named(&folder, "docker-init"));
    command.args(["-e", "6", "--", "sh", "-c", app]).env("BOOKEND_CONFIG", config);
    let mut init = Init::start(folder, command);
    init.wait_for_out("up");
    signal(child_of(&init), 15);
    let finished = init.end();
    assert!(finished.log.contains("bookend was asked for"), "{finished:?}");
    assert_eq!(finished.code(), 0, "tini's own option counts: {finished:?}");
}

/// `docker run --init -e BOOKEND_...` of an image whose ENTRYPOINT is bookend, with a shell script in between or not.
fn nested(folder: Folder, env: &[(&str, &str)], between: &[&str], app: &[&str]) -> Init {
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]).arg(named(&folder, "docker-init"));
    command.arg("--").args(between).arg(bookend()).args(app).envs(env.iter().copied());
    Init::start(folder, command)
}

#[test]
fn of_two_nested_bookends_the_outer_one_applies_the_environment() {
    let app = ["--", "sh", "-c", "trap 'echo got; exit 6' TERM; echo up; while :; do sleep 0.05; done"];
    for between in [&[][..], &["sh", "-c", "\"$0\" \"$@\"; exit $?"]] {
        let (folder, port) = (Folder::new(), free_port());
        let listen = format!("127.0.0.1:{port}");
        let hook = r#"[{ exec.command = ["sh", "-c", "echo drained >> $DRAINED; echo drained"] }]"#;
        let (socket, file) = (folder.path("outer.sock"), folder.path("drained"));
        let env = [
            ("BOOKEND_HTTP_LISTEN", &*listen),
            ("BOOKEND_LIFECYCLE_PRE_STOP", hook),
            ("BOOKEND_TERMINATION_GRACE_PERIOD_SECONDS", "20"),
            ("BOOKEND_SOCKET", socket.to_str().unwrap()),
            ("DRAINED", file.to_str().unwrap()),
        ];
        let mut init = nested(folder, &env, between, &app);
        init.wait_for_out("up");
        assert_eq!(code_at(port, "/livez"), 200, "{}", init.log());
        // A shell passes no signal on: then the stop ends with the budget, or here with the app.
        let outer = child_of(&init);
        signal(outer, 15);
        if between.is_empty() {
            init.wait_for_out("got");
            assert_eq!(init.end().code(), 6, "{}", init.log());
        } else {
            init.wait_for_log("drained");
        }
        assert_eq!(init.folder.read("drained"), "drained\n", "{}", init.log());
        assert!(!init.log().contains("cannot listen"), "{}", init.log());
    }
}

#[test]
fn an_empty_variable_counts_as_unset_for_docker_init() {
    let folder = Folder::new();
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]).arg(named(&folder, "docker-init"));
    command.args(["--", "/no/such/program"]).env("BOOKEND_CONFIG", "").env("BOOKEND_SOCKET", "");
    let finished = Init::start(folder, command).finish();
    assert_eq!(finished.code(), 127);
    assert!(finished.log.contains("[FATAL tini (1)]"), "it still behaves as tini: {finished:?}");
}

#[test]
fn a_pause_reaps_and_ends_with_sigterm_or_sigint() {
    for number in [15, 2] {
        let folder = Folder::new();
        // The pause has a child from before its exec, and receives orphans because it is a subreaper.
        let mut command = Command::new("sh");
        command.args(["-c", "(sleep 0.2; (sleep 0.2 &)) & exec \"$0\" pause"]).arg(bookend());
        let mut init = Init::start(folder, command);
        child_of(&init);
        wait_until("all are reaped", || crate::support::child_of(u32::try_from(init.pid()).unwrap()).is_none());
        // Other signals have no effect on it.
        [1, 10, 28].into_iter().for_each(|ignored| init.signal(ignored));
        assert!(init.is_running());
        init.signal(number);
        assert_eq!(init.end().code(), 0);
    }
}

#[test]
fn sleep_as_pid_1_reaps_and_ends_with_sigterm() {
    // A child that it has from before its exec leaves an orphan.
    let folder = Folder::new();
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c"]);
    command.arg("(sleep 0.2; (sleep 0.2 &)) & exec \"$0\" sleep infinity").arg(bookend());
    let mut init = Init::start(folder, command);
    let pid = child_of(&init);
    let arguments = || std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    wait_until("it is bookend", || arguments().ends_with("\0sleep\0infinity\0") && !arguments().starts_with("sh"));
    wait_until("all are reaped", || crate::support::child_of(u32::try_from(pid).unwrap()).is_none());
    signal(pid, 15);
    assert_eq!(init.end().code(), 143);
    assert_eq!(start("bookend", &["sleep", "0.05"]).finish().code(), 0);
}

#[test]
fn a_pause_pins_no_working_directory_and_no_descriptor() {
    let folder = Folder::new();
    let here = PathBuf::from(folder.shown());
    let mut command = Command::new("sh");
    command.args(["-c", "cd \"$0\"; exec 7<.; exec \"$1\" pause"]).arg(&here).arg(bookend());
    let mut init = Init::start(folder, command);
    let proc = PathBuf::from(format!("/proc/{}", init.pid()));
    wait_until("nothing of it is held", || {
        let links = std::fs::read_dir(proc.join("fd")).unwrap().flatten();
        let held = links.filter_map(|fd| std::fs::read_link(fd.path()).ok()).any(|target| target == here);
        !held && std::fs::read_link(proc.join("cwd")).is_ok_and(|cwd| cwd == Path::new("/"))
    });
    init.signal(15);
    assert_eq!(init.end().code(), 0);
}

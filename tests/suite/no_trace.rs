//! Nothing of ours is left in the app: it finds what it would find without us.

use std::process::{Command, Stdio};

use crate::support::{Folder, Init, bookend};

/// What the child is asked to tell: everything of it that an init could have changed.
const TELL: &str = "grep -E '^(Sig(Blk|Ign|Cgt)|NoNewPrivs|Seccomp)' /proc/self/status; ulimit -a; umask; pwd; env | grep -v '^_=' | sort; ls /proc/self/fd | sort -n | tr '\\n' ' '";

fn told(through_bookend: bool, setup: &str) -> String {
    let folder = Folder::new();
    let config = folder.write("bookend.toml", "lifecycle.preStop.sleep.seconds = 0\nhttp.listen = \"127.0.0.1:0\"");
    let prefix =
        if through_bookend { format!("{} -c {} -- ", bookend().display(), config.display()) } else { String::new() };
    let script = format!("{setup}; exec {prefix} sh -c \"$TELL\"");
    let child = Command::new("bash").args(["-c", &script]).env("TELL", TELL).stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&child.stdout).into_owned()
}

#[test]
fn the_app_finds_what_it_would_find_without_us() {
    for setup in [
        ":",
        "trap '' HUP PIPE TERM USR1 CHLD",
        "exec 3</etc/passwd 7>/dev/null",
        "umask 077; cd /usr; ulimit -n 321; ulimit -c 0",
        "exec 0<&-",
    ] {
        let without = told(false, setup);
        assert!(without.contains("SigIgn"), "{without}");
        assert_eq!(told(true, setup), without, "{setup}");
    }
}

#[test]
fn the_mask_is_the_one_we_found() {
    let script = "use POSIX; my $s = POSIX::SigSet->new(SIGUSR1, SIGTERM, 40); sigprocmask(SIG_BLOCK, $s); exec @ARGV";
    let mut command = Command::new("perl");
    command.args(["-e", script]).arg(bookend()).args(["--", "grep", "SigBlk", "/proc/self/status"]);
    let finished = Init::start(Folder::new(), command).finish();
    assert_eq!(finished.out, "SigBlk:\t0000008000004200\n");
}

#[test]
fn handlers_too_find_the_mask_and_the_dispositions_that_we_found() {
    let tell = ["-E", "Sig(Blk|Ign|Cgt)", "/proc/self/status"];
    let without = Command::new("grep").args(tell).output().unwrap();
    let config =
        format!("lifecycle.postStart = {{ name = \"tell\", exec.command = {:?} }}", [&["grep"], &tell[..]].concat());
    let init = Init::configured(&config, &["--", "sleep", "1000"]);
    for line in String::from_utf8_lossy(&without.stdout).lines() {
        init.wait_for_log(&format!("{line} handler"));
    }
}

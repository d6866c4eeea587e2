//! Every signal reaches the app; none is lost from bookend's first instruction on.

use std::process::Command;

use crate::support::{Folder, Init, bookend, child_of, output_of, pipe_without_reader, wait_for_socket, wait_until};

/// An app that prints the number of each signal it gets.
///
/// All apps here poll every 20 ms: Perl runs its handlers between two operations, so a signal just before a long sleep
/// would wait for the end of that sleep.
const LISTENER: &str = r#"
    use POSIX; $| = 1;
    for my $n (1..8, 10..16, 18, 20..31) { my $name = (split ' ', $Config::Config{sig_name})[$n]; $SIG{$name} = sub { syswrite STDOUT, "<$n>" } if $name; }
    syswrite STDOUT, "up\n"; select undef, undef, undef, 0.02 while 1;
"#;

#[test]
fn two_thousand_signals_sent_one_at_a_time_all_arrive() {
    let script = r#"$n = 0; $SIG{USR1} = sub { syswrite STDOUT, "." }; syswrite STDOUT, "up"; select undef, undef, undef, 0.02 while 1"#;
    let init = Init::first_process(&["--", "perl", "-e", script]);
    init.wait_for_out("up");
    let pid = nix::unistd::Pid::from_raw(init.pid());
    let length = || std::fs::metadata(init.folder.path("out")).unwrap().len();
    for sent in 1..=2000 {
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGUSR1).unwrap();
        let end = std::time::Instant::now() + crate::support::PATIENCE;
        while length() < 2 + sent {
            assert!(std::time::Instant::now() < end, "signal {sent} did not arrive");
            std::thread::yield_now();
        }
    }
    assert_eq!(length(), 2002, "none arrives twice");
}

#[test]
fn every_catchable_signal_is_forwarded() {
    let init = Init::configured("app.stopSignals = [\"SIGPWR\"]", &["--", "perl", "-MConfig", "-e", LISTENER]);
    init.wait_for_out("up");
    // SIGTTIN and SIGTTOU (21, 22) are not among them.
    for number in (1..=8).chain(10..=16).chain([18, 20]).chain(23..=29).chain([31]) {
        init.signal(number);
        init.wait_for_out(&format!("<{number}>"));
    }
}

#[test]
fn background_terminal_signals_are_dropped_unless_configured() {
    let config = "app.signals = { SIGTTOU = \"SIGTTOU\" }";
    let init = Init::configured(config, &["--", "perl", "-MConfig", "-e", LISTENER]);
    init.wait_for_out("up");
    for number in [21, 22, 10] {
        init.signal(number);
    }
    init.wait_for_out("<22>");
    init.wait_for_out("<10>");
    assert!(!init.out().contains("<21>"), "{}", init.out());
}

/// An app that has left its process group: its child makes one, and the app joins it. It prints each SIGTERM, and ends
/// if `ENDS` is set.
const LEFT_ITS_GROUP: &str = r#"
import os, signal, time
child = os.fork()
if child == 0:
    os.setpgid(0, 0)
    time.sleep(1000)
    os._exit(0)
for _ in range(1000):
    if os.getpgid(child) == child: break
    time.sleep(0.005)
os.setpgid(0, child)
def on_term(*_):
    os.write(1, b"got TERM;")
    if os.environ.get("ENDS"): os._exit(4)
signal.signal(signal.SIGTERM, on_term)
os.write(1, b"up;")
while True: time.sleep(0.02)
"#;

#[test]
fn a_stop_reaches_an_app_that_has_left_its_process_group() {
    let config = "app = { signalScope = \"ProcessGroup\", env = { ENDS = \"1\" } }";
    let init = Init::configured(config, &["--", "python3", "-c", LEFT_ITS_GROUP]);
    init.wait_for_out("up;");
    init.signal(15);
    init.wait_for_out("got TERM;");
    assert_eq!(init.finish().code(), 4);
}

#[test]
fn the_deadline_kills_an_app_that_has_left_its_process_group() {
    let config = "terminationGracePeriodSeconds = 2\napp.signalScope = \"ProcessGroup\"";
    let init = Init::configured(config, &["--", "python3", "-c", LEFT_ITS_GROUP]);
    init.wait_for_out("up;");
    init.signal(15);
    assert_eq!(init.finish().code(), 137);
}

#[test]
fn every_real_time_signal_is_forwarded() {
    for number in [34, 35, 50, 64] {
        let script = format!(
            "use POSIX; sigaction({number}, POSIX::SigAction->new(sub {{ syswrite STDOUT, 'got' }})); syswrite STDOUT, 'up'; select undef, undef, undef, 0.02 while 1"
        );
        let init = Init::first_process(&["--", "perl", "-e", &script]);
        init.wait_for_out("up");
        init.signal(number);
        init.wait_for_out("got");
    }
}

#[test]
fn signals_are_rewritten_and_dropped_as_configured() {
    let config = r#"app.signals = { SIGHUP = "SIGUSR2", SIGWINCH = "ignore" }"#;
    let init = Init::configured(config, &["--", "perl", "-MConfig", "-e", LISTENER]);
    init.wait_for_out("up");
    init.signal(28);
    init.signal(1);
    init.wait_for_out("<12>");
    assert!(!init.out().contains("<28>") && !init.out().contains("<1>"), "{}", init.out());
}

#[test]
fn a_sigpipe_of_our_own_log_is_not_forwarded() {
    let folder = Folder::new();
    let config = folder.write("bookend.toml", r#"app.signals = { SIGPIPE = "SIGUSR1" }"#);
    let mut command = Command::new(bookend());
    command.arg("-c").arg(config).args(["--", "sh", "-c", "sleep 0.3; exit 3"]);
    let init = Init::start_with_log(folder, command, pipe_without_reader());
    assert_eq!(init.finish().code(), 3);
}

#[test]
fn endless_signals_delay_neither_handlers_nor_deadline() {
    let config = "terminationGracePeriodSeconds = 2\nlifecycle.preStop.sleep.seconds = 0.2";
    let app = "trap '' TERM RTMIN; echo up; while :; do sleep 0.02; done";
    let mut init = Init::configured(config, &["--", "bash", "-c", app]);
    init.wait_for_out("up");
    // Real-time signals are queued, and come faster than they can be forwarded.
    let flood = format!("1 while kill 34, {}", init.pid());
    let mut flood = Command::new("perl").args(["-e", &flood]).spawn().unwrap();
    init.signal(15);
    let finished = init.end();
    let _ = flood.kill();
    output_of(flood);
    assert_eq!(finished.code(), 137, "{finished:?}");
    assert!(finished.log.contains("preStop done"), "{}", finished.log);
}

#[test]
fn a_stop_signal_before_the_app_prevents_it() {
    let folder = Folder::new();
    let marker = folder.path("marker");
    let script = r#"use POSIX; my $set = POSIX::SigSet->new(SIGTERM); sigprocmask(SIG_BLOCK, $set); kill TERM => $$; exec @ARGV"#;
    let mut command = Command::new("perl");
    command.args(["-e", script]).arg(bookend()).args(["--", "touch"]).arg(&marker);
    let mut init = Init::start(folder, command);
    assert_eq!(init.end().code(), 143);
    assert!(!marker.exists(), "the app was started");
}

#[test]
fn a_stop_at_any_moment_of_the_start_ends_the_container() {
    // The loop varies the moment: from before main to well after the app's start.
    for microseconds in (0..4000).step_by(100) {
        let folder = Folder::new();
        let mut init = Init::ordinary(folder, &["--", "sleep", "1000"]);
        let until = std::time::Instant::now() + std::time::Duration::from_micros(microseconds);
        while std::time::Instant::now() < until {
            std::hint::spin_loop();
        }
        init.signal(15);
        assert_eq!(init.end().code(), 143);
    }
}

#[test]
fn the_whole_group_gets_the_signal_if_configured() {
    let config = r#"app.signalScope = "ProcessGroup""#;
    let script = "trap 'echo parent' USR1; (trap 'echo child; exit' USR1; echo up; while :; do sleep 0.05; done) & while :; do wait; done";
    let init = Init::configured(config, &["--", "sh", "-c", script]);
    init.wait_for_out("up");
    init.signal(10);
    init.wait_for_out("child");
    init.wait_for_out("parent");
}

/// Whether it is scheduled while nothing happens.
pub(crate) fn assert_idle(pid: i32) {
    let switches = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        status.lines().filter(|line| line.contains("ctxt_switches")).map(str::to_owned).collect::<Vec<_>>()
    };
    // bookend is idle if the kernel has not scheduled it between two checks.
    let mut last = switches();
    wait_until("bookend is idle", || {
        std::thread::sleep(std::time::Duration::from_millis(200));
        let now = switches();
        std::mem::replace(&mut last, now.clone()) == now
    });
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert_eq!(switches(), last, "an idle bookend was scheduled");
}

#[test]
fn an_idle_bookend_never_wakes_up() {
    assert_idle(Init::first_process(&["--", "sleep", "1000"]).pid());
}

#[test]
fn an_idle_endpoint_socket_or_pause_never_wakes_up() {
    let folder = Folder::new();
    let config = format!(
        "terminationGracePeriodSeconds = 30\nhttp.listen = \"127.0.0.1:0\"\nsocket = \"{}\"\nlifecycle.preStop.sleep.seconds = 1",
        folder.path("socket").display()
    );
    assert_idle(Init::configured_in(folder, &config, &["--", "sleep", "1000"]).pid());
    assert_idle(Init::first_process(&["pause"]).pid());
}

#[test]
fn signals_reserved_by_the_c_library_are_forwarded() {
    // No process can register 32 and 33 through the C library, and posix_spawn(3) leaves them ignored. Blocked by the raw
    // system call, which the app inherits, they stay pending in the app, where they are visible.
    let block =
        format!("my $all = pack('Q', ~0); syscall({}, 0, $all, 0, 8); exec @ARGV", nix::libc::SYS_rt_sigprocmask);
    let mut command = Command::new("perl");
    command.args(["-e", &block]).arg(bookend()).args(["--", "sh", "-c", "echo up; exec sleep 1000"]);
    let init = Init::start(Folder::new(), command);
    init.wait_for_out("up");
    // glibc unblocks both when a program starts its first thread: a debug build that is about to open its socket loses them.
    wait_for_socket(&init.folder.path("bookend.sock"));
    let app = crate::support::child_of(u32::try_from(init.pid()).unwrap()).unwrap();
    [32, 33].into_iter().for_each(|number| init.signal(number));
    wait_until("both wait in the app", || {
        let status = std::fs::read_to_string(format!("/proc/{app}/status")).unwrap();
        status.contains("ShdPnd:\t0000000180000000")
    });
    crate::support::signal(app, 9);
    assert_eq!(init.finish().code(), 137);
}

#[test]
fn only_a_real_fault_kills_bookend() {
    use std::os::unix::fs::FileExt;

    let mut init = Init::ordinary(Folder::new(), &["--", "sh", "-c", "trap '' SEGV ILL; echo up; sleep 5"]);
    init.wait_for_out("up");
    let pid = init.pid();
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
    wait_until("it waits", || read("syscall").split_whitespace().count() > 2);
    [11, 4].into_iter().for_each(|number| init.signal(number));
    wait_until("it has forwarded them and waits again", || {
        read("status").contains("SigPnd:\t0000000000000000") && read("syscall").split_whitespace().count() > 2
    });
    assert!(init.is_running());
    // An invalid instruction at the place where it will go on: the last field of /proc/PID/syscall.
    let counter = read("syscall").split_whitespace().last().unwrap().trim_start_matches("0x").to_owned();
    let memory = std::fs::File::options().write(true).open(format!("/proc/{pid}/mem")).unwrap();
    let illegal: &[u8] = if cfg!(target_arch = "x86_64") { &[0x0f, 0x0b] } else { &[0; 4] };
    memory.write_all_at(illegal, u64::from_str_radix(&counter, 16).unwrap()).unwrap();
    init.signal(28);
    assert_eq!(init.end().code(), 128 + 4, "SIGILL");
}

#[test]
fn an_ignored_signal_begins_no_stop_even_before_the_app() {
    let folder = Folder::new();
    let config = folder.write("bookend.toml", "app.signals = { SIGINT = \"ignore\" }");
    let script =
        r#"use POSIX; my $set = POSIX::SigSet->new(SIGINT); sigprocmask(SIG_BLOCK, $set); kill INT => $$; exec @ARGV"#;
    let mut command = Command::new("perl");
    command.args(["-e", script]).arg(bookend()).arg("-c").arg(&config).args(["--", "sh", "-c", "exit 3"]);
    assert_eq!(Init::start(folder, command).finish().code(), 3);
}

#[test]
fn pid_1_loses_no_stop_while_it_reads_its_configuration() {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    // A configuration that takes time to read: a FIFO. It can be opened for writing once bookend reads it.
    let folder = Folder::new();
    let (config, marker) = (folder.path("bookend.toml"), folder.path("marker"));
    nix::unistd::mkfifo(&config, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (config_arg, marker_arg) = (config.to_str().unwrap().to_owned(), marker.to_str().unwrap().to_owned());
    let mut init = Init::in_folder(folder, &["-c", &config_arg, "--", "touch", &marker_arg]);
    let mut writer = None;
    wait_until("bookend reads its configuration", || {
        let nonblocking = nix::libc::O_NONBLOCK;
        writer = std::fs::File::options().write(true).custom_flags(nonblocking).open(&config).ok();
        writer.is_some()
    });
    init.signal(15);
    writer.take().unwrap().write_all(b"log.level = \"Error\"\n").unwrap();
    assert_eq!(init.end().code(), 143);
    assert!(!marker.exists(), "the app was started");
}

#[test]
fn rewritten_real_time_signals_are_counted_not_flagged() {
    // The app takes the signals one by one from the kernel's queue; a handler in Perl or Python only sets a flag.
    let script = "import os, signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [36])\nos.write(1, b'up')\nwhile True: os.write(1, b'%d.' % signal.sigwait([36]))";
    let init = Init::configured("app.signals = { \"SIGRTMIN+1\" = \"SIGRTMIN+2\" }", &["--", "python3", "-c", script]);
    init.wait_for_out("up");
    // The app is stopped, so all of the signals are pending when it continues.
    init.signal(19);
    (0..5).for_each(|_| init.signal(35));
    init.signal(18);
    init.wait_for_out(&"36.".repeat(5));
}

#[test]
fn a_stop_ends_an_app_that_asked_its_parent_to_trace_it() {
    // PTRACE_TRACEME: from now on each signal stops the app until its parent, bookend, lets it go on.
    let number = if cfg!(target_arch = "x86_64") { 101 } else { 117 };
    let traced = format!("$| = 1; syscall({number}, 0, 0, 0, 0); print \"up\\n\"; sleep 1000");
    let init = Init::first_process(&["--", "perl", "-e", &traced]);
    init.wait_for_out("up");
    init.signal(15);
    assert_eq!(init.finish().code(), 143);
}

#[test]
fn a_stop_ends_an_app_that_is_stopped() {
    let stopped = "kill -STOP $$; sleep 1000";
    for config in ["", "terminationGracePeriodSeconds = 300"] {
        let init = Init::configured(config, &["--", "sh", "-c", stopped]);
        let app = || child_of(init.pid().unsigned_abs()).map(|app| format!("/proc/{app}/stat"));
        wait_until("the app is stopped", || {
            app().and_then(|stat| std::fs::read_to_string(stat).ok()).is_some_and(|stat| stat.contains(") T "))
        });
        init.signal(15);
        assert_eq!(init.finish().code(), 143);
    }
}

#[test]
fn a_stop_ends_an_app_that_is_stopped_in_the_same_moment() {
    // bookend reads SIGTERM first, and learns only then that the app is stopped.
    let stopped = "if (!fork) { kill 'STOP', getppid; kill 'TERM', $ENV{INIT} } sleep 1000";
    let script = format!("INIT=$PPID exec perl -e \"{}\"", stopped.replace('$', "\\$"));
    for config in ["", "terminationGracePeriodSeconds = 300"].repeat(5) {
        let finished = Init::configured(config, &["--", "sh", "-c", &script]).finish();
        assert_eq!(finished.code(), 143, "{}", finished.log);
    }
}

#[test]
fn an_app_that_is_stopped_after_its_stop_signal_goes_on() {
    for (signal, config) in [("STOP", ""), ("STOP", "terminationGracePeriodSeconds = 300"), ("TSTP", ""), ("TTIN", "")]
    {
        let script = format!("trap 'kill -{signal} $$; exit 4' TERM; echo up; while :; do sleep 0.02; done");
        let init = Init::configured(config, &["--", "sh", "-c", &script]);
        init.wait_for_out("up");
        init.signal(15);
        assert_eq!(init.finish().code(), 4, "{signal}");
    }
}

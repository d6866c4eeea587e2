//! Every signal reaches the app; none is lost from the first instruction on.

use std::process::Command;

use crate::support::{Folder, Init, bookend, exists, wait_until};

/// An app that prints the number of each signal it gets.
///
/// All apps here look around every 20 ms: Perl runs its handlers between two operations, so a signal that comes
/// just before a long sleep would wait for the sleep's end.
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
    for number in (1..=8).chain(10..=16).chain([18]).chain(20..=29).chain([31]) {
        init.signal(number);
        init.wait_for_out(&format!("<{number}>"));
    }
}

#[test]
fn real_time_signals_are_forwarded_the_first_one_too() {
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
fn a_stop_signal_that_came_before_the_app_means_no_app() {
    let folder = Folder::new();
    let marker = folder.path("marker");
    let script = r#"use POSIX; my $set = POSIX::SigSet->new(SIGTERM); sigprocmask(SIG_BLOCK, $set); kill TERM => $$; exec @ARGV"#;
    let mut command = Command::new("perl");
    command.args(["-e", script]).arg(bookend()).args(["--", "touch"]).arg(&marker);
    let mut init = Init::start(folder, command);
    assert_eq!(init.end().code(), 143);
    assert!(!exists(&marker), "the app was started");
}

#[test]
fn a_stop_at_any_moment_of_the_start_ends_the_container() {
    // The moment is the loop's variable: from before main to well after the app's own start.
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
fn the_whole_group_gets_the_signal_where_so_configured() {
    let config = r#"app.signalScope = "ProcessGroup""#;
    let script = "trap 'echo parent' USR1; (trap 'echo child; exit' USR1; echo up; while :; do sleep 0.05; done) & while :; do wait; done";
    let init = Init::configured(config, &["--", "sh", "-c", script]);
    init.wait_for_out("up");
    init.signal(10);
    init.wait_for_out("child");
    init.wait_for_out("parent");
}

#[test]
fn idle_means_no_wake_up() {
    let init = Init::first_process(&["--", "sleep", "1000"]);
    let switches = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", init.pid())).unwrap();
        status.lines().filter(|line| line.contains("ctxt_switches")).map(str::to_owned).collect::<Vec<_>>()
    };
    // It has settled when it has not run between two looks.
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
fn a_signal_that_is_dropped_begins_nothing_even_before_the_app() {
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

    // A configuration that takes its time: a FIFO. It can be opened for writing once bookend reads it.
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
    assert!(!exists(&marker), "the app was started");
}

#[test]
fn rewritten_real_time_signals_are_counted_not_flagged() {
    let script = "use POSIX; sigaction(36, POSIX::SigAction->new(sub { syswrite STDOUT, 'got.' })); syswrite STDOUT, 'up'; select undef, undef, undef, 0.02 while 1";
    let init = Init::configured("app.signals = { \"SIGRTMIN+1\" = \"SIGRTMIN+2\" }", &["--", "perl", "-e", script]);
    init.wait_for_out("up");
    // Stopped, it finds them all at once.
    init.signal(19);
    (0..5).for_each(|_| init.signal(35));
    init.signal(18);
    init.wait_for_out(&"got.".repeat(5));
}

//! Every orphan is reaped.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nix::sys::signal::{Signal, kill};

use crate::support::{Folder, Init, bookend, code, free_port, get, wait_until};

#[test]
fn ten_thousand_orphans_are_reaped_with_none_left() {
    let port = free_port();
    // Each child forks a grandchild and ends, so PID 1 becomes the grandchild's parent.
    let script = r#"
        $SIG{CHLD} = 'DEFAULT';
        for (1..10000) { my $p = fork; die "fork: $!" unless defined $p; if (!$p) { fork; exit 0 } waitpid $p, 0;
            syswrite STDOUT, "$_\n" if $_ % 1000 == 0 }
        sub left { my $n = 0; for (glob "/proc/[0-9]*/stat") { open my $f, "<", $_ or next; my @s = split ' ', <$f>; $n++ if $s[3] == 1 && $s[0] != $$ } $n }
        for (1..1000) { last unless left(); select undef, undef, undef, 0.02 }
        syswrite STDOUT, "left: " . left() . "\n"; sleep 1000
    "#;
    let init = Init::configured(&format!("http.listen = \"127.0.0.1:{port}\""), &["--", "perl", "-e", script]);
    for thousands in 1..=10 {
        init.wait_for_out(&format!("{thousands}000\n"));
    }
    init.wait_for_out("left: ");
    assert!(init.out().ends_with("\nleft: 0\n"), "{}", init.out());
    assert_eq!(code(port, "/livez"), 200);
    assert!(get(port, "/status").unwrap().contains("\"orphansReaped\": 10000"));
}

/// Leaves orphans behind, ten at a time, until SIGUSR1; then one at a time, on request.
const STORMS: &str = r#"
    my ($calm, $next) = (0, 0);
    $SIG{USR1} = sub { $calm = 1 }; $SIG{USR2} = sub { $next = 1 };
    sub leave { my $p = fork; return unless defined $p; if (!$p) { for (1..$_[0]) { my $q = fork; exit 0 if defined $q && !$q } exit 0 } waitpid $p, 0 }
    syswrite STDOUT, "up"; leave(10) until $calm; syswrite STDOUT, "calm";
    while (1) { select undef, undef, undef, 0.01; if ($next) { $next = 0; leave(1); syswrite STDOUT, "left" } }
"#;

/// proc_pid_status(5).
fn status_of(pid: i32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap()
}

/// Whether SIGCHLD is in this set: `ShdPnd`, `SigBlk`, `SigCgt`.
fn has_sigchld(status: &str, set: &str) -> bool {
    let set = status.lines().find_map(|line| line.strip_prefix(set)?.strip_prefix(":\t")).unwrap();
    u64::from_str_radix(set, 16).unwrap() >> (nix::libc::SIGCHLD - 1) & 1 == 1
}

/// Whether it sleeps with an unread SIGCHLD and stays so: the number of context switches is read, too.
fn sleeps_through_ends(pid: i32) -> bool {
    let status = status_of(pid);
    status.contains("State:\tS") && has_sigchld(&status, "ShdPnd") && (0..2).all(|_| status_of(pid) == status)
}

#[test]
fn every_child_exit_is_seen_in_a_storm() {
    let init = Init::configured("", &["--", "perl", "-e", STORMS]);
    init.wait_for_out("up");
    wait_until("the storm's child ends wake no process", || sleeps_through_ends(init.pid()));
    init.signal(10);
    init.wait_for_out("calm");
    let only_the_app = || {
        let children = format!("/proc/{0}/task/{0}/children", init.pid());
        std::fs::read_to_string(children).unwrap().split_whitespace().count() == 1
    };
    wait_until("the last of the storm are reaped", || only_the_app() && !has_sigchld(&status_of(init.pid()), "ShdPnd"));
    init.signal(12);
    init.wait_for_out("left");
    wait_until("the next one is, too", only_the_app);
}

#[test]
fn a_flood_of_sigchld_causes_few_reads_and_runs_no_handler() {
    let init = Init::configured("", &["--", "perl", "-e", ANSWERS]);
    init.wait_for_out("up;");
    init.wait_for_log("bookend: started");
    let status = status_of(init.pid());
    assert!(has_sigchld(&status, "SigBlk") && !has_sigchld(&status, "SigCgt"), "{status}");
    let reads = || -> u128 {
        let io = std::fs::read_to_string(format!("/proc/{}/io", init.pid())).unwrap();
        io.lines().find_map(|line| line.strip_prefix("syscr: ")).unwrap().parse().unwrap()
    };
    let pid = nix::unistd::Pid::from_raw(init.pid());
    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    kill(pid, Signal::SIGCHLD).unwrap();
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let (before, began) = (reads(), std::time::Instant::now());
        let mut answers = 0;
        while answers < 20 || sent.load(Ordering::Relaxed) < 100_000 {
            kill(pid, Signal::SIGUSR1).unwrap();
            answers += 1;
            init.wait_for_out(&format!("up;{}", ".".repeat(answers)));
        }
        let (reads, millis) = (reads() - before, began.elapsed().as_millis());
        stop.store(true, Ordering::Relaxed);
        // One look at the children a millisecond. Each SIGCHLD and each SIGUSR1 costs two reads.
        assert!(reads <= 3 * millis + 4 * answers as u128 + 100, "{reads} reads in {millis} ms, {sent:?} signals");
    });
    init.signal(9);
}

/// Leaves this many sleeping orphans, in batches.
const SLEEPING_ORPHANS: &str = r#"
    for (1 .. $ARGV[0] / 250) {
        my $p = fork // die "fork: $!";
        if (!$p) { for (1 .. 250) { my $q = fork // die "fork: $!"; if (!$q) { sleep 1000; exit 0 } } exit 0 }
        waitpid $p, 0;
    }
"#;

/// Two processes that leave short-lived orphans without a break.
const CHURN: &str = r#"
    for (1 .. 2) {
        next if fork;
        while (1) { my $p = fork; next unless defined $p; if (!$p) { fork; exit 0 } waitpid $p, 0 }
    }
"#;

/// One process that stops and continues all children of PID 1 without a break.
const TOGGLE: &str = r#"
    open my $f, "<", "/proc/1/task/1/children"; my @orphans = grep { $_ != $$ } split ' ', <$f>;
    if (!fork) { while (1) { kill 'STOP', @orphans; kill 'CONT', @orphans } }
"#;

/// The app's own part: it answers SIGUSR1, and ignores SIGTERM.
const ANSWERS: &str = r#"
    $SIG{USR1} = sub { syswrite STDOUT, "." }; $SIG{TERM} = 'IGNORE';
    syswrite STDOUT, "up;"; select undef, undef, undef, 0.01 while 1;
"#;

/// Forwards twenty signals, each within a second, answers a probe, and keeps the deadline, whatever the orphans do.
fn is_not_held_by(orphans: u32, what: &str) {
    let port = free_port();
    let config = format!("terminationGracePeriodSeconds = 2\nhttp.listen = \"127.0.0.1:{port}\"");
    let script = [SLEEPING_ORPHANS, what, ANSWERS].concat();
    let mut init = Init::configured(&config, &["--", "perl", "-e", &script, &orphans.to_string()]);
    init.wait_for_out("up;");
    for sent in 1..=20 {
        let began = std::time::Instant::now();
        init.signal(10);
        init.wait_for_out(&format!("up;{}", ".".repeat(sent)));
        let took = began.elapsed();
        assert!(took < std::time::Duration::from_secs(1), "signal {sent} took {took:?}");
    }
    assert_eq!(code(port, "/livez"), 200);
    let began = std::time::Instant::now();
    init.signal(15);
    assert_eq!(init.end().code(), 137, "{}", init.log());
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "the stop took {:?}", began.elapsed());
}

#[test]
fn orphans_without_end_do_not_hold_signals_or_the_deadline() {
    is_not_held_by(4000, CHURN);
}

#[test]
fn orphans_that_stop_and_continue_do_not_hold_signals() {
    is_not_held_by(2000, TOGGLE);
}

#[test]
fn a_round_of_reaping_is_bounded() {
    // Each child leaves an orphan, which ends at once: a thousand zombies wait for a bookend that is stopped.
    let script = r#"
        for (1 .. 1000) { my $p = fork // die "fork: $!"; if (!$p) { fork; exit 0 } waitpid $p, 0 }
        syswrite STDOUT, "up"; sleep 1000
    "#;
    let folder = Folder::new();
    let mut strace = std::process::Command::new("strace");
    strace.args(["-qq", "-e", "signal=none", "-e", "trace=wait4,?epoll_wait,epoll_pwait", "-o"]);
    strace.arg(folder.path("strace")).arg(bookend()).args(["--", "perl", "-e"]);
    strace.arg(format!("kill 'STOP', getppid; {script}"));
    let init = Init::start(folder, strace);
    init.wait_for_out("up");
    let pid = crate::support::child_of(init.pid().unsigned_abs()).unwrap();
    crate::support::signal(pid, 18);
    let only_the_app = || {
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        children.split_whitespace().count() == 1
    };
    wait_until("all are reaped", only_the_app);
    let trace = init.folder.read("strace");
    let ends = |text: &str| text.lines().filter(|line| line.starts_with("wait4(-1, ")).count();
    let rounds: Vec<usize> = trace.split("epoll_").map(ends).collect();
    assert!(rounds.iter().sum::<usize>() >= 1000, "{rounds:?}");
    assert!(rounds.iter().all(|ends| *ends <= 257), "{rounds:?}");
}

/// Forks children that end, and does not wait for them until SIGUSR1.
const NEGLIGENT: &str = r#"
    $SIG{USR1} = sub { 1 while waitpid(-1, 0) > 0; syswrite STDOUT, "mended" };
    for (1..3) { my $p = fork; exit 0 unless $p }
    syswrite STDOUT, "up"; select undef, undef, undef, 0.02 while 1;
"#;

#[test]
fn zombies_are_counted_and_their_parent_named_once() {
    let port = free_port();
    let init = Init::configured(&format!("http.listen = \"127.0.0.1:{port}\""), &["--", "perl", "-e", NEGLIGENT]);
    init.wait_for_out("up");
    let status = || get(port, "/status").unwrap();
    wait_until("they are counted", || status().contains("\"zombies\": 3"));
    assert!(status().contains("\"name\": \"perl\""), "{}", status());
    let metrics = get(port, "/metrics").unwrap();
    let of_perl = |line: &str| line.starts_with("bookend_zombie_parent{name=\"perl\",pid=") && line.ends_with("} 3");
    assert!(metrics.lines().any(of_perl), "{metrics}");
    wait_until("it is reported", || {
        status().contains("\"zombies\": 3") && init.log().contains("does not wait for its")
    });
    status();
    assert_eq!(init.log().matches("does not wait for its children").count(), 1, "{}", init.log());
    init.signal(10);
    init.wait_for_out("mended");
    wait_until("there are none, by a look that is not told again", || status().contains("\"zombies\": 0"));
}

#[test]
fn daemons_vforked_children_and_clones_are_reaped() {
    // A daemon's two forks; a child that sends its parent no SIGCHLD (clone(2), exit signal 0).
    let script = r#"
        for (1..20) { my $p = fork; if (!$p) { use POSIX; setsid; exit 0 if fork; select undef, undef, undef, 0.05; exit 0 } waitpid $p, 0 }
        for (1..20) { my $p = fork; if (!$p) { my $q = syscall($ARGV[0], 0, 0, 0, 0, 0); select undef, undef, undef, 0.05 unless $q; POSIX::_exit(0) } waitpid $p, 0 }
        system("sleep 0.05 & true") for 1..20;
        sub left { my $n = 0; for (glob "/proc/[0-9]*/stat") { open my $f, "<", $_ or next; my @s = split ' ', <$f>; $n++ if $s[3] == 1 && $s[0] != $$ } $n }
        for (1..1000) { last unless left(); select undef, undef, undef, 0.02 }
        syswrite STDOUT, "left: " . left() . "\n";
    "#;
    let clone = nix::libc::SYS_clone.to_string();
    let finished = Init::first_process(&["--", "perl", "-MPOSIX", "-e", script, &clone]).finish();
    assert_eq!((finished.out.as_str(), finished.code()), ("left: 0\n", 0));
}

#[test]
fn a_hundred_thousand_orphans_delay_no_handler() {
    // A storm of orphans in the app while a handler runs at every request; pids are reused again and again.
    let script = r#"
        for (1..200) { my $p = fork; next unless defined $p; if (!$p) { for (1..500) { my $q = fork; exit 0 if defined $q && !$q } exit 0 } waitpid $p, 0 }
        syswrite STDOUT, "done"; exit 9
    "#;
    let hook = r#"lifecycle.postStart = [ { exec.command = ["sh", "-c", "exit 0"] }, { exec.command = ["sh", "-c", "echo handled"] } ]"#;
    let began = std::time::Instant::now();
    let mut init = Init::configured(hook, &["--", "perl", "-e", script]);
    init.wait_for_log("handled");
    let handled = began.elapsed();
    let end = began + 5 * crate::support::PATIENCE;
    while !init.has_ended() {
        assert!(std::time::Instant::now() < end, "the storm does not end: {}", init.log());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(init.end().code(), 9);
    assert!(handled < began.elapsed(), "the handler had to wait for the end of the storm");
}

/// Of bookend, which is not PID 1: how often its loop opens a file of a process, at most, between two waits for events; and in all.
/// `file`: the end of the name.
fn opened_by_the_loop(config: &str, script: &str, file: &str) -> (usize, usize) {
    let folder = Folder::new();
    let config = folder.write("bookend.toml", config);
    let mut strace = std::process::Command::new("strace");
    // Without -f: the loop's thread alone.
    strace.args(["-qq", "-e", "signal=none", "-e", "trace=openat,?open,?epoll_wait,epoll_pwait", "-o"]);
    strace.arg(folder.path("strace")).arg(bookend()).arg("-c").arg(config).args(["--", "perl", "-e", script]);
    let mut init = Init::start(folder, strace);
    init.wait_for_out("up");
    crate::support::signal(crate::support::child_of(init.pid().unsigned_abs()).unwrap(), 15);
    init.end();
    let trace = init.folder.read("strace");
    let of_process = |line: &&str| line.contains("\"/proc/") && line.contains(file) && !line.contains("/self/");
    let opened = |text: &str| text.lines().filter(of_process).count();
    let all: Vec<usize> = trace.split("epoll_").map(opened).collect();
    // After the last wait comes the exit: it kills those that a busy machine has not ended yet, and no signal waits for it.
    let (_, rounds) = all.split_last().unwrap();
    (rounds.iter().copied().max().unwrap(), all.iter().sum())
}

#[test]
fn a_stop_reads_a_bounded_number_of_remaining_processes() {
    let script = r#"
        $SIG{TERM} = 'IGNORE'; for (1 .. 800) { if (!fork) { sleep 1000; exit } }
        $SIG{TERM} = 'DEFAULT'; syswrite STDOUT, "up"; sleep 1000;
    "#;
    let (most, _) = opened_by_the_loop("leftoversSeconds = 0.3", script, "/stat");
    // Two hundred for the names in the report, and two hundred to see whether they may be signalled.
    assert!((1..=450).contains(&most), "{most} processes read without a wait for events");
}

#[test]
fn the_ports_of_many_processes_are_read_beside_the_loop() {
    // The app listens nowhere, so all of its processes are looked at for the owner of this listener.
    let _foreign = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let script = r#"
        for (1 .. 800) { if (!fork) { sleep 1000; exit } } syswrite STDOUT, "up"; sleep 1000;
    "#;
    let config = "terminationGracePeriodSeconds = 20\nlifecycle.preStop.drain.minSeconds = 0.1";
    let (_, all) = opened_by_the_loop(config, script, "/fd\"");
    assert!(all < 400, "{all} folders of descriptors opened by the loop");
}

#[test]
fn a_stop_reads_a_bounded_number_of_threads() {
    // The app listens nowhere, so its children are looked for as well, in the list of each of its threads.
    let _foreign = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let script = r#"
        exec "python3", "-c", "import threading, time\nthreading.stack_size(65536)\nwait = threading.Event().wait\nfor _ in range(1000): threading.Thread(target=wait, daemon=True).start()\nprint('up', flush=True)\nimport signal\nsignal.pause()";
    "#;
    let (most, _) = opened_by_the_loop("terminationGracePeriodSeconds = 20", script, "/children\"");
    assert!(most < 300, "{most} lists of children read without a wait for events");
}

//! Every orphan is reaped.

use crate::support::{Init, code, free_port, get, wait_until};

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

/// Leaves orphans behind, ten at a time, until it is told to stop; then one at a time, on request.
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

fn blocks_ends(status: &str) -> bool {
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:\t")).unwrap();
    u64::from_str_radix(blocked, 16).unwrap() >> (nix::libc::SIGCHLD - 1) & 1 == 1
}

/// Whether it sleeps with SIGCHLD blocked and stays so: the number of context switches is read, too. The signal is also
/// blocked while its handler runs.
fn sleeps_through_ends(pid: i32) -> bool {
    let status = status_of(pid);
    status.contains("State:\tS") && blocks_ends(&status) && (0..2).all(|_| status_of(pid) == status)
}

#[test]
fn no_child_end_is_lost_in_a_storm() {
    let init = Init::configured("", &["--", "perl", "-e", STORMS]);
    init.wait_for_out("up");
    // From the first instruction to this point everything is blocked.
    init.wait_for_log("bookend: started");
    wait_until("the storm's child ends wake no process", || sleeps_through_ends(init.pid()));
    init.signal(10);
    init.wait_for_out("calm");
    let only_the_app = || {
        let children = format!("/proc/{0}/task/{0}/children", init.pid());
        std::fs::read_to_string(children).unwrap().split_whitespace().count() == 1
    };
    wait_until("the last of the storm are reaped", || only_the_app() && !blocks_ends(&status_of(init.pid())));
    init.signal(12);
    init.wait_for_out("left");
    wait_until("the next one is, too", only_the_app);
}

/// Forks children that end, and does not wait for them until told to.
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
    let end = began + 10 * crate::support::PATIENCE;
    while !init.has_ended() {
        assert!(std::time::Instant::now() < end, "the storm does not end: {}", init.log());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(init.end().code(), 9);
    assert!(handled < began.elapsed(), "it did not wait for the storm's end");
}

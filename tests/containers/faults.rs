//! Resources that a container engine takes away: system calls (seccomp), processes (the pids limit), memory (the memory
//! limit), disk. Each with the outcome that docs/proof.md names.

use super::DEBIAN;
use super::docker::{Container, Folder, ready};

const ALL_HOOKS: &str = r#"
terminationGracePeriodSeconds = 20
http.listen = "127.0.0.1:9797"
[lifecycle]
postStart.exec.command = ["echo", "greeted"]
postStop.exec.command = ["echo", "gone"]
[[lifecycle.preStop]]
drain = { minSeconds = 0.1, quietSeconds = 0.1, maxSeconds = 5, ports = [8080] }
[[lifecycle.preStop]]
exec.command = ["echo", "drained"]
"#;
/// It holds one connection on which no response is owed.
const KEEPER: &str = r#"
    $SIG{TERM} = sub { exit 6 };
    $listener = IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.1:8080") or die $!;
    $client = IO::Socket::INET->new("127.0.0.1:8080") or die $!;
    $served = $listener->accept;
    $| = 1;
    print "the app is up\n";
    select undef, undef, undef, 0.02 while 1;
"#;
const OBEDIENT: &str = "trap 'exit 6' TERM; echo the app is up; while :; do sleep 0.02; done";

const PERL: [&str; 4] = ["perl", "-MIO::Socket::INET", "-e", KEEPER];

/// A whole life with every hook; returns the log, and `/status` when the handlers are done.
fn lives_a_whole_life(test: &str, options: &[&str], app: &[&str]) -> (String, String) {
    let folder = Folder::new(test);
    folder.write("bookend.toml", ALL_HOOKS);
    let mount = folder.mount("", "/shared");
    let options = [&["--entrypoint", "/bookend", mount.as_str()], options].concat();
    let command = [&["-c", "/shared/bookend.toml", "--"], app].concat();
    let container = Container::start(test, DEBIAN, &options, &command);
    container.wait_until("the app is up", || container.log().contains("the app is up"));
    container.wait_until("postStart is over", || container.log().contains("greeted"));
    assert_eq!(container.get("http://127.0.0.1:9797/lifecycle/preStop"), 200, "{}", container.log());
    let status = container.exec(&["/bookend", "status", "--json"]).stdout;
    container.stop(&[]);
    let log = container.log();
    assert_eq!(container.exit_code(), 6, "{log}");
    for word in ["greeted", "drained", "gone"] {
        assert!(log.contains(word), "{word}: {log}");
    }
    (log, status)
}

/// A profile that allows everything but these.
pub(crate) fn profile(folder: &Folder, denied: &str) -> String {
    let path = folder.write("seccomp.json", &format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{denied}]}}"#));
    format!("--security-opt=seccomp={}", path.display())
}

#[test]
fn dockers_seccomp_profile_disables_nothing() {
    let test = "dockers_seccomp_profile_disables_nothing";
    if !ready(test) {
        return;
    }
    // 2: a filter is in force (proc(5)).
    let filter = Container::run(test, DEBIAN, &["grep", "Seccomp:", "/proc/self/status"]);
    assert_eq!(filter.stdout.split_whitespace().last(), Some("2"), "{filter:#?}");
    let (log, status) = lives_a_whole_life(test, &["--cap-drop=ALL", "--security-opt=no-new-privileges"], &PERL);
    assert!(!log.contains("WARN"), "{log}");
    assert!(status.contains("\"unavailable\": false") && status.contains("\"busy\": 0"), "{status}");
}

#[test]
fn seccomp_without_netlink_disables_only_busy_detection() {
    let test = "a_seccomp_profile_that_forbids_netlink";
    if !ready(test) {
        return;
    }
    let folder = Folder::new(&format!("{test}-profile"));
    for errno in [1, 13, 97] {
        // AF_NETLINK is 16; EPERM, EACCES, EAFNOSUPPORT.
        let netlink = format!(
            r#"{{"names":["socket"],"action":"SCMP_ACT_ERRNO","errnoRet":{errno},"args":[{{"index":0,"value":16,"op":"SCMP_CMP_EQ"}}]}}"#
        );
        let (_, status) = lives_a_whole_life(test, &[&profile(&folder, &netlink)], &PERL);
        // It sees the connection but not whether it is busy: only netlink shows that.
        let seen = status.contains("\"connections\": 1") && !status.contains("\"busy\"");
        assert!(seen && status.contains("\"unavailable\": false"), "{errno}: {status}");
    }
}

#[test]
fn a_whole_life_works_under_an_old_seccomp_profile() {
    let test = "a_seccomp_profile_that_knows_no_newer_system_call";
    if !ready(test) {
        return;
    }
    let folder = Folder::new(&format!("{test}-profile"));
    let newer = r#""pidfd_open","pidfd_send_signal","pidfd_getfd","pwritev2","preadv2","clone3","close_range","openat2","statx","prctl","getrandom""#;
    // ENOSYS as from an old kernel, EPERM as from an old profile.
    for errno in [38, 1] {
        let denied = format!(r#"{{"names":[{newer}],"action":"SCMP_ACT_ERRNO","errnoRet":{errno}}}"#);
        // The filter is then the last step before exec: runc itself needs some of these calls.
        let options = ["--security-opt=no-new-privileges", &profile(&folder, &denied)];
        lives_a_whole_life(test, &options, &["sh", "-c", OBEDIENT]);
    }
}

#[test]
fn at_the_engines_pids_limit_failed_starts_are_reported() {
    let test = "at_the_engines_pids_limit";
    if !ready(test) {
        return;
    }
    let app = [
        "perl",
        "-e",
        "$SIG{TERM} = sub { exit 6 }; $| = 1; print \"up\\n\"; select undef, undef, undef, 0.02 while 1",
    ];
    let none = Container::run_with(test, DEBIAN, &["--pids-limit=1"], &app);
    assert_eq!(none.code, Some(125), "not even the app: {none:#?}");
    assert!(none.stderr.contains("cannot create a process for \"perl\""), "{none:#?}");
    let folder = Folder::new(test);
    folder.write("bookend.toml", "lifecycle.preStop = { name = \"drain\", exec.command = [\"true\"] }");
    let mount = folder.mount("", "/shared");
    let options = ["--entrypoint", "/bookend", &mount, "--pids-limit=2"];
    let container = Container::start(
        &format!("{test}-2"),
        DEBIAN,
        &options,
        &[&["-c", "/shared/bookend.toml", "--"], &app[..]].concat(),
    );
    container.wait_until("the app is up", || container.log().contains("up"));
    container.stop(&[]);
    assert_eq!(container.exit_code(), 6, "{}", container.log());
    assert!(container.log().contains("handler failed: cannot create a process"), "{}", container.log());
}

#[test]
fn at_the_engines_memory_limit_only_the_app_dies() {
    let test = "at_the_engines_memory_limit";
    if !ready(test) {
        return;
    }
    let folder = Folder::new(test);
    folder
        .write("bookend.toml", "lifecycle.postStop.exec.command = [\"sh\", \"-c\", \"echo told of it $BOOKEND_OOM\"]");
    let mount = folder.mount("", "/shared");
    let options = ["--entrypoint", "/bookend", &mount, "--memory=24m", "--memory-swap=24m"];
    // Orphans as well, so that bookend has work while memory is short.
    let glutton = "fork || do { sleep 1; exit } for 1..5; push @eaten, 'x' x 1000000 while 1";
    let container =
        Container::start(test, DEBIAN, &options, &["-c", "/shared/bookend.toml", "--", "perl", "-e", glutton]);
    assert_eq!(container.exit_code(), 137, "{}", container.log());
    for words in ["out of memory: the kernel killed", "killed by SIGKILL (out of memory)", "told of it 1"] {
        assert!(container.log().contains(words), "{words}: {}", container.log());
    }
}

#[test]
fn a_whole_life_works_in_little_memory() {
    let test = "a_whole_life_works_in_little_memory";
    if ready(test) {
        lives_a_whole_life(test, &["--memory=8m", "--memory-swap=8m"], &["sh", "-c", OBEDIENT]);
    }
}

#[test]
fn a_whole_life_works_on_a_full_disk() {
    let test = "a_whole_life_works_on_a_full_disk";
    if !ready(test) {
        return;
    }
    let folder = Folder::new(test);
    folder.write("bookend.toml", &format!("terminationMessagePath = \"/small/message\"\n{ALL_HOOKS}"));
    let mount = folder.mount("", "/shared");
    let options = ["--entrypoint", "/bookend", &mount, "--tmpfs=/small:size=64k", "--tmpfs=/run:size=4k"];
    // Both disks are full before anything of the stop is written.
    let fill = "for in in /small/fill /run/fill; do cat /dev/zero >$in 2>&-; done; : >/small/message 2>&-;";
    let container = Container::start(
        test,
        DEBIAN,
        &options,
        &["-c", "/shared/bookend.toml", "--", "sh", "-c", &format!("{fill} {OBEDIENT}")],
    );
    container.wait_until("the app is up", || container.log().contains("the app is up"));
    container.stop(&[]);
    assert_eq!(container.exit_code(), 6, "{}", container.log());
    assert!(container.log().contains("gone"), "{}", container.log());
}

//! bookend in real containers: the images under `images/`, a real engine, the static binary that
//! `BOOKEND_BIN` names. Nothing here needs a network or an image registry.
//!
//! `make test` provides engine and images. If they are missing, a test prints `NOT RUN` and its name;
//! with `CI` set that is a failure.
#![expect(clippy::disallowed_methods, reason = "tests wait for the tools they start")]
#![expect(clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking, in its helpers too")]

mod clients;
mod compose;
mod docker;
mod dockerfile;
mod documents;
mod faults;
mod images;
mod init;
mod kubelet;
mod languages;
mod manifests;
mod named_images;
mod namespaces;
mod nginx;
mod podman;
mod rehearse;
mod shellless;
mod sidecar;
mod terminal;

use std::time::Duration;

use docker::{Container, Folder, ready};

const SCRATCH: &str = "";
/// A base image with a shell, perl and curl.
const DEBIAN: &str = docker::TOOLS;

#[test]
fn an_image_from_scratch_needs_nothing_but_the_binary() {
    let test = "an_image_from_scratch_needs_nothing_but_the_binary";
    if !ready(test) {
        return;
    }
    let finished = Container::run(test, SCRATCH, &["/bookend", "sleep", "0"]);
    assert_eq!(finished.code, Some(0), "{finished:#?}");
}

#[test]
fn the_containers_exit_code_is_the_apps() {
    let test = "the_containers_exit_code_is_the_apps";
    if !ready(test) {
        return;
    }
    let finished = Container::run(test, DEBIAN, &["sh", "-c", "exit 7"]);
    assert_eq!(finished.code, Some(7), "{finished:#?}");
}

#[test]
fn a_missing_command_is_127() {
    let test = "a_missing_command_is_127";
    if !ready(test) {
        return;
    }
    let finished = Container::run(test, DEBIAN, &["no-such-command"]);
    assert_eq!(finished.code, Some(127), "{finished:#?}");
    assert!(finished.stderr.contains("no-such-command"), "it is named: {finished:#?}");
}

#[test]
fn docker_stop_ends_an_app_without_sigterm_handler() {
    let test = "docker_stop_ends_an_app_without_sigterm_handler";
    if !ready(test) {
        return;
    }
    let container = Container::start(test, DEBIAN, &[], &["sleep", "1000"]);
    let took = container.stop(&[]);
    assert_eq!(container.exit_code(), 143, "{}", container.log());
    assert!(took < Duration::from_secs(5), "docker's own 10 s were not needed: {took:?}");
}

#[test]
fn orphans_are_reaped() {
    let test = "orphans_are_reaped";
    if !ready(test) {
        return;
    }
    let container = Container::start(test, DEBIAN, &[], &["sleep", "1000"]);
    // The shell ends first; its child's next parent is PID 1.
    container.exec(&["sh", "-c", "sleep 0.2 & sleep 0.3 & exit 0"]);
    container.wait_until("only bookend and the app are left", || container.processes().len() == 2);
    assert_no_zombie(&container);
}

#[test]
fn a_fork_storm_at_the_pids_limit_delays_no_signal_and_loses_no_status() {
    let test = "a_fork_storm_at_the_pids_limit_delays_no_signal_and_loses_no_status";
    if !ready(test) {
        return;
    }
    // Two forks each, so that the grandchildren are PID 1's. A fork that the limit refuses is tried again.
    let storm = r#"
        $SIG{TERM} = sub { exit 7 };
        syswrite STDOUT, "up\n";
        while (1) {
            my $p = fork;
            if (!defined $p) { syswrite STDOUT, "refused\n" unless $refused++; select undef, undef, undef, 0.001; next }
            if (!$p) { fork and exit; select undef, undef, undef, 0.05; exit }
            1 while waitpid(-1, 1) > 0;
        }
    "#;
    let container = Container::start(test, DEBIAN, &["--pids-limit", "30"], &["perl", "-e", storm]);
    container.wait_until("the limit is reached", || container.log().contains("refused"));
    let took = container.stop(&[]);
    assert_eq!(container.exit_code(), 7, "{}", container.log());
    assert!(took < Duration::from_secs(8), "docker's own 10 s were not needed: {took:?}");
}

#[test]
fn post_stop_runs_after_sigkill_at_the_deadline() {
    let test = "post_stop_runs_after_sigkill_at_the_deadline";
    if !ready(test) {
        return;
    }
    let folder = Folder::new(test);
    folder.write(
        "bookend.toml",
        r#"
        terminationGracePeriodSeconds = 3

        [app]
        command = ["sh", "-c", "trap '' TERM; echo the app is up; while :; do sleep 1; done"]

        [[lifecycle.postStop]]
        exec.command = ["/bin/sh", "-c", "echo Hello from the postStop handler > /shared/stopped"]
        "#,
    );
    let options = ["--entrypoint", "/bookend", &folder.mount("", "/shared")];
    let container = Container::start(test, DEBIAN, &options, &["-c", "/shared/bookend.toml"]);
    container.wait_until("the app is up", || container.log().contains("the app is up"));

    let took = container.stop(&["--time", "5"]);

    let log = container.log();
    assert_eq!(container.exit_code(), 137, "128 + SIGKILL: {log}");
    assert!(took < Duration::from_secs(5), "before docker's own SIGKILL: {took:?}: {log}");
    let written = folder.read("stopped");
    assert_eq!(written.as_deref(), Some("Hello from the postStop handler\n"), "{log}");
}

#[test]
fn an_image_from_scratch_resolves_host_names() {
    let test = "an_image_from_scratch_resolves_host_names";
    if !ready(test) {
        return;
    }
    let folder = Folder::new(test);
    folder.write("resolv.conf", "nameserver 127.0.0.1\nsearch internal\noptions timeout:2\n");
    // A name server that knows one name, and a web server; both on loopback, which the two containers share.
    folder.write(
        "servers.pl",
        r#"
        use Socket;
        my ($dns, $web);
        socket($dns, AF_INET, SOCK_DGRAM, 0) && bind($dns, sockaddr_in(53, INADDR_LOOPBACK)) or die "dns: $!";
        if (fork == 0) {
            while (my $peer = recv($dns, my $query, 512, 0)) {
                my ($end) = (index($query, "\0", 12));
                my ($name, $kind) = (substr($query, 12, $end - 11), unpack("n", substr($query, $end + 1, 2)));
                my $known = $name eq "\3app\10internal\0";
                my $address = $known && $kind == 1;
                my $head = substr($query, 0, 2) . pack("nnnnn", $known ? 0x8180 : 0x8183, 1, $address ? 1 : 0, 0, 0);
                my $answer = $address ? pack("nnnNn", 0xc00c, 1, 1, 60, 4) . INADDR_LOOPBACK : "";
                send($dns, $head . substr($query, 12, $end - 7) . $answer, 0, $peer);
            }
        }
        socket($web, AF_INET, SOCK_STREAM, 0) && bind($web, sockaddr_in(8080, INADDR_LOOPBACK)) && listen($web, 5)
            or die "web: $!";
        $| = 1;
        print "both are up\n";
        while (accept(my $client, $web)) {
            sysread($client, my $request, 4096);
            print $request;
            syswrite($client, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            close($client);
        }
        "#,
    );
    folder.write(
        "bookend.toml",
        "app.command = [\"/bookend\", \"sleep\", \"0\"]\n\
         [[lifecycle.preStart]]\nhttpGet = { host = \"app\", port = 8080, path = \"/by-name\" }\ntimeoutSeconds = 20\n\
         [[lifecycle.preStart]]\nhttpGet = { host = \"nobody\", port = 8080 }\ntimeoutSeconds = 20\nfailurePolicy = \"Ignore\"\n",
    );
    let names = folder.mount("resolv.conf", "/etc/resolv.conf");
    let servers =
        Container::start(test, DEBIAN, &[&folder.mount("", "/shared"), &names], &["perl", "/shared/servers.pl"]);
    servers.wait_until("both servers are up", || servers.log().contains("both are up"));

    let options = [folder.mount("", "/shared"), names, "--entrypoint=/bookend".to_owned()];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let finished = Container::run_beside(test, &servers, SCRATCH, &options, &["-c", "/shared/bookend.toml"]);

    assert_eq!(finished.code, Some(0), "{finished:#?}");
    assert!(servers.log().contains("GET /by-name HTTP/1.1"), "{}", servers.log());
    assert!(finished.stderr.contains("cannot resolve \"nobody\""), "{finished:#?}");
}

fn assert_no_zombie(container: &Container) {
    container.wait_until("no zombie is left", || !container.processes().iter().any(|process| process.starts_with('Z')));
}

#[test]
fn app_and_handler_run_as_user_nobody_with_its_groups() {
    let test = "app_and_handler_run_as_user_nobody_with_its_groups";
    if !ready(test) {
        return;
    }
    let folder = Folder::new(test);
    folder.write("group", "root:x:0:\nlogs:x:700:other,nobody\nothers:x:701:other\nnogroup:x:65534:\n");
    let who = r#"["sh", "-c", "echo $HOOK $(id -u):$(id -g):$(id -G) $HOME; sleep $PAUSE"]"#;
    folder.write(
        "bookend.toml",
        &format!(
            "[app]\ncommand = {who}\nuser = \"nobody\"\nenv = {{ HOOK = \"app\", PAUSE = \"0.5\" }}\n\
             [lifecycle.preStart.exec]\ncommand = {who}\nuser = \"nobody\"\nenv = {{ HOOK = \"before\", PAUSE = \"0\" }}\n\
             [lifecycle.postStop.exec]\ncommand = {who}\nenv = {{ HOOK = \"after\", PAUSE = \"0\" }}\n"
        ),
    );
    let (group, shared) = (folder.mount("group", "/etc/group"), folder.mount("", "/shared"));
    let options = ["--entrypoint", "/bookend", &group, &shared];
    let container = Container::start(test, DEBIAN, &options, &["-c", "/shared/bookend.toml"]);
    assert_eq!(container.exit_code(), 0, "{}", container.log());
    let log = container.log();
    let nobody = "65534:65534:65534 700 /nonexistent";
    for expected in [format!("app {nobody}"), format!("before {nobody}"), "after 0:0:".to_owned()] {
        assert!(log.contains(&expected), "{expected}: {log}");
    }
}

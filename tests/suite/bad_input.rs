//! Bad input gets a clear message and exit code 125, and the app is not started.

use std::net::TcpListener;
use std::process::Command;

use crate::support::{Folder, Init, bookend, run};

fn refused(config: &str, expected: &[&str]) {
    let folder = Folder::new();
    let marker = folder.path("marker");
    let path = folder.write("bookend.toml", config);
    let (path, marker_arg) = (path.to_str().unwrap().to_owned(), marker.to_str().unwrap().to_owned());
    let mut init = Init::ordinary(folder, &["-c", &path, "--", "touch", &marker_arg]);
    let finished = init.end();
    assert_eq!(finished.code(), 125, "{config}\n{}", finished.log);
    for text in expected {
        assert!(finished.log.contains(text), "{text:?} is missing:\n{}", finished.log);
    }
    assert!(!marker.exists(), "the app was started");
}

#[test]
fn an_unknown_key_is_named_with_line_and_suggestion() {
    refused("\n[app]\nstopSignall = \"SIGQUIT\"\n", &["app.stopSignall", "bookend.toml:3", "stopSignal"]);
}

#[test]
fn a_key_of_a_feature_that_is_left_out_names_the_feature() {
    let version = Command::new(bookend()).arg("--version").output().unwrap();
    if String::from_utf8_lossy(&version.stdout)
        .lines()
        .any(|line| line.starts_with("features:") && line.contains("otel"))
    {
        return;
    }
    refused("otel.enabled = true", &["otel", "this bookend was built without the feature \"otel\""]);
}

#[test]
fn a_wrong_type_is_reported_with_the_accepted_one() {
    refused("terminationGracePeriodSeconds = \"soon\"", &["terminationGracePeriodSeconds", "soon", ":1"]);
}

#[test]
fn negative_seconds_are_refused() {
    refused("[lifecycle.preStop]\nsleep.seconds = -1", &["lifecycle.preStop", "sleep.seconds", "-1"]);
}

#[test]
fn two_handlers_in_one_entry_are_refused() {
    refused(
        "[lifecycle.preStop]\nsleep.seconds = 1\nexec.command = [\"true\"]",
        &["lifecycle.preStop", "exec", "sleep"],
    );
}

#[test]
fn all_mistakes_are_reported_at_once() {
    refused(
        "nonsense = 1\n[app]\nstopSignal = \"SIGNO\"\n[http]\nlisten = \"nowhere\"\n",
        &["nonsense", "app.stopSignal", "SIGNO", "http.listen", "nowhere"],
    );
}

#[test]
fn an_unreadable_file_is_named() {
    let finished = run(&["-c", "/no/such/file.toml", "--", "true"]);
    assert_eq!(finished.code(), 125);
    assert!(finished.log.contains("cannot read the configuration file /no/such/file.toml"), "{}", finished.log);
    // A URL is a likely mistake.
    let finished = run(&["-c", "https://u:hunter2@host/a\nb.toml", "--", "true"]);
    assert!(finished.log.contains("file https://********@host/a\u{fffd}b.toml: "), "{}", finished.log);
}

#[test]
fn a_fifo_or_a_binary_file_is_named_and_blocks_nothing() {
    let folder = Folder::new();
    let fifo = folder.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let encoded = folder.path("utf-16.toml");
    std::fs::write(&encoded, b"# one\n\xff\xfea\x00").unwrap();
    for (path, what) in [
        (fifo.to_str().unwrap(), "the end of it did not come within"),
        ("/dev/zero", "larger than 1048576 bytes"),
        (folder.shown(), "Is a directory"),
        (encoded.to_str().unwrap(), "line 2 is not UTF-8"),
    ] {
        let finished = run(&["-c", path, "--", "true"]);
        assert_eq!(finished.code(), 125);
        let expected = format!("cannot read the configuration file {path}: ");
        assert!(finished.log.contains(&expected) && finished.log.contains(what), "{}", finished.log);
    }
}

#[test]
fn a_pipe_is_read_to_its_end() {
    let script = "{ echo 'app.env.A = \"from\"'; sleep 0.1; echo 'app.env.B = \"a pipe\"'; } | $0 -c /dev/stdin -- sh -c 'echo $A $B'";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(bookend());
    let finished = Init::start(Folder::new(), command).finish();
    assert_eq!((finished.code(), finished.out.as_str()), (0, "from a pipe\n"), "{}", finished.log);
}

#[test]
fn a_missing_command_is_reported() {
    let finished = run(&["--"]);
    assert_eq!(finished.code(), 125);
    assert!(finished.log.contains("no command to run"), "{}", finished.log);
}

#[test]
fn an_unknown_option_is_a_usage_error() {
    let finished = run(&["--nonsense"]);
    assert_eq!(finished.code(), 125);
    assert!(finished.log.contains("--nonsense"), "{}", finished.log);
}

#[test]
fn a_port_in_use_is_named_and_the_app_not_started() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    refused(&format!("http.listen = \"{address}\""), &["cannot listen on", &address.to_string(), "http.listen"]);
}

#[test]
fn check_shows_what_is_in_effect_and_where_it_comes_from() {
    let folder = Folder::new();
    let path = folder.write("bookend.toml", "terminationGracePeriodSeconds = 10\napp.stopSignal = \"QUIT\"\n");
    let path = path.to_str().unwrap().to_owned();
    let finished = Init::ordinary(folder, &["check", &path]).finish();
    assert_eq!(finished.code(), 0, "{}", finished.log);
    assert!(
        finished.out.contains("stopSignal = \"SIGQUIT\"") && finished.out.contains("bookend.toml:2"),
        "{}",
        finished.out
    );
}

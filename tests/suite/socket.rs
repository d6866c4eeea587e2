//! The unix socket of the command line: for root and bookend's own user, with requests that the port does not accept.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

use crate::support::{Folder, Init, PATIENCE, bookend, code, code_of, free_port, wait_for_socket};

const APP: &[&str] = &["sh", "-c", "trap 'exit 4' TERM; trap 'echo hup' HUP; echo up; while :; do sleep 0.02; done"];

/// Sends a request to the socket. The response is still to be read.
pub(crate) fn send(path: &Path, request: &str) -> UnixStream {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{request} HTTP/1.1\r\nHost: bookend\r\n\r\n").unwrap();
    stream
}

/// The whole response to a request at the socket.
pub(crate) fn ask(path: &Path, request: &str) -> String {
    let mut answer = String::new();
    send(path, request).read_to_string(&mut answer).unwrap();
    answer
}

fn zero_config() -> Init {
    let init = Init::first_process(&[&["--"], APP].concat());
    init.wait_for_out("up");
    wait_for_socket(&init.folder.path("bookend.sock"));
    init
}

#[test]
fn the_default_socket_works_without_configuration() {
    let mut init = zero_config();
    let path = init.folder.path("bookend.sock");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(ask(&path, "GET /status").contains("\"phase\": \"Running\""));
    assert_eq!(code_of(&ask(&path, "GET /livez")), 200);
    init.signal(15);
    let finished = init.end();
    assert_eq!((finished.code(), finished.log.as_str()), (4, ""));
    assert!(!path.exists(), "the socket goes with us");
}

#[test]
fn the_socket_accepts_stop_and_signals() {
    let mut init = zero_config();
    let path = init.folder.path("bookend.sock");
    for name in ["HUP", "SIGHUP", "1"] {
        assert_eq!(code_of(&ask(&path, &format!("POST /signal/{name}"))), 202, "{name}");
    }
    init.wait_for_out("hup");
    for (request, code, words) in [
        ("POST /signal/FOO", 404, "is not a signal"),
        ("POST /signal/", 404, "is not a signal"),
        ("POST /signal/KILL", 400, "cannot be caught"),
        ("POST /signal/CHLD", 400, "SIGCHLD is reserved"),
        ("GET /signal/HUP", 405, "use POST"),
        ("GET /stop", 405, "use POST"),
        ("POST /status", 405, "use GET"),
        ("POST /nothing", 404, "not found"),
    ] {
        let answer = ask(&path, request);
        assert_eq!(code_of(&answer), code, "{request}: {answer}");
        assert!(answer.contains(words), "{request}: {answer}");
    }
    assert!(init.is_running());
    assert_eq!(code_of(&ask(&path, "POST /stop")), 202);
    assert_eq!(init.end().code(), 4);
}

#[test]
fn the_port_can_stop_the_app_only_by_the_hook() {
    let port = free_port();
    let config = format!("http.listen = \"127.0.0.1:{port}\"");
    let mut init = Init::configured(&config, &[&["--"], APP].concat());
    init.wait_for_out("up");
    let requests = ["stop", "signal/TERM", "signal/HUP", "signal/15", "events", "/stop", "stop?x", "%73top", "STOP"];
    for path in requests {
        for method in ["POST", "GET", "PUT", "DELETE", "HEAD", "STOP"] {
            use std::net::TcpStream;
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            write!(stream, "{method} /{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert_eq!(code_of(&answer), 404, "{method} {path}: {answer}");
        }
    }
    assert_eq!(code(port, "/lbz"), 200, "no stop has begun");
    assert!(init.is_running() && !init.out().contains("hup"));
    init.signal(15);
    assert_eq!(init.end().code(), 4);
}

#[test]
fn followers_receive_every_event_to_the_last() {
    let config = "lifecycle.preStop = { name = \"pause\", sleep.seconds = 0.05 }";
    let mut init = Init::configured(config, &[&["--"], APP].concat());
    init.wait_for_out("up");
    let path = init.folder.path("bookend.sock");
    wait_for_socket(&path);
    let mut lines = BufReader::new(send(&path, "GET /events")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "event: phase"), "the stream begins with the current state");
    init.signal(15);
    let expected: Vec<String> =
        lines.filter(|line| line.starts_with("event: ") || line.starts_with("data: ")).collect();
    let expected = expected.join("\n");
    let parts = [
        "event: signal\ndata: {\"at\":\"20",
        "\"signal\":\"SIGTERM\"",
        "\"phase\":\"Stopping\"",
        "event: handlerStarted\n",
        "\"name\":\"pause\"",
        "\"result\":\"Succeeded\"",
        "\"text\":\"SIGTERM sent to the app\"",
        "event: exited\n",
        "\"exitCode\":4",
    ];
    let mut rest = expected.as_str();
    for part in parts {
        let (_, after) =
            rest.split_once(part).unwrap_or_else(|| panic!("{part} is missing, or too early:\n{expected}"));
        rest = after;
    }
    assert_eq!(init.end().code(), 4);
}

#[test]
fn a_follower_that_never_reads_delays_nothing() {
    let mut init = zero_config();
    let path = init.folder.path("bookend.sock");
    let _deaf: Vec<_> = (0..20).map(|_| send(&path, "GET /events")).collect();
    for _ in 0..300 {
        assert_eq!(code_of(&ask(&path, "POST /signal/WINCH")), 202);
    }
    let began = std::time::Instant::now();
    init.signal(15);
    assert_eq!(init.end().code(), 4);
    assert!(began.elapsed().as_secs() < 10);
}

#[test]
fn a_stale_socket_is_replaced_and_a_live_one_is_kept() {
    let folder = Folder::new();
    let path = folder.path("bookend.sock");
    drop(UnixListener::bind(&path).unwrap());
    let mut first = Init::in_folder(folder, &[&["--"], APP].concat());
    first.wait_for_out("up");
    wait_for_socket(&path);
    let mut command = Command::new(bookend());
    command.args([&["--"], APP].concat()).env("BOOKEND_SOCKET", &path);
    let mut second = Init::start(Folder::new(), command);
    second.wait_for_log("another bookend listens at");
    second.wait_for_out("up");
    second.signal(15);
    assert_eq!(second.end().code(), 4);
    let first_pid = first.pid();
    assert!(ask(&path, "GET /status").contains("\"phase\": \"Running\""), "{first_pid} still has its socket");
    first.signal(15);
    assert_eq!(first.end().code(), 4);
}

#[test]
fn the_sockets_mode_needs_no_chmod_that_could_follow_a_link() {
    let folder = Folder::new();
    let mut command = Command::new("sh");
    // A umask that removes permissions of the owner as well.
    command.args(["-c", "umask 0277; exec strace -qq -o \"$0\" -e trace=?chmod,?fchmodat,?fchmodat2,bind \"$@\""]);
    command.arg(folder.path("strace")).arg(bookend()).arg("--").args(APP);
    command.env("BOOKEND_SOCKET", folder.path("bookend.sock"));
    let init = Init::start(folder, command);
    let path = init.folder.path("bookend.sock");
    wait_for_socket(&path);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let trace = init.folder.read("strace");
    assert!(trace.contains("bind(") && !trace.contains("chmod"), "{trace}");
}

#[test]
fn a_locked_directory_delays_the_socket_and_nothing_else() {
    let folder = Folder::new();
    let path = folder.path("bookend.sock");
    drop(UnixListener::bind(&path).unwrap());
    let directory = std::fs::File::open(folder.path("")).unwrap();
    directory.lock().unwrap();
    let mut init = Init::in_folder(folder, &[&["--"], APP].concat());
    init.wait_for_out("up");
    init.wait_for_log("replacing the dead socket without the lock");
    wait_for_socket(&path);
    init.signal(15);
    assert_eq!(init.end().code(), 4);
    assert!(!path.exists(), "the socket is removed at the end");
}

#[test]
fn a_refused_socket_is_reported_and_life_goes_on() {
    for (config, words) in [
        ("socket = \"/no/such/folder/bookend.sock\"", "cannot create the socket"),
        ("socket = \"/etc/hostname\"", "exists and is not a socket"),
        ("socket = \"None\"", "app started"),
    ] {
        let folder = Folder::new();
        let file = folder.write("bookend.toml", config);
        let mut command = Command::new(bookend());
        command.arg("-c").arg(file).args([&["--"], APP].concat()).env("BOOKEND_SOCKET", "");
        let mut init = Init::start(folder, command);
        init.wait_for_log(words);
        init.wait_for_out("up");
        init.signal(15);
        assert_eq!(init.end().code(), 4, "{config}");
    }
    let long = format!("socket = \"/{}\"", "x".repeat(107));
    let folder = Folder::new();
    let file = folder.write("bookend.toml", &long);
    let finished = Init::ordinary(folder, &["check", file.to_str().unwrap()]).finish();
    assert_eq!(finished.code(), 125);
}

#[test]
fn other_users_are_refused_whatever_the_file_mode() {
    if !nix::unistd::geteuid().is_root() {
        // Only root can act as two users.
        return;
    }
    let init = zero_config();
    let path = init.folder.path("bookend.sock");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
    let script = "use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die; \
        print $s \"POST /stop HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n\"; print while <$s>";
    let unrelated = Command::new("setpriv")
        .args(["--reuid=12345", "--clear-groups", "perl", "-e", script])
        .arg(&path)
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&unrelated.stdout).contains("403"), "{unrelated:?}");
    assert!(ask(&path, "GET /status").contains("\"phase\": \"Running\""));
    drop(init);
}

//! sd_notify: the app reports that it has started, and its status.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use crate::support::{Folder, Init, bookend, code, free_port, get, wait_until};

/// A shell that sends the contents of the folder's files as notifications, one after another, as `send N` requests.
const SEND: &str = r#"
use Socket;
my $path = $ENV{NOTIFY_SOCKET} or die "no NOTIFY_SOCKET";
$path =~ s/^@/\0/;
socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die $!;
connect($s, pack_sockaddr_un($path)) or die $!;
$| = 1;
for my $word (@ARGV) {
    until (-e "$ENV{DIR}/$word") { select undef, undef, undef, 0.02 }
    open(my $f, "<", "$ENV{DIR}/$word"); local $/; send($s, <$f>, 0) or die $!;
    print "sent $word\n";
}
$SIG{TERM} = sub { exit 3 };
sleep 1000;
"#;

fn life(port: u16, more: &str, words: &[&str]) -> Init {
    let folder = Folder::new();
    let config = format!(
        "http.listen = \"127.0.0.1:{port}\"\napp = {{ notify = true, env.DIR = \"{0}\" }}\n{1}",
        folder.shown(),
        more.replace("DIR", folder.shown())
    );
    let init = Init::configured_in(folder, &config, &[&["--", "perl", "-e", SEND], words].concat());
    wait_until("the endpoint answers", || code(port, "/livez") != 0);
    init
}

/// The file appears with its content, never empty.
fn put(init: &Init, name: &str, text: &str) {
    let path = init.folder.write(&format!("{name}.new"), text);
    std::fs::rename(path, init.folder.path(name)).unwrap();
}

#[test]
fn the_app_has_started_when_it_sends_ready() {
    let port = free_port();
    let mut init = life(port, "", &["one", "two", "three"]);
    put(&init, "one", "STATUS=loading\nREADY=no\n");
    wait_until("its status is shown", || get(port, "/status").unwrap_or_default().contains("\"status\": \"loading\""));
    assert_eq!((code(port, "/startupz"), code(port, "/readyz"), code(port, "/lbz")), (503, 503, 503));
    assert!(get(port, "/readyz").unwrap().contains("[-]notify failed: the app has not sent READY=1"));
    put(&init, "two", "READY=1\nSTATUS=serving\nMAINPID=1\n");
    wait_until("started", || code(port, "/startupz") == 200);
    assert_eq!((code(port, "/readyz"), code(port, "/lbz")), (200, 200));
    // The app is ending by itself, so it takes no new clients.
    put(&init, "three", "STOPPING=1");
    wait_until("no new clients", || code(port, "/lbz") == 503);
    assert_eq!(code(port, "/readyz"), 200);
    init.signal(15);
    assert_eq!(init.end().code(), 3);
}

#[test]
fn readiness_is_not_probed_before_ready() {
    let port = free_port();
    let more = "readinessProbe = { exec.command = [\"touch\", \"DIR/asked\"], periodSeconds = 0.1 }";
    let init = life(port, more, &["one", "two"]);
    put(&init, "one", "STATUS=still loading");
    init.wait_for_out("sent one");
    wait_until("it was heard", || get(port, "/status").unwrap_or_default().contains("still loading"));
    assert!(!init.folder.path("asked").exists());
    put(&init, "two", "READY=1");
    wait_until("ready", || code(port, "/readyz") == 200);
}

#[test]
fn an_extended_startup_does_not_fail() {
    let port = free_port();
    let more = r#"startupProbe = { exec.command = ["false"], periodSeconds = 0.1, failureThreshold = 2, initialDelaySeconds = 1 }"#;
    let init = life(port, more, &["one", "two"]);
    put(&init, "one", "EXTEND_TIMEOUT_USEC=600000000\nSTATUS=migrating");
    wait_until("it was heard", || get(port, "/status").unwrap_or_default().contains("migrating"));
    wait_until("it was tried more often than its threshold", || {
        let status = get(port, "/status").unwrap_or_default();
        let failures =
            status.split("\"failures\": ").nth(1).and_then(|rest| rest.split(',').next()?.parse::<u32>().ok());
        failures.is_some_and(|failures| failures > 3)
    });
    assert!(get(port, "/status").unwrap().contains("\"state\": \"Unknown\""), "{}", init.log());
    assert!(!init.log().contains("startupProbe failed"));
    put(&init, "two", "EXTEND_TIMEOUT_USEC=0");
    init.wait_for_log("startupProbe failed");
}

#[test]
fn messages_of_foreign_processes_are_ignored() {
    let port = free_port();
    let init = life(port, "", &["one"]);
    // Another container of the pod could send this: it knows the name, but its process is not in this PID namespace.
    let address = environment_of_app(&init, "NOTIFY_SOCKET=@");
    let socket = UnixDatagram::unbound().unwrap();
    let address = SocketAddr::from_abstract_name(address).unwrap();
    socket.send_to_addr(b"READY=1\nSTATUS=forged", &address).unwrap();
    put(&init, "one", "STATUS=genuine");
    wait_until("the app is heard", || get(port, "/status").unwrap_or_default().contains("genuine"));
    assert_eq!(code(port, "/startupz"), 503, "datagrams are read in order: the foreign process sent the first one");
}

#[test]
fn without_notify_there_is_no_socket() {
    let finished =
        Init::configured("log.level = \"Warn\"", &["--", "sh", "-c", "echo ${NOTIFY_SOCKET:-none}"]).finish();
    assert_eq!(finished.out, "none\n");
}

#[test]
fn a_service_managers_notify_socket_reaches_the_app() {
    let folder = Folder::new();
    let path = folder.path("manager");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    let app = r#"
        use Socket;
        $SIG{TERM} = sub { syswrite STDOUT, "bye"; exit 4 };
        socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die $!;
        send($s, "READY=1", 0, pack_sockaddr_un($ENV{NOTIFY_SOCKET})) or die $!;
        select undef, undef, undef, 0.02 while 1;
    "#;
    // systemd starts a service in this way: bookend leads a session.
    let mut command = std::process::Command::new("setsid");
    command.arg(bookend()).args(["--", "perl", "-e", app]).env("NOTIFY_SOCKET", &path);
    let mut init = Init::start(folder, command);
    let mut message = [0; 64];
    let length = manager.recv(&mut message).expect("the app is heard");
    assert_eq!(message.get(..length), Some(&b"READY=1"[..]));
    // KillMode=mixed: SIGTERM, and SIGCONT should it have been stopped.
    init.signal(15);
    init.signal_if_running(18);
    let finished = init.end();
    assert_eq!((finished.code(), finished.out.as_str()), (4, "bye"), "{}", finished.log);
}

fn environment_of_app(init: &Init, name: &str) -> String {
    let mut found = None;
    wait_until("the app has its environment", || {
        let pid = crate::support::child_of(u32::try_from(init.pid()).unwrap());
        let environ = pid.and_then(|pid| std::fs::read(format!("/proc/{pid}/environ")).ok()).unwrap_or_default();
        let environ = String::from_utf8_lossy(&environ).into_owned();
        found = environ.split('\0').find_map(|pair| pair.strip_prefix(name).map(str::to_owned));
        found.is_some()
    });
    found.unwrap()
}

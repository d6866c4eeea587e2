//! The start of a program does not hold bookend, whatever happens to the program's file.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::held_file::HeldFile;
use crate::support::{Folder, Init, bookend, code, free_port, is_root, not_run, wait_until};

/// A file on which a process holds a write lease (fcntl(2), F_SETLEASE) and does not give it up: an execve(2) of the file
/// waits for lease-break-time, 45 seconds.
fn leased(folder: &Folder, name: &str) -> HeldFile {
    let program = r#"
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
open(sys.argv[2], "w").close()
signal.pause()
"#;
    HeldFile::new(program, folder, name)
}

fn program(folder: &Folder, name: &str, text: &str) -> String {
    let path = folder.write(name, text);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_handler_program_that_cannot_run_yet_delays_nothing() {
    let (folder, port) = (Folder::new(), free_port());
    let handler = program(&folder, "handler", "#!/bin/sh\necho ran\n");
    let lease = leased(&folder, "handler");
    let config = format!(
        "http.listen = \"127.0.0.1:{port}\"\nterminationGracePeriodSeconds = 20\n\
         lifecycle.preStop = {{ timeoutSeconds = 2, exec.command = [\"{handler}\"] }}"
    );
    let app = "trap 'exit 6' TERM; trap 'echo hup' HUP; echo up; while :; do sleep 0.02; done";
    let mut init = Init::configured_in(folder, &config, &["--", "sh", "-c", app]);
    init.wait_for_out("up");
    let began = Instant::now();
    init.signal(15);
    init.wait_for_log("stopping");
    // The handler is on its way to its program; everything else goes on.
    for _ in 0..5 {
        let asked = Instant::now();
        assert_eq!(code(port, "/livez"), 200, "{}", init.log());
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    }
    init.signal(1);
    init.wait_for_out("hup");
    assert_eq!(init.end().code(), 6, "{}", init.log());
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert!(
        init.log().contains("timed out after 2.000 s: its program could not be executed in that time"),
        "{}",
        init.log()
    );
    drop(lease);
}

#[test]
fn a_handler_stopped_before_its_exec_delays_nothing() {
    let (folder, port) = (Folder::new(), free_port());
    let handler = program(&folder, "handler", "#!/bin/sh\necho ran\n");
    // The child waits for the lease in execve(2), so the test can stop it before it runs the handler's program.
    let lease = leased(&folder, "handler");
    let config = format!(
        "http.listen = \"127.0.0.1:{port}\"\n\
         lifecycle.postStart = {{ timeoutSeconds = 2, failurePolicy = \"Ignore\", exec.command = [\"{handler}\"] }}"
    );
    let app = "trap 'exit 6' TERM; echo up $$; while :; do sleep 0.02; done";
    let mut init = Init::configured_in(folder, &config, &["--", "sh", "-c", app]);
    init.wait_for_out("up");
    let children = || {
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", init.pid())).unwrap_or_default();
        children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()
    };
    wait_until("the handler is forked", || children().len() == 2);
    let handler = *children().last().unwrap();
    crate::support::signal(handler, 19);
    assert_eq!(code(port, "/livez"), 200, "{}", init.log());
    init.wait_for_log("timed out after 2.000 s");
    wait_until("it is killed", || children().len() == 1);
    init.signal(15);
    assert_eq!(init.end().code(), 6, "{}", init.log());
    drop(lease);
}

#[test]
fn an_app_that_cannot_be_executed_yet_is_stopped_in_time() {
    let (folder, port) = (Folder::new(), free_port());
    let app = program(&folder, "app", "#!/bin/sh\nexec sleep 1000\n");
    let lease = leased(&folder, "app");
    let config = format!("http.listen = \"127.0.0.1:{port}\"\nterminationGracePeriodSeconds = 2");
    let mut init = Init::configured_in(folder, &config, &["--", &app]);
    wait_until("the endpoint answers", || code(port, "/livez") == 200);
    let began = Instant::now();
    init.signal(15);
    assert_eq!(init.end().code(), 143, "{}", init.log());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    drop(lease);
}

/// A file system with one program, `app`. Its server takes the request to open it and does not answer: a process that executes it
/// cannot be killed. It prints a line when the request has come. When the file exists that the second argument names, requests for
/// the directory itself hang as well.
const HANGING_SERVER: &str = r#"
import ctypes, os, struct, sys
fuse = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0".encode()
libc = ctypes.CDLL(None, use_errno=True)
assert libc.mount(b"fuse", sys.argv[1].encode(), b"fuse", 0, options) == 0, os.strerror(ctypes.get_errno())
def attributes(node):
    mode = 0o40755 if node == 1 else 0o100755
    return struct.pack("<6Q10I", node, 100, 1, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 512, 0)
while True:
    request = os.read(fuse, 1 << 18)
    _, call, unique, node = struct.unpack("<IIQQ", request[:24])
    error, answer = 0, b""
    if call == 26:
        answer = struct.pack("<4I2H2I2H8I", 7, 31, 0, 0, 0, 0, 4096, 0, 0, 0, *[0] * 8)
    elif call == 3 and os.path.exists(sys.argv[2]):
        continue
    elif call == 3:
        answer = struct.pack("<QII", 1000, 0, 0) + attributes(node)
    elif call == 1 and request[40:] == b"app\0":
        answer = struct.pack("<4Q2I", 2, 0, 1000, 1000, 0, 0) + attributes(2)
    elif call == 1:
        error = -2
    elif call == 14:
        print("the program is opened", flush=True)
        continue
    elif call in (2, 36, 42):
        continue
    else:
        error = -38
    os.write(fuse, struct.pack("<IiQ", 16 + len(answer), error, unique) + answer)
"#;

#[test]
fn a_file_server_that_hangs_under_the_app_does_not_hold_bookend() {
    let test = "a_file_server_that_hangs_under_the_app_does_not_hold_bookend";
    if !has_fuse(test) {
        return;
    }
    let (folder, port) = (Folder::new(), free_port());
    std::fs::create_dir(folder.path("volume")).unwrap();
    let config = folder.write(
        "bookend.toml",
        &format!("http.listen = \"127.0.0.1:{port}\"\nterminationGracePeriodSeconds = 3\nlifecycle.postStop.exec.command = [\"echo\", \"postStop ran\"]"),
    );
    // The mount ends with this namespace. The server is not a child of bookend.
    let script = "(setsid python3 -c \"$1\" \"$2\" /nowhere &); until [ -e \"$2/app\" ]; do sleep 0.02; done; \
        exec \"$0\" -c \"$3\" -- \"$2/app\"";
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(bookend()).arg(HANGING_SERVER);
    command.arg(folder.path("volume")).arg(config);
    let mut init = Init::start(folder, command);
    init.wait_for_out("the program is opened");
    wait_until("a probe is answered", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    assert_eq!(code(port, "/livez"), 200, "{}", init.log());
    init.signal(15);
    let finished = init.end();
    assert_eq!(finished.code(), 137, "{}", finished.log);
    for text in ["postStop ran", "the app could not be ended"] {
        assert!(finished.log.contains(text), "{text}: {}", finished.log);
    }
}

fn has_fuse(test: &str) -> bool {
    let opened = std::fs::OpenOptions::new().read(true).write(true).open("/dev/fuse");
    is_root(test) && (opened.is_ok() || not_run(test, "there is no /dev/fuse"))
}

#[test]
fn a_hanging_working_directory_holds_no_signal() {
    if !has_fuse("a_hanging_working_directory_holds_no_signal") {
        return;
    }
    let folder = Folder::new();
    std::fs::create_dir(folder.path("volume")).unwrap();
    // perl looks at no working directory.
    let app = "$SIG{HUP} = sub { syswrite STDOUT, 'hup' }; $SIG{TERM} = sub { exit 6 }; syswrite STDOUT, 'up'; \
        select undef, undef, undef, 0.02 while 1";
    let script = "(setsid python3 -c \"$1\" \"$2\" \"$3\" &); until [ -e \"$2/app\" ]; do sleep 0.02; done; \
        cd \"$2\"; : >\"$3\"; exec \"$0\" -- perl -e \"$4\"";
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(bookend()).arg(HANGING_SERVER);
    command.arg(folder.path("volume")).arg(folder.path("hangs")).arg(app);
    let init = Init::start(folder, command);
    init.wait_for_out("up");
    // Between the start of the app and the first wait for signals bookend looks for the directory.
    init.signal(1);
    init.wait_for_out("hup");
    init.signal(15);
    assert_eq!(init.finish().code(), 6);
}

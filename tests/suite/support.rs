//! A container's life as the tests need it: bookend as PID 1 of a fresh PID namespace, or as an ordinary child.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use clean_up::{folder_prefix, kill_all_of, mark};

#[path = "clean_up.rs"]
mod clean_up;

/// Long enough for a busy machine; a test that comes near it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The binary under test: the static release build where `make test` names one.
pub(crate) fn bookend() -> PathBuf {
    std::env::var_os("BOOKEND_BIN").map_or_else(|| env!("CARGO_BIN_EXE_bookend").into(), PathBuf::from)
}

/// An app that prints the number of each signal, as often as it comes. It blocks them all, as it may have been started,
/// and takes them one by one, the lowest number first (signal(7)): Perl's handlers are not safe when many come at once.
pub(crate) const PRINTS_SIGNALS: [&str; 4] = [
    "python3",
    "-IS",
    "-c",
    r#"
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
os.write(1, b"up")
while True:
    os.write(1, b"<%d>" % signal.sigwaitinfo(signal.valid_signals()).si_signo)
"#,
];

/// A folder of this test's own, removed with it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let mut path = folder_prefix().into_os_string();
            path.push(NEXT.fetch_add(1, Ordering::Relaxed).to_string());
            match fs::create_dir(&path) {
                Ok(()) => return Folder(path.into()),
                // One is left of a killed run that had our number.
                Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{path:?}"),
            }
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("the folder can be written");
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub(crate) fn shown(&self) -> &str {
        self.0.to_str().expect("a temporary path is UTF-8")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A port of loopback that is free, and given to nobody else: below those that the kernel takes for connections and
/// for whoever asks for any (ip_local_port_range), each of this run once, and not where another run looks first.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(101);
    loop {
        let offset = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        let port = 12_000 + u16::try_from(offset).expect("it is below 20,000");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Waits until the condition holds; the test fails where it does not in time.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A running bookend.
pub(crate) struct Init {
    child: Child,
    pid: i32,
    pub(crate) folder: Folder,
}

/// What a life left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) log: String,
    pub(crate) out: String,
}

impl Finished {
    /// The exit code; a signal counts as 128+n, as a shell sees it.
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }
}

impl Init {
    /// PID 1 of a PID namespace of its own.
    pub(crate) fn first_process(args: &[&str]) -> Init {
        Init::in_folder(Folder::new(), args)
    }

    /// The same, with a configuration file in front of the arguments.
    pub(crate) fn configured(config: &str, args: &[&str]) -> Init {
        let folder = Folder::new();
        Init::configured_in(folder, config, args)
    }

    /// Not as PID 1, and not waited for at all: for what happens in the first milliseconds.
    pub(crate) fn configured_without_waiting(config: &str, args: &[&str]) -> Init {
        let folder = Folder::new();
        let path = folder.write("bookend.toml", config);
        let path = path.to_str().expect("a temporary path is UTF-8");
        let args = [&["-c", path], args].concat();
        Init::ordinary(folder, &args)
    }

    pub(crate) fn configured_in(folder: Folder, config: &str, args: &[&str]) -> Init {
        let path = folder.write("bookend.toml", config);
        let path = path.to_str().expect("a temporary path is UTF-8");
        Init::in_folder(folder, &[&["-c", path], args].concat())
    }

    pub(crate) fn in_folder(folder: Folder, args: &[&str]) -> Init {
        let mut unshare = unshare();
        unshare.arg(bookend()).args(args);
        Init::start_first_process(folder, unshare)
    }

    /// In a network namespace of its own as well, as a pod has one. `prelude` is a line of shell that runs before
    /// bookend, in its place: as PID 1.
    pub(crate) fn in_a_pod(folder: Folder, config: &str, prelude: &str, args: &[&str]) -> Init {
        let path = folder.write("bookend.toml", config);
        let mut unshare = unshare();
        let script = format!("ip link set lo up\n{prelude}\nexec \"$0\" \"$@\"");
        unshare.args(["--net", "sh", "-c", &script]).arg(bookend()).arg("-c").arg(path).args(args);
        Init::start_first_process(folder, unshare)
    }

    /// Waits until it is bookend, and no longer what has become bookend.
    fn start_first_process(folder: Folder, unshare: Command) -> Init {
        let mut init = Init::start(folder, unshare);
        wait_until("unshare has its child", || {
            init.pid = child_of(init.child.id()).unwrap_or(0);
            init.pid != 0 || init.child.try_wait().expect("our child").is_some()
        });
        // From the clone to the exec it is still unshare, with default dispositions.
        // The file itself is compared: seen from a chroot, its path is another.
        let identity = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
        let binary = identity(&bookend());
        assert!(binary.is_some(), "there is no binary at {}", bookend().display());
        let exe = PathBuf::from(format!("/proc/{}/exe", init.pid));
        wait_until("bookend is there", || identity(&exe).is_none_or(|exe| Some(exe) == binary));
        init
    }

    /// An ordinary child: not PID 1.
    pub(crate) fn ordinary(folder: Folder, args: &[&str]) -> Init {
        let mut command = Command::new(bookend());
        command.args(args);
        Init::start(folder, command)
    }

    pub(crate) fn start(folder: Folder, command: Command) -> Init {
        let log = File::create(folder.path("log")).expect("the folder can be written");
        Init::start_with_log(folder, command, log)
    }

    /// With stderr somewhere else than in the folder's `log`.
    pub(crate) fn start_with_log(folder: Folder, mut command: Command, log: File) -> Init {
        let out = File::create(folder.path("out")).expect("the folder can be written");
        if !command.get_envs().any(|(name, _)| name == "BOOKEND_SOCKET") {
            // The default is one path for all of this machine.
            command.env("BOOKEND_SOCKET", folder.path("bookend.sock"));
        }
        mark(&mut command, &folder.0);
        command.env_remove("BOOKEND_BIN").stdin(Stdio::null()).stdout(out).stderr(log);
        let child = command.spawn().expect("the program starts");
        let pid = i32::try_from(child.id()).expect("a pid");
        Init { child, pid, folder }
    }

    /// On a terminal: stdin, stdout and stderr as they are given.
    pub(crate) fn start_on(folder: Folder, mut command: Command, [stdin, stdout, stderr]: [Stdio; 3]) -> Init {
        mark(&mut command, &folder.0);
        let child = command.stdin(stdin).stdout(stdout).stderr(stderr).spawn().expect("the program starts");
        let pid = i32::try_from(child.id()).expect("a pid");
        Init { child, pid, folder }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    pub(crate) fn signal(&self, number: i32) {
        signal(self.pid, number);
    }

    /// The same where it may have ended already. It is our child and not yet waited for: nobody else is hit.
    pub(crate) fn signal_if_running(&self, number: i32) {
        if !self.has_ended() {
            let _ =
                Command::new("kill").arg(format!("-{number}")).arg(self.pid.to_string()).stderr(Stdio::null()).status();
        }
    }

    pub(crate) fn log(&self) -> String {
        self.folder.read("log")
    }

    pub(crate) fn out(&self) -> String {
        self.folder.read("out")
    }

    pub(crate) fn wait_for_log(&self, text: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            assert!(Instant::now() < end, "{text:?} never came into the log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn wait_for_out(&self, text: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.out().contains(text) {
            assert!(Instant::now() < end, "{text:?} was never printed: {:?}\n{}", self.out(), self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_none()
    }

    /// Whether it is a zombie or gone, without taking its status.
    pub(crate) fn has_ended(&self) -> bool {
        fs::read_to_string(format!("/proc/{}/stat", self.child.id())).map_or(true, |stat| stat.contains(") Z "))
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Finished {
        self.end()
    }

    /// Waits for its end, and keeps the folder.
    pub(crate) fn end(&mut self) -> Finished {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                return Finished { status, log: self.log(), out: self.out() };
            }
            assert!(Instant::now() < end, "bookend hangs:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        if self.is_running() {
            // `unshare --kill-child` takes the namespace with it.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        kill_all_of(&self.folder.0);
    }
}

/// PID 1 of a PID namespace of its own, which ends with it.
fn unshare() -> Command {
    let mut unshare = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
    unshare
}

/// Does something in the network namespace of a process: the sockets it makes are that namespace's.
pub(crate) fn in_network_of<T: Send>(pid: i32, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            let network = File::open(format!("/proc/{pid}/ns/net")).expect("the process is there");
            // A thread of its own, which ends here: the test's other threads stay where they are.
            nix::sched::setns(network, nix::sched::CloneFlags::CLONE_NEWNET).expect("setns(2), as root");
            work()
        });
        inside.join().expect("the work inside does not panic")
    })
}

/// For a stderr whose reader has gone: a write is EPIPE, and SIGPIPE.
pub(crate) fn pipe_without_reader() -> File {
    let (_, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).expect("descriptors are left");
    writer.into()
}

/// Waits for a program that is not bookend, and reads what it says meanwhile: more than a pipe holds would stop it.
/// The only place where that is right: bookend itself has one reaper, tests are nobody's PID 1.
pub(crate) fn output_of(program: Child) -> Output {
    program.wait_with_output().expect("our child")
}

/// Runs bookend to its end, not as PID 1.
pub(crate) fn run(args: &[&str]) -> Finished {
    Init::ordinary(Folder::new(), args).finish()
}

pub(crate) fn signal(pid: i32, number: i32) {
    let status = Command::new("kill").arg(format!("-{number}")).arg(pid.to_string()).status().expect("kill(1)");
    assert!(status.success(), "kill -{number} {pid}");
}

pub(crate) fn child_of(pid: u32) -> Option<i32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// One GET, as the given client, to its end.
pub(crate) fn get_as(agent: &str, port: u16, path: &str) -> Result<String, std::io::Error> {
    let mut stream = connect(port)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: {agent}\r\nAccept: */*\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

pub(crate) fn get(port: u16, path: &str) -> Result<String, std::io::Error> {
    get_as("curl/8", port, path)
}

/// The status code of a GET; 0 for a broken connection.
pub(crate) fn code(port: u16, path: &str) -> u16 {
    code_of(&get(port, path).unwrap_or_default())
}

pub(crate) fn code_of(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

fn connect(port: u16) -> Result<TcpStream, std::io::Error> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The seconds that a timeline or a hook's answer says of a handler; `-1` where it says none.
pub(crate) fn took(told: &str, handler: &str) -> f64 {
    let rest = told.split_once(&format!("{handler} took ")).map(|(_, rest)| rest);
    rest.and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap_or(-1.0)
}

pub(crate) fn exists(path: &Path) -> bool {
    path.exists()
}

/// Some tests need what only root may do; without it they say so, and fail under CI.
pub(crate) fn is_root(test: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("NOT RUN: {test}: it needs root");
        assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "NOT RUN: {test}");
    }
    root
}

/// Whether we are root and the program is there; where not, the test says so, and fails under CI.
pub(crate) fn has(test: &str, program: &str) -> bool {
    if !is_root(test) {
        return false;
    }
    let there = Command::new("sh").args(["-c", "command -v \"$1\"", "sh", program]).output().unwrap().status.success();
    if !there {
        eprintln!("NOT RUN: {test}: there is no {program}");
        assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "NOT RUN: {test}");
    }
    there
}

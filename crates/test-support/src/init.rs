//! A container's life: bookend as PID 1 of a fresh PID namespace, or as an ordinary child.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use crate::clean_up::{kill_all_of, mark};
use crate::folder::Folder;
use crate::wait::{PATIENCE, wait_until};

/// The binary under test: `BOOKEND_BIN` if it is set (`make test` names the static release build), else the debug build beside the test.
pub fn bookend() -> PathBuf {
    std::env::var_os("BOOKEND_BIN").map_or_else(debug_build, PathBuf::from)
}

/// The build beside the test, with the features that the test was built with. cargo puts test programs into `deps`, one level
/// below the binaries.
///
/// # Panics
/// If the test has no path.
pub fn debug_build() -> PathBuf {
    let test = std::env::current_exe().expect("/proc/self/exe");
    test.ancestors().nth(2).expect("target/debug/deps/test").join("bookend")
}

/// A running bookend.
#[derive(Debug)]
pub struct Init {
    child: Child,
    pid: i32,
    /// The folder of this life: `log` holds stderr, `out` stdout.
    pub folder: Folder,
}

/// The result of a life.
#[derive(Debug)]
pub struct Finished {
    /// How bookend ended.
    pub status: ExitStatus,
    /// Its stderr.
    pub log: String,
    /// Its stdout.
    pub out: String,
}

impl Finished {
    /// The exit code; 128+n for a death by signal n, as a shell reports it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }
}

impl Init {
    /// Starts bookend as PID 1 of a new PID namespace.
    pub fn first_process(args: &[&str]) -> Init {
        Init::in_folder(Folder::new(), args)
    }

    /// Starts bookend as PID 1 of a new PID namespace, with a configuration file before the arguments.
    pub fn configured(config: &str, args: &[&str]) -> Init {
        let folder = Folder::new();
        Init::configured_in(folder, config, args)
    }

    /// Starts bookend as an ordinary child and does not wait for it: for tests of its first milliseconds.
    pub fn configured_without_waiting(config: &str, args: &[&str]) -> Init {
        let folder = Folder::new();
        let path = folder.write("bookend.toml", config);
        let path = path.to_str().expect("a temporary path is UTF-8");
        let args = [&["-c", path], args].concat();
        Init::ordinary(folder, &args)
    }

    /// Starts PID 1 with a configuration file, in this folder.
    pub fn configured_in(folder: Folder, config: &str, args: &[&str]) -> Init {
        let path = folder.write("bookend.toml", config);
        let path = path.to_str().expect("a temporary path is UTF-8");
        Init::in_folder(folder, &[&["-c", path], args].concat())
    }

    /// Starts PID 1 in this folder.
    pub fn in_folder(folder: Folder, args: &[&str]) -> Init {
        let mut unshare = unshare();
        unshare.arg(bookend()).args(args);
        Init::start_first_process(folder, unshare, &bookend())
    }

    /// Starts this binary as PID 1 with these variables and a configuration file.
    pub fn of_binary(binary: &Path, folder: Folder, env: &[(&str, &str)], config: &str, args: &[&str]) -> Init {
        let path = folder.write("bookend.toml", config);
        let mut unshare = unshare();
        unshare.envs(env.iter().copied()).arg(binary).arg("-c").arg(path).args(args);
        Init::start_first_process(folder, unshare, binary)
    }

    /// Starts another binary than [`bookend`] as PID 1, in its own network namespace: for a feature that is off in that one.
    pub fn in_a_pod_of(binary: &Path, folder: Folder, config: &str, prelude: &str, args: &[&str]) -> Init {
        let path = folder.write("bookend.toml", config);
        let mut unshare = unshare();
        let script = format!("ip link set lo up\n{prelude}\nexec \"$0\" \"$@\"");
        unshare.args(["--net", "sh", "-c", &script]).arg(binary).arg("-c").arg(path).args(args);
        Init::start_first_process(folder, unshare, binary)
    }

    /// Starts PID 1 in its own network namespace, like a pod. `prelude` is shell code that runs as PID 1 before bookend.
    pub fn in_a_pod(folder: Folder, config: &str, prelude: &str, args: &[&str]) -> Init {
        Init::in_a_pod_of(&bookend(), folder, config, prelude, args)
    }

    /// Waits until the process has executed bookend.
    fn start_first_process(folder: Folder, unshare: Command, binary: &Path) -> Init {
        let mut init = Init::start(folder, unshare);
        wait_until("unshare has its child", || {
            init.pid = child_of(init.child.id()).unwrap_or(0);
            init.pid != 0 || init.child.try_wait().expect("our child").is_some()
        });
        // Between clone and exec the process is still unshare, with default signal dispositions.
        // The files are compared, not their paths: a chroot changes the path.
        let identity = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
        let file = identity(binary);
        assert!(file.is_some(), "no binary at {}", binary.display());
        let exe = PathBuf::from(format!("/proc/{}/exe", init.pid));
        wait_until("bookend has been executed", || identity(&exe).is_none_or(|exe| Some(exe) == file));
        init
    }

    /// Starts bookend as an ordinary child, not as PID 1.
    pub fn ordinary(folder: Folder, args: &[&str]) -> Init {
        let mut command = Command::new(bookend());
        command.args(args);
        Init::start(folder, command)
    }

    /// Starts this command, with stdout and stderr in the folder.
    pub fn start(folder: Folder, command: Command) -> Init {
        let log = File::create(folder.path("log")).expect("the folder can be written");
        Init::start_with_log(folder, command, log)
    }

    /// Starts this command, with stdout in the folder and stderr in another file than the folder's `log`.
    pub fn start_with_log(folder: Folder, mut command: Command, log: File) -> Init {
        let out = File::create(folder.path("out")).expect("the folder can be written");
        if !command.get_envs().any(|(name, _)| name == "BOOKEND_SOCKET") {
            // The default path is the same for all tests of this machine.
            command.env("BOOKEND_SOCKET", folder.path("bookend.sock"));
        }
        mark(&mut command, &folder.0);
        command.env_remove("BOOKEND_BIN").stdin(Stdio::null()).stdout(out).stderr(log);
        let child = command.spawn().expect("the program starts");
        let pid = i32::try_from(child.id()).expect("a pid");
        Init { child, pid, folder }
    }

    /// Starts this command with these streams: on a terminal.
    pub fn start_on(folder: Folder, mut command: Command, [stdin, stdout, stderr]: [Stdio; 3]) -> Init {
        mark(&mut command, &folder.0);
        let child = command.stdin(stdin).stdout(stdout).stderr(stderr).spawn().expect("the program starts");
        let pid = i32::try_from(child.id()).expect("a pid");
        Init { child, pid, folder }
    }

    /// The pid of bookend, seen from outside its namespace.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends bookend a signal.
    pub fn signal(&self, number: i32) {
        signal(self.pid, number);
    }

    /// Sends bookend a signal unless it has ended. It is our child and not reaped yet, so its pid cannot be another process.
    pub fn signal_if_running(&self, number: i32) {
        if !self.has_ended() {
            let _ =
                Command::new("kill").arg(format!("-{number}")).arg(self.pid.to_string()).stderr(Stdio::null()).status();
        }
    }

    /// Its stderr so far.
    pub fn log(&self) -> String {
        self.folder.read("log")
    }

    /// Its stdout so far.
    pub fn out(&self) -> String {
        self.folder.read("out")
    }

    /// Waits until its stderr contains the text.
    pub fn wait_for_log(&self, text: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            assert!(Instant::now() < end, "the log never contained {text:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until its stdout contains the text.
    pub fn wait_for_out(&self, text: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.out().contains(text) {
            assert!(Instant::now() < end, "stdout never contained {text:?}: {:?}\n{}", self.out(), self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether it still runs; reaps it if not.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_none()
    }

    /// Whether it has ended, without reaping it.
    pub fn has_ended(&self) -> bool {
        fs::read_to_string(format!("/proc/{}/stat", self.child.id())).map_or(true, |stat| stat.contains(") Z "))
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Finished {
        self.end()
    }

    /// Waits for its end and keeps the folder.
    pub fn end(&mut self) -> Finished {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                return Finished { status, log: self.log(), out: self.out() };
            }
            assert!(Instant::now() < end, "bookend did not end:\n{}", self.log());
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

/// A command that runs its arguments as PID 1 of a new PID namespace. The namespace ends with the command.
fn unshare() -> Command {
    let mut unshare = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
    unshare
}

/// Runs `work` in the network namespace of a process. Sockets that it opens belong to that namespace.
pub fn in_network_of<T: Send>(pid: i32, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            let network = File::open(format!("/proc/{pid}/ns/net")).expect("the process is there");
            // A separate thread runs it: the other threads of the test stay in their namespace.
            nix::sched::setns(network, nix::sched::CloneFlags::CLONE_NEWNET).expect("setns(2), as root");
            work()
        });
        inside.join().expect("the work inside does not panic")
    })
}

/// A pipe without a reader: a write fails with EPIPE and raises SIGPIPE.
pub fn pipe_without_reader() -> File {
    let (_, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).expect("descriptors are left");
    writer.into()
}

/// Waits for a program that is not bookend, and reads its output meanwhile: a full pipe would stop it.
pub fn output_of(program: Child) -> Output {
    // `wait_with_output` is banned in bookend, which has one reaper. A test is not PID 1, and these programs end by themselves.
    program.wait_with_output().expect("our child")
}

/// The output of a program that reads this text from its standard input.
pub fn output_with_input(command: &mut Command, input: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program is there");
    let mut stdin = child.stdin.take().expect("a pipe");
    std::thread::scope(|scope| {
        // The program may end before it has read everything.
        scope.spawn(move || stdin.write_all(input.as_bytes()));
        output_of(child)
    })
}

/// Runs bookend to its end as an ordinary child.
pub fn run(args: &[&str]) -> Finished {
    Init::ordinary(Folder::new(), args).finish()
}

/// Sends a process a signal.
pub fn signal(pid: i32, number: i32) {
    let status = Command::new("kill").arg(format!("-{number}")).arg(pid.to_string()).status().expect("kill(1)");
    assert!(status.success(), "kill -{number} {pid}");
}

/// The first child of this process that has not ended.
pub fn child_of(pid: u32) -> Option<i32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    // A start that took too long is repeated, and its dead child comes before the app.
    let lives =
        |child: &&str| fs::read_to_string(format!("/proc/{child}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    let app = children.split_whitespace().find(lives).or(children.split_whitespace().next());
    app?.parse().ok()
}

//! Each system call of bookend, refused as a seccomp profile or a security module does it: from the first instruction, or once
//! the app runs. Every refusal has an answer: either there is a reason and no app, or the app has its signals and its exit code, and
//! the log says what is missing. Nothing hangs or spins. `make refusals` tries all of them, `make test` those that once had no answer.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::faults::traced;
use crate::support::{Folder, Init, bookend, free_port, signal, wait_until};

/// The system calls of a life with an endpoint, handlers, a probe and a drain: `strace -f -b execve -c` shows them.
const CALLS: &str = "accept4 bind brk chdir clock_gettime clone close connect dup2 epoll_create1 epoll_ctl epoll_pwait eventfd2 \
    exit_group fchdir fcntl fstat futex getdents64 getegid geteuid getpeername getpgid getpid getppid getrandom getsockname getsockopt \
    gettid ioctl kill listen lseek lstat madvise mprotect mremap munmap nanosleep newfstatat open openat openat2 pidfd_open \
    pidfd_send_signal pipe2 poll prctl prlimit64 pwritev2 read readlink readlinkat recvfrom recvmsg rt_sigaction rt_sigprocmask \
    rt_sigtimedwait sched_yield sendto set_tid_address setpgid setsockopt setsid shutdown sigaltstack signalfd4 socket stat statx tgkill \
    timer_create timer_settime umask uname unlink wait4 waitid writev";

/// The libraries end the process without these: musl in its own start or with a thread, std without randomness for a table (it
/// has another source after the other errors). Nothing of ours has a say. `write` is what a report needs.
const WITHOUT_ANSWER: &str = "arch_prctl exit mmap write mprotect:ENOSYS getrandom:EACCES";

#[derive(Clone, Copy, PartialEq)]
enum Since {
    Start,
    /// The app runs already.
    AppStarted,
}

const APP: &str = "trap 'exit 6' TERM; trap 'echo hup' HUP; (sleep 0.1 &); echo up; while :; do sleep 0.02; done";

/// A life with this call refused. Returns what is wrong with it.
fn wrong_with(call: &str, error: &str, from: Since) -> String {
    let (folder, port) = (Folder::new(), free_port());
    let config = format!(
        "terminationGracePeriodSeconds = 6\nhttp.listen = \"127.0.0.1:{port}\"\nlog.level = \"Info\"\n\
         readinessProbe = {{ exec.command = [\"true\"], periodSeconds = 0.2 }}\n[lifecycle]\n\
         postStart.exec.command = [\"echo\", \"greeted\"]\n\
         preStop = [{{ drain = {{ ports = [{port}], minSeconds = 0, quietSeconds = 0.1, maxSeconds = 1 }} }}, {{ exec.command = [\"echo\", \"drained\"] }}]\n\
         postStop.exec.command = [\"echo\", \"gone\"]\n"
    );
    let config = folder.write("bookend.toml", &config);
    let mut strace = Command::new("strace");
    // Its threads are traced, its children are not.
    strace.args(["-qq", "-f", "-b", "execve", "-e", "signal=none", "-o"]).arg(folder.path("strace"));
    strace.args(["-e", &format!("trace=?{call}"), "-e", &format!("inject=?{call}:error={error}")]);
    let mut command = if from == Since::Start { strace } else { Command::new(bookend()) };
    let mut attach = None;
    if from == Since::Start {
        command.arg(bookend());
    } else {
        let mut late = Command::new("strace");
        late.args(["-qq", "-f", "-b", "execve", "-e", "signal=none", "-o"]).arg(folder.path("strace"));
        late.args(["-e", &format!("trace=?{call}"), "-e", &format!("inject=?{call}:error={error}"), "-p"]);
        attach = Some(late);
    }
    command.arg("-c").arg(config).args(["--", "sh", "-c", APP]);
    let mut init = Init::start(folder, command);
    wait_until("it runs or has given up", || init.out().contains("up") || !init.is_running());
    let mut wrong = String::new();
    if !init.out().contains("up") {
        let finished = init.end();
        if finished.code() != 125 || !finished.log.contains("bookend: cannot ") {
            write!(wrong, "no app: code {}: {}", finished.code(), finished.log).unwrap();
        }
        return wrong;
    }
    let pid = if from == Since::Start { traced(&init) } else { init.pid() };
    let mut tracer = attach.map(|mut late| {
        late.arg(pid.to_string()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    });
    if tracer.is_some() {
        let status = || std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        wait_until("it is traced", || !status().contains("TracerPid:\t0"));
    }
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<u64> =
            stat.rsplit(") ").next().unwrap_or("").split(' ').filter_map(|field| field.parse().ok()).collect();
        fields.get(10).unwrap_or(&0) + fields.get(11).unwrap_or(&0)
    };
    let before = ticks();
    std::thread::sleep(Duration::from_secs(1));
    if ticks() - before > 40 {
        write!(wrong, "it spins: {} hundredths of a second in one; ", ticks() - before).unwrap();
    }
    let is_live = answers(port);
    if !init.has_ended() {
        signal(pid, 1);
        let end = Instant::now() + Duration::from_secs(3);
        while !init.out().contains("hup") && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        if !init.out().contains("hup") && !init.log().contains("cannot send") {
            wrong.push_str("no signal arrives, and no reason; ");
        }
        signal(pid, 15);
    }
    let end = Instant::now() + Duration::from_secs(15);
    while init.is_running() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
    if init.is_running() {
        wrong.push_str("the stop does not end; ");
    } else {
        let finished = init.end();
        let log = &finished.log;
        let is_bare = log.contains("staying as a bare init") || log.contains("forwarding and reaping only");
        let is_reported = is_bare || ["cannot ", "refuse", "forbid", "failed"].iter().any(|word| log.contains(word));
        if finished.code() != 6 && !(is_reported && [125, 137].contains(&finished.code())) {
            write!(wrong, "code {}; ", finished.code()).unwrap();
        }
        let is_whole = ["greeted", "drained", "gone"].iter().all(|word| log.contains(word)) && is_live;
        if !is_whole && !is_reported {
            write!(wrong, "live: {is_live}, or a handler's output is missing, and there is no reason; ").unwrap();
        }
    }
    if !wrong.is_empty() {
        wrong.push_str(&init.log());
    }
    if let Some(tracer) = &mut tracer {
        let _ = tracer.kill();
        let _ = tracer.wait();
    }
    wrong
}

/// Whether /livez is 200, as a kubelet finds it within two seconds.
fn answers(port: u16) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok::<_, std::io::Error>(answer == *b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

fn assert_answered(calls: &[(&str, &str, Since)]) {
    let wrong: String = calls
        .iter()
        .filter_map(|(call, error, from)| {
            let wrong = wrong_with(call, error, *from);
            let when = if *from == Since::Start { "from the start" } else { "once the app runs" };
            (!wrong.is_empty()).then(|| format!("{call} {error} {when}: {wrong}\n"))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_refused_call_has_an_answer_and_a_report() {
    assert_answered(&[
        ("umask", "EPERM", Since::Start),
        ("rt_sigprocmask", "EPERM", Since::Start),
        ("read", "EPERM", Since::AppStarted),
        ("recvfrom", "EPERM", Since::Start),
        ("futex", "ENOSYS", Since::AppStarted),
    ]);
}

#[test]
#[ignore = "it takes half an hour: `make refusals` runs it, and `make test` those that once had no answer"]
fn every_refused_call_has_an_answer_and_a_report() {
    let left_out: Vec<&str> = WITHOUT_ANSWER.split_whitespace().collect();
    let mut wrong = String::new();
    for call in CALLS.split_whitespace().filter(|call| !left_out.contains(call)) {
        for error in ["EPERM", "ENOSYS", "EACCES"] {
            if left_out.contains(&&*format!("{call}:{error}")) {
                continue;
            }
            for from in [Since::Start, Since::AppStarted] {
                let result = wrong_with(call, error, from);
                let when = if from == Since::Start { "from the start" } else { "once the app runs" };
                println!("{call} {error} {when}: {}", if result.is_empty() { "answered" } else { &result });
                if !result.is_empty() {
                    writeln!(wrong, "{call} {error} {when}: {result}").unwrap();
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

//! The cost of a rollout for nginx' clients, strategy by strategy: each in a PID and a network namespace of its own, under
//! the same load, with clients that still arrive for three and for six seconds. `make bench-drain` runs it as root and
//! prints the table of docs/drain.md; `BENCH_STRATEGY=bookend` chooses the strategies whose name contains it. It fails if a stop with
//! bookend loses a request or takes longer than it must.
#![expect(clippy::disallowed_methods, reason = "a bench starts programs and waits for them; it is not PID 1")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a bench that cannot measure stops")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bookend_rehearse::load::{self, Load, Outcome};
use bookend_test_support::nginx_conf;

/// `terminationGracePeriodSeconds`: then the kubelet's SIGKILL.
const GRACE: Duration = Duration::from_secs(20);
const LOAD: Load =
    Load { port: 80, new: 200, keep_alive: 16, slow: 2, proxied: 10, silent: 2, late: Duration::ZERO, kept_end: false };

/// `quietSeconds`, and the longest request (`/slow`). A stop must take no longer than the last client, these two and half a second.
const QUIET: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(2);

/// How the container is stopped.
#[derive(Debug, Clone, Copy)]
enum Stop {
    /// `docker stop`, or a pod without a hook: the image's stop signal.
    Signal(&'static str),
    /// An exec hook, then SIGTERM.
    Script(&'static str),
    /// A hook that sleeps, then the image's stop signal.
    Sleep(u64, &'static str),
    /// An HTTP hook to bookend, then SIGTERM.
    Hook,
}

struct Strategy {
    name: &'static str,
    init: Vec<String>,
    stop: Stop,
}

fn main() {
    let bookend =
        std::env::var("BOOKEND_BIN").unwrap_or_else(|_| panic!("BOOKEND_BIN is not set; run `make bench-drain`"));
    let folder = std::env::temp_dir().join(format!("bookend-drain-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::write(folder.join("bookend.toml"), CONFIG).unwrap();
    let config = folder.join("bookend.toml").to_str().unwrap().to_owned();
    println!(
        "{} new connections/s, {} kept ones, {} slow and {} proxied requests/s, {} silent connections, grace {} s",
        LOAD.new,
        LOAD.keep_alive,
        LOAD.slow,
        LOAD.proxied,
        LOAD.silent,
        GRACE.as_secs()
    );
    println!("| strategy | late | ok | refused | reset | truncated | failed | idle races | stop took |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let wanted = std::env::var("BENCH_STRATEGY").unwrap_or_default();
    let mut wrong = Vec::new();
    for late in [3, 6] {
        for strategy in strategies(&bookend, &config).into_iter().filter(|one| one.name.contains(&wanted)) {
            if let Some(program) = strategy.init.first().filter(|program| !Path::new(program).exists()) {
                println!("| {} | {late} s | NOT RUN: {program} is not installed | | | | | | |", strategy.name);
                continue;
            }
            let (outcome, took, killed) = run(&strategy, &folder, Duration::from_secs(late));
            let c = outcome.counts;
            let killed = if killed { ", SIGKILL" } else { "" };
            println!(
                "| {} | {late} s | {} | {} | {} | {} | {} | {} | {:.1} s{killed} |",
                strategy.name,
                c.ok,
                c.refused,
                c.reset,
                c.truncated,
                c.failed + c.hung,
                c.idle_races,
                took.as_secs_f64()
            );
            let most = Duration::from_secs(late) + QUIET + Duration::from_millis(500) + LONGEST + outcome.stall;
            if strategy.name.starts_with("bookend") && (took > most || c.lost() > 0) {
                wrong.push(format!("{}, {late} s: {} lost, {took:.1?} of at most {most:.1?}", strategy.name, c.lost()));
            }
        }
    }
    let _ = std::fs::remove_dir_all(&folder);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

const CONFIG: &str = "terminationGracePeriodSeconds = 20\nlog.level = \"Error\"\nhttp.listen = \"0.0.0.0:9797\"\napp.profile = \"nginx\"\n";

fn strategies(bookend: &str, config: &str) -> Vec<Strategy> {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let ours = words(&format!("{bookend} -c {config} --"));
    let strategy = |name, init: &[String], stop| Strategy { name, init: init.to_vec(), stop };
    let script = "nginx -c $0/nginx.conf -s quit; while killall -0 nginx; do sleep 1; done";
    vec![
        strategy("nginx alone, SIGTERM", &[], Stop::Signal("TERM")),
        strategy("nginx alone, SIGQUIT", &[], Stop::Signal("QUIT")),
        strategy("tini, SIGTERM", &words("/usr/bin/tini --"), Stop::Signal("TERM")),
        strategy(
            "dumb-init, SIGTERM rewritten to SIGQUIT",
            &words("/usr/bin/dumb-init --rewrite 15:3 --"),
            Stop::Signal("TERM"),
        ),
        strategy("the documentation's preStop script", &[], Stop::Script(script)),
        strategy("a sleep of 3 s, SIGQUIT", &[], Stop::Sleep(3, "QUIT")),
        strategy("a sleep of 5 s, SIGQUIT", &[], Stop::Sleep(5, "QUIT")),
        strategy("bookend, SIGTERM", &ours, Stop::Signal("TERM")),
        strategy("bookend, hook then SIGTERM", &ours, Stop::Hook),
    ]
}

fn run(strategy: &Strategy, folder: &Path, late: Duration) -> (Outcome, Duration, bool) {
    let dir: PathBuf = folder.join("run");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir(&dir).unwrap();
    let shown = dir.to_str().unwrap();
    std::fs::write(dir.join("nginx.conf"), nginx_conf(shown)).unwrap();
    std::fs::write(dir.join("slow"), vec![b'x'; 400_000]).unwrap();
    let conf = format!("{shown}/nginx.conf");
    let mut unshare = Command::new("unshare");
    unshare.args(["--net", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c"]);
    unshare.args(["ip link set lo up; exec \"$@\"", "sh"]).args(&strategy.init);
    unshare.args(["nginx", "-c", &conf, "-g", "daemon off;"]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut container = unshare.spawn().unwrap();
    let pid = child_of(&container);
    load::wait_for_port(pid, LOAD.port);
    let load = Load { late, ..LOAD }.start(pid);
    std::thread::sleep(Duration::from_secs(2));
    let began = Instant::now();
    load.stop_begins();
    let mut hook = None;
    match strategy.stop {
        Stop::Signal(name) => kill(pid, name),
        Stop::Script(script) => {
            // A kubelet runs the hook in the container, and then sends SIGTERM if the container still runs.
            let mut inside = Command::new("nsenter");
            inside.args(["-t", &pid.to_string(), "-m", "-p", "-n", "sh", "-c", script, shown]);
            let mut inside = inside.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            wait(&mut inside, GRACE);
            kill(pid, "TERM");
            hook = Some(inside);
        }
        Stop::Sleep(seconds, name) => {
            std::thread::sleep(Duration::from_secs(seconds));
            kill(pid, name);
        }
        Stop::Hook => {
            load::get(pid, 9797, "/lifecycle/preStop");
            kill(pid, "TERM");
        }
    }
    let ended = wait(&mut container, GRACE.saturating_sub(began.elapsed()));
    if !ended {
        kill(pid, "KILL");
        let _ = container.wait();
    }
    if let Some(mut hook) = hook {
        let _ = hook.kill();
        let _ = hook.wait();
    }
    let took = began.elapsed();
    (load.finish(), took, !ended)
}

fn wait(child: &mut Child, most: Duration) -> bool {
    let end = Instant::now() + most;
    while Instant::now() < end {
        if child.try_wait().unwrap().is_some() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

fn child_of(unshare: &Child) -> i32 {
    let path = format!("/proc/{0}/task/{0}/children", unshare.id());
    for _ in 0..1000 {
        let children = std::fs::read_to_string(&path).unwrap_or_default();
        if let Some(pid) = children.split_whitespace().next().and_then(|pid| pid.parse().ok()) {
            return pid;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("unshare has no child: is this root?")
}

/// It may have ended by itself.
fn kill(pid: i32, name: &str) {
    let _ = Command::new("kill").args([format!("-{name}"), pid.to_string()]).stderr(Stdio::null()).status();
}

//! Pods as the sidecar sees them: PID 1 is the pause process, and a process that a runtime has started has parent 0.

use std::io;

use proptest::prelude::*;

use super::*;
use crate::process::procfs::Member;
use crate::runtime::sidecar::container_identity::ContainerIdentity;
use crate::runtime::sidecar::find_error::ProcessList;
use crate::runtime::sidecar::observed::{ObserveError, PidFile};
use bookend_lifecycle::signal::Signal;

/// The sidecar's own pid in all of these pods.
const OWN: i32 = 50;

fn process(pid: i32, parent: i32, command_line: &str, container: &str) -> ObservedProcess {
    let program = command_line.split([' ', ':']).next().unwrap_or_default();
    ObservedProcess {
        member: Member { pid, parent, started: u64::try_from(pid).unwrap() * 100, ..Member::default() },
        executable: Executable::At(format!("/usr/sbin/{program}").into()),
        command_line: command_line.to_owned(),
        container: ContainerIdentity { name: Some(format!("uid/{container}")), ..ContainerIdentity::default() },
        is_in_our_cgroup: false,
    }
}

/// nginx with two workers, another app, and the sidecar with a handler.
fn example_pod() -> PodProcesses {
    let processes = vec![
        process(1, 0, "pause", "POD"),
        process(7, 0, "nginx: master process nginx", "web"),
        process(8, 7, "nginx: worker process", "web"),
        process(9, 7, "nginx: worker process", "web"),
        process(20, 0, "python worker.py", "queue"),
        process(OWN, 0, "bookend sidecar", "bookend"),
        process(60, OWN, "sh -c drain nginx", "bookend"),
    ];
    PodProcesses { own: OWN, processes, first_is_pause: true, pid_file: None }
}

fn with(more: impl IntoIterator<Item = ObservedProcess>) -> PodProcesses {
    let mut pod = example_pod();
    pod.processes.extend(more);
    pod
}

fn executable(path: &str) -> ProcessSelector {
    ProcessSelector { executable: Some(path.into()), ..ProcessSelector::default() }
}

fn command_line(part: &str) -> ProcessSelector {
    ProcessSelector { command_line: Some(part.to_owned()), ..ProcessSelector::default() }
}

fn container(name: &str) -> ProcessSelector {
    ProcessSelector { container: Some(name.to_owned()), ..ProcessSelector::default() }
}

fn pid_file() -> ProcessSelector {
    ProcessSelector { pid_file: Some("/run/app.pid".into()), ..ProcessSelector::default() }
}

/// The pid of the process that is found; 0 if none is.
fn found(selector: &ProcessSelector, pod: &PodProcesses) -> Result<i32, String> {
    choose(selector, pod).map(|one| one.map_or(0, |one| one.member.pid)).map_err(|error| error.to_string())
}

#[test]
fn a_servers_master_is_found_not_its_workers() {
    for selector in [executable("/usr/sbin/nginx"), executable("nginx"), command_line("nginx"), container("web")] {
        assert_eq!(found(&selector, &example_pod()), Ok(7), "{selector:?}");
    }
    assert_eq!(found(&command_line("worker.py"), &example_pod()), Ok(20));
}

#[test]
fn all_criteria_must_match() {
    let selector = ProcessSelector { container: Some("web".to_owned()), ..command_line("worker") };
    // Both workers: the word is not in their master's command line.
    assert!(found(&selector, &example_pod()).unwrap_err().contains("2 processes"));
    let selector = ProcessSelector { container: Some("queue".to_owned()), ..command_line("worker") };
    assert_eq!(found(&selector, &example_pod()), Ok(20));
    let selector = ProcessSelector { container: Some("queue".to_owned()), ..executable("nginx") };
    assert_eq!(found(&selector, &example_pod()), Ok(0));
    for selector in [executable("/sbin/nginx"), executable("ngin"), command_line("apache"), container("we")] {
        assert_eq!(found(&selector, &example_pod()), Ok(0), "{selector:?}");
    }
}

#[test]
fn several_matches_are_an_error_that_lists_them() {
    let pod = with([process(30, 0, "nginx: master process nginx -c /other", "admin")]);
    let error = found(&executable("nginx"), &pod).unwrap_err();
    for part in ["2 processes", "7 \"nginx: master process nginx\" (/usr/sbin/nginx, container web)", "30 ", "admin"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let many = with((100..200).map(|pid| process(pid, 0, &format!("nginx {}", "x".repeat(500)), &pid.to_string())));
    let error = found(&executable("nginx"), &many).unwrap_err();
    assert!(error.contains("and 93 more") && error.len() < 2000, "{error}");
}

#[test]
fn foreign_names_cannot_forge_log_lines() {
    let mut hostile = process(30, 0, "a\nb", "web");
    hostile.executable = Executable::At("/tmp/a\n2026-01-01T00:00:00Z ERROR bookend: forged\u{202e}".into());
    let shown = ProcessList(&[hostile]).to_string();
    assert!(shown.chars().all(bookend_lifecycle::printable::is_printable), "{shown:?}");
}

#[test]
fn bookend_its_parents_and_its_handlers_are_never_found() {
    assert_eq!(found(&command_line("drain"), &example_pod()), Ok(0));
    assert_eq!(found(&container("bookend"), &example_pod()), Ok(0));
    let mut pod = with([process(40, 0, "sh -c exec bookend sidecar", "bookend")]);
    pod.processes[5].member.parent = 40;
    assert_eq!(found(&command_line("bookend sidecar"), &pod), Ok(0));
    let guest = process(70, 0, "nginx", "bookend");
    assert_eq!(found(&executable("nginx"), &with([guest])), Ok(7), "kubectl exec into our own container");
    let guest = ObservedProcess {
        container: ContainerIdentity::default(),
        is_in_our_cgroup: true,
        ..process(70, 0, "nginx", "")
    };
    assert_eq!(found(&executable("nginx"), &with([guest])), Ok(7), "the same if only the cgroup shows it");
}

#[test]
fn a_kubectl_exec_guest_is_not_the_app() {
    let guests =
        [process(70, 0, "nginx -s reload", "web"), process(71, 0, "sh", "web"), process(72, 71, "nginx", "web")];
    for selector in [executable("nginx"), container("web")] {
        assert_eq!(found(&selector, &with(guests.clone())), Ok(7), "{selector:?}");
    }
    assert_eq!(found(&command_line("reload"), &with(guests)), Ok(0), "not even if it is the only match");
}

#[test]
fn an_orphan_is_the_app_only_if_a_pid_file_names_it() {
    // The master was killed, and its workers still run.
    let mut pod = example_pod();
    pod.processes.remove(1);
    pod.processes[1].member.parent = 1;
    pod.processes.remove(2);
    assert_eq!(found(&executable("nginx"), &pod), Ok(0));
    pod.pid_file = Some(PidFile { pid: 8, written: Duration::from_secs(100) });
    assert_eq!(found(&pid_file(), &pod), Ok(8));
}

#[test]
fn the_app_may_be_pid_1_of_the_shared_namespace() {
    let mut pod = example_pod();
    pod.processes.retain(|one| ![1, 7].contains(&one.member.pid));
    pod.processes.push(process(1, 0, "nginx: master process nginx", "web"));
    pod.first_is_pause = false;
    for worker in [1, 0] {
        pod.processes[worker].member.parent = 1;
    }
    assert_eq!(found(&executable("nginx"), &pod), Ok(1));
    // PID 1 is an init, and the app is its child.
    for one in &mut pod.processes {
        if one.member.pid == 1 {
            *one = process(1, 0, "tini -- python worker.py", "web");
        }
    }
    assert!(found(&executable("nginx"), &pod).unwrap_err().contains("2 processes"));
    assert_eq!(found(&executable("tini"), &pod), Ok(1));
}

#[test]
fn pause_zombies_and_kernel_threads_are_not_found() {
    assert_eq!(found(&container("POD"), &example_pod()), Ok(0));
    let mut pod = with([process(80, 0, "python worker.py", "queue")]);
    pod.processes[4].member.is_zombie = true;
    // The container's main process has ended; its remaining processes are not the app.
    assert_eq!(found(&executable("python"), &pod), Ok(0));
    let mut pod = example_pod();
    pod.processes[4].member.is_kernel_thread = true;
    assert_eq!(found(&executable("python"), &pod), Ok(0));
}

#[test]
fn a_pid_file_older_than_its_process_is_stale() {
    let pod = |millis| PodProcesses {
        pid_file: Some(PidFile { pid: 20, written: Duration::from_millis(millis) }),
        ..example_pod()
    };
    // Process 20 was started at 20 s.
    assert_eq!(found(&pid_file(), &pod(20_100)), Ok(20));
    assert_eq!(found(&pid_file(), &pod(19_500)), Ok(20), "within the tolerance of the clocks");
    assert!(found(&pid_file(), &pod(10_000)).unwrap_err().contains("is stale: process 20"));
    let selector = ProcessSelector { executable: Some("nginx".into()), ..pid_file() };
    assert_eq!(found(&selector, &pod(20_100)), Ok(0), "another process has the pid now");
    assert_eq!(found(&pid_file(), &example_pod()), Ok(0), "not written yet");
}

#[test]
fn an_unreadable_process_is_an_error_with_a_remedy() {
    let mut pod = example_pod();
    for index in [1, 4] {
        pod.processes[index].executable = Executable::Refused;
    }
    let error = found(&executable("/app/server"), &pod).unwrap_err();
    assert!(
        error.contains("7 \"nginx: master") && error.contains("runAsUser") && error.contains("commandLine"),
        "{error}"
    );
    assert_eq!(found(&command_line("worker.py"), &pod), Ok(20), "the command line needs no permission");
    pod.processes.retain(|one| one.member.pid == OWN);
    assert!(found(&executable("nginx"), &pod).unwrap_err().contains("hidepid"));
    let alone = PodProcesses {
        own: 1,
        processes: vec![process(1, 0, "bookend sidecar", "bookend")],
        ..PodProcesses::default()
    };
    assert!(found(&executable("nginx"), &alone).unwrap_err().contains("shareProcessNamespace"));
}

fn any_process() -> impl Strategy<Value = ObservedProcess> {
    let words = prop::sample::select(vec!["nginx", "sh", "bookend sidecar", "pause"]);
    let names = prop::sample::select(vec!["web", "queue", "bookend", "POD"]);
    (1..60i32, 0..60i32, words, names, any::<(bool, bool)>()).prop_map(|(pid, parent, words, name, (zombie, known))| {
        let mut process = process(pid, parent, words, name);
        process.member.is_zombie = zombie;
        process.container = if known { process.container } else { ContainerIdentity::default() };
        process
    })
}

proptest! {
    /// The search ends whatever /proc shows, rings and gaps included, and never finds a process of bookend's own.
    #[test]
    fn own_processes_are_never_found(processes in prop::collection::vec(any_process(), 0..40), pause: bool) {
        let pod = PodProcesses { processes, own: OWN, first_is_pause: pause, pid_file: None };
        for selector in [executable("nginx"), command_line("n"), container("web")] {
            let Ok(Some(found)) = choose(&selector, &pod) else { continue };
            prop_assert!(found.member.pid != OWN && found.member.parent != OWN && !found.member.is_zombie);
            prop_assert!(!pause || (found.member.pid != 1 && found.member.parent != 1));
        }
    }
}

/// Starts a process that is not our descendant: an orphan, which another process reaps.
#[expect(clippy::disallowed_methods, reason = "tests start programs and wait for them; they are not PID 1")]
fn orphan(command: &str) -> i32 {
    let script = format!("{command} >/dev/null 2>&1 </dev/null & echo $!");
    let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn a_process_is_found_signalled_and_awaited() {
    let marked = format!("sleep 1000.{}", std::process::id());
    let selector = ProcessSelector { executable: Some("sleep".into()), ..command_line(&marked) };
    assert!(find(&selector).unwrap().is_none());
    let pid = orphan(&marked);
    // Before its exec it is still a shell.
    let process = loop {
        if let Some(process) = find(&selector).unwrap() {
            break process;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(process.pid().as_raw(), pid);
    process.signal(Signal::TERM).unwrap();
    process.ended().await;
    assert!(find(&selector).unwrap().is_none(), "a zombie is not found");
    let gone = || process.signal(Signal::TERM).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    while !gone() {
        // It has ended, but its new parent has not reaped it yet.
        tokio::task::yield_now().await;
    }
    process.ended().await;
}

#[tokio::test]
async fn ambiguous_processes_are_listed_with_command_lines() {
    let marked = format!("sleep 2000.{}", std::process::id());
    let pids = [orphan(&marked), orphan(&marked)];
    let selector = command_line(&marked);
    let error = loop {
        match find(&selector) {
            Err(error) => break error.to_string(),
            Ok(_) => tokio::task::yield_now().await,
        }
    };
    for pid in pids {
        assert!(error.contains(&format!("{pid} \"{marked}\"")), "{error}");
        PidFd::open(Pid::from_raw(pid)).unwrap().signal(Signal::KILL).unwrap();
    }
}

#[tokio::test]
async fn a_pid_file_is_followed_and_a_broken_one_is_an_error() {
    let folder = std::env::temp_dir().join(format!("bookend-pid-file-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("app.pid");
    let selector = ProcessSelector { pid_file: Some(path.clone()), ..ProcessSelector::default() };
    assert!(find(&selector).unwrap().is_none(), "not written yet");
    let pid = orphan("sleep 1000");
    std::fs::write(&path, "").unwrap();
    assert!(find(&selector).unwrap().is_none(), "about to be written");
    std::fs::write(&path, format!("{pid}\n")).unwrap();
    let process = find(&selector).unwrap().unwrap();
    assert_eq!(process.pid().as_raw(), pid);
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    assert!(matches!(find(&selector), Err(FindError::Stale { .. })));
    process.signal(Signal::KILL).unwrap();
    process.ended().await;
    for text in ["nginx", "-5", "99999999999"] {
        std::fs::write(&path, text).unwrap();
        assert!(matches!(find(&selector), Err(FindError::Observe(ObserveError::PidFile { .. }))), "{text}");
    }
    std::fs::write(&path, std::process::id().to_string()).unwrap();
    assert!(find(&selector).unwrap().is_none(), "ourselves");
    std::fs::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(
        matches!(find(&selector), Err(FindError::Observe(ObserveError::PidFile { .. }))),
        "a FIFO without a writer"
    );
    std::fs::remove_dir_all(&folder).unwrap();
}

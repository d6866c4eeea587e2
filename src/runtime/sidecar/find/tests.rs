//! Pods as they look from the sidecar: PID 1 is the pause, what a runtime has started has the parent 0.

use proptest::prelude::*;

use super::*;
use crate::process::procfs::Member;
use crate::runtime::sidecar::container::Container;
use crate::runtime::sidecar::facts::PidFile;
use bookend_lifecycle::signal::Signal;

/// The sidecar's own pid in all of them.
const OWN: i32 = 50;

fn process(pid: i32, parent: i32, command_line: &str, container: &str) -> Process {
    let program = command_line.split([' ', ':']).next().unwrap_or_default();
    Process {
        member: Member { pid, parent, started: u64::try_from(pid).unwrap() * 100, ..Member::default() },
        executable: Executable::At(format!("/usr/sbin/{program}").into()),
        command_line: command_line.to_owned(),
        container: Container { name: Some(format!("uid/{container}")), ..Container::default() },
        is_in_our_cgroup: false,
    }
}

/// nginx under a shell with two workers, beside the sidecar with a handler, and another app.
fn pod() -> Around {
    let processes = vec![
        process(1, 0, "pause", "POD"),
        process(7, 0, "nginx: master process nginx", "web"),
        process(8, 7, "nginx: worker process", "web"),
        process(9, 7, "nginx: worker process", "web"),
        process(20, 0, "python worker.py", "queue"),
        process(OWN, 0, "bookend sidecar", "bookend"),
        process(60, OWN, "sh -c drain nginx", "bookend"),
    ];
    Around { own: OWN, processes, first_is_pause: true, pid_file: None }
}

fn with(more: impl IntoIterator<Item = Process>) -> Around {
    let mut around = pod();
    around.processes.extend(more);
    around
}

fn executable(path: &str) -> Wanted {
    Wanted { executable: Some(path.into()), ..Wanted::default() }
}

fn command_line(part: &str) -> Wanted {
    Wanted { command_line: Some(part.to_owned()), ..Wanted::default() }
}

fn container(name: &str) -> Wanted {
    Wanted { container: Some(name.to_owned()), ..Wanted::default() }
}

fn pid_file() -> Wanted {
    Wanted { pid_file: Some("/run/app.pid".into()), ..Wanted::default() }
}

/// Whom it finds; 0: nobody.
fn found(wanted: &Wanted, around: &Around) -> Result<i32, String> {
    choose(wanted, around).map(|one| one.map_or(0, |one| one.member.pid)).map_err(|error| error.to_string())
}

#[test]
fn a_servers_master_is_found_and_not_its_workers() {
    for wanted in [executable("/usr/sbin/nginx"), executable("nginx"), command_line("nginx"), container("web")] {
        assert_eq!(found(&wanted, &pod()), Ok(7), "{wanted:?}");
    }
    assert_eq!(found(&command_line("worker.py"), &pod()), Ok(20));
}

#[test]
fn everything_that_is_said_must_match() {
    let wanted = Wanted { container: Some("web".to_owned()), ..command_line("worker") };
    // Both workers: their master's command line has no such word.
    assert!(found(&wanted, &pod()).unwrap_err().contains("2 processes"));
    let wanted = Wanted { container: Some("queue".to_owned()), ..command_line("worker") };
    assert_eq!(found(&wanted, &pod()), Ok(20));
    let wanted = Wanted { container: Some("queue".to_owned()), ..executable("nginx") };
    assert_eq!(found(&wanted, &pod()), Ok(0));
    for wanted in [executable("/sbin/nginx"), executable("ngin"), command_line("apache"), container("we")] {
        assert_eq!(found(&wanted, &pod()), Ok(0), "{wanted:?}");
    }
}

#[test]
fn several_are_an_error_that_lists_them() {
    let around = with([process(30, 0, "nginx: master process nginx -c /other", "admin")]);
    let error = found(&executable("nginx"), &around).unwrap_err();
    for part in ["2 processes", "7 \"nginx: master process nginx\" (/usr/sbin/nginx, container web)", "30 ", "admin"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let many = with((100..200).map(|pid| process(pid, 0, &format!("nginx {}", "x".repeat(500)), &pid.to_string())));
    let error = found(&executable("nginx"), &many).unwrap_err();
    assert!(error.contains("and 93 more") && error.len() < 2000, "{error}");
}

#[test]
fn names_of_others_forge_no_line_of_the_log() {
    let mut hostile = process(30, 0, "a\nb", "web");
    hostile.executable = Executable::At("/tmp/a\n2026-01-01T00:00:00Z ERROR bookend: forged\u{202e}".into());
    let shown = List(&[hostile]).to_string();
    assert!(shown.chars().all(bookend_lifecycle::printable::is_printable), "{shown:?}");
}

#[test]
fn neither_bookend_nor_its_handlers_nor_who_started_it_are_found() {
    assert_eq!(found(&command_line("drain"), &pod()), Ok(0));
    assert_eq!(found(&container("bookend"), &pod()), Ok(0));
    let mut around = with([process(40, 0, "sh -c exec bookend sidecar", "bookend")]);
    around.processes[5].member.parent = 40;
    assert_eq!(found(&command_line("bookend sidecar"), &around), Ok(0));
    let guest = process(70, 0, "nginx", "bookend");
    assert_eq!(found(&executable("nginx"), &with([guest])), Ok(7), "kubectl exec into our own container");
    let guest = Process { container: Container::default(), is_in_our_cgroup: true, ..process(70, 0, "nginx", "") };
    assert_eq!(found(&executable("nginx"), &with([guest])), Ok(7), "the same where only the cgroup tells");
}

#[test]
fn a_guest_of_the_apps_container_is_not_the_app() {
    let guests =
        [process(70, 0, "nginx -s reload", "web"), process(71, 0, "sh", "web"), process(72, 71, "nginx", "web")];
    for wanted in [executable("nginx"), container("web")] {
        assert_eq!(found(&wanted, &with(guests.clone())), Ok(7), "{wanted:?}");
    }
    assert_eq!(found(&command_line("reload"), &with(guests)), Ok(0), "alone it is not the app either");
}

#[test]
fn an_orphan_is_the_app_only_where_a_pid_file_names_it() {
    // The master was killed, and its workers have not noticed yet.
    let mut around = pod();
    around.processes.remove(1);
    around.processes[1].member.parent = 1;
    around.processes.remove(2);
    assert_eq!(found(&executable("nginx"), &around), Ok(0));
    around.pid_file = Some(PidFile { pid: 8, written: Duration::from_secs(100) });
    assert_eq!(found(&pid_file(), &around), Ok(8));
}

#[test]
fn the_app_is_pid_1_where_the_sidecar_joins_its_container() {
    let mut around = pod();
    around.processes.retain(|one| ![1, 7].contains(&one.member.pid));
    around.processes.push(process(1, 0, "nginx: master process nginx", "web"));
    around.first_is_pause = false;
    for worker in [1, 0] {
        around.processes[worker].member.parent = 1;
    }
    assert_eq!(found(&executable("nginx"), &around), Ok(1));
    // An init of the app's own is PID 1, and the app below it.
    for one in &mut around.processes {
        if one.member.pid == 1 {
            *one = process(1, 0, "tini -- python worker.py", "web");
        }
    }
    assert!(found(&executable("nginx"), &around).unwrap_err().contains("2 processes"));
    assert_eq!(found(&executable("tini"), &around), Ok(1));
}

#[test]
fn the_pause_a_zombie_and_a_kernel_thread_are_not_found() {
    assert_eq!(found(&container("POD"), &pod()), Ok(0));
    let mut around = with([process(80, 0, "python worker.py", "queue")]);
    around.processes[4].member.is_zombie = true;
    // The container's main process has ended: what is left of it is not the app.
    assert_eq!(found(&executable("python"), &around), Ok(0));
    let mut around = pod();
    around.processes[4].member.is_kernel_thread = true;
    assert_eq!(found(&executable("python"), &around), Ok(0));
}

#[test]
fn a_pid_file_that_is_older_than_its_process_is_stale() {
    let around =
        |millis| Around { pid_file: Some(PidFile { pid: 20, written: Duration::from_millis(millis) }), ..pod() };
    // Process 20 was started at 20 s.
    assert_eq!(found(&pid_file(), &around(20_100)), Ok(20));
    assert_eq!(found(&pid_file(), &around(19_500)), Ok(20), "the grain of the clocks");
    assert!(found(&pid_file(), &around(10_000)).unwrap_err().contains("is stale: process 20"));
    let wanted = Wanted { executable: Some("nginx".into()), ..pid_file() };
    assert_eq!(found(&wanted, &around(20_100)), Ok(0), "somebody else has the number");
    assert_eq!(found(&pid_file(), &pod()), Ok(0), "not written yet");
}

#[test]
fn whom_we_may_not_see_is_named_with_what_helps() {
    let mut around = pod();
    for index in [1, 4] {
        around.processes[index].executable = Executable::Refused;
    }
    let error = found(&executable("/app/server"), &around).unwrap_err();
    assert!(
        error.contains("7 \"nginx: master") && error.contains("runAsUser") && error.contains("commandLine"),
        "{error}"
    );
    assert_eq!(found(&command_line("worker.py"), &around), Ok(20), "that needs no permission");
    around.processes.retain(|one| one.member.pid == OWN);
    assert!(found(&executable("nginx"), &around).unwrap_err().contains("hidepid"));
    let alone = Around { own: 1, processes: vec![process(1, 0, "bookend sidecar", "bookend")], ..Around::default() };
    assert!(found(&executable("nginx"), &alone).unwrap_err().contains("shareProcessNamespace"));
}

fn any_process() -> impl Strategy<Value = Process> {
    let words = prop::sample::select(vec!["nginx", "sh", "bookend sidecar", "pause"]);
    let names = prop::sample::select(vec!["web", "queue", "bookend", "POD"]);
    (1..60i32, 0..60i32, words, names, any::<(bool, bool)>()).prop_map(|(pid, parent, words, name, (zombie, known))| {
        let mut process = process(pid, parent, words, name);
        process.member.is_zombie = zombie;
        process.container = if known { process.container } else { Container::default() };
        process
    })
}

proptest! {
    /// Whatever /proc shows, rings and gaps included: it ends, and whoever is found is the app's.
    #[test]
    fn nothing_of_ours_is_ever_found(processes in prop::collection::vec(any_process(), 0..40), pause: bool) {
        let around = Around { processes, own: OWN, first_is_pause: pause, pid_file: None };
        for wanted in [executable("nginx"), command_line("n"), container("web")] {
            let Ok(Some(found)) = choose(&wanted, &around) else { continue };
            prop_assert!(found.member.pid != OWN && found.member.parent != OWN && !found.member.is_zombie);
            prop_assert!(!pause || (found.member.pid != 1 && found.member.parent != 1));
        }
    }
}

/// A process that is neither ours nor below us, as it says so itself; whoever has our orphans reaps it.
#[expect(clippy::disallowed_methods, reason = "tests start programs and wait for them; they are nobody's PID 1")]
fn stranger(command: &str) -> i32 {
    let script = format!("{command} >/dev/null 2>&1 </dev/null & echo $!");
    let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn a_stranger_is_found_held_signalled_and_seen_to_end() {
    let marked = format!("sleep 1000.{}", std::process::id());
    let wanted = Wanted { executable: Some("sleep".into()), ..command_line(&marked) };
    assert!(find(&wanted).unwrap().is_none());
    let pid = stranger(&marked);
    // Until its exec it is still a shell.
    let held = loop {
        if let Some(held) = find(&wanted).unwrap() {
            break held;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(held.pid().as_raw(), pid);
    held.signal(Signal::TERM).unwrap();
    held.ended().await;
    assert!(find(&wanted).unwrap().is_none(), "a zombie is nobody");
    let gone = || held.signal(Signal::TERM).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    while !gone() {
        // It has ended; whoever is its parent now has still to reap it.
        tokio::task::yield_now().await;
    }
    held.ended().await;
}

#[tokio::test]
async fn two_strangers_are_listed_with_their_command_lines() {
    let marked = format!("sleep 2000.{}", std::process::id());
    let pids = [stranger(&marked), stranger(&marked)];
    let wanted = command_line(&marked);
    let error = loop {
        match find(&wanted) {
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
async fn a_pid_file_leads_to_its_process_and_a_broken_one_is_an_error() {
    let folder = std::env::temp_dir().join(format!("bookend-pid-file-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("app.pid");
    let wanted = Wanted { pid_file: Some(path.clone()), ..Wanted::default() };
    assert!(find(&wanted).unwrap().is_none(), "not written yet");
    let pid = stranger("sleep 1000");
    std::fs::write(&path, "").unwrap();
    assert!(find(&wanted).unwrap().is_none(), "about to be written");
    std::fs::write(&path, format!("{pid}\n")).unwrap();
    let held = find(&wanted).unwrap().unwrap();
    assert_eq!(held.pid().as_raw(), pid);
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    assert!(matches!(find(&wanted), Err(FindError::Stale { .. })));
    held.signal(Signal::KILL).unwrap();
    held.ended().await;
    for text in ["nginx", "-5", "99999999999"] {
        std::fs::write(&path, text).unwrap();
        assert!(matches!(find(&wanted), Err(FindError::PidFile { .. })), "{text}");
    }
    std::fs::write(&path, std::process::id().to_string()).unwrap();
    assert!(find(&wanted).unwrap().is_none(), "ourselves");
    std::fs::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(matches!(find(&wanted), Err(FindError::PidFile { .. })), "nobody writes into the pipe");
    std::fs::remove_dir_all(&folder).unwrap();
}

//! A volume that hangs holds the handler, the hook or the handshake that needs its file, and nothing else. fanotify(7) stands in
//! for the volume: an open(2) of the file waits until a listener allows it, and this listener does not.

use std::time::{Duration, Instant};

use crate::held_file::HeldFile;
#[cfg(feature = "tls")]
use crate::kubelet::{Kubelet, Scheme};
use crate::support::{Folder, Init, code, free_port, get, get_with, is_root, wait_until};

/// A file that no process may open(2).
pub(crate) fn hung(folder: &Folder, name: &str) -> HeldFile {
    let program = r#"
import ctypes, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
CLASS_CONTENT, OPEN_PERM, ADD, CWD = 4, 0x10000, 1, -100
group = libc.fanotify_init(CLASS_CONTENT, os.O_RDONLY)
assert group >= 0 and libc.fanotify_mark(group, ADD, ctypes.c_uint64(OPEN_PERM), CWD, sys.argv[1].encode()) == 0, ctypes.get_errno()
open(sys.argv[2], "w").close()
signal.pause()
"#;
    HeldFile::new(program, folder, name)
}

const APP: &str = "trap 'exit 6' TERM; trap 'echo hup' HUP; echo up; while :; do sleep 0.02; done";

/// Signals are passed on and probes answered, while something waits for the file.
fn assert_nothing_else_waits(init: &Init, port: u16) {
    let asked = Instant::now();
    assert_eq!((code(port, "/livez"), code(port, "/readyz")), (200, 200), "{}", init.log());
    init.signal(1);
    init.wait_for_out("hup");
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
}

#[test]
fn a_hung_token_file_refuses_the_hook_and_delays_nothing_else() {
    if !is_root("a_hung_token_file_refuses_the_hook_and_delays_nothing_else") {
        return;
    }
    let (folder, port) = (Folder::new(), free_port());
    let token = folder.write("token", "s3cret");
    let config = format!("http = {{ listen = \"127.0.0.1:{port}\", tokenFile = {token:?} }}");
    let hung = hung(&folder, "token");
    let mut init = Init::configured_in(folder, &config, &["--", "sh", "-c", APP]);
    init.wait_for_out("up");
    std::thread::scope(|scope| {
        let call = || get_with("Authorization: Bearer s3cret", port, "/lifecycle/postStart").unwrap();
        let calls: Vec<_> = (0..20).map(|_| scope.spawn(call)).collect();
        assert_nothing_else_waits(&init, port);
        for call in calls {
            assert!(call.join().unwrap().starts_with("HTTP/1.1 503"), "{}", init.log());
        }
    });
    let threads = std::fs::read_dir(format!("/proc/{}/task", init.pid())).unwrap().count();
    assert!(threads <= 3, "{threads} threads: one at most may wait for the file");
    drop(hung);
    let answer = || get_with("Authorization: Bearer s3cret", port, "/lifecycle/postStart").unwrap();
    wait_until("the volume is back", || answer().starts_with("HTTP/1.1 200"));
    init.signal(15);
    assert_eq!(init.end().code(), 6, "{}", init.log());
}

#[test]
#[cfg(feature = "tls")]
fn a_certificate_serves_on_while_its_file_hangs() {
    if !is_root("a_certificate_serves_on_while_its_file_hangs") {
        return;
    }
    let (folder, port) = (Folder::new(), free_port());
    let own = rcgen::generate_simple_self_signed(["bookend".to_owned()]).unwrap();
    let (cert, key) = (folder.write("c.pem", &own.cert.pem()), folder.write("k.pem", &own.signing_key.serialize_pem()));
    let config =
        format!("http = {{ listen = \"127.0.0.1:{port}\", tls = {{ certFile = {cert:?}, keyFile = {key:?} }} }}");
    let mut init = Init::configured_in(folder, &config, &["--", "sh", "-c", APP]);
    init.wait_for_out("up");
    let https = || Kubelet::new(port, Scheme::Https).hook("/lifecycle/postStart");
    assert!(https().is_ok());
    // The file has changed, so that it is read again.
    init.folder.write("c.pem", &format!("\n{}", own.cert.pem()));
    let hung = hung(&init.folder, "c.pem");
    std::thread::sleep(Duration::from_millis(1100));
    for _ in 0..5 {
        assert!(https().is_ok(), "{}", init.log());
        assert_nothing_else_waits(&init, port);
    }
    drop(hung);
    init.signal(15);
    assert_eq!(init.end().code(), 6, "{}", init.log());
}

#[test]
fn a_handlers_value_from_a_hung_file_times_out() {
    if !is_root("a_handlers_value_from_a_hung_file_times_out") {
        return;
    }
    let (folder, port) = (Folder::new(), free_port());
    let secret = folder.write("secret", "s3cret");
    let config = format!(
        "http.listen = \"127.0.0.1:{port}\"\nterminationGracePeriodSeconds = 20\n\
         lifecycle.preStop = {{ timeoutSeconds = 2, exec = {{ command = [\"true\"], env.S.valueFrom.file = {secret:?} }} }}"
    );
    let hung = hung(&folder, "secret");
    let mut init = Init::configured_in(folder, &config, &["--", "sh", "-c", APP]);
    init.wait_for_out("up");
    init.signal(15);
    init.wait_for_log("stopping");
    let asked = Instant::now();
    assert_eq!(code(port, "/livez"), 200);
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    assert_eq!(init.end().code(), 6, "{}", init.log());
    let text = "timed out after 2.000 s: a file that it needs could not be read in that time";
    assert!(init.log().contains(text), "{}", init.log());
    drop(hung);
}

#[test]
fn an_app_whose_secret_hangs_is_not_started() {
    if !is_root("an_app_whose_secret_hangs_is_not_started") {
        return;
    }
    let folder = Folder::new();
    let secret = folder.write("secret", "s3cret");
    let config = format!("app.env.S.valueFrom.file = {secret:?}");
    let hung = hung(&folder, "secret");
    let finished = Init::configured_in(folder, &config, &["--", "sleep", "1000"]).finish();
    assert_eq!(finished.code(), 125, "{}", finished.log);
    assert!(finished.log.contains("does a volume hang?"), "{}", finished.log);
    drop(hung);
}

#[test]
fn a_stop_does_not_wait_for_the_apps_hung_secret() {
    if !is_root("a_stop_does_not_wait_for_the_apps_hung_secret") {
        return;
    }
    let (folder, port) = (Folder::new(), free_port());
    let secret = folder.write("secret", "s3cret");
    let config = format!("http.listen = \"127.0.0.1:{port}\"\napp.env.S.valueFrom.file = {secret:?}");
    let hung = hung(&folder, "secret");
    let init = Init::configured_in(folder, &config, &["--", "sleep", "1000"]);
    wait_until("a probe is answered meanwhile", || code(port, "/livez") == 200);
    init.signal(15);
    let finished = init.finish();
    // Without the signal it would be 125 after two seconds.
    assert_eq!(finished.code(), 143, "{}", finished.log);
    drop(hung);
}

#[test]
fn values_from_files_reach_handlers_before_and_after_the_start() {
    let folder = Folder::new();
    let secret = folder.write("secret", "s3cret\n");
    let config = format!(
        "app.env.S.valueFrom.file = {secret:?}\nlifecycle.preStart.exec.command = [\"sh\", \"-c\", \"echo before $S\"]\n\
         lifecycle.postStop.exec = {{ command = [\"sh\", \"-c\", \"echo after $S $T\"], env.T.valueFrom.file = {secret:?} }}"
    );
    let finished = Init::configured_in(folder, &config, &["--", "sh", "-c", "echo app $S"]).finish();
    assert_eq!((finished.code(), finished.out.as_str()), (0, "app s3cret\n"), "{}", finished.log);
    for line in ["before s3cret", "after s3cret s3cret"] {
        assert!(finished.log.contains(line), "{}", finished.log);
    }
}

#[test]
fn runs_that_hang_take_no_thread_of_others() {
    if !is_root("runs_that_hang_take_no_thread_of_others") {
        return;
    }
    let (folder, port) = (Folder::new(), free_port());
    let (secret, other) = (folder.write("secret", "s3cret"), folder.write("other", "value"));
    let config = format!(
        "http.listen = \"127.0.0.1:{port}\"\nterminationGracePeriodSeconds = 20\n\
         readinessProbe = {{ periodSeconds = 0.1, timeoutSeconds = 0.1, httpGet = {{ port = 1, httpHeaders = [{{ name = \"T\", \
         valueFrom.file = {secret:?} }}] }} }}\n\
         livenessProbe = {{ periodSeconds = 0.1, timeoutSeconds = 0.1, exec = {{ command = [\"true\"], env.S.valueFrom.file = {secret:?} }} }}\n\
         lifecycle.preStop.exec = {{ command = [\"sh\", \"-c\", \"echo has $V\"], env.V.valueFrom.file = {other:?} }}\n"
    );
    let hung = hung(&folder, "secret");
    let mut init = Init::configured_in(folder, &config, &["--", "sh", "-c", APP]);
    init.wait_for_out("up");
    for name in ["readinessProbe", "livenessProbe"] {
        let failures = || {
            get(port, "/metrics").unwrap().lines().find_map(|line| {
                let rest =
                    line.strip_prefix(&format!("bookend_probe_tries_total{{probe=\"{name}\",result=\"Failed\"}} "))?;
                rest.trim().parse::<u32>().ok()
            })
        };
        wait_until("many runs have hung", || failures().is_some_and(|failures| failures >= 10));
    }
    let threads = std::fs::read_dir(format!("/proc/{}/task", init.pid())).unwrap().count();
    assert!(threads <= 5, "{threads} threads: one for each handler may wait for the file");
    init.signal(15);
    init.wait_for_log("has value");
    assert_eq!(init.end().code(), 6, "{}", init.log());
    drop(hung);
}

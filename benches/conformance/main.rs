//! The same checks over bookend and other inits, each as PID 1 of a fresh PID and network namespace. `make conformance` runs it as root and
//! writes docs/comparison.md and the table of the README. A check that an init does not claim to pass is "not its job" and is not run.
//!
//! `inits` knows how each init is asked to run an application and what it claims; `checks` has the checks; `table` writes the documents.
#![expect(clippy::disallowed_methods, reason = "a bench starts programs and waits for them; it is not PID 1")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a bench that cannot measure stops")]

mod checks;
mod inits;
mod table;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use checks::{CHECKS, Result};
use inits::Init;

fn main() {
    let bookend =
        std::env::var("BOOKEND_BIN").unwrap_or_else(|_| panic!("BOOKEND_BIN is not set; run `make conformance`"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = std::env::temp_dir().join(format!("bookend-conformance-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (inits, missing) = inits::all(&bookend, root);
    let mut rows: Vec<Vec<Result>> = Vec::new();
    for check in &CHECKS {
        eprintln!("{} ...", check.title);
        rows.push(inits.iter().map(|init| checks::run(check, init, &folder)).collect());
    }
    std::fs::remove_dir_all(&folder).unwrap();
    for missing in &missing {
        eprintln!("NOT RUN: {missing}");
    }
    table::write(root, &inits, &rows, &missing);
}

/// An init that runs an application.
pub(crate) struct Life {
    unshare: Child,
    /// PID 1, as seen from outside.
    pub(crate) init: i32,
    pub(crate) folder: PathBuf,
}

impl Life {
    /// Starts the init in an empty folder of its own.
    pub(crate) fn start(init: &Init, parent: &Path, app: &[String], extras: inits::Extras) -> Life {
        let folder = parent.join("life");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let words = init.words(&folder, app, extras);
        let mut command = Command::new("unshare");
        command.args(["--net", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c"]);
        command.args(["ip link set lo up; exec \"$@\"", "sh"]).args(words).current_dir(&folder);
        let log = std::fs::File::create(folder.join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let home = folder.display().to_string();
        command.env("HOME", &home).env("PM2_HOME", &home).env("PYTHONPATH", &home).env_remove("BOOKEND_BIN");
        command.env_remove("MINIMAL_BIN").env_remove("REHEARSE_BIN");
        let mut unshare = command.spawn().unwrap();
        let pid = child_of(&mut unshare);
        Life { unshare, init: pid, folder }
    }

    /// Whether the application, or a hook, has written this file within the time.
    pub(crate) fn has(&self, name: &str, seconds: u64) -> bool {
        wait(seconds, || self.folder.join(name).exists())
    }

    pub(crate) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }

    /// Sends a signal by name or number to PID 1, which may have ended.
    pub(crate) fn signal(&self, signal: &str) {
        assert_ne!(self.init, 0, "a process group of this bench is not meant");
        let _ = Command::new("kill").args(["-s", signal, &self.init.to_string()]).stderr(Stdio::null()).status();
    }

    /// The exit code within the time; 128+n for signal n.
    pub(crate) fn end(&mut self, seconds: u64) -> Option<i32> {
        use std::os::unix::process::ExitStatusExt;
        let mut status = None;
        wait(seconds, || {
            status = self.unshare.try_wait().unwrap();
            status.is_some()
        });
        status.map(|status| status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        // `--kill-child`: the namespace goes with its first process, and that with unshare.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
        wait(5, || self.init == 0 || !Path::new(&format!("/proc/{}", self.init)).exists());
    }
}

/// Waits until the condition holds; false after the time.
pub(crate) fn wait(seconds: u64, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The first process of the namespace; 0 if it has ended already.
fn child_of(unshare: &mut Child) -> i32 {
    let path = format!("/proc/{0}/task/{0}/children", unshare.id());
    let mut child = 0;
    wait(5, || {
        let children = std::fs::read_to_string(&path).unwrap_or_default();
        child = children.split_whitespace().next().and_then(|pid| pid.parse().ok()).unwrap_or(0);
        child != 0 || unshare.try_wait().unwrap().is_some()
    });
    child
}

//! No test leaves a process behind, whether it passed, failed or was killed. A process started through `Init` has an environment
//! variable that names its test, and its children inherit it. When the test is over, processes that still have the variable are
//! killed. If the test program itself is killed, a guard process in its own session does the same for all its tests.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait::PATIENCE;

/// Its name must not begin with BOOKEND_: bookend reports unknown variables of that prefix.
const MARK: &str = "OF_TEST";

/// The prefix of this run's folders.
pub(crate) fn folder_prefix() -> PathBuf {
    std::env::temp_dir().join(format!("bookend-{}-", std::process::id()))
}

/// Marks a command as part of the test that owns this folder.
pub(crate) fn mark(command: &mut Command, folder: &Path) {
    // The guard reads its stdin until we are gone: the kernel closes our end in any case.
    static GUARD: OnceLock<Child> = OnceLock::new();
    GUARD.get_or_init(|| {
        let mut guard = Command::new("setsid");
        guard.args(["sh", "-c", CLEAN_UP, "sh"]).arg(folder_prefix()).stdin(Stdio::piped());
        guard.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("setsid(1)")
    });
    command.env(MARK, folder);
}

const CLEAN_UP: &str = r#"
cat
while found=$(grep -lz "^OF_TEST=$1" /proc/[0-9]*/environ | cut -d/ -f3) && [ -n "$found" ]; do kill -9 $found; done
rm -rf "$1"*
"#;

/// Kills the processes of the test that owns this folder until no such process is left.
pub(crate) fn kill_all_of(folder: &Path) {
    let mark = format!("{MARK}={}", folder.display());
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let found = marked(&mark);
        if found.is_empty() {
            return;
        }
        for pid in found {
            // The process may have ended meanwhile.
            let _ = kill(pid, Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The processes with this mark. A zombie has no environment.
fn marked(mark: &str) -> Vec<Pid> {
    let is_marked = |pid: &Pid| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|pair| pair == mark.as_bytes())
    };
    let pids = std::fs::read_dir("/proc").expect("/proc").flatten();
    let pids = pids.filter_map(|entry| Some(Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)));
    pids.filter(is_marked).collect()
}

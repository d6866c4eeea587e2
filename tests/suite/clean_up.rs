//! No test leaves a process behind, passed, failed or killed. Whatever is started through `Init` has a variable that
//! says of which test it is, and hands it on. When the test is over, those who have it still are killed. Should the
//! tests themselves be killed, somebody in a session of his own notices, and does the same for all of them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::PATIENCE;

/// Not one of bookend's own: an unknown one of those is a mistake.
const MARK: &str = "OF_TEST";

/// What the folders of this run begin with.
pub(super) fn folder_prefix() -> PathBuf {
    std::env::temp_dir().join(format!("bookend-{}-", std::process::id()))
}

/// From here on it belongs to the test that has this folder.
pub(super) fn mark(command: &mut Command, folder: &Path) {
    // It reads until the other end of its stdin is closed, which is when we are gone, however.
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

/// Kills them, until there are none.
pub(super) fn kill_all_of(folder: &Path) {
    let mark = format!("{MARK}={}", folder.display());
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let found = marked(&mark);
        if found.is_empty() {
            return;
        }
        for pid in found {
            // It may be gone by now.
            let _ = kill(pid, Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Zombies have no environment any more.
fn marked(mark: &str) -> Vec<Pid> {
    let is_marked = |pid: &Pid| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|pair| pair == mark.as_bytes())
    };
    let pids = std::fs::read_dir("/proc").expect("/proc").flatten();
    let pids = pids.filter_map(|entry| Some(Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)));
    pids.filter(is_marked).collect()
}

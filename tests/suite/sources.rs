//! Promises about the source code itself, which no run can show.

use std::path::{Path, PathBuf};

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The files below src/ that contain one of these in their code; comments do not count.
fn files_with(needles: &[&str]) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let code_has = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        let code = text.lines().map(|line| line.split("//").next().unwrap_or(""));
        code.into_iter().any(|line| needles.iter().any(|needle| line.contains(needle)))
    };
    let files = sources(&root).into_iter().filter(code_has);
    let mut files: Vec<_> = files.map(|path| path.strip_prefix(&root).unwrap().display().to_string()).collect();
    files.sort();
    files
}

#[test]
fn unsafe_code_is_only_in_the_documented_files() {
    let doc = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/security.md")).unwrap();
    let section = doc.split("\n## ").find(|section| section.starts_with("unsafe\n")).unwrap();
    // Rows like: | `src/main.rs` | why | looked at by |
    let row = |line: &str| {
        let (file, rest) = line.strip_prefix("| `src/")?.split_once("` | ")?;
        assert_eq!(rest.split(" | ").filter(|cell| cell.len() > 10).count(), 2, "{file}: why, and what looked at it");
        Some(file.to_owned())
    };
    let mut named: Vec<_> = section.lines().filter_map(row).collect();
    named.sort();
    assert_eq!(files_with(&["unsafe {", "unsafe extern", "unsafe fn", "unsafe impl", "#[unsafe("]), named);
}

#[test]
fn the_wall_clock_is_used_for_timestamps_only() {
    for file in files_with(&["SystemTime", "CLOCK_REALTIME"]) {
        // `bookend copy` makes a unique name of it.
        // The age of a PID file is a wall-clock time of the file system; no wait depends on it.
        let named = [
            "report/log.rs",
            "report/timestamp.rs",
            "cli/copy.rs",
            // A test sets the time of a file.
            "runtime/reload/content.rs",
            "runtime/sidecar/observed.rs",
            // A test gives a file an age.
            "runtime/reload/content.rs",
            "runtime/sidecar/find/tests.rs",
        ];
        assert!(named.contains(&&*file), "{file}: deadlines and durations are of the monotonic clock");
    }
}

#[test]
fn every_goal_of_the_makefile_is_known_to_setup() {
    let read = |name: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
    let (makefile, setup) = (read("Makefile"), read("scripts/setup"));
    let (_, includes) = setup.split_once("includes() {").unwrap();
    let (includes, _) = includes.split_once("esac").unwrap();
    let known: Vec<&str> = includes.lines().filter_map(|line| line.split_once(") ")).map(|(goals, _)| goals).collect();
    let is_known = |goal: &str| known.iter().flat_map(|goals| goals.split('|')).any(|known| known.trim() == goal);
    let goals: Vec<&str> =
        makefile.lines().filter_map(|line| line.split_once("scripts/setup ")).map(|(_, goal)| goal).collect();
    assert!(goals.len() > 5, "{goals:?}");
    for goal in goals.iter().filter_map(|goal| goal.split_whitespace().next()).filter(|goal| *goal != "GOAL") {
        assert!(is_known(goal), "{goal}: {known:?}");
    }
}

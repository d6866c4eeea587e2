//! Whole manifests and their results in `tests/golden`: `BLESS=1 cargo test -p kubectl-bookend golden` writes them. Each is injected
//! again, which changes nothing, and without bookend again it has its old values.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{documents, shown, tool};

fn manifests() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    files.sort();
    files
}

/// The first line has the command line.
fn args(text: &str) -> Vec<&str> {
    text.lines().next().unwrap().trim_start_matches("# ").split(' ').collect()
}

#[test]
fn injected_manifests_are_those_that_were_looked_at() {
    for path in manifests() {
        let text = fs::read_to_string(&path).unwrap();
        let file = path.to_str().unwrap();
        let (code, out, errors) = shown(&tool(&[&args(&text)[..], &[file]].concat()));
        let result = format!("{out}=== exit code {code} ===\n{errors}");
        assert!(!errors.contains("written anew"), "{errors}");
        let golden = path.with_extension("expected");
        if std::env::var_os("BLESS").is_some() {
            fs::write(&golden, &result).unwrap();
        }
        assert_eq!(result, fs::read_to_string(&golden).unwrap(), "{}", golden.display());
    }
}

#[test]
fn inject_again_changes_nothing_and_uninject_restores() {
    for path in manifests() {
        let text = fs::read_to_string(&path).unwrap();
        let args = args(&text);
        let (_, once, _) = shown(&tool(&[&args[..], &[path.to_str().unwrap()]].concat()));
        assert_ne!(once, text, "{}", path.display());
        let (_, twice, errors) = crate::fed(&[&args[..], &["-"]].concat(), &once);
        assert_eq!(twice, once, "{errors}");
        let (code, restored, errors) = crate::fed(&["uninject", "-"], &once);
        assert_eq!(code, 0, "{errors}");
        assert_eq!(documents(&restored), documents(&text), "{restored}");
    }
}

/// The manifests of this repository, outside of tests that have their own.
fn of_this_repository() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (mut folders, mut found) = (vec![root.join("config"), root.join("docs"), root.join("tests")], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match entry.extension().and_then(|end| end.to_str()) {
                _ if entry.is_dir() => folders.push(entry),
                Some("yaml" | "yml" | "json") => found.push(entry),
                // The manifests in the text of a page.
                Some("md") => {
                    let text = fs::read_to_string(&entry).unwrap();
                    let blocks = text.split("```yaml\n").skip(1).filter_map(|block| block.split("```").next());
                    for (at, block) in blocks.enumerate() {
                        let name = format!("{}-{at}.yaml", entry.file_stem().unwrap().to_str().unwrap());
                        let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
                        fs::write(&copy, block).unwrap();
                        found.push(copy);
                    }
                }
                _ => {}
            }
        }
    }
    found.sort();
    found
}

#[test]
fn every_manifest_here_is_restored_byte_for_byte() {
    let mut changed = 0;
    for path in of_this_repository() {
        let text = fs::read_to_string(&path).unwrap();
        for mode in [&["inject", "--engine", "none", "--assume-official"][..], &["inject", "--sidecar"]] {
            let (code, once, errors) = shown(&tool(&[mode, &[path.to_str().unwrap()]].concat()));
            assert!(code != 2 || once.is_empty(), "{}: {errors}", path.display());
            if code == 2 {
                continue;
            }
            let (again, twice, _) = crate::fed(&[mode, &["-"]].concat(), &once);
            assert_eq!((again, &twice), (code, &once), "{}", path.display());
            let (_, before, _) = crate::fed(&["uninject", "-"], &once);
            let (lines, written) = (text.lines().collect::<Vec<_>>(), before.lines().collect::<Vec<_>>());
            assert_eq!(written, lines, "{}", path.display());
            changed += usize::from(once != text);
        }
    }
    // Most of them have bookend already.
    assert!(changed > 3, "{changed}");
}

#[test]
fn lines_of_unchanged_values_stay_byte_for_byte() {
    for path in manifests() {
        let text = fs::read_to_string(&path).unwrap();
        let (_, out, _) = shown(&tool(&[&args(&text)[..], &[path.to_str().unwrap()]].concat()));
        // Hooks and probes are replaced, and commands and lists grow; all else is there, in its order.
        let replaced = [
            "command",
            "httpGet",
            "exec",
            "lifecycle",
            "preStop",
            "postStart",
            "tcpSocket",
            "- sh",
            "- -c",
            "- echo",
            "sleep",
        ];
        let replaced = [&replaced[..], &["annotations: {team", "- {name: web", "- {name: log"]].concat();
        let mut rest = out.lines();
        for line in text.lines().filter(|line| !replaced.iter().any(|word| line.contains(word))) {
            assert!(rest.any(|found| found == line), "{}: {line:?} is missing or has moved:\n{out}", path.display());
        }
    }
}

//! The command line itself: help, version, suggestions, standard input.

use std::process::{Command, Stdio};

use crate::support::{Folder, Init, bookend, run};

#[test]
fn help_and_version_go_to_stdout_and_exit_0() {
    let help = run(&["--help"]);
    assert_eq!(help.code(), 0);
    for part in ["Usage: bookend", "Run:", "Look:", "Kubernetes:", "Tools:", "Environment:", "Files:", "Examples:"] {
        assert!(help.out.contains(part), "{part}: {}", help.out);
    }
    let version = run(&["--version"]);
    let lines: Vec<&str> = version.out.lines().collect();
    assert_eq!(lines[0], concat!("bookend ", env!("CARGO_PKG_VERSION")), "{version:?}");
    assert!(lines[1].starts_with("target: ") && lines[2].starts_with("features: "), "{version:?}");
    assert_eq!(run(&["-V"]).out, concat!("bookend ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn a_mistyped_subcommand_is_suggested() {
    let finished = run(&["stauts", "--json"]);
    assert_eq!(finished.code(), 127, "it is still the app: {finished:?}");
    assert!(finished.log.contains("did you mean `bookend status --json`?"), "{finished:?}");
    assert!(!run(&["no-such-program"]).log.contains("did you mean"));
}

#[test]
fn a_subcommand_behind_options_is_suggested_as_the_first_word() {
    let folder = Folder::new();
    let config = folder.write("f.toml", "log.level = \"Error\"").display().to_string();
    let finished = Init::ordinary(folder, &["-c", &config, "check"]).finish();
    assert_eq!(finished.code(), 127, "{finished:?}");
    assert!(finished.log.contains(&format!("did you mean `bookend check -c {config}`?")), "{finished:?}");
}

#[test]
fn a_program_that_is_called_like_a_subcommand_wins() {
    let folder = Folder::new();
    std::os::unix::fs::symlink("/bin/true", folder.path("check")).unwrap();
    let mut command = Command::new(bookend());
    command.args(["--", "check"]).env("PATH", folder.path("."));
    let finished = Init::start(folder, command).finish();
    assert_eq!((finished.code(), finished.log.as_str()), (0, ""));
}

#[test]
fn a_dash_is_standard_input() {
    let checked = |text: &str| {
        let folder = Folder::new();
        let input = std::fs::File::open(folder.write("stdin", text)).unwrap();
        let mut command = Command::new(bookend());
        command.args(["check", "-"]);
        let (out, log) = (folder.path("out"), folder.path("log"));
        let file = |path| Stdio::from(std::fs::File::create(path).unwrap());
        Init::start_on(folder, command, [input.into(), file(out), file(log)]).finish()
    };
    let good = checked("terminationGracePeriodSeconds = 21\n");
    assert!(good.code() == 0 && good.out.contains("terminationGracePeriodSeconds = 21"), "{good:?}");
    let bad = checked("terminationGracePeriod = 21\n");
    assert!(bad.code() == 125 && bad.log.contains("-:1"), "{bad:?}");
}

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
    assert_eq!(finished.code(), 127, "the word still starts the app: {finished:?}");
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

#[test]
fn check_strict_fails_on_a_warning_and_json_lists_it() {
    let folder = Folder::new();
    let text =
        "terminationGracePeriodSeconds = 5\nlifecycle.preStop.sleep.seconds = 20\napp.env.API_TOKEN = \"s3cret\"\n";
    let path = folder.write("bookend.toml", text).display().to_string();
    assert_eq!(run(&["check", &path]).code(), 0);
    assert_eq!(run(&["check", "--strict", &path]).code(), 1);
    let json = run(&["check", "--json", "--runtime", "nomad", &path]);
    assert_eq!(json.code(), 0, "{json:?}");
    assert!(!json.out.contains("s3cret"), "{}", json.out);
    let report: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(report["values"]["terminationGracePeriodSeconds"]["value"], 5);
    assert_eq!(report["values"]["terminationGracePeriodSeconds"]["origin"], format!("{path}:1"));
    assert_eq!(report["budget"]["stages"][0]["fits"], false);
    assert_eq!(report["warnings"].as_array().unwrap().len(), 1, "{}", json.out);
    assert_eq!(report["runtime"]["graceSeconds"], 5.0);
}

#[test]
fn check_compares_the_budget_with_the_runtime() {
    let check = |args: &[&str]| {
        let folder = Folder::new();
        let path = folder.write("bookend.toml", "terminationGracePeriodSeconds = 30\n").display().to_string();
        Init::ordinary(folder, &[&["check", "--strict", &path], args].concat()).finish()
    };
    let docker = check(&["--runtime", "docker"]);
    assert!(docker.code() == 1 && docker.out.contains("docker sends SIGKILL after 10 s"), "{docker:?}");
    assert_eq!(check(&["--runtime", "docker", "--runtime-grace", "30"]).code(), 0);
    assert_eq!(check(&["--runtime", "kubernetes"]).code(), 0);
    assert_eq!(check(&["--runtime", "mainframe"]).code(), 125);
}

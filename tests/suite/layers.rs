//! The layers of the real binary: /etc/bookend, conf.d, `-c`, the environment, `--set`, and what comes after `--`.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::{Finished, Folder, Init, bookend};

const SAY: &str = "command = [\"sh\", \"-c\", \"echo $A $B $C $D\"]";

/// Runs bookend with a folder of ours as /etc/bookend.
fn with_etc(arguments: &[&str], variables: &[(&str, &str)]) -> Finished {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("conf.d")).unwrap();
    folder.write(
        "bookend.toml",
        &format!("[app]\n{SAY}\nenv = {{ A = \"main\", B = \"main\", C = \"main\", D = \"main\" }}"),
    );
    folder.write("conf.d/20-second.toml", "app.env.C = \"second\"");
    folder.write("conf.d/10-first.toml", "app.env = { B = \"first\", C = \"first\" }");
    folder.write("conf.d/30-not.txt", "this is not a configuration");
    started_with_etc(folder, &[], arguments, variables)
}

/// The same through a program that starts bookend.
fn started_with_etc(folder: Folder, by: &[&str], arguments: &[&str], variables: &[(&str, &str)]) -> Finished {
    let script = "mkdir -p /etc/bookend && mount --bind $1 /etc/bookend && shift && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "sh",
        "-c",
        "mount -t tmpfs none /etc 2>/dev/null; \"$@\"",
        "sh",
        "sh",
        "-c",
        script,
        "sh",
    ]);
    command.arg(folder.shown()).args(by).arg(bookend()).args(arguments).envs(variables.iter().copied());
    let mut init = Init::start(folder, command);
    init.end()
}

#[test]
fn the_later_layer_is_the_stronger_one() {
    if !crate::support::is_root("the_later_layer_is_the_stronger_one") {
        return;
    }
    assert_eq!(with_etc(&["run"], &[]).out, "main first second main\n");
    let variables = [("BOOKEND_APP_ENV", "{ D = \"variable\", B = \"variable\" }")];
    let set = ["--set", "app.env.B=option", "--set", "app.env.A=1", "--set", "app.env.A=two words=2"];
    assert_eq!(with_etc(&["run"], &variables).out, "main variable second variable\n");
    assert_eq!(with_etc(&set, &variables).out, "two words=2 option second variable\n");
    let finished = with_etc(&[&set[..2], &["--", "sh", "-c", "echo $B"]].concat(), &[]);
    assert_eq!(finished.out, "option\n", "{}", finished.log);
}

#[test]
fn named_files_replace_the_default_ones_and_merge() {
    if !crate::support::is_root("named_files_replace_the_default_ones_and_merge") {
        return;
    }
    let folder = Folder::new();
    let a = folder.write("a.toml", &format!("[app]\n{SAY}\nenv = {{ A = \"a\", B = \"a\" }}"));
    let b = folder.write("b.toml", "app.env.B = \"b\"");
    let (a, b) = (a.to_str().unwrap(), b.to_str().unwrap());
    assert_eq!(with_etc(&["-c", a, "-c", b], &[]).out, "a b\n");
    assert_eq!(with_etc(&["run"], &[("BOOKEND_CONFIG", a)]).out, "a a\n");
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    if !crate::support::is_root("an_empty_variable_counts_as_not_set") {
        return;
    }
    let variables = [("BOOKEND_CONFIG", ""), ("BOOKEND_APP_ENV", "")];
    let finished = with_etc(&["run"], &variables);
    assert_eq!(finished.out, "main first second main\n", "{}", finished.log);
}

#[test]
fn an_inaccessible_configuration_is_an_error() {
    if !crate::support::is_root("an_inaccessible_configuration_is_an_error") {
        return;
    }
    let closed = Folder::new();
    closed.write("bookend.toml", "log.level = \"Info\"");
    std::os::unix::fs::chown(closed.path("."), Some(12345), None).unwrap();
    std::fs::set_permissions(closed.path("."), PermissionsExt::from_mode(0o700)).unwrap();
    let link_to_nowhere = Folder::new();
    std::os::unix::fs::symlink("/no/such/file", link_to_nowhere.path("bookend.toml")).unwrap();
    let no_folder = Folder::new();
    no_folder.write("conf.d", "");
    let expected = "cannot read the configuration file /etc/bookend/";
    for (folder, what) in [
        (closed, "bookend.toml: Permission denied"),
        (link_to_nowhere, "bookend.toml: No such file"),
        (no_folder, "conf.d: Not a directory"),
    ] {
        // Root without CAP_DAC_OVERRIDE: it may read only what its user may.
        let by = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"];
        let finished = started_with_etc(folder, &by, &["--", "echo", "started"], &[]);
        assert_eq!((finished.code(), finished.out.as_str()), (125, ""), "{what}: {}", finished.log);
        assert!(finished.log.contains(&format!("{expected}{what}")), "{what}: {}", finished.log);
    }
}

#[test]
fn check_shows_where_each_value_comes_from() {
    let folder = Folder::new();
    let a = folder.write("a.toml", "log.level = \"Info\"\nlog.format = \"Json\"");
    let a = a.to_str().unwrap().to_owned();
    let mut command = Command::new(bookend());
    command.args(["check", "-c", &a, "--set", "log.level=Debug"]).env("BOOKEND_SUBREAPER", "true");
    let finished = Init::start(folder, command).finish();
    assert_eq!(finished.code(), 0, "{}", finished.log);
    let format = format!("format = \"Json\"  # {a}:2");
    for line in ["level = \"Debug\"  # command line --set log.level", "subreaper = true  # BOOKEND_SUBREAPER", &format]
    {
        assert!(finished.out.contains(line), "{line}: {}", finished.out);
    }
}

#[test]
fn a_bad_set_option_is_125() {
    for (option, expected) in [("log.level", "KEY=VALUE"), ("log.levl=Info", "did you mean \"level\"?")] {
        let finished = crate::support::run(&["--set", option, "--", "true"]);
        assert_eq!(finished.code(), 125, "{}", finished.log);
        assert!(finished.log.contains(expected), "{expected}: {}", finished.log);
    }
}

/// Runs `true` with these variables beside a socket that cannot conflict with another test's.
fn with_variables(variables: &[(&str, &str)]) -> Finished {
    let mut command = Command::new(bookend());
    command.args(["--", "true"]).env("BOOKEND_SOCKET", "None").envs(variables.iter().copied());
    Init::start(Folder::new(), command).finish()
}

#[test]
fn an_unknown_variable_is_logged_and_the_app_runs() {
    let finished = with_variables(&[("BOOKEND_LOG_LEVL", "hunter2")]);
    assert_eq!(finished.code(), 0, "{}", finished.log);
    let line = "WARN bookend: configuration: BOOKEND_LOG_LEVL: unknown variable; did you mean BOOKEND_LOG_LEVEL?";
    assert!(finished.log.contains(line) && !finished.log.contains("hunter2"), "{}", finished.log);
    assert_eq!(finished.log.lines().count(), 1, "it is quiet otherwise: {}", finished.log);
}

#[test]
fn variables_of_an_image_build_change_nothing() {
    let finished = with_variables(&[("BOOKEND_VERSION", "0.1.0"), ("BOOKEND_SHA256", "abc"), ("BOOKEND_HOME", "/x")]);
    assert_eq!((finished.code(), finished.log.as_str()), (0, ""));
}

#[test]
fn a_deprecated_key_is_logged_and_shown_by_check() {
    let folder = Folder::new();
    let file = folder.write("bookend.toml", "app.hurry.signal = \"SIGINT\"\nlog.format = \"Json\"\n");
    let file = file.to_str().unwrap().to_owned();
    let finished = Init::ordinary(folder, &["-c", &file, "--", "true"]).finish();
    let line =
        "\"message\":\"configuration: app.hurry: deprecated key, removed in the next version; use app.secondSignal";
    assert!(finished.code() == 0 && finished.log.contains(line), "{}", finished.log);
    let folder = Folder::new();
    let file = folder.write("bookend.toml", "app.hurry.signal = \"SIGINT\"\n");
    let file = file.to_str().unwrap().to_owned();
    let finished = Init::ordinary(folder, &["check", &file]).finish();
    assert_eq!(finished.code(), 0, "{}", finished.log);
    assert!(finished.out.contains("# warning: app.hurry: deprecated key"), "{}", finished.out);
}

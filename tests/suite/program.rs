//! The program gets the environment, directory and user that the configuration gives it.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::{Finished, Folder, Init, bookend, copy_program, free_port, get_with, is_root};

/// Runs a configured app in an image with the test's own users.
fn with_users(config: &str) -> Finished {
    let folder = Folder::new();
    let passwd = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n";
    folder.write("passwd", passwd);
    with_users_in(folder, config)
}

/// The same, with the file `passwd` of the folder.
fn with_users_in(folder: Folder, config: &str) -> Finished {
    folder.write("group", "root:x:0:\nstaff:x:50:\nlogs:x:700:nobody\nssl:x:701:other,nobody\nnogroup:x:65534:\n");
    folder.write("bookend.toml", config);
    let script = "mount --bind $1/passwd /etc/passwd && mount --bind $1/group /etc/group && exec $2 -c $1/bookend.toml";
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", script, "sh", folder.shown()]);
    command.arg(bookend());
    let mut init = Init::start(folder, command);
    init.end()
}

const WHO: &str = r#"["sh", "-c", "echo $(id -u):$(id -g):$(id -G | tr ' ' ,) $HOME $USER $LOGNAME"]"#;

#[test]
fn an_app_and_a_handler_run_as_the_user_with_its_groups_and_home() {
    if !is_root("an_app_and_a_handler_run_as_the_user_with_its_groups_and_home") {
        return;
    }
    for (user, who) in [
        ("\"nobody\"", "65534:65534:65534,700,701 /nonexistent nobody nobody"),
        ("65534", "65534:65534:65534,700,701 /nonexistent nobody nobody"),
        ("\"nobody:staff\"", "65534:50:50,700,701 /nonexistent nobody nobody"),
        ("\"1234:50\"", "1234:50:50 /"),
        ("\"1234\"", "1234:0:0 /"),
    ] {
        let finished = with_users(&format!(
            "app = {{ command = {WHO}, user = {user} }}\n\
             lifecycle.preStart.exec = {{ command = {WHO}, user = {user} }}\nlifecycle.postStop.exec.command = {WHO}"
        ));
        assert_eq!(finished.out.trim_end(), who, "{user}: {}", finished.log);
        assert!(finished.log.contains(&format!("bookend: {who}")), "{user}: {}", finished.log);
        assert!(finished.log.contains("bookend: 0:0:0"), "a handler without a user is bookend's: {}", finished.log);
    }
}

#[test]
fn a_list_of_users_that_cannot_be_read_is_named() {
    if !is_root("a_list_of_users_that_cannot_be_read_is_named") {
        return;
    }
    for (user, code, reason) in [
        ("\"nobody\"", 125, "app.user: cannot look up \"nobody\" in /etc/passwd: not a regular file"),
        // As with a container runtime: a number needs no list.
        ("1234", 0, ""),
    ] {
        let folder = Folder::new();
        nix::unistd::mkfifo(&folder.path("passwd"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let finished = with_users_in(folder, &format!("app = {{ command = [\"true\"], user = {user} }}"));
        assert_eq!(finished.code(), code, "{}", finished.log);
        assert!(finished.log.contains(reason), "{}", finished.log);
    }
}

#[test]
fn an_unknown_user_is_125_with_the_reason() {
    if !is_root("an_unknown_user_is_125_with_the_reason") {
        return;
    }
    let finished = with_users("app = { command = [\"true\"], user = \"nobdy\" }");
    assert_eq!(finished.code(), 125);
    assert!(finished.log.contains("app.user: /etc/passwd has no user \"nobdy\""), "{}", finished.log);
    assert_eq!(finished.log.matches("has no user").count(), 1, "{}", finished.log);
    let finished = with_users(
        "app.command = [\"true\"]\nlifecycle.preStart.exec = { command = [\"true\"], user = \"nobody:nogrup\" }",
    );
    assert_eq!(finished.code(), 125);
    assert!(finished.log.contains("exec.user: /etc/group has no group \"nogrup\""), "{}", finished.log);

    // Without root, bookend cannot change the user, but it can keep the present user.
    let folder = Folder::new();
    std::fs::set_permissions(folder.path("."), std::fs::Permissions::from_mode(0o755)).unwrap();
    let binary = folder.path("bookend");
    copy_program(bookend(), &binary);
    for (user, code, expected) in
        [("0", 125, "app.user: cannot become root (uid 0, gid 0): Operation not permitted"), ("\"65534:65534\"", 0, "")]
    {
        let config = folder.write("bookend.toml", &format!("app = {{ command = [\"true\"], user = {user} }}"));
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&binary).arg("-c").arg(&config);
        let finished = Init::start(Folder::new(), command).finish();
        assert_eq!(finished.code(), code, "{}", finished.log);
        assert!(finished.log.contains(expected), "{}", finished.log);
    }
}

#[test]
fn a_program_starts_in_its_working_directory() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("a")).unwrap();
    std::fs::create_dir(folder.path("b")).unwrap();
    let (a, b) = (folder.path("a"), folder.path("b"));
    let config = format!(
        "app = {{ command = [\"pwd\"], workingDir = {a:?} }}\n\
         lifecycle.preStart.exec = {{ command = [\"pwd\"], workingDir = {b:?} }}"
    );
    let mut init = Init::configured_in(folder, &config, &[]);
    let finished = init.end();
    assert_eq!(finished.out.trim_end(), a.to_str().unwrap());
    assert!(finished.log.contains(&format!("bookend: {}", b.display())), "{}", finished.log);
}

#[test]
fn a_bad_working_directory_is_125_with_the_reason() {
    let finished = Init::configured("app.workingDir = \"/nowhere\"", &["--", "true"]).finish();
    assert_eq!(finished.code(), 125);
    let expected = "app.workingDir: cannot enter /nowhere: No such file or directory";
    assert!(finished.log.contains(expected), "{}", finished.log);
}

#[test]
fn references_expand_in_files_and_not_after_the_dashes() {
    let config = r#"
        [app]
        command = ["sh", "-c", "echo '$(GREETING)' $$HOME '$$(NAME)' '$(UNKNOWN)'"]
        env = { NAME = "world", GREETING = "hello $(NAME)" }
        [lifecycle.postStop.exec]
        command = ["echo", "$(BYE) $(BOOKEND_REASON)"]
        env = { BYE = "bye $(NAME)" }
    "#;
    let home = std::env::var("HOME").unwrap_or_default();
    let finished = Init::configured(config, &[]).finish();
    assert_eq!(finished.out, format!("hello world {home} $(NAME) $(UNKNOWN)\n"), "{}", finished.log);
    assert!(finished.log.contains("bookend: bye world Completed"), "{}", finished.log);
    let finished = Init::configured(config, &["--", "echo", "$(NAME) $$"]).finish();
    assert_eq!(finished.out, "$(NAME) $$\n");
}

#[test]
fn a_value_from_a_file_is_never_logged() {
    let folder = Folder::new();
    folder.write("secret", "hunter2\n");
    let file = folder.path("secret");
    let config = format!(
        "log.level = \"Debug\"\n[app]\ncommand = [\"sh\", \"-c\", \"echo $SECRET $LATER\"]\n\
         env = {{ SECRET.valueFrom.file = {file:?}, LATER = \"<$(SECRET)>\" }}\n\
         [lifecycle.preStart.exec]\ncommand = [\"sh\", \"-c\", \"echo ${{#SECRET}} ${{#OWN}}\"]\n\
         env = {{ OWN.valueFrom.file = {file:?} }}"
    );
    let mut init = Init::configured_in(folder, &config, &[]);
    let finished = init.end();
    assert_eq!(finished.out, "hunter2 <hunter2>\n", "{}", finished.log);
    assert!(finished.log.contains("bookend: 7 7"), "{}", finished.log);
    assert!(!finished.log.contains("hunter2"), "{}", finished.log);
}

#[test]
fn a_missing_value_file_is_125_and_names_the_key() {
    let finished = Init::configured("app.env.A.valueFrom.file = \"/nowhere/a\"", &["--", "true"]).finish();
    assert_eq!(finished.code(), 125);
    assert!(finished.log.contains("app.env.A: cannot read /nowhere/a: No such file"), "{}", finished.log);
}

#[test]
fn umask_limits_and_oom_score_apply_to_the_app_only() {
    if !is_root("umask_limits_and_oom_score_apply_to_the_app_only") {
        return;
    }
    let show =
        r#"["sh", "-c", "echo $(umask) $(ulimit -Sn) $(ulimit -Hn) $(ulimit -Sc) $(cat /proc/self/oom_score_adj)"]"#;
    let config = format!(
        "[app]\ncommand = {show}\numask = \"027\"\noomScoreAdj = 321\n\
         rlimits = {{ nofile = {{ soft = 100, hard = 200 }}, core = 0 }}\n\
         [lifecycle]\npreStart.exec.command = {show}\npostStop.exec.command = {show}"
    );
    let finished = Init::configured(&config, &[]).finish();
    assert_eq!(finished.out.trim_end(), "0027 100 200 0 321", "{}", finished.log);
    let others: Vec<&str> = finished.log.lines().filter(|line| line.contains("handler=")).collect();
    assert_eq!(others.len(), 2, "{}", finished.log);
    assert!(others.iter().all(|line| !line.contains("321") && !line.contains(" 100 200 ")), "{others:?}");
}

#[test]
fn a_refused_resource_limit_is_125_and_names_the_key() {
    if !is_root("a_refused_resource_limit_is_125_and_names_the_key") {
        return;
    }
    for (key, expected) in [
        (
            "rlimits = { core = 0, nofile = { hard = 4611686018427387904 } }",
            "app.rlimits.nofile: cannot set the limit: ",
        ),
        ("oomScoreAdj = -1000", "app.oomScoreAdj: cannot write -1000 to /proc/self/oom_score_adj: Permission denied"),
    ] {
        let folder = Folder::new();
        std::fs::set_permissions(folder.path("."), std::fs::Permissions::from_mode(0o755)).unwrap();
        let binary = folder.path("bookend");
        copy_program(bookend(), &binary);
        let config = folder.write("bookend.toml", &format!("app = {{ command = [\"true\"], {key} }}"));
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&binary).arg("-c").arg(&config);
        let finished = Init::start(Folder::new(), command).finish();
        assert_eq!(finished.code(), 125, "{}", finished.log);
        assert!(finished.log.contains(expected), "{expected}: {}", finished.log);
    }
}

#[test]
fn a_fifo_in_place_of_passwd_or_dev_null_blocks_nothing() {
    if !is_root("a_fifo_in_place_of_passwd_or_dev_null_blocks_nothing") {
        return;
    }
    let folder = Folder::new();
    let handler = "lifecycle.preStart.exec.command = [\"sh\", \"-c\", \"cat; echo handler done\"]";
    folder.write("bookend.toml", &format!("app = {{ command = [\"echo\", \"app\"], user = \"1234\" }}\n{handler}"));
    let script = "mkfifo $1/fifo && for file in /etc/passwd /etc/group /dev/null; do mount --bind $1/fifo $file; done && \
        exec $2 -c $1/bookend.toml";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh", folder.shown()]).arg(bookend());
    let finished = Init::start(folder, command).end();
    assert_eq!((finished.code(), finished.out.as_str()), (0, "app\n"), "{}", finished.log);
    assert!(finished.log.contains("handler done"), "{}", finished.log);
}

#[test]
fn no_failure_names_a_value() {
    let (folder, port) = (Folder::new(), free_port());
    let (token, lines, nul) =
        (folder.write("token", "hunter2"), folder.write("lines", "hunter2\nhunter2"), folder.write("nul", "hunter2\0"));
    let message = folder.write("message", "");
    let config = format!(
        r#"
        log.level = "Debug"
        terminationMessagePath = {message:?}
        terminationMessageBytes = 4096
        http = {{ listen = "127.0.0.1:{port}", tokenFile = {token:?} }}
        app.env = {{ PLAIN = "hunter2", FILE.valueFrom.file = {token:?} }}
        [[lifecycle.preStart]]
        exec.command = ["sh", "-c", 'printf "%s\n" "SET = \"hunter2\\n\"" >&3']
        [[lifecycle.preStart]]
        failurePolicy = "Ignore"
        exec.command = ["sh", "-c", 'echo "BAD = hunter2" >&3']
        [[lifecycle.postStart]]
        failurePolicy = "Ignore"
        httpGet = {{ port = 1, httpHeaders = [{{ name = "X-Set", value = "$(SET)" }}] }}
        [[lifecycle.postStart]]
        failurePolicy = "Ignore"
        httpGet = {{ port = 1, httpHeaders = [{{ name = "X-Lines", valueFrom.file = {lines:?} }}] }}
        [[lifecycle.postStart]]
        failurePolicy = "Ignore"
        httpGet = {{ port = 1, httpHeaders = [{{ name = "X-Nul", valueFrom.file = {nul:?} }}] }}
        [[lifecycle.postStart]]
        failurePolicy = "Ignore"
        httpGet = {{ port = 1, method = "POST", path = "/$(PLAIN)?$(FILE)", body = "$(SET)", httpHeaders = [{{ name = "X", value = "$(PLAIN)" }}] }}
        [[lifecycle.postStart]]
        failurePolicy = "Ignore"
        exec = {{ command = ["/nowhere"], env.OWN = "$(PLAIN)" }}
        [[lifecycle.postStart]]
        failurePolicy = "Ignore"
        exec = {{ command = ["true"], env.NUL.valueFrom.file = {nul:?} }}
        "#
    );
    let mut init = Init::configured_in(folder, &config, &["--", "sleep", "1000"]);
    init.wait_for_log("exec.env.NUL");
    let answers = ["/status", "/metrics", "/readyz?verbose", "/lifecycle/preStop"];
    let answers = answers.map(|path| get_with("Authorization: Bearer hunter1", port, path).unwrap_or_default());
    init.signal(15);
    let finished = init.end();
    let shown = [finished.log, answers.join("\n"), init.folder.read("message")].join("\n");
    for named in [
        "descriptor 3: line 1: invalid TOML",
        "cannot send the header \\\"X-Set\\\"",
        "cannot send the header \\\"X-Lines\\\"",
        "for the header \\\"X-Nul\\\"",
        "cannot connect to 127.0.0.1:1",
        "cannot execute \\\"/nowhere\\\"",
        "exec.env.NUL: cannot read",
        "hook refused: the caller must send a token",
        "stopped by SIGTERM",
    ] {
        let plain = named.replace('\\', "");
        assert!(shown.contains(named) || shown.contains(&plain), "{named}: {shown}");
    }
    assert!(!shown.contains("hunter2"), "{shown}");
}

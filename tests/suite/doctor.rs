//! `bookend doctor` with the real servers' own configuration tests.

use std::path::Path;
use std::process::Command;

use crate::support::{Finished, Folder, Init, bookend};

fn doctor(folder: Folder, args: &[&str]) -> Finished {
    let mut command = Command::new(bookend());
    // The socket of another test's bookend would make this machine look like a running container.
    command.arg("doctor").args(args).env_remove("STOPSIGNAL").env("BOOKEND_SOCKET", folder.path("socket"));
    Init::start(folder, command).finish()
}

/// One finding by its check.
fn found(finished: &Finished, check: &str) -> serde_json::Value {
    let report: serde_json::Value = serde_json::from_str(&finished.out).unwrap_or_default();
    let findings = report.get("findings").and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
    findings.into_iter().find(|finding| finding.get("check").is_some_and(|id| id == check)).unwrap_or_default()
}

fn is_there(program: &str) -> bool {
    let paths = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
    paths.split(':').any(|folder| Path::new(folder).join(program).is_file())
}

/// Whether a server's package is installed. If not, the test reports it; in CI that is a failure.
fn ready(test: &str, program: &str) -> bool {
    let here = is_there(program);
    if !here {
        let in_ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty());
        assert!(!in_ci, "NOT RUN: {test}: no {program} (scripts/setup): in CI nothing may be skipped");
        use std::io::Write;
        // The message goes directly to stderr, because libtest hides what a passing test prints.
        writeln!(std::io::stderr(), "NOT RUN: {test}: no {program} (scripts/setup)").ok();
    }
    here
}

fn nginx_conf(folder: &Folder, main: &str) -> String {
    let dir = folder.shown();
    let text = format!(
        "pid {dir}/pid;\nerror_log stderr;\n{main}\nevents {{}}\nhttp {{\n  access_log off;\n  client_body_temp_path {dir}/b; \
         proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;\n  include \
         {dir}/site;\n}}\n"
    );
    folder.write("nginx.conf", &text).display().to_string()
}

#[test]
fn doctor_finds_nginx_settings_that_lose_requests() {
    let folder = Folder::new();
    let conf = nginx_conf(&folder, "daemon on;");
    let site = folder.write("site", "server {\n  listen 127.0.0.1:18080;\n  lingering_close off;\n}\n");
    let finished = doctor(folder, &["--json", "--", "nginx", "-c", &conf]);
    assert_eq!(finished.code(), 1, "{finished:?}");
    let place = |check: &str| {
        let found = found(&finished, check);
        (found["file"].as_str().unwrap_or("").to_owned(), found["line"].as_u64().unwrap_or(0))
    };
    let site = site.display().to_string();
    assert_eq!(place("daemonizes"), (conf.clone(), 3), "{}", finished.out);
    assert_eq!(place("nginx-worker-shutdown-timeout"), (conf, 1), "{}", finished.out);
    assert_eq!(place("nginx-lingering-close"), (site.clone(), 3), "{}", finished.out);
    assert_eq!(place("loopback-only"), (site, 2), "{}", finished.out);
    for check in ["stop-signal", "no-drain"] {
        assert!(found(&finished, check).is_object(), "{check}: {}", finished.out);
    }
}

/// A configuration that leaves nothing to find.
const GOOD: &str = r#"
    terminationGracePeriodSeconds = 30
    app.stopSignal = "SIGQUIT"
    app.signals = { SIGWINCH = "ignore" }
    http.listen = "0.0.0.0:9797"
    lifecycle.preStop.drain = { minSeconds = 3, quietSeconds = 2, maxSeconds = 15 }
"#;

#[test]
fn doctor_calls_only_a_readable_sound_nginx_healthy() {
    // doctor checks netlink and /proc/net in a network namespace of its own: the machine's own would count as hostNetwork.
    let in_namespace = |folder: Folder, main: &str| {
        let conf = nginx_conf(&folder, main);
        folder.write("site", "keepalive_timeout 0;\nserver { listen 0.0.0.0:18080; }\n");
        let config = folder.write("bookend.toml", GOOD);
        let mut unshare = Command::new("unshare");
        if !nix::unistd::geteuid().is_root() {
            unshare.args(["--user", "--map-root-user"]);
        }
        unshare.args(["--net", bookend().to_str().unwrap(), "doctor", "-c"]).arg(config);
        unshare.env("BOOKEND_SOCKET", folder.path("socket"));
        unshare.args(["--", "nginx", "-g", "daemon off;", "-c", &conf]);
        Init::start(folder, unshare).finish()
    };
    let good = in_namespace(Folder::new(), "worker_shutdown_timeout 10s;");
    assert_eq!(good.code(), 0, "{good:?}");
    assert!(good.out.ends_with("0 findings, 0 notes\n"), "{}", good.out);
    let beyond = in_namespace(Folder::new(), "worker_shutdown_timeout 20s;");
    assert_eq!(beyond.code(), 1, "{beyond:?}");
    assert!(beyond.out.contains("worker_shutdown_timeout is 20 s, the budget leaves nginx 14.5 s"), "{}", beyond.out);
    let broken = in_namespace(Folder::new(), "no_such_directive;");
    assert_eq!(broken.code(), 125, "{broken:?}");
    assert!(broken.out.contains("not examined: `nginx"), "{}", broken.out);
}

#[test]
fn doctor_finds_php_fpm_settings_that_lose_requests() {
    let versions =
        std::fs::read_dir("/usr/sbin").unwrap().flatten().filter_map(|file| file.file_name().into_string().ok());
    let program = versions.into_iter().find(|name| name.starts_with("php-fpm")).unwrap_or("php-fpm".to_owned());
    if !ready("doctor_finds_php_fpm_settings_that_lose_requests", &program) {
        return;
    }
    let conf = |folder: &Folder, timeout: &str| {
        let dir = folder.shown();
        folder.write(
            "pool.conf",
            &format!("[www]\nuser = nobody\nlisten = {dir}/sock\npm = static\npm.max_children = 1\n"),
        );
        let text =
            format!("[global]\nerror_log = {dir}/log.fpm\n{timeout}\ndaemonize = yes\ninclude = {dir}/pool*.conf\n");
        folder.write("fpm.conf", &text).display().to_string()
    };
    let folder = Folder::new();
    let path = conf(&folder, ";process_control_timeout = 0");
    let finished = doctor(folder, &["--json", "--", &program, "-y", &path]);
    assert_eq!(finished.code(), 1, "{finished:?}");
    let timeout = found(&finished, "php-fpm-process-control-timeout");
    assert_eq!(
        (timeout["file"].as_str(), timeout["line"].as_u64()),
        (Some(path.as_str()), Some(3)),
        "{}",
        finished.out
    );
    assert!(found(&finished, "daemonizes").is_object(), "{}", finished.out);
    assert!(found(&finished, "stop-signal").is_object(), "{}", finished.out);

    let folder = Folder::new();
    let path = conf(&folder, "process_control_timeout = 10s");
    let config = folder.write("bookend.toml", GOOD).display().to_string();
    let finished = doctor(folder, &["--json", "-c", &config, "--", &program, "-y", &path, "--nodaemonize"]);
    for check in ["php-fpm-process-control-timeout", "daemonizes", "stop-signal"] {
        assert!(found(&finished, check).is_null(), "{check}: {}", finished.out);
    }
}

#[test]
fn gunicorns_default_timeout_must_fit_the_budget() {
    if !ready("gunicorns_default_timeout_must_fit_the_budget", "gunicorn") {
        return;
    }
    let config = "terminationGracePeriodSeconds = 30\nlifecycle.preStop.sleep.seconds = 5\n";
    let check = |options: &[&str]| {
        let folder = Folder::new();
        let path = folder.write("bookend.toml", config).display().to_string();
        let python = folder.write("conf.py", "import os\ngraceful_timeout = 28\n").display().to_string();
        let options: Vec<String> = options.iter().map(|option| option.replace("CONF", &python)).collect();
        let mut args = vec!["--json", "-c", &path, "--", "gunicorn", "app:app", "--bind", "0.0.0.0:8000"];
        args.extend(options.iter().map(String::as_str));
        found(&doctor(folder, &args), "gunicorn-graceful-timeout")
    };
    assert!(check(&[])["what"].as_str().is_some_and(|what| what.contains("by default is 30 s")));
    assert_eq!(check(&["-c", "CONF"])["line"], 2);
    assert!(check(&["--graceful-timeout", "15"]).is_null());
}

#[test]
fn apaches_own_list_of_files_is_read() {
    if !ready("apaches_own_list_of_files_is_read", "apache2ctl") {
        return;
    }
    let finished = doctor(Folder::new(), &["--json", "--", "apache2ctl", "-D", "FOREGROUND"]);
    assert_eq!(finished.code(), 1, "{finished:?}");
    assert!(found(&finished, "apache-graceful-shutdown-timeout").is_object(), "{}", finished.out);
    assert!(
        found(&finished, "stop-signal")["fix"].as_str().is_some_and(|fix| fix.contains("SIGWINCH")),
        "{}",
        finished.out
    );
    assert!(found(&finished, "daemonizes").is_null(), "{}", finished.out);
}

#[test]
fn commands_that_lose_the_stop_signal_are_found() {
    let folder = Folder::new();
    folder.write("package.json", r#"{"scripts": {"start": "node dist/main.js"}}"#);
    let config = format!("app.command = [\"npm\", \"start\"]\napp.workingDir = \"{}\"\n", folder.shown());
    let config = folder.write("bookend.toml", &config).display().to_string();
    let npm = found(&doctor(folder, &["--json", "-c", &config]), "npm");
    assert_eq!(npm["fix"], "run the server itself: command = [\"node\", \"dist/main.js\"]");
    let shell = doctor(Folder::new(), &["--json", "--", "sh", "-c", "sleep 0 && node server.js"]);
    assert!(found(&shell, "shell-without-exec").is_object(), "{}", shell.out);
}

#[test]
fn a_program_or_a_file_that_is_not_in_the_image_is_found() {
    let folder = Folder::new();
    let config = "http = { listen = \"0.0.0.0:1\", tokenFile = \"/no/such/token\" }\napp.command = [\"sleep\", \"1\"]\nlifecycle.postStop = { name = \"bye\", exec = { command = [\"/no/such/sh\"], env.A.valueFrom.file = \"/no/such/a\" } }\n\
        livenessProbe.exec.command = [\"/no/such/curl\"]\n\
        lifecycle.preStop.httpGet = { port = 1, caFile = \"/no/such/ca\", httpHeaders = [{ name = \"X\", valueFrom.file = \"/no/such/x\" }] }\n";
    let config = folder.write("bookend.toml", config).display().to_string();
    let finished = doctor(folder, &["-c", &config]);
    assert_eq!(finished.code(), 1, "{finished:?}");
    assert!(finished.out.contains("program-missing: the handler bye runs /no/such/sh"), "{}", finished.out);
    assert!(finished.out.contains("the handler livenessProbe runs /no/such/curl"), "{}", finished.out);
    // Before the container runs, a secret may not be mounted yet.
    for file in [
        "token (http.tokenFile)",
        "a (exec.env.A of bye)",
        "ca (httpGet.caFile of preStop[0])",
        "x (the header X of preStop[0])",
    ] {
        let note = format!("note: unreadable-file: cannot read /no/such/{file}");
        assert!(finished.out.contains(&note), "{note}: {}", finished.out);
    }
}

#[test]
fn doctor_examines_the_running_container() {
    let init = Init::configured("http.listen = \"127.0.0.1:0\"", &["--", "sh", "-c", "sleep 1000; exit"]);
    init.wait_for_log("started");
    let pid = init.pid().to_string();
    let mut nsenter = Command::new("nsenter");
    nsenter.args(["--target", &pid, "--pid", "--mount"]).arg(bookend()).args(["doctor", "--json"]);
    let finished = Init::start(Folder::new(), nsenter).finish();
    assert_eq!(finished.code(), 1, "{finished:?}");
    let report: serde_json::Value = serde_json::from_str(&finished.out).unwrap();
    assert_eq!(report["command"], "sh -c sleep 1000; exit", "{}", finished.out);
    assert!(found(&finished, "hooks-on-loopback").is_object(), "its configuration is read, too: {}", finished.out);
}

#[test]
fn without_a_command_doctor_reports_nothing_healthy() {
    assert_eq!(doctor(Folder::new(), &[]).code(), 125);
}

#[test]
fn scripts_are_read_to_find_the_server_behind_them() {
    let folder = Folder::new();
    let script = |name: &str, text: &str| {
        let path = folder.write(name, text);
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        path.display().to_string()
    };
    let stays = script("start.sh", "#!/bin/sh\nset -e\nsleep 1000\nuvicorn app:app\n");
    let passes_on = script("entrypoint.sh", "#!/bin/sh\nexec \"$@\"\n");
    let report = doctor(Folder::new(), &["--json", "--", &stays]);
    assert_eq!(found(&report, "shell-without-exec")["line"], 4, "{}", report.out);
    assert!(found(&report, "uvicorn-graceful-timeout").is_object(), "{}", report.out);
    let report = doctor(Folder::new(), &["--json", "--", &passes_on, "python3", "-m", "uvicorn", "app:app"]);
    assert!(found(&report, "shell-without-exec").is_null(), "{}", report.out);
    assert!(found(&report, "uvicorn-graceful-timeout").is_object(), "{}", report.out);
    // catalina.sh's argument is not a program.
    let catalina = script("catalina.sh", "#!/bin/sh\neval exec \"java\" Bootstrap \"$@\" start\n");
    let report = doctor(Folder::new(), &["--json", "--", &catalina, "run"]);
    assert!(found(&report, "program-missing").is_null(), "{}", report.out);
}

#[test]
fn apache_is_asked_about_the_file_of_its_command_line() {
    if !ready("apache_is_asked_about_the_file_of_its_command_line", "apache2ctl") {
        return;
    }
    let folder = Folder::new();
    let conf = std::fs::read_to_string("/etc/apache2/apache2.conf").unwrap();
    let conf = folder.write("my.conf", &format!("{conf}\nGracefulShutdownTimeout 7\n")).display().to_string();
    let report = doctor(folder, &["--json", "--", "apache2", "-DFOREGROUND", "-f", &conf]);
    assert!(found(&report, "apache-graceful-shutdown-timeout").is_null(), "{}", report.out);
}

#[test]
fn with_auto_doctor_judges_by_the_server_behind_the_script() {
    let folder = Folder::new();
    let start = folder.write("start.sh", "#!/bin/sh\nexec haproxy -f /x.cfg\n");
    let stays = folder.write("stays.sh", "#!/bin/sh\nhaproxy -f /x.cfg\n");
    let checks = |script: &std::path::Path| -> Vec<String> {
        let script = script.to_str().unwrap();
        let args = ["doctor", "--profile", "auto", "--stop-signal", "SIGUSR1", "--json", "--", "sh", script];
        let report = crate::support::run(&args);
        let report: serde_json::Value = serde_json::from_str(&report.out).unwrap_or_else(|_| panic!("{}", report.log));
        report["findings"].as_array().unwrap().iter().map(|one| one["check"].as_str().unwrap().to_owned()).collect()
    };
    let found = checks(&start);
    assert!(!found.iter().any(|check| check.contains("stop-signal") || check == "no-drain"), "{found:?}");
    let found = checks(&stays);
    assert!(found.contains(&"stop-signal-of-the-image".to_owned()), "a shell stays in front: {found:?}");
}

//! The graceful nginx: the official image's contract, kept by an image of our own, and a stop that is graceful
//! however it comes.

use crate::docker::{Container, Folder, ready};

const NGINX: &str = ":nginx";

/// Laid over the image's own configuration: the documentation's greeting, and a stop without its long minimum.
const ON_TOP: &str = r#"
    [[lifecycle.postStart]]
    exec.command = ["/bin/sh", "-c", "echo Hello from the postStart handler > /usr/share/message"]

    [[lifecycle.preStop]]
    drain = { minSeconds = 0.2, quietSeconds = 0.2, maxSeconds = 5 }
"#;
/// The same for a container with a read-only root.
const SHORT_STOP: &str = "lifecycle.preStop.drain = { minSeconds = 0.2, quietSeconds = 0.2, maxSeconds = 5 }";

#[test]
fn nginx_stops_gracefully_after_the_pre_stop_hook() {
    // The kubelet calls the hook first and sends the stop signal after its response.
    greets_and_stops("nginx_stops_gracefully_after_the_pre_stop_hook", |container| {
        assert_eq!(container.get("http://127.0.0.1:9797/lifecycle/preStop"), 200);
        assert_eq!(container.get("http://127.0.0.1/"), 200, "the hook leaves the app serving");
        container.stop(&[]);
    });
}

#[test]
fn nginx_stops_gracefully_on_docker_stop_alone() {
    greets_and_stops("nginx_stops_gracefully_on_docker_stop_alone", |container| {
        container.stop(&[]);
    });
}

#[test]
fn nginx_stops_gracefully_on_sigterm() {
    greets_and_stops("nginx_stops_gracefully_on_sigterm", |container| container.kill("SIGTERM"));
}

/// The example of the Kubernetes documentation from start to exit; `stop` is the difference.
fn greets_and_stops(test: &str, stop: impl Fn(&Container)) {
    if !ready(test) {
        return;
    }
    let folder = Folder::new(test);
    folder.write("termination-log", "");
    folder.write("conf.d/test.toml", ON_TOP);
    let mounts =
        [folder.mount("termination-log", "/dev/termination-log"), folder.mount("conf.d", "/etc/bookend/conf.d")];
    let container = Container::start(test, NGINX, &mounts.each_ref().map(String::as_str), &[]);

    container.wait_until("nginx serves", || container.get("http://127.0.0.1/") == 200);
    container.wait_until("the postStart handler has written its message", || {
        let message = container.exec(&["cat", "/usr/share/message"]);
        message.stdout == "Hello from the postStart handler\n"
    });
    assert_eq!(container.get("http://127.0.0.1:9797/livez"), 200, "{}", container.log());
    crate::assert_no_zombie(&container);

    stop(&container);

    assert_eq!(container.exit_code(), 0, "{}", container.log());
    let log = container.log();
    for row in ["started", "stopping", "preStop[0] took", "SIGQUIT sent to the app", "app exited with 0"] {
        assert!(log.contains(row), "the log has the line {row:?}: {log}");
    }
    let summary = folder.read("termination-log").unwrap_or_default();
    assert!(!summary.is_empty(), "the termination message is written: {log}");
    assert!(summary.len() <= 4096, "the kubelet cuts it at 4096 bytes: {}", summary.len());
}

#[test]
fn a_plain_docker_stop_cuts_no_download_and_ends_in_time() {
    let test = "a_plain_docker_stop_cuts_no_download_and_ends_in_time";
    if !ready(test) {
        return;
    }
    let folder = Folder::new(test);
    folder.write("html/big", &"x".repeat(8_000_000));
    let mount = folder.mount("html", "/usr/share/nginx/html");
    let container = Container::start(test, NGINX, &[&mount], &[]);
    let status = || container.get("http://127.0.0.1/big");
    container.wait_until("nginx serves", || status() == 200);
    // A download of eight seconds, and clients that come until new ones are refused, as they would by the official image at
    // once.
    container.exec(&["sh", "-c", "curl --silent --limit-rate 1M --output /tmp/big http://127.0.0.1/big & exit 0"]);
    container.exec(&[
        "sh",
        "-c",
        "while curl --silent --output /tmp/x http://127.0.0.1/; do sleep 0.05; done & exit 0",
    ]);
    container.wait_until("the download has begun", || container.exec(&["test", "-s", "/tmp/big"]).code == Some(0));
    let took = container.stop(&[]);
    let log = container.log();
    assert_eq!(container.exit_code(), 0, "not ended by docker's SIGKILL: {took:?} {log}");
    for row in ["preStop drain took 5.", "SIGQUIT sent to the app", "app exited with 0"] {
        assert!(log.contains(row), "{row}: {log}");
    }
    let folder = Folder::new(&format!("{test}-copy"));
    assert_eq!(container.file("/tmp/big", &folder).len(), 8_000_000, "the download was cut: {log}");
}

#[test]
fn entrypoint_scripts_run_in_order_with_their_exports() {
    let test = "entrypoint_scripts_run_in_order_with_their_exports";
    if !ready(test) {
        return;
    }
    let folder = Folder::new(test);
    // One script runs before the template script, which is number 20, and one after it.
    folder.write_program("18-name.envsh", "export GREETING='hello there'\nset -u\n");
    folder.write_program(
        "19-run.sh",
        "#!/bin/sh\necho \"run sees $GREETING\" >/run/seen\nGREETING=lost; export GREETING\n",
    );
    folder.write_program("90-late.envsh", "export LATE=\"$GREETING, late\"\n");
    folder.write("95-not-executable.sh", "echo never >/run/never\n");
    folder.write_program("96-other.txt", "echo never >/run/never\n");
    // nginx writes its title over its environment in /proc, so a wrapper earlier in PATH reads the environment first.
    folder.write_program("look", "#!/bin/sh\nenv >/run/environment\nexec /usr/sbin/nginx \"$@\"\n");
    folder.write(
        "templates/hello.conf.template",
        "# ${UNKNOWN}\nserver { listen 8080; location / { return 200 '${GREETING} $uri'; } }\n",
    );
    folder.write("templates/deep/er.txt.template", "${GREETING}\n");
    folder.write("templates/echo.conf.stream-template", "server { listen 8081; return '${GREETING}'; }\n");
    let scripts = ["18-name.envsh", "19-run.sh", "90-late.envsh", "95-not-executable.sh", "96-other.txt"]
        .map(|name| folder.mount(name, &format!("/docker-entrypoint.d/{name}")));
    let templates = folder.mount("templates", "/etc/nginx/templates");
    let look = folder.mount("look", "/usr/local/sbin/nginx");
    let options: Vec<&str> = scripts.iter().map(String::as_str).chain([templates.as_str(), look.as_str()]).collect();
    let container = Container::start(test, NGINX, &options, &[]);

    container.wait_until("nginx serves the template", || container.get("http://127.0.0.1:8080/") == 200);
    let shown = |command: &str| container.exec(&["sh", "-c", command]).stdout;
    assert_eq!(shown("curl -s http://127.0.0.1:8080/path"), "hello there /path", "nginx' own variables are left alone");
    assert_eq!(shown("head -n 1 /etc/nginx/conf.d/hello.conf"), "# ${UNKNOWN}\n", "and unset ones stay");
    assert_eq!(shown("cat /etc/nginx/conf.d/deep/er.txt"), "hello there\n");
    assert_eq!(shown("curl -s --http0.9 telnet://127.0.0.1:8081 </dev/null"), "hello there", "{}", container.log());
    assert_eq!(shown("cat /run/seen"), "run sees hello there\n");
    assert_eq!(shown("ls /run/never 2>/dev/null"), "");
    let environment = shown("cat /run/environment");
    for line in ["GREETING=hello there", "LATE=hello there, late"] {
        assert!(environment.lines().any(|found| found == line), "{line}: {environment}");
    }
    let log = container.log();
    let order = [
        "Sourcing /docker-entrypoint.d/18-name.envsh",
        "Launching /docker-entrypoint.d/19-run.sh",
        "Running envsubst on /etc/nginx/templates/hello.conf.template",
        "Sourcing /docker-entrypoint.d/90-late.envsh",
        "Ignoring /docker-entrypoint.d/95-not-executable.sh, not executable",
        "Configuration complete",
    ];
    let at = order.map(|text| log.find(text).unwrap_or_else(|| panic!("{text}: {log}")));
    assert!(at.is_sorted(), "{log}");
}

#[test]
fn template_settings_come_from_the_environment() {
    let test = "template_settings_come_from_the_environment";
    if !ready(test) {
        return;
    }
    let folder = Folder::new(test);
    folder.write("in/a.conf.tmpl", "# ${APP_NAME} ${HOME}\n");
    folder.write("in/b.conf.template", "# not a template here\n");
    let options = [
        &folder.mount("in", "/in"),
        "--env=NGINX_ENVSUBST_TEMPLATE_DIR=/in",
        "--env=NGINX_ENVSUBST_TEMPLATE_SUFFIX=.tmpl",
        "--env=NGINX_ENVSUBST_OUTPUT_DIR=/tmp",
        "--env=NGINX_ENVSUBST_FILTER=^APP_",
        "--env=APP_NAME=shop",
        "--env=NGINX_ENTRYPOINT_QUIET_LOGS=1",
    ];
    let container = Container::start(test, NGINX, &options, &[]);
    container.wait_until("nginx serves", || container.get("http://127.0.0.1/") == 200);
    assert_eq!(container.exec(&["cat", "/tmp/a.conf"]).stdout, "# shop ${HOME}\n", "{}", container.log());
    assert_ne!(container.exec(&["cat", "/tmp/b.conf"]).code, Some(0));
    assert!(!container.log().contains("Launching"), "quiet: {}", container.log());
}

#[test]
fn a_script_that_fails_keeps_nginx_from_starting() {
    let test = "a_script_that_fails_keeps_nginx_from_starting";
    if !ready(test) {
        return;
    }
    let folder = Folder::new(test);
    folder.write_program("50-fails.sh", "#!/bin/sh\nexit 42\n");
    let mount = folder.mount("50-fails.sh", "/docker-entrypoint.d/50-fails.sh");
    let container = Container::start(test, NGINX, &[&mount], &[]);
    assert_eq!(container.exit_code(), 42, "{}", container.log());
    assert!(container.log().contains("/docker-entrypoint.d/50-fails.sh ended with 42"), "{}", container.log());
}

#[test]
fn a_command_other_than_nginx_runs_no_script() {
    let test = "a_command_other_than_nginx_runs_no_script";
    if !ready(test) {
        return;
    }
    let finished = Container::run(test, NGINX, &["sh", "-c", "echo only this; exit 3"]);
    assert_eq!(finished.code, Some(3), "{finished:#?}");
    assert_eq!(finished.stdout, "only this\n");
}

#[test]
fn nginx_runs_as_any_user_on_a_read_only_root() {
    let test = "nginx_runs_as_any_user_on_a_read_only_root";
    if !ready(test) {
        return;
    }
    let folder = Folder::new(test);
    folder.write("test.toml", SHORT_STOP);
    let config = folder.mount("test.toml", "/etc/bookend/conf.d/test.toml");
    let read_only = ["--read-only", "--tmpfs=/tmp", "--tmpfs=/var/cache/nginx", "--tmpfs=/run"];
    for (user, more) in [("101", &read_only[..]), ("12345:0", &read_only), ("12345:0", &[]), ("101:101", &[])] {
        let options = [&["--user", user, "--cap-drop=ALL", "--security-opt=no-new-privileges", &config], more].concat();
        let container = Container::start(test, NGINX, &options, &[]);
        container.wait_until("nginx serves", || container.get("http://127.0.0.1/") == 200);
        container.stop(&[]);
        assert_eq!(container.exit_code(), 0, "{user} {more:?}: {}", container.log());
        let log = container.log();
        assert!(log.contains("GET / HTTP/1.1"), "the access log is the container's: {log}");
        assert!(!log.contains("[emerg]") && !log.contains("[crit]"), "{user} {more:?}: {log}");
    }
}

#[test]
fn bookend_doctor_finds_nothing_to_change_in_this_image() {
    let test = "bookend_doctor_finds_nothing_to_change_in_this_image";
    if !ready(test) {
        return;
    }
    let container = Container::start(test, NGINX, &[], &[]);
    container.wait_until("nginx serves", || container.get("http://127.0.0.1/") == 200);
    let finished = container.exec(&["/bookend", "doctor", "--stopSignal", "SIGQUIT"]);
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    assert!(finished.stdout.contains("/docker-entrypoint.sh nginx -g daemon off;: 0 findings"), "{finished:#?}");
}

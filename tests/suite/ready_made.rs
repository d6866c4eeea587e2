//! The ready-made files of config/ as they are, each with its real server where Debian has one: it starts, answers,
//! and stops as the file describes.
//!
//! Each life has a network namespace of its own, where the ports of the file are free. Differences to an image
//! (paths, an application to serve) are in a second file: layers are made for that.

use std::path::Path;
use std::process::Command;

use crate::support::{Finished, Folder, Init, bookend, has, is_root, wait_until};

struct Container {
    init: Init,
}

impl Container {
    /// Starts the file, with `more` laid over it, in the folder.
    fn start(folder: Folder, file: &str, more: &str) -> Container {
        Container::start_verb(folder, &[], file, more)
    }

    fn start_verb(folder: Folder, verb: &[&str], file: &str, more: &str) -> Container {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(file);
        let more = folder.write("more.toml", more);
        let mut command = Command::new("unshare");
        command.args(["--net", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c"]);
        command
            .args(["ip link set lo up && exec \"$@\"", "sh"])
            .arg(bookend())
            .args(verb)
            .arg("-c")
            .arg(file)
            .arg("-c")
            .arg(more);
        command.current_dir(folder.path("."));
        Container { init: Init::start(folder, command) }
    }

    /// The response to a GET inside the container's network.
    fn get(&self, port: u16, path: &str) -> String {
        self.inside(&["curl", "-s", "--max-time", "5", &format!("http://127.0.0.1:{port}{path}")])
    }

    fn inside(&self, command: &[&str]) -> String {
        let namespace = format!("--net=/proc/{}/ns/net", self.pid());
        let output = Command::new("nsenter").arg(namespace).arg("--").args(command).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// bookend, the child of unshare.
    fn pid(&self) -> i32 {
        crate::support::child_of(u32::try_from(self.init.pid()).unwrap()).unwrap_or(0)
    }

    /// SIGTERM, as every runtime sends it, and the end.
    fn stop(mut self) -> Finished {
        crate::support::signal(self.pid(), 15);
        self.init.end()
    }
}

#[track_caller]
fn stopped_well(finished: &Finished, expected: &[&str]) {
    assert_eq!(finished.code(), 0, "{}", finished.log);
    for text in expected {
        assert!(finished.log.contains(text), "{text}: {}", finished.log);
    }
}

#[test]
fn php_fpm_answers_and_stops_gracefully() {
    let php = ["php-fpm8.4", "php-fpm8.3", "php-fpm8.2", "php-fpm"];
    let found = php.into_iter().find(|name| Path::new("/usr/sbin").join(name).exists());
    let Some(program) = found.filter(|program| has("php_fpm_answers_and_stops_gracefully", program)) else {
        has("php_fpm_answers_and_stops_gracefully", "php-fpm");
        return;
    };
    let folder = Folder::new();
    folder.write(
        "fpm.conf",
        "[global]\nerror_log = /proc/self/fd/2\nprocess_control_timeout = 20s\n\
         [www]\nuser = root\ngroup = root\nlisten = 127.0.0.1:9000\npm = static\npm.max_children = 1\n",
    );
    let more = format!("app.command = [\"/usr/sbin/{program}\", \"--nodaemonize\", \"-R\", \"-y\", \"fpm.conf\"]");
    let container = Container::start(folder, "php-fpm.toml", &more);
    wait_until("php-fpm listens", || container.inside(&["ss", "-Hltn"]).contains("127.0.0.1:9000"));
    wait_until("bookend answers", || container.get(9797, "/readyz").contains("ok"));
    stopped_well(&container.stop(), &["SIGQUIT sent to the app", "preStop drain"]);
}

#[test]
fn gunicorn_answers_and_stops_gracefully() {
    if !has("gunicorn_answers_and_stops_gracefully", "gunicorn") {
        return;
    }
    let folder = Folder::new();
    folder.write("app.py", "def app(environ, start):\n    start('200 OK', [])\n    return [b'hello']\n");
    let container = Container::start(folder, "gunicorn.toml", "");
    wait_until("gunicorn answers", || container.get(8000, "/") == "hello");
    stopped_well(&container.stop(), &["SIGTERM sent to the app", "preStop drain", "app exited with 0"]);
}

#[test]
fn node_answers_and_stops_with_or_without_a_handler() {
    if !has("node_answers_and_stops_with_or_without_a_handler", "node") {
        return;
    }
    let graceful = "process.on('SIGTERM', () => server.close());";
    for (handler, expected) in [("", "app was killed by SIGTERM"), (graceful, "app exited with 0")] {
        let folder = Folder::new();
        let script = format!(
            "const server = require('http').createServer((_, answer) => answer.end(process.env.NODE_ENV));\n\
             server.listen(8080);\n{handler}"
        );
        folder.write("server.js", &script);
        let container = Container::start(folder, "node.toml", "lifecycle.preStop = []");
        wait_until("node answers", || container.get(8080, "/") == "production");
        stopped_well(&container.stop(), &[expected]);
    }
}

#[test]
fn a_jvm_exits_143_and_dumps_threads_on_sigquit() {
    if !is_root("a_jvm_exits_143_and_dumps_threads_on_sigquit") {
        return;
    }
    // No JVM here: a stand-in that treats the two signals as one does.
    let folder = Folder::new();
    let java = "trap 'echo threads' QUIT; trap 'exit 143' TERM; echo up; while :; do sleep 0.05; done";
    folder.write("java", java);
    let more = "app.command = [\"sh\", \"java\"]\nlifecycle.preStop = []";
    let container = Container::start(folder, "java.toml", more);
    container.init.wait_for_out("up");
    crate::support::signal(container.pid(), 3);
    container.init.wait_for_out("threads");
    stopped_well(&container.stop(), &["app exited with 143; exit code 0"]);
}

#[test]
fn a_worker_finishes_its_job_and_exits_0() {
    if !is_root("a_worker_finishes_its_job_and_exits_0") {
        return;
    }
    for (script, out) in [
        ("echo up; sleep 1000", "up\n"),
        ("trap 'echo finished; exit 0' TERM; echo up; while :; do sleep 0.05; done", "up\nfinished\n"),
    ] {
        let more = format!("app.command = [\"sh\", \"-c\", \"exec 3>&-; {script}\"]");
        let container = Container::start(Folder::new(), "worker.toml", &more);
        container.init.wait_for_out("up");
        let finished = container.stop();
        assert_eq!((finished.code(), &*finished.out), (0, out), "{}", finished.log);
        assert!(finished.log.lines().all(|line| line.starts_with('{')), "JSON, each line: {}", finished.log);
    }
}

#[test]
fn the_sidecar_file_holds_the_hook_and_ends_by_signal() {
    if !is_root("the_sidecar_file_holds_the_hook_and_ends_by_signal") {
        return;
    }
    let container = Container::start_verb(Folder::new(), &["sidecar"], "sidecar.toml", "");
    wait_until("the sidecar answers", || container.get(9797, "/readyz").contains("ok"));
    let hook = "http://127.0.0.1:9797/lifecycle/preStop";
    let code = container.inside(&["curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{time_total}", hook]);
    let (code, took) = code.split_once(' ').unwrap();
    assert_eq!(code, "200");
    assert!(took.parse::<f64>().unwrap() >= 3.0, "the hook was held for {took} s");
    let finished = container.stop();
    stopped_well(&finished, &["stopped by the preStop hook"]);
    assert_eq!(finished.log.matches("preStop drain").count(), 1, "once a stop: {}", finished.log);
}

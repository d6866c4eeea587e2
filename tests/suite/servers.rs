//! Each profile runs on the real server, which is stopped under load and loses no request.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::rollout::By;
use crate::support::{Folder, Init, get_as, in_network_of, output_of, wait_until};
use bookend_rehearse::load::{Load, wait_for_port};
use bookend_test_support::nginx_conf;

/// Reports that a server is missing; in CI, where all are installable, that is a failure.
pub(crate) fn not_run(test: &str, why: &str) {
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci.is_empty()),
        "NOT RUN: {test}: {why}: in CI nothing may be skipped"
    );
    eprintln!("NOT RUN: {test}: {why}");
}

/// A program in sbin or bin; the last version if there are several.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let folders = ["/usr/local/sbin", "/usr/sbin", "/usr/bin", "/usr/local/bin"];
    let is_it = |file: &str| file == name || file.strip_prefix(name).is_some_and(|rest| rest.parse::<f32>().is_ok());
    folders.iter().find_map(|folder| {
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut found: Vec<PathBuf> =
            files.filter(|file| file.file_name().to_str().is_some_and(is_it)).map(|file| file.path()).collect();
        found.sort();
        found.pop()
    })
}

/// New connections for one second after the stop began; kept ones as long as the server keeps them.
pub(crate) const LOAD: Load = Load {
    port: 80,
    new: 20,
    keep_alive: 3,
    slow: 2,
    proxied: 0,
    silent: 1,
    late: Duration::from_secs(1),
    kept_end: false,
};

pub(crate) fn folder() -> Folder {
    let folder = Folder::new();
    std::fs::set_permissions(folder.path(""), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    folder
}

/// Starts the server under its profile, stops it by signal under load, and counts.
pub(crate) fn stop_under_load(profile: &str, folder: Folder, command: &[&str], prelude: &str, load: Load) {
    stop_by(By::Signal, profile, folder, command, prelude, load);
}

/// The same for removals after one, three and six seconds, by signal and by hook, with one configuration. The stop signal
/// comes no later than it must; the server needs the rest of the time. All at the same time, each in a network of its own.
fn stop_in_every_way(profile: &str, load: Load, server: impl Fn() -> (Folder, Vec<String>, String) + Sync) {
    std::thread::scope(|scope| {
        for (late, by) in [1, 3, 6].into_iter().flat_map(|late| [By::Signal, By::Hook].map(|by| (late, by))) {
            let server = &server;
            scope.spawn(move || {
                let load = Load { late: Duration::from_secs(late), ..load };
                let (folder, command, prelude) = server();
                let command: Vec<&str> = command.iter().map(String::as_str).collect();
                let stop = stop_by(by, profile, folder, &command, &prelude, load);
                // minSeconds, quietSeconds, `/slow` and a second. A machine that delayed the load delayed the stop, too.
                let [min, quiet, longest, second] = [3, 2, 1, 1].map(Duration::from_secs);
                let most = min.max(load.late + quiet) + longest + second + 2 * stop.stall;
                assert!(
                    stop.drained <= most,
                    "{profile} {late} s {by:?}: {:?} of {most:?}\n{}",
                    stop.drained,
                    stop.log
                );
            });
        }
    });
}

/// A stop that lost nothing.
struct Stop {
    /// How long the drain took, according to its own report.
    drained: Duration,
    /// The longest delay of the load generator.
    stall: Duration,
    log: String,
}

fn stop_by(by: By, profile: &str, folder: Folder, command: &[&str], prelude: &str, load: Load) -> Stop {
    let command: Vec<String> = command.iter().map(|word| format!("{word:?}")).collect();
    let config = format!(
        "terminationGracePeriodSeconds = 28\nhttp.listen = \"127.0.0.1:9797\"\n\
         [app]\nprofile = \"{profile}\"\ncommand = [{}]",
        command.join(", ")
    );
    let mut init = Init::in_a_pod(folder, &config, prelude, &[]);
    let pid = init.pid();
    wait_for_port(pid, 80);
    let load = load.start(pid);
    wait_until("the load is on", || load.so_far().ok >= 20);
    let before = load.so_far();
    load.stop_begins();
    if by == By::Hook {
        let answer = in_network_of(pid, || get_as("kube-lifecycle/1.36", 9797, "/lifecycle/preStop"));
        assert!(answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")), "{}", init.log());
    }
    init.signal(15);
    let finished = init.end();
    let outcome = load.finish();
    let (counts, log) = (outcome.counts, finished.log);
    assert_eq!(counts.lost() - before.lost(), 0, "{profile}: {counts:?}, {before:?} before the stop\n{log}");
    assert!(counts.ok_after_stop > 0, "{profile}: no load after the stop began: {counts:?}\n{log}");
    let quiet = log.split_once("quiet after ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
    assert!(quiet.is_some(), "{profile}\n{log}");
    assert!(!log.contains("SIGKILL") && !log.contains(" cut"), "{profile}\n{log}");
    Stop { drained: Duration::from_secs_f64(quiet.unwrap()), stall: outcome.stall, log }
}

pub(crate) const WSGI: &str = "
import time
def app(environ, start_response):
    time.sleep({'/slow': 1, '/long': 5}.get(environ['PATH_INFO'], 0))
    start_response('200 OK', [('Content-Length', '6'), ('Content-Type', 'text/plain')])
    return [b'hello\\n']
";

#[test]
fn php_fpm_behind_nginx_loses_nothing_at_any_removal() {
    let test = "php_fpm_behind_nginx_loses_nothing_at_any_removal";
    let Some(php) = program("php-fpm") else { return not_run(test, "no php-fpm") };
    let load = Load { kept_end: true, silent: 0, ..LOAD };
    stop_in_every_way("php-fpm", load, || php_fpm_behind_nginx(&php));
}

/// Its folder, its command, and shell code that starts nginx.
fn php_fpm_behind_nginx(php: &Path) -> (Folder, Vec<String>, String) {
    let folder = folder();
    let dir = folder.shown().to_owned();
    let page = "<?php if ($_SERVER['REQUEST_URI'] == '/slow') { sleep(1); } header('Content-Length: 5'); echo 'hello';";
    folder.write("page.php", page);
    let pool = "[www]\nuser = www-data\ngroup = www-data\nlisten = 127.0.0.1:9001\npm = static\npm.max_children = 8\n";
    folder.write("fpm.conf", &format!("[global]\nerror_log = {dir}/fpm.log\nprocess_control_timeout = 15s\n{pool}"));
    let php_location = format!(
        "fastcgi_pass 127.0.0.1:9001; fastcgi_param SCRIPT_FILENAME {dir}/page.php; \
         fastcgi_param REQUEST_METHOD $request_method; fastcgi_param REQUEST_URI $request_uri;"
    );
    let nginx = nginx_conf(&dir)
        .replace("return 200 \"hello\\n\";", &php_location)
        .replace("location = /slow", "location = /file");
    let nginx = nginx.replace("location = / ", "location / ");
    folder.write("nginx.conf", &nginx);
    // nginx is the client here, and a proxy that stays: it stops sending requests when the endpoint is removed.
    let prelude = format!("nginx -c {dir}/nginx.conf");
    let command = [php.to_str().unwrap(), "-F", "-y", &format!("{dir}/fpm.conf")].map(str::to_owned);
    (folder, command.to_vec(), prelude)
}

#[test]
fn gunicorn_loses_nothing_at_any_removal() {
    let test = "gunicorn_loses_nothing_at_any_removal";
    let Some(gunicorn) = program("gunicorn") else { return not_run(test, "no gunicorn") };
    // A silent connection blocks a worker of this kind, stop or not; gunicorn needs a proxy in front of it.
    stop_in_every_way("gunicorn", Load { silent: 0, ..LOAD }, || {
        let folder = folder();
        folder.write("wsgi.py", WSGI);
        let dir = folder.shown().to_owned();
        let command = [gunicorn.to_str().unwrap(), "-w", "6", "-b", ":80", "--chdir", &dir, "wsgi:app"];
        (folder, command.map(str::to_owned).to_vec(), String::new())
    });
}

#[test]
fn uwsgi_loses_nothing_without_a_graceful_signal() {
    let test = "uwsgi_loses_nothing_without_a_graceful_signal";
    let Some(uwsgi) = program("uwsgi-core").or(program("uwsgi")) else { return not_run(test, "no uwsgi") };
    let folder = folder();
    folder.write("wsgi.py", WSGI);
    let file = format!("{}/wsgi.py", folder.shown());
    let command = [
        uwsgi.to_str().unwrap(),
        "--http-socket",
        ":80",
        "--plugins",
        "python3",
        "--wsgi-file",
        &file,
        "--callable",
        "app",
        "--master",
        "--processes",
        "6",
        "--need-app",
    ];
    stop_under_load("uwsgi", folder, &command, "", Load { kept_end: true, silent: 0, ..LOAD });
}

#[test]
fn haproxy_loses_nothing() {
    let Some(haproxy) = program("haproxy") else { return not_run("haproxy_loses_nothing", "no haproxy") };
    let folder = folder();
    let conf = "global\n  hard-stop-after 20s\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n\
                frontend f\n  bind :80\n  default_backend b\nbackend b\n  server s 127.0.0.1:9000\n";
    folder.write("haproxy.cfg", conf);
    let file = format!("{}/haproxy.cfg", folder.shown());
    let load = Load { slow: 0, proxied: 2, ..LOAD };
    stop_under_load("haproxy", folder, &[haproxy.to_str().unwrap(), "-W", "-db", "-f", &file], "", load);
}

#[test]
fn apache_loses_nothing() {
    let Some(apache) = program("apache2") else { return not_run("apache_loses_nothing", "no apache2") };
    let folder = folder();
    let dir = folder.shown().to_owned();
    std::fs::create_dir(folder.path("www")).unwrap();
    folder.write("www/index.html", "hello\n");
    folder.write("www/slow", "not really\n");
    let modules: String = ["mpm_event", "authz_core", "dir"]
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .concat();
    let conf = format!(
        "ServerRoot {dir}\nServerName test\nListen 80\nPidFile {dir}/pid\nErrorLog {dir}/error\nDefaultRuntimeDir {dir}\n{modules}\
         User www-data\nGroup www-data\nDocumentRoot {dir}/www\nDirectoryIndex index.html\n"
    );
    folder.write("apache.conf", &conf);
    let file = format!("{dir}/apache.conf");
    stop_under_load("apache", folder, &[apache.to_str().unwrap(), "-DFOREGROUND", "-f", &file], "", LOAD);
}

#[test]
fn node_loses_nothing_although_sigterm_ends_it_at_once() {
    let test = "node_loses_nothing_although_sigterm_ends_it_at_once";
    let Some(node) = program("node") else { return not_run(test, "no node") };
    let server = "require('http').createServer((request, answer) => \
                  setTimeout(() => answer.end('hello'), request.url == '/slow' ? 1000 : 0)).listen(80)";
    let load = Load { kept_end: true, ..LOAD };
    stop_under_load("node", folder(), &[node.to_str().unwrap(), "-e", server], "", load);
}

#[test]
fn postgres_finishes_queries_and_skips_idle_clients() {
    let test = "postgres_finishes_queries_and_skips_idle_clients";
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let Some(bin) = versions.map(|version| version.path().join("bin")).find(|bin| bin.join("initdb").exists()) else {
        return not_run(test, "no postgresql");
    };
    let folder = folder();
    let dir = folder.shown().to_owned();
    let bin = bin.to_str().unwrap();
    let data = format!("{dir}/pg/data");
    std::fs::create_dir(folder.path("pg")).unwrap();
    let run = |words: &[&str]| {
        let (program, args) = words.split_first().unwrap();
        let output = Command::new(program).args(args).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run(&["chown", "postgres", &format!("{dir}/pg")]);
    run(&[
        "setpriv",
        "--reuid=postgres",
        "--regid=postgres",
        "--clear-groups",
        &format!("{bin}/initdb"),
        "-N",
        "-A",
        "trust",
        "-D",
        &data,
    ]);
    let config = format!(
        "terminationGracePeriodSeconds = 28\n[app]\nprofile = \"postgres\"\nuser = \"postgres\"\n\
         command = [\"{bin}/postgres\", \"-D\", \"{data}\", \"-k\", \"{dir}/pg\", \"-h\", \"127.0.0.1\"]"
    );
    let init = Init::in_a_pod(folder, &config, "", &[]);
    let pid = init.pid();
    let psql = |query: &str| {
        // A query within the same tick of the kernel's clock as the greeting would look answered (docs/drain.md).
        let args = ["-h", "127.0.0.1", "-U", "postgres", "-At", "-c", "\\! sleep 0.1", "-c", query];
        let child =
            Command::new(Path::new(bin).join("psql")).args(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        child.unwrap()
    };
    in_network_of(pid, || {
        wait_until("postgres answers", || output_of(psql("select 1")).status.success());
        // A pooled connection that sends nothing until it is closed.
        let mut idle = Command::new(Path::new(bin).join("psql"));
        let idle = idle.args(["-h", "127.0.0.1", "-U", "postgres"]).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut idle = idle.stderr(Stdio::null()).spawn().unwrap();
        let queries: Vec<_> = (0..4).map(|_| psql("select pg_sleep(3), 'whole'")).collect();
        let running = || {
            psql("select count(*) from pg_stat_activity where query like '%pg_sleep(3)%' and pid <> pg_backend_pid()")
        };
        wait_until("the queries run", || output_of(running()).stdout.starts_with(b"4"));
        init.signal(15);
        for query in queries {
            let output = output_of(query);
            assert!(String::from_utf8_lossy(&output.stdout).contains("whole"), "a query was cut\n{}", init.log());
        }
        wait_until("postgres ends", || init.has_ended());
        let _ = idle.kill();
        let _ = idle.wait();
    });
    let finished = init.finish();
    assert_eq!(finished.code(), 0, "{}", finished.log);
    assert!(!finished.log.contains("SIGKILL"), "{}", finished.log);
}

//! Verdicts about nginx, and about five runs of one server. Those that take minutes are ignored: `make rehearse` runs them.

use super::*;

/// The same verdict five times, and stops that differ by less than half a second. `make test` ignores it because it takes five
/// minutes; `make rehearse` runs it.
#[test]
#[ignore = "it takes five minutes: `make rehearse` runs it"]
fn five_runs_give_the_same_verdict() {
    let Some(bookend) = bookend("five_runs_give_the_same_verdict") else { return };
    let hook_port = free_port().to_string();
    let options = [
        "--late",
        "2",
        "--tini",
        "/usr/bin/tini-static",
        "--bookend",
        bookend.to_str().unwrap(),
        "--hook-port",
        &hook_port,
        "--tries",
        "0",
        "--json",
        "--profile",
        "none",
    ];
    for how in ["well", "at-once"] {
        let runs: Vec<Vec<(String, bool, f64, f64)>> = (0..5)
            .map(|_| {
                let (_, results) = result(&tool_of(alone(), how, free_port(), &options).output().unwrap());
                let runs = results.get("runs").and_then(Value::as_array).unwrap().iter();
                let seconds = |run: &Value, name: &str| run.get(name).and_then(Value::as_f64).unwrap();
                let name = |run: &Value| run.get("strategy").and_then(Value::as_str).unwrap().to_owned();
                let both = |run: &Value| (seconds(run, "stopSeconds"), seconds(run, "stallSeconds"));
                runs.map(|run| (name(run), number(run, "/lost") == 0, both(run).0, both(run).1)).collect()
            })
            .collect();
        let (first, others) = runs.split_first().unwrap();
        assert_eq!(first.len(), 5, "{runs:?}");
        for other in others {
            for (a, b) in first.iter().zip(other) {
                assert_eq!((&a.0, a.1), (&b.0, b.1), "{how}: {runs:?}");
                // A machine that delayed the load delayed the stop, too.
                assert!((a.2 - b.2).abs() <= 0.5 + 2.0 * (a.3 + b.3), "{how}: {runs:?}");
            }
        }
    }
}

/// The tool finds for nginx what `make bench-drain` finds. `make test` ignores it because nginx without bookend waits
/// minutes for silent connections; `make rehearse` runs it.
#[test]
#[ignore = "nginx waits minutes for silent connections: `make rehearse` runs it"]
fn the_strategies_of_the_bench_are_told_apart_on_nginx() {
    let Some(bookend) = bookend("the_strategies_of_the_bench_are_told_apart_on_nginx") else { return };
    let folder = std::env::temp_dir().join(format!("bookend-rehearse-nginx-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let lost = |signal: &str, options: &[&str]| -> Vec<(String, u64)> {
        let port = free_port();
        nginx_conf(&folder, port);
        let conf = folder.join("nginx.conf").display().to_string();
        let (url, slow) = (format!("http://127.0.0.1:{port}/"), format!("http://127.0.0.1:{port}/slow"));
        let mut command = alone();
        command.args([
            "--url",
            &url,
            "--slow-url",
            &slow,
            "--late",
            "6",
            "--grace",
            "20",
            "--rate",
            "200",
            "--silent",
            "2",
        ]);
        command.args(["--tries", "0", "--json", "--stop-signal", signal, "--bookend", bookend.to_str().unwrap()]);
        command.args(options).args(["--", "nginx", "-c", &conf, "-g", "daemon off;"]);
        let (_, results) = result(&command.output().unwrap());
        let runs = results.get("runs").and_then(Value::as_array).unwrap().iter();
        runs.map(|run| (run.get("strategy").unwrap().as_str().unwrap().to_owned(), number(run, "/lost"))).collect()
    };
    let script = format!("nginx -c {}/nginx.conf -s quit; while killall -0 nginx; do sleep 1; done", folder.display());
    let term = lost(
        "SIGTERM",
        &[
            "--tini",
            "/usr/bin/tini-static",
            "--init",
            "dumb-init=/usr/bin/dumb-init --rewrite 15:3 --",
            "--sleep",
            "3",
            "--pre-stop",
            &script,
        ],
    );
    let quit = lost("SIGQUIT", &["--sleep", "3,5"]);
    std::fs::remove_dir_all(&folder).unwrap();
    for (strategy, lost) in term.iter().chain(&quit) {
        assert_eq!(*lost == 0, strategy.starts_with("bookend-"), "{strategy}: {term:?} {quit:?}");
    }
    assert_eq!(term.len() + quit.len(), 12, "{term:?} {quit:?}");
}

/// Over TLS with a certificate that no client trusts: nginx alone refuses the clients that still arrive, and behind bookend none.
#[test]
fn nginx_with_tls_is_rehearsed() {
    let Some(bookend) = bookend("nginx_with_tls_is_rehearsed") else { return };
    let folder = std::env::temp_dir().join(format!("bookend-rehearse-tls-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let port = free_port();
    nginx_conf(&folder, port);
    let own = rcgen::generate_simple_self_signed(["shop.example".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), own.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), own.signing_key.serialize_pem()).unwrap();
    let conf = folder.join("nginx.conf");
    let plain = std::fs::read_to_string(&conf).unwrap();
    let dir = folder.display();
    let tls =
        format!(":{port} ssl;\n        ssl_certificate {dir}/cert.pem;\n        ssl_certificate_key {dir}/key.pem;");
    std::fs::write(&conf, plain.replace(&format!(":{port};"), &tls)).unwrap();
    let (url, slow) = (format!("https://127.0.0.1:{port}/"), format!("https://127.0.0.1:{port}/slow"));
    let mut command = alone();
    command.args(["--url", &url, "--slow-url", &slow, "--late", "2", "--silent", "0", "--stop-signal", "SIGQUIT"]);
    command.args(["--strategies", "as-is,bookend-signal", "--judge", "bookend-signal", "--tries", "0", "--json"]);
    command.args(["--bookend", bookend.to_str().unwrap(), "--", "nginx", "-c", conf.to_str().unwrap()]);
    command.args(["-g", "daemon off;"]);
    let (code, results) = result(&command.output().unwrap());
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(code, 0, "nothing is lost behind bookend: {results:#}");
    assert_ne!(number(run(&results), "/kinds/new/refused"), 0, "as it is: {results:#}");
    assert!(number(run(&results), "/total/ok") > 0, "{results:#}");
}

fn nginx_conf(folder: &Path, port: u16) {
    let dir = folder.display();
    std::fs::write(folder.join("slow"), vec![b'x'; 400_000]).unwrap();
    std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let text = format!(
        "worker_processes 2;\nworker_shutdown_timeout 20s;\npid {dir}/nginx.pid;\nerror_log {dir}/error.log;\n\
         events {{ worker_connections 1024; }}\nhttp {{\n    access_log off;\n    server {{\n        listen 127.0.0.1:{port};\n\
         location = / {{ return 200 \"hello\\n\"; }}\n        location = /slow {{ alias {dir}/slow; limit_rate 200k; }}\n    }}\n}}\n"
    );
    std::fs::write(folder.join("nginx.conf"), text).unwrap();
}

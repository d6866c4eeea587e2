//! `bookend wait`: waits until its targets are ready, with a time limit.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Folder, Init, bookend, free_port, run};

fn waiting(targets: &[&str]) -> Init {
    let mut command = Command::new(bookend());
    command.arg("wait").args(targets);
    Init::start(Folder::new(), command)
}

/// A server that answers 503 this many times, then 204.
fn unready(listener: TcpListener, times: usize) {
    std::thread::spawn(move || {
        for n in 0.. {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let mut request = [0; 2048];
            let _ = stream.read(&mut request);
            let status = if n < times { "503 Service Unavailable" } else { "204 No Content" };
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
}

#[test]
fn wait_ends_when_every_target_is_ready() {
    let folder = Folder::new();
    let (port, file) = (free_port(), folder.path("ready"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://127.0.0.1:{}/healthz", listener.local_addr().unwrap().port());
    let mut life = waiting(&[&format!("tcp://localhost:{port}"), &format!("file:{}", file.display()), &url]);
    let still_waits = |life: &mut Init| {
        // The command has checked more than once by then.
        std::thread::sleep(Duration::from_millis(200));
        assert!(life.is_running(), "{}", life.log());
    };
    still_waits(&mut life);
    let _listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    still_waits(&mut life);
    folder.write("ready", "");
    still_waits(&mut life);
    unready(listener, 2);
    let finished = life.finish();
    assert_eq!(finished.code(), 0, "{finished:?}");
    assert_eq!((finished.log.as_str(), finished.out.as_str()), ("", ""));
}

#[test]
fn wait_reports_which_target_is_missing_and_why() {
    let (port, began) = (free_port(), Instant::now());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    unready(listener, usize::MAX);
    let tcp = format!("tcp://127.0.0.1:{port}");
    let finished = run(&["wait", &tcp, "file:/no/such/file", &url, "file:/", "--timeout-seconds", "0.5"]);
    assert_eq!(finished.code(), 1, "{finished:?}");
    assert!(began.elapsed() < Duration::from_secs(15));
    let lines: Vec<&str> = finished.log.lines().collect();
    assert_eq!(lines.len(), 3, "available targets are not reported: {finished:?}");
    for (target, why) in [(tcp.as_str(), "refused"), ("file:/no/such/file", "No such file"), (url.as_str(), "503")] {
        let line = lines.iter().find(|line| line.contains(&format!("{target} is not available after 0.5 s")));
        assert!(line.is_some_and(|line| line.contains(why)), "{target} {why}: {finished:?}");
    }
}

#[test]
fn wait_without_time_checks_once() {
    assert_eq!(run(&["wait", "file:/", "--timeout-seconds", "0"]).code(), 0);
    assert_eq!(run(&["wait", "file:/none", "--timeout-seconds", "0"]).code(), 1);
}

#[test]
fn an_invalid_wait_target_is_a_usage_error() {
    for target in ["db:5432", "tcp://db", "ftp://db:21"] {
        let finished = run(&["wait", target]);
        assert!(
            finished.code() == 125 && finished.log.contains("is not one of tcp://HOST:PORT"),
            "{target}: {finished:?}"
        );
    }
    assert_eq!(run(&["wait"]).code(), 125);
}

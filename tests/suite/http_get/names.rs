//! Names are resolved while bookend goes on working.

use super::*;

/// A name server on 127.0.0.1:53 of the test's own network namespace: it answers A for `app.internal.`, a truncated
/// response over UDP for `big.internal.`, and nothing for `hung.internal.`.
fn answer_name(query: &[u8], over_tcp: bool) -> Option<Vec<u8>> {
    let mut name = String::new();
    let mut at = 12;
    while query[at] != 0 {
        let length = usize::from(query[at]);
        name.push_str(std::str::from_utf8(&query[at + 1..at + 1 + length]).unwrap());
        name.push('.');
        at += 1 + length;
    }
    let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
    let question = &query[12..at + 5];
    let known = matches!(name.as_str(), "app.internal." | "big.internal.");
    if name == "hung.internal." {
        return None;
    }
    let truncated = name == "big.internal." && !over_tcp;
    let address = known && kind == 1 && !truncated;
    let flags: u16 = 0x8180 | if truncated { 0x0200 } else { 0 } | if known { 0 } else { 3 };
    let mut answer = query[..2].to_vec();
    answer.extend(flags.to_be_bytes());
    answer.extend([0, 1, 0, u8::from(address), 0, 0, 0, 0]);
    answer.extend(question);
    if address {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    Some(answer)
}

/// A network namespace of this thread's own with that name server. `false`: it needs root.
fn enter_a_network_with_a_name_server() -> bool {
    if !nix::unistd::geteuid().is_root() {
        let test = "names_are_resolved_by_hosts_and_name_server";
        println!("NOT RUN (needs root): {test}");
        assert!(std::env::var_os("CI").is_none(), "NOT RUN: {test}");
        return false;
    }
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
    let up = std::process::Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap();
    assert!(up.success());
    let udp = std::net::UdpSocket::bind("127.0.0.1:53").unwrap();
    let tcp = TcpListener::bind("127.0.0.1:53").unwrap();
    std::thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, peer)) = udp.recv_from(&mut query) {
            if let Some(answer) = answer_name(&query[..length], false) {
                let _ = udp.send_to(&answer, peer);
            }
        }
    });
    std::thread::spawn(move || {
        for stream in tcp.incoming() {
            // Both questions, A and AAAA, may come on one connection.
            let mut stream: TcpStream = stream.unwrap();
            let mut length = [0; 2];
            while stream.read_exact(&mut length).is_ok() {
                let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
                if stream.read_exact(&mut query).is_err() {
                    break;
                }
                if let Some(answer) = answer_name(&query, true) {
                    let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
                    let _ = stream.write_all(&[&length[..], &answer].concat());
                }
            }
        }
    });
    true
}

/// bookend, not as PID 1, with /etc/hosts and /etc/resolv.conf of its own, in this thread's network.
fn with_own_names(config: &str, args: &[&str]) -> Init {
    let folder = Folder::new();
    folder.write("hosts", "127.0.0.1 listed.example\n");
    folder.write("resolv.conf", "nameserver 127.0.0.1\nsearch internal\noptions timeout:2 attempts:1\n");
    folder.write("bookend.toml", config);
    let mount =
        "mount --bind $D/hosts /etc/hosts && mount --bind $D/resolv.conf /etc/resolv.conf && shift && exec \"$@\"";
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "sh", "-c", mount, "sh", "-"]).arg(crate::support::bookend()).arg("-c");
    command.arg(folder.path("bookend.toml")).args(args).env("D", folder.path(""));
    Init::start(folder, command)
}

#[test]
fn names_are_resolved_by_hosts_and_name_server() {
    if !enter_a_network_with_a_name_server() {
        return;
    }
    let server = Server::new(&[&answer("200 OK", "")]);
    for (host, good) in [
        ("listed.example", true),
        ("app.internal", true),
        ("app.internal.", true),
        // By the search list, and over TCP.
        ("app", true),
        ("big.internal", true),
        ("none.internal", false),
    ] {
        let config = format!("lifecycle.preStart.httpGet = {{ host = \"{host}\", port = {} }}", server.port);
        let finished = with_own_names(&config, &["--", "true"]).finish();
        assert_eq!(finished.code() == 0, good, "{host}: {}", finished.log);
        if good {
            assert!(server.request().contains(&format!("{host}:{}", server.port)));
        } else {
            assert!(finished.log.contains("cannot resolve \"none.internal\""), "{}", finished.log);
        }
    }
}

#[test]
fn a_port_of_an_unknown_host_does_not_count_as_closed() {
    if !enter_a_network_with_a_name_server() {
        return;
    }
    let config = "lifecycle.preStart.tcpSocket = { host = \"none.internal\", port = 80, until = \"Closed\" }";
    let finished = with_own_names(config, &["--", "true"]).finish();
    assert_eq!(finished.code(), 125, "{}", finished.log);
    assert!(finished.log.contains("cannot resolve \"none.internal\""), "{}", finished.log);
}

#[test]
fn a_name_server_that_hangs_delays_no_signal_and_no_exit() {
    if !enter_a_network_with_a_name_server() {
        return;
    }
    // There are more lookups in flight than threads for them.
    let one = "{ httpGet = { host = \"hung.internal\", port = 80 }, timeoutSeconds = 0.5, failurePolicy = \"Ignore\" }";
    let config = format!("lifecycle.postStart = [{}]\nlifecycle.preStop.sleep.seconds = 0.1", [one; 12].join(","));
    let app = "trap 'echo hup' HUP; trap 'exit 7' TERM; echo up; while :; do sleep 0.02; done";
    let init = with_own_names(&config, &["--", "sh", "-c", app]);
    init.wait_for_out("up");
    init.wait_for_log("timed out after 0.500 s");
    init.signal(1);
    init.wait_for_out("hup");
    let began = std::time::Instant::now();
    init.signal(15);
    assert_eq!(init.finish().code(), 7);
    // glibc and musl would wait two seconds for the name server, several times.
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn the_resolver_thread_takes_no_signals() {
    if !enter_a_network_with_a_name_server() {
        return;
    }
    let config = "lifecycle.postStart = { httpGet = { host = \"hung.internal\", port = 80 } }\napp.stopSignals = []";
    let init = with_own_names(config, &[&["--"], &PRINTS_SIGNALS[..]].concat());
    init.wait_for_out("up");
    let tasks = format!("/proc/{}/task", init.pid());
    wait_until("there is a thread", || std::fs::read_dir(&tasks).is_ok_and(|tasks| tasks.count() > 1));
    // SIGRTMIN is one that musl leaves unblocked in its threads. SIGTTIN and SIGTTOU are not forwarded.
    for signal in (1..=8).chain(10..=16).chain([20]).chain(23..=31).chain(34..=64) {
        init.signal(signal);
        init.wait_for_out(&format!("<{signal}>"));
    }
}

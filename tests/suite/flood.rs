//! Floods of one address: silent connections, half-sent requests, half TLS hellos. Another address, as the kubelet's, must
//! not notice them.

mod figures;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt};

use crate::kubelet::{Kubelet, Scheme};
use crate::support::{Folder, Init, bookend, child_of, code, free_port, signal, wait_until};

/// Another address of the loopback interface, which has a whole network of them.
const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A connection of the attacker. Its close is a reset, so that its port is free at once.
fn connect_as_attacker(port: u16) -> nix::Result<TcpStream> {
    use std::os::fd::AsRawFd;
    let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(&fd, sockopt::Linger, &linger)?;
    bind(fd.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(ATTACKER, 0)))?;
    connect(fd.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)))?;
    Ok(TcpStream::from(fd))
}

/// Opens connections as fast as it can, sends these bytes on each, and holds the newest few hundred.
fn flood(port: u16, bytes: &[u8], stop: &AtomicBool, count: &AtomicU64) {
    let mut held = std::collections::VecDeque::new();
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut stream) = connect_as_attacker(port) else { continue };
        let _ = stream.write_all(bytes);
        count.fetch_add(1, Ordering::Relaxed);
        held.push_back(stream);
        if held.len() > 300 {
            held.pop_front();
        }
    }
}

/// Acts as a kubelet's probe, on a separate connection.
fn probe(port: u16) -> io::Result<Duration> {
    let began = Instant::now();
    let mut stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    if answer.starts_with(b"HTTP/1.1 200") { Ok(began.elapsed()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// The bytes that the attacker sends on each connection.
const KINDS: [(&str, &[u8]); 3] = [
    ("silent connections", b""),
    ("half-sent requests", b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nX: "),
    ("half TLS hellos", b"\x16\x03\x01\x02\x00\x01\x00"),
];

/// This limit is far longer than the second that a kubelet waits, so that a busy machine does not fail. A benchmark measures the time.
const TIMEOUT: Duration = Duration::from_secs(20);

#[test]
fn a_flood_from_one_address_delays_no_other_address() {
    let port = free_port();
    let init = Init::configured(
        &format!("http.listen = \"127.0.0.1:{port}\"\nhttp.selfSigned = true"),
        &["--", "sleep", "1000"],
    );
    wait_until("the endpoint answers", || code(port, "/readyz") == 200);
    for (what, bytes) in KINDS {
        let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
        let mut times = Vec::new();
        let began = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| flood(port, bytes, &stop, &count));
            // The attacker's address has used all of its connections before the first probe comes.
            wait_until("the flood is there", || count.load(Ordering::Relaxed) > 500);
            times = (0..60).map(|_| probe(port)).collect::<Vec<_>>();
            stop.store(true, Ordering::Relaxed);
        });
        let rate = count.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64();
        let slowest = times.iter().flatten().max();
        println!("{what}: {rate:.0} a second, the slowest probe took {slowest:?}");
        assert!(times.iter().all(Result::is_ok), "{what}: {times:?}");
        assert!(Kubelet::new(port, Scheme::Http).hook("/lifecycle/postStart").is_ok(), "{what}");
    }
    init.signal(15);
    assert_eq!(init.finish().code(), 143);
}

#[test]
fn accepting_leaves_time_for_signals_and_for_requests() {
    let (folder, port) = (Folder::new(), free_port());
    let config = folder.write("bookend.toml", &format!("http.listen = \"127.0.0.1:{port}\""));
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-e", "signal=none", "-e", "trace=accept4,?epoll_wait,epoll_pwait", "-o"]);
    strace.arg(folder.path("strace")).arg(bookend()).arg("-c").arg(config).args(["--", "sleep", "1000"]);
    let init = Init::start(folder, strace);
    wait_until("the endpoint answers", || code(port, "/livez") == 200);
    let pid = child_of(init.pid().unsigned_abs()).unwrap();
    // bookend is stopped until all of the connections wait in the backlog.
    signal(pid, 19);
    let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    wait_until("it is stopped", || stat().contains(") t "));
    let clients: Vec<TcpStream> = (0..200).map(|_| connect_as_attacker(port).expect("the backlog has room")).collect();
    signal(pid, 18);
    wait_until("a probe is answered", || code(port, "/livez") == 200);
    drop(clients);
    let trace = init.folder.read("strace");
    let accepted = |text: &str| text.lines().filter(|line| line.contains("accept4") && !line.contains("= -1")).count();
    assert!(accepted(&trace) >= 200, "{trace}");
    // The loop accepts a limited number of connections before it polls for events again.
    let most = trace.split("epoll_").map(accepted).max().unwrap();
    assert!((2..=64).contains(&most), "{most} connections accepted in one turn:\n{trace}");
}

#[test]
fn a_drain_lists_connections_beside_the_loop() {
    let (folder, port) = (Folder::new(), free_port());
    let app = format!(
        "use IO::Socket::INET; my $s = IO::Socket::INET->new(Listen => 9, LocalAddr => '127.0.0.1:{port}'); \
         syswrite STDOUT, 'up'; my $c = $s->accept; sleep 1000"
    );
    let drain = "until = \"NoConnections\", minSeconds = 0, quietSeconds = 0, maxSeconds = 2";
    let config = folder
        .write("bookend.toml", &format!("terminationGracePeriodSeconds = 20\nlifecycle.preStop.drain = {{ {drain} }}"));
    let mut strace = Command::new("strace");
    // Without -f: the loop's thread alone.
    strace.args(["-qq", "-e", "signal=none", "-e", "trace=recvfrom", "-o"]).arg(folder.path("strace"));
    strace.arg(bookend()).arg("-c").arg(config).args(["--", "perl", "-e", &app]);
    let mut init = Init::start(folder, strace);
    init.wait_for_out("up");
    let _held = TcpStream::connect(("127.0.0.1", port)).unwrap();
    signal(child_of(init.pid().unsigned_abs()).unwrap(), 15);
    let finished = init.end();
    assert!(finished.log.contains("not quiet after 2"), "{}", finished.log);
    let trace = init.folder.read("strace");
    let lists = trace.lines().filter(|line| line.contains(", 32768, ")).count();
    // The listeners, right before the stop signal.
    assert!(lists <= 8, "{lists} parts of lists read by the loop:\n{trace}");
}

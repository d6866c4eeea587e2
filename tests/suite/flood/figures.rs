//! Figures of floods: `make flood`. They depend on the machine, so `make test` does not measure them: there `super` holds the causes.

use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt};

use super::{KINDS, connect_as_attacker, probe};
use crate::kubelet::{Kubelet, Scheme};
use crate::support::{Folder, Init, code, free_port, in_network_of, is_root, not_run, wait_until};

/// Connections of the attacker, each second.
const RATE: u64 = 10_000;
const FLOODERS: u64 = 4;

/// Opens connections at a rate, sends these bytes on each, and holds the newest ones.
fn flood_at_rate(port: u16, bytes: &[u8], stop: &AtomicBool, count: &AtomicU64) {
    use std::io::Write;
    let mut held = std::collections::VecDeque::new();
    let (began, mut made) = (Instant::now(), 0u64);
    while !stop.load(Ordering::Relaxed) {
        if made * FLOODERS >= RATE * u64::try_from(began.elapsed().as_micros()).unwrap() / 1_000_000 {
            std::thread::sleep(Duration::from_micros(200));
            continue;
        }
        made += 1;
        let Ok(mut stream) = connect_as_attacker(port) else { continue };
        let _ = stream.write_all(bytes);
        count.fetch_add(1, Ordering::Relaxed);
        held.push_back(stream);
        if held.len() > 100 {
            held.pop_front();
        }
    }
}

#[test]
#[ignore = "it measures times, which a busy machine changes: `make flood` runs it, and `make test` holds the causes"]
fn sixty_of_sixty_probes_and_hooks_take_less_than_100_ms() {
    let port = free_port();
    let config = format!("http.listen = \"127.0.0.1:{port}\"\nhttp.selfSigned = true");
    let init = Init::configured(&config, &["--", "sleep", "1000"]);
    wait_until("the endpoint answers", || code(port, "/readyz") == 200);
    let mut slow = String::new();
    for (what, bytes) in KINDS {
        let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..FLOODERS {
                scope.spawn(|| flood_at_rate(port, bytes, &stop, &count));
            }
            wait_until("the flood is there", || count.load(Ordering::Relaxed) > RATE / 2);
            let (began, before) = (Instant::now(), count.load(Ordering::Relaxed));
            let hook = || {
                let began = Instant::now();
                Kubelet::new(port, Scheme::Http).hook("/lifecycle/postStart").ok().map(|_| began.elapsed())
            };
            let mut asked = |who: &str, ask: &dyn Fn() -> Option<Duration>| {
                let times: Vec<Option<Duration>> = (0..60)
                    .map(|_| {
                        std::thread::sleep(Duration::from_millis(20));
                        ask()
                    })
                    .collect();
                let answered = times.iter().flatten().filter(|time| **time <= Duration::from_millis(100)).count();
                println!(
                    "{what}: {answered} of 60 {who} within 100 ms, the slowest {:?}",
                    times.iter().flatten().max()
                );
                if answered < 60 {
                    slow.push_str(&format!("{what}: {who}: {answered} of 60; "));
                }
            };
            asked("probes", &|| probe(port).ok());
            asked("hooks", &hook);
            let rate = (count.load(Ordering::Relaxed) - before) as f64 / began.elapsed().as_secs_f64();
            println!("{what}: {rate:.0} a second");
            stop.store(true, Ordering::Relaxed);
        });
    }
    init.signal(15);
    assert_eq!(init.finish().code(), 143);
    assert!(slow.is_empty(), "{slow}on a machine with other work, give all of it real-time priority: chrt --rr 1");
}

/// A silent client of the app, from an address of its own for every twenty thousand of them.
fn silent_client(port: u16, number: usize) -> TcpStream {
    let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(&fd, sockopt::Linger, &linger).unwrap();
    let from = Ipv4Addr::new(127, 0, 1, u8::try_from(number / 20_000 + 1).unwrap());
    bind(fd.as_raw_fd(), &SockaddrIn::from(std::net::SocketAddrV4::new(from, 0))).unwrap();
    connect(fd.as_raw_fd(), &SockaddrIn::from(std::net::SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))).unwrap();
    TcpStream::from(fd)
}

/// The processor time of a process, in hundredths of a second.
fn ticks(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let times = stat.rsplit_once(") ").unwrap().1.split(' ').skip(11).take(2);
    times.map(|time| time.parse::<u64>().unwrap()).sum()
}

#[test]
#[ignore = "it measures times, which a busy machine changes: `make flood` runs it, and `make test` holds the causes"]
fn a_drain_beside_100_000_connections_delays_no_signal() {
    if !is_root("a_drain_beside_100_000_connections_delays_no_signal") {
        return;
    }
    let connections = std::env::var("FLOOD_CONNECTIONS").map_or(100_000, |text| text.parse().unwrap());
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let wanted = u64::try_from(connections).unwrap() + 1000;
    if setrlimit(Resource::RLIMIT_NOFILE, wanted, most.max(wanted)).is_err() {
        not_run("a_drain_beside_100_000_connections_delays_no_signal", "the limit of open files is too low");
        return;
    }
    // A network of its own: `ss` of the machine and other tests do not see the connections.
    let app = "use IO::Socket::INET; my $s = IO::Socket::INET->new(Listen => 4096, LocalAddr => '127.0.0.1:8080') or die $!; \
        $SIG{TERM} = 'IGNORE'; $SIG{USR1} = sub { syswrite STDOUT, '.' }; syswrite STDOUT, \"up\\n\"; my @held; \
        while (1) { my $c = $s->accept or next; push @held, $c }";
    let drain = "{ ports = [8080], until = \"NoConnections\", minSeconds = 0, maxSeconds = 40 }";
    let config = format!("terminationGracePeriodSeconds = 60\nlifecycle.preStop.drain = {drain}");
    let init = Init::in_a_pod(Folder::new(), &config, "", &["--", "perl", "-e", app]);
    init.wait_for_out("up");
    let held: Vec<TcpStream> =
        in_network_of(init.pid(), || (0..connections).map(|number| silent_client(8080, number)).collect());
    init.signal(15);
    // The first looks.
    std::thread::sleep(Duration::from_secs(1));
    // Without signals, which cost as well.
    let (began, before) = (Instant::now(), ticks(init.pid()));
    std::thread::sleep(Duration::from_secs(10));
    let share = (ticks(init.pid()) - before) as f64 / began.elapsed().as_secs_f64();
    let began = Instant::now();
    let mut times = Vec::new();
    while began.elapsed() < Duration::from_secs(15) {
        let (sent, length) = (Instant::now(), init.out().len());
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(init.pid()), nix::sys::signal::Signal::SIGUSR1).unwrap();
        while init.out().len() == length {
            assert!(sent.elapsed() < Duration::from_secs(10), "{}", init.log());
            std::thread::sleep(Duration::from_micros(100));
        }
        times.push(sent.elapsed());
        std::thread::sleep(Duration::from_millis(5));
    }
    times.sort();
    let p99 = times[times.len() * 99 / 100];
    println!(
        "{} connections, {} signals: p99 {p99:?}, the slowest {:?}; {share:.1} % of a processor",
        held.len(),
        times.len(),
        times.last().unwrap()
    );
    assert!(share <= 3.0, "{share} % of a processor");
    assert!(p99 <= Duration::from_millis(5), "{p99:?}");
}

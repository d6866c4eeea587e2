//! The parsers of untrusted input as functions of bytes: each must return for any bytes. Two drivers call
//! them: cargo-fuzz, with coverage (`fuzz/`, `make fuzz`), and the test below, in seconds and without any tool, with the
//! corpus in `fuzz/corpus` and mutations of it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use crate::http::fuzz_harness::{self, Scenario};
use crate::net::{proc_tcp, snmp, sock_diag, tcp_info};
use crate::process::reaper::Ended;
use bookend_config::{Document, Sources, expand};
use bookend_lifecycle::Outcome;
use bookend_lifecycle::signal::Signal;

/// A function of bytes, and its name: that of its corpus and of its file in `fuzz/fuzz_targets`.
pub type FuzzTarget = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[FuzzTarget] = &[
    ("configuration", configuration),
    ("environment", environment),
    ("assignments", assignments),
    ("sd_notify", sd_notify),
    ("expansion", expansion),
    ("signal_name", signal_name),
    ("wait_status", wait_status),
    ("netlink", netlink),
    ("proc_net", proc_net),
    ("http_request", http_request),
];

/// A configuration file: errors or settings, never a panic. The output of `bookend check` is a valid configuration.
pub fn configuration(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let load = |text: String| {
        let files = vec![Document { name: "fuzz.toml".to_owned(), text }];
        bookend_config::load(&Sources { files, ..Sources::default() })
    };
    match load(text) {
        Ok(effective) => {
            let _ = effective.to_string();
            let again = load(effective.to_toml());
            assert!(again.is_ok(), "the output of check is not a configuration:\n{}\n{again:?}", effective.to_toml());
        }
        Err(mistakes) => assert!(!mistakes.to_string().is_empty(), "a mistake says something"),
    }
}

/// The environment, one variable per line.
pub fn environment(bytes: &[u8]) {
    let variable = |line: &[u8]| {
        let (name, value) = line.split_at(line.iter().position(|byte| *byte == b'=')?);
        let own = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        Some((own(name), own(value.get(1..)?)))
    };
    let env = bytes.split(|byte| *byte == b'\n').filter_map(variable).collect();
    match bookend_config::load(&Sources { env, ..Sources::default() }) {
        Ok(effective) => drop(effective.to_string()),
        Err(mistakes) => assert!(!mistakes.to_string().is_empty(), "a mistake says something"),
    }
}

/// The output of a preStart handler on descriptor 3.
pub fn assignments(bytes: &[u8]) {
    match bookend_config::assignments::read(bytes) {
        Ok(read) => drop(read),
        Err(mistakes) => assert!(!mistakes.is_empty(), "a mistake says something"),
    }
}

/// A datagram of the app on NOTIFY_SOCKET.
pub fn sd_notify(bytes: &[u8]) {
    let messages = bookend_lifecycle::notify::parse(bytes);
    assert!(messages.len() <= bytes.split(|byte| *byte == b'\n').count(), "a message is a line");
}

/// `$(VAR)` in a text; the value of the variable contains references as well.
pub fn expansion(bytes: &[u8]) {
    let (value, text) = bytes.split_at(bytes.len() / 4);
    let expanded = expand::expand(text, |name| (name == b"A").then_some(value));
    // Each `$(A)` becomes the value at most once: nothing is expanded again.
    let references = text.windows(4).filter(|window| window == b"$(A)").count();
    assert!(expanded.len() <= text.len() + references * value.len());
}

/// The name or the number of a signal. Its printed form must be read as the same signal.
pub fn signal_name(bytes: &[u8]) {
    let Ok(signal) = String::from_utf8_lossy(bytes).parse::<Signal>() else { return };
    assert!((1..=64).contains(&signal.number()));
    let shown = signal.to_string();
    let read_back = shown.parse::<Signal>().or_else(|_| shown.trim_start_matches("SIG").parse());
    assert_eq!(read_back, Ok(signal), "{shown}");
}

/// The status of a child, from waitpid(2).
pub fn wait_status(bytes: &[u8]) {
    for word in bytes.chunks_exact(4) {
        let status = i32::from_ne_bytes(word.try_into().unwrap_or_default());
        if let Some(Ended::Signalled(signal)) = Ended::from_wait_status(status) {
            assert!((1..=64).contains(&signal.number()));
        }
    }
}

/// The kernel's answer to a query about sockets.
pub fn netlink(bytes: &[u8]) {
    let part = sock_diag::parse(bytes);
    assert!(part.sockets.len() <= bytes.len() / 16, "a socket takes its bytes");
    let _ = tcp_info::TcpInfo::parse(bytes);
}

/// `/proc/net/tcp` and `/proc/net/snmp`.
pub fn proc_net(bytes: &[u8]) {
    assert!(proc_tcp::parse(bytes).count() <= bytes.split(|byte| *byte == b'\n').count());
    let _ = snmp::parse(bytes);
}

/// The bytes of a client at the port, or of a user at the socket. The first two bytes select the listener, the outcome of
/// hooks and the size of the portions in which the rest comes. At most one answer, or a close; at most one hook; and no
/// path of the socket through the port.
pub fn http_request(bytes: &[u8]) {
    let [which, portion, request @ ..] = bytes else { return };
    let outcomes = [Some(Outcome::Succeeded), Some(Outcome::Failed), Some(Outcome::Aborted), None];
    let scenario = Scenario {
        is_socket: which & 1 != 0,
        is_refused: which & 2 != 0,
        outcome: outcomes.get(usize::from(which >> 2 & 3)).copied().flatten(),
        chunk: usize::from(*portion) * 16,
    };
    let seen = fuzz_harness::run_connection(request, scenario);
    let Some(seen) = seen else { unreachable!("it does not end: {:?}", String::from_utf8_lossy(request)) };
    let shown = String::from_utf8_lossy(&seen.answer);
    assert!(seen.hooks <= 1 && seen.hooks + seen.verbs <= 1, "one connection, one request");
    assert!(seen.verbs == 0 || scenario.is_socket, "a verb of the socket came through the port");
    assert!(seen.hooks == 0 || scenario.is_socket || !scenario.is_refused, "every caller was to be refused");
    assert!(seen.answer.len() < 256 * 1024, "an answer of {} bytes", seen.answer.len());
    // A client with `Expect: 100-continue` gets this first (RFC 9110, 10.1.1).
    let answer = shown.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(&shown);
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        assert!(answer.is_empty(), "half an answer: {answer:?}");
        return;
    };
    assert!(head.starts_with("HTTP/1.1 ") || head.starts_with("HTTP/1.0 "), "{head:?}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    // A shorter body is not an error: if a client sends nothing more, hyper assumes that it has left, and drops the rest.
    assert!(length.is_none_or(|length| body.len() <= length), "more than one answer: {answer:?}");
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::time::{Duration, Instant};

    use super::*;

    /// A small generator of our own: the same seed gives the same inputs on every machine (xorshift64*).
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
        }

        fn below(&mut self, most: usize) -> usize {
            usize::try_from(self.next() >> 16).unwrap() % most.max(1)
        }

        fn choose<'a, T>(&mut self, all: &'a [T]) -> &'a T {
            &all[self.below(all.len())]
        }
    }

    /// Words that break parsers more often than random bytes do.
    const WORDS: &[&[u8]] = &[
        b"",
        b"\0",
        b"\xff",
        b"-1",
        b"0",
        b"9223372036854775807",
        b"1e999",
        b"nan",
        b"inf",
        b"=",
        b"[",
        b"]]",
        b"[[",
        b"{",
        b"}",
        b"\"",
        b"'''",
        b"\"\"\"",
        b"\\u0000",
        b"\n",
        b"\r\n",
        b".",
        b"$(",
        b"$$",
        b"$(A)",
        b"SIGRTMIN+",
        b"SIGRTMAX-30",
        b"\xe2\x80\xae",
        b"lifecycle.preStop",
        b"exec.command",
        b"app.",
        b"http.listen",
        b"timeoutSeconds",
        b"terminationGracePeriodSeconds",
        b"BOOKEND_",
        b"\xff\xff\xff\xff",
        b"\x10\0\0\0",
        b"\x01\0\0\0",
        b"01 00000000:0050",
        b"TcpExt: ",
        b"Tcp: ",
        b"GET /lifecycle/preStop HTTP/1.1\r\n",
        b"POST /stop HTTP/1.0\r\n",
        b"HEAD /livez?verbose HTTP/1.1\r\n",
        b"\r\n\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"User-Agent: kube-lifecycle/1.36\r\n",
        b"Upgrade: h2c\r\n",
        b"\t",
        b" ",
    ];

    fn mutate(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
        for _ in 0..=random.below(4) {
            let at = random.below(input.len() + 1);
            match random.below(6) {
                0 if at < input.len() => input[at] ^= 1 << random.below(8),
                1 if at < input.len() => drop(input.remove(at)),
                2 => drop(input.splice(at..at, random.choose(WORDS).iter().copied())),
                3 => input.truncate(at),
                4 => {
                    let other = random.choose(corpus);
                    let from = random.below(other.len() + 1);
                    input.truncate(at);
                    input.extend(&other[from..]);
                }
                _ => {
                    let (from, to) = (at, (at + random.below(40)).min(input.len()));
                    let copy = input[from..to].to_vec();
                    input.splice(from..from, copy);
                }
            }
            input.truncate(16 * 1024);
        }
    }

    /// The folder `fuzz` of the repository. `None`: this is the package alone, which cannot contain another package.
    fn fuzz_folder() -> Option<PathBuf> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        if folder.is_dir() {
            return Some(folder);
        }
        println!("NOT RUN: the folder fuzz is not part of this package");
        None
    }

    fn corpus_of(folder: &Path, name: &str) -> Vec<Vec<u8>> {
        let folder = folder.join("corpus").join(name);
        let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "{} has no corpus", folder.display());
        files.into_iter().map(|file| std::fs::read(file).unwrap()).collect()
    }

    /// How many inputs of the corpus run under miri, where a millisecond of work takes seconds.
    const STRIDE: usize = if cfg!(miri) { 25 } else { 1 };
    const MUTATIONS: u64 = if cfg!(miri) { 4 } else { 300 };
    /// Targets that build a whole configuration from each input, which takes minutes, or ask the kernel for limits.
    const NOT_UNDER_MIRI: [&str; 3] = ["configuration", "environment", "http_request"];

    /// Runs every input of the corpus, then mutations of it: 300 for each target, or as many as fit in `FUZZ_SECONDS` for
    /// each. `FUZZ_SEED` repeats a run.
    #[test]
    fn whatever_a_stranger_writes_is_read_without_a_panic() {
        let Some(folder) = fuzz_folder() else { return };
        let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
        let seed = number("FUZZ_SEED").unwrap_or(1);
        let seconds = number("FUZZ_SECONDS").map(Duration::from_secs);
        for (name, target) in TARGETS.iter().filter(|(name, _)| !(cfg!(miri) && NOT_UNDER_MIRI.contains(name))) {
            let corpus = corpus_of(&folder, name);
            let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            let (began, mut tried) = (Instant::now(), 0u64);
            let attempt = |input: &[u8]| {
                let outcome = std::panic::catch_unwind(|| target(input));
                assert!(outcome.is_ok(), "{name}, FUZZ_SEED={seed}: {:?}", String::from_utf8_lossy(input));
            };
            corpus.iter().step_by(STRIDE).for_each(|input| attempt(input));
            while seconds.map_or(tried < MUTATIONS, |seconds| began.elapsed() < seconds) {
                let mut input = random.choose(&corpus).clone();
                mutate(&mut input, &corpus, &mut random);
                attempt(&input);
                tried += 1;
            }
            println!(
                "{name}: {tried} mutations of {} inputs, seed {seed}, {:.1} s",
                corpus.len(),
                began.elapsed().as_secs_f64()
            );
        }
    }

    #[test]
    fn every_target_has_its_file_for_cargo_fuzz() {
        let Some(folder) = fuzz_folder() else { return };
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        for (name, _) in TARGETS {
            assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in fuzz/Cargo.toml");
            let text = std::fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs"))).unwrap();
            assert!(text.contains(&format!("bookend::fuzz::{name}(")), "{name}");
        }
    }
}

//! Random process trees under tini itself and under bookend, as `bookend --` and under tini's name: the same exit code and the
//! same output. `cargo test` runs a few, `make differential` five hundred (TREES, TREES_SEED).

use std::fmt::Write;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::support::{Folder, Init, bookend, not_run};

/// xorshift: the same trees from the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        *all.get(usize::try_from(self.below(all.len() as u64)).unwrap()).unwrap()
    }
}

/// A tree, and the signal that its init gets once it is up.
#[derive(Debug)]
struct Tree {
    script: String,
    signal: Option<i32>,
}

/// Signals whose default ends a process.
const DEADLY: [i32; 8] = [1, 2, 3, 10, 12, 14, 15, 34];
/// Signals whose default does nothing.
const HARMLESS: [i32; 3] = [18, 23, 28];

impl Tree {
    fn of(seed: u64) -> Tree {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let mut script = "use POSIX; $| = 1;\n".to_owned();
        for _ in 0..random.below(5) {
            branch(&mut random, &mut script, 0);
        }
        let code = random.below(256);
        let signal = match random.below(4) {
            0 => None,
            1 => Some(random.of(&HARMLESS)),
            _ => Some(random.of(&DEADLY)),
        };
        if random.below(2) == 0 {
            script.push_str("1 while waitpid(-1, WNOHANG) > 0;\n");
        }
        match signal {
            // A file shows that the signal has been sent.
            Some(number) if random.below(2) == 0 => {
                writeln!(script, "POSIX::sigaction({number}, POSIX::SigAction->new(sub {{ print \"signal {number}\\n\"; POSIX::_exit({code}) }}));").unwrap();
                script.push_str("print \"up\\n\"; select undef, undef, undef, 0.02 until -e $ARGV[0];\n");
                writeln!(script, "sleep 20; POSIX::_exit({code})").unwrap();
            }
            Some(number) => {
                script.push_str("print \"up\\n\"; select undef, undef, undef, 0.02 until -e $ARGV[0];\n");
                let rest = if HARMLESS.contains(&number) { "0.1" } else { "20" };
                writeln!(script, "select undef, undef, undef, {rest}; POSIX::_exit({code})").unwrap();
            }
            None if random.below(3) == 0 => {
                writeln!(script, "print \"up\\n\"; kill {}, $$; sleep 9", random.of(&[9, 15, 11, 6])).unwrap()
            }
            None => writeln!(script, "print \"up\\n\"; POSIX::_exit({code})").unwrap(),
        }
        Tree { script, signal }
    }

    /// The exit code and the output under this init.
    fn life(&self, program: &std::path::Path, name: &str) -> (i32, String) {
        let folder = Folder::new();
        let path = folder.path(name);
        symlink(program, &path).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]).arg(path);
        command.args(["--", "perl", "-e", &self.script]).arg(folder.path("sent"));
        let init = Init::start(folder, command);
        if let Some(number) = self.signal {
            init.wait_for_out("up");
            let first = crate::support::child_of(u32::try_from(init.pid()).unwrap()).expect("unshare has its child");
            crate::support::signal(first, number);
            init.folder.write("sent", "");
        }
        let finished = init.finish();
        (finished.code(), finished.out)
    }
}

/// A child of the present process: it ends, becomes an orphan, sleeps on, or has children of its own.
fn branch(random: &mut Random, script: &mut String, depth: u32) {
    script.push_str("if (!fork) { ");
    match random.below(if depth < 2 { 7 } else { 6 }) {
        0 => writeln!(script, "POSIX::_exit({}) }}", random.below(256)),
        1 => writeln!(script, "kill {}, $$; POSIX::_exit(1) }}", random.of(&[9, 15, 11])),
        2 => writeln!(
            script,
            "POSIX::_exit(0) if fork; select undef, undef, undef, 0.0{}; POSIX::_exit(3) }}",
            random.below(9)
        ),
        3 => writeln!(script, "setsid; POSIX::_exit(0) if fork; sleep 1000; POSIX::_exit(0) }}"),
        4 => writeln!(script, "$SIG{{TERM}} = 'IGNORE'; kill 'STOP', $$; sleep 1000; POSIX::_exit(0) }}"),
        5 => writeln!(script, "setpgid 0, 0; sleep 1000; POSIX::_exit(0) }}"),
        _ => {
            for _ in 0..=random.below(3) {
                branch(random, script, depth + 1);
            }
            writeln!(script, "POSIX::_exit({}) }}", random.below(3))
        }
    }
    .unwrap();
}

#[test]
fn random_process_trees_end_as_under_tini() {
    const TEST: &str = "random_process_trees_end_as_under_tini";
    let tini = std::path::Path::new("/usr/bin/tini");
    if !crate::support::is_root(TEST) || !tini.exists() && !not_run(TEST, "tini is not installed") {
        return;
    }
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (trees, first) = (number("TREES").unwrap_or(12), number("TREES_SEED").unwrap_or(1));
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= trees {
                        return;
                    }
                    let tree = Tree::of(first + at);
                    let wanted = tree.life(tini, "tini");
                    for name in ["tini", "bookend"] {
                        let found = tree.life(&bookend(), name);
                        assert_eq!(found, wanted, "as {name}, TREES=1 TREES_SEED={}\n{tree:?}", first + at);
                    }
                }
            });
        }
    });
}

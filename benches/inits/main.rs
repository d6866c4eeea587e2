//! bookend beside other inits: speed, memory and size, each init as the real PID 1 of a fresh PID namespace, all of them in
//! turns. The figure that counts is the ratio to tini of the same run. `make bench` runs it as root; docs/performance.md explains it.
//!
//! | module      | for                                                            |
//! | ----------- | -------------------------------------------------------------- |
//! `subjects`  | the inits, and how each of them is asked to run the app         |
//! | `container` | one life                                                       |
//! `figures`   | the measurements                                               |
//! `attacks`   | signals under attack                                            |
//! `report`    | the tables, the targets, and the missed ones                   |
//! `app.c`     | the application: reports its events                            |
//! `floor.c`   | the smallest possible init                                     |
//!
//! `cargo test` measures next to nothing; it checks that the report has its rows.
#![expect(unsafe_code, reason = "a container is a clone with flags; and pidfd_open")]
#![expect(clippy::disallowed_methods, reason = "a bench starts programs and waits for them; it is not PID 1")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a bench that cannot measure stops")]

mod attacks;
mod container;
mod figures;
mod report;
mod subjects;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use container::Container;
use figures::Effort;
use report::Of::{Median, Percentile99};
use report::Target::{Most, MostOrOfTini, None, OfTini};
use report::{Figure, Report};
use subjects::{Kind, Subject};

const WHOLE: Effort = Effort { rounds: 300, signals: 1000, storms: 30, orphans: 1000, idle: Duration::from_secs(10) };
const GLANCE: Effort = Effort { rounds: 1, signals: 3, storms: 1, orphans: 20, idle: Duration::from_millis(100) };

fn main() {
    let is_bench = std::env::args().any(|word| word == "--bench");
    if !is_bench && !nix::unistd::geteuid().is_root() {
        let in_ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty());
        assert!(!in_ci, "NOT RUN: inits: PID namespaces need root: in CI nothing may be skipped");
        eprintln!("NOT RUN: inits: PID namespaces need root");
        return;
    }
    let bookend = std::env::var("BOOKEND_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_bookend").to_owned());
    let folder = std::env::temp_dir().join(format!("bookend-bench-{}", std::process::id()));
    for folder in [&folder, &folder.join("socket"), &folder.join("output")] {
        std::fs::create_dir(folder).unwrap();
    }
    for program in ["app", "floor"] {
        compile(&Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/inits"), program, &folder);
    }
    let (mut subjects, mut missing) = subjects::all(&bookend, &folder);
    // A test must not wait for inits that take seconds.
    subjects.retain(|subject| is_bench || subject.kind != Kind::Supervisor);
    subjects.retain(|subject| {
        let starts = Container::start(subject, &folder, 0).reported_time("main").is_some();
        if !starts {
            let output_file = std::fs::read_to_string(folder.join("output").join(subject.name)).unwrap_or_default();
            missing.push(format!("{}: it does not start the application: {}", subject.name, output_file.trim()));
        }
        starts
    });
    // Part of a title, or 1 for all attacks.
    let only = std::env::var("BENCH_ATTACKS").ok();
    let is_chosen =
        |attack: &attacks::Attack| only.as_ref().is_none_or(|only| only == "1" || attack.title.contains(only));
    let chosen: Vec<_> = attacks::ALL.into_iter().filter(is_chosen).collect();
    let report = match is_bench {
        true if only.is_some() => under_attack(&subjects, &folder, Report::new(&subjects), &chosen, ATTACK_SIGNALS),
        true => {
            let report = measure(&subjects, &folder, &WHOLE);
            under_attack(&subjects, &folder, report, &chosen, ATTACK_SIGNALS)
        }
        // The quickest one, so that the table is complete.
        false => under_attack(&subjects, &folder, measure(&subjects, &folder, &GLANCE), &attacks::ALL[..1], 3),
    }
    .finish();
    for missing in &missing {
        println!("NOT RUN: {missing}");
    }
    println!("{report}");
    std::fs::remove_dir_all(&folder).unwrap();
    if !is_bench {
        check(&report, &missing);
    }
}

fn compile(sources: &Path, program: &str, folder: &Path) {
    let mut compiler = Command::new("musl-gcc");
    compiler.args(["-static", "-Os", "-s", "-Wall", "-Wextra", "-Werror", "-o"]).arg(folder.join(program));
    let status = compiler.arg(sources.join(program).with_extension("c")).status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "musl-gcc cannot compile {program}.c; scripts/setup brings it"
    );
}

/// How long a signal takes while others attack the init.
fn under_attack<'a>(
    subjects: &'a [Subject],
    folder: &Path,
    mut report: Report<'a>,
    attacks: &[attacks::Attack],
    signals: usize,
) -> Report<'a> {
    for attack in attacks {
        let samples = attacks::latency(subjects, folder, attack, signals);
        let title = format!("under attack: {}, signal p99", attack.title);
        let target = MostOrOfTini(10.0, 1.3);
        let figure = Figure { title: &title, unit: "ms", of: Percentile99, samples: &samples, targets: [target; 2] };
        report.add(&figure, Option::None);
    }
    report
}

/// Signals of each init under each attack.
const ATTACK_SIGNALS: usize = 300;

fn measure<'a>(subjects: &'a [Subject], folder: &Path, effort: &Effort) -> Report<'a> {
    let start_up = figures::start_up(subjects, folder, effort);
    let listen = figures::listen(subjects, folder, effort);
    let living = figures::living(subjects, folder, effort);
    let shutdown = figures::shutdown(subjects, folder, effort);
    let size = figures::sizes(subjects);
    let size_minimal = figures::size_minimal();
    let idle = format!("wake-ups in {:?} of idleness", effort.idle);
    let storm = format!("orphan storm: {} end at once, all reaped", effort.orphans);
    let mut report = Report::new(subjects);
    let mut add =
        |title: &str, unit, of, samples, targets, tini| report.add(&Figure { title, unit, of, samples, targets }, tini);
    let tini =
        add("start-up: exec to the app's main", "us", Median, &start_up, [OfTini(0.52), OfTini(0.72)], Option::None);
    add("exec to LISTEN, as a ratio to tini's start-up", "us", Median, &listen, [None, OfTini(0.5)], tini);
    add("idle memory: RSS", "kB", Median, &living.resident, [OfTini(1.4), OfTini(1.4)], Option::None);
    add("idle memory: USS", "kB", Median, &living.unshared, [None; 2], Option::None);
    add("idle memory: dirty", "kB", Median, &living.dirty, [Most(180.0), None], Option::None);
    add(&idle, "wake-ups", Median, &living.wake_ups, [Most(0.0); 2], Option::None);
    add("signal latency: p50", "us", Median, &living.latency, [OfTini(1.3); 2], Option::None);
    add("signal latency: p99", "us", Percentile99, &living.latency, [OfTini(1.3); 2], Option::None);
    add(&storm, "ms", Median, &living.storm, [OfTini(1.0); 2], Option::None);
    add("orphan storm: processor time of PID 1", "ms", Median, &living.storm_cpu, [OfTini(1.7); 2], Option::None);
    add("shutdown: stop signal to the container's end", "ms", Median, &shutdown, [OfTini(1.2), None], Option::None);
    add("size of the file", "kB", Median, &size, [Most(2500.0), None], Option::None);
    add("size of the file, minimal", "kB", Median, &size_minimal, [Most(1450.0), None], Option::None);
    report
}

/// Checks that the report is complete; a test does not check the figures.
fn check(report: &str, missing: &[String]) {
    for name in ["bookend", "bookend as tini", "bookend, http and handlers", "tini", "floor.c", "no init"] {
        assert!(!missing.iter().any(|missing| missing.starts_with(&format!("{name}:"))), "{missing:?}");
    }
    let tables: Vec<&str> = report.split("\n### ").skip(1).collect();
    assert!(tables.len() >= 11, "{report}");
    for table in tables
        .iter()
        .filter(|table| !table.starts_with("size of the file, minimal") && !table.starts_with("under attack"))
    {
        let of_bookend = table.lines().filter(|row| row.starts_with("| bookend")).count();
        let wanted = if table.starts_with("exec to LISTEN") { 1 } else { 3 };
        assert_eq!(of_bookend, wanted, "{table}");
    }
    let attacked = tables.iter().find(|table| table.starts_with("under attack")).unwrap();
    assert!(attacked.contains("| bookend |") && attacked.contains("| tini |"), "{report}");
    assert!(report.contains("targets reached"), "{report}");
}

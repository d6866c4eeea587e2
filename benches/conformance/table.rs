//! docs/comparison.md, and the README's table.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use crate::checks::{CHECKS, Result};
use crate::inits::Init;

const BEGIN: &str = "<!-- conformance: begin -->\n";
const END: &str = "<!-- conformance: end -->\n";
/// The columns of the README.
const SHORT: [&str; 6] = ["bookend", "tini", "dumb-init", "catatonit", "s6-svscan", "supervisord"];

pub(crate) fn write(root: &Path, inits: &[Init], rows: &[Vec<Result>], missing: &[String]) {
    let short = short(inits, rows);
    let date = output("date", &["-u", "+%Y-%m-%d"]);
    let release = output("uname", &["-r"]);
    let release: Vec<&str> = release.split('.').take(2).collect();
    let machine = format!("Linux {} on {}", release.join("."), std::env::consts::ARCH);
    let mut text = format!(
        "# Comparison of container inits\n\n\
         `make conformance` (as root) runs the same checks over each init, as PID 1 of a fresh PID and network namespace, and writes this page and the\n\
         table of the README. It was run on {date} with {machine}. It installs the inits from Debian, PyPI, npm and\n\
         crates.io (`scripts/conformance-inits`). Inits that these registries do not carry are missing: s6-overlay, dinit, go-init, pebble, my_init,\n\
         openrc-init. systemd is missing, because it needs more of its machine than namespaces.\n\n\
         - **yes**, **no**: the check passed or failed.\n\
         - **not its job**: the init does not claim to do this, so the check was not run. Several services and restarts are not the job of bookend, tini,\n\
         \u{20} dumb-init, catatonit and pid1; foreman and honcho restart nothing; pid1 forwards SIGTERM and SIGINT only; delaying the stop signal is not the job of anything but bookend;\n\
         \u{20} runsvdir leaves the stop to runit(8).\n\
         - **Lost requests** are measured for all of them, since a figure is fair to each: nginx gets SIGTERM from the init's stop signal, and 50 new\n\
         \u{20} clients a second and kept connections go on for 3 s. bookend runs with `app.profile = \"auto\"`, the others with their defaults. Other stop\n\
         \u{20} signals and `preStop: sleep`: [Drain](drain.md#measured), and [rehearse it](rehearse.md) with your own image.\n\n## Results\n\n"
    );
    let names: Vec<&str> = inits.iter().map(|init| init.name).collect();
    writeln!(text, "| check | {} |\n| --- |{}", names.join(" | "), " --- |".repeat(names.len())).unwrap();
    for (check, row) in CHECKS.iter().zip(rows) {
        let cells: Vec<String> = row.iter().map(cell).collect();
        writeln!(text, "| {} | {} |", check.title, cells.join(" | ")).unwrap();
    }
    text += "\n## In short\n\nThe README shows these rows.\n\n";
    text += &format!("{BEGIN}{short}{END}");
    text += "\n## Versions\n\n| init | version |\n| --- | --- |\n";
    for init in inits {
        writeln!(text, "| {} | {} |", init.name, init.version).unwrap();
    }
    for missing in missing {
        writeln!(text, "\nNot run: {missing}.").unwrap();
    }
    std::fs::write(root.join("docs/comparison.md"), text).unwrap();
    let path = root.join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap_or_else(|| panic!("README.md has no {BEGIN}"));
    let (_, after) = rest.split_once(END).unwrap_or_else(|| panic!("README.md has no {END}"));
    std::fs::write(&path, format!("{before}{BEGIN}{short}{END}{after}")).unwrap();
    println!("{short}");
}

fn short(inits: &[Init], rows: &[Vec<Result>]) -> String {
    let columns: Vec<usize> =
        SHORT.iter().filter_map(|name| inits.iter().position(|init| init.name == *name)).collect();
    let names: Vec<&str> = columns.iter().map(|column| inits[*column].name).collect();
    let mut text = format!("| | {} |\n| --- |{}\n", names.join(" | "), " --- |".repeat(names.len()));
    for (check, row) in CHECKS.iter().zip(rows).filter(|(check, _)| check.in_short) {
        let cells: Vec<String> = columns.iter().map(|column| cell(&row[*column])).collect();
        writeln!(text, "| {} | {} |", check.title, cells.join(" | ")).unwrap();
    }
    text
}

fn cell(result: &Result) -> String {
    match result {
        Result::Yes => "yes".to_owned(),
        Result::No(_) => "no".to_owned(),
        Result::NotItsJob => "not its job".to_owned(),
        Result::Measured(text) => text.clone(),
    }
}

fn output(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

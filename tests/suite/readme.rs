//! README and docs/ show what bookend really does.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Finished, Folder, Init, bookend, debug_build, free_port, get, has, wait_until};

const README: &str = include_str!("../../README.md");

/// The README's fenced blocks of one language.
fn blocks(language: &str) -> Vec<&'static str> {
    blocks_of(README, language)
}

fn blocks_of<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    text.split(fence.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

fn check(text: &str) -> String {
    let folder = Folder::new();
    let path = folder.write("bookend.toml", text);
    let finished = Init::ordinary(folder, &["check", path.to_str().unwrap()]).finish();
    assert_eq!(finished.code(), 0, "{}", finished.log);
    finished.out
}

#[test]
fn the_readme_is_short_and_its_toml_is_accepted() {
    let lines = README.lines().count();
    assert!(lines <= 120, "{lines} lines");
    assert!(!blocks("toml").is_empty());
    for example in blocks("toml") {
        check(example);
    }
}

#[test]
fn the_budget_on_the_nginx_page_is_real() {
    let shown = check(&page("nginx.md", "toml")[0]);
    let pages = page("nginx.md", "text");
    let budget = pages.iter().find(|block| block.starts_with("# time budget of a stop")).unwrap();
    assert!(shown.contains(budget), "shown now:\n{shown}");
}

#[test]
fn the_pages_of_servers_show_the_ready_made_files() {
    for (name, file) in [("python.md", "gunicorn"), ("node.md", "node"), ("java.md", "java"), ("php.md", "php-fpm")] {
        let ready = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/{file}.toml"));
        let (shown, ready) = (check(&page(name, "toml")[0]), check(&fs::read_to_string(ready).unwrap()));
        let values = |text: &str| {
            let lines = text.lines().map(|line| line.split("  #").next().unwrap().to_owned());
            // The socket is in a folder of each run.
            lines.filter(|line| !line.starts_with("socket = ")).collect::<Vec<_>>()
        };
        assert_eq!(values(&shown), values(&ready), "docs/{name} and config/{file}.toml");
    }
}

#[test]
fn every_toml_example_of_the_docs_is_accepted() {
    for page in pages() {
        let is_sidecar = ["sidecar.md", "shared-process-namespace.md"].iter().any(|name| page.ends_with(name));
        for example in blocks_of(&fs::read_to_string(&page).unwrap(), "toml") {
            let folder = Folder::new();
            let path = folder.write("bookend.toml", example);
            let check = |binary: &Path| {
                let mut command = Command::new(binary);
                command.arg("check").arg(&path);
                command.args((is_sidecar || example.contains("[containers.")).then_some("--sidecar"));
                Init::start(Folder::new(), command).finish()
            };
            let lacks_feature = |finished: &Finished| finished.log.contains("built without the feature");
            let mut finished = check(&bookend());
            if lacks_feature(&finished) {
                // The build beside the tests has their features; in `make test` these are all.
                finished = check(&debug_build());
            }
            let has_all = cfg!(all(feature = "reload", feature = "otel"));
            let is_good = finished.code() == 0 || (!has_all && lacks_feature(&finished));
            assert!(is_good, "{}:\n{example}\n{}", page.display(), finished.log);
        }
    }
}

/// Every page of docs/, and the README.
fn pages() -> Vec<std::path::PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<_> = docs.filter(|page| page.extension().is_some_and(|extension| extension == "md")).collect();
    pages.push(root.join("README.md"));
    pages.sort();
    pages
}

#[test]
fn every_bookend_command_of_the_docs_is_accepted() {
    let folder = Folder::new();
    for file in ["bookend.toml", "base.toml", "cluster.toml"] {
        folder.write(file, "terminationGracePeriodSeconds = 30\napp.command = [\"true\"]\n");
    }
    std::os::unix::fs::symlink(bookend(), folder.path("bookend")).unwrap();
    let mut commands = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for line in blocks_of(&text, "sh").iter().flat_map(|block| block.lines()) {
            let line = line.split(" # ").next().unwrap().trim();
            if !line.starts_with("bookend ") {
                continue;
            }
            commands += 1;
            let mut shell = Command::new("sh");
            shell.args(["-c", line]).current_dir(folder.path(".")).env("BOOKEND_SOCKET", folder.path("none.sock"));
            let output =
                shell.env("PATH", format!("{}:{}", folder.shown(), std::env::var("PATH").unwrap())).output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(!errors.contains("--help"), "{}: {line}\n{errors}", page.display());
            let must_succeed = line.starts_with("bookend check");
            assert!(output.status.success() || !must_succeed, "{}: {line}\n{errors}", page.display());
        }
    }
    assert!(commands >= 5, "{commands}");
}

/// A page of docs/ and its fenced blocks of one language.
fn page(name: &str, language: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)).unwrap();
    blocks_of(&text, language).into_iter().map(str::to_owned).collect()
}

#[test]
fn the_error_on_the_configuration_page_is_real() {
    let folder = Folder::new();
    let before = "app.command = [\"x\"]\n\n[[lifecycle.preStop]]\nname = \"drain\"\ndrain.ports = [80]\n";
    folder.write("bookend.toml", &format!("{before}timeoutSecond = 5\n"));
    let check = Command::new(bookend()).args(["check", "bookend.toml"]).current_dir(folder.path(".")).output().unwrap();
    assert_eq!(check.status.code(), Some(125));
    assert_eq!(String::from_utf8_lossy(&check.stderr), page("configuration.md", "text")[0]);
}

#[test]
fn the_checks_on_the_http_page_are_real() {
    let port = free_port();
    let config = format!("http.listen = \"127.0.0.1:{port}\"\nlifecycle.preStop.sleep.seconds = 1000");
    let init = Init::configured(&config, &["--", "sleep", "1000"]);
    init.wait_for_log("started");
    init.signal(15);
    wait_until("a stop is seen", || get(port, "/lbz?verbose").unwrap().ends_with(&page("http.md", "text")[0]));
}

#[test]
fn the_finding_on_the_doctor_page_is_real() {
    if !has("the_finding_on_the_doctor_page_is_real", "nginx") {
        return;
    }
    let mut doctor = Command::new(bookend());
    doctor.args(["doctor", "--set", "app.profile=nginx", "--set", "terminationGracePeriodSeconds=30"]);
    let out = doctor.args(["--", "nginx", "-g", "daemon off;"]).output().unwrap().stdout;
    let shown = page("doctor.md", "text").into_iter().find(|block| block.starts_with("nginx-worker")).unwrap();
    assert!(String::from_utf8_lossy(&out).contains(&shown), "{}", String::from_utf8_lossy(&out));
}

#[test]
fn the_nginx_example_runs_and_stops_as_documented() {
    // The test runs the same file with other ports and paths.
    let folder = Folder::new();
    let dir = folder.shown().to_owned();
    let port = crate::support::free_port();
    let example = page("nginx.md", "toml").remove(0);
    let example = example.replace("0.0.0.0:9797", &format!("127.0.0.1:{port}")).replace("/usr/share", &dir).replace(
        r#"["nginx", "-g", "daemon off;"]"#,
        r#"["sh", "-c", "trap 'exit 0' QUIT; echo up; while :; do sleep 0.02; done"]"#,
    );
    let mut init = Init::configured_in(folder, &example, &[]);
    init.wait_for_out("up");
    crate::support::wait_until("postStart is over", || crate::support::code(port, "/startupz") == 200);
    assert_eq!(init.folder.read("message"), "Hello from the postStart handler\n");
    init.signal(15);
    let finished = init.end();
    assert_eq!(finished.code(), 0, "{}", finished.log);
    for text in ["SIGQUIT sent to the app", "gone: Stopped, exit code 0"] {
        assert!(finished.log.contains(text), "{text}: {}", finished.log);
    }
    let pages = page("nginx.md", "text");
    let shown = pages.iter().find(|block| block.starts_with("stopped by")).unwrap();
    let reported = without_numbers(&finished.log);
    // This test may run in the machine's own network, in which a drain counts nothing.
    for line in without_numbers(shown).lines().filter(|line| !line.contains("drain took")) {
        assert!(reported.contains(line), "{line}: {}", finished.log);
    }
}

/// The report of another run: its times and counts differ.
fn without_numbers(text: &str) -> String {
    let pieces = text.split(|c: char| c.is_ascii_digit() || c == '.');
    pieces.filter(|piece| !piece.is_empty()).collect::<Vec<_>>().join("#")
}

#[test]
fn the_paths_of_the_pod_example_are_answered() {
    let port = crate::support::free_port();
    let init = Init::configured(&format!("http.listen = \"127.0.0.1:{port}\""), &["--", "sleep", "1000"]);
    init.wait_for_log("started");
    let paths = blocks("yaml")[0].split("path: ").skip(1).map(|rest| rest.split(' ').next().unwrap());
    for path in paths {
        assert_eq!(crate::support::code(port, path), 200, "{path}");
    }
}

#[test]
fn the_readmes_table_takes_its_rows_from_the_comparison() {
    let comparison = include_str!("../../docs/comparison.md");
    let table = |text: &'static str| {
        let rest = text.split_once("<!-- conformance: begin -->\n").unwrap().1;
        rest.split_once("<!-- conformance: end -->").unwrap().0
    };
    assert!(table(README).lines().count() > 8, "make conformance writes it");
    assert_eq!(table(README), table(comparison), "make conformance writes both");
    // The comparison contains each row, with the same results for the same inits.
    let row = |line: &'static str| line.split(" | ").map(|cell| cell.trim_matches(['|', ' '])).collect::<Vec<_>>();
    let whole: Vec<_> =
        comparison.split("\n## Results").nth(1).unwrap().lines().take_while(|line| !line.starts_with("## ")).collect();
    for line in table(README).lines().skip(2) {
        let cells = row(line);
        let all = whole.iter().map(|line| row(line)).find(|all| all[0] == cells[0]).unwrap_or_else(|| panic!("{line}"));
        assert_eq!(all[1], cells[1], "{line}");
    }
}

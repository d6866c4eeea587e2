//! What the README and docs/ show is what bookend does.

use std::fs;
use std::path::Path;

use crate::support::{Folder, Init};

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
fn every_toml_example_is_accepted_and_its_budget_is_the_one_shown() {
    let examples = blocks("toml");
    assert!(!examples.is_empty());
    let shown: String = examples.into_iter().map(check).collect();
    let budget = blocks("text").into_iter().find(|block| block.starts_with("# a stop may take")).unwrap();
    assert!(shown.contains(budget), "shown now:\n{shown}");
}

#[test]
fn every_toml_example_of_the_docs_is_accepted() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut pages: Vec<_> = fs::read_dir(docs).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    assert!(!pages.is_empty());
    for page in pages {
        for example in blocks_of(&fs::read_to_string(&page).unwrap(), "toml") {
            let folder = Folder::new();
            let path = folder.write("bookend.toml", example);
            let finished = Init::ordinary(folder, &["check", path.to_str().unwrap()]).finish();
            assert_eq!(finished.code(), 0, "{}:\n{example}\n{}", page.display(), finished.log);
        }
    }
}

#[test]
fn the_nginx_example_lives_and_stops_as_told() {
    // The same file on ports and paths of this test's own.
    let folder = Folder::new();
    let dir = folder.shown().to_owned();
    let port = crate::support::free_port();
    let example =
        blocks("toml")[0].replace("0.0.0.0:9797", &format!("127.0.0.1:{port}")).replace("/usr/share", &dir).replace(
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

//! An image FROM scratch, with nothing in it but bookend: its exec hooks, exec probes and small tools all work.

use super::SCRATCH;
use super::docker::{Container, Finished, Folder, ready};

#[test]
fn exec_hooks_and_probes_work_in_an_image_from_scratch() {
    let test = "exec_hooks_and_probes_work_in_an_image_from_scratch";
    if !ready(test) {
        return;
    }
    let folder = Folder::new(test);
    folder.write(
        "bookend.toml",
        r#"
        terminationGracePeriodSeconds = 20
        app.command = ["/bookend", "sleep", "1000"]
        lifecycle.postStart = { name = "greet", exec.command = ["/bookend", "copy", "/shared/"] }
        lifecycle.preStop = { name = "pause", exec.command = ["/bookend", "sleep", "0.5"] }
        "#,
    );
    let options = ["--entrypoint", "/bookend", &folder.mount("", "/shared")];
    let container = Container::start(test, SCRATCH, &options, &["-c", "/shared/bookend.toml"]);
    let ask = |args: &[&str]| container.exec(&[&["/bookend"], args].concat());
    let good = |finished: &Finished, words: &str| {
        assert_eq!(finished.code, Some(0), "{finished:#?}\n{}", container.log());
        assert!(finished.stdout.contains(words), "{words}: {finished:#?}");
    };

    // The kubelet calls the hook at once, before or after bookend listens.
    good(&ask(&["hook", "postStart"]), "postStart done\npostStart greet took");
    for probe in ["startup", "readiness", "liveness"] {
        good(&ask(&["probe", probe]), "ok\n");
    }
    good(&ask(&["status"]), "Running");

    good(&ask(&["wait", "file:/shared/bookend", "--timeout-seconds", "5"]), "");
    good(&ask(&["copy", "/copied"]), "/copied: bookend");
    good(&container.exec(&["/copied", "--version"]), "bookend");
    let pre_stop = ask(&["hook", "preStop"]);
    good(&pre_stop, "preStop done\npreStop pause took ");
    let took = pre_stop.stdout.split(' ').nth(4).and_then(|seconds| seconds.parse::<f64>().ok());
    assert!(took.is_some_and(|took| took >= 0.5), "{pre_stop:#?}");
    good(&ask(&["status"]), "served, no new ones");
    container.stop(&[]);

    assert_eq!(container.exit_code(), 143, "{}", container.log());
}

#[test]
fn a_hook_finds_bookend_without_configuration() {
    let test = "a_hook_finds_bookend_without_configuration";
    if !ready(test) {
        return;
    }
    // The image has no /run.
    let container = Container::start(test, SCRATCH, &[], &["/bookend", "sleep", "1000"]);
    for command in [["hook", "postStart"], ["probe", "readiness"], ["hook", "preStop"]] {
        let finished = container.exec(&[&["/bookend"], &command[..]].concat());
        assert_eq!(finished.code, Some(0), "{command:?}: {finished:#?}\n{}", container.log());
    }
    container.stop(&[]);
    assert_eq!((container.exit_code(), container.log().as_str()), (143, ""));
}

//! `bookend-rehearse --engine`: the image as it is, and bookend in front of it, in containers of their own. The commands of the documentation take
//! minutes, and are a part of `make rehearse`.

use std::process::Command;

use bookend_test_support::not_run;

use crate::docker::{Finished, Folder, PREFIX, build_image, ready, remove_images, run};

/// `make build-rehearse` makes it, and `make` names it.
fn tool(test: &str) -> Option<String> {
    let tool = std::env::var("REHEARSE_BIN").ok().filter(|tool| std::path::Path::new(tool).is_file());
    if tool.is_none() {
        not_run(test, "REHEARSE_BIN names no file: make build-rehearse");
    }
    tool.filter(|_| ready(test))
}

fn containers() -> String {
    run(Command::new("docker").args(["ps", "--all", "--quiet", "--filter", "name=bookend-rehearse-"])).stdout
}

#[test]
fn an_image_is_rehearsed_with_its_own_stop_signal() {
    let test = "an_image_is_rehearsed_with_its_own_stop_signal";
    let Some(tool) = tool(test) else { return };
    let bookend = std::env::var("BOOKEND_BIN").expect("`ready` checks it");
    let image = format!("{PREFIX}:rehearsed");
    // It has bookend in its ENTRYPOINT, with a configuration; it is taken off and put in front again.
    build_image(&image, &format!("FROM {PREFIX}:nginx\nSTOPSIGNAL SIGQUIT\n"), &Folder::new(test));
    let mut command = Command::new(tool);
    command.args(["--engine", "docker", &image, "--url", "http://127.0.0.1/", "--late", "1", "--tries", "0", "--json"]);
    command.args(["--strategies", "as-is,bookend-hook", "--bookend", &bookend, "--profile", "none", "--silent", "0"]);
    let Finished { code, stdout, stderr } = run(&mut command);
    remove_images(&[&image]);
    assert_eq!(code, Some(0), "{stdout} {stderr}");
    for text in
        ["\"passed\": true", "\"strategy\": \"as-is\"", "\"strategy\": \"bookend-hook\"", "\"hookProblem\": null"]
    {
        assert!(stdout.contains(text), "{text}: {stdout} {stderr}");
    }
    assert!(!stdout.contains("\"check\": \"stop-signal\""), "doctor knows the image's: {stdout}");
    assert_eq!(containers(), "", "every container is removed");
}

#[test]
fn an_image_that_is_not_here_is_reported() {
    let test = "an_image_that_is_not_here_is_reported";
    let Some(tool) = tool(test) else { return };
    let mut command = Command::new(tool);
    command.args(["--engine", "docker", "no-such-image", "--url", "http://127.0.0.1/", "--judge", "as-is"]);
    let Finished { code, stderr, .. } = run(&mut command);
    assert_eq!(code, Some(125), "{stderr}");
    assert!(stderr.contains("pulls nothing"), "{stderr}");
}

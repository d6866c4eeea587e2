//! The Dockerfiles of the task pages, built as they are written and run to a stop. Images of others are stand-ins under their
//! names, made of a small Debian with one program: it stands for gunicorn, node, java, php-fpm and a reader's own server.
//! The real servers run in `tests/suite/ready_made.rs`, with the configuration of the same pages.

use std::fs;
use std::process::Command;
use std::time::Duration;

use bookend_test_support::not_run;

use crate::docker::{Container, Folder, PREFIX, ready, run};

/// Prints its command line and ends at its stop signal.
const PROGRAM: &str = r#"
#include <signal.h>
#include <stdio.h>
int main(int argc, char **argv) {
    sigset_t stop;
    int received;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGQUIT);
    sigprocmask(SIG_BLOCK, &stop, 0);
    printf("up:");
    for (int i = 0; i < argc; i++) printf(" %s", argv[i]);
    puts("");
    fflush(stdout);
    sigwait(&stop, &received);
    puts("served to the end");
    return 0;
}
"#;

/// The tools that a page runs at build time: they do what the page needs of them.
const STAND_IN: &str = r#"
FROM bookend-base
COPY program /usr/local/bin/program
RUN for name in gunicorn node java php-fpm; do ln /usr/local/bin/program /usr/local/bin/$name; done
RUN printf '#!/bin/sh\n[ "$1 $2" = "install gunicorn" ]\n' >/usr/local/bin/pip
RUN printf '#!/bin/sh\n[ "$CGO_ENABLED $1 $2 $4" = "0 build -o ." ] && exec cp /usr/local/bin/program "$3"\n' >/usr/local/bin/go
RUN chmod 755 /usr/local/bin/pip /usr/local/bin/go
"#;

const NAMES: [&str; 6] =
    ["python:3-slim", "node:22-slim", "eclipse-temurin:21-jre", "golang:1", "php:8-fpm", "debian:stable-slim"];
/// The name of the base image on its page.
const BASE: &str = "registry.example/base:1";

/// The images of a test, removed at its end.
struct Images {
    folder: Folder,
    made: Vec<String>,
}

impl Images {
    fn new(test: &str) -> Option<Images> {
        if !ready(test) || !bookend_test_support::has(test, "musl-gcc") {
            return None;
        }
        let exists = |name: &str| run(Command::new("docker").args(["image", "inspect", name])).code == Some(0);
        if let Some(taken) = NAMES.iter().chain([&BASE]).find(|name| exists(name)) {
            not_run(test, &format!("the engine already has an image {taken}"));
            return None;
        }
        let mut images = Images { folder: Folder::new(test), made: Vec::new() };
        let (source, program) = (images.folder.write("program.c", PROGRAM), images.folder.path.join("program"));
        let compiled = run(Command::new("musl-gcc").args(["-static", "-Os", "-o"]).arg(&program).arg(source));
        assert_eq!(compiled.code, Some(0), "{compiled:#?}");
        let stand_in = format!("{PREFIX}:stand-in-{test}").to_lowercase();
        images.build(&stand_in, STAND_IN);
        Some(images)
    }

    /// The stand-in as an image of others, under this name.
    fn stands_in_as(&mut self, name: &str) {
        let tagged = run(Command::new("docker").args(["tag", self.made.first().expect("it was built"), name]));
        assert_eq!(tagged.code, Some(0), "{tagged:#?}");
        self.made.push(name.to_owned());
    }

    /// `docker build`, with the files that the Dockerfile copies. Returns the messages; fails if the build does.
    fn build(&mut self, tag: &str, dockerfile: &str) {
        let built = self.try_build(tag, dockerfile);
        assert!(built.is_ok(), "{dockerfile}\n{built:#?}");
    }

    fn try_build(&mut self, tag: &str, dockerfile: &str) -> Result<(), String> {
        let sources = dockerfile.lines().filter_map(|line| line.strip_prefix("COPY ")?.split(' ').next());
        for source in sources.filter(|source| !source.starts_with("--") && *source != ".") {
            let path = self.folder.path.join(source);
            match source {
                "server" => drop(fs::copy(self.folder.path.join("program"), path).expect("the folder is ours")),
                "entrypoint.sh" => drop(self.folder.write_program(source, "#!/bin/sh\nexec \"$@\"\n")),
                _ if path.exists() => {}
                _ => drop(self.folder.write(source, "a file of the reader's\n")),
            }
        }
        let file =
            self.folder.write("Dockerfile", &dockerfile.replace("--from=bookend ", &format!("--from={PREFIX} ")));
        let mut build = Command::new("docker");
        // The classic builder asks no registry for local images.
        build.env("DOCKER_BUILDKIT", "0").args(["build", "--network", "none", "--tag", tag, "--file"]).arg(file);
        let finished = run(build.arg(&self.folder.path));
        if finished.code != Some(0) {
            return Err(finished.stdout + &finished.stderr);
        }
        self.made.push(tag.to_owned());
        Ok(())
    }

    /// Starts the image, waits until its program runs with this command line, and stops it.
    fn lives(&self, test: &str, tag: &str, command: &str, expected: &[&str]) {
        let container = Container::start(test, tag, &[], &[]);
        container.wait_until("the program runs", || container.log().contains(&format!("up: {command}\n")));
        container
            .wait_until("bookend has started", || container.exec(&["/bookend", "probe", "startup"]).code == Some(0));
        let took = container.stop(&["--time", "60"]);
        let log = container.log();
        assert_eq!(container.exit_code(), 0, "{log}");
        assert!(took < Duration::from_secs(30), "{took:?}: {log}");
        for text in expected {
            assert!(log.contains(text), "{text}: {log}");
        }
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        self.made.reverse();
        run(Command::new("docker").args(["image", "rm", "--force"]).args(&self.made));
    }
}

/// The fenced blocks of one language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    page.split(fence.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn the_dockerfiles_of_the_language_pages_build_and_drain() {
    let test = "the_dockerfiles_of_the_language_pages_build_and_drain";
    let Some(mut images) = Images::new("languages") else { return };
    for (page, base, text, command) in [
        (
            "python",
            "python:3-slim",
            include_str!("../../docs/python.md"),
            "gunicorn --bind 0.0.0.0:8000 --graceful-timeout 20 app:app",
        ),
        ("node", "node:22-slim", include_str!("../../docs/node.md"), "node server.js"),
        (
            "java",
            "eclipse-temurin:21-jre",
            include_str!("../../docs/java.md"),
            "java -XX:MaxRAMPercentage=75 -jar app.jar",
        ),
        ("php", "php:8-fpm", include_str!("../../docs/php.md"), "php-fpm --nodaemonize"),
        ("go", "golang:1", include_str!("../../docs/go.md"), "/server"),
    ] {
        images.stands_in_as(base);
        images.folder.write("bookend.toml", blocks(text, "toml").first().expect("a configuration"));
        let tag = format!(":page-{page}");
        images.build(&format!("{PREFIX}{tag}"), blocks(text, "dockerfile").first().expect("a Dockerfile"));
        images.lives(&format!("{test}-{page}"), &tag, command, &["preStop drain", "served to the end"]);
    }
}

#[test]
fn the_dockerfiles_of_the_base_image_page_build_and_drain() {
    let test = "the_dockerfiles_of_the_base_image_page_build_and_drain";
    let page = include_str!("../../docs/base-image.md");
    let [base, team, own_entrypoint, check] = blocks(page, "dockerfile")[..] else { panic!("another page") };
    let Some(mut images) = Images::new("base-image") else { return };
    images.stands_in_as("debian:stable-slim");
    images.folder.write("bookend.toml", blocks(page, "toml").first().expect("a configuration"));
    images.folder.write("team.toml", "app.stopIsSuccess = true\n");
    images.build(BASE, base);

    images.build(&format!("{PREFIX}:page-team"), team);
    images.lives(&format!("{test}-team"), ":page-team", "server --port 8080", &["preStop drain", "served to the end"]);
    images.build(&format!("{PREFIX}:page-entrypoint"), &own_entrypoint.replace("[\"server\"]", "[\"program\"]"));
    images.lives(&format!("{test}-entrypoint"), ":page-entrypoint", "program", &["preStop drain", "served to the end"]);

    let with_check = format!("{team}{check}");
    images.build(&format!("{PREFIX}:page-check"), &with_check);
    images.folder.write("team.toml", "app.stopIsSucess = true\n");
    let refused = images.try_build(&format!("{PREFIX}:page-refused"), &with_check).expect_err("a misspelt key");
    assert!(refused.contains("stopIsSuccess"), "{refused}");
}

//! The Dockerfile at the root, built unchanged with a builder image that needs no registry.

use std::path::Path;
use std::process::Command;

use super::docker::{Container, PREFIX, ready, remove_images, run};

#[test]
fn the_root_dockerfile_builds_an_image_from_scratch() {
    let test = "the_root_dockerfile_builds_an_image_from_scratch";
    if !ready(test) {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let builder = format!("{PREFIX}-builder");
    let made = run(Command::new(root.join("scripts/builder-image")).arg(&builder));
    assert_eq!(made.code, Some(0), "{made:#?}");

    let (builder, image) = (format!("BUILDER={builder}"), format!("{PREFIX}:root"));
    // The page builds both tools; without this argument it is bookend alone.
    let page = include_str!("../../docs/rehearse.md");
    let packages = "PACKAGES=bookend bookend-rehearse";
    assert!(page.contains("docker build --build-arg PACKAGES=\"bookend bookend-rehearse\""));
    assert!(include_str!("../../Dockerfile").contains("\nARG PACKAGES=bookend\n"));
    let mut build = Command::new("docker");
    // The classic builder, as in scripts/images: it asks no registry for local images.
    build.env("DOCKER_BUILDKIT", "0").args(["build", "--network", "none", "--build-arg", &builder, "--tag", &image]);
    let built = run(build.args(["--build-arg", packages]).arg(root));
    assert_eq!(built.code, Some(0), "{built:#?}");

    // ENTRYPOINT ["/bookend", "--"]: the image's command is the app.
    let finished = Container::run(test, ":root", &["/bookend", "sleep", "0"]);
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    let version = Container::run(test, ":root", &["/bookend", "--version"]);
    assert!(version.stdout.contains("musl, static"), "{version:#?}");
    let rehearse = Container::run(test, ":root", &["/bookend-rehearse", "--version"]);
    assert!(rehearse.stdout.contains("bookend-rehearse"), "{rehearse:#?}");
    // They are the largest images of the tests. The build's first stage has no name, and the label of its base.
    remove_images(&[&image, &format!("{PREFIX}-builder")]);
    run(Command::new("docker").args(["image", "prune", "--force", "--filter", "label=bookend.builder=yes"]));
}

//! The promises of every image: its labels, its stop signal, its architecture.

use crate::docker::{Container, Folder, ready};

#[test]
fn every_image_has_its_labels() {
    if !ready("every_image_has_its_labels") {
        return;
    }
    for tag in ["", ":debian", ":nginx"] {
        let label =
            |name| Container::image(tag, &format!("{{{{index .Config.Labels \"org.opencontainers.image.{name}\"}}}}"));
        assert_eq!(label("version"), env!("CARGO_PKG_VERSION"), "bookend{tag}");
        assert_eq!(label("licenses"), env!("CARGO_PKG_LICENSE"), "bookend{tag}");
        assert_eq!(label("title"), format!("bookend{tag}"));
        for name in ["description", "revision"] {
            assert!(!label(name).is_empty(), "bookend{tag}: {name}");
        }
        let base = match tag {
            "" => "",
            ":debian" => "bookend-base",
            _ => "bookend-base:nginx",
        };
        assert_eq!(label("base.name"), base, "bookend{tag}");
    }
    assert_eq!(Container::image(":nginx", "{{.Config.StopSignal}}"), "SIGQUIT");
}

#[test]
fn every_image_has_a_tag_with_the_version() {
    if !ready("every_image_has_a_tag_with_the_version") {
        return;
    }
    for (tag, versioned) in [("", ":VERSION"), (":debian", ":VERSION-debian"), (":nginx", ":VERSION-nginx")] {
        let versioned = versioned.replace("VERSION", env!("CARGO_PKG_VERSION"));
        assert_eq!(Container::image(tag, "{{.Id}}"), Container::image(&versioned, "{{.Id}}"), "{versioned}");
    }
}

#[test]
fn the_base_image_has_no_command_and_no_tools() {
    let test = "the_base_image_has_no_command_and_no_tools";
    if !ready(test) {
        return;
    }
    assert_eq!(Container::image(":debian", "{{json .Config.Cmd}}"), "null");
    let finished = Container::run(test, ":debian", &["sh", "-c", "command -v nginx curl perl sh"]);
    assert!(!finished.stdout.contains("nginx") && !finished.stdout.contains("curl"), "{finished:#?}");
    // An image without a CMD needs only app.command.
    let folder = Folder::new(test);
    folder.write("bookend.toml", "app.command = [\"sh\", \"-c\", \"exit 9\"]\n");
    let mount = folder.mount("bookend.toml", "/etc/bookend/bookend.toml");
    assert_eq!(Container::run_with(test, ":debian", &[&mount], &[]).code, Some(9));
    // If the image has a CMD, `check` reports that app.command is not used.
    let both = Container::run_with(&format!("{test}-both"), ":debian", &[&mount], &["sh", "-c", "exit 8"]);
    assert_eq!(both.code, Some(8), "{both:#?}");
    assert!(both.stderr.contains("app.command: not used: the command line has a command"), "{both:#?}");
}

#[test]
fn the_image_adds_only_the_binary() {
    if !ready("the_image_adds_only_the_binary") {
        return;
    }
    let binary = std::fs::metadata(std::env::var_os("BOOKEND_BIN").expect("ready() has looked")).expect("it is there");
    let size: u64 = Container::image("", "{{.Size}}").parse().expect("bytes");
    assert!(size < binary.len() + 100_000, "{size} bytes for a binary of {}", binary.len());
    let layers = |tag| Container::image(tag, "{{len .RootFS.Layers}}").parse::<u32>().expect("a number");
    assert_eq!(layers(":debian"), layers_of_the_base() + 1);
}

fn layers_of_the_base() -> u32 {
    // scripts/base-image imports one tarball.
    1
}

#[test]
fn each_architectures_image_holds_its_binary() {
    let test = "each_architectures_image_holds_its_binary";
    if !ready(test) {
        return;
    }
    let (tag, arch, machine) =
        if cfg!(target_arch = "x86_64") { (":arm64", "arm64", 183) } else { (":amd64", "amd64", 62) };
    assert_eq!(Container::image(tag, "{{.Os}}/{{.Architecture}}"), format!("linux/{arch}"), "make build-all");
    let folder = Folder::new(test);
    let binary = Container::file_of(test, tag, "/bookend", &folder);
    // elf(5): e_machine.
    assert_eq!(binary.get(18..20), Some(&[machine, 0][..]));
}

const README: &str = include_str!("../../README.md");

#[test]
fn the_readmes_dockerfile_runs_its_command() {
    let test = "the_readmes_dockerfile_runs_its_command";
    if !ready(test) {
        return;
    }
    let shown = README.split("```dockerfile\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    Container::build(":readme", shown, &Folder::new(test));
    let finished = Container::run(test, ":readme", &["bash", "-c", "readlink /proc/1/exe; exit 5"]);
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(5), "/bookend\n"), "{finished:#?}");
}

#[test]
fn the_images_pages_dockerfile_runs_the_server() {
    let test = "the_images_pages_dockerfile_runs_the_server";
    if !ready(test) {
        return;
    }
    let page = include_str!("../../docs/images.md");
    let shown = page.split("```dockerfile\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let folder = Folder::new(test);
    folder.write_program("server", "#!/bin/sh\nreadlink /proc/1/exe; echo \"$@\"; exit 4\n");
    Container::build(":own", shown, &folder);
    let finished = Container::run(test, ":own", &[]);
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(4), "/bookend\n--port 8080\n"), "{finished:#?}");
}

#[test]
fn bookend_copy_installs_the_binary() {
    // An init container copies the binary to a shared volume, and the app's container runs it.
    let test = "bookend_copy_installs_the_binary";
    if !ready(test) {
        return;
    }
    let folder = Folder::new(test);
    let shared = folder.mount("", "/shared");
    let copy = Container::start(test, "", &[&shared], &["copy", "/shared/bookend"]);
    assert_eq!(copy.exit_code(), 0, "{}", copy.log());
    drop(copy);
    let options = [&shared, "--entrypoint", "/shared/bookend"];
    let app = Container::start(test, ":debian", &options, &["--", "sh", "-c", "exit 6"]);
    assert_eq!(app.exit_code(), 6, "{}", app.log());
}

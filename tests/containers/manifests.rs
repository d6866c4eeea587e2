//! Every manifest of config/kubernetes, and the Pods that documents show, run as they stand: see kubelet.rs. config/compose
//! and config/podman are run by Compose and Podman: compose.rs, podman.rs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::docker::{Folder, build_image, remove_images};
use crate::kubelet::{Manifest, Pod};
use crate::named_images::NamedImages;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn manifests() -> Vec<Manifest> {
    let entries = fs::read_dir(root().join("config/kubernetes")).expect("it is there").flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    let mut all = Vec::new();
    for file in &files {
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let found = Manifest::all_of(&name, &fs::read_to_string(file).expect("it is there"));
        assert!(!found.is_empty(), "{name} has no pod");
        all.extend(found);
    }
    assert!(all.len() >= 6, "{}", all.len());
    all
}

/// The Pods that docs/inject.md shows as changed by the policies.
fn injected() -> Vec<Manifest> {
    let page = include_str!("../../docs/inject.md");
    let blocks: Vec<&str> =
        page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().expect("an end")).collect();
    let of = |name: &str, number: usize| Manifest::all_of(name, blocks.get(number).expect("a Pod"));
    [of("inject-sidecar", 1), of("inject-wrap", 3)].into_iter().flatten().collect()
}

/// Manifests that `kubectl bookend inject` writes: one that only the image of nginx knows the command of, with the hooks of the
/// Kubernetes documentation's example, and a server behind bookend and beside it.
fn from_the_plugin() -> Vec<Manifest> {
    let example = include_str!("../../crates/kubectl-bookend/tests/golden/lifecycle.yaml");
    let server = "kind: Pod\nmetadata: {name: server}\nspec:\n  containers:\n  - name: app\n    image: registry.example/web:3.2\n    \
                  args: ['8080']\n    ports: [{name: http, containerPort: 8080}]\n    \
                  readinessProbe: {tcpSocket: {port: http}, periodSeconds: 3}\n";
    // The kubelet of these tests calls no probe of the kind tcpSocket; behind bookend it asks bookend.
    let without_probe = server.split("    readinessProbe").next().expect("a manifest");
    let of = |name: &str, text: &str, options: &[&str]| {
        let injected = kubectl_bookend::injected(text, options).unwrap_or_else(|error| panic!("{name}: {error}"));
        Manifest::all_of(name, &injected)
    };
    let all = [
        of("plugin-nginx", example, &["--engine", "docker"]),
        of("plugin-wrap", server, &["--command", "/server"]),
        of("plugin-sidecar", without_probe, &["--sidecar"]),
    ];
    all.into_iter().flatten().collect()
}

/// The Pod of docs/start-kubernetes.md, with the image that docs/start-docker.md builds.
fn first_pod() -> Vec<Manifest> {
    let page = include_str!("../../docs/start-kubernetes.md");
    Manifest::all_of("start-kubernetes", block(page, "yaml"))
}

/// The container that docs/images.md shows for bookend:nginx.
fn images_page() -> Manifest {
    let page = include_str!("../../docs/images.md");
    let mut spec: Value = serde_saphyr::from_str(block(page, "yaml")).expect("YAML");
    // A part of a Pod.
    spec["containers"][0]["ports"] = json!([{ "name": "http", "containerPort": 80 }]);
    Manifest::of_spec("images-page", spec)
}

fn block<'a>(page: &'a str, language: &str) -> &'a str {
    let fence = format!("```{language}\n");
    page.split(fence.as_str()).nth(1).and_then(|rest| rest.split("```").next()).expect("an example")
}

/// `web`, for as long as it is held.
struct Web;

impl Web {
    fn build() -> Web {
        let page = include_str!("../../docs/start-docker.md");
        let folder = Folder::new("web");
        folder.write("bookend.toml", block(page, "toml"));
        build_image("web", block(page, "dockerfile"), &folder);
        Web
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        remove_images(&["web"]);
    }
}

#[test]
fn every_manifest_runs_with_its_image_and_loses_nothing() {
    let test = "every_manifest_runs_with_its_image_and_loses_nothing";
    let Some(_images) = NamedImages::get(test) else { return };
    let _alone = crate::documents::alone();
    let _web = Web::build();
    let mut all = manifests();
    all.extend(injected());
    all.extend(from_the_plugin());
    all.extend(first_pod());
    all.push(images_page());
    // Most of the time is a drain, so several at once.
    let next = Mutex::new(all.iter());
    std::thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| {
                loop {
                    let manifest = next.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
                    let Some(manifest) = manifest else { break };
                    live(manifest);
                }
            });
        }
    });
}

fn live(manifest: &Manifest) {
    let pod = Pod::start(manifest);
    match manifest.name() {
        // A Job also ends by itself, which no kubelet tells a hook.
        "job" => {
            pod.completes();
            let log = pod.log();
            assert!(log.contains("upload: /results --reason Completed --exit-code 0"), "{log}");
            drop(pod);
            let pod = Pod::start(manifest);
            pod.wait_for("report --all");
            pod.stop_under_load();
            let log = pod.log();
            assert!(log.contains("the piece in hand is finished"), "{log}");
            assert!(log.contains("upload: /results --reason Stopped"), "{log}");
        }
        name => {
            pod.stop_under_load();
            let log = pod.log();
            let expected: &[&str] = match name {
                "pod" => &["preStop drain took", "SIGQUIT sent to the app"],
                "deployment" => &["preStop drain took", "tell: gone: Stopped", "finished every request"],
                "native-sidecar" => &[
                    "asked for /v1/register/web",
                    "preStop drain took",
                    "finished every request",
                    "asked for /v1/deregister/web",
                ],
                "sidecar" => {
                    &["preStop drain took", "preStop drain-web took", "preStop finish took", "asked for /finish"]
                }
                "shared-process-namespace" => {
                    &["the app's process is found", "signal 3 (SIGQUIT) received", "asked for /v1/gone/proxy"]
                }
                "plugin-nginx" => &["preStop[0] took", "preStop done", "app exited with 0"],
                "plugin-sidecar" => &["preStop drain took", "finished every request"],
                "plugin-wrap" => &["preStop drain took", "SIGTERM sent to the app", "finished every request"],
                "inject-sidecar" => &["preStop drain took", "finished every request"],
                "inject-wrap" => &["preStop drain took", "SIGTERM sent to the app", "finished every request"],
                "start-kubernetes" | "images-page" => &["preStop drain took", "SIGQUIT sent to the app"],
                name => panic!("{name}: state here what its log must contain"),
            };
            for text in expected {
                assert!(log.contains(text), "{name}: {text}: {log}");
            }
        }
    }
}

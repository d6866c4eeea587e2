//! A kubelet for one pod of a manifest, in the container engine: its images, commands, users, capabilities, volumes and
//! ConfigMaps as they stand; its init containers, sidecars, hooks and probes in a kubelet's order; and its stop.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::clients::Clients;
use crate::docker::{Container, Folder, Namespaces, PREFIX, TOOLS, docker_ok, wait_for};
use crate::named_images::NamedImages;

/// The pod of a manifest, and the ConfigMaps beside it.
pub(crate) struct Manifest {
    name: String,
    spec: Value,
    annotations: Value,
    config_maps: Vec<Value>,
}

impl Manifest {
    /// Every pod of a text.
    pub(crate) fn all_of(name: &str, text: &str) -> Vec<Manifest> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text).expect("YAML");
        let maps = documents.iter().filter(|document| document["kind"] == "ConfigMap");
        let config_maps: Vec<Value> = maps.cloned().collect();
        let specs = documents.iter().filter_map(|document| match document["kind"].as_str() {
            Some("Pod") => Some(document),
            Some("Deployment" | "Job") => Some(&document["spec"]["template"]),
            _ => None,
        });
        let manifest = |pod: &Value| Manifest {
            name: name.to_owned(),
            spec: pod["spec"].clone(),
            annotations: pod["metadata"]["annotations"].clone(),
            config_maps: config_maps.clone(),
        };
        specs.map(manifest).collect()
    }

    /// The name of its file.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A pod that a document shows in part.
    pub(crate) fn of_spec(name: &str, spec: Value) -> Manifest {
        Manifest { name: name.to_owned(), spec, annotations: Value::Null, config_maps: Vec::new() }
    }
}

/// A container of the pod, as far as the kubelet needs to know it.
struct Running<'a> {
    name: &'a str,
    spec: &'a Value,
    container: Container,
}

/// A pod that runs.
pub(crate) struct Pod<'a> {
    manifest: &'a Manifest,
    folder: Folder,
    /// Holds the network and, if the pod wants that, the PIDs.
    pause: Container,
    /// Has curl, in the pod's network: the kubelet's requests come from here.
    curl: Container,
    /// The service `registry.internal:8500` that some manifests call, which was there before the pod.
    registry: Option<Container>,
    sidecars: Vec<Running<'a>>,
    apps: Vec<Running<'a>>,
}

impl<'a> Pod<'a> {
    /// Starts it: init containers and sidecars one after the other, then the others, with their postStart hooks and probes.
    pub(crate) fn start(manifest: &'a Manifest) -> Pod<'a> {
        let name = &manifest.name;
        let folder = Folder::new(name);
        let registry = "--add-host=registry.internal:127.0.0.1".to_owned();
        let mut options = vec!["--network=none".to_owned(), format!("--hostname={name}"), registry];
        // Kubernetes itself leaves ports below 1024 to root; Docker does not.
        let mut privileged_ports = "--sysctl=net.ipv4.ip_unprivileged_port_start=1024".to_owned();
        for sysctl in list(&manifest.spec["securityContext"]["sysctls"]) {
            let set = format!("--sysctl={}={}", text(&sysctl["name"]), text(&sysctl["value"]));
            match text(&sysctl["name"]) {
                "net.ipv4.ip_unprivileged_port_start" => privileged_ports = set,
                _ => options.push(set),
            }
        }
        options.push(privileged_ports);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let pause = Container::start_image(&format!("{name}-pause"), &options, PREFIX, &["pause"]);
        let curl = Container::start_beside(
            &format!("{name}-curl"),
            &pause,
            Namespaces::Network,
            TOOLS,
            &[],
            &["sleep", "600"],
        );
        let asks = manifest.config_maps.iter().any(|map| map.to_string().contains("registry.internal"));
        let registry = asks.then(|| start_registry(name, &pause));
        let mut pod = Pod { manifest, folder, pause, curl, registry, sidecars: Vec::new(), apps: Vec::new() };
        pod.make_volumes();
        for spec in list(&manifest.spec["initContainers"]) {
            let running = pod.run(spec);
            if spec["restartPolicy"] == "Always" {
                pod.post_start_and_probe(&running, &["startupProbe"]);
                pod.sidecars.push(running);
            } else {
                assert_eq!(running.container.exit_code(), 0, "{name}: {}: {}", running.name, running.container.log());
            }
        }
        for spec in list(&manifest.spec["containers"]) {
            let running = pod.run(spec);
            pod.post_start_and_probe(&running, &[]);
            pod.apps.push(running);
        }
        for running in &pod.apps {
            pod.probe(running, &["startupProbe", "readinessProbe", "livenessProbe"]);
        }
        pod
    }

    /// Its volumes as folders: a ConfigMap's files belong to root, an emptyDir is everybody's.
    fn make_volumes(&self) {
        for volume in list(&self.manifest.spec["volumes"]) {
            let path = self.volume(text(&volume["name"]));
            fs::create_dir_all(&path).expect("the folder is ours");
            for item in list(&volume["downwardAPI"]["items"]) {
                let field = text(&item["fieldRef"]["fieldPath"]);
                let key = field.strip_prefix("metadata.annotations['").and_then(|rest| rest.strip_suffix("']"));
                let value = &self.manifest.annotations[key.unwrap_or_else(|| panic!("{field} is not an annotation"))];
                fs::write(path.join(text(&item["path"])), text(value)).expect("the folder is ours");
            }
            if volume["downwardAPI"].is_object() {
                continue;
            }
            let Some(map) = volume["configMap"]["name"].as_str() else {
                assert!(volume["emptyDir"].is_object(), "{volume}: a kind of volume that is not known here");
                fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("the folder is ours");
                continue;
            };
            let map = self.manifest.config_maps.iter().find(|one| one["metadata"]["name"] == map);
            let map = map.unwrap_or_else(|| panic!("{volume}: no such ConfigMap"));
            for (file, content) in map["data"].as_object().expect("data") {
                fs::write(path.join(file), text(content)).expect("the folder is ours");
            }
        }
    }

    fn volume(&self, name: &str) -> PathBuf {
        self.folder.path.join("volumes").join(name)
    }

    /// One container, confined as its securityContext and the pod's ask for.
    fn run(&self, spec: &'a Value) -> Running<'a> {
        let (name, image) = (text(&spec["name"]), text(&spec["image"]));
        assert!(NamedImages::has(image), "{}: the image {image} is not known here", self.manifest.name);
        let (own, of_pod) = (&spec["securityContext"], &self.manifest.spec["securityContext"]);
        let setting = |key: &str| Some(&own[key]).filter(|value| !value.is_null()).unwrap_or(&of_pod[key]);
        let mut options = vec![format!("--network=container:{}", self.pause.name())];
        if self.manifest.spec["shareProcessNamespace"] == true {
            options.push(format!("--pid=container:{}", self.pause.name()));
        }
        match (setting("runAsUser").as_u64(), setting("runAsGroup").as_u64()) {
            (Some(user), group) => options.push(format!("--user={user}:{}", group.unwrap_or(0))),
            (None, _) if setting("runAsNonRoot") == true => {
                let user = docker_ok(&["image", "inspect", "--format", "{{.Config.User}}", image]).stdout;
                let id = user.trim().split(':').next().and_then(|id| id.parse::<u32>().ok());
                assert!(id.is_some_and(|id| id > 0), "{name}: runAsNonRoot, and the image's user is {user:?}");
            }
            (None, _) => {}
        }
        if own["readOnlyRootFilesystem"] == true {
            options.push("--read-only".to_owned());
        }
        if own["allowPrivilegeEscalation"] == false {
            options.push("--security-opt=no-new-privileges".to_owned());
        }
        for capability in list(&own["capabilities"]["drop"]) {
            options.push(format!("--cap-drop={}", text(capability)));
        }
        for capability in list(&own["capabilities"]["add"]) {
            options.push(format!("--cap-add={}", text(capability)));
        }
        if let Some(memory) = spec["resources"]["limits"]["memory"].as_str() {
            options.push(format!("--memory={}", memory.replace("Mi", "m")));
        }
        for variable in list(&spec["env"]) {
            options.push(format!("--env={}={}", text(&variable["name"]), text(&variable["value"])));
        }
        // The kubelet's own mount, by whose path a sidecar knows the container's name.
        let message = format!("pods/0b1d/containers/{name}/8c2f1a90");
        self.folder.write(&message, "");
        options.push(self.folder.mount(&message, "/dev/termination-log"));
        for mount in list(&spec["volumeMounts"]) {
            let mode = if mount["readOnly"] == true { "ro" } else { "rw" };
            let volume = self.volume(text(&mount["name"]));
            options.push(format!("--volume={}:{}:{mode}", volume.display(), text(&mount["mountPath"])));
        }
        let mut words: Vec<&str> = list(&spec["command"]).map(text).collect();
        if !words.is_empty() {
            options.push(format!("--entrypoint={}", words.remove(0)));
        }
        words.extend(list(&spec["args"]).map(text));
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let container = Container::start_image(&format!("{}-{name}", self.manifest.name), &options, image, &words);
        Running { name, spec, container }
    }

    fn post_start_and_probe(&self, running: &Running<'_>, probes: &[&str]) {
        let hook = &running.spec["lifecycle"]["postStart"];
        if !hook.is_null() {
            assert!(self.calls(running, hook), "postStart of {}: {}", running.name, self.log());
        }
        self.probe(running, probes);
    }

    /// Waits until these probes succeed, in their order.
    fn probe(&self, running: &Running<'_>, probes: &[&str]) {
        for probe in probes {
            let handler = &running.spec[probe];
            if !handler.is_null() {
                let succeeded = wait_for(probe, || self.calls(running, handler).then_some(()));
                assert!(succeeded.is_some(), "{probe} of {}: {}", running.name, self.log());
            }
        }
    }

    /// Whether a hook or a probe succeeds.
    fn calls(&self, running: &Running<'_>, handler: &Value) -> bool {
        if let Some(command) = handler["exec"]["command"].as_array() {
            let words: Vec<&str> = command.iter().map(text).collect();
            return running.container.exec(&words).code == Some(0);
        }
        let get = &handler["httpGet"];
        let port = port_of(running.spec, &get["port"]).unwrap_or_else(|| panic!("{handler}: no such port"));
        self.curl.get(&format!("http://127.0.0.1:{port}{}", text(&get["path"]))) == 200
    }

    /// Waits for the end of every container that ends by itself.
    pub(crate) fn completes(&self) {
        for running in &self.apps {
            assert_eq!(running.container.exit_code(), 0, "{}: {}", running.name, self.log());
        }
    }

    /// Waits until a container of the pod has logged this.
    pub(crate) fn wait_for(&self, words: &str) {
        assert!(wait_for(words, || self.log().contains(words).then_some(())).is_some(), "{words}: {}", self.log());
    }

    /// The whole stop while clients call the app's port: every preStop hook at the same instant, each container's stop signal
    /// when its hook has been answered, those of sidecars when the others have ended, the last one first.
    pub(crate) fn stop_under_load(&self) {
        let clients = self.port_of_clients().map(|port| Clients::of_port(&self.manifest.name, &self.pause, port));
        let grace = self.manifest.spec["terminationGracePeriodSeconds"].as_u64().unwrap_or(30);
        let began = Instant::now();
        if let Some(clients) = &clients {
            clients.stop_begins();
        }
        let hook = |running: &Running<'_>| {
            let hook = &running.spec["lifecycle"]["preStop"];
            assert!(hook.is_null() || self.calls(running, hook), "preStop of {}: {}", running.name, self.log());
        };
        let stop = |running: &Running<'_>| {
            hook(running);
            signal_and_end(running);
        };
        std::thread::scope(|scope| {
            let hooks_of_sidecars: Vec<_> = self.sidecars.iter().map(|running| scope.spawn(|| hook(running))).collect();
            let apps: Vec<_> = self.apps.iter().map(|running| scope.spawn(|| stop(running))).collect();
            // The readiness probes of a terminating pod go on.
            while apps.iter().any(|app| !app.is_finished()) {
                for running in &self.apps {
                    let probe = &running.spec["readinessProbe"];
                    if !probe.is_null() && probe_is_due(probe, began.elapsed()) {
                        self.calls(running, probe);
                    }
                }
                std::thread::sleep(STEP);
            }
            for thread in apps.into_iter().chain(hooks_of_sidecars) {
                thread.join().unwrap_or_else(|_| panic!("{}", self.log()));
            }
        });
        for running in self.sidecars.iter().rev() {
            signal_and_end(running);
        }
        let took = began.elapsed();
        assert!(took < Duration::from_secs(grace), "{took:?} of {grace} s: {}", self.log());
        for running in self.apps.iter().chain(&self.sidecars) {
            let (code, log) = (running.container.exit_code(), running.container.log());
            assert_eq!(code, 0, "{} of {}: {log}", running.name, self.manifest.name);
            assert!(!log.contains("SIGKILL"), "{} of {}: {log}", running.name, self.manifest.name);
        }
        if let Some(clients) = clients {
            clients.lost_nothing(|| self.log());
        }
    }

    /// The port that is called `http`.
    fn port_of_clients(&self) -> Option<u16> {
        self.apps.iter().find_map(|running| port_of(running.spec, &"http".into()))
    }

    /// The logs of all containers, and of the registry.
    pub(crate) fn log(&self) -> String {
        let all = self.sidecars.iter().chain(&self.apps).map(|running| (running.name, &running.container));
        let all = all.chain(self.registry.iter().map(|container| ("registry", container)));
        all.map(|(name, container)| format!("--- {name} of {}\n{}", self.manifest.name, container.log())).collect()
    }
}

/// A server that answers whatever it is asked for, on port 8500 of the pod's network.
fn start_registry(pod: &str, pause: &Container) -> Container {
    let network = format!("--network=container:{}", pause.name());
    let container =
        Container::start_image(&format!("{pod}-registry"), &[&network], "registry.example/web:3.2", &["8500"]);
    let listens = || container.log().contains("listening").then_some(());
    assert!(wait_for("the registry", listens).is_some(), "{}", container.log());
    container
}

/// The signal that the image asks for, and the end that follows.
fn signal_and_end(running: &Running<'_>) {
    let format = "{{.Config.StopSignal}}";
    let signal = docker_ok(&["image", "inspect", "--format", format, text(&running.spec["image"])]).stdout;
    // A container whose sidecar signals it has ended by now.
    running.container.kill_if_running(Some(signal.trim()).filter(|signal| !signal.is_empty()).unwrap_or("SIGTERM"));
    running.container.exit_code();
}

const STEP: Duration = Duration::from_millis(100);

/// About once a period.
fn probe_is_due(probe: &Value, since: Duration) -> bool {
    let period = Duration::from_secs(probe["periodSeconds"].as_u64().unwrap_or(10)).as_millis();
    since.as_millis() % period < STEP.as_millis()
}

/// A port by its number, or by its name among the container's own.
fn port_of(container: &Value, port: &Value) -> Option<u16> {
    let number = match port.as_str() {
        None => port.as_u64(),
        Some(name) => list(&container["ports"]).find(|one| one["name"] == name)?["containerPort"].as_u64(),
    };
    number.and_then(|number| u16::try_from(number).ok())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value}: text is expected"))
}

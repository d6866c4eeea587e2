//! The configuration of bookend in a container, put together as bookend does it: files of ConfigMaps, variables, options, command.
//! Pure. A source that is not in the manifests (the image, a Secret, another ConfigMap) is named and not guessed.

use std::ffi::OsString;

use bookend_config::{Diagnostics, Document, Effective, Mode, Override, Sources, is_configuration_variable};
use serde_json::Value;

use super::subject::{ConfigMaps, Subject};
use crate::wrapped::{bookend_of, words};

/// The configuration, and what is not known of it.
pub(crate) struct ContainerConfiguration {
    pub(crate) effective: Result<Effective, Diagnostics>,
    pub(crate) is_sidecar: bool,
    /// `ConfigMap web-bookend, bookend.toml`, ...
    pub(crate) files: Vec<String>,
    /// Sources that could not be read, one sentence each.
    pub(crate) missing: Vec<String>,
}

/// The words of the command line that configure bookend.
#[derive(Default)]
struct Words {
    is_sidecar: bool,
    files: Vec<String>,
    set: Vec<Override>,
    command: Vec<OsString>,
}

/// A file in the container.
enum MountedFile {
    Text(Document),
    /// Its volume has no such file.
    Absent,
    /// No volume is mounted there.
    NotMounted,
    /// The content is not in the manifests; the reason.
    Unknown(String),
}

/// Puts it together.
pub(crate) fn configuration_of(subject: Subject<'_>, maps: &ConfigMaps) -> ContainerConfiguration {
    let own = bookend_of(subject.container);
    let words = match &own {
        Some(bookend) => Words::read(&bookend.args),
        // The image's ENTRYPOINT is bookend; args are its command line, or the command of its `--`.
        None => Words::of_image(&words(subject.container, "args")),
    };
    let mut missing = Vec::new();
    let env = variables(subject, maps, &mut missing);
    let named =
        env.iter().find(|(name, _)| name == "BOOKEND_CONFIG").map(|(_, value)| value.to_string_lossy().into_owned());
    let mut documents = Vec::new();
    let paths = if words.files.is_empty() { named.into_iter().collect() } else { words.files.clone() };
    if paths.is_empty() {
        documents.extend(default_files(subject, maps, own.is_none(), &mut missing));
    }
    for path in paths {
        match mounted_file(subject, maps, &path) {
            MountedFile::Text(document) => documents.push(document),
            MountedFile::Absent => missing.push(format!("{path} is not in the volume that is mounted there")),
            MountedFile::NotMounted => missing.push(format!("{path} is a file of the image")),
            MountedFile::Unknown(why) => missing.push(format!("{path}: {why}")),
        }
    }
    let files = documents.iter().map(|document| document.name.clone()).collect();
    let mode = if words.is_sidecar { Mode::Sidecar } else { Mode::App };
    let sources = Sources {
        files: documents,
        env: env
            .into_iter()
            .filter(|(name, value)| !value.is_empty() && is_configuration_variable(name, value))
            .collect(),
        overrides: words.set,
        command: words.command,
        mode,
        ..Sources::default()
    };
    let effective = bookend_config::load(&sources);
    ContainerConfiguration { effective, is_sidecar: words.is_sidecar, files, missing }
}

impl Words {
    /// Reads the words behind bookend: `[run | sidecar] [-c FILE] [--set KEY=VALUE] [--profile NAME] [--] COMMAND`.
    fn read(args: &[String]) -> Words {
        let mut read = Words::default();
        let mut args = args.iter().peekable();
        if let Some(word) = args.next_if(|word| *word == "run" || *word == "sidecar") {
            read.is_sidecar = word == "sidecar";
        }
        while let Some(word) = args.next() {
            let (option, value) = match word.split_once('=') {
                Some((option, value)) if option.starts_with("--") => (option, Some(value.to_owned())),
                _ => (word.as_str(), None),
            };
            let mut value = || value.clone().or_else(|| args.next().cloned()).unwrap_or_default();
            match option {
                "-c" | "--config" => read.files.push(value()),
                "--set" => read.set.extend(override_of(&value())),
                "--profile" => {
                    let (path, flag) = ("app.profile".to_owned(), "--profile".to_owned());
                    read.set.push(Override { path, value: value(), flag });
                }
                "--" => {
                    read.command = args.by_ref().map(OsString::from).collect();
                }
                _ if word.starts_with("-c") => read.files.push(word.trim_start_matches("-c").to_owned()),
                _ => {
                    read.command = std::iter::once(word).chain(args.by_ref()).map(OsString::from).collect();
                }
            }
        }
        read
    }

    /// The args of a container whose image runs bookend: usually the command, behind `["/bookend", "--"]`.
    fn of_image(args: &[String]) -> Words {
        match args.first().is_some_and(|word| word.starts_with('-') || word == "run" || word == "sidecar") {
            true => Words::read(args),
            false => Words { command: args.iter().map(OsString::from).collect(), ..Words::default() },
        }
    }
}

fn override_of(text: &str) -> Option<Override> {
    let (path, value) = text.split_once('=')?;
    let path = path.trim().to_owned();
    Some(Override { flag: format!("--set {path}"), path, value: value.to_owned() })
}

/// `/etc/bookend/bookend.toml` and `/etc/bookend/conf.d/*.toml`.
fn default_files(subject: Subject<'_>, maps: &ConfigMaps, is_image: bool, missing: &mut Vec<String>) -> Vec<Document> {
    let mut documents = Vec::new();
    match mounted_file(subject, maps, DEFAULT_FILE) {
        MountedFile::Text(document) => documents.push(document),
        MountedFile::Absent => {}
        MountedFile::NotMounted if is_image => missing.push(format!("{DEFAULT_FILE} may be a file of the image")),
        MountedFile::NotMounted => {}
        MountedFile::Unknown(why) => missing.push(format!("{DEFAULT_FILE}: {why}")),
    }
    for name in mounted_names(subject, maps, DEFAULT_FOLDER) {
        if let MountedFile::Text(document) = mounted_file(subject, maps, &format!("{DEFAULT_FOLDER}/{name}")) {
            documents.push(document);
        }
    }
    documents
}

/// The variables whose values the manifests have; a later one is stronger.
fn variables(subject: Subject<'_>, maps: &ConfigMaps, missing: &mut Vec<String>) -> Vec<(OsString, OsString)> {
    let mut all: Vec<(OsString, OsString)> = Vec::new();
    let text = |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    for source in subject.items("envFrom") {
        let Some(name) = text(source, "/configMapRef/name") else { continue };
        let prefix = text(source, "/prefix").unwrap_or_default();
        let data = map_of(subject, maps, &name);
        for (key, value) in data.into_iter().flatten() {
            all.push((format!("{prefix}{key}").into(), value.as_str().unwrap_or_default().into()));
        }
    }
    for variable in subject.items("env") {
        let Some(name) = text(variable, "/name") else { continue };
        let from_map = || {
            let data = map_of(subject, maps, &text(variable, "/valueFrom/configMapKeyRef/name")?)?;
            data.get(&text(variable, "/valueFrom/configMapKeyRef/key")?)?.as_str().map(str::to_owned)
        };
        match text(variable, "/value").or_else(from_map) {
            Some(value) => all.push((name.into(), value.into())),
            None if variable.get("valueFrom").is_some() && name.starts_with("BOOKEND_") => {
                missing.push(format!("the value of {name} is not in the manifests"));
            }
            None => {}
        }
    }
    // Of two variables of one name the container gets the last one.
    let mut seen = std::collections::BTreeSet::new();
    let mut last: Vec<_> = all.into_iter().rev().filter(|(name, _)| seen.insert(name.clone())).collect();
    last.reverse();
    last
}

fn map_of<'a>(subject: Subject<'_>, maps: &'a ConfigMaps, name: &str) -> Option<&'a serde_json::Map<String, Value>> {
    let key = (subject.namespace().to_owned(), name.to_owned());
    // A ConfigMap without a namespace goes where its file is applied.
    maps.get(&key).or_else(|| maps.get(&(String::new(), name.to_owned()))).or_else(|| {
        let mut named = maps.iter().filter(|((_, known), _)| known == name && key.0.is_empty());
        named.next().map(|(_, data)| data)
    })
}

/// The names of the ConfigMaps that the container uses as volumes or variables, for a reader of live objects.
pub(crate) fn config_map_names(subject: Subject<'_>) -> Vec<String> {
    let volumes = subject.pod.get("volumes").and_then(Value::as_array).into_iter().flatten();
    let mounts: Vec<&str> = subject.items("volumeMounts").filter_map(|mount| mount.get("name")?.as_str()).collect();
    let mounted =
        volumes.filter(|volume| volume.get("name").and_then(Value::as_str).is_some_and(|name| mounts.contains(&name)));
    let sources = mounted.flat_map(|volume| {
        let projected = volume.pointer("/projected/sources").and_then(Value::as_array);
        std::iter::once(volume).chain(projected.into_iter().flatten())
    });
    let of_volumes = sources.filter_map(|source| source.pointer("/configMap/name")?.as_str());
    let of_env = subject.items("envFrom").filter_map(|source| source.pointer("/configMapRef/name")?.as_str());
    let of_keys =
        subject.items("env").filter_map(|variable| variable.pointer("/valueFrom/configMapKeyRef/name")?.as_str());
    let mut names: Vec<String> = of_volumes.chain(of_env).chain(of_keys).map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The file at this path of the container.
fn mounted_file(subject: Subject<'_>, maps: &ConfigMaps, path: &str) -> MountedFile {
    let Some((mount, rest)) = mount_of(subject, path) else { return MountedFile::NotMounted };
    let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let volume_name = text(mount, "name");
    let volumes = subject.pod.get("volumes").and_then(Value::as_array).into_iter().flatten();
    let Some(volume) = volumes.into_iter().find(|volume| text(volume, "name") == volume_name) else {
        return MountedFile::Unknown(format!("the Pod has no volume {volume_name}"));
    };
    let below = text(mount, "subPath");
    let file = [below.as_str(), rest].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("/");
    let sources = volume.pointer("/projected/sources").and_then(Value::as_array);
    let sources: Vec<&Value> = sources.map_or_else(|| vec![volume], |sources| sources.iter().collect());
    let mut result = MountedFile::Absent;
    for source in sources {
        match source_file(subject, maps, source, &file) {
            MountedFile::Absent => {}
            found @ MountedFile::Text(_) => return found,
            other => result = other,
        }
    }
    result
}

/// The file in one source of a volume.
fn source_file(subject: Subject<'_>, maps: &ConfigMaps, source: &Value, file: &str) -> MountedFile {
    let items = |kind: &str| source.pointer(&format!("/{kind}/items")).and_then(Value::as_array);
    let item = |kind: &str| {
        let named = items(kind)?.iter().find(|item| item.get("path").and_then(Value::as_str) == Some(file));
        named.cloned()
    };
    if let Some(name) = source.pointer("/configMap/name").and_then(Value::as_str) {
        let Some(data) = map_of(subject, maps, name) else {
            return MountedFile::Unknown(format!("ConfigMap {name} is not in the manifests"));
        };
        let key = match items("configMap") {
            Some(_) => item("configMap").and_then(|item| Some(item.get("key")?.as_str()?.to_owned())),
            None => Some(file.to_owned()),
        };
        let found = key.and_then(|key| Some((data.get(&key)?.as_str()?.to_owned(), key)));
        return found.map_or(MountedFile::Absent, |(text, key)| {
            MountedFile::Text(Document { name: format!("ConfigMap {name}, {key}"), text })
        });
    }
    if source.get("downwardAPI").is_some() {
        let path = item("downwardAPI").and_then(|item| Some(item.pointer("/fieldRef/fieldPath")?.as_str()?.to_owned()));
        let Some(path) = path else { return MountedFile::Absent };
        let name = path.strip_prefix("metadata.annotations['").and_then(|name| name.strip_suffix("']"));
        let annotations = subject.metadata.get("annotations");
        let text = name.and_then(|name| annotations?.get(name)?.as_str());
        return text.map_or(MountedFile::Absent, |text| {
            MountedFile::Text(Document {
                name: format!("annotation {}", name.unwrap_or_default()),
                text: text.to_owned(),
            })
        });
    }
    let kind = ["secret", "emptyDir", "persistentVolumeClaim", "csi", "image", "hostPath"]
        .into_iter()
        .find(|kind| source.get(*kind).is_some());
    match kind {
        Some("emptyDir") => MountedFile::Absent,
        kind => {
            MountedFile::Unknown(format!("it comes from a volume of the kind {}", kind.unwrap_or("that is not known")))
        }
    }
}

/// The names of the files in a folder, as far as a ConfigMap gives them.
fn mounted_names(subject: Subject<'_>, maps: &ConfigMaps, folder: &str) -> Vec<String> {
    let Some((mount, "")) = mount_of(subject, folder) else { return Vec::new() };
    let volume_name = mount.get("name").and_then(Value::as_str);
    let volumes = subject.pod.get("volumes").and_then(Value::as_array).into_iter().flatten();
    let volume = volumes.into_iter().find(|volume| volume.get("name").and_then(Value::as_str) == volume_name);
    let name = volume.and_then(|volume| volume.pointer("/configMap/name")?.as_str());
    let data = name.and_then(|name| map_of(subject, maps, name));
    let mut names: Vec<String> =
        data.into_iter().flatten().map(|(key, _)| key.clone()).filter(|key| key.ends_with(".toml")).collect();
    names.sort_unstable();
    names
}

/// The mount that has this path, and the rest of the path below it.
fn mount_of<'a, 'p>(subject: Subject<'a>, path: &'p str) -> Option<(&'a Value, &'p str)> {
    let rest_below = |mount: &Value| {
        let at = mount.get("mountPath")?.as_str()?.trim_end_matches('/');
        let rest = path.strip_prefix(at)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/'))
    };
    let mounts = subject.items("volumeMounts").filter_map(|mount| Some((mount, rest_below(mount)?)));
    mounts.min_by_key(|(_, rest)| rest.len())
}

const DEFAULT_FILE: &str = "/etc/bookend/bookend.toml";
const DEFAULT_FOLDER: &str = "/etc/bookend/conf.d";

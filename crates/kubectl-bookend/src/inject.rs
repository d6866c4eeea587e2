//! `kubectl bookend inject` and `uninject`: manifests with bookend in front of containers or beside them, and without it again.

use serde_json::Value;

use crate::command::{CommandArgs, Found, has_command};
use crate::convert::{self, Beside, DEFAULT_GRACE_SECONDS, Wrap};
use crate::kubectl::ClusterArgs;
use crate::manifests::ManifestFile;
use crate::outcome::{Failure, Outcome, note, print};
use crate::rework::{self, Messages, candidates, chosen};
use crate::workload::{ContainerPath, PodPath, containers};
use crate::wrapped::bookend_of;

/// Which manifests, and where the result goes.
#[derive(Debug, clap::Args)]
pub(crate) struct ManifestArgs {
    /// Files, folders, `-` (stdin), or live objects such as deployment/web
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<String>,
    /// Only these containers: NAME, Kind/owner or Kind/owner:NAME; repeatable
    #[arg(long = "container", value_name = "NAME")]
    containers: Vec<String>,
    /// Show what would change; the exit code is 1 if anything would
    #[arg(long)]
    diff: bool,
    /// Write the files themselves instead of stdout
    #[arg(long, conflicts_with = "diff")]
    write: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct InjectArgs {
    #[command(flatten)]
    manifests: ManifestArgs,
    /// Put bookend beside the containers: they are not changed but for their preStop hook
    #[arg(long)]
    sidecar: bool,
    /// Image of bookend [default: bookend with the version of this tool]
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Port of bookend's endpoint; the next one that is free [default: 9797]
    #[arg(long)]
    port: Option<u16>,
    /// Longest drain of a container that has no preStop hook; 0: no drain [default: 15 or less]
    #[arg(long, value_name = "SECONDS")]
    drain_max_seconds: Option<u64>,
    /// With --sidecar: replace preStop hooks that are there
    #[arg(long, requires = "sidecar")]
    replace_hooks: bool,
    #[command(flatten)]
    command: CommandArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct UninjectArgs {
    #[command(flatten)]
    manifests: ManifestArgs,
}

impl InjectArgs {
    pub(crate) fn run(&self) -> Outcome {
        let image = self.image.clone().unwrap_or_else(convert::image);
        let words = self.command.words()?;
        let files = self.manifests.files()?;
        if !self.sidecar {
            self.command.must_fit(&self.manifests.without_command(&files)?)?;
        }
        self.manifests.rework(&files, &mut |path, template, report| {
            self.change(path, template, &image, words.as_deref(), report);
            Ok(())
        })
    }

    /// The text with bookend; the error is the list of containers that stay as they are.
    pub(crate) fn inject_text(&self, text: &str) -> Result<String, Failure> {
        let image = self.image.clone().unwrap_or_else(convert::image);
        let words = self.command.words()?;
        let file = ManifestFile { path: "-".into(), text: text.to_owned() };
        let mut report = Messages::default();
        let text = rework::rework(&file, &mut report, &mut |path, template, report| {
            self.change(path, template, &image, words.as_deref(), report);
            Ok(())
        })?;
        if report.refused.is_empty() { Ok(text) } else { Err(Failure::new(report.refused.join("\n"))) }
    }

    fn change(
        &self,
        path: &PodPath,
        template: &mut Value,
        image: &str,
        words: Option<&[String]>,
        report: &mut Messages,
    ) {
        let selected = chosen(path, template, &self.manifests.containers);
        if let Some(label) = template.pointer("/metadata/labels/bookend-inject").and_then(Value::as_str) {
            let owner = &path.owner;
            report.notes.push(format!(
                "{owner}: its label bookend-inject: {label} brings bookend in a cluster with the kit, too"
            ));
        }
        if self.sidecar {
            self.beside(path, template, &selected, image, report);
        } else {
            self.wrap(path, template, &selected, image, words, report);
        }
    }

    fn beside(
        &self,
        path: &PodPath,
        template: &mut Value,
        selected: &[ContainerPath],
        image: &str,
        report: &mut Messages,
    ) {
        if selected.is_empty() {
            return;
        }
        let before = template.clone();
        convert::undo(template, &containers(&before));
        let how = Beside {
            image,
            port: self.port,
            drain_max_seconds: self.drain_max_seconds(template),
            replace_hooks: self.replace_hooks,
        };
        match convert::beside(template, selected, &how) {
            Ok(notes) => report.notes.extend(notes.into_iter().map(|text| format!("{}: {text}", path.owner))),
            Err(reason) => {
                *template = before;
                report.refused.push(format!("{}: {reason}", path.owner));
            }
        }
    }

    fn wrap(
        &self,
        path: &PodPath,
        template: &mut Value,
        selected: &[ContainerPath],
        image: &str,
        words: Option<&[String]>,
        report: &mut Messages,
    ) {
        // A change of an earlier run is made again with the options of today.
        convert::undo(template, selected);
        for container in selected {
            let name = format!("{}:{}", path.owner, container.name);
            let before = template.clone();
            let found = self.command.find(container.of(template), words);
            if bookend_of(container.of(template)).is_some() || found.as_ref().is_ok_and(Found::is_bookend) {
                report.notes.push(format!("{name}: it already runs under bookend"));
                continue;
            }
            let result = found.and_then(|found| {
                let how = Wrap {
                    image,
                    port: self.port,
                    command: found.command.as_deref(),
                    stop_signal: found.stop_signal.as_deref(),
                    drain_max_seconds: self.drain_max_seconds(template),
                };
                let wrapped = convert::wrap(template, container, &how)?;
                Ok(found.note.into_iter().chain(wrapped.notes).collect::<Vec<_>>())
            });
            match result {
                Ok(notes) => report.notes.extend(notes.into_iter().map(|text| format!("{name}: {text}"))),
                Err(reason) => {
                    *template = before;
                    report.refused.push(format!("{name}: {reason}"));
                }
            }
        }
    }
}

impl InjectArgs {
    /// By default a drain leaves the app at least half of a short grace period.
    fn drain_max_seconds(&self, template: &Value) -> u64 {
        let grace = template.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_u64);
        let grace = grace.unwrap_or(DEFAULT_GRACE_SECONDS);
        self.drain_max_seconds.unwrap_or(if grace < 20 { grace / 2 } else { 15 })
    }
}

impl UninjectArgs {
    pub(crate) fn run(&self) -> Outcome {
        let files = self.manifests.files()?;
        self.manifests.rework(&files, &mut |path, template, report| {
            let all = containers(template);
            let selectors = &self.manifests.containers;
            let selected = if selectors.is_empty() { all } else { chosen(path, template, selectors) };
            if !convert::undo(template, &selected) {
                report.notes.push(format!("{}: there is nothing of this tool to undo", path.owner));
            }
            Ok(())
        })
    }
}

type Change<'a> = dyn FnMut(&PodPath, &mut Value, &mut Messages) -> Result<(), Failure> + 'a;

impl ManifestArgs {
    fn files(&self) -> Result<Vec<ManifestFile>, Failure> {
        rework::sources(&self.sources, &self.cluster)
    }

    /// The containers that have no command: their names and images.
    fn without_command(&self, files: &[ManifestFile]) -> Result<Vec<(String, String)>, Failure> {
        let mut all = Vec::new();
        for file in files {
            let documents = rework::values(&file.path.display().to_string(), &file.text)?;
            for (path, container) in candidates(&documents) {
                let template = path.of(&documents);
                let is_meant = chosen(&path, template, &self.containers).contains(&container);
                let found = container.of(template);
                if is_meant && !has_command(found) {
                    let image = found.get("image").and_then(Value::as_str).unwrap_or_default();
                    all.push((format!("{}:{}", path.owner, container.name), image.to_owned()));
                }
            }
        }
        Ok(all)
    }

    /// Changes all files and writes the result where it belongs.
    fn rework(&self, files: &[ManifestFile], change: &mut Change<'_>) -> Outcome {
        let mut report = Messages::default();
        let mut results = Vec::new();
        for file in files {
            results.push(rework::rework(file, &mut report, change)?);
        }
        if report.pods == 0 {
            let mut documents = Vec::new();
            for file in files {
                documents.extend(rework::values(&file.path.display().to_string(), &file.text)?);
            }
            return Err(rework::no_workload(&self.sources.join(", "), &documents));
        }
        self.must_have_matched(files)?;
        let mut differs = false;
        let mut out = String::new();
        for (file, text) in files.iter().zip(&results) {
            differs |= *text != file.text;
            if self.diff {
                let name = file.path.display().to_string();
                let diff = similar::TextDiff::from_lines(&file.text, text);
                out.push_str(&diff.unified_diff().header(&name, &name).to_string());
                if *text != file.text && !out.ends_with('\n') {
                    out.push('\n');
                }
            } else if self.write && file.path.is_file() {
                if *text != file.text {
                    std::fs::write(&file.path, text)
                        .map_err(|error| Failure::usage(format!("cannot write {}: {error}", file.path.display())))?;
                }
            } else {
                // The last text gets no line end: it would be one of a block at its end, too.
                if !out.is_empty() && !out.ends_with('\n') {
                    out.push('\n');
                }
                if !out.is_empty() && !text.starts_with("---") {
                    out.push_str("---\n");
                }
                out.push_str(text);
            }
        }
        print(&out);
        report.notes.iter().for_each(|line| note(&format!("note: {line}")));
        if !report.refused.is_empty() {
            let lines = report.refused.join("\nkubectl-bookend: ");
            return Err(Failure::new(lines));
        }
        if self.diff && differs { Err(Failure::silent()) } else { Ok(()) }
    }

    /// A selector that means no container is a mistake.
    fn must_have_matched(&self, files: &[ManifestFile]) -> Result<(), Failure> {
        let mut all = Vec::new();
        for file in files {
            let documents = rework::values(&file.path.display().to_string(), &file.text)?;
            all.extend(candidates(&documents).into_iter().map(|(path, container)| (path.owner, container.name)));
        }
        for selector in &self.containers {
            if !all.iter().any(|(owner, name)| crate::workload::is_selected(selector, owner, name)) {
                let known: Vec<String> = all.iter().map(|(owner, name)| format!("{owner}:{name}")).collect();
                return Err(Failure::usage(format!("there is no container {selector:?}, only {}", known.join(", "))));
            }
        }
        Ok(())
    }
}

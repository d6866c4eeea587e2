//! `kubectl bookend import`: a container's lifecycle, probes and grace period as a bookend.toml.

use std::path::PathBuf;

use crate::command::{CommandArgs, Found};
use crate::convert::{self, Wrap};
use crate::manifests::{self, ManifestFile};
use crate::outcome::{Failure, Outcome, note, print};
use crate::rework::{Messages, candidates, no_workload, rework, values};
use crate::workload::{ContainerPath, PodPath, is_selected};
use crate::wrapped::bookend_of;

#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    /// Manifest (YAML or JSON) with a Pod, or with a workload that has one; `-`: stdin
    file: PathBuf,
    /// Name of the container, or Kind/owner:NAME; optional if there is only one
    #[arg(long, value_name = "NAME")]
    container: Option<String>,
    /// Write the manifest that runs the container under bookend; stdout gets the bookend.toml
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Image of bookend in that manifest [default: bookend with the version of this tool]
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Port of bookend's endpoint; the next one that is free [default: 9797]
    #[arg(long)]
    port: Option<u16>,
    #[command(flatten)]
    command: CommandArgs,
}

/// An imported container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The bookend.toml.
    pub config: String,
    /// The whole manifest, with the container under bookend.
    pub manifest: String,
    /// Fields that could not be converted, or have another meaning here; one sentence each.
    pub notes: Vec<String>,
    /// Why the container stays as it is in the manifest.
    pub refused: Option<String>,
}

/// Imports one container of a manifest that has its command. `container` may be `None` if there is only one.
///
/// # Errors
/// The text is not a manifest, has no such container, or the container is not valid.
pub fn import(text: &str, container: Option<&str>) -> Result<Imported, String> {
    let args = ImportArgs {
        file: "the manifest".into(),
        container: container.map(str::to_owned),
        manifest: None,
        image: None,
        port: None,
        command: CommandArgs::manifest_only(),
    };
    args.import(text).map_err(|failure| failure.text)
}

impl ImportArgs {
    pub(crate) fn run(&self) -> Outcome {
        let text = manifests::text(&self.file)?;
        let imported = self.import(&text)?;
        print(&imported.config);
        imported.notes.iter().for_each(|line| note(&format!("note: {line}")));
        let Some(path) = &self.manifest else {
            // The bookend.toml alone is good for an image whose ENTRYPOINT is bookend.
            imported.refused.iter().for_each(|line| note(&format!("note: {line}")));
            return Ok(());
        };
        std::fs::write(path, &imported.manifest)
            .map_err(|error| Failure::usage(format!("cannot write {}: {error}", path.display())))?;
        imported.refused.map_or(Ok(()), |reason| Err(Failure::new(reason)))
    }

    fn import(&self, text: &str) -> Result<Imported, Failure> {
        let name = self.file.display().to_string();
        let documents = values(&name, text)?;
        let (pod, container) = self.find(&name, &documents)?;
        let image = self.image.clone().unwrap_or_else(convert::image);
        let words = self.command.words()?;
        let mut config = String::new();
        let file = ManifestFile { path: self.file.clone(), text: text.to_owned() };
        let mut report = Messages::default();
        let manifest = rework(&file, &mut report, &mut |path, template, report| {
            if *path != pod {
                return Ok(());
            }
            convert::undo(template, std::slice::from_ref(&container));
            let found = self.command.find(container.of(template), words.as_deref());
            if bookend_of(container.of(template)).is_some() || found.as_ref().is_ok_and(Found::is_bookend) {
                return Err(Failure::new(format!("{}:{} already runs under bookend", pod.owner, container.name)));
            }
            let known = found.clone().unwrap_or_default();
            let how = Wrap {
                image: &image,
                port: self.port,
                command: known.command.as_deref(),
                stop_signal: known.stop_signal.as_deref(),
                drain_max_seconds: 0,
            };
            let before = template.clone();
            let wrapped = convert::wrap(template, &container, &how).map_err(|reason| {
                Failure::usage(format!("cannot import {}:{}: {reason}", pod.owner, container.name))
            })?;
            config = wrapped.config;
            report.notes.extend(known.note.into_iter().chain(wrapped.notes));
            if let Err(reason) = found {
                *template = before;
                report.refused.push(format!("{}:{}: {reason}", pod.owner, container.name));
            }
            Ok(())
        })?;
        let refused = report.refused.pop();
        Ok(Imported { config, manifest, notes: report.notes, refused })
    }

    fn find(&self, name: &str, documents: &[serde_json::Value]) -> Result<(PodPath, ContainerPath), Failure> {
        let all = candidates(documents);
        if all.is_empty() {
            return Err(no_workload(name, documents));
        }
        let known =
            || all.iter().map(|(path, found)| format!("{}:{}", path.owner, found.name)).collect::<Vec<_>>().join(", ");
        let is_meant = |(path, found): &&(PodPath, ContainerPath)| match &self.container {
            Some(selector) => is_selected(selector, &path.owner, &found.name),
            None => found.list == "containers",
        };
        let meant: Vec<_> = all.iter().filter(is_meant).collect();
        match (meant.as_slice(), &self.container) {
            ([(path, found)], _) => Ok((path.clone(), found.clone())),
            ([], Some(wanted)) => {
                Err(Failure::usage(format!("{name} contains no container {wanted:?}, only {}", known())))
            }
            _ => Err(Failure::usage(format!(
                "{name} contains several containers; name one with --container: {}",
                known()
            ))),
        }
    }
}

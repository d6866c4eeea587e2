//! Which manifests or objects of the cluster, and their documents.

use std::path::PathBuf;

use bookend_lifecycle::printable::printable;
use serde_json::Value;

use super::configuration::config_map_names;
use super::examine::{Checks, Examination, examine};
use super::subject::{ConfigMaps, Subject, config_maps};
use crate::kubectl::ClusterArgs;
use crate::manifests;
use crate::outcome::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct ObjectArgs {
    /// Objects of the cluster, for example deployment/web
    #[arg(value_name = "TYPE/NAME", required_unless_present = "filename")]
    objects: Vec<String>,
    /// Manifest (YAML or JSON), folder with manifests, or `-` for stdin; repeatable
    #[arg(short, long, value_name = "FILE", conflicts_with = "objects")]
    filename: Vec<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

impl ObjectArgs {
    /// Examines all documents with the ConfigMaps among them or in the cluster.
    pub(crate) fn examine(&self, checks: Checks) -> Result<Examination, Failure> {
        let mut texts = Vec::new();
        let documents = if self.objects.is_empty() { self.of_files(&mut texts)? } else { self.of_cluster()? };
        let mut maps = config_maps(documents.iter().map(|(_, document)| document));
        if !self.objects.is_empty() {
            self.add_config_maps(&documents, &mut maps);
        }
        if documents.iter().all(|(file, document)| Subject::all(file, document).is_empty()) {
            let kinds = documents.iter().filter_map(|(_, document)| document.get("kind")?.as_str());
            let mut kinds: Vec<String> = kinds.map(printable).collect();
            kinds.dedup();
            let found = if kinds.is_empty() { "no object".to_owned() } else { format!("only {}", kinds.join(", ")) };
            return Err(Failure::usage(format!("nothing to examine: no Pod and no workload that has one, {found}")));
        }
        let mut examination = examine(&documents, &maps, checks);
        examination.add_lines(&texts);
        Ok(examination)
    }

    /// The documents with the names of their files. `texts`: the files.
    fn of_files(&self, texts: &mut Vec<(String, String)>) -> Result<Vec<(String, Value)>, Failure> {
        let mut all = Vec::new();
        for file in manifests::read(&self.filename)? {
            let name = match file.path.as_os_str() == "-" {
                true => "stdin".to_owned(),
                false => file.path.display().to_string(),
            };
            let documents = manifests::documents(&name, &file.text)?;
            all.extend(documents.into_iter().map(|document| (name.clone(), document)));
            texts.push((name, file.text));
        }
        Ok(all)
    }

    fn of_cluster(&self) -> Result<Vec<(String, Value)>, Failure> {
        let objects: Vec<&str> = self.objects.iter().map(String::as_str).collect();
        let text = self.cluster.kubectl(&[&["get", "--output=json", "--"][..], &objects].concat())?;
        let documents = manifests::documents("the output of kubectl", &text)?;
        Ok(documents.into_iter().map(|document| ("cluster".to_owned(), document)).collect())
    }

    /// One that cannot be read is reported as not examined by its container.
    fn add_config_maps(&self, documents: &[(String, Value)], maps: &mut ConfigMaps) {
        for subject in documents.iter().flat_map(|(file, document)| Subject::all(file, document)) {
            for name in config_map_names(subject).iter().filter(|name| !name.starts_with('-')) {
                let key = (subject.namespace().to_owned(), name.clone());
                if maps.contains_key(&key) {
                    continue;
                }
                let mut cluster = self.cluster.clone();
                if !subject.namespace().is_empty() {
                    cluster.namespace = Some(subject.namespace().to_owned());
                }
                let text = cluster.kubectl(&["get", "configmap", "--output=json", "--", name]).unwrap_or_default();
                let found = manifests::documents(name, &text).unwrap_or_default();
                maps.extend(config_maps(found.iter()));
            }
        }
    }
}

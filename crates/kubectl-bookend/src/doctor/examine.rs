//! Runs the checks over the documents of some manifests. Pure.

use serde_json::{Value, json};

use super::configuration::{ContainerConfiguration, configuration_of};
use super::finding::Finding;
use super::subject::{ConfigMaps, Subject};
use super::{bookend_checks, pod_checks};
use crate::wrapped::seems_wrapped;
use crate::yaml::{line_of, parse};

/// The results for all containers.
#[derive(Default)]
pub(crate) struct Examination {
    pub(crate) findings: Vec<Finding>,
    /// Sources of configurations that are not known, one sentence each.
    pub(crate) not_examined: Vec<String>,
    /// `web.yaml: Deployment/web: containers[web]`
    pub(crate) containers: Vec<ExaminedContainer>,
}

/// One container that was examined.
pub(crate) struct ExaminedContainer {
    pub(crate) name: String,
    /// `None`: nothing shows bookend in it.
    pub(crate) configuration: Option<ContainerConfiguration>,
}

/// Which checks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checks {
    /// The configurations of bookend, and whether they fit their Pods.
    Configuration,
    All,
}

/// Examines all containers of all documents.
pub(crate) fn examine(documents: &[(String, Value)], maps: &ConfigMaps, checks: Checks) -> Examination {
    let mut all = Examination::default();
    for (file, document) in documents {
        let subjects = Subject::all(file, document);
        let configured: Vec<(Subject<'_>, Option<ContainerConfiguration>)> = subjects
            .into_iter()
            .map(|subject| (subject, seems_wrapped(subject.container).then(|| configuration_of(subject, maps))))
            .collect();
        let endpoints: Vec<_> = configured
            .iter()
            .filter_map(|(subject, configuration)| {
                let effective = configuration.as_ref()?.effective.as_ref().ok()?;
                Some((subject.name().to_owned(), effective.settings.http.clone()?))
            })
            .collect();
        let are_all_known = configured
            .iter()
            .filter_map(|(_, configuration)| configuration.as_ref())
            .all(|configuration| configuration.effective.is_ok() && configuration.missing.is_empty());
        // An image whose ENTRYPOINT is bookend may show nothing.
        let has_bookend = configured.iter().any(|(_, configuration)| configuration.is_some());
        for (subject, configuration) in configured {
            let mut found = Vec::new();
            if let Some(configuration) = &configuration {
                found.extend(bookend_checks::examine(subject, configuration));
                let name = name_of(subject);
                all.not_examined.extend(configuration.missing.iter().map(|why| format!("{name}: {why}")));
            }
            found.extend(bookend_checks::calls(subject, &endpoints, are_all_known && has_bookend));
            if checks == Checks::All {
                let drains = configuration.as_ref().is_some_and(bookend_checks::drains);
                found.extend(pod_checks::examine(subject, drains));
            }
            for finding in &mut found {
                finding.place.file = subject.file.to_owned();
                finding.place.object = subject.object();
                finding.place.field = subject.field(&finding.place.field);
            }
            all.findings.extend(found);
            all.containers.push(ExaminedContainer { name: name_of(subject), configuration });
        }
    }
    all
}

fn name_of(subject: Subject<'_>) -> String {
    format!("{}: {}: {}[{}]", subject.file, subject.object(), subject.list, subject.name())
}

impl Examination {
    /// Adds the lines of the fields. `files`: the names and texts of the manifests.
    pub(crate) fn add_lines(&mut self, files: &[(String, String)]) {
        for (name, text) in files {
            let Ok(documents) = parse(text) else { continue };
            let here = self.findings.iter_mut().filter(|finding| finding.place.file == *name);
            for finding in here.take(MOST_LINES) {
                finding.place.line = line_of(text, &documents, &finding.place.object, &finding.place.field);
            }
        }
    }

    /// Findings, without notes.
    pub(crate) fn count(&self) -> usize {
        self.findings.iter().filter(|finding| !finding.is_note).count()
    }

    pub(crate) fn to_json(&self) -> Value {
        let of = |is_note: bool| -> Vec<Value> {
            let these = self.findings.iter().filter(|finding| finding.is_note == is_note);
            these.map(Finding::to_json).collect()
        };
        json!({
            "containers": self.containers.iter().map(|container| &container.name).collect::<Vec<_>>(),
            "findings": of(false),
            "notes": of(true),
            "notExamined": self.not_examined,
        })
    }
}

/// Findings of one file whose lines are looked up.
const MOST_LINES: usize = 1000;

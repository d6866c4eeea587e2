//! The YAML in README and docs/: parts of a Pod that the API server would accept, whose hooks, probes and
//! arguments bookend knows.

use serde_json::{Map, json};

use super::*;

/// The blocks, each with the page it is on.
fn examples() -> Vec<(String, Value)> {
    let pages = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = pages.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages
        .chain([root().join("README.md")])
        .flat_map(|page| {
            let text = fs::read_to_string(&page).unwrap();
            let blocks = text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
            blocks.map(|block| (page.display().to_string(), documents(&block).remove(0))).collect::<Vec<_>>()
        })
        .collect()
}

/// The Pod around a part of one; a kustomization is not a part of a Pod.
fn pod(part: &Value) -> Option<Value> {
    let spec = match part {
        part if part.get("resources").is_some_and(Value::is_array) => return None,
        part if part.get("spec").is_some() => part["spec"].clone(),
        part if part.get("containers").is_some() => part.clone(),
        part => {
            let mut container: Map<String, Value> = part.as_object().unwrap().clone();
            container.insert("name".to_owned(), json!("app"));
            json!({ "containers": [container] })
        }
    };
    Some(json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "shown" }, "spec": spec }))
}

#[test]
fn every_pod_snippet_in_the_docs_is_valid() {
    let pods: Vec<_> = examples().iter().filter_map(|(_, part)| pod(part)).collect();
    assert!(pods.len() >= 7, "{}", pods.len());
    if ready("every_pod_snippet_in_the_docs_is_valid") {
        validate(&pods.iter().map(|pod| format!("---\n{pod}\n")).collect::<String>());
    }
}

#[test]
fn pod_snippets_in_the_docs_show_a_failed_start() {
    let mut looked_at = 0;
    // The Pods of inject.md are those of a user, and what the policies make of them.
    for (page, part) in examples().into_iter().filter(|(page, _)| !page.ends_with("inject.md")) {
        for container in
            pod(&part).iter().flat_map(|pod| containers(&pod["spec"])).filter(|one| !one["image"].is_null())
        {
            looked_at += 1;
            assert_eq!(container["terminationMessagePolicy"], "FallbackToLogsOnError", "{page}: {}", container["name"]);
        }
    }
    assert!(looked_at >= 6, "{looked_at}");
}

#[test]
fn pod_snippets_in_the_docs_name_existing_paths() {
    let mut asked = 0;
    for (page, part) in examples() {
        let Some(pod) = pod(&part) else { continue };
        // A Pod before it is migrated asks nothing of bookend.
        if !["bookend", "9797"].iter().any(|word| part.to_string().contains(word)) {
            continue;
        }
        for container in containers(&pod["spec"]) {
            // A kubelet often calls it before the container's process can listen.
            assert!(container["lifecycle"]["postStart"]["httpGet"].is_null(), "{page}: an httpGet postStart hook");
            for handler in handlers(container) {
                // A probe of the app itself.
                if port_of(container, &handler["httpGet"]["port"]).is_some_and(|port| port != 9797) {
                    continue;
                }
                asked += 1;
                let (path, program) = (&handler["httpGet"]["path"], &handler["exec"]["command"][0]);
                let known = ["/lifecycle/postStart", "/lifecycle/preStop", "/startupz", "/readyz", "/livez"];
                // A sidecar has a hook set for each container.
                let own = format!("/lifecycle/{}/preStop", container["name"].as_str().unwrap_or_default());
                assert!(
                    path.as_str().is_some_and(|path| known.contains(&path) || path == own) || program == "/bookend",
                    "{page}: {handler}"
                );
            }
            let runs_bookend = container["image"].as_str().is_some_and(|image| image.ends_with("bookend"));
            let words = ["command", "args"].iter().flat_map(|key| container[key].as_array().into_iter().flatten());
            let words: Vec<_> = words.map(|word| word.as_str().unwrap()).filter(|word| *word != "/bookend").collect();
            if runs_bookend {
                asked += 1;
                let help = Command::new(bookend()).args(&words).arg("--help").output().unwrap();
                assert!(help.status.success(), "{page}: {words:?}: {}", shown(&help));
            }
        }
    }
    assert!(asked >= 13, "{asked}");
}

/// A port by its number, or by its name among the container's own.
fn port_of(container: &Value, port: &Value) -> Option<u64> {
    let mut own = container["ports"].as_array().into_iter().flatten();
    port.as_u64().or_else(|| own.find(|one| one["name"] == *port)?["containerPort"].as_u64())
}

fn handlers(container: &Value) -> impl Iterator<Item = &Value> {
    let lifecycle = ["postStart", "preStop"].into_iter().map(|hook| &container["lifecycle"][hook]);
    let probes = ["startupProbe", "readinessProbe", "livenessProbe"].into_iter().map(|probe| &container[probe]);
    lifecycle.chain(probes).filter(|handler| !handler.is_null())
}

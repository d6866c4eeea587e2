//! The containers of a pod, and where bookend is in each. Pure.

use std::fmt;

use serde_json::Value;

use crate::wrapped::{bookend_of, words};

/// A container of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContainerName {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) container: String,
}

/// A container, and how it can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunningContainer {
    pub(super) name: ContainerName,
    pub(super) state: State,
}

/// How it can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Its command or its args begin with bookend, at this path.
    Bookend(String),
    /// It runs the ENTRYPOINT of its image, which the spec does not show.
    OfImage,
    /// Its command is this program.
    OtherCommand(String),
    /// Why it does not run.
    NotRunning(String),
}

/// The containers of a pod and its native sidecars. Init containers that are over and ephemeral containers are left out.
pub(super) fn containers(pod: &Value) -> Vec<RunningContainer> {
    let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
    if !is_name(&name) || !(namespace.is_empty() || is_name(&namespace)) {
        return Vec::new();
    }
    let list = |pointer: &str| pod.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let native =
        list("/spec/initContainers").filter(|spec| spec.get("restartPolicy").and_then(Value::as_str) == Some("Always"));
    let of = |spec: &Value| {
        let container = spec.get("name")?.as_str().filter(|name| is_name(name))?;
        let mut statuses = list("/status/initContainerStatuses").chain(list("/status/containerStatuses"));
        let status = statuses.find(|status| status.get("name").and_then(Value::as_str) == Some(container));
        let name = ContainerName { namespace: namespace.clone(), pod: name.clone(), container: container.to_owned() };
        Some(RunningContainer { name, state: state_of(spec, status.unwrap_or(&Value::Null)) })
    };
    native.chain(list("/spec/containers")).filter_map(of).collect()
}

fn state_of(spec: &Value, status: &Value) -> State {
    let state = |name: &str| status.get("state").and_then(|state| state.get(name)).filter(|state| state.is_object());
    if state("running").is_none() {
        let field = |name: &str, field: &str| {
            state(name)?.get(field).map(|value| value.as_str().map_or(value.to_string(), str::to_owned))
        };
        let why = field("waiting", "reason").or_else(|| {
            let reason = field("terminated", "reason")?;
            Some(format!("{reason} ({})", field("terminated", "exitCode").unwrap_or_default()))
        });
        return State::NotRunning(why.unwrap_or_else(|| "it has no state yet".to_owned()));
    }
    match (bookend_of(spec), words(spec, "command").into_iter().next()) {
        (Some(bookend), _) => State::Bookend(bookend.path),
        (None, Some(program)) => State::OtherCommand(program),
        (None, None) => State::OfImage,
    }
}

/// Whether kubectl takes it for a name, and never for an option.
fn is_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.len() <= 253 && text.chars().all(is_plain)
}

impl fmt::Display for ContainerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        write!(f, "{} {}", self.pod, self.container)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_container_is_asked_as_its_spec_shows() {
        let running = json!({ "running": {} });
        let status = |name: &str, state: &Value| json!({ "name": name, "state": state });
        let pod = json!({
            "metadata": { "name": "web-1", "namespace": "shop" },
            "spec": {
                "initContainers": [{ "name": "copy" }, { "name": "side", "restartPolicy": "Always", "args": ["/bookend", "sidecar"] }],
                "containers": [
                    { "name": "web", "command": ["/bookend/bookend", "--", "nginx"] },
                    { "name": "own", "args": ["x"] },
                    { "name": "proxy", "command": ["envoy"] },
                    { "name": "crash" },
                    { "name": "done" },
                    { "name": "new" },
                ],
            },
            "status": {
                "initContainerStatuses": [status("copy", &json!({ "terminated": {} })), status("side", &running)],
                "containerStatuses": [
                    status("web", &running), status("own", &running), status("proxy", &running),
                    status("crash", &json!({ "waiting": { "reason": "CrashLoopBackOff" } })),
                    status("done", &json!({ "terminated": { "reason": "Completed", "exitCode": 0 } })),
                ],
                "ephemeralContainerStatuses": [status("debugger", &running)],
            }
        });
        let all: Vec<_> = containers(&pod).into_iter().map(|one| (one.name.container, one.state)).collect();
        let expected = [
            ("side", State::Bookend("/bookend".to_owned())),
            ("web", State::Bookend("/bookend/bookend".to_owned())),
            ("own", State::OfImage),
            ("proxy", State::OtherCommand("envoy".to_owned())),
            ("crash", State::NotRunning("CrashLoopBackOff".to_owned())),
            ("done", State::NotRunning("Completed (0)".to_owned())),
            ("new", State::NotRunning("it has no state yet".to_owned())),
        ];
        assert_eq!(all, expected.map(|(name, state)| (name.to_owned(), state)));
    }

    #[test]
    fn a_name_that_could_be_an_option_is_left_out() {
        for name in ["--help", "-n", "a b", "a\u{1b}", "", "Ä"] {
            let pod = json!({ "metadata": { "name": name }, "spec": { "containers": [{ "name": "web" }] } });
            assert_eq!(containers(&pod), [], "{name:?}");
            let pod = json!({ "metadata": { "name": "p" }, "spec": { "containers": [{ "name": name }] } });
            assert_eq!(containers(&pod), [], "{name:?}");
        }
    }
}

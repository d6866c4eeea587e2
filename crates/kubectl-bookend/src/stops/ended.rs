//! The ended containers of a pod: of each container the last life and the one before, as Kubernetes keeps them. Pure.

use serde_json::Value;

use super::message::Message;
use super::moment::seconds_of;
use crate::wrapped::seems_wrapped;

/// One ended life of a container.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct EndedContainer {
    pub(super) namespace: String,
    pub(super) pod: String,
    /// The name of the Deployment, StatefulSet, ... of the pod; without one, that of the pod.
    pub(super) workload: String,
    pub(super) container: String,
    /// Identifies this life; empty if the status has none.
    pub(super) id: String,
    pub(super) exit_code: i64,
    /// `Completed`, `Error`, `OOMKilled`, ...
    pub(super) reason: String,
    /// When it ended, in seconds since 1970, without fractions.
    pub(super) finished: Option<f64>,
    /// The grace period of the pod.
    pub(super) grace_seconds: Option<f64>,
    /// The spec shows that bookend runs in it.
    pub(super) is_wrapped: bool,
    pub(super) message: Message,
}

/// All of a pod. Ephemeral containers are tools of people and are left out, as are init containers that have done their work:
/// only a native sidecar is stopped.
pub(super) fn ended_containers(pod: &Value) -> Vec<EndedContainer> {
    let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let grace = ["/metadata/deletionGracePeriodSeconds", "/spec/terminationGracePeriodSeconds"];
    let grace_seconds = grace.iter().find_map(|pointer| pod.pointer(pointer)?.as_f64());
    let mut ended = Vec::new();
    for (statuses, specs) in [("containerStatuses", "containers"), ("initContainerStatuses", "initContainers")] {
        let list = |pointer: String| pod.pointer(&pointer).and_then(Value::as_array).into_iter().flatten();
        for status in list(format!("/status/{statuses}")) {
            let name = status.get("name").and_then(Value::as_str).unwrap_or_default();
            let spec = list(format!("/spec/{specs}"))
                .find(|spec| spec.get("name").and_then(Value::as_str) == Some(name))
                .unwrap_or(&Value::Null);
            let is_init =
                specs == "initContainers" && spec.get("restartPolicy").and_then(Value::as_str) != Some("Always");
            for life in lives(status) {
                let field = |name: &str| life.get(name).and_then(Value::as_str).unwrap_or_default();
                let one = EndedContainer {
                    namespace: text("/metadata/namespace"),
                    pod: text("/metadata/name"),
                    workload: workload_of(pod),
                    container: name.to_owned(),
                    id: field("containerID").to_owned(),
                    exit_code: life.get("exitCode").and_then(Value::as_i64).unwrap_or(-1),
                    reason: field("reason").to_owned(),
                    finished: seconds_of(field("finishedAt")),
                    grace_seconds,
                    is_wrapped: seems_wrapped(spec),
                    message: Message::read(field("message")),
                };
                let has_done_its_work = is_init && one.exit_code == 0 && !matches!(one.message, Message::Report(_));
                ended.extend((!has_done_its_work).then_some(one));
            }
        }
    }
    ended
}

/// `web` of a pod of the ReplicaSet `web-7d4b9c6f5`, and `report` of a pod of the Job `report-29412345`.
fn workload_of(pod: &Value) -> String {
    let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let owner = text("/metadata/ownerReferences/0/name");
    let hash = text("/metadata/labels/pod-template-hash");
    let cut = match text("/metadata/ownerReferences/0/kind") {
        "ReplicaSet" if !hash.is_empty() => owner.strip_suffix(hash).and_then(|name| name.strip_suffix('-')),
        // The Job of a CronJob ends with its minute.
        "Job" => owner
            .rsplit_once('-')
            .filter(|(_, end)| end.len() >= 8 && end.bytes().all(|byte| byte.is_ascii_digit()))
            .map(|(name, _)| name),
        _ => None,
    };
    let name = cut.unwrap_or(owner);
    if name.is_empty() { text("/metadata/name").to_owned() } else { name.to_owned() }
}

/// The last life and the one before, if they have ended. A status may show one life in both places.
fn lives(status: &Value) -> Vec<&Value> {
    let ended = |state: &str| status.get(state)?.get("terminated").filter(|life| life.is_object());
    let (last, before) = (ended("state"), ended("lastState"));
    let is_same = |a: &Value, b: &Value| {
        let mut known = ["containerID", "finishedAt"].iter().filter(|field| a.get(**field).is_some()).peekable();
        known.peek().is_some() && known.all(|field| a.get(*field) == b.get(*field))
    };
    let before = before.filter(|before| last.is_none_or(|last| !is_same(last, before)));
    last.into_iter().chain(before).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_lives_of_a_container_are_read_once_each() {
        let life =
            |id: &str, code: i64| json!({ "terminated": { "exitCode": code, "containerID": id, "reason": "Error" } });
        let status = |state: Value, last: Value| json!({ "name": "web", "state": state, "lastState": last });
        let pod = json!({
            "metadata": { "name": "p", "namespace": "shop" },
            "spec": { "terminationGracePeriodSeconds": 9, "containers": [{ "name": "web", "command": ["/bookend", "--", "x"] }] },
            "status": { "containerStatuses": [
                status(life("a", 1), life("b", 2)),
                status(life("c", 3), life("c", 3)),
                status(json!({ "waiting": {} }), life("d", 4)),
                status(json!({ "running": {} }), json!({})),
            ]}
        });
        let ended = ended_containers(&pod);
        assert_eq!(ended.iter().map(|one| one.exit_code).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert!(ended.iter().all(|one| one.is_wrapped && one.grace_seconds == Some(9.0) && one.pod == "p"));
    }

    #[test]
    fn the_workload_of_a_pod_has_no_hash_in_its_name() {
        let of = |owner: Value, labels: Value| {
            workload_of(&json!({ "metadata": { "name": "p", "ownerReferences": [owner], "labels": labels } }))
        };
        let hash = json!({ "pod-template-hash": "7d4b9c6f5" });
        assert_eq!(of(json!({ "kind": "ReplicaSet", "name": "web-7d4b9c6f5" }), hash.clone()), "web");
        assert_eq!(of(json!({ "kind": "ReplicaSet", "name": "own" }), hash), "own");
        assert_eq!(of(json!({ "kind": "StatefulSet", "name": "db" }), json!({})), "db");
        assert_eq!(of(json!({ "kind": "Job", "name": "report-29412345" }), json!({})), "report");
        assert_eq!(of(json!({ "kind": "Job", "name": "once-2" }), json!({})), "once-2");
        assert_eq!(of(json!(1), json!(null)), "p");
    }

    #[test]
    fn init_containers_that_did_their_work_are_no_stops() {
        let life = |code: i64| json!({ "terminated": { "exitCode": code } });
        let pod = json!({
            "spec": { "initContainers": [{ "name": "copy" }, { "name": "proxy", "restartPolicy": "Always" }] },
            "status": {
                "initContainerStatuses": [
                    { "name": "copy", "state": life(0), "lastState": life(1) },
                    { "name": "proxy", "state": life(0) },
                ],
                "ephemeralContainerStatuses": [{ "name": "debugger", "state": life(1) }],
            }
        });
        let ended: Vec<_> = ended_containers(&pod).into_iter().map(|one| (one.container, one.exit_code)).collect();
        assert_eq!(ended, [("copy".to_owned(), 1), ("proxy".to_owned(), 0)]);
    }

    #[test]
    fn a_pod_of_any_shape_is_read() {
        let odd = [
            json!({}),
            json!({ "status": null }),
            json!({ "status": { "containerStatuses": "x", "initContainerStatuses": null } }),
            json!({ "status": { "containerStatuses": [null, 1, "x", [], { "state": [] }, { "state": { "terminated": 7 } }] } }),
        ];
        for pod in odd {
            assert_eq!(ended_containers(&pod), [], "{pod}");
        }
        let strange = json!({ "metadata": 1, "spec": [], "status": { "containerStatuses": [{ "name": 7, "state": {
            "terminated": { "exitCode": "137", "reason": 5, "message": [], "finishedAt": {} } } }] } });
        assert_eq!(ended_containers(&strange)[0].exit_code, -1);
    }
}

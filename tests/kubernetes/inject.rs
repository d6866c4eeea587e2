//! The kit of config/kubernetes/inject: its policies keep the API server's rules, and make of a table of objects what the
//! table expects. CEL itself evaluates them (admit.py). injected.rs tries the results.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, json};

use super::*;

/// The prefix of labels and annotations in the files of the kit.
pub(crate) const PREFIX: &str = "bookend-";

/// The files of one kit: with the init container, or with the image volume.
pub(crate) fn kit(wrap: &str) -> Vec<PathBuf> {
    let folder = root().join("config/kubernetes/inject");
    ["sidecar.yaml", wrap, "checks.yaml"].map(|file| folder.join(file)).to_vec()
}

/// A row of the table.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) row: Value,
    pub(crate) object: Value,
}

impl Case {
    pub(crate) fn all(prefix: &str) -> Vec<Case> {
        let text = include_str!("inject_cases.yaml").replace(PREFIX, prefix);
        let rows: Vec<Value> = serde_saphyr::from_str(&text).unwrap();
        rows.into_iter()
            .map(|row| Case { name: row["name"].as_str().unwrap().to_owned(), object: object(&row, prefix), row })
            .collect()
    }

    /// The input of `admit.py`.
    pub(crate) fn request(&self, prefix: &str) -> Value {
        let old = match self.row["old"].as_str() {
            None => Value::Null,
            Some("same") => self.object.clone(),
            Some(_) => json!(self.object.to_string().replace("registry.example", "elsewhere.example"))
                .as_str()
                .map(|text| serde_json::from_str(text).unwrap())
                .unwrap(),
        };
        let namespace = self.row["namespace"].as_str().map(|value| json!({ format!("{prefix}inject"): value }));
        json!({ "object": self.object, "old": old, "namespace": namespace, "late": self.row["late"] })
    }

    pub(crate) fn hooks(&self) -> BTreeMap<String, String> {
        serde_json::from_value(self.row["hooks"].clone()).unwrap_or_default()
    }

    pub(crate) fn wrapped(&self) -> Vec<String> {
        serde_json::from_value(self.row["wrapped"].clone()).unwrap_or_default()
    }

    pub(crate) fn is_changed(&self) -> bool {
        !self.hooks().is_empty() || !self.wrapped().is_empty() || self.row["changed"] == true
    }
}

/// The Pod of a row, or the object with it as a template.
fn object(row: &Value, prefix: &str) -> Value {
    let mut metadata = Map::new();
    if let Some(label) = row["label"].as_str() {
        metadata.insert("labels".to_owned(), json!({ format!("{prefix}inject"): label, "app": "web" }));
    }
    let mut annotations = row["annotations"].as_object().cloned().unwrap_or_default();
    for (name, value) in row["notes"].as_object().into_iter().flatten() {
        annotations.insert(format!("{prefix}{name}"), value.clone());
    }
    if !annotations.is_empty() {
        metadata.insert("annotations".to_owned(), annotations.into());
    }
    let mut outer = json!({ "name": "web" });
    if let Some(label) = row["outer"].as_str() {
        outer["labels"] = json!({ format!("{prefix}inject"): label });
    }
    let pod = json!({ "metadata": metadata, "spec": row["pod"] });
    let selector = json!({ "matchLabels": { "app": "web" } });
    let (version, spec) = match row["kind"].as_str() {
        None => {
            let mut metadata = metadata;
            metadata.insert("name".to_owned(), "web".into());
            return json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": row["pod"] });
        }
        Some("Job") => ("batch/v1", json!({ "template": pod })),
        Some("CronJob") => {
            ("batch/v1", json!({ "schedule": "0 3 * * *", "jobTemplate": { "spec": { "template": pod } } }))
        }
        Some("StatefulSet") => ("apps/v1", json!({ "serviceName": "web", "selector": selector, "template": pod })),
        Some(_) => ("apps/v1", json!({ "selector": selector, "template": pod })),
    };
    json!({ "apiVersion": version, "kind": row["kind"], "metadata": outer, "spec": spec })
}

/// The results of the policies in these files.
pub(crate) fn admit(files: &[PathBuf], requests: &[Value]) -> Vec<Value> {
    let files: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).collect();
    serde_json::from_str(&run_admit(&files, &json!(requests))).unwrap()
}

/// The output of `admit.py` for this input.
pub(crate) fn run_admit(args: &[&str], input: &Value) -> String {
    let mut command = Command::new(root().join("target/kube-tools/admit"));
    let output = bookend_test_support::output_with_input(command.args(args), &input.to_string());
    assert!(output.status.success(), "{}", shown(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The table and its results with the kit as it stands.
pub(crate) fn results() -> &'static [(Case, Value)] {
    static RESULTS: OnceLock<Vec<(Case, Value)>> = OnceLock::new();
    RESULTS.get_or_init(|| {
        let cases = Case::all(PREFIX);
        let requests: Vec<Value> = cases.iter().map(|case| case.request(PREFIX)).collect();
        let results = admit(&kit("wrap.yaml"), &requests);
        assert_eq!(results.len(), cases.len());
        cases.into_iter().zip(results).collect()
    })
}

pub(crate) fn annotations(object: &Value) -> Map<String, Value> {
    object["metadata"]["annotations"].as_object().cloned().unwrap_or_default()
}

pub(crate) fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    list.as_array().into_iter().flatten().find(|one| one["name"] == name).unwrap_or(&Value::Null)
}

pub(crate) fn words(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().map(|word| word.as_str().unwrap()).collect()
}

/// The values of the arguments after `--set`.
fn sets(sidecar: &Value) -> Vec<&str> {
    words(&sidecar["args"]).chunks(2).filter(|pair| pair[0] == "--set").map(|pair| pair[1]).collect()
}

#[test]
fn the_policies_keep_the_rules_of_the_api_server() {
    if !ready("the_policies_keep_the_rules_of_the_api_server") {
        return;
    }
    for wrap in ["wrap.yaml", "wrap-image-volume.yaml"] {
        let files = kit(wrap);
        let mut command = Command::new(root().join("target/kube-tools/admit"));
        let output = command.arg("--lint").args(&files).output().unwrap();
        assert!(output.status.success() && shown(&output).trim().is_empty(), "{wrap}: {}", shown(&output));
        for file in files {
            validate_for(&["1.36.0"], &fs::read_to_string(file).unwrap());
        }
    }
}

#[test]
fn the_lint_finds_what_an_api_server_would_not_like() {
    if !ready("the_lint_finds_what_an_api_server_would_not_like") {
        return;
    }
    let text = fs::read_to_string(root().join("config/kubernetes/inject/sidecar.yaml")).unwrap();
    let folder = bookend_test_support::Folder::new();
    let file = folder.path("lint.yaml");
    for (good, bad, finding) in [
        ("variables.drainMax)", "variables.drainMx)", "undeclared reference"),
        ("string(variables.tolerated)", "variables.tolerated", "no matching overload"),
        ("failurePolicy: Fail", "failurePolicy: Ignore", "a half of it may be changed"),
        ("  matchConstraints:", "  paramKind: { apiVersion: v1, kind: ConfigMap }\n  matchConstraints:", "can freeze"),
        (
            "initContainers\", value: []}",
            "initContainers\", value: [Object.spec.initContainers{}]}",
            "makes the API server panic",
        ),
        ("- name: shares", "- name: sharing", "undeclared reference"),
        (".split(',', 500)", ".split(',')", "the square of the items"),
        ("quantity(string(", "(string(", "no matching overload"),
        (
            "    - name: image",
            "    - name: other\n      expression: \"1\"\n    - name: image",
            "expects image and defaults",
        ),
    ] {
        assert!(text.contains(good), "{good}");
        fs::write(&file, text.replacen(good, bad, 1)).unwrap();
        let output = tool("admit", &[Path::new("--lint"), &file]);
        assert!(shown(&output).contains(finding), "{bad}: {}", shown(&output));
    }
    // A type in the wrong place is found by an evaluation.
    fs::write(&file, text.replace("Object.spec.initContainers.startupProbe{", "Object.spec.initContainers.probe{"))
        .unwrap();
    let case = &Case::all(PREFIX)[0];
    let result = admit(std::slice::from_ref(&file), &[case.request(PREFIX)]).remove(0);
    assert!(
        result["errors"].to_string().contains("in the place of Object.spec.initContainers.startupProbe"),
        "{result}"
    );
}

#[test]
fn each_pod_of_the_table_comes_out_as_expected() {
    if !ready("each_pod_of_the_table_comes_out_as_expected") {
        return;
    }
    assert!(results().len() >= 30, "{}", results().len());
    let mut wrong = Vec::new();
    for (case, result) in results() {
        wrong.extend(differences(case, result, PREFIX).into_iter().map(|what| format!("{}: {what}", case.name)));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The differences to the row of the table.
pub(crate) fn differences(case: &Case, result: &Value, prefix: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut check = |holds: bool, what: String| {
        if !holds {
            wrong.push(what);
        }
    };
    check(result["errors"] == json!([]), format!("errors: {}", result["errors"]));
    for key in ["refused", "warned"] {
        let messages: Vec<&str> = words(&result[key]);
        match case.row[key].as_str() {
            Some(part) => check(messages.iter().any(|text| text.contains(part)), format!("{key}: {messages:?}")),
            None => check(messages.is_empty(), format!("{key}: {messages:?}")),
        }
    }
    let object = &result["object"];
    let audit = audit(case, result);
    check(result["audit"] == audit, format!("audit: {}, expected {audit}", result["audit"]));
    if !case.is_changed() {
        check(without_defaults(object) == without_defaults(&case.object), format!("changed: {object}"));
        return wrong;
    }
    let pod = &object["spec"];
    let list = |key: &str| pod[key].as_array().map_or(&[][..], Vec::as_slice);
    let hooks: BTreeMap<String, String> = list("containers")
        .iter()
        .filter_map(|container| {
            let hook = &container["lifecycle"]["preStop"]["httpGet"];
            let path = hook["path"].as_str().filter(|path| path.starts_with("/lifecycle/"))?;
            let is_ours = hook["port"] == case.row["port"];
            is_ours.then(|| (container["name"].as_str().unwrap().to_owned(), path.to_owned()))
        })
        .collect();
    check(hooks == case.hooks(), format!("hooks: {hooks:?}"));
    for container in list("containers") {
        let kinds = container["lifecycle"]["preStop"].as_object().map_or(1, Map::len);
        check(kinds == 1, format!("{} has {kinds} handlers", container["name"]));
    }
    if !case.hooks().is_empty() {
        let sidecar = list("initContainers").last().unwrap_or(&Value::Null);
        check(sidecar["name"] == "bookend" && sidecar["restartPolicy"] == "Always", format!("the last: {sidecar}"));
        check(sidecar.get("ports").is_none(), "it declares a port".to_owned());
        let port = &case.row["port"];
        check(annotations(object)[&format!("{prefix}port")] == json!(port.to_string()), format!("port: {object}"));
        check(sidecar["startupProbe"]["httpGet"]["port"] == *port, format!("port: {sidecar}"));
        check(sets(sidecar).contains(&&*format!("http.listen=0.0.0.0:{port}")), format!("port: {sidecar}"));
        for container in list("containers") {
            let hook = &container["lifecycle"]["preStop"]["httpGet"];
            check(!hooks.contains_key(container["name"].as_str().unwrap()) || hook["port"] == *port, format!("{hook}"));
        }
        for part in words(&case.row["args"]) {
            check(words(&sidecar["args"]).iter().any(|word| word.contains(part)), format!("{part}: {sidecar}"));
        }
    }
    let wrapped: Vec<String> = list("containers")
        .iter()
        .filter(|container| container["command"][0] == "/bookend-bin/bookend")
        .map(|container| container["name"].as_str().unwrap().to_owned())
        .collect();
    check(wrapped == case.wrapped(), format!("wrapped: {wrapped:?}"));
    for name in &wrapped {
        let (before, after) = (named(&case.object["spec"]["containers"], name), named(&pod["containers"], name));
        let command = [vec!["/bookend-bin/bookend", "run", "--"], words(&before["command"])].concat();
        check(words(&after["command"]) == command && after["args"] == before["args"], format!("command: {after}"));
        check(after["lifecycle"] == before["lifecycle"], format!("lifecycle: {after}"));
        let (own, all) = (variables(before), variables(after));
        let names: BTreeSet<&str> = all.iter().filter_map(|text| Some(text.split_once('=')?.0)).collect();
        check(all.starts_with(&own) && names.len() == all.len(), format!("env: {all:?}"));
        let socket = format!("/{name}.sock");
        check(all.iter().any(|text| text.ends_with(&socket)), format!("{socket}: {all:?}"));
    }
    let set: Vec<String> = wrapped.iter().flat_map(|name| variables(named(&pod["containers"], name))).collect();
    for variable in words(&case.row["env"]) {
        check(set.iter().any(|one| one == variable), format!("{variable}: {set:?}"));
    }
    for container in list("initContainers").iter().filter(|container| container["name"] == "bookend") {
        check(container["terminationMessagePolicy"] == "FallbackToLogsOnError", format!("{container}"));
        let context = &container["securityContext"];
        let restricted = json!({
            "runAsNonRoot": true, "runAsUser": 65532, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] }, "seccompProfile": { "type": "RuntimeDefault" },
        });
        check(*context == restricted, format!("securityContext: {context}"));
        let (resources, expected) = (&container["resources"], &case.row["resources"]);
        let fits = expected.as_object().is_none_or(|kinds| match kinds.is_empty() {
            true => resources == expected,
            false => kinds.iter().all(|(kind, amounts)| resources[kind] == *amounts),
        });
        check(fits, format!("resources: {resources}"));
    }
    if let Some(class) = case.row["qos"].as_str() {
        check(qos(pod) == class, format!("{} and not {class}", qos(pod)));
    }
    wrong
}

/// The environment of a container as NAME=VALUE.
fn variables(container: &Value) -> Vec<String> {
    let env = container["env"].as_array().into_iter().flatten();
    env.map(|one| format!("{}={}", one["name"].as_str().unwrap(), one["value"].as_str().unwrap())).collect()
}

/// The audit annotations: the containers that were changed, and those that the warning about hooks of their own names.
fn audit(case: &Case, result: &Value) -> Value {
    let mut audit = Map::new();
    let (hooks, wrapped) = (case.hooks(), case.wrapped());
    let changed: Vec<&str> = containers(&result["object"]["spec"])
        .map(|container| container["name"].as_str().unwrap())
        .filter(|name| hooks.contains_key(*name) || wrapped.iter().any(|one| one == name))
        .collect();
    if !changed.is_empty() {
        let how = if wrapped.is_empty() { "sidecar" } else { "wrap" };
        audit.insert("injected".to_owned(), format!("{how}: {}", changed.join(",")).into());
    }
    let warned = words(&result["warned"]).into_iter();
    let own = warned.filter_map(|text| text.split_once("does not drain it: ")?.1.split(" (").next());
    audit.extend(own.map(|names| ("own-hooks".to_owned(), names.replace(", ", ",").into())));
    audit.into()
}

/// Without what the API server sets before it calls a policy.
fn without_defaults(object: &Value) -> Value {
    let mut object = object.clone();
    fn clean(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.retain(|key, value| {
                    !(key == "terminationGracePeriodSeconds" && *value == 30) && key != "periodSeconds"
                });
                map.values_mut().for_each(clean);
            }
            Value::Array(list) => list.iter_mut().for_each(clean),
            _ => {}
        }
    }
    clean(&mut object);
    object
}

/// The class of a pod, as the API server computes it.
fn qos(pod: &Value) -> &'static str {
    let is_guaranteed = containers(pod).all(|container| {
        let resources = &container["resources"];
        ["cpu", "memory"].into_iter().all(|name| {
            let (limit, request) = (amount(&resources["limits"][name]), amount(&resources["requests"][name]));
            limit.is_some_and(|limit| limit > 0.0 && request.is_none_or(|request| request == limit))
        })
    });
    let is_best_effort = containers(pod).all(|container| container["resources"].as_object().is_none_or(Map::is_empty));
    match (is_guaranteed, is_best_effort) {
        (true, _) => "Guaranteed",
        (_, true) => "BestEffort",
        _ => "Burstable",
    }
}

/// An amount of a resource in its basic unit.
fn amount(value: &Value) -> Option<f64> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let units = [("Mi", 1_048_576.0), ("Gi", 1_073_741_824.0), ("G", 1e9), ("m", 1e-3), ("", 1.0)];
    units.into_iter().find_map(|(unit, factor)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * factor))
}

#[test]
fn texts_that_are_too_long_are_refused() {
    if !ready("texts_that_are_too_long_are_refused") {
        return;
    }
    let named = |count: usize| (0..count).map(|n| format!("c{n}")).collect::<Vec<String>>().join(",");
    let toml = |lines: usize| "# a line\n".repeat(lines - 1) + "lifecycle.preStop.sleep.seconds = 0.1";
    let request = |label: &str, key: &str, text: String| {
        let containers: Vec<Value> = (0..20).map(|n| json!({ "name": format!("c{n}"), "image": "web" })).collect();
        json!({ "object": {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "labels": { "bookend-inject": label }, "annotations": { key: text } },
            "spec": { "containers": containers },
        } })
    };
    let requests = [
        request("sidecar", "bookend-containers", named(20)),
        request("sidecar", "bookend-config", toml(2000)),
        request("sidecar", "bookend-containers", named(501)),
        request("sidecar", "bookend-containers", ",".repeat(1000)),
        request("sidecar", "bookend-config", toml(2001)),
        request("wrap", "bookend-containers", named(501)),
        request("wrap", "bookend-config", toml(2001)),
    ];
    let results = admit(&kit("wrap.yaml"), &requests);
    for (number, result) in results.iter().enumerate() {
        assert_eq!(result["errors"], json!([]), "{number}");
        let refused = result["refused"].to_string();
        let expected = match number {
            0 | 1 => "[]",
            2 | 3 | 5 => "has no container",
            _ => "more than 2000 lines",
        };
        assert!(refused.contains(expected), "{number}: {refused:.300}");
    }
}

#[test]
fn a_missing_policy_is_reported_and_not_silent() {
    if !ready("a_missing_policy_is_reported_and_not_silent") {
        return;
    }
    let checks = [root().join("config/kubernetes/inject/checks.yaml")];
    let cases: Vec<&Case> =
        results().iter().map(|(case, _)| case).filter(|case| case.row["refused"].is_null()).collect();
    let requests: Vec<Value> = cases.iter().map(|case| case.request(PREFIX)).collect();
    let mut asked = 0;
    for (case, result) in cases.iter().zip(admit(&checks, &requests)) {
        let own = case.row["label"].is_string() && case.row["kind"].is_null() && case.is_changed();
        asked += usize::from(own);
        let is_reported = result["refused"].to_string().contains("the pod was not changed");
        assert_eq!(is_reported, own, "{}: {result}", case.name);
    }
    assert!(asked >= 15, "{asked}");
}

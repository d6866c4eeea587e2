//! The promises of the checks, from a manifest to the findings.

use serde_json::Value;

use super::subject::config_maps;
use super::{Checks, Examination, examine};
use crate::manifests::documents;

/// Examines a manifest.
fn examination(manifest: &str, checks: Checks) -> Examination {
    let documents: Vec<(String, Value)> = documents("web.yaml", manifest)
        .unwrap()
        .into_iter()
        .map(|document| ("web.yaml".to_owned(), document))
        .collect();
    let maps = config_maps(documents.iter().map(|(_, document)| document));
    examine(&documents, &maps, checks)
}

/// The checks that find something in a Deployment with this pod and this container. Notes are in brackets.
fn found(pod: &str, container: &str) -> Vec<String> {
    let manifest = format!(
        "kind: Deployment\nmetadata: {{name: web}}\nspec: {{replicas: 2, template: {{spec: {{{pod} containers: [{{name: web, {container}}}]}}}}}}\n"
    );
    names(&examination(&manifest, Checks::All))
}

fn names(examination: &Examination) -> Vec<String> {
    let name = |finding: &super::finding::Finding| match finding.is_note {
        true => format!("({})", finding.check),
        false => finding.check.to_owned(),
    };
    examination.findings.iter().map(name).collect()
}

/// A server with a pause and a readiness probe: nothing is found in it.
const GOOD: &str = "image: web, ports: [{containerPort: 80}], readinessProbe: {httpGet: {port: 80}}, lifecycle: {preStop: {sleep: {seconds: 5}}}";

fn with_hook(hook: &str) -> String {
    GOOD.replace("sleep: {seconds: 5}", hook)
}

#[test]
fn a_server_with_pause_and_probe_has_no_finding() {
    assert_eq!(found("", GOOD), [""; 0]);
    assert_eq!(found("", "image: worker"), [""; 0], "no client connects to it");
}

#[test]
fn every_kind_that_inject_changes_is_examined() {
    let pod = "{spec: {containers: [{name: web, ports: [{containerPort: 80}]}]}}";
    for (manifest, path) in [
        (format!("apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nspec: {{template: {pod}}}\n"), "spec.template.spec"),
        (format!("kind: PodTemplate\ntemplate: {pod}\n"), "template.spec"),
        ("kind: Pod\nspec: {containers: [{name: web, ports: [{containerPort: 80}]}]}\n".to_owned(), "spec"),
    ] {
        let found = examination(&manifest, Checks::All);
        let fields: Vec<_> = found.findings.iter().map(|finding| finding.place.field.as_str()).collect();
        assert!(fields.contains(&format!("{path}.containers[web].lifecycle.preStop").as_str()), "{fields:?}");
    }
}

#[test]
fn all_config_maps_that_a_container_uses_are_known() {
    let pod = serde_json::json!({ "kind": "Pod", "spec": {
        "volumes": [
            { "name": "a", "configMap": { "name": "mounted" } },
            { "name": "b", "projected": { "sources": [{ "configMap": { "name": "projected" } }] } },
            { "name": "c", "configMap": { "name": "of-another" } },
        ],
        "containers": [{
            "name": "web",
            "volumeMounts": [{ "name": "a" }, { "name": "b" }],
            "envFrom": [{ "configMapRef": { "name": "all-keys" } }],
            "env": [{ "name": "BOOKEND_APP_PROFILE", "valueFrom": { "configMapKeyRef": { "name": "one-key", "key": "p" } } }],
        }],
    } });
    let subject = super::subject::Subject::all("x", &pod).remove(0);
    let names = super::configuration::config_map_names(subject);
    assert_eq!(names, ["all-keys", "mounted", "one-key", "projected"]);
}

#[test]
fn each_way_to_lose_requests_is_found() {
    let exec = |words: &str| with_hook(&format!("exec: {{command: {words}}}"));
    for (pod, container, expected) in [
        ("", "ports: [{containerPort: 80}], readinessProbe: {tcpSocket: {port: 80}}".to_owned(), "no-pre-stop"),
        ("", exec("[sh, -c, kill -QUIT 1]"), "hook-ends-server"),
        ("", exec("[nginx, -s, quit]"), "hook-ends-server"),
        ("terminationGracePeriodSeconds: 1,", GOOD.to_owned(), "short-grace"),
        ("terminationGracePeriodSeconds: 16,", exec("[sleep, '15']"), "no-time-for-the-app"),
        ("", exec("[sleep, '5']").replace("image: web", "image: gcr.io/distroless/static"), "sleep-missing"),
        ("", with_hook("tcpSocket: {port: 80}"), "hook-tcp-socket"),
        ("hostNetwork: true,", with_hook("httpGet: {port: 80}"), "host-network-hook"),
        ("", GOOD.replace("readinessProbe: {httpGet: {port: 80}}", "x: 1"), "no-readiness"),
        ("", GOOD.replace("httpGet: {port: 80}", "exec: {command: [sh, -c, exit 0]}"), "readiness-never-fails"),
        ("", GOOD.replace("httpGet: {port: 80}", "httpGet: {port: 80}, failureThreshold: 100"), "(readiness-slow)"),
        (
            "",
            GOOD.replace("httpGet: {port: 80}", "httpGet: {port: 80}, terminationGracePeriodSeconds: 9"),
            "probe-grace",
        ),
        ("", format!("{GOOD}, livenessProbe: {{terminationGracePeriodSeconds: 6}}"), "probe-grace"),
        ("", format!("{GOOD}, livenessProbe: {{terminationGracePeriodSeconds: 20}}"), "(probe-grace)"),
        ("", format!("{GOOD}, command: [sh, -c, ./prepare && node server.js]"), "shell-without-exec"),
        ("", format!("{GOOD}, command: [sh, -c, node server.js]"), "(shell-without-exec)"),
        ("", format!("{GOOD}, command: [npm, start]"), "(npm)"),
    ] {
        assert_eq!(found(pod, &container), [expected], "{pod} {container}");
    }
    assert_eq!(found("", &format!("{GOOD}, command: [sh, -c, ./prepare && exec node server.js]")), [""; 0]);
}

#[test]
fn a_label_that_brings_bookend_is_a_note() {
    let manifest = |value: &str| {
        format!(
            "kind: Pod\nmetadata: {{name: web, labels: {{x.example/bookend-inject: {value}}}}}\nspec: {{containers: [{{name: web, {}}}]}}\n",
            GOOD.replace("preStop", "other")
        )
    };
    assert_eq!(names(&examination(&manifest("wrap"), Checks::All)), ["(labelled)"]);
    assert_eq!(names(&examination(&manifest("none"), Checks::All)), ["no-pre-stop"]);
}

#[test]
fn the_rollout_strategy_is_examined_once() {
    let rollout = |strategy: &str, replicas: u32| {
        let manifest = format!(
            "kind: Deployment\nmetadata: {{name: web}}\nspec: {{replicas: {replicas}, strategy: {strategy}, template: {{spec: {{containers: [{{name: a, {GOOD}}}, {{name: b}}]}}}}}}\n"
        );
        names(&examination(&manifest, Checks::All))
    };
    assert_eq!(rollout("{type: Recreate}", 3), ["recreate"]);
    assert_eq!(rollout("{rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}", 1), ["all-unavailable"]);
    assert_eq!(rollout("{rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}", 3), [""; 0]);
    assert_eq!(rollout("{rollingUpdate: {maxUnavailable: 100%}}", 3), ["all-unavailable"]);
}

#[test]
fn a_proxy_beside_the_app_must_end_after_it() {
    let pod = |list: &str, more: &str| {
        let manifest = format!(
            "kind: Pod\nmetadata: {{name: web}}\nspec: {{containers: [{{name: app}}], {list}: [{{name: proxy, image: 'gcr.io/cloud-sql-proxy:2', {more}}}]}}\n"
        );
        names(&examination(&manifest, Checks::All))
    };
    let two = "kind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: app}, {name: proxy, image: 'gcr.io/cloud-sql-proxy:2'}]}\n";
    assert_eq!(names(&examination(two, Checks::All)), ["proxy-ends-first"]);
    assert_eq!(pod("initContainers", "restartPolicy: Always"), [""; 0]);
}

/// A Deployment with bookend in front of the app, and its configuration in a ConfigMap.
fn wrapped(config: &str, grace: u32, container: &str) -> String {
    let config: String = config.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: web-bookend}}\ndata:\n  bookend.toml: |\n{config}---\n\
         kind: Deployment\nmetadata: {{name: web}}\nspec: {{replicas: 2, template: {{spec: {{terminationGracePeriodSeconds: {grace}, \
         volumes: [{{name: c, configMap: {{name: web-bookend}}}}], containers: [{{name: web, command: [/bookend/bookend, --, nginx], \
         ports: [{{containerPort: 80}}, {{name: hooks, containerPort: 9797}}], terminationMessagePolicy: FallbackToLogsOnError, \
         readinessProbe: {{httpGet: {{port: hooks, path: /readyz}}}}, lifecycle: {{preStop: {{httpGet: {{port: hooks, path: /lifecycle/preStop}}}}}}, \
         volumeMounts: [{{name: c, mountPath: /etc/bookend}}], {container}}}]}}}}}}\n"
    )
}

const CONFIG: &str = "terminationGracePeriodSeconds = 60\nhttp.listen = \"0.0.0.0:9797\"\nlifecycle.preStop.drain = {}";

#[test]
fn a_configuration_that_fits_its_pod_has_no_finding() {
    for checks in [Checks::Configuration, Checks::All] {
        let examination = examination(&wrapped(CONFIG, 60, ""), checks);
        assert_eq!(names(&examination), [""; 0]);
        assert_eq!(examination.not_examined, [""; 0]);
        let configuration = examination.containers[0].configuration.as_ref().unwrap();
        assert_eq!(configuration.files, ["ConfigMap web-bookend, bookend.toml"]);
    }
}

#[test]
fn a_configuration_that_does_not_fit_its_pod_is_found() {
    let replaced = |from: &str, to: &str| CONFIG.replace(from, to);
    for (config, grace, container, expected) in [
        (replaced("= 60", "= sixty"), 60, "", &["configuration"][..]),
        (CONFIG.to_owned(), 30, "", &["grace-differs"]),
        (replaced("terminationGracePeriodSeconds = 60\n", ""), 60, "", &["(no-budget)"]),
        (replaced("lifecycle.preStop.drain = {}", ""), 60, "", &["no-drain"]),
        (replaced("drain = {}", "exec.command = [\"nginx\", \"-s\", \"quit\"]"), 60, "", &["hook-ends-server"]),
        (replaced("drain = {}", "drain.maxSeconds = 100"), 60, "", &["configuration"]),
        (replaced("9797", "9898"), 60, "", &["hook-port", "hook-port"]),
        (replaced("0.0.0.0", "127.0.0.1"), 60, "", &["hooks-on-loopback", "hooks-on-loopback"]),
        (replaced("http.listen = \"0.0.0.0:9797\"\n", ""), 60, "", &["hook-port"]),
        (CONFIG.to_owned(), 60, "terminationMessagePath: /tmp/message", &["termination-message"]),
        (CONFIG.to_owned(), 60, "env: [{name: BOOKEND_APP_STOP_SIGNAL, value: SIGNONE}]", &["configuration"]),
    ] {
        let examination = examination(&wrapped(&config, grace, container), Checks::All);
        assert_eq!(names(&examination), expected, "{config} {grace} {container}");
    }
    let race = wrapped(CONFIG, 60, "")
        .replace("lifecycle: {", "lifecycle: {postStart: {httpGet: {port: 9797, path: /lifecycle/postStart}}, ");
    assert_eq!(names(&examination(&race, Checks::All)), ["post-start-race"]);
    let live = wrapped(CONFIG, 60, "").replace("path: /readyz", "path: /livez");
    assert_eq!(names(&examination(&live, Checks::All)), ["readiness-never-fails"]);
}

#[test]
fn all_sources_of_a_configuration_are_put_together() {
    let manifest =
        wrapped("http.listen = \"0.0.0.0:1\"", 60, "env: [{name: BOOKEND_HTTP_LISTEN, value: '0.0.0.0:9797'}]")
            .replace(
                "[/bookend/bookend, --, nginx]",
                "[/bookend/bookend, run, --profile=nginx, --set, terminationGracePeriodSeconds=60, --, nginx]",
            );
    let examination = examination(&manifest, Checks::All);
    assert_eq!(names(&examination), [""; 0]);
    let effective = examination.containers[0].configuration.as_ref().unwrap().effective.as_ref().unwrap();
    assert_eq!(effective.settings.http.as_ref().unwrap().listen.port(), 9797);
    assert_eq!(effective.settings.app.profile.as_deref(), Some("nginx"));
    assert_eq!(effective.settings.app.program.command, ["nginx"]);
}

#[test]
fn a_config_map_belongs_to_the_namespace_of_its_pod() {
    let of = |namespace: &str, config: &str| {
        wrapped(config, 60, "")
            .replace("{name: web-bookend}\ndata", &format!("{{name: web-bookend, namespace: {namespace}}}\ndata"))
            .replace("{name: web}\nspec", &format!("{{name: web, namespace: {namespace}}}\nspec"))
    };
    let wrong = CONFIG.replace("= 60", "= 70");
    for both in
        [format!("{}---\n{}", of("a", CONFIG), of("b", &wrong)), format!("{}---\n{}", of("b", &wrong), of("a", CONFIG))]
    {
        let all = examination(&both, Checks::All);
        let of_b: Vec<_> = all.findings.iter().map(|finding| finding.check).collect();
        assert_eq!(of_b, ["grace-differs"], "{both}");
    }
    let apart = of("a", CONFIG).replace("{name: web, namespace: a}", "{name: web, namespace: c}");
    assert_eq!(examination(&apart, Checks::All).not_examined.len(), 1, "that of another namespace is not its own");
}

#[test]
fn sources_that_are_not_in_the_manifests_are_named() {
    let without_map = wrapped(CONFIG, 60, "").split("---\n").nth(1).unwrap().to_owned();
    let all = examination(&without_map, Checks::All);
    assert_eq!(names(&all), [""; 0], "an unknown source may set what seems to be missing");
    assert_eq!(all.not_examined.len(), 1);
    assert!(all.not_examined[0].ends_with("ConfigMap web-bookend is not in the manifests"), "{:?}", all.not_examined);
    let of_image = "kind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: a, command: [/bookend, -c, /app/b.toml, --, x]}]}\n";
    assert!(examination(of_image, Checks::All).not_examined[0].ends_with("/app/b.toml is a file of the image"));
    let secret =
        wrapped(CONFIG, 60, "env: [{name: BOOKEND_HTTP_LISTEN, valueFrom: {secretKeyRef: {name: s, key: k}}}]");
    assert!(examination(&secret, Checks::All).not_examined[0].contains("the value of BOOKEND_HTTP_LISTEN"));
}

#[test]
fn a_finding_names_file_object_field_reason_and_remedy() {
    let manifest = "kind: CronJob\nmetadata: {name: nightly}\nspec: {jobTemplate: {spec: {template: {spec: {containers: [{name: a, lifecycle: {preStop: {tcpSocket: {port: 1}}}}]}}}}}\n";
    let all = examination(manifest, Checks::All);
    let text = all.findings[0].to_string();
    let place =
        "web.yaml: CronJob/nightly: spec.jobTemplate.spec.template.spec.containers[a].lifecycle.preStop.tcpSocket";
    for part in ["hook-tcp-socket: ", &format!("    at   {place}\n"), "    why  ", "    fix  "] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json = all.to_json();
    assert_eq!(
        json["findings"][0]["field"],
        "spec.jobTemplate.spec.template.spec.containers[a].lifecycle.preStop.tcpSocket"
    );
}

#[test]
fn manifests_of_any_shape_are_examined() {
    for manifest in [
        "kind: Pod\n",
        "kind: Pod\nspec: {containers: x}\n",
        "kind: Pod\nspec: {containers: [1, x, null, {}]}\n",
        "kind: Deployment\nspec: {template: null}\n",
        "kind: Pod\nspec: {containers: [{name: 1, command: {}, args: x, ports: x, lifecycle: [], readinessProbe: 1, env: [x], volumeMounts: [1]}]}\n",
        "kind: Pod\nspec: {volumes: [x], containers: [{name: a, command: [/bookend, -c], volumeMounts: [{mountPath: /etc/bookend, name: q}]}]}\n",
        "kind: Pod\nspec: {containers: [{name: a, command: [/bookend, --set, =, --, x], terminationMessagePath: 7}]}\n",
        "kind: Pod\nspec: {terminationGracePeriodSeconds: x, containers: [{name: a, ports: [{}], lifecycle: {preStop: {httpGet: {port: {}}}}}]}\n",
    ] {
        let _ = examination(manifest, Checks::All).to_json();
    }
}

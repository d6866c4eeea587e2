//! The fields of a Pod and what becomes of them, one promise a test.

use serde_json::{Value, json};

use crate::{documents, fed, injected};

/// A Pod with one container that has a command and these fields.
fn pod(fields: &str) -> String {
    format!("kind: Pod\nmetadata: {{name: p}}\nspec:\n  containers:\n  - name: a\n    command: [/a]\n{fields}")
}

/// The configuration of a container in a manifest.
fn config(out: &str, name: &str) -> toml::Table {
    let pod = &documents(out)[0];
    let template = pod.pointer("/spec/template").unwrap_or(pod);
    template["metadata"]["annotations"][format!("bookend-config/{name}")].as_str().unwrap().parse().unwrap()
}

fn container(out: &str) -> Value {
    documents(out)[0]["spec"]["containers"][0].clone()
}

#[test]
fn https_is_not_verified_as_by_a_kubelet() {
    let fields = "    readinessProbe: {httpGet: {port: 1, scheme: HTTPS}}\n    livenessProbe: {httpGet: {port: 1}}\n    \
                  lifecycle: {preStop: {httpGet: {port: 1, scheme: HTTPS}}}\n";
    let config = config(&injected(&[], &pod(fields)), "a");
    assert_eq!(config["readinessProbe"]["httpGet"]["insecureSkipVerify"].as_bool(), Some(true));
    assert_eq!(config["lifecycle"]["preStop"]["httpGet"]["insecureSkipVerify"].as_bool(), Some(true));
    assert_eq!(config["livenessProbe"]["httpGet"].get("insecureSkipVerify"), None);
}

#[test]
fn octal_numbers_stay_as_they_are_written() {
    let spec = "  volumes:\n  - name: v\n    secret: {secretName: s, defaultMode: 0400}\n  - name: w\n    configMap:\n      defaultMode: 0555 # all\n";
    let text =
        pod("    ports: [{containerPort: 0o20}]\n    livenessProbe: {tcpSocket: {port: 80}, periodSeconds: 030}\n")
            + spec;
    let out = injected(&[], &text);
    assert!(
        out.contains("defaultMode: 0400}") && out.contains("defaultMode: 0555 # all") && out.contains("030"),
        "{out}"
    );
    // kubectl reads 030 as 24, and so does the configuration.
    assert_eq!(config(&out, "a")["livenessProbe"]["periodSeconds"].as_integer(), Some(24));
}

#[test]
fn the_kubelet_alone_counts_the_results_of_a_probe() {
    let fields = "    readinessProbe: {tcpSocket: {port: 80}, periodSeconds: 2, failureThreshold: 2, successThreshold: 3, initialDelaySeconds: 9, timeoutSeconds: 4}\n";
    let (_, out, notes) = fed(&["inject", "-"], &pod(fields));
    let probe = &config(&out, "a")["readinessProbe"];
    assert_eq!(probe["failureThreshold"].as_integer(), Some(1));
    assert_eq!((probe.get("successThreshold"), probe.get("initialDelaySeconds")), (None, None));
    assert_eq!((probe["periodSeconds"].as_integer(), probe["timeoutSeconds"].as_integer()), (Some(2), Some(4)));
    let kept = &container(&out)["readinessProbe"];
    assert_eq!((&kept["failureThreshold"], &kept["successThreshold"]), (&json!(2), &json!(3)));
    assert!(notes.contains("the kubelet counts the results of the probes"), "{notes}");
}

#[test]
fn a_hook_that_signals_pid_1_becomes_a_signal_handler() {
    for command in ["[kill, -QUIT, '1']", "[/bin/sh, -c, kill -s QUIT 1]"] {
        let fields = format!("    lifecycle: {{preStop: {{exec: {{command: {command}}}}}}}\n");
        let (_, out, notes) = fed(&["inject", "-"], &pod(&fields));
        assert_eq!(config(&out, "a")["lifecycle"]["preStop"]["signal"]["name"].as_str(), Some("SIGQUIT"), "{command}");
        assert!(notes.contains("lifecycle.preStop sends PID 1 SIGQUIT"), "{notes}");
    }
    for (script, note) in [
        ("sleep 1; kill 1 || true", "sends PID 1 a signal"),
        ("pkill -f server", "calls pkill -f"),
        ("nginx -s quit", "ends the server by `nginx -s quit`"),
    ] {
        let fields = format!("    lifecycle: {{preStop: {{exec: {{command: [sh, -c, \"{script}\"]}}}}}}\n");
        let (_, out, notes) = fed(&["inject", "-"], &pod(&fields));
        assert_eq!(config(&out, "a")["lifecycle"]["preStop"]["exec"]["command"][2].as_str(), Some(script));
        assert!(notes.contains(note), "{notes}");
    }
}

#[test]
fn a_server_s_own_stop_command_becomes_a_signal_handler() {
    for (command, hook, steps) in [
        ("[nginx, -g, daemon off;]", "nginx -s quit", json!({ "signal": { "name": "SIGQUIT" } })),
        (
            "[/docker-entrypoint.sh, nginx]",
            "sleep 5; /usr/sbin/nginx -s quit; sleep 2",
            json!([{ "sleep": { "seconds": 5 } }, { "signal": { "name": "SIGQUIT" } }, { "sleep": { "seconds": 2 } }]),
        ),
        ("[httpd-foreground]", "apachectl -k graceful-stop", json!({ "signal": { "name": "SIGWINCH" } })),
    ] {
        let fields = format!("    lifecycle: {{preStop: {{exec: {{command: [sh, -c, \"{hook}\"]}}}}}}\n");
        let (code, out, errors) = fed(&["inject", "-"], &pod(&fields).replace("[/a]", command));
        assert_eq!(code, 0, "{errors}");
        let pre_stop = serde_json::to_value(&config(&out, "a")["lifecycle"]["preStop"]).unwrap();
        assert_eq!(pre_stop, steps, "{hook}");
    }
}

#[test]
fn uninject_brings_back_what_was_there_before() {
    let env = "    env:\n    - {name: A, value: a}\n    - {name: BOOKEND_SOCKET, value: /mine.sock}\n    - name: BOOKEND_CONFIG\n      value: /mine.toml\n    - {name: B, value: b}\n";
    for fields in [
        env,
        "    lifecycle:\n    volumeMounts: []\n    ports: null\n    env: {}\n",
        "    lifecycle: {}\n  volumes: []\n  initContainers: null\n",
        "    ports: [{name: bookend, containerPort: 8}]\n    volumeMounts: [{name: bookend, mountPath: /b}]\n  volumes: [{name: bookend, emptyDir: {}}]\n",
    ] {
        for metadata in ["{name: p}", "{name: p, annotations: {}}", "{name: p, annotations: }"] {
            let text = pod(fields).replace("{name: p}", metadata);
            for args in [&["inject", "-"][..], &["inject", "--sidecar", "-"]] {
                let (code, once, errors) = fed(args, &text);
                assert_eq!(
                    (code, errors.contains("its own variable BOOKEND_CONFIG")),
                    (0, fields == env && args.len() == 2)
                );
                assert_eq!(fed(args, &once).1, once);
                let (_, restored, _) = fed(&["uninject", "-"], &once);
                assert_eq!(documents(&restored), documents(&text), "{restored}");
            }
        }
    }
    // The facts of the pod stay until its last container is restored.
    let text = "kind: Pod\nmetadata: {annotations: {}}\nspec:\n  volumes: []\n  containers:\n  - {name: a, command: [/a]}\n  - {name: b, command: [/b]}\n";
    let both = injected(&[], text);
    let (_, one, _) = fed(&["uninject", "--container", "a", "-"], &both);
    let (_, neither, _) = fed(&["uninject", "--container", "b", "-"], &one);
    assert_eq!(documents(&neither), documents(text), "{neither}");
}

#[test]
fn a_volume_with_the_name_of_ours_stays() {
    let text = pod("  volumes: [{name: bookend-config, configMap: {name: c}}, {name: bookend, secret: {}}]\n");
    let once = injected(&["--sidecar"], &text);
    assert_eq!(injected(&["--sidecar"], &once), once);
    assert_eq!(documents(&fed(&["uninject", "-"], &once).1), documents(&text));
}

#[test]
fn line_ends_stay_those_of_the_text() {
    let text = pod("    livenessProbe:\n      exec:\n        command: [a]\n").replace("{name: p}", "\n  name: p");
    let windows = text.replace('\n', "\r\n");
    for args in [&["inject", "-"][..], &["inject", "--sidecar", "-"]] {
        let out = fed(args, &windows).1;
        assert_eq!(out.matches('\n').count(), out.matches("\r\n").count(), "{out:?}");
        assert_eq!(out.replace("\r\n", "\n"), fed(args, &text).1);
        assert_eq!(fed(&["uninject", "-"], &out).1, windows);
        // A text without a last line end.
        let out = fed(args, text.trim_end()).1;
        assert_eq!(out, fed(args, &text).1);
        assert_eq!(fed(&["uninject", "-"], &out).1, text);
        let other = text.clone() + "---\nkind: ConfigMap\ndata:\n  a: |\n    b";
        let out = fed(args, &other).1;
        assert!(out.ends_with("    b"), "{out:?}");
        assert_eq!(fed(&["uninject", "-"], &out).1, other);
    }
}

#[test]
fn a_container_that_has_no_name_of_its_own_is_refused() {
    for (names, reason) in [
        (["image: i", "name: b"], "a container has no name"),
        (["name: b", "name: b"], "several containers of the pod are called b"),
    ] {
        let [a, b] = names;
        let text = format!("kind: Pod\nspec: {{containers: [{{{a}, command: [/a]}}, {{{b}, command: [/b]}}]}}\n");
        for mode in [&["inject", "-"][..], &["inject", "--sidecar", "-"]] {
            let (code, _, errors) = fed(mode, &text);
            assert!(code == 1 && errors.contains(reason), "{errors}");
        }
    }
}

#[test]
fn dollars_that_a_kubelet_leaves_alone_reach_the_hook() {
    let script = "echo $$ $(date) $HOME";
    let fields = format!(
        "    lifecycle: {{preStop: {{exec: {{command: [sh, -c, \"{script}\"]}}}}}}\n    livenessProbe: {{exec: {{command: [sh, -c, \"{script}\"]}}}}\n"
    );
    let config = config(&injected(&[], &pod(&fields)), "a");
    assert_eq!(config["lifecycle"]["preStop"]["exec"]["command"][2].as_str(), Some("echo $$$$ $$(date) $HOME"));
    // In the command of a probe a kubelet expands both.
    assert_eq!(config["livenessProbe"]["exec"]["command"][2].as_str(), Some(script));
}

#[test]
fn a_second_container_shares_the_binary_and_has_its_own_port() {
    let text = "kind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - {name: a, command: [/a]}\n  - {name: b, command: [/b]}\n";
    let first = injected(&["--container", "a"], text);
    let both = injected(&["--container", "b"], &first);
    let pod = documents(&both).remove(0);
    assert_eq!(pod["spec"]["initContainers"].as_array().unwrap().len(), 1);
    assert_eq!(pod["spec"]["volumes"].as_array().unwrap().len(), 2);
    assert_eq!(pod["spec"]["volumes"][1]["downwardAPI"]["items"].as_array().unwrap().len(), 2);
    let port = |at: usize| pod["spec"]["containers"][at]["lifecycle"]["preStop"]["httpGet"]["port"].clone();
    assert_eq!((port(0), port(1)), (json!(9797), json!(9798)));
    let socket = |at: usize| pod["spec"]["containers"][at]["env"][1]["value"].clone();
    assert_eq!((socket(0), socket(1)), (json!("/bookend/a.sock"), json!("/bookend/b.sock")));
    assert_eq!(config(&both, "b")["http"]["listen"].as_str(), Some("0.0.0.0:9798"));
    // One of them again without bookend: the other one keeps it.
    let (_, one, _) = fed(&["uninject", "--container", "a", "-"], &both);
    let pod = documents(&one).remove(0);
    assert_eq!(pod["spec"]["containers"][0]["command"], json!(["/a"]));
    assert_eq!(pod["spec"]["initContainers"].as_array().unwrap().len(), 1);
    let (_, none, _) = fed(&["uninject", "-"], &one);
    assert_eq!(documents(&none), documents(text), "{none}");
}

#[test]
fn containers_of_one_name_are_told_apart_by_their_owner() {
    let one = |kind: &str, name: &str| {
        format!(
            "kind: {kind}\nmetadata: {{name: {name}}}\nspec:\n  template:\n    spec:\n      containers:\n      - {{name: server, command: [/s]}}\n"
        )
    };
    let text = format!("{}---\n{}", one("Deployment", "frontend"), one("StatefulSet", "backend"));
    let (code, _, errors) = fed(&["import", "-"], &text);
    assert_eq!(code, 2);
    assert!(
        errors.contains("name one with --container: Deployment/frontend:server, StatefulSet/backend:server"),
        "{errors}"
    );
    let out = injected(&["--container", "Deployment/frontend:server"], &text);
    let wrapped = |at: usize| {
        documents(&out)[at]["spec"]["template"]["spec"]["containers"][0]["command"].as_array().unwrap().len()
    };
    assert_eq!((wrapped(0), wrapped(1)), (3, 1));
    let (code, _, errors) = fed(&["inject", "--container", "frontend", "-"], &text);
    assert!(
        code == 2 && errors.contains("there is no container \"frontend\", only Deployment/frontend:server"),
        "{errors}"
    );
}

#[test]
fn every_kind_with_a_pod_is_changed_also_in_a_list() {
    let template = "{spec: {containers: [{name: a, command: [/a]}]}}";
    let kinds = ["ReplicationController", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "Rollout"];
    let mut items: Vec<String> =
        kinds.iter().map(|kind| format!("- {{kind: {kind}, spec: {{template: {template}}}}}")).collect();
    items.push(format!("- {{kind: CronJob, spec: {{jobTemplate: {{spec: {{template: {template}}}}}}}}}"));
    items.push(format!("- {{kind: PodTemplate, template: {template}}}"));
    items.push("- {kind: ConfigMap, data: {a: b}}".to_owned());
    let text = format!("kind: List\napiVersion: v1\nitems:\n{}\n", items.join("\n"));
    let out = injected(&[], &text);
    assert_eq!(out.matches("\"--\", /a]").count(), 9, "{out}");
    assert_eq!(
        fed(&["inject", "-"], "kind: Service\n").2,
        "kubectl-bookend: - contains no Pod and no kind that has one, such as a Deployment, only Service\n"
    );
}

#[test]
fn what_is_added_has_the_resources_and_rights_of_its_container() {
    let spec = "  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}\n";
    let fields = "    resources: {limits: {cpu: 1, memory: 1Gi, gpu/x: 1}, requests: {cpu: 1, memory: 1Gi, gpu/x: 1}}\n    securityContext: {privileged: false, runAsGroup: 7}\n";
    let out = injected(&[], &(pod(fields) + spec));
    let added = &documents(&out)[0]["spec"]["initContainers"][0];
    assert_eq!(
        added["resources"],
        json!({ "requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"cpu": 1, "memory": "1Gi"} })
    );
    let wanted = json!({ "runAsGroup": 7, "runAsUser": 65532, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
        "capabilities": { "drop": ["ALL"] } });
    assert_eq!(added["securityContext"], wanted);
    for requests in ["{}", "{cpu: '1', memory: 1024Mi}", "{cpu: 1000m, memory: '1073741824'}"] {
        let fields = format!("    resources: {{limits: {{cpu: 1, memory: 1Gi}}, requests: {requests}}}\n");
        let out = injected(&["--sidecar"], &pod(&fields));
        let resources = &documents(&out)[0]["spec"]["initContainers"][0]["resources"];
        assert_eq!(resources["limits"], resources["requests"], "the pod stays Guaranteed: {requests}");
    }
    let out = injected(&["--sidecar"], &pod("    resources: {limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 999m}}\n"));
    let resources = &documents(&out)[0]["spec"]["initContainers"][0]["resources"];
    assert_ne!(resources["limits"], resources["requests"], "the pod stays Burstable");
    let out = injected(&["--sidecar"], &pod(""));
    assert_eq!(documents(&out)[0]["spec"]["initContainers"][0].get("resources"), None, "the pod stays BestEffort");
}

#[test]
fn a_drain_leaves_half_of_a_short_grace_period() {
    for (grace, drain) in
        [("0", None), ("1", None), ("4", Some(2)), ("10", Some(5)), ("20", Some(15)), ("null", Some(15))]
    {
        let text = pod("") + &format!("  terminationGracePeriodSeconds: {grace}\n");
        let config = config(&injected(&[], &text), "a");
        let found = config
            .get("lifecycle")
            .map(|lifecycle| lifecycle["preStop"][0]["drain"]["maxSeconds"].as_integer().unwrap());
        assert_eq!(found, drain, "{grace}");
    }
}

#[test]
fn the_port_on_a_node_is_noted_and_a_sidecar_refused() {
    let text = pod("") + "  hostNetwork: true\n";
    let (code, _, notes) = fed(&["inject", "-"], &text);
    assert!(code == 0 && notes.contains("hostNetwork: port 9797 is one of the node"), "{notes}");
    let (code, out, errors) = fed(&["inject", "--sidecar", "-"], &text);
    assert_eq!((code, out), (1, text));
    assert!(errors.contains("not for hostNetwork"), "{errors}");
}

#[test]
fn an_unrendered_helm_template_is_named() {
    for text in [
        "kind: Deployment\nmetadata:\n  name: {{ .Release.Name }}\n",
        "{{- if .Values.a }}\nkind: Pod\n{{- end }}\n",
        "kind: Pod\nspec: {containers: [{name: \"{{ .Values.name }}\", command: [a]}]}\n",
    ] {
        let (code, _, errors) = fed(&["inject", "-"], text);
        assert!(code == 2 && errors.contains("helm template RELEASE CHART"), "{text}: {errors}");
    }
    // An alert's own template in a ConfigMap, or in an argument.
    let text = pod("    args: ['{{ $labels.pod }}']\n") + "---\nkind: ConfigMap\ndata: {x: '{{ .Values.a }}'}\n";
    assert_eq!(fed(&["inject", "-"], &text).0, 0);
}

#[test]
fn a_pod_that_cannot_have_bookend_is_refused_with_a_reason() {
    for (spec, reason) in [
        ("  os: {name: windows}\n", "the pod is for Windows"),
        ("  initContainers: [{name: bookend, image: x}]\n", "already has a container called bookend"),
        ("  volumes: [{name: bookend, secret: {}}]\n", "already has a volume called bookend"),
        ("  volumes: [{name: bookend-config, configMap: {}}]\n", "already has a volume called bookend-config"),
    ] {
        let text = pod("") + spec;
        let (code, out, errors) = fed(&["inject", "-"], &text);
        assert_eq!((code, out), (1, text));
        assert!(errors.contains(reason), "{errors}");
    }
    let (code, _, notes) = fed(&["inject", "-"], &pod("").replace("[/a]", "[/usr/bin/bookend, --, /a]"));
    assert!(code == 0 && notes.contains("it already runs under bookend"), "{notes}");
    let (code, _, errors) = fed(&["inject", "-"], &pod("    lifecycle: {preStop: {exec: 3}}\n"));
    assert!(
        code == 1 && errors.contains("not valid in a Pod spec") && errors.contains("lifecycle.preStop.exec"),
        "{errors}"
    );
}

#[test]
fn grpc_probes_and_own_hooks_beside_a_sidecar_stay_with_a_note() {
    let (_, out, notes) = fed(&["inject", "-"], &pod("    livenessProbe: {grpc: {port: 5}}\n"));
    assert!(out.contains("livenessProbe: {grpc: {port: 5}}") && notes.contains("livenessProbe uses gRPC"), "{notes}");
    let two = "kind: Pod\nspec: {containers: [{name: a}, {name: b, lifecycle: {preStop: {sleep: {seconds: 1}}}}]}\n";
    let (code, out, notes) = fed(&["inject", "--sidecar", "-"], two);
    assert!(code == 0 && notes.contains("b: its own preStop hook stays"), "{notes}");
    assert!(out.contains("/lifecycle/a/preStop") && !out.contains("/lifecycle/b/preStop"), "{out}");
    let replaced = injected(&["--sidecar", "--replace-hooks"], two);
    assert!(
        replaced.contains("/lifecycle/b/preStop") && !documents(&replaced)[0]["spec"].to_string().contains("sleep")
    );
    let (_, restored, _) = fed(&["uninject", "-"], &replaced);
    assert_eq!(documents(&restored), documents(two), "{restored}");
}

#[test]
fn bookend_takes_no_port_that_the_pod_uses() {
    for field in [
        "ports: [{containerPort: 9797}]",
        "livenessProbe: {grpc: {port: 9797}}",
        "lifecycle: {postStart: {httpGet: {port: 9797}}}",
    ] {
        let (code, out, notes) = fed(&["inject", "-"], &pod(&format!("    {field}\n")));
        assert!(code == 0 && notes.contains("bookend listens on 9798"), "{field}: {notes}");
        assert_eq!(config(&out, "a")["http"]["listen"].as_str(), Some("0.0.0.0:9798"), "{field}");
    }
}

#[test]
fn json_of_kubectl_stays_json() {
    let text = "{\n    \"apiVersion\": \"v1\",\n    \"kind\": \"List\",\n    \"items\": [\n        {\n            \"kind\": \"Pod\",\n            \"spec\": {\n                \"containers\": [\n                    {\n                        \"name\": \"a\",\n                        \"command\": [\n                            \"/a\"\n                        ]\n                    }\n                ]\n            }\n        }\n    ]\n}\n";
    let out = injected(&[], text);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["items"][0]["spec"]["containers"][0]["command"], json!(["/bookend/bookend", "--", "/a"]));
    let (_, restored, _) = fed(&["uninject", "-"], &out);
    assert_eq!(serde_json::from_str::<Value>(&restored).unwrap(), serde_json::from_str::<Value>(text).unwrap());
}

#[test]
fn diff_shows_the_change_and_its_exit_code_is_1() {
    let (code, out, _) = fed(&["inject", "--diff", "-"], &pod(""));
    assert_eq!(code, 1);
    assert!(out.contains("\n-    command: [/a]\n+    command: [/bookend/bookend, \"--\", /a]\n"), "{out}");
    let once = injected(&[], &pod(""));
    let (code, out, _) = fed(&["inject", "--diff", "-"], &once);
    assert_eq!((code, out.as_str()), (0, ""));
}

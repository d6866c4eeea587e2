use super::*;

const DEPLOYMENT: &str = r#"
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { ports: [{ port: 80 }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: shop }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      terminationGracePeriodSeconds: 45
      containers:
        - name: web
          image: web:1
          command: ["/app/server", "--port", "8080"]
          ports: [{ name: http, containerPort: 8080 }]
          lifecycle:
            postStart: { exec: { command: ["/bin/warm", "up"] } }
            preStop:
              httpGet: { path: /drain, port: http, httpHeaders: [{ name: X-Who, value: kubelet }] }
          readinessProbe: { httpGet: { path: /ready, port: 8080 }, periodSeconds: 3, successThreshold: 2 }
          livenessProbe: { exec: { command: ["true"] }, initialDelaySeconds: 7, terminationGracePeriodSeconds: 5 }
"#;

#[test]
fn lifecycle_probes_and_grace_period_are_converted() {
    let imported = import(DEPLOYMENT, None).unwrap();
    let config: toml::Table = toml::from_str(&imported.config).unwrap();
    let expected: toml::Table = toml::from_str(
        r#"
        terminationGracePeriodSeconds = 45
        ports.http = 8080
        http.listen = "0.0.0.0:9797"
        lifecycle.postStart.exec.command = ["/bin/warm", "up"]
        [lifecycle.preStop.httpGet]
        path = "/drain"
        port = "http"
        httpHeaders = [{ name = "X-Who", value = "kubelet" }]
        [readinessProbe]
        httpGet = { path = "/ready", port = 8080 }
        periodSeconds = 3
        successThreshold = 2
        [livenessProbe]
        exec.command = ["true"]
        initialDelaySeconds = 7
        "#,
    )
    .unwrap();
    assert_eq!(config, expected);
    let notes = imported.notes.join("\n");
    assert!(notes.contains("livenessProbe.terminationGracePeriodSeconds"), "{notes}");
    assert!(notes.contains("bookend calls lifecycle.preStop.httpGet at 127.0.0.1"), "{notes}");
}

#[test]
fn the_manifest_runs_the_container_under_bookend_and_keeps_the_rest() {
    let manifest = import(DEPLOYMENT, Some("web")).unwrap().manifest;
    let documents: Vec<Value> = serde_saphyr::from_multiple(&manifest).unwrap();
    let kinds: Vec<_> = documents.iter().map(|document| document["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Service", "Deployment", "ConfigMap"]);
    let pod = &documents[1]["spec"]["template"]["spec"];
    assert_eq!(pod["terminationGracePeriodSeconds"], 45);
    assert_eq!(pod["initContainers"][0]["command"], serde_json::json!(["/bookend"]));
    let web = &pod["containers"][0];
    assert_eq!(web["command"], serde_json::json!(["/bookend/bookend", "--", "/app/server", "--port", "8080"]));
    assert_eq!(web["lifecycle"]["preStop"]["httpGet"]["path"], "/lifecycle/preStop");
    assert_eq!(web["lifecycle"]["postStart"]["exec"]["command"][2], "postStart");
    assert_eq!(web["readinessProbe"]["httpGet"], serde_json::json!({ "port": 9797, "path": "/readyz" }));
    assert_eq!(web["readinessProbe"]["periodSeconds"], 3);
    assert_eq!(web["livenessProbe"]["terminationGracePeriodSeconds"], 5);
    assert_eq!(web["livenessProbe"].get("exec"), None);
    assert_eq!(documents[2]["metadata"], serde_json::json!({ "name": "web-bookend", "namespace": "shop" }));
    assert!(documents[2]["data"]["bookend.toml"].as_str().unwrap().contains("[lifecycle.preStop.httpGet]"));
}

#[test]
fn a_manifest_of_two_containers_needs_a_name() {
    let text = "kind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: a}, {name: b}]}";
    let error = import(text, None).unwrap_err().to_string();
    assert_eq!(error, "it contains several containers; name one with --container: a (Pod/p), b (Pod/p)");
    let error = import(text, Some("c")).unwrap_err().to_string();
    assert_eq!(error, "it contains no container \"c\", only a (Pod/p), b (Pod/p)");
    assert!(import(text, Some("b")).is_ok());
}

#[test]
fn a_container_without_a_command_is_named_and_a_grpc_probe_stays() {
    let text = "kind: Pod\nspec: {containers: [{name: a, livenessProbe: {grpc: {port: 5}}}]}";
    let imported = import(text, None).unwrap();
    assert!(imported.notes.iter().any(|note| note.contains("ENTRYPOINT")), "{:?}", imported.notes);
    assert!(imported.notes.iter().any(|note| note.contains("gRPC")), "{:?}", imported.notes);
    assert!(imported.manifest.contains("grpc"), "{}", imported.manifest);
    assert!(
        imported.config.contains("terminationGracePeriodSeconds = 30"),
        "Kubernetes' default is explicit: {}",
        imported.config
    );
}

#[test]
fn every_kind_with_a_pod_in_it_is_found() {
    let pod = "{containers: [{name: a, command: [x]}]}";
    for (kind, spec) in [
        ("Pod", pod.to_owned()),
        ("StatefulSet", format!("{{template: {{spec: {pod}}}}}")),
        ("Job", format!("{{template: {{spec: {pod}}}}}")),
        ("CronJob", format!("{{jobTemplate: {{spec: {{template: {{spec: {pod}}}}}}}}}")),
    ] {
        import(&format!("kind: {kind}\nspec: {spec}"), None).unwrap_or_else(|error| panic!("{kind}: {error}"));
    }
}

#[test]
fn other_texts_are_an_error_and_never_a_panic() {
    for text in ["", "a: [", "kind: Service", "- 1", "kind: Pod", "kind: Pod\nspec: 3", "&a [*a]"] {
        let error = import(text, None).unwrap_err().to_string();
        assert!(!error.is_empty(), "{text:?}");
    }
    // Fields that no API server accepts are reported as errors of the configuration, all at once.
    let text = "kind: Pod\nspec: {terminationGracePeriodSeconds: soon, containers: [{name: a, lifecycle: {preStop: {exec: 3}}}]}";
    let error = import(text, None).unwrap_err().to_string();
    assert!(error.contains("terminationGracePeriodSeconds") && error.contains("lifecycle.preStop.exec"), "{error}");
}

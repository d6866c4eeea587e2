//! `bookend schema` against a real validator: python3-jsonschema, draft 2020-12.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Folder, Init, run};

/// Validates TOML files and prints the names of those that the schema accepts.
const VALIDATOR: &str = r#"
import json, sys, tomllib
from jsonschema import Draft202012Validator
schema = json.load(open(sys.argv[1]))
Draft202012Validator.check_schema(schema)
validator = Draft202012Validator(schema)
for name in sys.argv[2:]:
    if validator.is_valid(tomllib.load(open(name, "rb"))):
        print(name)
"#;

/// The names of the accepted files; nothing without a validator.
fn accepted(test: &str, folder: &Folder, files: &[String]) -> Option<Vec<String>> {
    let schema = run(&["schema"]);
    assert_eq!(schema.code(), 0, "{}", schema.log);
    let schema = folder.write("schema.json", &schema.out);
    // Debian's python3: another python in PATH has other packages.
    let output = Command::new("/usr/bin/python3").args(["-c", VALIDATOR]).arg(schema).args(files).output();
    match output {
        Ok(output) if output.status.success() => {
            Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
        }
        other => {
            let why = other.map_or_else(|e| e.to_string(), |o| String::from_utf8_lossy(&o.stderr).into_owned());
            assert!(!why.contains("SchemaError"), "{why}");
            eprintln!("NOT RUN: {test}: no validator (python3-jsonschema): {why}");
            assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "NOT RUN: {test}");
            None
        }
    }
}

#[test]
fn every_ready_made_file_is_valid() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut files: Vec<String> = fs::read_dir(config)
        .unwrap()
        .map(|entry| entry.unwrap().path().to_str().unwrap().to_owned())
        .filter(|path| path.ends_with(".toml"))
        .collect();
    files.sort();
    if let Some(mut accepted) = accepted("every_ready_made_file_is_valid", &Folder::new(), &files) {
        accepted.sort();
        assert_eq!(accepted, files);
    }
}

/// Faults that bookend refuses and the schema can express.
const WRONG: &[&str] = &[
    "stopSignl = 1",
    "[app]\nstopSignall = \"SIGQUIT\"",
    "terminationGracePeriodSeconds = \"30s\"",
    "terminationGracePeriodSeconds = -1",
    "terminationMessagePath = \"relative\"",
    "subreaper = \"true\"",
    "app.command = \"nginx\"",
    "app.command = [1]",
    "app.env.A = 1",
    "app.env.A.valueFrom.file = \"x\"",
    "app.env.A.value = \"x\"",
    "app.workingDir = \"srv\"",
    "app.user = -1",
    "app.user = \"a:b:c\"",
    "app.umask = \"8\"",
    "app.rlimits.files = 1",
    "app.rlimits.nofile = { max = 1 }",
    "app.rlimits.nofile = \"all\"",
    "app.oomScoreAdj = 1001",
    "app.stopSignal = 65",
    "app.stopSignals = \"SIGTERM\"",
    "app.signals = []",
    "app.signalScope = \"Group\"",
    "app.exitCodes.x = 1",
    "app.exitCodes.1 = 256",
    "[http]",
    "http.listen = 9797",
    "lifecycle.preStop = 5",
    "lifecycle.preStop = {}",
    "lifecycle.preStop = [{ name = \"a\" }]",
    "lifecycle.preStop = { exec.command = [\"a\"], sleep.seconds = 1 }",
    "lifecycle.preStop.sleep = 5",
    "lifecycle.preStop = { sleep.seconds = 1, timeoutSeconds = 0 }",
    "lifecycle.preStop = { sleep.seconds = 1, failurePolicy = \"Retry\" }",
    "lifecycle.postStart.exec = {}",
    "log.level = \"loud\"",
    "ports.web = 70000",
    "lifecycle.preStop.httpGet = {}",
    "lifecycle.preStop.httpGet = { port = 80, scheme = \"FTP\" }",
    "lifecycle.preStop.httpGet = { port = 80, httpHeaders = [{ name = \"A\" }] }",
    "lifecycle.preStop.tcpSocket.port = 0",
    "readinessProbe = { periodSeconds = 1 }",
    "readinessProbe = { exec.command = [\"a\"], periodSeconds = -1 }",
    "livenessProbe.grpc.port = 80",
];

#[test]
fn schema_and_program_refuse_the_same_files() {
    let folder = Folder::new();
    let mut files = Vec::new();
    for (index, text) in WRONG.iter().enumerate() {
        let path = folder.write(&format!("{index}.toml"), text);
        files.push(path.to_str().unwrap().to_owned());
        let finished = Init::ordinary(Folder::new(), &["check", path.to_str().unwrap()]).finish();
        assert_eq!(finished.code(), 125, "accepted by the program: {text}");
    }
    if let Some(accepted) = accepted("schema_and_program_refuse_the_same_files", &folder, &files) {
        let texts: Vec<String> = accepted.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        assert_eq!(texts, Vec::<String>::new(), "accepted by the schema");
    }
}

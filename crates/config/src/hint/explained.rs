//! Words of a Pod spec, a compose file, a Dockerfile or another init that have another name or place here.

/// The tables in which a word may stand (`*`: any), the words, the answer.
pub(super) const EXPLAINED: &[(&[&str], &[&str], &str)] = &[
    (ROOT, &["command", "args", "cmd", "entrypoint"], "program and arguments of the app are one list: app.command"),
    (
        ROOT,
        &["apiVersion", "kind", "metadata", "spec", "initContainers", "template"],
        "this is not a manifest: lifecycle, the probes and terminationGracePeriodSeconds of one container are at the top level",
    ),
    (ROOT, HOOKS, "handlers are in the table lifecycle: lifecycle.preStop"),
    (ROOT, &["env", "environment"], "the environment of the app is app.env"),
    (
        ROOT,
        &["image", "imagePullPolicy", "resources", "volumeMounts", "restartPolicy", "containerPort"],
        "this belongs to the container: its runtime does it, not bookend",
    ),
    (
        ROOT,
        &["user", "workingDir", "umask", "rlimits", "oomScoreAdj", "profile", "stopSignal", "secondSignal"],
        "this key is in the table app",
    ),
    (ROOT, &["tls", "listen", "tokenFile", "allowFrom"], "this key is in the table http"),
    (
        ROOT,
        &["stopGracePeriod", "stop_grace_period", "stopTimeout", "timeout", "gracePeriodSeconds"],
        "the budget of a stop is terminationGracePeriodSeconds",
    ),
    (
        ROOT,
        &["healthcheck", "HEALTHCHECK", "health"],
        "a health check is a livenessProbe; `bookend probe` asks for it in a HEALTHCHECK",
    ),
    (
        &["lifecycle"],
        &["preStart"],
        "the kubelet starts the app and does not wait for a sidecar: what must run before is an init container",
    ),
    (&["lifecycle"], &["terminationGracePeriodSeconds"], "the budget of a stop is at the top level"),
    (&["lifecycle"], PROBES, "probes are at the top level, beside lifecycle"),
    (&["app", "exec"], &["environment"], "as in a Pod spec: env"),
    (
        &["app", "exec"],
        &["envFrom"],
        "the environment of the container is inherited; a value from a file is { valueFrom.file = \"/path\" }",
    ),
    (ANY, &["cwd", "workdir", "directory"], "as in a Pod spec: workingDir"),
    (
        &["app"],
        &["ulimits", "ulimit", "limits", "resources"],
        "limits of the process are app.rlimits; CPU and memory belong to the container",
    ),
    (
        &["app"],
        &["restartPolicy", "restart"],
        "bookend does not restart the app: it ends with the app, and the runtime restarts the container",
    ),
    (&["app"], &["args"], "program and arguments are one list: app.command"),
    (
        &["app"],
        &["lifecycle", "livenessProbe", "readinessProbe", "startupProbe", "terminationGracePeriodSeconds"],
        "this key is at the top level, not in app",
    ),
    (ANY, &["secretKeyRef", "configMapKeyRef"], "mount it as a file, and use valueFrom.file"),
    (&["http"], &["port", "address", "host", "bind"], "address and port are one value: http.listen = \"0.0.0.0:9797\""),
    (&["http"], &["token", "bearerToken", "auth"], "tokens are read from a file: http.tokenFile"),
    (
        &["http"],
        &["cert", "certFile", "key", "keyFile"],
        "certificate and key are http.tls.certFile and http.tls.keyFile",
    ),
    (&["tls"], &["cert", "certificate", "crt", "tls.crt"], "the certificate chain is read from a file: certFile"),
    (&["tls"], &["key", "privateKey", "tls.key"], "the private key is read from a file: keyFile"),
    (&["tls"], &["selfSigned"], "selfSigned is beside tls: http.selfSigned"),
    (ANY, &["grpc"], "gRPC is not supported; run a client with exec"),
    (
        ANY,
        &["httpPost", "httpPut", "httpDelete", "post"],
        "the method is a key: httpGet = { method = \"POST\", port = 80 }",
    ),
    (&["httpGet"], &["url", "uri"], "a URL has several keys here: scheme, host, port, path"),
    (&["httpGet"], &["headers"], "as in a Pod spec: httpHeaders"),
    (ANY, &["http"], "as in a Pod spec: httpGet"),
    (ANY, &["tcp"], "as in a Pod spec: tcpSocket"),
    (
        &["livenessProbe"],
        &["terminationGracePeriodSeconds"],
        "a stop has one budget, whatever begins it: terminationGracePeriodSeconds at the top level",
    ),
    (
        &["startupProbe"],
        &["terminationGracePeriodSeconds"],
        "a startupProbe that fails stops nothing here: /startupz reports it, and the kubelet's own probe decides",
    ),
    (&["startupProbe", "readinessProbe"], &["action"], "only a livenessProbe can stop the app"),
    (PROBES, &["interval"], "the time between two attempts is periodSeconds"),
    (
        PROBES,
        &["start_period", "startPeriod"],
        "the time before the first attempt is initialDelaySeconds; a slow start is a startupProbe",
    ),
    (PROBES, &["start_interval", "startInterval"], "a startupProbe has a periodSeconds of its own"),
    (PROBES, &["retries"], "the number of failures that count is failureThreshold"),
    (PROBES, &["test"], "a command is exec.command"),
    (&["preStart", "postStop"], &["signal"], "the app is not running at that time: there is no process to signal"),
    (&["preStart", "postStart", "preStop"], &["on"], "only a postStop handler can depend on how the app ended"),
    (HOOKS, &["command", "args", "cmd"], "a program is exec.command, program and arguments in one list"),
    (
        HOOKS,
        &["initialDelaySeconds", "periodSeconds", "successThreshold", "failureThreshold"],
        "this key belongs to a probe; a handler runs once: see timeoutSeconds and retries",
    ),
    (
        HOOKS,
        &["terminationGracePeriodSeconds"],
        "the budget of the whole stop is at the top level; the limit of a handler is timeoutSeconds",
    ),
    (ANY, &["seconds"], "a pause is sleep.seconds, a limit is timeoutSeconds"),
    (ANY, &["timeout", "timeoutSec"], "keys carry their unit: timeoutSeconds"),
    (&["exec"], &["args", "cmd"], "program and arguments are one list: exec.command"),
    (
        ANY,
        &["runAsUser", "runAsGroup", "securityContext", "uid", "gid"],
        "user = \"name\", \"uid\", \"uid:gid\" or \"name:group\"",
    ),
];

const ANY: &[&str] = &["*"];
/// The top level.
const ROOT: &[&str] = &[""];
const HOOKS: &[&str] = &["preStart", "postStart", "preStop", "postStop"];
const PROBES: &[&str] = &["startupProbe", "readinessProbe", "livenessProbe"];

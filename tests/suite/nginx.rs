//! The example of the Kubernetes documentation, on a real nginx.

use crate::support::{Folder, Init, code, code_of, free_port, get, get_as, took, wait_until};

struct Nginx {
    init: Init,
    port: u16,
    hooks: u16,
}

fn start() -> Nginx {
    let (port, hooks) = (free_port(), free_port());
    let folder = Folder::new();
    let dir = folder.shown().to_owned();
    std::fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let nginx = format!(
        "worker_processes 2; pid {dir}/pid; error_log {dir}/error.log;\nevents {{}}\nhttp {{ access_log off; keepalive_timeout 0; client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;\nserver {{ listen 127.0.0.1:{port}; location / {{ return 200 hello; }} }} }}\n"
    );
    let conf = folder.write("nginx.conf", &nginx);
    let config = format!(
        r#"
        terminationGracePeriodSeconds = 20
        app.command = ["nginx", "-c", "{}", "-g", "daemon off;"]
        app.stopSignal = "SIGQUIT"
        http.listen = "127.0.0.1:{hooks}"
        lifecycle.postStart.exec.command = ["/bin/sh", "-c", "echo Hello from the postStart handler > {dir}/message"]
        lifecycle.preStop = {{ name = "pause", sleep.seconds = 0.5 }}
        "#,
        conf.display()
    );
    let init = Init::configured_in(folder, &config, &[]);
    wait_until("nginx serves", || code(port, "/") == 200);
    wait_until("postStart is over", || code(hooks, "/startupz") == 200);
    assert_eq!(init.folder.read("message"), "Hello from the postStart handler\n");
    Nginx { init, port, hooks }
}

#[test]
fn kubernetes_nginx_example_stops_by_hook_and_signal() {
    let nginx = start();
    assert_eq!(code_of(&get_as("kube-lifecycle/1.36", nginx.hooks, "/lifecycle/preStop").unwrap()), 200);
    assert!(get(nginx.port, "/").unwrap().ends_with("hello"), "it serves until the signal");
    nginx.init.signal(15);
    let finished = nginx.init.finish();
    assert_eq!(finished.code(), 0, "{}", finished.log);
    assert!(finished.log.contains("SIGQUIT sent to the app"), "{}", finished.log);
}

#[test]
fn kubernetes_nginx_example_stops_by_signal_alone() {
    for number in [15, 3] {
        let nginx = start();
        nginx.init.signal(number);
        nginx.init.wait_for_log("stopping");
        assert_eq!(code(nginx.port, "/"), 200, "nginx serves while preStop runs");
        let finished = nginx.init.finish();
        assert_eq!(finished.code(), 0, "{}", finished.log);
        assert!(took(&finished.log, "preStop pause") >= 0.5, "{}", finished.log);
    }
}

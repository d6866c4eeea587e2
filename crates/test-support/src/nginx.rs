//! The nginx that the tests and `make bench-drain` stop.

/// The configuration of an nginx with two workers in the folder `dir`: `/`, `/slow` (the file `slow` of the folder at 200 kB/s) and
/// `/proxied` (an upstream on port 9000).
pub fn nginx_conf(dir: &str) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path {dir}/{kind};\n"))
        .concat();
    format!(
        "user www-data;\nworker_processes 2;\nworker_shutdown_timeout 20s;\npid {dir}/nginx.pid;\n\
         error_log {dir}/error.log;\nevents {{ worker_connections 1024; }}\n\
         http {{\n    access_log off;\n{temporary}    server {{\n        listen 80;\n\
         location = / {{ return 200 \"hello\\n\"; }}\n\
         location = /slow {{ alias {dir}/slow; limit_rate 200k; }}\n\
         location = /proxied {{ proxy_pass http://127.0.0.1:9000; }}\n    }}\n}}\n"
    )
}

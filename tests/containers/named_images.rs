//! The images that manifests and documents name, under exactly these names, for as long as a test uses them. Those of this
//! project are the real ones. Images of others are made of Debian's packages, with the ENTRYPOINT, CMD, USER, STOPSIGNAL and port
//! of the original; images of `registry.example` stand for a reader's own.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::docker::{Folder, PREFIX, build_image, docker_ok, ready, remove_images, run};

const OWN: [(&str, &str); 5] = [
    ("bookend", ""),
    (concat!("bookend:", env!("CARGO_PKG_VERSION")), ""),
    ("bookend:debian", ":debian"),
    ("bookend:nginx", ":nginx"),
    (concat!("bookend:", env!("CARGO_PKG_VERSION"), "-nginx"), ":nginx"),
];

/// This stands for Docker's official image and contains Debian's nginx.
const NGINX: &str = r#"
FROM bookend-base:nginx
COPY default.conf prepare /usr/local/share/bookend/
COPY entrypoint.d /usr/local/share/bookend/entrypoint.d
COPY docker-entrypoint.sh /docker-entrypoint.sh
RUN ["/bin/sh", "/usr/local/share/bookend/prepare"]
RUN printf 'user nginx;\nworker_processes auto;\nerror_log /var/log/nginx/error.log notice;\npid /run/nginx.pid;\nevents { worker_connections 1024; }\nhttp { include /etc/nginx/mime.types; access_log /var/log/nginx/access.log; sendfile on; keepalive_timeout 65; include /etc/nginx/conf.d/*.conf; }\n' >/etc/nginx/nginx.conf
EXPOSE 80
STOPSIGNAL SIGQUIT
ENTRYPOINT ["/docker-entrypoint.sh"]
CMD ["nginx", "-g", "daemon off;"]
"#;

/// This stands for nginxinc/nginx-unprivileged: uid 101, port 8080, everything that it writes is in /tmp.
const UNPRIVILEGED: &str = r#"
FROM nginx
RUN sed -i '/^user/d; s,/run/nginx.pid,/tmp/nginx.pid,; s,http {,http { client_body_temp_path /tmp/client; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/fastcgi; uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;,' /etc/nginx/nginx.conf \
    && sed -i 's/listen 80;/listen 8080;/' /etc/nginx/conf.d/default.conf
EXPOSE 8080
USER 101
STOPSIGNAL SIGQUIT
ENTRYPOINT ["/docker-entrypoint.sh"]
CMD ["nginx", "-g", "daemon off;"]
"#;

/// Built FROM the base image, without a CMD: the manifests' app.command names the program.
const ON_BOOKEND: &str =
    "FROM bookend:debian\nCOPY server report /app/\nCOPY print /app/tell\nCOPY print /app/upload\n";

const LEGACY: &str = "FROM bookend-base\nCOPY server /opt/legacy/bin/server\nCMD [\"/opt/legacy/bin/server\"]\n";
const SERVER: &str = "FROM bookend-base\nCOPY server /server\nUSER 65532:65532\nENTRYPOINT [\"/server\"]\n";
const WORKER: &str =
    "FROM bookend-base\nCOPY server /server\nUSER 65532:65532\nENTRYPOINT [\"/server\"]\nCMD [\"8081\"]\n";

/// Name and Dockerfile, in an order in which they can be built.
const BUILT: [(&str, &str); 8] = [
    ("nginx", NGINX),
    ("nginxinc/nginx-unprivileged:1.29", UNPRIVILEGED),
    ("registry.example/shop:1.0", ON_BOOKEND),
    ("registry.example/report:1.0", ON_BOOKEND),
    ("registry.example/legacy:3.2", LEGACY),
    ("registry.example/web:3.2", SERVER),
    ("registry.example/orders-web:1.4", SERVER),
    ("registry.example/orders-worker:1.4", WORKER),
];

/// The images exist until the last holder of this value drops it.
#[derive(Debug)]
pub(crate) struct NamedImages(());

impl NamedImages {
    /// `None` without an engine, which the test reports. An engine that has images of these names already is left alone.
    pub(crate) fn get(test: &str) -> Option<Arc<NamedImages>> {
        if !ready(test) {
            return None;
        }
        static SHARED: Mutex<Weak<NamedImages>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(images) = shared.upgrade() {
            return Some(images);
        }
        let exists = |name: &&str| run(Command::new("docker").args(["image", "inspect", name])).code == Some(0);
        if let Some(taken) = Self::names().find(exists) {
            bookend_test_support::not_run(test, &format!("the engine already has an image called {taken}"));
            return None;
        }
        let images = Arc::new(NamedImages(()));
        for (name, tag) in OWN {
            docker_ok(&["tag", &format!("{PREFIX}{tag}"), name]);
        }
        let folder = Folder::new("named-images");
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for source in ["images/nginx", "tests/containers/pasted"] {
            let source = root.join(source).join(".").display().to_string();
            let copied = run(Command::new("cp").args(["-R", &source, &folder.path.display().to_string()]));
            assert_eq!(copied.code, Some(0), "{copied:#?}");
        }
        for (name, dockerfile) in BUILT {
            build_image(name, dockerfile, &folder);
        }
        *shared = Arc::downgrade(&images);
        Some(images)
    }

    /// Whether this name is one of them.
    pub(crate) fn has(name: &str) -> bool {
        // `web` is built by the tests of docs/start-docker.md.
        Self::names().any(|known| known == name) || name == "web"
    }

    fn names() -> impl Iterator<Item = &'static str> {
        OWN.iter().map(|(name, _)| *name).chain(BUILT.iter().map(|(name, _)| *name))
    }
}

impl Drop for NamedImages {
    fn drop(&mut self) {
        remove_images(&Self::names().collect::<Vec<_>>());
    }
}

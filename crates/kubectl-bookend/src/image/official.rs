//! The programs that well-known images publish. They are those of the images' own documentation, and may differ in old tags.

use super::program::ImageProgram;

/// The program of a well-known image, by its repository and a part of its tag.
pub(crate) fn official(image: &str) -> Option<ImageProgram> {
    let (repository, tag) = split(image);
    let fits = |row: &&Row| row.repository == repository && tag.contains(row.tag_part);
    let row = ROWS.iter().find(fits)?;
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Some(ImageProgram {
        entrypoint: words(row.entrypoint),
        cmd: words(row.cmd),
        stop_signal: (!row.stop_signal.is_empty()).then(|| row.stop_signal.to_owned()),
    })
}

/// `docker.io/library/nginx:1.27@sha256:...` is `nginx` and `1.27`.
fn split(image: &str) -> (&str, &str) {
    let image = image.split('@').next().unwrap_or(image);
    let (name, tag) = match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, ""),
    };
    let mut name = name;
    for registry in
        ["docker.io/", "index.docker.io/", "registry-1.docker.io/", "public.ecr.aws/docker/", "mirror.gcr.io/"]
    {
        name = name.strip_prefix(registry).unwrap_or(name);
    }
    (name.strip_prefix("library/").unwrap_or(name), tag)
}

struct Row {
    repository: &'static str,
    /// A part of the tag; empty is any tag.
    tag_part: &'static str,
    entrypoint: &'static [&'static str],
    cmd: &'static [&'static str],
    /// Empty is SIGTERM, which a runtime sends by default.
    stop_signal: &'static str,
}

const fn row(
    repository: &'static str,
    tag_part: &'static str,
    entrypoint: &'static [&'static str],
    cmd: &'static [&'static str],
    stop_signal: &'static str,
) -> Row {
    Row { repository, tag_part, entrypoint, cmd, stop_signal }
}

const ENTRYPOINT: &[&str] = &["docker-entrypoint.sh"];
const NGINX: &[&str] = &["nginx", "-g", "daemon off;"];

/// The first one that fits.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("nginx", "", &["/docker-entrypoint.sh"], NGINX, "SIGQUIT"),
    row("nginxinc/nginx-unprivileged", "", &["/docker-entrypoint.sh"], NGINX, "SIGQUIT"),
    row("httpd", "", &[], &["httpd-foreground"], "SIGWINCH"),
    row("caddy", "", &[], &["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"], ""),
    row("haproxy", "", ENTRYPOINT, &["haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"], "SIGUSR1"),
    row("traefik", "", &["/entrypoint.sh"], &["traefik"], ""),
    row("redis", "", ENTRYPOINT, &["redis-server"], ""),
    row("valkey/valkey", "", ENTRYPOINT, &["valkey-server"], ""),
    row("postgres", "", ENTRYPOINT, &["postgres"], "SIGINT"),
    row("mysql", "", ENTRYPOINT, &["mysqld"], ""),
    row("mariadb", "", ENTRYPOINT, &["mariadbd"], ""),
    row("mongo", "", ENTRYPOINT, &["mongod"], ""),
    row("memcached", "", ENTRYPOINT, &["memcached"], ""),
    row("rabbitmq", "", ENTRYPOINT, &["rabbitmq-server"], ""),
    row("zookeeper", "", &["/docker-entrypoint.sh"], &["zkServer.sh", "start-foreground"], ""),
    row("elasticsearch", "", &["/bin/tini", "--", "/usr/local/bin/docker-entrypoint.sh"], &["eswrapper"], ""),
    row("tomcat", "", &[], &["catalina.sh", "run"], ""),
    row("wordpress", "cli", ENTRYPOINT, &["wp", "shell"], ""),
    row("wordpress", "fpm", ENTRYPOINT, &["php-fpm"], "SIGQUIT"),
    row("wordpress", "", ENTRYPOINT, &["apache2-foreground"], "SIGWINCH"),
    row("php", "fpm", &["docker-php-entrypoint"], &["php-fpm"], "SIGQUIT"),
    row("php", "apache", &["docker-php-entrypoint"], &["apache2-foreground"], "SIGWINCH"),
    row("php", "", &["docker-php-entrypoint"], &["php", "-a"], ""),
    row("node", "", ENTRYPOINT, &["node"], ""),
    row("python", "", &[], &["python3"], ""),
    row("busybox", "", &[], &["sh"], ""),
    row("alpine", "", &[], &["/bin/sh"], ""),
    row("debian", "", &[], &["bash"], ""),
    row("ubuntu", "", &[], &["/bin/bash"], ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_all_its_names() {
        for image in
            ["nginx", "nginx:1.27-alpine", "docker.io/library/nginx@sha256:ab", "public.ecr.aws/docker/library/nginx:1"]
        {
            assert_eq!(official(image).unwrap().command(false)[0], "/docker-entrypoint.sh", "{image}");
        }
        for image in ["registry.example/nginx", "registry.example:5000/library/nginx", "bitnami/nginx", ""] {
            assert_eq!(official(image), None, "{image}");
        }
        assert_eq!(official("php:8.3-fpm-alpine").unwrap().stop_signal.unwrap(), "SIGQUIT");
    }

    #[test]
    fn the_args_of_a_container_stand_in_place_of_cmd() {
        let redis = official("redis:7").unwrap();
        assert_eq!(redis.command(false), ["docker-entrypoint.sh", "redis-server"]);
        assert_eq!(redis.command(true), ["docker-entrypoint.sh"]);
    }
}

//! nginx and haproxy under load (HTTP/1.1 and HTTP/2 over TLS), while their configuration and certificates are swapped as a
//! kubelet does it, with broken states in between. `make reload` swaps 200 times, and sets `RELOAD_SWAPS`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use super::kubelet_volume::KubeletVolume;
use super::{field, start, state};
use crate::support::{Folder, PATIENCE, has, wait_until};
use bookend_rehearse::counts::Kind;
use bookend_rehearse::load::get;
use bookend_rehearse::plan::{Multiplexed, OpenLoop, Plan, Target};

/// A certificate and its key.
type Pair = (String, String);

const SETTLE: Duration = Duration::from_millis(300);

/// A server whose files are all in one volume, `FOLDER/conf`.
struct Server {
    command: &'static [&'static str],
    /// The keys of `[[reload]]` besides its name and its files.
    entry: &'static str,
    profile: &'static str,
    /// The files of a state. `NUMBER` is in the answer of every request.
    files: fn(number: usize, pair: &Pair) -> Vec<(&'static str, String)>,
    /// The file that a broken state breaks, and the line in it.
    broken: (&'static str, &'static str),
}

const NGINX: Server = Server {
    command: &["nginx", "-c", "FOLDER/nginx.conf", "-g", "daemon off;"],
    entry: "check.exec.command = [\"nginx\", \"-t\", \"-q\", \"-c\", \"FOLDER/nginx.conf\"]",
    profile: "nginx",
    files: |number, (certificate, key)| {
        let site = format!(
            "server {{\n listen 80;\n listen 443 ssl http2;\n ssl_certificate conf/tls.crt;\n ssl_certificate_key conf/tls.key;\n\
             location / {{ return 200 \"state {number}.\\n\"; }}\n}}\n"
        );
        vec![("site.conf", site), ("tls.crt", certificate.clone()), ("tls.key", key.clone())]
    },
    broken: ("site.conf", "server { listen 80; nonsense; }\n"),
};

const HAPROXY: Server = Server {
    command: &["haproxy", "-W", "-db", "-f", "FOLDER/conf/haproxy.cfg"],
    entry: "check.exec.command = [\"haproxy\", \"-c\", \"-q\", \"-f\", \"FOLDER/conf/haproxy.cfg\"]",
    profile: "haproxy",
    files: |number, (certificate, key)| {
        let text = format!(
            "defaults\n mode http\n timeout client 30s\n timeout server 30s\n timeout connect 5s\nfrontend f\n bind :80\n\
             bind :443 ssl crt FOLDER/conf/tls.pem alpn h2,http/1.1\n\
             http-request return status 200 content-type text/plain string \"state {number}.\"\n"
        );
        vec![("haproxy.cfg", text), ("tls.pem", format!("{certificate}{key}"))]
    },
    broken: ("haproxy.cfg", "frontend f\n bind nonsense\n"),
};

/// Two certificates with their keys.
fn certificates(folder: &Folder) -> [Pair; 2] {
    let pair = |name: &str| {
        let (key, certificate) = (folder.path(&format!("{name}.key")), folder.path(&format!("{name}.crt")));
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj"]);
        openssl.arg(format!("/CN={name}")).arg("-keyout").arg(&key).arg("-out").arg(&certificate);
        assert!(openssl.output().unwrap().status.success());
        (fs::read_to_string(certificate).unwrap(), fs::read_to_string(key).unwrap())
    };
    [pair("one"), pair("two")]
}

impl Server {
    fn run(&self, test: &str) {
        if !has(test, self.profile) || !has(test, "openssl") {
            return;
        }
        let swaps: usize = std::env::var("RELOAD_SWAPS").map_or(9, |text| text.parse().expect("a number"));
        let folder = Folder::new();
        fs::set_permissions(folder.shown(), fs::Permissions::from_mode(0o755)).unwrap();
        let dir = folder.shown().to_owned();
        let pairs: (Pair, Pair) = certificates(&folder).into();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {dir}/{kind};\n"))
            .concat();
        folder.write(
            "nginx.conf",
            &format!(
                "user www-data;\nworker_processes 2;\npid {dir}/nginx.pid;\nerror_log {dir}/error.log;\n\
                 events {{ worker_connections 1024; }}\nhttp {{\naccess_log off;\n{temporary}include conf/site.conf;\n}}\n"
            ),
        );
        let volume = KubeletVolume::new(&folder.path("conf"));
        let write = |number: usize, is_broken: bool| {
            let mut files = (self.files)(number, if number.is_multiple_of(2) { &pairs.0 } else { &pairs.1 });
            for (name, text) in &mut files {
                *text = text.replace("FOLDER", &dir);
                if is_broken && *name == self.broken.0 {
                    *text = format!("# {number}\n{}", self.broken.1);
                }
            }
            let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
            volume.write(&files);
        };
        write(0, false);
        let command: Vec<String> = self.command.iter().map(|word| word.replace("FOLDER", &dir)).collect();
        let config = format!(
            "log.level = \"Debug\"\nhttp.listen = \"127.0.0.1:9797\"\napp = {{ profile = {:?}, command = {command:?} }}\n\
             [[reload]]\nname = \"site\"\nwatch = [{:?}]\nsettleSeconds = {}\n{}\n",
            self.profile,
            volume.path(),
            SETTLE.as_secs_f64(),
            self.entry.replace("FOLDER", &dir)
        );
        let init = start(folder, &config, "", &[]);
        let pid = init.pid();
        let began = Instant::now();
        while get(pid, 80, "/").is_empty() {
            let log = init.log() + &init.folder.read("error.log");
            assert!(began.elapsed() < PATIENCE, "it does not listen:\n{log}");
            std::thread::sleep(Duration::from_millis(10));
        }
        wait_until("it is watched", || state(&init) == "Idle" && super::is_watched(&init));
        let target = |path: &str| Target { tls: true, ..Target::local(443, path) };
        let plan = Plan {
            open_loops: vec![OpenLoop { kind: Kind::New, target: target("/"), per_second: 20 }],
            kept: 4,
            multiplexed: vec![Multiplexed { target: target("/h2"), grpc: false, connections: 2, streams: 4 }],
            warm_seconds: 0.0,
            late_seconds: 0.5,
            ..Plan::new(target("/"))
        };
        let load = plan.start(Some(pid), BTreeMap::new());
        wait_until("the load is on", || load.so_far().ok >= 40);
        let (mut broken, mut slowest) = (0_usize, Duration::ZERO);
        for number in 1..=swaps {
            if number.is_multiple_of(3) {
                write(number, true);
                broken += 1;
                wait_until("the broken state is reported", || field(&init, "checkFailed") == broken.to_string());
                assert!(get(pid, 80, "/").contains(&format!("state {}.", number - 1)), "the old state serves on");
                continue;
            }
            write(number, false);
            let began = Instant::now();
            while !get(pid, 80, "/").contains(&format!("state {number}.")) {
                assert!(
                    began.elapsed() < PATIENCE,
                    "state {number} is not applied: {}\n{}",
                    super::asked(&init, "/status"),
                    init.log()
                );
                std::thread::sleep(Duration::from_millis(5));
            }
            slowest = slowest.max(began.elapsed());
        }
        load.stop_begins();
        let report = load.finish();
        let counts = report.total();
        eprintln!("{}: {swaps} swaps, {broken} broken, the slowest took {slowest:?}, {counts:?}", self.profile);
        assert_eq!(counts.lost(), 0, "{counts:?} {:?}\n{}", report.losses, init.log());
        assert!(counts.ok > 100, "{counts:?}");
        assert_eq!(init.log().matches("the check failed").count(), broken, "{}", init.log());
        assert_eq!(field(&init, "succeeded"), (swaps - broken).to_string(), "one reload for each good state");
        if std::env::var_os("RELOAD_SWAPS").is_some() {
            // A machine that delayed the load delayed the server as well.
            let most = SETTLE + Duration::from_secs(1) + Duration::from_secs_f64(2.0 * report.stall_seconds);
            assert!(slowest <= most, "the slowest took {slowest:?}, more than {most:?}\n{}", init.log());
        }
    }
}

#[test]
fn nginx_loses_no_request_while_its_files_are_swapped() {
    NGINX.run("nginx_loses_no_request_while_its_files_are_swapped");
}

#[test]
fn haproxy_loses_no_request_while_its_files_are_swapped() {
    HAPROXY.run("haproxy_loses_no_request_while_its_files_are_swapped");
}

//! `bookend wait TARGET...`: until a port accepts connections, a URL answers with success, a file is there. All
//! targets are looked at side by side, each again after a pause that grows to a second.

use std::future::Future;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::outcome::{Done, Failure};
use super::sleep::seconds;
use crate::handlers::program::{Environment, Variables};
use crate::handlers::{Report, http_get, tcp_socket};
use bookend_config::settings::{HttpGet, Scheme, TcpSocket};
use bookend_lifecycle::HandlerResult;
use bookend_lifecycle::seconds::Seconds;

#[derive(Debug, clap::Args)]
pub(super) struct Wait {
    /// tcp://HOST:PORT, http://HOST[:PORT][/PATH], https://... or file:PATH; all of them are waited for
    #[arg(value_name = "TARGET", required = true)]
    targets: Vec<Target>,
    /// How long to wait; 0: look once
    #[arg(long = "timeoutSeconds", value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    timeout: Duration,
    /// A file with the authorities that https trusts, instead of the system's
    #[arg(long = "caFile", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Take any certificate, as a kubelet does
    #[arg(long = "insecureSkipVerify")]
    insecure_skip_verify: bool,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Tcp { said: String, host: String, port: u16 },
    Http { said: String, scheme: Scheme, host: String, port: u16, path: String },
    File(PathBuf),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(said: &str) -> Result<Target, String> {
        let wrong =
            || format!("{said:?} is none of tcp://HOST:PORT, http://HOST[:PORT][/PATH], https://..., file:PATH");
        let (scheme, rest) = said.split_once(':').ok_or_else(wrong)?;
        if scheme == "file" {
            // file:///run/x as well as file:/run/x and file:run/x.
            let path = rest.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or(rest);
            return if path.is_empty() { Err(wrong()) } else { Ok(Target::File(path.into())) };
        }
        let rest = rest.strip_prefix("//").ok_or_else(wrong)?;
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        let default = match scheme {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        let (host, port) = host_and_port(authority, default).ok_or_else(wrong)?;
        let (said, host) = (said.to_owned(), host.to_owned());
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        match scheme {
            "tcp" if path == "/" => Ok(Target::Tcp { said, host, port }),
            "http" => Ok(Target::Http { said, scheme: Scheme::Http, host, port, path }),
            "https" if cfg!(feature = "tls") => Ok(Target::Http { said, scheme: Scheme::Https, host, port, path }),
            "https" => Err(format!("{said:?}: this build of bookend has no TLS (cargo feature tls)")),
            _ => Err(wrong()),
        }
    }
}

/// `name:80`, `10.0.0.1:80`, `[::1]:80`.
fn host_and_port(authority: &str, default: Option<u16>) -> Option<(&str, u16)> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port.parse().ok().filter(|port| *port > 0)?)),
        _ => (authority, None),
    };
    let is_plain = !host.is_empty() && !host.contains(['@', ' ']) && (!host.contains(':') || host.starts_with('['));
    is_plain.then_some((host, port.or(default)?))
}

impl Target {
    fn said(&self) -> String {
        match self {
            Target::Tcp { said, .. } | Target::Http { said, .. } => said.clone(),
            Target::File(path) => format!("file:{}", path.display()),
        }
    }
}

impl Wait {
    pub(super) fn run(&self) -> Done {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::no(format!("bookend: cannot wait: {error}\n")))?;
        let missing = runtime.block_on(self.wait());
        if missing.is_empty() { Ok(()) } else { Err(Failure::no(missing.concat())) }
    }

    /// A line for each target that was not there in time.
    async fn wait(&self) -> Vec<String> {
        let until = Instant::now() + self.timeout;
        let mut waiting = JoinSet::new();
        for target in &self.targets {
            let (said, what) = (target.said(), self.look(target));
            waiting.spawn(async move { until_there(what, until).await.map_err(|why| (said, why)) });
        }
        let results = waiting.join_all().await;
        let waited = format!("{} s", Seconds(self.timeout));
        let line = |(said, why)| format!("bookend: {said} is not there after {waited}: {why}\n");
        results.into_iter().filter_map(|result| result.err().map(line)).collect()
    }

    /// One look after the other.
    fn look(&self, target: &Target) -> impl Fn() -> Look + Send + 'static {
        let (target, ca_file, insecure) = (target.clone(), self.ca_file.clone(), self.insecure_skip_verify);
        move || match target.clone() {
            Target::File(path) => Box::pin(std::future::ready(there(&path))),
            Target::Tcp { host, port, .. } => {
                Box::pin(async move { said(tcp_socket::run(TcpSocket { host, port }, environment()).await) })
            }
            Target::Http { scheme, host, port, path, .. } => {
                let get = HttpGet {
                    host,
                    port,
                    path,
                    scheme,
                    headers: Vec::new(),
                    success_status: vec![200..=399],
                    ca_file: ca_file.clone(),
                    insecure_skip_verify: insecure,
                };
                Box::pin(async move { said(http_get::run(get, environment()).await) })
            }
        }
    }
}

/// For `SSL_CERT_FILE`, and a `$(VAR)` that nobody has filled in.
fn environment() -> Environment {
    Environment::with(Variables::default())
}

/// A look at a target: why it is not there.
type Look = std::pin::Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

fn there(path: &std::path::Path) -> Result<(), String> {
    std::fs::metadata(path).map(drop).map_err(|error| error.to_string())
}

fn said(report: Report) -> Result<(), String> {
    if report.result == HandlerResult::Succeeded { Ok(()) } else { Err(report.detail) }
}

/// Looks until it is there. The last reason, if it never is.
async fn until_there(look: impl Fn() -> Look, until: Instant) -> Result<(), String> {
    let mut again = FIRST_AGAIN;
    loop {
        // The one look of a timeout of 0 has its time as well.
        let why = match timeout(LOOK, look()).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(why)) => why,
            Err(_) => format!("no answer within {} s", LOOK.as_secs()),
        };
        if Instant::now() + again >= until {
            return Err(why);
        }
        sleep(again).await;
        again = (again * 2).min(MOST_AGAIN);
    }
}

/// A look that hangs (packets that are swallowed) is given up and made again.
const LOOK: Duration = Duration::from_secs(5);
const FIRST_AGAIN: Duration = Duration::from_millis(50);
const MOST_AGAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        let target: Target = text.parse().ok()?;
        Some(match target {
            Target::Tcp { host, port, .. } => format!("{host} {port}"),
            Target::Http { scheme, host, port, path, .. } => format!("{scheme:?} {host} {port} {path}"),
            Target::File(path) => path.display().to_string(),
        })
    }

    #[test]
    fn a_target_is_read_as_it_is_meant() {
        for (text, meant) in [
            ("tcp://db:5432", "db 5432"),
            ("tcp://[::1]:80", "[::1] 80"),
            ("http://app", "Http app 80 /"),
            ("http://app:8080/healthz?full", "Http app 8080 /healthz?full"),
            ("http://app?full", "Http app 80 /?full"),
            ("http://[::1]/x", "Http [::1] 80 /x"),
            ("file:/run/ready", "/run/ready"),
            ("file:///run/ready", "/run/ready"),
            ("file:ready", "ready"),
        ] {
            assert_eq!(read(text).as_deref(), Some(meant), "{text}");
        }
        assert_eq!(read("https://app/").is_some(), cfg!(feature = "tls"));
    }

    #[test]
    fn what_is_no_target_is_refused() {
        let wrong =
            ["", "db:5432", "tcp://db", "tcp://db:0", "tcp://db:99999", "tcp://:80", "tcp://db:80/x", "ftp://db:21"];
        for text in wrong.into_iter().chain(["http://", "http://a@b/", "http://::1/", "file:", "http:/app"]) {
            assert_eq!(read(text), None, "{text}");
        }
    }
}

//! `bookend wait TARGET...`: until a port accepts connections, a URL responds with success, a file exists. All targets
//! are tried concurrently, each again after a pause that grows to one second.

use std::future::Future;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::outcome::{Failure, Outcome};
use super::seconds::seconds;
use crate::handlers::program::{Environment, Variables};
use crate::handlers::{HandlerReport, http_get, tcp_socket};
use bookend_config::address::{AddressError, HostPort, HttpUrl};
use bookend_config::settings::{HttpGet, Method, PortState, Scheme, TcpSocket};
use bookend_lifecycle::HandlerResult;
use bookend_lifecycle::seconds::Seconds;

#[derive(Debug, clap::Args)]
pub(super) struct WaitArgs {
    /// tcp://HOST:PORT, http://HOST[:PORT][/PATH], https://... or file:PATH; all are waited for
    #[arg(value_name = "TARGET", required = true)]
    targets: Vec<WaitTarget>,
    /// Longest time to wait; 0 tries once
    #[arg(long = "timeout-seconds", alias = "timeoutSeconds", value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    timeout: Duration,
    /// File with the certificate authorities that https trusts [default: those of the system]
    #[arg(long = "ca-file", alias = "caFile", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Accept any certificate, as a kubelet does
    #[arg(long = "insecure-skip-verify", alias = "insecureSkipVerify")]
    insecure_skip_verify: bool,
}

/// A resource to wait for, with the text that named it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum WaitTarget {
    Tcp { text: String, host: String, port: u16 },
    Http { text: String, scheme: Scheme, host: String, port: u16, path: String },
    File(PathBuf),
}

impl FromStr for WaitTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<WaitTarget, String> {
        // Without the user and the query of the URL.
        let shown = bookend_config::without_secrets(text).into_owned();
        let wrong =
            || format!("{shown:?} is not one of tcp://HOST:PORT, http://HOST[:PORT][/PATH], https://..., file:PATH");
        let (scheme, rest) = text.split_once(':').ok_or_else(wrong)?;
        let because = |error: AddressError| format!("{shown:?}: {error}");
        if scheme == "file" {
            // file:///run/x as well as file:/run/x and file:run/x.
            let path = rest.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or(rest);
            return if path.is_empty() { Err(wrong()) } else { Ok(WaitTarget::File(path.into())) };
        }
        let rest = rest.strip_prefix("//").ok_or_else(wrong)?;
        if scheme == "tcp" {
            let HostPort { host, port } = HostPort::parse(rest.trim_end_matches('/')).map_err(because)?;
            let port = port.ok_or_else(wrong)?;
            return Ok(WaitTarget::Tcp { text: shown.clone(), host: host.to_owned(), port });
        }
        let HttpUrl { scheme, host, port, path, has_user } = HttpUrl::parse(text).map_err(|error| match error {
            AddressError::Scheme => wrong(),
            error => because(error),
        })?;
        if has_user {
            return Err(format!("{shown:?}: a user in the URL is not supported"));
        }
        if scheme == Scheme::Https && !cfg!(feature = "tls") {
            return Err(format!("{shown:?}: this binary was built without the feature `tls`"));
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(WaitTarget::Http { text: shown.clone(), scheme, host: host.to_owned(), port, path })
    }
}

impl WaitTarget {
    fn text(&self) -> String {
        match self {
            WaitTarget::Tcp { text, .. } | WaitTarget::Http { text, .. } => text.clone(),
            WaitTarget::File(path) => format!("file:{}", path.display()),
        }
    }
}

impl WaitArgs {
    pub(super) fn run(&self) -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(format!("bookend: cannot wait: {error}\n")))?;
        let missing = runtime.block_on(self.wait());
        if missing.is_empty() { Ok(()) } else { Err(Failure::new(missing.concat())) }
    }

    /// A line for each target that was not available in time.
    async fn wait(&self) -> Vec<String> {
        let until = Instant::now() + self.timeout;
        let mut waiting = JoinSet::new();
        for target in &self.targets {
            let (text, attempt) = (target.text(), self.attempts(target));
            waiting.spawn(async move { until_available(attempt, until).await.map_err(|reason| (text, reason)) });
        }
        let results = waiting.join_all().await;
        let waited = format!("{} s", Seconds(self.timeout));
        let line = |(text, reason)| format!("bookend: {text} is not available after {waited}: {reason}\n");
        results.into_iter().filter_map(|result| result.err().map(line)).collect()
    }

    /// Makes one attempt after the other.
    fn attempts(&self, target: &WaitTarget) -> impl Fn() -> Attempt + Send + 'static {
        let (target, ca_file, insecure) = (target.clone(), self.ca_file.clone(), self.insecure_skip_verify);
        move || match target.clone() {
            WaitTarget::File(path) => Box::pin(std::future::ready(exists(&path))),
            WaitTarget::Tcp { host, port, .. } => Box::pin(async move {
                outcome(tcp_socket::run(TcpSocket { host, port, until: PortState::Open }, environment()).await)
            }),
            WaitTarget::Http { scheme, host, port, path, .. } => {
                let get = HttpGet {
                    host,
                    port,
                    path,
                    scheme,
                    method: Method::Get,
                    body: String::new(),
                    headers: Vec::new(),
                    success_status: vec![200..=399],
                    ca_file: ca_file.clone(),
                    insecure_skip_verify: insecure,
                };
                Box::pin(async move { outcome(http_get::run(get, environment()).await) })
            }
        }
    }
}

/// For `SSL_CERT_FILE`, and a `$(VAR)` in a target.
fn environment() -> Environment {
    Environment::with(Variables::default())
}

/// One attempt; the error says why the target is not available.
type Attempt = std::pin::Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

fn exists(path: &std::path::Path) -> Result<(), String> {
    std::fs::metadata(path).map(drop).map_err(|error| error.to_string())
}

fn outcome(report: HandlerReport) -> Result<(), String> {
    if report.result == HandlerResult::Succeeded { Ok(()) } else { Err(report.detail) }
}

/// Tries until the target is available. Returns the last reason if it never is.
async fn until_available(attempt: impl Fn() -> Attempt, until: Instant) -> Result<(), String> {
    let mut pause = FIRST_PAUSE;
    loop {
        // With a timeout of 0, the single attempt still has its full time.
        let reason = match timeout(ATTEMPT_TIMEOUT, attempt()).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(reason)) => reason,
            Err(_) => format!("no response within {} s", ATTEMPT_TIMEOUT.as_secs()),
        };
        if Instant::now() + pause >= until {
            return Err(reason);
        }
        sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

/// An attempt that hangs (dropped packets) is given up and repeated.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        let target: WaitTarget = text.parse().ok()?;
        Some(match target {
            WaitTarget::Tcp { host, port, .. } => format!("{host} {port}"),
            WaitTarget::Http { scheme, host, port, path, .. } => format!("{scheme:?} {host} {port} {path}"),
            WaitTarget::File(path) => path.display().to_string(),
        })
    }

    #[test]
    fn a_target_is_read_into_its_parts() {
        for (text, parts) in [
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
            assert_eq!(read(text).as_deref(), Some(parts), "{text}");
        }
        assert_eq!(read("https://app/").is_some(), cfg!(feature = "tls"));
    }

    #[test]
    fn other_texts_are_refused() {
        let wrong =
            ["", "db:5432", "tcp://db", "tcp://db:0", "tcp://db:99999", "tcp://:80", "tcp://db:80/x", "ftp://db:21"];
        for text in wrong.into_iter().chain(["http://", "http://a@b/", "http://::1/", "file:", "http:/app"]) {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn no_message_shows_the_secret_of_a_url() {
        for text in
            ["http://u:hunter2@db/", "ftp://u:hunter2@db/", "tcp://u:hunter2@db", "https://u:hunter2@db:0/?hunter2"]
        {
            let why = text.parse::<WaitTarget>().unwrap_err();
            assert!(!why.contains("hunter2"), "{why}");
        }
        assert_eq!("http://db/?token=hunter2".parse::<WaitTarget>().unwrap().text(), "http://db/?********");
    }
}

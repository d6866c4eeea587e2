//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use bookend_rehearse::counts::Kind;
use bookend_rehearse::plan::{Multiplexed, OpenLoop, Plan, Target, Transfer};
use clap::Parser;

/// Rehearse a rollout: which requests would a stop of this image lose?
///
/// Each strategy starts the server, sends traffic over loopback, begins a stop while clients still arrive, and counts what they lost.
/// Exit code 0: the judged strategies lost nothing; 1: they lost something; 125: the rehearsal could not be made.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "bookend-rehearse",
    version,
    after_help = "Examples:
  bookend-rehearse --engine docker nginx --url http://127.0.0.1/ --late 5
  docker run --rm -v \"$PWD/bookend-rehearse:/r:ro\" -v \"$PWD/bookend:/bookend:ro\" --entrypoint /r nginx \\
      --url http://127.0.0.1/ --late 5 --stop-signal SIGQUIT --bookend /bookend -- nginx -g 'daemon off;'"
)]
pub(crate) struct Args {
    /// The image; only with --engine
    pub(crate) image: Option<String>,
    /// The server's command; with --engine, in place of the image's CMD
    #[arg(last = true)]
    pub(crate) command: Vec<String>,

    /// Container engine with Docker's command line: docker, podman, nerdctl. Without it, the server runs beside this program
    #[arg(long, help_heading = "Where")]
    pub(crate) engine: Option<String>,
    /// Network of the containers; none has loopback only
    #[arg(long, default_value = "none", help_heading = "Where")]
    pub(crate) network: String,
    /// Word for the engine's `create` command, for example --engine-arg=--env=KEY=VALUE; repeatable
    #[arg(long, help_heading = "Where", allow_hyphen_values = true)]
    pub(crate) engine_arg: Vec<String>,
    /// Stop signal [default: the image's, or SIGTERM]
    #[arg(long, help_heading = "Where")]
    pub(crate) stop_signal: Option<String>,
    /// Time for the server to answer at first, in seconds
    #[arg(long, default_value_t = 60.0, help_heading = "Where")]
    pub(crate) start_seconds: f64,

    /// URL of the server, as seen from inside its container: http or https, localhost or an address of its own
    #[arg(long, help_heading = "Traffic")]
    pub(crate) url: String,
    /// New connections a second, one request each
    #[arg(long, default_value_t = 50, help_heading = "Traffic")]
    pub(crate) rate: u32,
    /// Clients that keep their connection, ten requests a second each
    #[arg(long, default_value_t = 8, help_heading = "Traffic")]
    pub(crate) kept: u32,
    /// Connections that never send a byte
    #[arg(long, default_value_t = 1, help_heading = "Traffic")]
    pub(crate) silent: u32,
    /// URL of slow requests
    #[arg(long, help_heading = "Traffic")]
    pub(crate) slow_url: Option<String>,
    /// Slow requests a second
    #[arg(long, default_value_t = 2, help_heading = "Traffic")]
    pub(crate) slow_rate: u32,
    /// URL of a long download; repeatable
    #[arg(long, help_heading = "Traffic")]
    pub(crate) download_url: Vec<String>,
    /// URL that takes a long POST; repeatable
    #[arg(long, help_heading = "Traffic")]
    pub(crate) upload_url: Vec<String>,
    /// Length of a download and an upload, in seconds
    #[arg(long, default_value_t = 6.0, help_heading = "Traffic")]
    pub(crate) transfer_seconds: f64,
    /// Size of an upload
    #[arg(long, default_value_t = 1_000_000, help_heading = "Traffic")]
    pub(crate) upload_bytes: usize,
    /// URL of an event stream, or any other response that the server ends; repeatable
    #[arg(long, help_heading = "Traffic")]
    pub(crate) stream_url: Vec<String>,
    /// URL of a websocket: ws or wss; repeatable
    #[arg(long, help_heading = "Traffic")]
    pub(crate) websocket_url: Vec<String>,
    /// URL for HTTP/2 with requests in flight: http by prior knowledge, https by ALPN; repeatable
    #[arg(long, help_heading = "Traffic")]
    pub(crate) http2_url: Vec<String>,
    /// URL for gRPC: http or https; without a path the health service, with one this unary method and an empty message; repeatable
    #[arg(long, help_heading = "Traffic")]
    pub(crate) grpc_url: Vec<String>,
    /// Connections for each HTTP/2 or gRPC URL
    #[arg(long, default_value_t = 2, help_heading = "Traffic")]
    pub(crate) connections: u32,
    /// Requests in flight on each of them
    #[arg(long, default_value_t = 4, help_heading = "Traffic")]
    pub(crate) streams: u32,
    /// Name of a virtual host, for all URLs
    #[arg(long, help_heading = "Traffic")]
    pub(crate) host: Option<String>,

    /// How long clients still arrive after the stop began, in seconds; several values are rehearsed one after the other
    #[arg(long, default_value = "5", value_delimiter = ',', help_heading = "Stop")]
    pub(crate) late: Vec<f64>,
    /// Proxies that share the clients
    #[arg(long, default_value_t = 1, help_heading = "Stop")]
    pub(crate) proxies: u32,
    /// From the first proxy that stops to the last, in seconds; the last one stops at --late
    #[arg(long, default_value_t = 0.0, help_heading = "Stop")]
    pub(crate) spread: f64,
    /// Clients use their kept connections until the server closes them; without it, they close them when their proxy stops
    #[arg(long, help_heading = "Stop")]
    pub(crate) stay_connected: bool,
    /// Grace period, in seconds: then SIGKILL
    #[arg(long, default_value_t = 30, help_heading = "Stop")]
    pub(crate) grace: u64,

    /// Strategies to run: as-is, tini, sleep, script, bookend-signal, bookend-hook, and the names of --init [default: all]
    #[arg(long, value_delimiter = ',', help_heading = "Strategies")]
    pub(crate) strategies: Vec<String>,
    /// bookend's static binary [default: the file `bookend` beside this program, or $BOOKEND_BIN]
    #[arg(long, help_heading = "Strategies")]
    pub(crate) bookend: Option<PathBuf>,
    /// tini's static binary
    #[arg(long, help_heading = "Strategies")]
    pub(crate) tini: Option<PathBuf>,
    /// Another init: NAME=FILE [OPTION...]; repeatable
    #[arg(long, help_heading = "Strategies")]
    pub(crate) init: Vec<String>,
    /// preStop hooks that sleep this many seconds
    #[arg(long, default_value = "5", value_delimiter = ',', help_heading = "Strategies")]
    pub(crate) sleep: Vec<u64>,
    /// preStop hook that runs this shell script in the container
    #[arg(long, help_heading = "Strategies")]
    pub(crate) pre_stop: Option<String>,
    /// bookend's configuration file [default: the image's /etc/bookend/bookend.toml, else a profile for the command]
    #[arg(long, help_heading = "Strategies")]
    pub(crate) config: Option<PathBuf>,
    /// bookend's profile, if there is no configuration file; `none`: a drain without a profile
    #[arg(long, help_heading = "Strategies")]
    pub(crate) profile: Option<String>,
    /// Port of bookend's endpoint, for the hook
    #[arg(long, default_value_t = 9797, help_heading = "Strategies")]
    pub(crate) hook_port: u16,

    /// Strategies that decide about the exit code [default: bookend-signal,bookend-hook]
    #[arg(long, value_delimiter = ',', help_heading = "Verdict")]
    pub(crate) judge: Vec<String>,
    /// Lost requests that a judged strategy may have
    #[arg(long, default_value_t = 0, help_heading = "Verdict")]
    pub(crate) allow_lost: u64,
    /// Tries in which the advised configuration must lose nothing; 0: no advice
    #[arg(long, default_value_t = 2, help_heading = "Verdict")]
    pub(crate) tries: u32,
    /// Write the advised configuration to this file, for the next run's --config
    #[arg(long, value_name = "FILE", help_heading = "Verdict")]
    pub(crate) advice: Option<PathBuf>,
    /// Print one JSON object in place of the table
    #[arg(long, help_heading = "Verdict")]
    pub(crate) json: bool,
    /// Append a Markdown summary to this file, for example $GITHUB_STEP_SUMMARY; `-`: stdout
    #[arg(long, help_heading = "Verdict")]
    pub(crate) markdown: Option<PathBuf>,
}

impl Args {
    /// Reads the command line; an exit code if there is nothing to do.
    pub(crate) fn read() -> Result<Args, ExitCode> {
        Args::try_parse().map_err(|error| {
            // Nothing is left to do if the message cannot be printed.
            let _ = error.print();
            if error.use_stderr() { ExitCode::from(crate::NOT_REHEARSED) } else { ExitCode::SUCCESS }
        })
    }

    /// The traffic for clients that arrive this long.
    pub(crate) fn plan(&self, late: f64) -> Result<Plan, String> {
        let target = |url: &str| {
            let mut target = Target::parse(url)?;
            if let Some(host) = &self.host {
                target.host.clone_from(host);
            }
            Ok::<Target, String>(target)
        };
        let url = target(&self.url)?;
        let mut plan = Plan {
            kept: self.kept,
            silent: self.silent,
            transfer_seconds: self.transfer_seconds,
            upload_bytes: self.upload_bytes.min(100_000_000),
            late_seconds: late,
            proxies: self.proxies.max(1),
            spread_seconds: self.spread,
            close_kept: !self.stay_connected,
            #[expect(clippy::cast_precision_loss, reason = "a grace period in seconds")]
            patience_seconds: (self.grace as f64).clamp(20.0, 300.0),
            ..Plan::new(url.clone())
        };
        plan.open_loops.push(OpenLoop { kind: Kind::New, target: url, per_second: self.rate });
        if let Some(slow) = &self.slow_url {
            plan.kept_slow = Some((target(slow)?, self.kept.min(2)));
            plan.open_loops.push(OpenLoop { kind: Kind::Slow, target: target(slow)?, per_second: self.slow_rate });
        }
        let transfers = [
            (Kind::Download, &self.download_url),
            (Kind::Upload, &self.upload_url),
            (Kind::Stream, &self.stream_url),
            (Kind::Websocket, &self.websocket_url),
        ];
        for (kind, urls) in transfers {
            for url in urls {
                plan.transfers.push(Transfer { kind, target: target(url)? });
            }
        }
        for (grpc, url) in
            self.http2_url.iter().map(|url| (false, url)).chain(self.grpc_url.iter().map(|url| (true, url)))
        {
            let (connections, streams) = (self.connections, self.streams);
            plan.multiplexed.push(Multiplexed { target: target(url)?, grpc, connections, streams });
        }
        Ok(plan)
    }
}

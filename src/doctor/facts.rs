//! Everything that the checks examine, as plain data. Filled in by `gather`.

pub(crate) mod apache;
pub(crate) mod command;
pub(crate) mod config_text;
pub(crate) mod container;
pub(crate) mod gunicorn;
pub(crate) mod known_server;
pub(crate) mod nginx;
pub(crate) mod php_fpm;
pub(crate) mod shell;
pub(crate) mod uwsgi;

use std::time::Duration;

use super::finding::{FileLine, Finding};
use bookend_config::settings::{HandlerKind, Settings};
use bookend_lifecycle::seconds::Seconds;
use bookend_lifecycle::signal::Signal;

use apache::Apache;
use command::AppCommand;
use config_text::ConfigFile;
use container::ContainerFacts;
use gunicorn::Gunicorn;
use nginx::Nginx;
use php_fpm::PhpFpm;
use uwsgi::Uwsgi;

/// The facts about one image, pod or container.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// The configuration of bookend.
    pub(crate) settings: Settings,
    /// The warnings of `bookend check`.
    pub(crate) budget_warnings: Vec<String>,
    /// The least time from the stop signal to SIGKILL. `None`: there is no deadline.
    pub(crate) time_for_app: Option<Duration>,
    /// The app's command without its wrappers.
    pub(crate) command: AppCommand,
    /// Programs that are configured and do not exist: the owner, the program.
    pub(crate) missing_programs: Vec<(String, String)>,
    /// The STOPSIGNAL of the image, if it was given.
    pub(crate) image_stop_signal: Option<Signal>,
    pub(crate) nginx: Option<Nginx>,
    pub(crate) php_fpm: Option<PhpFpm>,
    pub(crate) gunicorn: Option<Gunicorn>,
    pub(crate) uwsgi: Option<Uwsgi>,
    pub(crate) apache: Option<Apache>,
    /// The configuration of haproxy, Caddy or supervisord. `None`: it is another server, or its file was not found.
    pub(crate) server_files: Option<Vec<ConfigFile>>,
    pub(crate) container: ContainerFacts,
    /// The facts that could not be examined, and why.
    pub(crate) not_examined: Vec<String>,
}

impl Facts {
    /// A number of seconds for a server's own limit: what the budget leaves to the app, rounded down.
    pub(crate) fn seconds_for_app(&self) -> u64 {
        self.time_for_app.map_or(10, |time| time.as_secs().clamp(1, 60))
    }

    /// The finding for a server's own limit of its stop. `None`: the budget leaves it that much. `fix`: a limit that fits.
    pub(crate) fn beyond_budget(
        &self,
        server: &str,
        limit: &str,
        time: Duration,
        fix: &str,
        at: Option<FileLine>,
    ) -> Option<Finding> {
        let left = self.time_for_app.filter(|left| time > *left)?;
        let found = Finding::new(
            format!("{limit} is {}, the budget leaves {server} {}", seconds(time), seconds(left)),
            format!("SIGKILL comes while {server} still waits for its last requests"),
            format!("{fix}, or raise terminationGracePeriodSeconds"),
        );
        Some(found.at(at))
    }

    /// Whether a preStop handler drains.
    pub(crate) fn drains(&self) -> bool {
        self.settings.lifecycle.pre_stop.iter().any(|handler| matches!(handler.kind, HandlerKind::Drain(_)))
    }
}

/// Seconds for people: `10 s`, `2.5 s`.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{} s", Seconds(time))
}

//! How often the log reports what others can cause again and again.

use std::time::{Duration, Instant};

/// Allows one report in ten seconds, however often its cause happens: it must not fill the log.
#[derive(Debug, Default)]
pub(crate) struct RateLimit(Option<Instant>);

impl RateLimit {
    pub(crate) fn allow(&mut self) -> bool {
        let allow = self.0.is_none_or(|last| last.elapsed() >= INTERVAL);
        if allow {
            self.0 = Some(Instant::now());
        }
        allow
    }
}

const INTERVAL: Duration = Duration::from_secs(10);

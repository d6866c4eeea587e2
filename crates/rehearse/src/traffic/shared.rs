//! The state that the clients of a load share: the moment of the stop, and the results.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::connect::connect;
use crate::counts::{Counts, Kind, Loss, Lost, Report};
use crate::http1::{Broken, Client};
use crate::plan::{Plan, Target};

/// The state that the clients of a load share.
pub(crate) struct Shared {
    pub(super) plan: Plan,
    pub(super) began: Instant,
    pub(super) report: Mutex<Report>,
    /// Milliseconds after `began`; `u64::MAX`: not yet.
    pub(super) stopped: AtomicU64,
    pub(super) gone: AtomicBool,
    pub(super) in_flight: AtomicU64,
    pub(super) stall: AtomicU64,
    /// Requests that the server seems to have read, on kept connections that it closed at once. One may be coincidence.
    pub(super) dropped: Mutex<Vec<Lost>>,
    /// By kind and path, the status before the stop, if it is not 200 to 299.
    pub(super) expected: BTreeMap<(Kind, String), u16>,
}

impl Shared {
    pub(super) fn now(&self) -> u64 {
        millis(self.began.elapsed())
    }

    pub(super) fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().expect("no thread panics while it holds the lock")
    }

    pub(super) fn patience(&self) -> Duration {
        Duration::from_secs_f64(self.plan.patience_seconds)
    }

    /// Whether this proxy has stopped. Proxies stop evenly over the spread; the last one stops when late clients do.
    pub(super) fn is_without(&self, proxy: u32) -> bool {
        let proxies = self.plan.proxies.max(1);
        let after = f64::from(proxies - 1 - proxy % proxies) / f64::from(proxies) * self.plan.spread_seconds;
        let late = Duration::from_secs_f64((self.plan.late_seconds - after).max(0.0));
        self.now() >= self.stopped.load(Ordering::Relaxed).saturating_add(millis(late))
    }

    /// Whether every proxy has stopped.
    pub(super) fn is_removed(&self) -> bool {
        self.is_without(self.plan.proxies.max(1) - 1)
    }

    pub(super) fn is_over(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, kind: Kind, change: impl FnOnce(&mut Counts)) {
        change(self.report().kinds.entry(kind).or_default());
    }

    pub(super) fn count(&self, kind: Kind, began: u64, result: Result<(), Loss>) {
        let stopped = self.stopped.load(Ordering::Relaxed);
        let mut report = self.report();
        if result.is_err() && stopped == u64::MAX {
            report.failed_before += 1;
            return;
        }
        let counts = report.kinds.entry(kind).or_default();
        let Err(loss) = result else {
            counts.ok += 1;
            counts.ok_after_stop += u64::from(began >= stopped);
            return;
        };
        match loss {
            Loss::Refused => counts.refused += 1,
            Loss::Reset => counts.reset += 1,
            Loss::Truncated => counts.truncated += 1,
            Loss::Failed => counts.failed += 1,
            Loss::Hung => counts.hung += 1,
        }
        let lost = self.lost(kind, loss, began);
        report.last_loss_seconds = Some(lost.seen_seconds);
        if report.losses.len() < Report::SAMPLES {
            report.losses.push(lost);
        }
    }

    pub(super) fn lost(&self, kind: Kind, loss: Loss, began: u64) -> Lost {
        let (now, stopped) = (self.now(), self.stopped.load(Ordering::Relaxed));
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a run")]
        let after_stop = |time: u64| (time as f64 - stopped as f64) / 1000.0;
        Lost { kind, loss, began_seconds: after_stop(began), seen_seconds: after_stop(now) }
    }

    /// Whether this is the answer that the URL gave before the stop.
    pub(super) fn judge(&self, kind: Kind, target: &Target, status: u16) -> Result<(), Loss> {
        let expected = self.expected.get(&(kind, target.path.clone()));
        let is_expected = (200..300).contains(&status) || expected == Some(&status);
        if is_expected { Ok(()) } else { Err(Loss::Failed) }
    }
}

/// A connection to the target, in time or not: the caller limits it.
pub(super) async fn open(target: &Target) -> Result<Client, Loss> {
    let stream = connect(target.address, target.tls, &[]).await.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => Loss::Refused,
        _ => Loss::Reset,
    })?;
    Ok(Client::new(stream))
}

/// The loss that a broken response means.
pub(super) fn loss(broken: Broken) -> Loss {
    match broken {
        Broken::Before(_) => Loss::Reset,
        Broken::Within => Loss::Truncated,
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Between two requests on a kept connection or stream.
pub(super) const THINK: Duration = Duration::from_millis(100);

//! The last moment of the followers of `/events`: they get the report before the exit.

use std::time::{Duration, Instant};

use nix::sys::signal::kill;
use nix::unistd::Pid;
use tokio::time::{sleep, timeout_at};

use crate::http::Delivery;
use crate::process::is_first_process;

/// The streams that have ended with the report, and the clients' processes as far as they are known.
pub(super) type Followers = Vec<(Delivery, Option<i32>)>;

/// Waits until they have the report, for `most` at most. As PID 1 we also wait for their processes, which our exit would
/// kill before they have printed it.
pub(super) async fn deliver(followers: Followers, most: Duration) {
    let end = Instant::now() + most;
    for (delivery, pid) in followers {
        let _ = timeout_at(end.into(), delivery.finished()).await;
        let exists = |pid| kill(Pid::from_raw(pid), None).is_ok();
        while is_first_process() && pid.is_some_and(exists) && Instant::now() < end {
            sleep(INTERVAL).await;
        }
    }
}

/// How often a process is looked for.
const INTERVAL: Duration = Duration::from_millis(2);

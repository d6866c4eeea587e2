//! The network namespace of a container under test.

use std::fs::File;

/// Moves this thread into the network namespace of the process.
///
/// # Panics
/// If the thread cannot enter it: the process does not exist, or this process is not root.
pub fn enter(pid: i32) {
    let network = File::open(format!("/proc/{pid}/ns/net")).expect("the process is there");
    nix::sched::setns(network, nix::sched::CloneFlags::CLONE_NEWNET).expect("setns(2), as root");
}

/// Runs a future on a thread of its own, in the network namespace of the process `pid` if there is one.
pub(crate) fn run_in<F, T>(pid: Option<i32>, future: impl FnOnce() -> F + Send + 'static) -> std::thread::JoinHandle<T>
where
    F: Future<Output = T>,
    T: Send + 'static,
{
    std::thread::spawn(move || {
        if let Some(pid) = pid {
            enter(pid);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(future())
    })
}

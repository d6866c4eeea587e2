//! A file that another process holds, so that opening or executing it waits.

use std::process::{Child, Command, Stdio};

use crate::support::{Folder, output_of, wait_until};

/// The process. Dropping it releases the file.
pub(crate) struct HeldFile(Option<Child>);

impl HeldFile {
    /// Starts a Python program, which holds the file that its first argument names. Then it creates the file that its second
    /// argument names, and waits.
    pub(crate) fn new(program: &str, folder: &Folder, name: &str) -> HeldFile {
        let held = folder.path("held");
        let mut holder = Command::new("python3");
        holder.args(["-c", program]).arg(folder.path(name)).arg(&held).stdin(Stdio::null());
        let file = HeldFile(Some(holder.spawn().unwrap()));
        wait_until("the file is held", || held.exists());
        file
    }
}

impl Drop for HeldFile {
    fn drop(&mut self) {
        if let Some(mut holder) = self.0.take() {
            let _ = holder.kill();
            output_of(holder);
        }
    }
}

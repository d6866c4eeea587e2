//! Folders and ports that belong to one test.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::clean_up::folder_prefix;

/// A folder that belongs to one test. Dropping it removes it.
#[derive(Debug)]
pub struct Folder(pub(crate) PathBuf);

impl Default for Folder {
    fn default() -> Folder {
        Folder::new()
    }
}

impl Folder {
    /// A new, empty folder below the temporary folder.
    pub fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let mut path = folder_prefix().into_os_string();
            path.push(NEXT.fetch_add(1, Ordering::Relaxed).to_string());
            match fs::create_dir(&path) {
                Ok(()) => return Folder(path.into()),
                // A killed run with our pid left a folder behind.
                Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{path:?}"),
            }
        }
    }

    /// The path of a file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file and returns its path.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("the folder can be written");
        path
    }

    /// The content of a file; empty if it does not exist.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The path of the folder as text.
    pub fn shown(&self) -> &str {
        self.0.to_str().expect("a temporary path is UTF-8")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A free port of 127.0.0.1 that no other test gets. It lies below the range the kernel takes for outgoing connections
/// (ip_local_port_range). Each run hands out a port once, and starts at a port that depends on its pid.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(101);
    loop {
        let offset = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        let port = 12_000 + u16::try_from(offset).expect("it is below 20,000");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Copies a program. A process of its own writes the copy: a child of another test could inherit our descriptor, and then the copy
/// could not be executed (ETXTBSY).
pub fn copy_program(from: impl AsRef<OsStr>, to: impl AsRef<OsStr>) {
    let status = Command::new("cp").arg(from).arg(to).status();
    assert!(status.is_ok_and(|status| status.success()), "cp failed");
}

//! Small files that others write and replace: secrets, tokens, certificates, pid files, configuration, files of /proc.
//! A read never waits without end, whatever stands in the file's place, and never takes more bytes than make sense.
//!
//! | function         | takes                       | a larger file    |
//! | ---------------- | --------------------------- | ---------------- |
//! | `read_small`     | a regular file              | is an error      |
//! | `read_beginning` | a regular file              | is cut           |
//! | `read_stream`    | a pipe, too; with a timeout | is an error      |
//! | `read_stdin`     | standard input, likewise    | is an error      |

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{SFlag, fstat};

/// The content of a regular file, at most `most` bytes. A FIFO, a device or a larger file is an error.
pub(crate) fn read_small(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let (file, _) = open_regular(path)?;
    read_to_limit(file, most)
}

/// The first `most` bytes of a regular file, for texts whose beginning is enough.
pub(crate) fn read_beginning(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_beginning_of(open_regular(path)?.0, most)
}

/// The first `most` bytes of a regular file that is open.
pub(crate) fn read_beginning_of(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = buffer();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The content of a file or a pipe, at most `most` bytes. A pipe is read to its end, which must come within `timeout`.
pub(crate) fn read_stream(path: &Path, most: u64, timeout: Duration) -> io::Result<Vec<u8>> {
    read_to_end(open(path)?.as_fd(), most, timeout)
}

/// Standard input, likewise. Other processes may share it, so its O_NONBLOCK stays as it is.
pub(crate) fn read_stdin(most: u64, timeout: Duration) -> io::Result<Vec<u8>> {
    read_to_end(io::stdin().as_fd(), most, timeout)
}

fn read_to_end(file: BorrowedFd<'_>, most: u64, timeout: Duration) -> io::Result<Vec<u8>> {
    let is_regular = SFlag::from_bits_truncate(fstat(file)?.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG;
    let end = Instant::now() + timeout;
    let (mut bytes, mut chunk) = (buffer(), [0; 4096]);
    while u64::try_from(bytes.len()).is_ok_and(|length| length <= most) {
        if !is_regular {
            // For read(2) a FIFO that no process has opened for writing yet is at its end; for poll(2) it is not.
            wait(file, end, timeout)?;
        }
        match nix::unistd::read(file, &mut chunk) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    within(bytes, most)
}

/// Opens a regular file, and nothing else.
pub(crate) fn open_regular(path: &Path) -> io::Result<(File, Metadata)> {
    let file = open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    Ok((file, metadata))
}

/// The content of a file from [`open_regular`], at most `most` bytes.
pub(crate) fn read_to_limit(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = buffer();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    within(bytes, most)
}

/// Without O_NONBLOCK the opening of a FIFO itself waits for a writer.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// One page: a file of /proc is made anew for each read(2), so the usual one is read in one piece.
fn buffer() -> Vec<u8> {
    Vec::with_capacity(4096)
}

fn within(bytes: Vec<u8>, most: u64) -> io::Result<Vec<u8>> {
    match u64::try_from(bytes.len()) {
        Ok(length) if length <= most => Ok(bytes),
        _ => Err(io::Error::other(format!("larger than {most} bytes"))),
    }
}

/// Waits until there is something to read, or the end of it.
fn wait(file: BorrowedFd<'_>, end: Instant, timeout: Duration) -> io::Result<()> {
    let left = end.saturating_duration_since(Instant::now());
    let mut fds = [PollFd::new(file, PollFlags::POLLIN)];
    match poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX))? {
        0 => Err(io::Error::other(format!("the end of it did not come within {} s", timeout.as_secs()))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_file_is_an_error_or_cut() {
        let path = std::env::temp_dir().join(format!("bookend-files-{}", std::process::id()));
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read_small(&path, 5).unwrap(), b"12345");
        assert_eq!(read_small(&path, 4).unwrap_err().to_string(), "larger than 4 bytes");
        assert_eq!(read_stream(&path, 4, Duration::ZERO).unwrap_err().to_string(), "larger than 4 bytes");
        assert_eq!(read_beginning(&path, 4).unwrap(), b"1234");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_fifo_and_a_device_are_not_waited_for() {
        let fifo = std::env::temp_dir().join(format!("bookend-fifo-{}", std::process::id()));
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [fifo.as_path(), Path::new("/dev/zero"), Path::new("/")] {
            assert_eq!(read_small(path, 5).unwrap_err().to_string(), "not a regular file", "{path:?}");
            assert!(read_beginning(path, 5).is_err(), "{path:?}");
        }
        let error = read_stream(&fifo, 5, Duration::from_millis(10)).unwrap_err();
        assert_eq!(error.to_string(), "the end of it did not come within 0 s");
        std::fs::remove_file(fifo).unwrap();
    }
}

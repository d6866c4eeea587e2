//! The log: tracing events as lines on stderr, which never block us. If stderr is a pipe that is not read, a terminal stopped
//! with Ctrl-S, closed or full, lines are kept up to a bound and then only counted. No signal, reap or exit waits for it.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::isatty;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use crate::process::write_without_blocking;
use bookend_config::settings::{LogFormat, LogLevel, LogSettings};
use bookend_lifecycle::printable::{is_printable, printable};

/// How the log begins.
#[derive(Debug, Default)]
pub(crate) struct LogStart {
    /// Without a configured level, log warnings only.
    pub(crate) quiet: bool,
    /// The warnings about the configuration.
    pub(crate) warnings: Vec<String>,
}

impl LogStart {
    /// For a start without any configuration.
    pub(crate) fn quiet() -> LogStart {
        LogStart { quiet: true, warnings: Vec::new() }
    }

    /// Logs the warnings. The log must have begun.
    pub(crate) fn warn(&self) {
        for warning in &self.warnings {
            tracing::warn!("configuration: {warning}");
        }
    }
}

/// Begins to log; the first call counts.
pub(crate) fn init(settings: LogSettings) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let level = match settings.level {
            Some(LogLevel::Error) => Level::ERROR,
            Some(LogLevel::Warn) => Level::WARN,
            Some(LogLevel::Info) | None => Level::INFO,
            Some(LogLevel::Debug) => Level::DEBUG,
        };
        let log = Log { level, format: settings.format, write: |line: &[u8]| sink().line(line) };
        // It fails only if there is one already.
        let _ = tracing::subscriber::set_global_default(log);
    });
}

/// Writes one line now, without allocation: for a panic, and for errors before the log has begun.
pub(crate) fn last_words(text: &str) {
    let stderr = stderr();
    let _ = WriteMode::of(stderr).write(stderr, text.as_bytes());
}

/// Retries the lines that were not written. Returns whether some are still kept.
pub(crate) fn flush() -> bool {
    let mut sink = sink();
    sink.flush();
    !sink.kept.is_empty()
}

/// Writes each event as one line. We have no spans, and so need no registry of them: that of tracing-subscriber would cost
/// every start 32 kB of memory and a tenth of its time.
struct Log<W> {
    level: Level,
    format: LogFormat,
    write: W,
}

impl<W: Fn(&[u8]) + 'static> Subscriber for Log<W> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::from_level(self.level))
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = String::new();
        let mut writer = Writer::new(&mut line);
        let formatted = match self.format {
            LogFormat::Text => text(&mut writer, event),
            LogFormat::Json => json(&mut writer, event),
        };
        if formatted.is_ok() {
            (self.write)(line.as_bytes());
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// `2026-11-23T09:15:13.123456Z  INFO bookend: message key=value`
fn text(writer: &mut Writer<'_>, event: &Event<'_>) -> fmt::Result {
    let mut fields = String::new();
    DefaultFields::new().format_fields(Writer::new(&mut fields), event)?;
    SystemTime.format_time(writer)?;
    write!(writer, " {:>5} bookend: ", event.metadata().level())?;
    // Text of others may be part of it: it must not forge another line, nor move the cursor of a terminal.
    writeln!(writer, "{}", printable(&fields))
}

/// `{"timestamp":"2026-11-23T09:15:13.123456Z","level":"INFO","message":"message","key":"value"}`
fn json(writer: &mut Writer<'_>, event: &Event<'_>) -> fmt::Result {
    let mut time = String::new();
    SystemTime.format_time(&mut Writer::new(&mut time))?;
    let mut fields = Fields(vec![("timestamp", time.into()), ("level", event.metadata().level().as_str().into())]);
    event.record(&mut fields);
    for (at, (name, value)) in fields.0.iter().enumerate() {
        write!(writer, "{}\"{name}\":", if at == 0 { '{' } else { ',' })?;
        let text = match value {
            // It is JSON already.
            Value::String(report) if *name == "report" => report.clone(),
            value => value.to_string(),
        };
        // JSON itself asks for an escape of U+0000 to U+001F alone.
        for c in text.chars() {
            match is_printable(c) {
                true => writer.write_char(c)?,
                false => write!(writer, "\\u{:04x}", u32::from(c))?,
            }
        }
    }
    writeln!(writer, "}}")
}

/// The fields of an event as JSON values.
struct Fields(Vec<(&'static str, Value)>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push((field.name(), format!("{value:?}").into()));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name(), value.into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.push((field.name(), value.into()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.push((field.name(), value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.push((field.name(), value.into()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.push((field.name(), value.into()));
    }
}

static SINK: Mutex<Sink> = Mutex::new(Sink { mode: None, kept: VecDeque::new(), dropped: 0 });

fn sink() -> MutexGuard<'static, Sink> {
    SINK.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Sink {
    mode: Option<WriteMode>,
    kept: VecDeque<u8>,
    dropped: u64,
}

impl Sink {
    fn line(&mut self, line: &[u8]) {
        self.flush();
        if self.kept.is_empty() && self.dropped > 0 {
            let note = format!("bookend: {} log lines were dropped: the reader of stderr was too slow\n", self.dropped);
            self.dropped = 0;
            self.kept.extend(note.as_bytes());
        }
        // A long line, such as the JSON report of a stop with many rows, is not the fault of a slow reader.
        if !self.kept.is_empty() && self.kept.len() + line.len() > MAX_KEPT {
            self.dropped += 1;
            return;
        }
        self.kept.extend(line);
        self.flush();
    }

    fn flush(&mut self) {
        let stderr = stderr();
        while !self.kept.is_empty() {
            let mode = self.mode.get_or_insert_with(|| WriteMode::of(stderr));
            match mode.write(stderr, self.kept.as_slices().0) {
                Ok(written @ 1..) => drop(self.kept.drain(..written)),
                Err(Errno::EAGAIN) => return,
                Err(Errno::EINTR) => {}
                // Closed, full or broken (EBADF, EPIPE, ENOSPC, EIO): these lines cannot be written. A seccomp profile can
                // refuse the call with the result 0.
                Ok(0) | Err(_) => self.kept.clear(),
            }
        }
    }
}

fn stderr() -> BorrowedFd<'static> {
    // `io::Stderr` has no buffer, and lends its descriptor for the life of the process.
    static STDERR: std::sync::OnceLock<io::Stderr> = std::sync::OnceLock::new();
    STDERR.get_or_init(io::stderr).as_fd()
}

/// How to write without blocking. O_NONBLOCK cannot be set on stderr itself: the flag belongs to the open file, which the app
/// shares.
enum WriteMode {
    /// A regular file or /dev/null: a write does not wait for a reader.
    Plain,
    /// A pipe: each write asks not to block (RWF_NOWAIT, Linux 5.14).
    NoWait,
    /// A socket: the same (MSG_DONTWAIT).
    Socket,
    /// A terminal, or a pipe on an older kernel: opened again, with O_NONBLOCK.
    Reopened(OwnedFd),
    /// If it cannot be opened again (no /proc): poll first, and write at most what a pipe takes at once.
    Poll,
}

impl WriteMode {
    fn of(fd: BorrowedFd<'_>) -> WriteMode {
        let kind = fstat(fd).map(|stat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT);
        match kind {
            Ok(SFlag::S_IFIFO) => WriteMode::NoWait,
            Ok(SFlag::S_IFSOCK) => WriteMode::Socket,
            Ok(SFlag::S_IFCHR) if isatty(fd).unwrap_or(false) => WriteMode::reopened(),
            Ok(_) | Err(_) => WriteMode::Plain,
        }
    }

    fn reopened() -> WriteMode {
        let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        open("/proc/self/fd/2", flags, Mode::empty()).map_or(WriteMode::Poll, WriteMode::Reopened)
    }

    fn write(&mut self, fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
        match self {
            WriteMode::Plain => nix::unistd::write(fd, bytes),
            WriteMode::Reopened(own) => nix::unistd::write(own.as_fd(), bytes),
            WriteMode::Socket => {
                use std::os::fd::AsRawFd;
                send(fd.as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL)
            }
            WriteMode::NoWait => match write_without_blocking(fd, IoSlice::new(bytes)) {
                // An older kernel, or a seccomp profile without the call. A pipe itself never returns EPERM.
                Err(Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINVAL | Errno::EPERM | Errno::EACCES) => {
                    *self = WriteMode::reopened();
                    self.write(fd, bytes)
                }
                done => done,
            },
            WriteMode::Poll => {
                let mut fds = [PollFd::new(fd, PollFlags::POLLOUT)];
                match poll(&mut fds, PollTimeout::ZERO) {
                    Ok(0) => Err(Errno::EAGAIN),
                    _ => nix::unistd::write(fd, bytes.get(..PIPE_BUF).unwrap_or(bytes)),
                }
            }
        }
    }
}

/// The bytes that are kept for a slow reader.
const MAX_KEPT: usize = 64 * 1024;
/// pipe(7): a write of this size is taken whole or not at all.
const PIPE_BUF: usize = 4096;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// The line that `tell` logs.
    fn line(format: LogFormat, tell: impl FnOnce()) -> String {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = lines.clone();
        let write = move |line: &[u8]| kept.lock().unwrap().extend(line);
        tracing::subscriber::with_default(Log { level: Level::INFO, format, write }, tell);
        String::from_utf8(lines.lock().unwrap().clone()).unwrap()
    }

    /// The same in text format, without the time.
    fn text_line(tell: impl FnOnce()) -> String {
        line(LogFormat::Text, tell).split_once(' ').unwrap().1.to_owned()
    }

    #[test]
    fn levels_below_the_chosen_one_are_not_logged() {
        assert_eq!(line(LogFormat::Text, || tracing::debug!("message")), "");
    }

    #[test]
    fn text_has_named_values_after_the_message() {
        let line = text_line(|| tracing::info!(pid = 7, name = "a b", why = %"no", late = true, "message {}", 1));
        assert_eq!(line, " INFO bookend: message 1 pid=7 name=\"a b\" why=no late=true\n");
    }

    #[test]
    fn json_keeps_the_types_and_the_order_of_values() {
        let tell = || tracing::warn!(pid = -7, ms = 1.5, name = "a \"b\"\n", why = %"no", late = true, "message {}", 1);
        let line = line(LogFormat::Json, tell);
        let (time, rest) = line.strip_prefix("{\"timestamp\":\"").unwrap().split_once("Z\",").unwrap();
        assert_eq!(time.len(), "2026-11-23T09:15:13.123456".len());
        let fields = r#""pid":-7,"ms":1.5,"name":"a \"b\"\n","why":"no","late":true"#;
        assert_eq!(rest, format!("\"level\":\"WARN\",\"message\":\"message 1\",{fields}}}\n"));
    }

    #[test]
    fn text_of_others_stays_on_one_line_and_moves_no_cursor() {
        let tell = || tracing::error!(path = %"\x1b[2J\nforged", also = "\u{9b}\r", bidi = %"\u{202e}", "message");
        let text = text_line(tell);
        assert!(text.strip_suffix('\n').unwrap().chars().all(is_printable), "{text:?}");
        assert!(text.contains("path=\u{fffd}[2J\u{fffd}forged"), "{text:?}");
        let json = line(LogFormat::Json, tell);
        assert!(json.strip_suffix('\n').unwrap().chars().all(is_printable), "{json:?}");
        let value: Value = serde_json::from_str(&json).unwrap();
        assert_eq!((value["also"].as_str(), value["bidi"].as_str()), (Some("\u{9b}\r"), Some("\u{202e}")));
    }
}

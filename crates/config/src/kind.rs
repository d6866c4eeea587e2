//! The kinds of scalars: what each accepts, how it is described, and how a TOML value becomes a
//! [`Value`] that cannot be impossible any more. A refusal is one sentence without its key path:
//! `70000 is not a port (1-65535)`. Pure; knows `bookend_lifecycle::signal` and the TOML parser's values.

mod read;

use std::net::SocketAddr;
use std::time::Duration;

use toml::de::DeValue;

use read::{integer, is_label, is_port_name, limit, receivable, signal, source, text, umask, user};
pub(super) use read::{read_status, read_user};

use super::key::quote;
use super::network::Network;
use super::settings::ResourceLimit;
use bookend_lifecycle::seconds::Seconds;
use bookend_lifecycle::signal::Signal;

/// What one scalar may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    /// Any string without a NUL byte.
    Text,
    /// A string that is not empty.
    Name,
    /// An absolute path.
    Path,
    /// The path of a unix socket, or `None`.
    Socket,
    /// A network like `10.0.0.0/8`, or one address.
    Network,
    /// `true` or `false`.
    Bool,
    /// Seconds, whole or with a fraction, 0 allowed.
    Seconds,
    /// Seconds, whole or with a fraction, more than 0.
    Timeout,
    /// A whole number in a range; `what` names it in a refusal.
    Integer {
        /// `a port`, `an exit code`.
        what: &'static str,
        /// The smallest.
        min: i64,
        /// The largest.
        max: i64,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A signal that can be received: not SIGKILL, SIGSTOP, nor SIGCHLD.
    Received,
    /// A signal that can end an app: not SIGSTOP, not SIGCHLD.
    Stopping,
    /// A signal that can end an app, or `ignore`.
    StoppingOrIgnore,
    /// Any signal, or `ignore`.
    SignalOrIgnore,
    /// An IP address with a port.
    Address,
    /// A port's number, or its name in the table `ports`.
    Port,
    /// The name of a port: IANA_SVC_NAME, as in a Pod spec.
    PortName,
    /// The name of a container: an RFC 1123 label, as in a Pod spec.
    ContainerName,
    /// A program: an absolute path, or a file's name alone.
    Program,
    /// The name of an HTTP header.
    HeaderName,
    /// An HTTP status, or a range of them.
    Status,
    /// A string, or a table that says where it comes from: `{ valueFrom.file = "/run/secrets/x" }`.
    Source,
    /// The name of an environment variable.
    Variable,
    /// `name`, `uid`, `uid:gid` or `name:group`.
    User,
    /// A file mode mask in octal: `"022"` or `0o022`.
    Umask,
    /// A number, `"unlimited"`, or a table of `soft` and `hard`.
    Limit,
}

/// A value that has been read and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A table was opened.
    Table,
    /// A table that says what its parent does: `exec`, `sleep`.
    Kind,
    /// One table where a list of tables could stand.
    Single,
    /// A list of this many tables.
    Tables(usize),
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Yes or no.
    Bool(bool),
    /// A span of time.
    Seconds(Duration),
    /// A signal.
    Signal(Signal),
    /// `ignore` where a signal could stand.
    Ignore,
    /// A list of scalars.
    List(Vec<Value>),
    /// A file mode mask.
    Umask(u32),
    /// A resource limit.
    Limit(ResourceLimit),
    /// `{ valueFrom.file = ... }` where a string could stand.
    File(String),
    /// Something was said and refused: it is there, and it is already a mistake.
    Refused,
}

/// The longest time that can be said: a year. More is a mistake in the unit.
pub(super) const MAX_SECONDS: u64 = 365 * 24 * 60 * 60;

/// sockaddr_un holds 108 bytes, and its path ends with a zero.
const LONGEST_SOCKET: usize = 107;

/// Words of a choice and kinds with a name of their own.
pub(super) const EXIT_CODE: Scalar = Scalar::Integer { what: "an exit code", min: 0, max: 255 };
/// A TCP port that somebody can listen on.
pub(super) const PORT: Scalar = Scalar::Integer { what: "a port", min: 1, max: 65_535 };

impl Scalar {
    /// What is accepted, for refusals, the schema and the reference.
    pub(super) fn accepts(self) -> String {
        match self {
            Scalar::Text => "a string".to_owned(),
            Scalar::Name => "a string that is not empty".to_owned(),
            Scalar::Path => "an absolute path".to_owned(),
            Scalar::Socket => format!("an absolute path of at most {LONGEST_SOCKET} bytes, or \"None\""),
            Scalar::Network => "a network like \"10.0.0.0/8\" or an address".to_owned(),
            Scalar::Bool => "true or false".to_owned(),
            Scalar::Seconds => format!("seconds, 0 to {MAX_SECONDS}"),
            Scalar::Timeout => format!("seconds, more than 0, at most {MAX_SECONDS}"),
            Scalar::Integer { what, min, max } => format!("{what}, {min}-{max}"),
            Scalar::Choice(words) => words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" or "),
            Scalar::Received | Scalar::Stopping => "a signal by name or number".to_owned(),
            Scalar::StoppingOrIgnore | Scalar::SignalOrIgnore => "a signal by name or number, or \"ignore\"".to_owned(),
            Scalar::Address => "an IP address and a port like \"0.0.0.0:9797\" or \"[::]:9797\"".to_owned(),
            Scalar::Port => "a port (1-65535), or a name of the table ports".to_owned(),
            Scalar::PortName => "a name of at most 15 of a-z, 0-9 and -, with a letter in it".to_owned(),
            Scalar::ContainerName => "a container's name of at most 63 of a-z, 0-9 and -".to_owned(),
            Scalar::Program => "an absolute path, or the name of a file without a slash".to_owned(),
            Scalar::HeaderName => "the name of an HTTP header".to_owned(),
            Scalar::Status => "a status (100-599) or a range like \"200-399\"".to_owned(),
            Scalar::Source => "a string or { valueFrom.file = \"/path\" }".to_owned(),
            Scalar::Variable => "a name without \"=\"".to_owned(),
            Scalar::Umask => "a file mode mask in octal like \"022\" or 0o022".to_owned(),
            Scalar::Limit => "a number, \"unlimited\" or { soft = ..., hard = ... }".to_owned(),
            Scalar::User => "a user like \"name\", \"uid\", \"uid:gid\" or \"name:group\"".to_owned(),
        }
    }

    /// Whether the bare text of a variable is the value itself and not TOML.
    pub(super) fn is_text(self) -> bool {
        !matches!(
            self,
            Scalar::Limit
                | Scalar::Bool
                | Scalar::Seconds
                | Scalar::Timeout
                | Scalar::Integer { .. }
                | Scalar::Port
                | Scalar::Status
        )
    }

    /// The value, or why it is none.
    pub(super) fn read(self, found: &DeValue<'_>) -> Result<Value, String> {
        match self {
            Scalar::Text => Ok(Value::Text(text(self, found)?.to_owned())),
            Scalar::Name => match text(self, found)? {
                "" => Err("\"\" is empty".to_owned()),
                name => Ok(Value::Text(name.to_owned())),
            },
            Scalar::Path => match text(self, found)? {
                path if path.starts_with('/') => Ok(Value::Text(path.to_owned())),
                path => Err(format!("{} is not an absolute path", shorten(path))),
            },
            Scalar::Socket => match text(self, found)? {
                path if path == "None" || path.starts_with('/') && path.len() <= LONGEST_SOCKET => {
                    Ok(Value::Text(path.to_owned()))
                }
                path if path.starts_with('/') => {
                    let length = path.len();
                    Err(format!("{length} bytes are too long for a socket's path (unix(7): {LONGEST_SOCKET})"))
                }
                _ => Err(self.refuse(found)),
            },
            Scalar::Network => match text(self, found)?.parse::<Network>() {
                Ok(network) => Ok(Value::Text(network.to_string())),
                Err(why) => Err(why),
            },
            Scalar::Bool => match found {
                DeValue::Boolean(yes) => Ok(Value::Bool(*yes)),
                _ => Err(self.refuse(found)),
            },
            Scalar::Seconds | Scalar::Timeout => self.seconds(found).map(Value::Seconds),
            Scalar::Integer { what, min, max } => match found {
                DeValue::Integer(number) => integer(number)
                    .filter(|number| (min..=max).contains(number))
                    .map(Value::Integer)
                    .ok_or_else(|| format!("{} is not {what} ({min}-{max})", describe(found))),
                _ => Err(format!("{} is not {what} ({min}-{max})", describe(found))),
            },
            Scalar::Choice(words) => match found {
                DeValue::String(word) if words.contains(&word.as_ref()) => Ok(Value::Text(word.to_string())),
                _ => Err(format!("{} is not one of {}", describe(found), join_words(words))),
            },
            Scalar::Received => receivable(signal(found)?).map(Value::Signal),
            Scalar::Stopping => match signal(found)? {
                Signal::STOP => Err("SIGSTOP freezes a process and never ends it".to_owned()),
                Signal::CHLD => Err("SIGCHLD ends no process".to_owned()),
                signal => Ok(Value::Signal(signal)),
            },
            Scalar::StoppingOrIgnore => match found {
                DeValue::String(word) if word == "ignore" => Ok(Value::Ignore),
                _ => Scalar::Stopping.read(found),
            },
            Scalar::SignalOrIgnore => match found {
                DeValue::String(word) if word == "ignore" => Ok(Value::Ignore),
                _ => signal(found).map(Value::Signal).map_err(|why| format!("{why}, or \"ignore\"")),
            },
            Scalar::Address => match text(self, found)?.parse::<SocketAddr>() {
                Ok(address) => Ok(Value::Text(address.to_string())),
                Err(_) => Err(self.refuse(found)),
            },
            Scalar::Port => match found {
                DeValue::Integer(_) => PORT.read(found),
                DeValue::String(name) if is_port_name(name) => Ok(Value::Text(name.to_string())),
                _ => Err(self.refuse(found)),
            },
            Scalar::PortName => match text(self, found)? {
                name if is_port_name(name) => Ok(Value::Text(name.to_owned())),
                _ => Err(self.refuse(found)),
            },
            Scalar::ContainerName => match text(self, found)? {
                name if is_label(name) => Ok(Value::Text(name.to_owned())),
                _ => Err(self.refuse(found)),
            },
            Scalar::Program => match text(self, found)? {
                program if program.starts_with('/') || !(program.is_empty() || program.contains('/')) => {
                    Ok(Value::Text(program.to_owned()))
                }
                _ => Err(self.refuse(found)),
            },
            Scalar::HeaderName => match text(self, found)? {
                name if http::HeaderName::from_bytes(name.as_bytes()).is_ok() => Ok(Value::Text(name.to_owned())),
                _ => Err(self.refuse(found)),
            },
            Scalar::Status => match found {
                DeValue::Integer(number) => integer(number).map(|number| number.to_string()),
                DeValue::String(range) => Some(range.to_string()),
                _ => None,
            }
            .filter(|range| read_status(range).is_some())
            .map(Value::Text)
            .ok_or_else(|| self.refuse(found)),
            Scalar::Source => source(found),
            Scalar::Variable => match text(self, found)? {
                name if name.is_empty() || name.contains('=') => Err(format!(
                    "{} is not the name of an environment variable (not empty, without \"=\")",
                    describe(found)
                )),
                name => Ok(Value::Text(name.to_owned())),
            },
            Scalar::User => user(self, found).map(Value::Text),
            Scalar::Umask => umask(found).map(Value::Umask).ok_or_else(|| self.refuse(found)),
            Scalar::Limit => limit(found).map(Value::Limit).map_err(|why| match why {
                "" => self.refuse(found),
                why => why.to_owned(),
            }),
        }
    }

    fn refuse(self, found: &DeValue<'_>) -> String {
        format!("{} is not {}", describe(found), self.accepts())
    }

    fn seconds(self, found: &DeValue<'_>) -> Result<Duration, String> {
        let seconds = match found {
            DeValue::Integer(number) => integer(number).and_then(|n| u64::try_from(n).ok()).map(Duration::from_secs),
            DeValue::Float(number) => number.as_str().parse().ok().map(|Seconds(time)| time),
            _ => None,
        };
        let zero_is_fine = self == Scalar::Seconds;
        seconds.filter(|s| *s <= Duration::from_secs(MAX_SECONDS) && (zero_is_fine || !s.is_zero())).ok_or_else(|| {
            let range = if zero_is_fine { "0 to" } else { "more than 0, at most" };
            format!("{} is not a number of seconds ({range} {MAX_SECONDS})", describe(found))
        })
    }
}

/// A value as a mistake shows it: short, quoted, without control characters.
pub(super) fn describe(found: &DeValue<'_>) -> String {
    match found {
        DeValue::String(text) => shorten(text),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(yes) => yes.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(list) if list.is_empty() => "an empty list".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// `a, b, c` for a sentence.
pub(super) fn join_words(words: &[&str]) -> String {
    words.join(", ")
}

fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => quote(&format!("{}...", text.get(..end).unwrap_or_default())),
        None => quote(text),
    }
}

//! The kinds of scalars: what each accepts, how it is described, and how a TOML value becomes a [`Value`] that is
//! certainly valid. A refusal is one sentence without its key path: `70000 is not a port (1-65535)`.

mod read;

use std::net::SocketAddr;
use std::time::Duration;

use toml::de::DeValue;

pub use read::receivable;
pub(crate) use read::{read_status, read_user};

use crate::network::Network;
use crate::secrets::shown;
use crate::value::{Value, describe, shorten, type_of};
use bookend_lifecycle::seconds::Seconds;
use bookend_lifecycle::signal::Signal;
use read::{integer, is_label, is_port_name, limit, signal, umask, user, value_from};

/// The kind of one scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar {
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
    /// One of these words, in upper or lower case.
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
    /// A string, or a table with the file it comes from: `{ valueFrom.file = "/run/secrets/x" }`.
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

/// The longest time: a year. More is a mistake in the unit.
pub(crate) const MAX_SECONDS: u64 = 365 * 24 * 60 * 60;

/// sockaddr_un holds 108 bytes, and its path ends with a zero.
const LONGEST_SOCKET: usize = 107;

/// The exit code of a process.
pub(crate) const EXIT_CODE: Scalar = Scalar::Integer { what: "an exit code", min: 0, max: 255 };
/// A TCP port to listen on.
pub(crate) const PORT: Scalar = Scalar::Integer { what: "a port", min: 1, max: 65_535 };

impl Scalar {
    /// The accepted values in words, for refusals.
    pub(crate) fn accepts(self) -> String {
        match self {
            Scalar::Text => "a string".to_owned(),
            Scalar::Name => "a string that is not empty".to_owned(),
            Scalar::Path => "an absolute path".to_owned(),
            Scalar::Socket => format!("an absolute path of at most {LONGEST_SOCKET} bytes, or \"None\""),
            Scalar::Network => "a network like \"10.0.0.0/8\", or an address".to_owned(),
            Scalar::Bool => "true or false".to_owned(),
            Scalar::Seconds => format!("a number of seconds (0 to {MAX_SECONDS})"),
            Scalar::Timeout => format!("a number of seconds (more than 0, at most {MAX_SECONDS})"),
            Scalar::Integer { what, min, max } => format!("{what} ({min}-{max})"),
            Scalar::Choice(words) => format!("one of {}", words.join(", ")),
            Scalar::Received | Scalar::Stopping => "a signal by name or number".to_owned(),
            Scalar::StoppingOrIgnore | Scalar::SignalOrIgnore => "a signal by name or number, or \"ignore\"".to_owned(),
            Scalar::Address => "an IP address and a port like \"0.0.0.0:9797\" or \"[::]:9797\"".to_owned(),
            Scalar::Port => "a port (1-65535) or a name of the table ports".to_owned(),
            Scalar::PortName => "a port's name: at most 15 of a-z, 0-9 and -, at least one letter".to_owned(),
            Scalar::ContainerName => "a container's name: at most 63 of a-z, 0-9 and -".to_owned(),
            Scalar::Program => "an absolute path, or a file name without a slash".to_owned(),
            Scalar::HeaderName => "the name of an HTTP header".to_owned(),
            Scalar::Status => "a status (100-599) or a range like \"200-399\"".to_owned(),
            Scalar::Source => "a string or { valueFrom.file = \"/path\" }".to_owned(),
            Scalar::Variable => "the name of an environment variable (not empty, without \"=\")".to_owned(),
            Scalar::Umask => "a file mode mask in octal like \"022\" or 0o022".to_owned(),
            Scalar::Limit => "a number, \"unlimited\" or { soft = ..., hard = ... }".to_owned(),
            Scalar::User => "a user like \"name\", \"uid\", \"uid:gid\" or \"name:group\"".to_owned(),
        }
    }

    /// Whether the text of a variable is the value itself and not TOML.
    pub(crate) fn is_text(self) -> bool {
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

    /// The value, or why it is refused.
    pub(crate) fn read(self, found: &DeValue<'_>) -> Result<Value, String> {
        match self {
            Scalar::Text => Ok(Value::Text(self.string(found)?.to_owned())),
            Scalar::Name => match self.string(found)? {
                "" => Err("must not be empty".to_owned()),
                name => Ok(Value::Text(name.to_owned())),
            },
            Scalar::Path => self.text_if(found, |path| path.starts_with('/')),
            Scalar::Socket => match self.string(found)? {
                none if none.eq_ignore_ascii_case("None") => Ok(Value::Text("None".to_owned())),
                path if path.starts_with('/') && path.len() > LONGEST_SOCKET => {
                    let length = path.len();
                    Err(format!(
                        "the path is too long for a socket: {length} bytes (at most {LONGEST_SOCKET}, unix(7))"
                    ))
                }
                _ => self.text_if(found, |path| path.starts_with('/')),
            },
            Scalar::Network => {
                let text = self.string(found)?;
                // The error quotes the text, so it is that of the text without a secret.
                let network = text.parse::<Network>().or_else(|_| shown(text).parse());
                let network = network.map_err(|error| error.to_string())?;
                Ok(Value::Text(network.to_string()))
            }
            Scalar::Bool => match found {
                DeValue::Boolean(yes) => Ok(Value::Bool(*yes)),
                _ => Err(self.refuse(found)),
            },
            Scalar::Seconds => self.seconds(found, true),
            Scalar::Timeout => self.seconds(found, false),
            Scalar::Integer { min, max, .. } => match found {
                DeValue::Integer(number) => integer(number).filter(|number| (min..=max).contains(number)),
                _ => None,
            }
            .map(Value::Integer)
            .ok_or_else(|| self.refuse(found)),
            Scalar::Choice(words) => match found {
                DeValue::String(found) => words.iter().find(|word| word.eq_ignore_ascii_case(found)),
                _ => None,
            }
            .map(|word| Value::Text((*word).to_owned()))
            .ok_or_else(|| self.refuse(found)),
            Scalar::Received => receivable(signal(found)?).map(Value::Signal),
            Scalar::Stopping => match signal(found)? {
                Signal::STOP => Err("SIGSTOP only suspends a process; it does not end it".to_owned()),
                Signal::CHLD => Err("SIGCHLD does not end a process".to_owned()),
                signal => Ok(Value::Signal(signal)),
            },
            Scalar::StoppingOrIgnore | Scalar::SignalOrIgnore if is_ignore(found) => Ok(Value::Ignore),
            Scalar::StoppingOrIgnore => Scalar::Stopping.read(found),
            Scalar::SignalOrIgnore => signal(found).map(Value::Signal).map_err(|why| format!("{why}, or \"ignore\"")),
            Scalar::Address => match self.string(found)?.parse::<SocketAddr>() {
                Ok(address) => Ok(Value::Text(address.to_string())),
                Err(_) => Err(self.refuse(found)),
            },
            Scalar::Port => match found {
                DeValue::Integer(_) => PORT.read(found),
                _ => self.text_if(found, is_port_name),
            },
            Scalar::PortName => self.text_if(found, is_port_name),
            Scalar::ContainerName => self.text_if(found, is_label),
            Scalar::Program => {
                self.text_if(found, |text| text.starts_with('/') || !(text.is_empty() || text.contains('/')))
            }
            Scalar::HeaderName => self.text_if(found, |name| http::HeaderName::from_bytes(name.as_bytes()).is_ok()),
            Scalar::Status => match found {
                DeValue::Integer(number) => integer(number).map(|number| number.to_string()),
                DeValue::String(range) => Some(range.to_string()),
                _ => None,
            }
            .filter(|range| read_status(range).is_some())
            .map(Value::Text)
            .ok_or_else(|| self.refuse(found)),
            // It may be a secret: the refusal names its type and never the value.
            Scalar::Source => value_from(found).map_err(|why| match why {
                "" => self.refuse_unseen(found),
                why => why.to_owned(),
            }),
            Scalar::Variable => self.text_if(found, |name| !name.is_empty() && !name.contains('=')),
            Scalar::User => user(found).map(Value::Text).ok_or_else(|| self.refuse(found)),
            Scalar::Umask => umask(found).map(Value::Umask).ok_or_else(|| self.refuse(found)),
            Scalar::Limit => limit(found).map(Value::Limit).map_err(|why| match why {
                "" => self.refuse(found),
                why => why.to_owned(),
            }),
        }
    }

    /// Why this is refused, without the value.
    pub(crate) fn refuse_unseen(self, found: &DeValue<'_>) -> String {
        match found {
            DeValue::String(text) if text.contains('\0') => "the value contains a NUL byte".to_owned(),
            // The key accepts a string, but this string has the wrong form.
            DeValue::String(_) if self.is_text() => format!("the value is not {}", self.accepts()),
            found => format!("{} is not {}", type_of(found), self.accepts()),
        }
    }

    fn refuse(self, found: &DeValue<'_>) -> String {
        format!("{} is not {}", describe(found), self.accepts())
    }

    /// The string, or why it cannot be one: a NUL byte ends a string for the kernel (execve(2), open(2)).
    fn string<'a>(self, found: &'a DeValue<'_>) -> Result<&'a str, String> {
        match found {
            DeValue::String(text) if text.contains('\0') => Err(format!("{} contains a NUL byte", shorten(text))),
            DeValue::String(text) => Ok(text.as_ref()),
            _ => Err(self.refuse(found)),
        }
    }

    fn text_if(self, found: &DeValue<'_>, is_accepted: impl Fn(&str) -> bool) -> Result<Value, String> {
        match self.string(found)? {
            text if is_accepted(text) => Ok(Value::Text(text.to_owned())),
            _ => Err(self.refuse(found)),
        }
    }

    fn seconds(self, found: &DeValue<'_>, zero_is_fine: bool) -> Result<Value, String> {
        let seconds = match found {
            DeValue::Integer(number) => integer(number).and_then(|n| u64::try_from(n).ok()).map(Duration::from_secs),
            DeValue::Float(number) => number.as_str().parse().ok().map(|Seconds(time)| time),
            _ => None,
        };
        seconds
            .filter(|time| *time <= Duration::from_secs(MAX_SECONDS) && (zero_is_fine || !time.is_zero()))
            .map(Value::Seconds)
            .ok_or_else(|| self.refuse(found))
    }
}

fn is_ignore(found: &DeValue<'_>) -> bool {
    matches!(found, DeValue::String(word) if word.eq_ignore_ascii_case("ignore"))
}

/// A name of the user's choice in its one spelling: `HUP` and `SIGHUP` are the same key.
pub(crate) fn read_name(names: Scalar, name: &str) -> Result<String, String> {
    let as_number = || name.parse::<i64>().ok().filter(|_| name.bytes().all(|b| b.is_ascii_digit()));
    match names {
        Scalar::Integer { min, max, .. } => match as_number() {
            Some(number) if (min..=max).contains(&number) => Ok(number.to_string()),
            _ => Err(format!("{} is not {}", shorten(name), names.accepts())),
        },
        names => match names.read(&DeValue::String(name.into()))? {
            Value::Signal(signal) => Ok(signal.to_string()),
            Value::Text(name) => Ok(name),
            _ => Ok(name.to_owned()),
        },
    }
}

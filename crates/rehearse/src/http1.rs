//! HTTP/1.1 without a client library: this client reports how a connection ended, which client libraries hide.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep_until;

use crate::connect::Connection;

/// A connection that broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Before the first byte of the response.
    Before(Ending),
    /// Within the response.
    Within,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// In good order, as the client sees it.
    Closed,
    /// By a reset, or the request could not be sent.
    Reset,
}

/// The first part of a response.
pub(crate) struct Head {
    pub(crate) status: u16,
    /// In lower case.
    fields: String,
    body: Body,
}

#[derive(Clone, Copy, PartialEq)]
enum Body {
    Length(usize),
    Chunked,
    /// The end of the connection is the end of the response.
    UntilClosed,
}

impl Head {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }

    pub(crate) fn length(&self) -> Option<usize> {
        if let Body::Length(length) = self.body { Some(length) } else { None }
    }

    pub(crate) fn keeps_the_connection(&self) -> bool {
        self.body != Body::UntilClosed && self.field("connection") != Some("close")
    }
}

/// A client's side of a connection.
pub(crate) struct Client {
    pub(crate) stream: Connection,
    /// Bytes that were read and not used yet.
    buffer: Vec<u8>,
}

/// Text of a GET.
pub(crate) fn get(path: &str, host: &str, connection: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bookend-rehearse\r\nConnection: {connection}\r\n\r\n")
}

impl Client {
    pub(crate) fn new(stream: Connection) -> Client {
        Client { stream, buffer: Vec::new() }
    }

    /// Sends a request without a body, and reads the whole response.
    pub(crate) async fn exchange(&mut self, request: &str) -> Result<Head, Broken> {
        self.send(request.as_bytes()).await?;
        let head = self.head().await?;
        self.body(&head, None).await?;
        Ok(head)
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let sent = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        sent.await.map_err(|_| Broken::Before(Ending::Reset))
    }

    /// Reads the head of the response; those of status 100 to 199, except 101, are skipped.
    pub(crate) async fn head(&mut self) -> Result<Head, Broken> {
        loop {
            let end = loop {
                if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                    break at;
                }
                let was_empty = self.buffer.is_empty();
                match self.read().await {
                    Ok(0) if was_empty => return Err(Broken::Before(Ending::Closed)),
                    Err(_) if was_empty => return Err(Broken::Before(Ending::Reset)),
                    Ok(0) | Err(_) => return Err(Broken::Within),
                    Ok(_) if self.buffer.len() > 256 * 1024 => return Err(Broken::Within),
                    Ok(_) => {}
                }
            };
            let rest = self.buffer.split_off(end + 4);
            let text = std::mem::replace(&mut self.buffer, rest);
            let head = parse(&String::from_utf8_lossy(&text).to_ascii_lowercase());
            if !(100..200).contains(&head.status) || head.status == 101 {
                return Ok(head);
            }
        }
    }

    /// Reads the body to its end; with `over`, evenly over that time if the length is known.
    pub(crate) async fn body(&mut self, head: &Head, over: Option<Duration>) -> Result<(), Broken> {
        match head.body {
            Body::Length(length) => self.skip(length, over).await,
            Body::UntilClosed => {
                self.buffer.clear();
                loop {
                    match self.read().await {
                        Ok(0) => return Ok(()),
                        // The server ended TLS without close_notify.
                        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                        Err(_) => return Err(Broken::Within),
                        Ok(_) => self.buffer.clear(),
                    }
                }
            }
            Body::Chunked => loop {
                let line = self.line().await?;
                let size = line.split(';').next().and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
                match size {
                    None => return Err(Broken::Within),
                    Some(0) => break self.trailer().await,
                    Some(size) => self.skip(size + 2, None).await?,
                }
            },
        }
    }

    async fn trailer(&mut self) -> Result<(), Broken> {
        while !self.line().await?.is_empty() {}
        Ok(())
    }

    async fn line(&mut self) -> Result<String, Broken> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                let rest = self.buffer.split_off(at + 2);
                let line = std::mem::replace(&mut self.buffer, rest);
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.buffer.len() > 64 * 1024 {
                return Err(Broken::Within);
            }
            self.more().await?;
        }
    }

    async fn skip(&mut self, length: usize, over: Option<Duration>) -> Result<(), Broken> {
        let began = Instant::now();
        let mut done = 0;
        loop {
            let now = self.buffer.len().min(length - done);
            self.buffer.drain(..now);
            done += now;
            if done == length {
                return Ok(());
            }
            if let Some(over) = over {
                #[expect(clippy::cast_precision_loss, reason = "a share of a time")]
                sleep_until((began + over.mul_f64(done as f64 / length as f64)).into()).await;
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<(), Broken> {
        match self.read().await {
            Ok(0) | Err(_) => Err(Broken::Within),
            Ok(_) => Ok(()),
        }
    }

    /// Reads the available bytes; returns 0 at the end.
    pub(crate) async fn read(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 16 * 1024];
        let length = self.stream.read(&mut bytes).await?;
        self.buffer.extend_from_slice(bytes.get(..length).unwrap_or_default());
        Ok(length)
    }

    /// The bytes that were read and not used yet.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.buffer
    }

    /// Takes `length` bytes from the stream.
    pub(crate) async fn take(&mut self, length: usize) -> Result<Vec<u8>, Broken> {
        while self.buffer.len() < length {
            self.more().await?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    /// Whether the server still has its side of the connection. False if it answered our bytes with a reset: it had closed the
    /// connection before they came.
    pub(crate) async fn took_the_request(&mut self) -> bool {
        matches!(self.stream, Connection::Plain(_)) && self.stream.write_all(b"\r\n").await.is_ok()
    }
}

fn parse(text: &str) -> Head {
    let status = text.split(' ').nth(1).and_then(|status| status.trim().parse().ok()).unwrap_or(0);
    let mut head = Head { status, fields: text.to_owned(), body: Body::UntilClosed };
    head.body = if matches!(status, 204 | 304) {
        Body::Length(0)
    } else if head.field("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
        Body::Chunked
    } else {
        head.field("content-length").and_then(|length| length.parse().ok()).map_or(Body::UntilClosed, Body::Length)
    };
    head
}

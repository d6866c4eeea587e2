//! A small HTTP client for bookend's endpoint.

use std::io::{Error, Read, Write};
use std::net::TcpStream;

use crate::wait::PATIENCE;

/// Sends one GET with this User-Agent and reads the response to its end.
///
/// # Errors
/// The connection is refused or breaks.
pub fn get_as(agent: &str, port: u16, path: &str) -> Result<String, Error> {
    get_with(&format!("User-Agent: {agent}"), port, path)
}

/// Sends one GET with this header and reads the response to its end.
///
/// # Errors
/// The connection is refused or breaks.
pub fn get_with(header: &str, port: u16, path: &str) -> Result<String, Error> {
    let mut stream = connect(port)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{header}\r\nAccept: */*\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Sends one GET and reads the response to its end.
///
/// # Errors
/// The connection is refused or breaks.
pub fn get(port: u16, path: &str) -> Result<String, Error> {
    get_as("curl/8", port, path)
}

/// The status code of a GET; 0 for a broken connection.
pub fn code(port: u16, path: &str) -> u16 {
    code_of(&get(port, path).unwrap_or_default())
}

/// The status code in a response; 0 if there is none.
pub fn code_of(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

fn connect(port: u16) -> Result<TcpStream, Error> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The seconds that a timeline or a hook response reports for a handler; -1 if it does not name the handler.
pub fn took(text: &str, handler: &str) -> f64 {
    let rest = text.split_once(&format!("{handler} took ")).map(|(_, rest)| rest);
    rest.and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap_or(-1.0)
}

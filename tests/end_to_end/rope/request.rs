//! Requests byte by byte, also those that no client would write.

#![allow(dead_code, reason = "each user needs a part of it")]

use std::fmt;

/// One request. Its texts are bytes, each a character.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    pub version: Version,
    pub method: String,
    /// What stands in the request line, or in `:path`.
    pub target: String,
    /// Host, or `:authority`.
    pub authority: Option<String>,
    pub headers: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    Http10,
    Http11,
    Http2,
}

impl Request {
    /// As it is written in HTTP/1, with one more header.
    pub fn bytes(&self, more: (&str, &str)) -> Vec<u8> {
        let version = if self.version == Version::Http10 { "HTTP/1.0" } else { "HTTP/1.1" };
        let mut text = format!("{} {} {version}\r\n", self.method, self.target);
        let host = self.authority.iter().map(|host| ("Host", host.as_str()));
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let keep = (self.version == Version::Http10).then_some(("Connection", "keep-alive"));
        for (name, value) in host.chain(headers).chain(keep).chain([more]) {
            text += &format!("{name}: {value}\r\n");
        }
        bytes(&(text + "\r\n"))
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} {} {:?} {:?}",
            self.version,
            self.method,
            self.target,
            self.authority.as_deref().unwrap_or("-")
        )?;
        self.headers.iter().try_for_each(|(name, value)| write!(f, " {name}={value:?}"))
    }
}

/// The bytes that the characters stand for.
pub fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|char| char as u8).collect()
}

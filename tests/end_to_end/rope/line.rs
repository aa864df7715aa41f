//! HTTP/1.1 as it is on the wire, byte by byte, on connections that stay open.

#![allow(dead_code, reason = "each user needs a part of it")]

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection.
pub struct Line {
    stream: TcpStream,
    /// What came and has not been read.
    rest: Vec<u8>,
}

/// A message without its body.
pub struct Head(pub Vec<u8>);

impl Line {
    pub fn new(stream: TcpStream) -> Line {
        let _ = stream.set_nodelay(true);
        Line { stream, rest: Vec::new() }
    }

    pub async fn to(address: SocketAddr) -> Result<Line> {
        TcpStream::connect(address).await.map(Line::new)
    }

    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The next request as it was written, with its body.
    pub async fn request(&mut self) -> Result<(Head, Vec<u8>)> {
        let head = self.head().await?;
        let body = self.body(&head).await?;
        Ok((head, body))
    }

    /// The answer to a request, with its body.
    pub async fn answer(&mut self, to_head: bool) -> Result<(Head, Vec<u8>)> {
        let head = loop {
            let head = self.head().await?;
            if head.status() >= 200 || head.status() == 101 {
                break head;
            }
        };
        let has_body = !to_head && !matches!(head.status(), 101 | 204 | 304);
        let body = if has_body { self.body(&head).await? } else { Vec::new() };
        Ok((head, body))
    }

    async fn head(&mut self) -> Result<Head> {
        Ok(Head(self.until(b"\r\n\r\n").await?))
    }

    async fn body(&mut self, head: &Head) -> Result<Vec<u8>> {
        if head.values("transfer-encoding").iter().any(|coding| coding.eq_ignore_ascii_case("chunked")) {
            return self.chunks().await;
        }
        match head.values("content-length").first().and_then(|length| length.parse().ok()) {
            Some(length) => self.exactly(length).await,
            None => Ok(Vec::new()),
        }
    }

    /// Chunks as they were written, with what stands between them.
    async fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let line = self.until(b"\r\n").await?;
            let size = String::from_utf8_lossy(&line);
            let size = usize::from_str_radix(size.split([';', '\r']).next().unwrap_or_default().trim(), 16);
            let size = size.map_err(|_| Error::from(ErrorKind::InvalidData))?;
            all.extend(line);
            if size == 0 {
                break;
            }
            all.extend(self.exactly(size + 2).await?);
        }
        loop {
            let trailer = self.until(b"\r\n").await?;
            all.extend(&trailer);
            if trailer == b"\r\n" {
                return Ok(all);
            }
        }
    }

    async fn until(&mut self, end: &[u8]) -> Result<Vec<u8>> {
        loop {
            if let Some(at) = self.rest.windows(end.len()).position(|window| window == end) {
                return self.exactly(at + end.len()).await;
            }
            self.more().await?;
        }
    }

    pub async fn exactly(&mut self, count: usize) -> Result<Vec<u8>> {
        while self.rest.len() < count {
            self.more().await?;
        }
        Ok(self.rest.drain(..count).collect())
    }

    async fn more(&mut self) -> Result<()> {
        match self.stream.read_buf(&mut self.rest).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

impl Head {
    pub fn status(&self) -> u16 {
        let status = self.0.get(9..12).and_then(|status| std::str::from_utf8(status).ok());
        status.and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// Names and values, each byte a character.
    pub fn headers(&self) -> Vec<(String, String)> {
        let text = latin1(&self.0);
        text.split("\r\n").skip(1).filter_map(|line| line.split_once(':')).map(owned).collect()
    }

    pub fn values(&self, name: &str) -> Vec<String> {
        let wanted = self.headers().into_iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        wanted.map(|(_, value)| value).collect()
    }

    /// Whether nothing follows on the same connection.
    pub fn is_last(&self) -> bool {
        let closes = self.values("connection").iter().any(|value| value.eq_ignore_ascii_case("close"));
        let keeps = self.values("connection").iter().any(|value| value.eq_ignore_ascii_case("keep-alive"));
        closes || self.status() == 101 || (self.0.starts_with(b"HTTP/1.0") && !keeps)
    }
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.trim().to_owned())
}

/// Each byte as a character.
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

//! HTTP/2 without a library that would keep requests in order: every header is a literal, answers are not read.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;

use crate::rope::line::Line;
use crate::rope::request::{Request, bytes};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// A connection, for requests one after the other.
pub struct Http2 {
    line: Line,
    stream: u32,
}

impl Http2 {
    pub async fn to(address: SocketAddr) -> Result<Http2> {
        let mut http2 = Http2 { line: Line::to(address).await?, stream: 1 };
        http2.line.write(PREFACE).await?;
        http2.write(SETTINGS, 0, 0, b"").await?;
        http2.write(WINDOW_UPDATE, 0, 0, &0x3fff_0000_u32.to_be_bytes()).await?;
        Ok(http2)
    }

    /// Asks, and waits for the end of the answer. An error where the connection was ended instead.
    pub async fn ask(&mut self, request: &Request, more: (&str, &str)) -> Result<()> {
        let stream = self.stream;
        self.stream += 2;
        self.write(HEADERS, END_STREAM | END_HEADERS, stream, &block(request, more)).await?;
        loop {
            let head = self.line.exactly(9).await?;
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let (kind, flags) = (head[3], head[4]);
            let of = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
            let payload = self.line.exactly(length).await?;
            match kind {
                SETTINGS if flags & ACK == 0 => self.write(SETTINGS, ACK, 0, b"").await?,
                PING if flags & ACK == 0 => self.write(PING, ACK, 0, &payload).await?,
                GOAWAY => return Err(Error::from(ErrorKind::ConnectionAborted)),
                RST_STREAM if of == stream => return Ok(()),
                DATA | HEADERS if of == stream && flags & END_STREAM != 0 => return Ok(()),
                _ => {}
            }
        }
    }

    async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<()> {
        let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.line.write(&[&head, payload].concat()).await
    }
}

/// The headers, compressed by nothing (RFC 7541, section 6.2.2).
fn block(request: &Request, more: (&str, &str)) -> Vec<u8> {
    let pseudo = [(":method", request.method.as_str()), (":scheme", "http"), (":path", request.target.as_str())];
    let authority = request.authority.iter().map(|authority| (":authority", authority.as_str()));
    let headers = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut block = Vec::new();
    for (name, value) in pseudo.into_iter().chain(authority).chain(headers).chain([more]) {
        block.push(0);
        text(&name.to_ascii_lowercase(), &mut block);
        text(value, &mut block);
    }
    block
}

/// A text as it is; its length has seven bits and then more (RFC 7541, section 5).
fn text(text: &str, block: &mut Vec<u8>) {
    let text = bytes(text);
    let mut length = text.len();
    if length < 127 {
        block.push(length as u8);
    } else {
        block.push(127);
        length -= 127;
        while length >= 128 {
            block.push((length % 128 + 128) as u8);
            length /= 128;
        }
        block.push(length as u8);
    }
    block.extend(text);
}

//! What tests ask servers with: HTTP/1.1 as it is on the wire, mostly.

#![allow(dead_code, reason = "each user needs a part of it")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a test waits for what must happen, before it fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

/// An answer as it came over the wire.
#[derive(Debug)]
pub struct Wire {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Wire {
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }
}

/// Sends a request on a connection of its own, with `Host` and `Connection: close`, and reads the answer.
pub async fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Wire {
    send(address, "GET", path, headers, b"").await
}

pub async fn send(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Wire {
    let host = host(address, path);
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    let request = [head.as_bytes(), b"\r\n", body].concat();
    raw(address, &request).await
}

/// The site's, or the operator's address itself where it is that which is asked.
fn host(address: SocketAddr, path: &str) -> String {
    let is_operators = ["/metrics", "/client/", "/dashboard"].iter().any(|start| path.starts_with(start));
    if is_operators { address.to_string() } else { "tickets.example".to_owned() }
}

/// Asks over HTTP/2 with a body of which no header tells; the status.
pub async fn send_http2(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> u16 {
    let stream = TcpStream::connect(address).await.expect("a connection");
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut client, connection) = handshake.await.expect("a connection");
    let connection = tokio::spawn(connection);
    let mut request = hyper::Request::builder().method(method).uri(format!("http://tickets.example{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let frames = (!body.is_empty()).then(|| Ok::<_, Infallible>(Frame::data(Bytes::from(body.to_owned()))));
    let request = request.body(StreamBody::new(tokio_stream::iter(frames))).expect("a request");
    let answer = in_time("an answer", client.send_request(request)).await.expect("an answer");
    connection.abort();
    answer.status().as_u16()
}

/// Sends bytes as they are, and reads until the other side ends.
pub async fn raw(address: SocketAddr, request: &[u8]) -> Wire {
    in_time("an answer", async {
        let stream = TcpStream::connect(address).await.expect("a connection");
        let (mut read, mut write) = stream.into_split();
        let request = request.to_vec();
        // The other side may answer and end before it has read everything.
        let writing = tokio::spawn(async move {
            let _ = write.write_all(&request).await;
            write
        });
        let mut bytes = Vec::new();
        let mut buffer = [0; 16_384];
        while let Ok(count @ 1..) = read.read(&mut buffer).await {
            bytes.extend_from_slice(&buffer[..count]);
        }
        writing.abort();
        parse(&bytes)
    })
    .await
}

fn parse(bytes: &[u8]) -> Wire {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer but {text:?}"));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let mut wire = Wire { status: status.expect("a status"), headers, body: body.to_owned() };
    if wire.header("transfer-encoding") == Some("chunked") {
        wire.body = whole(body);
    }
    wire
}

/// What came in chunks; the lengths before them are of bytes, so they have to be of ASCII.
fn whole(mut chunks: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = chunks.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).expect("a length");
        whole += &rest[..length];
        chunks = rest[length..].trim_start_matches("\r\n");
    }
    whole
}

/// `NAME=VALUE` of a Set-Cookie.
pub fn cookie_pair(set_cookie: &str) -> String {
    set_cookie.split(';').next().unwrap_or_default().to_owned()
}

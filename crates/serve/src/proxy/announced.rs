//! The PROXY protocol: what a front that only passes bytes on says of a connection before its first one.
//!
//! <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>, versions 1 and 2.

use std::io;
use std::net::SocketAddr;

use ppp::v2::{Command, Protocol};
use ppp::{HeaderResult, v1, v2};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// What both versions can be told apart by: version 2 begins with these, and the shortest of version 1 is longer.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest header of version 1, with its end.
const LONGEST_V1: usize = 107;
/// Bytes of version 2 before the length is known, and the length included.
const HEAD_V2: usize = 16;
/// More of version 2 is refused: what stands behind the addresses is not looked at.
const LONGEST_V2: usize = 4_096;

/// Why a connection is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unannounced {
    #[error("no header of the PROXY protocol: {0}")]
    Broken(String),
    #[error("no header of the PROXY protocol: {0}")]
    Ended(#[from] io::Error),
}

/// Who is connected, according to the header; `None` where the front itself is. Reads the header, and nothing behind it.
pub(super) async fn visitor(stream: &mut TcpStream) -> Result<Option<SocketAddr>, Unannounced> {
    let mut header = vec![0; SIGNATURE.len()];
    stream.read_exact(&mut header).await?;
    match header == SIGNATURE {
        true => read_v2(stream, &mut header).await?,
        false => read_v1(stream, &mut header).await?,
    }
    match HeaderResult::parse(&header) {
        HeaderResult::V1(header) => of_v1(header.map_err(|error| broken(&error))?.addresses),
        HeaderResult::V2(header) => of_v2(&header.map_err(|error| broken(&error))?),
    }
}

async fn read_v2(stream: &mut TcpStream, header: &mut Vec<u8>) -> Result<(), Unannounced> {
    header.resize(HEAD_V2, 0);
    stream.read_exact(&mut header[SIGNATURE.len()..]).await?;
    let length = HEAD_V2 + usize::from(u16::from_be_bytes([header[HEAD_V2 - 2], header[HEAD_V2 - 1]]));
    if length > LONGEST_V2 {
        return Err(Unannounced::Broken(format!("{length} bytes are too many")));
    }
    header.resize(length, 0);
    stream.read_exact(&mut header[HEAD_V2..]).await?;
    Ok(())
}

/// Up to the end of the line.
async fn read_v1(stream: &mut TcpStream, header: &mut Vec<u8>) -> Result<(), Unannounced> {
    if !header.starts_with(b"PROXY ") {
        return Err(Unannounced::Broken("the connection begins with something else".to_owned()));
    }
    let mut ahead = [0; LONGEST_V1];
    while header.last() != Some(&b'\n') {
        let most = LONGEST_V1 - header.len();
        if most == 0 {
            return Err(Unannounced::Broken("it does not end".to_owned()));
        }
        let seen = stream.peek(&mut ahead[..most]).await?;
        if seen == 0 {
            return Err(Unannounced::Ended(io::ErrorKind::UnexpectedEof.into()));
        }
        let wanted = ahead[..seen].iter().position(|byte| *byte == b'\n').map_or(seen, |at| at + 1);
        stream.read_exact(&mut ahead[..wanted]).await?;
        header.extend_from_slice(&ahead[..wanted]);
    }
    Ok(())
}

fn of_v1(addresses: v1::Addresses) -> Result<Option<SocketAddr>, Unannounced> {
    Ok(match addresses {
        v1::Addresses::Unknown => None,
        v1::Addresses::Tcp4(ends) => Some((ends.source_address, ends.source_port).into()),
        v1::Addresses::Tcp6(ends) => Some((ends.source_address, ends.source_port).into()),
    })
}

fn of_v2(header: &v2::Header<'_>) -> Result<Option<SocketAddr>, Unannounced> {
    if header.command == Command::Local {
        return Ok(None);
    }
    if header.protocol == Protocol::Datagram {
        return Err(Unannounced::Broken("it speaks of datagrams".to_owned()));
    }
    Ok(match header.addresses {
        v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
        v2::Addresses::IPv4(ends) => Some((ends.source_address, ends.source_port).into()),
        v2::Addresses::IPv6(ends) => Some((ends.source_address, ends.source_port).into()),
    })
}

fn broken(error: &dyn std::error::Error) -> Unannounced {
    Unannounced::Broken(error.to_string())
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    /// What comes of bytes that arrive in pieces of this size, and what is left behind them.
    async fn read(bytes: Vec<u8>, piece: usize) -> Option<(Option<SocketAddr>, Vec<u8>)> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut front = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a connection");
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let writing = tokio::spawn(async move {
            front.set_nodelay(true).expect("an option");
            for piece in bytes.chunks(piece) {
                // It may have been refused already.
                let _ = front.write_all(piece).await;
                tokio::task::yield_now().await;
            }
        });
        let visitor = visitor(&mut stream).await.ok();
        let mut rest = Vec::new();
        if visitor.is_some() {
            stream.read_to_end(&mut rest).await.expect("the rest");
        }
        drop(stream);
        writing.await.expect("a front");
        visitor.map(|visitor| (visitor, rest))
    }

    fn second(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).expect("a length").to_be_bytes();
        [SIGNATURE, &[command, family][..], &length, payload].concat()
    }

    #[tokio::test]
    async fn the_visitor_is_whom_the_front_names_and_not_a_byte_more_is_read() {
        let v4 = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x67, 1, 187];
        let mut v6 = [0; 36];
        v6[15] = 1;
        let with_more = [&v4[..], &[4, 0, 3, 1, 2, 3]].concat();
        let all = [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n".to_vec(), Some("192.0.2.7:4711")),
            (b"PROXY TCP6 2001:db8::7 ::1 4711 443\r\n".to_vec(), Some("[2001:db8::7]:4711")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN 1.2.3.4 whatever it is\r\n".to_vec(), None),
            (second(0x21, 0x11, &v4), Some("192.0.2.7:4711")),
            (second(0x21, 0x11, &with_more), Some("192.0.2.7:4711")),
            (second(0x21, 0x21, &v6), Some("[::1]:0")),
            (second(0x20, 0x11, &v4), None),
            (second(0x20, 0, &[]), None),
            (second(0x21, 0, &[1; 9]), None),
            (second(0x21, 0x31, &[0; 216]), None),
        ];
        for (header, expected) in all {
            for piece in [1, 7, 4_096] {
                let sent = [&header[..], b"GET / HTTP/1.1\r\n\r\n"].concat();
                let (visitor, rest) = read(sent, piece).await.unwrap_or_else(|| panic!("{header:?} was refused"));
                assert_eq!(visitor, expected.map(|address| address.parse().expect("an address")), "{header:?}");
                assert_eq!(rest, b"GET / HTTP/1.1\r\n\r\n");
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let v4 = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x67, 1, 187];
        let all = [
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 4711\r\n\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 99999\r\n".to_vec(),
            b"PROXY TCP4 2001:db8::7 ::1 4711 443\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\n".to_vec(),
            b"PROXYxTCP4 192.0.2.7 10.0.0.1 4711 443\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7".to_vec(),
            b"PROXY".to_vec(),
            [&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat(),
            second(0x31, 0x11, &v4),
            second(0x22, 0x11, &v4),
            second(0x21, 0x12, &v4),
            second(0x21, 0x11, &v4[..8]),
            second(0x21, 0x11, &[0; 5_000]),
            second(0x21, 0x11, &v4)[..20].to_vec(),
        ];
        for sent in all {
            for piece in [1, 4_096] {
                assert_eq!(read(sent.clone(), piece).await, None, "{sent:?}");
            }
        }
    }
}

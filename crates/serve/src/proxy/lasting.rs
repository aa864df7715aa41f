//! Connections to the origin on which no answer is lost.
//!
//! An origin may answer before it has read a whole request, close, and so reset the connection. Whatever is still being sent
//! then fails, and the client would give up at that, though the answer has arrived. Here, what cannot be sent any more is
//! thrown away, and reading tells how it ends: with the answer, or without one. What the system has not received before the
//! reset nobody can read; nor is anything taken for an answer that is not one.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

/// Makes such connections.
#[derive(Clone)]
pub(super) struct Lasting(pub HttpConnector);

impl Service<Uri> for Lasting {
    type Response = Heard<TokioIo<TcpStream>>;
    type Error = <HttpConnector as Service<Uri>>::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async { Ok(Heard { stream: connecting.await?, is_deaf: false }) })
    }
}

/// A connection whose other side is heard to its end.
pub(super) struct Heard<S> {
    stream: S,
    /// Whether the other side takes nothing any more.
    is_deaf: bool,
}

impl<S> Heard<S> {
    /// Notes that nothing more can be sent, if it is so.
    fn heard<T>(&mut self, sent: io::Result<T>, thrown_away: T) -> io::Result<T> {
        let is_gone = |kind| matches!(kind, io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset);
        match sent {
            Err(error) if is_gone(error.kind()) => {
                self.is_deaf = true;
                Ok(thrown_away)
            }
            sent => sent,
        }
    }
}

impl<S: Connection> Connection for Heard<S> {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}

impl<S: Read + Unpin> Read for Heard<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: Write + Unpin> Write for Heard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_deaf {
            return Poll::Ready(Ok(bytes.len()));
        }
        let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        Poll::Ready(self.heard(sent, bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = parts.iter().map(|part| part.len()).sum();
        if self.is_deaf {
            return Poll::Ready(Ok(length));
        }
        let sent = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, parts));
        Poll::Ready(self.heard(sent, length))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_deaf {
            return Poll::Ready(Ok(()));
        }
        let sent = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        Poll::Ready(self.heard(sent, ()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

//! Takes connections and serves them, each in a task of its own.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::Builder;
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::guarded::{Guarded, Handed, Streams};
use super::metrics::Counted;
use super::{StartError, Stop};

/// How long to wait after a connection could not be taken, for example because there are too many open files.
const RESPITE: Duration = Duration::from_millis(50);

/// How HTTP/2 begins (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Both ends of a connection.
#[derive(Clone, Copy)]
pub(crate) struct Ends {
    pub peer: SocketAddr,
    pub local: SocketAddr,
    /// Whether TLS is spoken on it.
    pub is_tls: bool,
}

/// Opens a port; connections wait there while the server is busy. Says which it is.
pub(crate) fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    try_listen(address).map_err(|error| StartError::Listen { address, error })
}

fn try_listen(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(4_096)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Takes up to `max` connections at a time until `end`, which those that are open outlive. Never gives up on its own: a
/// connection that cannot be taken is the next try's.
pub(crate) async fn take<C: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    max: usize,
    open: Gauge,
    tasks: TaskTracker,
    end: CancellationToken,
    connection: impl Fn(TcpStream, Ends) -> C,
) {
    let places = Arc::new(Semaphore::new(max));
    loop {
        let accepted = tokio::select! {
            () = end.cancelled() => return,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, ends, place)) => {
                let (counted, connection) = (Counted::new(&open), connection(stream, ends));
                tasks.spawn(async move {
                    connection.await;
                    drop((counted, place));
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                sleep(RESPITE).await;
            }
        }
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, Ends, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    let local = stream.local_addr()?;
    stream.set_nodelay(true)?;
    Ok((stream, Ends { peer, local, is_tls: false }, place))
}

/// Answers the requests of one connection until it ends, or until `stop` says so. `builder` is told whether it speaks
/// HTTP/2; a connection that says nothing for `patience`, or does not read what it is told, is given up.
pub(crate) async fn serve<F, B>(
    mut stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    patience: Duration,
    builder: impl FnOnce(bool) -> Builder<Streams>,
    answer: impl Fn(Request<Incoming>) -> F,
    stop: Stop,
) where
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin + Send + 'static,
{
    let begins = tokio::select! {
        () = stop.drain.cancelled() => return,
        begins = timeout(patience, beginning(&mut stream)) => begins.ok().flatten(),
    };
    let Some(start) = begins else { return };
    let is_h2 = start == PREFACE;
    converse(Guarded::new(stream, start, patience), builder(is_h2), answer, stop).await;
}

/// Answers the requests of one connection, of which it is known what it speaks.
pub(crate) async fn converse<F, B>(
    stream: Guarded<impl AsyncRead + AsyncWrite + Unpin + Send + 'static>,
    builder: Builder<Streams>,
    answer: impl Fn(Request<Incoming>) -> F,
    stop: Stop,
) where
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin + Send + 'static,
{
    let talk = stream.talk();
    let answer = service_fn(|mut request: Request<Incoming>| {
        // HTTP/2 ends single streams, not connections; and with it, hyper knows no answers before the answer.
        let is_h2 = request.version() == Version::HTTP_2;
        talk.takes(is_h2 || request.body().is_end_stream());
        if request.version() == Version::HTTP_11 {
            request.extensions_mut().insert(Arc::clone(&talk));
        }
        let (answering, talk) = (answer(request), Arc::clone(&talk));
        async move {
            let response = answering.await;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                talk.becomes_tunnel();
            }
            Ok::<_, Infallible>(response.map(Handed))
        }
    });
    let mut connection = std::pin::pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), answer));
    let served = tokio::select! {
        () = stop.end.cancelled() => return,
        served = connection.as_mut() => served,
        () = stop.drain.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                () = stop.end.cancelled() => return,
                served = connection => served,
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "connection broken off");
    }
}

/// The first bytes of a connection: no more than tell whether it begins as HTTP/2 does. `None` where it ends before.
async fn beginning(stream: &mut (impl AsyncRead + Unpin)) -> Option<Bytes> {
    let mut start = [0; PREFACE.len()];
    let mut length = 0;
    while length < start.len() && start[..length] == PREFACE[..length] {
        length += stream.read(&mut start[length..]).await.ok().filter(|read| *read > 0)?;
    }
    Some(Bytes::copy_from_slice(&start[..length]))
}

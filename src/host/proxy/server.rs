//! Takes connections and serves them, each in a task of its own.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::metrics::Counted;
use super::service::{Ends, Service};
use super::upstream::seconds;

/// How long to wait after a connection could not be taken, for example because there are too many open files.
const RESPITE: Duration = Duration::from_millis(50);

/// How HTTP/2 begins (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Opens a port; connections wait there while the server is busy.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(4_096)
}

/// Ends of the server's life.
#[derive(Clone)]
pub(super) struct Stop {
    /// No more connections; those that are open end with the request under way.
    pub drain: CancellationToken,
    /// Everything ends.
    pub end: CancellationToken,
}

/// Serves until `stop` says otherwise. Never gives up on its own: a connection that cannot be taken is the next try's.
pub(super) async fn serve(listener: TcpListener, service: Arc<Service>, tasks: TaskTracker, stop: Stop) {
    let places = Arc::new(Semaphore::new(service.limits.connections));
    loop {
        let accepted = tokio::select! {
            () = stop.drain.cancelled() => return,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, ends, place)) => {
                let (service, stop) = (Arc::clone(&service), stop.clone());
                tasks.spawn(async move {
                    let _counted = Counted::new(&service.metrics.connections);
                    connection(stream, ends, service, stop).await;
                    drop(place);
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
    Ok((stream, Ends { peer, local }, place))
}

async fn connection(stream: TcpStream, ends: Ends, service: Arc<Service>, stop: Stop) {
    let is_h2 = tokio::select! {
        () = stop.drain.cancelled() => return,
        begins = begins_as_h2(&stream, Instant::now() + seconds(service.settings.idle_timeout)) => match begins {
            Some(is_h2) => is_h2,
            None => return,
        },
    };
    let builder = builder(&service, is_h2);
    let answer = service_fn(move |request| {
        let service = Arc::clone(&service);
        async move { Ok::<_, Infallible>(service.answer(request, ends).await) }
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
        tracing::debug!(peer = %ends.peer, %error, "connection broken off");
    }
}

/// Whether a connection begins as HTTP/2 does; `None` where it ends, or says too little in time.
async fn begins_as_h2(stream: &TcpStream, deadline: Instant) -> Option<bool> {
    let mut start = [0; PREFACE.len()];
    loop {
        let read = timeout_at(deadline, stream.peek(&mut start)).await.ok()?.ok().filter(|read| *read > 0)?;
        if read == start.len() || start[..read] != PREFACE[..read] {
            return Some(start == PREFACE);
        }
        // What was peeked at stays readable, so there is no event to wait for.
        timeout_at(deadline, sleep(Duration::from_millis(5))).await.ok()?;
    }
}

fn builder(service: &Service, is_h2: bool) -> Builder<TokioExecutor> {
    let builder = Builder::new(TokioExecutor::new());
    let mut builder = if is_h2 { builder.http2_only() } else { builder.http1_only() };
    let header_bytes = service.limits.header_bytes;
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(seconds(service.settings.idle_timeout))
        .max_buf_size(header_bytes.max(8_192))
        .max_headers(service.limits.headers);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(service.limits.streams)
        .keep_alive_interval(seconds(service.settings.idle_timeout))
        .keep_alive_timeout(seconds(service.settings.idle_timeout));
    builder
}

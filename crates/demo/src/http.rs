//! As much of an HTTP server as the site and the room need.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(super) type Answered = Response<Full<Bytes>>;

/// Answers requests until `end`.
pub(super) async fn serve<F>(listener: TcpListener, tasks: TaskTracker, end: CancellationToken, answer: F)
where
    F: Fn(Request<Incoming>, SocketAddr) -> Answered + Send + Sync + 'static,
{
    let answer = Arc::new(answer);
    loop {
        let accepted = tokio::select! {
            () = end.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, peer)) = accepted else {
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (answer, end) = (Arc::clone(&answer), end.clone());
        tasks.spawn(async move {
            tokio::select! { () = end.cancelled() => {}, () = connection(stream, peer, answer) => {} }
        });
    }
}

async fn connection<F>(stream: TcpStream, peer: SocketAddr, answer: Arc<F>)
where
    F: Fn(Request<Incoming>, SocketAddr) -> Answered,
{
    let service = service_fn(|request| {
        let response = answer(request, peer);
        async move { Ok::<_, Infallible>(response) }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(60));
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "connection broken off");
    }
}

//! Takes visitors' connections and serves them.

use std::sync::Arc;

use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use super::service::Service;
use crate::host::serving::connections::{self, Ends};
use crate::host::serving::guarded::Streams;
use crate::host::serving::{Stop, seconds};

/// Serves until `stop` says otherwise.
pub(super) async fn serve(listener: TcpListener, service: Arc<Service>, tasks: TaskTracker, stop: Stop) {
    let (max, open) = (service.limits.connections, service.metrics.connections.clone());
    let ended = stop.drain.clone();
    let serve = move |stream, ends| connection(stream, ends, Arc::clone(&service), stop.clone());
    connections::take(listener, max, open, tasks, ended, serve).await;
}

async fn connection(stream: TcpStream, ends: Ends, service: Arc<Service>, stop: Stop) {
    let answer = |request| {
        let service = Arc::clone(&service);
        async move { service.answer(request, ends).await }
    };
    let patience = seconds(service.settings.idle_timeout);
    connections::serve(stream, patience, |is_h2| builder(&service, is_h2), answer, stop).await;
}

fn builder(service: &Service, is_h2: bool) -> Builder<Streams> {
    let builder = Builder::new(Streams(seconds(service.settings.idle_timeout)));
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

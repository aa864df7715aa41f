//! Takes visitors' connections and serves them.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::announced;
use super::service::Service;
use crate::serving::address;
use crate::serving::connections::{self, Ends};
use crate::serving::guarded::{Guarded, Streams};
use crate::serving::{Stop, seconds};

/// Serves until `stop` says otherwise.
pub(super) async fn serve(listener: TcpListener, service: Arc<Service>, tasks: TaskTracker, stop: Stop) {
    let (max, open) = (service.limits.connections, service.metrics.connections.clone());
    let ended = stop.drain.clone();
    let serve = move |stream, ends| connection(stream, ends, Arc::clone(&service), stop.clone());
    connections::take(listener, max, open, tasks, ended, serve).await;
}

async fn connection(stream: TcpStream, ends: Ends, service: Arc<Service>, stop: Stop) {
    let patience = seconds(service.settings.idle_timeout);
    let announced = tokio::select! {
        () = stop.drain.cancelled() => return,
        announced = announced(stream, ends, &service, patience) => announced,
    };
    let Some((stream, mut ends)) = announced else { return };
    ends.is_tls = service.tls.is_some();
    let answer = |request| {
        let service = Arc::clone(&service);
        async move { service.answer(request, ends).await }
    };
    let Some(tls) = &service.tls else {
        return connections::serve(stream, patience, |is_h2| builder(&service, is_h2), answer, stop).await;
    };
    let accepted = tokio::select! {
        () = stop.drain.cancelled() => None,
        accepted = tls.accept(stream, patience) => accepted,
    };
    if let Some((stream, is_h2)) = accepted {
        let stream = Guarded::new(stream, Bytes::new(), patience);
        connections::converse(stream, builder(&service, is_h2), answer, stop).await;
    }
}

/// A connection with its visitor's end, whom the front may have to name first. `None` where it does not, or may not.
async fn announced(
    mut stream: TcpStream,
    mut ends: Ends,
    service: &Service,
    patience: Duration,
) -> Option<(TcpStream, Ends)> {
    let settings = &service.settings;
    if !settings.proxy_protocol {
        return Some((stream, ends));
    }
    let is_stranger = !settings.trusted_proxies.is_empty() && !address::is_front(settings, ends.peer.ip());
    let visitor = match is_stranger {
        true => Err("it comes from no trusted proxy".to_owned()),
        false => match timeout(patience, announced::visitor(&mut stream)).await {
            Err(_) => Err("it said nothing for too long".to_owned()),
            Ok(visitor) => visitor.map_err(|error| error.to_string()),
        },
    };
    match visitor {
        Ok(visitor) => ends.peer = visitor.unwrap_or(ends.peer),
        Err(why) => {
            service.counters.refused("unannounced");
            tracing::debug!(peer = %ends.peer.ip(), "connection refused: {why}");
            return None;
        }
    }
    Some((stream, ends))
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

//! What the operator's machinery asks, on an address of its own: `/livez`, `/readyz`, `/metrics`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::keeper::{Keeper, State};
use super::metrics::Metrics;

pub(in crate::host) struct Admin {
    pub keeper: Arc<Keeper>,
    pub metrics: Arc<Metrics>,
    pub leaving: CancellationToken,
}

impl Admin {
    /// Serves until everything ends: while the host drains, it says so here.
    pub(in crate::host) async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        tasks: TaskTracker,
        end: CancellationToken,
    ) {
        loop {
            let accepted = tokio::select! {
                () = end.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (admin, end) = (Arc::clone(&self), end.clone());
                    tasks.spawn(async move {
                        tokio::select! { () = end.cancelled() => {}, () = admin.connection(stream) => {} }
                    });
                }
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    }

    async fn connection(self: Arc<Self>, stream: TcpStream) {
        let answer = service_fn(|request| {
            let response = self.answer(&request);
            async move { Ok::<_, Infallible>(response) }
        });
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(30));
        if let Err(error) = builder.serve_connection(TokioIo::new(stream), answer).await {
            tracing::debug!(%error, "admin connection broken off");
        }
    }

    pub(in crate::host) fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        const TEXT: &str = "text/plain; charset=utf-8";
        const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET\n".into());
        }
        match request.uri().path() {
            "/livez" => answer(StatusCode::OK, TEXT, "alive\n".into()),
            "/readyz" if self.leaving.is_cancelled() => {
                answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, "draining\n".into())
            }
            "/readyz" => match &*self.keeper.state() {
                State::InForce(_) => answer(StatusCode::OK, TEXT, "ready\n".into()),
                State::Absent { why, .. } => {
                    answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("no policy in force: {why}\n"))
                }
            },
            "/metrics" => answer(StatusCode::OK, METRICS, self.metrics.text()),
            _ => answer(StatusCode::NOT_FOUND, TEXT, "/livez /readyz /metrics\n".into()),
        }
    }
}

fn answer(status: StatusCode, content_type: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

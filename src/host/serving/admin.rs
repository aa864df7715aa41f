//! What the operator's machinery asks, on an address of its own: `/livez`, `/readyz`, `/metrics`. Signed configurations
//! are taken here, too: at `/?__push_queueit_config`, for the policy of the host asked for, or at `/NAME?…`.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::aside;
use super::connections::{self, Ends};
use super::keeper::State;
use super::metrics::Metrics;
use super::tenants::Tenants;
use crate::connector::edge::{Identity, Outcome, Reply, push};

/// How long a request may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many at a time; more wait until one ends.
const CONNECTIONS: usize = 256;

const TEXT: &str = "text/plain; charset=utf-8";

pub(in crate::host) struct Admin {
    pub tenants: Arc<Tenants>,
    pub metrics: Arc<Metrics>,
    pub identity: Identity,
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
        let ended = end.clone();
        let serve = |stream, ends: Ends| {
            let (admin, end) = (Arc::clone(&self), end.clone());
            async move {
                tokio::select! { () = end.cancelled() => {}, () = admin.connection(stream, ends.peer.ip()) => {} }
            }
        };
        connections::take(listener, CONNECTIONS, Gauge::default(), tasks, ended, serve).await;
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, peer: IpAddr) {
        let answer = service_fn(|request: Request<Incoming>| {
            let admin = Arc::clone(&self);
            async move { Ok::<_, Infallible>(admin.take(request, peer).await) }
        });
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
        if let Err(error) = builder.serve_connection(TokioIo::new(stream), answer).await {
            tracing::debug!(%error, "admin connection broken off");
        }
    }

    #[cfg_attr(not(feature = "manage"), expect(unused_variables, reason = "who asks matters where much is at stake"))]
    async fn take(self: Arc<Self>, request: Request<Incoming>, peer: IpAddr) -> Response<Full<Bytes>> {
        if push::is_push(&request.uri().to_string()) {
            return self.take_push(request).await;
        }
        #[cfg(feature = "manage")]
        if let Some(management) = &self.tenants.management
            && !matches!(request.uri().path(), "/livez" | "/readyz" | "/metrics")
        {
            return management.answer(request, peer, &self.tenants).await;
        }
        self.answer(&request)
    }

    pub(in crate::host) fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET\n".into());
        }
        match request.uri().path() {
            "/livez" => answer(StatusCode::OK, TEXT, "alive\n".into()),
            "/readyz" if self.leaving.is_cancelled() => {
                answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, "draining\n".into())
            }
            "/readyz" => self.readiness(),
            "/metrics" => answer(StatusCode::OK, METRICS, self.metrics.text()),
            _ => answer(StatusCode::NOT_FOUND, TEXT, "/livez /readyz /metrics\n".into()),
        }
    }

    async fn take_push(self: Arc<Self>, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let name = request.uri().path().trim_matches('/').to_owned();
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let keeper = self.tenants.responsible(Some(&*name).filter(|name| !name.is_empty()), host).cloned();
        let Some(keeper) = keeper else { return answer(StatusCode::NOT_FOUND, TEXT, "no policy for this\n".into()) };
        let Ok(Ok(body)) = timeout(PATIENCE, Limited::new(request.into_body(), push::MAX_BODY).collect()).await else {
            return answer(StatusCode::BAD_REQUEST, TEXT, "no whole body\n".into());
        };
        let taken = aside(move || {
            let told = |reply: Reply<'_>| {
                tracing::info!(policy = keeper.name(), failed = reply.failed, "push");
                match reply.outcome {
                    Outcome::Answer { status, body, .. } => (status, body.to_owned()),
                    Outcome::Forward { .. } => (400, String::new()),
                }
            };
            keeper.take_push(&body.to_bytes(), &self.identity, told)
        });
        match taken.await.ok().flatten() {
            Some((status, text)) => {
                answer(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), TEXT, text)
            }
            None => answer(StatusCode::NOT_FOUND, TEXT, "pushes are not taken here\n".into()),
        }
    }

    /// Ready is who can decide for somebody: one broken policy among several keeps nobody else's visitors out.
    fn readiness(&self) -> Response<Full<Bytes>> {
        let (mut is_ready, mut lacks) = (false, String::new());
        for keeper in self.tenants.keepers() {
            match (&*keeper.state(), keeper.name()) {
                (State::InForce(deployment), name) => {
                    is_ready = true;
                    let of = name.map_or(String::new(), |name| format!(" of {name}"));
                    for (number, title, why) in deployment.policy.broken() {
                        lacks += &format!("integration {number} ({title}){of} is broken: {why}\n");
                    }
                }
                (State::Absent { why, .. }, None) => lacks += &format!("no policy in force: {why}\n"),
                (State::Absent { why, .. }, Some(name)) => lacks += &format!("no policy in force for {name}: {why}\n"),
            }
        }
        match is_ready {
            true => answer(StatusCode::OK, TEXT, format!("ready\n{lacks}")),
            false => answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, lacks),
        }
    }
}

fn answer(status: StatusCode, content_type: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

//! What the operator's machinery asks, on an address of its own: `/livez`, `/readyz`, `/metrics`. Signed configurations
//! are taken here, too: at `/?__push_queueit_config`, for the policy of the host asked for, or at `/NAME?…`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::aside;
use super::attended::{Attended, Place};
use super::connections;
use super::guarded::Guarded;
use super::keeper::State;
use super::metrics::Metrics;
use super::pushes::{Pushes, retry_after};
use super::tenants::Tenants;
use velvetrope::internal::edge::{Identity, Outcome, Reply, push};
use velvetrope::internal::request::Authority;

/// How long a request may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many at a time; more wait until one ends.
const CONNECTIONS: usize = 256;

/// How many of them may keep waiting for what they have to say. With one more, who has taken longest has to go: otherwise
/// few strangers that say nothing would keep out who asks whether all is well.
const WAITED_FOR: usize = 192;

const TEXT: &str = "text/plain; charset=utf-8";

pub(crate) struct Admin {
    pub tenants: Arc<Tenants>,
    pub metrics: Arc<Metrics>,
    pub identity: Identity,
    pub leaving: CancellationToken,
    /// Names by which it may be asked, beside addresses and `localhost`.
    pub hosts: Vec<String>,
    pub pushes: Pushes,
}

impl Admin {
    /// Serves until everything ends: while the host drains, it says so here.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener, tasks: TaskTracker, end: CancellationToken) {
        let (ended, attended) = (end.clone(), Attended::new(WAITED_FOR));
        let serve = |stream, _| {
            let (admin, end, place) = (Arc::clone(&self), end.clone(), attended.place());
            async move {
                tokio::select! {
                    () = end.cancelled() => {},
                    () = place.gone.cancelled() => {},
                    () = admin.connection(stream, Arc::clone(&place)) => {},
                }
            }
        };
        connections::take(listener, CONNECTIONS, Gauge::default(), tasks, ended, serve).await;
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, place: Arc<Place>) {
        let stream = Guarded::new(stream, Bytes::new(), PATIENCE);
        let talk = stream.talk();
        let answer = service_fn(|request: Request<Incoming>| {
            talk.takes(request.body().is_end_stream());
            let (admin, place) = (Arc::clone(&self), Arc::clone(&place));
            async move {
                let answer = admin.take(request, &place).await;
                place.wait();
                Ok::<_, Infallible>(answer)
            }
        });
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
        if let Err(error) = builder.serve_connection(TokioIo::new(stream), answer).await {
            tracing::debug!(%error, "admin connection broken off");
        }
    }

    async fn take(self: Arc<Self>, request: Request<Incoming>, place: &Place) -> Response<Full<Bytes>> {
        // What is signed may come by any name: by it, it is known whose it is.
        if push::is_push(&request.uri().to_string()) {
            return self.take_push(request, place).await;
        }
        if let Some(refusal) = self.refuse_other_hosts(&request) {
            return refusal;
        }
        if let Some(management) = &self.tenants.management
            && !matches!(request.uri().path(), "/livez" | "/readyz" | "/metrics")
        {
            return management.answer(request, self.tenants.keepers(), place).await;
        }
        self.answer(&request)
    }

    /// Refuses what is asked by a name that is not this address's: a page of another site can let its own name lead here,
    /// and then ask as if it were from here (DNS rebinding). Whether all is well, everybody may ask.
    fn refuse_other_hosts<B>(&self, request: &Request<B>) -> Option<Response<Full<Bytes>>> {
        if matches!(request.uri().path(), "/livez" | "/readyz") {
            return None;
        }
        let of_target = request.uri().authority().map(|authority| authority.as_str().as_bytes());
        let hosts = request.headers().get_all(HOST).iter().map(HeaderValue::as_bytes).chain(of_target);
        let other = hosts.into_iter().find(|host| !self.is_own(host))?;
        let other = String::from_utf8_lossy(other);
        let text = format!(
            "this is not {other:?}: ask by an IP address or as localhost, or name the host in `admin_hosts` of [proxy]\n"
        );
        Some(answer(StatusCode::MISDIRECTED_REQUEST, TEXT, text))
    }

    fn is_own(&self, host: &[u8]) -> bool {
        let Ok(host) = std::str::from_utf8(host) else { return false };
        let authority = Authority::of(host);
        if authority.port().is_some_and(|port| !port.bytes().all(|byte| byte.is_ascii_digit())) {
            return false;
        }
        let name = authority.host();
        authority.address().is_some()
            || name.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|own| own.eq_ignore_ascii_case(name) || own.eq_ignore_ascii_case(host))
    }

    pub(crate) fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
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

    async fn take_push(self: Arc<Self>, request: Request<Incoming>, place: &Place) -> Response<Full<Bytes>> {
        let name = request.uri().path().trim_matches('/').to_owned();
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let keeper = self.tenants.responsible(Some(&*name).filter(|name| !name.is_empty()), host).cloned();
        let Some(keeper) = keeper else { return answer(StatusCode::NOT_FOUND, TEXT, "no policy for this\n".into()) };
        let not_here = || answer(StatusCode::NOT_FOUND, TEXT, "pushes are not taken here\n".into());
        if !keeper.can_take_pushes() {
            return not_here();
        }
        let pushed = match self.pushes.read(request.into_body(), PATIENCE).await {
            Ok(pushed) => pushed,
            Err(unread) => {
                let (status, _, text, seconds) = unread.answer();
                let mut response = answer(status, TEXT, format!("{text}\n"));
                response.headers_mut().extend(seconds.map(retry_after));
                return response;
            }
        };
        place.work();
        let taken = aside(move || {
            let told = |reply: Reply<'_>| {
                tracing::info!(policy = keeper.name(), failed = reply.failed, "push");
                match reply.outcome {
                    Outcome::Answer { status, body, .. } => (status, body.to_owned()),
                    Outcome::Forward { .. } => (400, String::new()),
                }
            };
            keeper.take_push(&pushed.bytes, &self.identity, told)
        });
        match taken.await.ok().flatten() {
            Some((status, text)) => {
                answer(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), TEXT, text)
            }
            None => not_here(),
        }
    }

    /// Ready is who can decide for somebody: one broken policy among several keeps nobody else's visitors out.
    fn readiness(&self) -> Response<Full<Bytes>> {
        let (mut is_ready, mut lacks) = (false, String::new());
        for keeper in self.tenants.keepers().all() {
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

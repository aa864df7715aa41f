//! One request: read, decide, pass on or answer, tell.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bumpalo::Bump;
use hyper::body::{Body as _, Incoming as IncomingBody};
use hyper::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, SET_COOKIE,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use tokio_util::sync::CancellationToken;

use super::Limits;
use super::body::{self, AnyBody, Unread};
use super::counters::Counters;
use super::headers;
use super::upstream::{Passing, Tunnels, Upstream};
use super::visitor::{Visitor, version_text};
use crate::geo::GeoFacts;
use crate::serving::connections::Ends;
use crate::serving::keeper::{Keeper, State};
use crate::serving::metrics::{Counted, Metrics};
use crate::serving::pushes::{self, Pushes, retry_after};
use crate::serving::tls::Tls;
use crate::serving::{Event, Observer, aside, guarded, now_ms, seconds};
use velvetrope::internal::edge::{
    self, Arrivals, FailureClass, Header, Identity, Incoming, Outcome, Reply, Site, WayBack, push,
};
use velvetrope::internal::policy::{FailurePolicy, ProxySettings};
use velvetrope::internal::program::{Scratch, Verdict};
use velvetrope::internal::request::{Facts, Field, Value};

/// What all requests share.
pub(super) struct Service {
    pub keeper: Arc<Keeper>,
    pub upstream: Upstream,
    pub settings: ProxySettings,
    pub limits: Limits,
    pub identity: Identity,
    /// With visitors.
    pub tls: Option<Arc<Tls>>,
    /// Whether the host says that it soon will not serve.
    pub leaving: CancellationToken,
    /// Whether somebody who is not trusted has said that visitors use TLS.
    pub is_disbelieved: AtomicBool,
    pub metrics: Arc<Metrics>,
    pub counters: Counters,
    pub tunnels: Tunnels,
    pub pushes: Pushes,
    pub observer: Option<Observer>,
    pub arrivals: Arrivals,
}

/// What is known of a request's body before the decision.
struct Sent {
    has_body: bool,
    /// As triggers see it; empty where none looks.
    start: String,
}

/// A request that is answered without a decision, and why.
struct Refused {
    status: StatusCode,
    kind: &'static str,
    text: String,
    /// Seconds after which it may be asked again.
    retry_after: Option<u32>,
}

impl Refused {
    fn new(status: StatusCode, kind: &'static str, text: impl Into<String>) -> Refused {
        Refused { status, kind, text: text.into(), retry_after: None }
    }
}

impl From<pushes::Unread> for Refused {
    fn from(unread: pushes::Unread) -> Self {
        let (status, kind, text, retry_after) = unread.answer();
        Refused { retry_after, ..Refused::new(status, kind, text) }
    }
}

impl From<Unread> for Refused {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Slow => Refused::new(StatusCode::REQUEST_TIMEOUT, "slow-visitor", "the body came too slowly"),
            Unread::Broken(error) if body::is_too_long(&*error) => too_long(),
            Unread::Broken(_) => Refused::new(StatusCode::BAD_REQUEST, "bad-request", "the body broke off"),
        }
    }
}

impl Service {
    /// Answers one request, whatever happens.
    pub(super) async fn answer(self: &Arc<Self>, request: Request<IncomingBody>, ends: Ends) -> Response<AnyBody> {
        if let Some(path) = &self.settings.health_path
            && request.uri().path_and_query().is_some_and(|asked| asked.as_str() == path)
        {
            return self.health(request.method());
        }
        let started = Instant::now();
        let answered = match self.try_answer(request, ends, started).await {
            Ok(response) => response,
            Err(refused) => {
                self.counters.refused(refused.kind);
                tracing::info!(kind = refused.kind, peer = %ends.peer.ip(), "refused: {}", refused.text);
                let mut response = plain(refused.status, refused.text);
                response.headers_mut().extend(refused.retry_after.map(retry_after));
                response
            }
        };
        self.counters.answered(started.elapsed());
        answered
    }

    async fn try_answer(
        self: &Arc<Self>,
        request: Request<IncomingBody>,
        ends: Ends,
        started: Instant,
    ) -> Result<Response<AnyBody>, Refused> {
        let (mut parts, body) = request.into_parts();
        self.refuse_unservable(&parts)?;
        let visitor = Visitor::of(&parts.uri, parts.version, &parts.headers, ends, &self.settings)
            .map_err(|malformed| Refused::new(StatusCode::BAD_REQUEST, "bad-request", malformed.to_string()))?;
        self.warn_of_disbelief(&visitor, &parts.headers, ends.peer.ip());
        if let Ok(host) = HeaderValue::from_str(visitor.url.authority()) {
            parts.headers.insert(HOST, host);
        }
        let url = &visitor.url;
        let mut event = Event::new(parts.method.as_str(), url.authority(), url.path(), visitor.address);
        event.traced(parts.headers.get("traceparent").map(HeaderValue::as_bytes));
        let response = if push::is_push(url.as_str()) && self.takes_pushes() {
            let task = self.take_push(body).await?;
            task.tell(&mut event);
            self.metrics.decided(task.label, started.elapsed());
            self.carry_out(task.act, parts, body::empty(), &visitor, ends.peer.ip()).await
        } else {
            let state = self.keeper.state();
            let mut sent = Sent { has_body: !body.is_end_stream(), start: String::new() };
            let body = self.look_at_body(&state, body, &mut sent.start).await?;
            let deciding = Instant::now();
            let task = self.decide(&state, &parts, &visitor, &sent, ends.local);
            self.metrics.decided(task.label, deciding.elapsed());
            task.tell(&mut event);
            event.judged(task.verdict, &state);
            state.in_force().inspect(|deployment| deployment.count(task.verdict));
            self.carry_out(task.act, parts, body, &visitor, ends.peer.ip()).await
        };
        event.status = response.status().as_u16();
        event.took = started.elapsed();
        event.log();
        if event.is_misdirected() {
            self.metrics.misdirected(&event.host);
        }
        if let Some(observer) = &self.observer {
            observer(&event);
        }
        Ok(response)
    }

    /// Tells a load balancer whether visitors can be sent here, and nothing else.
    fn health(&self, method: &Method) -> Response<AnyBody> {
        let is_ready = matches!(&*self.keeper.state(), State::InForce(_)) && !self.leaving.is_cancelled();
        let mut response = match (method, is_ready) {
            (&Method::GET | &Method::HEAD, true) => plain(StatusCode::OK, "ready"),
            (&Method::GET | &Method::HEAD, false) => plain(StatusCode::SERVICE_UNAVAILABLE, "not ready"),
            _ => plain(StatusCode::METHOD_NOT_ALLOWED, "only GET"),
        };
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// Says once that visitors seem to use TLS with a proxy that nobody has told this one to believe: they are all sent
    /// back to `http://`.
    fn warn_of_disbelief(&self, visitor: &Visitor, headers: &HeaderMap, peer: IpAddr) {
        let says_https = headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
        if says_https && !visitor.is_told && visitor.url.scheme() == "http" {
            let is_news = !self.is_disbelieved.swap(true, Ordering::Relaxed);
            if is_news {
                tracing::warn!(
                    %peer,
                    "a request says X-Forwarded-Proto: https and is not believed, so redirects lead to http://; if your \
                     proxy sent it, name it in proxy.trusted_proxies"
                );
            }
        }
    }

    fn refuse_unservable(&self, parts: &Parts) -> Result<(), Refused> {
        if parts.method == Method::CONNECT || parts.uri.path() == "*" {
            let text = "this is no proxy of that kind: ask for a path";
            return Err(Refused::new(StatusCode::BAD_REQUEST, "bad-request", text));
        }
        let header_bytes: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        if header_bytes > self.limits.header_bytes {
            let text = "the headers are longer than allowed";
            return Err(Refused::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers-too-long", text));
        }
        let length = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if let (Some(length), Some(max)) = (length, self.limits.body_bytes)
            && length > max
        {
            return Err(too_long());
        }
        Ok(())
    }

    /// The whole body; its start in `start`, if a trigger or rule looks at it.
    async fn look_at_body(&self, state: &State, body: IncomingBody, start: &mut String) -> Result<AnyBody, Refused> {
        let is_wanted = match state {
            State::InForce(deployment) => deployment.policy.program().needs().body,
            State::Absent { .. } => false,
        };
        let is_empty = body.is_end_stream();
        let body = body::limited(body, self.limits.body_bytes);
        if !is_wanted || is_empty {
            return Ok(body);
        }
        let (seen, body) = body::peek(body, seconds(self.settings.idle_timeout)).await?;
        *start = seen;
        Ok(body)
    }

    fn decide(&self, state: &State, parts: &Parts, visitor: &Visitor, sent: &Sent, local: SocketAddr) -> Task {
        let deployment = match state {
            State::InForce(deployment) => deployment,
            State::Absent { class, why, .. } => {
                return self.fail(*class, &state.failure(FailurePolicy::default()), why);
            }
        };
        let headers: Vec<(&str, &[u8])> =
            parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let facts = ProxyFacts { geo: deployment.geo.of(visitor.address), local, arrivals: &self.arrivals };
        let incoming = Incoming {
            method: parts.method.as_str(),
            url: &visitor.url,
            version: version_text(parts.version),
            headers: &headers,
            client_ip: visitor.address,
            body: &sent.start,
            has_body: sent.has_body,
            now_ms: now_ms(),
            facts: &facts,
        };
        let site = Site { policy: &deployment.policy, secrets: &deployment.secrets, identity: &self.identity };
        guarded(|scratch| Task::of(edge::handle(site, &incoming, scratch))).unwrap_or_else(|| {
            self.fail(FailureClass::Internal, &deployment.policy.settings.failure, "the decision panicked")
        })
    }

    fn fail(&self, class: FailureClass, policy: &FailurePolicy, why: &str) -> Task {
        Task::of(edge::handle_failure(class, policy, &self.identity, why, &mut Scratch::default()))
    }

    async fn carry_out(
        &self,
        act: Act,
        parts: Parts,
        body: AnyBody,
        visitor: &Visitor,
        peer: IpAddr,
    ) -> Response<AnyBody> {
        let (request_headers, response_headers, way_back) = match act {
            Act::Forward { request_headers, response_headers, way_back } => {
                (request_headers, response_headers, way_back)
            }
            Act::Answer(response) => return response,
        };
        let passing = Passing { parts, body, visitor, peer, extra_headers: request_headers };
        let counted = || Counted::new(&self.counters.tunnels);
        let mut response = match self.upstream.pass(passing, &self.tunnels, counted).await {
            Ok(response) => response,
            Err(error) if error.is_visitors() => {
                self.counters.refused(error.kind());
                tracing::info!(kind = error.kind(), %peer, "{error}");
                plain(error.status(), error.to_string())
            }
            Err(error) => {
                self.counters.origin_failed(error.kind());
                tracing::warn!(kind = error.kind(), "{error}");
                plain(error.status(), "The site does not answer. Please try again in a moment.")
            }
        };
        match way_back {
            WayBack::Untouched => {}
            WayBack::Private => headers::make_private(response.headers_mut()),
            WayBack::WithoutBody => response = without_body(response),
        }
        add_headers(&mut response, response_headers);
        response
    }

    fn takes_pushes(&self) -> bool {
        self.keeper.settings().is_some_and(|settings| settings.delivery.push)
    }

    async fn take_push(self: &Arc<Self>, body: IncomingBody) -> Result<Task, Refused> {
        let failed = || Refused::new(StatusCode::SERVICE_UNAVAILABLE, "push-failed", "no secret to check it with");
        if !self.keeper.can_take_pushes() {
            return Err(failed());
        }
        let pushed = self.pushes.read(body, seconds(self.settings.idle_timeout)).await?;
        let service = Arc::clone(self);
        let taken = aside(move || service.keeper.take_push(&pushed.bytes, &service.identity, Task::of));
        taken.await.ok().flatten().ok_or_else(failed)
    }
}

/// A reply that outlives the memory it was made in.
struct Task {
    act: Act,
    verdict: Option<Verdict>,
    failed: Option<String>,
    label: &'static str,
}

enum Act {
    Forward { request_headers: OwnedHeaders, response_headers: OwnedHeaders, way_back: WayBack },
    Answer(Response<AnyBody>),
}

type OwnedHeaders = Vec<(HeaderName, HeaderValue)>;

impl Task {
    fn of(reply: Reply<'_>) -> Task {
        let act = match reply.outcome {
            Outcome::Forward { request_headers, response_headers, way_back } => Act::Forward {
                request_headers: owned(request_headers),
                response_headers: owned(response_headers),
                way_back,
            },
            Outcome::Answer { status, headers, body } => Act::Answer(answer(status, headers, body)),
        };
        Task { act, verdict: reply.verdict, failed: reply.failed.map(str::to_owned), label: reply.label }
    }

    fn tell(&self, event: &mut Event) {
        event.decision = self.label;
        event.failed = self.failed.clone();
    }
}

fn answer(status: u16, headers: &[Header<'_>], body: &str) -> Response<AnyBody> {
    let mut response = Response::new(if body.is_empty() { body::empty() } else { body::full(body.to_owned()) });
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    add_headers(&mut response, owned(headers));
    response
}

/// What HTTP cannot carry is left out.
fn owned(headers: &[Header<'_>]) -> OwnedHeaders {
    let owned =
        |(name, value): &Header<'_>| Some((HeaderName::try_from(*name).ok()?, HeaderValue::from_str(value).ok()?));
    headers.iter().filter_map(owned).collect()
}

/// What the proxy knows of a connection.
struct ProxyFacts<'d> {
    geo: GeoFacts<'d>,
    local: SocketAddr,
    arrivals: &'d Arrivals,
}

impl Facts for ProxyFacts<'_> {
    fn fact<'a>(&'a self, field: Field, arena: &'a Bump) -> Option<Value<'a>> {
        match field {
            Field::CfEdgeServerIp => Some(Value::Ip(self.local.ip().to_canonical())),
            Field::CfRandomSeed => {
                let seed = arena.alloc([0; 16]);
                getrandom::fill(seed).ok()?;
                Some(Value::Bytes(seed))
            }
            _ => self.geo.fact(field, arena),
        }
    }

    fn note_arrival(&self, arrival: &str, now: i64) -> bool {
        self.arrivals.note(arrival, now)
    }
}

fn too_long() -> Refused {
    Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-long", "the body is longer than allowed")
}

fn plain(status: StatusCode, text: impl Into<String>) -> Response<AnyBody> {
    let mut response = Response::new(body::full(text.into() + "\n"));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// An answer of which only what stands before its body goes on.
fn without_body(response: Response<AnyBody>) -> Response<AnyBody> {
    let (mut parts, _) = response.into_parts();
    for name in [CONTENT_LENGTH, CONTENT_ENCODING, SET_COOKIE] {
        parts.headers.remove(name);
    }
    Response::from_parts(parts, body::empty())
}

/// Ours take the place of the origin's; cookies stand beside them.
fn add_headers(response: &mut Response<AnyBody>, headers: OwnedHeaders) {
    for (name, value) in headers {
        if name == SET_COOKIE {
            response.headers_mut().append(name, value);
        } else {
            response.headers_mut().insert(name, value);
        }
    }
}

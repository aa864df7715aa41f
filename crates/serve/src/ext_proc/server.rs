//! Streams and connections of the callout.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as TaskContext, Poll, ready};
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::Stream;
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::{Code, Status, Streaming};
use tonic_health::pb::health_server::{Health, HealthServer, SERVICE_NAME as HEALTH};
use tonic_health::server::health_reporter;

use super::Limits;
use super::exchange::{Context, Exchange, Step};
use super::proto::envoy::service::ext_proc::v3::external_processor_server::{
    ExternalProcessor, ExternalProcessorServer, SERVICE_NAME,
};
use super::proto::envoy::service::ext_proc::v3::processing_response::Response as Answer;
use super::proto::envoy::service::ext_proc::v3::{ProcessingRequest, ProcessingResponse};
use super::request::addressee;
use super::workers::Workers;
use crate::serving::admin::Admin;
use crate::serving::guarded::{Guarded, Streams};
use crate::serving::keeper::{Keeper, State};
use crate::serving::metrics::Metrics;
use crate::serving::tenants::Tenants;
use crate::serving::tls::Tls;
use crate::serving::{Observer, Stop, connections, guarded, now_ms};
use velvetrope::internal::edge::{Arrivals, FailureClass, Identity};
use velvetrope::internal::policy::OnOverload;
use velvetrope::internal::program::Scratch;

/// What all streams share.
pub(super) struct Callout {
    pub tenants: Arc<Tenants>,
    pub metrics: Arc<Metrics>,
    pub identity: Identity,
    /// See [`Context`].
    pub random: fn(&mut [u8]) -> bool,
    pub arrivals: Arrivals,
    /// Streams that are open.
    pub requests: AtomicUsize,
    pub max_requests: usize,
    pub observer: Option<Observer>,
}

/// What all connections share.
pub(super) struct Server {
    pub callout: Arc<Callout>,
    pub admin: Arc<Admin>,
    pub limits: Limits,
    pub idle_timeout: Duration,
    pub tls: Option<Arc<Tls>>,
    pub workers: Workers,
}

/// Answers gRPC, and what the operator's machinery asks by plain HTTP.
struct Router<H> {
    processor: ExternalProcessorServer<Shared>,
    health: HealthServer<H>,
    admin: Arc<Admin>,
}

impl Server {
    /// Serves until `stop` says otherwise.
    pub(super) async fn serve(self, listener: TcpListener, tasks: TaskTracker, stop: Stop) {
        let (reporter, health) = health_reporter();
        reporter.set_service_status(SERVICE_NAME, tonic_health::ServingStatus::Serving).await;
        let leaving = stop.leaving.clone();
        tasks.spawn(async move {
            leaving.cancelled().await;
            for service in ["", SERVICE_NAME] {
                reporter.set_service_status(service, tonic_health::ServingStatus::NotServing).await;
            }
        });
        let processor = ExternalProcessorServer::new(Shared(Arc::clone(&self.callout)))
            .max_decoding_message_size(self.limits.message_bytes);
        let router = Arc::new(Router { processor, health, admin: self.admin });
        let (limits, idle_timeout) = (self.limits, self.idle_timeout);
        let open = self.callout.metrics.connections.clone();
        let ended = stop.drain.clone();
        let (tls, workers) = (self.tls, self.workers);
        let serve = move |stream: TcpStream, _| {
            let (router, tls, stop) = (Arc::clone(&router), tls.clone(), stop.clone());
            let served = workers.serve(stream, async move |stream| {
                let answer = |request| Arc::clone(&router).answer(request);
                let builder = |is_h2| builder(is_h2, limits, idle_timeout);
                let Some(tls) = tls else {
                    return connections::serve(stream, idle_timeout, builder, answer, stop).await;
                };
                let accepted = tokio::select! {
                    () = stop.drain.cancelled() => None,
                    accepted = tls.accept(stream, idle_timeout) => accepted,
                };
                if let Some((stream, is_h2)) = accepted {
                    let stream = Guarded::new(stream, Bytes::new(), idle_timeout);
                    connections::converse(stream, builder(is_h2), is_h2.then_some(idle_timeout), answer, stop).await;
                }
            });
            // What panicked or was broken off has said so.
            async { served.await.unwrap_or_default() }
        };
        connections::take(listener, limits.connections, open, tasks, ended, serve).await;
    }
}

/// A proxy in front ends every stream by resetting it: that is no attack, and must not end the connection.
fn builder(is_h2: bool, limits: Limits, idle_timeout: Duration) -> Builder<Streams> {
    /// At a time, of streams that nobody has looked at yet.
    const RESETS: usize = 1 << 20;
    let builder = Builder::new(Streams(idle_timeout));
    let mut builder = if is_h2 { builder.http2_only() } else { builder.http1_only() };
    builder.http1().timer(TokioTimer::new()).header_read_timeout(idle_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_pending_accept_reset_streams(RESETS)
        // These are counted for as long as the connection lives: what arrives too late for a stream that has its answer
        // is one of them, so that any limit would be reached some day, and cost every stream that is open then.
        .max_local_error_reset_streams(None)
        .keep_alive_interval(idle_timeout)
        .keep_alive_timeout(idle_timeout);
    builder
}

impl<H: Health> Router<H> {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let service = request.uri().path().strip_prefix('/').and_then(|path| path.split('/').next());
        let answered = match (service.unwrap_or_default(), request.uri().path()) {
            (SERVICE_NAME, _) => self.processor.clone().call(request.map(Body::new)).await,
            (HEALTH, _) => self.health.clone().call(request.map(Body::new)).await,
            (_, "/livez" | "/readyz") => {
                Ok(self.admin.answer(&request).map(|text| Body::new(text.map_err(|never| match never {}))))
            }
            _ => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NOT_FOUND;
                Ok(response)
            }
        };
        answered.unwrap_or_else(|never| match never {})
    }
}

/// For tonic, which wants a type of ours.
struct Shared(Arc<Callout>);

#[tonic::async_trait]
impl ExternalProcessor for Shared {
    type ProcessStream = Answers;

    async fn process(
        &self,
        request: tonic::Request<Streaming<ProcessingRequest>>,
    ) -> Result<tonic::Response<Answers>, Status> {
        let callout = Arc::clone(&self.0);
        let is_one_too_many = callout.requests.fetch_add(1, Ordering::Relaxed) >= callout.max_requests;
        if is_one_too_many {
            callout.metrics.overloaded.inc();
        }
        let questions = request.into_inner();
        let exchange = Exchange::default();
        Ok(tonic::Response::new(Answers { questions, exchange, callout, is_one_too_many, is_over: false }))
    }
}

/// The answers of one stream, each made when its question is there.
pub(super) struct Answers {
    questions: Streaming<ProcessingRequest>,
    exchange: Exchange,
    callout: Arc<Callout>,
    is_one_too_many: bool,
    is_over: bool,
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.callout.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Stream for Answers {
    type Item = Result<ProcessingResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        while !self.is_over {
            let answer = match ready!(Pin::new(&mut self.questions).poll_next(task)) {
                Some(Ok(message)) => self.step(message),
                Some(Err(status)) if is_illegible(&status) => self.give_up(&status),
                // This is how proxies end streams, and no error.
                Some(Err(_)) | None => break,
            };
            if let Some(answer) = answer {
                return Poll::Ready(Some(Ok(answer)));
            }
        }
        Poll::Ready(None)
    }
}

impl Answers {
    fn step(&mut self, message: ProcessingRequest) -> Option<ProcessingResponse> {
        self.exchange.follow(message.request.as_ref()?).or_else(|| Some(self.decide(&message)))
    }

    fn decide(&mut self, message: &ProcessingRequest) -> ProcessingResponse {
        let started = Instant::now();
        let callout = Arc::clone(&self.callout);
        let (name, host) = addressee(message);
        let keeper = callout.tenants.responsible(name, host);
        let state = callout.tenants.state(keeper);
        let context = callout.context(&state, keeper);
        let is_one_too_many = self.is_one_too_many;
        let exchange = &mut self.exchange;
        let step = guarded(|scratch| match is_one_too_many && !decides_under_overload(&state) {
            true => exchange.fail(FailureClass::Overload, "too many requests at once", Some(message), context, scratch),
            false => exchange.decide(message, context, scratch),
        });
        let why = "the decision panicked";
        let mut panicked = |told, scratch: &mut _| exchange.fail(FailureClass::Internal, why, told, context, scratch);
        // What it panicked of may be the message.
        let step = step.or_else(|| guarded(|scratch| panicked(Some(message), scratch)));
        let step = step.unwrap_or_else(|| panicked(None, &mut Scratch::default()));
        self.tell(step, started)
    }

    /// A message that nobody can read is followed by no other.
    fn give_up(&mut self, status: &Status) -> Option<ProcessingResponse> {
        self.is_over = true;
        if self.exchange.is_decided() {
            return None;
        }
        let why = format!("a message cannot be read: {}", status.message());
        let callout = Arc::clone(&self.callout);
        let keeper = callout.tenants.responsible(None, None);
        let state = callout.tenants.state(keeper);
        let context = callout.context(&state, keeper);
        let step = match status.code() {
            Code::OutOfRange => self.exchange.refuse_long(context),
            _ => self.exchange.fail(FailureClass::Internal, &why, None, context, &mut Scratch::default()),
        };
        Some(self.tell(step, Instant::now()))
    }

    fn tell(&mut self, step: Step, started: Instant) -> ProcessingResponse {
        let Step { response, mut event } = step;
        event.took = started.elapsed();
        self.callout.metrics.decided(event.decision, event.took);
        event.log();
        if event.is_misdirected() {
            self.callout.metrics.misdirected(&event.host);
        }
        if let Some(observer) = &self.callout.observer {
            observer(&event);
        }
        self.is_over |= matches!(response.response, Some(Answer::ImmediateResponse(_)));
        response
    }
}

impl Callout {
    fn context<'c>(&'c self, state: &'c State, keeper: Option<&'c Arc<Keeper>>) -> Context<'c> {
        let policy = keeper.and_then(|keeper| keeper.name());
        let Callout { identity, random, arrivals, .. } = self;
        Context { state, policy, identity, now_ms: now_ms(), random: *random, arrivals }
    }
}

/// Whether the operator has it decided about as ever what comes while there is too much to do: to decide takes no longer
/// than to answer without.
fn decides_under_overload(state: &State) -> bool {
    state.settings().is_none_or(|settings| settings.failure.overload == OnOverload::Queue)
}

/// Whether a message was longer than allowed, or is none.
fn is_illegible(status: &Status) -> bool {
    matches!(status.code(), Code::OutOfRange | Code::Internal)
}

#[cfg(test)]
mod tests;

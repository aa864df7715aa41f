//! The way to the origin and back.

use std::net::IpAddr;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::{Request, Response, StatusCode, Uri, Version};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::body::{AnyBody, BoxError, Progress, Tracked, is_too_long};
use super::headers;
use super::visitor::Visitor;
use crate::host::serving::metrics::Counted;
use crate::host::serving::seconds;
use crate::policy::ProxySettings;

/// The site behind the proxy, and the connections to it.
pub(super) struct Upstream {
    client: Client<HttpConnector, Tracked>,
    origin: Authority,
    response_timeout: Duration,
}

/// Why the origin has no say in the answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpstreamError {
    #[error("no connection to the origin: {0}")]
    Connect(BoxError),
    #[error("the origin did not accept a connection in time")]
    ConnectTimeout,
    #[error("the origin did not answer in time")]
    ResponseTimeout,
    #[error("the visitor did not send the whole request in time")]
    SlowVisitor,
    #[error("the request is longer than allowed")]
    TooLong,
    #[error("the exchange with the origin failed: {0}")]
    Exchange(BoxError),
}

impl UpstreamError {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            UpstreamError::Connect(_) => "connect",
            UpstreamError::ConnectTimeout => "connect-timeout",
            UpstreamError::ResponseTimeout => "response-timeout",
            UpstreamError::SlowVisitor => "slow-visitor",
            UpstreamError::TooLong => "too-long",
            UpstreamError::Exchange(_) => "exchange",
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        match self {
            UpstreamError::Connect(_) | UpstreamError::Exchange(_) => StatusCode::BAD_GATEWAY,
            UpstreamError::ConnectTimeout | UpstreamError::ResponseTimeout => StatusCode::GATEWAY_TIMEOUT,
            UpstreamError::SlowVisitor => StatusCode::REQUEST_TIMEOUT,
            UpstreamError::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }
}

/// What a tunnel needs to be ended, waited for and counted.
pub(super) struct Tunnels {
    pub tracker: TaskTracker,
    pub end: CancellationToken,
}

/// A request that may pass.
pub(super) struct Passing<'v> {
    pub parts: Parts,
    pub body: AnyBody,
    pub visitor: &'v Visitor,
    pub peer: IpAddr,
    pub trusts_hops: bool,
    /// For the origin alone.
    pub extra_headers: Vec<(HeaderName, HeaderValue)>,
}

impl Upstream {
    /// `origin` as in the settings: `http://HOST[:PORT]`.
    pub(super) fn new(origin: &str, settings: &ProxySettings) -> Result<Upstream, String> {
        let origin = authority(origin)?;
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(seconds(settings.connect_timeout)));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(60))
            .set_host(false)
            .build(connector);
        Ok(Upstream { client, origin, response_timeout: seconds(settings.response_timeout) })
    }

    /// Sends a request on and brings the answer back; redirects are the visitor's to follow.
    pub(super) async fn pass(
        &self,
        passing: Passing<'_>,
        tunnels: &Tunnels,
        counted: impl FnOnce() -> Counted,
    ) -> Result<Response<AnyBody>, UpstreamError> {
        let Passing { mut parts, body, visitor, peer, trusts_hops, extra_headers } = passing;
        let upgrade = headers::upgrade_of(&parts.headers).filter(|_| parts.version == Version::HTTP_11);
        let visitors_side = upgrade.as_ref().and_then(|_| parts.extensions.remove::<hyper::upgrade::OnUpgrade>());
        headers::for_origin(&mut parts.headers, visitor, peer, trusts_hops);
        for (name, value) in extra_headers {
            parts.headers.insert(name, value);
        }
        if let Some(protocol) = upgrade {
            headers::set_upgrade(&mut parts.headers, protocol);
        }
        parts.uri = self.uri(&parts.uri, visitor.url.target());
        parts.version = Version::HTTP_11;
        let mut response = self.exchange(parts, body).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let Some(visitors_side) = visitors_side else {
                return Err(UpstreamError::Exchange("it changed the protocol unasked".into()));
            };
            let origins_side = hyper::upgrade::on(&mut response);
            tunnels.tracker.spawn(tunnel(visitors_side, origins_side, tunnels.end.clone(), counted()));
        }
        Ok(for_visitor(response))
    }

    async fn exchange(&self, parts: Parts, body: AnyBody) -> Result<Response<Incoming>, UpstreamError> {
        let progress = Progress::new();
        let tracked = Tracked { body, progress: progress.clone() };
        let has_body = !hyper::body::Body::is_end_stream(&tracked);
        let mut answer = std::pin::pin!(self.client.request(Request::from_parts(parts, tracked)));
        loop {
            let deadline = progress.last() + self.response_timeout;
            tokio::select! {
                answer = &mut answer => return answer.map_err(classify),
                () = sleep_until(deadline) => {}
            }
            if progress.last() + self.response_timeout <= Instant::now() {
                let waits_for_visitor = has_body && !progress.is_through();
                return Err(if waits_for_visitor {
                    UpstreamError::SlowVisitor
                } else {
                    UpstreamError::ResponseTimeout
                });
            }
        }
    }

    /// The target that was decided about, at the origin.
    fn uri(&self, asked: &Uri, target: &str) -> Uri {
        let mut parts = hyper::http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.origin.clone());
        // Nearly always it is the one that was sent, which need not be read again.
        let sent = asked.path_and_query().filter(|sent| sent.as_str() == target).cloned();
        let decided = sent.or_else(|| PathAndQuery::try_from(target).ok());
        parts.path_and_query = decided.or_else(|| Some(PathAndQuery::from_static("/")));
        Uri::from_parts(parts).expect("scheme, authority and path make a URI")
    }
}

/// Reads `http://HOST[:PORT]`.
fn authority(origin: &str) -> Result<Authority, String> {
    let wanted = "write `http://HOST:PORT`";
    let uri: Uri = origin.parse().map_err(|error| format!("origin `{origin}`: {error}; {wanted}"))?;
    if uri.scheme() == Some(&Scheme::HTTPS) {
        return Err(format!("origin `{origin}`: the proxy speaks no TLS to the origin; {wanted}"));
    }
    let bare = uri.scheme() == Some(&Scheme::HTTP) && uri.path() == "/" && uri.query().is_none();
    uri.authority().filter(|_| bare).cloned().ok_or_else(|| format!("origin `{origin}` is not an origin; {wanted}"))
}

fn for_visitor(response: Response<Incoming>) -> Response<AnyBody> {
    let (mut parts, body) = response.into_parts();
    let upgrade = headers::upgrade_of(&parts.headers).filter(|_| parts.status == StatusCode::SWITCHING_PROTOCOLS);
    headers::remove_hop_by_hop(&mut parts.headers);
    if let Some(protocol) = upgrade {
        headers::set_upgrade(&mut parts.headers, protocol);
    }
    parts.version = Version::default();
    Response::from_parts(parts, body.map_err(BoxError::from).boxed_unsync())
}

/// Carries bytes both ways until both sides have said all, or the proxy ends.
async fn tunnel(
    visitor: hyper::upgrade::OnUpgrade,
    origin: hyper::upgrade::OnUpgrade,
    end: CancellationToken,
    _counted: Counted,
) {
    let carry = async {
        let (visitor, origin) = tokio::try_join!(visitor, origin)?;
        let (mut visitor, mut origin) = (TokioIo::new(visitor), TokioIo::new(origin));
        tokio::io::copy_bidirectional(&mut visitor, &mut origin).await?;
        Ok::<(), BoxError>(())
    };
    tokio::select! {
        ended = carry => if let Err(error) = ended { tracing::debug!(%error, "tunnel broken off") },
        () = end.cancelled() => {}
    }
}

fn classify(error: hyper_util::client::legacy::Error) -> UpstreamError {
    if is_too_long(&error) {
        return UpstreamError::TooLong;
    }
    if !error.is_connect() {
        return UpstreamError::Exchange(error.into());
    }
    let sources = std::iter::successors(Some(&error as &(dyn std::error::Error + 'static)), |error| error.source());
    let is_timeout = sources.filter_map(|error| error.downcast_ref::<std::io::Error>());
    if is_timeout.into_iter().any(|error| error.kind() == std::io::ErrorKind::TimedOut) {
        return UpstreamError::ConnectTimeout;
    }
    UpstreamError::Connect(error.into())
}

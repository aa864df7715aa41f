//! The way to the origin and back.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::{Request, Response, StatusCode, Uri, Version};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};
use tokio_util::io::InspectReader;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::body::{Answered, AnyBody, BoxError, Progress, Stage, Upload, is_too_long};
use super::headers;
use super::lasting::Lasting;
use super::visitor::Visitor;
use crate::serving::guarded::Talk;
use crate::serving::metrics::Counted;
use crate::serving::seconds;
use velvetrope::internal::policy::ProxySettings;

/// How many header lines an answer of the origin may have.
const MAX_HEADERS: usize = 256;

/// How many answers before the answer may wait to go on; more are left out.
const HINTS: usize = 8;

/// The site behind the proxy, and the connections to it.
pub(super) struct Upstream {
    client: Client<HttpsConnector<Lasting>, Upload>,
    scheme: Scheme,
    origin: Authority,
    /// Where trusted proxies name the visitor, if not in X-Forwarded-For.
    named_by: Option<String>,
    response_timeout: Duration,
}

/// How the settings name an origin.
const WANTED: &str = "write `http://HOST:PORT` or `https://HOST`";

/// Why no origin can be spoken to as the settings have it.
#[derive(Debug, thiserror::Error)]
pub(super) enum OriginError {
    #[error("origin `{origin}`: {error}; {WANTED}")]
    Malformed {
        origin: String,
        #[source]
        error: hyper::http::uri::InvalidUri,
    },
    #[error("origin `{0}` is not an origin; {WANTED}")]
    NotAnOrigin(String),
    #[error("{}: {error}", file.display())]
    Unreadable {
        file: PathBuf,
        #[source]
        error: pem::Error,
    },
    #[error("{}: not certificates of those who may vouch for the origin", .0.display())]
    NotCertificates(PathBuf),
    #[error(
        "the system trusts nobody to vouch for the origin: install its certificates (`ca-certificates` on Debian), or \
         name a file in `proxy.origin_ca`"
    )]
    NoRoots,
    #[error(transparent)]
    Protocol(#[from] rustls::Error),
}

/// Why the origin has no say in the answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum UpstreamError {
    #[error("no connection to the origin: {0}")]
    Connect(#[source] BoxError),
    #[error("the origin did not accept a connection in time")]
    ConnectTimeout,
    #[error("the origin did not answer in time")]
    ResponseTimeout,
    #[error("the visitor did not send the whole request in time")]
    SlowVisitor,
    #[error("the request is longer than allowed")]
    TooLong,
    #[error("the visitor's body broke off, or is none")]
    BadBody,
    #[error("the exchange with the origin failed: {0}")]
    Exchange(#[source] BoxError),
}

impl UpstreamError {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            UpstreamError::Connect(_) => "connect",
            UpstreamError::ConnectTimeout => "connect-timeout",
            UpstreamError::ResponseTimeout => "response-timeout",
            UpstreamError::SlowVisitor => "slow-visitor",
            UpstreamError::TooLong => "body-too-long",
            UpstreamError::BadBody => "bad-request",
            UpstreamError::Exchange(_) => "exchange",
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        match self {
            UpstreamError::Connect(_) | UpstreamError::Exchange(_) => StatusCode::BAD_GATEWAY,
            UpstreamError::ConnectTimeout | UpstreamError::ResponseTimeout => StatusCode::GATEWAY_TIMEOUT,
            UpstreamError::SlowVisitor => StatusCode::REQUEST_TIMEOUT,
            UpstreamError::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            UpstreamError::BadBody => StatusCode::BAD_REQUEST,
        }
    }

    /// Whether it is the visitor's doing, and not the origin's.
    pub(super) fn is_visitors(&self) -> bool {
        matches!(self, UpstreamError::SlowVisitor | UpstreamError::TooLong | UpstreamError::BadBody)
    }
}

/// What a tunnel needs to be ended, waited for and counted.
pub(super) struct Tunnels {
    pub tracker: TaskTracker,
    pub end: CancellationToken,
    /// How long one may be open without a byte in either direction.
    pub idle: Duration,
}

/// A request that may pass.
pub(super) struct Passing<'v> {
    pub parts: Parts,
    pub body: AnyBody,
    pub visitor: &'v Visitor,
    pub peer: IpAddr,
    /// For the origin alone.
    pub extra_headers: Vec<(HeaderName, HeaderValue)>,
}

impl Upstream {
    /// `origin` as in the settings: `http://HOST[:PORT]` or `https://…`. Files stand in `folder`. Blocks.
    pub(super) fn new(origin: &str, settings: &ProxySettings, folder: &Path) -> Result<Upstream, OriginError> {
        let (scheme, origin) = address(origin)?;
        let roots = match scheme == Scheme::HTTPS {
            true => roots(settings.origin_ca.as_ref().map(|file| folder.join(file)).as_deref())?,
            false => RootCertStore::empty(),
        };
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let tls = tls.with_safe_default_protocol_versions()?;
        let tls = tls.with_root_certificates(roots).with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let connector = connector.wrap_connector(Lasting(connector_of(settings)));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(60))
            .set_host(false)
            .http1_max_headers(MAX_HEADERS)
            .build(connector);
        let named_by = settings.client_ip_header.clone().filter(|name| name != "x-forwarded-for");
        Ok(Upstream { client, scheme, origin, named_by, response_timeout: seconds(settings.response_timeout) })
    }

    /// Sends a request on and brings the answer back; redirects are the visitor's to follow.
    pub(super) async fn pass(
        &self,
        passing: Passing<'_>,
        tunnels: &Tunnels,
        counted: impl FnOnce() -> Counted,
    ) -> Result<Response<AnyBody>, UpstreamError> {
        let Passing { mut parts, body, visitor, peer, extra_headers } = passing;
        let is_websocket = parts.version == Version::HTTP_11 && headers::is_for_websocket(&parts.headers);
        let visitors_side = parts.extensions.remove::<hyper::upgrade::OnUpgrade>().filter(|_| is_websocket);
        headers::for_origin(&mut parts.headers, visitor, peer, self.named_by.as_deref());
        for (name, value) in extra_headers {
            parts.headers.insert(name, value);
        }
        if visitors_side.is_some() {
            headers::set_websocket(&mut parts.headers);
        }
        parts.uri = self.uri(&parts.uri, visitor.url.target());
        parts.version = Version::HTTP_11;
        if !body.is_end_stream() && !parts.headers.contains_key(CONTENT_LENGTH) {
            // Else hyper takes it that a GET has no body.
            parts.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        let talk = parts.extensions.remove::<Arc<Talk>>();
        let upload = Upload::new(body);
        let request = Request::from_parts(parts, upload.clone());
        let mut response = self.exchange(request, &upload.progress, talk.as_deref()).await?;
        let is_tunnel = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if is_tunnel {
            let Some(visitors_side) = visitors_side.filter(|_| headers::is_for_websocket(response.headers())) else {
                return Err(UpstreamError::Exchange("it changed the protocol unasked".into()));
            };
            let origins_side = hyper::upgrade::on(&mut response);
            let (idle, end) = (tunnels.idle, tunnels.end.clone());
            tunnels.tracker.spawn(tunnel(visitors_side, origins_side, idle, end, counted()));
        }
        Ok(for_visitor(response, upload, is_tunnel))
    }

    async fn exchange(
        &self,
        mut request: Request<Upload>,
        progress: &Progress,
        talk: Option<&Talk>,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let mut hints = hints(&mut request);
        let mut answer = std::pin::pin!(self.client.request(request));
        loop {
            let deadline = progress.last() + self.response_timeout;
            tokio::select! {
                biased;
                Some(hint) = hints.recv() => if let Some(talk) = talk { talk.hint(&hint) },
                answer = &mut answer => return answer.map_err(|error| classify(error, progress.stage())),
                () = sleep_until(deadline) => {}
            }
            if progress.last() + self.response_timeout <= Instant::now() {
                let waits_for_visitor = progress.stage() == Stage::UnderWay;
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
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.origin.clone());
        // Nearly always it is the one that was sent, which need not be read again.
        let sent = asked.path_and_query().filter(|sent| sent.as_str() == target).cloned();
        let decided = sent.or_else(|| PathAndQuery::try_from(target).ok());
        parts.path_and_query = decided.or_else(|| Some(PathAndQuery::from_static("/")));
        Uri::from_parts(parts).expect("scheme, authority and path make a URI")
    }
}

fn connector_of(settings: &ProxySettings) -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(seconds(settings.connect_timeout)));
    connector.set_nodelay(true);
    connector.enforce_http(false);
    connector
}

/// Reads `http://HOST[:PORT]` or `https://…`.
fn address(origin: &str) -> Result<(Scheme, Authority), OriginError> {
    let uri: Uri = origin.parse().map_err(|error| OriginError::Malformed { origin: origin.to_owned(), error })?;
    let is_bare = uri.path() == "/" && uri.query().is_none();
    let scheme = uri.scheme().filter(|scheme| is_bare && [Scheme::HTTP, Scheme::HTTPS].contains(scheme));
    let address = scheme.cloned().zip(uri.authority().cloned());
    address.ok_or_else(|| OriginError::NotAnOrigin(origin.to_owned()))
}

/// Who may vouch for the origin: those in the file, or whom the system trusts. Its own roots, not a list that is built in:
/// operators add to them, and take away from them.
fn roots(file: Option<&Path>) -> Result<RootCertStore, OriginError> {
    let certificates = match file {
        Some(file) => {
            let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            read.map_err(|error| OriginError::Unreadable { file: file.to_owned(), error })?
        }
        None => {
            let native = rustls_native_certs::load_native_certs();
            native.errors.iter().for_each(|error| tracing::warn!(%error, "a certificate that the system trusts"));
            native.certs
        }
    };
    let mut roots = RootCertStore::empty();
    let (_, unusable) = roots.add_parsable_certificates(certificates);
    match (roots.is_empty(), file) {
        (false, None) => Ok(roots),
        (false, Some(_)) if unusable == 0 => Ok(roots),
        (_, Some(file)) => Err(OriginError::NotCertificates(file.to_owned())),
        (true, None) => Err(OriginError::NoRoots),
    }
}

/// The headers of each 103 that the origin sends before its answer (RFC 8297).
fn hints<B>(request: &mut Request<B>) -> mpsc::Receiver<HeaderMap> {
    let (tell, told) = mpsc::channel(HINTS);
    hyper::ext::on_informational(request, move |interim| {
        if interim.status() == StatusCode::EARLY_HINTS {
            let mut headers = interim.headers().clone();
            headers::remove_hop_by_hop(&mut headers);
            // One for whom there is no room is only a hint.
            _ = tell.try_send(headers);
        }
    });
    told
}

fn for_visitor(response: Response<Incoming>, upload: Upload, is_tunnel: bool) -> Response<AnyBody> {
    let (mut parts, body) = response.into_parts();
    let is_last = headers::is_last(&parts.headers);
    headers::remove_hop_by_hop(&mut parts.headers);
    if is_tunnel {
        headers::set_websocket(&mut parts.headers);
    }
    parts.version = Version::default();
    Response::from_parts(parts, Answered { body, upload, is_last }.boxed_unsync())
}

/// Carries bytes both ways until both sides have said all, or neither has said anything for too long, or the proxy ends.
async fn tunnel(
    visitor: hyper::upgrade::OnUpgrade,
    origin: hyper::upgrade::OnUpgrade,
    idle: Duration,
    end: CancellationToken,
    _counted: Counted,
) {
    let progress = Progress::new(Stage::UnderWay);
    let noted = |side| {
        let progress = progress.clone();
        InspectReader::new(TokioIo::new(side), move |_: &[u8]| progress.moved(Stage::UnderWay))
    };
    let carry = async {
        let (visitor, origin) = tokio::try_join!(visitor, origin)?;
        let (mut visitor, mut origin) = (noted(visitor), noted(origin));
        tokio::io::copy_bidirectional(&mut visitor, &mut origin).await?;
        Ok::<(), BoxError>(())
    };
    tokio::select! {
        ended = carry => if let Err(error) = ended { tracing::debug!(%error, "tunnel broken off") },
        () = idles(&progress, idle) => tracing::debug!("tunnel idle for too long"),
        () = end.cancelled() => {}
    }
}

/// Until nothing has moved for that long.
async fn idles(progress: &Progress, idle: Duration) {
    while progress.last() + idle > Instant::now() {
        sleep_until(progress.last() + idle).await;
    }
}

fn classify(error: hyper_util::client::legacy::Error, body: Stage) -> UpstreamError {
    if is_too_long(&error) {
        return UpstreamError::TooLong;
    }
    if body == Stage::Broken {
        return UpstreamError::BadBody;
    }
    if !error.is_connect() {
        return UpstreamError::Exchange(error.into());
    }
    let sources = || std::iter::successors(Some(&error as &(dyn std::error::Error + 'static)), |error| error.source());
    let mut io = sources().filter_map(|error| error.downcast_ref::<std::io::Error>());
    if io.any(|error| error.kind() == std::io::ErrorKind::TimedOut) {
        return UpstreamError::ConnectTimeout;
    }
    // The outer ones say only that there is no connection.
    let innermost = sources().last().map(ToString::to_string);
    UpstreamError::Connect(innermost.unwrap_or_default().into())
}

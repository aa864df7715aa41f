//! Managing bypass rules: the waiting-room API and the dashboard, and the store behind both.
//!
//! Everything goes through [`Manager::answer`]: a request, the database and the circumstances in, a response out. Each
//! request is one transaction of the host, which keeps it exactly if the answer says so; what is refused has changed
//! nothing. The module does no I/O of its own, and knows nothing of how requests of visitors are decided but for what
//! [`Live`] tells.

use http::header::{AUTHORIZATION, HeaderName, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};

use access::Caller;
use database::{Database, DatabaseError};
use failure::{Code, Failure};
use store::Store;

use velvetrope::internal::room::Occupancy;

pub mod access;
mod api;
mod body;
pub mod builder;
mod dashboard;
pub mod database;
pub mod failure;
pub mod har;
pub mod items;
pub mod secrets;
pub mod snapshot;
pub mod store;

pub use api::{API, openapi};

/// What is true while a request is answered.
pub struct Circumstances<'a> {
    /// Milliseconds since the Unix epoch.
    pub now: i64,
    /// Fills a buffer with random bytes that nobody can guess.
    pub random: store::Random<'a>,
    /// What the data path tells.
    pub live: &'a dyn Live,
}

/// What the data path tells of itself. It knows rooms by their ids in the protocol.
pub trait Live {
    /// How often a bypass rule has let a request pass, as far as that was counted; `None` where nobody counts.
    fn hits(&self, _zone: &str, _room: &str, _rule: &str) -> Option<u64> {
        None
    }

    /// How full a waiting room is; `None` where it is elsewhere.
    fn occupancy(&self, _zone: &str, _room: &str) -> Option<Occupancy> {
        None
    }
}

/// What became of a request.
pub struct Answer {
    /// For whoever asked.
    pub response: Response<Vec<u8>>,
    /// Whether what was changed in the database is to be kept.
    pub keep: bool,
    /// What the log should say.
    pub trouble: Option<String>,
}

/// Answers requests to the API and to the dashboard.
#[derive(Default)]
pub struct Manager {
    /// Digest of a token that the host was given, with which everything may be done.
    own_token: Option<String>,
}

impl Manager {
    /// A manager for which this secret of the host's is a token, beside those in the store.
    pub fn with_token(secret: &str) -> Manager {
        Manager { own_token: Some(secrets::digest(secret)) }
    }

    /// Whether whoever asks has shown that he may: what is large is read of nobody else.
    pub fn knows(
        &self,
        database: &dyn Database,
        request: &Request<Vec<u8>>,
        circumstances: Circumstances<'_>,
    ) -> Result<bool, DatabaseError> {
        let Circumstances { now, random, live } = circumstances;
        let visit = Visit { manager: self, store: Store::new(database, now, random, ""), request, live };
        let known = match dashboard::is_of_it(request.uri().path()) {
            true => visit.session().map(|session| session.is_some()),
            false => visit.bearer().map(|_| true),
        };
        known.or_else(|failure| failure.cause.map_or(Ok(false), Err))
    }

    /// Answers one request, whose whole body has been read.
    pub fn answer(
        &self,
        database: &dyn Database,
        request: &Request<Vec<u8>>,
        circumstances: Circumstances<'_>,
    ) -> Answer {
        let Circumstances { now, random, live } = circumstances;
        let visit = Visit { manager: self, store: Store::new(database, now, random, ""), request, live };
        match request.uri().path() {
            path if path.starts_with(API) => visit.api(),
            path if dashboard::is_of_it(path) => visit.dashboard(),
            "/" => Answer { response: redirect("/dashboard"), keep: false, trouble: None },
            path => Answer::refusal(&Failure::not_found("page", path)),
        }
    }
}

/// The largest body, in bytes, that a request may have: lists come whole.
pub fn body_limit(method: &Method, path: &str) -> usize {
    const LIST: usize = 48 * 1024 * 1024;
    const OTHERS: usize = 4 * 1024 * 1024;
    let is_list = path.contains("/lists") && *method != Method::GET;
    if is_list { LIST } else { OTHERS }
}

/// The answer to a request whose body is too large to be read.
pub fn too_large(limit: usize) -> Response<Vec<u8>> {
    let message = format!("the body is larger than {} MiB", limit / (1024 * 1024));
    Answer::refusal(&Failure::new(413, Code::TooLarge, message)).response
}

/// The answer to a request that cannot even be looked at: a page in the dashboard, and else as the API has it.
pub fn refusal(path: &str, failure: &Failure) -> Response<Vec<u8>> {
    match dashboard::is_of_it(path) {
        true => dashboard::refusal(failure),
        false => Answer::refusal(failure).response,
    }
}

/// One request on its way to an answer.
struct Visit<'a> {
    manager: &'a Manager,
    store: Store<'a>,
    request: &'a Request<Vec<u8>>,
    live: &'a dyn Live,
}

impl Visit<'_> {
    /// Who asks, by the token in `Authorization`, or in `X-Auth-Key`.
    fn bearer(&self) -> Result<Caller, Failure> {
        let header = |name: HeaderName| self.request.headers().get(name).and_then(|value| value.to_str().ok());
        let bearer = header(AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        // Older clients send it so, beside an address that has no meaning here.
        let Some(secret) = bearer.or_else(|| header(HeaderName::from_static("x-auth-key"))) else {
            let message = "no token: send it as `Authorization: Bearer …`; `velvetrope admin token create` makes one";
            return Err(Failure::new(401, Code::Authentication, message));
        };
        self.holder(secret.trim())
    }

    /// Whose token this is.
    fn holder(&self, secret: &str) -> Result<Caller, Failure> {
        access::caller(&self.store, self.manager.own_token.as_deref(), secret)?
            .ok_or_else(|| Failure::new(401, Code::Authentication, "the token is wrong, or has been revoked"))
    }
}

impl Answer {
    fn refusal(failure: &Failure) -> Answer {
        let trouble = failure.cause.as_ref().map(ToString::to_string);
        Answer { response: api::refusal(failure), keep: false, trouble }
    }
}

fn redirect(to: &'static str) -> Response<Vec<u8>> {
    let mut response = Response::new(Vec::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(LOCATION, HeaderValue::from_static(to));
    response
}

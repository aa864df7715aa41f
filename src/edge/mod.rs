//! What every host does alike around a decision (docs/protocol/queue-it.md#response).
//!
//! A host makes a [`CanonicalUrl`] of what its request asks for, and answers with [`refuse`] where there is none. It turns
//! the request into an [`Incoming`], calls [`handle`], and does what the [`Reply`] says; what goes to the origin is what
//! the canonical URL says. [`LastGood`] keeps the policy to decide by; where there is none, it calls [`handle_failure`]. [`push`] accepts
//! configurations that Queue-it sends, and [`pull`] says when to fetch one.
//!
//! Official defects that are mended here: a request whose token cannot be decoded does not pass unseen (its token is
//! refused), taking the token out of a URL leaves a URL that means the same (all tokens go, `?` stays), and every
//! Set-Cookie is kept. As in the official wrappers, an ajax call that brings a valid token is redirected to the URL
//! without it, too: scripts follow that redirect, and the next call is answered.

use std::net::IpAddr;

use bumpalo::Bump;
use serde::{Deserialize, Serialize};

use crate::policy::{FailurePolicy, OnFailure, OnOverload, Policy, ScriptRequests};
use crate::program::{Scratch, Verdict};
pub use crate::queueit::Secrets;
use crate::queueit::token::Token;
use crate::queueit::{
    ClientIp, Configuration, Decision, Failure, Kind, NoOutside, Outside, Reason, TriggerView, Visit, resolve,
    token_of, without_token,
};
use crate::request::{CanonicalUrl, Facts, Malformed, OwnedRequest, RequestParts, RequestView};

mod caching;
mod described;
pub mod explain;
mod last_good;
pub mod pull;
pub mod push;
mod readings;
mod response;
mod rounds;
mod spelling;
#[cfg(test)]
mod tests;
mod unknown_hosts;

pub use caching::{Private, private};
pub use described::Described;
pub use last_good::{LastGood, PolicyState, Tried};
pub use rounds::Arrivals;
pub use spelling::{
    VERDICT_HEADER, is_forwarding_header, is_oddly_spelt, is_taken_for, is_target_header, is_verdict_header,
    nameable_forgeries, names_host,
};
pub use unknown_hosts::{Refusal, UnknownHosts, unknown_host};

/// An error of somebody else's making: what a host, a file system or a network says.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How this connector names itself.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `ver`: default `velvetrope-VERSION`.
    pub sdk: String,
    /// `kupver`: default `HOST-VERSION`, for example `proxy-0.1.0`.
    pub platform: String,
    /// Value of `x-queueit-connector`: the host's name.
    pub connector: String,
}

impl Identity {
    /// The default for a host, such as `proxy`.
    pub fn of_host(host: &str) -> Identity {
        const VERSION: &str = env!("CARGO_PKG_VERSION");
        Identity {
            sdk: format!("velvetrope-{VERSION}"),
            platform: format!("{host}-{VERSION}"),
            connector: host.to_owned(),
        }
    }
}

/// A request as a host received it.
#[derive(Clone, Copy)]
pub struct Incoming<'r> {
    /// As received.
    pub method: &'r str,
    /// What the visitor asks for, token included.
    pub url: &'r CanonicalUrl<'r>,
    /// `HTTP/1.1`, `HTTP/2`, …
    pub version: &'r str,
    /// In order, as received; but the one Host header, if it is among them, is the authority of `url`.
    pub headers: &'r [(&'r str, &'r [u8])],
    /// The visitor's address, if known.
    pub client_ip: Option<IpAddr>,
    /// The start of the body where the program needs it, else "".
    pub body: &'r str,
    /// Whether more than a head was sent, or may be: over HTTP/2 no header has to tell of a body.
    pub has_body: bool,
    /// Milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// What the host knows besides.
    pub facts: &'r dyn Facts,
}

impl Reply<'_> {
    /// Whether it refuses the host that is asked for: see [`unknown_host`].
    pub fn is_misdirected(&self) -> bool {
        self.label == REFUSED && matches!(self.outcome, Outcome::Answer { status: MISDIRECTED, .. })
    }
}

impl<'r> Incoming<'r> {
    /// A request as a host would hand it on that knows these facts; `url` is what it asks for, and `headers` are its own.
    pub fn of(
        request: &'r OwnedRequest,
        url: &'r CanonicalUrl<'r>,
        headers: &'r [(&'r str, &'r [u8])],
        facts: &'r dyn Facts,
    ) -> Incoming<'r> {
        Incoming {
            method: &request.method,
            url,
            version: &request.version,
            headers,
            client_ip: request.client_ip,
            body: &request.body,
            has_body: !request.body.is_empty(),
            now_ms: request.received_ms,
            facts,
        }
    }

    /// The request as rules and triggers see it; `pure_url` is its URL [`without_token`].
    pub fn view(&self, pure_url: &'r str, arena: &'r Bump) -> TriggerView<'r> {
        let parts = RequestParts {
            method: self.method,
            url: self.url.as_str(),
            version: self.version,
            headers: self.headers,
            client_ip: self.client_ip,
            body: self.body,
            received_ms: self.now_ms,
            facts: self.facts,
        };
        let request = RequestView::new(parts, arena).with_path(self.url.is_plain().then(|| self.url.path()));
        TriggerView::new(request, pure_url)
    }
}

/// What the host shall do. Its texts are borrowed from the request's arena, the policy and the identity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reply<'r> {
    /// Forward or answer.
    pub outcome: Outcome<'r>,
    /// What the program said; `None` where it was not asked.
    pub verdict: Option<Verdict>,
    /// Why the failure policy was applied, if it was; for logs and metrics, without secrets.
    pub failed: Option<&'r str>,
    /// One word for logs and metrics: `pass`, `bypass`, `queue`, `session`, `token`, `direct-pass`, `cancel`,
    /// `ignore`, `error`, `debug`, `preflight`, `no-cookie`, `push`, `refused`, `failed-open`, `failed-closed`.
    pub label: &'static str,
}

/// A header to set: its name in lower case, and its value.
pub type Header<'r> = (&'static str, &'r str);

/// The two things a host can do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome<'r> {
    /// Pass the request to the origin, with these headers added to the request (after any of the same name from the
    /// client is removed) and these added to its response. Set-Cookie comes once for each cookie.
    Forward {
        /// For the origin.
        request_headers: &'r [Header<'r>],
        /// For the visitor.
        response_headers: &'r [Header<'r>],
        /// What else becomes of the response.
        way_back: WayBack,
    },
    /// Answer without the origin.
    Answer {
        /// HTTP status.
        status: u16,
        /// In order.
        headers: &'r [Header<'r>],
        /// Usually empty.
        body: &'r str,
    },
}

/// How the origin's response goes on to the visitor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WayBack {
    /// As it is.
    #[default]
    Untouched,
    /// As one that belongs to the visitor alone, so that no shared cache keeps it: see [`private`].
    Private,
    /// Its status and headers alone: the answer to a CORS preflight, which needs no more, while there are sites that
    /// answer OPTIONS with the page.
    WithoutBody,
}

/// What is answered to requests for a host that is not the site's (RFC 9110, section 15.5.20).
pub const MISDIRECTED: u16 = 421;

/// The label of requests that ask for nothing which can be served.
pub const REFUSED: &str = "refused";

/// Everything that stays the same from request to request.
#[derive(Clone, Copy)]
pub struct Site<'p> {
    /// The policy in force.
    pub policy: &'p Policy,
    /// Its secrets.
    pub secrets: &'p Secrets,
    /// How the connector names itself.
    pub identity: &'p Identity,
}

/// Decides about one request and says what the host shall do. For hosts without verify action, direct pass and
/// enqueue tokens.
pub fn handle<'r>(site: Site<'r>, incoming: &Incoming<'r>, scratch: &'r mut Scratch) -> Reply<'r> {
    handle_with(site, incoming, &NoOutside, scratch)
}

/// Decides about one request and says what the host shall do, asking `outside` where that is necessary.
pub fn handle_with<'r>(
    site: Site<'r>,
    incoming: &Incoming<'r>,
    outside: &'r dyn Outside,
    scratch: &'r mut Scratch,
) -> Reply<'r> {
    let arena = scratch.start();
    let examination = examine(site, incoming, outside, arena);
    response::reply(site, incoming, &examination, arena)
}

/// The reply to a request that asks for nothing which can be served: 400, whatever the failure policy says, for the
/// mistake is the visitor's.
pub fn refuse<'r>(malformed: Malformed, identity: &'r Identity, scratch: &'r mut Scratch) -> Reply<'r> {
    let arena = scratch.start();
    response::refused(400, bumpalo::format!(in arena, "{}", malformed).into_bump_str(), identity, arena)
}

/// What the program and the connector say of one request, before it becomes a response.
#[derive(Debug)]
pub struct Examination<'v> {
    /// What the program says; `None` where it was not asked.
    pub verdict: Option<Verdict>,
    /// Which of the request's readings (`readings::judge`) it says that of, from 0.
    pub reading: usize,
    /// The URL without the token, which the triggers saw.
    pub pure_url: &'v str,
    /// What follows from it.
    pub outcome: Examined<'v>,
}

/// The ways in which an examination can end.
#[derive(Debug)]
pub enum Examined<'v> {
    /// The request passes untouched.
    Bypassed,
    /// The connector has decided.
    Decided(Decision<'v>),
    /// The decision itself failed: why, and what cookies to set all the same.
    Failed(Failure<'v>),
    /// The request is for a host that is not the site's.
    Misdirected,
    /// Its path can be read in too many ways.
    Refused(Malformed),
}

impl Examined<'_> {
    /// Whether the visitor is sent elsewhere.
    fn keeps_out(&self) -> bool {
        matches!(self, Examined::Decided(decision) if decision.redirect.is_some())
    }
}

/// Examines one request.
///
/// A path that origins may read in several ways is judged in each of them, and what is strictest counts: it passes only
/// if all its readings pass. Texts of the result are kept in `arena`.
pub fn examine<'v>(
    site: Site<'v>,
    incoming: &Incoming<'v>,
    outside: &'v dyn Outside,
    arena: &'v Bump,
) -> Examination<'v> {
    let pure_url = pure_url(incoming, arena);
    if !site.policy.settings.is_served(incoming.url) {
        return Examination { verdict: None, reading: 0, pure_url, outcome: Examined::Misdirected };
    }
    let decide = |verdict| outcome(site, incoming, verdict, pure_url, outside, arena);
    if readings::are_one(site.policy, incoming.url) {
        let verdict = site.policy.program.evaluate(&incoming.view(pure_url, arena), arena);
        return Examination { verdict: Some(verdict), reading: 0, pure_url, outcome: decide(verdict) };
    }
    match readings::judge(site.policy, incoming, pure_url, arena) {
        Err(malformed) => Examination { verdict: None, reading: 0, pure_url, outcome: Examined::Refused(malformed) },
        Ok(judgement) => {
            let (reading, outcome) = judgement.strictest(site.policy, decide);
            let verdict = judgement.all().nth(reading).map(|judged| judged.verdict);
            Examination { verdict, reading, pure_url, outcome }
        }
    }
}

/// The URL that triggers see: without what is there for a connector.
fn pure_url<'v>(incoming: &Incoming<'v>, arena: &'v Bump) -> &'v str {
    rounds::without_mark(without_token(incoming.url.as_str(), arena))
}

/// What follows from a verdict.
fn outcome<'v>(
    site: Site<'v>,
    incoming: &Incoming<'v>,
    verdict: Verdict,
    pure_url: &'v str,
    outside: &'v dyn Outside,
    arena: &'v Bump,
) -> Examined<'v> {
    if let Verdict::Bypassed { .. } = verdict {
        return Examined::Bypassed;
    }
    let visit = visit(site, incoming, pure_url, outside, arena);
    let version = &site.policy.integrations.version;
    let configuration = Configuration::InForce { version, matched: site.policy.matched(verdict) };
    match resolve(&visit, configuration, outside) {
        Ok(decision) => Examined::Decided(decision),
        Err(failure) => Examined::Failed(failure),
    }
}

fn visit<'v>(
    site: Site<'v>,
    incoming: &Incoming<'v>,
    pure_url: &'v str,
    outside: &'v dyn Outside,
    arena: &'v Bump,
) -> Visit<'v> {
    Visit {
        customer_id: &site.policy.settings.customer_id,
        secrets: site.secrets,
        sdk: &site.identity.sdk,
        url: incoming.url.as_str(),
        pure_url,
        token: Token::parse(token_of(incoming.url.as_str(), incoming.headers, arena)),
        headers: incoming.headers,
        client_ip: incoming.client_ip.map_or(ClientIp::Unknown, ClientIp::Address),
        now_ms: incoming.now_ms,
        waiting_room_origin: site.policy.settings.waiting_room_origin.as_deref(),
        shared_sessions: site.policy.settings.shared_sessions,
        token_leeway: site.policy.settings.token.leeway,
        answers_scripts: site.policy.settings.script_requests == ScriptRequests::Answer,
        services: outside.services(),
        arena,
    }
}

/// What can be missing or broken (docs/decisions.md#7-failures-are-a-policy-class-by-class).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureClass {
    /// There is no configuration.
    NoConfiguration,
    /// There is one, and it does not compile.
    InvalidConfiguration,
    /// The store that holds it cannot be reached.
    StoreUnreachable,
    /// There is more to do at once than the host is set up for, and no decision can be had.
    Overload,
    /// Anything else.
    Internal,
}

impl FailureClass {
    /// What the operator wants done.
    pub fn on_failure(self, policy: &FailurePolicy) -> OnFailure {
        match self {
            FailureClass::NoConfiguration => policy.no_configuration,
            FailureClass::InvalidConfiguration => policy.invalid_configuration,
            FailureClass::StoreUnreachable => policy.store_unreachable,
            FailureClass::Overload => match policy.overload {
                OnOverload::Open => OnFailure::Open,
                // Nobody knows who would have to wait, so that nobody gets past.
                OnOverload::Queue | OnOverload::Closed => OnFailure::Closed,
            },
            FailureClass::Internal => policy.internal,
        }
    }
}

/// What the host shall do about a request that cannot be decided about. `why` is for logs.
pub fn handle_failure<'r>(
    class: FailureClass,
    policy: &FailurePolicy,
    identity: &'r Identity,
    why: &'r str,
    scratch: &'r mut Scratch,
) -> Reply<'r> {
    response::failed(class, policy, identity, why, &[], scratch.start())
}

impl Reason {
    /// One word for logs and metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Reason::NothingMatched => "pass",
            Reason::Ignored => "ignore",
            Reason::SessionValid => "session",
            Reason::TokenValid => "token",
            Reason::DirectPass | Reason::DirectPassFailed => "direct-pass",
            Reason::MustQueue(_) => "queue",
            Reason::TokenRefused(_) | Reason::SessionOfOtherIp | Reason::QueueIdRefused => "error",
            Reason::SessionCancelled | Reason::NoSessionToCancel => "cancel",
            Reason::DebugRefused(_) => "debug",
        }
    }
}

impl Decision<'_> {
    /// Whether a visitor passes with a session, so that a token in the URL has done its work.
    fn passes_with_session(&self) -> bool {
        self.kind == Some(Kind::Queue) && self.redirect.is_none()
    }
}

//! What every host does alike around a decision (protocol, section 4 "Response", section 6).
//!
//! A host turns its request into an [`Incoming`], calls [`handle`], and does what the [`Reply`] says.

use std::net::IpAddr;

use crate::policy::Policy;
use crate::program::{Scratch, Verdict};
use crate::request::Facts;
pub use crate::session::Secrets;

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

/// A request as a host received it.
#[derive(Clone, Copy)]
pub struct Incoming<'r> {
    /// As received.
    pub method: &'r str,
    /// Absolute URL as the visitor asked for it.
    pub url: &'r str,
    /// `HTTP/1.1`, `HTTP/2`, …
    pub version: &'r str,
    /// In order, as received.
    pub headers: &'r [(&'r str, &'r [u8])],
    /// The visitor's address, if known.
    pub client_ip: Option<IpAddr>,
    /// The start of the body where the program needs it, else "".
    pub body: &'r str,
    /// Milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// What the host knows besides.
    pub facts: &'r dyn Facts,
}

/// What the host shall do.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// Forward or answer.
    pub outcome: Outcome,
    /// What the program said; `None` where it could not (see `failed`).
    pub verdict: Option<Verdict>,
    /// Why the failure policy was applied, if it was; for logs and metrics, without secrets.
    pub failed: Option<String>,
    /// One word for logs and metrics: `pass`, `bypass`, `queue`, `session`, `token`, `cancel`, `ignore`, `error`,
    /// `debug`, `push`, `failed-open`, `failed-closed`.
    pub label: &'static str,
}

/// The two things a host can do.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Pass the request to the origin, with these headers added to the request (after any of the same name from the
    /// client is removed) and these added to the response. Set-Cookie comes once for each cookie.
    Forward {
        /// For the origin.
        request_headers: Vec<(&'static str, String)>,
        /// For the visitor.
        response_headers: Vec<(&'static str, String)>,
    },
    /// Answer without the origin.
    Answer {
        /// HTTP status.
        status: u16,
        /// In order.
        headers: Vec<(&'static str, String)>,
        /// Usually empty.
        body: String,
    },
}

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

/// Decides about one request and says what the host shall do.
pub fn handle(_site: Site<'_>, _incoming: &Incoming<'_>, _scratch: &mut Scratch) -> Reply {
    todo!()
}

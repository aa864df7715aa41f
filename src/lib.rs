//! A waiting-room connector: it stands in front of a site and decides, for every request, whether the visitor may
//! pass, must go to the waiting room, or is someone the rope opens for.
//!
//! Who wants a verdict or a decision and nothing else, needs what stands at the root:
//!
//! ```
//! use velvetrope::{Request, Rules};
//!
//! let rules: Rules = r#"http.request.uri.path in {"/robots.txt" "/health"} and ssl"#.parse()?;
//! assert!(rules.matches(&Request::get("https://tickets.example/health"))?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Rules`] go from text to a verdict, and [`Policy::decide`] from a policy to what becomes of a request. Both allocate
//! what they need. Beneath them is what hosts are built on, where a request borrows everything and a decision lives in an
//! arena ([`bumpalo`]) that the next request reuses: [`engine`] for verdicts, [`host`] for decisions. `examples/` has a
//! program for each. The packages beside this one see everything, through [`internal`].
//!
//! # The modules within
//!
//! They are listed in the order in which a request meets them. A module may use only what stands above it.
//!
//! | module | what lives there |
//! | --- | --- |
//! | `request` | what a rule may ask of a request: borrowed, split lazily |
//! | `language` | text → checked expression: grammar, scheme, types, diagnostics, formatter |
//! | `program` | checked expressions → one program → verdict |
//! | `policy` | what an operator writes → a compiled, immutable [`Policy`] |
//! | `queueit` | what is Queue-it's: token, cookie, hashes, triggers' view, and policy + session → decision |
//! | `edge` | what every host does alike around a decision: readings, caches, responses, explanations |
//! | `room` | the embedded waiting room |
//!
//! ```text
//! host request ─► RequestView ─► Program::evaluate ─► Verdict ─► queueit ─► Decision ─► edge ─► host response
//! ```
//!
//! Everything left of the last arrow is pure: time, secrets, addresses and configuration are arguments.

mod edge;
pub mod engine;
mod front;
pub mod host;
pub mod internal;
mod language;
mod policy;
mod program;
mod queueit;
mod request;
mod room;

pub use bumpalo;

pub use crate::front::{Decided, Headers, Mistakes, Next, Rules, RulesBuilder};
pub use crate::policy::Policy;
pub use crate::queueit::Secrets;
pub use crate::request::{Field, Malformed, OwnedRequest as Request};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

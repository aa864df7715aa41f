//! A waiting-room connector: it stands in front of a site and decides, for every request, whether the visitor may
//! pass, must go to the waiting room, or is someone the rope opens for.
//!
//! The modules are listed in the order in which a request meets them. A module may use only what stands above it.
//!
//! | module | what lives there |
//! | --- | --- |
//! | [`request`] | what a rule may ask of a request: borrowed, split lazily |
//! | [`language`] | text → checked expression: grammar, scheme, types, diagnostics, formatter |
//! | [`program`] | checked expressions → one program → verdict |
//! | [`policy`] | what an operator writes → a compiled, immutable [`policy::Policy`] |
//! | [`queueit`] | what is Queue-it's: token, cookie, hashes, and policy + session → decision |
//! | [`edge`] | what every host does alike around a decision: readings, caches, responses, explanations |
//! | [`room`] | the embedded waiting room |
//! | `manage` | managing bypass rules: store, API and dashboard |
//! | [`host`] | where the connector runs: files, MMDB, the reverse proxy and the ext_proc callout |
//! | [`cli`] | the commands |
//!
//! ```text
//! host request ─► RequestView ─► Program::evaluate ─► Verdict ─► queueit ─► Decision ─► edge ─► host response
//! ```
//!
//! Everything left of the last arrow is pure: time, secrets, addresses and configuration are arguments.

pub mod edge;
pub mod internal;
pub mod language;
pub mod policy;
pub mod program;
pub mod queueit;
pub mod request;
pub mod room;

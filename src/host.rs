//! What a host of one's own is built on. A request borrows from what was received, and what is decided lives in memory
//! that the next request reuses ([`Scratch`](crate::engine::Scratch)).
//!
//! A host makes a [`CanonicalUrl`] of what a request asks for, or answers with [`refuse`]. It calls [`handle`], and does
//! what the [`Reply`] says; what goes to the site is what the canonical URL says, without headers that visitors must not
//! send ([`is_verdict_header`], [`is_forwarding_header`]). Where there is no policy, it calls [`handle_failure`].
//! `examples/own_host.rs` is one that runs.

pub use crate::edge::{
    FailureClass, Header, Identity, Incoming, Outcome, Private, Reply, Site, WayBack, handle, handle_failure,
    handle_with, is_forwarding_header, is_verdict_header, private, refuse,
};
#[cfg(feature = "saved")]
pub use crate::policy::LoadError;
pub use crate::policy::{Compiled, Findings, Sources};
#[cfg(feature = "enqueue-tokens")]
pub use crate::queueit::enqueue::EnqueueToken;
pub use crate::queueit::{
    DirectPassCall, DirectPassReply, DirectPassSettings, NoOutside, Outside, QueueIdUse, Services,
};
pub use crate::request::{CanonicalUrl, Target};

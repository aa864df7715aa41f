//! The visitor's signed state: token, session cookie, hashes, enqueue token (docs/protocol/queue-it.md#queue-token).
//!
//! The module knows nothing of policies; time, randomness and secrets are arguments.

pub mod cookie;
pub mod encoding;
#[cfg(feature = "enqueue-tokens")]
pub mod enqueue;
mod secret;
pub mod token;

pub use secret::{Mac, Secret, Secrets};

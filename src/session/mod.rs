//! The visitor's signed state: token, session cookie, hashes, enqueue token (protocol, sections 2, 3 and 7).
//!
//! The module knows nothing of policies; time, randomness and secrets are arguments.

pub mod cookie;
pub mod encoding;
pub mod enqueue;
mod secret;
pub mod token;

pub use secret::{Mac, Secret, Secrets};

//! The visitor's signed state: token, session cookie, hashes, enqueue token (protocol, sections 2, 3 and 7).
//!
//! The module knows nothing of policies; time and secrets are arguments.

//! The session cookie (protocol, section 3).

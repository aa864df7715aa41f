//! Policy + session → decision (protocol, sections 4, 5 and 7).
//!
//! [`decide`] is pure: the same visit, policy and time give the same decision. Where it needs an answer from outside
//! it returns the question, and the host calls it again with the answer.
//!
//! The module knows nothing of hosts. What every host must do alike (take the token out of a URL, turn a decision
//! into a response, accept a pushed configuration) is in [`edge`].

pub mod edge;

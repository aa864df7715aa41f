//! What the library promises to who adds it: language, program, sessions, policies, without a host.

mod allocation;
mod certainty;
mod circles;
mod conformance;
mod equivalence;
mod generated;
mod language;
mod memory;
mod schemas;
mod sessions;

#[path = "../support/oracle/mod.rs"]
mod oracle;
#[path = "../support/ticketing/mod.rs"]
mod ticketing;
#[path = "../support/workload/mod.rs"]
mod workload;

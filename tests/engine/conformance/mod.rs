//! The foreign conformance suite: answers recorded from the systems this project must agree with.
//!
//! Runs every `*.jsonl` under `tests/vectors` (or under the directory named by `VELVETROPE_VECTORS`, same layout) and
//! prints one line for each family. `tests/vectors/deviations.toml` names the cases where this project decides
//! otherwise.

mod fields;
mod queueit;
mod report;
mod rules;

#[test]
fn rules() {
    rules::run().conclude();
}

#[test]
fn queueit() {
    queueit::run().conclude();
}

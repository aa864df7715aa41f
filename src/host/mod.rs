//! Where the connector runs.

pub mod geo;

//! Where the connector runs.

pub mod files;
pub mod geo;

//! Where the connector runs.

pub mod files;
pub mod geo;
#[cfg(feature = "proxy")]
pub mod proxy;

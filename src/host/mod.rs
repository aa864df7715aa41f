//! Where the connector runs.

#[cfg(feature = "proxy")]
pub mod demo;
pub mod files;
pub mod geo;
#[cfg(feature = "proxy")]
pub mod proxy;

//! The callout behind a real Envoy that is set up by `deploy/envoy/envoy.yaml`: what visitors get over HTTP.
//!
//! Needs `envoy` on PATH; `tools/envoy` puts it there.

mod flows;
mod load;
pub mod support;
mod trouble;

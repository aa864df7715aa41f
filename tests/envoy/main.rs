//! The callout behind a real Envoy that is set up by `deploy/envoy/envoy.yaml`: what visitors get over HTTP.
//!
//! Needs `envoy` on PATH; `tools/envoy` puts it there.

#[path = "../callout/mod.rs"]
mod callout;
mod flows;
mod load;
mod support;
mod trouble;
#[path = "../wire/mod.rs"]
mod wire;

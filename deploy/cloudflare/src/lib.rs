//! Velvetrope as a Cloudflare Worker: what [`velvetrope::host::worker`] exports, as a WebAssembly module.

#![forbid(unsafe_code)]

pub use velvetrope::host::worker::*;

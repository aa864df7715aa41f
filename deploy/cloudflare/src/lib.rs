//! Velvetrope as a Cloudflare Worker: what [`velvetrope::host::worker`] exports, as one WebAssembly module.

#![forbid(unsafe_code)]

pub use velvetrope::host::worker::*;

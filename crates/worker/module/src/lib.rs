//! What [`velvetrope_worker`] exports, as a module of WebAssembly.

pub use velvetrope_worker::*;

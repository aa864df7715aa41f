//! Everything that the command starts, from outside: over real sockets, behind real proxies, in a real browser. Beside
//! it what needs more than the library: policies as folders, saved programs, the book.
//!
//! What needs other programs is behind a feature of its own; see `crates/cli/Cargo.toml` and the Makefile.

mod agreement;
mod api;
mod book;
#[cfg(feature = "browser-tests")]
mod browser;
#[cfg(feature = "cache-tests")]
mod caches;
mod cli;
#[cfg(feature = "browser-tests")]
mod dashboard;
mod documented;
#[cfg(feature = "envoy-tests")]
mod envoy;
mod ext_proc;
mod manage;
#[cfg(feature = "origin-tests")]
mod origins;
mod outside_bytes;
mod policy;
mod protocol;
mod proxy;
mod rope;
mod saved;

#[path = "../support/callout/mod.rs"]
mod callout;
#[cfg(feature = "browser-tests")]
#[path = "../support/chromium/mod.rs"]
mod chromium;
#[path = "../support/ports/mod.rs"]
mod ports;
#[path = "../support/tls/mod.rs"]
mod tls;
#[path = "../support/wire/mod.rs"]
mod wire;
#[path = "../support/workload/mod.rs"]
mod workload;

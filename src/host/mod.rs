//! Where the connector runs.

#[cfg(all(any(feature = "serving", feature = "manage"), not(target_arch = "wasm32")))]
mod clock;
#[cfg(all(feature = "proxy", feature = "manage", not(target_arch = "wasm32")))]
pub mod demo;
#[cfg(all(feature = "ext-proc", not(target_arch = "wasm32")))]
pub mod ext_proc;
#[cfg(not(target_arch = "wasm32"))]
pub mod files;
#[cfg(not(target_arch = "wasm32"))]
pub mod geo;
#[cfg(all(feature = "proxy", not(target_arch = "wasm32")))]
pub mod proxy;
#[cfg(all(feature = "serving", not(target_arch = "wasm32")))]
#[cfg_attr(
    not(all(feature = "proxy", feature = "ext-proc")),
    allow(dead_code, reason = "each host needs a part of it")
)]
pub mod serving;
#[cfg(all(feature = "manage", not(target_arch = "wasm32")))]
pub mod store;
#[cfg(any(
    test,
    feature = "cli",
    all(any(feature = "worker", feature = "worker-compiler", feature = "worker-manage"), target_arch = "wasm32")
))]
pub mod worker;

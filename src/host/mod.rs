//! Where the connector runs.

#[cfg(all(feature = "proxy", not(target_arch = "wasm32")))]
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
pub mod serving;
#[cfg(any(test, all(any(feature = "worker", feature = "worker-compiler"), target_arch = "wasm32")))]
pub mod worker;

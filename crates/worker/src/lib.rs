//! The connector as a Cloudflare Worker.
//!
//! `shim.js` is the module that the runtime runs, and the only one that does I/O: it reads the KV namespace, packs
//! what a decision needs of a request into one text, asks the compiled core once, and passes streams on or answers.
//! The core is synchronous from end to end. So nothing of a visitor ever waits inside it: if it should trap all the
//! same, the shim renews it, and only the request that killed it follows the failure policy.
//!
//! There are two modules of WebAssembly: one that decides, and one that compiles texts to saved policies, which are
//! stored in KV, so that few isolates ever have to.
//!
//! | file | what lives there |
//! | --- | --- |
//! | `shim.js` | requests, responses, KV, variables, time, counting, for each site of an isolate |
//! | `engine` | what `shim.js` can call |
//! | `core` | what an isolate decides by: the policy in force, or why there is none |
//! | `config` | from what KV holds to a policy |
//! | `wire` | requests and replies, each as one text |
//! | `facts` | fields from `request.cf` |
//! | `counter` | the Durable Object that counts decisions, and what bypass rules did |
//! | `hits` | by what name it knows a bypass rule |
//! | `compiler.js`, `compiler` | the other module, and what the shim can call of it |
//! | `compile` | from texts to a saved policy |
//! | `sources` | from what KV holds to the texts of a policy |
//! | `outcome` | what passes between the two |
//! | `key` | where KV holds what texts were compiled to |
//! | `manage.js`, `manage` | the Worker beside it that manages rooms, rules and lists, and what that can call |
//!
//! Everything but `engine`, `counter`, `compiler` and `manage` is pure and knows nothing of JavaScript, and is tested natively.

#![cfg_attr(not(target_arch = "wasm32"), allow(dead_code, reason = "natively there are only its tests"))]

#[cfg(any(not(target_arch = "wasm32"), feature = "compiler", feature = "manage"))]
mod compile;
#[cfg(all(target_arch = "wasm32", feature = "compiler"))]
mod compiler;
#[cfg(any(not(target_arch = "wasm32"), feature = "connector", feature = "manage"))]
mod key;
#[cfg(all(target_arch = "wasm32", feature = "manage"))]
mod manage;
mod outcome;
#[cfg(any(not(target_arch = "wasm32"), feature = "compiler", feature = "manage"))]
mod sources;

#[cfg(any(test, feature = "connector"))]
mod config;
#[cfg(any(test, feature = "connector"))]
mod core;
#[cfg(all(target_arch = "wasm32", feature = "connector"))]
mod counter;
#[cfg(all(target_arch = "wasm32", feature = "connector"))]
mod engine;
#[cfg(any(test, feature = "connector"))]
mod facts;
#[cfg(any(test, feature = "connector", feature = "manage"))]
mod hits;
#[cfg(any(test, feature = "connector"))]
mod wire;

#[cfg(any(not(target_arch = "wasm32"), feature = "manage"))]
pub use compile::{Precompiled, precompile};
#[cfg(all(target_arch = "wasm32", feature = "compiler"))]
pub use compiler::compile;
#[cfg(all(target_arch = "wasm32", feature = "connector"))]
pub use counter::DecisionCounter;
#[cfg(all(target_arch = "wasm32", feature = "connector"))]
pub use engine::Engine;
#[cfg(all(target_arch = "wasm32", feature = "manage"))]
pub use manage::Management;

//! The connector as a Cloudflare Worker.
//!
//! `shim.js` is the module that the runtime runs, and the only one that does I/O: it reads the KV namespace, packs
//! what a decision needs of a request into one text, asks the compiled core once, and passes streams on or answers.
//! The core is synchronous from end to end. So nothing of a visitor ever waits inside it: if it should trap all the
//! same, the shim renews it, and only the request that killed it follows the failure policy.
//!
//! | file | what lives there |
//! | --- | --- |
//! | `shim.js` | requests, responses, KV, variables, time, counting |
//! | `engine` | what `shim.js` can call |
//! | `core` | what an isolate decides by: the policy in force, or why there is none |
//! | `config` | from what KV holds to a policy |
//! | `wire` | requests and replies, each as one text |
//! | `facts` | fields from `request.cf` |
//! | `counter` | the Durable Object that counts decisions |
//!
//! Everything but `engine` and `counter` is pure and knows nothing of JavaScript, and is tested natively.

mod config;
mod core;
#[cfg(target_arch = "wasm32")]
mod counter;
#[cfg(target_arch = "wasm32")]
mod engine;
mod facts;
mod wire;

#[cfg(target_arch = "wasm32")]
pub use counter::DecisionCounter;
#[cfg(target_arch = "wasm32")]
pub use engine::Engine;

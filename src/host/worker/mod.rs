//! The connector as a Cloudflare Worker: what its JavaScript module, `shim.js`, calls.

use wasm_bindgen::prelude::wasm_bindgen;

/// The connector as JavaScript sees it.
#[wasm_bindgen]
pub struct Engine;

#[wasm_bindgen]
impl Engine {
    /// What to do with a request.
    pub fn decide(packed: &str) -> String {
        packed.to_owned()
    }
}

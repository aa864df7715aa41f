//! What `compiler.js` can call.

use wasm_bindgen::prelude::wasm_bindgen;

use super::outcome::Texts;

/// What becomes of the texts that KV holds, for [`Engine::take`](super::Engine::take); none of it is for JavaScript.
#[wasm_bindgen]
pub fn compile(info: Option<String>, policy: Option<String>, managed: Option<String>, customer_id: &str) -> Vec<u8> {
    let texts = Texts { info: info.as_deref(), policy: policy.as_deref(), managed: managed.as_deref() };
    // Outcomes hold nothing that cannot be written.
    postcard::to_allocvec(&super::compile::compile(texts, customer_id)).unwrap_or_default()
}

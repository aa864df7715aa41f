//! What `shim.js` can call. Every call is synchronous, and none touches what another one left unfinished.

use std::cell::RefCell;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::config::{Saved, Variables};
use super::core::{Core, Pushed};
use super::outcome::Texts;
use super::wire;
use velvetrope::internal::edge::push;
use velvetrope::internal::policy::OnFailure;

thread_local! {
    static CORE: RefCell<Core> = RefCell::new(Core::new());
}

/// The compiled connector as JavaScript sees it. It has no instances; what it knows is known to the whole isolate.
#[wasm_bindgen]
pub struct Engine;

#[wasm_bindgen]
impl Engine {
    /// The reply to a request.
    pub fn decide(packed: &str) -> String {
        CORE.with_borrow_mut(|core| core.decide(packed))
    }

    /// The reply to a request that could not be decided about.
    pub fn fail(why: &str) -> String {
        CORE.with_borrow_mut(|core| core.fail(why))
    }

    /// What to do to a response to make it private, as `wire` says.
    pub fn private(headers: &str) -> String {
        wire::private(headers)
    }

    /// Does nothing, in a new instance if the one before has died.
    pub fn restart() {}

    /// What `decide` has to be told of each request, as JSON.
    pub fn plan() -> String {
        CORE.with_borrow(Core::plan)
    }

    /// Takes the variables for all that is loaded from now on.
    #[wasm_bindgen(js_name = setVariables)]
    pub fn set_variables(
        customer_id: String,
        secret: String,
        previous_secret: Option<String>,
        fails_closed: bool,
        shared_sessions: bool,
    ) {
        let on_failure = if fails_closed { OnFailure::Closed } else { OnFailure::Open };
        let variables = Variables { customer_id, secret, previous_secret, on_failure, shared_sessions };
        CORE.with_borrow_mut(|core| core.set_variables(variables));
    }

    /// Puts in force what was saved of the texts that KV holds; `false` if they have to be compiled. Throws a text if they
    /// are no good.
    pub fn load(
        info: Option<String>,
        policy: Option<String>,
        managed: Option<String>,
        saved: Option<Vec<u8>>,
        origin: Option<String>,
    ) -> Result<bool, JsValue> {
        let texts = Texts { info: info.as_deref(), policy: policy.as_deref(), managed: managed.as_deref() };
        let saved =
            Saved { bytes: saved.as_deref().unwrap_or_default(), origin: origin.as_deref().unwrap_or_default() };
        CORE.with_borrow_mut(|core| core.load(texts, saved)).map_err(JsValue::from)
    }

    /// Puts in force what `compile` made of the texts that KV holds, and gives warnings. Throws a text if they are no good.
    pub fn take(
        info: Option<String>,
        policy: Option<String>,
        managed: Option<String>,
        outcome: &[u8],
    ) -> Result<Vec<String>, JsValue> {
        let texts = Texts { info: info.as_deref(), policy: policy.as_deref(), managed: managed.as_deref() };
        CORE.with_borrow_mut(|core| core.take(texts, outcome)).map_err(JsValue::from)
    }

    /// Notes that KV cannot be read, and why.
    #[wasm_bindgen(js_name = storeFailed)]
    pub fn store_failed(why: String) {
        CORE.with_borrow_mut(|core| core.store_failed(why));
    }

    /// The bytes and the metadata (JSON) of a policy that was compiled here, once; nothing otherwise.
    #[wasm_bindgen(js_name = takeToStore)]
    pub fn take_to_store() -> Vec<JsValue> {
        let to_store = CORE.with_borrow_mut(Core::take_to_store);
        to_store.map_or(Vec::new(), |saved| vec![js_sys::Uint8Array::from(&*saved.bytes).into(), saved.origin.into()])
    }

    /// The configuration in a push that is signed.
    #[wasm_bindgen(js_name = pushedText)]
    pub fn pushed_text(body: &[u8]) -> Option<String> {
        CORE.with_borrow(|core| core.pushed_text(body))
    }

    /// The reply to a push of what was compiled; if it is accepted, the text to store and warnings. The other texts are
    /// what KV holds.
    pub fn push(
        body: &[u8],
        info: Option<String>,
        policy: Option<String>,
        managed: Option<String>,
        outcome: &[u8],
    ) -> Vec<JsValue> {
        let holds = Texts { info: info.as_deref(), policy: policy.as_deref(), managed: managed.as_deref() };
        let Pushed { reply, accepted, warnings } = CORE.with_borrow_mut(|core| core.push(body, holds, outcome));
        [Some(reply), accepted].into_iter().flatten().chain(warnings).map(JsValue::from).collect()
    }

    /// No push of more bytes is looked at.
    #[wasm_bindgen(js_name = pushLimit)]
    pub fn push_limit() -> usize {
        push::MAX_BODY
    }

    /// Whether an Authorization header brings the token. Takes the same time wherever they differ.
    #[wasm_bindgen(js_name = isAuthorized)]
    pub fn is_authorized(header: &str, token: &str) -> bool {
        let brought = header.strip_prefix("Bearer ").unwrap_or_default();
        !token.is_empty() && bool::from(Sha256::digest(brought).as_slice().ct_eq(&Sha256::digest(token)))
    }
}

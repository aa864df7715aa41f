//! What `shim.js` can call. Every call is synchronous, and none touches what another one left unfinished.
//!
//! One isolate may serve several sites, each with a configuration of its own. `shim.js` gives each a number that it uses for
//! no other.

use std::cell::RefCell;
use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::config::{Held, Variables};
use super::core::{Core, Pushed};
use super::outcome::Texts;
use super::wire;
use velvetrope::internal::edge::push;
use velvetrope::internal::policy::OnFailure;

thread_local! {
    static CORES: RefCell<BTreeMap<u32, Core>> = RefCell::default();
}

/// Does something with what is known of a site; that is nothing at first.
fn of<T>(site: u32, work: impl FnOnce(&mut Core) -> T) -> T {
    CORES.with_borrow_mut(|cores| work(cores.entry(site).or_insert_with(Core::new)))
}

/// The compiled connector as JavaScript sees it. It has no instances; what it knows is known to the whole isolate.
#[wasm_bindgen]
pub struct Engine;

#[wasm_bindgen]
impl Engine {
    /// The reply to a request.
    pub fn decide(site: u32, packed: &str) -> String {
        of(site, |core| core.decide(packed))
    }

    /// The reply to a request that could not be decided about.
    pub fn fail(site: u32, why: &str) -> String {
        of(site, |core| core.fail(why))
    }

    /// How often a request has come by that brings this mark.
    #[wasm_bindgen(js_name = timesPassed)]
    pub fn times_passed(site: u32, mark: &str) -> usize {
        of(site, |core| core.times_passed(mark))
    }

    /// What to do to a response to make it private, as `wire` says.
    pub fn private(headers: &str) -> String {
        wire::private(headers)
    }

    /// Does nothing, in a new instance if the one before has died.
    pub fn restart() {}

    /// Forgets a site.
    pub fn forget(site: u32) {
        CORES.with_borrow_mut(|cores| cores.remove(&site));
    }

    /// What `decide` has to be told of each request, as JSON.
    pub fn plan(site: u32) -> String {
        of(site, |core| core.plan())
    }

    /// Takes the variables for all that is loaded from now on.
    #[wasm_bindgen(js_name = setVariables)]
    pub fn set_variables(
        site: u32,
        customer_id: String,
        secret: String,
        previous_secret: Option<String>,
        fails_closed: bool,
        shared_sessions: bool,
    ) {
        let on_failure = if fails_closed { OnFailure::Closed } else { OnFailure::Open };
        let variables = Variables { customer_id, secret, previous_secret, on_failure, shared_sessions };
        of(site, |core| core.set_variables(variables));
    }

    /// Under which key KV holds these texts compiled.
    pub fn key(info: Option<String>, policy: Option<String>, managed: Option<String>) -> String {
        Texts { info: info.as_deref(), policy: policy.as_deref(), managed: managed.as_deref() }.key()
    }

    /// Puts in force what was saved of what KV holds: whether that is an `info` and a `policy` is told. `false` if they have to
    /// be compiled. Throws a text if they are no good.
    pub fn load(site: u32, info: bool, policy: bool, saved: Option<Vec<u8>>) -> Result<bool, JsValue> {
        let saved = saved.as_deref().unwrap_or_default();
        of(site, |core| core.load(Held { info, policy }, saved)).map_err(JsValue::from)
    }

    /// Puts in force what `compile` made of what KV holds, and gives warnings. Throws a text if it is no good.
    pub fn take(site: u32, info: bool, policy: bool, outcome: &[u8]) -> Result<Vec<String>, JsValue> {
        of(site, |core| core.take(Held { info, policy }, outcome)).map_err(JsValue::from)
    }

    /// Notes that KV cannot be read, and why; whether that is why requests cannot be decided about.
    #[wasm_bindgen(js_name = storeFailed)]
    pub fn store_failed(site: u32, why: String) -> bool {
        of(site, |core| core.store_failed(why))
    }

    /// The policy that was compiled here, as KV keeps it, once; nothing otherwise.
    #[wasm_bindgen(js_name = takeToStore)]
    pub fn take_to_store(site: u32) -> Option<Vec<u8>> {
        of(site, Core::take_to_store)
    }

    /// The configuration in a push that is signed.
    #[wasm_bindgen(js_name = pushedText)]
    pub fn pushed_text(site: u32, body: &[u8]) -> Option<String> {
        of(site, |core| core.pushed_text(body))
    }

    /// The reply to a push of what was compiled; if it is accepted, the text to store and warnings. The other texts are
    /// what KV holds.
    pub fn push(
        site: u32,
        body: &[u8],
        info: Option<String>,
        policy: Option<String>,
        managed: Option<String>,
        outcome: &[u8],
    ) -> Vec<JsValue> {
        let holds = Texts { info: info.as_deref(), policy: policy.as_deref(), managed: managed.as_deref() };
        let Pushed { reply, accepted, warnings } = of(site, |core| core.push(body, holds, outcome));
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

//! What `manage.js` can call: the management of rooms, bypass rules and lists, beside the Worker that decides.
//!
//! A Durable Object is the store. It calls everything here inside a transaction, with a function that runs statements
//! in it: SQL and parameters as a JSON array in, rows as JSON out. Whatever is thrown is a text.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use js_sys::{Function, Uint8Array};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use toml_edit::{DocumentMut, value};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::compile::{Precompiled, precompile};
use super::hits;
use super::outcome::Texts;
use super::sources::sources;
use velvetrope::internal::policy::bundle::bundle;
use velvetrope::internal::policy::{SETTINGS_FILE, Sources};
use velvetrope_manage::database::{Database, DatabaseError, Row, Value, migrate};
use velvetrope_manage::failure::Failure;
use velvetrope_manage::store::Store;
use velvetrope_manage::{self, Answer, Circumstances, Live, Manager, snapshot};

thread_local! {
    static MANAGER: RefCell<Manager> = RefCell::default();
    static COUNTED: RefCell<Option<Counted>> = RefCell::default();
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues)]
    fn get_random_values(bytes: &mut [u8]);
}

/// A request but for its body, as `manage.js` packs it.
#[derive(Deserialize)]
struct Asked {
    method: String,
    /// Path and query.
    uri: String,
    headers: Vec<(String, String)>,
    /// Milliseconds since the Unix epoch.
    now: i64,
}

/// An answer but for its body.
#[derive(Serialize)]
struct Told<'a> {
    status: u16,
    headers: Vec<(&'a str, &'a str)>,
    /// Whether the transaction is to be kept.
    keep: bool,
    trouble: Option<String>,
    /// Whether it tells what bypass rules did, as far as that was known.
    shows_hits: bool,
}

/// What the counter of the Worker that decides answers.
#[derive(Deserialize)]
struct Counted {
    /// How often each bypass rule let a request pass, by its name there.
    rules: HashMap<String, f64>,
}

/// What is known of it, and whether anybody has asked.
struct Hits<'c> {
    counted: Option<&'c Counted>,
    asked: Cell<bool>,
}

impl Live for Hits<'_> {
    fn hits(&self, _zone: &str, room: &str, rule: &str) -> Option<u64> {
        self.asked.set(true);
        // A rule that has let nobody pass is not counted. Counts are whole.
        Some(self.counted?.rules.get(&hits::name(room, rule)).map_or(0, |&count| count as u64))
    }
}

/// The management as JavaScript sees it. It has no instances; what it knows is known to the whole isolate.
#[wasm_bindgen]
pub struct Management;

#[wasm_bindgen]
impl Management {
    /// Takes this secret for a token with which everything may be done; an empty one for none.
    #[wasm_bindgen(js_name = setToken)]
    pub fn set_token(secret: &str) {
        let manager = if secret.is_empty() { Manager::default() } else { Manager::with_token(secret) };
        MANAGER.set(manager);
    }

    /// Brings the database's schema up to date.
    pub fn migrate(sql: &Function) -> Result<(), JsValue> {
        migrate(&Statements(sql)).map_err(|error| error.to_string().into())
    }

    /// Answers a request: head (JSON) and body.
    pub fn answer(head: &str, body: Vec<u8>, sql: &Function) -> Result<Vec<JsValue>, JsValue> {
        let asked: Asked = serde_json::from_str(head).map_err(|error| error.to_string())?;
        let now = asked.now;
        // What HTTP cannot carry has not been carried here.
        let request = request(asked, body).map_err(|error| error.to_string())?;
        COUNTED.with_borrow(|counted| {
            let live = Hits { counted: counted.as_ref(), asked: Cell::default() };
            let circumstances = Circumstances { now, random: &mut get_random_values, live: &live };
            let answer = MANAGER.with_borrow(|manager| manager.answer(&Statements(sql), &request, circumstances));
            Ok(told(answer, live.asked.get()))
        })
    }

    /// Takes what the counter answers; nothing if it does not.
    #[wasm_bindgen(js_name = setCounted)]
    pub fn set_counted(answer: Option<String>) -> Result<(), JsValue> {
        let counted = answer.map(|answer| serde_json::from_str(&answer)).transpose();
        COUNTED.set(counted.map_err(|error| error.to_string())?);
        Ok(())
    }

    /// No body that is longer is read.
    #[wasm_bindgen(js_name = bodyLimit)]
    pub fn body_limit(method: &str, path: &str) -> usize {
        http::Method::try_from(method).map_or(0, |method| velvetrope_manage::body_limit(&method, path))
    }

    /// The answer to a longer one: head and body.
    #[wasm_bindgen(js_name = tooLarge)]
    pub fn too_large(limit: usize) -> Vec<JsValue> {
        told(Answer { response: velvetrope_manage::too_large(limit), keep: false, trouble: None }, false)
    }

    /// Takes over what KV holds of the policy besides what is managed.
    #[wasm_bindgen(js_name = takeFiles)]
    pub fn take_files(
        zone: &str,
        policy: Option<String>,
        info: Option<String>,
        customer_id: &str,
        now: f64,
        sql: &Function,
    ) -> Result<(), JsValue> {
        let texts = Texts { info: info.as_deref(), policy: policy.as_deref(), managed: None };
        let mut files = sources(texts, customer_id).map_err(|refused| refused.why)?;
        aim_at_workers(&mut files);
        work(now, "files", sql, |store| snapshot::take_files(store, zone, &files))
    }

    /// The revision of what is managed, and all of it as KV shall hold it.
    pub fn texts(zone: &str, sql: &Function) -> Result<Vec<JsValue>, JsValue> {
        let texts = |store: &Store<'_>| {
            let revision = store.zone(zone)?.map_or(0, |zone| zone.revision);
            snapshot::texts(store, zone).map(|texts| (revision, texts))
        };
        let (revision, texts) = work(0.0, "", sql, texts)?;
        let bundle = bundle(&texts).map_err(|error| error.to_string())?;
        Ok(vec![JsValue::from_f64(revision as f64), bundle.into()])
    }

    /// All texts of KV compiled: under which key KV is to hold that, and what. Throws a text that says why there is nothing.
    pub fn compiled(
        info: Option<String>,
        policy: Option<String>,
        managed: &str,
        customer_id: &str,
    ) -> Result<Vec<JsValue>, JsValue> {
        let Precompiled { key, value } = precompile(info.as_deref(), policy.as_deref(), Some(managed), customer_id)?;
        Ok(vec![key.into(), Uint8Array::from(&*value).into()])
    }

    /// Does what was asked of lists first; whether there was something.
    #[wasm_bindgen(js_name = runNextOperation)]
    pub fn run_next_operation(now: f64, sql: &Function) -> Result<bool, JsValue> {
        work(now, "", sql, |store| store.run_next_operation().map_err(Failure::from))
    }
}

fn request(asked: Asked, body: Vec<u8>) -> Result<http::Request<Vec<u8>>, http::Error> {
    let request = http::Request::builder().method(&*asked.method).uri(asked.uri);
    let request = asked.headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    request.body(body)
}

fn told(answer: Answer, shows_hits: bool) -> Vec<JsValue> {
    let Answer { response, keep, trouble } = answer;
    let headers = response.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let told = Told { status: response.status().as_u16(), headers: headers.collect(), keep, trouble, shows_hits };
    // Texts, flags and numbers are JSON.
    let head = serde_json::to_string(&told).unwrap_or_default();
    vec![head.into(), Uint8Array::from(&**response.body()).into()]
}

fn work<T>(
    now: f64,
    actor: &str,
    sql: &Function,
    work: impl FnOnce(&Store<'_>) -> Result<T, Failure>,
) -> Result<T, JsValue> {
    let (statements, mut random) = (Statements(sql), get_random_values);
    let store = Store::new(&statements, now as i64, &mut random, actor);
    work(&store).map_err(|failure| {
        let objections = failure.errors.into_iter().map(|objection| objection.message);
        objections.chain(failure.cause.map(|cause| cause.to_string())).collect::<Vec<_>>().join("; ").into()
    })
}

/// Whatever a policy says it is for, here it runs on a Worker.
fn aim_at_workers(files: &mut Sources) {
    let text = files.get(SETTINGS_FILE).and_then(|text| str::from_utf8(text).ok());
    // What is wrong with it is found out where it is read.
    let Some(Ok(mut settings)) = text.map(str::parse::<DocumentMut>) else { return };
    settings.insert("target", value("worker"));
    files.insert(SETTINGS_FILE.to_owned(), settings.to_string().into_bytes());
}

/// Statements of the transaction that the Durable Object has begun.
struct Statements<'f>(&'f Function);

impl Database for Statements<'_> {
    fn query(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        let parameters = Json::from_iter(parameters.iter().map(json)).to_string();
        let rows = self.0.call2(&JsValue::NULL, &sql.into(), &parameters.into()).map_err(thrown)?;
        let rows: Vec<Vec<Json>> = serde_json::from_str(&rows.as_string().unwrap_or_default())
            .map_err(|error| DatabaseError(format!("rows are no JSON: {error}")))?;
        let row = |row: Vec<Json>| row.into_iter().map(read).collect::<Result<_, _>>().map(Row);
        rows.into_iter().map(row).collect()
    }
}

fn json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Integer(number) => Json::from(*number),
        Value::Text(text) => Json::from(text.as_str()),
    }
}

fn read(value: Json) -> Result<Value, DatabaseError> {
    match value {
        Json::Null => Ok(Value::Null),
        Json::String(text) => Ok(Value::Text(text)),
        other => match other.as_i64() {
            Some(number) => Ok(Value::Integer(number)),
            None => Err(DatabaseError("a value is neither text nor integer".to_owned())),
        },
    }
}

fn thrown(error: JsValue) -> DatabaseError {
    let text = error.as_string().or_else(|| js_sys::Error::from(error).message().as_string());
    DatabaseError(text.unwrap_or_default())
}

//! The API under `/client/v4`, in the shapes of the public waiting-room and lists API, so that its clients work here.
//!
//! [`operations::OPERATIONS`] is the router, and what [`openapi`] describes.

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, IF_MATCH, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Response, StatusCode};
use serde::Serialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use super::body::Body;
use super::failure::{Code, Failure, Objection};
use super::store::tokens::Scope;
use super::store::zones::Zone;
use super::{Answer, Live, Store, Visit};

pub(super) mod lists;
mod openapi;
mod operations;
mod query;
pub(super) mod rooms;
pub(super) mod rules;
pub(super) mod undo;
pub(super) mod zones;

pub use openapi::openapi;
use operations::{Found, Operation, find};
pub(super) use query::Query;

/// Where the API begins.
pub const API: &str = "/client/v4";

/// Where the description of the API is, below [`API`].
const DESCRIPTION: &str = "/openapi.json";

/// An operation that is called, by a client of the API or by a form of the dashboard.
pub(super) struct Call<'a, 's> {
    pub store: &'a Store<'s>,
    pub live: &'a dyn Live,
    /// What stands in the path for the names in braces.
    pub path: Vec<(&'static str, String)>,
    pub query: Query,
    pub body: Body<'a>,
    /// The versions that the caller expects, as in `If-Match`.
    pub if_match: Option<&'a str>,
}

/// What an operation yields.
pub(super) struct Success {
    status: StatusCode,
    pub result: Box<RawValue>,
    /// Of lists.
    info: Option<serde_json::Value>,
    /// What is doubtful, though it was done.
    pub messages: Vec<String>,
    /// The version of what was read or written.
    pub version: Option<i64>,
}

impl Visit<'_> {
    /// Answers a request to the API.
    pub(super) fn api(self) -> Answer {
        let method = self.request.method();
        let path = self.request.uri().path().strip_prefix(API).unwrap_or_default();
        // For everybody, and bare: clients and tools read it.
        if path == DESCRIPTION && *method == Method::GET {
            return Answer { response: respond(StatusCode::OK, &openapi::document()), keep: false, trouble: None };
        }
        match find(method, path) {
            Found::Nothing => Answer::refusal(&Failure::not_found("operation at", path)),
            Found::OtherMethods(methods) => {
                let message = format!("{method} is not possible here, but {methods}");
                let mut answer = Answer::refusal(&Failure::new(405, Code::Method, message));
                let allow = HeaderValue::from_str(&methods).unwrap_or(HeaderValue::from_static(""));
                answer.response.headers_mut().insert(ALLOW, allow);
                answer
            }
            Found::Operation(operation, parameters) => self.call(operation, parameters),
        }
    }

    fn call(self, operation: &Operation, path: Vec<(&'static str, String)>) -> Answer {
        match self.outcome(operation, path) {
            Ok((success, keep)) => Answer { response: success.response(), keep, trouble: None },
            Err(failure) => Answer::refusal(&failure),
        }
    }

    /// What the operation yields, and whether its changes are to be kept.
    fn outcome(self, operation: &Operation, path: Vec<(&'static str, String)>) -> Result<(Success, bool), Failure> {
        let caller = self.bearer()?;
        if caller.scope < operation.scope {
            let message = format!("the token {:?} may look, but change nothing", caller.name);
            return Err(Failure::new(403, Code::Forbidden, message));
        }
        let query = Query::parse(self.request.uri().query().unwrap_or_default(), operation.query)?;
        let is_dry = query.flag("dry_run")?;
        let store = self.store.used_by(caller.name);
        let if_match = self.request.headers().get(IF_MATCH).and_then(|value| value.to_str().ok());
        let call =
            Call { store: &store, live: self.live, path, query, body: Body::Sent(self.request.body()), if_match };
        let success = (operation.handler)(&call)?;
        Ok(match is_dry {
            true => (Success { result: null(), version: None, ..success }, false),
            false => (success, operation.scope == Scope::Write),
        })
    }
}

impl Call<'_, '_> {
    /// What stands in the path for a name.
    fn path(&self, name: &str) -> &str {
        self.path.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    /// The zone that the path names. Each is an account of its own, too, so that nobody's lists are anybody else's.
    fn zone(&self) -> Result<Zone, Failure> {
        let id = match self.path("zone_id") {
            "" => self.path("account_id"),
            id => id,
        };
        if let Some(zone) = self.store.zone(id)? {
            return Ok(zone);
        }
        let known: Vec<String> = self.store.zones()?.into_iter().map(|zone| format!("`{}`", zone.id)).collect();
        let message = match known.is_empty() {
            true => format!("there is no zone `{id}`: no policy has been loaded with this store"),
            false => format!("there is no zone `{id}`; zones are called like their policies: {}", known.join(", ")),
        };
        Err(Failure::new(404, Code::NotFound, message))
    }

    /// The zone that the path names, to change something in it.
    fn zone_to_change(&self) -> Result<Zone, Failure> {
        let zone = self.zone()?;
        zone.refuse_if_managed_by_files()?;
        Ok(zone)
    }

    /// Refuses if the caller has seen another version than there is (RFC 9110, section 13.1.1).
    fn expect(&self, version: i64) -> Result<(), Failure> {
        let Some(expected) = self.if_match else { return Ok(()) };
        let is_it = |tag: &str| tag == "*" || tag == etag(version);
        match expected.split(',').map(str::trim).any(is_it) {
            true => Ok(()),
            false => {
                let message = format!(
                    "somebody has changed it in the meantime: it is at version {version}, and you have seen {expected}; read it again"
                );
                Err(Failure::new(412, Code::Changed, message))
            }
        }
    }
}

impl Success {
    fn new(result: &impl Serialize) -> Success {
        let result = to_raw_value(result).unwrap_or_else(|_| null());
        Success { status: StatusCode::OK, result, info: None, messages: Vec::new(), version: None }
    }

    /// The page of these that the caller asks for, in ascending order. Clients go on until a page is empty.
    fn page(call: &Call, mut all: Vec<serde_json::Value>) -> Success {
        /// How many a page has unless the caller says otherwise.
        const PER_PAGE: u32 = 100;
        let size = call.query.number("per_page").unwrap_or(PER_PAGE);
        let number = call.query.number("page").unwrap_or(1);
        if call.query.text("direction") == Some("desc") {
            all.reverse();
        }
        let first = (number as usize - 1).saturating_mul(size as usize);
        let shown: Vec<_> = all.iter().skip(first).take(size as usize).collect();
        let info = json!({
            "page": number,
            "per_page": size,
            "count": shown.len(),
            "total_count": all.len(),
            "total_pages": all.len().div_ceil(size as usize),
        });
        Success { info: Some(info), ..Success::new(&shown) }
    }

    fn at_version(self, version: i64) -> Success {
        Success { version: Some(version), ..self }
    }

    fn with_messages(self, messages: Vec<String>) -> Success {
        Success { messages, ..self }
    }

    fn response(self) -> Response<Vec<u8>> {
        #[derive(Serialize)]
        struct Envelope<'a> {
            result: &'a RawValue,
            success: bool,
            errors: [(); 0],
            messages: Vec<serde_json::Value>,
            #[serde(skip_serializing_if = "Option::is_none")]
            result_info: Option<serde_json::Value>,
        }
        let messages = self.messages.iter().map(|message| json!({ "code": 1000, "message": message })).collect();
        let envelope = Envelope { result: &self.result, success: true, errors: [], messages, result_info: self.info };
        let mut response = respond(self.status, &envelope);
        if let Some(value) = self.version.and_then(|version| HeaderValue::from_str(&etag(version)).ok()) {
            response.headers_mut().insert(ETAG, value);
        }
        response
    }
}

/// A refusal in the API's envelope.
pub(super) fn refusal(failure: &Failure) -> Response<Vec<u8>> {
    let error = |Objection { code, message, pointer }: &Objection| match pointer {
        Some(pointer) => json!({ "code": *code as u32, "message": message, "source": { "pointer": pointer } }),
        None => json!({ "code": *code as u32, "message": message }),
    };
    let errors: Vec<_> = failure.errors.iter().map(error).collect();
    let envelope = json!({ "result": null, "success": false, "errors": errors, "messages": [] });
    let status = StatusCode::from_u16(failure.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = respond(status, &envelope);
    if let Some(seconds) = failure.retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn respond(status: StatusCode, body: &impl Serialize) -> Response<Vec<u8>> {
    let mut response = Response::new(serde_json::to_vec(body).unwrap_or_default());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    response
}

pub(super) fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

fn null() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}

//! A store with one zone, and somebody who may change it.

use std::cell::Cell;

use http::{Method, Request, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use velvetrope::internal::policy::Sources;
use velvetrope::internal::room::Occupancy;
use velvetrope_manage::failure::Failure;
use velvetrope_manage::store::Store;
use velvetrope_manage::store::tokens::Scope;
use velvetrope_manage::{Circumstances, Live, Manager, snapshot};
use velvetrope_serve::store::StoreFile;

pub const SETTINGS: &str = r#"# What comments say is kept.
customer_id = "example"
integration = "integration.json"
rooms = "rooms.json"

[rules]
ticketshop = "rules/shop.json"

[lists]
admins = "lists/admins.txt"
partners = { file = "lists/partners.json", kind = "hostname" }

[failure]
internal = "closed"
"#;

const INTEGRATION: &str = r#"{"Version": 3, "CustomerId": "example", "Integrations": [{
    "Name": "shop", "ActionType": "Queue", "EventId": "ticketshop", "QueueDomain": "example.queue-it.net",
    "RedirectLogic": "AllowTParameter", "CookieValidityMinute": 20, "ExtendCookieValidity": true,
    "Triggers": [{"LogicalOperator": "Or", "TriggerParts": [{
        "ValidatorType": "UrlValidator", "Operator": "Contains", "ValueToCompare": "/tickets", "UrlPart": "PagePath",
        "IsNegative": false, "IsIgnoreCase": true}]}]}]}"#;

/// The policy `site`.
pub fn files() -> Sources {
    let files = [
        ("velvetrope.toml", SETTINGS),
        ("integration.json", INTEGRATION),
        ("rooms.json", r#"[{"name": "presale", "host": "tickets.example", "path": "/presale"}]"#),
        (
            "rules/shop.json",
            r#"[{"id": "admins", "action": "bypass_waiting_room", "expression": "ip.src in $admins", "enabled": true},
                {"action": "bypass_waiting_room", "expression": "http.host in $partners", "status": "disabled"}]"#,
        ),
        ("lists/admins.txt", "192.0.2.1 # Ann\n198.51.100.0/24\n203.0.113.0..203.0.113.2\n"),
        ("lists/partners.json", r#"[{"hostname": {"url_hostname": "*.Partner.example"}, "comment": "all of them"}]"#),
    ];
    files.map(|(file, text)| (file.to_owned(), text.as_bytes().to_vec())).into()
}

/// A store and its manager.
pub struct Site {
    _folder: TempDir,
    pub store: StoreFile,
    pub manager: Manager,
    pub token: String,
    /// Milliseconds since the Unix epoch.
    pub now: Cell<i64>,
    pub doing: Doing,
}

/// What the data path tells: of every room the same, but of the rules of two only that they have let somebody pass.
#[derive(Default)]
pub struct Doing(pub Cell<Option<Occupancy>>);

impl Live for Doing {
    fn hits(&self, zone: &str, room: &str, _rule: &str) -> Option<u64> {
        match (zone, room) {
            ("site", "ticketshop") => Some(71),
            ("site", "gala-2026") => Some(72),
            _ => None,
        }
    }

    fn occupancy(&self, _zone: &str, _room: &str) -> Option<Occupancy> {
        self.0.get()
    }
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub etag: Option<String>,
    pub body: Value,
}

impl Site {
    /// With the zone `site` as its files have it.
    pub fn new() -> Site {
        Site::of(&files())
    }

    pub fn of(files: &Sources) -> Site {
        let folder = tempfile::tempdir().expect("a folder");
        let store = StoreFile::open(&folder.path().join("store.db")).expect("a store");
        store.change("files", |store| snapshot::take_files(store, "site", files)).expect("the files do");
        let made: Result<_, Failure> = store.change("test", |store| Ok(store.create_token("tester", Scope::Write)?));
        let (_, token) = made.expect("a token");
        let now = Cell::new(1_700_000_000_000);
        Site { _folder: folder, store, manager: Manager::default(), token, now, doing: Doing::default() }
    }

    /// A request of its own transaction.
    pub fn send(&self, request: Request<Vec<u8>>) -> Reply {
        let response = self.respond(&request);
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
        Reply {
            status: response.status().as_u16(),
            etag: header("etag"),
            body: serde_json::from_slice(response.body()).unwrap_or(Value::Null),
        }
    }

    /// The same, with all that comes back.
    pub fn respond(&self, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        let answer = self.store.transaction(|database| {
            let mut random = |bytes: &mut [u8]| getrandom::fill(bytes).expect("randomness");
            let circumstances = Circumstances { now: self.now.get(), random: &mut random, live: &self.doing };
            let answer = self.manager.answer(database, request, circumstances);
            let keep = answer.keep;
            (answer, keep)
        });
        answer.expect("a transaction").response
    }

    pub fn request(&self, method: &Method, path: &str, body: impl Into<Vec<u8>>) -> Request<Vec<u8>> {
        let request = Request::builder().method(method).uri(format!("/client/v4{path}"));
        request.header("authorization", format!("Bearer {}", self.token)).body(body.into()).expect("a request")
    }

    pub fn call(&self, method: Method, path: &str, body: &Value) -> Reply {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(self.request(&method, path, body))
    }

    pub fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, &Value::Null).result()
    }

    /// Does what was asked of lists.
    pub fn run_operations(&self) {
        let run = |store: &Store<'_>| store.run_next_operation();
        while self.store.change("test", run).expect("it runs") {}
    }

    /// The id of a room.
    pub fn room(&self, name: &str) -> String {
        let rooms = self.get("/zones/site/waiting_rooms");
        let room = rooms.as_array().expect("rooms").iter().find(|room| room["name"] == name).expect(name).clone();
        room["id"].as_str().expect("an id").to_owned()
    }

    /// Where the rules of a room are.
    pub fn rules_of(&self, name: &str) -> String {
        format!("/zones/site/waiting_rooms/{}/rules", self.room(name))
    }

    pub fn texts(&self) -> Sources {
        let texts: Result<_, Failure> = self.store.read(|store| snapshot::texts(store, "site"));
        texts.expect("texts")
    }
}

impl Reply {
    /// The result of what was done.
    #[track_caller]
    pub fn result(self) -> Value {
        assert!(self.status < 300 && self.body["success"] == true, "{self:?}");
        self.body["result"].clone()
    }

    /// The first objection: status, code, message and pointer.
    #[track_caller]
    pub fn refusal(self) -> (u16, u64, String, String) {
        assert!(self.body["success"] == false && self.body["result"].is_null(), "{self:?}");
        let error = &self.body["errors"][0];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let code = error["code"].as_u64().expect("a code");
        (self.status, code, text(&error["message"]), text(&error["source"]["pointer"]))
    }
}

/// A rule for the body of a request.
pub fn rule(expression: &str) -> Value {
    json!({ "action": "bypass_waiting_room", "expression": expression })
}

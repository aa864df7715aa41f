//! The policy of `examples/ticketing`, and one request for each way it decides.

use std::path::Path;

use bumpalo::Bump;
use velvetrope::internal::edge::{Identity, Incoming, Secrets, Site};
use velvetrope::internal::policy::{Policy, Sources};
use velvetrope::internal::queueit::cookie::{NAME_PREFIX, NewSession};
use velvetrope::internal::queueit::token::{TokenFields, sign};
use velvetrope::internal::request::{CanonicalUrl, NoFacts};

const NOW: i64 = 1_800_000_000;
const SHOP: &str = "http://tickets.example/shop/seats?row=7";
const QUEUE_ID: &str = "3a1b2c3d-0000-4000-8000-5e6f70819203";

/// What stays the same from request to request.
pub struct Ticketing {
    policy: Policy,
    secrets: Secrets,
    identity: Identity,
}

/// A request, and what is decided about it.
pub struct Case {
    pub name: &'static str,
    /// The decision's label.
    pub label: &'static str,
    url: String,
    cookie: String,
}

impl Ticketing {
    pub fn new() -> Ticketing {
        let secrets = Secrets::new("a secret of the usual length: 72 characters, as Queue-it hands them out", None);
        Ticketing { policy: policy(), secrets, identity: Identity::of_host("test") }
    }

    pub fn site(&self) -> Site<'_> {
        Site { policy: &self.policy, secrets: &self.secrets, identity: &self.identity }
    }

    pub fn cases(&self) -> [Case; 6] {
        let case = |name, label, url: &str, cookie| Case { name, label, url: url.to_owned(), cookie };
        let returning = format!("{SHOP}&queueittoken={}", self.token());
        [
            case("pass", "pass", "http://tickets.example/", String::new()),
            case("bypass", "bypass", "http://tickets.example/shop/tickets/4711/userverified", String::new()),
            case("queue", "queue", SHOP, String::new()),
            case("session, not extended", "session", SHOP, self.session("20")),
            case("session, extended", "session", SHOP, self.session("")),
            case("token", "token", &returning, String::new()),
        ]
    }

    fn token(&self) -> String {
        let fields = TokenFields {
            event_id: "ticketshop".into(),
            queue_id: QUEUE_ID.into(),
            expires: NOW + 60,
            redirect_type: "queue".into(),
            ..TokenFields::default()
        };
        sign(&fields, self.secrets.current())
    }

    /// Only a session whose validity is not fixed is extended.
    fn session(&self, fixed_validity: &str) -> String {
        let session = NewSession {
            event_id: "ticketshop",
            queue_id: QUEUE_ID,
            fixed_validity,
            redirect_type: "queue",
            ..NewSession::default()
        };
        let arena = Bump::new();
        let value = session.sign(self.secrets.current(), NOW - 60, &arena).replace('=', "%3D").replace('&', "%26");
        format!("theme=dark; {NAME_PREFIX}ticketshop={value}")
    }
}

impl Case {
    pub fn headers(&self) -> Vec<(&str, &[u8])> {
        let mut headers: Vec<(&str, &[u8])> = vec![
            ("host", b"tickets.example"),
            ("user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
            ("accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
            ("accept-language", b"en-GB,en;q=0.7,da;q=0.3"),
            ("accept-encoding", b"gzip, deflate, br, zstd"),
        ];
        if !self.cookie.is_empty() {
            headers.push(("cookie", self.cookie.as_bytes()));
        }
        headers
    }

    /// What is asked for.
    pub fn url(&self) -> CanonicalUrl<'_> {
        CanonicalUrl::of(&self.url).expect("a URL")
    }

    pub fn incoming<'r>(&'r self, url: &'r CanonicalUrl<'r>, headers: &'r [(&'r str, &'r [u8])]) -> Incoming<'r> {
        Incoming {
            method: "GET",
            url,
            version: "HTTP/1.1",
            headers,
            client_ip: Some([203, 0, 113, 7].into()),
            body: "",
            has_body: false,
            now_ms: NOW * 1000,
            facts: &NoFacts,
        }
    }
}

fn policy() -> Policy {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ticketing");
    let names = [
        "velvetrope.toml",
        "integration.json",
        "rooms.json",
        "rules/ticketshop.json",
        "rules/everywhere.json",
        "lists/admins.txt",
    ];
    let read = |name: &str| (name.to_owned(), std::fs::read(folder.join(name)).expect("a readable file"));
    let sources: Sources = names.into_iter().map(read).collect();
    Policy::compile(&sources, None).unwrap_or_else(|findings| panic!("{findings:#?}")).policy
}

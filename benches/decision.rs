//! What a whole decision costs, from the request as a host received it to the reply: the policy of `examples/ticketing`.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use velvetrope::connector::edge::{Identity, Incoming, Secrets, Site, handle};
use velvetrope::policy::{Policy, Sources};
use velvetrope::program::Scratch;
use velvetrope::request::NoFacts;
use velvetrope::session::cookie::{NAME_PREFIX, NewSession};
use velvetrope::session::token::{TokenFields, sign};

const NOW: i64 = 1_800_000_000;
const SHOP: &str = "http://tickets.example/shop/seats?row=7";

fn decisions(criterion: &mut Criterion) {
    let policy = policy();
    let secrets = Secrets::new("a secret of the usual length: 72 characters, as Queue-it hands them out", None);
    let identity = Identity::of_host("bench");
    let site = Site { policy: &policy, secrets: &secrets, identity: &identity };
    let session = NewSession {
        event_id: "ticketshop",
        queue_id: "3a1b2c3d-0000-4000-8000-5e6f70819203",
        redirect_type: "queue",
        ..NewSession::default()
    };
    let value = session.sign(secrets.current(), NOW - 60).replace('=', "%3D").replace('&', "%26");
    let cookie = format!("theme=dark; {NAME_PREFIX}ticketshop={value}");
    let token = TokenFields {
        event_id: "ticketshop".into(),
        queue_id: session.queue_id.into(),
        expires: NOW + 60,
        redirect_type: "queue".into(),
        ..TokenFields::default()
    };
    let returning = format!("{SHOP}&queueittoken={}", sign(&token, secrets.current()));
    let ticket = "http://tickets.example/shop/tickets/4711/userverified";

    let mut group = criterion.benchmark_group("decision");
    for (name, label, url, cookie) in [
        ("nothing matches", "pass", "http://tickets.example/", ""),
        ("bypass", "bypass", ticket, ""),
        ("redirect", "queue", SHOP, ""),
        ("valid session", "session", SHOP, cookie.as_str()),
        ("token accepted", "token", returning.as_str(), ""),
    ] {
        let headers = headers(cookie);
        let incoming = incoming(url, &headers);
        let mut scratch = Scratch::default();
        assert_eq!(handle(site, &incoming, &mut scratch).label, label);
        group.bench_function(name, |bencher| bencher.iter(|| handle(site, black_box(&incoming), &mut scratch)));
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
    let sources: Sources = names.into_iter().map(read).collect::<BTreeMap<_, _>>();
    let (policy, findings) = Policy::compile(&sources, None);
    policy.unwrap_or_else(|| panic!("{findings:#?}"))
}

fn headers(cookie: &str) -> Vec<(&'static str, &[u8])> {
    let mut headers: Vec<(&str, &[u8])> = vec![
        ("host", b"tickets.example"),
        ("user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", b"en-GB,en;q=0.7,da;q=0.3"),
        ("accept-encoding", b"gzip, deflate, br, zstd"),
    ];
    if !cookie.is_empty() {
        headers.push(("cookie", cookie.as_bytes()));
    }
    headers
}

fn incoming<'r>(url: &'r str, headers: &'r [(&'r str, &'r [u8])]) -> Incoming<'r> {
    Incoming {
        method: "GET",
        url,
        version: "HTTP/1.1",
        headers,
        client_ip: Some([203, 0, 113, 7].into()),
        body: "",
        now_ms: NOW * 1000,
        facts: &NoFacts,
    }
}

criterion_group!(benches, decisions);
criterion_main!(benches);

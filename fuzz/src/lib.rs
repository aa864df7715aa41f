//! What is done with outside bytes, one function for each parser. The fuzz targets call these, and so does the test
//! that replays `regressions/`.

use std::borrow::Cow;
use std::sync::LazyLock;

use bumpalo::Bump;
use velvetrope::internal::edge::{Identity, push};
use velvetrope::internal::language::{self, Scheme};
use velvetrope::internal::policy::{Policy, Published, Settings};
use velvetrope::internal::program::{Entry, Lists, Program, Site};
use velvetrope::internal::queueit::cookie::{Session, Validation};
use velvetrope::internal::queueit::{Secrets, TriggerView, token};
use velvetrope::internal::request::{CanonicalUrl, Field, NoFacts, RequestParts, RequestView, Subject, readings};

const NOW: i64 = 1_800_000_000;

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn request<'r>(url: &'r str, headers: &'r [(&'r str, &'r [u8])], body: &'r str, arena: &'r Bump) -> TriggerView<'r> {
    let parts = RequestParts {
        method: "GET",
        url,
        version: "HTTP/1.1",
        headers,
        client_ip: Some([192, 0, 2, 1].into()),
        body,
        received_ms: NOW * 1000,
        facts: &NoFacts,
    };
    TriggerView::new(RequestView::new(parts, arena), url)
}

/// An expression is refused with diagnostics that can be shown, or means what its canonical text means.
pub fn expression(bytes: &[u8]) {
    let text = text(bytes);
    let scheme = Scheme::triggers();
    let expression = match language::parse(&text, scheme) {
        Ok(expression) => expression,
        Err(diagnostics) => {
            assert!(!diagnostics.is_empty());
            for diagnostic in diagnostics {
                assert!(!diagnostic.render(&text, "fuzz", 1).is_empty());
            }
            return;
        }
    };
    language::lint(&expression);
    let canonical = expression.to_string();
    let again = language::parse(&canonical, scheme).unwrap_or_else(|diagnostics| {
        assert!(canonical.chars().count() > language::MAX_CHARACTERS, "{text:?} → {canonical:?}: {diagnostics:?}");
        expression.clone()
    });
    assert_eq!(again.to_string(), canonical);
    let (one, other) = (Program::single(&expression, &Lists::new()), Program::single(&again, &Lists::new()));
    let headers = [("Host", &b"shop.example"[..]), ("Cookie", bytes), ("X-A", bytes)];
    let arena = Bump::new();
    let view = request("https://shop.example/a/../%63?b=c&b=d#e", &headers, "", &arena);
    assert_eq!(one.matches(&view, &arena), other.matches(&view, &arena));
}

/// A token is parsed and checked, whatever it holds.
pub fn token(bytes: &[u8]) {
    let text = text(bytes);
    let secrets = Secrets::new("secret", Some("older".to_owned()));
    let inspection = token::inspect(&text, &secrets, Some("shop"), Some("192.0.2.1"), NOW);
    let valid = inspection.token.validate(&secrets, ["shop"], "192.0.2.1", NOW).is_ok();
    assert_eq!(valid, inspection.failure().is_none());
}

/// A Cookie header is read, as the connector and as the rules read it.
pub fn cookie(bytes: &[u8]) {
    let headers = [("Cookie", bytes)];
    let arena = Bump::new();
    let view = request("https://shop.example/", &headers, "", &arena);
    view.field(Field::HttpRequestCookies.into(), &arena);
    view.field(Field::TriggerCookies.into(), &arena);
    view.entry(Field::TriggerCookies.into(), b"QueueITAccepted-SDFrts345E-V3_shop", &arena);
    let secrets = Secrets::new("secret", None);
    let text = text(bytes);
    let Some(session) = Session::parse(&text) else { return };
    for shared in [false, true] {
        let (secrets, room, validity_minutes, client_ip) = (&secrets, "shop", Some(20.0), "");
        let against = Validation { secrets, shared, room, validity_minutes, client_ip, now: NOW };
        assert!(session.validate(&against).is_err(), "nobody can guess a signature");
    }
}

/// A published configuration is refused, or compiles and decides.
pub fn integration(bytes: &[u8]) {
    let text = text(bytes);
    let Ok(published) = Published::parse(&text, true) else { return };
    let entries = published.all.into_iter().map(|(_, when)| Entry { when, bypass: Vec::new() }).collect();
    let site = Site { entries, ..Site::default() };
    let program = Program::compile(&site);
    let headers = [("User-Agent", bytes), ("Cookie", bytes)];
    let arena = Bump::new();
    let _ = program.evaluate(&request("https://shop.example/a?b=c", &headers, &text, &arena), &arena);
}

/// A pushed body is refused, unless it is signed; a signed one is refused unless it holds a configuration.
pub fn push(bytes: &[u8]) {
    let secrets = Secrets::new("secret", None);
    let identity = Identity::of_host("fuzz");
    let compiles = |text: &str| Published::parse(text, true).map(|_| ()).map_err(|error| error.to_string());
    let arena = Bump::new();
    assert_eq!(
        push::accept(bytes, &secrets, &identity, &arena, compiles).accepted,
        None,
        "nobody can guess a signature"
    );

    let info: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let hash = secrets.current().sign(&[&info]);
    let body = serde_json::json!({ "integrationInfo": info, "hash": hash.as_str() }).to_string();
    let accepted = push::accept(body.as_bytes(), &secrets, &identity, &arena, compiles).accepted;
    assert_eq!(accepted.is_some(), std::str::from_utf8(bytes).is_ok_and(|text| compiles(text).is_ok()));
}

/// An authority, a line end and a target have no canonical URL, or one that stays as it is; its path has few readings, each of
/// them a path.
pub fn url(bytes: &[u8]) {
    let text = text(bytes);
    let (authority, target) = text.split_once('\n').unwrap_or(("shop.example", &text));
    for scheme in ["http", "https"] {
        let Ok(url) = CanonicalUrl::new(scheme, authority, target) else { continue };
        assert_eq!(CanonicalUrl::of(url.as_str()).as_ref(), Ok(&url));
        assert!(url.authority().starts_with(url.host()) && url.target().starts_with(url.path()));
        let arena = Bump::new();
        let Ok(readings) = readings(url.path(), &arena) else { continue };
        assert!(!url.is_plain() || readings.len() == 1, "{:?}", url.path());
        assert!(readings.iter().all(|reading| reading.path.starts_with('/')));
    }
}

/// A saved policy is refused, or decides; so is one whose header is in order, whatever it holds.
pub fn saved(bytes: &[u8]) {
    for bytes in [bytes.to_vec(), with_header(bytes)] {
        let Ok(policy) = Policy::load(&bytes) else { continue };
        let headers = [("Host", &b"shop.example"[..]), ("User-Agent", b"a"), ("Cookie", b"a=b"), ("X-A", b"a")];
        let arena = Bump::new();
        let view = request("https://shop.example/a/../%63?b=c&b=d#e", &headers, "", &arena);
        policy.matched(policy.program().evaluate(&view, &arena));
        assert_eq!(Policy::load(&policy.save()).expect("what was saved").save(), policy.save());
    }
}

/// A header that says that this payload is whole, and the payload.
pub fn with_header(payload: &[u8]) -> Vec<u8> {
    /// What tells the format.
    static START: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let nothing = Published { version: "1".to_owned(), all: Vec::new() };
        let mut saved = Policy::of_integrations(Settings::new("fuzz"), nothing).save();
        saved.truncate(16);
        saved
    });
    let length = (payload.len() as u64).to_le_bytes();
    let checksum = crc32fast::hash(payload).to_le_bytes();
    [&START[..], &length, &checksum, payload].concat()
}

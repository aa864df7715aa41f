//! The wrapper around a small policy: one room at `/shop`, whose bypass rule is true at `/shop/vip`.

use super::*;
use crate::request::NoFacts;
use crate::session::Secret;
use crate::session::cookie::NewSession;
use crate::session::token::{TokenFields, sign};

const NOW: i64 = 1_790_000_000;

fn policy() -> Policy {
    let sources = [
        ("velvetrope.toml", "customer_id = 'acme'\nintegration = 'shop.json'\nrules = { Shop1 = 'vip.json' }"),
        (
            "shop.json",
            r#"{"Version": 7, "Integrations": [{
                "Name": "Shop", "ActionType": "Queue", "EventId": "Shop1", "QueueDomain": "acme.queue-it.net",
                "CookieValidityMinute": 20, "ExtendCookieValidity": true, "RedirectLogic": "AllowTParameter",
                "Triggers": [{"LogicalOperator": "And", "TriggerParts": [{"ValidatorType": "UrlValidator",
                    "UrlPart": "PagePath", "Operator": "Contains", "ValueToCompare": "/shop"}]}]
            }]}"#,
        ),
        (
            "vip.json",
            r#"[{"id": "vip 1", "action": "bypass_waiting_room", "description": "guests of the house",
                "expression": "http.request.uri.path eq \"/shop/vip\""}]"#,
        ),
    ];
    let sources = sources.into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect();
    let (policy, findings) = Policy::compile(&sources, None);
    policy.unwrap_or_else(|| panic!("{findings:#?}"))
}

/// What a reply says, after its scratch has gone.
#[derive(Debug)]
struct Told {
    /// 200 for a request that is forwarded.
    status: u16,
    verdict_header: Option<String>,
    headers: Vec<(&'static str, String)>,
    verdict: Option<Verdict>,
    label: &'static str,
}

impl Told {
    fn of(reply: Reply<'_>) -> Told {
        let (status, verdict_header, headers) = match reply.outcome {
            Outcome::Forward { request_headers, response_headers } => {
                assert_eq!(request_headers[0].0, VERDICT_HEADER);
                (200, Some(request_headers[0].1.to_owned()), response_headers)
            }
            Outcome::Answer { status, headers, .. } => (status, None, headers),
        };
        Told {
            status,
            verdict_header,
            headers: headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            verdict: reply.verdict,
            label: reply.label,
        }
    }
}

fn ask(policy: &Policy, url: &str, headers: &[(&str, &[u8])]) -> Told {
    let secrets = Secrets::new("new", Some("old".into()));
    let identity = Identity::of_host("test");
    let url = CanonicalUrl::of(url).expect("a URL");
    let incoming = Incoming {
        method: "GET",
        url: &url,
        version: "HTTP/1.1",
        headers,
        client_ip: None,
        body: "",
        now_ms: NOW * 1000,
        facts: &NoFacts,
    };
    Told::of(handle(Site { policy, secrets: &secrets, identity: &identity }, &incoming, &mut Scratch::default()))
}

fn token(queue_id: &str, secret: &str) -> String {
    let fields = TokenFields {
        event_id: "Shop1".into(),
        queue_id: queue_id.into(),
        expires: NOW + 60,
        redirect_type: "queue".into(),
        ..TokenFields::default()
    };
    sign(&fields, &Secret::new(secret))
}

fn session(secret: &str) -> String {
    let session = NewSession { event_id: "Shop1", queue_id: "q", redirect_type: "queue", ..NewSession::default() };
    let arena = Bump::new();
    let value = session.sign(&Secret::new(secret), NOW - 60, &arena);
    format!("QueueITAccepted-SDFrts345E-V3_Shop1={}", value.replace('=', "%3D").replace('&', "%26"))
}

fn forwarded(told: &Told) -> (&str, Vec<&str>) {
    let verdict = told.verdict_header.as_deref().unwrap_or_else(|| panic!("not forwarded: {told:?}"));
    (verdict, told.headers.iter().map(|(name, _)| *name).collect())
}

fn location(told: &Told) -> &str {
    assert_eq!(told.status, 302, "{told:?}");
    &told.headers.iter().find(|(name, _)| *name == "location").expect("a location").1
}

#[test]
fn a_bypassed_request_passes_untouched() {
    let url = format!("https://h/shop/vip?queueittoken={}", token("q", "forged"));
    let reply = ask(&policy(), &url, &[]);
    assert_eq!(forwarded(&reply), ("bypass;rule=vip%201", vec!["x-queueit-connector"]));
    assert_eq!((reply.label, reply.verdict), ("bypass", Some(Verdict::Bypassed { entry: 0, rule: 0 })));
}

#[test]
fn a_request_that_nothing_matches_passes() {
    let reply = ask(&policy(), "https://h/", &[]);
    assert_eq!(forwarded(&reply), ("pass", vec!["x-queueit-connector"]));
}

#[test]
fn a_session_of_the_old_secret_is_renewed_with_the_new_one() {
    let cookie = session("old");
    let reply = ask(&policy(), "https://h/shop", &[("cookie", cookie.as_bytes())]);
    assert_eq!(forwarded(&reply), ("session;room=Shop1", vec!["x-queueit-connector", "set-cookie"]));
    let renewed = reply.headers[1].1.split(';').next().expect("a cookie").as_bytes();
    let secrets_without_old = ask(&policy(), "https://h/shop", &[("cookie", renewed)]);
    assert_eq!(secrets_without_old.label, "session");
    let forged = session("forged");
    assert_eq!(ask(&policy(), "https://h/shop", &[("cookie", forged.as_bytes())]).label, "queue");
}

#[test]
fn a_token_is_taken_out_of_the_url() {
    let url = format!("https://h/shop?queueittoken={}&a=1", token("q", "new"));
    let reply = ask(&policy(), &url, &[]);
    assert_eq!((location(&reply), reply.label), ("https://h/shop?a=1", "token"));
    assert_eq!(reply.headers.iter().filter(|(name, _)| *name == "set-cookie").count(), 1);
}

#[test]
fn nothing_a_visitor_sends_breaks_a_header() {
    let reply = ask(&policy(), "https://h/shop?queueittoken=a%0D%0ASet-Cookie:+x%C3%A9%00", &[]);
    let location = location(&reply);
    assert!(location.bytes().all(|byte| byte.is_ascii_graphic()), "{location}");
    assert!(location.contains("&queueittoken=a%0D%0ASet-Cookie:%20x%C3%A9%00&"), "{location}");
    assert_eq!(reply.label, "error");
}

#[test]
fn the_waiting_room_may_be_elsewhere() {
    let mut policy = policy();
    policy.settings.waiting_room_origin = Some("http://127.0.0.1:9".into());
    let reply = ask(&policy, "https://h/shop", &[]);
    assert!(location(&reply).starts_with("http://127.0.0.1:9/?c=acme&e=Shop1&ver=velvetrope-"));
    assert!(location(&reply).ends_with(&format!("&kupver=test-{}", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn many_and_odd_cookies_have_an_answer() {
    let mut cookies = "x=%;=;;a".repeat(10_000).into_bytes();
    cookies.extend(b"\xff\x00; ");
    cookies.extend(session("new").into_bytes());
    let reply = ask(&policy(), "https://h/shop", &[("Cookie", b"\xff=%"), ("cookie", &cookies)]);
    assert_eq!(reply.label, "session");
}

#[test]
fn failures_are_open_or_closed_as_the_operator_says() {
    let identity = Identity::of_host("test");
    let policy = FailurePolicy { no_configuration: OnFailure::Closed, ..FailurePolicy::default() };
    let mut scratch = Scratch::default();
    let closed = handle_failure(FailureClass::NoConfiguration, &policy, &identity, "none yet", &mut scratch);
    let Outcome::Answer { status: 503, headers, .. } = closed.outcome else { panic!("not closed: {closed:?}") };
    assert!(headers.contains(&("retry-after", "30")));
    assert!(headers.contains(&("x-queueit-failed", "true")));
    assert_eq!((closed.label, closed.failed), ("failed-closed", Some("none yet")));
    let open = handle_failure(FailureClass::StoreUnreachable, &policy, &identity, "no route", &mut scratch);
    assert_eq!(forwarded(&Told::of(open)), ("failed-open", vec!["x-queueit-connector", "x-queueit-failed"]));
}

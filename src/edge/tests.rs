//! The wrapper around a small policy: one room at `/shop`, whose bypass rule is true at `/shop/vip`.

use super::*;
use crate::policy::Preflight;
use crate::queueit::Secret;
use crate::queueit::cookie::NewSession;
use crate::queueit::token::{TokenFields, sign};
use crate::request::{Field, NoFacts, Value};

const NOW: i64 = 1_790_000_000;
const QUEUE_ID: &str = "3cdf8eee-0458-4c35-afd6-7c2d12098a49";

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
    Policy::compile(&sources, None).unwrap_or_else(|findings| panic!("{findings:#?}")).policy
}

/// What a reply says, after its scratch has gone.
#[derive(Debug)]
struct Told {
    /// 200 for a request that is forwarded.
    status: u16,
    way_back: WayBack,
    body: String,
    verdict_header: Option<String>,
    headers: Vec<(&'static str, String)>,
    verdict: Option<Verdict>,
    label: &'static str,
}

impl Told {
    fn of(reply: Reply<'_>) -> Told {
        let (mut way_back, mut body) = (WayBack::Untouched, String::new());
        let (status, verdict_header, headers) = match reply.outcome {
            Outcome::Forward { request_headers, response_headers, way_back: back } => {
                assert_eq!(request_headers[0].0, VERDICT_HEADER);
                way_back = back;
                (200, Some(request_headers[0].1.to_owned()), response_headers)
            }
            Outcome::Answer { status, headers, body: told } => {
                body = told.to_owned();
                (status, None, headers)
            }
        };
        Told {
            status,
            way_back,
            body,
            verdict_header,
            headers: headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            verdict: reply.verdict,
            label: reply.label,
        }
    }
}

fn ask(policy: &Policy, url: &str, headers: &[(&str, &[u8])]) -> Told {
    ask_with(policy, "GET", url, headers)
}

fn ask_with(policy: &Policy, method: &str, url: &str, headers: &[(&str, &[u8])]) -> Told {
    ask_of(&NoFacts, policy, method, url, headers)
}

fn ask_of(facts: &dyn Facts, policy: &Policy, method: &str, url: &str, headers: &[(&str, &[u8])]) -> Told {
    ask_from(([192, 0, 2, 1], false), facts, policy, method, url, headers)
}

/// Somebody's address, and whether a body is sent.
fn ask_from(
    (address, has_body): ([u8; 4], bool),
    facts: &dyn Facts,
    policy: &Policy,
    method: &str,
    url: &str,
    headers: &[(&str, &[u8])],
) -> Told {
    let secrets = Secrets::new("new", Some("old".into()));
    let identity = Identity::of_host("test");
    let url = CanonicalUrl::of(url).expect("a URL");
    let incoming = Incoming {
        method,
        url: &url,
        version: "HTTP/1.1",
        headers,
        client_ip: Some(IpAddr::from(address)),
        body: "",
        has_body,
        now_ms: NOW * 1000,
        facts,
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
    let session = NewSession { event_id: "Shop1", queue_id: QUEUE_ID, redirect_type: "queue", ..NewSession::default() };
    let arena = Bump::new();
    let value = session.sign(&Secret::new(secret), NOW - 60, &arena);
    format!("QueueITAccepted-SDFrts345E-V3_Shop1={}", value.replace('=', "%3D").replace('&', "%26"))
}

fn forwarded(told: &Told) -> (&str, Vec<&str>) {
    let verdict = told.verdict_header.as_deref().unwrap_or_else(|| panic!("not forwarded: {told:?}"));
    (verdict, told.headers.iter().map(|(name, _)| *name).collect())
}

fn location(told: &Told) -> &str {
    assert!(matches!(told.status, 302 | 303), "{told:?}");
    header(told, "location").expect("a location")
}

fn header<'t>(told: &'t Told, name: &str) -> Option<&'t str> {
    told.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
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
fn a_stale_cookie_of_the_same_name_does_not_count() {
    let (good, stale) = (session("new"), session("forged"));
    let unreadable = "QueueITAccepted-SDFrts345E-V3_Shop1=%E0%A4%A";
    for twins in [[&*good, &*stale], [&stale, &good], [unreadable, &good], [&good, unreadable]] {
        let together = twins.join("; ");
        assert_eq!(ask(&policy(), "https://h/shop", &[("cookie", together.as_bytes())]).label, "session");
        let apart = twins.map(|twin| ("cookie", twin.as_bytes()));
        assert_eq!(ask(&policy(), "https://h/shop", &apart).label, "session");
    }
    assert_eq!(ask(&policy(), "https://h/shop", &[("cookie", format!("{good}=x").as_bytes())]).label, "queue");
}

#[test]
fn what_is_deleted_is_deleted_for_the_host_too() {
    let mut policy = policy();
    let deletions = |policy: &Policy| {
        let reply = ask(policy, "https://h/shop", &[("cookie", session("forged").as_bytes())]);
        let cookies = reply.headers.into_iter().filter(|(name, _)| *name == "set-cookie");
        cookies.map(|(_, value)| value).collect::<Vec<_>>()
    };
    let expires = "QueueITAccepted-SDFrts345E-V3_Shop1=; expires=Thu, 01 Jan 1970 00:00:00 GMT;";
    assert_eq!(deletions(&policy), [format!("{expires} path=/")]);
    policy.integrations.all[0].cookie_domain = Some(".x.example".into());
    assert_eq!(deletions(&policy), [format!("{expires} domain=.x.example; path=/"), format!("{expires} path=/")]);
}

#[test]
fn sessions_of_other_connectors_count_where_they_are_shared() {
    let sealed = session("new");
    let without = sealed.split("%26Seal").next().expect("a session").as_bytes();
    let mut policy = policy();
    assert_eq!(ask(&policy, "https://h/shop", &[("cookie", without)]).label, "queue");
    policy.settings.shared_sessions = true;
    assert_eq!(ask(&policy, "https://h/shop", &[("cookie", without)]).label, "session");
}

#[test]
fn tokens_may_be_late_by_as_much_as_the_operator_says() {
    let late = |seconds: i64| {
        let fields = TokenFields {
            event_id: "Shop1".into(),
            expires: NOW - seconds,
            redirect_type: "queue".into(),
            ..TokenFields::default()
        };
        format!("https://h/shop?queueittoken={}", sign(&fields, &Secret::new("new")))
    };
    let mut policy = policy();
    assert_eq!(ask(&policy, &late(0), &[]).label, "token");
    assert_eq!(ask(&policy, &late(1), &[]).label, "error");
    policy.settings.token.leeway = 20;
    assert_eq!(ask(&policy, &late(20), &[]).label, "token");
    assert!(location(&ask(&policy, &late(21), &[])).contains("/error/timestamp/"));
}

#[test]
fn a_token_that_no_room_writes_lets_nobody_pass() {
    let secret = Secret::new("new");
    let signed = |text: &str| format!("https://h/shop?queueittoken={text}~h_{}", secret.sign(&[text]).as_str());
    let good = format!("e_Shop1~ts_{}~rt_queue", NOW + 60);
    assert_eq!(ask(&policy(), &signed(&good), &[]).label, "token");
    for odd in [good.replace("~rt_queue", ""), good.replace("~ts", "~ts_1~ts"), format!("{good}~cv_+5")] {
        let reply = ask(&policy(), &signed(&odd), &[]);
        assert_eq!(reply.label, "error", "{odd}");
        assert!(location(&reply).contains("/error/hash/"), "{odd}");
    }
}

#[test]
fn a_token_is_taken_out_of_the_url() {
    let url = format!("https://h/shop?queueittoken={}&a=1", token("q", "new"));
    let reply = ask(&policy(), &url, &[]);
    assert_eq!((location(&reply), reply.label), ("/shop?a=1", "token"));
    assert_eq!(reply.headers.iter().filter(|(name, _)| *name == "set-cookie").count(), 1);
}

#[test]
fn the_way_without_the_token_stays_on_the_site() {
    let policy = policy();
    for (path, stays) in [
        ("", "/.//shop"),
        ("/evil.example/shop?a=//b", "/.//evil.example/shop?a=//b"),
        ("\\evil.example/shop", "/./\\evil.example/shop"),
        ("%20/evil.example/shop", "/%20/evil.example/shop"),
        ("@evil.example/shop", "/@evil.example/shop"),
        (":80//shop", "/:80//shop"),
    ] {
        let path = if path.is_empty() { "//shop".to_owned() } else { format!("/{path}") };
        let sign = if path.contains('?') { '&' } else { '?' };
        let url = format!("https://h:8443{path}{sign}queueittoken={}", token("q", "new"));
        let reply = ask(&policy, &url, &[]);
        assert_eq!((location(&reply), reply.label), (stays, "token"), "{url}");
        // As a browser takes it.
        let base = stays.replace('\\', "/");
        assert!(base.starts_with('/') && !base.starts_with("//"), "{stays}");
    }
}

#[test]
fn what_is_behind_a_rope_is_private() {
    let policy = policy();
    let cookie = session("new");
    let session = [("cookie", cookie.as_bytes())];
    assert_eq!(ask(&policy, "https://h/shop", &session).way_back, WayBack::Private);
    assert_eq!(ask(&policy, "https://h/shop/vip", &session).way_back, WayBack::Untouched);
    assert_eq!(ask(&policy, "https://h/", &session).way_back, WayBack::Untouched);
    let debug = TokenFields { expires: NOW + 60, redirect_type: "debug".into(), ..TokenFields::default() };
    let url = format!("https://h/?queueittoken={}", sign(&debug, &Secret::new("new")));
    let told = ask(&policy, &url, &[]);
    assert!(header(&told, "set-cookie").is_some_and(|cookie| cookie.starts_with("queueitdebug")), "{told:?}");
    assert_eq!(told.way_back, WayBack::Private, "for its cookie");
}

#[test]
fn a_queue_that_fails_open_stays_private() {
    let mut policy = policy();
    policy.integrations.all[0].verify_queue_id = true;
    let cookie = session("new");
    let told = ask(&policy, "https://h/shop", &[("cookie", cookie.as_bytes())]);
    assert_eq!((told.label, told.way_back), ("failed-open", WayBack::Private));
}

#[test]
fn a_body_is_not_lost_on_the_way() {
    let policy = policy();
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get"] {
        let url = format!("https://h/shop?queueittoken={}&a=1", token("q", "new"));
        let told = ask_with(&policy, method, &url, &[]);
        assert_eq!(forwarded(&told), ("token;room=Shop1", vec!["x-queueit-connector", "set-cookie"]), "{method}");
        assert_eq!(told.way_back, WayBack::Private);
        let told = ask_with(&policy, method, "https://h/shop", &[]);
        assert_eq!((told.status, told.label), (303, "queue"), "{method}");
        let refused = format!("https://h/shop?queueittoken={}", token("q", "forged"));
        assert_eq!(ask_with(&policy, method, &refused, &[]).status, 303, "{method}");
    }
    for method in ["GET", "HEAD"] {
        let url = format!("https://h/shop?queueittoken={}&a=1", token("q", "new"));
        assert_eq!(location(&ask_with(&policy, method, &url, &[])), "/shop?a=1");
        assert_eq!(ask_with(&policy, method, "https://h/shop", &[]).status, 302, "{method}");
    }
}

const ORIGIN: (&str, &[u8]) = ("Origin", b"https://other.example");
const ASKS_FOR: (&str, &[u8]) = ("Access-Control-Request-Method", b"PUT");

#[test]
fn preflights_pass_without_a_session() {
    let mut policy = policy();
    let preflight = [ORIGIN, ASKS_FOR];
    let told = ask_with(&policy, "OPTIONS", "https://h/shop", &preflight);
    assert_eq!(forwarded(&told), ("preflight", vec!["x-queueit-connector"]));
    assert_eq!((told.label, told.way_back), ("preflight", WayBack::WithoutBody));
    let refused = format!("https://h/shop?queueittoken={}", token("q", "forged"));
    assert_eq!(ask_with(&policy, "OPTIONS", &refused, &preflight).label, "preflight");
    assert_eq!(ask_with(&policy, "OPTIONS", "https://h/shop/vip", &preflight).label, "bypass");
    assert_eq!(ask_with(&policy, "OPTIONS", "https://h/", &preflight).label, "pass");
    for headers in [
        &[ORIGIN][..],
        &[ASKS_FOR],
        &[],
        &[ORIGIN, ASKS_FOR, ("Upgrade", b"websocket")],
        &[ORIGIN, ASKS_FOR, ("X-HTTP-Method-Override", b"POST")],
        &[ORIGIN, ASKS_FOR, ("x_http_method_override", b"POST")],
        &[ORIGIN, ASKS_FOR, ("Content-Length", b"5")],
        &[ORIGIN, ASKS_FOR, ("Transfer-Encoding", b"chunked")],
        &[ORIGIN, ASKS_FOR, ("Connection", b"close, Origin")],
        &[ORIGIN, ASKS_FOR, ("Connection", b"access-control-request-method")],
    ] {
        assert_eq!(ask_with(&policy, "OPTIONS", "https://h/shop", headers).label, "queue", "{headers:?}");
    }
    for method in ["GET", "POST", "HEAD", "options"] {
        assert_eq!(ask_with(&policy, method, "https://h/shop", &preflight).label, "queue", "{method}");
    }
    let with_body = ask_from(([192, 0, 2, 1], true), &NoFacts, &policy, "OPTIONS", "https://h/shop", &preflight);
    assert_eq!(with_body.label, "queue", "whatever the headers say of it");
    policy.settings.preflight = Preflight::Queue;
    assert_eq!(ask_with(&policy, "OPTIONS", "https://h/shop", &preflight).status, 303);
}

#[test]
fn scripts_of_other_origins_may_read_where_the_queue_is() {
    let policy = policy();
    let page = ("x-queueit-ajaxpageurl", &b"https%3A%2F%2Fother.example%2F"[..]);
    let told = ask(&policy, "https://h/shop", &[page, ORIGIN]);
    assert_eq!(told.status, 200);
    for (name, value) in [
        ("access-control-allow-origin", "https://other.example"),
        ("access-control-allow-credentials", "true"),
        ("access-control-expose-headers", "x-queueit-redirect"),
        ("vary", "Origin"),
    ] {
        assert_eq!(header(&told, name), Some(value));
    }
    for headers in [&[page][..], &[page, ("origin", b"")], &[page, ("origin", b"https://a.example\r\nx: y")]] {
        let told = ask(&policy, "https://h/shop", headers);
        assert_eq!((told.status, header(&told, "access-control-allow-origin")), (200, None), "{headers:?}");
    }
}

#[test]
fn a_visitors_place_is_for_the_site_alone() {
    let mut policy = policy();
    policy.settings.hosts = vec!["h".into(), "www.h".into()];
    let bound = NewSession {
        event_id: "Shop1",
        queue_id: "q",
        redirect_type: "queue",
        hashed_ip: &"0".repeat(64),
        ..NewSession::default()
    };
    let arena = Bump::new();
    let value = bound.sign(&Secret::new("new"), NOW - 60, &arena).replace('=', "%3D").replace('&', "%26");
    let cookie = format!("QueueITAccepted-SDFrts345E-V3_Shop1={value}");
    let page = ("x-queueit-ajaxpageurl", &b"https%3A%2F%2Fh%2F"[..]);
    for (origin, may_read) in [
        ("https://h", true),
        ("https://www.h", true),
        ("https://h.evil", false),
        ("https://evil", false),
        ("null", false),
    ] {
        let told =
            ask(&policy, "https://h/shop", &[("cookie", cookie.as_bytes()), page, ("origin", origin.as_bytes())]);
        let redirect = header(&told, "x-queueit-redirect").expect("a redirect");
        assert!(redirect.contains("sessionstate") && redirect.contains("q%253Aq"), "{redirect}");
        assert_eq!(header(&told, "access-control-allow-origin"), may_read.then_some(origin), "{origin}");
    }
}

#[test]
fn what_is_no_navigation_gets_an_answer_for_scripts() {
    let mut policy = policy();
    let room = |told: &Told| location(told).to_owned();
    let expected = room(&ask(&policy, "https://h/shop?a", &[]));
    for mode in ["cors", "same-origin", "no-cors", "websocket", "anything"] {
        let told = ask(&policy, "https://h/shop?a", &[("Sec-Fetch-Mode", mode.as_bytes()), ORIGIN]);
        assert_eq!((told.status, told.label), (429, "queue"), "{mode}");
        let body: serde_json::Value = serde_json::from_str(&told.body).expect("JSON");
        assert_eq!(body["error"], "must_queue");
        assert_eq!((&body["room"], &body["queue_url"]), (&"Shop1".into(), &expected.as_str().into()));
        assert_eq!(header(&told, "content-type"), Some("application/json"));
        assert_eq!(header(&told, "access-control-allow-origin"), Some("https://other.example"));
        assert!(header(&told, "cache-control").is_some_and(|value| value.contains("no-store")));
        assert!(header(&told, "x-queueit-redirect").is_some_and(|value| value.starts_with("https%3A%2F%2Facme.")));
        assert_eq!(header(&told, "location"), None);
    }
    for mode in ["navigate", "nested-navigate", ""] {
        assert_eq!(room(&ask(&policy, "https://h/shop?a", &[("sec-fetch-mode", mode.as_bytes())])), expected, "{mode}");
    }
    let cors = ("sec-fetch-mode", &b"cors"[..]);
    let refused = format!("https://h/shop?queueittoken={}", token("q", "forged"));
    let told = ask(&policy, &refused, &[cors]);
    assert_eq!((told.status, told.label), (429, "error"));
    assert!(told.body.contains("\"error\":\"refused\"") && told.body.contains("/error/hash/"), "{}", told.body);
    let page = ("x-queueit-ajaxpageurl", &b"https%3A%2F%2Fh%2F"[..]);
    assert_eq!(ask(&policy, "https://h/shop", &[cors, page]).status, 200, "by Queue-it's protocol");
    let good = format!("https://h/shop?queueittoken={}", token("q", "new"));
    assert_eq!(ask(&policy, &good, &[cors]).status, 302, "to the same site, where scripts can follow");
    policy.settings.script_requests = ScriptRequests::Redirect;
    assert_eq!(ask(&policy, "https://h/shop", &[cors]).status, 302);
}

#[test]
fn visitors_come_back_to_the_page_that_asked() {
    let policy = policy();
    let cors = ("sec-fetch-mode", &b"cors"[..]);
    let own = "&t=https%3A%2F%2Fh%2Fshop%2Fapi&";
    for (referer, target) in [
        ("https://h/shop/page?a=1&queueittoken=old", "&t=https%3A%2F%2Fh%2Fshop%2Fpage%3Fa%3D1&"),
        ("https://H/", "&t=https%3A%2F%2FH%2F&"),
        ("https://evil.example/", own),
        ("https://h.evil.example/", own),
        ("https://h@evil.example/", own),
        ("https://h\\@evil.example/", own),
        ("https://h:81/", own),
        ("http://h/", own),
        ("", own),
    ] {
        let told = ask(&policy, "https://h/shop/api", &[cors, ("referer", referer.as_bytes())]);
        assert!(told.body.contains(target), "{referer}: {}", told.body);
    }
    let navigation = ask(&policy, "https://h/shop/api", &[("referer", b"https://h/shop/page")]);
    assert!(location(&navigation).contains(own));
}

/// A host that remembers.
#[derive(Default)]
struct Remembering(Arrivals);

impl Facts for Remembering {
    fn fact<'a>(&'a self, _: Field, _: &'a Bump) -> Option<Value<'a>> {
        None
    }

    fn note_arrival(&self, arrival: &str, now: i64) -> bool {
        self.0.note(arrival, now)
    }
}

#[test]
fn who_keeps_no_cookies_is_told_so() {
    let (policy, host) = (policy(), Remembering::default());
    let arrives_at = |path: &str, queue_id: &str| {
        let url = format!("https://h{path}&queueittoken={}", token(queue_id, "new"));
        ask_of(&host, &policy, "GET", &url, &[])
    };
    let clean = "/shop?a=%22%3E%3C&b='\"";
    assert_eq!(location(&arrives_at(clean, "q1")), clean);
    assert_eq!(location(&arrives_at(clean, "q2")), clean, "somebody else");
    assert_eq!(location(&arrives_at("/shop?b", "q1")), "/shop?b", "another page");
    let script = format!("https://h{clean}&queueittoken={}", token("q1", "new"));
    let script = ask_of(&host, &policy, "GET", &script, &[("sec-fetch-mode", b"cors")]);
    assert_eq!(location(&script), clean, "scripts do not go round and round");
    let second = arrives_at(clean, "q1");
    let marked = format!("https://h{}", location(&second));
    assert!(marked.starts_with(&format!("https://h{clean}&velvetrope_arrived=")), "{marked}");

    let cookie = session("new");
    let kept = ask(&policy, &marked, &[("cookie", cookie.as_bytes())]);
    assert_eq!((location(&kept), kept.label), (clean, "session"), "who kept it goes on");
    let lost = ask(&policy, &marked, &[]);
    assert_eq!((lost.status, lost.label), (403, "no-cookie"));
    assert!(lost.body.contains("href=\"/shop?a=%22%3E%3C&amp;b=&#39;&quot;\""), "{}", lost.body);
    assert!(header(&lost, "cache-control").is_some_and(|value| value.contains("no-store")));

    let elsewhere = ask_from(([192, 0, 2, 2], false), &NoFacts, &policy, "GET", &marked, &[]);
    assert_eq!(elsewhere.label, "queue", "a link shows the page to nobody else");
    let forged = marked.replace(&marked[marked.len() - 32..], &"0".repeat(32));
    assert_eq!(ask(&policy, &forged, &[]).label, "queue");
    let late = marked.replace(&NOW.to_string(), &(NOW - 61).to_string());
    let waits = ask(&policy, &late, &[]);
    assert!(location(&waits).contains("%26b%3D%27%22&kupver="), "without the mark: {}", location(&waits));
    assert_eq!(ask_with(&policy, "POST", &marked, &[]).status, 303);
    assert_eq!(ask(&policy, &marked, &[("sec-fetch-mode", b"cors")]).status, 403);
    let good = format!("{marked}&queueittoken={}", token("q", "new"));
    assert_eq!(location(&ask(&policy, &good, &[])), clean);
    for (path, label) in [("/shop/vip", "bypass"), ("/", "pass")] {
        assert_eq!(ask(&policy, &format!("https://h{path}?velvetrope_arrived={NOW}"), &[]).label, label);
    }
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

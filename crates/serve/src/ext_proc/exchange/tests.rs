//! The flows of a small policy: one room at `/shop`, past whose rope `/shop/vip` goes; `/leave` ends its session.

use std::collections::BTreeMap;

use prost_types::value::Kind;
use prost_types::{Struct, Value};

use super::super::proto::envoy::config::core::v3::{HeaderMap, HeaderValue};
use super::super::proto::envoy::service::ext_proc::v3::common_response::ResponseStatus::ContinueAndReplace;
use super::super::proto::envoy::service::ext_proc::v3::processing_request::Request;
use super::super::proto::envoy::service::ext_proc::v3::processing_response::Response;
use super::super::proto::envoy::service::ext_proc::v3::{
    BodyMutation, CommonResponse, HeaderMutation, HttpBody, HttpHeaders, HttpTrailers, ImmediateResponse,
};
use super::*;
use crate::geo::GeoDatabases;
use crate::serving::hits::Hits;
use crate::serving::keeper::Deployment;
use velvetrope::internal::edge::VERDICT_HEADER;
use velvetrope::internal::policy::Policy;
use velvetrope::internal::queueit::token::{TokenFields, sign};
use velvetrope::internal::queueit::{Secret, Secrets};

const NOW: i64 = 1_790_000_000;
const SECRET: &str = "not-a-real-secret";
const SESSION: &str = "QueueITAccepted-SDFrts345E-V3_shop";

fn state(more: &str) -> State {
    let part = |path: &str| {
        format!(
            r#""Triggers": [{{"LogicalOperator": "And", "TriggerParts": [{{"ValidatorType": "UrlValidator",
                "UrlPart": "PagePath", "Operator": "Contains", "ValueToCompare": "{path}"}}]}}]"#
        )
    };
    let one = |action: &str, path: &str| {
        format!(
            r#"{{"Name": "{action}", "ActionType": "{action}", "EventId": "shop", "InvolvedWaitingRoomIds": ["other"],
                "QueueDomain": "q.example",
                "CookieValidityMinute": 20, "ExtendCookieValidity": true, "RedirectLogic": "AllowTParameter", {}}}"#,
            part(path)
        )
    };
    let all = [one("Ignore", "/shop/assets"), one("Cancel", "/leave"), one("Queue", "/shop")].join(",");
    let rules = r#"[{"id": "vip", "action": "bypass_waiting_room",
            "expression": "http.request.uri.path eq \"/shop/vip\" or ip.src eq 192.0.2.10"},
        {"id": "north", "action": "bypass_waiting_room", "expression": "ip.src.country eq \"SE\""},
        {"id": "near", "action": "bypass_waiting_room", "expression": "ip.src.asnum eq 64496"}]"#;
    let settings = format!(
        "customer_id = 'acme'\ntarget = 'google-cloud'\nintegration = 'i.json'\nrules = {{ shop = 'r.json' }}\n\
         [google_cloud]\nvariables = ['client_region']\n\
         [google_cloud.headers]\n'ip.src.asnum' = 'X-Client-Network'\n{more}"
    );
    let sources = [
        ("velvetrope.toml", settings),
        ("i.json", format!(r#"{{"Version": 7, "Integrations": [{all}]}}"#)),
        ("r.json", rules.to_owned()),
    ];
    let sources = sources.into_iter().map(|(name, text)| (name.to_owned(), text.into_bytes())).collect();
    let policy = Policy::compile(&sources, None).unwrap_or_else(|findings| panic!("{findings:#?}")).policy;
    State::InForce(Deployment {
        hits: Hits::of(policy.rules(), None),
        policy,
        secrets: Secrets::new(SECRET, None),
        geo: GeoDatabases::default(),
    })
}

fn token() -> String {
    let fields = TokenFields {
        event_id: "shop".into(),
        queue_id: "q1".into(),
        expires: NOW + 60,
        redirect_type: "queue".into(),
        ..TokenFields::default()
    };
    sign(&fields, &Secret::new(SECRET))
}

fn header_map(headers: &[(&str, &[u8])]) -> HttpHeaders {
    let value = |(key, value): &(&str, &[u8])| HeaderValue {
        key: (*key).to_owned(),
        raw_value: value.to_vec(),
        ..HeaderValue::default()
    };
    HttpHeaders { headers: Some(HeaderMap { headers: headers.iter().map(value).collect() }), end_of_stream: true }
}

fn message(request: Request) -> ProcessingRequest {
    ProcessingRequest { request: Some(request), ..ProcessingRequest::default() }
}

fn request(path: &str, more: &[(&str, &[u8])]) -> ProcessingRequest {
    request_with("GET", path, more)
}

fn request_with(method: &str, path: &str, more: &[(&str, &[u8])]) -> ProcessingRequest {
    let mut headers: Vec<(&str, &[u8])> = vec![
        (":authority", b"tickets.example"),
        (":path", path.as_bytes()),
        (":method", method.as_bytes()),
        (":scheme", b"https"),
    ];
    headers.extend(more);
    message(Request::RequestHeaders(header_map(&headers)))
}

fn response() -> ProcessingRequest {
    message(Request::ResponseHeaders(header_map(&[(":status", b"200"), ("set-cookie", b"origin=1")])))
}

fn attributes(entries: &[(&str, &str, &str)]) -> BTreeMap<String, Struct> {
    let mut all = BTreeMap::<String, Struct>::new();
    for (namespace, name, text) in entries {
        let value = Value { kind: Some(Kind::StringValue((*text).to_owned())) };
        all.entry((*namespace).to_owned()).or_default().fields.insert((*name).to_owned(), value);
    }
    all
}

/// A stream and what has been said in it.
struct Talk<'s> {
    exchange: Exchange,
    state: &'s State,
    identity: Identity,
    event: Option<Event>,
}

impl<'s> Talk<'s> {
    fn new(state: &'s State) -> Talk<'s> {
        Talk { exchange: Exchange::default(), state, identity: Identity::of_host("google-cloud"), event: None }
    }

    fn say(&mut self, message: ProcessingRequest) -> Option<ProcessingResponse> {
        let random = |bytes: &mut [u8]| {
            bytes.fill(7);
            true
        };
        let arrivals = &Arrivals::default();
        let identity = &self.identity;
        let context = Context { state: self.state, policy: None, identity, now_ms: NOW * 1000, random, arrivals };
        self.exchange.follow(message.request.as_ref()?).or_else(|| {
            let step = self.exchange.decide(&message, context, &mut Scratch::default());
            self.event = Some(step.event);
            Some(step.response)
        })
    }

    /// Says the request, which must be answered at once.
    fn answered(mut self, message: ProcessingRequest) -> (ImmediateResponse, Event) {
        match self.say(message).and_then(|answer| answer.response) {
            Some(Response::ImmediateResponse(answer)) => (answer, self.event.expect("an event")),
            other => panic!("not answered: {other:?}"),
        }
    }

    /// Says the request, which must go on; the headers that it gets.
    fn goes_on(&mut self, message: ProcessingRequest) -> HeaderMutation {
        match self.say(message).and_then(|answer| answer.response) {
            Some(Response::RequestHeaders(answer)) => changes(answer.response),
            other => panic!("does not go on: {other:?}"),
        }
    }

    /// The headers that the response gets.
    fn comes_back(&mut self) -> HeaderMutation {
        self.comes_back_as(response())
    }

    fn comes_back_as(&mut self, response: ProcessingRequest) -> HeaderMutation {
        match self.say(response).and_then(|answer| answer.response) {
            Some(Response::ResponseHeaders(answer)) => changes(answer.response),
            other => panic!("no answer of the kind: {other:?}"),
        }
    }

    fn decision(&self) -> &'static str {
        self.event.as_ref().map_or("none", |event| event.decision)
    }
}

fn changes(response: Option<CommonResponse>) -> HeaderMutation {
    response.and_then(|response| response.header_mutation).unwrap_or_default()
}

/// Names with values; every header is checked for how it is to be set.
fn headers(mutation: &HeaderMutation) -> Vec<(String, String)> {
    let read = |option: &HeaderValueOption| {
        let header = option.header.as_ref().expect("a header");
        assert_eq!(header.value, "", "only raw_value is written");
        let is_cookie = header.key == "set-cookie";
        #[allow(deprecated, reason = "what Envoy heeds")]
        let append = option.append;
        assert_eq!((append, option.append_action), if is_cookie { (Some(true), 0) } else { (None, 2) }, "{header:?}");
        (header.key.clone(), String::from_utf8(header.raw_value.clone()).expect("a text"))
    };
    mutation.set_headers.iter().map(read).collect()
}

fn all(mutation: &HeaderMutation, name: &str) -> Vec<String> {
    headers(mutation).into_iter().filter(|(known, _)| known == name).map(|(_, value)| value).collect()
}

fn status(answer: &ImmediateResponse) -> i32 {
    answer.status.as_ref().map_or(0, |status| status.code)
}

fn verdict(mutation: &HeaderMutation) -> Vec<String> {
    all(mutation, VERDICT_HEADER)
}

/// The pair of a session that was got with a token.
fn session(state: &State) -> String {
    let (answer, _) = Talk::new(state).answered(request(&format!("/shop?queueittoken={}", token()), &[]));
    let cookies = all(&answer.headers.unwrap_or_default(), "set-cookie");
    cookies[0].split(';').next().expect("a pair").to_owned()
}

#[test]
fn a_first_visit_is_sent_to_the_room() {
    let (answer, event) = Talk::new(&state("")).answered(request("/shop?a=1", &[]));
    let mutation = answer.headers.clone().unwrap_or_default();
    assert_eq!((status(&answer), answer.details.as_str()), (302, "velvetrope_queue"));
    let location = &all(&mutation, "location")[0];
    assert!(location.starts_with("https://q.example/?c=acme&e=shop"), "{location}");
    assert!(location.contains("&t=https%3A%2F%2Ftickets.example%2Fshop%3Fa%3D1"), "{location}");
    assert!(location.contains("&kupver=google-cloud-"), "{location}");
    assert_eq!(all(&mutation, "x-queueit-connector"), ["google-cloud"]);
    assert_eq!(all(&mutation, "cache-control").len(), 1);
    assert_eq!((event.decision, event.room.as_deref(), event.status), ("queue", Some("shop"), 302));
    assert_eq!((event.method.as_str(), event.host.as_str(), event.path.as_str()), ("GET", "tickets.example", "/shop"));
}

#[test]
fn a_token_becomes_a_session_in_the_redirect_that_takes_it_away() {
    let state = state("");
    let (answer, event) = Talk::new(&state).answered(request(&format!("/shop?a=1&queueittoken={}", token()), &[]));
    let mutation = answer.headers.clone().unwrap_or_default();
    assert_eq!((status(&answer), event.decision), (302, "token"));
    assert_eq!(all(&mutation, "location"), ["/shop?a=1"]);
    assert!(all(&mutation, "set-cookie")[0].starts_with(SESSION));
}

#[test]
fn a_session_is_renewed_when_the_response_comes_by() {
    let state = state("");
    let cookie = session(&state);
    let mut talk = Talk::new(&state);
    let to_origin = talk.goes_on(request("/shop", &[("cookie", b"other=1"), ("cookie", cookie.as_bytes())]));
    assert_eq!(verdict(&to_origin), ["session;room=shop"]);
    let to_visitor = talk.comes_back();
    assert!(all(&to_visitor, "set-cookie")[0].starts_with(SESSION), "{to_visitor:?}");
    assert_eq!(all(&to_visitor, "x-queueit-connector"), ["google-cloud"]);
    assert_eq!(talk.comes_back(), HeaderMutation::default(), "once");
    assert_eq!(talk.decision(), "session");
}

#[test]
fn what_is_behind_a_rope_comes_back_private() {
    let state = state("");
    let cookie = session(&state);
    let lines: [(&str, &[u8]); 5] = [
        (":status", b"200"),
        ("cache-control", b"public"),
        ("cache-control", b"max-age=60"),
        ("surrogate-control", b"max-age=60"),
        ("x-kept", b"1"),
    ];
    for (path, cookie, told, removed) in [
        ("/shop", &*cookie, &["private, max-age=60"][..], &["surrogate-control", "cache-control"][..]),
        ("/shop/vip", &*cookie, &[], &[]),
        ("/", &*cookie, &[], &[]),
    ] {
        let mut talk = Talk::new(&state);
        talk.goes_on(request(path, &[("cookie", cookie.as_bytes())]));
        let to_visitor = talk.comes_back_as(message(Request::ResponseHeaders(header_map(&lines))));
        assert_eq!(all(&to_visitor, "cache-control"), told, "{path}");
        assert_eq!(to_visitor.remove_headers, removed, "{path}");
    }
}

#[test]
fn a_preflight_gets_headers_alone() {
    let state = state("");
    let mut talk = Talk::new(&state);
    let asked = [("origin", &b"https://a.example"[..]), ("access-control-request-method", b"PUT")];
    assert_eq!(verdict(&talk.goes_on(request_with("OPTIONS", "/shop", &asked))), ["preflight"]);
    let Some(Response::ResponseHeaders(answer)) = talk.say(response()).and_then(|answer| answer.response) else {
        panic!("no answer of the kind")
    };
    let answer = answer.response.expect("a change");
    assert_eq!((answer.status(), answer.body_mutation), (ContinueAndReplace, Some(BodyMutation { clear_body: true })));
    assert_eq!(headers(&changes(Some(answer))), [("x-queueit-connector".to_owned(), "google-cloud".to_owned())]);
}

#[test]
fn a_body_is_not_lost_on_the_way() {
    let state = state("");
    let mut talk = Talk::new(&state);
    let arrives = request_with("POST", &format!("/shop?queueittoken={}", token()), &[]);
    assert_eq!(verdict(&talk.goes_on(arrives)), ["token;room=shop"]);
    let to_visitor = talk.comes_back();
    assert!(all(&to_visitor, "set-cookie")[0].starts_with(SESSION), "{to_visitor:?}");
    assert_eq!(all(&to_visitor, "cache-control"), ["private, no-cache"]);
    let (answer, _) = Talk::new(&state).answered(request_with("POST", "/shop", &[]));
    assert_eq!(status(&answer), 303);
}

#[test]
fn what_is_no_navigation_gets_an_answer_for_scripts() {
    let asked = [("sec-fetch-mode", &b"cors"[..]), ("origin", b"https://a.example")];
    let (answer, event) = Talk::new(&state("")).answered(request("/shop/api", &asked));
    let mutation = answer.headers.clone().unwrap_or_default();
    assert_eq!((status(&answer), event.status), (429, 429));
    assert_eq!(all(&mutation, "access-control-allow-origin"), ["https://a.example"]);
    let body: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert!(body["queue_url"].as_str().is_some_and(|url| url.starts_with("https://q.example/?c=acme")), "{body}");
}

#[test]
fn a_script_is_told_where_to_go() {
    let page = [("x-queueit-ajaxpageurl", &b"https%3A%2F%2Ftickets.example%2Fshop"[..])];
    let (answer, _) = Talk::new(&state("")).answered(request("/shop/api", &page));
    let mutation = answer.headers.clone().unwrap_or_default();
    assert_eq!((status(&answer), answer.body.len()), (200, 0));
    assert!(all(&mutation, "x-queueit-redirect")[0].starts_with("https%3A%2F%2Fq.example"));
    assert_eq!(all(&mutation, "access-control-expose-headers"), ["x-queueit-redirect"]);
    assert!(all(&mutation, "location").is_empty());
}

#[test]
fn leaving_ends_the_session() {
    let state = state("");
    let cookie = session(&state);
    let (answer, event) = Talk::new(&state).answered(request("/leave", &[("cookie", cookie.as_bytes())]));
    let mutation = answer.headers.unwrap_or_default();
    assert_eq!(event.decision, "cancel");
    assert!(all(&mutation, "location")[0].starts_with("https://q.example/cancel/multiple/acme?wrl=shop~q1"));
    assert!(all(&mutation, "set-cookie").iter().any(|cookie| cookie.starts_with(&format!("{SESSION}=;"))));
    let mut without = Talk::new(&state);
    assert_eq!(verdict(&without.goes_on(request("/leave", &[]))), ["cancel"]);
}

#[test]
fn sessions_of_several_rooms_end_with_a_cookie_each() {
    let state = state("");
    let cookie = session(&state);
    let both = format!("{cookie}; {}", cookie.replace("V3_shop=", "V3_other="));
    let (answer, _) = Talk::new(&state).answered(request("/leave", &[("cookie", both.as_bytes())]));
    let cookies = all(&answer.headers.unwrap_or_default(), "set-cookie");
    let mut rooms: Vec<_> = cookies.iter().filter_map(|cookie| cookie.split_once("=;")).map(|(name, _)| name).collect();
    rooms.sort_unstable();
    assert_eq!(rooms, ["QueueITAccepted-SDFrts345E-V3_other", SESSION]);
}

#[test]
fn what_is_ignored_or_not_protected_goes_on() {
    let state = state("");
    for (path, label) in [("/shop/assets/a.css", "ignore"), ("/", "pass"), ("/?a", "pass")] {
        let mut talk = Talk::new(&state);
        let to_origin = talk.goes_on(request(path, &[]));
        assert_eq!((verdict(&to_origin), talk.decision()), (vec![label.to_owned()], label), "{path}");
        assert_eq!(headers(&talk.comes_back()), [("x-queueit-connector".to_owned(), "google-cloud".to_owned())]);
    }
}

#[test]
fn a_bypassed_request_passes_untouched() {
    let state = state("");
    let mut talk = Talk::new(&state);
    let answer = talk.say(request("/shop/vip", &[(VERDICT_HEADER, b"session;room=shop")])).expect("an answer");
    assert_eq!(answer.mode_override.map(|mode| mode.response_header_mode), Some(2), "no need to see the response");
    let Some(Response::RequestHeaders(answer)) = answer.response else { panic!("{answer:?}") };
    let mutation = changes(answer.response);
    assert_eq!(headers(&mutation), [(VERDICT_HEADER.to_owned(), "bypass;rule=vip".to_owned())]);
    assert_eq!(mutation.remove_headers, [VERDICT_HEADER], "what the client said of itself");
    assert_eq!(talk.comes_back(), HeaderMutation::default());
    assert_eq!(talk.event.and_then(|event| event.rule).as_deref(), Some("vip"));
}

#[test]
fn logs_tell_what_a_request_belongs_to() {
    let state = state("");
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (traceparent, told) in [(trace, Some(trace)), ("00-4bf9-00f0-01", None), (&trace.replace('4', "\n"), None)] {
        let (_, event) = Talk::new(&state).answered(request("/shop", &[("traceparent", traceparent.as_bytes())]));
        assert_eq!(event.trace.as_deref(), told, "{traceparent:?}");
    }
}

#[test]
fn messages_that_nobody_waits_for_get_empty_answers() {
    let state = state("");
    let body = || Request::RequestBody(HttpBody {});
    type IsOfKind = fn(&Response) -> bool;
    let kinds: [(Request, IsOfKind); 5] = [
        (body(), |answer| matches!(answer, Response::RequestBody(_))),
        (Request::ResponseBody(HttpBody {}), |answer| matches!(answer, Response::ResponseBody(_))),
        (Request::RequestTrailers(HttpTrailers::default()), |answer| matches!(answer, Response::RequestTrailers(_))),
        (Request::ResponseTrailers(HttpTrailers::default()), |answer| matches!(answer, Response::ResponseTrailers(_))),
        (Request::ResponseHeaders(HttpHeaders::default()), |answer| matches!(answer, Response::ResponseHeaders(_))),
    ];
    for (request, is_of_kind) in kinds {
        let mut talk = Talk::new(&state);
        let answer = talk.say(message(request.clone())).and_then(|answer| answer.response).expect("an answer");
        assert!(is_of_kind(&answer), "{request:?}: {answer:?}");
        assert_eq!(talk.decision(), "none");
    }
    let mut talk = Talk::new(&state);
    talk.goes_on(request("/", &[]));
    assert_eq!(talk.goes_on(request("/shop", &[])), HeaderMutation::default(), "a second request in a stream");
    assert!(talk.say(ProcessingRequest::default()).is_none(), "there is no kind to answer with");
}

/// The failure policy is for our failures: what the visitor got wrong is refused, whatever it says.
#[test]
fn what_names_no_place_is_refused() {
    let state = state("");
    let without = |name: &str| {
        let mut message = request("/shop", &[]);
        if let Some(Request::RequestHeaders(headers)) = &mut message.request {
            let all = &mut headers.headers.as_mut().expect("headers").headers;
            all.retain(|header| header.key != name);
        }
        message
    };
    let asking = |authority: &[u8], path: &[u8]| {
        message(Request::RequestHeaders(header_map(&[(":authority", authority), (":path", path)])))
    };
    for unclear in [
        without(":path"),
        without(":authority"),
        message(Request::RequestHeaders(HttpHeaders::default())),
        request("/shop", &[("host", b"other.example")]),
        asking(b"a@b", b"/shop"),
        asking(b"\xff", b"/shop"),
        asking(b"", b"/shop"),
        asking(b"tickets.example", b""),
        asking(b"tickets.example", b"*"),
        asking(b"tickets.example", b"shop"),
        asking(b"tickets.example", b"http://tickets.example/shop"),
        asking(b"tickets.example", b"/shop#top"),
        asking(b"tickets.example", b"/shop%00"),
        asking(b"tickets.example", b"/shop%2500"),
        asking(b"tickets.example", b"/shop%"),
        asking(b"tickets.example", b"/shop x"),
    ] {
        let (answer, event) = Talk::new(&state).answered(unclear.clone());
        assert_eq!((status(&answer), answer.details.as_str()), (400, "velvetrope_refused"), "{unclear:?}");
        assert!(!answer.body.is_empty() && event.failed.is_none());
    }
    assert!(
        matches!(Talk::new(&state).answered(request("/shop", &[("host", b"TICKETS.example.")])).0, answer if status(&answer) == 302)
    );
}

#[test]
fn where_nothing_is_in_force_the_failure_policy_is() {
    let absent = State::Absent { class: FailureClass::NoConfiguration, why: "none".into(), settings: None };
    let mut talk = Talk::new(&absent);
    assert_eq!(verdict(&talk.goes_on(request("/shop", &[]))), ["failed-open"]);
}

#[test]
fn no_spelling_of_what_is_ours_gets_through() {
    const ENVOY: &str = "envoy.filters.http.ext_proc";
    let forged = [
        ("x_velvetrope_verdict", &b"session"[..]),
        ("x-velvetrope_verdict", b"session"),
        ("x_forwarded_for", b"1.1.1.1"),
        ("forwarded", b"for=1.1.1.1;host=a"),
        ("x-forwarded-host", b"a"),
        ("x-forwarded-for", b"1.1.1.1"),
        ("x-forwarded-proto", b"https"),
    ];
    let removed = |state: &State| {
        let message = request("/shop/vip", &forged);
        let attributes = attributes(&[(ENVOY, "source.address", "10.0.0.1:4711")]);
        let answer = Talk::new(state).say(ProcessingRequest { attributes, ..message }).expect("an answer");
        let Some(Response::RequestHeaders(answer)) = answer.response else { panic!("no answer to go on") };
        answer.response.and_then(|common| common.header_mutation).expect("changes").remove_headers
    };
    let expected = ["x_velvetrope_verdict", "x-velvetrope_verdict", "x_forwarded_for", "forwarded", "x-forwarded-host"];
    assert_eq!(removed(&state("")), expected);
    assert_eq!(removed(&state("[proxy]\ntrusted_proxies = ['192.0.2.0/24']")), expected);
    assert_eq!(
        removed(&state("[proxy]\ntrusted_proxies = ['10.0.0.0/8']")),
        expected,
        "another host than was decided about"
    );

    let line = |(name, value): &(&str, &[u8])| HeaderValue {
        key: (*name).to_owned(),
        value: String::new(),
        raw_value: value.to_vec(),
    };
    let headers = [("digest", &b"x"[..])].iter().chain(&forged).map(line).collect();
    let trailers = Request::RequestTrailers(HttpTrailers { trailers: Some(HeaderMap { headers }) });
    let state = state("[proxy]\ntrusted_proxies = ['10.0.0.0/8']");
    let mut talk = Talk::new(&state);
    talk.say(request("/shop/vip", &[]));
    let answer = talk.say(ProcessingRequest { request: Some(trailers), ..Default::default() }).expect("an answer");
    let Some(Response::RequestTrailers(answer)) = answer.response else { panic!("{answer:?}") };
    assert_eq!(answer.header_mutation.expect("changes").remove_headers, forged.map(|(name, _)| name));
}

#[test]
fn the_client_is_whom_the_one_in_front_names() {
    let bypassed = |state: &State, attributes: BTreeMap<String, Struct>, forwarded: &str| {
        let mut talk = Talk::new(state);
        let message = request("/shop", &[("x-forwarded-for", forwarded.as_bytes())]);
        let answer = talk.say(ProcessingRequest { attributes, ..message }).and_then(|answer| answer.response);
        matches!(answer, Some(Response::RequestHeaders(_)))
    };
    const ENVOY: &str = "envoy.filters.http.ext_proc";
    let (direct, behind) = (state(""), state("[proxy]\ntrusted_hops = 2"));
    assert!(bypassed(&direct, attributes(&[(ENVOY, "source.address", "192.0.2.10:4711")]), "6.6.6.6"));
    assert!(bypassed(&direct, attributes(&[("source.ip", "source.ip", "192.0.2.10")]), "6.6.6.6"));
    assert!(bypassed(&direct, attributes(&[("source.ip", "", "192.0.2.10")]), ""));
    assert!(!bypassed(&direct, attributes(&[]), "192.0.2.10"), "anybody can say that");
    assert!(bypassed(&behind, attributes(&[(ENVOY, "source.ip", "10.0.0.1")]), "6.6.6.6, 192.0.2.10, 10.0.0.2"));
    assert!(!bypassed(&behind, attributes(&[]), "192.0.2.10, 6.6.6.6, 10.0.0.2"));
    let named = state("[proxy]\ntrusted_proxies = ['10.0.0.0/8']");
    assert!(bypassed(&named, attributes(&[(ENVOY, "source.ip", "10.0.0.1")]), "6.6.6.6, 192.0.2.10, 10.0.0.2"));
    assert!(!bypassed(&named, attributes(&[(ENVOY, "source.ip", "6.6.6.6")]), "192.0.2.10"));
    assert!(!bypassed(&named, attributes(&[]), "192.0.2.10"), "nobody knows who says that");
}

#[test]
fn variables_of_the_load_balancer_become_fields() {
    let state = state("");
    for (lines, label) in [(&["SE"][..], "bypass"), (&["SE", "NO"], "queue"), (&["NO"], "queue"), (&[], "queue")] {
        let lines: Vec<_> = lines.iter().map(|line| ("x-client-region", line.as_bytes())).collect();
        let mut talk = Talk::new(&state);
        talk.say(request("/shop", &lines));
        assert_eq!(talk.decision(), label, "{lines:?}");
    }
    for (network, label) in [("64496", "bypass"), ("64497", "queue"), ("a network", "queue"), ("\u{ff}", "queue")] {
        let mut talk = Talk::new(&state);
        talk.say(request("/shop", &[("x-client-network", network.as_bytes())]));
        assert_eq!(talk.decision(), label, "{network}");
    }
}

#[test]
fn what_is_no_text_does_no_harm() {
    let state = state("");
    let odd = [("x-odd", &b"\xff\xfe\0\r\n"[..]), ("cookie", b"\xff=\xff"), ("x-long", &[b'x'; 65_536])];
    let (answer, _) = Talk::new(&state).answered(request("/shop", &odd));
    assert_eq!(status(&answer), 302);
    let mut raw = request("/shop", &[]);
    if let Some(Request::RequestHeaders(headers)) = &mut raw.request {
        headers.headers.as_mut().expect("headers").headers[1].raw_value = b"/shop/\xff".to_vec();
    }
    let (answer, _) = Talk::new(&state).answered(raw.clone());
    let location = &all(&answer.headers.unwrap_or_default(), "location")[0];
    assert!(location.contains("shop%2F%25FF"), "{location}");
    if let Some(Request::RequestHeaders(headers)) = &mut raw.request {
        headers.headers.as_mut().expect("headers").headers[1].raw_value = b"/shop/\r\nx: y".to_vec();
    }
    assert_eq!(status(&Talk::new(&state).answered(raw).0), 400);
    assert!(messages::set_header("location", "a\r\nb").is_none());
}

//! Streams by themselves, without sockets.

use futures_util::FutureExt;
use http_body_util::Full;
use prost::Message as _;
use tokio_stream::StreamExt;
use tonic_prost::ProstDecoder;

use super::*;
use crate::ext_proc::proto::envoy::config::core::v3::{HeaderMap, HeaderValue};
use crate::ext_proc::proto::envoy::service::ext_proc::v3::processing_request::Request as Asked;
use crate::ext_proc::proto::envoy::service::ext_proc::v3::{HttpHeaders, ImmediateResponse};
use crate::serving::tenants::Common;
use crate::serving::{PolicySource, SecretSource};
use velvetrope::internal::policy::OnFailure;
use velvetrope::internal::queueit::token::{TokenFields, sign};
use velvetrope::internal::queueit::{Secret, Secrets};

const SECRET: &str = "not-a-real-secret";

/// A room at this path.
fn room(path: &str) -> String {
    format!(
        r#"{{"Name": "{path}", "ActionType": "Queue", "EventId": "{path}", "QueueDomain": "q.example",
        "CookieValidityMinute": 20, "ExtendCookieValidity": true, "RedirectLogic": "AllowTParameter",
        "Triggers": [{{"LogicalOperator": "And", "TriggerParts": [{{"ValidatorType": "UrlValidator",
        "UrlPart": "PagePath", "Operator": "Contains", "ValueToCompare": "/{path}"}}]}}]}}"#
    )
}

/// A way past all rooms.
fn rule(id: &str, expression: &str) -> String {
    let [id, expression] = [id, expression].map(|text| serde_json::Value::from(text).to_string());
    format!(r#"{{"id": {id}, "action": "bypass_waiting_room", "expression": {expression}}}"#)
}

fn callout(rooms: &[String], rules: &[String]) -> Arc<Callout> {
    callout_with("internal = 'closed'", rooms, rules)
}

fn callout_with(failure: &str, rooms: &[String], rules: &[String]) -> Arc<Callout> {
    let settings =
        format!("customer_id = 'acme'\nintegration = 'i.json'\nrules = {{ '*' = 'r.json' }}\n[failure]\n{failure}");
    let rooms = format!(r#"{{"Version": 1, "Integrations": [{}]}}"#, rooms.join(","));
    let rules = format!("[{}]", rules.join(","));
    let sources = [("velvetrope.toml", settings), ("i.json", rooms), ("r.json", rules)];
    let sources = sources.map(|(name, text)| (name.to_owned(), text.into_bytes()));
    let metrics = Arc::new(Metrics::new(Metrics::registry()));
    let common = Common {
        secrets: SecretSource::Given { secrets: Secrets::new(SECRET, None), api_key: None },
        state_file: None,
        metrics: Arc::clone(&metrics),
        management: None,
        unknown: OnFailure::Open,
        rooms: None,
    };
    let tenants = Tenants::new(vec![(String::new(), PolicySource::Fixed(sources.into()))], common);
    tenants.keepers().all().iter().for_each(|keeper| keeper.load("start").expect("a policy"));
    Arc::new(Callout {
        arrivals: Arrivals::default(),
        tenants: Arc::new(tenants),
        metrics,
        identity: Identity::of_host("google-cloud"),
        random: |_| panic!("no luck"),
        requests: AtomicUsize::new(0),
        max_requests: 10,
        observer: None,
    })
}

fn headers(pairs: &[(&str, &str)]) -> HttpHeaders {
    let header = |(key, value): &(&str, &str)| HeaderValue {
        key: (*key).into(),
        raw_value: (*value).into(),
        ..HeaderValue::default()
    };
    HttpHeaders { headers: Some(HeaderMap { headers: pairs.iter().map(header).collect() }), ..HttpHeaders::default() }
}

fn get(path: &str, cookie: &str) -> Asked {
    let address = [(":authority", "tickets.example"), (":path", path), ("user-agent", "a browser"), ("cookie", cookie)];
    Asked::RequestHeaders(headers(&address))
}

/// These messages as they come over the wire.
fn wire(messages: &[Asked]) -> Vec<u8> {
    let frames = messages.iter().flat_map(|message| {
        let message = ProcessingRequest { request: Some(message.clone()), ..ProcessingRequest::default() };
        let message = message.encode_to_vec();
        let length = u32::try_from(message.len()).expect("a short one").to_be_bytes();
        [&[0], &length[..], &message].concat()
    });
    frames.collect()
}

/// All answers to messages that are there already: each is made in the poll that brings its question.
fn answers(callout: &Arc<Callout>, wire: &[u8]) -> Vec<ProcessingResponse> {
    callout.requests.fetch_add(1, Ordering::Relaxed);
    let body = Full::<hyper::body::Bytes>::from(wire.to_vec());
    let answers = Answers {
        questions: Streaming::new_request(ProstDecoder::default(), body, None, None),
        exchange: Exchange::default(),
        callout: Arc::clone(callout),
        is_one_too_many: false,
        is_over: false,
    };
    answers.collect::<Result<_, _>>().now_or_never().expect("answers without waiting").expect("no error")
}

fn immediate(answers: &[ProcessingResponse]) -> Option<&ImmediateResponse> {
    match answers {
        [ProcessingResponse { response: Some(Answer::ImmediateResponse(answer)), .. }] => Some(answer),
        _ => None,
    }
}

/// The pair of the session that somebody gets who comes back from a room.
fn session(callout: &Arc<Callout>, room: &str) -> String {
    let fields = TokenFields {
        event_id: room.into(),
        queue_id: "q1".into(),
        expires: now_ms() / 1_000 + 600,
        redirect_type: "queue".into(),
        ..TokenFields::default()
    };
    let path = format!("/{room}?queueittoken={}", sign(&fields, &Secret::new(SECRET)));
    let answers = answers(callout, &wire(&[get(&path, "")]));
    let headers = immediate(&answers).and_then(|answer| answer.headers.as_ref()).expect("a redirect");
    let mut headers = headers.set_headers.iter().filter_map(|option| option.header.as_ref());
    let cookie = headers.find(|header| header.key == "set-cookie").expect("a session");
    String::from_utf8_lossy(&cookie.raw_value).split(';').next().expect("a pair").to_owned()
}

#[test]
fn a_panic_costs_one_decision() {
    // What a policy asks for chance with.
    let lucky = rule("lucky", r#"http.request.uri.path eq "/dice" and cf.random_seed ne """#);
    let callout = callout(&[room("dice")], &[lucky]);
    for (path, details) in [("/dice", Some("velvetrope_failed-closed")), ("/", None)] {
        let answers = answers(&callout, &wire(&[get(path, "")]));
        assert_eq!(answers.len(), 1);
        assert_eq!(immediate(&answers).map(|answer| answer.details.as_str()), details, "{path}");
    }
    assert_eq!(callout.requests.load(Ordering::Relaxed), 0);
}

/// What of these headers an origin gets to see of whom the failure policy lets pass, and what it is told instead.
fn let_through(answers: &[ProcessingResponse]) -> (Vec<String>, Vec<String>) {
    let [ProcessingResponse { response: Some(Answer::RequestHeaders(answer)), .. }] = answers else {
        panic!("one answer that lets pass: {answers:?}")
    };
    let mutation = answer.response.as_ref().and_then(|response| response.header_mutation.clone()).unwrap_or_default();
    let told = mutation.set_headers.into_iter().filter_map(|option| option.header);
    (mutation.remove_headers, told.map(|header| String::from_utf8_lossy(&header.raw_value).into_owned()).collect())
}

#[test]
fn who_passes_by_a_failure_of_ours_brings_nothing_forged() {
    const FORGED: [&str; 6] = [
        "x-velvetrope-verdict",
        "x_velvetrope_verdict",
        "x-forwarded-host",
        "x_forwarded_for",
        "x-original-url",
        "forwarded",
    ];
    let lucky = rule("lucky", r#"http.request.uri.path eq "/dice" and cf.random_seed ne """#);
    let callout = callout_with("internal = 'open'", &[room("dice")], &[lucky]);
    let forged = FORGED.map(|name| (name, "bypass;rule=vip"));
    let pairs =
        [&[(":authority", "tickets.example"), (":path", "/dice"), ("x-forwarded-for", "192.0.2.1")], &forged[..]];
    let asked = Asked::RequestHeaders(headers(&pairs.concat()));
    let (removed, told) = let_through(&answers(&callout, &wire(std::slice::from_ref(&asked))));
    assert_eq!(removed, FORGED, "a panic, of a message that can be read");
    assert_eq!(told, ["failed-open"]);

    // Nothing but bytes that are no message.
    let illegible = [&[0, 0, 0, 0, 3][..], b"\x0a\xff\xff"].concat();
    let (removed, told) = let_through(&answers(&callout, &illegible));
    for name in FORGED {
        assert!(removed.iter().any(|known| known == name), "{name}");
    }
    assert!(!removed.iter().any(|name| name == "x-forwarded-for"), "the word of who asks");
    assert_eq!(told, ["failed-open"]);
}

/// Each message goes past all rules, and is about the room that is looked for last.
#[test]
fn more_rules_and_rooms_do_not_allocate_more() {
    let [few, many] = [10, 1_000].map(|count| {
        let rules = (0..count).map(|n| match n % 3 {
            0 => rule(&format!("rule{n}"), &format!(r#"starts_with(http.request.uri.path, "/free{n}/")"#)),
            1 => rule(&format!("rule{n}"), &format!(r#"http.user_agent contains "monitor-{n}""#)),
            _ => rule(&format!("rule{n}"), &format!(r#"any(http.request.headers["x-key"][*] == "key{n}")"#)),
        });
        let rooms = (1..count).map(|n| room(&format!("room{n}"))).chain([room("shop")]);
        let callout = callout(&rooms.collect::<Vec<_>>(), &rules.collect::<Vec<_>>());
        let session = session(&callout, "shop");
        let response = Asked::ResponseHeaders(headers(&[(":status", "200")]));
        let visits = [wire(&[get("/shop", "")]), wire(&[get("/shop", &session), response])];
        visits.map(|visit| {
            let answer = || drop(answers(&callout, &visit));
            (0..8).for_each(|_| answer());
            let measured = allocation_counter::measure(answer);
            (measured.count_total, measured.bytes_total)
        })
    });
    assert_eq!(few, many, "allocations and bytes of a first visit, and of one with a session");
    assert!(few.iter().all(|(count, _)| *count > 0), "the counter counts");
}

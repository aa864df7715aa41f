//! The callout over real sockets: what a proxy in front says by gRPC, and what it is told.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use prost_types::value::Kind;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Streaming};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_prost::ProstCodec;
use velvetrope::internal::queueit::Secret;
use velvetrope_manage::database::DatabaseError;
use velvetrope_manage::store::tokens::Scope;
use velvetrope_serve::ext_proc::proto::envoy::config::core::v3::{HeaderMap, HeaderValue, HeaderValueOption, Metadata};
use velvetrope_serve::ext_proc::proto::envoy::service::ext_proc::v3::processing_request::Request as Asked;
use velvetrope_serve::ext_proc::proto::envoy::service::ext_proc::v3::processing_response::Response as Told;
use velvetrope_serve::ext_proc::proto::envoy::service::ext_proc::v3::{
    HeadersResponse, HttpBody, HttpHeaders, HttpTrailers, ImmediateResponse, ProcessingRequest, ProcessingResponse,
};
use velvetrope_serve::ext_proc::{Config, Event, ExtProc, Limits, Running, TlsFiles, policies_at};
use velvetrope_serve::store::StoreFile;

use crate::callout::{Program, SECRET, callout, config, token};
use crate::tls::{certificate, certify};
use crate::wire::{PATIENCE, get as get_plain, in_time, raw, send};

const SERVICE: &str = "envoy.service.ext_proc.v3.ExternalProcessor";
const VERDICT: &str = "x-velvetrope-verdict";

fn integration(path: &str) -> String {
    let one = |action: &str, path: &str| {
        format!(
            r#"{{"Name":"{action}","ActionType":"{action}","EventId":"shop","QueueDomain":"q.example",
            "CookieValidityMinute":20,"ExtendCookieValidity":true,"RedirectLogic":"AllowTParameter",
            "Triggers":[{{"LogicalOperator":"And","TriggerParts":[{{"ValidatorType":"UrlValidator",
            "UrlPart":"PagePath","Operator":"Contains","ValueToCompare":"{path}"}}]}}]}}"#
        )
    };
    format!(r#"{{"Version":7,"Integrations":[{},{}]}}"#, one("Cancel", "/leave"), one("Queue", path))
}

/// A folder with a policy: one room at `/shop`, with a way past it.
fn policy(more: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    write_policy(folder.path(), "acme", more);
    folder
}

fn write_policy(folder: &Path, customer: &str, more: &str) {
    let settings = format!(
        "customer_id = '{customer}'\ntarget = 'google-cloud'\nintegration = 'i.json'\n\
         rules = {{ shop = 'r.json' }}\n{more}"
    );
    let rules =
        r#"[{"id":"vip","action":"bypass_waiting_room","expression":"http.request.uri.path eq \"/shop/vip\""}]"#;
    std::fs::create_dir_all(folder).expect("a folder");
    for (name, text) in [("velvetrope.toml", settings), ("i.json", integration("/shop")), ("r.json", rules.to_owned())]
    {
        std::fs::write(folder.join(name), text).expect("a file");
    }
}

async fn channel(running: &Running) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", running.address)).expect("an endpoint");
    endpoint.connect().await.expect("a connection")
}

/// One stream.
struct Talk {
    questions: mpsc::Sender<ProcessingRequest>,
    answers: Streaming<ProcessingResponse>,
}

impl Talk {
    async fn open(channel: &Channel) -> Talk {
        let (questions, receive) = mpsc::channel(8);
        let mut client = tonic::client::Grpc::new(channel.clone());
        client.ready().await.expect("a connection");
        let path = PathAndQuery::from_static("/envoy.service.ext_proc.v3.ExternalProcessor/Process");
        let codec = ProstCodec::<ProcessingRequest, ProcessingResponse>::default();
        let opened = client.streaming(Request::new(ReceiverStream::new(receive)), path, codec);
        let answers = in_time("a stream", opened).await.expect("a stream").into_inner();
        Talk { questions, answers }
    }

    /// Sends a message that is more than a request, and waits for its answer.
    async fn tell(&mut self, message: ProcessingRequest) -> Told {
        self.questions.send(message).await.expect("an open stream");
        let answer = in_time("an answer", self.answers.message()).await.expect("no error").expect("an answer");
        answer.response.expect("an answer of some kind")
    }

    async fn say(&mut self, request: Asked) -> Told {
        self.tell(ProcessingRequest { request: Some(request), ..ProcessingRequest::default() }).await
    }

    async fn answered(mut self, request: Asked) -> ImmediateResponse {
        let Told::ImmediateResponse(answer) = self.say(request).await else { panic!("it goes on") };
        let end = in_time("the end", self.answers.message()).await;
        assert!(end.expect("no error").is_none(), "nothing follows");
        answer
    }

    async fn goes_on(&mut self, request: Asked) -> Vec<(String, String)> {
        match self.say(request).await {
            Told::RequestHeaders(answer) | Told::ResponseHeaders(answer) => changes(answer),
            other => panic!("does not go on: {other:?}"),
        }
    }
}

fn changes(answer: HeadersResponse) -> Vec<(String, String)> {
    let mutation = answer.response.and_then(|response| response.header_mutation).unwrap_or_default();
    pairs(&mutation.set_headers)
}

fn pairs(options: &[HeaderValueOption]) -> Vec<(String, String)> {
    let headers = options.iter().filter_map(|option| option.header.as_ref());
    headers.map(|header| (header.key.clone(), String::from_utf8_lossy(&header.raw_value).into_owned())).collect()
}

fn one<'h>(headers: &'h [(String, String)], name: &str) -> &'h str {
    headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
}

fn headers_of(answer: &ImmediateResponse) -> Vec<(String, String)> {
    pairs(&answer.headers.as_ref().expect("headers").set_headers)
}

fn get(path: &str, more: &[(&str, &[u8])]) -> Asked {
    let pseudo: [(&str, &[u8]); 4] =
        [(":authority", b"tickets.example"), (":path", path.as_bytes()), (":method", b"GET"), (":scheme", b"https")];
    Asked::RequestHeaders(header_map(pseudo.iter().chain(more)))
}

fn response() -> Asked {
    Asked::ResponseHeaders(header_map([(":status", &b"200"[..])].iter()))
}

fn header_map<'h>(headers: impl Iterator<Item = &'h (&'h str, &'h [u8])>) -> HttpHeaders {
    let value = |(key, value): &(&str, &[u8])| HeaderValue {
        key: (*key).to_owned(),
        raw_value: value.to_vec(),
        ..HeaderValue::default()
    };
    HttpHeaders { headers: Some(HeaderMap { headers: headers.map(value).collect() }), end_of_stream: true }
}

/// Comes back from the room; the pair of the session's cookie.
async fn arrive(channel: &Channel, queue_id: &str) -> String {
    let path = format!("/shop?a=1&queueittoken={}", token("shop", queue_id, "queue"));
    let answer = Talk::open(channel).await.answered(get(&path, &[])).await;
    let headers = headers_of(&answer);
    assert_eq!(one(&headers, "location"), "/shop?a=1");
    one(&headers, "set-cookie").split(';').next().expect("a pair").to_owned()
}

#[tokio::test]
async fn a_preflight_is_no_more_than_a_question() {
    let folder = policy("");
    let running = callout(&folder).await;
    let channel = channel(&running).await;
    let pairs: [(&str, &[u8]); 6] = [
        (":authority", b"tickets.example"),
        (":path", b"/shop"),
        (":method", b"OPTIONS"),
        (":scheme", b"https"),
        ("origin", b"https://www.tickets.example"),
        ("access-control-request-method", b"PUT"),
    ];
    let question = header_map(pairs.iter());
    let more = HttpHeaders { end_of_stream: false, ..question.clone() };
    let told = Talk::open(&channel).await.goes_on(Asked::RequestHeaders(question)).await;
    assert_eq!(one(&told, VERDICT), "preflight");
    let waits = Talk::open(&channel).await.answered(Asked::RequestHeaders(more)).await;
    assert_eq!(waits.status.map(|status| status.code), Some(303), "a body follows of which no header tells");
    running.stop().await;
}

#[tokio::test]
async fn a_visitor_waits_comes_back_stays_and_leaves() {
    let folder = policy("");
    let running = callout(&folder).await;
    let channel = channel(&running).await;

    let first = Talk::open(&channel).await.answered(get("/shop?a=1", &[])).await;
    assert_eq!(first.status.as_ref().map(|status| status.code), Some(302));
    assert!(one(&headers_of(&first), "location").starts_with("https://q.example/?c=acme&e=shop"));
    assert_eq!(first.details, "velvetrope_queue");

    let session = arrive(&channel, "q1").await;
    let mut inside = Talk::open(&channel).await;
    let to_origin = inside.goes_on(get("/shop", &[("cookie", session.as_bytes())])).await;
    assert_eq!(one(&to_origin, VERDICT), "session;room=shop");
    let to_visitor = inside.goes_on(response()).await;
    assert!(one(&to_visitor, "set-cookie").starts_with("QueueITAccepted-SDFrts345E-V3_shop="), "{to_visitor:?}");

    let script = [("x-queueit-ajaxpageurl", &b"https%3A%2F%2Ftickets.example%2Fshop"[..])];
    let script = Talk::open(&channel).await.answered(get("/shop/api", &script)).await;
    assert!(one(&headers_of(&script), "x-queueit-redirect").starts_with("https%3A%2F%2Fq.example"));

    let left = Talk::open(&channel).await.answered(get("/leave", &[("cookie", session.as_bytes())])).await;
    assert!(one(&headers_of(&left), "location").starts_with("https://q.example/cancel/multiple/acme?wrl=shop~q1"));

    let mut past = Talk::open(&channel).await;
    assert_eq!(one(&past.goes_on(get("/shop/vip", &[])).await, VERDICT), "bypass;rule=vip");
    assert!(past.goes_on(response()).await.is_empty());
    running.stop().await;
}

#[tokio::test]
async fn every_message_is_answered_in_its_kind_and_in_order() {
    let folder = policy("");
    let running = callout(&folder).await;
    let channel = channel(&running).await;
    let mut talk = Talk::open(&channel).await;
    assert!(matches!(talk.say(Asked::RequestTrailers(HttpTrailers::default())).await, Told::RequestTrailers(_)));
    assert!(matches!(talk.say(response()).await, Told::ResponseHeaders(_)));
    assert!(matches!(talk.say(get("/", &[])).await, Told::RequestHeaders(_)));
    assert!(matches!(talk.say(Asked::RequestBody(HttpBody {})).await, Told::RequestBody(_)));
    assert!(matches!(talk.say(get("/shop", &[])).await, Told::RequestHeaders(_)), "one request in a stream");
    assert!(matches!(talk.say(response()).await, Told::ResponseHeaders(_)));
    assert!(matches!(talk.say(Asked::ResponseBody(HttpBody {})).await, Told::ResponseBody(_)));
    assert!(matches!(talk.say(Asked::ResponseTrailers(HttpTrailers::default())).await, Told::ResponseTrailers(_)));

    // One that nobody knows gets no answer, and the next one does.
    talk.questions.send(ProcessingRequest::default()).await.expect("an open stream");
    assert!(matches!(talk.say(Asked::ResponseBody(HttpBody {})).await, Told::ResponseBody(_)));

    // Streams that end early disturb nobody.
    drop(talk);
    drop(Talk::open(&channel).await);
    let first = Talk::open(&channel).await.answered(get("/shop", &[])).await;
    assert_eq!(first.details, "velvetrope_queue");
    running.stop().await;
}

#[tokio::test]
async fn odd_headers_do_no_harm() {
    let folder = policy("[failure]\ninternal = 'closed'");
    let (tell, mut told) = mpsc::unbounded_channel();
    let observer = move |event: &Event| event.failed.iter().for_each(|why| tell.send(why.clone()).expect("a listener"));
    let config = Config { observer: Some(Arc::new(observer)), ..config(folder.path()) };
    let running = ExtProc::bind(config).await.expect("a callout");
    let channel = channel(&running).await;
    let session = arrive(&channel, "q1").await;
    let long = vec![b'x'; 64 << 10];
    let odd: [(&str, &[u8]); 6] = [
        ("cookie", b"a=1"),
        ("cookie", session.as_bytes()),
        ("cookie", b"\xff\xfe=\xff"),
        ("x-odd", b"\xff\0\r\n"),
        ("x-long", &long),
        ("", b""),
    ];
    let mut talk = Talk::open(&channel).await;
    assert_eq!(one(&talk.goes_on(get("/shop", &odd)).await, VERDICT), "session;room=shop");

    // Longer than a message may be: nothing is known of the request but that there is one, which is its visitor's doing.
    let endless = vec![b'x'; 10 << 20];
    let refused = Talk::open(&channel).await.answered(get("/shop", &[("x-endless", &endless)])).await;
    assert_eq!(refused.status.map(|status| status.code), Some(431));
    let without_path = Asked::RequestHeaders(header_map([(":authority", &b"tickets.example"[..])].iter()));
    let refused = Talk::open(&channel).await.answered(without_path).await;
    assert_eq!(refused.status.map(|status| status.code), Some(400), "the mistake is not ours");

    // What failed is told of once.
    running.stop().await;
    told.try_recv().expect_err("no more");
}

#[tokio::test]
async fn visitors_at_the_same_time_get_their_own_answers() {
    let folder = policy("");
    let running = callout(&folder).await;
    let channel = channel(&running).await;
    let visits = (0..200).map(|visitor| {
        let channel = channel.clone();
        tokio::spawn(async move {
            let path = format!("/shop?visitor={visitor}");
            let first = Talk::open(&channel).await.answered(get(&path, &[])).await;
            assert!(one(&headers_of(&first), "location").contains(&format!("%3Fvisitor%3D{visitor}&")), "{first:?}");
            let queue_id = format!("queue-{visitor}");
            let session = arrive(&channel, &queue_id).await;
            assert!(session.contains(&format!("{queue_id}%26")), "{session}");
            let mut inside = Talk::open(&channel).await;
            inside.goes_on(get(&path, &[("cookie", session.as_bytes())])).await;
            tokio::task::yield_now().await;
            let to_visitor = inside.goes_on(response()).await;
            assert!(one(&to_visitor, "set-cookie").contains(&format!("{queue_id}%26")), "{to_visitor:?}");
        })
    });
    for visit in visits.collect::<Vec<_>>() {
        in_time("a visit", visit).await.expect("a good visit");
    }
    running.stop().await;
}

#[tokio::test]
async fn under_overload_who_must_wait_goes_to_the_room() {
    let folder = policy("");
    let limits = Limits { requests: 1, ..Limits::default() };
    let running = ExtProc::bind(Config { limits, ..config(folder.path()) }).await.expect("a callout");
    let channel = channel(&running).await;
    let mut first = Talk::open(&channel).await;
    first.goes_on(get("/", &[])).await;
    let second = Talk::open(&channel).await.answered(get("/shop", &[])).await;
    assert_eq!(second.details, "velvetrope_queue");
    assert_eq!(one(&Talk::open(&channel).await.goes_on(get("/", &[])).await, VERDICT), "pass");
    let metrics = get_plain(running.admin_address, "/metrics", &[]).await.body;
    assert!(metrics.contains("velvetrope_overloaded_total 2\n"), "{metrics}");
    running.stop().await;
}

#[tokio::test]
async fn under_overload_the_operator_may_want_something_else() {
    let folder = policy("[failure]\noverload = 'closed'");
    let limits = Limits { requests: 1, ..Limits::default() };
    let running = ExtProc::bind(Config { limits, ..config(folder.path()) }).await.expect("a callout");
    let channel = channel(&running).await;
    let mut first = Talk::open(&channel).await;
    first.goes_on(get("/", &[])).await;
    let second = Talk::open(&channel).await.answered(get("/", &[])).await;
    assert_eq!(second.details, "velvetrope_failed-closed");
    assert!(matches!(first.say(response()).await, Told::ResponseHeaders(_)));

    // A stream that ends early counts no longer.
    drop(first);
    in_time("a place", async {
        while !matches!(Talk::open(&channel).await.say(get("/", &[])).await, Told::RequestHeaders(_)) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn a_better_policy_takes_the_place_of_the_one_in_force() {
    let folder = policy("");
    let running = callout(&folder).await;
    let channel = channel(&running).await;
    let mut open = Talk::open(&channel).await;
    std::fs::write(folder.path().join("i.json"), "{\"Version\": 8, \"Integr").expect("a file");
    running.reload().await.expect_err("half a file");
    assert_eq!(open.goes_on(get("/fair", &[])).await[0].1, "pass");

    std::fs::write(folder.path().join("i.json"), integration("/fair")).expect("a file");
    // Whoever is first, this or the one that watches the files: the new one is in force after it.
    running.reload().await.expect("a good policy");
    let answer = Talk::open(&channel).await.answered(get("/fair", &[])).await;
    assert_eq!(answer.details, "velvetrope_queue");
    assert_eq!(open.goes_on(response()).await[0].0, "x-queueit-connector", "streams outlive policies");
    running.stop().await;
}

#[tokio::test]
async fn a_database_is_replaced_by_a_better_one() {
    let folder = policy("[geoip]\ncountry = 'country.mmdb'");
    let rules = r#"[{"id":"sweden","action":"bypass_waiting_room","expression":"ip.src.country eq \"SE\""}]"#;
    std::fs::write(folder.path().join("r.json"), rules).expect("a file");
    let replace = |file: &str| {
        let from = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("tests/data/mmdb").join(file);
        std::fs::copy(from, folder.path().join("country.mmdb")).expect("a file");
    };
    // One that knows no countries.
    replace("GeoLite2-ASN-Test.mmdb");
    let running = callout(&folder).await;
    let channel = channel(&running).await;
    let address = prost_types::Value { kind: Some(Kind::StringValue("89.160.20.112:4711".to_owned())) };
    let attributes = prost_types::Struct { fields: [("source.address".to_owned(), address)].into() };
    let visit = async || {
        let attributes = [("envoy.filters.http.ext_proc".to_owned(), attributes.clone())].into();
        let request = Some(get("/shop", &[]));
        Talk::open(&channel).await.tell(ProcessingRequest { request, attributes, ..ProcessingRequest::default() }).await
    };
    assert!(matches!(visit().await, Told::ImmediateResponse(_)), "nobody knows that this is Sweden");
    replace("GeoIP2-Country-Test.mmdb");
    in_time("a new database", async {
        while !matches!(visit().await, Told::RequestHeaders(_)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    running.stop().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_broken_database_is_complained_of_once() {
    let folder = policy("[geoip]\ncountry = 'country.mmdb'");
    let database = folder.path().join("country.mmdb");
    let good = concat!(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."), "/tests/data/mmdb/GeoIP2-Country-Test.mmdb");
    std::fs::copy(good, &database).expect("a file");
    let mut program = Program::start(folder.path(), ([127, 0, 0, 1], 0).into(), Duration::ZERO).await;
    std::fs::write(&database, "no database").expect("a file");
    let refused = program.says(|line| line["level"] == "ERROR" && line["occasion"] == "file").await;
    assert!(refused["message"].as_str().is_some_and(|message| message.contains("country.mmdb")), "{refused}");
    for round in 0..3 {
        std::fs::write(folder.path().join("notes.txt"), format!("nothing of importance {round}")).expect("a file");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    std::fs::copy(good, &database).expect("a file");
    let next = program.says(|line| !line["occasion"].is_null()).await;
    assert_eq!((&next["message"], &next["level"]), (&"policy in force".into(), &"INFO".into()), "{next}");
    assert!(program.terminate().await.success());
}

/// The program writes down what is wrong once, and keeps what it has.
#[cfg(unix)]
#[tokio::test]
async fn half_a_file_is_complained_of_once() {
    let folder = policy("");
    let mut program = Program::start(folder.path(), ([127, 0, 0, 1], 0).into(), Duration::ZERO).await;
    let text = integration("/fair");
    std::fs::write(folder.path().join("i.json"), &text[..text.len() / 2]).expect("a file");
    let refused = program.says(|line| line["level"] == "ERROR" && line["occasion"] == "file").await;
    assert_eq!(refused["last_good_kept"], true, "{refused}");
    // Something else happens beside it, which is looked at; and then it is mended.
    std::fs::write(folder.path().join("notes.txt"), "nothing of importance").expect("a file");
    tokio::time::sleep(Duration::from_secs(1)).await;
    std::fs::write(folder.path().join("i.json"), text).expect("a file");
    let next = program.says(|line| !line["occasion"].is_null()).await;
    assert_eq!((&next["message"], &next["level"]), (&"policy in force".into(), &"INFO".into()), "{next}");
    assert!(program.terminate().await.success());
}

async fn health(channel: &Channel, service: &str) -> ServingStatus {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.expect("a connection");
    let codec = ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let request = Request::new(HealthCheckRequest { service: service.to_owned() });
    let answer = client.unary(request, PathAndQuery::from_static("/grpc.health.v1.Health/Check"), codec).await;
    answer.expect("an answer").into_inner().status()
}

#[tokio::test]
async fn it_says_how_it_is_and_that_it_will_end() {
    let folder = policy("");
    let drain_delay = PATIENCE * 60;
    let running = ExtProc::bind(Config { drain_delay, ..config(folder.path()) }).await.expect("a callout");
    let (address, admin) = (running.address, running.admin_address);
    let channel = channel(&running).await;
    for service in ["", SERVICE] {
        assert_eq!(health(&channel, service).await, ServingStatus::Serving);
    }
    for (address, path, status) in
        [(address, "/livez", 200), (address, "/readyz", 200), (address, "/metrics", 404), (admin, "/readyz", 200)]
    {
        assert_eq!(get_plain(address, path, &[]).await.status, status, "{path}");
    }
    let mut open = Talk::open(&channel).await;
    open.goes_on(get("/", &[])).await;
    assert!(get_plain(admin, "/metrics", &[]).await.body.contains("velvetrope_decisions_total{decision=\"pass\"} 1"));

    let draining = tokio::spawn(running.drain());
    in_time("the news", async {
        while health(&channel, SERVICE).await != ServingStatus::NotServing {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(get_plain(address, "/readyz", &[]).await.body.contains("draining"));
    let late = Talk::open(&channel).await.answered(get("/shop", &[])).await;
    assert_eq!(late.details, "velvetrope_queue", "until nobody sends more");
    draining.abort();
}

#[tokio::test]
async fn what_is_under_way_comes_to_its_end() {
    let folder = policy("");
    let running = callout(&folder).await;
    let (address, channel) = (running.address, channel(&running).await);
    let mut open = Talk::open(&channel).await;
    open.goes_on(get("/", &[])).await;
    let draining = tokio::spawn(running.drain());
    in_time("the end of listening", async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(matches!(open.say(response()).await, Told::ResponseHeaders(_)));
    assert!(!draining.is_finished());
    drop(open);
    assert!(in_time("the end", draining).await.expect("no panic"), "everything came to its end");
}

/// A request for a host, perhaps with what the load balancer's configuration says of it.
async fn customer(channel: &Channel, host: &str, metadata: Option<&str>) -> String {
    let headers: [(&str, &[u8]); 2] = [(":authority", host.as_bytes()), (":path", b"/shop")];
    let text = |text: &str| prost_types::Value { kind: Some(Kind::StringValue(text.to_owned())) };
    let said = |name: &str| Metadata {
        filter_metadata: [(
            "com.google.lb_traffic_extension.waiting_room".to_owned(),
            prost_types::Struct { fields: [("velvetrope".to_owned(), text(name))].into() },
        )]
        .into(),
    };
    let message = ProcessingRequest {
        request: Some(Asked::RequestHeaders(header_map(headers.iter()))),
        metadata_context: metadata.map(said),
        ..ProcessingRequest::default()
    };
    match Talk::open(channel).await.tell(message).await {
        Told::ImmediateResponse(answer) if answer.details == "velvetrope_queue" => {
            let location = one(&headers_of(&answer), "location").to_owned();
            location.split(['=', '&']).nth(1).expect("a customer").to_owned()
        }
        Told::ImmediateResponse(answer) => answer.details,
        Told::RequestHeaders(answer) => one(&changes(answer), VERDICT).to_owned(),
        other => panic!("no answer of the kind: {other:?}"),
    }
}

#[tokio::test]
async fn several_policies_are_kept_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    write_policy(&at("a.example"), "first", "");
    write_policy(&at("second"), "second", "");
    std::fs::write(at("second/velvetrope.toml"), "customer_id = 'second'\nhosts = [").expect("a file");
    std::fs::write(at("notes.txt"), "none of our business").expect("a file");

    let policies = policies_at(&[folder.path().to_owned()]).expect("policies");
    assert_eq!(policies.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a.example", "second"]);
    policies_at(&[at("second"), at("second/velvetrope.toml")]).expect_err("the same one twice");
    let config = Config { policies, refuse_unknown: true, ..config(folder.path()) };
    let running = ExtProc::bind(config.clone()).await.expect("a callout");
    let channel = channel(&running).await;

    // One is broken from the start; nobody else minds.
    let ready = get_plain(running.admin_address, "/readyz", &[]).await;
    assert_eq!(ready.status, 200, "{ready:?}");
    assert!(ready.body.contains("no policy in force for second: "), "{ready:?}");
    assert_eq!(customer(&channel, "a.example", None).await, "first");
    assert_eq!(customer(&channel, "b.example", None).await, "velvetrope_failed-closed");
    assert_eq!(customer(&channel, "a.example", Some("second")).await, "failed-open");

    write_policy(&at("second"), "second", "");
    let mended = std::fs::read_to_string(at("second/velvetrope.toml")).expect("a file");
    std::fs::write(at("second/velvetrope.toml"), format!("hosts = ['b.example', 'a.example']\n{mended}"))
        .expect("a file");
    running.reload().await.expect("good policies");
    for (host, metadata, expected) in [
        ("A.example:8443", None, "first"),
        ("b.example", None, "second"),
        ("b.example:80", None, "second"),
        ("second", None, "velvetrope_refused"),
        ("b.example", Some("a.example"), "first"),
        ("b.example", Some("third"), "velvetrope_failed-closed"),
        ("c.example", None, "velvetrope_failed-closed"),
    ] {
        assert_eq!(customer(&channel, host, metadata).await, expected, "{host} {metadata:?}");
    }
    let metrics = get_plain(running.admin_address, "/metrics", &[]).await.body;
    assert!(metrics.contains("velvetrope_policy_in_force 2"), "{metrics}");

    // Now one breaks that was good: its last good one stays, and the other one is renewed all the same.
    std::fs::write(at("a.example/i.json"), "{").expect("a file");
    std::fs::write(at("second/i.json"), integration("/fair")).expect("a file");
    running.reload().await.expect_err("half a file");
    assert_eq!(customer(&channel, "a.example", None).await, "first");
    assert_eq!(customer(&channel, "b.example", None).await, "pass");
    running.stop().await;
}

#[tokio::test]
async fn what_is_changed_by_the_api_decides_about_the_next_request_of_its_policy() {
    let folder = tempfile::tempdir().expect("a folder");
    write_policy(&folder.path().join("policies/a.example"), "first", "");
    write_policy(&folder.path().join("policies/b.example"), "second", "");
    let policies = policies_at(&[folder.path().join("policies")]).expect("policies");
    let path = folder.path().join("store.db");
    let store = StoreFile::open(&path).expect("a store");
    let made = store.change("test", |store| store.create_token("test", Scope::Write));
    let token = made.map_err(|error: DatabaseError| error.to_string()).expect("a token").1;
    let running = ExtProc::bind(Config { policies, store: Some(path), ..config(folder.path()) }).await;
    let running = running.expect("a callout");
    let channel = channel(&running).await;
    assert_eq!(customer(&channel, "b.example", None).await, "second");

    let authorization = format!("Bearer {token}");
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    let rooms = "/client/v4/zones/b.example/waiting_rooms";
    let told = get_plain(running.admin_address, rooms, &headers).await;
    let told: serde_json::Value = serde_json::from_str(&told.body).expect("JSON");
    let room = told["result"].as_array().expect("rooms").iter().find(|room| room["name"] == "shop");
    let rules = format!("{rooms}/{}/rules", room.expect("the room")["id"].as_str().expect("an id"));
    let rule = br#"[{"id":"all","action":"bypass_waiting_room","expression":"http.request.uri.path eq \"/shop\""}]"#;
    let told = send(running.admin_address, "PUT", &rules, &headers, rule).await;
    assert_eq!(told.status, 200, "{told:?}");
    let bypassed = customer(&channel, "b.example", None).await;
    assert!(bypassed.starts_with("bypass;rule="), "{bypassed}");
    assert_eq!(customer(&channel, "a.example", None).await, "first");

    // A field that no such callout can supply is refused, by its name.
    let rule = br#"{"action":"bypass_waiting_room","expression":"len(cf.ray_id) gt 3"}"#;
    let told = send(running.admin_address, "POST", &rules, &headers, rule).await;
    assert_eq!(told.status, 400, "{told:?}");
    assert!(told.body.contains("cf.ray_id"), "{told:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_signed_push_comes_into_force_for_whom_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    write_policy(&folder.path().join("a.example"), "first", "[delivery]\npush = true");
    write_policy(&folder.path().join("b.example"), "second", "");
    let policies = policies_at(&[folder.path().to_owned()]).expect("policies");
    let running = ExtProc::bind(Config { policies, ..config(folder.path()) }).await.expect("a callout");
    let channel = channel(&running).await;
    let push = async |path: &str, host: &str, secret: &str| {
        let hex: String = integration("/fair").bytes().map(|byte| format!("{byte:02x}")).collect();
        let hash = Secret::new(secret).sign(&[&hex]);
        let body = format!(r#"{{"integrationInfo":"{hex}","hash":"{}"}}"#, hash.as_str());
        let head = format!("PUT {path}?__push_queueit_config HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        let answer = raw(running.admin_address, request.as_bytes()).await;
        (answer.status, answer.body)
    };
    assert_eq!(push("/", "a.example", "another").await, (400, "Fail!".to_owned()));
    assert_eq!(push("/", "b.example", SECRET).await.0, 404, "switched off");
    assert_eq!(push("/", "c.example", SECRET).await.0, 404, "nobody's");
    assert_eq!(customer(&channel, "a.example", None).await, "first");
    assert_eq!(push("/a.example", "admin.internal", SECRET).await, (200, "Success!".to_owned()));
    assert_eq!(customer(&channel, "a.example", None).await, "pass", "the room is at /fair now");
    assert_eq!(customer(&channel, "b.example", None).await, "second");
    running.stop().await;
}

/// The name in certificates.
const CALLOUT: &str = "callout.example";

#[tokio::test]
async fn a_certificate_is_replaced_by_a_better_one() {
    let (folder, files) = (policy(""), tempfile::tempdir().expect("a folder"));
    let first = certify(files.path(), CALLOUT);
    let tls = TlsFiles { certificate: files.path().join("certificate.pem"), key: files.path().join("key.pem") };
    let with_tls = Config { tls: Some(tls), ..config(folder.path()) };
    let running = ExtProc::bind(with_tls.clone()).await.expect("a callout");
    assert_eq!(certificate(running.address, CALLOUT, &[&first]).await, first);

    // A key that is not its own, or half of one, changes nothing for anybody.
    let key = std::fs::read_to_string(files.path().join("key.pem")).expect("a file");
    let other = rcgen::KeyPair::generate().expect("a key").serialize_pem();
    for bad in [&key[..key.len() / 2], &other, ""] {
        std::fs::write(files.path().join("key.pem"), bad).expect("a file");
        running.reload().await.expect("a policy");
        assert_eq!(certificate(running.address, CALLOUT, &[&first]).await, first, "{bad}");
        let Err(refused) = ExtProc::bind(with_tls.clone()).await else { panic!("starts with {bad}") };
        assert!(refused.to_string().contains("key.pem: "), "{refused}");
        assert!(!refused.to_string().contains("PRIVATE"), "{refused}");
    }

    let second = certify(files.path(), CALLOUT);
    in_time("a new certificate", async {
        while certificate(running.address, CALLOUT, &[&first, &second]).await != second {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    running.stop().await;
}

/// The program itself, and signals.
#[cfg(unix)]
#[tokio::test]
async fn the_command_serves_until_it_is_told_to_end() {
    let folder = policy("");
    let program = Program::start(folder.path(), ([127, 0, 0, 1], 0).into(), Duration::ZERO).await;
    let endpoint = Endpoint::from_shared(format!("http://{}", program.address)).expect("an endpoint");
    let channel = endpoint.connect().await.expect("a connection");
    let answer = Talk::open(&channel).await.answered(get("/shop", &[])).await;
    assert_eq!(answer.details, "velvetrope_queue");
    assert!(program.terminate().await.success());
}

#[test]
fn a_port_that_is_none_is_refused() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_velvetrope"));
    let refused = command.args(["ext-proc", "."]).env("PORT", "http").output().expect("a process");
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("PORT is no port: http"));
}

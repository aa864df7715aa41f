//! A site, a policy and clients for the tests.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::HeaderName;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use velvetrope::internal::edge::Secrets;
use velvetrope::internal::policy::Sources;
use velvetrope::internal::queueit::Secret;
use velvetrope::internal::queueit::token::{TokenFields, sign};
use velvetrope_serve::proxy::{Config, Event, Observer, PolicySource, Proxy, Running, SecretSource};

pub use crate::wire::*;

pub const SECRET: &str = "e9a8f1c2-not-a-real-secret";

/// The site: answers with what it was asked, but for some paths.
pub struct Origin {
    pub address: SocketAddr,
    /// Lets `/stream` send its second part.
    pub go_on: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Origin {
    pub async fn start() -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let go_on = Arc::new(Notify::new());
        let notify = Arc::clone(&go_on);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let notify = Arc::clone(&notify);
                let service = service_fn(move |request| {
                    let notify = Arc::clone(&notify);
                    async move { Ok::<_, Infallible>(answer(request, notify).await) }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Origin { address, go_on, task }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A request header with a line for the head of the answer.
pub const SAYS: &str = "x-says";

type Answered = Response<BoxBody<Bytes, Infallible>>;

fn text(text: impl Into<Bytes>) -> BoxBody<Bytes, Infallible> {
    Full::new(text.into()).boxed()
}

async fn answer(request: Request<Incoming>, go_on: Arc<Notify>) -> Answered {
    match request.uri().path() {
        "/slow" => std::future::pending().await,
        "/two-cookies" => Response::builder()
            .status(307)
            .header("location", "http://elsewhere.example/x?y#z")
            .header("set-cookie", "a=1; Path=/")
            .header("set-cookie", "b=2; Path=/, /x")
            .header("connection", "x-hop")
            .header("x-hop", "private")
            .header("keep-alive", "timeout=5")
            .body(text(""))
            .expect("a response"),
        "/stream" => {
            let (send, receive) = mpsc::channel(1);
            tokio::spawn(async move {
                let frame = |text: &'static str| Ok::<_, Infallible>(Frame::data(Bytes::from(text)));
                send.send(frame("first")).await.expect("a reader");
                go_on.notified().await;
                send.send(frame("second")).await.expect("a reader");
            });
            let frames = futures_util::stream::unfold(receive, |mut receive| async move {
                receive.recv().await.map(|frame| (frame, receive))
            });
            Response::new(BodyExt::boxed(StreamBody::new(frames)))
        }
        _ => {
            let (parts, body) = request.into_parts();
            let mut told = format!("{} {}\n", parts.method, parts.uri);
            for (name, value) in &parts.headers {
                told += &format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()));
            }
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            told += &format!("\nbody: {} bytes, sum {}\n", body.len(), sum(&body));
            let mut response = Response::new(text(told));
            let lines = parts.headers.get_all(SAYS).iter().filter_map(|line| line.to_str().ok()?.split_once(": "));
            for (name, value) in lines {
                response
                    .headers_mut()
                    .append(name.parse::<HeaderName>().expect("a name"), value.parse().expect("a value"));
            }
            response
        }
    }
}

pub fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)))
}

/// `velvetrope.toml`, with more at its end.
pub fn settings(more: &str) -> String {
    format!(
        "customer_id = \"acme\"\nintegration = \"integration.json\"\nwaiting_room_origin = \"http://room.example\"\n\
         [rules]\nshop = \"rules.json\"\n[lists]\nadmins = \"admins.txt\"\n{more}\n"
    )
}

pub fn integration(version: u32) -> String {
    let part = |url: &str| {
        format!(
            r#"{{"ValidatorType":"UrlValidator","UrlPart":"PagePath","Operator":"Contains","ValueToCompare":"{url}"}}"#
        )
    };
    let one = |name: &str, action: &str, parts: &str| {
        format!(
            r#"{{"Name":"{name}","ActionType":"{action}","EventId":"shop","QueueDomain":"acme.queue-it.net",
            "CookieValidityMinute":20,"ExtendCookieValidity":true,"RedirectLogic":"AllowTParameter",
            "Triggers":[{{"LogicalOperator":"Or","TriggerParts":[{parts}]}}]}}"#
        )
    };
    let body = r#"{"ValidatorType":"RequestBodyValidator","Operator":"Contains","ValueToCompare":"queue-me"}"#;
    let integrations = [
        one("Assets", "Ignore", &part("/shop/assets/")),
        one("Leave", "Cancel", &part("/leave")),
        one("Shop", "Queue", &format!("{},{body}", part("/shop"))),
    ];
    format!(r#"{{"Version":{version},"Integrations":[{}]}}"#, integrations.join(","))
}

pub fn sources(more: &str) -> Sources {
    let rules = r#"[{"id":"links","action":"bypass_waiting_room","expression":"ends_with(http.request.uri.path, \"/userverified\")"},
        {"id":"admins","action":"bypass_waiting_room","expression":"ip.src in $admins"}]"#;
    let files = [
        ("velvetrope.toml", settings(more)),
        ("integration.json", integration(3)),
        ("rules.json", rules.to_owned()),
        ("admins.txt", "192.0.2.10\n".to_owned()),
    ];
    files.into_iter().map(|(name, text)| (name.to_owned(), text.into_bytes())).collect()
}

pub fn secrets() -> SecretSource {
    SecretSource::Given { secrets: Secrets::new(SECRET, None), api_key: Some("key".into()) }
}

pub fn config(source: PolicySource, origin: SocketAddr) -> Config {
    Config {
        secrets: secrets(),
        listen: Some(([127, 0, 0, 1], 0).into()),
        admin: Some(([127, 0, 0, 1], 0).into()),
        origin: Some(format!("http://{origin}")),
        ..Config::new(source)
    }
}

/// A proxy with the test policy before an origin.
pub async fn proxy(origin: SocketAddr, more: &str) -> Running {
    Proxy::bind(config(PolicySource::Fixed(sources(more)), origin)).await.expect("a proxy")
}

/// The same, with a setting that stands before all sections.
pub async fn proxy_with(origin: SocketAddr, setting: &str) -> Running {
    let mut sources = sources("");
    let settings = format!("{setting}\n{}", settings(""));
    sources.insert("velvetrope.toml".into(), settings.into_bytes());
    Proxy::bind(config(PolicySource::Fixed(sources), origin)).await.expect("a proxy")
}

/// A token that lets a visitor in now.
pub fn token() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
    let fields = TokenFields {
        event_id: "shop".into(),
        queue_id: "q1".into(),
        expires: i64::try_from(now).expect("a time") + 60,
        redirect_type: "queue".into(),
        ..TokenFields::default()
    };
    sign(&fields, &Secret::new(SECRET))
}

/// Comes back from the room; the pair of the session's cookie.
pub async fn arrive(address: SocketAddr) -> String {
    let arrived = get(address, &format!("/shop?queueittoken={}", token()), &[]).await;
    assert_eq!((arrived.status, arrived.header("location")), (302, Some("/shop")));
    cookie_pair(arrived.header("set-cookie").expect("a session"))
}

pub type Events = Arc<Mutex<Vec<Event>>>;

pub fn observer() -> (Observer, Events) {
    let events = Events::default();
    let seen = Arc::clone(&events);
    (Arc::new(move |event: &Event| seen.lock().expect("a lock").push(event.clone())), events)
}

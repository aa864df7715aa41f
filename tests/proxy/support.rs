//! A site, a policy and clients for the tests.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use velvetrope::connector::edge::Secrets;
use velvetrope::host::proxy::{Config, Event, Observer, PolicySource, Proxy, Running, SecretSource};
use velvetrope::policy::Sources;

pub const SECRET: &str = "e9a8f1c2-not-a-real-secret";

/// How long a test waits for what must happen, before it fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

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
            Response::new(text(told))
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

pub type Events = Arc<Mutex<Vec<Event>>>;

pub fn observer() -> (Observer, Events) {
    let events = Events::default();
    let seen = Arc::clone(&events);
    (Arc::new(move |event: &Event| seen.lock().expect("a lock").push(event.clone())), events)
}

/// An answer as it came over the wire.
#[derive(Debug)]
pub struct Wire {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Wire {
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }
}

/// Sends a request on a connection of its own, with `Host` and `Connection: close`, and reads the answer.
pub async fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Wire {
    send(address, "GET", path, headers, b"").await
}

pub async fn send(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Wire {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: tickets.example\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    let request = [head.as_bytes(), b"\r\n", body].concat();
    raw(address, &request).await
}

/// Sends bytes as they are, and reads until the other side ends.
pub async fn raw(address: SocketAddr, request: &[u8]) -> Wire {
    in_time("an answer", async {
        let stream = TcpStream::connect(address).await.expect("a connection");
        let (mut read, mut write) = stream.into_split();
        let request = request.to_vec();
        // The other side may answer and end before it has read everything.
        let writing = tokio::spawn(async move {
            let _ = write.write_all(&request).await;
            write
        });
        let mut bytes = Vec::new();
        let mut buffer = [0; 16_384];
        while let Ok(count @ 1..) = read.read(&mut buffer).await {
            bytes.extend_from_slice(&buffer[..count]);
        }
        writing.abort();
        parse(&bytes)
    })
    .await
}

fn parse(bytes: &[u8]) -> Wire {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer but {text:?}"));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    Wire { status: status.expect("a status"), headers, body: body.to_owned() }
}

/// `NAME=VALUE` of a Set-Cookie.
pub fn cookie_pair(set_cookie: &str) -> String {
    set_cookie.split(';').next().unwrap_or_default().to_owned()
}

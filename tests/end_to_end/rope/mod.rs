//! Ways past the rope that somebody found, each asked of the proxy and of the callout: `cases.jsonl` has one request in
//! a line, and what must happen. `tests/worker/rope.test.js` asks the Worker.

pub mod envoy;
pub mod line;
pub mod request;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use velvetrope::internal::edge::Secrets;
use velvetrope_serve::{ext_proc, proxy};

use crate::wire::in_time;
use envoy::Answer;
use line::{Head, Line};
use request::{Request, Version};

const SECRET: &str = "not-a-real-secret";

#[derive(Deserialize)]
struct Case {
    id: String,
    method: String,
    /// Each character a byte, like the headers.
    target: String,
    version: String,
    headers: Vec<(String, String)>,
    must: String,
}

impl Case {
    fn all() -> Vec<Case> {
        let lines = include_str!("cases.jsonl").lines();
        lines.map(|line| serde_json::from_str(line).unwrap_or_else(|err| panic!("{err}: {line}"))).collect()
    }

    fn request(&self) -> Request {
        assert_eq!(self.version, "HTTP/1.1", "{}", self.id);
        let (hosts, headers): (Vec<_>, Vec<_>) =
            self.headers.iter().cloned().partition(|(name, _)| name.eq_ignore_ascii_case("host"));
        Request {
            version: Version::Http11,
            method: self.method.clone(),
            target: self.target.clone(),
            authority: hosts.into_iter().next().map(|(_, value)| value),
            headers,
        }
    }
}

/// What came of a request.
#[derive(Debug)]
enum Came {
    /// Through to the origin, as it was written there, and back with this status.
    Through { request: String, status: u16 },
    /// Back without.
    Back { status: u16, headers: BTreeMap<String, String>, body: String },
}

impl Came {
    /// Why this is not what must be.
    fn is_not(&self, must: &str) -> Option<String> {
        let is_so = match (must, self) {
            ("queue", Came::Back { status: 302 | 303, headers, .. }) => is_queue(headers.get("location")),
            ("303 to the queue", Came::Back { status: 303, headers, .. }) => is_queue(headers.get("location")),
            ("an answer that a script can read", Came::Back { status: 400..500, headers, body }) => {
                headers.get("content-type").is_some_and(|kind| kind.starts_with("application/json"))
                    && is_queue(Some(body))
            }
            ("400" | "421", Came::Back { status, .. }) => must == status.to_string(),
            ("pass", Came::Through { status, .. }) => *status == 200,
            ("pass without tunnel", Came::Through { request, status }) => {
                *status == 200 && values(request, "upgrade").is_empty()
            }
            ("pass; origin sees only our verdict", Came::Through { request, .. }) => {
                values(request, "x-velvetrope-verdict") == ["pass"]
            }
            _ => false,
        };
        (!is_so).then(|| format!("{must:?} must be, but: {self:?}"))
    }
}

/// Whether a text leads to the waiting room of some integration.
fn is_queue(text: Option<&String>) -> bool {
    text.is_some_and(|text| text.contains("https://acme.queue-it.net/?c=acme&e="))
}

/// The values of a header in a request, under all names that an origin takes for the same.
fn values(request: &str, name: &str) -> Vec<String> {
    let headers = Head(request::bytes(request)).headers();
    let same = headers.into_iter().filter(|(known, _)| known.to_ascii_lowercase().replace('_', "-") == name);
    same.map(|(_, value)| value).collect()
}

/// Asks about every case, and fails with all that is wrong.
async fn check(ask: impl AsyncFn(&Request) -> Option<Came>) {
    let mut wrong = Vec::new();
    for case in Case::all() {
        let request = case.request();
        // What the proxy in front refuses itself never comes.
        let Some(came) = in_time(&case.id, ask(&request)).await else { continue };
        wrong.extend(came.is_not(&case.must).map(|why| format!("{} {request}\n  {why}", case.id)));
    }
    assert!(wrong.is_empty(), "{}\n{} are wrong", wrong.join("\n"), wrong.len());
}

/// The site: notes what it is asked, and changes protocols wherever it can.
struct Origin {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Origin {
    async fn start() -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::<Mutex<Vec<_>>>::default();
        let requests = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut line = Line::new(stream);
                while let Ok((head, _)) = line.request().await {
                    let text = line::latin1(&head.0);
                    let changes = !values(&text, "upgrade").is_empty();
                    requests.lock().expect("a lock").push(text);
                    let answer: &[u8] = match changes {
                        true => b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
                        false => b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                    };
                    if line.write(answer).await.is_err() {
                        break;
                    }
                }
            }
        });
        Origin { address, asked, task }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn the_proxy_lets_nobody_past() {
    let origin = Origin::start().await;
    let config = proxy::Config {
        secrets: proxy::SecretSource::Given { secrets: Secrets::new(SECRET, None), api_key: None },
        listen: Some(([127, 0, 0, 1], 0).into()),
        admin: Some(([127, 0, 0, 1], 0).into()),
        origin: Some(format!("http://{}", origin.address)),
        ..proxy::Config::new(proxy::PolicySource::Path(policy()))
    };
    let running = proxy::Proxy::bind(config).await.expect("a proxy");
    check(async |request| {
        let mut line = Line::to(running.address).await.expect("a connection");
        line.write(&request.bytes(("x-case", "1"))).await.expect("an open connection");
        let (head, body) = line.answer(false).await.expect("an answer");
        let asked = origin.asked.lock().expect("a lock").pop();
        let (status, headers) = (head.status(), head.headers());
        Some(match asked {
            Some(request) => Came::Through { request, status },
            None => Came::Back { status, headers: in_lower_case(headers), body: line::latin1(&body) },
        })
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn the_callout_lets_nobody_past() {
    let config = ext_proc::Config {
        secrets: ext_proc::SecretSource::Given { secrets: Secrets::new(SECRET, None), api_key: None },
        listen: Some(([127, 0, 0, 1], 0).into()),
        admin: Some(([127, 0, 0, 1], 0).into()),
        ..ext_proc::Config::new(ext_proc::PolicySource::Path(policy()))
    };
    let running = ext_proc::ExtProc::bind(config).await.expect("a callout");
    let channel = envoy::channel(&running).await;
    check(async |request| {
        let headers = envoy::as_read(request)?;
        Some(match envoy::ask(&channel, &headers).await {
            Answer::GoesOn(mutation) => {
                let written = envoy::as_written(headers, mutation, ("x-case", "1"));
                Came::Through { request: line::latin1(&written), status: 200 }
            }
            Answer::Answered { status, headers, body } => Came::Back { status, headers: in_lower_case(headers), body },
        })
    })
    .await;
    running.stop().await;
}

fn in_lower_case(headers: Vec<(String, String)>) -> BTreeMap<String, String> {
    headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect()
}

fn policy() -> std::path::PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("tests/end_to_end/rope/policy")
}

//! A site, a policy, callouts and Envoy.

use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio::task::JoinHandle;
use velvetrope_serve::ext_proc::Running;

pub use crate::callout::*;
pub use crate::wire::*;

pub const SESSION: &str = "QueueITAccepted-SDFrts345E-V3_shop";

/// How many requests for `/together` the site waits for before it answers the first of them.
pub const TOGETHER: usize = 1_000;

/// The site: sets two cookies of its own, and answers with what it was asked.
pub struct Origin {
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Origin {
    pub async fn start() -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let all = Arc::new(Barrier::new(TOGETHER));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let all = Arc::clone(&all);
                let service = service_fn(move |request| {
                    let all = Arc::clone(&all);
                    async move { Ok::<_, Infallible>(answer(&request, &all).await) }
                });
                let mut server = hyper::server::conn::http1::Builder::new();
                tokio::spawn(server.max_buf_size(1 << 20).serve_connection(TokioIo::new(stream), service));
            }
        });
        Origin { address, task }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(request: &Request<Incoming>, all: &Barrier) -> Response<Full<Bytes>> {
    if request.uri().path().ends_with("/together") {
        all.wait().await;
    }
    let mut told = format!("{} {}\n", request.method(), request.uri()).into_bytes();
    for (name, value) in request.headers() {
        told.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"].concat());
    }
    let response = Response::builder().header("set-cookie", "basket=1; Path=/").header("set-cookie", "seen=2");
    let response = response.header("cache-control", "public").header("cache-control", "max-age=60");
    let response = response.header("cdn-cache-control", "max-age=60").header("content-language", "en");
    response.body(Full::new(told.into())).expect("a response")
}

/// A folder with a policy: a room at `path`, with a way past it, and one more session that ends with its own.
pub fn policy(path: &str, more: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    write_policy(folder.path(), path, more);
    folder
}

pub fn write_policy(folder: &Path, path: &str, more: &str) {
    let settings = format!(
        "customer_id = 'acme'\ntarget = 'google-cloud'\nintegration = 'i.json'\nrules = {{ shop = 'r.json' }}\n{more}"
    );
    let rules = r#"[{"id":"vip","action":"bypass_waiting_room","expression":"http.request.uri.path eq \"/shop/vip\""},
        {"id":"elsewhere","action":"bypass_waiting_room","expression":"ip.src ne 127.0.0.1"}]"#;
    fs::create_dir_all(folder).expect("a folder");
    for (name, text) in [("velvetrope.toml", settings), ("r.json", rules.to_owned()), ("i.json", integration(path))] {
        fs::write(folder.join(name), text).expect("a file");
    }
}

pub fn integration(path: &str) -> String {
    let one = |action: &str, path: &str| {
        format!(
            r#"{{"Name":"{action}","ActionType":"{action}","EventId":"shop","InvolvedWaitingRoomIds":["other"],
            "QueueDomain":"q.example","CookieValidityMinute":20,"ExtendCookieValidity":true,
            "RedirectLogic":"AllowTParameter","Triggers":[{{"LogicalOperator":"And","TriggerParts":[
            {{"ValidatorType":"UrlValidator","UrlPart":"PagePath","Operator":"Contains",
            "ValueToCompare":"{path}"}}]}}]}}"#
        )
    };
    let all = [one("Ignore", "/shop/assets"), one("Cancel", "/leave"), one("Queue", path)];
    format!(r#"{{"Version":7,"Integrations":[{}]}}"#, all.join(","))
}

/// Envoy, for as long as this lives.
pub struct Envoy {
    _process: Process,
    _folder: TempDir,
    pub address: SocketAddr,
    admin: SocketAddr,
}

/// Waits for callouts as long as a busy machine may take.
pub const PATIENT: (&str, &str) = ("message_timeout: 0.5s", "message_timeout: 60s");
pub const FAIL_OPEN: (&str, &str) = ("failure_mode_allow: false", "failure_mode_allow: true");

impl Envoy {
    /// Set up as users do, but for the ports and for `changes` (what it says, what it shall say).
    pub async fn start(origin: &Origin, callouts: [SocketAddr; 2], changes: &[(&str, &str)]) -> Envoy {
        Envoy::before_site(origin.address, callouts, changes).await
    }

    /// The same, before whatever listens there.
    pub async fn before_site(site: SocketAddr, callouts: [SocketAddr; 2], changes: &[(&str, &str)]) -> Envoy {
        let folder = tempfile::tempdir().expect("a folder");
        let port = |address: SocketAddr| format!("port_value: {} ", address.port());
        let ports = [
            ("port_value: 9901 ".to_owned(), "port_value: 0 ".to_owned()),
            ("0.0.0.0, port_value: 8080 ".to_owned(), "127.0.0.1, port_value: 0 ".to_owned()),
            ("port_value: 3000 ".to_owned(), port(site)),
            ("port_value: 50051 ".to_owned(), port(callouts[0])),
            ("port_value: 50052 ".to_owned(), port(callouts[1])),
        ];
        let changes = changes.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned()));
        let mut yaml = include_str!("../../../deploy/envoy/envoy.yaml").to_owned();
        for (from, to) in changes.chain(ports) {
            assert!(yaml.contains(&from), "envoy.yaml does not say {from}");
            yaml = yaml.replace(&from, &to);
        }
        fs::write(folder.path().join("envoy.yaml"), yaml).expect("a file");
        let log = fs::File::create(folder.path().join("log")).expect("a file");
        let mut command = Command::new("envoy");
        command.args(["--config-path", "envoy.yaml", "--admin-address-path", "admin", "--disable-hot-restart"]);
        command.args(["--concurrency", "1", "--log-level", "warning"]).current_dir(folder.path());
        let spawned = command.stdout(Stdio::null()).stderr(log).spawn();
        let spawned = spawned.expect("run these tests with `tools/envoy cargo test …`, which puts envoy on PATH");
        let mut process = Process(spawned);
        let admin = sooner_or_later("Envoy's start", async || {
            if let Ok(Some(status)) = process.0.try_wait() {
                let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
                panic!("Envoy ended, {status}: {log}");
            }
            let admin = fs::read_to_string(folder.path().join("admin")).ok()?.trim().parse().ok()?;
            (get(admin, "/ready", &[]).await.status == 200).then_some(admin)
        });
        let admin = admin.await;
        let listeners = get(admin, "/listeners?format=json", &[]).await;
        let listeners: serde_json::Value = serde_json::from_str(&listeners.body).expect("JSON");
        let port = &listeners["listener_statuses"][0]["local_address"]["socket_address"]["port_value"];
        let port = port.as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port");
        Envoy { _process: process, address: ([127, 0, 0, 1], port).into(), admin, _folder: folder }
    }

    /// One callout that waits, and does not hurry.
    pub async fn before(origin: &Origin, callout: &Running) -> Envoy {
        Envoy::start(origin, [callout.address; 2], &[PATIENT]).await
    }

    /// A counter of its own.
    pub async fn counter(&self, name: &str) -> u64 {
        let stats = get(self.admin, &format!("/stats?filter={name}&format=json"), &[]).await;
        let stats: serde_json::Value = serde_json::from_str(&stats.body).expect("JSON");
        let counters = stats["stats"].as_array().expect("counters").iter();
        let mut counters = counters.filter(|counter| counter["name"].as_str().is_some_and(|full| full.ends_with(name)));
        counters.next().and_then(|counter| counter["value"].as_u64()).unwrap_or_else(|| panic!("no {name}: {stats}"))
    }

    /// Waits until it finds a callout well, or does not.
    pub async fn finds(&self, callout: SocketAddr, well: bool) {
        let is = format!("velvetrope::{callout}::health_flags::healthy\n");
        let news = async || (get(self.admin, "/clusters", &[]).await.body.contains(&is) == well).then_some(());
        sooner_or_later("Envoy's notice", news).await;
    }
}

/// Ends with this.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What comes of asking again and again.
async fn sooner_or_later<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    in_time(what, async {
        loop {
            match ask().await {
                Some(answer) => return answer,
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    })
    .await
}

/// Comes back from the room; the pair of the session's cookie.
pub async fn arrive(envoy: &Envoy, queue_id: &str) -> String {
    let path = format!("/shop?a=1&queueittoken={}", token("shop", queue_id, "queue"));
    let arrived = get(envoy.address, &path, &[]).await;
    assert_eq!((arrived.status, arrived.header("location")), (302, Some("/shop?a=1")));
    assert_eq!(arrived.all("set-cookie").len(), 1, "{arrived:?}");
    let session = cookie_pair(arrived.header("set-cookie").expect("a session"));
    assert!(session.starts_with(SESSION) && session.contains(queue_id), "{session}");
    session
}

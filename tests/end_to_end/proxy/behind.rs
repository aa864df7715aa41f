//! Behind nginx, HAProxy and Caddy, each set up by the file in `deploy/fronts` that operators are given.
//!
//! Visitors come from 127.0.0.2, the program in front from 127.0.0.1.

use crate::ports;
use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use velvetrope_serve::proxy::{Config, PolicySource, Proxy, Running};

use super::support::{Events, config, in_time, observer, sources};
use crate::tls::{certify, shake_hands};

const HOST: &str = "tickets.example";

/// What a visitor may say of itself, which nobody must believe.
const FORGED: [(&str, &str); 8] = [
    ("X-Forwarded-For", "192.0.2.10"),
    ("X-Forwarded-Proto", "http"),
    ("X-Forwarded-Host", "forged.example"),
    ("X-Forwarded-Port", "666"),
    ("X-Real-IP", "192.0.2.10"),
    ("Forwarded", "for=192.0.2.10;proto=http;host=forged.example"),
    ("X-Velvetrope-Verdict", "forged"),
    ("X_Velvetrope_Verdict", "forged"),
];

#[tokio::test]
async fn behind_nginx() {
    let front = Front::start("nginx.conf", async |file, folder| {
        let changes = [
            ("/run/nginx.pid", folder.join("pid")),
            ("/etc/nginx/certificate.pem", folder.join("certificate.pem")),
            ("/etc/nginx/key.pem", folder.join("key.pem")),
        ];
        let changes = changes.map(|(from, to)| (from, to.display().to_string()));
        let port = [("listen 443", format!("listen {}", file.port))];
        file.write(folder, &[&changes[..], &port[..]].concat());
        let mut nginx = Command::new("nginx");
        nginx.arg("-p").arg(folder).arg("-c").arg(folder.join("nginx.conf")).args(["-g", "daemon off;"]);
        nginx
    });
    front.await.keeps_what_it_promises().await;
}

#[tokio::test]
async fn behind_haproxy() {
    let front = Front::start("haproxy.cfg", async |file, folder| {
        let read = |name| fs::read_to_string(folder.join(name)).expect("a file");
        let pem = folder.join("site.pem");
        fs::write(&pem, read("certificate.pem") + &read("key.pem")).expect("a file");
        let changes =
            [("bind :443", format!("bind {}", file.port)), ("/etc/haproxy/site.pem", pem.display().to_string())];
        file.write(folder, &changes);
        let mut haproxy = Command::new("haproxy");
        haproxy.args(["-db", "-f"]).arg(folder.join("haproxy.cfg"));
        haproxy
    });
    front.await.keeps_what_it_promises().await;
}

#[tokio::test]
async fn behind_caddy() {
    let front = Front::start("Caddyfile", async |file, folder| {
        let changes = [
            ("\ntickets.example {", format!("\nhttps://{HOST}:{} {{\n\tbind 127.0.0.1", file.port.port())),
            ("/etc/caddy/certificate.pem", folder.join("certificate.pem").display().to_string()),
            ("/etc/caddy/key.pem", folder.join("key.pem").display().to_string()),
            ("admin off", format!("admin off\n\thttp_port {}", ports::free().port())),
        ];
        file.write(folder, &changes);
        let mut caddy = Command::new("caddy");
        caddy.args(["run", "--adapter", "caddyfile", "--config"]).arg(folder.join("Caddyfile"));
        caddy.env("HOME", folder).env("XDG_DATA_HOME", folder).env("XDG_CONFIG_HOME", folder);
        caddy
    });
    front.await.keeps_what_it_promises().await;
}

/// A file of `deploy/fronts`.
struct File {
    name: &'static str,
    text: String,
    /// Where visitors are to be served.
    port: SocketAddr,
    /// Where the proxy is.
    proxy: SocketAddr,
}

impl File {
    /// What it says that velvetrope.toml needs, but for the port.
    fn settings(name: &str) -> String {
        let lines = text_of(name);
        let lines = lines.lines().filter_map(|line| line.strip_prefix("#     "));
        lines.filter(|line| !line.starts_with("listen ")).map(|line| format!("{line}\n")).collect()
    }

    /// Writes it with some changes.
    fn write(&self, folder: &Path, changes: &[(&str, String)]) {
        let mut text = self.text.clone();
        for (from, to) in changes.iter().cloned().chain([("127.0.0.1:8080", self.proxy.to_string())]) {
            assert!(text.contains(from), "{} does not say {from}", self.name);
            text = text.replace(from, &to);
        }
        fs::write(folder.join(self.name), text).expect("a file");
    }
}

fn text_of(name: &str) -> String {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("deploy/fronts");
    fs::read_to_string(folder.join(name)).expect("a file")
}

/// A program in front of a proxy in front of a site.
struct Front {
    address: SocketAddr,
    certificate: CertificateDer<'static>,
    proxy: Running,
    events: Events,
    _process: Process,
    _folder: TempDir,
}

/// Ends with this.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Front {
    async fn start(name: &'static str, set_up: impl AsyncFnOnce(&File, &Path) -> Command) -> Front {
        let folder = tempfile::tempdir().expect("a folder");
        let certificate = certify(folder.path(), HOST);
        let (observer, events) = observer();
        let config = Config {
            observer: Some(observer),
            ..config(PolicySource::Fixed(sources(&File::settings(name))), site().await)
        };
        let proxy = Proxy::bind(config).await.expect("a proxy");
        let file = File { name, text: text_of(name), port: ports::free(), proxy: proxy.address };
        let mut command = set_up(&file, folder.path()).await;
        let log = || fs::File::options().create(true).append(true).open(folder.path().join("log")).expect("a file");
        let spawned = command.stdin(Stdio::null()).stdout(log()).stderr(log()).spawn();
        let program = command.get_program().display().to_string();
        let mut process =
            Process(spawned.unwrap_or_else(|error| panic!("{program}, which `make tools` installs: {error}")));
        let address = file.port;
        in_time("a front that serves", async {
            while TcpStream::connect(address).await.is_err() {
                let log = || fs::read_to_string(folder.path().join("log")).unwrap_or_default();
                assert_eq!(process.0.try_wait().expect("a process"), None, "{program} ended: {}", log());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        Front { address, certificate, proxy, events, _process: process, _folder: folder }
    }

    async fn connect(&self, protocol: &str) -> TlsStream<TcpStream> {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 2], 0).into()).expect("an address");
        let stream = socket.connect(self.address).await.expect("a connection");
        shake_hands(stream, HOST, &[&self.certificate], protocol).await
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> String {
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n");
        headers.iter().for_each(|(name, value)| request += &format!("{name}: {value}\r\n"));
        let mut stream = self.connect("http/1.1").await;
        stream.write_all(format!("{request}\r\n").as_bytes()).await.expect("a reader");
        let mut answer = Vec::new();
        // Not everybody ends TLS as they should.
        let _ = in_time("an answer", stream.read_to_end(&mut answer)).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn keeps_what_it_promises(self) {
        self.is_told_of_the_visitor().await;
        self.queues_for_the_public_address().await;
        self.passes_paths_as_they_are().await;
        self.speaks_http2().await;
        self.passes_websockets().await;
        for event in self.events.lock().expect("a lock").iter() {
            assert_eq!(event.client_ip.map(|address| address.to_string()).as_deref(), Some("127.0.0.2"), "{event:?}");
        }
        in_time("the end", self.proxy.stop()).await;
    }

    async fn is_told_of_the_visitor(&self) {
        for headers in [&[][..], &FORGED] {
            let told = self.get("/told", headers).await;
            assert!(told.starts_with("HTTP/1.1 200 "), "{told}");
            for line in ["host: tickets.example", "x-forwarded-proto: https", "x-forwarded-host: tickets.example"] {
                assert!(told.lines().any(|told| told == line), "{line} in {told}");
            }
            let visitor = told.lines().find(|line| line.starts_with("x-forwarded-for: ")).expect("a visitor");
            assert!(visitor.starts_with("x-forwarded-for: 127.0.0.2"), "{told}");
            assert!(!told.contains("forged") && !told.contains("192.0.2.10"), "{told}");
            assert!(told.contains("x-velvetrope-verdict: pass\n"), "{told}");
        }
    }

    async fn queues_for_the_public_address(&self) {
        for headers in [&[][..], &FORGED] {
            let queued = self.get("/shop?a=b", headers).await;
            assert!(queued.starts_with("HTTP/1.1 302 "), "{queued}");
            assert!(queued.contains("t=https%3A%2F%2Ftickets.example%2Fshop%3Fa%3Db"), "{queued}");
        }
    }

    async fn passes_paths_as_they_are(&self) {
        for path in ["/a%2Fb//c?x=%20&y", "/x/%2E%2E/a;b=c", "/%61"] {
            let told = self.get(path, &[]).await;
            assert!(told.contains(&format!("GET {path}\n")), "{path} became {told}");
        }
    }

    async fn speaks_http2(&self) {
        let stream = TokioIo::new(self.connect("h2").await);
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream);
        let (mut client, connection) = handshake.await.expect("HTTP/2");
        tokio::spawn(connection);
        let request = Request::get(format!("https://{HOST}/h2")).header("x-forwarded-for", "192.0.2.10");
        let request = request.body(Empty::<Bytes>::new()).expect("a request");
        let answer = in_time("an answer", client.send_request(request)).await.expect("an answer");
        let told = answer.into_body().collect().await.expect("a body").to_bytes();
        let told = String::from_utf8_lossy(&told);
        assert!(told.starts_with("GET /h2\n") && told.contains("\nhost: tickets.example\n"), "{told}");
        assert!(told.contains("x-forwarded-proto: https\n") && !told.contains("192.0.2.10"), "{told}");
    }

    async fn passes_websockets(&self) {
        let connect = async |path: &str| {
            tokio_tungstenite::client_async(format!("wss://{HOST}{path}"), self.connect("http/1.1").await).await
        };
        let (mut socket, _) = in_time("a handshake", connect("/live")).await.expect("a WebSocket");
        for text in ["one", "two"] {
            socket.send(Message::text(text)).await.expect("a listener");
            let back = in_time("an echo", socket.next()).await.expect("a message").expect("a message");
            assert_eq!(back, Message::text(text));
        }
        assert!(in_time("an answer", connect("/shop/live")).await.is_err(), "a redirect is no WebSocket");
    }
}

/// A site that answers with what it was asked, and echoes WebSockets.
async fn site() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(async |request| Ok::<_, Infallible>(answer(request)));
            let server = hyper::server::conn::http1::Builder::new();
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service).with_upgrades());
        }
    });
    address
}

fn answer(mut request: Request<Incoming>) -> Response<Full<Bytes>> {
    if let Some(key) = request.headers().get("sec-websocket-key") {
        let accept = derive_accept_key(key.as_bytes());
        tokio::spawn(echo(hyper::upgrade::on(&mut request)));
        let response = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "websocket");
        return response.header("sec-websocket-accept", accept).body(Full::default()).expect("a response");
    }
    let mut told = format!("GET {}\n", request.uri());
    for (name, value) in request.headers() {
        told += &format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()));
    }
    Response::new(Full::new(told.into()))
}

async fn echo(upgrade: hyper::upgrade::OnUpgrade) {
    let Ok(upgraded) = upgrade.await else { return };
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    while let Some(Ok(message @ Message::Text(_))) = socket.next().await {
        socket.send(message).await.expect("a listener");
    }
}

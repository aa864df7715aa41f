//! What stands in front, and what stands behind: who is believed, TLS on either side, and what is passed on of it.

use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use velvetrope_serve::proxy::{Config, PolicySource, Proxy, Running, TlsFiles};

use super::support::*;
use crate::tls::{certificate, certify, shake_hands};

const HOST: &str = "tickets.example";

#[tokio::test]
async fn only_named_proxies_are_believed() {
    let origin = Origin::start().await;
    let said = [
        ("X-Forwarded-For", "6.6.6.6, 192.0.2.10"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "other.example"),
        ("Forwarded", "for=192.0.2.10"),
        ("X-Real-IP", "192.0.2.10"),
    ];
    let strange = proxy(origin.address, "[proxy]\ntrusted_proxies = ['10.0.0.0/8']").await;
    let refused = get(strange.address, "/shop", &said).await;
    assert_eq!(refused.status, 302);
    let location = refused.header("location").expect("a room").to_owned();
    assert!(location.contains("t=http%3A%2F%2Ftickets.example%2Fshop"), "{location}");
    let told = get(strange.address, "/", &said).await.body;
    assert!(told.contains("x-forwarded-for: 127.0.0.1\nx-forwarded-proto: http\n"), "{told}");
    assert!(!told.contains("192.0.2.10") && !told.contains("other.example"), "{told}");
    strange.stop().await;

    let trusting = proxy(origin.address, "[proxy]\ntrusted_proxies = ['127.0.0.0/8']\nforwarded_host = true").await;
    assert_eq!(get(trusting.address, "/shop", &said).await.status, 200, "an admin's address");
    let others = [("X-Forwarded-For", "192.0.2.10, 6.6.6.6"), said[1], said[2]];
    let location = get(trusting.address, "/shop", &others).await.header("location").expect("a room").to_owned();
    assert!(location.contains("t=https%3A%2F%2Fother.example%2Fshop"), "{location}");
    let told = get(trusting.address, "/", &others).await.body;
    assert!(told.contains("\nhost: other.example\n") && told.contains("x-forwarded-host: other.example\n"), "{told}");
    trusting.stop().await;
}

#[tokio::test]
async fn the_public_address_is_what_the_settings_say() {
    let origin = Origin::start().await;
    let public = proxy(origin.address, "[proxy]\npublic_scheme = 'https'\npublic_host = 'shop.example'").await;
    let location = get(public.address, "/shop", &[]).await.header("location").expect("a room").to_owned();
    assert!(location.contains("t=https%3A%2F%2Fshop.example%2Fshop"), "{location}");
    let told = get(public.address, "/", &[]).await.body;
    assert!(told.contains("host: shop.example\n") && told.contains("x-forwarded-proto: https\n"), "{told}");
    public.stop().await;
}

/// Sends a header of the PROXY protocol and a request behind it.
async fn announced(address: SocketAddr, header: &[u8], path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let mut answer = Vec::new();
    // It may be refused before it is read, and what is refused is reset.
    let _ = stream.write_all(&[header, request.as_bytes()].concat()).await;
    let _ = in_time("an end", stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_front_announces_its_visitors() {
    let origin = Origin::start().await;
    let second = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x0a\x0a\0\0\x01\x12\x67\0\x50";
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    let first = b"PROXY TCP4 192.0.2.10 10.0.0.1 4711 80\r\n";
    for more in ["", "trusted_proxies = ['127.0.0.1']"] {
        let proxy = proxy(origin.address, &format!("[proxy]\nproxy_protocol = true\n{more}")).await;
        for header in [&first[..], second] {
            let passed = announced(proxy.address, header, "/shop").await;
            assert!(passed.starts_with("HTTP/1.1 200 "), "an admin's address: {passed}");
            assert!(passed.contains("x-forwarded-for: 192.0.2.10\n"), "{passed}");
        }
        for header in [&b"PROXY TCP4 192.0.2.11 10.0.0.1 4711 80\r\n"[..], b"PROXY UNKNOWN\r\n", local] {
            let queued = announced(proxy.address, header, "/shop").await;
            assert!(queued.starts_with("HTTP/1.1 302 "), "{queued}");
        }
        assert!(announced(proxy.address, local, "/").await.contains("x-forwarded-for: 127.0.0.1\n"));
        for header in [&b""[..], b"PROXY TCP4 nonsense\r\n", b"PROXY "] {
            assert_eq!(announced(proxy.address, header, "/").await, "", "{header:?}");
        }
        let metrics = get(proxy.admin_address, "/metrics", &[]).await.body;
        assert!(metrics.contains("kind=\"unannounced\"} 3\n"), "{metrics}");
        proxy.stop().await;
    }
    let strange = proxy(origin.address, "[proxy]\nproxy_protocol = true\ntrusted_proxies = ['10.0.0.0/8']").await;
    assert_eq!(announced(strange.address, first, "/").await, "", "not one of the proxies");
    strange.stop().await;
}

#[tokio::test]
async fn load_balancers_are_answered_without_a_host() {
    let origin = Origin::start().await;
    let config = Config {
        listen: None,
        ..config(
            PolicySource::Fixed(sources("[proxy]\nlisten = '127.0.0.1:0'\nhealth_path = '/health'")),
            origin.address,
        )
    };
    let proxy = Proxy::bind(config).await.expect("a proxy");
    let ask =
        async |request: &str| raw(proxy.address, format!("{request}\r\nConnection: close\r\n\r\n").as_bytes()).await;
    for request in
        ["GET /health HTTP/1.0", "GET /health HTTP/1.1\r\nHost: 10.0.0.7:8080", "GET /health HTTP/1.1\r\nHost: a, b"]
    {
        let answer = ask(request).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "ready\n"), "{request}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let head = ask("HEAD /health HTTP/1.0").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(ask("POST /health HTTP/1.1\r\nHost: a").await.status, 405, "it never reaches the site");
    for other in ["/health/", "/health?x", "/Health", "/%68ealth", "//health"] {
        let told = get(proxy.address, other, &[]).await.body;
        assert!(told.starts_with(&format!("GET {other}\n")), "{told}");
    }
    proxy.stop().await;

    let mut broken = sources("[proxy]\nhealth_path = '/health'");
    broken.insert("integration.json".into(), b"{".to_vec());
    let broken =
        Proxy::bind(super::support::config(PolicySource::Fixed(broken), origin.address)).await.expect("a proxy");
    let answer = get(broken.address, "/health", &[]).await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "not ready\n"));
    broken.stop().await;
}

/// A proxy that speaks TLS with visitors, and its certificate.
async fn with_tls(origin: SocketAddr, folder: &std::path::Path) -> (Running, CertificateDer<'static>) {
    let own = certify(folder, HOST);
    let tls = TlsFiles { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") };
    let config = Config { tls: Some(tls), ..config(PolicySource::Fixed(sources("")), origin) };
    (Proxy::bind(config).await.expect("a proxy"), own)
}

#[tokio::test]
async fn visitors_are_spoken_to_in_tls() {
    let (origin, files) = (Origin::start().await, tempfile::tempdir().expect("a folder"));
    let (proxy, own) = with_tls(origin.address, files.path()).await;
    let connect = async |protocol| {
        shake_hands(TcpStream::connect(proxy.address).await.expect("a connection"), HOST, &[&own], protocol).await
    };
    let mut stream = connect("http/1.1").await;
    stream
        .write_all(b"GET /shop HTTP/1.1\r\nHost: tickets.example\r\nConnection: close\r\n\r\n")
        .await
        .expect("a reader");
    let mut answer = String::new();
    let _ = in_time("an answer", stream.read_to_string(&mut answer)).await;
    assert!(
        answer.starts_with("HTTP/1.1 302 ") && answer.contains("t=https%3A%2F%2Ftickets.example%2Fshop"),
        "{answer}"
    );

    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(connect("h2").await))
            .await
            .expect("h2");
    tokio::spawn(connection);
    let request = Request::get("https://tickets.example/h2").body(Empty::<Bytes>::new()).expect("a request");
    let answer = in_time("an answer", client.send_request(request)).await.expect("an answer");
    let told = answer.into_body().collect().await.expect("a body").to_bytes();
    assert!(String::from_utf8_lossy(&told).contains("x-forwarded-proto: https\n"), "{told:?}");

    // Plain HTTP, and nonsense, get no answer, and hold up nobody.
    for plain in ["GET / HTTP/1.1\r\nHost: tickets.example\r\n\r\n", "\x16\x03\x01"] {
        let mut stream = TcpStream::connect(proxy.address).await.expect("a connection");
        stream.write_all(plain.as_bytes()).await.expect("a reader");
        stream.shutdown().await.expect("a reader");
        let mut answer = Vec::new();
        let _ = in_time("an end", stream.read_to_end(&mut answer)).await;
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
    let second = certify(files.path(), HOST);
    in_time("a new certificate", async {
        while certificate(proxy.address, HOST, &[&own, &second]).await != second {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    in_time("the end", proxy.stop()).await;
}

#[tokio::test]
async fn a_front_can_announce_visitors_who_speak_tls() {
    let (origin, files) = (Origin::start().await, tempfile::tempdir().expect("a folder"));
    let own = certify(files.path(), HOST);
    let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| files.path().join(name));
    let more = format!("[proxy]\nproxy_protocol = true\n[proxy.tls]\ncertificate = {certificate:?}\nkey = {key:?}");
    let proxy = proxy(origin.address, &more).await;
    let mut stream = TcpStream::connect(proxy.address).await.expect("a connection");
    stream.write_all(b"PROXY TCP4 192.0.2.10 10.0.0.1 4711 443\r\n").await.expect("a reader");
    let mut stream = shake_hands(stream, HOST, &[&own], "http/1.1").await;
    stream
        .write_all(b"GET /shop HTTP/1.1\r\nHost: tickets.example\r\nConnection: close\r\n\r\n")
        .await
        .expect("a reader");
    let mut answer = String::new();
    let _ = in_time("an answer", stream.read_to_string(&mut answer)).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("x-forwarded-for: 192.0.2.10\n"), "{answer}");
    in_time("the end", proxy.stop()).await;
}

/// A site that answers every connection in TLS with what it was sent first.
async fn tls_origin(folder: &std::path::Path) -> SocketAddr {
    let chain = CertificateDer::pem_file_iter(folder.join("certificate.pem")).expect("a file");
    let chain = chain.collect::<Result<_, _>>().expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).expect("a key");
    let config =
        ServerConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_no_client_auth().with_single_cert(chain, key).expect("a certificate");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 4_096];
            let count = stream.read(&mut request).await.unwrap_or_default();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {count}\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(&[head.as_bytes(), &request[..count]].concat()).await;
            let _ = stream.shutdown().await;
        }
    });
    address
}

#[tokio::test]
async fn the_origins_certificate_is_verified() {
    let files = tempfile::tempdir().expect("a folder");
    certify(files.path(), "localhost");
    let address = tls_origin(files.path()).await;
    let ca = files.path().join("certificate.pem");
    let status = async |host: &str, more: &str| {
        let origin = Some(format!("https://{host}:{}", address.port()));
        let config = Config { origin, ..config(PolicySource::Fixed(sources(more)), address) };
        let proxy = Proxy::bind(config).await.expect("a proxy");
        let answer = get(proxy.address, "/a", &[]).await;
        let metrics = get(proxy.admin_address, "/metrics", &[]).await.body;
        proxy.stop().await;
        assert_eq!(answer.status == 502, metrics.contains("kind=\"connect\"} 1\n"), "{metrics}");
        (answer.status, answer.body)
    };
    let vouched = format!("[proxy]\norigin_ca = {ca:?}");
    let (good, told) = status("localhost", &vouched).await;
    assert_eq!(good, 200, "{told}");
    assert!(told.starts_with("GET /a HTTP/1.1\r\n") && told.contains("host: tickets.example\r\n"), "{told}");
    assert_eq!(status("127.0.0.1", &vouched).await.0, 502, "another name");
    assert_eq!(status("localhost", "").await.0, 502, "nobody vouches for it");

    let start = async |more: &str| {
        let config =
            Config { origin: Some("https://localhost".into()), ..config(PolicySource::Fixed(sources(more)), address) };
        Proxy::bind(config).await.err().expect("an error").to_string()
    };
    let missing = start("[proxy]\norigin_ca = '/nowhere/ca.pem'").await;
    assert!(missing.contains("/nowhere/ca.pem"), "{missing}");
    let key = format!("[proxy]\norigin_ca = {:?}", files.path().join("key.pem"));
    let no_certificate = start(&key).await;
    assert!(no_certificate.contains("key.pem") && !no_certificate.contains("PRIVATE"), "{no_certificate}");
}

/// A site that answers with these bytes, and the requests that it was sent.
async fn answering(bytes: &'static [u8]) -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (send, receive) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut seen = Vec::new();
            let mut buffer = [0; 4_096];
            let is_whole = |seen: &[u8]| {
                let text = String::from_utf8_lossy(seen).to_lowercase();
                text.ends_with("\r\n\r\n") && (!text.contains("chunked\r\n") || text.contains("\r\n0\r\n"))
            };
            while !is_whole(&seen) {
                match stream.read(&mut buffer).await {
                    Ok(count @ 1..) => seen.extend_from_slice(&buffer[..count]),
                    _ => break,
                }
            }
            let _ = send.send(String::from_utf8_lossy(&seen).into_owned());
            let _ = stream.write_all(bytes).await;
        }
    });
    (address, receive)
}

#[tokio::test]
async fn no_protocol_is_changed_to_but_websocket() {
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let (origin, mut seen) = answering(OK).await;
    let proxy = proxy(origin, "").await;
    let ask = async |address, upgrade: &str| {
        let head = format!(
            "GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close, Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\n\
             HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n"
        );
        raw(address, head.as_bytes()).await.status
    };
    for upgrade in ["h2c", "HTTP/2.0", "TLS/1.0", "custom"] {
        assert_eq!(ask(proxy.address, upgrade).await, 200);
        let seen = seen.recv().await.expect("a request").to_ascii_lowercase();
        assert!(!seen.contains("upgrade") && !seen.contains("http2-settings"), "{seen}");
    }
    assert_eq!(ask(proxy.address, "h2c, websocket").await, 200);
    let head = seen.recv().await.expect("a request").to_ascii_lowercase();
    assert!(
        head.contains("upgrade: websocket\r\n") && !head.contains("h2c") && !head.contains("http2-settings"),
        "{head}"
    );
    proxy.stop().await;

    for unasked in [
        &b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"[..],
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n",
    ] {
        let (origin, _) = answering(unasked).await;
        let proxy = super::support::proxy(origin, "").await;
        assert_eq!(ask(proxy.address, "websocket").await, 502, "{}", String::from_utf8_lossy(unasked));
        proxy.stop().await;
    }
    let (origin, _) =
        answering(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n").await;
    let proxy = super::support::proxy(origin, "").await;
    assert_eq!(ask(proxy.address, "h2c").await, 502, "nobody asked for it");
    proxy.stop().await;
}

#[tokio::test]
async fn no_spelling_of_the_verdict_reaches_the_origin_not_even_behind_the_body() {
    let (origin, mut seen) = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let proxy = proxy(origin, "").await;
    let forged = [
        "X-Velvetrope-Verdict",
        "X_Velvetrope_Verdict",
        "x-velvetrope_VERDICT",
        "x.velvetrope.verdict",
        "X_Forwarded_Host",
    ];
    let lines: String = forged.iter().map(|name| format!("{name}: forged\r\n")).collect();
    let named = format!("X-Kept, {}", forged.join(", "));
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nTE: trailers\r\nTrailer: {named}\r\n{lines}\
         Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-Kept: yes\r\n{lines}\r\n"
    );
    assert_eq!(raw(proxy.address, request.as_bytes()).await.status, 200);
    let whole = seen.recv().await.expect("a request").to_lowercase();
    assert!(whole.contains("x-velvetrope-verdict: pass\r\n") && !whole.contains("forged"), "{whole}");
    assert!(whole.ends_with("\r\n0\r\nx-kept: yes\r\n\r\n"), "{whole}");
    proxy.stop().await;
}

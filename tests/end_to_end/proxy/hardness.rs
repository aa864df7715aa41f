//! What must not bring it down.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use velvetrope_serve::proxy::{Config, Limits, PolicySource, Proxy, StartError};

use super::support::*;

/// An address where nobody listens.
async fn nowhere() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("an address")
}

#[tokio::test]
async fn a_dead_origin_is_a_502_and_the_rope_still_holds() {
    let proxy = proxy(nowhere().await, "").await;
    let answer = get(proxy.address, "/", &[]).await;
    assert_eq!((answer.status, answer.header("x-queueit-connector")), (502, Some("proxy")));
    assert_eq!(get(proxy.address, "/shop", &[]).await.status, 302);
    let metrics = get(proxy.admin_address, "/metrics", &[]).await.body;
    assert!(metrics.contains("velvetrope_origin_errors_total{kind=\"connect\"} 1\n"), "{metrics}");
    assert!(metrics.contains("velvetrope_decisions_total{decision=\"queue\"} 1\n"), "{metrics}");
    assert!(metrics.contains("velvetrope_decision_seconds_count 2\n"), "{metrics}");
    proxy.stop().await;
}

#[tokio::test]
async fn a_slow_origin_is_a_504_and_holds_up_nobody_else() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "[proxy]\nresponse_timeout = 3").await;
    let slow: Vec<_> = (0..50).map(|_| tokio::spawn(get_owned(proxy.address, "/slow"))).collect();
    for _ in 0..20 {
        assert_eq!(get(proxy.address, "/shop", &[]).await.status, 302);
        assert_eq!(get(proxy.address, "/fast", &[]).await.status, 200);
    }
    for slow in slow {
        assert_eq!(slow.await.expect("an answer"), 504);
    }
    proxy.stop().await;
}

async fn get_owned(address: SocketAddr, path: &'static str) -> u16 {
    get(address, path, &[]).await.status
}

#[tokio::test]
async fn thousands_of_idle_connections_hold_up_nobody() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "").await;
    let mut idle = Vec::new();
    for index in 0..1_500 {
        let mut stream = in_time("a connection", TcpStream::connect(proxy.address)).await.expect("a connection");
        // Some say nothing, some begin like HTTP/2, some send half a request.
        let beginning: &[u8] = [&b""[..], b"PRI * HT", b"GET / HTTP/1.1\r\nHost:"][index % 3];
        stream.write_all(beginning).await.expect("a reader");
        idle.push(stream);
    }
    assert_eq!(get(proxy.address, "/shop", &[]).await.status, 302);
    assert_eq!(get(proxy.address, "/", &[]).await.status, 200);
    in_time("the end", proxy.stop()).await;
}

#[tokio::test]
async fn who_says_nothing_is_sent_away() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "[proxy]\nidle_timeout = 1").await;
    for beginning in [&b""[..], b"PRI * HT", b"GET / HTTP/1.1\r\nHost: a"] {
        let mut stream = TcpStream::connect(proxy.address).await.expect("a connection");
        stream.write_all(beginning).await.expect("a reader");
        let mut rest = Vec::new();
        // What was not read makes the end a reset.
        let _ = in_time("the end", stream.read_to_end(&mut rest)).await;
    }
    let slow = b"POST /form HTTP/1.1\r\nHost: tickets.example\r\nContent-Length: 10\r\nConnection: close\r\n\r\n12345";
    assert_eq!(raw(proxy.address, slow).await.status, 408);
    proxy.stop().await;
}

#[tokio::test]
async fn every_request_has_a_defined_answer() {
    let origin = Origin::start().await;
    let config = config(PolicySource::Fixed(sources("")), origin.address);
    let limits = Limits { body_bytes: Some(1_000), ..Limits::default() };
    let proxy = Proxy::bind(Config { limits, ..config }).await.expect("a proxy");
    let long = "x".repeat(1 << 20);
    let cookies: String = (0..10_000).map(|index| format!("c{index}=v{index}; ")).collect();
    let few_cookies: String = (0..3_000).map(|index| format!("c{index}=%zz; ")).collect();
    let many = "X-A: 1\r\n".repeat(10_000);
    for (what, request, status) in [
        ("no HTTP", "hello\r\n\r\n".to_owned(), 400),
        ("no host", "GET / HTTP/1.1\r\nConnection: close\r\n\r\n".into(), 400),
        ("two hosts", "GET / HTTP/1.1\r\nConnection: close\r\nHost: a\r\nHost: b\r\n\r\n".into(), 400),
        ("a host that is none", "GET / HTTP/1.1\r\nConnection: close\r\nHost: a/b\r\n\r\n".into(), 400),
        ("user info", "GET / HTTP/1.1\r\nConnection: close\r\nHost: a@b\r\n\r\n".into(), 400),
        ("NUL", "GET / HTTP/1.1\r\nConnection: close\r\nHost: a\r\nX: a\0b\r\n\r\n".into(), 400),
        (
            "two lengths",
            "POST / HTTP/1.1\r\nConnection: close\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"
                .into(),
            400,
        ),
        ("a tunnel", "CONNECT a:1 HTTP/1.1\r\nConnection: close\r\nHost: a:1\r\n\r\n".into(), 400),
        ("an asterisk", "OPTIONS * HTTP/1.1\r\nConnection: close\r\nHost: a\r\n\r\n".into(), 400),
        ("1 MB header", format!("GET / HTTP/1.1\r\nConnection: close\r\nHost: a\r\nX: {long}\r\n\r\n"), 431),
        ("10,000 cookies", format!("GET / HTTP/1.1\r\nConnection: close\r\nHost: a\r\nCookie: {cookies}\r\n\r\n"), 431),
        ("10,000 headers", format!("GET / HTTP/1.1\r\nConnection: close\r\nHost: a\r\n{many}\r\n"), 431),
        (
            "3,000 cookies",
            format!("GET / HTTP/1.1\r\nConnection: close\r\nHost: a\r\nCookie: {few_cookies}\r\n\r\n"),
            200,
        ),
        ("a long body", "POST / HTTP/1.1\r\nConnection: close\r\nHost: a\r\nContent-Length: 1001\r\n\r\n".into(), 413),
        (
            "a long chunked body",
            format!(
                "POST / HTTP/1.1\r\nConnection: close\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n{}\r\n0\r\n\r\n",
                "x".repeat(2_000)
            ),
            413,
        ),
        (
            "bad escapes",
            "GET /shop?queueittoken=%zz&%=%ff HTTP/1.1\r\nConnection: close\r\nHost: a\r\n\r\n".into(),
            302,
        ),
        ("HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\n\r\n".into(), 200),
        ("a whole URL", "GET http://b.example/ HTTP/1.1\r\nConnection: close\r\nHost: a\r\n\r\n".into(), 200),
    ] {
        assert_eq!(raw(proxy.address, request.as_bytes()).await.status, status, "{what}");
    }
    let long_line = raw(proxy.address, format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await;
    assert!(matches!(long_line.status, 414 | 431), "{long_line:?}");
    assert_eq!(get(proxy.address, "/", &[]).await.status, 200, "and it still serves");
    proxy.stop().await;
}

#[tokio::test]
async fn requests_under_way_end_before_the_proxy_does() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "").await;
    let (address, admin) = (proxy.address, proxy.admin_address);
    let mut idle = TcpStream::connect(address).await.expect("a connection");
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(b"GET /stream HTTP/1.1\r\nHost: tickets.example\r\n\r\n").await.expect("a reader");
    let mut told = Vec::new();
    let mut buffer = [0; 4_096];
    while !String::from_utf8_lossy(&told).contains("first") {
        let count = in_time("the first part", stream.read(&mut buffer)).await.expect("the first part");
        told.extend_from_slice(&buffer[..count]);
    }
    let draining = tokio::spawn(proxy.drain());
    assert_eq!(in_time("the end of who idles", idle.read(&mut buffer)).await.unwrap_or(0), 0);
    in_time("the end of taking connections", async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let ready = get(admin, "/readyz", &[]).await;
    assert_eq!((ready.status, ready.body.as_str()), (503, "draining\n"));
    origin.go_on.notify_one();
    in_time("the rest", stream.read_to_end(&mut told)).await.expect("the rest");
    assert!(String::from_utf8_lossy(&told).contains("second"));
    assert!(in_time("the end", draining).await.expect("an end"), "everything came to an end");
}

#[tokio::test]
async fn draining_does_not_take_for_ever() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "[proxy]\ndrain_timeout = 1").await;
    let hanging = tokio::spawn(async move {
        let mut stream = TcpStream::connect(proxy.address).await.expect("a connection");
        stream.write_all(b"GET /slow HTTP/1.1\r\nHost: tickets.example\r\n\r\n").await.expect("a reader");
        let metrics =
            async { while !get(proxy.admin_address, "/metrics", &[]).await.body.contains("decision=\"pass\"} 1\n") {} };
        in_time("the request", metrics).await;
        assert!(!in_time("the end", proxy.drain()).await, "one request did not come to an end");
        stream
    });
    let mut rest = Vec::new();
    let mut stream = hanging.await.expect("an end");
    let _ = in_time("the end", stream.read_to_end(&mut rest)).await;
    assert!(rest.is_empty());
}

#[tokio::test]
async fn it_says_why_it_does_not_start() {
    let start = async |config: Config| Proxy::bind(config).await.err().expect("an error");
    let fixed = || PolicySource::Fixed(sources(""));
    let nowhere = nowhere().await;
    let no_origin = start(Config { origin: None, ..config(fixed(), nowhere) }).await;
    assert!(no_origin.to_string().contains("proxy.origin"), "{no_origin}");
    for bad in ["127.0.0.1:80", "http://a/b", "https://a/?b", "ftp://a", ""] {
        let error = start(Config { origin: Some(bad.into()), ..config(fixed(), nowhere) }).await;
        assert!(matches!(error, StartError::Settings(_)), "{bad}: {error}");
    }
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let listen = taken.local_addr().ok();
    let error = start(Config { listen, ..config(fixed(), nowhere) }).await;
    assert!(error.to_string().contains("cannot listen on 127.0.0.1:"), "{error}");
}

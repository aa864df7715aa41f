//! How requests and answers pass through.

use bytes_of::frames;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

use super::support::*;

#[tokio::test]
async fn answers_pass_unchanged_but_for_what_is_for_one_hop() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "").await;
    let answer = get(proxy.address, "/two-cookies", &[]).await;
    assert_eq!((answer.status, answer.header("location")), (307, Some("http://elsewhere.example/x?y#z")));
    assert_eq!(answer.all("set-cookie"), ["a=1; Path=/", "b=2; Path=/, /x"]);
    assert_eq!((answer.header("x-hop"), answer.header("keep-alive")), (None, None));
    proxy.stop().await;
}

#[tokio::test]
async fn the_origin_learns_who_asked_for_what() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "").await;
    let headers = [
        ("X-Forwarded-For", "6.6.6.6"),
        ("X-Forwarded-Proto", "https"),
        ("Forwarded", "for=6.6.6.6"),
        ("Connection", "x-mine"),
        ("X-Mine", "1"),
        ("TE", "gzip"),
        ("X-Kept", "yes"),
    ];
    let told = get(proxy.address, "/a%2Fb//c?x=%20&y", &headers).await.body;
    assert!(told.starts_with("GET /a%2Fb//c?x=%20&y\n"), "{told}");
    for line in [
        "host: tickets.example",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: http",
        "x-forwarded-host: tickets.example",
        "via: 1.1 velvetrope",
        "x-kept: yes",
    ] {
        assert!(told.lines().any(|told| told == line), "{line} in {told}");
    }
    for name in ["x-mine:", "te:", "forwarded:", "connection:"] {
        assert!(!told.lines().any(|line| line.starts_with(name)), "{name} in {told}");
    }
    proxy.stop().await;

    let behind = proxy_behind_another(&origin).await;
    let headers = [("X-Forwarded-For", "6.6.6.6, 203.0.113.7"), ("X-Forwarded-Proto", "https")];
    let told = get(behind.address, "/", &headers).await.body;
    assert!(told.contains("x-forwarded-for: 6.6.6.6, 203.0.113.7, 127.0.0.1\n"), "{told}");
    assert!(told.contains("x-forwarded-proto: https\n"), "{told}");
    behind.stop().await;
}

async fn proxy_behind_another(origin: &Origin) -> velvetrope_serve::proxy::Running {
    proxy(origin.address, "[proxy]\ntrusted_hops = 1").await
}

#[tokio::test]
async fn answers_stream() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "").await;
    let stream = TcpStream::connect(proxy.address).await.expect("a connection");
    let (mut client, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a connection");
    tokio::spawn(connection);
    let request =
        Request::get("/stream").header("host", "tickets.example").body(Empty::<Bytes>::new()).expect("a request");
    let mut answer = in_time("an answer", client.send_request(request)).await.expect("an answer");
    // The second part is not sent before the first has come through.
    assert_eq!(in_time("the first part", frames(&mut answer, 5)).await, "first");
    origin.go_on.notify_one();
    assert_eq!(in_time("the second part", frames(&mut answer, 6)).await, "second");
    proxy.stop().await;
}

#[tokio::test]
async fn uploads_stream() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "").await;
    let body = vec![7; 20 << 20];
    let answer = send(proxy.address, "PUT", "/upload", &[("Expect", "100-continue")], &body).await;
    // The interim answer comes first.
    let told = if answer.status == 100 { answer.body } else { panic!("{answer:?}") };
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    assert!(told.contains(&format!("body: {} bytes, sum {}", body.len(), sum(&body))), "{told}");
    proxy.stop().await;
}

#[tokio::test]
async fn nobody_smuggles_a_request() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "").await;
    let inner = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let request = format!(
        "POST /one HTTP/1.1\r\nHost: tickets.example\r\nContent-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n{inner}",
        inner.len()
    );
    let told = raw(proxy.address, request.as_bytes()).await.body;
    assert!(told.starts_with("POST /one\n") && !told.contains("content-length: "), "{told}");
    assert!(told.ends_with("body: 0 bytes, sum 0\n"), "{told}");
    let no_chunks = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n";
    assert_eq!(raw(proxy.address, no_chunks.as_bytes()).await.status, 400);
    let head = send(proxy.address, "HEAD", "/echo", &[], b"").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert!(head.header("content-length").is_some_and(|length| length != "0"), "{head:?}");
    proxy.stop().await;
}

#[tokio::test]
async fn http2_comes_in_with_prior_knowledge() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "").await;
    let stream = TcpStream::connect(proxy.address).await.expect("a connection");
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("a connection");
    tokio::spawn(connection);
    let request = Request::get("http://tickets.example/h2?x")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .body(Empty::<Bytes>::new())
        .expect("a request");
    let answer = in_time("an answer", client.send_request(request)).await.expect("an answer");
    let told = answer.into_body().collect().await.expect("a body").to_bytes();
    let told = String::from_utf8_lossy(&told).into_owned();
    assert!(told.starts_with("GET /h2?x\n") && told.contains("host: tickets.example\n"), "{told}");
    assert!(told.contains("cookie: a=1; b=2\n"), "{told}");
    let request = Request::get("http://tickets.example/shop").body(Empty::<Bytes>::new()).expect("a request");
    let answer = in_time("an answer", client.send_request(request)).await.expect("an answer");
    assert_eq!(answer.status(), 302);
    proxy.stop().await;
}

#[tokio::test]
async fn websockets_pass_and_the_rope_holds_for_them_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let echo = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
                while let Some(Ok(message @ Message::Text(_))) = socket.next().await {
                    socket.send(message).await.expect("a listener");
                }
            });
        }
    });
    let proxy = proxy(address, "").await;
    let connect = async |path: &str| {
        let stream = TcpStream::connect(proxy.address).await.expect("a connection");
        tokio_tungstenite::client_async(format!("ws://tickets.example{path}"), stream).await
    };
    let (mut socket, _) = in_time("a handshake", connect("/live")).await.expect("a WebSocket");
    for text in ["one", "two"] {
        socket.send(Message::text(text)).await.expect("a listener");
        let back = in_time("an echo", socket.next()).await.expect("a message").expect("a message");
        assert_eq!(back, Message::text(text));
    }
    assert!(in_time("an answer", connect("/shop/live")).await.is_err(), "a redirect is no WebSocket");
    let metrics = get(proxy.admin_address, "/metrics", &[]).await.body;
    assert!(metrics.contains("velvetrope_tunnels 1\n"), "{metrics}");
    // A tunnel that is open does not keep the proxy from stopping.
    in_time("the end", proxy.stop()).await;
    echo.abort();
}

#[tokio::test]
async fn connections_are_used_again() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "").await;
    let mut stream = TcpStream::connect(proxy.address).await.expect("a connection");
    for round in 0..3 {
        let request = format!("GET /round/{round} HTTP/1.1\r\nHost: tickets.example\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("a reader");
        let mut told = String::new();
        while !told.contains("sum 0\n") {
            let mut buffer = [0; 4_096];
            let count = in_time("an answer", stream.read(&mut buffer)).await.expect("an answer");
            assert!(count > 0, "the connection ended after {told:?}");
            told += &String::from_utf8_lossy(&buffer[..count]);
        }
        assert!(told.contains(&format!("GET /round/{round}\n")), "{told}");
    }
    proxy.stop().await;
}

mod bytes_of {
    use http_body_util::BodyExt;
    use hyper::Response;
    use hyper::body::Incoming;

    /// The next so many bytes of a body, as text.
    pub async fn frames(answer: &mut Response<Incoming>, count: usize) -> String {
        let mut text = String::new();
        while text.len() < count {
            let frame = answer.body_mut().frame().await.expect("more").expect("more");
            text += &String::from_utf8_lossy(frame.data_ref().expect("data"));
        }
        text
    }
}

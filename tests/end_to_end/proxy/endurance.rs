//! Who takes his time, sends too much, or breaks off, costs nobody else anything.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::StreamExt;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use velvetrope::internal::edge::Secrets;
use velvetrope_serve::proxy::{Config, PolicySource, Proxy, SecretSource};

use super::delivery::{PUSH, push_body};
use super::support::*;

/// An origin that does with each connection what it is told to, once the head of a request is there.
struct Odd {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Odd {
    async fn start<F>(answer: impl Fn(String, TcpStream) -> F + Send + Sync + 'static) -> Odd
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let answer = Arc::new(answer);
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let answer = Arc::clone(&answer);
                tokio::spawn(async move {
                    let head = head(&mut stream).await;
                    answer(head, stream).await;
                });
            }
        });
        Odd { address, task }
    }
}

impl Drop for Odd {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The head of a message, byte by byte, so that nothing else is read.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match in_time("a head", stream.read_u8()).await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).expect("text")
}

/// What is counted under this name, with its labels.
async fn counted(admin: SocketAddr, name: &str) -> Option<u64> {
    let metrics = get(admin, "/metrics", &[]).await.body;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(|count| count.parse().expect("a count"))
}

async fn becomes(admin: SocketAddr, name: &str, count: u64) {
    in_time(&format!("{name} {count}"), async {
        while counted(admin, name).await.unwrap_or(0) != count {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// Sends all of it before it reads anything, as many clients do.
async fn stubborn(address: SocketAddr, head: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(head.as_bytes()).await.expect("a reader");
    in_time("the end of an upload", stream.write_all(body)).await.expect("a reader of all of it");
    let mut told = Vec::new();
    in_time("an answer", stream.read_to_end(&mut told)).await.expect("an answer, and no reset");
    String::from_utf8_lossy(&told).into_owned()
}

#[tokio::test]
async fn who_sends_an_upload_to_its_end_still_learns_where_to_go() {
    let early = Odd::start(|_, mut stream| async move {
        let answer = b"HTTP/1.1 303 See Other\r\nLocation: /early\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer).await.expect("a reader");
        // It neither reads the rest nor ends.
        std::future::pending().await
    })
    .await;
    let proxy = proxy(early.address, "").await;
    let body = vec![b'x'; 24 << 20];
    for (path, location) in [("/shop", "http://room.example/"), ("/form", "/early")] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: tickets.example\r\nContent-Length: {}\r\n\r\n", body.len());
        let told = stubborn(proxy.address, &head, &body).await;
        assert!(told.to_ascii_lowercase().contains(&format!("location: {location}")), "{path}: {told}");
    }
    proxy.stop().await;
}

/// Answers once the head is there, and closes with the rest unread, which resets the connection.
async fn hasty(answer: &'static str, body: &'static str) -> Odd {
    Odd::start(move |_, mut stream| async move {
        let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        // Some of the rest has to be there, or nothing is reset.
        in_time("the start of a body", stream.readable()).await.expect("a sender");
        stream.write_all(answer.as_bytes()).await.expect("a reader");
    })
    .await
}

#[tokio::test]
async fn an_answer_that_has_arrived_is_given_whatever_becomes_of_the_upload() {
    let long: &str = Box::leak("the answer\n".repeat(6_000).into_boxed_str());
    for (answer, said) in [
        ("413 Content Too Large", "too much"),
        ("302 Found\r\nLocation: /login\r\nConnection: close", ""),
        ("401 Unauthorized\r\nWWW-Authenticate: Basic", long),
    ] {
        let origin = hasty(answer, said).await;
        let proxy = proxy(origin.address, "").await;
        let status = answer[..3].parse::<u16>().expect("a status");
        let body = vec![b'x'; 4 << 20];
        let head = format!(
            "POST /form HTTP/1.1\r\nHost: tickets.example\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        let asked = (0..40).map(|_| stubborn(proxy.address, &head, &body));
        let mut told = std::collections::BTreeMap::<String, usize>::new();
        for answer in futures_util::future::join_all(asked).await {
            let status = answer.get(9..12).unwrap_or_default();
            let is_whole = answer.ends_with(&format!("\r\n\r\n{said}"));
            *told.entry(format!("{status}, whole: {is_whole}")).or_default() += 1;
        }
        assert_eq!(told, [(format!("{status}, whole: true"), 40)].into(), "{answer}");
        proxy.stop().await;
    }
}

#[tokio::test]
async fn an_http2_connection_that_only_pings_is_told_to_go() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "[proxy]\nidle_timeout = 1").await;
    let connected = || async {
        let stream = TcpStream::connect(proxy.address).await.expect("a connection");
        hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(std::time::Duration::from_millis(100))
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(stream))
            .await
            .expect("a connection")
    };
    let ask =
        |path| Request::get(format!("http://tickets.example{path}")).body(Empty::<Bytes>::new()).expect("a request");

    let (mut busy, connection) = connected().await;
    let connection = tokio::spawn(connection);
    let mut slow = in_time("an answer", busy.send_request(ask("/stream"))).await.expect("an answer");
    let first = in_time("a part", slow.body_mut().frame()).await.expect("a part").expect("no error");
    assert_eq!(first.data_ref().expect("data"), "first");

    let (unused, pings) = connected().await;
    in_time("the end of a connection that never asks", pings).await.expect("a good end");
    drop(unused);
    let (mut asks_once, pings) = connected().await;
    let pings = tokio::spawn(pings);
    let answer = in_time("an answer", asks_once.send_request(ask("/"))).await.expect("an answer");
    answer.into_body().collect().await.expect("a body");
    in_time("the end of a connection that asks no more", pings).await.expect("a task").expect("a good end");

    // By now the other one has been as long, and asked nothing new.
    origin.go_on.notify_one();
    let second = in_time("a part", slow.body_mut().frame()).await.expect("a part").expect("no error");
    assert_eq!(second.data_ref().expect("data"), "second");
    drop((slow, busy));
    in_time("its end", connection).await.expect("a task").expect("a good end");
    proxy.stop().await;
}

#[tokio::test]
async fn who_does_not_read_is_given_up() {
    let gone = Arc::new(Notify::new());
    let told = Arc::clone(&gone);
    let endless = Odd::start(move |_, mut stream| {
        let told = Arc::clone(&told);
        async move {
            let start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x1_0000));
            let mut sent = stream.write_all(start).await;
            while sent.is_ok() {
                sent = stream.write_all(chunk.as_bytes()).await;
            }
            told.notify_one();
        }
    })
    .await;
    let proxy = proxy(endless.address, "[proxy]\nidle_timeout = 1").await;
    let mut silent = TcpStream::connect(proxy.address).await.expect("a connection");
    silent.write_all(b"GET / HTTP/1.1\r\nHost: tickets.example\r\n\r\n").await.expect("a reader");
    in_time("the end of what the origin sends", gone.notified()).await;
    becomes(proxy.admin_address, "velvetrope_connections", 0).await;

    // On HTTP/2 the connection goes on; it is the stream that has a window, and ends.
    let stream = TcpStream::connect(proxy.address).await.expect("a connection");
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("a connection");
    let connection = tokio::spawn(connection);
    let ask = || Request::get("http://tickets.example/").body(Empty::<Bytes>::new()).expect("a request");
    let mut unread = in_time("an answer", client.send_request(ask())).await.expect("an answer");
    in_time("the end of what the origin sends", gone.notified()).await;
    let error = in_time("the end", async {
        loop {
            match unread.body_mut().frame().await {
                Some(Ok(_)) => {}
                end => break end,
            }
        }
    });
    assert!(error.await.is_some_and(|frame| frame.is_err()), "a stream that is given up has no good end");
    let shop = Request::get("http://tickets.example/shop").body(Empty::<Bytes>::new()).expect("a request");
    assert_eq!(in_time("an answer", client.send_request(shop)).await.expect("an answer").status(), 302);
    connection.abort();
    proxy.stop().await;
}

#[tokio::test]
async fn a_tunnel_in_which_nothing_happens_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let silent = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            open.push(tokio_tungstenite::accept_async(stream).await);
        }
    });
    let proxy = proxy(address, "[proxy]\ntunnel_timeout = 1").await;
    let stream = TcpStream::connect(proxy.address).await.expect("a connection");
    let (mut socket, _) = in_time("a handshake", tokio_tungstenite::client_async("ws://tickets.example/", stream))
        .await
        .expect("a WebSocket");
    assert!(in_time("the end", socket.next()).await.is_none_or(|message| message.is_err()));
    becomes(proxy.admin_address, "velvetrope_tunnels", 0).await;
    proxy.stop().await;
    silent.abort();
}

#[tokio::test]
async fn in_a_tunnel_one_side_may_end_before_the_other() {
    let (tell, mut told) = tokio::sync::mpsc::channel(1);
    let hasty = Odd::start(move |_, mut stream| {
        let tell = tell.clone();
        async move {
            let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
            stream.write_all(answer).await.expect("a reader");
            let mut all = vec![0; 5];
            stream.read_exact(&mut all).await.expect("the first word");
            stream.write_all(b"that is all").await.expect("a reader");
            stream.shutdown().await.expect("an end");
            stream.read_to_end(&mut all).await.expect("the rest");
            tell.send(String::from_utf8(all).expect("text")).await.expect("a listener");
        }
    })
    .await;
    let proxy = proxy(hasty.address, "").await;
    let mut stream = TcpStream::connect(proxy.address).await.expect("a connection");
    let ask = b"GET /live HTTP/1.1\r\nHost: tickets.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(ask).await.expect("a reader");
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 101 "));
    stream.write_all(b"first").await.expect("a reader");
    let mut all = String::new();
    in_time("the end of one side", stream.read_to_string(&mut all)).await.expect("text");
    assert_eq!(all, "that is all");
    stream.write_all(b", second").await.expect("a reader");
    stream.shutdown().await.expect("an end");
    assert_eq!(in_time("all", told.recv()).await.as_deref(), Some("first, second"));
    proxy.stop().await;
}

#[tokio::test]
async fn a_beginning_may_come_in_pieces() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "").await;
    let mut stream = TcpStream::connect(proxy.address).await.expect("a connection");
    for byte in b"PUT /p HTTP/1.1\r\nHost: tickets.example\r\nConnection: close\r\n\r\n" {
        stream.write_all(&[*byte]).await.expect("a reader");
        tokio::task::yield_now().await;
    }
    let mut told = String::new();
    in_time("an answer", stream.read_to_string(&mut told)).await.expect("an answer");
    assert!(told.contains("PUT /p\n"), "{told}");

    let mut stream = TcpStream::connect(proxy.address).await.expect("a connection");
    for part in [&b"PRI * HTTP/2.0\r\n\r\nS"[..], b"M\r\n\r\n\0\0\0\x04\0\0\0\0\0"] {
        stream.write_all(part).await.expect("a reader");
        tokio::task::yield_now().await;
    }
    let mut frame = [0; 9];
    in_time("settings", stream.read_exact(&mut frame)).await.expect("settings");
    assert_eq!(frame[3], 4, "the type of a frame of settings");
    proxy.stop().await;
}

#[tokio::test]
async fn bodies_pass_whatever_the_method() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "").await;
    for method in ["GET", "POST", "DELETE"] {
        let request = format!(
            "{method} /form HTTP/1.1\r\nHost: tickets.example\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
             3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        );
        let told = raw(proxy.address, request.as_bytes()).await.body;
        assert!(told.ends_with(&format!("body: 5 bytes, sum {}\n", sum(b"abcde"))), "{told}");
    }
    proxy.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_visitors_body_is_no_failure_of_the_origin() {
    let origin = Origin::start().await;
    // Where a trigger looks at bodies, and where none does.
    for integration in [integration(3), r#"{"Version":3,"Integrations":[]}"#.to_owned()] {
        let mut sources = sources("");
        sources.insert("integration.json".into(), integration.into());
        let proxy = Proxy::bind(config(PolicySource::Fixed(sources), origin.address)).await.expect("a proxy");
        for body in ["zz\r\nabc\r\n", "3\r\nabcdef\r\n0\r\n\r\n", "-1\r\n", "3\r\nabc\r\nffffffffffffffffff\r\n"] {
            let request =
                format!("POST /form HTTP/1.1\r\nHost: tickets.example\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
            assert_eq!(raw(proxy.address, request.as_bytes()).await.status, 400, "{body:?}");
        }
        assert_eq!(counted(proxy.admin_address, "velvetrope_refused_total{kind=\"bad-request\"}").await, Some(4));
        let metrics = get(proxy.admin_address, "/metrics", &[]).await.body;
        assert!(!metrics.contains("velvetrope_origin_errors_total{"), "{metrics}");
        proxy.stop().await;
    }
}

#[tokio::test]
async fn long_heads_and_hints_of_the_origin_pass() {
    let odd = Odd::start(|_, mut stream| async move {
        let hint = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload; as=style\r\nConnection: x-hop\r\n\
                    X-Hop: 1\r\n\r\n";
        stream.write_all(hint.as_bytes()).await.expect("a reader");
        // The rest comes after the hint has arrived, or never.
        let mut go_on = [0; 2];
        stream.read_exact(&mut go_on).await.expect("the body");
        let lines: String = (0..254).map(|index| format!("X-Line-{index}: {index}\r\n")).collect();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{lines}\r\nok");
        stream.write_all(answer.as_bytes()).await.expect("a reader");
    })
    .await;
    let source = r#"{"Version":3,"Integrations":[]}"#;
    let mut sources = sources("");
    sources.insert("integration.json".into(), source.into());
    let proxy = Proxy::bind(config(PolicySource::Fixed(sources), odd.address)).await.expect("a proxy");
    let mut stream = TcpStream::connect(proxy.address).await.expect("a connection");
    let request = "POST / HTTP/1.1\r\nHost: tickets.example\r\nConnection: close\r\nContent-Length: 2\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("a reader");
    let hint = head(&mut stream).await;
    assert_eq!(hint, "HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload; as=style\r\n\r\n");
    stream.write_all(b"go").await.expect("a reader");
    let answer = head(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("x-line-253: 253\r\n"), "{answer}");

    // HTTP/1.0 knows no answers before the answer.
    let old = "POST / HTTP/1.0\r\nHost: tickets.example\r\nContent-Length: 2\r\n\r\ngo";
    assert_eq!(raw(proxy.address, old.as_bytes()).await.status, 200);
    proxy.stop().await;
}

#[tokio::test]
async fn pushes_of_strangers_keep_no_signed_one_out() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "[delivery]\npush = true").await;
    let (most, too_much) = (7 << 20, (8 << 20) + 1);
    for address in [proxy.address, proxy.admin_address] {
        let begin = async |length: usize, sent: usize| {
            let mut stream = TcpStream::connect(address).await.expect("a connection");
            let head = format!("PUT {PUSH} HTTP/1.1\r\nHost: tickets.example\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.expect("a reader");
            // Of who is refused on the way, no more is read.
            _ = stream.write_all(&vec![b'x'; sent]).await;
            stream
        };
        let told = head(&mut begin(too_much, 0).await).await;
        assert!(told.starts_with("HTTP/1.1 413 "), "{told}");
        // Two are held; of all others there is not room enough.
        let mut strangers = Vec::new();
        for _ in 0..6 {
            strangers.push(begin(most + 1, most).await);
        }
        let mut refused = 0;
        for mut stranger in strangers.split_off(2) {
            let told = head(&mut stranger).await;
            assert!(told.starts_with("HTTP/1.1 503 ") && told.contains("retry-after: 5\r\n"), "{told}");
            refused += 1;
        }
        assert_eq!(refused, 4);
        let answer = send(address, "PUT", PUSH, &[], &push_body(&integration(9), SECRET)).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "Success!"));
    }
    proxy.stop().await;

    // Without a secret no signature can be checked, so that nothing is read.
    let source = PolicySource::Fixed(sources("[delivery]\npush = true"));
    let secrets = SecretSource::Given { secrets: Secrets::new("", None), api_key: None };
    let proxy = Proxy::bind(Config { secrets, ..config(source, origin.address) }).await.expect("a proxy");
    for (address, status) in [(proxy.address, 503), (proxy.admin_address, 404)] {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        let request = format!("PUT {PUSH} HTTP/1.1\r\nHost: tickets.example\r\nContent-Length: 100\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("a reader");
        let told = head(&mut stream).await;
        assert!(told.starts_with(&format!("HTTP/1.1 {status} ")), "{told}");
    }
    proxy.stop().await;
}

#[tokio::test]
async fn strangers_who_say_nothing_do_not_keep_the_operator_out() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "").await;
    let mut strangers = Vec::new();
    for _ in 0..400 {
        strangers.push(TcpStream::connect(proxy.admin_address).await.expect("a connection"));
    }
    assert_eq!(get(proxy.admin_address, "/readyz", &[]).await.status, 200);
    // Nobody waited for their time to be over: one of those who were taken at first may still ask.
    let late = &mut strangers[250];
    late.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("a reader");
    assert!(head(late).await.starts_with("HTTP/1.1 200 "));
    let mut rest = Vec::new();
    _ = in_time("the end of who came first", strangers[0].read_to_end(&mut rest)).await;
    assert!(rest.is_empty());
    proxy.stop().await;
}

#[tokio::test]
async fn the_operators_address_is_asked_by_its_own_names() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "[proxy]\nadmin_hosts = ['Rope.internal', 'other.internal:81']").await;
    let asked = async |path: &str, host: &str| {
        let request = format!("GET {path} HTTP/1.1\r\n{host}Connection: close\r\n\r\n");
        raw(proxy.admin_address, request.as_bytes()).await.status
    };
    for (host, status) in [
        ("", 200),
        ("Host: 127.0.0.1:9080\r\n", 200),
        ("Host: [::1]\r\n", 200),
        ("Host: [::1]:9080\r\n", 200),
        ("Host: LOCALHOST:9080\r\n", 200),
        ("Host: rope.internal:1234\r\n", 200),
        ("Host: other.internal:81\r\n", 200),
        ("Host: other.internal\r\n", 421),
        ("Host: evil.example:9080\r\n", 421),
        ("Host: localhost.evil.example\r\n", 421),
        ("Host: 127.0.0.1.evil.example\r\n", 421),
        ("Host: localhost\r\nHost: evil.example\r\n", 421),
        ("Host: \r\n", 421),
    ] {
        assert_eq!(asked("/metrics", host).await, status, "{host}");
    }
    assert_eq!(asked("http://evil.example/metrics", "Host: localhost\r\n").await, 421);
    assert_eq!(asked("/readyz", "Host: evil.example\r\n").await, 200);
    proxy.stop().await;
}

#[tokio::test]
async fn a_policy_is_read_though_its_folder_never_rests() {
    let origin = Origin::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in sources("") {
        std::fs::write(folder.path().join(name), text).expect("a file");
    }
    let proxy =
        Proxy::bind(config(PolicySource::Path(folder.path().to_owned()), origin.address)).await.expect("a proxy");
    // From now on it is known that changes are noticed.
    std::fs::write(folder.path().join("integration.json"), integration(4)).expect("a file");
    super::delivery::becomes(&proxy, "4").await;
    let log = folder.path().join("somebody.log");
    let restless = tokio::spawn(async move {
        for line in 0.. {
            std::fs::write(&log, line.to_string()).expect("a file");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    std::fs::write(folder.path().join("integration.json"), integration(5)).expect("a file");
    super::delivery::becomes(&proxy, "5").await;
    assert!(!restless.is_finished());
    restless.abort();
    proxy.stop().await;
}

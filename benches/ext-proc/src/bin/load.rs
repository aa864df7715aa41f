//! Plays a load balancer: `load ADDRESS queue|session STREAMS AT-ONCE`. Prints streams in a second, and microseconds
//! until a stream is answered (half of them, 99 of 100).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;
use velvetrope_serve::ext_proc::proto::envoy::service::ext_proc::v3::processing_request::Request as Asked;
use velvetrope_serve::ext_proc::proto::envoy::service::ext_proc::v3::processing_response::Response as Told;
use velvetrope_serve::ext_proc::proto::envoy::service::ext_proc::v3::{ProcessingRequest, ProcessingResponse};
use velvetrope::internal::queueit::Secret;
use velvetrope::internal::queueit::token::{TokenFields, sign};
use velvetrope_ext_proc_bench::{SECRET, headers};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, kind, streams, at_once] = &arguments[..] else { return Err("see the top of load.rs".into()) };
    let (streams, at_once): (usize, usize) = (streams.parse()?, at_once.parse()?);
    let channel = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true).connect().await?;
    let cookie = match kind.as_str() {
        "session" => Some(arrive(&channel).await?),
        _ => None,
    };
    let (left, cookie) = (Arc::new(AtomicUsize::new(streams)), Arc::new(cookie));
    let started = Instant::now();
    let workers = (0..at_once).map(|_| {
        let (channel, left, cookie) = (channel.clone(), Arc::clone(&left), Arc::clone(&cookie));
        tokio::spawn(async move {
            let mut took = Vec::new();
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                let started = Instant::now();
                one(&channel, cookie.as_deref()).await?;
                took.push(started.elapsed());
            }
            Ok::<_, Failure>(took)
        })
    });
    let mut took = Vec::new();
    for worker in workers.collect::<Vec<_>>() {
        took.extend(worker.await??);
    }
    let per_second = took.len() as f64 / started.elapsed().as_secs_f64();
    took.sort_unstable();
    let micros = |percent: usize| took.get(took.len() * percent / 100).map_or(0, Duration::as_micros);
    println!("{per_second:.0} {} {}", micros(50), micros(99));
    Ok(())
}

/// One HTTP request: it is answered, or goes on and its response comes by.
async fn one(channel: &Channel, cookie: Option<&str>) -> Result<(), Failure> {
    let mut pairs = REQUEST.to_vec();
    pairs.extend(cookie.map(|cookie| ("cookie", cookie)));
    let (first, answers) = ask(channel, Asked::RequestHeaders(headers(&pairs))).await?;
    let (questions, mut answers) = answers;
    match (first, cookie) {
        (Told::ImmediateResponse(_), None) => return end(questions, answers).await,
        (Told::RequestHeaders(_), Some(_)) => {}
        (other, _) => return Err(format!("not what was expected: {other:?}").into()),
    }
    let response = Asked::ResponseHeaders(headers(&[(":status", "200"), ("content-type", "text/html")]));
    questions.send(message(response)).await?;
    match answers.message().await?.and_then(|answer| answer.response) {
        Some(Told::ResponseHeaders(answer)) if answer.response.is_some() => end(questions, answers).await,
        other => Err(format!("no session was renewed: {other:?}").into()),
    }
}

/// Ends a stream in good order. Envoy resets it, which this client's HTTP/2 would take for an attack after a while.
async fn end(
    questions: mpsc::Sender<ProcessingRequest>,
    mut answers: tonic::Streaming<ProcessingResponse>,
) -> Result<(), Failure> {
    drop(questions);
    match answers.message().await? {
        None => Ok(()),
        Some(more) => Err(format!("one answer too many: {more:?}").into()),
    }
}

/// What a browser sends, the visitor's cookie apart.
const REQUEST: &[(&str, &str)] = &[
    (":authority", "tickets.example"),
    (":path", "/shop10?a=1"),
    (":method", "GET"),
    (":scheme", "https"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-language", "en-GB,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("x-forwarded-proto", "https"),
    ("x-request-id", "2f8a3c5e-6c1b-4d8e-9f59-4f0a4b1c6d7e"),
];

type Talk = (mpsc::Sender<ProcessingRequest>, tonic::Streaming<ProcessingResponse>);

async fn ask(channel: &Channel, first: Asked) -> Result<(Told, Talk), Failure> {
    let (questions, receive) = mpsc::channel(2);
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await?;
    questions.send(message(first)).await?;
    let path = PathAndQuery::from_static("/envoy.service.ext_proc.v3.ExternalProcessor/Process");
    let codec = ProstCodec::<ProcessingRequest, ProcessingResponse>::default();
    let mut answers = client.streaming(Request::new(ReceiverStream::new(receive)), path, codec).await?.into_inner();
    let answer = answers.message().await?.and_then(|answer| answer.response).ok_or("no answer")?;
    Ok((answer, (questions, answers)))
}

fn message(request: Asked) -> ProcessingRequest {
    ProcessingRequest { request: Some(request), ..ProcessingRequest::default() }
}

/// Comes back from the room, for a session's cookie.
async fn arrive(channel: &Channel) -> Result<String, Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let fields = TokenFields {
        event_id: "shop10".into(),
        queue_id: "7f3e1a3c-queue-id".into(),
        expires: i64::try_from(now)? + 3_600,
        redirect_type: "queue".into(),
        ..TokenFields::default()
    };
    let path = format!("/shop10?queueittoken={}", sign(&fields, &Secret::new(SECRET)));
    let mut pairs = REQUEST.to_vec();
    pairs[1] = (":path", &path);
    let (answer, _) = ask(channel, Asked::RequestHeaders(headers(&pairs))).await?;
    let Told::ImmediateResponse(answer) = answer else { return Err("no redirect with a session".into()) };
    let set = answer.headers.map(|mutation| mutation.set_headers).unwrap_or_default();
    let cookie = set.into_iter().filter_map(|option| option.header).find(|header| header.key == "set-cookie");
    let cookie = String::from_utf8(cookie.ok_or("no session")?.raw_value)?;
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}

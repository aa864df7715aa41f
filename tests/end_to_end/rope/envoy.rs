//! The callout as Envoy asks it, and what Envoy makes of the answer.

#![allow(dead_code, reason = "each user needs a part of it")]

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;
use velvetrope_serve::ext_proc::Running;
use velvetrope_serve::ext_proc::proto::envoy::config::core::v3::{HeaderMap, HeaderValue, HeaderValueOption};
use velvetrope_serve::ext_proc::proto::envoy::service::ext_proc::v3::processing_request::Request as Asked;
use velvetrope_serve::ext_proc::proto::envoy::service::ext_proc::v3::processing_response::Response as Told;
use velvetrope_serve::ext_proc::proto::envoy::service::ext_proc::v3::{
    HeaderMutation, HttpHeaders, ProcessingRequest, ProcessingResponse,
};

use super::line::latin1;
use super::request::{Request, Version, bytes};

/// Headers, the ones with a colon first, as Envoy keeps them.
pub type Headers = Vec<(String, Vec<u8>)>;

/// What the callout wants done.
pub enum Answer {
    /// The request goes on, changed.
    GoesOn(HeaderMutation),
    /// The visitor gets this.
    Answered { status: u16, headers: Vec<(String, String)>, body: String },
}

pub async fn channel(running: &Running) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", running.address)).expect("an endpoint");
    endpoint.connect().await.expect("a connection")
}

/// The headers as Envoy has them after reading a request, or nothing where it refuses.
pub fn as_read(request: &Request) -> Option<Headers> {
    let mut authority = request.authority.clone()?;
    let mut path = request.target.clone();
    if request.version != Version::Http2 {
        let absolute =
            path.split_once("://").filter(|(scheme, _)| scheme.chars().all(|char| char.is_ascii_alphabetic()));
        if let Some((_, rest)) = absolute {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            authority = rest[..end].to_owned();
            path = if rest[end..].starts_with('/') { rest[end..].to_owned() } else { format!("/{}", &rest[end..]) };
        }
    }
    if path.chars().any(|char| char <= ' ' || char == '\u{7f}') {
        return None;
    }
    let pseudo =
        [(":authority", authority.trim()), (":path", &path), (":method", &request.method), (":scheme", "http")];
    // It speaks of connections, and of other protocols on them, itself.
    let kept = |name: &str| !["host", "connection", "upgrade", "http2-settings"].contains(&&*name.to_ascii_lowercase());
    let own =
        request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).filter(|(name, _)| kept(name));
    Some(pseudo.into_iter().chain(own).map(|(name, value)| (name.to_ascii_lowercase(), bytes(value))).collect())
}

pub async fn ask(channel: &Channel, headers: &Headers) -> Answer {
    let header = |(key, value): &(String, Vec<u8>)| HeaderValue {
        key: key.clone(),
        raw_value: value.clone(),
        ..HeaderValue::default()
    };
    let headers = HeaderMap { headers: headers.iter().map(header).collect() };
    let headers = HttpHeaders { headers: Some(headers), end_of_stream: true };
    let question = ProcessingRequest { request: Some(Asked::RequestHeaders(headers)), ..ProcessingRequest::default() };
    let (questions, receive) = mpsc::channel(1);
    questions.send(question).await.expect("a stream");
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.expect("a connection");
    let path = PathAndQuery::from_static("/envoy.service.ext_proc.v3.ExternalProcessor/Process");
    let codec = ProstCodec::<ProcessingRequest, ProcessingResponse>::default();
    let stream = client.streaming(tonic::Request::new(ReceiverStream::new(receive)), path, codec);
    let mut answers = stream.await.expect("a stream").into_inner();
    let answer = answers.message().await.expect("an answer").and_then(|answer| answer.response);
    // A stream that ends in order leaves nothing for the connection to count.
    drop(questions);
    assert!(answers.message().await.expect("an end").is_none(), "one answer to one question");
    match answer {
        Some(Told::RequestHeaders(answer)) => {
            Answer::GoesOn(answer.response.and_then(|response| response.header_mutation).unwrap_or_default())
        }
        Some(Told::ImmediateResponse(answer)) => Answer::Answered {
            status: answer.status.map_or(200, |status| u16::try_from(status.code).expect("a status")),
            headers: answer.headers.map(|headers| pairs(headers.set_headers)).unwrap_or_default(),
            body: String::from_utf8_lossy(&answer.body).into_owned(),
        },
        other => panic!("an answer of another kind: {other:?}"),
    }
}

fn pairs(headers: Vec<HeaderValueOption>) -> Vec<(String, String)> {
    let headers = headers.into_iter().filter_map(|option| option.header);
    headers.map(|header| (header.key, String::from_utf8_lossy(&header.raw_value).into_owned())).collect()
}

/// What is written to an origin in HTTP/1.1, with the changes that Envoy makes where nobody has allowed it more.
pub fn as_written(mut headers: Headers, mutation: HeaderMutation, more: (&str, &str)) -> Vec<u8> {
    headers.retain(|(name, _)| !mutation.remove_headers.iter().any(|removed| removed.eq_ignore_ascii_case(name)));
    for header in mutation.set_headers.into_iter().filter_map(|option| option.header) {
        if ![":authority", ":method", ":scheme", "host"].contains(&header.key.as_str()) {
            headers.retain(|(name, _)| *name != header.key);
            headers.push((header.key, header.raw_value));
        }
    }
    let one = |wanted: &str| {
        let found = headers.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| latin1(value)).unwrap_or_default()
    };
    let mut text = format!("{} {} HTTP/1.1\r\nhost: {}\r\n", one(":method"), one(":path"), one(":authority"));
    let own = headers.iter().filter(|(name, _)| !name.starts_with(':'));
    for (name, value) in own.map(|(name, value)| (name.as_str(), latin1(value))).chain([(more.0, more.1.to_owned())]) {
        text += &format!("{name}: {value}\r\n");
    }
    bytes(&(text + "\r\n"))
}

//! What stands before the origins: the proxy, the callout as Envoy asks it, and the callout behind Envoy itself.

use std::io::Result;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic_prost::ProstCodec;
use velvetrope::host::ext_proc::proto::envoy::config::core::v3::{HeaderMap, HeaderValue};
use velvetrope::host::ext_proc::proto::envoy::service::ext_proc::v3::processing_request::Request as Asked;
use velvetrope::host::ext_proc::proto::envoy::service::ext_proc::v3::processing_response::Response as Told;
use velvetrope::host::ext_proc::proto::envoy::service::ext_proc::v3::{
    HeaderMutation, HttpHeaders, ProcessingRequest, ProcessingResponse,
};

use crate::fan::{CASE, Fan, Origins, Passed};
use crate::generate::{Request, Version, bytes};
use crate::http2::Http2;
use crate::line::{Head, Line, latin1};
use crate::wire::in_time;

/// Where visitors ask.
pub enum Front {
    /// Over HTTP, and it forwards by itself.
    Http { address: SocketAddr, fan: Fan },
    /// By gRPC, and what it lets pass is written to the origins as Envoy writes it.
    Callout { channel: Channel, origins: Arc<Vec<(String, SocketAddr)>> },
}

/// A visitor, with connections that stay open.
pub struct Visitor<'f> {
    front: &'f Front,
    line: Option<Line>,
    http2: Option<Http2>,
    origins: Option<Origins>,
}

impl Visitor<'_> {
    pub fn at(front: &Front) -> Visitor<'_> {
        let origins = match front {
            Front::Http { .. } => None,
            Front::Callout { origins, .. } => Some(Origins::new(origins)),
        };
        Visitor { front, line: None, http2: None, origins }
    }

    /// Asks, under a name that no other request has. `None` where no origin got it.
    pub async fn ask(&mut self, request: &Request, case: &str) -> Option<Passed> {
        match self.front {
            Front::Http { address, fan } => {
                let asked = async {
                    match request.version {
                        Version::Http2 => self.ask_http2(*address, request, case).await,
                        _ => self.ask_http1(*address, request, case).await,
                    }
                };
                in_time(&format!("an answer to {request}"), asked).await;
                fan.passed(case)
            }
            Front::Callout { channel, .. } => {
                let headers = as_envoy_reads(request)?;
                let asked = ask_callout(channel, &headers);
                let mutation = in_time(&format!("an answer to {request}"), asked).await?;
                let forwarded = as_envoy_writes(headers, mutation, case);
                Some(self.origins.as_mut()?.ask(&Head(forwarded), b"").await)
            }
        }
    }

    async fn ask_http1(&mut self, address: SocketAddr, request: &Request, case: &str) {
        let bytes = request.bytes((CASE, case));
        let to_head = request.method == "HEAD";
        // A connection that was kept may have been ended meanwhile, a new one ends only as an answer.
        for kept in [true, false] {
            let line = self.line.take();
            let asked = async {
                let mut line = match line.filter(|_| kept) {
                    Some(line) => line,
                    None => Line::to(address).await?,
                };
                line.write(&bytes).await?;
                let answer = line.answer(to_head).await?;
                Result::Ok((!answer.is_last()).then_some(line))
            };
            if let Ok(line) = asked.await {
                self.line = line;
                return;
            }
        }
    }

    async fn ask_http2(&mut self, address: SocketAddr, request: &Request, case: &str) {
        for kept in [true, false] {
            let http2 = self.http2.take();
            let asked = async {
                let mut http2 = match http2.filter(|_| kept) {
                    Some(http2) => http2,
                    None => Http2::to(address).await?,
                };
                http2.ask(request, (CASE, case)).await?;
                Result::Ok(http2)
            };
            if let Ok(http2) = asked.await {
                self.http2 = Some(http2);
                return;
            }
        }
    }
}

/// The headers as Envoy has them after reading a request, or nothing where it refuses.
fn as_envoy_reads(request: &Request) -> Option<Vec<(String, Vec<u8>)>> {
    let mut authority = request.authority.clone()?;
    let mut path = request.target.clone();
    if request.version != Version::Http2 {
        let absolute = path.split_once("://").filter(|(scheme, _)| scheme.chars().all(|char| char.is_ascii_alphabetic()));
        if let Some((_, rest)) = absolute {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            authority = rest[..end].to_owned();
            path = if rest[end..].starts_with('/') { rest[end..].to_owned() } else { format!("/{}", &rest[end..]) };
        }
    }
    if path.chars().any(|char| char <= ' ' || char == '\u{7f}') {
        return None;
    }
    let pseudo = [(":authority", authority.trim()), (":path", &path), (":method", &request.method), (":scheme", "http")];
    let headers = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let own = headers.filter(|(name, _)| !name.eq_ignore_ascii_case("host") && !name.eq_ignore_ascii_case("connection"));
    Some(pseudo.into_iter().chain(own).map(|(name, value)| (name.to_ascii_lowercase(), bytes(value))).collect())
}

/// What shall be changed in a request that goes on, or nothing where it does not.
async fn ask_callout(channel: &Channel, headers: &[(String, Vec<u8>)]) -> Option<HeaderMutation> {
    let header = |(key, value): &(String, Vec<u8>)| HeaderValue {
        key: key.clone(),
        raw_value: value.clone(),
        ..HeaderValue::default()
    };
    let headers = HeaderMap { headers: headers.iter().map(header).collect() };
    let headers = HttpHeaders { headers: Some(headers), ..HttpHeaders::default() };
    let question = ProcessingRequest { request: Some(Asked::RequestHeaders(headers)), ..ProcessingRequest::default() };
    let (questions, receive) = mpsc::channel(1);
    questions.send(question).await.expect("a stream");
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.expect("a connection");
    let path = PathAndQuery::from_static("/envoy.service.ext_proc.v3.ExternalProcessor/Process");
    let codec = ProstCodec::<ProcessingRequest, ProcessingResponse>::default();
    let stream = client.streaming(tonic::Request::new(ReceiverStream::new(receive)), path, codec);
    let mut answers = stream.await.expect("a stream").into_inner();
    match answers.message().await.expect("an answer").and_then(|answer| answer.response) {
        Some(Told::RequestHeaders(answer)) => Some(answer.response?.header_mutation.unwrap_or_default()),
        _ => None,
    }
}

/// What is written to an origin, with the changes that Envoy makes where nobody has allowed it more.
fn as_envoy_writes(mut headers: Vec<(String, Vec<u8>)>, mutation: HeaderMutation, case: &str) -> Vec<u8> {
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
    let mut text = format!("{} {} HTTP/1.1\r\nhost: {}\r\n{CASE}: {case}\r\n", one(":method"), one(":path"), one(":authority"));
    for (name, value) in headers.iter().filter(|(name, _)| !name.starts_with(':')) {
        text += &format!("{name}: {}\r\n", latin1(value));
    }
    bytes(&(text + "\r\n"))
}

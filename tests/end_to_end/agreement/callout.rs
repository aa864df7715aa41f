//! The callout, and a proxy in front that asks it.

use std::collections::BTreeMap;

use prost_types::value::Kind;
use prost_types::{Struct, Value};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;
use velvetrope::internal::edge::Secrets;
use velvetrope::internal::policy::Sources;
use velvetrope_serve::ext_proc::proto::envoy::config::core::v3::{HeaderMap, HeaderValue};
use velvetrope_serve::ext_proc::proto::envoy::service::ext_proc::v3::processing_request::Request as Asked;
use velvetrope_serve::ext_proc::proto::envoy::service::ext_proc::v3::processing_response::Response as Told;
use velvetrope_serve::ext_proc::proto::envoy::service::ext_proc::v3::{
    HttpHeaders, ProcessingRequest, ProcessingResponse,
};
use velvetrope_serve::ext_proc::{Config, ExtProc, PolicySource, Running, SecretSource};

use super::SECRET;
use super::pairs::{HOST, Visit};
use crate::wire::in_time;

pub struct Callout {
    running: Running,
    channel: Channel,
}

impl Callout {
    pub async fn start(policy: Sources) -> Callout {
        let config = Config {
            secrets: SecretSource::Given { secrets: Secrets::new(SECRET, None), api_key: None },
            listen: Some(([127, 0, 0, 1], 0).into()),
            admin: Some(([127, 0, 0, 1], 0).into()),
            ..Config::new(PolicySource::Fixed(policy))
        };
        let running = ExtProc::bind(config).await.expect("a callout");
        let endpoint = Endpoint::from_shared(format!("http://{}", running.address)).expect("an endpoint");
        Callout { channel: endpoint.connect().await.expect("a connection"), running }
    }

    /// Whether the proxy in front may go on with such a request.
    pub async fn passes(&self, visit: &Visit, headers: &[(String, String)]) -> bool {
        let (questions, receive) = mpsc::channel(1);
        questions.send(message(visit, headers)).await.expect("an open stream");
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await.expect("a connection");
        let path = PathAndQuery::from_static("/envoy.service.ext_proc.v3.ExternalProcessor/Process");
        let codec = ProstCodec::<ProcessingRequest, ProcessingResponse>::default();
        let opened = client.streaming(Request::new(ReceiverStream::new(receive)), path, codec);
        let mut answers = in_time("a stream", opened).await.expect("a stream").into_inner();
        let answer = in_time("an answer", answers.message()).await.expect("no error").expect("an answer");
        match answer.response.expect("an answer of some kind") {
            Told::RequestHeaders(_) => true,
            Told::ImmediateResponse(answer) => {
                let status = answer.status.expect("a status").code;
                assert!(matches!(status, 302 | 303), "{status}");
                false
            }
            other => panic!("{other:?}"),
        }
    }

    pub async fn stop(self) {
        drop(self.channel);
        self.running.stop().await;
    }
}

/// As Envoy tells of a request: names in lower case, the host and the version by other means.
fn message(visit: &Visit, headers: &[(String, String)]) -> ProcessingRequest {
    let pseudo = [(":authority", HOST), (":path", visit.path), (":method", visit.method), (":scheme", "https")];
    let pseudo = pseudo.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let sent = headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    let value =
        |(key, value): (String, String)| HeaderValue { key, raw_value: value.into_bytes(), ..HeaderValue::default() };
    let map = HeaderMap { headers: pseudo.chain(sent).map(value).collect() };
    let text = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
    let fields = BTreeMap::from([
        ("request.protocol".to_owned(), text(visit.version)),
        ("source.address".to_owned(), text("[::ffff:10.0.0.9]:4711")),
    ]);
    ProcessingRequest {
        request: Some(Asked::RequestHeaders(HttpHeaders { headers: Some(map), end_of_stream: true })),
        attributes: [("envoy.filters.http.ext_proc".to_owned(), Struct { fields })].into(),
        ..ProcessingRequest::default()
    }
}

//! A callout of velvetrope's shape that decides nothing: it knows its answers beforehand. `noop ADDRESS [one]` serves in
//! as many threads as there are processors, or in one.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use tokio::runtime::Builder;
use tonic::{Request, Response, Status, Streaming};
use velvetrope_serve::ext_proc::proto::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use velvetrope_serve::ext_proc::proto::envoy::service::ext_proc::v3::external_processor_server::{
    ExternalProcessor, ExternalProcessorServer,
};
use velvetrope_serve::ext_proc::proto::envoy::service::ext_proc::v3::processing_request::Request as Asked;
use velvetrope_serve::ext_proc::proto::envoy::service::ext_proc::v3::processing_response::Response as Told;
use velvetrope_serve::ext_proc::proto::envoy::service::ext_proc::v3::{
    CommonResponse, HeaderMutation, HeadersResponse, HttpHeaders, ImmediateResponse, ProcessingRequest,
    ProcessingResponse,
};
use velvetrope_serve::ext_proc::proto::envoy::r#type::v3::HttpStatus;

/// As long as velvetrope's in this bench.
const LOCATION: &str = "https://q.example/?c=bench&e=shop&ver=velvetrope-0.1.0&cver=1&man=Shop%2010&\
    t=https%3A%2F%2Ftickets.example%2Fshop10%3Fa%3D1&kupver=google-cloud-0.1.0";
const SESSION: &str = "QueueITAccepted-SDFrts345E-V3_shop=EventId%3Dshop%26QueueId%3D7f3e1a3c-queue-id%26\
    RedirectType%3Dqueue%26IssueTime%3D1790000000%26Hash%3D\
    0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef; \
    expires=Tue, 24 Nov 2026 06:00:00 GMT; path=/";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [address] => Builder::new_multi_thread().enable_all().build()?.block_on(serve(address.parse()?)),
        [address, one] if one == "one" => {
            Builder::new_current_thread().enable_all().build()?.block_on(serve(address.parse()?))
        }
        _ => Err("noop ADDRESS [one]".into()),
    }
}

async fn serve(address: SocketAddr) -> Result<(), Box<dyn std::error::Error>> {
    let service = ExternalProcessorServer::new(Noop);
    let server = tonic::transport::Server::builder()
        .tcp_nodelay(true)
        .max_concurrent_streams(1_024)
        .http2_max_pending_accept_reset_streams(Some(1 << 20))
        .http2_max_local_error_reset_streams(Some(1 << 20));
    Ok({ server }.add_service(service).serve(address).await?)
}

struct Noop;

#[tonic::async_trait]
impl ExternalProcessor for Noop {
    type ProcessStream = Answers;

    async fn process(&self, request: Request<Streaming<ProcessingRequest>>) -> Result<Response<Answers>, Status> {
        Ok(Response::new(Answers { questions: request.into_inner(), is_over: false }))
    }
}

struct Answers {
    questions: Streaming<ProcessingRequest>,
    is_over: bool,
}

impl Stream for Answers {
    type Item = Result<ProcessingResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let Some(Ok(message)) = ready!(Pin::new(&mut self.questions).poll_next(task)) else { return Poll::Ready(None) };
        let response = match message.request {
            Some(Asked::RequestHeaders(headers)) if has_cookie(&headers) => {
                Told::RequestHeaders(changed(&[("x-velvetrope-verdict", "session;room=shop")]))
            }
            Some(Asked::RequestHeaders(_)) => {
                self.is_over = true;
                let set = [("location", LOCATION), ("set-cookie", SESSION), ("cache-control", "no-cache, no-store")];
                Told::ImmediateResponse(ImmediateResponse {
                    status: Some(HttpStatus { code: 302 }),
                    headers: changed(&set).response.and_then(|response| response.header_mutation),
                    ..ImmediateResponse::default()
                })
            }
            _ => Told::ResponseHeaders(changed(&[("set-cookie", SESSION), ("x-queueit-connector", "google-cloud")])),
        };
        Poll::Ready(Some(Ok(ProcessingResponse { response: Some(response), mode_override: None })))
    }
}

fn has_cookie(headers: &HttpHeaders) -> bool {
    headers.headers.iter().flat_map(|map| &map.headers).any(|header| header.key == "cookie")
}

fn changed(set: &[(&str, &str)]) -> HeadersResponse {
    let option = |(key, value): &(&str, &str)| HeaderValueOption {
        header: Some(HeaderValue {
            key: (*key).to_owned(),
            raw_value: value.as_bytes().to_vec(),
            ..HeaderValue::default()
        }),
        ..HeaderValueOption::default()
    };
    let mutation = HeaderMutation { set_headers: set.iter().map(option).collect(), remove_headers: Vec::new() };
    HeadersResponse { response: Some(CommonResponse { header_mutation: Some(mutation), ..CommonResponse::default() }) }
}

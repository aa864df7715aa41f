//! Callouts that do not answer.

use std::convert::Infallible;
use std::net::SocketAddr;

use http_body_util::{Empty, StreamBody};
use hyper::body::{Body, Bytes, Frame};
use hyper::http::response::Builder;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Response, http};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::{StreamExt, once, pending};
use velvetrope_serve::ext_proc::{Config, ExtProc};

use super::support::*;

/// What Envoy makes of callouts at these addresses, when told to keep everybody out and when told to let everybody in.
async fn closed_and_open(callouts: [SocketAddr; 2]) -> [u16; 2] {
    let origin = Origin::start().await;
    let closed = Envoy::start(&origin, callouts, &[]).await;
    let open = Envoy::start(&origin, callouts, &[FAIL_OPEN]).await;
    [get(closed.address, "/shop", &[]).await.status, get(open.address, "/shop", &[]).await.status]
}

#[tokio::test]
async fn nobody_listens() {
    let nobody = crate::ports::free();
    assert_eq!(closed_and_open([nobody; 2]).await, [500, 200]);
}

#[tokio::test]
async fn nobody_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    assert_eq!(closed_and_open([address; 2]).await, [504, 200]);
}

#[tokio::test]
async fn streams_end_without_an_answer() {
    for (grpc_status, statuses) in [("14", [500, 200]), ("0", [200, 200])] {
        let end = move || grpc_response().header("grpc-status", grpc_status).body(Empty::new());
        let (address, server) = answers(end).await;
        assert_eq!(closed_and_open([address; 2]).await, statuses, "{grpc_status}");
        server.abort();
    }
}

#[tokio::test]
async fn one_answer_comes_and_no_other() {
    let answer = || {
        // What lets a request go on as it is, `ProcessingResponse { request_headers: {} }`, in the frame of gRPC.
        let go_on = Frame::data(Bytes::from_static(&[0, 0, 0, 0, 2, 0x0a, 0]));
        grpc_response().body(StreamBody::new(once(Ok::<_, Infallible>(go_on)).chain(pending())))
    };
    let (address, server) = answers(answer).await;
    let origin = Origin::start().await;
    // Long enough for the answer that comes.
    let patience = ("message_timeout: 0.5s", "message_timeout: 5s");
    for (changes, status) in [(&[patience][..], 504), (&[patience, FAIL_OPEN], 200)] {
        let envoy = Envoy::start(&origin, [address; 2], changes).await;
        assert_eq!(get(envoy.address, "/shop", &[]).await.status, status);
        let counters = ["ext_proc.stream_msgs_received", "ext_proc.message_timeouts"];
        for counter in counters {
            assert_eq!(envoy.counter(counter).await, 1, "{counter}");
        }
    }
    server.abort();
}

/// Answers each call at once with this and nothing else.
async fn answers<B>(
    answer: impl Fn() -> http::Result<Response<B>> + Clone + Send + 'static,
) -> (SocketAddr, JoinHandle<()>)
where
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            let service = service_fn(move |_| std::future::ready(answer()));
            tokio::spawn(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service));
        }
    });
    (address, server)
}

fn grpc_response() -> Builder {
    Response::builder().header("content-type", "application/grpc")
}

#[tokio::test]
async fn a_callout_that_comes_late_is_found() {
    let (origin, folder) = (Origin::start().await, policy("/shop", ""));
    let address = crate::ports::free();
    let envoy = Envoy::start(&origin, [address; 2], &[PATIENT]).await;
    assert_eq!(get(envoy.address, "/shop", &[]).await.status, 500);
    let config = Config { listen: Some(address), ..config(folder.path()) };
    let callout = ExtProc::bind(config).await.expect("a callout");
    envoy.finds(address, true).await;
    assert_eq!(get(envoy.address, "/shop", &[]).await.status, 302);
    drop(envoy);
    callout.stop().await;
}

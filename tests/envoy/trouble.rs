//! Callouts that do not answer.

use std::convert::Infallible;
use std::net::SocketAddr;

use http_body_util::Empty;
use hyper::Response;
use hyper::body::Bytes;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use velvetrope::host::ext_proc::{Config, ExtProc};

use crate::support::*;

/// What Envoy makes of callouts at these addresses, when told to keep everybody out and when told to let everybody in.
async fn closed_and_open(callouts: [SocketAddr; 2]) -> [u16; 2] {
    let origin = Origin::start().await;
    let closed = Envoy::start(&origin, callouts, &[]).await;
    let open = Envoy::start(&origin, callouts, &[FAIL_OPEN]).await;
    [get(closed.address, "/shop", &[]).await.status, get(open.address, "/shop", &[]).await.status]
}

#[tokio::test]
async fn nobody_listens() {
    let nobody = nobody().await;
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
        let (address, server) = ends_streams(grpc_status).await;
        assert_eq!(closed_and_open([address; 2]).await, statuses, "{grpc_status}");
        server.abort();
    }
}

/// Answers each call at once with a status and nothing else.
async fn ends_streams(grpc_status: &'static str) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let service = service_fn(move |_| async move {
        let response = Response::builder().header("content-type", "application/grpc");
        let response = response.header("grpc-status", grpc_status).body(Empty::<Bytes>::new());
        Ok::<_, Infallible>(response.expect("a response"))
    });
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let server = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
        }
    });
    (address, server)
}

#[tokio::test]
async fn a_callout_that_comes_late_is_found() {
    let (origin, folder) = (Origin::start().await, policy("/shop", ""));
    let address = nobody().await;
    let envoy = Envoy::start(&origin, [address; 2], &[PATIENT]).await;
    assert_eq!(get(envoy.address, "/shop", &[]).await.status, 500);
    let config = Config { listen: Some(address), ..config(folder.path()) };
    let callout = ExtProc::bind(config).await.expect("a callout");
    envoy.finds(address, true).await;
    assert_eq!(get(envoy.address, "/shop", &[]).await.status, 302);
    drop(envoy);
    callout.stop().await;
}

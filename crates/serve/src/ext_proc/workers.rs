//! Threads that serve connections, each connection in one of them.
//!
//! A stream is short and decided about at once. Handing it to another thread, as a runtime of several threads does that
//! has one to spare, costs more than the decision (`benches/ext-proc`).

use std::io;
use std::num::NonZero;
use std::thread;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(super) struct Workers(Vec<Handle>);

impl Workers {
    /// As many as that, until `end`.
    pub(super) fn start(count: usize, end: &CancellationToken) -> io::Result<Workers> {
        (0..count).map(|_| worker(end.clone())).collect::<io::Result<_>>().map(Workers)
    }

    /// Serves a connection in the thread that has least to do.
    pub(super) fn serve<C: Future<Output = ()> + Send>(
        &self,
        stream: TcpStream,
        serve: impl FnOnce(TcpStream) -> C + Send + 'static,
    ) -> JoinHandle<()> {
        let idlest = self.0.iter().min_by_key(|worker| worker.metrics().num_alive_tasks());
        // It changes runtimes.
        let stream = stream.into_std();
        idlest.cloned().unwrap_or_else(Handle::current).spawn(async move {
            match stream.and_then(TcpStream::from_std) {
                Ok(stream) => serve(stream).await,
                Err(error) => tracing::warn!(%error, "a connection could not be served"),
            }
        })
    }
}

/// How many there are that this process may use.
pub(super) fn processors() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

fn worker(end: CancellationToken) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new().name("callout".to_owned()).spawn(move || runtime.block_on(end.cancelled()))?;
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn connections_at_the_same_time_have_threads_of_their_own() {
        let end = CancellationToken::new();
        let workers = Workers::start(3, &end).expect("threads");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (mut threads, mut served) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let (_client, connection) = (TcpStream::connect(address).await, listener.accept().await);
            let (tell, told) = oneshot::channel();
            served.push(workers.serve(connection.expect("a connection").0, async move |_| {
                tell.send(thread::current().id()).expect("a listener");
                std::future::pending().await
            }));
            threads.push(told.await.expect("a thread"));
        }
        threads.push(thread::current().id());
        for (index, thread) in threads.iter().enumerate() {
            assert!(!threads[..index].contains(thread), "{threads:?}");
        }
        end.cancel();
        for served in served {
            assert!(served.await.is_err_and(|ended| ended.is_cancelled()), "they end with their threads");
        }
    }
}

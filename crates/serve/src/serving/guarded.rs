//! What a connection needs beyond carrying bytes: an end to waiting for who does not read, a close that loses no answer,
//! and answers before the answer.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::rt::Executor;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How long a connection that ends listens to who is still sending, in all, and while nothing comes; and to how many
/// bytes. Who sends an upload and is answered before its end would otherwise meet a reset in place of the answer
/// (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(30);
const LINGER_QUIET: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 256 << 20;

/// How many bytes of answers before the answer may wait to be sent; more are left out.
const MAX_INTERIM: usize = 64 << 10;

/// A connection to somebody who may be slow, or mean harm.
pub(crate) struct Guarded<S> {
    stream: S,
    /// What was read of it before.
    start: Bytes,
    /// How long it may take until some of what is written can be sent.
    patience: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    closing: Option<Closing>,
    talk: Arc<Talk>,
    /// What is left of an answer before the answer.
    interim: Bytes,
    /// Whether everything that was written has been sent, so that something may come between.
    is_between: bool,
}

/// What is known of a connection where its requests are answered.
#[derive(Default)]
pub(crate) struct Talk {
    /// Whether somebody has begun to send what may not be read to its end.
    sends: AtomicBool,
    /// Whether it speaks another protocol by now, in which one side may say all that it has to say before the other one.
    is_tunnel: AtomicBool,
    interim: Mutex<Vec<u8>>,
}

struct Closing {
    end: Pin<Box<Sleep>>,
    quiet: Pin<Box<Sleep>>,
    left: usize,
}

impl<S> Guarded<S> {
    /// A connection of which `start` has been read. Who does not read for `patience` loses it.
    pub(crate) fn new(stream: S, start: Bytes, patience: Duration) -> Guarded<S> {
        let talk = Arc::new(Talk { sends: AtomicBool::new(!start.is_empty()), ..Talk::default() });
        let (stalled, closing, interim) = (None, None, Bytes::new());
        Guarded { stream, start, patience, stalled, closing, talk, interim, is_between: true }
    }

    /// For those who answer.
    pub(crate) fn talk(&self) -> Arc<Talk> {
        Arc::clone(&self.talk)
    }

    /// Gives up where nothing has been sent for too long.
    fn unless_stalled<T>(&mut self, cx: &mut Context<'_>, sent: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if sent.is_ready() {
            self.stalled = None;
            return sent;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other side does not read")))
    }
}

impl<S: AsyncWrite + Unpin> Guarded<S> {
    /// Sends what comes before the answer, where it does not come amidst another one.
    fn send_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.interim.is_empty() {
                if !self.is_between {
                    return Poll::Ready(Ok(()));
                }
                self.interim = self.talk.take_interim();
            }
            if self.interim.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let sent = Pin::new(&mut self.stream).poll_write(cx, &self.interim);
            let sent = ready!(self.unless_stalled(cx, sent))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            _ = self.interim.split_to(sent);
        }
    }
}

impl Talk {
    /// A request is there, whole if `is_whole`.
    pub(crate) fn takes(&self, is_whole: bool) {
        self.sends.store(!is_whole, Ordering::Relaxed);
    }

    /// From now on it is carried through.
    pub(crate) fn becomes_tunnel(&self) {
        self.is_tunnel.store(true, Ordering::Relaxed);
    }

    fn may_lose_an_answer(&self) -> bool {
        self.sends.load(Ordering::Relaxed) && !self.is_tunnel.load(Ordering::Relaxed)
    }

    /// Sends 103 with these headers before the answer (RFC 8297).
    pub(crate) fn hint(&self, headers: &HeaderMap) {
        let mut waiting = self.interim.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = headers.iter().map(|(name, value): (&HeaderName, &HeaderValue)| {
            [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat()
        });
        let hint = [&b"HTTP/1.1 103 Early Hints\r\n"[..], &lines.collect::<Vec<_>>().concat(), b"\r\n"].concat();
        if waiting.len() + hint.len() <= MAX_INTERIM {
            waiting.extend_from_slice(&hint);
        }
    }

    fn take_interim(&self) -> Bytes {
        std::mem::take(&mut *self.interim.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.start.is_empty() {
            let length = self.start.len().min(buffer.remaining());
            buffer.put_slice(&self.start.split_to(length));
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.talk.takes(false);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.send_interim(cx))?;
        self.is_between = false;
        let sent = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.unless_stalled(cx, sent)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.send_interim(cx))?;
        self.is_between = false;
        let sent = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.unless_stalled(cx, sent)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Whoever flushes has nothing left that was to be written before.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_between = true;
        ready!(self.send_interim(cx))?;
        let sent = Pin::new(&mut self.stream).poll_flush(cx);
        self.unless_stalled(cx, sent)
    }

    /// Says that there is no more, and listens for a while to who is still sending.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closing.is_none() {
            let sent = Pin::new(&mut self.stream).poll_shutdown(cx);
            ready!(self.unless_stalled(cx, sent))?;
            if !self.talk.may_lose_an_answer() {
                return Poll::Ready(Ok(()));
            }
            let [end, quiet] = [LINGER, LINGER_QUIET.min(self.patience)].map(|time| Box::pin(sleep(time)));
            self.closing = Some(Closing { end, quiet, left: LINGER_BYTES });
        }
        let Guarded { stream, closing, .. } = &mut *self;
        match closing {
            Some(closing) => closing.listen(stream, cx).map(Ok),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl Closing {
    /// Reads until the other side ends, or has had its chance to see that this one has.
    fn listen(&mut self, stream: &mut (impl AsyncRead + Unpin), cx: &mut Context<'_>) -> Poll<()> {
        let mut ignored = [0; 16 << 10];
        while self.left > 0 {
            let mut buffer = ReadBuf::new(&mut ignored);
            match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.left = self.left.saturating_sub(buffer.filled().len());
                    self.quiet.as_mut().reset(Instant::now() + LINGER_QUIET);
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending if self.quiet.as_mut().poll(cx).is_ready() => return Poll::Ready(()),
                Poll::Pending => break,
            }
            if self.end.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
        }
        if self.left == 0 { Poll::Ready(()) } else { self.end.as_mut().poll(cx) }
    }
}

tokio::task_local! {
    /// When the part of an answer was handed over that has not been sent yet.
    static HANDED: Cell<Option<Instant>>;
}

/// Runs the streams of HTTP/2. One of which the visitor has not let the next part be sent for this long is reset: each
/// has a window of its own, so that a connection on which something is read tells nothing of it.
#[derive(Clone, Copy)]
pub(crate) struct Streams(pub Duration);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        tokio::spawn(HANDED.scope(Cell::new(None), unless_unread(stream, self.0)));
    }
}

async fn unless_unread(stream: impl Future, patience: Duration) {
    let mut stream = std::pin::pin!(stream);
    let mut end: Option<Pin<Box<Sleep>>> = None;
    std::future::poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let Some(handed) = HANDED.with(Cell::get) else { return Poll::Pending };
        let end = end.get_or_insert_with(|| Box::pin(sleep(patience)));
        if end.deadline() != handed + patience {
            end.as_mut().reset(handed + patience);
        }
        end.as_mut().poll(cx)
    })
    .await;
}

/// The body of an answer, for [`Streams`].
pub(crate) struct Handed<B>(pub B);

impl<B: Body + Unpin> Body for Handed<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = Pin::new(&mut self.0).poll_frame(cx);
        // HTTP/1 has no streams.
        _ = HANDED.try_with(|handed| handed.set(frame.is_ready().then(Instant::now)));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

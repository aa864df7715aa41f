//! Bodies on their way through: never held as a whole, only their start where a trigger looks at it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::headers;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(super) type AnyBody = UnsyncBoxBody<Bytes, BoxError>;

/// How much of a body triggers see, in UTF-16 code units (protocol, section 1 "Subject of each validator").
const SEEN_UNITS: usize = 2_048;
/// No text of that many units is longer.
const SEEN_BYTES: usize = SEEN_UNITS * 3;

pub(super) fn full(text: impl Into<Bytes>) -> AnyBody {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}

pub(super) fn empty() -> AnyBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

pub(super) fn limited(body: Incoming, max: Option<u64>) -> AnyBody {
    match max.and_then(|max| usize::try_from(max).ok()) {
        Some(max) => Limited::new(body, max).boxed_unsync(),
        None => body.map_err(BoxError::from).boxed_unsync(),
    }
}

/// Whether an error goes back to a body that was longer than [`limited`] allows.
pub(super) fn is_too_long(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| error.is::<LengthLimitError>())
}

/// Why the start of a body could not be had.
pub(super) enum Unread {
    /// The visitor took too long.
    Slow,
    /// The visitor broke off, or sent something that is no body, or too much.
    Broken(BoxError),
}

/// The start of a body as triggers see it, and the whole body as it was.
pub(super) async fn peek(mut body: AnyBody, patience: Duration) -> Result<(String, AnyBody), Unread> {
    let deadline = Instant::now() + patience;
    let mut start = Vec::new();
    let mut frames = VecDeque::new();
    while start.len() < SEEN_BYTES {
        let frame = match timeout_at(deadline, body.frame()).await {
            Err(_) => return Err(Unread::Slow),
            Ok(Some(Err(error))) => return Err(Unread::Broken(error)),
            Ok(None) => break,
            Ok(Some(Ok(frame))) => frame,
        };
        if let Some(data) = frame.data_ref() {
            start.extend_from_slice(&data[..data.len().min(SEEN_BYTES - start.len())]);
        }
        frames.push_back(frame);
    }
    Ok((seen(&start), Replayed { frames, rest: body }.boxed_unsync()))
}

/// The first units of a text; half a surrogate pair is left out.
fn seen(bytes: &[u8]) -> String {
    let mut units = 0;
    let text = String::from_utf8_lossy(bytes);
    text.chars()
        .take_while(|character| {
            units += character.len_utf16();
            units <= SEEN_UNITS
        })
        .collect()
}

/// Frames that were read already, then the rest.
struct Replayed {
    frames: VecDeque<Frame<Bytes>>,
    rest: AnyBody,
}

impl Body for Replayed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.frames.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let read: u64 = self.frames.iter().filter_map(Frame::data_ref).map(|data| data.len() as u64).sum();
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + read);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + read);
        }
        hint
    }
}

/// When something last moved, and how far it has come.
#[derive(Clone)]
pub(super) struct Progress(Arc<Mutex<(Instant, Stage)>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    UnderWay,
    Through,
    /// Whoever sent it broke off, or sent something that is no body.
    Broken,
}

impl Progress {
    pub(super) fn new(stage: Stage) -> Progress {
        Progress(Arc::new(Mutex::new((Instant::now(), stage))))
    }

    pub(super) fn last(&self) -> Instant {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    pub(super) fn stage(&self) -> Stage {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    pub(super) fn moved(&self, stage: Stage) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (Instant::now(), stage);
    }
}

/// How long an upload may stand still whose answer is complete.
const GRACE: Duration = Duration::from_secs(2);

/// A visitor's body on its way to the origin, and how far it has come: a long upload is no time-out of the origin. It has
/// no trailers that no visitor may send.
#[derive(Clone)]
pub(super) struct Upload {
    body: Arc<Mutex<Option<AnyBody>>>,
    pub progress: Progress,
}

impl Upload {
    pub(super) fn new(body: AnyBody) -> Upload {
        let stage = if body.is_end_stream() { Stage::Through } else { Stage::UnderWay };
        Upload { body: Arc::new(Mutex::new(Some(body))), progress: Progress::new(stage) }
    }

    fn body(&self) -> MutexGuard<'_, Option<AnyBody>> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No more of it is read, so that the visitor's connection need not wait for it.
    fn end(&self) {
        self.body().take();
    }

    /// Ends it when nobody sends any more of it, or nobody takes it.
    async fn end_when_it_stands_still(self) {
        while self.progress.stage() == Stage::UnderWay {
            let end = self.progress.last() + GRACE;
            if end <= Instant::now() {
                return self.end();
            }
            sleep_until(end).await;
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut body = self.body();
        let Some(body) = &mut *body else { return Poll::Ready(Some(Err("the answer was complete before it".into()))) };
        let mut frame = ready!(Pin::new(&mut *body).poll_frame(cx));
        if let Some(trailers) = frame.as_mut().and_then(|frame| frame.as_mut().ok()?.trailers_mut()) {
            headers::remove_forged_trailers(trailers);
        }
        self.progress.moved(match &frame {
            Some(Err(_)) => Stage::Broken,
            Some(Ok(_)) if !body.is_end_stream() => Stage::UnderWay,
            _ => Stage::Through,
        });
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body().as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body().as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

/// The body of an answer, after whose end its upload must come to an end, too: an origin may answer before it has read
/// everything, and then read no more.
pub(super) struct Answered {
    pub body: Incoming,
    pub upload: Upload,
    /// Whether the origin has said that it takes no more.
    pub is_last: bool,
}

impl Body for Answered {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(cx).map_err(BoxError::from)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        if self.upload.progress.stage() == Stage::UnderWay {
            let upload = self.upload.clone();
            match self.is_last {
                true => upload.end(),
                false => _ = tokio::spawn(upload.end_when_it_stands_still()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triggers_see_whole_characters_of_the_start() {
        assert_eq!(seen(b"short"), "short");
        assert_eq!(seen("é".repeat(3_000).as_bytes()).chars().count(), 2_048);
        assert_eq!(seen("😀".repeat(3_000).as_bytes()).chars().count(), 1_024);
        let odd = format!("x{}", "😀".repeat(3_000));
        assert_eq!(seen(odd.as_bytes()).encode_utf16().count(), 2_047);
        assert_eq!(seen(b"a\xffb"), "a\u{fffd}b");
    }

    #[tokio::test]
    async fn a_body_that_was_looked_at_is_still_whole() {
        let text = "0123456789".repeat(2_000);
        let (start, body) = peek(full(text.clone()), Duration::from_secs(60)).await.ok().expect("the start");
        assert_eq!(start, text[..2_048]);
        assert_eq!(body.size_hint().exact(), Some(20_000));
        let whole = body.collect().await.expect("the body").to_bytes();
        assert_eq!(whole, text.as_bytes());
    }
}

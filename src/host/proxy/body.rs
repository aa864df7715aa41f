//! Bodies on their way through: never held as a whole, only their start where a trigger looks at it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::time::{Instant, timeout_at};

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

/// When a body last moved, and whether it is through.
#[derive(Clone)]
pub(super) struct Progress(Arc<Mutex<(Instant, bool)>>);

impl Progress {
    pub(super) fn new() -> Progress {
        Progress(Arc::new(Mutex::new((Instant::now(), false))))
    }

    pub(super) fn last(&self) -> Instant {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    pub(super) fn is_through(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    fn moved(&self, is_through: bool) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (Instant::now(), is_through);
    }
}

/// A visitor's body on its way to the origin. It notes its progress, so that a long upload is no time-out of the origin,
/// and has no trailers that no visitor may send.
pub(super) struct Tracked {
    pub body: AnyBody,
    pub progress: Progress,
}

impl Body for Tracked {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(trailers) = frame.as_mut().and_then(|frame| frame.as_mut().ok()?.trailers_mut()) {
            headers::remove_forged_trailers(trailers);
        }
        self.progress.moved(frame.is_none() || self.body.is_end_stream());
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
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

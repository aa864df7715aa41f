//! Reads configurations that are pushed. Before one is whole, nobody knows whether it is signed: anybody can send one.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::{StatusCode, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use velvetrope::internal::edge::push::MAX_BODY;

/// How many bytes are held of all that are under way. It is bytes that are few, not pushes: whoever sends nothing takes
/// no place from one that is signed.
const HELD: usize = 2 * MAX_BODY;

/// Seconds after which one may be sent again for which there was no room.
const RETRY_AFTER: u32 = 5;

/// The pushes that are under way.
pub(crate) struct Pushes {
    room: Arc<Semaphore>,
}

/// The body of one. The room that it takes is free again when it is dropped.
pub(crate) struct Pushed {
    pub bytes: Vec<u8>,
    room: Option<OwnedSemaphorePermit>,
}

/// Why a body is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    TooLong,
    NoRoom,
    Slow,
    Broken,
}

impl Pushes {
    pub(crate) fn new() -> Pushes {
        Pushes { room: Arc::new(Semaphore::new(HELD)) }
    }

    /// The whole body, if it is there in time. It takes up no more than has arrived.
    pub(crate) async fn read(&self, mut body: Incoming, patience: Duration) -> Result<Pushed, Unread> {
        if body.size_hint().lower() > MAX_BODY as u64 {
            return Err(Unread::TooLong);
        }
        let mut pushed = Pushed { bytes: Vec::new(), room: None };
        let whole = async {
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|_| Unread::Broken)?;
                if let Some(data) = frame.data_ref() {
                    self.take(&mut pushed, data)?;
                }
            }
            Ok(())
        };
        timeout(patience, whole).await.unwrap_or(Err(Unread::Slow))?;
        Ok(pushed)
    }

    fn take(&self, pushed: &mut Pushed, data: &[u8]) -> Result<(), Unread> {
        if pushed.bytes.len() + data.len() > MAX_BODY {
            return Err(Unread::TooLong);
        }
        let length = u32::try_from(data.len()).map_err(|_| Unread::TooLong)?;
        let room = Arc::clone(&self.room).try_acquire_many_owned(length).map_err(|_| Unread::NoRoom)?;
        match &mut pushed.room {
            Some(held) => held.merge(room),
            None => pushed.room = Some(room),
        }
        pushed.bytes.extend_from_slice(data);
        Ok(())
    }
}

impl Unread {
    /// Status, one word for logs and metrics, what to say, and after how many seconds it may be tried again.
    pub(crate) fn answer(self) -> (StatusCode, &'static str, &'static str, Option<u32>) {
        match self {
            Unread::TooLong => (StatusCode::PAYLOAD_TOO_LARGE, "body-too-long", "a push has no more than 8 MiB", None),
            Unread::NoRoom => {
                let text = "too much is pushed at the same time: try again in a moment";
                (StatusCode::SERVICE_UNAVAILABLE, "push-no-room", text, Some(RETRY_AFTER))
            }
            Unread::Slow => (StatusCode::REQUEST_TIMEOUT, "slow-visitor", "the body came too slowly", None),
            Unread::Broken => (StatusCode::BAD_REQUEST, "bad-request", "the body broke off", None),
        }
    }
}

/// The header that says when to try again.
pub(crate) fn retry_after(seconds: u32) -> (header::HeaderName, header::HeaderValue) {
    (header::RETRY_AFTER, seconds.into())
}

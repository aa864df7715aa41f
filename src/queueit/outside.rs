//! Answers from outside: verify action, direct pass, enqueue tokens (docs/protocol/queue-it.md#added-in-4x-and-5x).
//!
//! Their wire formats are not published, so there is no HTTP here: hosts bring implementations of [`Outside`], or
//! answer the [`Question`]s themselves.

use crate::policy::Number;

/// Whom a host can ask.
#[derive(Clone, Copy, Debug, Default)]
pub struct Services<'v> {
    /// Whether queue ids can be verified.
    pub verify_queue_id: bool,
    /// Whether enqueue tokens can be had.
    pub enqueue_token: bool,
    /// Direct pass, if it is set up.
    pub direct_pass: Option<DirectPassSettings<'v>>,
}

/// How direct pass is set up.
#[derive(Clone, Copy, Debug)]
pub struct DirectPassSettings<'v> {
    /// Whether it is switched off for now.
    pub disabled: bool,
    /// Key to the service.
    pub proxy_key: &'v str,
    /// Milliseconds to wait for an answer. None or 0 means 3000; less than 800 or more than 5000 is not heeded.
    pub timeout_ms: Option<f64>,
}

impl DirectPassSettings<'_> {
    pub(super) fn timeout_used(&self) -> u32 {
        match self.timeout_ms {
            Some(timeout) if timeout != 0.0 && !timeout.is_nan() => timeout.clamp(800.0, 5000.0) as u32,
            _ => 3000,
        }
    }
}

/// What a decision may need to know.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Question<'v> {
    /// May this queue id be used once more?
    VerifyQueueId(&'v QueueIdUse<'v>),
    /// May this visitor pass without waiting?
    DirectPass(&'v DirectPassCall<'v>),
    /// What enqueue token shall go with a visitor to this room?
    EnqueueToken {
        /// The waiting room.
        event_id: &'v str,
    },
}

/// A queue id that is about to be used.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueIdUse<'v> {
    /// Queue-it's customer id.
    pub customer_id: &'v str,
    /// The waiting room.
    pub event_id: &'v str,
    /// The visitor's id in the queue.
    pub queue_id: &'v str,
    /// How often it may be used.
    pub usage_limit: Number,
    /// The integration's name.
    pub action_name: Option<&'v str>,
    /// The absolute URL asked for.
    pub url: &'v str,
    /// The visitor's address.
    pub client_ip: &'v str,
    /// The visitor's browser.
    pub user_agent: &'v str,
}

/// A visitor who might pass without waiting.
#[derive(Clone, Debug, PartialEq)]
pub struct DirectPassCall<'v> {
    /// Queue-it's customer id.
    pub customer_id: &'v str,
    /// The waiting room.
    pub event_id: &'v str,
    /// The integration's name.
    pub action_name: Option<&'v str>,
    /// The absolute URL asked for, token included.
    pub protected_url: &'v str,
    /// Key to the service.
    pub proxy_key: &'v str,
    /// The visitor's address.
    pub client_ip: &'v str,
    /// The visitor's browser.
    pub user_agent: &'v str,
    /// Where the visitor comes from.
    pub referer: &'v str,
    /// Milliseconds to wait for an answer.
    pub timeout_ms: u32,
    /// `ver` of redirects.
    pub sdk: &'v str,
}

/// What the direct-pass service says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectPassReply {
    /// Whether the visitor may pass.
    pub has_passed: bool,
    /// The token that says so.
    pub token: Option<String>,
}

/// Why somebody who was asked has not answered, in words: they go to the debug page and to logs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoAnswer(pub String);

impl From<&str> for NoAnswer {
    fn from(why: &str) -> NoAnswer {
        NoAnswer(why.to_owned())
    }
}

/// What has been answered so far.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// Whether the queue id may be used.
    pub queue_id_allowed: Option<Result<bool, NoAnswer>>,
    /// What direct pass says; an error or a time-out lets the visitor in for a few minutes.
    pub direct_pass: Option<Result<DirectPassReply, NoAnswer>>,
    /// The enqueue token, if there is one.
    pub enqueue_token: Option<Result<Option<String>, NoAnswer>>,
}

/// Somebody who can answer.
pub trait Outside {
    /// Which questions can be answered.
    fn services(&self) -> Services<'_>;
    /// Answers [`Question::VerifyQueueId`].
    fn verify_queue_id(&self, asked: &QueueIdUse<'_>) -> Result<bool, NoAnswer>;
    /// Answers [`Question::DirectPass`].
    fn direct_pass(&self, asked: &DirectPassCall<'_>) -> Result<DirectPassReply, NoAnswer>;
    /// Answers [`Question::EnqueueToken`]. [`super::enqueue`], of the feature `enqueue-tokens`, makes such tokens.
    fn enqueue_token(&self, event_id: &str) -> Result<Option<String>, NoAnswer>;
}

/// Nobody to ask.
pub struct NoOutside;

impl Outside for NoOutside {
    fn services(&self) -> Services<'_> {
        Services::default()
    }

    fn verify_queue_id(&self, _: &QueueIdUse<'_>) -> Result<bool, NoAnswer> {
        Err("nobody can verify queue ids".into())
    }

    fn direct_pass(&self, _: &DirectPassCall<'_>) -> Result<DirectPassReply, NoAnswer> {
        Err("there is no direct-pass service".into())
    }

    fn enqueue_token(&self, _: &str) -> Result<Option<String>, NoAnswer> {
        Ok(None)
    }
}

impl Answers {
    /// Asks `outside`, and remembers the answer.
    pub fn ask(&mut self, outside: &dyn Outside, question: &Question<'_>) {
        match question {
            Question::VerifyQueueId(asked) => self.queue_id_allowed = Some(outside.verify_queue_id(asked)),
            Question::DirectPass(asked) => self.direct_pass = Some(outside.direct_pass(asked)),
            Question::EnqueueToken { event_id } => self.enqueue_token = Some(outside.enqueue_token(event_id)),
        }
    }
}

//! What is decided, and why.

use std::fmt;

use super::cookie::{SessionError, SetCookie};
use super::outside::{NoAnswer, Question};
use super::token::TokenError;
use super::visit::Visit;
use crate::policy::ConfigError;

/// What [`decide`](super::decide) comes to.
#[derive(Debug)]
pub enum Step<'v> {
    /// It needs an answer first.
    Ask(Question<'v>),
    /// It has decided.
    Decided(Decision<'v>),
    /// It cannot decide; the host applies its failure policy.
    Failed(Failure<'v>),
}

/// Why there is no decision.
#[derive(Debug)]
pub struct Failure<'v> {
    /// What went wrong.
    pub exception: Exception,
    /// Cookies to set all the same (debug mode).
    pub cookies: &'v [SetCookie<'v>],
}

/// What can go wrong. The texts are those of the official engine, where it has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exception {
    /// An argument is missing.
    #[error("{0} can not be null or empty.")]
    Missing(&'static str),
    /// There is no local configuration.
    #[error("{0} can not be null.")]
    Null(&'static str),
    /// A number of minutes makes no sense.
    #[error("{0} should be integer greater than 0.")]
    NotPositive(&'static str),
    /// The integration wants queue ids verified, and the host has nobody to ask.
    #[error("Missing VerifyActionService")]
    NoVerifyService,
    /// The integration is broken, and others of the configuration are not.
    #[error("the integration is broken: {0}")]
    Broken(String),
    /// The published configuration cannot be used.
    #[error(transparent)]
    Configuration(#[from] ConfigError),
    /// Somebody who was asked could not answer.
    #[error(transparent)]
    Outside(#[from] NoAnswer),
}

impl Exception {
    /// The class of the exception in the official engine.
    pub fn kind(&self) -> &'static str {
        match self {
            Exception::Configuration(ConfigError::Shape { .. }) => "TypeError",
            Exception::Configuration(ConfigError::Syntax { .. }) => "SyntaxError",
            Exception::Outside(_) => "Error",
            _ => "ConnectorException",
        }
    }
}

/// Why a flow ends before it has decided.
pub(super) enum Stop<'v> {
    Ask(Question<'v>),
    Failed(Exception),
}

impl From<Exception> for Stop<'_> {
    fn from(exception: Exception) -> Self {
        Stop::Failed(exception)
    }
}

/// Which flow decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A visitor needs a session.
    Queue,
    /// A visitor's session ends.
    Cancel,
    /// Nothing is asked of the visitor.
    Ignore,
    /// Debug mode was asked for, and refused.
    Diagnostics,
}

impl Kind {
    /// As the protocol names it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Queue => "Queue",
            Kind::Cancel => "Cancel",
            Kind::Ignore => "Ignore",
            Kind::Diagnostics => "ConnectorDiagnosticsRedirect",
        }
    }
}

/// What to do with a visit.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<'v> {
    /// Which flow decided; `None` where no integration matched.
    pub kind: Option<Kind>,
    /// Why.
    pub reason: Reason,
    /// The waiting room (Queue only).
    pub event_id: Option<&'v str>,
    /// The visitor's id in the queue, if the visitor has a session or gets one.
    pub queue_id: Option<&'v str>,
    /// Why the room let the visitor in.
    pub redirect_type: Option<&'v str>,
    /// The integration's name.
    pub action_name: Option<&'v str>,
    /// Further rooms that are accepted (Queue), or all that are cancelled (Cancel).
    pub waiting_rooms: Option<&'v [&'v str]>,
    /// Whether a script asks; `None` where that was not looked at.
    pub ajax: Option<bool>,
    /// Where to send the visitor, without `kupver`; `None` to let the request pass.
    pub redirect: Option<&'v str>,
    /// Cookies to set, in order.
    pub cookies: &'v [SetCookie<'v>],
}

impl<'v> Decision<'v> {
    /// No integration matched.
    pub(super) fn nothing() -> Decision<'v> {
        Decision {
            kind: None,
            reason: Reason::NothingMatched,
            event_id: None,
            queue_id: None,
            redirect_type: None,
            action_name: None,
            waiting_rooms: None,
            ajax: None,
            redirect: None,
            cookies: &[],
        }
    }

    /// An integration says to let the visitor alone.
    pub(super) fn ignore(visit: &Visit<'v>, name: Option<&'v str>) -> Decision<'v> {
        Decision {
            kind: Some(Kind::Ignore),
            reason: Reason::Ignored,
            action_name: name,
            ajax: Some(visit.is_ajax()),
            ..Decision::nothing()
        }
    }
}

/// Why a decision is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No integration matched.
    NothingMatched,
    /// An Ignore integration matched.
    Ignored,
    /// The visitor has a valid session.
    SessionValid,
    /// The visitor brought a valid token.
    TokenValid,
    /// The direct-pass service let the visitor pass.
    DirectPass,
    /// The direct-pass service gave no answer, so the visitor passes for a few minutes.
    DirectPassFailed,
    /// The visitor must queue; what there was instead of a valid session.
    MustQueue(Option<SessionFault>),
    /// The visitor's token is refused.
    TokenRefused(TokenError),
    /// The visitor's session is bound to another address.
    SessionOfOtherIp,
    /// The queue id has been used too often.
    QueueIdRefused,
    /// The visitor's session was cancelled.
    SessionCancelled,
    /// There was no session to cancel.
    NoSessionToCancel,
    /// The debug token is refused, with this code.
    DebugRefused(&'static str),
}

/// What is wrong with a session cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionFault {
    /// It can be read, but is not valid.
    #[error(transparent)]
    Invalid(SessionError),
    /// It is not validly percent-encoded.
    #[error("it cannot be decoded")]
    Unreadable,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NothingMatched => f.write_str("no integration matched"),
            Reason::Ignored => f.write_str("the integration ignores this request"),
            Reason::SessionValid => f.write_str("the visitor has a valid session"),
            Reason::TokenValid => f.write_str("the visitor brought a valid token"),
            Reason::DirectPass => f.write_str("direct pass let the visitor in"),
            Reason::DirectPassFailed => f.write_str("direct pass gave no answer: let in for a few minutes"),
            Reason::MustQueue(None) => f.write_str("the visitor has no session"),
            Reason::MustQueue(Some(fault)) => write!(f, "the visitor's session is not valid: {fault}"),
            Reason::TokenRefused(error) => write!(f, "the visitor's token is refused ({})", error.code()),
            Reason::SessionOfOtherIp => f.write_str("the visitor's session is bound to another address"),
            Reason::QueueIdRefused => f.write_str("the visitor's queue id has been used too often"),
            Reason::SessionCancelled => f.write_str("the visitor's session is cancelled"),
            Reason::NoSessionToCancel => f.write_str("there is no session to cancel"),
            Reason::DebugRefused(code) => write!(f, "the debug token is refused ({code})"),
        }
    }
}

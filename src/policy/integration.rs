//! The integration JSON as Queue-it publishes it (protocol, section 1).

use crate::language::Expression;

/// The published configuration, and what was placed beside it.
#[derive(Clone, Debug)]
pub struct Integrations {
    /// `Version` as it is printed in URLs (`cver`).
    pub version: String,
    /// In order of evaluation.
    pub all: Vec<Integration>,
}

/// Why a configuration is refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not JSON.
    #[error("line {line}, column {column}: {message}")]
    Syntax {
        /// 1-based.
        line: usize,
        /// 1-based.
        column: usize,
        /// What the JSON parser says.
        message: String,
    },
    /// Null, not an object, or a missing or zero `Version`.
    #[error("integrationsConfigString can not be null or empty.")]
    Empty,
    /// Something in it has the wrong shape (where the engine would throw a TypeError).
    #[error("{place}: {message}")]
    Shape {
        /// Path to it, such as `Integrations[2].Triggers[0]`.
        place: String,
        /// What is wrong with it.
        message: String,
        /// Byte offset in the text.
        offset: usize,
    },
}

/// A number that may be missing or null, where the protocol tells these apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// The key is absent.
    Missing,
    /// The key is null.
    Null,
    /// A number.
    Is(f64),
}

/// What an integration does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Visitors need a session.
    Queue,
    /// The visitor's session ends.
    Cancel,
    /// Nothing.
    Ignore,
}

/// Where the visitor goes after the waiting room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectLogic {
    /// Back to the page asked for.
    AllowTParameter,
    /// Where the room itself says.
    EventTargetUrl,
    /// To `forced_target_url`.
    ForcedTargetUrl,
}

/// One integration. Text that is null or missing is `None`, except where it says otherwise.
#[derive(Clone, Debug)]
pub struct Integration {
    /// `Name`: `unspecified` where missing, empty where null.
    pub name: String,
    /// `ActionType`.
    pub action: Action,
    /// `EventId`, the room's id.
    pub event_id: Option<String>,
    /// `InvolvedWaitingRoomIds`.
    pub involved_rooms: Vec<String>,
    /// `CookieDomain`.
    pub cookie_domain: Option<String>,
    /// `IsCookieHttpOnly`.
    pub cookie_http_only: bool,
    /// `IsCookieSecure`.
    pub cookie_secure: bool,
    /// `LayoutName`.
    pub layout: Option<String>,
    /// `Culture`.
    pub culture: Option<String>,
    /// `ExtendCookieValidity`.
    pub extend_cookie_validity: bool,
    /// `CookieValidityMinute`.
    pub cookie_validity_minute: Number,
    /// `QueueDomain`.
    pub queue_domain: Option<String>,
    /// `QueuePathPrefix`.
    pub queue_path_prefix: Option<String>,
    /// `RedirectLogic`.
    pub redirect_logic: RedirectLogic,
    /// `ForcedTargetUrl`.
    pub forced_target_url: Option<String>,
    /// `VerifyQueueIdEnabled`.
    pub verify_queue_id: bool,
    /// `QueueIdUsageLimit`.
    pub queue_id_usage_limit: Number,
    /// `IsNormalizationEnabled`.
    pub normalization: bool,
    /// The triggers, lowered.
    pub when: Expression,
}

impl Integrations {
    /// Reads a published configuration; `normalizer` says whether the host offers URL normalisation to integrations
    /// that ask for it.
    pub fn parse(_text: &str, _normalizer: bool) -> Result<Integrations, ConfigError> {
        todo!()
    }
}

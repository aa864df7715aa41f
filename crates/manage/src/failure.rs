//! Why something that was asked for is not done, in the terms of the API (docs/protocol/api.md#envelope-and-errors).

use std::error::Error;
use std::fmt;

use super::database::DatabaseError;

/// A refusal: an HTTP status and what is wrong, at least one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The HTTP status.
    pub status: u16,
    /// What is wrong.
    pub errors: Vec<Objection>,
    /// Seconds after which it may be asked again.
    pub retry_after: Option<u32>,
    /// What the log should say of it.
    pub cause: Option<DatabaseError>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// A number for programs; see [`Code`].
    pub code: Code,
    /// For people: what, and what to do about it.
    pub message: String,
    /// Where in the body, as a JSON pointer.
    pub pointer: Option<String>,
}

/// The numbers of objections. They are velvetrope's own, but for 10000: the API's are not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Something failed here.
    Internal = 1000,
    /// The body cannot be read.
    Malformed = 1001,
    /// A value is not allowed where it stands.
    Invalid = 1002,
    /// An expression is refused.
    Expression = 1003,
    /// There is no such thing.
    NotFound = 1004,
    /// It would be the second of something that there may be one of.
    Duplicate = 1005,
    /// Somebody has changed it in the meantime.
    Changed = 1006,
    /// The body is too large.
    TooLarge = 1007,
    /// The policy is managed by its files.
    ManagedByFiles = 1008,
    /// Something else uses it.
    InUse = 1009,
    /// The path has no such method.
    Method = 1010,
    /// The token does not allow it.
    Forbidden = 1012,
    /// The store cannot be opened, or there is no room for more in it.
    Storage = 1013,
    /// The rule would let everybody pass, and does not say that it is meant to.
    OpensForEverybody = 1014,
    /// No valid token.
    Authentication = 10000,
}

/// For logs: all that is wrong, and what it comes from.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let objections = self.errors.iter().map(|objection| objection.message.clone());
        let all: Vec<String> = objections.chain(self.cause.iter().map(ToString::to_string)).collect();
        f.write_str(&all.join("; "))
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_ref().map(|cause| cause as &(dyn Error + 'static))
    }
}

impl Failure {
    /// One objection.
    pub fn new(status: u16, code: Code, message: impl Into<String>) -> Failure {
        let objection = Objection { code, message: message.into(), pointer: None };
        Failure { status, errors: vec![objection], retry_after: None, cause: None }
    }

    /// A value that is not allowed, and where it stands.
    pub fn invalid(pointer: &str, message: impl Into<String>) -> Failure {
        let mut failure = Failure::new(400, Code::Invalid, message);
        failure.errors.iter_mut().for_each(|error| error.pointer = Some(pointer.to_owned()));
        failure
    }

    /// There is no store, and why.
    pub fn closed(why: impl fmt::Display) -> Failure {
        /// Seconds after which it may be there.
        const RETRY_AFTER: u32 = 5;
        let failure = Failure::new(503, Code::Storage, format!("{why}; it is tried again now and then"));
        Failure { retry_after: Some(RETRY_AFTER), ..failure }
    }

    /// There is no such thing.
    pub fn not_found(what: &str, id: &str) -> Failure {
        Failure::new(404, Code::NotFound, format!("there is no {what} `{id}`"))
    }
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Failure {
        let failure = match error.is_full() {
            true => Failure::new(507, Code::Storage, format!("{error}: nothing was changed; make room, and repeat it")),
            false => Failure::new(500, Code::Internal, "the store cannot be used; the log of the server says why"),
        };
        Failure { cause: Some(error), ..failure }
    }
}

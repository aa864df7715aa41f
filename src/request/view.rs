//! One request, borrowed from its host.

use std::net::IpAddr;

use bumpalo::Bump;

use super::{FieldId, Value};

/// Something that can be asked for the values of fields: a [`RequestView`], or a table of values in a test.
pub trait Subject {
    /// The value of `field`, or `None` where this request has none ("missing").
    ///
    /// What has to be built is built in `arena`. Callers ask at most once per request and field.
    fn field<'a>(&'a self, field: FieldId, arena: &'a Bump) -> Option<Value<'a>>;

    /// The entry `key` of the map `field`; cheaper than building the whole map where the request can tell.
    fn entry<'a>(&'a self, field: FieldId, key: &[u8], arena: &'a Bump) -> Option<Value<'a>> {
        match self.field(field, arena)? {
            Value::Map(entries) => {
                let found = entries.binary_search_by(|(name, _)| (*name).cmp(key)).ok()?;
                Some(entries[found].1)
            }
            _ => None,
        }
    }

    /// What went wrong while fields were read, if anything did. A verdict reached in spite of it must not be used.
    fn fault(&self) -> Option<Fault> {
        None
    }
}

/// What can go wrong while a request is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A trigger asked for a cookie whose percent-encoding is broken (protocol, section 3 "Reading").
    #[error("a cookie that a trigger asks for is not validly percent-encoded")]
    MalformedCookie,
}

/// Facts about a connection that are not in the HTTP request itself: geography, TLS, bots. Supplied by the host.
pub trait Facts {
    /// The value of `field`, `None` where the host does not know it. Asked at most once per request and field.
    fn fact<'a>(&'a self, field: super::Field, arena: &'a Bump) -> Option<Value<'a>>;
}

/// A host that knows nothing beyond the HTTP request.
pub struct NoFacts;

impl Facts for NoFacts {
    fn fact<'a>(&'a self, _: super::Field, _: &'a Bump) -> Option<Value<'a>> {
        None
    }
}

/// What a host tells of one request; see [`RequestView::new`].
#[derive(Clone, Copy)]
pub struct RequestParts<'r> {
    /// The method as received.
    pub method: &'r str,
    /// The absolute URL as the visitor asked for it, token included: `scheme://authority/path?query#fragment`.
    pub url: &'r str,
    /// The URL without the token, for triggers. The same as `url` where there is no token.
    pub pure_url: &'r str,
    /// `HTTP/1.1`, `HTTP/2`, …
    pub version: &'r str,
    /// Headers in order; names in any case, values as received.
    pub headers: &'r [(&'r str, &'r [u8])],
    /// The visitor's address, if known.
    pub client_ip: Option<IpAddr>,
    /// The start of the body, "" where it was not read.
    pub body: &'r str,
    /// Time of receipt, milliseconds since the Unix epoch.
    pub received_ms: i64,
    /// What the host knows besides.
    pub facts: &'r dyn Facts,
}

/// One request, borrowed; nothing of it is parsed before a field asks, and then once.
pub struct RequestView<'r> {
    parts: RequestParts<'r>,
}

impl<'r> RequestView<'r> {
    /// Wraps what the host tells; does no work.
    pub fn new(parts: RequestParts<'r>) -> Self {
        RequestView { parts }
    }

    /// What the host told.
    pub fn parts(&self) -> &RequestParts<'r> {
        &self.parts
    }

    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&'r [u8]> {
        self.parts.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }
}

impl Subject for RequestView<'_> {
    fn field<'a>(&'a self, _field: FieldId, _arena: &'a Bump) -> Option<Value<'a>> {
        todo!()
    }
}

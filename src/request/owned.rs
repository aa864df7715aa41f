//! A request that owns everything, for tests and the command line.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bumpalo::Bump;

use super::canonical::CanonicalUrl;
use super::malformed::Malformed;
use super::url::UrlParts;
use super::view::{Facts, RequestParts, RequestView};
use super::{Field, Value};

/// A value that owns what it is made of.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the same as the variants of Value")]
pub enum OwnedValue {
    Bool(bool),
    Int(i64),
    Ip(IpAddr),
    Bytes(Vec<u8>),
    Array(Vec<OwnedValue>),
    Map(BTreeMap<Vec<u8>, OwnedValue>),
}

impl OwnedValue {
    /// The value, borrowed; arrays and maps of it are laid out in `arena`.
    pub fn borrow<'a>(&'a self, arena: &'a Bump) -> Value<'a> {
        match self {
            OwnedValue::Bool(value) => Value::Bool(*value),
            OwnedValue::Int(value) => Value::Int(*value),
            OwnedValue::Ip(value) => Value::Ip(*value),
            OwnedValue::Bytes(value) => Value::Bytes(value),
            OwnedValue::Array(values) => {
                Value::Array(arena.alloc_slice_fill_iter(values.iter().map(|value| value.borrow(arena))))
            }
            OwnedValue::Map(entries) => Value::Map(
                arena.alloc_slice_fill_iter(entries.iter().map(|(key, value)| (key.as_slice(), value.borrow(arena)))),
            ),
        }
    }
}

impl From<&str> for OwnedValue {
    fn from(text: &str) -> Self {
        OwnedValue::Bytes(text.as_bytes().to_vec())
    }
}

impl From<i64> for OwnedValue {
    fn from(number: i64) -> Self {
        OwnedValue::Int(number)
    }
}

impl From<bool> for OwnedValue {
    fn from(truth: bool) -> Self {
        OwnedValue::Bool(truth)
    }
}

impl From<IpAddr> for OwnedValue {
    fn from(address: IpAddr) -> Self {
        OwnedValue::Ip(address)
    }
}

/// A request in one's own hands. Made by [`OwnedRequest::new`] and the methods that change one thing each.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnedRequest {
    /// See [`RequestParts::method`].
    pub method: String,
    /// See [`RequestParts::url`].
    pub url: String,
    /// See [`RequestParts::version`].
    pub version: String,
    /// See [`RequestParts::headers`].
    pub headers: Vec<(String, Vec<u8>)>,
    /// See [`RequestParts::client_ip`].
    pub client_ip: Option<IpAddr>,
    /// See [`RequestParts::body`].
    pub body: String,
    /// See [`RequestParts::received_ms`].
    pub received_ms: i64,
    /// See [`RequestParts::facts`].
    pub facts: BTreeMap<Field, OwnedValue>,
}

impl OwnedRequest {
    /// A GET of `url` by HTTP/1.1, at the beginning of the Unix epoch, of which nothing else is known.
    pub fn new(url: impl Into<String>) -> Self {
        OwnedRequest {
            method: "GET".to_owned(),
            url: url.into(),
            version: "HTTP/1.1".to_owned(),
            headers: Vec::new(),
            client_ip: None,
            body: String::new(),
            received_ms: 0,
            facts: BTreeMap::new(),
        }
    }

    /// A GET of an absolute URL; see [`OwnedRequest::new`].
    pub fn get(url: impl Into<String>) -> Self {
        OwnedRequest::new(url)
    }

    /// A POST to an absolute URL; see [`OwnedRequest::new`].
    pub fn post(url: impl Into<String>) -> Self {
        OwnedRequest::new(url).method("POST")
    }

    /// With another method.
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.method = method.into();
        self
    }

    /// With one more header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// From this address.
    pub fn client_ip(mut self, address: IpAddr) -> Self {
        self.client_ip = Some(address);
        self
    }

    /// With a body.
    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }

    /// Received at this time, in milliseconds since the Unix epoch.
    pub fn received_ms(mut self, time: i64) -> Self {
        self.received_ms = time;
        self
    }

    /// With one more fact.
    pub fn fact(mut self, field: Field, value: impl Into<OwnedValue>) -> Self {
        self.facts.insert(field, value.into());
        self
    }

    /// What is asked for, as hosts read it: the Host header names the host, if there is one, else the URL does.
    pub fn canonical_url(&self) -> Result<CanonicalUrl<'_>, Malformed> {
        let mut hosts = self.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("host"));
        match (hosts.next(), hosts.next()) {
            (None, _) => CanonicalUrl::of(&self.url),
            (Some((_, host)), None) => {
                let host = std::str::from_utf8(host).map_err(|_| Malformed::NotAHost)?;
                let url = UrlParts::split(&self.url);
                CanonicalUrl::new(url.scheme, host, url.path_and_query())
            }
            (Some(_), Some(_)) => Err(Malformed::SeveralHosts),
        }
    }

    /// The headers as hosts hand them on whose request is for `host`.
    pub fn header_pairs_for<'r>(&'r self, host: &'r str) -> Vec<(&'r str, &'r [u8])> {
        let is_host = |name: &str| name.eq_ignore_ascii_case("host");
        let pair = |(name, value): (&'r str, &'r [u8])| (name, if is_host(name) { host.as_bytes() } else { value });
        self.header_pairs().into_iter().map(pair).collect()
    }

    /// The headers as they are.
    pub fn header_pairs(&self) -> Vec<(&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect()
    }

    /// Lends the request as a view: of what is asked for, as hosts read it, or as it is written where they would refuse
    /// it.
    pub fn with_view<R>(&self, look: impl FnOnce(&RequestView<'_>) -> R) -> R {
        let canonical = self.canonical_url().ok();
        let headers = match &canonical {
            Some(url) => self.header_pairs_for(url.authority()),
            None => self.header_pairs(),
        };
        let url = canonical.as_ref().map_or(self.url.as_str(), CanonicalUrl::as_str);
        let arena = Bump::new();
        let parts = RequestParts {
            method: &self.method,
            url,
            version: &self.version,
            headers: &headers,
            client_ip: self.client_ip,
            body: &self.body,
            received_ms: self.received_ms,
            facts: &self.facts,
        };
        look(&RequestView::new(parts, &arena))
    }
}

impl Facts for BTreeMap<Field, OwnedValue> {
    fn fact<'a>(&'a self, field: Field, arena: &'a Bump) -> Option<Value<'a>> {
        self.get(&field).map(|value| value.borrow(arena))
    }
}

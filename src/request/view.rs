//! One request, borrowed from its host.

use std::cell::OnceCell;
use std::net::IpAddr;

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;

use super::ascii::{lower, upper};
use super::cookies;
use super::multimap::{array, by_name, joined, names, of_name, values};
use super::normalize::normal_path;
use super::url::UrlParts;
use super::{Field, FieldId, Value};

/// Something that can be asked for the values of fields: a [`RequestView`], or a table of values in a test.
pub trait Subject {
    /// The value of `field`, or `None` where this request has none ("missing").
    ///
    /// What has to be built is built in `arena`. Callers ask at most once per request and field.
    fn field<'a>(&'a self, field: FieldId, arena: &'a Bump) -> Option<Value<'a>>;

    /// The entry `key` of the map `field`; cheaper than building the whole map where the request can tell.
    fn entry<'a>(&'a self, field: FieldId, key: &[u8], arena: &'a Bump) -> Option<Value<'a>> {
        self.field(field, arena)?.get(key)
    }

    /// Tells `each` the keys that the map `field` has; one may come more than once.
    fn keys<'a>(&'a self, field: FieldId, arena: &'a Bump, each: &mut dyn FnMut(&[u8])) {
        if let Some(Value::Map(entries)) = self.field(field, arena) {
            entries.iter().for_each(|(key, _)| each(key));
        }
    }
}

/// Facts about a connection that are not in the HTTP request itself: geography, TLS, bots. Supplied by the host.
pub trait Facts {
    /// The value of `field`, `None` where the host does not know it. Asked at most once per request and field.
    fn fact<'a>(&'a self, field: super::Field, arena: &'a Bump) -> Option<Value<'a>>;

    /// Notes that somebody came back from a waiting room to a page, at this Unix time in seconds, and says whether that
    /// happened a short while ago, too. A host that does not remember says no.
    fn note_arrival(&self, _arrival: &str, _now: i64) -> bool {
        false
    }
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
    /// The absolute URL as the visitor asked for it: `scheme://authority/path?query#fragment`.
    pub url: &'r str,
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

/// One request, borrowed; nothing of it is parsed before a field asks, and URLs are split once.
///
/// What a request has not got: an absent header is an empty text in the fields that are one header each
/// (`http.user_agent` and its kin, as at Cloudflare), and missing in `http.request.headers`. Facts that the host does not
/// know are missing, and so are the fields of triggers, which [`TriggerView`](crate::queueit::TriggerView) has.
#[derive(Clone)]
pub struct RequestView<'r> {
    parts: RequestParts<'r>,
    arena: &'r Bump,
    /// The URL as received, where this is another reading of it.
    received: Option<UrlParts<'r>>,
    url: OnceCell<UrlParts<'r>>,
    path: OnceCell<&'r [u8]>,
    host: OnceCell<&'r [u8]>,
    user_agent: OnceCell<&'r [u8]>,
    cookie_header: OnceCell<&'r [u8]>,
}

impl<'r> RequestView<'r> {
    /// Wraps what the host tells; does no work. What the view works out once for all who ask, it keeps in `arena`.
    pub fn new(parts: RequestParts<'r>, arena: &'r Bump) -> Self {
        RequestView {
            parts,
            arena,
            received: None,
            url: OnceCell::new(),
            path: OnceCell::new(),
            host: OnceCell::new(),
            user_agent: OnceCell::new(),
            cookie_header: OnceCell::new(),
        }
    }

    /// The same, with its normalised path where that is known already.
    pub(crate) fn with_path(self, path: Option<&'r str>) -> Self {
        RequestView { path: path.map_or_else(OnceCell::new, |path| path.as_bytes().into()), ..self }
    }

    /// The same request as an origin sees it that takes its authority and path for these: what expressions see of the
    /// URL, where nothing more is done to the path; `raw.*` fields stay as they are.
    pub fn reading(&self, authority: &'r str, path: &'r str) -> RequestView<'r> {
        let parts = RequestParts { url: self.url().read_as(authority, path, self.arena), ..self.parts };
        RequestView {
            received: Some(*self.received()),
            path: path.as_bytes().into(),
            ..RequestView::new(parts, self.arena)
        }
    }

    /// Where the view keeps what it works out.
    pub(crate) fn arena(&self) -> &'r Bump {
        self.arena
    }

    /// What the host told.
    pub fn parts(&self) -> &RequestParts<'r> {
        &self.parts
    }

    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&'r [u8]> {
        self.headers_named(name.as_bytes()).next()
    }

    /// Every header of this name, in any case and in order.
    pub fn headers_named<'n>(&self, name: &'n [u8]) -> impl Iterator<Item = &'r [u8]> + use<'r, 'n> {
        self.parts.headers.iter().filter(move |(known, _)| is_named(known.as_bytes(), name)).map(|(_, value)| *value)
    }

    /// The URL, taken apart.
    pub fn url(&self) -> &UrlParts<'r> {
        self.url.get_or_init(|| UrlParts::split(self.parts.url))
    }

    /// The URL as received, taken apart.
    fn received(&self) -> &UrlParts<'r> {
        self.received.as_ref().unwrap_or_else(|| self.url())
    }

    /// The path as received; a request for the root of a site may be written without one.
    fn raw_path(&self) -> &'r str {
        let path = self.received().path;
        if path.is_empty() { "/" } else { path }
    }

    #[inline]
    fn path(&self) -> &'r [u8] {
        self.path.get_or_init(|| normal_path(self.raw_path(), self.arena))
    }

    /// `before`, the normalised path, and the query with its `?`; `whole` where that is what it comes to.
    fn with_normal_path(&self, before: &str, whole: &'r str) -> &'r [u8] {
        let url = self.url();
        let path = self.path();
        if path == url.path.as_bytes() {
            return whole.as_bytes();
        }
        let mut text = BumpVec::new_in(self.arena);
        text.extend_from_slice_copy(before.as_bytes());
        text.extend_from_slice_copy(path);
        if let Some(query) = url.query {
            text.push(b'?');
            text.extend_from_slice_copy(query.as_bytes());
        }
        text.into_bump_slice()
    }

    #[inline]
    pub(crate) fn host(&self) -> &'r [u8] {
        self.host.get_or_init(|| self.url().host_and_port().as_bytes())
    }

    #[inline]
    pub(crate) fn user_agent(&self) -> &'r [u8] {
        self.user_agent.get_or_init(|| self.header("user-agent").unwrap_or(b""))
    }

    fn arguments(&self) -> impl Iterator<Item = (&'r [u8], &'r [u8])> {
        let query = self.url().query.unwrap_or("").as_bytes();
        query.split(|&byte| byte == b'&').filter(|piece| !piece.is_empty()).map(|piece| {
            match memchr::memchr(b'=', piece) {
                Some(at) => (&piece[..at], &piece[at + 1..]),
                None => (piece, &piece[piece.len()..]),
            }
        })
    }

    /// The Cookie header; several, as HTTP/2 may send them, are one (RFC 9113, section 8.2.3).
    pub(crate) fn cookie_header(&self) -> &'r [u8] {
        self.cookie_header.get_or_init(|| joined(self.headers_named(b"cookie"), b"; ", self.arena).unwrap_or(b""))
    }

    fn cookies(&self) -> impl Iterator<Item = (&'r [u8], &'r [u8])> {
        cookies::cookies(self.cookie_header()).map(|(name, value)| (decoded_name(name, self.arena), value))
    }

    /// The Host header where none was sent because `:authority` says the same (RFC 9113, section 8.3.1).
    fn host_of_authority(&self) -> Option<&'r [u8]> {
        Some(self.host()).filter(|host| !host.is_empty() && self.header("host").is_none())
    }

    /// All headers, whichever version of HTTP they came by.
    pub(crate) fn lower_case_headers(&self) -> impl Iterator<Item = (&'r [u8], &'r [u8])> {
        let sent = self.parts.headers.iter().map(|(name, value)| (lower(name.as_bytes(), self.arena), *value));
        sent.chain(self.host_of_authority().map(|host| (&b"host"[..], host)))
    }

    /// A header that may be sent in several lines (RFC 9110, section 5.3), as one text.
    pub(crate) fn combined_header(&self, name: &[u8]) -> &'r [u8] {
        joined(self.headers_named(name), b", ", self.arena).unwrap_or(b"")
    }

    fn standard(&self, field: Field) -> Option<Value<'r>> {
        use Field::*;
        let parts = &self.parts;
        Some(match field {
            HttpHost => Value::Bytes(self.host()),
            HttpRequestMethod => Value::Bytes(upper(parts.method.as_bytes(), self.arena)),
            HttpRequestUri => Value::Bytes(self.with_normal_path("", self.url().path_and_query())),
            HttpRequestUriPath => Value::Bytes(self.path()),
            HttpRequestUriPathExtension => Value::Bytes(extension(self.path(), self.arena)),
            HttpRequestUriQuery | RawHttpRequestUriQuery => text(self.url().query.unwrap_or("")),
            HttpRequestUriArgs | RawHttpRequestUriArgs => by_name(self.arguments(), self.arena),
            HttpRequestUriArgsNames | RawHttpRequestUriArgsNames => {
                array(self.arguments().map(|pair| pair.0), self.arena)
            }
            HttpRequestUriArgsValues | RawHttpRequestUriArgsValues => {
                array(self.arguments().map(|pair| pair.1), self.arena)
            }
            HttpRequestFullUri => {
                Value::Bytes(self.with_normal_path(self.url().before_path(), self.url().without_fragment()))
            }
            RawHttpRequestUri => Value::Bytes(joined_to_root(self.received().path_and_query(), self.arena)),
            RawHttpRequestUriPath => text(self.raw_path()),
            RawHttpRequestUriPathExtension => Value::Bytes(extension(self.raw_path().as_bytes(), self.arena)),
            RawHttpRequestFullUri => text(self.received().without_fragment()),
            HttpCookie => Value::Bytes(self.cookie_header()),
            HttpRequestCookies => by_name(self.cookies(), self.arena),
            HttpUserAgent => Value::Bytes(self.user_agent()),
            HttpReferer => Value::Bytes(self.header("referer").unwrap_or(b"")),
            HttpXForwardedFor => Value::Bytes(self.combined_header(b"x-forwarded-for")),
            HttpRequestHeaders => by_name(self.lower_case_headers(), self.arena),
            HttpRequestHeadersNames => names(self.lower_case_headers(), self.arena),
            HttpRequestHeadersValues => values(self.lower_case_headers(), self.arena),
            HttpRequestHeadersTruncated => Value::Bool(false),
            HttpRequestAcceptedLanguages => accepted_languages(self.combined_header(b"accept-language"), self.arena),
            HttpRequestVersion if parts.version.is_empty() => return None,
            HttpRequestVersion => text(parts.version),
            HttpRequestTimestampSec => Value::Int(parts.received_ms.div_euclid(1000)),
            HttpRequestTimestampMsec => Value::Int(parts.received_ms.rem_euclid(1000)),
            IpSrc => Value::Ip(parts.client_ip?),
            Ssl => Value::Bool(self.url().is_secure()),
            CfEdgeServerPort | TcpDstport => Value::Int(self.received().port().into()),
            _ if field.is_of_triggers() => return None,
            _ => return parts.facts.fact(field, self.arena),
        })
    }
}

impl Subject for RequestView<'_> {
    #[inline]
    fn field<'a>(&'a self, field: FieldId, _: &'a Bump) -> Option<Value<'a>> {
        const HOST: FieldId = FieldId(Field::HttpHost as u16);
        const PATH: FieldId = FieldId(Field::HttpRequestUriPath as u16);
        const USER_AGENT: FieldId = FieldId(Field::HttpUserAgent as u16);
        const IP: FieldId = FieldId(Field::IpSrc as u16);
        // Nearly every rule asks for one of these; the others are worth a call.
        match field {
            HOST => Some(Value::Bytes(self.host())),
            PATH => Some(Value::Bytes(self.path())),
            USER_AGENT => Some(Value::Bytes(self.user_agent())),
            IP => self.parts.client_ip.map(Value::Ip),
            _ => self.standard(field.standard()?),
        }
    }

    fn entry<'a>(&'a self, field: FieldId, key: &[u8], _: &'a Bump) -> Option<Value<'a>> {
        let arena = self.arena;
        match field.standard()? {
            Field::HttpRequestHeaders if key.iter().any(u8::is_ascii_uppercase) => None,
            Field::HttpRequestHeaders if key == b"host" => {
                of_name(self.headers_named(key).chain(self.host_of_authority()), arena)
            }
            Field::HttpRequestHeaders => of_name(self.headers_named(key), arena),
            Field::HttpRequestCookies => of_name(named(self.cookies(), key), arena),
            Field::HttpRequestUriArgs | Field::RawHttpRequestUriArgs => of_name(named(self.arguments(), key), arena),
            field => self.standard(field)?.get(key),
        }
    }

    fn keys<'a>(&'a self, field: FieldId, _: &'a Bump, each: &mut dyn FnMut(&[u8])) {
        match field.standard() {
            Some(Field::HttpRequestHeaders) => {
                self.lower_case_headers().for_each(|(name, _)| each(name));
            }
            Some(Field::HttpRequestCookies) => self.cookies().for_each(|(name, _)| each(name)),
            Some(Field::HttpRequestUriArgs | Field::RawHttpRequestUriArgs) => {
                self.arguments().for_each(|(name, _)| each(name));
            }
            Some(field) => {
                if let Some(Value::Map(entries)) = self.standard(field) {
                    entries.iter().for_each(|(key, _)| each(key));
                }
            }
            None => {}
        }
    }
}

/// Whether two names differ at most in case. Most of them are told apart by their lengths or their first letters.
#[inline]
fn is_named(known: &[u8], name: &[u8]) -> bool {
    let is_same = |(one, other): (&u8, &u8)| one == other || one.eq_ignore_ascii_case(other);
    known.len() == name.len() && known.iter().zip(name).all(is_same)
}

fn text(text: &str) -> Value<'_> {
    Value::Bytes(text.as_bytes())
}

fn named<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>, key: &[u8]) -> impl Iterator<Item = &'a [u8]> {
    pairs.filter(move |(name, _)| *name == key).map(|(_, value)| value)
}

/// A cookie's name with its escapes decoded; a broken escape stays as it is.
fn decoded_name<'a>(name: &'a [u8], arena: &'a Bump) -> &'a [u8] {
    if memchr::memchr(b'%', name).is_none() {
        return name;
    }
    let mut decoded = BumpVec::with_capacity_in(name.len(), arena);
    decoded.extend(percent_encoding::percent_decode(name));
    decoded.into_bump_slice()
}

/// Path and query as a request line has them: a root that was left out is written.
fn joined_to_root<'a>(path_and_query: &'a str, arena: &'a Bump) -> &'a [u8] {
    if path_and_query.is_empty() || path_and_query.starts_with('?') {
        let mut uri = BumpVec::with_capacity_in(path_and_query.len() + 1, arena);
        uri.push(b'/');
        uri.extend_from_slice_copy(path_and_query.as_bytes());
        return uri.into_bump_slice();
    }
    path_and_query.as_bytes()
}

/// The lower-cased text after the last dot of the last segment; empty where the segment starts with that dot.
fn extension<'a>(path: &'a [u8], arena: &'a Bump) -> &'a [u8] {
    let segment = &path[memchr::memrchr(b'/', path).map_or(0, |at| at + 1)..];
    match memchr::memrchr(b'.', segment) {
        None | Some(0) => b"",
        Some(at) => lower(&segment[at + 1..], arena),
    }
}

/// Language ranges by descending weight, ties in the order they were sent; those that are refused (`q=0`) are left out
/// (RFC 9110, section 12.5.4).
fn accepted_languages<'a>(header: &'a [u8], arena: &'a Bump) -> Value<'a> {
    let mut ranges = BumpVec::new_in(arena);
    for (order, item) in header.split(|&byte| byte == b',').enumerate() {
        let mut parts = item.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let range = parts.next().unwrap_or(b"");
        let weight = parts.find_map(|part| part.strip_prefix(b"q=").or_else(|| part.strip_prefix(b"Q=")));
        let weight = weight.map_or(1000, thousandths);
        if !range.is_empty() && weight > 0 {
            ranges.push((std::cmp::Reverse(weight), order, range));
        }
    }
    ranges.sort_unstable();
    array(ranges.iter().map(|&(_, _, range)| range), arena)
}

/// A weight of RFC 9110, section 12.4.2, in thousandths; 0 where it is none.
fn thousandths(weight: &[u8]) -> u16 {
    let parsed = std::str::from_utf8(weight).ok().and_then(|weight| weight.parse::<f32>().ok());
    parsed.filter(|weight| (0.0..=1.0).contains(weight)).map_or(0, |weight| (weight * 1000.0).round() as u16)
}

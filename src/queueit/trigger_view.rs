//! One request as triggers see it (docs/protocol/queue-it.md#how-operators-compare).

use std::borrow::Cow;
use std::cell::OnceCell;

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;

use super::cookies;
use super::encoding::decode_component;
use super::normalize::normalize;
use crate::request::multimap::{joined, one_by_name};
use crate::request::{Field, FieldId, RequestView, Subject, UrlParts, Value};

/// A request, and what Queue-it's triggers see of it besides: its URL without the token, also normalised, and cookies and
/// headers as the official adapters find them. An absent cookie or header is an empty text; no `trigger.*` field is ever
/// missing.
pub struct TriggerView<'r> {
    request: RequestView<'r>,
    pure_url: &'r str,
    pure_parts: OnceCell<UrlParts<'r>>,
    normalized_url: OnceCell<UrlParts<'r>>,
}

impl<'r> TriggerView<'r> {
    /// The view of a request whose URL without the token is `pure_url`; the same as its URL where there is no token.
    pub fn new(request: RequestView<'r>, pure_url: &'r str) -> TriggerView<'r> {
        TriggerView { request, pure_url, pure_parts: OnceCell::new(), normalized_url: OnceCell::new() }
    }

    /// The same request as an origin sees it that takes its authority and path for these; see [`RequestView::reading`].
    pub fn reading(&self, authority: &'r str, path: &'r str) -> TriggerView<'r> {
        let arena = self.request.arena();
        let normalized = UrlParts::split(self.normalized_url().read_as(authority, path, arena));
        TriggerView {
            normalized_url: normalized.into(),
            ..TriggerView::new(self.request.reading(authority, path), self.pure_parts().read_as(authority, path, arena))
        }
    }

    /// What is asked for, without the token.
    pub fn pure_url(&self) -> &'r str {
        self.pure_url
    }

    fn pure_parts(&self) -> &UrlParts<'r> {
        self.pure_parts.get_or_init(|| match std::ptr::eq(self.pure_url, self.request.parts().url) {
            true => *self.request.url(),
            false => UrlParts::split(self.pure_url),
        })
    }

    fn normalized_url(&self) -> &UrlParts<'r> {
        self.normalized_url.get_or_init(|| match normalize(self.pure_url) {
            Cow::Borrowed(url) if url.len() == self.pure_url.len() => *self.pure_parts(),
            Cow::Borrowed(url) => UrlParts::split(url),
            Cow::Owned(url) => UrlParts::split(self.request.arena().alloc_str(&url)),
        })
    }

    /// A cookie's value with its escapes decoded; one with broken escapes stays as it is.
    fn decoded(&self, raw: &'r [u8]) -> &'r [u8] {
        if memchr::memchr(b'%', raw).is_none() {
            return raw;
        }
        let mut decoded = BumpVec::with_capacity_in(raw.len(), self.request.arena());
        match decode_component(raw, &mut decoded) {
            Ok(()) => decoded.into_bump_slice(),
            Err(_) => raw,
        }
    }

    /// The value of a field of triggers.
    fn of_triggers(&self, field: Field) -> Option<Value<'r>> {
        let arena = self.request.arena();
        Some(match field {
            Field::TriggerPageUrl => text(self.pure_url),
            Field::TriggerHostName => text(self.pure_parts().authority.unwrap_or("")),
            Field::TriggerPagePath => text(self.pure_parts().path),
            Field::TriggerNormalizedPageUrl => text(self.normalized_url().whole),
            Field::TriggerNormalizedHostName => text(self.normalized_url().authority.unwrap_or("")),
            Field::TriggerNormalizedPagePath => text(self.normalized_url().path),
            Field::TriggerCookies => one_by_name(
                cookies::named_cookies(self.request.cookie_header()),
                |values| values.last().map_or(b"", |raw| self.decoded(raw)),
                arena,
            ),
            Field::TriggerHeaders => one_by_name(
                self.request.lower_case_headers(),
                |values| joined(values, b", ", arena).unwrap_or(b""),
                arena,
            ),
            Field::TriggerUserAgent => Value::Bytes(self.request.user_agent()),
            Field::TriggerBody => text(self.request.parts().body),
            _ => return None,
        })
    }
}

/// The field with this id, if it is one of triggers.
#[inline]
fn trigger(field: FieldId) -> Option<Field> {
    const FIRST: FieldId = FieldId(Field::TriggerPageUrl as u16);
    if field < FIRST { None } else { field.standard() }
}

impl Subject for TriggerView<'_> {
    #[inline]
    fn field<'a>(&'a self, field: FieldId, arena: &'a Bump) -> Option<Value<'a>> {
        match trigger(field) {
            None => self.request.field(field, arena),
            Some(field) => self.of_triggers(field),
        }
    }

    fn entry<'a>(&'a self, field: FieldId, key: &[u8], arena: &'a Bump) -> Option<Value<'a>> {
        match trigger(field) {
            None => self.request.entry(field, key, arena),
            Some(Field::TriggerHeaders) if key.eq_ignore_ascii_case(b"host") => Some(Value::Bytes(self.request.host())),
            Some(Field::TriggerHeaders) => Some(Value::Bytes(self.request.combined_header(key))),
            Some(Field::TriggerCookies) => {
                let raw = cookies::raw_cookie(self.request.cookie_header(), key);
                Some(Value::Bytes(raw.map_or(b"", |raw| self.decoded(raw))))
            }
            Some(field) => self.of_triggers(field)?.get(key),
        }
    }

    fn keys<'a>(&'a self, field: FieldId, arena: &'a Bump, each: &mut dyn FnMut(&[u8])) {
        match trigger(field) {
            Some(Field::TriggerHeaders) => self.request.lower_case_headers().for_each(|(name, _)| each(name)),
            Some(Field::TriggerCookies) => {
                cookies::named_cookies(self.request.cookie_header()).for_each(|(name, _)| each(name));
            }
            _ => self.request.keys(field, arena, each),
        }
    }
}

fn text(text: &str) -> Value<'_> {
    Value::Bytes(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::OwnedRequest;

    /// Lends a request as triggers see it whose URL has no token.
    fn with_view<R>(request: &OwnedRequest, look: impl FnOnce(&TriggerView<'_>, &Bump) -> R) -> R {
        request.with_view(|view| look(&TriggerView::new(view.clone(), view.parts().url), &Bump::new()))
    }

    fn show(value: Option<Value<'_>>) -> String {
        match value {
            Some(Value::Bytes(text)) => String::from_utf8_lossy(text).into_owned(),
            Some(Value::Map(entries)) => {
                let show = |(key, value): &(&[u8], Value<'_>)| {
                    format!("{}={}", String::from_utf8_lossy(key), show(Some(*value)))
                };
                entries.iter().map(show).collect::<Vec<_>>().join("|")
            }
            other => panic!("{other:?}"),
        }
    }

    fn ask(request: &OwnedRequest, name: &str) -> String {
        let field = Field::by_name(name).unwrap_or_else(|| panic!("{name}"));
        with_view(request, |view, arena| show(view.field(field.into(), arena)))
    }

    fn entry(request: &OwnedRequest, name: &str, key: &str) -> String {
        let field = Field::by_name(name).unwrap_or_else(|| panic!("{name}"));
        with_view(request, |view, arena| show(view.entry(field.into(), key.as_bytes(), arena)))
    }

    #[test]
    fn the_url_is_seen_as_it_is_and_normalised() {
        let request = OwnedRequest::new("https://u@Shop.example:8443//a/./Img.PNG?x=1&y&x=%20&&=z#frag");
        for (field, expected) in [
            ("trigger.page_url", "https://u@Shop.example:8443//a/./Img.PNG?x=1&y&x=%20&&=z#frag"),
            ("trigger.host_name", "u@Shop.example:8443"),
            ("trigger.page_path", "//a/./Img.PNG"),
            ("trigger.normalized.page_path", "/a/Img.PNG"),
        ] {
            assert_eq!(ask(&request, field), expected, "{field}");
        }
        let root = OwnedRequest::new("http://shop.example?q");
        for field in ["trigger.page_path", "trigger.normalized.page_path"] {
            assert_eq!(ask(&root, field), "/", "{field}");
        }
    }

    #[test]
    fn absent_cookies_and_headers_are_empty() {
        let request = OwnedRequest::new("http://h/")
            .header("X-A", "1")
            .header("x-a", "2")
            .header("User-Agent", "UA")
            .header("Cookie", "a=1; b%20c=%zz")
            .header("cookie", "a=2=3");
        assert_eq!(ask(&request, "trigger.cookies"), "a=2|b%20c=%zz");
        assert_eq!(ask(&request, "trigger.user_agent"), "UA");
        for (name, key, expected) in [
            ("trigger.headers", "x-a", "1, 2"),
            ("trigger.headers", "X-A", "1, 2"),
            ("trigger.headers", "none", ""),
            ("trigger.cookies", "a", "2"),
            ("trigger.cookies", "none", ""),
        ] {
            assert_eq!(entry(&request, name, key), expected, "{name}[{key}]");
        }
    }

    #[test]
    fn a_cookie_with_broken_escapes_is_seen_as_it_is() {
        let request = OwnedRequest::new("http://h/").header("cookie", "good=%C3%A9; bad=%zz");
        assert_eq!(entry(&request, "trigger.cookies", "good"), "é");
        assert_eq!(entry(&request, "trigger.cookies", "bad"), "%zz");
    }

    #[test]
    fn every_request_has_every_field_of_triggers() {
        for url in ["", "?", "#", "://", "http://", "%", "http://[", "http://h:99999999/", "http://h/\0é%"] {
            let request = OwnedRequest::new(url);
            let ids = || Field::ALL.iter().filter(|field| field.is_of_triggers()).map(|&field| FieldId::from(field));
            assert!(with_view(&request, |view, arena| ids().all(|field| view.field(field, arena).is_some())), "{url}");
            assert!(request.with_view(|view| ids().all(|field| view.field(field, &Bump::new()).is_none())), "{url}");
        }
    }
}

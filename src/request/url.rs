//! Taking a URL apart.

use bumpalo::Bump;
use bumpalo::collections::String as BumpString;

use super::canonical::Authority;

/// A URL split by the expression of RFC 3986, appendix B. Every text has such a split, and nothing is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UrlParts<'u> {
    /// The text that was split.
    pub whole: &'u str,
    /// Without the colon; empty where there is none.
    pub scheme: &'u str,
    /// What follows `//`: user info, host and port as they stand; `None` without `//`.
    pub authority: Option<&'u str>,
    /// Up to `?` or `#`; may be empty.
    pub path: &'u str,
    /// Without `?`; `None` without one.
    pub query: Option<&'u str>,
    /// Without `#`; `None` without one.
    pub fragment: Option<&'u str>,
}

impl<'u> UrlParts<'u> {
    /// Splits `whole`.
    pub fn split(whole: &'u str) -> Self {
        let (before, query, fragment) = match memchr::memchr2(b'?', b'#', whole.as_bytes()) {
            None => (whole, None, None),
            Some(at) if whole.as_bytes()[at] == b'#' => (&whole[..at], None, Some(&whole[at + 1..])),
            Some(at) => {
                let (query, fragment) = cut(&whole[at + 1..], b'#');
                (&whole[..at], Some(query), fragment)
            }
        };
        let (scheme, rest) = cut_scheme(before);
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => {
                // Too short for a searcher to pay.
                let (authority, path) = rest.split_at(rest.bytes().position(|byte| byte == b'/').unwrap_or(rest.len()));
                (Some(authority), path)
            }
            None => (None, rest),
        };
        UrlParts { whole, scheme, authority, path, query, fragment }
    }

    /// The authority without user info.
    pub fn host_and_port(&self) -> &'u str {
        let authority = self.authority.unwrap_or("");
        // Too short for a searcher to pay.
        authority.bytes().rposition(|byte| byte == b'@').map_or(authority, |at| &authority[at + 1..])
    }

    /// Whether the scheme is one that runs over TLS.
    pub fn is_secure(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("https") || self.scheme.eq_ignore_ascii_case("wss")
    }

    /// The port that is written, or the scheme's own.
    pub fn port(&self) -> u16 {
        let written = Authority::of(self.host_and_port()).port().and_then(|port| port.parse().ok());
        written.unwrap_or(if self.is_secure() { 443 } else { 80 })
    }

    /// Everything before the path: scheme and authority.
    pub fn before_path(&self) -> &'u str {
        &self.whole[..self.path_at()]
    }

    /// Path and query, `?` included.
    pub fn path_and_query(&self) -> &'u str {
        &self.without_fragment()[self.path_at()..]
    }

    /// Everything before the fragment.
    pub fn without_fragment(&self) -> &'u str {
        let fragment = self.fragment.map_or(0, |fragment| fragment.len() + 1);
        &self.whole[..self.whole.len() - fragment]
    }

    /// The URL as an origin reads it that takes its authority and path for these; without fragment.
    pub(crate) fn read_as<'a>(&self, authority: &str, path: &str, arena: &'a Bump) -> &'a str {
        let mut text = BumpString::with_capacity_in(self.whole.len() + path.len(), arena);
        for part in [self.scheme, "://", authority, path] {
            text.push_str(part);
        }
        if let Some(query) = self.query {
            text.push('?');
            text.push_str(query);
        }
        text.into_bump_str()
    }

    fn path_at(&self) -> usize {
        let scheme = if self.scheme.is_empty() { 0 } else { self.scheme.len() + 1 };
        scheme + self.authority.map_or(0, |authority| authority.len() + 2)
    }
}

/// An absolute URL's scheme and authority, and the rest.
pub(crate) fn split_path(url: &str) -> (&str, &str) {
    let bytes = url.as_bytes();
    let scheme = memchr::memchr(b':', bytes).filter(|&at| bytes[at..].starts_with(b"://"));
    let authority = scheme.map_or(0, |at| at + "://".len());
    // Too short for a searcher to pay.
    let length = bytes[authority..].iter().position(|byte| matches!(byte, b'/' | b'\\' | b'?' | b'#'));
    url.split_at(length.map_or(url.len(), |length| authority + length))
}

fn cut_scheme(text: &str) -> (&str, &str) {
    // Nearly every URL has this one.
    if let Some(rest) = text.strip_prefix("https:") {
        return ("https", rest);
    }
    match text.bytes().position(|byte| byte == b':' || byte == b'/') {
        Some(at) if at > 0 && text.as_bytes()[at] == b':' => (&text[..at], &text[at + 1..]),
        _ => ("", text),
    }
}

/// What is before and after the first such (ASCII) byte.
fn cut(text: &str, byte: u8) -> (&str, Option<&str>) {
    match memchr::memchr(byte, text.as_bytes()) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_as_appendix_b_does() {
        let url = UrlParts::split("HTTPS://u:p@Shop.example:8443/a/b;c?x=1?y#f#?g");
        assert_eq!(url.scheme, "HTTPS");
        assert_eq!(url.authority, Some("u:p@Shop.example:8443"));
        assert_eq!(url.path, "/a/b;c");
        assert_eq!(url.query, Some("x=1?y"));
        assert_eq!(url.fragment, Some("f#?g"));
        assert_eq!(url.host_and_port(), "Shop.example:8443");
        assert_eq!((url.port(), url.is_secure()), (8443, true));
        assert_eq!(url.before_path(), "HTTPS://u:p@Shop.example:8443");
        assert_eq!(url.path_and_query(), "/a/b;c?x=1?y");
        assert_eq!(url.without_fragment(), "HTTPS://u:p@Shop.example:8443/a/b;c?x=1?y");
    }

    #[test]
    fn odd_texts_have_a_split() {
        for (text, scheme, authority, path, query) in [
            ("", "", None, "", None),
            ("/a", "", None, "/a", None),
            ("a/b:c", "", None, "a/b:c", None),
            (":a", "", None, ":a", None),
            ("h.example/a", "", None, "h.example/a", None),
            ("//h?x", "", Some("h"), "", Some("x")),
            ("http:a", "http", None, "a", None),
            ("http://h?", "http", Some("h"), "", Some("")),
            ("http://[::1]", "http", Some("[::1]"), "", None),
        ] {
            let url = UrlParts::split(text);
            assert_eq!((url.scheme, url.authority, url.path, url.query), (scheme, authority, path, query), "{text}");
        }
        assert_eq!(UrlParts::split("http://[::1]/").port(), 80);
        assert_eq!(UrlParts::split("https://[::1]:99/").port(), 99);
        assert_eq!(UrlParts::split("https://h:notaport/").port(), 443);
    }
}

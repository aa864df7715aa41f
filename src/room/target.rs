//! Where a visitor may be sent: only to hosts of the site.

use std::collections::BTreeSet;

use crate::request::Authority;

/// Host names, with a port where it is not the scheme's own, that visitors may be sent to.
#[derive(Clone, Debug, Default)]
pub struct AllowedHosts(BTreeSet<String>);

impl<S: AsRef<str>> FromIterator<S> for AllowedHosts {
    fn from_iter<I: IntoIterator<Item = S>>(hosts: I) -> Self {
        AllowedHosts(hosts.into_iter().map(|host| host.as_ref().to_ascii_lowercase()).collect())
    }
}

/// An absolute URL on a host of the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target(String);

impl AllowedHosts {
    /// Reads a target URL; `None` unless it is plainly an absolute http(s) URL on one of the hosts.
    ///
    /// What browsers and URL parsers disagree on is refused rather than interpreted: control characters, spaces,
    /// backslashes and user info.
    pub(super) fn target(&self, url: &str) -> Option<Target> {
        if url.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return None;
        }
        let (scheme, rest) = url.split_once("://")?;
        let default_port = match scheme.to_ascii_lowercase().as_str() {
            "http" => "80",
            "https" => "443",
            _ => return None,
        };
        let authority = rest.split(['/', '?', '#']).next()?.to_ascii_lowercase();
        self.0.contains(Authority::of(&authority).without(default_port)).then(|| Target(url.to_owned()))
    }
}

impl Target {
    /// The URL as it is, in ASCII.
    pub(super) fn url(&self) -> String {
        ascii(&self.0)
    }

    /// The URL with a token in its query; one it already has is replaced.
    pub(super) fn with_token(&self, token: &str) -> String {
        let (before, fragment) = match self.0.split_once('#') {
            Some((before, fragment)) => (before, Some(fragment)),
            None => (self.0.as_str(), None),
        };
        let (page, query) = before.split_once('?').unwrap_or((before, ""));
        let is_token =
            |pair: &str| pair.split('=').next().is_some_and(|name| name.eq_ignore_ascii_case("queueittoken"));
        let kept = query.split('&').filter(|pair| !pair.is_empty() && !is_token(pair));
        let query = kept.map(str::to_owned).chain([format!("queueittoken={token}")]).collect::<Vec<_>>().join("&");
        let fragment = fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
        // An empty path is written, so that nobody takes the query for a part of the host.
        let slash = if page.matches('/').count() == 2 { "/" } else { "" };
        ascii(&format!("{page}{slash}?{query}{fragment}"))
    }
}

/// Header values are ASCII: the rest is percent-encoded as UTF-8.
fn ascii(url: &str) -> String {
    percent_encoding::utf8_percent_encode(url, percent_encoding::CONTROLS).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> AllowedHosts {
        ["shop.example", "127.0.0.1:8080"].into_iter().collect()
    }

    #[test]
    fn only_hosts_of_the_site_are_targets() {
        for good in [
            "https://shop.example",
            "https://shop.example/",
            "HTTPS://SHOP.example:443/a?b#c",
            "http://shop.example:80?x",
            "http://127.0.0.1:8080/shop?t=https://evil.example",
        ] {
            assert!(hosts().target(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "/shop",
            "//shop.example/",
            "https:shop.example",
            "https://evil.example/",
            "https://evil.example/?https://shop.example/",
            "https://shop.example.evil.example/",
            "https://shop.example@evil.example/",
            "https://user@shop.example/",
            "https://evil.example#@shop.example/",
            "https://evil.example\\@shop.example/",
            "https://shop.example\\.evil.example/",
            "https://shop.example:8443/",
            "http://shop.example:443/",
            "http://127.0.0.1/",
            "javascript://shop.example/%0aalert(1)",
            "java\nscript:alert(1)",
            "https://shop.example/\r\nSet-Cookie: a=b",
            "https://shop.example /",
            "\thttps://shop.example/",
            "ftp://shop.example/",
        ] {
            assert!(hosts().target(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn the_token_joins_the_query_before_the_fragment() {
        for (url, expected) in [
            ("https://shop.example", "https://shop.example/?queueittoken=T"),
            ("https://shop.example?a=1", "https://shop.example/?a=1&queueittoken=T"),
            ("https://shop.example/p", "https://shop.example/p?queueittoken=T"),
            ("https://shop.example/p?a=1&b=/", "https://shop.example/p?a=1&b=/&queueittoken=T"),
            ("https://shop.example/p?#f?g", "https://shop.example/p?queueittoken=T#f?g"),
            ("https://shop.example/p?a=1#f", "https://shop.example/p?a=1&queueittoken=T#f"),
            ("https://shop.example/p?queueittoken=old&a=1", "https://shop.example/p?a=1&queueittoken=T"),
            ("https://shop.example/ø", "https://shop.example/%C3%B8?queueittoken=T"),
        ] {
            let target = hosts().target(url).expect(url);
            assert_eq!(target.with_token("T"), expected);
        }
    }
}

//! Which headers go on to the next hop, and what a proxy adds to them.

use std::net::IpAddr;

use hyper::header::{
    CACHE_CONTROL, CONNECTION, COOKIE, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE, VIA,
};

use super::visitor::{Visitor, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO};
use crate::connector::edge::{self, VERDICT_HEADER};

/// Meant for this hop alone, beside those that Connection names (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

const PSEUDONYM: HeaderValue = HeaderValue::from_static("1.1 velvetrope");

/// The protocol that a request or response wants to change to, if Connection says so, too.
pub(super) fn upgrade_of(headers: &HeaderMap) -> Option<HeaderValue> {
    let named = connection_options(headers).any(|option| option.eq_ignore_ascii_case("upgrade"));
    headers.get(UPGRADE).filter(|_| named).cloned()
}

/// Whether whoever sent a message takes no more on this connection.
pub(super) fn is_last(headers: &HeaderMap) -> bool {
    connection_options(headers).any(|option| option.eq_ignore_ascii_case("close"))
}

/// Removes what is not for the next hop.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = connection_options(headers).filter_map(|name| name.parse().ok()).collect();
    for name in named.iter().filter(|name| !is_vital(name)).chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Lets a message change the protocol of this hop, too.
pub(super) fn set_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// Makes the headers of a response those of one that belongs to its visitor alone.
pub(super) fn make_private(headers: &mut HeaderMap) {
    let edge::Private { cache_control, unfit } =
        edge::private(headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())));
    let unfit: Vec<HeaderName> = unfit.into_iter().filter_map(|name| name.parse().ok()).collect();
    let cache_control = HeaderValue::try_from(cache_control);
    for name in unfit {
        headers.remove(name);
    }
    headers.insert(CACHE_CONTROL, cache_control.unwrap_or(HeaderValue::from_static("private, no-store")));
}

/// Makes a visitor's headers those of the request to the origin.
pub(super) fn for_origin(headers: &mut HeaderMap, visitor: &Visitor, peer: IpAddr, trusts_hops: bool) {
    remove_hop_by_hop(headers);
    headers.remove(VERDICT_HEADER);
    // The visitor's body is asked for as soon as the origin wants it; nothing is left to expect.
    headers.remove(EXPECT);
    join_cookies(headers);
    if !trusts_hops {
        for name in [X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST, FORWARDED] {
            headers.remove(name);
        }
    }
    append_to_list(headers, X_FORWARDED_FOR, &peer.to_canonical().to_string());
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(visitor.url.scheme()));
    if let Ok(host) = HeaderValue::from_str(visitor.url.authority()) {
        headers.entry(X_FORWARDED_HOST).or_insert(host.clone());
        headers.insert(HOST, host);
    }
    headers.append(VIA, PSEUDONYM);
}

/// Headers that Connection must not be able to take away: others rely on them.
fn is_vital(name: &HeaderName) -> bool {
    *name == HOST || *name == COOKIE || *name == X_FORWARDED_FOR || name.as_str().starts_with("x-forwarded-")
}

fn connection_options(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(CONNECTION).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|option| !option.is_empty())
}

/// HTTP/2 may send cookies in several lines; HTTP/1.1 may not (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let lines: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if lines.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&lines.join(&b"; "[..]))
    {
        headers.insert(COOKIE, joined);
    }
}

/// One list in one line: servers differ in what they make of several.
fn append_to_list(headers: &mut HeaderMap, name: HeaderName, entry: &str) {
    let lines = headers.get_all(&name).iter().map(HeaderValue::as_bytes);
    let list: Vec<&[u8]> = lines.chain([entry.as_bytes()]).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&list.join(&b", "[..])) {
        headers.insert(name, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::CanonicalUrl;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn all(headers: &HeaderMap) -> Vec<String> {
        let mut all: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("text"))).collect();
        all.sort();
        all
    }

    fn forwarded(lines: &[(&'static str, &'static str)], trusts_hops: bool) -> Vec<String> {
        let mut headers = headers(lines);
        let visitor = Visitor { address: None, url: CanonicalUrl::new("http", "shop.example", "/").expect("a URL") };
        for_origin(&mut headers, &visitor, IpAddr::from([10, 0, 0, 9]), trusts_hops);
        all(&headers)
    }

    #[test]
    fn what_is_for_one_hop_stays_there() {
        let lines = [
            ("connection", "keep-alive, X-Private"),
            ("connection", "close, x-forwarded-for, host, cookie"),
            ("x-private", "1"),
            ("keep-alive", "5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("proxy-authorization", "x"),
            ("upgrade", "h2c"),
            ("x-velvetrope-verdict", "bypass"),
            ("expect", "100-continue"),
            ("cookie", "a=1"),
            ("cookie", "b=2"),
            ("accept", "*/*"),
        ];
        let expected = [
            "accept: */*",
            "cookie: a=1; b=2",
            "host: shop.example",
            "via: 1.1 velvetrope",
            "x-forwarded-for: 10.0.0.9",
            "x-forwarded-host: shop.example",
            "x-forwarded-proto: http",
        ];
        assert_eq!(forwarded(&lines, false), expected);
    }

    #[test]
    fn forwarding_headers_are_believed_only_from_trusted_hops() {
        let lines = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "2.2.2.2"),
            ("x-forwarded-host", "outer.example"),
            ("forwarded", "for=1.1.1.1"),
        ];
        assert!(forwarded(&lines, false).contains(&"x-forwarded-for: 10.0.0.9".to_owned()));
        assert!(!forwarded(&lines, false).iter().any(|line| line.contains("1.1.1.1") || line.contains("outer")));
        let trusted = forwarded(&lines, true);
        assert!(trusted.contains(&"x-forwarded-for: 1.1.1.1, 2.2.2.2, 10.0.0.9".to_owned()));
        assert!(trusted.contains(&"x-forwarded-host: outer.example".to_owned()));
    }

    #[test]
    fn an_upgrade_needs_both_headers() {
        assert!(upgrade_of(&headers(&[("upgrade", "websocket")])).is_none());
        assert!(upgrade_of(&headers(&[("connection", "Upgrade")])).is_none());
        assert!(upgrade_of(&headers(&[("upgrade", "websocket"), ("connection", "keep-alive, Upgrade")])).is_some());
    }
}

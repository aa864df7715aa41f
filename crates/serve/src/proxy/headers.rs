//! Which headers go on to the next hop, and what a proxy adds to them.

use std::net::IpAddr;

use hyper::header::{
    CACHE_CONTROL, CONNECTION, COOKIE, EXPECT, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE, VIA,
};

use super::visitor::Visitor;
use velvetrope::internal::edge::{self, is_forwarding_header, is_oddly_spelt, is_taken_for, is_verdict_header};

/// Meant for this hop alone, beside those that Connection names (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

const PSEUDONYM: HeaderValue = HeaderValue::from_static("1.1 velvetrope");

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Whether a request asks for a WebSocket, or a response agrees to one. No other protocol is changed to: what is said in
/// it would be decided about by nobody, and h2c carries requests (RFC 9110, section 7.8).
pub(super) fn is_for_websocket(headers: &HeaderMap) -> bool {
    let named = options(headers, CONNECTION).any(|option| option.eq_ignore_ascii_case("upgrade"));
    named && options(headers, UPGRADE).any(|protocol| protocol.eq_ignore_ascii_case("websocket"))
}

/// Whether whoever sent a message takes no more on this connection.
pub(super) fn is_last(headers: &HeaderMap) -> bool {
    options(headers, CONNECTION).any(|option| option.eq_ignore_ascii_case("close"))
}

/// Removes what is not for the next hop.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = options(headers, CONNECTION).filter_map(|name| name.parse().ok()).collect();
    for name in named.iter().filter(|name| !is_vital(name)).chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Lets a message change to a WebSocket on this hop, too.
pub(super) fn set_websocket(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
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

/// Makes a visitor's headers those of the request to the origin. `named_by` is the header in which trusted proxies name
/// the visitor, if that is a special one.
pub(super) fn for_origin(headers: &mut HeaderMap, visitor: &Visitor, peer: IpAddr, named_by: Option<&str>) {
    remove_hop_by_hop(headers);
    remove_forged(headers, visitor.is_told, named_by);
    // The visitor's body is asked for as soon as the origin wants it; nothing is left to expect.
    headers.remove(EXPECT);
    join_cookies(headers);
    if named_by.is_some() {
        // What stands there may be the visitor's own: the proxy in front speaks by another header.
        headers.remove(X_FORWARDED_FOR);
        let visitor = visitor.address.filter(|address| *address != peer.to_canonical());
        visitor.into_iter().for_each(|address| append_to_list(headers, X_FORWARDED_FOR, &address.to_string()));
    }
    append_to_list(headers, X_FORWARDED_FOR, &peer.to_canonical().to_string());
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(visitor.url.scheme()));
    if let Ok(host) = HeaderValue::from_str(visitor.url.authority()) {
        // Whatever a proxy in front has written: an origin that reads it must not take another host than was decided about.
        headers.insert(X_FORWARDED_HOST, host.clone());
        headers.insert(HOST, host);
    }
    if headers.get_all(FORWARDED).iter().any(|line| edge::names_host(line.as_bytes())) {
        headers.remove(FORWARDED);
    }
    headers.append(VIA, PSEUDONYM);
}

/// Removes from a request's trailers what no visitor may tell an origin, which may take them for headers.
pub(super) fn remove_forged_trailers(trailers: &mut HeaderMap) {
    remove_forged(trailers, false, None);
}

/// Removes what an origin could take for a word of ours, or of a proxy that is trusted. Such proxies write their headers'
/// names as they are.
fn remove_forged(headers: &mut HeaderMap, is_told: bool, named_by: Option<&str>) {
    let is_named = |name: &str| named_by.is_some_and(|known| is_taken_for(name, known));
    let is_forged = |name: &str| {
        is_verdict_header(name) || (is_forwarding_header(name) || is_named(name)) && (!is_told || is_oddly_spelt(name))
    };
    let forged: Vec<HeaderName> = headers.keys().filter(|name| is_forged(name.as_str())).cloned().collect();
    forged.iter().for_each(|name| _ = headers.remove(name));
}

/// Headers that Connection must not be able to take away: others rely on them.
fn is_vital(name: &HeaderName) -> bool {
    *name == HOST || *name == COOKIE || *name == X_FORWARDED_FOR || name.as_str().starts_with("x-forwarded-")
}

/// The members of a list.
fn options(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
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
    use velvetrope::internal::request::CanonicalUrl;

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

    fn forwarded(lines: &[(&'static str, &'static str)], is_told: bool, named_by: Option<&str>) -> Vec<String> {
        let mut headers = headers(lines);
        let address = Some(IpAddr::from([192, 0, 2, 1]));
        let url = CanonicalUrl::new("http", "shop.example", "/").expect("a URL");
        let visitor = Visitor { address, is_told, url };
        for_origin(&mut headers, &visitor, IpAddr::from([10, 0, 0, 9]), named_by);
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
            ("http2-settings", "AAMAAABkAAQAoAAAAAIAAAAA"),
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
        assert_eq!(forwarded(&lines, false, None), expected);
    }

    #[test]
    fn forwarding_headers_are_passed_on_only_from_trusted_proxies() {
        let lines = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "2.2.2.2"),
            ("x-forwarded-host", "outer.example"),
            ("x-forwarded-port", "1.1.1.1"),
            ("forwarded", "for=1.1.1.1"),
            ("x-real-ip", "1.1.1.1"),
            ("cf-connecting-ip", "1.1.1.1"),
        ];
        let strange = forwarded(&lines, false, Some("cf-connecting-ip"));
        let expected = [
            "host: shop.example",
            "via: 1.1 velvetrope",
            "x-forwarded-for: 192.0.2.1, 10.0.0.9",
            "x-forwarded-host: shop.example",
            "x-forwarded-proto: http",
        ];
        assert_eq!(strange, expected);
        let trusted = forwarded(&lines, true, None);
        for line in
            ["x-forwarded-for: 1.1.1.1, 2.2.2.2, 10.0.0.9", "x-forwarded-host: shop.example", "forwarded: for=1.1.1.1"]
        {
            assert!(trusted.contains(&line.to_owned()), "{trusted:?}");
        }
        let named = forwarded(&[("forwarded", "for=1.1.1.1;Host=outer.example")], true, None);
        assert!(
            !named.iter().any(|line| line.contains("outer")),
            "the host is the one that was decided about: {named:?}"
        );
        let by_another_header = forwarded(&lines, true, Some("cf-connecting-ip"));
        assert!(
            by_another_header.contains(&"x-forwarded-for: 192.0.2.1, 10.0.0.9".to_owned()),
            "{by_another_header:?}"
        );
        assert!(by_another_header.contains(&"cf-connecting-ip: 1.1.1.1".to_owned()), "{by_another_header:?}");
    }

    #[test]
    fn no_spelling_of_what_is_ours_gets_through() {
        let odd = [
            ("x_velvetrope_verdict", "bypass"),
            ("x-velvetrope_verdict", "bypass"),
            ("x.velvetrope-verdict", "bypass"),
            ("x_forwarded_for", "bypass"),
            ("x_forwarded-host", "bypass"),
            ("x_real_ip", "bypass"),
            ("x_original_url", "bypass"),
            ("cf_connecting_ip", "bypass"),
        ];
        for is_told in [false, true] {
            let left = forwarded(&odd, is_told, Some("cf-connecting-ip"));
            assert!(!left.iter().any(|line| line.contains("bypass")), "{left:?}");
        }
        let mut trailers = headers(&odd[..6]);
        trailers.append("x-forwarded-for", HeaderValue::from_static("1.1.1.1"));
        trailers.append("digest", HeaderValue::from_static("x"));
        remove_forged_trailers(&mut trailers);
        assert_eq!(all(&trailers), ["digest: x"]);
    }

    #[test]
    fn only_websockets_are_changed_to() {
        let upgrade = |lines: &[(&'static str, &'static str)]| is_for_websocket(&headers(lines));
        assert!(!upgrade(&[("upgrade", "websocket")]));
        assert!(!upgrade(&[("connection", "Upgrade")]));
        for other in ["h2c", "TLS/1.0", "websockets", "", "h2c, foo/2"] {
            assert!(!upgrade(&[("upgrade", other), ("connection", "upgrade")]), "{other}");
        }
        assert!(upgrade(&[("upgrade", "h2c, WebSocket"), ("connection", "keep-alive, Upgrade")]));
    }
}

//! Who asks, and for what: address, scheme and URL as the visitor sees them (design, decision 10).

use std::net::{IpAddr, SocketAddr};

use hyper::header::{HOST, HeaderMap, HeaderName};
use hyper::http::uri::Authority;
use hyper::{Uri, Version};

use crate::host::serving::address;
use crate::request::{CanonicalUrl, Malformed, canonical_authority};

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// A visitor as the headers and the connection tell.
#[derive(Debug, PartialEq)]
pub(super) struct Visitor {
    /// The address; `None` where the trusted proxies name something that is none.
    pub address: Option<IpAddr>,
    /// What is asked for.
    pub url: CanonicalUrl<'static>,
}

impl Visitor {
    /// Reads what `trusted_hops` proxies in front say. Nobody believes what stands before that: a visitor may have sent
    /// it. For the same reason the host is the one in the request, never X-Forwarded-Host, which proxies tend to pass on.
    pub(super) fn of(
        uri: &Uri,
        version: Version,
        headers: &HeaderMap,
        peer: SocketAddr,
        trusted_hops: u32,
    ) -> Result<Visitor, Malformed> {
        let address = match of_trusted_hop(headers, &X_FORWARDED_FOR, trusted_hops) {
            None => Some(peer.ip().to_canonical()),
            Some(entry) => address::parse(entry),
        };
        let is_https = of_trusted_hop(headers, &X_FORWARDED_PROTO, trusted_hops.min(1))
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
        let scheme = if is_https { "https" } else { "http" };
        if uri.scheme_str().is_some_and(|scheme| !matches!(scheme, "http" | "https")) {
            return Err(Malformed::NotAPath);
        }
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let url = CanonicalUrl::new(scheme, host(uri, version, headers)?, target)?;
        Ok(Visitor { address, url })
    }
}

/// What the outermost trusted hop wrote.
fn of_trusted_hop<'h>(headers: &'h HeaderMap, name: &HeaderName, trusted_hops: u32) -> Option<&'h str> {
    let lines = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or("unreadable"));
    address::from_the_right(lines, trusted_hops)
}

/// The host asked for: of the one Host header, or of the request line where it names one, which then counts instead (RFC
/// 9112, section 3.2.2). In HTTP/2 the two must not differ (RFC 9113, section 8.3.1).
fn host<'h>(uri: &'h Uri, version: Version, headers: &'h HeaderMap) -> Result<&'h str, Malformed> {
    let mut hosts = headers.get_all(HOST).iter();
    let (host, another) = (hosts.next(), hosts.next());
    let host = host.map(|host| host.to_str().map_err(|_| Malformed::NotAHost)).transpose()?;
    match (uri.authority().map(Authority::as_str), host) {
        _ if another.is_some() => Err(Malformed::SeveralHosts),
        (Some(authority), Some(host)) if version == Version::HTTP_2 && !is_same_host(authority, host) => {
            Err(Malformed::SeveralHosts)
        }
        (Some(authority), _) => Ok(authority),
        (None, host) => host.ok_or(Malformed::NoHost),
    }
}

/// Whether two texts name one host, whatever its scheme.
fn is_same_host(one: &str, other: &str) -> bool {
    one == other || canonical_authority(one, true).is_ok_and(|one| Ok(one) == canonical_authority(other, true))
}

/// The version as rules see it.
pub(super) fn version_text(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "[::ffff:10.0.0.9]:4711";

    fn visitor(hops: u32, lines: &[(&'static str, &'static str)]) -> Result<Visitor, Malformed> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().expect("a value"));
        }
        Visitor::of(&Uri::from_static("/a?b"), Version::HTTP_11, &headers, PEER.parse().expect("an address"), hops)
    }

    fn address(hops: u32, lines: &[&'static str]) -> String {
        let mut headers = vec![("host", "shop.example")];
        headers.extend(lines.iter().map(|line| ("x-forwarded-for", *line)));
        visitor(hops, &headers).expect("a visitor").address.map_or("unknown".into(), |address| address.to_string())
    }

    #[test]
    fn addresses_are_counted_from_the_right() {
        assert_eq!(address(0, &["1.1.1.1"]), "10.0.0.9");
        assert_eq!(address(1, &[]), "10.0.0.9");
        assert_eq!(address(1, &["6.6.6.6, 1.1.1.1"]), "1.1.1.1");
        assert_eq!(address(1, &["6.6.6.6", "1.1.1.1"]), "1.1.1.1");
        assert_eq!(address(2, &["6.6.6.6, 1.1.1.1", "2.2.2.2"]), "1.1.1.1");
        assert_eq!(address(3, &["1.1.1.1, 2.2.2.2"]), "1.1.1.1");
        assert_eq!(address(1, &["1.1.1.1:99"]), "1.1.1.1");
        assert_eq!(address(1, &["[2001:db8::1]:99"]), "2001:db8::1");
        assert_eq!(address(1, &["::ffff:1.1.1.1"]), "1.1.1.1");
        assert_eq!(address(1, &["1.1.1.1, hidden"]), "unknown");
    }

    #[test]
    fn only_a_trusted_hop_speaks_of_the_scheme() {
        let headers =
            [("host", "shop.example:81"), ("x-forwarded-proto", "HTTPS"), ("x-forwarded-host", "evil.example")];
        assert_eq!(visitor(0, &headers).expect("a visitor").url.as_str(), "http://shop.example:81/a?b");
        assert_eq!(visitor(1, &headers).expect("a visitor").url.as_str(), "https://shop.example:81/a?b");
    }

    #[test]
    fn a_request_names_one_host() {
        for bad in [&[][..], &[("host", "a"), ("host", "b")], &[("host", "")], &[("host", "a@b")], &[("host", "a/b")]] {
            assert!(visitor(0, bad).is_err(), "{bad:?}");
        }
        let uri = Uri::from_static("http://line.example/x");
        let mut headers = HeaderMap::new();
        assert_eq!(host(&uri, Version::HTTP_11, &headers), Ok("line.example"));
        headers.insert(HOST, "other.example".parse().expect("a value"));
        assert_eq!(host(&uri, Version::HTTP_11, &headers), Ok("line.example"));
        assert_eq!(host(&uri, Version::HTTP_2, &headers), Err(Malformed::SeveralHosts));
        headers.insert(HOST, "LINE.example.".parse().expect("a value"));
        assert_eq!(host(&uri, Version::HTTP_2, &headers), Ok("line.example"));
    }
}

//! Who asks, and for what: address, scheme and URL as the visitor sees them (design, decision 10).

use std::net::{IpAddr, SocketAddr};

use hyper::header::{HOST, HeaderMap, HeaderName};
use hyper::{Uri, Version};

use crate::host::serving::address;

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// A visitor as the headers and the connection tell.
#[derive(Debug, PartialEq)]
pub(super) struct Visitor {
    /// The address; `None` where the trusted proxies name something that is none.
    pub address: Option<IpAddr>,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Host and port as asked for.
    pub host: String,
}

/// Why a request has no answer but 400.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct BadRequest(&'static str);

impl Visitor {
    /// Reads what `trusted_hops` proxies in front say. Nobody believes what stands before that: a visitor may have sent
    /// it. For the same reason the host is the one in the request, never X-Forwarded-Host, which proxies tend to pass on.
    pub(super) fn of(
        uri: &Uri,
        headers: &HeaderMap,
        peer: SocketAddr,
        trusted_hops: u32,
    ) -> Result<Visitor, BadRequest> {
        let address = match of_trusted_hop(headers, &X_FORWARDED_FOR, trusted_hops) {
            None => Some(peer.ip().to_canonical()),
            Some(entry) => address::parse(entry),
        };
        let is_https = of_trusted_hop(headers, &X_FORWARDED_PROTO, trusted_hops.min(1))
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
        Ok(Visitor { address, scheme: if is_https { "https" } else { "http" }, host: host(uri, headers)? })
    }

    /// The absolute URL asked for.
    pub(super) fn url(&self, uri: &Uri) -> String {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let slash = if path.starts_with('/') { "" } else { "/" };
        format!("{}://{}{slash}{path}", self.scheme, self.host)
    }
}

/// What the outermost trusted hop wrote.
fn of_trusted_hop<'h>(headers: &'h HeaderMap, name: &HeaderName, trusted_hops: u32) -> Option<&'h str> {
    let lines = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or("unreadable"));
    address::from_the_right(lines, trusted_hops)
}

/// The host asked for: of the request line where it names one (RFC 9112, section 3.2.2), else of the one Host header.
fn host(uri: &Uri, headers: &HeaderMap) -> Result<String, BadRequest> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (uri.authority(), hosts.next(), hosts.next()) {
        (_, _, Some(_)) => return Err(BadRequest("more than one Host header")),
        (Some(authority), _, _) => authority.as_str(),
        (None, Some(host), None) => host.to_str().map_err(|_| BadRequest("the Host header is not ASCII"))?,
        (None, None, None) => return Err(BadRequest("no Host header")),
    };
    if !address::is_authority(host) {
        return Err(BadRequest("the Host header names no host"));
    }
    Ok(host.to_owned())
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

    fn visitor(hops: u32, lines: &[(&'static str, &'static str)]) -> Result<Visitor, BadRequest> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().expect("a value"));
        }
        Visitor::of(&Uri::from_static("/a?b"), &headers, PEER.parse().expect("an address"), hops)
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
        assert_eq!(visitor(0, &headers).expect("a visitor").scheme, "http");
        let trusted = visitor(1, &headers).expect("a visitor");
        assert_eq!(trusted.url(&Uri::from_static("/a?b")), "https://shop.example:81/a?b");
        assert_eq!(trusted.url(&Uri::from_static("http://x.example")), "https://shop.example:81/");
    }

    #[test]
    fn a_request_names_one_host() {
        for bad in [&[][..], &[("host", "a"), ("host", "b")], &[("host", "")], &[("host", "a@b")], &[("host", "a/b")]] {
            assert!(visitor(0, bad).is_err(), "{bad:?}");
        }
        let uri = Uri::from_static("http://line.example/x");
        assert_eq!(host(&uri, &HeaderMap::new()).as_deref(), Ok("line.example"));
    }
}

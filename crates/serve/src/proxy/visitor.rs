//! Who asks, and for what: address, scheme and URL as the visitor sees them
//! (docs/decisions.md#10-the-visitors-address-comes-from-who-can-know-it).

use std::net::IpAddr;

use hyper::header::{HOST, HeaderMap};
use hyper::http::uri::Authority;
use hyper::{Uri, Version};

use crate::serving::address::{self, Told};
use crate::serving::connections::Ends;
use velvetrope::internal::policy::{ProxySettings, Scheme};
use velvetrope::internal::request::{CanonicalUrl, Malformed};

/// A visitor as the headers and the connection tell.
#[derive(Debug, PartialEq)]
pub(super) struct Visitor {
    /// The address; `None` where the trusted proxies name something that is none.
    pub address: Option<IpAddr>,
    /// Whether a trusted proxy has sent the request.
    pub is_told: bool,
    /// What the visitor asks for.
    pub url: CanonicalUrl<'static>,
}

impl Visitor {
    /// Reads what the connection, the settings and trusted proxies say. The host is the one in the request unless they
    /// say otherwise, never X-Forwarded-Host by itself, which proxies tend to pass on.
    pub(super) fn of(
        uri: &Uri,
        version: Version,
        headers: &HeaderMap,
        ends: Ends,
        settings: &ProxySettings,
    ) -> Result<Visitor, Malformed> {
        if uri.scheme_str().is_some_and(|scheme| !matches!(scheme, "http" | "https")) {
            return Err(Malformed::NotAPath);
        }
        let asked = host(uri, version, headers)?;
        let Told { is_trusted, address, scheme, host } = address::told(settings, Some(ends.peer.ip()), headers);
        let of_connection = if ends.is_tls { Scheme::Https } else { Scheme::Http };
        let scheme = scheme.unwrap_or(of_connection).as_str();
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let url = CanonicalUrl::new(scheme, host.as_deref().unwrap_or(asked), target)?;
        Ok(Visitor { address, is_told: is_trusted, url })
    }
}

/// The host asked for: of the one Host header, or of the request line where it names one, which then counts instead (RFC
/// 9112, section 3.2.2). In HTTP/2 the two must not differ (RFC 9113, section 8.3.1).
fn host<'h>(uri: &'h Uri, version: Version, headers: &'h HeaderMap) -> Result<&'h str, Malformed> {
    let mut hosts = headers.get_all(HOST).iter();
    let (host, another) = (hosts.next(), hosts.next());
    let host = host.map(|host| host.to_str().map_err(|_| Malformed::NotAHost)).transpose()?;
    match (uri.authority().map(Authority::as_str), host) {
        _ if another.is_some() => Err(Malformed::SeveralHosts),
        (Some(authority), Some(host)) if version == Version::HTTP_2 && !address::is_same_host(authority, host) => {
            Err(Malformed::SeveralHosts)
        }
        (Some(authority), _) => Ok(authority),
        (None, host) => host.ok_or(Malformed::NoHost),
    }
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

    fn visitor(
        settings: &ProxySettings,
        is_tls: bool,
        lines: &[(&'static str, &'static str)],
    ) -> Result<Visitor, Malformed> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().expect("a value"));
        }
        let [peer, local] = ["[::ffff:10.0.0.9]:4711", "10.0.0.1:80"].map(|end| end.parse().expect("an address"));
        let uri = Uri::from_static("/a?b");
        Visitor::of(&uri, Version::HTTP_11, &headers, Ends { peer, local, is_tls }, settings)
    }

    #[test]
    fn the_url_is_the_one_that_the_visitor_sees() {
        let headers =
            [("host", "shop.example:81"), ("x-forwarded-proto", "HTTPS"), ("x-forwarded-host", "evil.example")];
        let url = |settings: &ProxySettings, is_tls| {
            visitor(settings, is_tls, &headers).expect("a visitor").url.as_str().to_owned()
        };
        let trusting = ProxySettings { trusted_hops: 1, ..ProxySettings::default() };
        assert_eq!(url(&ProxySettings::default(), false), "http://shop.example:81/a?b");
        assert_eq!(url(&ProxySettings::default(), true), "https://shop.example:81/a?b");
        assert_eq!(url(&trusting, false), "https://shop.example:81/a?b");
        let heeding = ProxySettings { forwarded_host: true, ..trusting.clone() };
        assert_eq!(url(&heeding, false), "https://evil.example/a?b");
        let broken = [("host", "shop.example"), ("x-forwarded-host", "a b")];
        assert_eq!(visitor(&heeding, false, &broken), Err(Malformed::NotAHost));
    }

    #[test]
    fn a_request_names_one_host() {
        for bad in [&[][..], &[("host", "a"), ("host", "b")], &[("host", "")], &[("host", "a@b")], &[("host", "a/b")]] {
            assert!(visitor(&ProxySettings::default(), false, bad).is_err(), "{bad:?}");
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

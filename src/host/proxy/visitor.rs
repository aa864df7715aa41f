//! Who asks, and for what: address, scheme and URL as the visitor sees them (design, decision 10).

use std::net::IpAddr;

use hyper::header::{HOST, HeaderMap};
use hyper::{Uri, Version};

use crate::host::serving::address::{self, Told};
use crate::host::serving::connections::Ends;
use crate::policy::{ProxySettings, Scheme};

/// A visitor as the headers and the connection tell.
#[derive(Debug, PartialEq)]
pub(super) struct Visitor {
    /// The address; `None` where the trusted proxies name something that is none.
    pub address: Option<IpAddr>,
    /// Whether a trusted proxy has sent the request.
    pub is_told: bool,
    /// What the visitor uses.
    pub scheme: Scheme,
    /// Host and port as asked for.
    pub host: String,
}

/// Why a request has no answer but 400.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct BadRequest(&'static str);

impl Visitor {
    /// Reads what the connection, the settings and trusted proxies say. The host is the one in the request unless they
    /// say otherwise, never X-Forwarded-Host by itself, which proxies tend to pass on.
    pub(super) fn of(
        uri: &Uri,
        headers: &HeaderMap,
        ends: Ends,
        settings: &ProxySettings,
    ) -> Result<Visitor, BadRequest> {
        let asked = host(uri, headers)?;
        let Told { is_trusted, address, scheme, host } = address::told(settings, Some(ends.peer.ip()), headers);
        let host = match host {
            Some(host) if address::is_authority(&host) => host,
            Some(_) => return Err(BadRequest("the header that is trusted to name the host names none")),
            None => asked,
        };
        let of_connection = if ends.is_tls { Scheme::Https } else { Scheme::Http };
        Ok(Visitor { address, is_told: is_trusted, scheme: scheme.unwrap_or(of_connection), host })
    }

    /// The absolute URL asked for.
    pub(super) fn url(&self, uri: &Uri) -> String {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let slash = if path.starts_with('/') { "" } else { "/" };
        format!("{}://{}{slash}{path}", self.scheme.as_str(), self.host)
    }
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

    fn visitor(
        settings: &ProxySettings,
        is_tls: bool,
        lines: &[(&'static str, &'static str)],
    ) -> Result<Visitor, BadRequest> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().expect("a value"));
        }
        let [peer, local] = ["[::ffff:10.0.0.9]:4711", "10.0.0.1:80"].map(|end| end.parse().expect("an address"));
        Visitor::of(&Uri::from_static("/a?b"), &headers, Ends { peer, local, is_tls }, settings)
    }

    #[test]
    fn the_url_is_the_one_that_the_visitor_sees() {
        let headers =
            [("host", "shop.example:81"), ("x-forwarded-proto", "HTTPS"), ("x-forwarded-host", "evil.example")];
        let url = |settings: &ProxySettings, is_tls| {
            visitor(settings, is_tls, &headers).expect("a visitor").url(&Uri::from_static("/a?b"))
        };
        let trusting = ProxySettings { trusted_hops: 1, ..ProxySettings::default() };
        assert_eq!(url(&ProxySettings::default(), false), "http://shop.example:81/a?b");
        assert_eq!(url(&ProxySettings::default(), true), "https://shop.example:81/a?b");
        assert_eq!(url(&trusting, false), "https://shop.example:81/a?b");
        let heeding = ProxySettings { forwarded_host: true, ..trusting.clone() };
        assert_eq!(url(&heeding, false), "https://evil.example/a?b");
        let broken = [("host", "shop.example"), ("x-forwarded-host", "a b")];
        assert!(visitor(&heeding, false, &broken).is_err());
        let trusted = visitor(&trusting, false, &headers).expect("a visitor");
        assert_eq!(trusted.url(&Uri::from_static("http://x.example")), "https://shop.example:81/");
    }

    #[test]
    fn a_request_names_one_host() {
        for bad in [&[][..], &[("host", "a"), ("host", "b")], &[("host", "")], &[("host", "a@b")], &[("host", "a/b")]] {
            assert!(visitor(&ProxySettings::default(), false, bad).is_err(), "{bad:?}");
        }
        let uri = Uri::from_static("http://line.example/x");
        assert_eq!(host(&uri, &HeaderMap::new()).as_deref(), Ok("line.example"));
    }
}

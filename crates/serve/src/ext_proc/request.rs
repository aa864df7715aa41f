//! What was asked, and by whom, as the proxy in front tells
//! (docs/decisions.md#10-the-visitors-address-comes-from-who-can-know-it).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use percent_encoding::{AsciiSet, percent_encode};
use prost_types::Struct;
use prost_types::value::Kind;

use super::proto::envoy::config::core::v3::HeaderValue;
use super::proto::envoy::service::ext_proc::v3::processing_request::Request;
use super::proto::envoy::service::ext_proc::v3::{HttpHeaders, HttpTrailers, ProcessingRequest};
use crate::serving::{Event, address};
use velvetrope::internal::edge::{
    is_forwarding_header, is_oddly_spelt, is_taken_for, is_target_header, is_verdict_header, names_host,
};
use velvetrope::internal::policy::{ProxySettings, Scheme};
use velvetrope::internal::request::{CanonicalUrl, Malformed};

/// Nothing that is ASCII: only bytes that no text of a URL has are encoded.
const NOT_ASCII: &AsciiSet = &AsciiSet::EMPTY;

/// The metadata's key under which a policy is named.
const POLICY: &str = "velvetrope";

/// A request.
pub(super) struct Asked<'m> {
    pub method: &'m str,
    pub url: CanonicalUrl<'static>,
    pub version: &'m str,
    /// Without those that begin with a colon, and without Host.
    pub headers: Vec<(&'m str, &'m [u8])>,
    pub client_ip: Option<IpAddr>,
    /// Whether something follows the headers.
    pub has_body: bool,
    /// Whether a trusted proxy has sent it.
    pub is_told: bool,
}

impl<'m> Asked<'m> {
    /// Reads a message with the request's headers. Whom the one that calls names is the client, unless that is a proxy that
    /// the settings trust, and names another.
    pub(super) fn of(message: &'m ProcessingRequest, settings: &ProxySettings) -> Result<Asked<'m>, Malformed> {
        let Some(Request::RequestHeaders(headers)) = &message.request else { return Err(Malformed::NotAPath) };
        let has_body = !headers.end_of_stream;
        let all = headers.headers.as_ref().map_or(&[][..], |map| &map.headers);
        let pseudo = |name: &str| all.iter().find(|header| header.key == name).map(value);
        let host = host(all)?;
        // It goes on as it is, so that nothing may be added to it here.
        let path = pseudo(":path").filter(|path| path.starts_with(b"/")).ok_or(Malformed::NotAPath)?;
        let method = pseudo(":method").and_then(|method| std::str::from_utf8(method).ok());
        let headers: Vec<_> =
            all.iter().filter(|header| !header.key.starts_with(':') && header.key != "host").collect();
        let headers: Vec<_> = headers.iter().map(|header| (header.key.as_str(), value(header))).collect();
        let peer = attribute(&message.attributes, &["source.ip", "source.address"]).and_then(address::parse);
        let told = address::told(settings, peer, &headers[..]);
        let asked_by = || pseudo(":scheme").filter(|scheme| scheme.eq_ignore_ascii_case(b"http"));
        let scheme = told.scheme.unwrap_or_else(|| asked_by().map_or(Scheme::Https, |_| Scheme::Http)).as_str();
        Ok(Asked {
            method: method.unwrap_or("GET"),
            url: CanonicalUrl::new(scheme, told.host.as_deref().unwrap_or(host), &target(path))?,
            version: attribute(&message.attributes, &["request.protocol"]).unwrap_or("HTTP/1.1"),
            client_ip: told.address,
            has_body,
            is_told: told.is_trusted,
            headers,
        })
    }

    /// The headers that an origin could take for a word of ours, or of a proxy in front. What the one that calls writes
    /// itself stays: the usual X-Forwarded-For, X-Forwarded-Proto and their kin.
    pub(super) fn forged(&self) -> Vec<String> {
        // A trusted proxy may say whose host it is, but no other one than was decided about.
        let is_told_by_proxies = |name: &str, value: &[u8]| match () {
            () if is_taken_for(name, "forwarded") => !self.is_told || names_host(value),
            () if is_taken_for(name, "x-forwarded-host") => !self.is_told || value != self.url.authority().as_bytes(),
            () => is_target_header(name) && !self.is_told,
        };
        let is_forged = |(name, value): &&(&str, &[u8])| {
            is_verdict_header(name)
                || is_forwarding_header(name) && is_oddly_spelt(name)
                || is_told_by_proxies(name, value)
        };
        let mut names: Vec<_> = self.headers.iter().filter(is_forged).map(|(name, _)| *name).collect();
        names.dedup();
        names.into_iter().map(str::to_owned).collect()
    }

    /// What is to be told of it.
    pub(super) fn event(&self) -> Event {
        let mut event = Event::new(self.method, self.url.authority(), self.url.path(), self.client_ip);
        event.traced(self.headers.iter().find(|(name, _)| *name == "traceparent").map(|(_, value)| *value));
        event
    }
}

/// Headers as names in lower case and values.
pub(super) fn lines_of(headers: &HttpHeaders) -> impl Iterator<Item = (&str, &[u8])> {
    headers.headers.iter().flat_map(|map| &map.headers).map(|header| (header.key.as_str(), value(header)))
}

/// The trailers that an origin could take for such headers, which no visitor may send.
pub(super) fn forged_trailers(trailers: &HttpTrailers) -> Vec<String> {
    let names = trailers.trailers.iter().flat_map(|map| &map.headers).map(|trailer| &trailer.key);
    names.filter(|name| is_verdict_header(name) || is_forwarding_header(name)).cloned().collect()
}

/// Whom the request is for: the policy that whoever configured the proxy in front has named for it, or its host.
pub(super) fn addressee(message: &ProcessingRequest) -> (Option<&str>, Option<&str>) {
    let namespaces = message.metadata_context.iter().flat_map(|metadata| metadata.filter_metadata.values());
    let name = namespaces.flat_map(|said| said.fields.get(POLICY)).find_map(|value| match &value.kind {
        Some(Kind::StringValue(name)) => Some(name.as_str()),
        _ => None,
    });
    let host = match &message.request {
        Some(Request::RequestHeaders(headers)) => headers.headers.as_ref().and_then(|map| host(&map.headers).ok()),
        _ => None,
    };
    (name, host)
}

/// The host asked for. HTTP/2 may name it twice, which must not differ (RFC 9113, section 8.3.1); what a proxy in front
/// makes of HTTP/1 names it once.
fn host(headers: &[HeaderValue]) -> Result<&str, Malformed> {
    let named = headers.iter().filter(|header| matches!(header.key.as_str(), ":authority" | "host"));
    let mut named = named.map(|header| std::str::from_utf8(value(header)).map_err(|_| Malformed::NotAHost));
    let first = named.next().ok_or(Malformed::NoHost)??;
    for other in named {
        if !address::is_same_host(first, other?) {
            return Err(Malformed::SeveralHosts);
        }
    }
    Ok(first)
}

/// Envoy writes `raw_value`, others may not.
fn value(header: &HeaderValue) -> &[u8] {
    if header.raw_value.is_empty() { header.value.as_bytes() } else { &header.raw_value }
}

fn target(path: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(path) {
        Ok(path) => Cow::Borrowed(path),
        Err(_) => percent_encode(path, NOT_ASCII).into(),
    }
}

/// The first of these attributes that is there. Envoy has them in one struct for the filter; Google's documentation
/// can be read as if each had a struct of its own.
fn attribute<'m>(attributes: &'m BTreeMap<String, Struct>, names: &[&str]) -> Option<&'m str> {
    names.iter().find_map(|name| {
        let own = attributes.get(*name).into_iter().flat_map(|own| own.fields.values());
        let among_others = attributes.values().filter_map(|others| others.fields.get(*name));
        own.chain(among_others).find_map(|value| match &value.kind {
            Some(Kind::StringValue(text)) if !text.is_empty() => Some(text.as_str()),
            _ => None,
        })
    })
}

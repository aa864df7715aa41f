//! Who asks, and under which address of the site, as proxies in front say
//! (docs/decisions.md#10-the-visitors-address-comes-from-who-can-know-it).

use std::net::{IpAddr, SocketAddr};

use hyper::header::HeaderMap;

use super::forwarded;
use velvetrope::internal::policy::{ProxySettings, Scheme};
use velvetrope::internal::request::Authority;

const X_FORWARDED_FOR: &str = "x-forwarded-for";
const X_FORWARDED_PROTO: &str = "x-forwarded-proto";
const X_FORWARDED_HOST: &str = "x-forwarded-host";
const FORWARDED: &str = "forwarded";

/// The headers of a request, however a host holds them. Names are in lower case.
pub(crate) trait Lines {
    /// The values of a header, a line each.
    fn lines<'h>(&'h self, name: &str) -> impl DoubleEndedIterator<Item = &'h [u8]>;
}

impl Lines for HeaderMap {
    fn lines<'h>(&'h self, name: &str) -> impl DoubleEndedIterator<Item = &'h [u8]> {
        self.get_all(name).iter().map(|line| line.as_bytes())
    }
}

impl Lines for [(&str, &[u8])] {
    fn lines<'h>(&'h self, name: &str) -> impl DoubleEndedIterator<Item = &'h [u8]> {
        self.iter().filter(move |(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// What the settings, and those that they trust, say of a visitor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// Whether whom the request comes from is a proxy of the operator's own, so that it is believed.
    pub is_trusted: bool,
    /// The visitor's address; `None` where it is not known.
    pub address: Option<IpAddr>,
    /// What the visitor uses, if anybody says so.
    pub scheme: Option<Scheme>,
    /// What the visitor asked for, if anybody says so. It may be no host at all.
    pub host: Option<String>,
}

/// What is told of the visitor of a request that comes from `peer`. Where that is none of the operator's proxies, its
/// headers are anybody's invention; of what is written in them, only what those proxies have added is believed.
pub(crate) fn told(settings: &ProxySettings, peer: Option<IpAddr>, headers: &(impl Lines + ?Sized)) -> Told {
    let peer = peer.map(|peer| peer.to_canonical());
    let is_trusted = settings.trusted_hops > 0 || peer.is_some_and(|peer| is_front(settings, peer));
    let said = if is_trusted { said(settings, peer, headers) } else { Said { address: peer, ..Said::default() } };
    Told {
        is_trusted,
        address: said.address,
        scheme: settings.public_scheme.or(said.scheme),
        host: settings.public_host.clone().or(said.host.filter(|_| settings.forwarded_host)),
    }
}

/// Whether an address is that of a proxy of the operator's own.
pub(crate) fn is_front(settings: &ProxySettings, address: IpAddr) -> bool {
    settings.trusted_proxies.iter().any(|network| network.contains(address))
}

/// What the headers of a trusted proxy say.
#[derive(Default)]
struct Said {
    address: Option<IpAddr>,
    scheme: Option<Scheme>,
    host: Option<String>,
}

fn said(settings: &ProxySettings, peer: Option<IpAddr>, headers: &(impl Lines + ?Sized)) -> Said {
    let name = settings.client_ip_header.as_deref().unwrap_or(X_FORWARDED_FOR);
    if name == FORWARDED {
        return by_forwarded(settings, peer, headers);
    }
    let address = match headers.lines(name).next() {
        None => peer,
        Some(_) if name == X_FORWARDED_FOR => client(settings, &entries(headers.lines(name))),
        Some(_) => the_only(headers.lines(name)).and_then(parse),
    };
    // What is nearest to this host is what its own neighbour has written.
    let nearest = |name| headers.lines(name).next_back().and_then(|line| text(line).rsplit(',').next()).map(str::trim);
    let scheme = nearest(X_FORWARDED_PROTO).and_then(scheme_of);
    Said { address, scheme, host: nearest(X_FORWARDED_HOST).map(str::to_owned) }
}

fn by_forwarded(settings: &ProxySettings, peer: Option<IpAddr>, headers: &(impl Lines + ?Sized)) -> Said {
    if headers.lines(FORWARDED).next().is_none() {
        return Said { address: peer, ..Said::default() };
    }
    // What cannot be read says nothing: not even who wrote it.
    let Some(mut elements) = forwarded::read(headers.lines(FORWARDED)) else { return Said::default() };
    let address = |element: &forwarded::Element| element.client.as_deref().and_then(parse);
    let address = client(settings, &elements.iter().map(address).collect::<Vec<_>>());
    let nearest = elements.pop().unwrap_or_default();
    Said { address, scheme: nearest.proto.as_deref().and_then(scheme_of), host: nearest.host }
}

/// The visitor among the addresses that proxies have written, each to the right of those before. `None` where what would
/// have to be believed is no address.
fn client(settings: &ProxySettings, entries: &[Option<IpAddr>]) -> Option<IpAddr> {
    if settings.trusted_hops > 0 {
        let hops = usize::try_from(settings.trusted_hops).unwrap_or(usize::MAX);
        // Where there are fewer, some proxy was walked past, and the first entry is whose?
        return entries.len().checked_sub(hops).and_then(|at| entries[at]);
    }
    let is_front = |entry: &&Option<IpAddr>| entry.is_some_and(|address| is_front(settings, address));
    // Where all are the operator's own, the first one asked.
    *entries.iter().rev().find(|entry| !is_front(entry)).or(entries.first())?
}

fn entries<'h>(lines: impl Iterator<Item = &'h [u8]>) -> Vec<Option<IpAddr>> {
    lines.flat_map(|line| text(line).split(',')).map(|entry| parse(entry.trim())).collect()
}

/// The only line of a header.
fn the_only<'h>(mut lines: impl Iterator<Item = &'h [u8]>) -> Option<&'h str> {
    lines.next().filter(|_| lines.next().is_none()).map(|line| text(line).trim())
}

/// What is no text is no address either.
fn text(line: &[u8]) -> &str {
    std::str::from_utf8(line).unwrap_or("unreadable")
}

fn scheme_of(text: &str) -> Option<Scheme> {
    let is = |scheme: &str| text.eq_ignore_ascii_case(scheme);
    match () {
        () if is("https") || is("wss") => Some(Scheme::Https),
        () if is("http") || is("ws") => Some(Scheme::Http),
        () => None,
    }
}

/// An address, possibly with a port (`192.0.2.1:80`, `[2001:db8::1]:80`).
pub(crate) fn parse(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim_matches('"');
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let with_port = || entry.parse::<SocketAddr>().map(|address| address.ip());
    bare.parse::<IpAddr>().or_else(|_| with_port()).ok().map(|address| address.to_canonical())
}

/// Whether two texts name one host, whatever its scheme.
pub(crate) fn is_same_host(one: &str, other: &str) -> bool {
    let canonical = |text| Authority::of(text).canonical(true);
    one == other || canonical(one).is_ok_and(|one| Ok(one) == canonical(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRONT: &str = "10.0.0.9";

    /// Settings as in [proxy].
    fn settings(text: &str) -> ProxySettings {
        let text = format!("customer_id = 'acme'\n[proxy]\n{text}");
        let sources = [("velvetrope.toml".to_owned(), text.into_bytes())].into();
        velvetrope::internal::policy::settings_of(&sources, None).expect("settings").proxy
    }

    fn told(settings: &ProxySettings, peer: &str, headers: &[(&str, &str)]) -> Told {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        super::told(settings, Some(peer.parse().expect("an address")), &headers[..])
    }

    fn address(settings: &ProxySettings, peer: &str, headers: &[(&str, &str)]) -> String {
        told(settings, peer, headers).address.map_or("unknown".into(), |address| address.to_string())
    }

    #[test]
    fn hops_are_counted_from_the_right() {
        let address = |hops, lines: &[&str]| {
            let lines: Vec<_> = lines.iter().map(|line| (X_FORWARDED_FOR, *line)).collect();
            address(&settings(&format!("trusted_hops = {hops}")), "::ffff:10.0.0.9", &lines)
        };
        assert_eq!(address(0, &["1.1.1.1"]), FRONT);
        assert_eq!(address(1, &[]), FRONT);
        assert_eq!(address(1, &["6.6.6.6, 1.1.1.1"]), "1.1.1.1");
        assert_eq!(address(1, &["6.6.6.6", "1.1.1.1"]), "1.1.1.1");
        assert_eq!(address(2, &["6.6.6.6, 1.1.1.1", "2.2.2.2"]), "1.1.1.1");
        assert_eq!(address(1, &["1.1.1.1:99"]), "1.1.1.1");
        assert_eq!(address(1, &["[2001:db8::1]:99"]), "2001:db8::1");
        assert_eq!(address(1, &["::ffff:1.1.1.1"]), "1.1.1.1");
        for unclear in ["1.1.1.1, hidden", "1.1.1.1,", "", "1.1.1.1, 2.2.2.2.2", "\u{ff}"] {
            assert_eq!(address(1, &[unclear]), "unknown", "{unclear}");
        }
        assert_eq!(address(3, &["1.1.1.1, 2.2.2.2"]), "unknown", "never the first entry");
    }

    #[test]
    fn named_proxies_are_skipped_from_the_right() {
        let settings = settings("trusted_proxies = ['10.0.0.0/8', '2001:db8::/32']");
        let address = |peer, lines: &[&str]| {
            let lines: Vec<_> = lines.iter().map(|line| (X_FORWARDED_FOR, *line)).collect();
            address(&settings, peer, &lines)
        };
        assert_eq!(address("192.0.2.1", &["6.6.6.6"]), "192.0.2.1", "no proxy of ours");
        assert_eq!(address(FRONT, &[]), FRONT);
        assert_eq!(address(FRONT, &["6.6.6.6, 1.1.1.1"]), "1.1.1.1");
        assert_eq!(
            address("::ffff:10.0.0.9", &["6.6.6.6, 1.1.1.1, 10.1.1.1", "2001:db8::7, ::ffff:10.2.2.2"]),
            "1.1.1.1"
        );
        assert_eq!(address(FRONT, &["10.3.3.3, 10.1.1.1"]), "10.3.3.3", "one of ours asks");
        assert_eq!(address(FRONT, &["6.6.6.6, hidden, 10.1.1.1"]), "unknown");
        assert_eq!(address(FRONT, &["hidden, 6.6.6.6"]), "6.6.6.6", "what stands before does not matter");
    }

    #[test]
    fn one_header_can_name_the_visitor() {
        let both = |header: &str, lines: &[(&str, &str)]| {
            let text = |more: &str| settings(&format!("{more}\nclient_ip_header = '{header}'"));
            let by_network = address(&text("trusted_proxies = ['10.0.0.0/8']"), FRONT, lines);
            assert_eq!(by_network, address(&text("trusted_hops = 1"), FRONT, lines));
            assert_eq!(address(&text("trusted_proxies = ['10.0.0.0/8']"), "192.0.2.1", lines), "192.0.2.1");
            by_network
        };
        for header in ["x-real-ip", "cf-connecting-ip"] {
            let forged = (X_FORWARDED_FOR, "6.6.6.6");
            assert_eq!(both(header, &[(header, "1.1.1.1"), forged]), "1.1.1.1");
            assert_eq!(both(header, &[(header, "2001:db8:1::1")]), "2001:db8:1::1");
            assert_eq!(both(header, &[forged]), FRONT);
            assert_eq!(both(header, &[(header, "1.1.1.1, 2.2.2.2")]), "unknown");
            assert_eq!(both(header, &[(header, "1.1.1.1"), (header, "2.2.2.2")]), "unknown");
            assert_eq!(both(header, &[(header, "")]), "unknown");
        }
        let forwarded = |line| both("Forwarded", &[("forwarded", line), (X_FORWARDED_FOR, "6.6.6.6")]);
        assert_eq!(forwarded("for=6.6.6.6, for=\"[2001:db8:1::1]:4711\";proto=https"), "2001:db8:1::1");
        assert_eq!(forwarded("for=6.6.6.6, For=\"1.1.1.1:80\""), "1.1.1.1");
        for unclear in
            ["for=unknown", "for=6.6.6.6, for=_hidden", "for=6.6.6.6, proto=http", "for=6.6.6.6, for=\"1.1.1.1"]
        {
            assert_eq!(forwarded(unclear), "unknown", "{unclear}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_speaks_of_scheme_and_host() {
        let headers = [
            ("x-forwarded-proto", "http, HTTPS"),
            ("x-forwarded-host", "inner.example, outer.example"),
            ("forwarded", "for=1.1.1.1;proto=http;host=\"forwarded.example:81\""),
        ];
        let said = |more: &str, peer| {
            let told = told(&settings(more), peer, &headers);
            (told.scheme.map_or("", Scheme::as_str), told.host.unwrap_or_default())
        };
        let trust = "trusted_proxies = ['10.0.0.0/8']\n";
        let with = |more| said(&format!("{trust}{more}"), FRONT);
        assert_eq!(said("", FRONT), ("", String::new()));
        assert_eq!(said(&format!("{trust}forwarded_host = true"), "192.0.2.1"), ("", String::new()));
        assert_eq!(with(""), ("https", String::new()));
        assert_eq!(with("forwarded_host = true"), ("https", "outer.example".into()));
        let forwarded = "client_ip_header = 'forwarded'\nforwarded_host = true";
        assert_eq!(with(forwarded), ("http", "forwarded.example:81".into()));
        let public = "public_scheme = 'http'\npublic_host = 'Public.example'";
        assert_eq!(said(public, "192.0.2.1"), ("http", "public.example".into()));
        assert_eq!(with(&format!("{public}\nforwarded_host = true")), ("http", "public.example".into()));
    }
}

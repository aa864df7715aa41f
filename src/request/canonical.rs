//! The one reading of what a request asks for, made before anything looks at it.
//!
//! Host names and targets have spellings that origins take for the same and texts that they take for different things
//! (RFC 9110, section 4.2.3). What is decided about, written into redirects and sent to the origin is a
//! [`CanonicalUrl`]; a request that has none is answered with 400. Paths stay as sent, since origins rely on them; of how
//! else they may be read, see [`readings`](super::readings()).

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::malformed::{Malformed, refuse_escapes};
use super::readings::has_one_reading;

/// An absolute http(s) URL whose scheme and authority are written in one way, without fragment.
///
/// The authority has neither user info, upper-case letters, a final dot, an empty port nor the scheme's own; an address
/// is written as RFC 5952 has it, and an IPv4 address as IPv4. Path and query are as received, but for characters outside
/// the Basic Multilingual Plane, which are escaped: they would switch Queue-it's normalisation off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalUrl<'r> {
    url: Cow<'r, str>,
    /// Where the authority begins, where its host ends, and where the path begins and ends.
    authority_at: usize,
    host_end: usize,
    path_at: usize,
    path_end: usize,
    is_plain: bool,
}

/// See [`CanonicalUrl::of`].
impl<'r> TryFrom<&'r str> for CanonicalUrl<'r> {
    type Error = Malformed;

    fn try_from(url: &'r str) -> Result<CanonicalUrl<'r>, Malformed> {
        CanonicalUrl::of(url)
    }
}

impl<'r> CanonicalUrl<'r> {
    /// The URL of a request for `target` (path and query; a root that was left out is written, RFC 9112, section 3.2.1) at
    /// `authority`. `scheme` is taken for `https` unless it is `http`.
    pub fn new(scheme: &str, authority: &str, target: &str) -> Result<CanonicalUrl<'static>, Malformed> {
        let scheme = if scheme.eq_ignore_ascii_case("http") { "http" } else { "https" };
        let authority = Authority::of(authority).canonical(scheme == "https")?;
        if target.bytes().any(is_unfit) || target.contains('#') {
            return Err(Malformed::Unescaped);
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        if !(target.starts_with(['/', '?']) || target.is_empty()) {
            return Err(Malformed::NotAPath);
        }
        let target = with_escaped_planes(target);
        let mut url = String::with_capacity(scheme.len() + 4 + authority.len() + target.len());
        for part in [scheme, "://", &authority, slash, &target] {
            url.push_str(part);
        }
        CanonicalUrl::checked(url.into(), scheme.len() + 3, authority.len())
    }

    /// The URL of a request, as one that has an absolute URL writes it; a fragment, which clients keep to themselves, is
    /// left out.
    pub fn of(url: &'r str) -> Result<CanonicalUrl<'r>, Malformed> {
        let (scheme, rest) = ["https", "http"]
            .into_iter()
            .find_map(|scheme| Some((scheme, after(url, scheme)?)))
            .ok_or(Malformed::NotAPath)?;
        let rest = &rest[..memchr::memchr(b'#', rest.as_bytes()).unwrap_or(rest.len())];
        let end = rest.bytes().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
        let (written, target) = rest.split_at(end);
        let authority = Authority::of(written).canonical(scheme == "https")?;
        let begins = scheme.len() + "://".len();
        let is_canonical = target.starts_with('/')
            && authority == written
            && url.starts_with(scheme)
            && (target.is_ascii() || !target.bytes().any(begins_plane));
        if !is_canonical {
            return CanonicalUrl::new(scheme, &authority, target);
        }
        if target.bytes().any(is_unfit) {
            return Err(Malformed::Unescaped);
        }
        CanonicalUrl::checked(Cow::Borrowed(&url[..begins + rest.len()]), begins, authority.len())
    }

    fn checked(url: Cow<'r, str>, authority_at: usize, length: usize) -> Result<CanonicalUrl<'r>, Malformed> {
        let path_at = authority_at + length;
        let host_end = authority_at + Authority::of(&url[authority_at..path_at]).host_end;
        let target = &url.as_bytes()[path_at..];
        let path = &target[..memchr::memchr(b'?', target).unwrap_or(target.len())];
        let (is_plain, path_end) = (has_one_reading(path), path_at + path.len());
        if !is_plain {
            refuse_escapes(path)?;
        }
        Ok(CanonicalUrl { url, authority_at, host_end, path_at, path_end, is_plain })
    }

    /// All of it.
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.url.starts_with("https") { "https" } else { "http" }
    }

    /// Host, and its port where that is not the scheme's own; what belongs into a Host header.
    pub fn authority(&self) -> &str {
        &self.url[self.authority_at..self.path_at]
    }

    /// The host alone.
    pub fn host(&self) -> &str {
        &self.url[self.authority_at..self.host_end]
    }

    /// Whether it has a port, which is not the scheme's own.
    pub fn has_port(&self) -> bool {
        self.host_end < self.path_at
    }

    /// Path and query, as received; what belongs into a request line.
    pub fn target(&self) -> &str {
        &self.url[self.path_at..]
    }

    /// The path, as received.
    pub fn path(&self) -> &str {
        &self.url[self.path_at..self.path_end]
    }

    /// Whether all origins read its path in one way, as nearly all paths.
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }
}

/// What follows `scheme://`.
fn after<'u>(url: &'u str, scheme: &str) -> Option<&'u str> {
    let (written, rest) = url.split_at_checked(scheme.len())?;
    rest.strip_prefix("://").filter(|_| written.eq_ignore_ascii_case(scheme))
}

/// Spaces and control characters: they end a target, or a line.
fn is_unfit(byte: u8) -> bool {
    byte <= b' ' || byte == 0x7f
}

/// Whether a byte begins a character outside the Basic Multilingual Plane (RFC 3629, section 4).
fn begins_plane(byte: u8) -> bool {
    byte >= 0xf0
}

fn with_escaped_planes(target: &str) -> Cow<'_, str> {
    if !target.bytes().any(begins_plane) {
        return Cow::Borrowed(target);
    }
    let mut escaped = String::with_capacity(target.len() + 16);
    for character in target.chars() {
        match character {
            '\u{10000}'.. => escaped.extend(utf8_percent_encode(character.encode_utf8(&mut [0; 4]), NON_ALPHANUMERIC)),
            character => escaped.push(character),
        }
    }
    escaped.into()
}

/// A host and perhaps a port (RFC 3986, section 3.2), as somebody wrote them, told apart. User info has no place in a
/// request (RFC 9110, section 4.2.4), and is none here. Whether it is well formed, [`Authority::canonical`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    text: &'a str,
    /// Where the host ends: behind the brackets of an IPv6 address.
    host_end: usize,
}

impl<'a> Authority<'a> {
    /// Tells host and port apart.
    pub fn of(text: &'a str) -> Authority<'a> {
        // Short texts, for which searchers do not pay.
        let bytes = text.as_bytes();
        let begins =
            if bytes.first() == Some(&b'[') { bytes.iter().rposition(|&byte| byte == b']').unwrap_or(0) } else { 0 };
        let length = bytes[begins..].iter().position(|&byte| byte == b':');
        Authority { text, host_end: length.map_or(text.len(), |length| begins + length) }
    }

    /// The host; an IPv6 address with its brackets.
    pub fn host(self) -> &'a str {
        &self.text[..self.host_end]
    }

    /// What is written behind the colon, where there is one: a port, or nothing, or anything else.
    pub fn port(self) -> Option<&'a str> {
        self.text[self.host_end..].strip_prefix(':')
    }

    /// The address, if the host is one.
    pub fn address(self) -> Option<IpAddr> {
        let host = self.host();
        match host.strip_prefix('[') {
            Some(literal) => literal.strip_suffix(']')?.parse().ok().map(IpAddr::V6),
            None => host.parse().ok().map(IpAddr::V4),
        }
    }

    /// All of it, but for this port.
    pub fn without(self, port: &str) -> &'a str {
        if self.port() == Some(port) { self.host() } else { self.text }
    }

    /// Host and port, written in one way; a scheme's own port is not.
    pub fn canonical(self, is_secure: bool) -> Result<Cow<'a, str>, Malformed> {
        let own = if is_secure { 443 } else { 80 };
        let port = self.number()?.filter(|&port| port != own);
        match (canonical_host(self.host())?, port) {
            (host, None) => Ok(host),
            (host, Some(port)) => {
                let written = format!("{host}:{port}");
                Ok(if written == self.text { Cow::Borrowed(self.text) } else { written.into() })
            }
        }
    }

    /// The port, where one is written.
    fn number(self) -> Result<Option<u16>, Malformed> {
        match self.port().unwrap_or_default() {
            "" => Ok(None),
            port if !port.bytes().all(|digit| digit.is_ascii_digit()) => Err(Malformed::NotAHost),
            port => port.parse().map(Some).map_err(|_| Malformed::NotAHost),
        }
    }
}

fn canonical_host(host: &str) -> Result<Cow<'_, str>, Malformed> {
    if let Some(literal) = host.strip_prefix('[') {
        let address: Ipv6Addr =
            literal.strip_suffix(']').and_then(|text| text.parse().ok()).ok_or(Malformed::NotAHost)?;
        return Ok(match address.to_canonical() {
            IpAddr::V4(address) => address.to_string().into(),
            IpAddr::V6(address) => {
                let written = format!("[{address}]");
                if written == host { Cow::Borrowed(host) } else { written.into() }
            }
        });
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    // One pass for nearly every host.
    let (mut is_good, mut has_upper, mut previous) = (true, false, b'.');
    for &byte in name.as_bytes() {
        is_good &= match byte {
            b'.' => previous != b'.',
            _ => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'),
        };
        has_upper |= byte.is_ascii_uppercase();
        previous = byte;
    }
    if !is_good || previous == b'.' || name.len() > 253 || is_odd_address(name) {
        return Err(if host.is_empty() { Malformed::NoHost } else { Malformed::NotAHost });
    }
    Ok(if has_upper { name.to_ascii_lowercase().into() } else { Cow::Borrowed(name) })
}

/// What ends in a number is an address, or a spelling of one that not all clients know (WHATWG URL, ends in a number).
fn is_odd_address(name: &str) -> bool {
    if !name.bytes().next_back().is_some_and(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'x' | b'X')) {
        return false;
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
        || last
            .strip_prefix("0x")
            .or_else(|| last.strip_prefix("0X"))
            .is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    is_number && name.parse::<Ipv4Addr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(scheme: &str, authority: &str, target: &str) -> Result<String, Malformed> {
        CanonicalUrl::new(scheme, authority, target).map(|url| url.as_str().to_owned())
    }

    #[test]
    fn one_authority_has_one_spelling() {
        for (scheme, spelling, canonical) in [
            ("http", "Shop.Example", "shop.example"),
            ("http", "shop.example.", "shop.example"),
            ("http", "shop.example:", "shop.example"),
            ("http", "SHOP.example.:0080", "shop.example"),
            ("https", "shop.example:443", "shop.example"),
            ("https", "shop.example:80", "shop.example:80"),
            ("http", "shop.example.:08080", "shop.example:8080"),
            ("http", "[::ffff:192.0.2.1]:80", "192.0.2.1"),
            ("http", "[0:0::1]", "[::1]"),
            ("http", "[::1]:8080", "[::1]:8080"),
            ("HTTP", "my_host-1", "my_host-1"),
        ] {
            let secure = !scheme.eq_ignore_ascii_case("http");
            assert_eq!(Authority::of(spelling).canonical(secure).as_deref(), Ok(canonical), "{spelling}");
            let expected = format!("{}://{canonical}/a?b", scheme.to_ascii_lowercase());
            assert_eq!(url(scheme, spelling, "/a?b"), Ok(expected.clone()));
            let written = format!("{scheme}://{spelling}/a?b#c");
            let of = CanonicalUrl::of(&written).expect("a URL");
            assert_eq!((of.as_str(), of.authority(), of.target(), of.path()), (&*expected, canonical, "/a?b", "/a"));
        }
    }

    #[test]
    fn host_and_port_are_told_apart_in_one_place() {
        for (text, host, port, address) in [
            ("h", "h", None, None),
            ("h:", "h", Some(""), None),
            ("h:80", "h", Some("80"), None),
            ("h:80:81", "h", Some("80:81"), None),
            (":80", "", Some("80"), None),
            ("192.0.2.1:80", "192.0.2.1", Some("80"), Some("192.0.2.1")),
            ("[::1]", "[::1]", None, Some("::1")),
            ("[::1]:80", "[::1]", Some("80"), Some("::1")),
            ("[::1", "[", Some(":1"), None),
            ("::1", "", Some(":1"), None),
            ("[192.0.2.1]", "[192.0.2.1]", None, None),
            ("", "", None, None),
        ] {
            let authority = Authority::of(text);
            assert_eq!((authority.host(), authority.port()), (host, port), "{text}");
            assert_eq!(authority.address().map(|address| address.to_string()).as_deref(), address, "{text}");
            assert_eq!(authority.without("80"), if port == Some("80") { host } else { text }, "{text}");
        }
    }

    #[test]
    fn what_is_no_authority_is_refused() {
        assert_eq!(url("http", "", "/"), Err(Malformed::NoHost));
        for bad in [
            "@h",
            "a@h",
            "a:b@h",
            "h%2eexample",
            "[::1",
            "::1",
            "[::1]x",
            "[::1%25eth0]",
            "h..",
            ".h",
            "a..b",
            "h:x",
            "h:+80",
            "h:65536",
            "h:80:80",
            "h h",
            "h/x",
            "h?x",
            "h#x",
            "h\\x",
            "a,b",
            "é",
            "1.2.3",
            "0x7f.1",
            "256.1.1.1",
            "h:-1",
            ".",
        ] {
            assert_eq!(url("http", bad, "/"), Err(Malformed::NotAHost), "{bad}");
        }
        assert_eq!(url("http", &"a.".repeat(200), "/"), Err(Malformed::NotAHost));
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for (bad, why) in [
            ("*", Malformed::NotAPath),
            ("shop", Malformed::NotAPath),
            ("http://h/", Malformed::NotAPath),
            ("\\shop", Malformed::NotAPath),
            ("/a b", Malformed::Unescaped),
            ("/a#b", Malformed::Unescaped),
            ("/?a\tb", Malformed::Unescaped),
            ("/%", Malformed::BrokenEscape),
            ("/%4", Malformed::BrokenEscape),
            ("/%u002f", Malformed::BrokenEscape),
            ("/a%00", Malformed::ControlCharacter),
            ("/a%0a", Malformed::ControlCharacter),
            ("/a%7F", Malformed::ControlCharacter),
        ] {
            assert_eq!(url("http", "h", bad), Err(why), "{bad}");
        }
        assert_eq!(url("http", "h", "/?100%&%00"), Ok("http://h/?100%&%00".into()), "queries are nobody's path");
        assert_eq!(url("http", "h", ""), Ok("http://h/".into()));
        assert_eq!(url("http", "h", "?a"), Ok("http://h/?a".into()));
        assert_eq!(CanonicalUrl::of("ftp://h/"), Err(Malformed::NotAPath));
        assert_eq!(CanonicalUrl::of("/x"), Err(Malformed::NotAPath));
    }

    #[test]
    fn only_what_would_switch_normalisation_off_is_escaped() {
        assert_eq!(url("http", "h", "/é?😀").as_deref(), Ok("http://h/é?%F0%9F%98%80"));
        assert_eq!(CanonicalUrl::of("http://h/😀").map(|url| url.target().to_owned()).as_deref(), Ok("/%F0%9F%98%80"));
    }

    #[test]
    fn what_is_canonical_is_borrowed_and_stays() {
        for text in ["https://shop.example/", "http://127.0.0.1:8080/a//b;c?d", "https://h/%2f?q"] {
            let url = CanonicalUrl::of(text).expect("a URL");
            assert!(matches!(url.url, Cow::Borrowed(borrowed) if borrowed == text));
        }
    }
}

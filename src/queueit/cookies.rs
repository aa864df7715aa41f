//! Cookies as the connector protocol reads them (docs/protocol/queue-it.md#reading-cookies).

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;

use super::encoding::{MalformedEscape, decode_component, trim};

/// A cookie's value, percent-decoded. Bytes that are not UTF-8 are replaced.
pub fn decoded<'h>(raw: &'h [u8], arena: &'h Bump) -> Result<&'h str, MalformedEscape> {
    if memchr::memchr(b'%', raw).is_none() {
        return Ok(text(raw, arena));
    }
    let mut decoded = BumpVec::with_capacity_in(raw.len(), arena);
    decode_component(raw, &mut decoded)?;
    Ok(text(decoded.into_bump_slice(), arena))
}

fn text<'h>(bytes: &'h [u8], arena: &'h Bump) -> &'h str {
    std::str::from_utf8(bytes).unwrap_or_else(|_| arena.alloc_str(&String::from_utf8_lossy(bytes)))
}

/// The value of the cookie `name` as Queue-it's adapter finds it, not yet decoded: the header is split on `;`, each
/// piece on `=`; the first two parts, trimmed, are name and value (so a value ends at its first `=`); the last cookie
/// of a name wins. `None` where there is no such cookie.
pub fn raw_cookie<'h>(header: &'h [u8], name: &[u8]) -> Option<&'h [u8]> {
    raw_cookies(header, name).last().map(|cookie| cookie.value)
}

/// One of perhaps several cookies of a name: a browser sends all that it has for the host and its domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawCookie<'h> {
    /// As Queue-it's adapter finds it, not yet decoded.
    pub value: &'h [u8],
    /// Whether that is all of it: the adapter drops what follows a second `=`.
    pub is_whole: bool,
}

/// All of the cookie `name`, in order.
pub fn raw_cookies<'h>(header: &'h [u8], name: &[u8]) -> impl Iterator<Item = RawCookie<'h>> {
    let long_enough = pieces(header, b';').filter(|piece| piece.len() > name.len());
    long_enough.filter_map(move |piece| {
        let mut parts = pieces(piece, b'=');
        let (known, value) = (trim_bytes(parts.next()?), parts.next()?);
        (known == name).then(|| RawCookie { value: trim_bytes(value), is_whole: parts.next().is_none() })
    })
}

/// Every name and undecoded value as Queue-it's adapter finds them, in order.
pub fn named_cookies(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    pieces(header, b';').filter_map(named_cookie)
}

fn named_cookie(piece: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut parts = pieces(piece, b'=');
    Some((trim_bytes(parts.next()?), trim_bytes(parts.next()?)))
}

fn pieces(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = memchr::memchr(separator, text);
        rest = end.map(|end| &text[end + 1..]);
        Some(&text[..end.unwrap_or(text.len())])
    })
}

fn trim_bytes(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii();
    if text.first().is_none_or(u8::is_ascii_graphic) && text.last().is_none_or(u8::is_ascii_graphic) {
        return text;
    }
    std::str::from_utf8(text).map_or(text, |text| trim(text).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie(header: &[u8], name: &str) -> Result<Option<String>, MalformedEscape> {
        let arena = Bump::new();
        raw_cookie(header, name.as_bytes()).map(|raw| decoded(raw, &arena).map(str::to_owned)).transpose()
    }

    fn read(header: &str, name: &str) -> Option<String> {
        cookie(header.as_bytes(), name).expect("well formed")
    }

    #[test]
    fn every_cookie_of_a_name_is_found() {
        let all = raw_cookies(b"a=1; b=2;a= 3 =x ;a;aa=4; a=", b"a");
        let expected = [("1", true), ("3", false), ("", true)];
        assert!(all.eq(expected.map(|(value, is_whole)| RawCookie { value: value.as_bytes(), is_whole })));
    }

    #[test]
    fn reads_as_queue_it_does() {
        let header = "a=1; b = two=three ;c;=d; a=%C3%A9+;e=; é=\u{a0}x\u{a0}";
        assert_eq!(read(header, "a").as_deref(), Some("é+"));
        assert_eq!(read(header, "b").as_deref(), Some("two"));
        assert_eq!(read(header, "c"), None);
        assert_eq!(read(header, "").as_deref(), Some("d"));
        assert_eq!(read(header, "e").as_deref(), Some(""));
        assert_eq!(read(header, "é").as_deref(), Some("x"));
        assert_eq!(read(header, "A"), None);
    }

    #[test]
    fn malformed_escapes_are_found_where_they_are_asked_for() {
        for value in ["%", "%4", "%zz", "%ff", "%C3", "%C3x", "%C3%28", "%ED%A0%80", "x%"] {
            let header = format!("good=1; bad={value}");
            assert_eq!(cookie(header.as_bytes(), "bad"), Err(MalformedEscape), "{value}");
            assert_eq!(read(&header, "good").as_deref(), Some("1"));
        }
        assert_eq!(read("bad=%; bad=ok", "bad").as_deref(), Some("ok"));
    }

    #[test]
    fn bytes_that_are_no_text_do_no_harm() {
        let value = cookie(b"a=\xff\x00b; \xfe=1", "a").expect("no escapes");
        assert_eq!(value.as_deref(), Some("\u{fffd}\0b"));
    }
}

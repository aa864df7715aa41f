//! The encodings of the protocol (docs/protocol/queue-it.md#conventions).

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bumpalo::Bump;
use bumpalo::collections::{String as ArenaString, Vec as ArenaVec};

use crate::request::escaped_byte;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

/// All but letters, digits, `-`, `_`, `.` and `~`.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Prints text percent-encoded as the protocol's URLs have it (`ENC`): only letters, digits, `-`, `_`, `.` and `~`
/// stay bare, and the escape of `*` is in lower case.
pub struct Enc<'t>(pub &'t str);

impl Enc<'_> {
    /// Writes the encoded text, piece by piece.
    pub fn write_to(&self, out: &mut impl fmt::Write) -> fmt::Result {
        utf8_percent_encode(self.0, RESERVED)
            .try_for_each(|piece| out.write_str(if piece == "%2A" { "%2a" } else { piece }))
    }
}

impl fmt::Display for Enc<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_to(f)
    }
}

/// Text as JavaScript's `encodeURIComponent` has it: `!'()*` stay bare, too. For cookie values.
pub fn encode_uri_component(text: &str) -> PercentEncode<'_> {
    const ESCAPED: &AsciiSet = &RESERVED.remove(b'!').remove(b'\'').remove(b'(').remove(b')').remove(b'*');
    utf8_percent_encode(text, ESCAPED)
}

/// Appends what [`encode_uri_component`] makes of text. Most of what stands in a session needs no escape, and the rest can
/// be searched for.
pub fn push_uri_component(text: &str, out: &mut ArenaString<'_>) {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() | matches!(byte, b'-' | b'_' | b'.' | b'=' | b'&');
    if !text.bytes().fold(true, |all, byte| all & is_plain(byte)) {
        return out.extend(encode_uri_component(text));
    }
    let mut start = 0;
    for at in memchr::memchr2_iter(b'=', b'&', text.as_bytes()) {
        out.push_str(&text[start..at]);
        out.push_str(if text.as_bytes()[at] == b'=' { "%3D" } else { "%26" });
        start = at + 1;
    }
    out.push_str(&text[start..]);
}

/// Decodes as JavaScript's `decodeURIComponent` does (`+` stays).
pub fn decode_uri_component<'t>(text: &'t str, arena: &'t Bump) -> Result<&'t str, MalformedEscape> {
    if memchr::memchr(b'%', text.as_bytes()).is_none() {
        return Ok(text);
    }
    let mut decoded = ArenaVec::with_capacity_in(text.len(), arena);
    decode_component(text.as_bytes(), &mut decoded)?;
    std::str::from_utf8(decoded.into_bump_slice()).map_err(|_| MalformedEscape)
}

/// Whether text has nothing but ASCII characters that are printed. Looks at all of them, so that many are looked at
/// at once.
pub fn is_graphic(text: &str) -> bool {
    text.bytes().fold(true, |is_graphic, byte| is_graphic & byte.is_ascii_graphic())
}

/// Lower-case text (full Unicode mapping), as it is where it has no other letters.
pub fn lower_case(text: &str) -> Cow<'_, str> {
    match text.bytes().any(|byte| !byte.is_ascii() || byte.is_ascii_uppercase()) {
        true => Cow::Owned(text.to_lowercase()),
        false => Cow::Borrowed(text),
    }
}

/// The parts, one after the other.
pub fn concat<'a>(parts: &[&str], arena: &'a Bump) -> &'a str {
    let mut text = ArenaString::with_capacity_in(parts.iter().map(|part| part.len()).sum(), arena);
    parts.iter().for_each(|part| text.push_str(part));
    text.into_bump_str()
}

/// A Unix second that can be written as a date: between 1970 and 9999.
pub fn instant(second: i64) -> SystemTime {
    const LAST: i64 = 253_402_300_799;
    UNIX_EPOCH + Duration::from_secs(second.clamp(0, LAST) as u64)
}

/// Reads an integer as leniently as JavaScript's `parseInt`: leading white space, a sign, `0x` for hexadecimal, the
/// longest run of digits; what follows is ignored. NaN where there is no digit.
pub fn lenient_integer(text: &str) -> f64 {
    // Times and minutes fit into 32 bits, which are read in a fraction of the time.
    if let Ok(number) = text.parse::<u32>() {
        return f64::from(number);
    }
    let text = text.trim_start_matches(is_js_space);
    let (sign, text) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (if text.starts_with('-') { -1.0 } else { 1.0 }, rest),
        None => (1.0, text),
    };
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (radix, text) = hexadecimal.map_or((10, text), |rest| (16, rest));
    let digits = &text[..text.find(|c: char| !c.is_digit(radix)).unwrap_or(text.len())];
    match radix {
        _ if digits.is_empty() => f64::NAN,
        16 => sign * digits.chars().filter_map(|c| c.to_digit(16)).fold(0.0, |sum, d| sum * 16.0 + f64::from(d)),
        _ => sign * digits.parse().unwrap_or(f64::NAN),
    }
}

/// A percent escape that is incomplete or not of UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not validly percent-encoded")]
pub struct MalformedEscape;

/// Appends what JavaScript's `decodeURIComponent` makes of `text`: `+` stays, and a run of escapes that is not whole
/// UTF-8 is an error.
pub fn decode_component(text: &[u8], out: &mut ArenaVec<'_, u8>) -> Result<(), MalformedEscape> {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'%', rest) {
        out.extend_from_slice_copy(&rest[..at]);
        rest = decode_character(&rest[at..], out)?;
    }
    out.extend_from_slice_copy(rest);
    Ok(())
}

/// Decodes the escapes of one character at the start of `text`, and gives back what follows them.
fn decode_character<'t>(text: &'t [u8], out: &mut ArenaVec<'_, u8>) -> Result<&'t [u8], MalformedEscape> {
    let first = escaped_byte(text).ok_or(MalformedEscape)?;
    let length = match first {
        0x00..=0x7f => 1,
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return Err(MalformedEscape),
    };
    let mut bytes = [0; 4];
    for (index, byte) in bytes[..length].iter_mut().enumerate() {
        *byte = text.get(3 * index..).and_then(escaped_byte).ok_or(MalformedEscape)?;
    }
    std::str::from_utf8(&bytes[..length]).map_err(|_| MalformedEscape)?;
    out.extend_from_slice_copy(&bytes[..length]);
    Ok(&text[3 * length..])
}

/// Trims what JavaScript's `trim` does.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(is_js_space)
}

/// What JavaScript's `trim` and `parseInt` take for white space.
fn is_js_space(c: char) -> bool {
    c == '\u{feff}' || (c.is_whitespace() && c != '\u{85}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enc_keeps_little() {
        assert_eq!(Enc("a b!'()*~-_.é😀").to_string(), "a%20b%21%27%28%29%2a~-_.%C3%A9%F0%9F%98%80");
        assert_eq!(Enc("").to_string(), "");
        assert_eq!(encode_uri_component("=&!'()*é").to_string(), "%3D%26!'()*%C3%A9");
    }

    #[test]
    fn what_is_appended_is_what_is_written() {
        let arena = Bump::new();
        for piece in ["", "=", "&", "a", "_.-~", "%", "é", "*", " ", "\0", "\u{7f}", "a=b&c", "EventId=shop&QueueId="]
        {
            for text in [piece.to_owned(), format!("{}{piece}", "x=".repeat(20)), format!("{piece}&{}", "1".repeat(70))]
            {
                let mut out = ArenaString::from_str_in("n=", &arena);
                push_uri_component(&text, &mut out);
                assert_eq!(out.as_str(), format!("n={}", encode_uri_component(&text)));
            }
        }
    }

    #[test]
    fn decoding_refuses_broken_escapes() {
        let arena = Bump::new();
        assert_eq!(decode_uri_component("a+b", &arena), Ok("a+b"));
        assert_eq!(decode_uri_component("%C3%A9%2b", &arena), Ok("é+"));
        for broken in ["%", "%a", "%zz", "%E0%A4%A", "%ff", "é%80", "%C3é"] {
            assert_eq!(decode_uri_component(broken, &arena), Err(MalformedEscape), "{broken}");
        }
    }

    #[test]
    fn integers_are_read_leniently() {
        for (text, expected) in [
            ("12", 12.0),
            (" \t-7x", -7.0),
            ("3.9", 3.0),
            ("1e3", 1.0),
            ("0x1f", 31.0),
            ("-0X1Fz", -31.0),
            ("+5", 5.0),
            ("007", 7.0),
            ("4294967295", 4_294_967_295.0),
            ("4294967296", 4_294_967_296.0),
            ("99999999999999999999999", 1e23),
        ] {
            assert_eq!(lenient_integer(text), expected, "{text}");
        }
        for text in ["", "x", "0x", "--1", "+", "é"] {
            assert!(lenient_integer(text).is_nan(), "{text}");
        }
    }
}

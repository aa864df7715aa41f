//! Two normalisations: the path that expressions see, and Queue-it's normalisation of whole URLs.

use std::borrow::Cow;

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;

use super::ascii::hex_digit;

/// The path that expressions see (design, decision 5), borrowed where `path` is normal already.
///
/// Escapes of unreserved characters are decoded and other escapes written in upper case; characters that browsers
/// escape in a path (WHATWG URL, path percent-encode set) are escaped, and so is a `%` that begins no escape; `\`
/// becomes `/`, runs of `/` become one, dot segments are removed (RFC 3986, section 5.2.4), and an empty path becomes
/// `/`. So `/%63heckout`, `//checkout`, `/./checkout`, `\checkout` and `/x/../checkout` are all `/checkout`.
pub fn normal_path<'a>(path: &'a str, arena: &'a Bump) -> &'a [u8] {
    if is_plain(path.as_bytes()) || is_normal(path.as_bytes()) {
        return path.as_bytes();
    }
    let mut unescaped = BumpVec::with_capacity_in(path.len() + 16, arena);
    normalize_escapes(path.as_bytes(), &mut unescaped);
    unescaped.iter_mut().filter(|byte| **byte == b'\\').for_each(|byte| *byte = b'/');
    remove_dot_segments(&unescaped, arena)
}

/// Whether nothing in a path even looks as if it had to be normalised, which is so for nearly every request.
fn is_plain(path: &[u8]) -> bool {
    const ODD: Odd = odd_bytes!(may_be_normalized);
    path.first() == Some(&b'/') && ODD.is_absent_from(path)
}

/// Whether nothing in a path even looks as if somebody normalised it and somebody else did not; parameters included (RFC
/// 3986, section 3.3).
pub(super) fn is_plain_to_all(path: &[u8]) -> bool {
    const ODD: Odd = odd_bytes!(may_be_read_otherwise, Odd::ODD_AFTER_DOT);
    path.first() == Some(&b'/') && path.last() != Some(&b'.') && ODD.is_absent_from(path)
}

const fn may_be_read_otherwise(byte: u8) -> bool {
    may_be_normalized(byte) || byte == b';'
}

/// What makes a second look necessary: odd bytes, and a `/` or a `.` after a `/`. By byte: in the lower bits what it is,
/// in the upper bits what must not follow it.
struct Odd([u8; 256]);

impl Odd {
    const ODD: u8 = 1;
    const ODD_AFTER_SLASH: u8 = 2;
    const ODD_AFTER_DOT: u8 = 4;
    const NEXT: u32 = 4;

    /// In one pass without branches.
    fn is_absent_from(&self, text: &[u8]) -> bool {
        let (mut odd, mut unwanted) = (0, Self::ODD);
        for &byte in text {
            let kind = self.0[usize::from(byte)];
            odd |= kind & unwanted;
            unwanted = kind >> Self::NEXT;
        }
        odd == 0
    }
}

/// The table for those bytes of which a `const fn`, which takes a byte, says that they are odd. A macro, because what
/// is evaluated at compile time cannot be passed a function. `$slash` says what else a `/` is.
macro_rules! odd_bytes {
    ($is_odd:expr) => {
        odd_bytes!($is_odd, 0)
    };
    ($is_odd:expr, $slash:expr) => {{
        let mut kinds = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            kinds[byte] = match byte as u8 {
                b'/' => (Odd::ODD | Odd::ODD_AFTER_SLASH) << Odd::NEXT | Odd::ODD_AFTER_SLASH | $slash,
                b'.' => (Odd::ODD | Odd::ODD_AFTER_DOT) << Odd::NEXT | Odd::ODD_AFTER_SLASH,
                other if $is_odd(other) => Odd::ODD << Odd::NEXT | Odd::ODD,
                _ => Odd::ODD << Odd::NEXT,
            };
            byte += 1;
        }
        Odd(kinds)
    }};
}
use odd_bytes;

pub(super) fn is_normal(path: &[u8]) -> bool {
    let mut previous = b'x';
    for (at, &byte) in path.iter().enumerate() {
        let plain = match byte {
            b'/' => previous != b'/',
            b'.' => previous != b'/' || !begins_dot_segment(&path[at..]),
            b'%' => matches!(escape_at(path, at), Some(Escape::Canonical)),
            _ => !may_be_normalized(byte),
        };
        if !plain {
            return false;
        }
        previous = byte;
    }
    path.first() == Some(&b'/')
}

/// Whether a text goes on with `.` or `..` as a whole segment.
fn begins_dot_segment(text: &[u8]) -> bool {
    let rest = text.strip_prefix(b"..").or_else(|| text.strip_prefix(b"."));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
}

enum Escape {
    /// Of an unreserved character; this is the character.
    Needless(u8),
    /// Of another character, with some digit in lower case.
    LowerCase,
    /// Of another character, in upper case.
    Canonical,
}

fn escape_at(text: &[u8], at: usize) -> Option<Escape> {
    let &[high, low] = text.get(at + 1..at + 3)? else { return None };
    let byte = hex_digit(high)? << 4 | hex_digit(low)?;
    Some(if is_unreserved(byte) {
        Escape::Needless(byte)
    } else if high.is_ascii_lowercase() || low.is_ascii_lowercase() {
        Escape::LowerCase
    } else {
        Escape::Canonical
    })
}

pub(super) const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

const fn may_be_normalized(byte: u8) -> bool {
    byte == b'%' || byte == b'\\' || is_escaped_by_browsers(byte)
}

const fn is_escaped_by_browsers(byte: u8) -> bool {
    byte < 0x21 || byte > 0x7e || matches!(byte, b'"' | b'#' | b'<' | b'>' | b'?' | b'^' | b'`' | b'{' | b'}')
}

/// Escapes in one form; a `\` stays.
pub(super) fn normalize_escapes(path: &[u8], out: &mut impl Extend<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut at = 0;
    while let Some(&byte) = path.get(at) {
        at += 1;
        match byte {
            b'%' => match escape_at(path, at - 1) {
                Some(Escape::Needless(byte)) => {
                    out.extend([byte]);
                    at += 2;
                }
                Some(_) => {
                    out.extend([b'%', path[at].to_ascii_uppercase(), path[at + 1].to_ascii_uppercase()]);
                    at += 2;
                }
                None => out.extend(*b"%25"),
            },
            byte if is_escaped_by_browsers(byte) => {
                out.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
            }
            byte => out.extend([byte]),
        }
    }
}

/// Segments without `.`, `..` and empty ones; a path that ended in one of these ends in `/`.
pub(super) fn remove_dot_segments<'a>(path: &[u8], arena: &'a Bump) -> &'a [u8] {
    let mut out = BumpVec::with_capacity_in(path.len() + 1, arena);
    let mut is_directory = true;
    for segment in path.split(|&byte| byte == b'/') {
        is_directory = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => {
                let parent = out.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
                out.truncate(parent);
            }
            segment => {
                out.push(b'/');
                out.extend_from_slice_copy(segment);
            }
        }
    }
    if is_directory {
        out.push(b'/');
    }
    out.into_bump_slice()
}

/// Queue-it's URL normalisation (protocol, section 7). Never fails: a URL with a character outside the Basic
/// Multilingual Plane comes back untouched, as it does from the official engine. A
/// [`CanonicalUrl`](super::CanonicalUrl) has none.
pub fn queueit_normalize(url: &str) -> Cow<'_, str> {
    if is_queueit_normal(url) || url.chars().any(|character| character > '\u{ffff}') {
        return Cow::Borrowed(url);
    }
    let url = trim(url);
    if url.is_empty() {
        return Cow::Borrowed(url);
    }
    let url = collapse_slashes(url);
    let url = uppercase_escapes(escape_foreign(unescape_unreserved(&url)));
    let url = queueit_remove_dot_segments(&url);
    Cow::Owned(trim(&plus_for_space_in_query(url)).to_owned())
}

/// Trims what JavaScript's `trim` does.
pub fn trim(text: &str) -> &str {
    text.trim_matches(is_js_space)
}

/// What JavaScript's `trim` and `parseInt` take for white space.
pub fn is_js_space(c: char) -> bool {
    c == '\u{feff}' || (c.is_whitespace() && c != '\u{85}')
}

/// A quick test that most URLs pass: an absolute http(s) URL with a path, and nothing in it that any step touches.
fn is_queueit_normal(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")) else { return false };
    let rest = rest.as_bytes();
    let first_special = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    first_special.is_some_and(|at| at > 0 && rest[at] == b'/') && TOUCHED.is_absent_from(rest)
}

/// What some step touches.
const TOUCHED: Odd = odd_bytes!(is_touched);

const fn is_touched(byte: u8) -> bool {
    byte == b'%' || !is_uri_byte(byte)
}

const fn is_uri_byte(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(byte, b':' | b'/' | b'?' | b'#' | b'%' | b'[' | b']' | b'@' | b'!' | b'$' | b'&' | b'\'')
        || matches!(byte, b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
}

/// `\` to `/`, then each run of `/` to one, where a `/` directly after a `:` is not part of the run.
fn collapse_slashes(url: &str) -> String {
    let mut out = String::with_capacity(url.len());
    let mut may_follow = true;
    for character in url.chars().map(|character| if character == '\\' { '/' } else { character }) {
        if character != '/' || may_follow {
            may_follow = character != '/' || out.ends_with(':');
            out.push(character);
        }
    }
    out
}

fn unescape_unreserved(url: &str) -> String {
    let mut out = String::with_capacity(url.len());
    let mut rest = url;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        match escape_at(rest.as_bytes(), at) {
            Some(Escape::Needless(byte)) => {
                out.push(char::from(byte));
                rest = &rest[at + 3..];
            }
            _ => {
                out.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn escape_foreign(url: String) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(url.len());
    for byte in url.bytes() {
        if is_uri_byte(byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Only escapes without an upper-case digit: `%c3` becomes `%C3`, `%aF` stays.
fn uppercase_escapes(url: String) -> String {
    let is_lower = |digit: &u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    let mut out = String::with_capacity(url.len());
    let mut rest = url.as_str();
    while let Some(at) = rest.find('%') {
        let end = match rest.as_bytes().get(at + 1..at + 3) {
            Some(digits) if digits.iter().all(is_lower) => at + 3,
            _ => at + 1,
        };
        out.push_str(&rest[..at]);
        out.push_str(&rest[at..end].to_ascii_uppercase());
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

fn queueit_remove_dot_segments(url: &str) -> String {
    let (before_path, rest) = url.split_at(origin_length(url));
    let (path, after_path) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
    let path = match path {
        "" if !before_path.is_empty() => "/".to_owned(),
        path => rfc3986_remove_dot_segments(path),
    };
    format!("{before_path}{path}{after_path}")
}

/// The length of scheme (in lower case) and authority of an http(s) URL, or of a first segment that looks like a host
/// name: with a dot inside. 0 where there is neither.
fn origin_length(url: &str) -> usize {
    let end_from = |at: usize| url[at..].find(['/', '?', '#']).map_or(url.len(), |end| at + end);
    let scheme = ["https://", "http://"].into_iter().find(|scheme| url.starts_with(scheme)).map_or(0, str::len);
    if scheme > 0 && end_from(scheme) > scheme {
        return end_from(scheme);
    }
    let segment = &url.as_bytes()[..end_from(0)];
    let has_dot_inside = segment.len() > 2 && segment[1..segment.len() - 1].contains(&b'.');
    if has_dot_inside { segment.len() } else { 0 }
}

/// RFC 3986, section 5.2.4, letter by letter: unlike the path that expressions see, it may stay relative.
fn rfc3986_remove_dot_segments(path: &str) -> String {
    let mut input = path;
    let mut out = String::with_capacity(path.len());
    while !input.is_empty() {
        if let Some(rest) = input.strip_prefix("../").or_else(|| input.strip_prefix("./")) {
            input = rest;
        } else if input.starts_with("/./") {
            input = &input[2..];
        } else if input == "/." {
            input = "/";
        } else if input.starts_with("/../") {
            input = &input[3..];
            out.truncate(out.rfind('/').unwrap_or(0));
        } else if input == "/.." {
            input = "/";
            out.truncate(out.rfind('/').unwrap_or(0));
        } else if input == "." || input == ".." {
            input = "";
        } else {
            let end = input[1..].find('/').map_or(input.len(), |at| at + 1);
            out.push_str(&input[..end]);
            input = &input[end..];
        }
    }
    out
}

fn plus_for_space_in_query(url: String) -> String {
    match url.split_once('?') {
        Some((before, query)) if query.contains("%20") => format!("{before}?{}", query.replace("%20", "+")),
        _ => url,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(path: &str) -> String {
        let arena = Bump::new();
        String::from_utf8(normal_path(path, &arena).to_vec()).expect("ASCII")
    }

    #[test]
    fn detours_to_a_path_are_that_path() {
        for detour in [
            "/checkout",
            "/%63heckout",
            "//checkout",
            "/./checkout",
            "/x/../checkout",
            "\\checkout",
            "/x/..\\checkout",
            "/%2e/checkout",
            "/%2E%2e/checkout",
            "/../../checkout",
            "/x//../checkout",
            "/%43heckout/../checkout",
            "///.//checkout",
            "checkout",
        ] {
            assert_eq!(normal(detour), "/checkout", "{detour}");
        }
    }

    #[test]
    fn what_is_normal_stays_and_is_borrowed() {
        let arena = Bump::new();
        for path in ["/", "/a/b", "/a.b/c.", "/a%2Fb", "/a%25", "/a;b=1,2/", "/a..b/x...", "/%C3%A9"] {
            let normal = normal_path(path, &arena);
            assert_eq!(normal, path.as_bytes());
            assert!(std::ptr::eq(normal, path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn other_paths() {
        for (path, expected) in [
            ("", "/"),
            ("/.", "/"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a//", "/a/"),
            ("/%2f", "/%2F"),
            ("/%5c", "/%5C"),
            ("/é \"", "/%C3%A9%20%22"),
            ("/%2563", "/%2563"),
            ("/%", "/%25"),
            ("/%zz", "/%25zz"),
            ("/%%63", "/%25c"),
            ("/...", "/..."),
        ] {
            assert_eq!(normal(path), expected, "{path}");
        }
    }

    #[test]
    fn normalising_twice_changes_nothing() {
        for path in ["/%%36%33", "/.%2e/%2", "\\\\a\\.\\..", "/a/./..//%2E%2e/b/%e9", "/%25%63"] {
            assert_eq!(normal(&normal(path)), normal(path), "{path}");
        }
    }

    /// Answers of the official engine.
    #[test]
    fn queueit_corners() {
        for (url, expected) in [
            ("http://", "http://"),
            ("https://?x", "https://?x"),
            ("HTTPS://h?", "HTTPS://h?"),
            ("HTTPS://h/../x", "HTTPS://x"),
            ("#", "#"),
            (":///%5c////", "://%5C/"),
            ("https:://\\+%aF", "https:://+%aF"),
            ("..", ""),
            ("a.b", "a.b/"),
        ] {
            assert_eq!(queueit_normalize(url), expected, "{url}");
        }
    }

    #[test]
    fn queueit_vectors() {
        let vectors = include_str!("../../tests/vectors/queueit/normalization.jsonl");
        let mut count = 0;
        for case in vectors.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON")) {
            if case["kind"] == "normalize_url" {
                let input = case["input"].as_str().expect("text");
                assert_eq!(queueit_normalize(input), case["expect"].as_str().expect("text"), "{}", case["name"]);
                count += 1;
            }
        }
        assert!(count > 90);
    }
}

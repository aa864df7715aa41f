//! The normalised path, which expressions see.

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;

use super::ascii::{escaped_byte, hex_digit};

/// The path that expressions see (docs/decisions.md#5-paths-are-normalised-and-it-is-said-how), borrowed where `path`
/// is normal already.
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
pub(crate) struct Odd(pub(crate) [u8; 256]);

impl Odd {
    pub(crate) const ODD: u8 = 1;
    pub(crate) const ODD_AFTER_SLASH: u8 = 2;
    pub(crate) const ODD_AFTER_DOT: u8 = 4;
    pub(crate) const NEXT: u32 = 4;

    /// In one pass without branches.
    pub(crate) fn is_absent_from(&self, text: &[u8]) -> bool {
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
pub(crate) use odd_bytes;

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

pub(crate) enum Escape {
    /// Of an unreserved character; this is the character.
    Needless(u8),
    /// Of another character, with some digit in lower case.
    LowerCase,
    /// Of another character, in upper case.
    Canonical,
}

pub(crate) fn escape_at(text: &[u8], at: usize) -> Option<Escape> {
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

pub(crate) const fn is_unreserved(byte: u8) -> bool {
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

/// Each `%25` that makes an escape of what follows it read as `%`; once, whatever comes of that.
pub(crate) fn unescape_percents(path: &[u8], out: &mut impl Extend<u8>) {
    let mut at = 0;
    while let Some(&byte) = path.get(at) {
        let is_escaped = escaped_byte(&path[at..]) == Some(b'%')
            && path.get(at + 3..at + 5).is_some_and(|digits| digits.iter().all(|&digit| hex_digit(digit).is_some()));
        out.extend([byte]);
        at += if is_escaped { 3 } else { 1 };
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
}

//! The ways in which origins may read a path.
//!
//! Servers, frameworks and the proxies before them disagree about `%2F`, `\`, `;parameters`, empty and dot segments,
//! and about how often escapes are decoded (RFC 3986, sections 3.3, 5.2.4 and 6.2.2; WHATWG URL, "path state"). A path
//! that has none of these is read in one way. For one that has, every combination of what is done by some is a reading,
//! and a decision must hold for all of them.

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;

use super::ascii::hex_digit;
use super::canonical::{Malformed, refuse_escapes};
use super::normalize::{is_normal, is_plain_to_all, is_unreserved, normalize_escapes, remove_dot_segments};

/// How many readings are decided about. Paths of pages have one, those of attacks a handful.
const MOST: usize = 64;

/// How often escapes are decoded, beyond once, until a path is refused.
const DEEPEST: usize = 3;

/// Whether every origin reads a path in the same way, as nearly every path.
pub(super) fn has_one_reading(path: &[u8]) -> bool {
    is_plain_to_all(path)
        || is_normal(path)
            && memchr::memchr(b';', path).is_none()
            && !path.split(|&byte| byte == b'/').any(|segment| trimmed(segment).len() < segment.len())
            && !has_disputed_escape(path)
}

/// Whether some escape is one of a delimiter, of a control character or of `%`, or of a character that must not be escaped
/// in that form.
fn has_disputed_escape(path: &[u8]) -> bool {
    memchr::memchr_iter(b'%', path).any(|at| {
        escaped_character(&path[at..])
            .is_some_and(|(byte, length)| length > 3 || byte == b'%' || byte.is_ascii_control() || is_meant(byte))
    })
}

/// The authority that `new URL(target, base)` finds in a path that begins with two slashes.
pub fn authority_in(path: &str) -> Option<&str> {
    let is_slash = |character: char| matches!(character, '/' | '\\');
    let rest = path.trim_start_matches(is_slash);
    let is_found = path.len() - rest.len() > 1;
    rest.split(is_slash).next().filter(|authority| is_found && !authority.is_empty())
}

/// What may be made of `path`, each once; text of URLs in ASCII, beginning with `/`. The first is the path with its
/// escapes in one form, and nothing else done.
pub fn readings<'a>(path: &str, arena: &'a Bump) -> Result<BumpVec<'a, &'a str>, Malformed> {
    let mut readings = Readings { all: BumpVec::new_in(arena), arena };
    let mut text = BumpVec::with_capacity_in(path.len() + 16, arena);
    normalize_escapes(path.as_bytes(), &mut text);
    readings.of_escaped(&text)?;
    for _ in 0..=DEEPEST {
        let delimited = decoded(&text, arena);
        if delimited != text {
            readings.of_escaped(&delimited)?;
        }
        let deeper = unescaped_percent(&text, arena);
        if deeper == text {
            return Ok(readings.all);
        }
        refuse_escapes(&deeper)?;
        readings.of_escaped(&deeper)?;
        text = deeper;
    }
    Err(Malformed::Ambiguous)
}

struct Readings<'a> {
    all: BumpVec<'a, &'a str>,
    arena: &'a Bump,
}

/// One thing that some origins do to a path, and where it changes something.
type Step = for<'a> fn(&[u8], &'a Bump) -> BumpVec<'a, u8>;

impl Readings<'_> {
    /// Whatever may be made of a path whose escapes stay as they are: each step is done by some and not by others.
    fn of_escaped(&mut self, text: &[u8]) -> Result<(), Malformed> {
        const STEPS: [Step; 5] =
            [slashes_for_backslashes, without_parameters, without_authority, up_to_query, with_trimmed_segments];
        self.with_and_without(&STEPS, text)
    }

    fn with_and_without(&mut self, steps: &[Step], text: &[u8]) -> Result<(), Malformed> {
        let Some((step, later)) = steps.split_first() else { return self.resolved(text) };
        self.with_and_without(later, text)?;
        let changed = step(text, self.arena);
        if changed == text { Ok(()) } else { self.with_and_without(later, &changed) }
    }

    /// Dot segments and empty ones stay, are resolved each for itself, or are merged first.
    fn resolved(&mut self, text: &[u8]) -> Result<(), Malformed> {
        self.add(text)?;
        self.add(&resolved_without_merging(text, self.arena))?;
        self.add(remove_dot_segments(text, self.arena))
    }

    fn add(&mut self, path: &[u8]) -> Result<(), Malformed> {
        let mut text = bumpalo::collections::String::with_capacity_in(path.len() + 1, self.arena);
        if path.first() != Some(&b'/') {
            text.push('/');
        }
        // A backslash that is a letter here, as it is written in a URL; everything else is ASCII already.
        for &byte in path {
            match byte {
                b'\\' => text.push_str("%5C"),
                b'?' => text.push_str("%3F"),
                b'#' => text.push_str("%23"),
                byte => text.push(char::from(byte)),
            }
        }
        if self.all.iter().any(|known| *known == text) {
            return Ok(());
        }
        if self.all.len() == MOST {
            return Err(Malformed::Ambiguous);
        }
        self.all.push(text.into_bump_str());
        Ok(())
    }
}

fn slashes_for_backslashes<'a>(path: &[u8], arena: &'a Bump) -> BumpVec<'a, u8> {
    BumpVec::from_iter_in(path.iter().map(|&byte| if byte == b'\\' { b'/' } else { byte }), arena)
}

/// As servlet containers read a path: `;` ends what counts of a segment.
fn without_parameters<'a>(path: &[u8], arena: &'a Bump) -> BumpVec<'a, u8> {
    let mut is_counted = true;
    let kept = path.iter().copied().filter(|&byte| {
        is_counted = byte == b'/' || (is_counted && byte != b';');
        is_counted
    });
    BumpVec::from_iter_in(kept, arena)
}

/// As `new URL(target, base)` reads a path that begins with two slashes: they begin an authority.
fn without_authority<'a>(path: &[u8], arena: &'a Bump) -> BumpVec<'a, u8> {
    let begins = path.iter().position(|&byte| byte != b'/').unwrap_or(path.len());
    let rest =
        if begins < 2 { path } else { path[begins..].splitn(2, |&byte| byte == b'/').nth(1).unwrap_or_default() };
    let mut out = BumpVec::with_capacity_in(rest.len() + 1, arena);
    if begins >= 2 {
        out.push(b'/');
    }
    out.extend_from_slice_copy(rest);
    out
}

/// As Windows reads names of files, and applications that trim: dots and spaces at the end of a segment are nothing.
fn with_trimmed_segments<'a>(path: &[u8], arena: &'a Bump) -> BumpVec<'a, u8> {
    let mut out = BumpVec::with_capacity_in(path.len(), arena);
    for (index, segment) in path.split(|&byte| byte == b'/').enumerate() {
        if index > 0 {
            out.push(b'/');
        }
        out.extend_from_slice_copy(trimmed(segment));
    }
    out
}

/// Dot segments are something else.
fn trimmed(segment: &[u8]) -> &[u8] {
    let mut rest = segment;
    while let Some(shorter) = rest.strip_suffix(b".").or_else(|| rest.strip_suffix(b"%20")) {
        rest = shorter;
    }
    if rest.is_empty() { segment } else { rest }
}

/// As whoever takes a decoded path for a target: `?` and `#` end it.
fn up_to_query<'a>(path: &[u8], arena: &'a Bump) -> BumpVec<'a, u8> {
    BumpVec::from_iter_in(path.iter().copied().take_while(|&byte| byte != b'?' && byte != b'#'), arena)
}

/// Each dot segment resolved (RFC 3986, section 5.2.4), empty segments counting as segments.
fn resolved_without_merging<'a>(path: &[u8], arena: &'a Bump) -> BumpVec<'a, u8> {
    let mut segments: BumpVec<&[u8]> = BumpVec::new_in(arena);
    let mut is_directory = false;
    for segment in path.strip_prefix(b"/").unwrap_or(path).split(|&byte| byte == b'/') {
        is_directory = matches!(segment, b"." | b"..");
        match segment {
            b"." => {}
            b".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let mut out = BumpVec::with_capacity_in(path.len() + 1, arena);
    for segment in &segments {
        out.push(b'/');
        out.extend_from_slice_copy(segment);
    }
    if is_directory || segments.is_empty() {
        out.push(b'/');
    }
    out
}

/// What means something else decoded than escaped; and what should not have been escaped at all.
const fn is_meant(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\' | b';' | b'?' | b'#') || is_unreserved(byte)
}

/// A path with the escapes of delimiters decoded.
fn decoded<'a>(path: &[u8], arena: &'a Bump) -> BumpVec<'a, u8> {
    let mut out = BumpVec::with_capacity_in(path.len(), arena);
    let mut at = 0;
    while let Some(&byte) = path.get(at) {
        let (read, length) = escaped_character(&path[at..]).filter(|&(read, _)| is_meant(read)).unwrap_or((byte, 1));
        out.push(read);
        at += length;
    }
    out
}

/// The ASCII character that escapes at the beginning of a text stand for, and their length: one escape, an overlong form of
/// two to four (RFC 3629, section 10), which careless decoders accept, or a letter that is an ASCII letter where case is
/// ignored (Unicode, CaseFolding: `İ`, `ı`, `ſ` and the Kelvin sign).
fn escaped_character(text: &[u8]) -> Option<(u8, usize)> {
    let byte = |index: usize| match text.get(3 * index..3 * index + 3)? {
        &[b'%', high, low] => Some(hex_digit(high)? << 4 | hex_digit(low)?),
        _ => None,
    };
    let follows = |index: usize| byte(index).filter(|byte| byte & 0xc0 == 0x80).map(|byte| byte & 0x3f);
    match (byte(0)?, byte(1), byte(2)) {
        (0xc4, Some(0xb0 | 0xb1), _) => return Some((b'i', 6)),
        (0xc5, Some(0xbf), _) => return Some((b's', 6)),
        (0xe2, Some(0x84), Some(0xaa)) => return Some((b'k', 9)),
        _ => {}
    }
    match byte(0)? {
        ascii @ 0..0x80 => Some((ascii, 3)),
        lead @ 0xc0..=0xc1 => Some(((lead & 1) << 6 | follows(1)?, 6)),
        0xe0 => Some((follows(1).filter(|&bits| bits < 2)? << 6 | follows(2)?, 9)),
        0xf0 => Some((
            follows(1).filter(|&bits| bits == 0).and(follows(2)).filter(|&bits| bits < 2)? << 6 | follows(3)?,
            12,
        )),
        _ => None,
    }
}

/// Every `%25` that makes an escape of what follows it read as `%`, and that escape in its one form.
fn unescaped_percent<'a>(path: &[u8], arena: &'a Bump) -> BumpVec<'a, u8> {
    let mut out = BumpVec::with_capacity_in(path.len(), arena);
    let mut at = 0;
    while let Some(&byte) = path.get(at) {
        let is_escaped = path[at..].starts_with(b"%25")
            && path.get(at + 3..at + 5).is_some_and(|digits| digits.iter().all(|&digit| hex_digit(digit).is_some()));
        out.push(byte);
        at += if is_escaped { 3 } else { 1 };
    }
    let mut escaped = BumpVec::with_capacity_in(out.len(), arena);
    normalize_escapes(&out, &mut escaped);
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(path: &str) -> Result<Vec<String>, Malformed> {
        let arena = Bump::new();
        readings(path, &arena).map(|readings| readings.iter().map(|reading| (*reading).to_owned()).collect())
    }

    #[test]
    fn ordinary_paths_have_one_reading() {
        for path in [
            "/",
            "/shop",
            "/shop/",
            "/a.b/c-d_e~f",
            "/.well-known/x",
            "/caf%C3%A9",
            "/a%20b/c,d=e",
            "/%E0%A4%95",
            "/x..y/...z",
        ] {
            assert!(has_one_reading(path.as_bytes()), "{path}");
            assert_eq!(all(path), Ok(vec![path.to_owned()]));
        }
    }

    /// Whatever some origin is known to make of a path is among its readings.
    #[test]
    fn what_origins_make_of_a_path_is_among_its_readings() {
        for (path, read) in [
            ("/%73hop", "/shop"),
            ("//shop", "/shop"),
            ("/x/../shop", "/shop"),
            ("/x/../shop", "/x/../shop"),
            ("/x//../shop", "/x/shop"),
            ("/x//../shop", "/shop"),
            ("/shop%2ftickets", "/shop/tickets"),
            ("/x%2f..%2fshop", "/shop"),
            ("/x/..%5cshop", "/shop"),
            ("/x\\..\\shop", "/shop"),
            ("/shop/1/\\/\\/\\/../../..", "/shop/1/"),
            ("/shop;x=1/tickets", "/shop/tickets"),
            ("/x/..;/shop", "/shop"),
            ("/shop%3bx", "/shop"),
            ("/%2573hop", "/shop"),
            ("/x%252f..%252fshop", "/shop"),
            ("/%252573hop", "/shop"),
            ("//x/shop", "/shop"),
            ("/\\x/shop", "/shop"),
            ("///x", "/"),
            ("/shop%3fx", "/shop"),
            ("/shop%23x", "/shop"),
            ("/x%c0%ae%c0%ae/shop", "/x../shop"),
            ("/x/%c0%ae%c0%ae%c0%afshop", "/shop"),
            ("/x/%e0%80%ae%e0%80%ae/shop", "/shop"),
            ("/%c5%bfhop", "/shop"),
            ("/shop.", "/shop"),
            ("/shop%20/x", "/shop/x"),
        ] {
            assert!(!has_one_reading(path.as_bytes()), "{path}");
            let all = all(path).expect("readings");
            assert!(all.iter().any(|reading| reading == read), "{path}: {read} is not in {all:?}");
        }
    }

    #[test]
    fn too_many_are_refused() {
        assert_eq!(all("/%2525252573"), Err(Malformed::Ambiguous));
        assert_eq!(all("//a;b\\c/../%2f%252f;d%253b/./x%3f.//%255c..;/y."), Err(Malformed::Ambiguous));
        assert_eq!(all("/%2500"), Err(Malformed::ControlCharacter));
    }

    #[test]
    fn an_authority_may_stand_in_a_path() {
        for (path, authority) in
            [("//h/x", Some("h")), ("/\\h:80", Some("h:80")), ("///h", Some("h")), ("/h/x", None), ("//", None)]
        {
            assert_eq!(authority_in(path), authority, "{path}");
        }
    }
}

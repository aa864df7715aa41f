//! The ways in which origins may read a path.
//!
//! Servers, frameworks and the proxies before them disagree about `%2F`, `\`, `;parameters`, empty and dot segments,
//! and about how often escapes are decoded (RFC 3986, sections 3.3, 5.2.4 and 6.2.2; WHATWG URL, "path state"). A path
//! that has none of these is read in one way. For one that has, whatever some of the steps that origins take make of it,
//! in whatever order and however often, is a reading, and a decision must hold for all of them.

use bumpalo::Bump;
use bumpalo::collections::{String as BumpString, Vec as BumpVec};

use super::ascii::escaped_byte;
use super::malformed::{Malformed, refuse_escapes};
use super::normalize::{is_normal, is_plain_to_all, is_unreserved, normalize_escapes, unescape_percents};

/// How many readings are decided about. Paths of pages have one, those of attacks a handful.
const MOST: usize = 128;

/// How many bytes they have together at most.
const MOST_BYTES: usize = 128 << 10;

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
    }) || FOLDED.iter().any(|(escaped, _, _)| memchr::memmem::find(path, escaped.as_bytes()).is_some())
}

/// A path as some origin reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading<'a> {
    /// Beginning with `/`; bytes that a URL has only escaped are escaped.
    pub path: &'a str,
    /// What the origin has taken for an authority before it, as it stands there: the path may be one of another site.
    pub authority: Option<&'a str>,
}

/// What may be made of `path`, a path of a URL in ASCII that begins with `/`, each once. The first is the path as it is.
pub fn readings<'a>(path: &'a str, arena: &'a Bump) -> Result<BumpVec<'a, Reading<'a>>, Malformed> {
    let mut texts = Texts { all: BumpVec::new_in(arena), bytes: 0 };
    texts.add(path.as_bytes(), None)?;
    let mut next = 0;
    while let Some(&(text, authority)) = texts.all.get(next) {
        for step in STEPS {
            texts.add(step(text, arena).into_bump_slice(), authority)?;
        }
        if let Some((authority, rest)) = after_authority(text) {
            texts.add(rest, Some(authority))?;
        }
        let deeper = unescaped_percent(text, arena);
        refuse_escapes(&deeper)?;
        texts.add(deeper.into_bump_slice(), authority)?;
        next += 1;
    }
    let mut readings = BumpVec::new_in(arena);
    for (text, authority) in texts.all {
        let reading = Reading { path: written(text, arena), authority };
        if !readings.contains(&reading) {
            readings.push(reading);
        }
    }
    Ok(readings)
}

/// The one spelling that all readings of a path have among them: escapes of delimiters decoded, all others in one form.
pub(crate) fn path_in_one_form(path: &str) -> String {
    let arena = Bump::new();
    let decoded = decoded(path.as_bytes(), &arena);
    String::from_utf8_lossy(&with_escapes_in_one_form(&decoded, &arena)).into_owned()
}

/// What has been made of a path, and the authority that was before it.
struct Texts<'a> {
    all: BumpVec<'a, (&'a [u8], Option<&'a str>)>,
    bytes: usize,
}

impl<'a> Texts<'a> {
    fn add(&mut self, text: &'a [u8], authority: Option<&'a str>) -> Result<(), Malformed> {
        if self.all.contains(&(text, authority)) {
            return Ok(());
        }
        self.bytes += text.len();
        if self.all.len() == MOST || self.bytes > MOST_BYTES {
            return Err(Malformed::Ambiguous);
        }
        self.all.push((text, authority));
        Ok(())
    }
}

/// A text as the path of a URL: what is a letter in it must not be taken for a delimiter again.
fn written<'a>(text: &[u8], arena: &'a Bump) -> &'a str {
    let mut path = BumpString::with_capacity_in(text.len() + 8, arena);
    if text.first() != Some(&b'/') {
        path.push('/');
    }
    for character in String::from_utf8_lossy(text).chars() {
        match character {
            '\\' => path.push_str("%5C"),
            '?' => path.push_str("%3F"),
            '#' => path.push_str("%23"),
            character => path.push(character),
        }
    }
    path.into_bump_str()
}

/// One thing that some origins do to a path.
type Step = for<'a> fn(&[u8], &'a Bump) -> BumpVec<'a, u8>;

const STEPS: [Step; 11] = [
    with_escapes_in_one_form,
    decoded,
    with_letters_decoded,
    with_letters_folded,
    slashes_for_backslashes,
    without_parameters,
    up_to_query,
    with_trimmed_segments,
    merged,
    with_dot_segments_decoded,
    resolved,
];

fn with_escapes_in_one_form<'a>(path: &[u8], arena: &'a Bump) -> BumpVec<'a, u8> {
    let mut out = BumpVec::with_capacity_in(path.len() + 8, arena);
    normalize_escapes(path, &mut out);
    out
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

/// As `new URL(target, base)` reads a path that begins with two slashes: an authority follows, and then the path.
fn after_authority(path: &[u8]) -> Option<(&str, &[u8])> {
    let begins = path.iter().position(|&byte| byte != b'/').filter(|&at| at > 1)?;
    let ends = path[begins..].iter().position(|&byte| byte == b'/').map_or(path.len(), |length| begins + length);
    let authority = std::str::from_utf8(&path[begins..ends]).unwrap_or_default();
    Some((authority, if ends == path.len() { b"/" } else { &path[ends..] }))
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

/// Empty segments are none.
fn merged<'a>(path: &[u8], arena: &'a Bump) -> BumpVec<'a, u8> {
    let mut previous = 0;
    let kept = path.iter().copied().filter(|&byte| {
        let is_kept = byte != b'/' || previous != b'/';
        previous = byte;
        is_kept
    });
    BumpVec::from_iter_in(kept, arena)
}

/// As browsers' `URL` reads paths (WHATWG URL, "double-dot path segment"): dot segments may be escaped, and no other escape
/// is decoded.
fn with_dot_segments_decoded<'a>(path: &[u8], arena: &'a Bump) -> BumpVec<'a, u8> {
    let mut out = BumpVec::with_capacity_in(path.len(), arena);
    for (index, segment) in path.split(|&byte| byte == b'/').enumerate() {
        if index > 0 {
            out.push(b'/');
        }
        let is = |written: &[u8]| segment.eq_ignore_ascii_case(written);
        out.extend_from_slice_copy(match segment {
            _ if is(b"%2e") => b".",
            _ if is(b".%2e") || is(b"%2e.") || is(b"%2e%2e") => b"..",
            _ => segment,
        });
    }
    out
}

/// Each dot segment resolved (RFC 3986, section 5.2.4); an empty segment is one.
fn resolved<'a>(path: &[u8], arena: &'a Bump) -> BumpVec<'a, u8> {
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

/// What means something else decoded than escaped, what is the same either way to nearly all origins (the delimiters that a
/// segment may hold, RFC 3986, section 3.3), and what should not have been escaped at all.
const fn is_meant(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\' | b';' | b'?' | b'#' | b':' | b'@')
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=')
        || is_unreserved(byte)
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

/// Letters that are ASCII letters where case is ignored (Unicode, CaseFolding), and as what.
const FOLDED: [(&str, &str, u8); 4] =
    [("%C4%B0", "İ", b'i'), ("%C4%B1", "ı", b'i'), ("%C5%BF", "ſ", b's'), ("%E2%84%AA", "\u{212a}", b'k')];

/// Those letters as they are.
fn with_letters_decoded<'a>(path: &[u8], arena: &'a Bump) -> BumpVec<'a, u8> {
    with_letters(path, arena, |(_, letter, _)| letter.as_bytes())
}

/// Those letters as ASCII.
fn with_letters_folded<'a>(path: &[u8], arena: &'a Bump) -> BumpVec<'a, u8> {
    with_letters(path, arena, |(_, _, folded)| std::slice::from_ref(folded))
}

fn with_letters<'a>(
    path: &[u8],
    arena: &'a Bump,
    read: fn(&'static (&str, &str, u8)) -> &'static [u8],
) -> BumpVec<'a, u8> {
    let mut out = BumpVec::with_capacity_in(path.len(), arena);
    let mut at = 0;
    while let Some(&byte) = path.get(at) {
        let letter = FOLDED.iter().find(|(escaped, _, _)| {
            path.get(at..at + escaped.len()).is_some_and(|text| text.eq_ignore_ascii_case(escaped.as_bytes()))
        });
        match letter {
            Some(letter) => out.extend_from_slice_copy(read(letter)),
            None => out.push(byte),
        }
        at += letter.map_or(1, |(escaped, _, _)| escaped.len());
    }
    out
}

/// The ASCII character that escapes at the beginning of a text stand for, and their length: one escape, or an overlong
/// form of two to four (RFC 3629, section 10), which careless decoders accept.
fn escaped_character(text: &[u8]) -> Option<(u8, usize)> {
    let byte = |index: usize| text.get(3 * index..).and_then(escaped_byte);
    let follows = |index: usize| byte(index).filter(|byte| byte & 0xc0 == 0x80).map(|byte| byte & 0x3f);
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
    unescape_percents(path, &mut out);
    let mut escaped = BumpVec::with_capacity_in(out.len(), arena);
    normalize_escapes(&out, &mut escaped);
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(path: &str) -> Result<Vec<String>, Malformed> {
        let arena = Bump::new();
        readings(path, &arena).map(|readings| readings.iter().map(|reading| reading.path.to_owned()).collect())
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
            ("/x/%2e%2E/%73hop", "/%73hop"),
            ("/x/.%2e/%2e/%73hop", "/%73hop"),
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
            ("/%40artist", "/@artist"),
            ("/tickets%2c2026", "/tickets,2026"),
            ("/live%2B2026", "/live+2026"),
        ] {
            assert!(!has_one_reading(path.as_bytes()), "{path}");
            let all = all(path).expect("readings");
            assert!(all.iter().any(|reading| reading == read), "{path}: {read} is not in {all:?}");
        }
    }

    #[test]
    fn too_many_are_refused() {
        assert_eq!(all(&format!("/{}", "x//".repeat(50_000))), Err(Malformed::Ambiguous));
        assert_eq!(all("//a;b\\c/../%2f%252f;d%253b/./x%3f.//%255c..;/y."), Err(Malformed::Ambiguous));
        assert_eq!(all("/%2500"), Err(Malformed::ControlCharacter));
    }

    #[test]
    fn an_authority_may_stand_in_a_path() {
        for (path, authority) in
            [("//h/x", Some("h")), ("/\\h:80", Some("h:80")), ("///h", Some("h")), ("/h/x;", None), ("//", None)]
        {
            let arena = Bump::new();
            let readings = readings(path, &arena).expect("readings");
            assert_eq!(readings.iter().find_map(|reading| reading.authority), authority, "{path}");
        }
    }
}

//! `regex_replace` and `wildcard_replace`.

use std::ops::Range;

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;
use regex::bytes::Regex;

use crate::program::wildcard::WildcardPattern;

/// The first match replaced; the text itself where there is none.
pub fn regex_replace<'a>(text: &'a [u8], regex: &Regex, replacement: &[u8], arena: &'a Bump) -> &'a [u8] {
    if !replacement.contains(&b'$') {
        return match regex.find(text) {
            Some(found) => splice(text, found.range(), arena, |out| out.extend_from_slice_copy(replacement)),
            None => text,
        };
    }
    let Some(groups) = regex.captures(text) else { return text };
    let Some(found) = groups.get(0) else { return text };
    splice(text, found.range(), arena, |out| {
        expand(replacement, out, |number| groups.get(number).map(|group| group.as_bytes()));
    })
}

/// The replacement where the whole text matches, the text itself where it does not.
pub fn wildcard_replace<'a>(
    text: &'a [u8],
    pattern: &WildcardPattern,
    replacement: &[u8],
    arena: &'a Bump,
) -> &'a [u8] {
    let mut stars = BumpVec::new_in(arena);
    if !pattern.match_stars(text, arena, |star| stars.push(star)) {
        return text;
    }
    let mut out = BumpVec::with_capacity_in(replacement.len() + text.len(), arena);
    expand(replacement, &mut out, |number| stars.get(number.checked_sub(1)?).map(|star| &text[star.clone()]));
    out.into_bump_slice()
}

fn splice<'a>(text: &[u8], at: Range<usize>, arena: &'a Bump, put: impl FnOnce(&mut BumpVec<'a, u8>)) -> &'a [u8] {
    let mut out = BumpVec::with_capacity_in(text.len(), arena);
    out.extend_from_slice_copy(&text[..at.start]);
    put(&mut out);
    out.extend_from_slice_copy(&text[at.end..]);
    out.into_bump_slice()
}

/// Appends the replacement: `${1}` to `${8}` stand for what `group` says (nothing where there is no such group), `$$` for
/// `$`, and any other `$` for itself.
fn expand<'g>(replacement: &[u8], out: &mut BumpVec<'_, u8>, group: impl Fn(usize) -> Option<&'g [u8]>) {
    let mut rest = replacement;
    while let Some(at) = memchr::memchr(b'$', rest) {
        out.extend_from_slice_copy(&rest[..at]);
        rest = match rest[at + 1..] {
            [b'$', ref rest @ ..] => {
                out.push(b'$');
                rest
            }
            [b'{', digit @ b'1'..=b'8', b'}', ref rest @ ..] => {
                out.extend_from_slice_copy(group(usize::from(digit - b'0')).unwrap_or(b""));
                rest
            }
            ref rest => {
                out.push(b'$');
                rest
            }
        };
    }
    out.extend_from_slice_copy(rest);
}

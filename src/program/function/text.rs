//! Functions on byte strings. A result that is part of the argument is borrowed from it.

use std::fmt::Write;

use bumpalo::Bump;
use bumpalo::collections::{String as BumpString, Vec as BumpVec};

use crate::request::{Value, upper};

/// The documented maximum of `split`, and its limit where none is written.
const MAX_PIECES: usize = 128;

/// The full, locale-free upper-case mapping of Unicode, as JavaScript's `toUpperCase`; bytes that are no UTF-8 stay.
pub fn upper_unicode<'a>(text: &'a [u8], arena: &'a Bump) -> &'a [u8] {
    if text.is_ascii() {
        return upper(text, arena);
    }
    let mut out = BumpVec::with_capacity_in(text.len(), arena);
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars().flat_map(char::to_uppercase) {
            out.extend_from_slice_copy(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        out.extend_from_slice_copy(chunk.invalid());
    }
    out.into_bump_slice()
}

/// Skips what is missing; missing only if everything is. Joins byte strings, or arrays.
pub fn concat<'a>(arguments: &[Option<Value<'a>>], arena: &'a Bump) -> Option<Value<'a>> {
    let present = arguments.iter().flatten();
    match present.clone().next()? {
        Value::Bytes(_) => {
            let parts = present.filter_map(|value| if let Value::Bytes(bytes) = value { Some(*bytes) } else { None });
            let mut out = BumpVec::with_capacity_in(parts.clone().map(<[u8]>::len).sum(), arena);
            parts.for_each(|part| out.extend_from_slice_copy(part));
            Some(Value::Bytes(out.into_bump_slice()))
        }
        Value::Array(_) => {
            let parts = present.filter_map(|value| if let Value::Array(values) = value { Some(*values) } else { None });
            let mut out = BumpVec::with_capacity_in(parts.clone().map(<[_]>::len).sum(), arena);
            parts.for_each(|part| out.extend_from_slice_copy(part));
            Some(Value::Array(out.into_bump_slice()))
        }
        _ => None,
    }
}

/// The byte strings with `separator` between them.
pub fn join<'a>(values: &[Value<'a>], separator: &[u8], arena: &'a Bump) -> Option<&'a [u8]> {
    let mut out = BumpVec::new_in(arena);
    for (index, value) in values.iter().enumerate() {
        let Value::Bytes(bytes) = value else { return None };
        if index > 0 {
            out.extend_from_slice_copy(separator);
        }
        out.extend_from_slice_copy(bytes);
    }
    Some(out.into_bump_slice())
}

/// At most `limit` pieces; the last one keeps the remainder.
pub fn split<'a>(text: &'a [u8], separator: &[u8], limit: Option<i64>, arena: &'a Bump) -> Option<Value<'a>> {
    let limit = limit.map_or(Some(MAX_PIECES), |limit| usize::try_from(limit).ok())?;
    if separator.is_empty() || !(1..=MAX_PIECES).contains(&limit) {
        return None;
    }
    let finder = memchr::memmem::Finder::new(separator);
    let mut pieces = BumpVec::new_in(arena);
    let mut rest = text;
    while pieces.len() + 1 < limit
        && let Some(at) = finder.find(rest)
    {
        pieces.push(Value::Bytes(&rest[..at]));
        rest = &rest[at + separator.len()..];
    }
    pieces.push(Value::Bytes(rest));
    Some(Value::Array(pieces.into_bump_slice()))
}

/// From byte `start` up to and not including `end`; negative positions count from the end, positions outside are moved
/// to the nearest end, and nothing is between positions in the wrong order.
pub fn substring(text: &[u8], start: i64, end: Option<i64>) -> &[u8] {
    let position = |at: i64| {
        let from_end = usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX);
        if at < 0 { text.len().saturating_sub(from_end) } else { from_end.min(text.len()) }
    };
    let end = end.map_or(text.len(), position);
    text.get(position(start)..end).unwrap_or(b"")
}

/// Without each byte that is in `bytes`.
pub fn remove_bytes<'a>(text: &'a [u8], bytes: &[u8], arena: &'a Bump) -> &'a [u8] {
    let mut listed = [false; 256];
    bytes.iter().for_each(|&byte| listed[usize::from(byte)] = true);
    if !text.iter().any(|&byte| listed[usize::from(byte)]) {
        return text;
    }
    let mut out = BumpVec::with_capacity_in(text.len(), arena);
    out.extend(text.iter().copied().filter(|&byte| !listed[usize::from(byte)]));
    out.into_bump_slice()
}

/// The query without the arguments of these names.
pub fn remove_query_args<'a>(
    query: &'a [u8],
    names: impl Iterator<Item = Value<'a>> + Clone,
    arena: &'a Bump,
) -> &'a [u8] {
    let is_listed = |argument: &[u8]| {
        let name = argument.split(|&byte| byte == b'=').next().unwrap_or(b"");
        names.clone().any(|listed| listed == Value::Bytes(name))
    };
    if !query.split(|&byte| byte == b'&').any(is_listed) {
        return query;
    }
    let mut out = BumpVec::with_capacity_in(query.len(), arena);
    let kept = query.split(|&byte| byte == b'&').filter(|argument| !is_listed(argument));
    for (index, argument) in kept.enumerate() {
        if index > 0 {
            out.push(b'&');
        }
        out.extend_from_slice_copy(argument);
    }
    out.into_bump_slice()
}

/// Numbers in decimal, `true` and `false`, addresses in their usual form.
pub fn to_string<'a>(value: Value<'a>, arena: &'a Bump) -> Option<&'a [u8]> {
    let mut out = BumpString::new_in(arena);
    match value {
        Value::Bytes(bytes) => return Some(bytes),
        Value::Bool(value) => write!(out, "{value}").ok()?,
        Value::Int(value) => write!(out, "{value}").ok()?,
        Value::Ip(value) => write!(out, "{value}").ok()?,
        Value::Array(_) | Value::Map(_) => return None,
    }
    Some(out.into_bump_str().as_bytes())
}

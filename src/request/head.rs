//! What is asked of a request's headers without a view of the request.

use bumpalo::Bump;

/// The first header of this name, "" if there is none. Bytes that are not UTF-8 are replaced.
pub(crate) fn header<'v>(headers: &'v [(&'v str, &'v [u8])], name: &str, arena: &'v Bump) -> &'v str {
    let found = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    let value = found.map_or(&b""[..], |(_, value)| *value);
    std::str::from_utf8(value).unwrap_or_else(|_| arena.alloc_str(&String::from_utf8_lossy(value)))
}

/// Whether the browser says that it is not about to show the answer as a page (Fetch metadata, `Sec-Fetch-Mode`). A few
/// versions have a word of their own for frames.
pub(crate) fn is_no_navigation(headers: &[(&str, &[u8])]) -> bool {
    let mode = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("sec-fetch-mode"));
    mode.is_some_and(|(_, mode)| !matches!(*mode, b"" | b"navigate" | b"nested-navigate"))
}

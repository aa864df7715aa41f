//! What asks for nothing that can be served.

use super::ascii::escaped_byte;

/// Why a request asks for nothing that can be served: the visitor's mistake, so that it is answered with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// Neither its target nor its Host header names a host.
    #[error("the request names no host")]
    NoHost,
    /// It has several Host headers, or one that differs from `:authority`.
    #[error("the request names more than one host")]
    SeveralHosts,
    /// What it names as host is none.
    #[error("what the request names as its host is no host name and no address")]
    NotAHost,
    /// Its target is not one of those that visitors ask for.
    #[error("the target of the request is not a path")]
    NotAPath,
    /// Its target has a byte that no URL has.
    #[error("the target of the request has a character that must be escaped")]
    Unescaped,
    /// Its path has a `%` that begins no escape.
    #[error("the path of the request has a `%` that is not followed by two hexadecimal digits")]
    BrokenEscape,
    /// Its path has an escaped control character: NUL, a line end and their kin, which some take for the end of a path.
    #[error("the path of the request has an escaped control character")]
    ControlCharacter,
    /// Origins could read its path in more ways than can be decided about.
    #[error("the path of the request can be read in too many ways")]
    Ambiguous,
}

/// Refuses escapes that no origin should see, also those of paths that are decoded once more.
pub(super) fn refuse_escapes(path: &[u8]) -> Result<(), Malformed> {
    for at in memchr::memchr_iter(b'%', path) {
        let byte = escaped_byte(&path[at..]).ok_or(Malformed::BrokenEscape)?;
        if byte.is_ascii_control() {
            return Err(Malformed::ControlCharacter);
        }
    }
    Ok(())
}

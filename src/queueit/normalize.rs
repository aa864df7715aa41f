//! Queue-it's normalisation of whole URLs.

use std::borrow::Cow;

use super::encoding::trim;
use crate::request::normalize::{Escape, Odd, escape_at, is_unreserved, odd_bytes};

/// Queue-it's URL normalisation (docs/protocol/queue-it.md#url-normalisation). Never fails: a URL with a character
/// outside the Basic Multilingual Plane comes back untouched, as it does from the official engine. A
/// [`CanonicalUrl`](crate::request::CanonicalUrl) has none.
pub fn normalize(url: &str) -> Cow<'_, str> {
    if is_normal(url) || url.chars().any(|character| character > '\u{ffff}') {
        return Cow::Borrowed(url);
    }
    let url = trim(url);
    if url.is_empty() {
        return Cow::Borrowed(url);
    }
    let url = collapse_slashes(url);
    let url = uppercase_escapes(escape_foreign(unescape_unreserved(&url)));
    let url = remove_dot_segments(&url);
    Cow::Owned(trim(&plus_for_space_in_query(url)).to_owned())
}

/// A quick test that most URLs pass: an absolute http(s) URL with a path, and nothing in it that any step touches.
fn is_normal(url: &str) -> bool {
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

fn remove_dot_segments(url: &str) -> String {
    let (before_path, rest) = url.split_at(origin_length(url));
    let (path, after_path) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
    let path = match path {
        "" if !before_path.is_empty() => "/".to_owned(),
        path => remove_dots(path),
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
fn remove_dots(path: &str) -> String {
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

    /// Answers of the official engine.
    #[test]
    fn corners() {
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
            assert_eq!(normalize(url), expected, "{url}");
        }
    }

    #[test]
    fn vectors() {
        let vectors = include_str!("../../tests/vectors/queueit/normalization.jsonl");
        let mut count = 0;
        for case in vectors.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON")) {
            if case["kind"] == "normalize_url" {
                let input = case["input"].as_str().expect("text");
                assert_eq!(normalize(input), case["expect"].as_str().expect("text"), "{}", case["name"]);
                count += 1;
            }
        }
        assert!(count > 90);
    }
}

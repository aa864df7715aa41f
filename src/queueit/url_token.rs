//! The token in a request's URL: a parameter of its query, wherever else its name may stand.

use bumpalo::Bump;
use bumpalo::collections::String as ArenaString;

use super::encoding::decode_uri_component;
use crate::request::header;

const NAME: &str = "queueittoken";

/// The token of a request, "" if there is none: that of the URL (the name in lower case, the first one), or else that
/// of the header `x-queueittoken`. A token that is not validly percent-encoded is taken as it is: it will be refused.
pub fn token_of<'r>(url: &'r str, headers: &'r [(&'r str, &'r [u8])], arena: &'r Bump) -> &'r str {
    match in_url(url) {
        Some(token) if !token.is_empty() => decoded(token, arena),
        _ => header(headers, "x-queueittoken", arena),
    }
}

fn in_url(url: &str) -> Option<&str> {
    let query = split_query(url).1;
    separators(query).find_map(|at| {
        let rest = query[at + 1..].strip_prefix(NAME)?;
        match rest.as_bytes().first() {
            Some(b'=') => Some(&rest[1..value_end(rest)]),
            None | Some(b'&' | b'#') => Some(""),
            Some(_) => None,
        }
    })
}

fn decoded<'r>(token: &'r str, arena: &'r Bump) -> &'r str {
    let spaced = match memchr::memchr(b'+', token.as_bytes()) {
        Some(_) => spaced(token, arena),
        None => token,
    };
    decode_uri_component(spaced, arena).unwrap_or(token)
}

fn spaced<'r>(token: &str, arena: &'r Bump) -> &'r str {
    ArenaString::from_iter_in(token.chars().map(|c| if c == '+' { ' ' } else { c }), arena).into_bump_str()
}

/// The URL without its tokens (the name in any case). What is left means the same as before: `?` stays where other
/// parameters follow, and so does a fragment. What follows a `;` is no part of a token here, for there are origins that
/// separate parameters by it (HTML 4.01, appendix B.2.2), and no token has one.
pub fn without_token<'r>(url: &'r str, arena: &'r Bump) -> &'r str {
    let (page, mut rest) = split_query(url);
    let mut token = next_token(rest);
    if token.is_none() {
        return url;
    }
    let mut kept = ArenaString::with_capacity_in(url.len(), arena);
    kept.push_str(page);
    let mut owes_question_mark = false;
    loop {
        let before = &rest[..token.map_or(rest.len(), |(start, _)| start)];
        match before.strip_prefix(['&', ';']).filter(|_| owes_question_mark) {
            Some(parameters) => {
                kept.push('?');
                kept.push_str(parameters);
                owes_question_mark = false;
            }
            None => kept.push_str(before),
        }
        let Some((start, end)) = token else { return kept.into_bump_str() };
        owes_question_mark |= rest[start..].starts_with('?');
        rest = &rest[end..];
        token = next_token(rest);
    }
}

/// Where the next token parameter begins, separator included, and where it ends.
fn next_token(query: &str) -> Option<(usize, usize)> {
    separators(query).find_map(|at| {
        let name = query.as_bytes().get(at + 1..at + 1 + NAME.len())?;
        let is_token =
            name.eq_ignore_ascii_case(NAME.as_bytes()) && query.as_bytes().get(at + 1 + NAME.len()) == Some(&b'=');
        is_token.then(|| {
            let token = &query[at + 1..];
            let value = &token[..value_end(token)];
            (at, at + 1 + memchr::memchr(b';', value.as_bytes()).unwrap_or(value.len()))
        })
    })
}

/// What is before the query, and the query with its `?`.
fn split_query(url: &str) -> (&str, &str) {
    url.split_at(memchr::memchr(b'?', url.as_bytes()).unwrap_or(url.len()))
}

fn separators(query: &str) -> impl Iterator<Item = usize> {
    memchr::memchr2_iter(b'?', b'&', query.as_bytes())
}

fn value_end(text: &str) -> usize {
    memchr::memchr2(b'&', b'#', text.as_bytes()).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_token_of_the_url_counts() {
        let arena = Bump::new();
        let token = |url| token_of(url, &[("X-QueueITToken", b"header")], &arena);
        assert_eq!(token("https://h/?a=1&queueittoken=e_x~q_y&queueittoken=z"), "e_x~q_y");
        assert_eq!(token("https://h/?queueittoken=a%7Eb+c#queueittoken=d"), "a~b c");
        assert_eq!(token("https://h/?xqueueittoken=a&queueittokens=b"), "header");
        assert_eq!(token("https://h/?QueueITToken=a"), "header");
        assert_eq!(token("https://h/?queueittoken"), "header");
        assert_eq!(token("https://h/&queueittoken=a/?b"), "header");
        assert_eq!(token("https://h/?queueittoken=&queueittoken=b"), "header");
        assert_eq!(token("https://h/?queueittoken=%E0%A4%A"), "%E0%A4%A");
        assert_eq!(token("https://h/?queueittoken=a+%"), "a+%");
        assert_eq!(token_of("https://h/?é&queueittokené", &[], &arena), "");
    }

    #[test]
    fn what_is_left_means_the_same() {
        for (url, left) in [
            ("https://h/p?a=1", "https://h/p?a=1"),
            ("https://h/p?queueittoken=x", "https://h/p"),
            ("https://h/p?queueittoken=", "https://h/p"),
            ("https://h/p?queueittoken=x&a=1", "https://h/p?a=1"),
            ("https://h/p?a=1&queueittoken=x&b=2", "https://h/p?a=1&b=2"),
            ("https://h/p?QueueITToken=x&queueittoken=y&a=1&queueittoken=z", "https://h/p?a=1"),
            ("https://h/p?queueittoken=x&queueittoken=y", "https://h/p"),
            ("https://h/p?queueittoken=x#f", "https://h/p#f"),
            ("https://h/p?queueittoken=x;a=1", "https://h/p?a=1"),
            ("https://h/p?a=1&queueittoken=x;b=2&queueittoken=;c", "https://h/p?a=1;b=2;c"),
            ("https://h/p?queueittoken=;", "https://h/p?"),
            ("https://h/p?queueittoken&a=1", "https://h/p?queueittoken&a=1"),
            ("https://h/p&queueittoken=/../x", "https://h/p&queueittoken=/../x"),
            ("https://h/p&queueittoken=x?queueittoken=y", "https://h/p&queueittoken=x"),
            ("https://h/p?xqueueittoken=x", "https://h/p?xqueueittoken=x"),
            ("https://h/p?queueittoke\u{e9}=x", "https://h/p?queueittoke\u{e9}=x"),
            ("", ""),
        ] {
            assert_eq!(without_token(url, &Bump::new()), left, "{url}");
        }
    }
}

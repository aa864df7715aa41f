//! The header `Forwarded` (RFC 7239, section 4).

use std::borrow::Cow;

/// What one proxy says of the request that it passed on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Element<'h> {
    /// `for`: an address, `unknown`, or a name that only that proxy understands.
    pub client: Option<Cow<'h, str>>,
    /// `proto`: the scheme.
    pub proto: Option<Cow<'h, str>>,
    /// `host`: the host asked for.
    pub host: Option<String>,
}

/// What all proxies say, in order; `None` where that cannot be read.
pub(super) fn read<'h>(lines: impl Iterator<Item = &'h [u8]>) -> Option<Vec<Element<'h>>> {
    let mut all = Vec::new();
    for line in lines {
        read_line(std::str::from_utf8(line).ok()?, &mut all)?;
    }
    Some(all)
}

fn read_line<'h>(mut rest: &'h str, all: &mut Vec<Element<'h>>) -> Option<()> {
    let mut element = Element::default();
    loop {
        rest = without_space(rest);
        match rest.bytes().next() {
            None => break,
            Some(b';') => rest = &rest[1..],
            Some(b',') => {
                all.push(std::mem::take(&mut element));
                rest = &rest[1..];
            }
            Some(_) => {
                let (name, after) = rest.split_once('=')?;
                let (value, after) = value(after)?;
                element.set(name, value)?;
                rest = without_space(after);
                if !(rest.is_empty() || rest.starts_with([',', ';'])) {
                    return None;
                }
            }
        }
    }
    all.push(element);
    Some(())
}

impl<'h> Element<'h> {
    fn set(&mut self, name: &str, value: Cow<'h, str>) -> Option<()> {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) {
            return None;
        }
        let is_new = match name.to_ascii_lowercase().as_str() {
            "for" => self.client.replace(value).is_none(),
            "proto" => self.proto.replace(value).is_none(),
            "host" => self.host.replace(value.into_owned()).is_none(),
            _ => true,
        };
        // Each must occur only once.
        is_new.then_some(())
    }
}

/// A value, in quotes or not, and what follows it. Outside of quotes a `:` is not allowed, but common.
fn value(text: &str) -> Option<(Cow<'_, str>, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        return quoted_string(quoted);
    }
    let end = text.find([',', ';', ' ', '\t']).unwrap_or(text.len());
    let (value, rest) = text.split_at(end);
    (!value.is_empty() && !value.contains('"')).then_some((Cow::Borrowed(value), rest))
}

fn quoted_string(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((Cow::Owned(value), &text[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

fn without_space(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(lines: &[&str]) -> Option<Vec<String>> {
        let read = read(lines.iter().map(|line| line.as_bytes()))?;
        Some(read.into_iter().map(|element| element.client.unwrap_or("-".into()).into_owned()).collect())
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        let all = [
            (&["for=\"_gazonk\""][..], &["_gazonk"][..]),
            (&["For=\"[2001:db8:cafe::17]:4711\""], &["[2001:db8:cafe::17]:4711"]),
            (&["for=192.0.2.60;proto=http;by=203.0.113.43"], &["192.0.2.60"]),
            (&["for=192.0.2.43, for=198.51.100.17"], &["192.0.2.43", "198.51.100.17"]),
            (
                &["for=192.0.2.43,for=\"[2001:db8:cafe::17]\"", "for=unknown"],
                &["192.0.2.43", "[2001:db8:cafe::17]", "unknown"],
            ),
            (&["proto=https;by=\"a,b;c=\\\"d\" ; for=x"], &["x"]),
            (&["by=1, ,"], &["-", "-", "-"]),
        ];
        for (lines, expected) in all {
            assert_eq!(clients(lines).expect("readable"), expected, "{lines:?}");
        }
    }

    #[test]
    fn what_is_broken_is_not_read_at_all() {
        let all = [
            "for",
            "for=",
            "=x",
            "for=\"x",
            "for=\"x\\",
            "for=\"x\"y",
            "for=a;for=b",
            "for =x",
            "for=x y",
            "f,or=x",
            "for=a\"b",
        ];
        for line in all {
            assert_eq!(clients(&[line]), None, "{line}");
        }
        let read = read([&b"for=\xff"[..]].into_iter());
        assert_eq!(read, None);
    }
}

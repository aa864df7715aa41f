//! Literals: from their text to their value.

use std::net::{IpAddr, Ipv4Addr};

use pest::Parser as _;

use super::{Checker, inner, quote};
use crate::language::Code;
use crate::language::expression::*;
use crate::language::grammar::{Grammar, Node, Rule};
use crate::request::Type;

impl Checker<'_> {
    /// A literal of one of the wanted types, tried in this order.
    pub(super) fn literal(&mut self, node: Node<'_>, wanted: &[Type]) -> Option<Literal> {
        match node.as_rule() {
            Rule::quoted | Rule::raw if wanted.contains(&Type::Bytes) => self.bytes(node).map(Literal::Bytes),
            Rule::quoted | Rule::raw => {
                let content = contents(&node);
                let fits = wanted.iter().any(|of| bare(content.trim_matches([' ', '\r', '\n']), of).is_some());
                let help = fits.then(|| format!("write `{content}` without quotes"));
                let message = format!("this is text, and {} is expected", describe(wanted));
                self.error(Code::Literal, self.span(&node), message, help);
                None
            }
            Rule::bare => self.bare(&node, wanted),
            Rule::wrong_quotes => self.quotes(&node),
            Rule::wrong_glued => self.glued(&node),
            _ => self.unquoted(&node, wanted),
        }
    }

    /// The bytes of a quoted or raw string, or of a byte string.
    pub(super) fn bytes(&mut self, node: Node<'_>) -> Option<Box<[u8]>> {
        match node.as_rule() {
            Rule::quoted => self.quoted(node),
            Rule::raw => Some(contents(&node).as_bytes().into()),
            _ => match self.literal(node, &[Type::Bytes])? {
                Literal::Bytes(bytes) => Some(bytes),
                _ => None,
            },
        }
    }

    fn quoted(&mut self, node: Node<'_>) -> Option<Box<[u8]>> {
        let mut bytes = Vec::with_capacity(node.as_str().len().saturating_sub(2));
        let mut is_sound = true;
        for piece in inner(node) {
            match piece.as_rule() {
                Rule::plain => bytes.extend_from_slice(piece.as_str().as_bytes()),
                Rule::escape => match escaped(piece.clone()) {
                    Some(byte) => bytes.push(byte),
                    None => {
                        self.escape(&piece);
                        is_sound = false;
                    }
                },
                _ => {
                    self.escape(&piece);
                    is_sound = false;
                }
            }
        }
        is_sound.then(|| bytes.into_boxed_slice())
    }

    fn escape(&mut self, piece: &Node<'_>) {
        let written = piece.as_str();
        let character = written.strip_prefix('\\').unwrap_or(written);
        let help = match written {
            "\\n" => "write `\\x0a`".to_owned(),
            "\\r" => "write `\\x0d`".to_owned(),
            "\\t" => "write `\\x09`".to_owned(),
            "\\x" => "two hexadecimal digits must follow".to_owned(),
            _ if character.starts_with(|first: char| first.is_ascii_digit()) => {
                "three octal digits up to \\377 must follow, or write `\\xHH`".to_owned()
            }
            _ => format!(
                "write `{character}` alone, `\\\\{character}` for a backslash before it, or a raw string `r\"…\"`"
            ),
        };
        let message = format!("`{}` is no escape: there are only \\\" \\\\ \\xHH and \\OOO", written);
        self.error(Code::Escape, self.span(piece), message, Some(help));
    }

    /// `'…'`, `“…”`
    pub(super) fn quotes<T>(&mut self, node: &Node<'_>) -> Option<T> {
        let help = format!("write `{}`", quote(contents(node)));
        self.error(Code::Quotes, self.span(node), "text stands in double quotes", Some(help));
        None
    }

    fn bare(&mut self, node: &Node<'_>, wanted: &[Type]) -> Option<Literal> {
        let text = node.as_str();
        let ends_before_and = inner(node.clone()).any(|part| part.as_rule() == Rule::bytes_before_and);
        for of in wanted {
            match bare(text, of) {
                Some(_) if ends_before_and && *of != Type::Bytes => return self.glued(node),
                Some(literal) => return Some(literal),
                None => {}
            }
        }
        self.unquoted(node, wanted)
    }

    /// `10.0.0.1and`
    fn glued<T>(&mut self, node: &Node<'_>) -> Option<T> {
        let end = self.span(node).end;
        let help = format!("write `{} and`", node.as_str());
        self.error(Code::Literal, end..end + 1, "the `a` of `and` is read as a digit", Some(help));
        None
    }

    /// Something without quotes that is none of what is wanted.
    fn unquoted<T>(&mut self, node: &Node<'_>, wanted: &[Type]) -> Option<T> {
        let (text, span) = (node.as_str().trim_end(), self.span(node));
        match wanted {
            [Type::Int] => {
                let help = octal_or_huge(text);
                self.error(Code::Literal, span, format!("`{text}` is not a number"), help);
            }
            [Type::Ip] => {
                self.error(Code::Literal, span, format!("`{text}` is not an address"), None);
            }
            _ => {
                let help = Some(format!("write `{}`", quote(text)));
                let message = match wanted {
                    [Type::Bytes] => "text must stand in double quotes".to_owned(),
                    _ => format!("`{text}` is not {}", describe(wanted)),
                };
                self.error(Code::Unquoted, span, message, help);
            }
        }
        None
    }

    /// `{ … }` with members of type `of`.
    pub(super) fn set(&mut self, node: Node<'_>, of: &Type) -> Option<Set> {
        let mut ints = Vec::new();
        let mut addresses = Vec::new();
        let mut strings = Vec::new();
        let mut sound = true;
        let mut comma = None;
        let (set_text, set_span) = (node.as_str(), self.span(&node));
        for item in inner(node) {
            let read = match (item.as_rule(), of) {
                (Rule::wrong_comma, _) => {
                    comma.get_or_insert_with(|| self.span(&item));
                    Some(())
                }
                (Rule::bare_run, Type::Int) => self.ints(&item).map(|more| ints.extend(more)),
                (Rule::bare_run, Type::Ip) => self.address_range(&item).map(|more| addresses.push(more)),
                (Rule::bare_run, Type::Bytes) => self.byte_strings(&item).map(|more| strings.extend(more)),
                (Rule::list | Rule::wrong_list, _) => self.list_in_set(&item),
                _ => match self.literal(item, std::slice::from_ref(of)) {
                    Some(Literal::Bytes(bytes)) => {
                        strings.push(bytes);
                        Some(())
                    }
                    _ => None,
                },
            };
            sound &= read.is_some();
        }
        if let Some(comma) = comma {
            let help = without_commas(set_text).filter(|_| sound).map(|corrected| format!("write `{corrected}`"));
            let help = help.or_else(|| Some("delete the commas".to_owned()));
            let span = if sound { set_span } else { comma };
            self.error(Code::SetComma, span, "the members of a set are separated by spaces", help);
            return None;
        }
        if !sound {
            return None;
        }
        Some(match of {
            Type::Int => Set::Ints(ints),
            Type::Ip => Set::Ips(addresses),
            _ => Set::Bytes(strings),
        })
    }

    fn list_in_set(&mut self, item: &Node<'_>) -> Option<()> {
        let help = format!("compare twice: `… in {{ … }} or … in {}`", item.as_str().trim());
        self.error(Code::Membership, self.span(item), "a list cannot be a member of a set", Some(help));
        None
    }

    /// Numbers and ranges that may touch, `1-2`.
    fn ints(&mut self, item: &Node<'_>) -> Option<Vec<std::ops::RangeInclusive<i64>>> {
        if let Some(number) = int(item.as_str()) {
            return Some(vec![number..=number]);
        }
        let Some(run) = matched(Rule::int_run, item.as_str()) else {
            return self.unquoted(item, &[Type::Int]);
        };
        run.map(|part| {
            let mut bounds = match part.as_rule() {
                Rule::int_range => inner(part).map(|bound| int(bound.as_str())).collect(),
                _ => vec![int(part.as_str())],
            };
            let (Some(first), Some(last)) = (bounds.first().copied().flatten(), bounds.pop().flatten()) else {
                return self.unquoted(item, &[Type::Int]);
            };
            self.ascending(item, first <= last, || format!("write `{last}..{first}`"))?;
            Some(first..=last)
        })
        .collect()
    }

    /// An address, a network, or `first..last`.
    fn address_range(&mut self, item: &Node<'_>) -> Option<IpRange> {
        let Some((first, last)) = item.as_str().split_once("..") else {
            return self.network(item);
        };
        let (Ok(first), Ok(last)) = (first.parse::<IpAddr>(), last.parse::<IpAddr>()) else {
            return self.not_a_network(item);
        };
        if first.is_ipv4() != last.is_ipv4() {
            self.error(Code::Range, self.span(item), "a range must be of one address family", None);
            return None;
        }
        self.ascending(item, first <= last, || format!("write `{last}..{first}`"))?;
        Some(IpRange { first, last })
    }

    fn network(&mut self, item: &Node<'_>) -> Option<IpRange> {
        match network_range(item.as_str()) {
            Some(Ok(range)) => Some(range),
            Some(Err(HostBits { meant })) => {
                let message = "the bits after the network's prefix must be zero";
                self.error(Code::HostBits, self.span(item), message, Some(format!("write `{meant}`")));
                None
            }
            None => self.not_a_network(item),
        }
    }

    fn not_a_network<T>(&mut self, item: &Node<'_>) -> Option<T> {
        let message = format!("`{}` is not an address, a network or a range `first..last`", item.as_str());
        self.error(Code::Literal, self.span(item), message, None);
        None
    }

    fn ascending(&mut self, item: &Node<'_>, ascending: bool, help: impl Fn() -> String) -> Option<()> {
        if !ascending {
            self.error(Code::Range, self.span(item), "a range must not end before it begins", Some(help()));
        }
        ascending.then_some(())
    }

    fn byte_strings(&mut self, item: &Node<'_>) -> Option<Vec<Box<[u8]>>> {
        match matched(Rule::bytes_run, item.as_str()) {
            Some(run) => Some(run.map(|part| hex_bytes(part.as_str())).collect()),
            None => self.unquoted(item, &[Type::Bytes]),
        }
    }
}

/// What stands between the quotes, as it is written.
pub(super) fn contents<'t>(node: &Node<'t>) -> &'t str {
    let text = node.as_str().trim();
    match node.as_rule() {
        Rule::raw | Rule::wrong_quotes => inner(node.clone()).next().map_or(text, |content| content.as_str()),
        Rule::quoted => text.get(1..text.len() - 1).unwrap_or(text),
        Rule::wrong_index => match inner(node.clone()).next() {
            Some(content) => contents(&content),
            None => text,
        },
        _ => text,
    }
}

/// A literal without quotes as a value of type `of`.
pub(super) fn bare(text: &str, of: &Type) -> Option<Literal> {
    match of {
        Type::Int => int(text).map(Literal::Int),
        Type::Ip => text.parse().ok().map(Literal::Ip),
        Type::Bytes => {
            let bytes = matched(Rule::single_bytes, text)?.next()?;
            Some(Literal::Bytes(hex_bytes(bytes.as_str())))
        }
        _ => None,
    }
}

/// A number: decimal, `0x…`, or octal with a leading zero (but decimal after a minus).
pub(super) fn int(text: &str) -> Option<i64> {
    let unsigned = |digits: &str, radix| match digits.as_bytes().first()? {
        b'-' | b'+' => None,
        _ => i64::from_str_radix(digits, radix).ok(),
    };
    match (text.strip_prefix("0x"), text.strip_prefix('0')) {
        (Some(digits), _) => unsigned(digits, 16),
        (None, Some(digits)) if !digits.is_empty() => unsigned(digits, 8),
        _ => text.parse().ok(),
    }
}

/// The network that is meant where bits are set behind a prefix.
pub(super) struct HostBits {
    pub meant: String,
}

/// A network or address. Like the public engine's
/// parser it takes an IPv4 address with fewer than four parts and with leading zeros.
pub(super) fn network_range(text: &str) -> Option<Result<IpRange, HostBits>> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let address = if address.contains(':') { address.parse().ok()? } else { IpAddr::V4(short_ipv4(address)?) };
    let (bits, width): (u128, u8) = match address {
        IpAddr::V4(address) => (address.to_bits().into(), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let length = length.unwrap_or(width);
    let host_bits = u32::from(width.checked_sub(length)?);
    let host = u128::MAX.checked_shr(128 - host_bits).unwrap_or(0);
    let of_bits = |bits: u128| match width {
        32 => u32::try_from(bits).ok().map(|bits| IpAddr::V4(bits.into())),
        _ => Some(IpAddr::V6(bits.into())),
    };
    let (first, last) = (of_bits(bits & !host)?, of_bits(bits | host)?);
    if first != address {
        return Some(Err(HostBits { meant: format!("{first}/{length}") }));
    }
    Some(Ok(IpRange { first, last }))
}

fn short_ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    for (place, part) in text.split('.').enumerate() {
        *octets.get_mut(place)? = part.parse().ok()?;
    }
    Some(octets.into())
}

/// The parts of `text` if the rule matches all of it.
fn matched(rule: Rule, text: &str) -> Option<impl Iterator<Item = Node<'_>>> {
    let whole = Grammar::parse(rule, text).ok()?.next()?;
    Some(inner(whole))
}

fn hex_bytes(text: &str) -> Box<[u8]> {
    text.split([':', '-', '.']).filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect()
}

fn escaped(escape: Node<'_>) -> Option<u8> {
    let part = inner(escape).next()?;
    match part.as_rule() {
        Rule::hex_escape => u8::from_str_radix(part.as_str(), 16).ok(),
        Rule::octal_escape => u8::from_str_radix(part.as_str(), 8).ok(),
        _ => part.as_str().bytes().next(),
    }
}

fn describe(wanted: &[Type]) -> String {
    let words = wanted.iter().map(|of| match of {
        Type::Int => "a number",
        Type::Ip => "an address",
        Type::Bytes => "text",
        Type::Bool => "true or false",
        _ => "an array or map",
    });
    words.collect::<Vec<_>>().join(" or ")
}

fn octal_or_huge(text: &str) -> Option<String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let decimal = text.trim_start_matches('0');
    match decimal.parse::<i64>() {
        Ok(_) => Some(format!("a leading zero means octal; write `{decimal}`")),
        Err(_) => Some(format!("numbers go from {} to {}", i64::MIN, i64::MAX)),
    }
}

/// `{"a","b"}` → `{"a" "b"}`; only where no member holds a comma.
fn without_commas(set: &str) -> Option<String> {
    let parts: Vec<&str> = set.strip_prefix('{')?.strip_suffix('}')?.split(',').map(str::trim).collect();
    let sound = parts.iter().all(|part| part.matches('"').count() % 2 == 0);
    sound.then(|| format!("{{{}}}", parts.join(" ").trim_end()))
}

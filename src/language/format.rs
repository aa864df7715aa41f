//! Canonical text of a checked expression.
//!
//! Operators in English, literals in one spelling, parentheses only where they carry meaning. What is printed parses
//! to the same tree, unless it holds fields that were registered in addition: their names are not known here.

use std::fmt::{self, Display, Formatter, Write};
use std::net::IpAddr;

use super::expression::*;

impl Display for Expression {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}

impl Display for Condition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Condition::Constant(value) => value.fmt(f),
            Condition::Truth(operand) => operand.fmt(f),
            Condition::Compare(comparison) => comparison.fmt(f),
            Condition::Not(inner) if matches!(**inner, Condition::Chain(..)) => write!(f, "not ({inner})"),
            Condition::Not(inner) => write!(f, "not {inner}"),
            Condition::Chain(connective, parts) => chain(f, *connective, parts),
            Condition::Quantified(quantifier, inner) => {
                write!(f, "{quantifier}(")?;
                argument_condition(f, inner)?;
                f.write_char(')')
            }
        }
    }
}

fn chain(f: &mut Formatter<'_>, connective: Connective, parts: &[Condition]) -> fmt::Result {
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            write!(f, " {connective} ")?;
        }
        match part {
            Condition::Chain(inner, _) if binding(*inner) <= binding(connective) => write!(f, "({part})")?,
            _ => part.fmt(f)?,
        }
    }
    Ok(())
}

/// The higher, the tighter.
fn binding(connective: Connective) -> u8 {
    match connective {
        Connective::Or => 1,
        Connective::Xor => 2,
        Connective::And => 3,
    }
}

/// An argument is one comparison unless it is in parentheses of its own (docs/protocol/rules-language.md#grammar).
fn argument_condition(f: &mut Formatter<'_>, condition: &Condition) -> fmt::Result {
    match condition {
        Condition::Chain(..) => write!(f, "({condition})"),
        _ => condition.fmt(f),
    }
}

impl Display for Connective {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Connective::And => "and",
            Connective::Xor => "xor",
            Connective::Or => "or",
        })
    }
}

impl Display for Quantifier {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Quantifier::Any => "any",
            Quantifier::All => "all",
        })
    }
}

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.left, self.test)
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.base {
            Base::Field(field) => match field.standard() {
                Some(field) => f.write_str(field.info().name)?,
                None => write!(f, "field.{}", field.0)?,
            },
            Base::Call(call) => call.fmt(f)?,
        }
        self.path.iter().try_for_each(|index| index.fmt(f))
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.function.name())?;
        for (place, argument) in self.arguments.iter().enumerate() {
            if place > 0 {
                f.write_str(", ")?;
            }
            match argument {
                Argument::Literal(literal) => literal.fmt(f)?,
                Argument::Operand(operand) => operand.fmt(f)?,
                Argument::Condition(condition) => argument_condition(f, condition)?,
                Argument::Pattern(pattern) => pattern.fmt(f)?,
            }
        }
        f.write_char(')')
    }
}

impl Display for Index {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Index::Key(key) => {
                f.write_char('[')?;
                quoted(f, key)?;
                f.write_char(']')
            }
            Index::At(place) => write!(f, "[{place}]"),
            Index::Each => f.write_str("[*]"),
        }
    }
}

impl Display for Test {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Test::Order(relation, Right::Literal(literal)) => write!(f, "{relation} {literal}"),
            Test::Order(relation, Right::Operand(operand)) => write!(f, "{relation} {operand}"),
            Test::Contains(bytes) => {
                f.write_str("contains ")?;
                quoted(f, bytes)
            }
            Test::Matches(pattern) => write!(f, "matches {pattern}"),
            Test::Wildcard(wildcard) => wildcard.fmt(f),
            Test::In(set) => write!(f, "in {set}"),
            Test::InList(name) => write!(f, "in ${name}"),
            Test::Bits(bits) => write!(f, "bitwise_and {bits}"),
        }
    }
}

impl Display for Relation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Relation::Eq => "eq",
            Relation::Ne => "ne",
            Relation::Lt => "lt",
            Relation::Le => "le",
            Relation::Gt => "gt",
            Relation::Ge => "ge",
        })
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Bool(value) => value.fmt(f),
            Literal::Int(value) => value.fmt(f),
            Literal::Ip(address) => address.fmt(f),
            Literal::Bytes(bytes) => quoted(f, bytes),
        }
    }
}

impl Display for Wildcard {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.strict { "strict wildcard " } else { "wildcard " })?;
        // The pattern's own escapes stay readable where the literal has none.
        match std::str::from_utf8(&self.pattern) {
            Ok(text) if text.contains('\\') && raw(f, text)? => Ok(()),
            _ => quoted(f, &self.pattern),
        }
    }
}

impl Display for Pattern {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // A quoted pattern has its own lexing of `\`, `"` and `[…]` (docs/protocol/rules-language.md#literals).
        if !self.text.contains(['"', '\\', '[']) {
            return write!(f, "\"{}\"", self.text);
        }
        if raw(f, &self.text)? {
            return Ok(());
        }
        // More hashes than a raw string may have: the regex engine's own escape says the same.
        write!(f, "r\"{}\"", self.text.replace('"', r"\x22"))
    }
}

impl Display for Set {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('{')?;
        match self {
            Set::Ints(ranges) => members(f, ranges, |f, range| match range.start() == range.end() {
                true => range.start().fmt(f),
                false => write!(f, "{}..{}", range.start(), range.end()),
            })?,
            Set::Ips(ranges) => members(f, ranges, |f, range| range.fmt(f))?,
            Set::Bytes(strings) => members(f, strings, |f, bytes| quoted(f, bytes))?,
        }
        f.write_char('}')
    }
}

fn members<T>(
    f: &mut Formatter<'_>,
    members: &[T],
    print: impl Fn(&mut Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (place, member) in members.iter().enumerate() {
        if place > 0 {
            f.write_char(' ')?;
        }
        print(f, member)?;
    }
    Ok(())
}

impl Display for IpRange {
    /// An address, a network where the range is one, else `first..last`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return self.first.fmt(f);
        }
        match self.prefix_length() {
            Some(length) => write!(f, "{}/{length}", self.first),
            None => write!(f, "{}..{}", self.first, self.last),
        }
    }
}

impl IpRange {
    /// The length of the prefix if the range is exactly one network.
    fn prefix_length(&self) -> Option<u32> {
        let (first, last, width) = match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => (first.to_bits().into(), last.to_bits().into(), 32),
            (IpAddr::V6(first), IpAddr::V6(last)) => (first.to_bits(), last.to_bits(), 128),
            _ => return None,
        };
        let host: u128 = first ^ last;
        let host_bits = 128 - host.leading_zeros();
        let all_ones = u128::MAX.checked_shr(128 - host_bits).unwrap_or(0);
        (host == all_ones && first & host == 0).then(|| width - host_bits)
    }
}

/// `"…"`: text as it is, and as `\xHH` what is not text or cannot be seen.
fn quoted(f: &mut Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    f.write_char('"')?;
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\\' => write!(f, "\\{character}")?,
                _ if character.is_ascii_control() => write!(f, "\\x{:02x}", u32::from(character))?,
                _ => f.write_char(character)?,
            }
        }
        for byte in chunk.invalid() {
            write!(f, "\\x{byte:02x}")?;
        }
    }
    f.write_char('"')
}

/// `r"…"` with as many `#` as it takes; false, and nothing printed, where 255 are not enough.
fn raw(f: &mut Formatter<'_>, text: &str) -> Result<bool, fmt::Error> {
    let most = text.split('"').skip(1).map(|after| after.len() - after.trim_start_matches('#').len()).max();
    let hashes = "#".repeat(most.map_or(0, |most| most + 1));
    if hashes.len() > 255 {
        return Ok(false);
    }
    write!(f, "r{hashes}\"{text}\"{hashes}")?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: &str, last: &str) -> IpRange {
        IpRange { first: first.parse().unwrap(), last: last.parse().unwrap() }
    }

    #[test]
    fn ranges_that_are_networks_print_as_networks() {
        for (first, last, text) in [
            ("10.0.0.0", "10.255.255.255", "10.0.0.0/8"),
            ("0.0.0.0", "255.255.255.255", "0.0.0.0/0"),
            ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0"),
            ("2001:db8::", "2001:db8::ffff", "2001:db8::/112"),
            ("10.0.0.1", "10.0.0.2", "10.0.0.1..10.0.0.2"),
            ("10.0.0.2", "10.0.0.5", "10.0.0.2..10.0.0.5"),
            ("10.0.0.1", "10.0.0.1", "10.0.0.1"),
        ] {
            assert_eq!(range(first, last).to_string(), text);
        }
    }

    #[test]
    fn literals_survive_odd_bytes() {
        assert_eq!(Literal::Bytes(b"a\"\\\n\xff\xc3\xa9"[..].into()).to_string(), "\"a\\\"\\\\\\x0a\\xff\u{e9}\"");
    }

    #[test]
    fn patterns_are_raw_only_where_they_must_be() {
        let regex = regex::bytes::Regex::new("").unwrap();
        for (pattern, text) in [("^/a$", "\"^/a$\""), (r"\d", r#"r"\d""#), ("\"#[\"]", "r##\"\"#[\"]\"##")] {
            let pattern = Pattern { text: pattern.into(), regex: regex.clone() };
            assert_eq!(pattern.to_string(), text);
        }
    }
}

//! Literals in the form in which hosts tell addresses.
//!
//! To the language, as to Cloudflare's, `::ffff:192.0.2.1` is no IPv4 address. But hosts tell every IPv4 address as one,
//! so that a rule which names the other form would never hold, and a negated one always.

use std::net::IpAddr;

use super::expression::*;

impl Expression {
    /// The same with every IPv4-mapped address as the IPv4 address it stands for; so are networks and ranges of them.
    pub fn with_canonical_addresses(mut self) -> Expression {
        in_condition(&mut self.root);
        self
    }
}

fn in_condition(condition: &mut Condition) {
    match condition {
        Condition::Constant(_) => {}
        Condition::Truth(operand) => in_operand(operand),
        Condition::Compare(Comparison { left, test, .. }) => {
            in_operand(left);
            in_test(test);
        }
        Condition::Not(inner) | Condition::Quantified(_, inner) => in_condition(inner),
        Condition::Chain(_, parts) => parts.iter_mut().for_each(in_condition),
    }
}

fn in_operand(operand: &mut Operand) {
    let Base::Call(call) = &mut operand.base else { return };
    for argument in &mut call.arguments {
        match argument {
            Argument::Literal(literal) => in_literal(literal),
            Argument::Operand(operand) => in_operand(operand),
            Argument::Condition(condition) => in_condition(condition),
            Argument::Pattern(_) => {}
        }
    }
}

fn in_test(test: &mut Test) {
    match test {
        Test::Order(_, Right::Literal(literal)) => in_literal(literal),
        Test::Order(_, Right::Operand(operand)) => in_operand(operand),
        Test::In(Set::Ips(ranges)) => ranges.iter_mut().for_each(in_range),
        Test::In(_) | Test::Contains(_) | Test::Matches(_) | Test::Wildcard(_) | Test::InList(_) | Test::Bits(_) => {}
    }
}

fn in_literal(literal: &mut Literal) {
    if let Literal::Ip(address) = literal {
        *address = address.to_canonical();
    }
}

/// A range that is of more than IPv4 addresses stays as it is.
fn in_range(range: &mut IpRange) {
    if let (first @ IpAddr::V4(_), last @ IpAddr::V4(_)) = (range.first.to_canonical(), range.last.to_canonical()) {
        *range = IpRange { first, last };
    }
}

#[cfg(test)]
mod tests {
    use crate::language::{Scheme, parse};

    #[test]
    fn addresses_become_what_they_stand_for() {
        for (text, expected) in [
            ("ip.src eq ::ffff:192.0.2.1", "ip.src eq 192.0.2.1"),
            ("not ip.src ne ::ffff:c000:201", "not ip.src ne 192.0.2.1"),
            ("ip.src in {::ffff:192.0.2.0/120 2001:db8::/32}", "ip.src in {192.0.2.0/24 2001:db8::/32}"),
            ("ip.src in {::ffff:0:0/96}", "ip.src in {0.0.0.0/0}"),
            ("ip.src in {::ffff:10.0.0.1..::ffff:10.0.0.3}", "ip.src in {10.0.0.1..10.0.0.3}"),
            ("ip.src in {::/0}", "ip.src in {::/0}"),
            (
                "ssl and (ssl or cidr(ip.src, 24, 64) eq ::ffff:10.0.0.0)",
                "ssl and (ssl or cidr(ip.src, 24, 64) eq 10.0.0.0)",
            ),
            ("http.host eq \"::ffff:192.0.2.1\"", "http.host eq \"::ffff:192.0.2.1\""),
        ] {
            let expression = parse(text, Scheme::standard()).expect("an expression").with_canonical_addresses();
            assert_eq!(expression.to_string(), expected);
        }
    }
}

//! An integration held against the hosts of the site: which of them it can stand before, and what browsers do there.

use std::net::IpAddr;

use crate::language::Function;
use crate::language::expression::{
    Argument, Base, Comparison, Condition, Connective, Literal, Operand, Relation, Right, Set, Test,
};
use crate::request::{Authority, Field};

/// Whether a trigger can be true of a request for a host, whatever else is in it.
pub(super) fn can_match(when: &Condition, host: &str) -> bool {
    truth(when, host) != Some(false)
}

/// Whether browsers take a cookie of a domain from a host: it is the host, or the end of its name (RFC 6265, sections
/// 5.1.3 and 5.3), and none that everybody has a part in, such as `com`. A host may have a port.
pub(super) fn can_set_cookie(host: &str, domain: &str) -> bool {
    let (host, domain) = (Authority::of(host).host().to_ascii_lowercase(), domain.to_ascii_lowercase());
    let is_below = host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.'));
    host == domain || (is_below && domain.contains('.') && host.parse::<IpAddr>().is_err())
}

/// Whether a site with these hosts has that one, as [`super::Settings::is_served`] has it: a host without a port stands for all
/// its ports. `authority` is canonical.
pub(super) fn is_among(hosts: &[String], authority: &str) -> bool {
    hosts.iter().any(|ours| ours == authority || ours == Authority::of(authority).host())
}

/// Whether a host, which may have a port, is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let authority = Authority::of(host);
    authority.host().eq_ignore_ascii_case("localhost")
        || authority.address().is_some_and(|address| address.to_canonical().is_loopback())
}

/// What a condition comes to, if the host alone tells.
fn truth(condition: &Condition, host: &str) -> Option<bool> {
    match condition {
        Condition::Constant(value) => Some(*value),
        Condition::Not(inner) => truth(inner, host).map(|value| !value),
        Condition::Compare(comparison) => compared(comparison, host),
        Condition::Chain(Connective::Xor, _) | Condition::Truth(_) | Condition::Quantified(..) => None,
        Condition::Chain(connective, parts) => {
            let decisive = *connective == Connective::Or;
            let parts: Vec<_> = parts.iter().map(|part| truth(part, host)).collect();
            match parts.contains(&Some(decisive)) {
                true => Some(decisive),
                false => parts.iter().all(|part| *part == Some(!decisive)).then_some(!decisive),
            }
        }
    }
}

fn compared(comparison: &Comparison, host: &str) -> Option<bool> {
    let host = seen(&comparison.left, host)?;
    match &comparison.test {
        Test::Order(Relation::Eq, Right::Literal(Literal::Bytes(text))) => Some(host.as_bytes() == &**text),
        Test::Order(Relation::Ne, Right::Literal(Literal::Bytes(text))) => Some(host.as_bytes() != &**text),
        Test::Contains(text) => Some(memchr::memmem::find(host.as_bytes(), text).is_some()),
        Test::In(Set::Bytes(texts)) => Some(texts.iter().any(|text| **text == *host.as_bytes())),
        _ => None,
    }
}

/// The text that a trigger looks at, if it is the host's.
fn seen(operand: &Operand, host: &str) -> Option<String> {
    match &operand.base {
        Base::Field(field) => match field.standard()? {
            Field::TriggerHostName | Field::TriggerNormalizedHostName => Some(host.to_owned()),
            _ => None,
        },
        Base::Call(call) => match (call.function, &*call.arguments) {
            (Function::UpperUnicode, [Argument::Operand(inner)]) => seen(inner, host).map(|host| host.to_uppercase()),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Published;

    #[test]
    fn browsers_take_cookies_of_a_hosts_own_domains() {
        for (host, domain, may) in [
            ("tickets.example", "tickets.example", true),
            ("tickets.example:8443", "Tickets.Example", true),
            ("www.tickets.example", "tickets.example", true),
            ("tickets.example", "www.tickets.example", false),
            ("mytickets.example", "tickets.example", false),
            ("tickets.example", "shop.example", false),
            ("tickets.example", "example", false),
            ("localhost", "localhost", true),
            ("127.0.0.1:80", "127.0.0.1", true),
            ("127.0.0.1", "0.1", false),
            ("[::1]:80", "[::1]", true),
        ] {
            assert_eq!(can_set_cookie(host, domain), may, "{domain} from {host}");
        }
    }

    #[test]
    fn this_machine_is_known_by_its_names() {
        for (host, is_it) in [
            ("localhost:80", true),
            ("127.9.0.1", true),
            ("[::1]:80", true),
            ("10.0.0.1", false),
            ("a.localhost", false),
        ] {
            assert_eq!(is_loopback(host), is_it, "{host}");
        }
    }

    fn matches(parts: &str, host: &str) -> bool {
        let text = format!(r#"{{"Version": 1, "Integrations": [{{"Triggers": [{{{parts}}}]}}]}}"#);
        can_match(&Published::parse(&text, false).expect("a configuration").all[0].1.root, host)
    }

    #[test]
    fn a_trigger_tells_which_hosts_it_is_for() {
        let host = |more: &str| format!(r#"{{"ValidatorType": "UrlValidator", "UrlPart": "HostName", {more}}}"#);
        let shop = host(r#""Operator": "Equals", "ValueToCompare": "shop.example""#);
        let in_any_case = host(r#""Operator": "Contains", "ValueToCompare": "Shop", "IsIgnoreCase": true"#);
        let no_shop = host(r#""Operator": "ContainsAny", "ValuesToCompare": ["shop"], "IsNegative": true"#);
        let one_of = host(r#""Operator": "EqualsAny", "ValuesToCompare": ["a.example", "b.example"]"#);
        let path = r#"{"ValidatorType": "UrlValidator", "UrlPart": "PagePath", "Operator": "Contains", "ValueToCompare": "x"}"#;
        for (operator, parts, matching, other) in [
            ("And", vec![&*shop], "shop.example", "tickets.example"),
            ("And", vec![&*shop, path], "shop.example", "tickets.example"),
            ("And", vec![&*in_any_case, path], "shop.example", "tickets.example"),
            ("And", vec![&*no_shop], "tickets.example", "shop.example"),
            ("Or", vec![&*one_of], "b.example", "c.example"),
        ] {
            let parts = format!(r#""LogicalOperator": "{operator}", "TriggerParts": [{}]"#, parts.join(","));
            assert!(matches(&parts, matching), "{parts}");
            assert!(!matches(&parts, other), "{parts}");
        }
        let either = format!(r#""LogicalOperator": "Or", "TriggerParts": [{shop}, {path}]"#);
        assert!(matches(&either, "tickets.example"));
    }
}

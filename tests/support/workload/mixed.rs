//! Bypass rules as operators write them: fifths of `ends_with(path)`, `path eq`, address in a network and `host eq`,
//! user agent `contains` and country `in`, `host eq` and (query `contains` or ASN `eq`). No two share a constant but
//! for the countries.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};
use velvetrope::internal::policy::Sources;
use velvetrope::internal::request::{Field, OwnedRequest};

use super::{Workload, integrations, visit, visitor, with_header};

/// Countries of rules; the visitor's own is not among them.
const COUNTRIES: [&str; 12] = ["SE", "NO", "FI", "DE", "NL", "BE", "FR", "ES", "IT", "PL", "JP", "NZ"];

/// The first `count` rules, with a request for which none is true.
pub fn none_true(count: usize) -> Workload {
    Workload::of_rules(format!("mixed rules, none true/{count}"), &rules(count), visitor(), None)
}

/// The first `count` rules, with a request for which the one in the middle is true.
pub fn one_true(count: usize) -> Workload {
    hit(count, count / 2)
}

/// The first `count` rules, with a request for which `number` is true.
pub fn hit(count: usize, number: usize) -> Workload {
    Workload::of_rules(format!("mixed rules, one true/{count}"), &rules(count), request_for(number), Some(number))
}

/// The sources of a policy with these rules, all of them in force for its one room.
pub fn policy(count: usize) -> Sources {
    const SETTINGS: &str = r#"
        customer_id = "bench"
        target = "worker"
        integration = "integration.json"
        [rules]
        room0 = "rules.json"
    "#;
    let rule = |text: String| json!({"action": "bypass_waiting_room", "expression": text});
    let rules: Value = rules(count).into_iter().map(rule).collect();
    let files = [
        ("velvetrope.toml", SETTINGS.to_owned()),
        ("integration.json", integrations::document(1)),
        ("rules.json", rules.to_string()),
    ];
    files.map(|(name, text)| (name.to_owned(), text.into_bytes())).into_iter().collect()
}

pub fn rules(count: usize) -> Vec<String> {
    (0..count).map(rule).collect()
}

pub fn rule(number: usize) -> String {
    match number % 5 {
        0 => format!(r#"ends_with(http.request.uri.path, "/verified-{number}")"#),
        1 => format!(r#"http.request.uri.path eq "/path-{number}""#),
        2 => format!(r#"ip.src in {{{}/28}} and http.host eq "h{number}.example""#, network(number)),
        3 => {
            let [one, other] = countries(number);
            format!(r#"http.user_agent contains "agent-{number};" and ip.src.country in {{"{one}" "{other}"}}"#)
        }
        _ => format!(
            r#"http.host eq "h{number}.example" and (http.request.uri.query contains "q={number}&" or ip.src.asnum eq {number})"#
        ),
    }
}

/// A request for which that rule is true and no other.
pub fn request_for(number: usize) -> OwnedRequest {
    match number % 5 {
        0 => visit(&format!("https://shop.example.com/tickets/2026/verified-{number}?area=b&row=12")),
        1 => visit(&format!("https://shop.example.com/path-{number}?area=b&row=12")),
        2 => visit(&format!("https://h{number}.example/tickets/2026/seats?area=b"))
            .client_ip(IpAddr::V4(Ipv4Addr::from_bits(network(number).to_bits() | 7))),
        3 => with_header(visitor(), "User-Agent", format!("{} agent-{number}; +https", super::AGENT))
            .fact(Field::IpSrcCountry, countries(number)[0]),
        _ if number.is_multiple_of(2) => visit(&format!("https://h{number}.example/tickets?area=b&q={number}&row=12")),
        _ => visit(&format!("https://h{number}.example/tickets?area=b")).fact(Field::IpSrcAsnum, number as i64),
    }
}

/// The /28 of a rule, in 10.0.0.0/8, which has room for a million.
pub fn network(number: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(10 << 24 | (number as u32) << 4)
}

/// The countries of a rule.
pub fn countries(number: usize) -> [&'static str; 2] {
    let country = |at: usize| COUNTRIES[at % COUNTRIES.len()];
    [country(number / 5), country(number / 5 + 1)]
}

//! Requests and rules made to be slow.

use super::{Workload, visit, visitor, with_header};

/// Every workload of this kind by name; no rule of them is true.
pub const WORKLOADS: [Named; 4] = [
    ("every predicate true", every_predicate),
    ("regex worst case", regex),
    ("64 KB header, 1,000 substrings", long_header),
    ("1,000 nested networks", nested_networks),
];

type Named = (&'static str, fn() -> Workload);

/// The rules of each, but for the regular expressions.
const COUNT: usize = 1_000;

/// Each part of each rule is true but the last, so that no index spares anything.
fn every_predicate() -> Workload {
    let rule = |number| {
        format!(
            r#"http.user_agent contains "a{number};" and http.request.uri.query contains "q{number}&" and
            starts_with(http.request.uri.path, "/{}") and not ssl"#,
            "x".repeat(number % 100)
        )
    };
    let rules: Vec<_> = (0..COUNT).map(rule).collect();
    let agent: String = (0..COUNT).map(|number| format!("a{number};")).collect();
    let query: String = (0..COUNT).map(|number| format!("q{number}&")).collect();
    let request = visit(&format!("https://shop.example.com/{}?{query}", "x".repeat(100)));
    let request = with_header(request, "User-Agent", agent);
    Workload::of_rules("every predicate true", &rules, request, None)
}

/// Patterns whose automata have more states than can be kept, none of them known by a literal, on a text that visits
/// many of those states.
fn regex() -> Workload {
    let rule = |number| format!(r#"http.request.uri.query matches "(?:a|b)*a(?:a|b){{{}}}[^ab]""#, 10 + number);
    let rules: Vec<_> = (0..20).map(rule).collect();
    let request = visit(&format!("https://shop.example.com/?{}", noise(1_024)));
    Workload::of_rules("regex worst case", &rules, request, None)
}

/// A header of 64 KB, full of what the substrings sought in it begin with.
fn long_header() -> Workload {
    let rule = |number| format!(r#"http.request.headers["x-long"][0] contains "needle-needle-{number};""#);
    let rules: Vec<_> = (0..COUNT).map(rule).collect();
    let request = visitor().header("x-long", "needle-".repeat((64 << 10) / 7));
    Workload::of_rules("64 KB header, 1,000 substrings", &rules, request, None)
}

/// Each range of addresses holds the next, and the innermost holds the visitor.
fn nested_networks() -> Workload {
    let address = |bits: u32| std::net::Ipv4Addr::from_bits(bits);
    let count = COUNT as u32;
    let middle = 203 << 24 | 113 << 8 | 7;
    let rule = |number| {
        let (first, last) = (address(middle - 1 - count + number), address(middle + 1 + count - number));
        format!("ip.src in {{{first}..{last}}} and not ssl")
    };
    let rules: Vec<_> = (0..count).map(rule).collect();
    Workload::of_rules("1,000 nested networks", &rules, visitor(), None)
}

/// `a` and `b` in no order, the same every time.
fn noise(length: usize) -> String {
    let mut state: u32 = 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if state >> 31 == 0 { 'a' } else { 'b' }
    };
    (0..length).map(|_| next()).collect()
}

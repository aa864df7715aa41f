//! One expression for each operator, false for the visitor.

use velvetrope::internal::program::{Entry, Lists, Site, Verdict};

use super::{Workload, expression, networks, visitor};

/// The operators by name.
pub const OPERATORS: &[(&str, &str)] = &[
    ("eq", r#"http.request.uri.path eq "/checkout""#),
    ("contains", r#"http.request.uri.path contains "checkout""#),
    ("ends_with", r#"ends_with(http.request.uri.path, "/userverified")"#),
    ("in 100,000 networks", "ip.src in $networks"),
    ("matches", r#"http.request.uri.path matches "/userverified$""#),
    ("any header", r#"any(http.request.headers["x-a"][*] == "b")"#),
    ("wildcard", r#"http.request.uri.path wildcard "/tickets/*/places""#),
    ("cookie", r#"http.request.cookies["vip"][0] eq "yes""#),
    ("lower contains", r#"lower(http.user_agent) contains "googlebot""#),
    ("in 10 countries", r#"ip.src.country in {"SE" "NO" "FI" "DE" "NL" "BE" "FR" "ES" "IT" "PL"}"#),
];

/// A site with this expression alone.
pub fn workload(&(name, text): &(&str, &str)) -> Workload {
    let networks = || Lists::from([("networks".to_owned(), networks::list(&networks::networks(100_000)))]);
    let lists = if text.contains("$networks") { networks() } else { Lists::new() };
    let entry = Entry { when: expression(text).into(), bypass: Vec::new() };
    let site = Site { entries: vec![entry], rules: Vec::new(), lists };
    Workload { name: format!("operator/{name}"), site, request: visitor(), verdict: Verdict::Nothing }
}

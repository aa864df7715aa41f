//! The same rules in each engine's language.

use velvetrope::internal::request::{Field, OwnedRequest};

use crate::engines::{ATreeEngine, AhoCorasickEngine, CelEngine, Engine, IpNetworkTable, OneByOne, PrefixTrie};
use crate::engines::{RegexSetEngine, VelvetropeEngine, WirefilterEngine, ZenEngine};
use crate::workload::{self, mixed, networks, operators};

/// `path eq`.
pub fn single() -> Vec<Box<dyn Engine>> {
    let ours = r#"http.request.uri.path eq "/checkout""#.to_owned();
    vec![
        Box::new(VelvetropeEngine::new(&[ours.clone()])),
        Box::new(WirefilterEngine::new(&[ours])),
        Box::new(ZenEngine::new(&[r#"path == "/checkout""#.to_owned()])),
        Box::new(CelEngine::new(&["path == '/checkout'".to_owned()])),
        Box::new(ATreeEngine::new(&["path = '/checkout'".to_owned()])),
    ]
}

/// The generator's mixed rules. A-Tree knows neither substrings nor suffixes.
pub fn mixed(count: usize) -> Vec<Box<dyn Engine>> {
    let all = |rule: fn(usize) -> String| (0..count).map(rule).collect::<Vec<_>>();
    vec![
        Box::new(VelvetropeEngine::new(&mixed::rules(count))),
        Box::new(WirefilterEngine::new(&all(mixed_wirefilter))),
        Box::new(ZenEngine::new(&all(mixed_zen))),
        Box::new(CelEngine::new(&all(mixed_cel))),
    ]
}

/// The published wirefilter has no functions.
fn mixed_wirefilter(number: usize) -> String {
    match number % 5 {
        0 => format!(r#"http.request.uri.path matches "/verified-{number}$""#),
        _ => mixed::rule(number),
    }
}

fn mixed_zen(number: usize) -> String {
    let [one, other] = mixed::countries(number);
    match number % 5 {
        0 => format!(r#"endsWith(path, "/verified-{number}")"#),
        1 => format!(r#"path == "/path-{number}""#),
        2 => {
            let first = mixed::network(number).to_bits();
            format!(r#"ip >= {first} and ip <= {} and host == "h{number}.example""#, first + 15)
        }
        3 => format!(r#"contains(agent, "agent-{number};") and country in ["{one}", "{other}"]"#),
        _ => format!(r#"host == "h{number}.example" and (contains(query, "q={number}&") or asn == {number})"#),
    }
}

fn mixed_cel(number: usize) -> String {
    let [one, other] = mixed::countries(number);
    match number % 5 {
        0 => format!("path.endsWith('/verified-{number}')"),
        1 => format!("path == '/path-{number}'"),
        2 => {
            let first = mixed::network(number).to_bits();
            format!("ip >= {first} && ip <= {} && host == 'h{number}.example'", first + 15)
        }
        3 => format!("agent.contains('agent-{number};') && country in ['{one}', '{other}']"),
        _ => format!("host == 'h{number}.example' && (query.contains('q={number}&') || asn == {number})"),
    }
}

/// Rules that every engine can express: `host eq`, `path eq` and `country in`.
pub fn exact(count: usize) -> Vec<Box<dyn Engine>> {
    let all = |rule: &dyn Fn(usize, [&str; 2]) -> String| {
        (0..count).map(|number| rule(number, mixed::countries(number))).collect::<Vec<_>>()
    };
    let ours = all(&|n, [one, other]| {
        format!(
            r#"http.host eq "h{n}.example" and http.request.uri.path eq "/path-{n}" and ip.src.country in {{"{one}" "{other}"}}"#
        )
    });
    vec![
        Box::new(VelvetropeEngine::new(&ours)),
        Box::new(WirefilterEngine::new(&ours)),
        Box::new(ZenEngine::new(&all(&|n, [one, other]| {
            format!(r#"host == "h{n}.example" and path == "/path-{n}" and country in ["{one}", "{other}"]"#)
        }))),
        Box::new(CelEngine::new(&all(&|n, [one, other]| {
            format!("host == 'h{n}.example' && path == '/path-{n}' && country in ['{one}', '{other}']")
        }))),
        Box::new(ATreeEngine::new(&all(&|n, [one, other]| {
            format!("host = 'h{n}.example' and path = '/path-{n}' and country in ['{one}', '{other}']")
        }))),
    ]
}

/// A request for which that exact rule is true.
pub fn exact_request(number: usize) -> OwnedRequest {
    workload::visit(&format!("https://h{number}.example/path-{number}?area=b&row=12"))
        .fact(Field::IpSrcCountry, mixed::countries(number)[1])
}

/// Parts of user agents.
pub fn substrings(count: usize) -> Vec<Box<dyn Engine>> {
    let parts: Vec<_> = (0..count).map(substring).collect();
    let rules: Vec<_> = parts.iter().map(|part| format!(r#"http.user_agent contains "{part}""#)).collect();
    vec![
        Box::new(VelvetropeEngine::new(&rules)),
        Box::new(WirefilterEngine::new(&rules)),
        Box::new(AhoCorasickEngine::new(&parts)),
        Box::new(RegexSetEngine::new(&parts)),
        Box::new(OneByOne::new(&parts)),
    ]
}

fn substring(number: usize) -> String {
    format!("agent-{number};")
}

/// A request for which that substring is found.
pub fn substring_request(number: usize) -> OwnedRequest {
    let agent = format!("{} {} +https", workload::AGENT, substring(number));
    workload::with_header(workload::visitor(), "User-Agent", agent)
}

/// One long list of networks.
pub fn networks(count: u32) -> Vec<Box<dyn Engine>> {
    let all = networks::networks(count);
    vec![
        Box::new(VelvetropeEngine::of_site(&operators::workload(&("in", "ip.src in $networks")).site)),
        Box::new(PrefixTrie::new(&all)),
        Box::new(IpNetworkTable::new(&all)),
    ]
}

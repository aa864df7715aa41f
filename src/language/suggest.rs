//! "Did you mean": the name somebody probably had in mind.

use super::{Function, Scheme};

/// Names that are no fields, or no longer, with what is meant.
const FIELDS: &[(&str, &str)] = &[
    ("ip", "ip.src"),
    ("ip.addr", "ip.src"),
    ("ip.address", "ip.src"),
    ("src.ip", "ip.src"),
    ("client.ip", "ip.src"),
    ("client_ip", "ip.src"),
    ("remote_addr", "ip.src"),
    ("ip.src.asn", "ip.src.asnum"),
    ("ip.asn", "ip.src.asnum"),
    ("ip.country", "ip.src.country"),
    ("country", "ip.src.country"),
    ("hostname", "http.host"),
    ("http.request.host", "http.host"),
    ("url", "http.request.full_uri"),
    ("url.path", "http.request.uri.path"),
    ("http.request.url.path", "http.request.uri.path"),
    ("http.cookies", "http.request.cookies"),
    ("http.request.user_agent", "http.user_agent"),
    ("http.request.referer", "http.referer"),
    ("http.headers", "http.request.headers"),
];

/// Names that other languages give to functions.
const FUNCTIONS: &[(&str, Function)] = &[
    ("strlen", Function::Len),
    ("length", Function::Len),
    ("size", Function::Len),
    ("count", Function::Len),
    ("tolower", Function::Lower),
    ("to_lower", Function::Lower),
    ("lowercase", Function::Lower),
    ("toupper", Function::Upper),
    ("to_upper", Function::Upper),
    ("uppercase", Function::Upper),
    ("begins_with", Function::StartsWith),
    ("startswith", Function::StartsWith),
    ("has_prefix", Function::StartsWith),
    ("endswith", Function::EndsWith),
    ("has_suffix", Function::EndsWith),
    ("substr", Function::Substring),
    ("slice", Function::Substring),
    ("urldecode", Function::UrlDecode),
    ("uri_decode", Function::UrlDecode),
    ("base64_decode", Function::DecodeBase64),
    ("base64_encode", Function::EncodeBase64),
    ("string", Function::ToString),
    ("str", Function::ToString),
];

/// Words for operators.
const OPERATORS: &[(&str, &str)] = &[
    ("===", "eq"),
    ("=", "eq"),
    ("is", "eq"),
    ("equal", "eq"),
    ("equals", "eq"),
    ("!==", "ne"),
    ("<>", "ne"),
    ("neq", "ne"),
    ("isnt", "ne"),
    ("gte", "ge"),
    ("lte", "le"),
    ("=~", "matches"),
    ("regex", "matches"),
    ("regexp", "matches"),
    ("match", "matches"),
    ("like", "wildcard"),
    ("glob", "wildcard"),
    ("has", "contains"),
    ("contain", "contains"),
    ("includes", "contains"),
];

/// Every operator in its English spelling.
pub(super) const ALL_OPERATORS: [&str; 12] =
    ["eq", "ne", "lt", "le", "gt", "ge", "contains", "matches", "wildcard", "strict wildcard", "in", "bitwise_and"];

/// The field that was meant by `name`.
pub(super) fn field<'s>(name: &str, scheme: &'s Scheme) -> Option<&'s str> {
    let lower = name.to_ascii_lowercase();
    let known = FIELDS.iter().find(|(wrong, _)| *wrong == lower).map(|&(_, right)| right);
    let meant = known.or_else(|| nearest(&lower, scheme.names())).or_else(|| longer(&lower, scheme.names()))?;
    scheme.field(meant).map(|(field, _)| scheme.name(field))
}

/// The shortest candidate that has all parts of the name, in order, and more.
fn longer<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let has_all_parts = |candidate: &&str| {
        let mut parts = candidate.split('.');
        name.split('.').all(|part| parts.any(|other| other == part))
    };
    candidates.into_iter().filter(has_all_parts).min_by_key(|candidate| (candidate.len(), *candidate))
}

/// The function that was meant by `name`.
pub(super) fn function(name: &str, triggers: bool) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    let usable = Function::ALL.iter().filter(|function| triggers || !function.is_of_triggers());
    match FUNCTIONS.iter().find(|(wrong, _)| *wrong == lower) {
        Some((_, right)) => Some(right.name()),
        None => nearest(&lower, usable.map(|function| function.name()).chain(["any", "all"])),
    }
}

/// The operator that was meant by `written`.
pub(super) fn operator(written: &str) -> Option<&'static str> {
    let lower = written.to_ascii_lowercase();
    match OPERATORS.iter().find(|(wrong, _)| *wrong == lower) {
        Some((_, right)) => Some(right),
        None => nearest(&lower, ALL_OPERATORS),
    }
}

/// The candidate with the fewest slips of the pen, if these are few for a name of its length.
fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let allowed = name.len().div_ceil(4).min(6);
    let slips = |candidate: &'c str| (strsim::damerau_levenshtein(name, candidate), candidate);
    let near = candidates.into_iter().filter(|candidate| candidate.len().abs_diff(name.len()) <= allowed).map(slips);
    near.filter(|&(distance, _)| distance <= allowed).min().map(|(_, candidate)| candidate)
}

//! What is said to be the same for every request is the same for every request.

use bumpalo::Bump;
use proptest::prelude::*;
use proptest::sample::select;
use velvetrope::internal::language::{self, Scheme};
use velvetrope::internal::program::{Lists, Program};
use velvetrope::internal::request::{Field, OwnedRequest};

fn certainty(text: &str) -> Option<bool> {
    language::certainty(
        &language::parse(text, Scheme::standard()).unwrap_or_else(|errors| panic!("{text}: {errors:?}")),
    )
}

const TRUE: &[&str] = &[
    "true",
    "not false",
    r#"http.host contains """#,
    r#"starts_with(http.request.uri.path, "")"#,
    r#"ends_with(http.request.uri.path, "")"#,
    r#"starts_with(http.request.uri.path, "/")"#,
    r#"starts_with(lower(http.request.uri.path), "/")"#,
    r#"http.request.uri.path contains "/""#,
    r#"http.request.uri.path ne """#,
    r#"http.request.uri.path ne "checkout""#,
    r#"not http.request.uri.path eq "checkout""#,
    r#"not starts_with(http.request.uri.path, "checkout")"#,
    r#"http.request.uri.path ge "/""#,
    r#"http.request.uri.path lt "0""#,
    r#"http.request.full_uri contains "://""#,
    r#"starts_with(http.request.full_uri, "http")"#,
    r#"http.host ne """#,
    r#"http.host ne "https://shop.example""#,
    r#"http.request.method ne "get""#,
    r#"not lower(http.host) eq "SHOP""#,
    r#"http.user_agent matches """#,
    r#"http.user_agent matches ".*""#,
    r#"http.user_agent matches "^""#,
    r#"http.user_agent matches "$""#,
    r#"http.user_agent matches "^.*$""#,
    r#"http.user_agent matches "(bot)?""#,
    r#"http.user_agent matches "bot|""#,
    r#"http.user_agent matches "(?s)^.*$""#,
    r#"http.request.uri.path matches "^/""#,
    r#"http.request.uri.path matches "^/.*$""#,
    r#"http.request.uri.path matches "/""#,
    r#"http.request.uri.path matches "^.+$""#,
    r#"http.request.uri.path matches ".""#,
    r#"http.host matches ".+""#,
    r#"http.host matches "^.""#,
    r#"http.user_agent wildcard "*""#,
    r#"http.user_agent strict wildcard "*""#,
    r#"http.request.uri.path wildcard "/*""#,
    r#"http.request.uri.path wildcard "*/*""#,
    r#"http.request.full_uri wildcard "http*://*/*""#,
    r#"http.request.full_uri wildcard "HTTP*""#,
    "ip.src in {0.0.0.0/0 ::/0}",
    "ip.src in {0.0.0.0/1 128.0.0.0/1 ::/0}",
    "ip.src in {0.0.0.0/0} or ip.src in {::/0}",
    "ip.src ne 192.0.2.1 or ip.src ne 192.0.2.2",
    "not (ip.src eq 192.0.2.1 and ip.src eq 192.0.2.2)",
    r#"http.host ne "a" or http.host ne "b""#,
    r#"not http.host in {"a" "b"} or http.host eq "a" or http.host eq "b""#,
    "ssl or not ssl",
    r#"ssl xor not ssl"#,
    r#"http.user_agent contains "bot" or not http.user_agent contains "bot""#,
    r#"ip.src.country eq "DE" or not ip.src.country eq "DE""#,
    "ip.src in $admins or not ip.src in $admins",
    r#"(ssl and http.host eq "a") or not ssl or http.host ne "a""#,
    r#"ssl or (true and http.user_agent contains "")"#,
    r#"true and http.request.uri.path contains "/""#,
    "len(http.host) ge 0",
    "len(http.host) gt 0",
    "len(http.request.uri.path) ge 1",
    "len(http.request.uri.args) ge 0",
    "http.request.timestamp.sec gt 0 or http.request.timestamp.sec le 0",
    "tcp.dstport in {0..65535}",
    "not http.request.headers.truncated",
    "not ip.src in {}",
    "http.host eq http.host",
    r#"coalesce(ip.src.country, "") contains """#,
    r#"all(http.request.headers["x"][*] contains "")"#,
    r#"any(http.request.headers.names[*] contains "")"#,
    r#"not any(http.request.headers["x"][*] in {})"#,
];

const FALSE: &[&str] = &[
    "false",
    "ip.src in {}",
    r#"http.request.uri.path eq "checkout""#,
    r#"http.request.uri.path wildcard "checkout*""#,
    r#"http.host eq "a" and http.host eq "b""#,
    "ssl and not ssl",
    "len(http.host) lt 0",
    "http.host ne http.host",
    r#"http.request.method in {"get" "post"}"#,
];

const OPEN: &[&str] = &[
    "ssl",
    r#"http.user_agent ne """#,
    r#"http.user_agent ne "a""#,
    r#"http.user_agent matches ".+""#,
    r#"http.user_agent matches "^a*$""#,
    r#"http.request.uri.path matches "^/shop""#,
    r#"http.request.uri.path matches "^/.+$""#,
    r#"http.request.uri.path matches "^/$""#,
    r#"http.request.uri.path wildcard "/*/*""#,
    r#"http.request.uri.path wildcard "/shop*""#,
    r#"http.request.uri.path ne "/checkout""#,
    r#"http.request.uri.path gt "/""#,
    // Who lacks the value is not let in by these.
    r#"http.request.headers["x"][0] contains """#,
    r#"ip.src.country ne "DE" or ip.src.country ne "DK""#,
    r#"any(http.request.headers["x"][*] ne "")"#,
    "ip.src.asnum ge 0",
    r#"ip.src.city contains """#,
    // And who lacks it is let in by this, but nobody else.
    "not ip.src.asnum ge 0",
    "ip.src in {0.0.0.0/0}",
    "ip.src in {0.0.0.0/1 ::/0}",
    "ip.src in $admins",
    r#"http.host ne "a" or http.user_agent ne "b""#,
    r#"http.host ne "a" and http.host ne "b""#,
    r#"http.host ne "a""#,
    "len(http.user_agent) gt 0",
    "len(http.request.uri.args[\"a\"]) ge 0",
    "has_key(http.request.headers, \"x\")",
    r#"all(http.request.headers["x"][*] ne "")"#,
    "http.host eq http.referer",
    "ssl xor http.host eq \"a\"",
    "http.request.timestamp.sec & 1",
];

#[test]
fn what_can_be_seen_is_seen() {
    for (texts, expected) in [(TRUE, Some(true)), (FALSE, Some(false)), (OPEN, None)] {
        for text in texts {
            assert_eq!(certainty(text), expected, "{text}");
            let negated = format!("not ({text})");
            assert_eq!(certainty(&negated), expected.map(|value| !value), "{negated}");
        }
    }
}

/// More alternatives than anybody looks at take no time, and are undecided.
#[test]
fn what_is_too_much_is_left_open() {
    let pairs: Vec<String> = (0..60).map(|at| format!("(http.host eq \"{at}\" and ip.src.asnum eq {at})")).collect();
    assert_eq!(certainty(&pairs.join(" or ")), None);
    assert_eq!(certainty(&format!("{} or true", pairs.join(" or "))), Some(true));
    let many: Vec<String> = (0..50).map(|at| format!("http.host eq \"{at}\"")).collect();
    assert_eq!(certainty(&many.join(" xor ")), None);
}

fn requests() -> Vec<OwnedRequest> {
    let plain = |url: &str| OwnedRequest::new(url).header("host", "shop.example");
    vec![
        plain("https://shop.example/").client_ip([192, 0, 2, 1].into()),
        plain("http://shop.example/checkout?a=1&a=2#x").client_ip("2001:db8::1".parse().unwrap()).method("post"),
        OwnedRequest::new("http://a").header("host", "a").client_ip([255, 255, 255, 255].into()),
        OwnedRequest::new("https://b:8443//api/../%2e/x.PNG?")
            .header("host", "b")
            .header("x", "")
            .header("user-agent", "bot")
            .header("referer", "a")
            .client_ip([0, 0, 0, 0].into())
            .received_ms(1_700_000_000_500),
        plain("https://shop.example/SHOP/?A")
            .header("x", "a")
            .header("x", "b")
            .header("User-Agent", "BOT/1")
            .fact(Field::IpSrcCountry, "DE")
            .fact(Field::IpSrcAsnum, 64_500_i64)
            .client_ip([10, 0, 0, 1].into())
            .received_ms(1),
    ]
}

fn values(text: &str) -> Vec<bool> {
    let expression = language::parse(text, Scheme::standard()).expect(text);
    let program = Program::single(&expression, &Lists::new());
    let is_true = |request: &OwnedRequest| request.with_view(|view| program.matches(view, &Bump::new()));
    requests().iter().map(is_true).collect()
}

#[test]
fn what_is_called_certain_is() {
    for (texts, expected) in [(TRUE, true), (FALSE, false)] {
        for text in texts.iter().filter(|text| !text.contains('$')) {
            assert_eq!(values(text), vec![expected; requests().len()], "{text}");
        }
    }
}

/// Comparisons of what is known most of, with what is near the borders.
fn comparison() -> impl Strategy<Value = String> {
    let texts = select(vec!["", "/", "a", "/a", "A", "shop.example", "http", "://", "get", "bot", "DE", "?", ".*"]);
    let fields = select(vec![
        "http.host",
        "lower(http.host)",
        "http.request.method",
        "http.request.uri.path",
        "upper(http.request.uri.path)",
        "http.request.uri",
        "http.request.full_uri",
        "raw.http.request.full_uri",
        "http.request.uri.path.extension",
        "http.request.uri.query",
        "http.user_agent",
        "ip.src.country",
        "http.request.headers[\"x\"][0]",
        "coalesce(ip.src.country, \"\")",
        "concat(ip.src.country, ip.src.city)",
        "remove_bytes(http.user_agent, \"b\")",
    ]);
    let relations = select(vec!["eq", "ne", "lt", "le", "gt", "ge", "contains", "wildcard", "strict wildcard"]);
    let patterns =
        select(vec!["^/", "", "^.*$", "/?", ".", "a|^", "^/.+", "$", "[^a]", "^http", "(/|a)", "^(/)", "\\\\b"]);
    let mapped =
        select(vec!["http.request.headers.names", "http.request.headers[\"x\"]", "http.request.uri.args[\"a\"]"]);
    let number = -1_i64..=2;
    prop_oneof![
        (fields.clone(), relations, texts.clone()).prop_map(|(field, relation, text)| {
            // Two stars in a row are no pattern.
            let star = if relation.ends_with("wildcard") && !text.ends_with('*') { "*" } else { "" };
            format!("{field} {relation} \"{text}{star}\"")
        }),
        (fields.clone(), patterns).prop_map(|(field, pattern)| format!("{field} matches \"{pattern}\"")),
        (fields.clone(), select(vec!["starts_with", "ends_with"]), texts.clone())
            .prop_map(|(field, function, text)| format!("{function}({field}, \"{text}\")")),
        (fields.clone(), texts.clone(), texts.clone())
            .prop_map(|(field, one, other)| format!("{field} in {{\"{one}\" \"{other}\"}}")),
        (fields.clone(), select(vec!["eq", "ne", "lt", "le", "gt", "ge"]), number.clone())
            .prop_map(|(field, relation, number)| format!("len({field}) {relation} {number}")),
        (
            select(vec!["ip.src.asnum", "tcp.dstport", "http.request.timestamp.msec", "len(http.request.uri.args)"]),
            number
        )
            .prop_map(|(field, number)| format!("{field} in {{{number}..65535}}")),
        (select(vec!["0.0.0.0/0", "0.0.0.0/1", "::/0", "192.0.2.1"]), select(vec!["::/0", "128.0.0.0/1", "10.0.0.1"]))
            .prop_map(|(one, other)| format!("ip.src in {{{one} {other}}}")),
        select(vec!["ssl", "http.request.headers.truncated", "ip.src.is_in_european_union", "true", "false"])
            .prop_map(str::to_owned),
        (mapped.clone(), select(vec!["any", "all"]), select(vec!["ne", "eq", "contains"]), texts.clone())
            .prop_map(|(of, quantifier, relation, text)| format!("{quantifier}({of}[*] {relation} \"{text}\")")),
        (mapped, select(vec!["any", "all"]), texts)
            .prop_map(|(of, quantifier, text)| format!("{quantifier}(starts_with({of}[*], \"{text}\"))")),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    comparison().prop_recursive(4, 12, 4, |inner| {
        let joined = (select(vec![" and ", " or ", " xor "]), prop::collection::vec(inner.clone(), 2..4))
            .prop_map(|(word, parts)| format!("({})", parts.join(word)));
        // The same twice, once negated, is what people write to mean everybody.
        let twice = (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("({one} or {other} or not {one})"));
        prop_oneof![inner.prop_map(|inner| format!("not {inner}")), joined, twice]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn nothing_is_called_certain_that_is_not(text in condition()) {
        if let Some(value) = certainty(&text) {
            prop_assert_eq!(values(&text), vec![value; requests().len()], "{}", text);
        }
    }
}

//! Once warm, an evaluation leaves the heap alone, but for the exceptions that `Program` names.

use std::sync::Arc;

use velvetrope::internal::edge::handle;
use velvetrope::internal::language::{Scheme, parse};
use velvetrope::internal::program::{Entry, Hostname, List, Lists, Program, Scratch, Site, Verdict};
use velvetrope::internal::queueit::TriggerView;
use velvetrope::internal::request::{Field, OwnedRequest, RequestParts, RequestView};

use crate::ticketing;

/// One rule for each thing a program can do; each is false, so that all of them are evaluated.
const RULES: &[&str] = &[
    r#"http.request.uri.path eq "/none""#,
    r#"http.request.uri.path in {"/a" "/b" "/c"} or http.request.full_uri wildcard "*/NONE/*""#,
    r#"http.user_agent contains "nobody" or http.user_agent matches "(?i)never$""#,
    r#"ends_with(http.request.uri.path, "/userverified") and starts_with(http.host, "x")"#,
    r#"any(http.request.headers["x-a"][*] == "none") or any(lower(http.request.headers.names[*])[*] == "none")"#,
    r#"any((http.request.headers[*][*] contains "zzz" and http.request.headers.values[*] ne "a"))"#,
    r#"http.request.cookies["vip"][0] eq "yes" or http.cookie contains "nothing""#,
    r#"any(split(http.request.uri.query, "&", 9)[*] eq "none") or len(http.request.uri.args) gt 99"#,
    r#"url_decode(http.request.uri.query, "r") contains "none" or upper(http.host) eq "none""#,
    r#"concat(http.host, http.request.uri.path, "x") eq "none" or substring(http.host, -3) eq "abc""#,
    r#"decode_base64(http.user_agent) eq "a" or encode_base64(http.host) eq "a" or sha256(http.host) eq "a""#,
    r#"cidr(ip.src, 24, 64) eq 10.0.0.0 or ip.src in $office or ip.src in {10.0.0.0/8 2001:db8::/32}"#,
    r#"http.host in $hosts or ip.src.asnum in {64512..65534} or ip.src.country in {"DK" "SE"}"#,
    r#"hash_in_range(1, 100, ip.src) gt 100 or to_string(ip.src) eq "none""#,
    r#"join(http.request.headers.names, ",") eq "none" or remove_bytes(http.host, ".") eq "none""#,
    r#"is_timed_hmac_valid_v0("key", http.request.uri, 60, http.request.timestamp.sec)"#,
    r#"wildcard_replace(http.request.full_uri, "http*", "${1}") eq "none" or http.request.uri.path eq http.referer"#,
    r#"remove_query_args(http.request.uri.query, "a") eq "none" or coalesce(ip.src.city, http.host) eq "none""#,
    r#"lookup_json_integer(http.request.headers["x-json"][0], "a") eq 1 or any(http.request.accepted_languages[*] eq "none")"#,
];

/// What triggers are lowered to.
const TRIGGER: &str = r#"trigger.cookies["a"] eq "none" or upper_unicode(trigger.page_url) contains "NONE É"
    or trigger.headers["x-b"] eq "none" or trigger.user_agent eq "none" or trigger.normalized.page_path eq "/none""#;

#[test]
fn a_warm_evaluation_does_not_allocate() {
    let site = site();
    let program = Program::compile(&site);
    let mut scratch = Scratch::default();
    let owned = request();
    let headers: Vec<(&str, &[u8])> =
        owned.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    let mut evaluate = || {
        let arena = scratch.start();
        let parts = RequestParts {
            method: &owned.method,
            url: &owned.url,
            version: &owned.version,
            headers: &headers,
            client_ip: owned.client_ip,
            body: "",
            received_ms: owned.received_ms,
            facts: &owned.facts,
        };
        let request = RequestView::new(parts, arena);
        program.evaluate(&TriggerView::new(request, "https://Shop.example/tickets?a=1"), arena)
    };
    for _ in 0..8 {
        assert_eq!(evaluate(), Verdict::Matched { entry: 1 });
    }
    let measured = allocation_counter::measure(|| {
        for _ in 0..100 {
            let _ = evaluate();
        }
    });
    assert_eq!(measured.count_total, 0, "{measured:?}");
}

#[test]
fn a_warm_decision_does_not_allocate() {
    let ticketing = ticketing::Ticketing::new();
    for case in ticketing.cases() {
        let headers = case.headers();
        let mut scratch = Scratch::default();
        let mut decide = || {
            let url = case.url();
            assert_eq!(handle(ticketing.site(), &case.incoming(&url, &headers), &mut scratch).label, case.label);
        };
        (0..8).for_each(|_| decide());
        let measured = allocation_counter::measure(decide);
        assert_eq!(measured.count_total, 0, "{}: {measured:?}", case.name);
    }
}

#[test]
fn the_counter_counts() {
    assert!(allocation_counter::measure(|| drop(Box::new(1))).count_total > 0);
}

fn site() -> Site {
    let scheme = Scheme::triggers();
    let compile =
        |text: &&str| parse(text, scheme).unwrap_or_else(|errors| panic!("{}", errors[0].render(text, "rule", 1)));
    Site {
        entries: vec![
            Entry { when: compile(&TRIGGER).into(), bypass: Vec::new() },
            Entry { when: compile(&"ssl").into(), bypass: (0..RULES.len()).collect() },
        ],
        rules: RULES.iter().map(compile).map(Arc::new).collect(),
        lists: Lists::from([
            ("office".to_owned(), List::Ip(Vec::new())),
            ("hosts".to_owned(), List::Hostname(vec![Hostname::Below { suffix: "none".to_owned(), apex: true }])),
        ]),
    }
}

fn request() -> OwnedRequest {
    OwnedRequest::new("https://shop.example/caf%c3%a9/./tickets?a=1&b=%20+2&a=3#top")
        .header("Host", "Shop.example")
        .header("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)")
        .header("Cookie", "a=%C3%A9; vip=no; b=2")
        .header("X-Json", r#"{"a":2}"#)
        .header("X-A", "1")
        .header("x-a", "2")
        .header("Accept-Language", "da, en;q=0.5")
        .client_ip("192.0.2.7".parse().expect("an address"))
        .received_ms(1_700_000_000_000)
        .fact(Field::IpSrcCountry, "NO")
        .fact(Field::IpSrcAsnum, 64_500)
}

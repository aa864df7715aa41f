//! What one evaluation costs: with the view built anew, operator by operator, and by number of rules.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use bumpalo::Bump;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use velvetrope::language::expression::IpRange;
use velvetrope::language::{Expression, Scheme, parse};
use velvetrope::program::{Entry, List, Lists, Program, Scratch, Site};
use velvetrope::request::{Field, OwnedRequest, RequestParts, RequestView};

criterion_group!(benches, fresh_request, operators, mixed_rules);
criterion_main!(benches);

/// One simple rule, building the view included.
fn fresh_request(criterion: &mut Criterion) {
    let owned = request();
    let headers = headers(&owned);
    let program = Program::single(&expression(r#"http.request.uri.path eq "/checkout""#), &Lists::new());
    let mut scratch = Scratch::default();
    criterion.bench_function("fresh request/eq", |bencher| {
        bencher.iter(|| {
            let arena = scratch.start();
            program.matches(&view(black_box(&owned), &headers, arena), arena)
        });
    });
}

/// Each operator with the view built.
fn operators(criterion: &mut Criterion) {
    let owned = request();
    let headers = headers(&owned);
    let arena = Bump::new();
    let view = view(&owned, &headers, &arena);
    let mut scratch = Scratch::default();
    let mut group = criterion.benchmark_group("operator");
    for (name, text) in [
        ("eq", r#"http.request.uri.path eq "/checkout""#),
        ("contains", r#"http.request.uri.path contains "checkout""#),
        ("ends_with", r#"ends_with(http.request.uri.path, "/userverified")"#),
        ("in 100,000 networks", "ip.src in $networks"),
        ("matches", r#"http.request.uri.path matches "/userverified$""#),
        ("wildcard", r#"http.request.uri.path wildcard "/tickets/*/seats""#),
        ("any header", r#"any(http.request.headers["x-a"][*] == "b")"#),
        ("cookie", r#"http.request.cookies["vip"][0] eq "yes""#),
        ("lower contains", r#"lower(http.user_agent) contains "googlebot""#),
    ] {
        let program = Program::single(&expression(text), &lists());
        group.bench_function(name, |bencher| {
            bencher.iter(|| program.matches(black_box(&view), scratch.start()));
        });
    }
    group.finish();
}

/// Bypass rules none of which is true: fifths of ends_with(path) / path eq / IP set and host eq / contains and country
/// in / host eq and (query contains or asn eq), with distinct constants.
fn mixed_rules(criterion: &mut Criterion) {
    let owned = request();
    let headers = headers(&owned);
    let mut scratch = Scratch::default();
    let mut group = criterion.benchmark_group("mixed rules, none true");
    for count in [10, 100, 1000] {
        let site = Site {
            entries: vec![Entry { when: expression("ssl"), bypass: (0..count).collect() }],
            rules: (0..count).map(|number| expression(&mixed_rule(number))).collect(),
            lists: Lists::new(),
        };
        let program = Program::compile(&site);
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| {
                let arena = scratch.start();
                program.evaluate(&view(black_box(&owned), &headers, arena), arena)
            });
        });
    }
    group.finish();
}

fn mixed_rule(number: usize) -> String {
    let (high, low) = (number / 256 % 256, number % 256);
    match number % 5 {
        0 => format!(r#"ends_with(http.request.uri.path, "/verified-{number}")"#),
        1 => format!(r#"http.request.uri.path eq "/path-{number}""#),
        2 => format!(r#"ip.src in {{10.{high}.{low}.0/24}} and http.host eq "h{number}.example""#),
        3 => format!(r#"http.user_agent contains "agent-{number}" and ip.src.country in {{"SE" "NO"}}"#),
        _ => format!(
            r#"http.host eq "h{number}.example" and (http.request.uri.query contains "q{number}" or ip.src.asnum eq {number})"#
        ),
    }
}

fn expression(text: &str) -> Expression {
    parse(text, Scheme::standard()).unwrap_or_else(|errors| panic!("{}", errors[0].render(text, "bench", 1)))
}

fn lists() -> Lists {
    let network = |number: u32| {
        let first = number << 14;
        let address = |bits| IpAddr::V4(Ipv4Addr::from_bits(bits));
        IpRange { first: address(first), last: address(first | 0xff) }
    };
    Lists::from([("networks".to_owned(), List::Ip((0..100_000).map(network).collect()))])
}

fn request() -> OwnedRequest {
    OwnedRequest::new("https://shop.example.com/tickets/2026/seats?area=b&row=12&seat=7")
        .header("Host", "shop.example.com")
        .header(
            "User-Agent",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
        )
        .header("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
        .header("Accept-Language", "da,en;q=0.5")
        .header("X-A", "a")
        .header("Cookie", "session=0123456789abcdef; theme=dark; vip=no")
        .client_ip(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7)))
        .fact(Field::IpSrcCountry, "DK")
        .fact(Field::IpSrcAsnum, 64_500)
}

fn headers(request: &OwnedRequest) -> Vec<(&str, &[u8])> {
    request.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect()
}

fn view<'r>(request: &'r OwnedRequest, headers: &'r [(&'r str, &'r [u8])], arena: &'r Bump) -> RequestView<'r> {
    let parts = RequestParts {
        method: &request.method,
        url: &request.url,
        pure_url: &request.url,
        version: &request.version,
        headers,
        client_ip: request.client_ip,
        body: "",
        received_ms: request.received_ms,
        facts: &request.facts,
    };
    RequestView::new(parts, arena)
}

//! Rule sets and requests of any size, the same on every run: what benches time, what instruction counts are taken of,
//! and what tests compare evaluators on.
//!
//! A [`Workload`] is a site, a request, and the verdict that every evaluator must come to.

#![allow(dead_code, reason = "each user needs a part of it")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bumpalo::Bump;
use velvetrope::internal::language::{Expression, Scheme, parse};
use velvetrope::internal::program::{Entry, Lists, Site, Verdict};
use velvetrope::internal::queueit::TriggerView;
use velvetrope::internal::request::{Field, OwnedRequest, RequestParts, RequestView};

pub mod hostile;
pub mod integrations;
pub mod mixed;
pub mod networks;
pub mod operators;
pub mod unfilable;

/// The autonomous system of [`visitor`]; no generated rule names it.
pub const VISITOR_ASN: u32 = 4_200_000_000;

/// What to evaluate, and what must come of it.
pub struct Workload {
    pub name: String,
    pub site: Site,
    pub request: OwnedRequest,
    pub verdict: Verdict,
}

impl Workload {
    /// Bypass rules, tried one after the other for every request; the request makes `hit` true and no other.
    pub fn of_rules(name: impl Into<String>, rules: &[String], request: OwnedRequest, hit: Option<usize>) -> Workload {
        let verdict = match hit {
            Some(rule) => Verdict::Bypassed { entry: 0, rule },
            None => Verdict::Matched { entry: 0 },
        };
        Workload { name: name.into(), site: site(&expressions(rules)), request, verdict }
    }
}

/// A site whose one entry applies to every request, with these bypass rules.
pub fn site(rules: &[Expression]) -> Site {
    let entry = Entry { when: expression("ssl").into(), bypass: (0..rules.len()).collect() };
    Site { entries: vec![entry], rules: rules.iter().cloned().map(Arc::new).collect(), lists: Lists::new() }
}

pub fn expressions(texts: &[String]) -> Vec<Expression> {
    texts.iter().map(|text| expression(text)).collect()
}

/// Reads an expression of the rules language, or one as triggers are printed.
pub fn expression(text: &str) -> Expression {
    parse(text, Scheme::triggers()).unwrap_or_else(|errors| panic!("{}", errors[0].render(text, "workload", 1)))
}

/// A browser's request that no generated rule and no generated trigger applies to.
pub fn visitor() -> OwnedRequest {
    visit("https://shop.example.com/tickets/2026/seats?area=b&row=12&seat=7")
}

/// The same browser's request to another URL.
pub fn visit(url: &str) -> OwnedRequest {
    let host = url.split('/').nth(2).unwrap_or_default();
    OwnedRequest::new(url)
        .header("Host", host)
        .header("User-Agent", AGENT)
        .header("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
        .header("Accept-Language", "da,en;q=0.5")
        .header("X-A", "a")
        .header("Cookie", "session=0123456789abcdef; theme=dark; vip=no")
        .client_ip(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7)))
        .received_ms(1_800_000_000_000)
        .fact(Field::IpSrcCountry, "DK")
        .fact(Field::IpSrcAsnum, i64::from(VISITOR_ASN))
}

/// What the browser calls itself.
pub const AGENT: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";

/// The same request with another value of one header.
pub fn with_header(mut request: OwnedRequest, name: &str, value: impl Into<Vec<u8>>) -> OwnedRequest {
    request.headers.retain(|(known, _)| known != name);
    request.header(name, value)
}

/// A request as a host has it in its hands, ready to be viewed again and again.
pub struct Received<'r> {
    request: &'r OwnedRequest,
    headers: Vec<(&'r str, &'r [u8])>,
}

impl<'r> Received<'r> {
    pub fn new(request: &'r OwnedRequest) -> Self {
        let headers = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        Received { request, headers }
    }

    /// As triggers see it, too.
    pub fn view<'v>(&'v self, arena: &'v Bump) -> TriggerView<'v> {
        TriggerView::new(self.plain_view(arena), &self.request.url)
    }

    /// As the rules language alone sees it.
    pub fn plain_view<'v>(&'v self, arena: &'v Bump) -> RequestView<'v> {
        let request = self.request;
        let parts = RequestParts {
            method: &request.method,
            url: &request.url,
            version: &request.version,
            headers: &self.headers,
            client_ip: request.client_ip,
            body: &request.body,
            received_ms: request.received_ms,
            facts: &request.facts,
        };
        RequestView::new(parts, arena)
    }
}

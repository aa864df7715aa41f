//! The hot paths whose instructions are counted. It runs under callgrind, which collects within [`measured`] only, and
//! prints the name of each path in the order in which they are counted; tests/instructions.rs compares the counts with
//! those on record.
//!
//! A program and not a bench, so that it is built without what only tests need.

use std::hint::black_box;

use bumpalo::Bump;
use velvetrope::internal::edge::handle;
use velvetrope::internal::program::{Program, Scratch, Site};
use velvetrope::internal::request::{CanonicalUrl, OwnedRequest};

#[path = "../tests/support/ticketing/mod.rs"]
mod ticketing;
#[path = "../tests/support/workload/mod.rs"]
mod workload;

use workload::{Received, integrations, mixed, operators};

fn main() {
    println!("{}", cpu());
    let eq = operators::workload(&operators::OPERATORS[0]);
    evaluations(&eq.site, [("fresh request/eq".to_owned(), eq.request)]);
    operators::OPERATORS.iter().for_each(operator);
    for count in [10, 1_000, 10_000] {
        let (none, one) = (mixed::none_true(count), mixed::request_for(count / 2));
        evaluations(&none.site, [(none.name, none.request), (format!("mixed rules, one true/{count}"), one)]);
    }
    let (none, one) = (integrations::none_true(1_000), integrations::request_for(500));
    triggers(&none.site, [(none.name, none.request), ("integrations, one true/1000".to_owned(), one)]);
    decisions();
    spellings();
    compiling();
}

/// One operator on a view that has been asked the same before.
fn operator(operator: &(&str, &str)) {
    let workload = operators::workload(operator);
    let (program, received) = (Program::compile(&workload.site), Received::new(&workload.request));
    let (arena, mut scratch) = (Bump::new(), Scratch::default());
    let view = received.plain_view(&arena);
    count(&workload.name, || {
        black_box(program.evaluate(&view, scratch.start()));
    });
}

/// Requests to the same site, each viewed anew.
fn evaluations(site: &Site, requests: impl IntoIterator<Item = (String, OwnedRequest)>) {
    let program = Program::compile(site);
    let mut scratch = Scratch::default();
    for (name, request) in requests {
        let received = Received::new(&request);
        count(&name, || {
            let arena = scratch.start();
            black_box(program.evaluate(&received.plain_view(arena), arena));
        });
    }
}

/// The same, of sites that have triggers.
fn triggers(site: &Site, requests: impl IntoIterator<Item = (String, OwnedRequest)>) {
    let program = Program::compile(site);
    let mut scratch = Scratch::default();
    for (name, request) in requests {
        let received = Received::new(&request);
        count(&name, || {
            let arena = scratch.start();
            black_box(program.evaluate(&received.view(arena), arena));
        });
    }
}

/// From the request as a host received it to the reply.
fn decisions() {
    let ticketing = ticketing::Ticketing::new();
    let mut scratch = Scratch::default();
    for case in ticketing.cases() {
        let headers = case.headers();
        let url = case.url();
        let incoming = case.incoming(&url, &headers);
        assert_eq!(handle(ticketing.site(), &incoming, &mut scratch).label, case.label);
        count(&format!("decision/{}", case.name), || {
            black_box(handle(ticketing.site(), &incoming, &mut scratch).label);
        });
    }
}

/// What a host does first, for a URL as browsers send it and for one that has to be written otherwise; and a whole decision
/// about a path that origins read in several ways.
fn spellings() {
    const SHOP: &str = "https://tickets.example/shop/concerts/4711?step=seats&utm_source=newsletter";
    const SPELT: &str = "https://Tickets.Example.:443/shop/concerts/4711?step=seats&utm_source=newsletter";
    const ODD: &str = "https://tickets.example/shop/x%2f..%2fconcerts/4711;v=1?step=seats";
    for (name, url) in [("as browsers send it", SHOP), ("spelt otherwise", SPELT)] {
        count(&format!("canonical URL/{name}"), || {
            black_box(CanonicalUrl::of(black_box(url)).is_ok());
        });
    }
    let ticketing = ticketing::Ticketing::new();
    let mut scratch = Scratch::default();
    for case in ticketing.cases().into_iter().filter(|case| case.label == "queue") {
        let (url, headers) = (CanonicalUrl::of(ODD).expect("a URL"), case.headers());
        let incoming = case.incoming(&url, &headers);
        assert_eq!(handle(ticketing.site(), &incoming, &mut scratch).label, "queue");
        count("decision/queue, path with several readings", || {
            black_box(handle(ticketing.site(), &incoming, &mut scratch).label);
        });
    }
}

fn compiling() {
    let rules = mixed::rules(100);
    count("compile/100 rules from text", || {
        black_box(Program::compile(&workload::site(&workload::expressions(&rules))));
    });
    let site = mixed::none_true(100).site;
    count("compile/100 rules, read already", || {
        black_box(Program::compile(&site));
    });
    let document = integrations::document(100);
    count("compile/100 integrations from text", || {
        black_box(Program::compile(&integrations::site_of(&document)));
    });
}

/// Counts one path once it is warm.
fn count(name: &str, mut path: impl FnMut()) {
    (0..3).for_each(|_| path());
    noted(name, &mut path);
}

/// Callgrind writes down what it has collected when it sees this function return.
#[inline(never)]
fn noted(name: &str, path: &mut dyn FnMut()) {
    measured(path);
    println!("{name}");
}

/// Callgrind collects from when this function is entered until it returns.
#[inline(never)]
fn measured(path: &mut dyn FnMut()) {
    path();
}

/// What the processor is able to do, as far as code looks for it when it runs.
#[cfg(target_arch = "x86_64")]
fn cpu() -> String {
    let known = [
        ("sse4.2", is_x86_feature_detected!("sse4.2")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("bmi2", is_x86_feature_detected!("bmi2")),
        ("sha", is_x86_feature_detected!("sha")),
    ];
    let able: Vec<_> = known.iter().filter(|(_, is_able)| *is_able).map(|(name, _)| *name).collect();
    able.join(" ")
}

/// What the processor is able to do, as far as code looks for it when it runs.
#[cfg(not(target_arch = "x86_64"))]
fn cpu() -> String {
    String::new()
}

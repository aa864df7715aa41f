//! The same work by velvetrope and by its peers, in one run on one machine: `cargo bench` in this folder.
//!
//! Before anything is timed, all engines must give the same verdicts. Each figure is the median of batches, in
//! nanoseconds; where a request is asked about, each engine's own picture of it is built anew every time. Peers are
//! handed host, path, query and the rest ready cut; velvetrope is handed the URL and the headers.

use std::hint::black_box;
use std::time::{Duration, Instant};

use velvetrope::internal::request::OwnedRequest;

mod engines;
mod rules;
#[path = "../../../tests/support/workload/mod.rs"]
mod workload;

use engines::{Asked, Engine};
use workload::networks::address_in;
use workload::{Received, mixed};

fn main() {
    one_rule();
    rule_sets("Mixed bypass rules", mixed::request_for, rules::mixed);
    rule_sets("Exact rules: host and path eq, country in", rules::exact_request, rules::exact);
    substrings();
    networks();
}

/// A request in the forms that engines want it in. It lives for ever, because the filters of one of them live no longer
/// than what they are held against.
pub struct Visit {
    pub received: Received<'static>,
    pub asked: Asked<'static>,
}

fn visit(request: OwnedRequest) -> &'static Visit {
    let request = Box::leak(Box::new(request));
    Box::leak(Box::new(Visit { received: Received::new(request), asked: Asked::new(request) }))
}

fn one_rule() {
    let mut table = Table::new("One rule: path eq", &["fresh request"]);
    let visitor = visit(workload::visitor());
    let right = visit(workload::visit("https://shop.example.com/checkout"));
    for mut engine in rules::single() {
        assert_eq!(engine.first_true(visitor), None, "{}", engine.name());
        assert_eq!(engine.first_true(right), Some(0), "{}", engine.name());
        table.row(engine.name(), [median(|| engine.first_true(visitor))]);
    }
    table.print();
}

/// Rules by number, with a request for each that is for no other.
fn rule_sets(title: &str, request_for: fn(usize) -> OwnedRequest, engines: fn(usize) -> Vec<Box<dyn Engine>>) {
    const COUNTS: [usize; 3] = [10, 100, 1_000];
    let columns = COUNTS.map(|count| [format!("{count} none true"), format!("{count} one true")]);
    let columns: Vec<_> = columns.iter().flatten().map(String::as_str).collect();
    let mut table = Table::new(title, &columns);
    for count in COUNTS {
        for mut engine in engines(count) {
            check(&mut *engine, count, request_for);
            let (none, one) = (visit(workload::visitor()), visit(request_for(count / 2)));
            table.row(engine.name(), [median(|| engine.first_true(none)), median(|| engine.first_true(one))]);
        }
    }
    table.print();
}

/// Every engine says the same of the same requests.
fn check(engine: &mut dyn Engine, count: usize, request_for: fn(usize) -> OwnedRequest) {
    assert_eq!(engine.first_true(visit(workload::visitor())), None, "{}", engine.name());
    for number in (0..count).step_by(count.div_ceil(97)) {
        assert_eq!(engine.first_true(visit(request_for(number))), Some(number), "{}, rule {number}", engine.name());
    }
}

/// 1,000 substrings over a user agent.
fn substrings() {
    const COUNT: usize = 1_000;
    let mut table = Table::new("1,000 substrings in a user agent", &["none true", "one true"]);
    let (none, one) = (visit(workload::visitor()), visit(rules::substring_request(COUNT / 2)));
    for mut engine in rules::substrings(COUNT) {
        check(&mut *engine, COUNT, rules::substring_request);
        table.row(engine.name(), [median(|| engine.first_true(none)), median(|| engine.first_true(one))]);
    }
    table.print();
}

/// One address in 100,000 networks.
fn networks() {
    const COUNT: u32 = 100_000;
    let mut table = Table::new("An address in 100,000 networks", &["not in", "in"]);
    let of = |number| visit(workload::visitor().client_ip(address_in(number)));
    let (outside, inside) = (visit(workload::visitor()), of(COUNT / 2));
    for mut engine in rules::networks(COUNT) {
        for number in (0..COUNT).step_by(991) {
            assert_eq!(engine.first_true(of(number)), Some(0), "{}, network {number}", engine.name());
        }
        assert_eq!(engine.first_true(outside), None, "{}", engine.name());
        table.row(engine.name(), [median(|| engine.first_true(outside)), median(|| engine.first_true(inside))]);
    }
    table.print();
}

/// The median time of one call, in nanoseconds. Batches are short, so that few are interrupted on a busy machine.
fn median<T>(mut call: impl FnMut() -> T) -> f64 {
    const BATCHES: usize = 301;
    const BATCH: Duration = Duration::from_micros(200);
    let mut time = |calls: u32| {
        let start = Instant::now();
        (0..calls).for_each(|_| drop(black_box(call())));
        start.elapsed()
    };
    let mut calls = 1;
    while time(calls) < BATCH {
        calls *= 2;
    }
    let mut times: Vec<_> = (0..BATCHES).map(|_| time(calls).as_nanos() as f64 / f64::from(calls)).collect();
    times.sort_by(f64::total_cmp);
    times[BATCHES / 2]
}

/// What was measured, engine by engine.
struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<(&'static str, Vec<f64>)>,
}

impl Table {
    fn new(title: &str, columns: &[&str]) -> Table {
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        Table { title: title.to_owned(), columns, rows: Vec::new() }
    }

    /// More figures of an engine.
    fn row(&mut self, name: &'static str, figures: impl IntoIterator<Item = f64>) {
        match self.rows.iter_mut().find(|(known, _)| *known == name) {
            Some((_, row)) => row.extend(figures),
            None => self.rows.push((name, figures.into_iter().collect())),
        }
    }

    fn print(&self) {
        println!("\n{} (ns)\n", self.title);
        println!("| engine | {} |", self.columns.join(" | "));
        println!("| --- |{}", " ---: |".repeat(self.columns.len()));
        for (name, figures) in &self.rows {
            let figures: Vec<_> = figures.iter().map(|figure| rounded(*figure)).collect();
            println!("| {name} | {} |", figures.join(" | "));
        }
    }
}

/// Three digits are all that such a figure is good for.
fn rounded(figure: f64) -> String {
    if figure < 100.0 { format!("{figure:.1}") } else { format!("{figure:.0}") }
}

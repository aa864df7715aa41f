//! What one evaluation costs, row by row of the table of targets; and what it costs to compile. Run one group alone with
//! `cargo bench --bench engine -- 'mixed rules'`.
//!
//! Except for single operators, each request is viewed anew for each evaluation.

use std::cell::LazyCell;
use std::fmt::Display;
use std::hint::black_box;

use bumpalo::Bump;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use velvetrope::internal::policy::Policy;
use velvetrope::internal::program::{Program, Scratch, Site};

#[path = "../tests/support/workload/mod.rs"]
mod workload;

use workload::{Received, Workload, hostile, integrations, mixed, networks, operators, unfilable};

criterion_group!(
    benches,
    requests,
    single_operators,
    mixed_rules,
    queueit,
    unfilable_rules,
    hostile_requests,
    compiling,
    loading
);
criterion_main!(benches);

type Group<'c> = BenchmarkGroup<'c, WallTime>;

/// One simple rule, building the view included.
fn requests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fresh request");
    evaluate(&mut group, "eq", || operators::workload(&operators::OPERATORS[0]));
}

/// Each operator on a view that has been asked the same before.
fn single_operators(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("operator");
    for operator in operators::OPERATORS {
        let prepared = Prepared::lazy(|| operators::workload(operator), Program::compile);
        group.bench_function(operator.0, |bencher| {
            let received = Received::new(&prepared.workload.request);
            let (arena, mut scratch) = (Bump::new(), Scratch::default());
            let view = received.view(&arena);
            prepared.program.evaluate(&view, &arena);
            bencher.iter(|| prepared.program.evaluate(black_box(&view), scratch.start()));
        });
    }
}

/// Bypass rules: with the number of them, and with the kind of the one that is true.
fn mixed_rules(criterion: &mut Criterion) {
    const COUNTS: [usize; 5] = [10, 100, 1_000, 10_000, 100_000];
    let mut group = criterion.benchmark_group("mixed rules, none true");
    COUNTS.iter().for_each(|&count| evaluate(&mut group, count, || mixed::none_true(count)));
    group.finish();
    let mut group = criterion.benchmark_group("mixed rules, one true");
    COUNTS.iter().for_each(|&count| evaluate(&mut group, count, || mixed::one_true(count)));
    group.finish();
    let mut group = criterion.benchmark_group("few mixed rules, none true");
    for count in [1, 2, 3, 5, 10, 20, 50] {
        beside_plain(&mut group, count, || mixed::none_true(count));
    }
    group.finish();
    let mut group = criterion.benchmark_group("mixed rules, one of 1,000 true");
    let kinds = ["ends_with", "path", "network and host", "agent and country", "host and query"];
    for (number, kind) in (500..).zip(kinds) {
        evaluate(&mut group, kind, || mixed::hit(1_000, number));
    }
}

/// Triggers of published integrations.
fn queueit(criterion: &mut Criterion) {
    const COUNTS: [usize; 3] = [10, 100, 1_000];
    let mut group = criterion.benchmark_group("integrations, none true");
    COUNTS.iter().for_each(|&count| evaluate(&mut group, count, || integrations::none_true(count)));
    group.finish();
    let mut group = criterion.benchmark_group("integrations, one true");
    COUNTS.iter().for_each(|&count| evaluate(&mut group, count, || integrations::one_true(count)));
}

/// Rules that no index can file, beside the plain evaluator.
fn unfilable_rules(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("unfilable rules");
    for count in [10, 100, 1_000] {
        beside_plain(&mut group, count, || unfilable::workload(count));
    }
}

/// What was made to be slow, beside the plain evaluator.
fn hostile_requests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hostile");
    for (name, workload) in hostile::WORKLOADS {
        beside_plain(&mut group, name, workload);
    }
}

/// From text, and from what has been read already.
fn compiling(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compile");
    group.sample_size(20);
    let rules = mixed::rules(1_000);
    group.bench_function("1,000 rules from text", |bencher| {
        bencher.iter(|| Program::compile(&workload::site(&workload::expressions(black_box(&rules)))));
    });
    let site = LazyCell::new(|| mixed::none_true(1_000).site);
    group.bench_function("1,000 rules, read already", |bencher| {
        let site = &*site;
        bencher.iter(|| Program::compile(black_box(site)));
    });
    let document = LazyCell::new(|| integrations::document(1_000));
    group.bench_function("1,000 integrations from text", |bencher| {
        let document = &*document;
        bencher.iter(|| Program::compile(&integrations::site_of(black_box(document))));
    });
    let site = LazyCell::new(|| operators::workload(&("in", "ip.src in $networks")).site);
    group.bench_function("100,000 networks, read already", |bencher| {
        let site = &*site;
        bencher.iter(|| Program::compile(black_box(site)));
    });
    let sources = LazyCell::new(|| networks::policy(100_000));
    group.bench_function("100,000 networks from text", |bencher| {
        let sources = &*sources;
        bencher.iter(|| Policy::compile(black_box(sources), None).expect("it compiles").policy);
    });
}

/// What a host does when it starts with a compiled policy.
fn loading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("load");
    let saved = |sources| Policy::compile(&sources, None).expect("it compiles").policy.save();
    let rules = LazyCell::new(|| saved(mixed::policy(1_000)));
    group.bench_function("1,000 rules", |bencher| {
        let rules = &*rules;
        bencher.iter_with_large_drop(|| Policy::load(black_box(rules)).expect("what was saved"));
    });
    let networks = LazyCell::new(|| saved(networks::policy(100_000)));
    group.bench_function("100,000 networks", |bencher| {
        let networks = &*networks;
        bencher.iter_with_large_drop(|| Policy::load(black_box(networks)).expect("what was saved"));
    });
}

/// A workload and its program.
struct Prepared {
    workload: Workload,
    program: Program,
}

impl Prepared {
    /// Made when it is first needed: a group that is not run costs nothing.
    fn lazy(workload: impl FnOnce() -> Workload, compile: Compile) -> LazyCell<Prepared, impl FnOnce() -> Prepared> {
        LazyCell::new(move || {
            let workload = workload();
            let program = compile(&workload.site);
            Prepared { workload, program }
        })
    }
}

type Compile = fn(&Site) -> Program;

fn evaluate(group: &mut Group, name: impl Display, workload: impl FnOnce() -> Workload) {
    evaluate_as(group, BenchmarkId::from_parameter(name), workload, Program::compile);
}

fn beside_plain(group: &mut Group, name: impl Display, workload: impl Fn() -> Workload) {
    evaluate_as(group, BenchmarkId::new("compiled", &name), &workload, Program::compile);
    evaluate_as(group, BenchmarkId::new("plain", &name), &workload, Program::compile_plain);
}

fn evaluate_as(group: &mut Group, id: BenchmarkId, workload: impl FnOnce() -> Workload, compile: Compile) {
    let prepared = Prepared::lazy(workload, compile);
    group.bench_function(id, |bencher| {
        let Prepared { workload, program } = &*prepared;
        let received = Received::new(&workload.request);
        let mut scratch = Scratch::default();
        let mut evaluate = || {
            let arena = scratch.start();
            program.evaluate(&black_box(&received).view(arena), arena)
        };
        assert_eq!(evaluate(), workload.verdict, "{}", workload.name);
        bencher.iter(evaluate);
    });
}

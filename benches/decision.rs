//! What a whole decision costs, from the request as a host received it to the reply.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use velvetrope::internal::edge::handle;
use velvetrope::internal::program::Scratch;

#[path = "../tests/support/ticketing/mod.rs"]
mod ticketing;

fn decisions(criterion: &mut Criterion) {
    let ticketing = ticketing::Ticketing::new();
    let mut group = criterion.benchmark_group("decision");
    for case in ticketing.cases() {
        let headers = case.headers();
        let mut scratch = Scratch::default();
        group.bench_function(case.name, |bencher| {
            bencher.iter(|| {
                let url = black_box(&case).url();
                let reply = handle(ticketing.site(), &case.incoming(&url, &headers), &mut scratch);
                assert_eq!(black_box(reply).label, case.label);
            })
        });
    }
}

criterion_group!(benches, decisions);
criterion_main!(benches);

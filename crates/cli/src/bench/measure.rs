//! Deciding again and again, with an eye on the clock.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bumpalo::Bump;
use serde::Serialize;

use crate::AllocationCounter;
use velvetrope::internal::edge::{self, Incoming, Site};
use velvetrope::internal::program::Scratch;
use velvetrope::internal::queueit::without_token;

/// Something whose cost can be told by itself.
#[derive(Clone, Copy)]
pub enum Condition {
    /// The triggers of the integration of this index.
    Integration(usize),
    /// The bypass rule of this index.
    Rule(usize),
}

/// A policy and the requests that are decided.
pub struct Measured<'m> {
    site: Site<'m>,
    incoming: Vec<Incoming<'m>>,
    /// Their URLs without tokens.
    pure_urls: Vec<String>,
    scratch: Scratch,
    /// What reading the clock costs.
    clock: Duration,
}

/// What single decisions took.
pub struct Times {
    /// How many were timed.
    pub count: usize,
    pub percentiles: Percentiles,
    /// Of each request, in nanoseconds.
    pub medians: Vec<u64>,
}

/// In nanoseconds.
#[derive(Serialize)]
pub struct Percentiles {
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p99_9: u64,
    pub max: u64,
}

impl<'m> Measured<'m> {
    /// There is at least one request.
    pub fn new(site: Site<'m>, incoming: Vec<Incoming<'m>>) -> Self {
        let pure_urls =
            incoming.iter().map(|incoming| without_token(incoming.url.as_str(), &Bump::new()).into()).collect();
        let mut measured = Measured { site, incoming, pure_urls, scratch: Scratch::default(), clock: clock() };
        (0..100).for_each(|_| measured.round());
        measured
    }

    /// One word for each decision.
    pub fn labels(&mut self) -> Vec<&'static str> {
        (0..self.incoming.len()).map(|index| self.decide(index)).collect()
    }

    /// Over at least so many decisions, the clock being read twice in all.
    pub fn decisions_per_second(&mut self, least: usize) -> f64 {
        let rounds = least.div_ceil(self.incoming.len());
        let start = Instant::now();
        (0..rounds).for_each(|_| self.round());
        (rounds * self.incoming.len()) as f64 / start.elapsed().as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Of at least so many decisions, each by itself.
    pub fn times(&mut self, least: usize) -> Times {
        let rounds = least.div_ceil(self.incoming.len());
        let mut of_each = vec![Vec::with_capacity(rounds); self.incoming.len()];
        for _ in 0..rounds {
            for (index, times) in of_each.iter_mut().enumerate() {
                let start = Instant::now();
                self.decide(index);
                times.push(nanoseconds(start.elapsed().saturating_sub(self.clock)));
            }
        }
        let all = sorted(of_each.concat());
        Times {
            count: all.len(),
            percentiles: Percentiles {
                p50: quantile(&all, 0.5),
                p90: quantile(&all, 0.9),
                p99: quantile(&all, 0.99),
                p99_9: quantile(&all, 0.999),
                max: quantile(&all, 1.0),
            },
            medians: of_each.into_iter().map(|times| quantile(&sorted(times), 0.5)).collect(),
        }
    }

    /// How often a decision asks the heap for memory, on average over the requests.
    pub fn allocations(&mut self, counter: AllocationCounter) -> f64 {
        let count = counter(&mut || self.round());
        count as f64 / self.incoming.len() as f64
    }

    /// What a condition costs by itself, with what it has to find out of the request: nanoseconds for each request, the
    /// median of several rounds.
    pub fn cost(&mut self, condition: Condition) -> u64 {
        const BATCHES: usize = 15;
        // Enough for the clock's steps not to show.
        const ROUNDS: usize = 8;
        let evaluations = (ROUNDS * self.incoming.len()) as u32;
        self.evaluate(condition);
        let batches = (0..BATCHES).map(|_| {
            let start = Instant::now();
            (0..ROUNDS).for_each(|_| self.evaluate(condition));
            nanoseconds(start.elapsed() / evaluations)
        });
        quantile(&sorted(batches.collect()), 0.5)
    }

    /// Decides each request once.
    fn round(&mut self) {
        (0..self.incoming.len()).for_each(|index| {
            black_box(self.decide(index));
        });
    }

    fn decide(&mut self, index: usize) -> &'static str {
        edge::handle(self.site, black_box(&self.incoming[index]), &mut self.scratch).label
    }

    /// Evaluates a condition for each request once.
    fn evaluate(&mut self, condition: Condition) {
        let program = self.site.policy.program();
        for (incoming, pure_url) in self.incoming.iter().zip(&self.pure_urls) {
            let arena = self.scratch.start();
            let view = black_box(incoming).view(pure_url, arena);
            black_box(match condition {
                Condition::Integration(index) => program.entry_is_true(index, &view, arena),
                Condition::Rule(index) => program.rule_is_true(index, &view, arena),
            });
        }
    }
}

/// What it costs to read the clock, so that it can be taken off.
fn clock() -> Duration {
    let mut readings: Vec<_> = (0..1_001).map(|_| Instant::now().elapsed()).collect();
    readings.sort_unstable();
    readings[readings.len() / 2]
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn sorted(mut times: Vec<u64>) -> Vec<u64> {
    times.sort_unstable();
    times
}

/// The least time that so large a part of all times does not exceed.
fn quantile(sorted: &[u64], part: f64) -> u64 {
    let rank = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::quantile;

    #[test]
    fn quantiles_are_times_that_were_measured() {
        let times: Vec<u64> = (1..=1_000).collect();
        let found = [0.0, 0.5, 0.9, 0.99, 0.999, 1.0].map(|part| quantile(&times, part));
        assert_eq!(found, [1, 500, 900, 990, 999, 1_000]);
        assert_eq!(quantile(&[7], 0.5), 7);
        assert_eq!(quantile(&[], 0.5), 0);
    }
}

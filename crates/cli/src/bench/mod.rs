//! `bench`: what a policy costs on this machine.

mod measure;
mod synthetic;

use std::cmp::Reverse;
use std::fmt::{self, Display};
use std::path::PathBuf;

use serde::Serialize;

use super::explain::throw_away;
use super::output::{Answer, Exit, FAINT, Failure, Format, STRONG, count, printable, shortened, styled};
use super::test::{cases, title};
use super::{AllocationCounter, input, policy};
use measure::{Condition, Measured, Percentiles};
use velvetrope::internal::edge::{Identity, Incoming, Site};
use velvetrope::internal::policy::Policy;
use velvetrope::internal::queueit::Secrets;
use velvetrope::internal::request::OwnedRequest;
use velvetrope::internal::without_secrets;

/// Measure what a policy costs
///
/// Decides the same requests again and again on one thread, as the connector does it but without a network, and tells
/// how many decisions a second that makes, how long they take, how often each asks the heap for memory, and which of the
/// policy's rules are the most expensive. Tokens and sessions are signed and judged with a throw-away secret.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  velvetrope bench policy/
  velvetrope bench policy/ requests.jsonl --decisions 1000000 --format json

Requests are written like the cases of `velvetrope test` (see its --help); what they expect is left
aside. Times are of this machine, and change with what else it does. A rule's time is that of the rule
by itself, with what it has to find out of the request; in a decision, indexes spare most rules.

JSON: origin, requests (each with name, decision, median_ns), decisions, decisions_per_second,
time_ns (p50, p90, p99, p99_9, max), allocations_per_decision (null where they are not counted),
rules, most_expensive (each with kind, name, expression, median_ns)")]
pub struct Bench {
    /// A folder with a velvetrope.toml, that file, or a compiled .vrp
    policy: PathBuf,
    /// Files of requests; `-` is standard input [default: cases.toml and cases.jsonl beside the policy, or else requests
    /// made up from what the policy asks for]
    requests: Vec<PathBuf>,
    /// How many decisions to time
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    decisions: u32,
}

#[derive(Serialize)]
struct BenchReport {
    /// Where the requests come from.
    origin: String,
    requests: Vec<RequestReport>,
    /// How many were timed.
    decisions: usize,
    decisions_per_second: f64,
    time_ns: Percentiles,
    /// `None` where this program does not count them.
    allocations_per_decision: Option<f64>,
    /// How many integrations and bypass rules there are.
    rules: usize,
    most_expensive: Vec<RuleReport>,
}

/// What one of the requests costs.
#[derive(Serialize)]
struct RequestReport {
    name: String,
    decision: &'static str,
    median_ns: u64,
}

/// What one integration or bypass rule costs by itself.
#[derive(Serialize)]
struct RuleReport {
    /// `integration` or `rule`.
    kind: &'static str,
    name: String,
    /// `None` for a compiled policy, which holds no texts.
    expression: Option<String>,
    median_ns: u64,
}

/// How many of the most expensive rules are told of.
const SHOWN: usize = 5;

impl Bench {
    pub fn run(self, format: Format, counter: Option<AllocationCounter>) -> Result<Answer, Failure> {
        let policy = policy::load(&self.policy)?;
        let secrets = throw_away();
        let (origin, requests) = self.requests(&policy, &secrets)?;
        let identity = Identity::of_host(&policy.settings.target.to_string());
        let site = Site { policy: &policy, secrets: &secrets, identity: &identity };
        let report = BenchReport::of(site, origin, &requests, self.decisions as usize, counter);
        Answer::of(&report, format, Exit::Fine)
    }

    /// Where the requests come from, and the requests with their names.
    fn requests(&self, policy: &Policy, secrets: &Secrets) -> Result<(String, Vec<(String, OwnedRequest)>), Failure> {
        let files = if self.requests.is_empty() { cases::beside(&self.policy) } else { self.requests.clone() };
        let mut cases = Vec::new();
        for file in &files {
            cases.extend(cases::read(file)?);
        }
        let names: Vec<_> = files.iter().map(|file| input::name(file)).collect();
        let mut origin = names.join(", ");
        if files.is_empty() {
            cases = synthetic::cases(policy)?;
            origin = "made up from what the policy asks for".to_owned();
        }
        let requests: Result<Vec<_>, Failure> =
            cases.iter().map(|case| Ok((case.name(), case.request(secrets)?))).collect();
        // What is refused at once costs nothing that is worth measuring.
        let mut requests = requests?;
        requests.retain(|(_, request): &(_, OwnedRequest)| request.canonical_url().is_ok());
        Ok((origin, requests))
    }
}

impl BenchReport {
    fn of(
        site: Site<'_>,
        origin: String,
        requests: &[(String, OwnedRequest)],
        decisions: usize,
        counter: Option<AllocationCounter>,
    ) -> BenchReport {
        let urls: Vec<_> = requests.iter().filter_map(|(_, request)| request.canonical_url().ok()).collect();
        let headers: Vec<_> =
            requests.iter().zip(&urls).map(|((_, request), url)| request.header_pairs_for(url.authority())).collect();
        let incoming = requests.iter().zip(&urls).zip(&headers);
        let incoming = incoming.map(|(((_, owned), url), headers)| Incoming::of(owned, url, headers, &owned.facts));
        let mut measured = Measured::new(site, incoming.collect());
        let decisions_per_second = measured.decisions_per_second(decisions);
        let times = measured.times(decisions);
        let allocations_per_decision = counter.map(|counter| measured.allocations(counter));
        let mut costs: Vec<_> = conditions(site.policy).map(|of| (measured.cost(of), of)).collect();
        costs.sort_by_key(|(cost, _)| Reverse(*cost));
        let rows = requests.iter().zip(measured.labels()).zip(&times.medians);
        BenchReport {
            origin,
            requests: rows
                .map(|(((name, _), decision), &median_ns)| RequestReport {
                    name: without_secrets(name),
                    decision,
                    median_ns,
                })
                .collect(),
            decisions: times.count,
            decisions_per_second,
            time_ns: times.percentiles,
            allocations_per_decision,
            rules: costs.len(),
            most_expensive: costs
                .iter()
                .take(SHOWN)
                .map(|&(cost, of)| RuleReport::new(site.policy, of, cost))
                .collect(),
        }
    }
}

/// Every integration, and every bypass rule that is in force.
fn conditions(policy: &Policy) -> impl Iterator<Item = Condition> {
    let rules = policy.rules().iter().enumerate().filter(|(_, rule)| rule.enabled);
    let integrations = (0..policy.integrations().all.len()).map(Condition::Integration);
    integrations.chain(rules.map(|(index, _)| Condition::Rule(index)))
}

impl RuleReport {
    fn new(policy: &Policy, condition: Condition, median_ns: u64) -> RuleReport {
        match condition {
            Condition::Integration(index) => {
                let integration = &policy.integrations().all[index];
                let name = format!("{} {}", index + 1, integration.title());
                let expression = policy.program().entry(index).map(ToString::to_string);
                RuleReport { kind: "integration", name, expression, median_ns }
            }
            Condition::Rule(index) => {
                let expression = policy.program().rule(index).map(ToString::to_string);
                RuleReport { kind: "rule", name: title(&policy.rules()[index]), expression, median_ns }
            }
        }
    }
}

impl Display for BenchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heading = |text: &str| styled(STRONG, format!("{text:<12}")).to_string();
        writeln!(f, "{}{}", heading("Decisions"), per_second(self.decisions_per_second))?;
        let Percentiles { p50, p90, p99, p99_9, max } = &self.time_ns;
        let times = [("p50", p50), ("p90", p90), ("p99", p99), ("p99.9", p99_9), ("at most", max)];
        let times = times.map(|(name, &time)| format!("{name} {}", shown(time)));
        writeln!(f, "{}{}", heading("Time"), times.join(", "))?;
        match self.allocations_per_decision {
            Some(allocations) => writeln!(f, "{}{allocations:.1} a decision", heading("Allocations"))?,
            None => writeln!(f, "{}not counted; that takes a build with `count-allocations`", heading("Allocations"))?,
        }
        let requests = count(self.requests.len(), "request");
        writeln!(
            f,
            "{}",
            styled(FAINT, format_args!("{requests}, {}, decided {} times", self.origin, self.decisions))
        )?;
        writeln!(f, "\n{}", styled(STRONG, "Requests"))?;
        for RequestReport { name, decision, median_ns } in &self.requests {
            writeln!(f, "{:>9}  {decision:<11} {}", shown(*median_ns), shortened(&printable(name), 100))?;
        }
        if !self.most_expensive.is_empty() {
            let of = format!("The most expensive of {} integrations and rules, each by itself", self.rules);
            writeln!(f, "\n{}", styled(STRONG, of))?;
        }
        self.most_expensive.iter().try_for_each(|rule| rule.fmt(f))
    }
}

impl Display for RuleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>9}  {} {}", shown(self.median_ns), self.kind, printable(&self.name))?;
        let mut expression = self.expression.iter().map(|expression| shortened(&printable(expression), 200));
        expression.try_for_each(|expression| writeln!(f, "           {}", styled(FAINT, expression)))
    }
}

fn per_second(rate: f64) -> String {
    match rate {
        1_000_000.0.. => format!("{:.2} million a second", rate / 1e6),
        1_000.0.. => format!("{:.1} thousand a second", rate / 1e3),
        _ => format!("{rate:.0} a second"),
    }
}

/// A time for people; nanoseconds.
fn shown(time: u64) -> String {
    match time {
        0..1_000 => format!("{time} ns"),
        1_000..1_000_000 => format!("{:.1} µs", time as f64 / 1e3),
        _ => format!("{:.1} ms", time as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_rates_have_a_unit() {
        assert_eq!([12, 1_234, 999_999, 2_500_000].map(shown), ["12 ns", "1.2 µs", "1000.0 µs", "2.5 ms"]);
        assert_eq!(
            [12.3, 12_345.0, 1_234_567.0].map(per_second),
            ["12 a second", "12.3 thousand a second", "1.23 million a second"]
        );
    }
}

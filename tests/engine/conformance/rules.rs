//! The rules families: every expression is parsed, and evaluated by the program and by the reference evaluator.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bumpalo::Bump;
use ipnet::IpNet;
use serde_json::Value;
use velvetrope::internal::language::expression::IpRange;
use velvetrope::internal::language::{Diagnostic, Scheme, parse};
use velvetrope::internal::program::{Hostname, List, Lists, Program};

use super::fields;
use super::report::{Report, cases, vectors};
use crate::oracle::{self, table};

/// Where newer documentation accepts what the recorded engine refuses, the documentation is followed.
const FOLLOWS_THE_DOCUMENTATION: &str = "oracle-vs-docs";

/// Runs every case.
pub fn run() -> Report {
    let path = vectors().join("rules/scheme.json");
    let json = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let scheme = table::scheme(&json);
    let mut report = Report::default();
    for (family, case) in cases("rules") {
        let outcome = catch_unwind(AssertUnwindSafe(|| run_case(&case, &scheme)))
            .unwrap_or_else(|_| Err("it panicked".to_owned()));
        let why = outcome.map_err(|why| format!("{family} {}: {}\n  {why}", case["name"], case["expr"]));
        match why {
            _ if family == FOLLOWS_THE_DOCUMENTATION => report.noted(&family, why.err()),
            Ok(()) => report.passed(&family),
            Err(why) => report.failed(&family, why),
        }
    }
    report
}

fn run_case(case: &Value, scheme: &Scheme) -> Result<(), String> {
    let text = case["expr"].as_str().expect("an expression");
    match (parse(text, scheme), case.get("expect_error")) {
        (Err(errors), Some(expected)) => check_kind(&errors, expected),
        (Ok(_), Some(expected)) => Err(format!("accepted, expected {expected}")),
        (Err(errors), None) => Err(format!("refused: {}", errors[0].render(text, "expr", 1))),
        (Ok(expression), None) => {
            let lists = lists(&case["lists"]);
            let subject = fields::table(&case["fields"], scheme);
            let expected = case["expect"].as_bool().expect("true or false");
            let program = Program::single(&expression, &lists);
            let by_program = program.matches(&subject, &Bump::new());
            if by_program != expected {
                return Err(format!("the program says {by_program} with {}", case["fields"]));
            }
            let by_reference = oracle::evaluate(&expression, &subject, &lists);
            if by_reference != expected {
                return Err(format!("the reference evaluator says {by_reference} with {}", case["fields"]));
            }
            Ok(())
        }
    }
}

/// The kind of an error must be the recorded one where it is telling. Which of several mistakes of one text comes first
/// is not: `r"[""` is a broken pattern, followed by something that belongs to nothing.
fn check_kind(errors: &[Diagnostic], expected: &Value) -> Result<(), String> {
    let expected = expected["kind"].as_str().expect("a kind");
    let kinds: Vec<&str> = errors.iter().map(|error| error.code.kind().as_str()).collect();
    let is_right = match expected {
        "limit" | "wildcard" | "arguments" => kinds.contains(&expected),
        "regex" => kinds.contains(&"regex") || kinds.contains(&"syntax"),
        _ => true,
    };
    if is_right { Ok(()) } else { Err(format!("refused for {kinds:?}, expected {expected}")) }
}

fn lists(json: &Value) -> Lists {
    let lists = json.as_object().into_iter().flatten();
    lists.map(|(name, items)| (name.clone(), list(items.as_array().expect("items")))).collect()
}

/// What the items look like tells what the list holds.
fn list(items: &[Value]) -> List {
    if let Some(numbers) = items.iter().map(Value::as_i64).collect::<Option<Vec<i64>>>()
        && !items.is_empty()
    {
        return List::Asn(numbers);
    }
    let texts: Vec<&str> = items.iter().map(|item| item.as_str().expect("text")).collect();
    match texts.iter().map(|text| network(text)).collect() {
        Some(ranges) => List::Ip(ranges),
        None => List::Hostname(texts.iter().map(|text| Hostname::Exact((*text).to_owned())).collect()),
    }
}

fn network(text: &str) -> Option<IpRange> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(IpRange { first: address, last: address });
    }
    let network: IpNet = text.parse().ok()?;
    Some(IpRange { first: network.network(), last: network.broadcast() })
}

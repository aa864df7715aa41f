//! The queueit families: recorded from Queue-it's own connector engine, and from its public Cloudflare connector.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use velvetrope::internal::policy::number_text;
use velvetrope::internal::queueit::Secret;
use velvetrope::internal::queueit::encoding::Enc;
use velvetrope::internal::queueit::enqueue::EnqueueToken;
use velvetrope::internal::queueit::token::Token;

use super::report::{self, Report};

mod answers;
mod deviations;
mod edge;
mod edge_answers;
mod engine;
mod rules;

use deviations::Deviations;

/// Runs every case.
pub fn run() -> Report {
    let mut report = Report::default();
    let mut deviations = Deviations::load();
    for (family, case) in report::cases("queueit") {
        let name = text(&case, "name").to_owned();
        let case = deviations.asked(case);
        let actual = answer(&case);
        let expected = deviations.expected(&family, &case);
        let differences = differences(&expected, &actual);
        if family == "quirks" {
            report.noted(&family, differences.map(|differences| format!("{name}: {differences}")));
        } else if let Some(differences) = differences {
            report.failed(&family, format!("{name}: {differences}"));
        } else {
            report.passed(&family);
        }
    }
    for complaint in deviations.unneeded() {
        report.complain(complaint);
    }
    report
}

/// What this project answers, in the shape of the record's `expect`.
fn answer(case: &Value) -> Value {
    match text(case, "kind") {
        "" => engine::answer(case),
        "edge_v3" => edge::answer(case),
        "normalize_url" => json!(velvetrope::internal::queueit::normalize(text(case, "input"))),
        "encode_component" => json!(Enc(text(case, "input")).to_string()),
        "hmac_sha256_hex" => json!(Secret::new(text(case, "secret")).sign(&[text(case, "input")]).as_str()),
        "parse_token" => parsed_token(text(case, "input")),
        "enqueue_token" => enqueue_token(case),
        kind => panic!("{}: no such kind: {kind}", text(case, "name")),
    }
}

fn parsed_token(input: &str) -> Value {
    let token = Token::parse(input);
    if !token.is_given() {
        return Value::Null;
    }
    json!({
        "time_stamp": number(token.expires),
        "extendable": token.extendable,
        "cookie_validity_minutes": token.validity_minutes.map(number),
        "event_id": token.event_id,
        "queue_id": token.queue_id,
        "redirect_type": token.redirect_type,
        "hashed_ip": token.hashed_ip,
        "hash": token.hash,
        "without_hash": token.signed_text().concat(),
    })
}

/// A number as the records, written by JavaScript, have it.
fn number(number: f64) -> Value {
    serde_json::from_str(&number_text(number)).expect("a number")
}

fn enqueue_token(case: &Value) -> Value {
    let custom_data: Vec<(&str, &str)> =
        list(case, "custom_data").iter().map(|entry| (text(entry, "key"), text(entry, "value"))).collect();
    let token = EnqueueToken {
        customer_id: text(case, "customer_id"),
        event_id: text(case, "event_id"),
        issued_ms: integer(case, "now_ms"),
        validity_ms: case["validity_ms"].as_i64(),
        token_identifier: text(case, "token_identifier"),
        ip: text(case, "ip"),
        x_forwarded_for: text(case, "xff"),
        key: text(case, "key"),
        custom_data: &custom_data,
    };
    json!({ "token": token.sign(&Secret::new(text(case, "secret"))) })
}

/// What differs, field by field.
fn differences(expected: &Value, actual: &Value) -> Option<String> {
    if expected == actual {
        return None;
    }
    let (Some(expected_fields), Some(actual_fields)) = (expected.as_object(), actual.as_object()) else {
        return Some(format!("expected {expected}\n     but got {actual}"));
    };
    let fields: BTreeMap<&String, ()> =
        expected_fields.keys().chain(actual_fields.keys()).map(|key| (key, ())).collect();
    let different = fields.into_keys().filter(|field| expected_fields.get(*field) != actual_fields.get(*field));
    let show = |field: Option<&Value>| field.map_or("nothing".to_owned(), Value::to_string);
    let lines: Vec<String> = different
        .map(|field| {
            let (expected, actual) = (show(expected_fields.get(field)), show(actual_fields.get(field)));
            format!("\n  {field}: expected {expected}\n  {field}:  but got {actual}")
        })
        .collect();
    Some(lines.concat())
}

/// The text at `key`, "" where there is none.
fn text<'c>(case: &'c Value, key: &str) -> &'c str {
    case[key].as_str().unwrap_or_default()
}

fn list<'c>(case: &'c Value, key: &str) -> &'c [Value] {
    case[key].as_array().map_or(&[], Vec::as_slice)
}

fn integer(case: &Value, key: &str) -> i64 {
    case[key].as_i64().unwrap_or_else(|| panic!("{}: no {key}", text(case, "name")))
}

/// The request's headers, as a host passes them on.
fn headers(case: &Value) -> Vec<(&str, &[u8])> {
    let headers = case["request"]["headers"].as_object().expect("headers");
    headers.iter().map(|(name, value)| (name.as_str(), value.as_str().expect("a header").as_bytes())).collect()
}

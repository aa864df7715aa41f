//! A configuration as Queue-it publishes it, with every validator; half of its integrations ignore case, half are
//! matched against the normalised URL.

use serde_json::{Value, json};
use velvetrope::internal::policy::Published;
use velvetrope::internal::program::{Entry, Lists, Site, Verdict};
use velvetrope::internal::request::OwnedRequest;

use super::{Workload, visit, visitor, with_header};

/// `count` integrations, with a request that none of them is for.
pub fn none_true(count: usize) -> Workload {
    workload(format!("integrations, none true/{count}"), count, visitor(), Verdict::Nothing)
}

/// `count` integrations, with a request that the one in the middle is for.
pub fn one_true(count: usize) -> Workload {
    hit(count, count / 2)
}

/// `count` integrations, with a request that `number` is for.
pub fn hit(count: usize, number: usize) -> Workload {
    let name = format!("integrations, one true/{count}");
    workload(name, count, request_for(number), Verdict::Matched { entry: number })
}

fn workload(name: String, count: usize, request: OwnedRequest, verdict: Verdict) -> Workload {
    Workload { name, site: site(count), request, verdict }
}

/// The integrations' triggers, without what else a policy holds.
pub fn site(count: usize) -> Site {
    site_of(&document(count))
}

/// The triggers of a configuration that was published as `text`.
pub fn site_of(text: &str) -> Site {
    let published = Published::parse(text, true).unwrap_or_else(|error| panic!("{error}"));
    let entries = published.all.into_iter().map(|(_, when)| Entry { when, bypass: Vec::new() });
    Site { entries: entries.collect(), rules: Vec::new(), lists: Lists::new() }
}

/// The published configuration.
pub fn document(count: usize) -> String {
    let all: Vec<Value> = (0..count).map(integration).collect();
    json!({"CustomerId": "bench", "Version": 1, "Integrations": all}).to_string()
}

fn integration(number: usize) -> Value {
    json!({
        "Name": format!("Integration {number}"),
        "ActionType": "Queue",
        "EventId": format!("room{number}"),
        "QueueDomain": "bench.queue-it.net",
        "Culture": "en-GB",
        "ExtendCookieValidity": true,
        "CookieValidityMinute": 20,
        "RedirectLogic": "AllowTParameter",
        "IsNormalizationEnabled": number / 12 % 2 == 1,
        "Triggers": triggers(number),
    })
}

/// Whether an integration ignores case; the values in it are then written in capitals.
fn ignores_case(number: usize) -> bool {
    number / 6 % 2 == 1
}

fn triggers(number: usize) -> Value {
    let case = if ignores_case(number) { str::to_uppercase } else { str::to_owned };
    let texts = |values: &[String]| json!(values.iter().map(|value| case(value)).collect::<Vec<_>>());
    let part = |validator: Value, comparison: Value, negative: bool| {
        let mut part = json!({"IsIgnoreCase": ignores_case(number), "IsNegative": negative});
        for object in [validator, comparison] {
            part.as_object_mut()
                .into_iter()
                .for_each(|part| part.extend(object.as_object().cloned().unwrap_or_default()));
        }
        part
    };
    let is = |operator: &str, value: String| json!({"Operator": operator, "ValueToCompare": case(&value)});
    let any = |operator: &str, values: [String; 2]| json!({"Operator": operator, "ValuesToCompare": texts(&values)});
    let url = |url_part: &str| json!({"ValidatorType": "UrlValidator", "UrlPart": url_part});
    let cookie = |name: &str| json!({"ValidatorType": "CookieValidator", "CookieName": name});
    let header = |name: &str| json!({"ValidatorType": "HttpHeaderValidator", "HttpHeaderName": name});
    let agent = || json!({"ValidatorType": "UserAgentValidator"});
    let trigger = |operator: &str, parts: Vec<Value>| json!({"LogicalOperator": operator, "TriggerParts": parts});
    let n = number;
    match number % 6 {
        0 => json!([trigger("Or", vec![part(url("PageUrl"), is("Contains", format!("/event-{n}/")), false)])]),
        1 => json!([trigger(
            "And",
            vec![
                part(url("PagePath"), is("Equals", format!("/shop-{n}")), false),
                part(agent(), is("Contains", "monitor".to_owned()), true),
            ]
        )]),
        2 => json!([trigger(
            "And",
            vec![
                part(cookie("staff"), is("Equals", "yes".to_owned()), true),
                part(url("HostName"), is("Equals", format!("room-{n}.example")), false),
                part(url("PagePath"), is("Contains", "/tickets".to_owned()), false),
            ]
        )]),
        3 => json!([trigger(
            "And",
            vec![
                part(cookie("campaign"), is("Equals", format!("c{n}")), false),
                part(url("HostName"), is("Contains", "example".to_owned()), false),
            ]
        )]),
        4 => json!([trigger(
            "Or",
            vec![
                part(agent(), any("ContainsAny", [format!("bot-{n};"), format!("crawler-{n};")]), false),
                part(header("x-campaign"), any("EqualsAny", [format!("a{n}"), format!("b{n}")]), false),
            ]
        )]),
        _ => json!([
            trigger(
                "Or",
                vec![part(url("PagePath"), any("ContainsAny", [format!("/sale-{n}/"), format!("/drop-{n}/")]), false)]
            ),
            trigger(
                "And",
                vec![
                    part(header("X-App"), is("Equals", format!("app-{n}")), false),
                    part(url("PagePath"), any("EqualsAny", ["/".to_owned(), "/start".to_owned()]), true),
                ]
            ),
        ]),
    }
}

/// A request that this integration is for, and no other.
pub fn request_for(number: usize) -> OwnedRequest {
    let n = number;
    match number % 6 {
        0 => visit(&format!("https://shop.example.com/event-{n}/seats?row=7")),
        1 => visit(&format!("https://shop.example.com/shop-{n}")),
        2 => visit(&format!("https://room-{n}.example/tickets/2026")),
        3 => with_header(visitor(), "Cookie", format!("theme=dark; campaign=c{n}")),
        4 if n.is_multiple_of(4) => with_header(visitor(), "User-Agent", format!("{} crawler-{n};", super::AGENT)),
        4 => visitor().header("X-Campaign", format!("b{n}")),
        _ if n % 4 == 1 => visit(&format!("https://shop.example.com/drop-{n}/seats")),
        _ => visitor().header("x-app", format!("app-{n}")),
    }
}

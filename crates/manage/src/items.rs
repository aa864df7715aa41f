//! Items of lists, as the API has them and as people write them.

use std::net::IpAddr;

use ipnet::{IpSubnets, Ipv4Subnets, Ipv6Subnets};
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::body::{self, Body, MAX_TEXT};
use super::failure::{Code, Failure, Objection};
use super::store::lists::{MAX_ITEMS, NewItem};
use velvetrope::internal::address;
use velvetrope::internal::document::Value;
use velvetrope::internal::fields::Fields;
use velvetrope::internal::lists::BadMember;
use velvetrope::internal::program::ListKind;

/// How many bad items are told one by one.
const TOLD: usize = 100;

/// Items as people write them: one a line, with a comment behind `#` or behind a comma, as in spreadsheets.
pub fn of_text(text: &str, kind: ListKind) -> Result<Vec<NewItem>, Failure> {
    let mut items = Vec::new();
    let mut errors = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let (value, comment) = line.split_once(['#', ',']).unwrap_or((line, ""));
        let (value, comment) = (unquoted(value), unquoted(comment));
        if value.is_empty() {
            continue;
        }
        match of_line(kind, value, comment) {
            Ok(found) => items.extend(found),
            Err(BadMember { message, help }) => {
                let help = help.map(|help| format!("; {help}")).unwrap_or_default();
                let message = format!("line {number}: {message}{help}");
                errors.push(Objection { code: Code::Invalid, message, pointer: None });
            }
        }
        if errors.len() >= TOLD {
            break;
        }
    }
    if items.len() > MAX_ITEMS {
        return Err(too_many(items.len()));
    }
    match errors.is_empty() {
        true => Ok(items),
        false => Err(Failure { errors, ..Failure::new(400, Code::Invalid, "") }),
    }
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

fn of_line(kind: ListKind, value: &str, comment: &str) -> Result<Vec<NewItem>, BadMember> {
    if comment.chars().count() > MAX_TEXT {
        return Err(BadMember::new(format!("the comment is longer than {MAX_TEXT} characters")));
    }
    match value.split_once("..").filter(|_| kind == ListKind::Ip) {
        Some((first, last)) => {
            let networks = between(first, last);
            let networks = networks.ok_or_else(|| BadMember::new(format!("`{value}` is not a range of addresses")))?;
            networks.map(|network| NewItem::ip(&network.to_string(), comment)).collect()
        }
        None => Ok(vec![NewItem::of_text(kind, value, comment)?]),
    }
}

/// The networks that cover a range of addresses.
fn between(first: &str, last: &str) -> Option<IpSubnets> {
    let networks = match (address(first)?, address(last)?) {
        (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => Ipv4Subnets::new(first, last, 0).into(),
        (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => Ipv6Subnets::new(first, last, 0).into(),
        _ => return None,
    };
    Some(networks)
}

fn too_many(count: usize) -> Failure {
    let message = format!("these are {count} items, and all lists of a zone together hold at most {MAX_ITEMS}");
    Failure::new(400, Code::Invalid, message)
}

/// Items as the API has them, in a JSON array. There may be very many, so each is read on its own.
pub(super) fn of_body(body: Body, kind: ListKind) -> Result<Vec<NewItem>, Failure> {
    let malformed = |error: serde_json::Error| {
        Failure::new(400, Code::Malformed, format!("this is no JSON array of items: {error}"))
    };
    match body {
        Body::Sent(text) => {
            let elements: Vec<&RawValue> = serde_json::from_slice(text).map_err(malformed)?;
            of_elements(elements.iter().map(|element| Body::Sent(element.get().as_bytes())), kind)
        }
        Body::Said(_) => of_values(&body.json::<Vec<Json>>().map_err(malformed)?, kind),
    }
}

/// The same, of elements that are read already.
pub fn of_values(elements: &[Json], kind: ListKind) -> Result<Vec<NewItem>, Failure> {
    of_elements(elements.iter().map(Body::Said), kind)
}

fn of_elements<'b>(elements: impl ExactSizeIterator<Item = Body<'b>>, kind: ListKind) -> Result<Vec<NewItem>, Failure> {
    if elements.len() > MAX_ITEMS {
        let message =
            format!("these are {} items, and all lists of a zone together hold at most {MAX_ITEMS}", elements.len());
        return Err(Failure::new(400, Code::Invalid, message));
    }
    let mut items = Vec::with_capacity(elements.len());
    let mut errors = Vec::new();
    for (element, index) in elements.zip(0..) {
        match new_item(element, kind) {
            Ok(item) => items.push(item),
            Err(failure) => {
                let below = |error: Objection| {
                    let pointer = format!("/{index}{}", error.pointer.unwrap_or_default());
                    Objection { pointer: Some(pointer), ..error }
                };
                errors.extend(failure.errors.into_iter().map(below));
            }
        }
        if errors.len() >= TOLD {
            break;
        }
    }
    match errors.is_empty() {
        true => Ok(items),
        false => Err(Failure { errors, ..Failure::new(400, Code::Invalid, "") }),
    }
}

fn new_item(element: Body, kind: ListKind) -> Result<NewItem, Failure> {
    let (item, _) = body::read(element, "", |file, node| {
        let fields = Fields::new(file, node, "the item")?;
        // Set by the API; they come back where somebody sends what they have read.
        ["id", "created_on", "modified_on"].iter().for_each(|key| _ = fields.get(key));
        let comment = fields.text("comment").unwrap_or_default();
        body::limit(&fields, "comment", Some(&comment), MAX_TEXT);
        let (key, example) = match kind {
            ListKind::Ip => ("ip", r#"{"ip": "192.0.2.0/24"}"#),
            ListKind::Hostname => ("hostname", r#"{"hostname": {"url_hostname": "tickets.example"}}"#),
            ListKind::Asn => ("asn", r#"{"asn": 64496}"#),
        };
        let node = fields.required(key, &format!("an item of this list looks like {example}"));
        let item = node.and_then(|node| match (&node.value, kind) {
            (Value::Text(text), ListKind::Ip) => told(&fields, key, NewItem::ip(text, &comment)),
            (Value::Number(number), ListKind::Asn) => told(&fields, key, NewItem::asn(number, &comment)),
            (Value::Object(_), ListKind::Hostname) => {
                let inner = fields.table(key)?;
                inner.required("url_hostname", "name the host");
                let name = inner.text("url_hostname");
                let exclude = inner.flag("exclude_exact_hostname").unwrap_or(true);
                let item = told(&inner, "url_hostname", NewItem::hostname(&name?, exclude, &comment));
                inner.finish();
                item
            }
            _ => fields.expected(node, &format!("an item such as {example}")),
        });
        fields.finish();
        item
    })?;
    Ok(item)
}

/// The item, or a report of what is wrong with it.
fn told(fields: &Fields, key: &'static str, item: Result<NewItem, BadMember>) -> Option<NewItem> {
    match (item, fields.get(key)) {
        (Err(BadMember { message, help }), Some(node)) => {
            fields.bad_value(node, message, help.as_deref().unwrap_or("write it as it is routed"));
            None
        }
        (item, _) => item.ok(),
    }
}

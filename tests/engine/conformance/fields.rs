//! A record's `fields` → a table of values.

use serde_json::Value as Json;
use velvetrope::internal::language::Scheme;
use velvetrope::internal::request::{OwnedValue, Type};

use crate::oracle::table::Table;

/// A table from a record's `fields`.
pub fn table(fields: &Json, scheme: &Scheme) -> Table {
    let fields = fields.as_object().into_iter().flatten().map(|(name, json)| {
        let (id, value_type) = scheme.field(name).unwrap_or_else(|| panic!("no field {name}"));
        (id, value(json, value_type))
    });
    Table(fields.collect())
}

fn value(json: &Json, value_type: &Type) -> OwnedValue {
    match value_type {
        Type::Bool => OwnedValue::Bool(json.as_bool().expect("true or false")),
        Type::Int => OwnedValue::Int(json.as_i64().expect("a number")),
        Type::Ip => OwnedValue::Ip(json.as_str().and_then(|text| text.parse().ok()).expect("an address")),
        Type::Bytes => OwnedValue::Bytes(bytes(json)),
        Type::Array(of) => {
            let items = json.as_array().expect("an array");
            OwnedValue::Array(items.iter().map(|item| value(item, of)).collect())
        }
        Type::Map(of) => {
            let entries = json.as_object().expect("an object");
            OwnedValue::Map(entries.iter().map(|(key, item)| (key.as_bytes().to_vec(), value(item, of))).collect())
        }
    }
}

fn bytes(json: &Json) -> Vec<u8> {
    match json.get("$hex").and_then(Json::as_str) {
        Some(digits) => (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits"))
            .collect(),
        None => json.as_str().expect("text").as_bytes().to_vec(),
    }
}

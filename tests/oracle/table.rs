//! A subject that is a table of values, and the scheme of the recorded rules.

use std::collections::BTreeMap;

use bumpalo::Bump;
use serde_json::Value as Json;
use velvetrope::language::Scheme;
use velvetrope::request::{FieldId, OwnedValue, Subject, Type, Value};

/// Values by field; a field that is not there is missing.
#[derive(Clone, Debug, Default)]
pub struct Table(pub BTreeMap<FieldId, OwnedValue>);

impl Subject for Table {
    fn field<'a>(&'a self, field: FieldId, arena: &'a Bump) -> Option<Value<'a>> {
        self.0.get(&field).map(|value| value.borrow(arena))
    }
}

/// The standard scheme and the fields of a `scheme.json`.
pub fn scheme(json: &str) -> Scheme {
    let fields: BTreeMap<String, String> = serde_json::from_str(json).expect("a scheme");
    let mut scheme = Scheme::standard().clone();
    for (name, kind) in &fields {
        scheme.register(name, type_of(kind));
    }
    scheme
}

fn type_of(kind: &str) -> Type {
    match kind.split_once('_') {
        Some(("array", of)) => type_of(of).array(),
        Some(("map", of)) => type_of(of).map(),
        _ => match kind {
            "bool" => Type::Bool,
            "int" => Type::Int,
            "ip" => Type::Ip,
            "bytes" => Type::Bytes,
            other => panic!("no type {other}"),
        },
    }
}

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

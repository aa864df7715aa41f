//! A subject that is a table of values, and the scheme of the recorded rules.

use std::collections::BTreeMap;

use bumpalo::Bump;
use velvetrope::internal::language::Scheme;
use velvetrope::internal::request::{FieldId, OwnedValue, Subject, Type, Value};

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

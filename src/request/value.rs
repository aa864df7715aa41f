//! Values of fields, and their types (docs/protocol/rules-language.md#types).

use std::fmt;
use std::net::IpAddr;

/// The type of a field, a function's result or a literal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// True or false.
    Bool,
    /// A signed 64-bit number.
    Int,
    /// An IPv4 or IPv6 address.
    Ip,
    /// A byte string ("String" in Cloudflare's documentation).
    Bytes,
    /// Values of one type, in order.
    Array(Box<Type>),
    /// Values of one type by byte-string key.
    Map(Box<Type>),
}

impl Type {
    /// `Array<self>`.
    pub fn array(self) -> Type {
        Type::Array(Box::new(self))
    }

    /// `Map<self>`.
    pub fn map(self) -> Type {
        Type::Map(Box::new(self))
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Bool => f.write_str("Bool"),
            Type::Int => f.write_str("Int"),
            Type::Ip => f.write_str("Ip"),
            Type::Bytes => f.write_str("String"),
            Type::Array(of) => write!(f, "Array<{of}>"),
            Type::Map(of) => write!(f, "Map<{of}>"),
        }
    }
}

/// A value, borrowed from the request or from the arena of one evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A truth value.
    Bool(bool),
    /// A number.
    Int(i64),
    /// An address.
    Ip(IpAddr),
    /// A byte string; need not be UTF-8.
    Bytes(&'a [u8]),
    /// Values of one type, in order.
    Array(&'a [Value<'a>]),
    /// Entries sorted by key bytes, each key once.
    Map(&'a [(&'a [u8], Value<'a>)]),
}

impl<'a> Value<'a> {
    /// The entry `key` of a map.
    pub fn get(self, key: &[u8]) -> Option<Value<'a>> {
        let Value::Map(entries) = self else { return None };
        let found = entries.binary_search_by(|(name, _)| (*name).cmp(key)).ok()?;
        Some(entries[found].1)
    }

    /// The element `index` of an array.
    pub fn at(self, index: usize) -> Option<Value<'a>> {
        let Value::Array(values) = self else { return None };
        values.get(index).copied()
    }
}

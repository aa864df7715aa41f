//! What the functions of the language compute (docs/protocol/rules-language.md#functions).
//!
//! Where the documentation is silent: a missing argument makes the result missing, except for `concat`, which skips it,
//! and `coalesce`. Results that are not part of an argument are built in the arena.

pub mod encoding;
mod hash;
mod json;
mod replace;
mod text;

use std::net::IpAddr;

use bumpalo::Bump;
use ipnet::IpNet;

use super::code::Prepared;
use crate::language::Function;
use crate::request::{Value, lower, upper};

/// Applies a function. Numbers and kinds of the arguments were checked; if they are wrong all the same, or a value
/// makes no sense (a negative prefix length, broken base64), the result is missing.
pub fn call<'a>(
    function: Function,
    arguments: &[Option<Value<'a>>],
    prepared: &'a Prepared,
    arena: &'a Bump,
) -> Option<Value<'a>> {
    match function {
        Function::Concat => return text::concat(arguments, arena),
        Function::Coalesce => return arguments.iter().flatten().next().copied(),
        _ if arguments.contains(&None) => return None,
        _ => {}
    }
    let arguments = Arguments(arguments);
    match function {
        Function::Concat | Function::Coalesce => None,
        Function::Cidr => cidr(arguments.ip(0)?, arguments.int(1)?, arguments.int(2)?).map(Value::Ip),
        Function::Cidr6 => cidr(arguments.ip(0)?, 32, arguments.int(1)?).map(Value::Ip),
        Function::DecodeBase64 => encoding::decode_base64(arguments.bytes(0)?, arena).map(Value::Bytes),
        Function::EncodeBase64 => {
            encoding::encode_base64(arguments.bytes(0)?, arguments.bytes(1).unwrap_or(b""), arena).map(Value::Bytes)
        }
        Function::StartsWith => Some(Value::Bool(arguments.bytes(0)?.starts_with(arguments.bytes(1)?))),
        Function::EndsWith => Some(Value::Bool(arguments.bytes(0)?.ends_with(arguments.bytes(1)?))),
        Function::HasKey => Some(Value::Bool(arguments.get(0)?.get(arguments.bytes(1)?).is_some())),
        Function::HasValue => has_value(arguments.get(0)?, arguments.get(1)?).map(Value::Bool),
        Function::HashInRange => {
            hash::in_range(arguments.int(0)?, arguments.int(1)?, arguments.from(2)).map(Value::Int)
        }
        Function::IsTimedHmacValidV0 => {
            let allowance = hash::Allowance {
                now: arguments.int(3)?,
                seconds: arguments.int(2)?,
                separator_length: arguments.int(4).unwrap_or(0),
                is_url_safe: arguments.bytes(5).is_some_and(|flags| flags.contains(&b's')),
            };
            Some(Value::Bool(hash::is_timed_hmac_valid(arguments.bytes(0)?, arguments.bytes(1)?, &allowance)))
        }
        Function::Join => text::join(arguments.array(0)?, arguments.bytes(1)?, arena).map(Value::Bytes),
        Function::Len => length(arguments.get(0)?).map(Value::Int),
        Function::LookupJsonInteger => json::integer(arguments.bytes(0)?, arguments.from(1)).map(Value::Int),
        Function::LookupJsonString => json::string(arguments.bytes(0)?, arguments.from(1), arena).map(Value::Bytes),
        Function::Lower => Some(Value::Bytes(lower(arguments.bytes(0)?, arena))),
        Function::RegexReplace => {
            let Prepared::Regex(regex) = prepared else { return None };
            Some(Value::Bytes(replace::regex_replace(arguments.bytes(0)?, regex.get()?, arguments.bytes(2)?, arena)))
        }
        Function::RemoveBytes => {
            Some(Value::Bytes(text::remove_bytes(arguments.bytes(0)?, arguments.bytes(1)?, arena)))
        }
        Function::RemoveQueryArgs => {
            Some(Value::Bytes(text::remove_query_args(arguments.bytes(0)?, arguments.from(1), arena)))
        }
        Function::Sha256 => Some(Value::Bytes(hash::sha256(arguments.bytes(0)?, arena))),
        Function::Split => text::split(arguments.bytes(0)?, arguments.bytes(1)?, arguments.int(2), arena),
        Function::Substring => {
            Some(Value::Bytes(text::substring(arguments.bytes(0)?, arguments.int(1)?, arguments.int(2))))
        }
        Function::ToString => text::to_string(arguments.get(0)?, arena).map(Value::Bytes),
        Function::Upper => Some(Value::Bytes(upper(arguments.bytes(0)?, arena))),
        Function::UpperUnicode => Some(Value::Bytes(text::upper_unicode(arguments.bytes(0)?, arena))),
        Function::UrlDecode => {
            Some(Value::Bytes(encoding::url_decode(arguments.bytes(0)?, arguments.bytes(1).unwrap_or(b""), arena)))
        }
        Function::WildcardReplace => {
            let Prepared::Wildcard(pattern) = prepared else { return None };
            Some(Value::Bytes(replace::wildcard_replace(arguments.bytes(0)?, pattern, arguments.bytes(2)?, arena)))
        }
    }
}

/// Arguments none of which is missing.
#[derive(Clone, Copy)]
pub struct Arguments<'s, 'a>(&'s [Option<Value<'a>>]);

impl<'s, 'a> Arguments<'s, 'a> {
    fn get(self, index: usize) -> Option<Value<'a>> {
        *self.0.get(index)?
    }

    fn bytes(self, index: usize) -> Option<&'a [u8]> {
        match self.get(index)? {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    fn int(self, index: usize) -> Option<i64> {
        match self.get(index)? {
            Value::Int(number) => Some(number),
            _ => None,
        }
    }

    fn ip(self, index: usize) -> Option<IpAddr> {
        match self.get(index)? {
            Value::Ip(address) => Some(address),
            _ => None,
        }
    }

    fn array(self, index: usize) -> Option<&'a [Value<'a>]> {
        match self.get(index)? {
            Value::Array(values) => Some(values),
            _ => None,
        }
    }

    fn from(self, index: usize) -> impl Iterator<Item = Value<'a>> + Clone + use<'s, 'a> {
        self.0.iter().skip(index).flatten().copied()
    }
}

/// The network of an address: its first `v4_bits` or `v6_bits` bits, by family.
fn cidr(address: IpAddr, v4_bits: i64, v6_bits: i64) -> Option<IpAddr> {
    let bits = if address.is_ipv4() { v4_bits } else { v6_bits };
    Some(IpNet::new(address, bits.try_into().ok()?).ok()?.network())
}

fn has_value(within: Value<'_>, value: Value<'_>) -> Option<bool> {
    match within {
        Value::Array(values) => Some(values.contains(&value)),
        Value::Map(entries) => Some(entries.iter().any(|(_, known)| *known == value)),
        _ => None,
    }
}

fn length(value: Value<'_>) -> Option<i64> {
    let length = match value {
        Value::Bytes(bytes) => bytes.len(),
        Value::Array(values) => values.len(),
        Value::Map(entries) => entries.len(),
        _ => return None,
    };
    i64::try_from(length).ok()
}

#[cfg(test)]
mod tests;

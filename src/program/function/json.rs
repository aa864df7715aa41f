//! `lookup_json_string` and `lookup_json_integer`.
//!
//! The text is read once from beginning to end and nothing of it is kept, so that broken text is told from a missing
//! key, and the last of several equal keys counts. Depth is limited as `serde_json` limits it.

use std::fmt;

use bumpalo::Bump;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::request::Value;

/// The number at the end of `path`; missing for `42.0`, for other kinds and for text that is not JSON.
pub fn integer<'a>(text: &[u8], path: impl Iterator<Item = Value<'a>> + Clone) -> Option<i64> {
    let mut found = None;
    look_up(text, path, &mut |leaf| {
        found = if let Leaf::Integer(number) = leaf { Some(number) } else { None };
    })?;
    found
}

/// The text at the end of `path`; missing for other kinds and for text that is not JSON.
pub fn string<'a>(text: &[u8], path: impl Iterator<Item = Value<'a>> + Clone, arena: &'a Bump) -> Option<&'a [u8]> {
    let mut found: Option<&'a [u8]> = None;
    look_up(text, path, &mut |leaf| {
        found = if let Leaf::String(text) = leaf { Some(arena.alloc_str(text).as_bytes()) } else { None };
    })?;
    found
}

/// What may be at the end of a path.
enum Leaf<'t> {
    Integer(i64),
    String(&'t str),
    Other,
}

/// Tells `found` of everything at the end of the path, in order; `None` for text that is not JSON.
fn look_up<'a>(
    text: &[u8],
    path: impl Iterator<Item = Value<'a>> + Clone,
    found: &mut dyn FnMut(Leaf<'_>),
) -> Option<()> {
    let mut json = serde_json::Deserializer::from_slice(text);
    LookUp { path, found }.deserialize(&mut json).ok()?;
    json.end().ok()
}

struct LookUp<'f, P> {
    path: P,
    found: &'f mut dyn FnMut(Leaf<'_>),
}

impl<'a, P: Iterator<Item = Value<'a>> + Clone> LookUp<'_, P> {
    fn leaf<E>(mut self, leaf: Leaf<'_>) -> Result<(), E> {
        let is_at_the_end = self.path.next().is_none();
        (self.found)(if is_at_the_end { leaf } else { Leaf::Other });
        Ok(())
    }
}

impl<'a, 'de, P: Iterator<Item = Value<'a>> + Clone> DeserializeSeed<'de> for LookUp<'_, P> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a, 'de, P: Iterator<Item = Value<'a>> + Clone> Visitor<'de> for LookUp<'_, P> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.leaf(Leaf::Other)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.leaf(Leaf::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.leaf(Leaf::Other)
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.leaf(Leaf::Integer(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.leaf(i64::try_from(number).map_or(Leaf::Other, Leaf::Integer))
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.leaf(Leaf::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        let wanted = match self.path.next() {
            Some(Value::Int(index)) => usize::try_from(index).ok(),
            _ => None,
        };
        let mut index = 0;
        loop {
            let more = if Some(index) == wanted {
                let item = LookUp { path: self.path.clone(), found: &mut *self.found };
                items.next_element_seed(item)?.is_some()
            } else {
                items.next_element::<IgnoredAny>()?.is_some()
            };
            if !more {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        let wanted = match self.path.next() {
            Some(Value::Bytes(key)) => Some(key),
            _ => None,
        };
        while let Some(is_wanted) = entries.next_key_seed(IsKey(wanted))? {
            if is_wanted {
                entries.next_value_seed(LookUp { path: self.path.clone(), found: &mut *self.found })?;
            } else {
                entries.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// Whether a key is the one that is wanted.
struct IsKey<'k>(Option<&'k [u8]>);

impl<'de> DeserializeSeed<'de> for IsKey<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsKey<'_> {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(self.0 == Some(key.as_bytes()))
    }
}

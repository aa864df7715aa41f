//! JSON whose every value knows where it stands in its text.
//!
//! `serde_json` does the parsing; a value's place is the distance of its borrowed text from the start of the whole.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

/// How deep arrays and objects may nest; what an operator writes never comes near.
const MAX_DEPTH: usize = 64;

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node<'t> {
    /// Byte offset of its first character.
    pub at: usize,
    /// The value.
    pub value: Value<'t>,
}

/// A JSON value. Numbers stay text, so that nothing of them is lost.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'t> {
    Null,
    Bool(bool),
    Number(&'t str),
    Text(Cow<'t, str>),
    Array(Vec<Node<'t>>),
    Object(Vec<Member<'t>>),
}

/// A member of an object.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Member<'t> {
    /// Byte offset of the key's opening quote.
    pub at: usize,
    pub key: Cow<'t, str>,
    pub value: Node<'t>,
}

/// Why a text is not usable JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JsonError {
    /// 1-based.
    pub line: usize,
    /// 1-based, in bytes.
    pub column: usize,
    pub message: String,
}

/// Reads a whole text.
pub(super) fn parse(text: &str) -> Result<Node<'_>, JsonError> {
    if text.starts_with('\u{feff}') {
        let message = "the file starts with a byte-order mark; save it as plain UTF-8".to_owned();
        return Err(JsonError { line: 1, column: 1, message });
    }
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| syntax_error(&error))?;
    Reader { text }.node(raw.get(), 0)
}

impl<'t> Node<'t> {
    /// The member `key` of an object; of several the last, as in JavaScript.
    pub fn get(&self, key: &str) -> Option<&Node<'t>> {
        self.members().iter().rev().find(|member| member.key == key).map(|member| &member.value)
    }

    /// The members of an object; none of anything else.
    pub fn members(&self) -> &[Member<'t>] {
        match &self.value {
            Value::Object(members) => members,
            _ => &[],
        }
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The elements, if it is an array.
    pub fn as_array(&self) -> Option<&[Node<'t>]> {
        match &self.value {
            Value::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// What JavaScript makes of it in a condition.
    pub fn is_truthy(&self) -> bool {
        match &self.value {
            Value::Null => false,
            Value::Bool(value) => *value,
            Value::Number(digits) => number(digits) != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::Array(_) | Value::Object(_) => true,
        }
    }

    /// The kind of value, for messages.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "a text",
            Value::Array(_) => "an array",
            Value::Object(_) => "an object",
        }
    }
}

/// The value of a JSON number as JavaScript reads it: too large becomes infinite.
pub(super) fn number(digits: &str) -> f64 {
    digits.parse().unwrap_or(f64::NAN)
}

struct Reader<'t> {
    text: &'t str,
}

impl<'t> Reader<'t> {
    fn node(&self, raw: &'t str, depth: usize) -> Result<Node<'t>, JsonError> {
        let at = self.offset(raw);
        if depth > MAX_DEPTH {
            return Err(self.error(at, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let value = match raw.as_bytes().first() {
            Some(b'{') => Value::Object(self.members(raw, at, depth)?),
            Some(b'[') => Value::Array(self.elements(raw, at, depth)?),
            Some(b'"') => Value::Text(self.string(raw, at)?),
            Some(b't') => Value::Bool(true),
            Some(b'f') => Value::Bool(false),
            Some(b'n') => Value::Null,
            _ => Value::Number(raw),
        };
        Ok(Node { at, value })
    }

    fn members(&self, raw: &'t str, at: usize, depth: usize) -> Result<Vec<Member<'t>>, JsonError> {
        let pairs = serde_json::Deserializer::from_str(raw).deserialize_map(Pairs);
        let pairs = pairs.map_err(|error| self.error(at, plain(&error)))?;
        pairs
            .into_iter()
            .map(|(key, value)| {
                let at = self.offset(key.get());
                let key = self.string(key.get(), at)?;
                Ok(Member { at, key, value: self.node(value.get(), depth + 1)? })
            })
            .collect()
    }

    fn elements(&self, raw: &'t str, at: usize, depth: usize) -> Result<Vec<Node<'t>>, JsonError> {
        let elements: Vec<&RawValue> = serde_json::from_str(raw).map_err(|error| self.error(at, plain(&error)))?;
        elements.into_iter().map(|element| self.node(element.get(), depth + 1)).collect()
    }

    fn string(&self, raw: &'t str, at: usize) -> Result<Cow<'t, str>, JsonError> {
        let plain_text = raw.get(1..raw.len().saturating_sub(1)).filter(|inner| !inner.contains('\\'));
        match plain_text {
            Some(inner) => Ok(Cow::Borrowed(inner)),
            None => serde_json::from_str(raw).map(Cow::Owned).map_err(|error| self.error(at, plain(&error))),
        }
    }

    /// Where a part of the text starts in it.
    fn offset(&self, part: &str) -> usize {
        part.as_ptr() as usize - self.text.as_ptr() as usize
    }

    fn error(&self, at: usize, message: String) -> JsonError {
        let (line, column) = super::place::position(self.text, at);
        JsonError { line, column, message }
    }
}

/// The members of an object, in order and with repeats.
struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Vec<(&'de RawValue, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

fn syntax_error(error: &serde_json::Error) -> JsonError {
    JsonError { line: error.line().max(1), column: error.column().max(1), message: plain(error) }
}

/// The message without serde's own " at line 1 column 2".
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_place() {
        let text = r#" {"a": [1, "x\u0041"], "b": {"c": null}} "#;
        let root = parse(text).unwrap();
        let list = root.get("a").unwrap().as_array().unwrap();
        assert_eq!(&text[list[0].at..=list[0].at], "1");
        assert_eq!(list[1].as_text(), Some("xA"));
        assert!(text[list[1].at..].starts_with(r#""x\u0041""#));
        let inner = root.get("b").unwrap();
        assert!(text[inner.members()[0].at..].starts_with("\"c\""));
    }

    #[test]
    fn the_last_of_several_members_wins() {
        assert_eq!(parse(r#"{"a":1,"a":2}"#).unwrap().get("a").unwrap().value, Value::Number("2"));
    }

    #[test]
    fn deep_nesting_is_refused_with_a_place() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(parse(&deep).unwrap_err().column, MAX_DEPTH + 2);
        assert!(parse(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn broken_text_is_refused_with_a_place() {
        for (text, line, column) in
            [("", 1, 1), ("{\n  bad", 2, 3), ("{\"a\":\n\"\\ud800\"}", 2, 1), ("\u{feff}{}", 1, 1)]
        {
            let error = parse(text).unwrap_err();
            assert_eq!((error.line, error.column), (line, column), "{text:?}: {}", error.message);
        }
    }
}

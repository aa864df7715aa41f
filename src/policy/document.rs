//! JSON and TOML whose every value knows where it stands in its text.
//!
//! `serde_json` and `toml` do the parsing. A JSON value's place is the distance of its borrowed text from the start of
//! the whole.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserializer;
use serde::de::{MapAccess, Visitor};
use serde_json::Value as Json;
use serde_json::value::RawValue;
use toml::de::{DeTable, DeValue};

/// How deep arrays and objects may nest; what an operator writes never comes near.
const MAX_DEPTH: usize = 64;

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node<'t> {
    /// Byte offset of its first character.
    pub at: usize,
    /// Byte offset after its last character.
    pub end: usize,
    /// The value.
    pub value: Value<'t>,
}

/// A value. Numbers stay text, so that nothing of them is lost.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'t> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it is written.
    Number(Cow<'t, str>),
    /// A string, without quotes and escapes.
    Text(Cow<'t, str>),
    /// An array.
    Array(Vec<Node<'t>>),
    /// An object, in the order of its text.
    Object(Vec<Member<'t>>),
}

/// A member of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Member<'t> {
    /// Bytes of the key, quotes included.
    pub span: Range<usize>,
    /// The key, without quotes and escapes.
    pub key: Cow<'t, str>,
    /// Its value.
    pub value: Node<'t>,
}

/// Why a text is not usable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Byte offset.
    pub at: usize,
    /// What is wrong.
    pub message: String,
}

/// Reads a whole JSON text.
pub fn parse_json(text: &str) -> Result<Node<'_>, SyntaxError> {
    if text.starts_with('\u{feff}') {
        let message = "the text starts with a byte-order mark; save it as plain UTF-8".to_owned();
        return Err(SyntaxError { at: 0, message });
    }
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| {
        let at = super::place::offset(text, error.line(), error.column());
        SyntaxError { at, message: plain(&error) }
    })?;
    JsonReader { text }.node(raw.get(), 0)
}

/// Reads a whole TOML text: what can be read of it, and what cannot.
pub fn parse_toml(text: &str) -> (Node<'_>, Vec<SyntaxError>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let errors = errors.iter().map(|error| SyntaxError {
        at: error.span().map_or(0, |span| span.start),
        message: error.message().replace('\n', ", "),
    });
    (toml_table(0..text.len(), table.into_inner()), errors.collect())
}

fn toml_table<'t>(span: Range<usize>, table: DeTable<'t>) -> Node<'t> {
    let members = table.into_iter().map(|(key, value)| {
        let span = value.span();
        Member { span: key.span(), key: key.into_inner(), value: toml_value(span, value.into_inner()) }
    });
    Node { at: span.start, end: span.end, value: Value::Object(members.collect()) }
}

fn toml_value<'t>(span: Range<usize>, value: DeValue<'t>) -> Node<'t> {
    let value = match value {
        DeValue::String(text) => Value::Text(text),
        DeValue::Integer(number) => Value::Number(match number.radix() {
            10 => Cow::Owned(number.as_str().to_owned()),
            radix => Cow::Owned(i64::from_str_radix(number.as_str(), radix).unwrap_or(i64::MAX).to_string()),
        }),
        DeValue::Float(number) => Value::Number(Cow::Owned(number.as_str().to_owned())),
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Datetime(time) => Value::Text(Cow::Owned(time.to_string())),
        DeValue::Array(elements) => {
            let elements = elements.into_iter().map(|element| toml_value(element.span(), element.into_inner()));
            Value::Array(elements.collect())
        }
        DeValue::Table(table) => return toml_table(span, table),
    };
    Node { at: span.start, end: span.end, value }
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

/// A JSON value that never was a text. Places count its values and keys, in order, so that [`pointer`] finds them.
pub fn node_of(json: &Json) -> Node<'_> {
    numbered(json, &mut 0)
}

fn numbered<'j>(json: &'j Json, next: &mut usize) -> Node<'j> {
    let at = *next;
    *next += 1;
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => Value::Number(Cow::Owned(number.to_string())),
        Json::String(text) => Value::Text(Cow::Borrowed(text)),
        Json::Array(elements) => Value::Array(elements.iter().map(|element| numbered(element, next)).collect()),
        Json::Object(members) => {
            let member = |(key, value): (&'j String, &'j Json)| {
                let span = *next..*next + 1;
                *next += 1;
                Member { span, key: Cow::Borrowed(key), value: numbered(value, next) }
            };
            Value::Object(members.iter().map(member).collect())
        }
    };
    Node { at, end: *next, value }
}

/// The JSON pointer (RFC 6901) of the innermost value of `root` that covers the byte `at` of its text.
pub fn pointer(root: &Node, at: usize) -> String {
    let mut pointer = String::new();
    let mut node = root;
    loop {
        let child = match &node.value {
            Value::Object(members) => {
                let inside = members.iter().find(|member| (member.span.start..member.value.end).contains(&at));
                inside.map(|member| (member.key.replace('~', "~0").replace('/', "~1"), &member.value))
            }
            Value::Array(elements) => {
                let inside = elements.iter().position(|element| (element.at..element.end).contains(&at));
                inside.and_then(|index| Some((index.to_string(), elements.get(index)?)))
            }
            _ => None,
        };
        let Some((step, inner)) = child else { return pointer };
        pointer.extend(["/", &step]);
        node = inner;
    }
}

/// Where in a text a byte of the content of a JSON string stands; `at` is the string's opening quote. Where there is no
/// text, it is there.
pub fn inside_string(text: &str, at: usize, content_offset: usize) -> usize {
    let Some(content) = text.get(at + 1..) else { return at };
    let mut passed = 0;
    let mut rest = content.char_indices();
    while let Some((position, character)) = rest.next() {
        if passed >= content_offset {
            return at + 1 + position;
        }
        let length = match (character, rest.as_str().chars().next()) {
            ('\\', Some('u')) => unicode_escape(rest.as_str()),
            ('\\', Some(_)) => (1, 1),
            (plain, _) => (plain.len_utf8(), 0),
        };
        passed += length.0;
        rest.by_ref().take(length.1).for_each(drop);
    }
    text.len()
}

/// How many bytes a `uXXXX` or `uXXXX\uXXXX` stands for, and how many characters it takes.
fn unicode_escape(escape: &str) -> (usize, usize) {
    let unit = escape.get(1..5).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    match unit {
        Some(0..=0x7f) => (1, 5),
        Some(0x80..=0x7ff) => (2, 5),
        Some(0xd800..=0xdbff) => (4, 11),
        _ => (3, 5),
    }
}

/// The value of a JSON number as JavaScript reads it: too large becomes infinite.
pub fn number(digits: &str) -> f64 {
    digits.parse().unwrap_or(f64::NAN)
}

/// A number as JavaScript prints it.
pub fn number_text(number: f64) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    if !number.is_finite() {
        let text = if number.is_nan() { "NaN" } else { "Infinity" };
        return if number < 0.0 { format!("-{text}") } else { text.to_owned() };
    }
    match number.abs() {
        1e-6..1e21 => number.to_string(),
        _ => {
            let text = format!("{number:e}");
            if text.contains("e-") { text } else { text.replace('e', "e+") }
        }
    }
}

struct JsonReader<'t> {
    text: &'t str,
}

impl<'t> JsonReader<'t> {
    fn node(&self, raw: &'t str, depth: usize) -> Result<Node<'t>, SyntaxError> {
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
            _ => Value::Number(Cow::Borrowed(raw)),
        };
        Ok(Node { at, end: at + raw.len(), value })
    }

    fn members(&self, raw: &'t str, at: usize, depth: usize) -> Result<Vec<Member<'t>>, SyntaxError> {
        let pairs = serde_json::Deserializer::from_str(raw).deserialize_map(Pairs);
        let pairs = pairs.map_err(|error| self.error(at, plain(&error)))?;
        pairs
            .into_iter()
            .map(|(key, value)| {
                let at = self.offset(key.get());
                let span = at..at + key.get().len();
                let key = self.string(key.get(), at)?;
                Ok(Member { span, key, value: self.node(value.get(), depth + 1)? })
            })
            .collect()
    }

    fn elements(&self, raw: &'t str, at: usize, depth: usize) -> Result<Vec<Node<'t>>, SyntaxError> {
        let elements: Vec<&RawValue> = serde_json::from_str(raw).map_err(|error| self.error(at, plain(&error)))?;
        elements.into_iter().map(|element| self.node(element.get(), depth + 1)).collect()
    }

    fn string(&self, raw: &'t str, at: usize) -> Result<Cow<'t, str>, SyntaxError> {
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

    fn error(&self, at: usize, message: String) -> SyntaxError {
        SyntaxError { at, message }
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
        let root = parse_json(text).unwrap();
        let list = root.get("a").unwrap().as_array().unwrap();
        assert_eq!(&text[list[0].at..=list[0].at], "1");
        assert_eq!(list[1].as_text(), Some("xA"));
        assert!(text[list[1].at..].starts_with(r#""x\u0041""#));
        let inner = root.get("b").unwrap();
        assert!(text[inner.members()[0].span.start..].starts_with("\"c\""));
    }

    #[test]
    fn a_place_has_a_pointer() {
        let text = r#"{"a": [1, {"b/c": "x"}], "d": 2}"#;
        let root = parse_json(text).unwrap();
        for (part, expected) in [("{", ""), ("1", "/a/0"), ("\"x", "/a/1/b~1c"), ("b/c", "/a/1/b~1c"), ("2", "/d")] {
            assert_eq!(pointer(&root, text.find(part).unwrap()), expected, "{part}");
        }
    }

    #[test]
    fn what_never_was_a_text_has_the_pointers_of_its_text() {
        fn places<'n>(node: &'n Node<'n>, all: &mut Vec<&'n Node<'n>>) {
            all.push(node);
            node.members().iter().for_each(|member| places(&member.value, all));
            node.as_array().unwrap_or_default().iter().for_each(|element| places(element, all));
        }
        let json =
            serde_json::json!({"a": [1, {"b/c": "x", "": []}, {}], "d": null, "e": {"f": {"g": [true]}}, "": 0.5});
        let text = json.to_string();
        let (parsed, told) = (parse_json(&text).unwrap(), node_of(&json));
        let (mut of_text, mut of_value) = (Vec::new(), Vec::new());
        places(&parsed, &mut of_text);
        places(&told, &mut of_value);
        assert_eq!(of_text.len(), of_value.len());
        for (one, other) in of_text.into_iter().zip(of_value) {
            assert_eq!(one.kind(), other.kind());
            assert_eq!(pointer(&parsed, one.at), pointer(&told, other.at), "{one:?}");
        }
    }

    #[test]
    fn a_place_in_a_string_is_found_behind_escapes() {
        let text = r#" "a\"é\u00e9\ud83d\ude00z" "#;
        let content = parse_json(text).unwrap();
        let content = content.as_text().unwrap();
        for (wanted, found) in [("a", "a"), ("\"", "\\\""), ("é", "é"), ("😀", "\\ud83d"), ("z", "z")] {
            let at = inside_string(text, 1, content.find(wanted).unwrap());
            assert!(text[at..].starts_with(found), "{wanted}: {}", &text[at..]);
        }
        assert!(text[inside_string(text, 1, content.len())..].starts_with('"'));
    }

    #[test]
    fn the_last_of_several_members_wins() {
        assert_eq!(parse_json(r#"{"a":1,"a":2}"#).unwrap().get("a").unwrap().value, Value::Number(Cow::Borrowed("2")));
    }

    #[test]
    fn deep_nesting_is_refused_with_a_place() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(parse_json(&deep).unwrap_err().at, MAX_DEPTH + 1);
        assert!(parse_json(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn broken_text_is_refused_with_a_place() {
        for (text, at) in [("", 0), ("{\n  bad", 4), ("{\"a\":\n\"\\ud800\"}", 6), ("\u{feff}{}", 0)] {
            let error = parse_json(text).unwrap_err();
            assert_eq!(error.at, at, "{text:?}: {}", error.message);
        }
    }

    #[test]
    fn numbers_print_as_in_javascript() {
        let cases = [
            ("1", "1"),
            ("12.5", "12.5"),
            ("1.0", "1"),
            ("-0.0", "0"),
            ("2147483648", "2147483648"),
            ("9007199254740993", "9007199254740992"),
            ("123456789012345678901", "123456789012345680000"),
            ("1e21", "1e+21"),
            ("1.5e300", "1.5e+300"),
            ("1e400", "Infinity"),
            ("-1e400", "-Infinity"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1e-7"),
            ("1.25e-9", "1.25e-9"),
            ("-3", "-3"),
        ];
        for (written, printed) in cases {
            assert_eq!(number_text(number(written)), printed, "{written}");
        }
    }
}

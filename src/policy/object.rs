//! Objects whose fields are told once: from one table come the struct, its JSON Schema, the reader that reports everything
//! wrong with it, and what forms have to know of it.

use schemars::Schema;
use serde_json::{Value as Json, json};

use super::document::Node;
use super::fields::Fields;

/// What may stand in a field, besides what its type says.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// What its value looks like.
    pub shape: Shape,
    /// Counts where nothing is said.
    default: Option<Default>,
    /// What to say where nothing is said, and something must be.
    required: Option<&'static str>,
    /// Whether it is kept, and nothing acts on it yet.
    pub is_idle: bool,
    /// What changes nothing of that, where it is said.
    usual: Option<&'static str>,
}

/// What a value looks like.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// A text, or several.
    Text,
    /// True or false.
    Flag,
    /// A whole number in a range.
    Number {
        /// Included.
        least: u32,
        /// Included.
        most: u32,
    },
    /// One of these numbers, which ascend.
    Numbers(&'static [u32]),
    /// One of these words.
    Words(&'static [&'static str]),
    /// An object, or several, with a table of its own.
    Inner(&'static [(&'static str, Rule)]),
}

#[derive(Clone, Copy, Debug)]
enum Default {
    Text(&'static str),
    Number(u32),
}

impl Rule {
    /// Any text.
    pub const TEXT: Rule = Rule::of(Shape::Text);
    /// True or false.
    pub const FLAG: Rule = Rule::of(Shape::Flag);

    /// With a value of this shape.
    pub const fn of(shape: Shape) -> Rule {
        Rule { shape, default: None, required: None, is_idle: false, usual: None }
    }

    /// With a whole number, both ends included.
    pub const fn number(least: u32, most: u32) -> Rule {
        Rule::of(Shape::Number { least, most })
    }

    /// With one of these words.
    pub const fn words(words: &'static [&'static str]) -> Rule {
        Rule::of(Shape::Words(words))
    }

    /// With a text that counts where nothing is said.
    pub const fn or(self, default: &'static str) -> Rule {
        Rule { default: Some(Default::Text(default)), ..self }
    }

    /// With a number that counts where nothing is said.
    pub const fn or_number(self, default: u32) -> Rule {
        Rule { default: Some(Default::Number(default)), ..self }
    }

    /// Of which something must be said.
    pub const fn required(self, help: &'static str) -> Rule {
        Rule { required: Some(help), ..self }
    }

    /// Which is kept, and nothing acts on it yet.
    pub const fn idle(self) -> Rule {
        Rule { is_idle: true, ..self }
    }

    /// Which is idle unless this is said.
    pub const fn idle_but(self, usual: &'static str) -> Rule {
        Rule { usual: Some(usual), ..self.idle() }
    }

    /// What counts where nothing is said.
    pub fn default(&self) -> Option<Json> {
        self.default.map(|default| match default {
            Default::Text(text) => json!(text),
            Default::Number(number) => json!(number),
        })
    }

    /// Whether a value that was read says something.
    fn says_something(&self, value: &Json) -> bool {
        let is_nothing = match value {
            Json::Null | Json::Bool(false) => true,
            Json::String(text) => text.is_empty() || self.usual == Some(text),
            Json::Array(elements) => elements.is_empty(),
            _ => false,
        };
        !is_nothing && self.default().as_ref() != Some(value)
    }
}

/// An object with a table.
pub trait Table: Sized {
    /// Its fields, in order.
    const FIELDS: &'static [(&'static str, Rule)];

    /// Reads all of them; everything wrong with them is reported.
    fn read(fields: &Fields) -> Self;
}

/// A struct of fields with rules.
macro_rules! object {
    (
        $(#[$attribute:meta])*
        pub struct $name:ident {
            $( $(#[$of_field:meta])* $key:ident: $type:ty = $rule:expr; )*
        }
    ) => {
        $(#[$attribute])*
        pub struct $name {
            $( $(#[$of_field])* pub $key: $type, )*
        }

        impl $crate::policy::object::Table for $name {
            const FIELDS: &'static [(&'static str, $crate::policy::object::Rule)] = &[
                $( (stringify!($key), $rule), )*
            ];

            fn read(fields: &$crate::policy::fields::Fields) -> Self {
                $name { $( $key: $crate::policy::object::read(fields, stringify!($key), &$rule), )* }
            }
        }
    };
}
pub(crate) use object;

/// The value of a field, as its rule has it.
pub(crate) fn read<T: Value>(fields: &Fields, key: &'static str, rule: &Rule) -> T {
    if let Some(help) = rule.required {
        fields.required(key, help);
    }
    T::read(fields, key, rule).unwrap_or_else(|| T::unsaid(rule))
}

/// What a field can hold.
pub(crate) trait Value: Sized {
    /// What is said, if it is good.
    fn read(fields: &Fields, key: &'static str, rule: &Rule) -> Option<Self>;

    /// What counts where nothing is said.
    fn unsaid(rule: &Rule) -> Self;
}

impl Value for String {
    fn read(fields: &Fields, key: &'static str, rule: &Rule) -> Option<String> {
        match rule.shape {
            Shape::Words(words) => fields.word(key, words).map(str::to_owned),
            _ => fields.text(key),
        }
    }

    fn unsaid(rule: &Rule) -> String {
        match rule.default {
            Some(Default::Text(text)) => text.to_owned(),
            _ => String::new(),
        }
    }
}

impl Value for bool {
    fn read(fields: &Fields, key: &'static str, _: &Rule) -> Option<bool> {
        fields.flag(key)
    }

    fn unsaid(_: &Rule) -> bool {
        false
    }
}

impl Value for u32 {
    fn read(fields: &Fields, key: &'static str, rule: &Rule) -> Option<u32> {
        match rule.shape {
            Shape::Number { least, most } => fields.number(key, least..=most),
            Shape::Numbers(numbers) => fields.one_of(key, numbers),
            _ => fields.number(key, 0..=u32::MAX),
        }
    }

    fn unsaid(rule: &Rule) -> u32 {
        match rule.default {
            Some(Default::Number(number)) => number,
            _ => 0,
        }
    }
}

impl Value for Vec<String> {
    fn read(fields: &Fields, key: &'static str, _: &Rule) -> Option<Vec<String>> {
        Some(fields.texts(key).into_iter().map(|(text, _)| text).collect())
    }

    fn unsaid(_: &Rule) -> Vec<String> {
        Vec::new()
    }
}

impl<T: Table> Value for Vec<T> {
    fn read(fields: &Fields, key: &'static str, _: &Rule) -> Option<Vec<T>> {
        let elements = fields.get(key).and_then(|node| fields.elements_of(node))?.iter();
        let read = elements.filter_map(|element| {
            let inner = Fields::new(fields.file, element, fields.subject.clone())?;
            let value = <T as Table>::read(&inner);
            inner.finish();
            Some(value)
        });
        Some(read.collect())
    }

    fn unsaid(_: &Rule) -> Vec<T> {
        Vec::new()
    }
}

impl<T: Value> Value for Option<T> {
    fn read(fields: &Fields, key: &'static str, rule: &Rule) -> Option<Option<T>> {
        T::read(fields, key, rule).map(Some)
    }

    fn unsaid(_: &Rule) -> Option<T> {
        None
    }
}

impl<T: Table + std::default::Default> Value for T {
    fn read(fields: &Fields, key: &'static str, _: &Rule) -> Option<T> {
        let inner = fields.table(key)?;
        let value = <T as Table>::read(&inner);
        inner.finish();
        Some(value)
    }

    fn unsaid(_: &Rule) -> T {
        T::default()
    }
}

/// Writes the rules of a table into the schema that its types have.
pub(crate) fn constrain<T: Table>(schema: &mut Schema) {
    for (key, rule) in T::FIELDS {
        let Some(property) = schema.pointer_mut(&format!("/properties/{key}")).and_then(Json::as_object_mut) else {
            continue;
        };
        let may_be_null =
            property.get("type").and_then(Json::as_array).is_some_and(|types| types.contains(&json!("null")));
        match rule.shape {
            Shape::Number { least, most } => {
                property.insert("minimum".to_owned(), json!(least));
                if most < u32::MAX {
                    property.insert("maximum".to_owned(), json!(most));
                }
            }
            Shape::Numbers(numbers) => _ = property.insert("enum".to_owned(), json!(numbers)),
            Shape::Words(words) => {
                let words = words.iter().map(|word| json!(word)).chain(may_be_null.then_some(Json::Null));
                property.insert("enum".to_owned(), words.collect());
            }
            Shape::Text | Shape::Flag | Shape::Inner(_) => {}
        }
        if let Some(default) = rule.default() {
            property.insert("default".to_owned(), default);
            if let Some(required) = schema.get_mut("required").and_then(Json::as_array_mut) {
                required.retain(|required| required != key);
            }
        }
    }
}

/// The fields of an object, as it was read, that say something, are idle, and stand in its text: their paths and
/// places.
pub(crate) fn idle<'n, 't>(
    table: &[(&'static str, Rule)],
    value: &Json,
    node: &'n Node<'t>,
) -> Vec<(String, &'n Node<'t>)> {
    let mut found = Vec::new();
    for (key, rule) in table {
        let (Some(value), Some(node)) = (value.get(key), node.get(key)) else { continue };
        match rule.shape {
            Shape::Inner(inner) => {
                found.extend(idle(inner, value, node).into_iter().map(|(path, node)| (format!("{key}.{path}"), node)));
            }
            _ if rule.is_idle && rule.says_something(value) => found.push(((*key).to_owned(), node)),
            _ => {}
        }
    }
    found
}

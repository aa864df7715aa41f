//! Reading an object key by key, so that everything wrong with it is reported in one run.

use std::cell::RefCell;
use std::ops::RangeInclusive;

use super::document::{Node, Value};
use super::finding::{File, did_you_mean};
use crate::language::{Code, Diagnostic};

/// An object of which keys are asked for; what was not asked for is unknown.
pub struct Fields<'n, 't, 's> {
    /// Where it stands, and where problems go.
    pub file: File<'s>,
    /// The object.
    pub node: &'n Node<'t>,
    /// What the problems are about.
    pub subject: String,
    asked: RefCell<Vec<&'static str>>,
}

impl<'n, 't, 's> Fields<'n, 't, 's> {
    /// `None`, and reported, if the node is no object.
    pub fn new(file: File<'s>, node: &'n Node<'t>, subject: impl Into<String>) -> Option<Self> {
        let fields = Fields { file, node, subject: subject.into(), asked: RefCell::default() };
        match node.value {
            Value::Object(_) => Some(fields),
            _ => fields.expected(node, "an object"),
        }
    }

    /// The value of a key; null counts as absent, as the API has it.
    pub fn get(&self, key: &'static str) -> Option<&'n Node<'t>> {
        self.asked.borrow_mut().push(key);
        self.node.get(key).filter(|node| node.value != Value::Null)
    }

    /// The value of a key that must be there.
    pub fn required(&self, key: &'static str, help: &str) -> Option<&'n Node<'t>> {
        let found = self.get(key);
        if found.is_none() {
            self.problem(self.node, Diagnostic::error(Code::MissingKey, format!("`{key}` is missing")).help(help));
        }
        found
    }

    /// A text.
    pub fn text(&self, key: &'static str) -> Option<String> {
        self.text_of(self.get(key)?)
    }

    /// `true` or `false`.
    pub fn flag(&self, key: &'static str) -> Option<bool> {
        let node = self.get(key)?;
        match node.value {
            Value::Bool(value) => Some(value),
            _ => self.expected(node, "true or false"),
        }
    }

    /// A whole number within a range.
    pub fn number(&self, key: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        let node = self.get(key)?;
        let Value::Number(digits) = &node.value else { return self.expected(node, "a number") };
        let number = digits.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let message = format!("`{key}` must be a whole number from {} to {}", range.start(), range.end());
            self.problem(node, Diagnostic::error(Code::BadValue, message));
        }
        number
    }

    /// One of several words.
    pub fn choice<T: Copy>(&self, key: &'static str, words: &[(&'static str, T)]) -> Option<T> {
        let node = self.get(key)?;
        let text = self.text_of(node)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let known = words.iter().map(|(word, _)| *word);
            let all = known.clone().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
            let problem = Diagnostic::error(Code::BadValue, format!("`{key}` cannot be `{text}`"));
            self.problem(node, problem.help(did_you_mean(&text, known).unwrap_or(format!("it is one of {all}"))));
        }
        found
    }

    /// One of several words, as it is.
    pub fn word(&self, key: &'static str, words: &[&'static str]) -> Option<&'static str> {
        let words: Vec<(&'static str, &'static str)> = words.iter().map(|word| (*word, *word)).collect();
        self.choice(key, &words)
    }

    /// One of several numbers, which ascend; another one is reported, and counts all the same.
    pub fn one_of(&self, key: &'static str, numbers: &[u32]) -> Option<u32> {
        let (least, most) = (*numbers.first()?, *numbers.last()?);
        let number = self.number(key, least..=most)?;
        if let (false, Some(node)) = (numbers.contains(&number), self.get(key)) {
            let but_last: Vec<String> = numbers[..numbers.len() - 1].iter().map(u32::to_string).collect();
            let help = format!("it is {} or {most}", but_last.join(", "));
            self.bad_value(node, format!("`{key}` cannot be {number}"), &help);
        }
        Some(number)
    }

    /// A text of one's own form, such as an address.
    pub fn parsed<T: std::str::FromStr>(&self, key: &'static str, form: &str) -> Option<T> {
        let node = self.get(key)?;
        let text = self.text_of(node)?;
        let value = text.parse().ok();
        if value.is_none() {
            let message = format!("`{key}` must be {form}");
            self.problem(node, Diagnostic::error(Code::BadValue, message));
        }
        value
    }

    /// Texts in an array; none where the key is absent.
    pub fn texts(&self, key: &'static str) -> Vec<(String, &'n Node<'t>)> {
        let elements = self.get(key).and_then(|node| self.elements_of(node)).unwrap_or_default();
        elements.iter().filter_map(|element| Some((self.text_of(element)?, element))).collect()
    }

    /// An object below this one.
    pub fn table(&self, key: &'static str) -> Option<Fields<'n, 't, 's>> {
        Fields::new(self.file, self.get(key)?, self.subject.clone())
    }

    /// The elements of an array; anything else is reported.
    pub fn elements_of(&self, node: &'n Node<'t>) -> Option<&'n [Node<'t>]> {
        node.as_array().or_else(|| self.expected(node, "an array"))
    }

    /// The text that a node is; anything else is reported.
    pub fn text_of(&self, node: &Node) -> Option<String> {
        match node.as_text() {
            Some(text) => Some(text.to_owned()),
            None => self.expected(node, "a text"),
        }
    }

    /// Reports that a node is of another type than `expected`.
    pub fn expected<T>(&self, node: &Node, expected: &str) -> Option<T> {
        let message = format!("expected {expected}, found {}", node.kind());
        self.problem(node, Diagnostic::error(Code::WrongType, message));
        None
    }

    /// Reports a value that cannot be.
    pub fn bad_value(&self, node: &Node, message: impl Into<String>, help: &str) {
        self.problem(node, Diagnostic::error(Code::BadValue, message).help(help));
    }

    /// Reports a problem of this object.
    pub fn problem(&self, node: &Node, problem: Diagnostic) {
        // An object or array is pointed at, not underlined.
        let end = if matches!(node.value, Value::Object(_) | Value::Array(_)) { node.at + 1 } else { node.end };
        self.file.add(node.at..end, problem.about(&self.subject));
    }

    /// Reports the keys that nobody asked for, and those that are given twice.
    pub fn finish(self) {
        let asked = self.asked.borrow();
        let members = self.node.members();
        for (index, member) in members.iter().enumerate() {
            if members[..index].iter().any(|earlier| earlier.key == member.key) {
                let problem = Diagnostic::error(Code::Duplicate, format!("the key `{}` is given twice", member.key));
                self.file.add(member.span.clone(), problem.about(&self.subject));
            }
            if !asked.contains(&member.key.as_ref()) {
                let problem = Diagnostic::error(Code::UnknownKey, format!("there is no key `{}` here", member.key))
                    .maybe_help(did_you_mean(&member.key, asked.iter().copied()));
                self.file.add(member.span.clone(), problem.about(&self.subject));
            }
        }
    }
}

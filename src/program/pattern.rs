//! Regular expressions as programs hold them.

use std::sync::OnceLock;

use regex::bytes::Regex;
use serde::{Deserialize, Serialize};

use super::literal;
use crate::language::expression::Pattern;

/// A regular expression that was compiled when it was read, or is compiled when it is first needed.
#[derive(Debug, Serialize, Deserialize)]
pub struct LazyRegex {
    /// Needs no tables of Unicode classes, so that a small host that loads programs can do without them.
    text: Box<str>,
    /// `None` where the text is no regular expression, which a checked one always is.
    #[serde(skip)]
    compiled: OnceLock<Option<Regex>>,
}

impl LazyRegex {
    /// As yet only text.
    pub fn new(text: &str) -> LazyRegex {
        LazyRegex { text: text.into(), compiled: OnceLock::new() }
    }

    /// What it matches; `None` if it is no regular expression.
    #[inline]
    pub fn get(&self) -> Option<&Regex> {
        self.compiled.get_or_init(|| Pattern::compile(&self.text).ok()).as_ref()
    }
}

impl From<&Pattern> for LazyRegex {
    fn from(pattern: &Pattern) -> LazyRegex {
        let text = literal::spelled_out(&pattern.text).unwrap_or_else(|| pattern.text.clone());
        LazyRegex { text: text.into(), compiled: OnceLock::from(Some(pattern.regex.clone())) }
    }
}

/// The right side of `matches`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Matching {
    regex: LazyRegex,
    required: Box<[Box<[u8]>]>,
}

impl Matching {
    pub fn new(pattern: &Pattern) -> Matching {
        Matching { regex: pattern.into(), required: literal::required(&pattern.text).into() }
    }

    /// Texts of which every match holds at least one; none if nothing is known.
    pub fn required(&self) -> &[Box<[u8]>] {
        &self.required
    }

    #[inline]
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.regex.get().is_some_and(|regex| regex.is_match(text))
    }
}

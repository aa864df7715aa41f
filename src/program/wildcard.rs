//! Wildcard patterns: `*` is any number of bytes, everything else stands for itself, and the whole value must match.

use std::ops::Range;

use bumpalo::Bump;
use serde::{Deserialize, Serialize};

use super::substring::Substring;
use crate::language::expression::Wildcard;
use crate::request::lower;

/// A pattern, cut at its stars.
#[derive(Debug, Serialize, Deserialize)]
pub struct WildcardPattern {
    strict: bool,
    #[serde(with = "serde_bytes")]
    first: Box<[u8]>,
    rest: Option<AfterStar>,
}

/// What follows the first star.
#[derive(Debug, Serialize, Deserialize)]
struct AfterStar {
    middle: Box<[Substring]>,
    #[serde(with = "serde_bytes")]
    last: Box<[u8]>,
}

impl WildcardPattern {
    /// Prepares a checked pattern.
    pub fn new(wildcard: &Wildcard) -> Self {
        let mut segments = wildcard.segments();
        if !wildcard.strict {
            segments.iter_mut().for_each(|segment| segment.make_ascii_lowercase());
        }
        let mut segments = segments.into_iter();
        let first = segments.next().unwrap_or_default().into();
        let rest = segments
            .next_back()
            .map(|last| AfterStar { middle: segments.map(Substring::new).collect(), last: last.into() });
        WildcardPattern { strict: wildcard.strict, first, rest }
    }

    /// Whether letters of either case differ.
    pub fn is_strict(&self) -> bool {
        self.strict
    }

    /// The longest text that every match holds, in lower case unless the pattern is strict.
    pub fn longest_segment(&self) -> &[u8] {
        let after = self
            .rest
            .iter()
            .flat_map(|rest| rest.middle.iter().map(Substring::text).chain(std::iter::once(rest.last.as_ref())));
        after.chain(std::iter::once(self.first.as_ref())).max_by_key(|segment| segment.len()).unwrap_or_default()
    }

    /// Whether the whole of `value` matches.
    pub fn matches(&self, value: &[u8], arena: &Bump) -> bool {
        self.match_stars(value, arena, |_| {})
    }

    /// Whether the whole of `value` matches, and for each star what it stands for: as little as possible, the first
    /// star first. Stars are told as they are found, even if in the end there is no match.
    pub fn match_stars(&self, value: &[u8], arena: &Bump, mut on_star: impl FnMut(Range<usize>)) -> bool {
        let value = if self.strict { value } else { lower(value, arena) };
        let Some(rest) = &self.rest else { return *value == *self.first };
        if !value.starts_with(&self.first) || !value[self.first.len()..].ends_with(&rest.last) {
            return false;
        }
        let mut at = self.first.len();
        let end = value.len() - rest.last.len();
        for segment in &rest.middle {
            let Some(found) = segment.find(&value[at..end]) else { return false };
            on_star(at..at + found);
            at += found + segment.text().len();
        }
        on_star(at..end);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str, strict: bool) -> WildcardPattern {
        WildcardPattern::new(&Wildcard { pattern: text.as_bytes().into(), strict })
    }

    #[test]
    fn whole_values_match() {
        let arena = Bump::new();
        for (text, value, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "abc", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c", "ac", true),
            ("ab*ba", "aba", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "acb", false),
            ("*b*", "abc", true),
            ("a?c", "abc", false),
            (r"a\*c", "a*c", true),
            (r"a\*c", "abc", false),
            (r"a\\*", r"a\bc", true),
            ("*aab", "aaaab", true),
        ] {
            assert_eq!(pattern(text, true).matches(value.as_bytes(), &arena), expected, "{text} {value}");
        }
        assert!(pattern("/API/*", false).matches(b"/api/X", &arena));
        assert!(!pattern("/API/*", true).matches(b"/api/X", &arena));
        assert!(!pattern("É", false).matches("é".as_bytes(), &arena));
    }

    #[test]
    fn stars_take_as_little_as_they_can() {
        let arena = Bump::new();
        let mut stars = Vec::new();
        assert!(pattern("*/*x*", true).match_stars(b"a/b/xx", &arena, |star| stars.push(star)));
        assert_eq!(stars, [0..1, 2..4, 5..6]);
    }
}

//! Searching for one piece of text.

use memchr::memmem;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A piece of text to search for, and where in it its rarest byte is.
///
/// The texts of a request are short, and most do not hold the piece: one look for a byte that is rare in such texts
/// tells so sooner than a searcher that is made for long ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Substring {
    text: Box<[u8]>,
    rare_at: usize,
}

impl Substring {
    /// How often the rare byte may turn out to stand elsewhere before a search is left to the linear-time searcher.
    const FALSE_ALARMS: usize = 8;

    /// Prepares a search.
    pub fn new(text: impl Into<Box<[u8]>>) -> Self {
        let text = text.into();
        let rarest = (0..text.len()).min_by_key(|&at| commonness(text[at]));
        Substring { rare_at: rarest.unwrap_or(0), text }
    }

    /// What is searched for.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Whether `within` holds it.
    pub fn is_in(&self, within: &[u8]) -> bool {
        self.find(within).is_some()
    }

    /// Where it begins in `within` for the first time.
    pub fn find(&self, within: &[u8]) -> Option<usize> {
        let Some(&rare) = self.text.get(self.rare_at) else { return Some(0) };
        let last_start = within.len().checked_sub(self.text.len())?;
        let window = &within[self.rare_at..=last_start + self.rare_at];
        for (alarm, start) in memchr::memchr_iter(rare, window).enumerate() {
            if alarm == Self::FALSE_ALARMS {
                return memmem::find(&within[start..], &self.text).map(|at| start + at);
            }
            if within[start..start + self.text.len()] == *self.text {
                return Some(start);
            }
        }
        None
    }
}

impl Serialize for Substring {
    /// As its text.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.text)
    }
}

impl<'de> Deserialize<'de> for Substring {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_bytes::deserialize::<Box<[u8]>, D>(deserializer).map(Substring::new)
    }
}

/// A guess at how common a byte is in URLs and headers; what is in no list is the rarest.
pub fn commonness(byte: u8) -> usize {
    static OF: [u8; 256] = by_commonness();
    usize::from(OF[usize::from(byte)])
}

const fn by_commonness() -> [u8; 256] {
    const COMMON: &[u8] = b"jqzxkvwybgupfmdc,lhrsnitoae0123456789;:?&=%_-. /";
    let mut of = [0; 256];
    let mut rank = 0;
    while rank < COMMON.len() {
        let byte = COMMON[rank];
        of[byte as usize] = 2 * rank as u8 + 2;
        if byte.is_ascii_lowercase() {
            // Upper case is rarer than lower case.
            of[byte.to_ascii_uppercase() as usize] = 2 * rank as u8 + 1;
        }
        rank += 1;
    }
    of
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_there() {
        for (text, within, expected) in [
            ("", "", Some(0)),
            ("", "a", Some(0)),
            ("a", "", None),
            ("a", "a", Some(0)),
            ("abc", "ab", None),
            ("abc", "xxabc", Some(2)),
            ("abc", "abcabc", Some(0)),
            ("kk", "kakbkk", Some(4)),
            ("xa", "xbxbxbxbxbxbxbxbxbxbxaxb", Some(20)),
            ("ax", "xxxxxxxxxxxxxxxxxxxxxxax", Some(22)),
            ("ax", "xxxxxxxxxxxxxxxxxxxxxxbx", None),
        ] {
            assert_eq!(Substring::new(text.as_bytes()).find(within.as_bytes()), expected, "{text} in {within}");
        }
    }
}

//! What predicates are looked up by.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::language::expression::{Literal, Relation};
use crate::program::code::{Code, Set, Test};

/// What a predicate is looked up by.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key<'c> {
    Equal(&'c [u8]),
    Prefix(&'c [u8]),
    Suffix(Cow<'c, [u8]>),
    Part(&'c [u8]),
    /// In either case; written in lower case.
    FoldedPart(&'c [u8]),
    Ints(i64, i64),
    V4(u32, u32),
    V6(u128, u128),
}

/// What a predicate is looked up by, one or many.
pub enum Keys<'c> {
    One(Key<'c>),
    Parts(&'c [Box<[u8]>]),
    Set(&'c Set),
    None,
}

/// The keys of which a value has one if it passes the test; `None` where no table tells.
pub fn keys<'c>(test: &'c Test, code: &'c Code) -> Option<Keys<'c>> {
    let keys = match test {
        Test::Equal(text) => Keys::One(Key::Equal(text)),
        Test::Prefix(text) => Keys::One(Key::Prefix(text)),
        Test::Suffix(text) => Keys::One(Key::Suffix(Cow::Borrowed(text))),
        Test::Contains(text) => Keys::One(Key::Part(text.text())),
        Test::Wildcard(pattern) if pattern.is_strict() => Keys::One(Key::Part(pattern.longest_segment())),
        Test::Wildcard(pattern) => Keys::One(Key::FoldedPart(pattern.longest_segment())),
        Test::Matches(matching) if matching.required().is_empty() => return None,
        Test::Matches(matching) => Keys::Parts(matching.required()),
        Test::Order(Relation::Eq, Literal::Int(number)) => Keys::One(Key::Ints(*number, *number)),
        Test::Order(Relation::Eq, Literal::Ip(IpAddr::V4(address))) => {
            Keys::One(Key::V4(address.to_bits(), address.to_bits()))
        }
        Test::Order(Relation::Eq, Literal::Ip(IpAddr::V6(address))) => {
            Keys::One(Key::V6(address.to_bits(), address.to_bits()))
        }
        Test::In(set) => Keys::Set(code.set(*set)),
        Test::Nothing => Keys::None,
        Test::Order(..) | Test::OrderWith(..) | Test::Bits(_) => return None,
    };
    // Every text has an empty part, and a trigger's map has an empty text wherever a key is missing.
    (!keys.hold_empty_text()).then_some(keys)
}

impl<'c> Keys<'c> {
    fn hold_empty_text(&self) -> bool {
        match self {
            Keys::One(Key::Equal(text) | Key::Prefix(text) | Key::Part(text) | Key::FoldedPart(text)) => {
                text.is_empty()
            }
            Keys::One(Key::Suffix(text)) => text.is_empty(),
            Keys::Parts(texts) => texts.iter().any(|text| text.is_empty()),
            Keys::Set(Set::Bytes(set)) => set.has(b""),
            Keys::Set(Set::Hostnames(set)) => set.exact.has(b""),
            Keys::One(Key::Ints(..) | Key::V4(..) | Key::V6(..)) | Keys::Set(Set::Ints(_) | Set::Ips(_)) => false,
            Keys::None => false,
        }
    }

    pub fn for_each(self, mut file: impl FnMut(Key<'c>)) {
        match self {
            Keys::One(key) => file(key),
            Keys::Parts(texts) => texts.iter().for_each(|text| file(Key::Part(text))),
            Keys::Set(Set::Bytes(set)) => set.strings().for_each(|text| file(Key::Equal(text))),
            Keys::Set(Set::Hostnames(set)) => {
                set.exact.strings().for_each(|text| file(Key::Equal(text)));
                set.parents.strings().for_each(|name| file(Key::Suffix([b".", name].concat().into())));
            }
            Keys::Set(Set::Ints(set)) => set.bounds().iter().for_each(|&(first, last)| file(Key::Ints(first, last))),
            Keys::Set(Set::Ips(set)) => {
                set.v4.bounds().iter().for_each(|&(first, last)| file(Key::V4(first, last)));
                set.v6.bounds().iter().for_each(|&(first, last)| file(Key::V6(first, last)));
            }
            Keys::None => {}
        }
    }
}

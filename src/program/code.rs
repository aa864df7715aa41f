//! What a program is made of. Parts refer to one another by index; the same part occurs once.

use serde::{Deserialize, Serialize};

use super::pattern::{LazyRegex, Matching};
use super::sets::{ByteSet, HostnameSet, IpSet, Ranges};
use super::substring::Substring;
use super::wildcard::WildcardPattern;
use crate::language::Function;
use crate::language::expression::{Connective, Index, Literal, Quantifier, Relation, Wildcard};
use crate::request::FieldId;

/// Refers to a [`Source`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SourceId(pub u32);

/// Refers to a [`Predicate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PredicateId(pub u32);

/// Refers to a [`Set`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SetId(pub u32);

/// A condition; its shape is that of the expression's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    Constant(bool),
    Test(PredicateId),
    Not(Box<Node>),
    Chain(Connective, Box<[Node]>),
}

/// Something that is true or false of a request, found out at most once. With `each` it is true or false of every
/// element of the source's value, and is not remembered.
#[derive(Debug, Serialize, Deserialize)]
pub enum Predicate {
    /// The value is true.
    Truth { source: SourceId, each: bool },
    /// The value passes a test.
    Compare { source: SourceId, test: Test, each: bool },
    /// Any or every element of a condition with `each`.
    Quantified(Quantifier, Node),
}

/// Where a value comes from; computed at most once for a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Source {
    /// A field, whole.
    Field(FieldId),
    /// An entry of a field that is a map.
    Entry(FieldId, #[serde(with = "serde_bytes")] Box<[u8]>),
    /// An entry of another source's map.
    Key(SourceId, #[serde(with = "serde_bytes")] Box<[u8]>),
    /// An element of another source's array.
    At(SourceId, u32),
    /// What a path that starts with `[*]` finds in another source, as one array.
    Flatten(SourceId, Box<[Index]>),
    /// The result of a function.
    Call(Call),
}

/// A function call. If `mapped`, it is repeated for each element of its first argument.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Call {
    pub function: Function,
    pub arguments: Box<[Argument]>,
    pub mapped: bool,
}

/// An argument of a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Argument {
    Literal(Literal),
    Source(SourceId),
    Condition(Node),
}

/// What of a call could be prepared when it was compiled.
#[derive(Debug)]
pub enum Prepared {
    Nothing,
    Regex(LazyRegex),
    Wildcard(WildcardPattern),
}

/// The right side of a comparison, ready to be applied.
#[derive(Debug, Serialize, Deserialize)]
pub enum Test {
    Equal(#[serde(with = "serde_bytes")] Box<[u8]>),
    Prefix(#[serde(with = "serde_bytes")] Box<[u8]>),
    Suffix(#[serde(with = "serde_bytes")] Box<[u8]>),
    Contains(Substring),
    Order(Relation, Literal),
    OrderWith(Relation, SourceId),
    Matches(Box<Matching>),
    Wildcard(Box<WildcardPattern>),
    In(SetId),
    Bits(i64),
    /// A list that does not exist.
    Nothing,
}

/// What `in` looks into. The same set occurs once, whatever is looked for in it.
#[derive(Debug, Serialize, Deserialize)]
pub enum Set {
    Ints(Ranges<i64>),
    Ips(IpSet),
    Bytes(ByteSet),
    Hostnames(HostnameSet),
}

impl Set {
    /// How many strings, names or ranges it has.
    pub fn count(&self) -> usize {
        match self {
            Set::Ints(set) => set.bounds().len(),
            Set::Ips(set) => set.v4.bounds().len() + set.v6.bounds().len(),
            Set::Bytes(set) => set.count(),
            Set::Hostnames(set) => set.exact.count() + set.parents.count(),
        }
    }
}

/// Every part of a program.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Code {
    pub sources: Vec<Source>,
    /// Aligned with `sources`.
    #[serde(skip)]
    pub prepared: Vec<Prepared>,
    pub predicates: Vec<Predicate>,
    pub sets: Vec<Set>,
}

impl Prepared {
    /// Of a checked call.
    pub fn of(call: &Call) -> Prepared {
        let (pattern, flags) = match &*call.arguments {
            [_, Argument::Literal(Literal::Bytes(pattern)), _, flags @ ..] => (pattern, flags),
            _ => return Prepared::Nothing,
        };
        match call.function {
            Function::RegexReplace => match std::str::from_utf8(pattern) {
                Ok(text) => Prepared::Regex(LazyRegex::new(text)),
                Err(_) => Prepared::Nothing,
            },
            Function::WildcardReplace => {
                let strict = matches!(flags, [Argument::Literal(Literal::Bytes(flags))] if flags.contains(&b's'));
                Prepared::Wildcard(WildcardPattern::new(&Wildcard { pattern: pattern.clone(), strict }))
            }
            _ => Prepared::Nothing,
        }
    }
}

impl Code {
    pub fn source(&self, id: SourceId) -> &Source {
        &self.sources[id.0 as usize]
    }

    /// Prepares what can be, for code that was read.
    pub fn prepare(&mut self) {
        let prepare = |source: &Source| match source {
            Source::Call(call) => Prepared::of(call),
            _ => Prepared::Nothing,
        };
        self.prepared = self.sources.iter().map(prepare).collect();
    }

    pub fn predicate(&self, id: PredicateId) -> &Predicate {
        &self.predicates[id.0 as usize]
    }

    pub fn set(&self, id: SetId) -> &Set {
        &self.sets[id.0 as usize]
    }
}

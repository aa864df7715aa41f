//! The checked expression: what [`super::parse`] yields, triggers are lowered to, and programs are compiled from.
//!
//! Every name is resolved and every type agrees. Spans point into the text the expression came from; an expression
//! made by a program has none (`0..0`).

use std::net::IpAddr;
use std::ops::{Range, RangeInclusive};

use serde::{Deserialize, Serialize};

use super::Function;
use crate::request::{FieldId, Type};

/// Bytes of the source text.
pub type Span = Range<usize>;

/// A checked expression of type Bool.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    /// The outermost condition; its value is one Bool, never an array.
    pub root: Condition,
}

/// Something that is true or false; inside [`Condition::Quantified`] or a call's argument possibly once for each
/// element (an `Array<Bool>`), on which the connectives work element-wise and truncate to the shortest.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// `true` or `false`.
    Constant(bool),
    /// A value of type Bool, or of type `Array<Bool>` / `Map<Bool>` inside any/all.
    Truth(Operand),
    /// `left op right`.
    Compare(Comparison),
    /// `not x`
    Not(Box<Condition>),
    /// `a and b and …`; at least two, none of them a chain of the same connective unless it was in parentheses.
    Chain(Connective, Vec<Condition>),
    /// `any(…)`, `all(…)` over an `Array<Bool>`.
    Quantified(Quantifier, Box<Condition>),
}

/// Joins conditions. Binding strength: and, xor, or.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Connective {
    /// All are true; stops at the first that is not.
    And,
    /// An odd number is true.
    Xor,
    /// At least one is true; stops at the first.
    Or,
}

/// `any` or `all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Quantifier {
    /// At least one; false for none.
    Any,
    /// Every one; true for none (but false for a missing field, see docs/protocol/rules-language.md#missing-values).
    All,
}

/// One comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// What is looked at.
    pub left: Operand,
    /// What it is held against.
    pub test: Test,
    /// The whole comparison.
    pub span: Span,
}

/// A field or a call, with indexes.
#[derive(Clone, Debug, PartialEq)]
pub struct Operand {
    /// Where the value comes from.
    pub base: Base,
    /// Indexes from left to right.
    pub path: Vec<Index>,
    /// The type of one value: with `[*]` the type of an element, not of the array of them.
    pub value_type: Type,
    /// Whether a `[*]` in the path, or in the first argument of a call, yields several values. A call over a
    /// mapped argument that is not followed by `[*]` yields an *array* of results instead: then this is false
    /// for the call's own operand and `value_type` is the array, unless the results are Bool inside any/all,
    /// where it is true.
    pub each: bool,
    /// The whole operand.
    pub span: Span,
}

/// Where an operand's value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Base {
    /// A field of the request.
    Field(FieldId),
    /// The result of a function.
    Call(Call),
}

/// A function call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Which function.
    pub function: Function,
    /// Its arguments; numbers and kinds are checked.
    pub arguments: Vec<Argument>,
    /// Whether the first argument is mapped by `[*]`: the call is repeated for each element, missing results are
    /// dropped, and the result is an array.
    pub mapped: bool,
}

/// An argument of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// A literal.
    Literal(Literal),
    /// A field or call.
    Operand(Operand),
    /// A condition; its value is Bool or `Array<Bool>`.
    Condition(Box<Condition>),
    /// The regular expression of `regex_replace`.
    Pattern(Pattern),
}

/// One step into an array or a map.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Index {
    /// `["key"]`
    Key(#[serde(with = "serde_bytes")] Box<[u8]>),
    /// `[3]`
    At(u32),
    /// `[*]`
    Each,
}

/// A literal value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Literal {
    /// Of a call's argument only.
    Bool(bool),
    /// A number.
    Int(i64),
    /// An address.
    Ip(IpAddr),
    /// A byte string, however it was written.
    Bytes(#[serde(with = "serde_bytes")] Box<[u8]>),
}

/// The right side of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// `eq ne lt le gt ge`
    Order(Relation, Right),
    /// `contains "…"`
    Contains(Box<[u8]>),
    /// `matches "…"`
    Matches(Pattern),
    /// `wildcard "…"`, `strict wildcard "…"`
    Wildcard(Wildcard),
    /// `in { … }`
    In(Set),
    /// `in $name`
    InList(String),
    /// `& n`: some bit of `n` is set.
    Bits(i64),
}

/// What `eq` and its kin compare with.
#[derive(Clone, Debug, PartialEq)]
pub enum Right {
    /// A literal of the left side's type.
    Literal(Literal),
    /// A field or call; never `each`.
    Operand(Box<Operand>),
}

/// The six relations. On addresses the ordered ones hold within one family only; `ne` is true across families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "named as in the language")]
pub enum Relation {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// The members of `{ … }`, as written: overlaps and duplicates are kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Set {
    /// Numbers and ranges.
    Ints(Vec<RangeInclusive<i64>>),
    /// Addresses, networks and ranges, each as first and last address of one family.
    Ips(Vec<IpRange>),
    /// Byte strings.
    Bytes(Vec<Box<[u8]>>),
}

/// First and last address, of one family and in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IpRange {
    /// The lowest address.
    pub first: IpAddr,
    /// The highest address.
    pub last: IpAddr,
}

/// A regular expression that compiled (bytes mode, Unicode off, 10 MiB at most).
#[derive(Clone, Debug)]
pub struct Pattern {
    /// As the regex engine sees it.
    pub text: String,
    /// Compiled once, shared by clones.
    pub regex: regex::bytes::Regex,
}

impl Pattern {
    /// As the language compiles every regular expression: bytes, not characters, and at most 10 MiB of program.
    ///
    /// # Errors
    ///
    /// Where the text is not a valid expression, or too large.
    pub fn compile(text: &str) -> Result<regex::bytes::Regex, regex::Error> {
        regex::bytes::RegexBuilder::new(text).unicode(false).size_limit(10 << 20).build()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// A wildcard pattern that is well formed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wildcard {
    /// After the string literal's escapes; `\*` and `\\` are still escaped.
    pub pattern: Box<[u8]>,
    /// `strict wildcard`: letters of either case differ.
    pub strict: bool,
}

impl Wildcard {
    /// What stands between the stars, escapes resolved; one more than there are stars.
    pub(crate) fn segments(&self) -> Vec<Vec<u8>> {
        let mut segments = vec![Vec::new()];
        let mut bytes = self.pattern.iter().copied();
        while let Some(byte) = bytes.next() {
            let literal = match byte {
                b'*' => {
                    segments.push(Vec::new());
                    continue;
                }
                b'\\' => bytes.next().unwrap_or(byte),
                byte => byte,
            };
            if let Some(segment) = segments.last_mut() {
                segment.push(literal);
            }
        }
        segments
    }
}

//! What can be seen to be true, or false, of every request.
//!
//! It looks at the shape of an expression and at what is known of its fields: that a path begins with `/`, that nothing
//! has fewer than no bytes. What needs more than that stays undecided; nothing is called certain that is not.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use regex_syntax::hir::{Class, Hir, HirKind, Look};

use super::expression::*;
use super::{Expression, Function};
use crate::request::{Field, Type};

/// How many alternatives are looked at before an expression counts as undecided.
const MOST: usize = 256;

/// What an expression comes to for every request, if that can be seen; `None` where it depends, or might.
pub fn certainty(expression: &Expression) -> Option<bool> {
    let is = |sense| is_sure(Part { condition: &expression.root, sense }, false);
    match is(true) {
        true => Some(true),
        false => is(false).then_some(false),
    }
}

/// A condition, or its opposite.
#[derive(Clone, Copy)]
struct Part<'e> {
    condition: &'e Condition,
    /// Whether the condition itself is meant.
    sense: bool,
}

/// Parts of which one at least must hold.
type Clause<'e> = Vec<Part<'e>>;

/// Whether a part holds for every request. `each` says that it is about elements of arrays, which are there.
fn is_sure(part: Part, each: bool) -> bool {
    clauses(part, each).is_some_and(|clauses| clauses.is_empty())
}

/// The clauses which must all hold for the part to hold, without those that do anyway; nothing if they are too many.
fn clauses(part: Part<'_>, each: bool) -> Option<Vec<Clause<'_>>> {
    let Part { condition, sense } = part;
    match condition {
        Condition::Constant(value) => Some(if *value == sense { Vec::new() } else { vec![Clause::new()] }),
        Condition::Not(inner) => clauses(Part { condition: inner, sense: !sense }, each),
        Condition::Chain(Connective::Xor, parts) => odd(parts, sense, each),
        Condition::Chain(connective, parts) => {
            let parts = parts.iter().map(|condition| clauses(Part { condition, sense }, each));
            let parts: Vec<Vec<Clause>> = parts.collect::<Option<_>>()?;
            match (*connective == Connective::Or) == sense {
                true => one_of(parts, each),
                false => bounded(parts.concat()),
            }
        }
        _ => Some(if holds(&[part], each) { Vec::new() } else { vec![vec![part]] }),
    }
}

/// The clauses of an odd number of these being true, or of an even one.
fn odd(parts: &[Condition], is_odd: bool, each: bool) -> Option<Vec<Clause<'_>>> {
    let both = |condition| {
        Some([clauses(Part { condition, sense: true }, each)?, clauses(Part { condition, sense: false }, each)?])
    };
    let (first, others) = parts.split_first()?;
    let mut joined = both(first)?;
    for condition in others {
        let [odd, even] = joined;
        let [yes, no] = both(condition)?;
        // One of two is true exactly if one is, and one is not.
        let one = [one_of(vec![odd.clone(), yes.clone()], each)?, one_of(vec![even.clone(), no.clone()], each)?];
        let none_or_both = [one_of(vec![odd, no], each)?, one_of(vec![even, yes], each)?];
        joined = [bounded(one.concat())?, bounded(none_or_both.concat())?];
    }
    let [odd, even] = joined;
    Some(if is_odd { odd } else { even })
}

/// The clauses of one of several alternatives holding, each given by its own.
fn one_of(mut alternatives: Vec<Vec<Clause<'_>>>, each: bool) -> Option<Vec<Clause<'_>>> {
    // What is certain decides, however many others there are.
    alternatives.sort_by_key(Vec::len);
    let mut joined = vec![Clause::new()];
    for alternative in alternatives {
        if joined.len() * alternative.len() > MOST {
            return None;
        }
        let pairs = joined.iter().flat_map(|one| alternative.iter().map(|other| [one.as_slice(), other].concat()));
        joined = pairs.filter(|clause| !holds(clause, each)).collect();
    }
    Some(joined)
}

fn bounded(clauses: Vec<Clause<'_>>) -> Option<Vec<Clause<'_>>> {
    (clauses.len() <= MOST).then_some(clauses)
}

/// Whether one of the parts holds for every request: what they say of one value leaves out none that it can have.
fn holds(clause: &[Part], each: bool) -> bool {
    let leaves: Vec<Leaf> = clause.iter().map(|part| Leaf::of(*part, each)).collect();
    if leaves.iter().any(|leaf| covers(&[leaf])) {
        return true;
    }
    if leaves.len() == 1 {
        return false;
    }
    let conditions: Vec<String> = leaves.iter().map(|leaf| leaf.condition.to_string()).collect();
    let operands: Vec<Option<String>> = leaves.iter().map(Leaf::operand).collect();
    (0..leaves.len()).any(|one| {
        let is_opposite =
            |other: usize| leaves[one].sense != leaves[other].sense && conditions[one] == conditions[other];
        let is_alike = |other: &usize| operands[one].is_some() && operands[one] == operands[*other];
        let alike: Vec<&Leaf> = (one..leaves.len()).filter(is_alike).map(|other| &leaves[other]).collect();
        (one + 1..leaves.len()).any(is_opposite) || alike.len() > 1 && covers(&alike)
    })
}

/// What a part says, if possible of one value.
struct Leaf<'e> {
    condition: &'e Condition,
    kind: Kind<'e>,
    sense: bool,
}

enum Kind<'e> {
    /// The test of a value.
    Test { operand: &'e Operand, value: Value, asked: Asked<'e> },
    /// The same for every request.
    Certain(bool),
    /// Something of which nothing is known.
    Opaque,
}

/// What is asked of a value.
enum Asked<'e> {
    Test(&'e Test),
    StartsWith(&'e [u8]),
    EndsWith(&'e [u8]),
    Truth,
    /// How it relates to itself.
    Itself(Relation),
}

impl<'e> Leaf<'e> {
    fn of(part: Part<'e>, each: bool) -> Leaf<'e> {
        let Part { condition, sense } = part;
        let kind = match condition {
            Condition::Compare(Comparison { left, test, .. }) => Kind::test(left, asked(left, test), each),
            Condition::Truth(operand) => {
                let (operand, asked) = affix(operand).unwrap_or((operand, Asked::Truth));
                Kind::test(operand, asked, each)
            }
            Condition::Quantified(quantifier, inner) => quantified(*quantifier, inner).map(Kind::Certain),
            _ => None,
        };
        Leaf { condition, kind: kind.unwrap_or(Kind::Opaque), sense }
    }

    /// The value that it is about, as it is written.
    fn operand(&self) -> Option<String> {
        match &self.kind {
            Kind::Test { operand, .. } => Some(operand.to_string()),
            Kind::Certain(_) | Kind::Opaque => None,
        }
    }

    /// Whether the part certainly holds where the value is such a one.
    fn holds_for(&self, sample: &Sample) -> bool {
        match &self.kind {
            Kind::Test { value, asked, .. } => value.answer(asked, sample) == Some(self.sense),
            Kind::Certain(value) => *value == self.sense,
            Kind::Opaque => false,
        }
    }

    fn samples(&self) -> Vec<Sample> {
        match &self.kind {
            Kind::Test { value, asked, .. } => value.samples(asked),
            Kind::Certain(_) | Kind::Opaque => vec![Sample::Missing],
        }
    }
}

impl<'e> Kind<'e> {
    fn test(operand: &'e Operand, asked: Asked<'e>, each: bool) -> Option<Kind<'e>> {
        Value::of(operand, each).map(|value| Kind::Test { operand, value, asked })
    }
}

/// Whether leaves that are about one value leave out none that it can have.
fn covers(leaves: &[&Leaf]) -> bool {
    let samples: BTreeSet<Sample> = leaves.iter().flat_map(|leaf| leaf.samples()).collect();
    samples.iter().all(|sample| leaves.iter().any(|leaf| leaf.holds_for(sample)))
}

fn asked<'e>(left: &Operand, test: &'e Test) -> Asked<'e> {
    match test {
        Test::Order(relation, Right::Operand(right)) if right.to_string() == left.to_string() => {
            Asked::Itself(*relation)
        }
        test => Asked::Test(test),
    }
}

/// The text that a `starts_with` or `ends_with` looks at, and what it asks.
fn affix(operand: &Operand) -> Option<(&Operand, Asked<'_>)> {
    let Base::Call(Call { function, arguments, .. }) = &operand.base else { return None };
    match (function, arguments.as_slice()) {
        (Function::StartsWith, [Argument::Operand(of), Argument::Literal(Literal::Bytes(text))]) => {
            Some((of, Asked::StartsWith(text)))
        }
        (Function::EndsWith, [Argument::Operand(of), Argument::Literal(Literal::Bytes(text))]) => {
            Some((of, Asked::EndsWith(text)))
        }
        _ => None,
    }
}

/// What an `any` or `all` comes to because of what every element is.
fn quantified(quantifier: Quantifier, inner: &Condition) -> Option<bool> {
    let is = |sense| is_sure(Part { condition: inner, sense }, true);
    match quantifier {
        Quantifier::Any if is(false) => Some(false),
        Quantifier::Any if is(true) && each(inner, &has_elements) => Some(true),
        // Of no elements all are anything; but what a function makes of something missing is false.
        Quantifier::All if is(true) && each(inner, &|operand| is_of_field(operand) || has_elements(operand)) => {
            Some(true)
        }
        Quantifier::All if is(false) && each(inner, &has_elements) => Some(false),
        _ => None,
    }
}

/// Whether this is so of every operand of a condition within `any` or `all`.
fn each(condition: &Condition, is_so: &impl Fn(&Operand) -> bool) -> bool {
    match condition {
        Condition::Truth(operand) => is_so(operand),
        Condition::Compare(comparison) => is_so(&comparison.left),
        Condition::Not(inner) => each(inner, is_so),
        Condition::Chain(_, parts) => parts.iter().all(|part| each(part, is_so)),
        Condition::Constant(_) | Condition::Quantified(..) => false,
    }
}

fn is_of_field(operand: &Operand) -> bool {
    matches!(operand.base, Base::Field(_))
}

/// Whether there is an element for every request: none comes without headers.
fn has_elements(operand: &Operand) -> bool {
    let operand = affix(operand).map_or(operand, |(operand, _)| operand);
    let headers = [Field::HttpRequestHeadersNames, Field::HttpRequestHeadersValues];
    matches!((&operand.base, operand.path.as_slice()), (Base::Field(field), [Index::Each])
        if field.standard().is_some_and(|field| headers.contains(&field)))
}

/// A value, or values that nothing here tells apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sample {
    Missing,
    Flag(bool),
    Number(i64),
    Address(IpAddr),
    Text(Vec<u8>),
    /// Any text that no test mentions.
    OtherText,
}

/// What is known of an operand's value.
struct Value {
    may_be_missing: bool,
    range: Range,
}

enum Range {
    Flags(&'static [bool]),
    Numbers(i64, i64),
    Addresses,
    Texts(Texts),
}

/// What every text has in common.
#[derive(Default)]
struct Texts {
    /// What each holds, one behind the other; it begins with the first.
    pieces: Vec<Vec<u8>>,
    /// How many bytes each has at least.
    least: usize,
    /// Bytes that none holds.
    never: Vec<fn(&u8) -> bool>,
}

/// Fields that every request has, on every host that serves them.
const ALWAYS: &[Field] = &[
    Field::HttpHost,
    Field::HttpRequestMethod,
    Field::HttpRequestUri,
    Field::HttpRequestUriPath,
    Field::HttpRequestUriPathExtension,
    Field::HttpRequestUriQuery,
    Field::HttpRequestUriArgs,
    Field::HttpRequestUriArgsNames,
    Field::HttpRequestUriArgsValues,
    Field::HttpRequestFullUri,
    Field::RawHttpRequestUri,
    Field::RawHttpRequestUriPath,
    Field::RawHttpRequestUriPathExtension,
    Field::RawHttpRequestUriQuery,
    Field::RawHttpRequestUriArgs,
    Field::RawHttpRequestUriArgsNames,
    Field::RawHttpRequestUriArgsValues,
    Field::RawHttpRequestFullUri,
    Field::HttpCookie,
    Field::HttpRequestCookies,
    Field::HttpUserAgent,
    Field::HttpReferer,
    Field::HttpXForwardedFor,
    Field::HttpRequestHeaders,
    Field::HttpRequestHeadersNames,
    Field::HttpRequestHeadersValues,
    Field::HttpRequestHeadersTruncated,
    Field::HttpRequestAcceptedLanguages,
    Field::HttpRequestVersion,
    Field::HttpRequestTimestampSec,
    Field::HttpRequestTimestampMsec,
    Field::IpSrc,
    Field::Ssl,
    Field::CfEdgeServerPort,
    Field::TcpDstport,
];

impl Value {
    /// `each` says that elements of arrays are meant where the operand has several.
    fn of(operand: &Operand, each: bool) -> Option<Value> {
        let range = match &operand.value_type {
            Type::Bool if standard(operand) == Some(Field::HttpRequestHeadersTruncated) => Range::Flags(&[false]),
            Type::Bool => Range::Flags(&[false, true]),
            Type::Int => {
                let (least, most) = numbers(operand);
                Range::Numbers(least, most)
            }
            Type::Ip => Range::Addresses,
            Type::Bytes => Range::Texts(Texts::of(operand)),
            Type::Array(_) | Type::Map(_) => return None,
        };
        let may_be_missing = !(is_present(operand) || each && operand.each);
        (each || !operand.each).then_some(Value { may_be_missing, range })
    }

    /// Values among which every other one is like one of them, as far as this is asked.
    fn samples(&self, asked: &Asked) -> Vec<Sample> {
        let mut samples = Vec::new();
        if self.may_be_missing {
            samples.push(Sample::Missing);
        }
        match &self.range {
            Range::Flags(flags) => samples.extend(flags.iter().map(|flag| Sample::Flag(*flag))),
            Range::Numbers(least, most) => {
                let near = |number: i64| [number.saturating_sub(1), number, number.saturating_add(1)];
                let edges =
                    asked.numbers().into_iter().flat_map(near).filter(|number| (least..=most).contains(&number));
                samples.extend(edges.chain([*least, *most]).map(Sample::Number));
            }
            Range::Addresses => {
                let ends = [Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::BROADCAST.into(), Ipv6Addr::UNSPECIFIED.into()];
                let edges = asked.addresses().into_iter().flat_map(neighbours);
                let last: IpAddr = Ipv6Addr::from_bits(u128::MAX).into();
                samples.extend(edges.chain(ends).chain([last]).map(Sample::Address));
            }
            Range::Texts(texts) => {
                let possible = asked.texts().into_iter().filter(|text| texts.can_be(text));
                samples.extend(possible.map(|text| Sample::Text(text.to_vec())).chain([Sample::OtherText]));
            }
        }
        samples
    }

    /// The answer for a value, if it is the same for all that the sample stands for.
    fn answer(&self, asked: &Asked, sample: &Sample) -> Option<bool> {
        match (asked, sample) {
            (_, Sample::Missing) => Some(false),
            (Asked::Itself(relation), _) => Some(matches!(relation, Relation::Eq | Relation::Le | Relation::Ge)),
            (Asked::Truth, Sample::Flag(flag)) => Some(*flag),
            (Asked::Test(test), Sample::Number(number)) => match test {
                Test::Order(relation, Right::Literal(Literal::Int(other))) => Some(relation.compares(number, other)),
                Test::In(Set::Ints(ranges)) => Some(ranges.iter().any(|range| range.contains(number))),
                _ => None,
            },
            (Asked::Test(test), Sample::Address(address)) => match test {
                Test::Order(Relation::Ne, Right::Literal(Literal::Ip(other))) => Some(address != other),
                Test::Order(relation, Right::Literal(Literal::Ip(other))) => {
                    Some(address.is_ipv4() == other.is_ipv4() && relation.compares(address, other))
                }
                Test::In(Set::Ips(ranges)) => {
                    let holds = |range: &IpRange| {
                        range.first.is_ipv4() == address.is_ipv4() && (range.first..=range.last).contains(address)
                    };
                    Some(ranges.iter().any(holds))
                }
                _ => None,
            },
            (asked, Sample::Text(text)) => asked.of_text(text).or_else(|| self.texts()?.answer(asked)),
            (asked, Sample::OtherText) => self.texts()?.answer(asked),
            _ => None,
        }
    }

    fn texts(&self) -> Option<&Texts> {
        match &self.range {
            Range::Texts(texts) => Some(texts),
            _ => None,
        }
    }
}

impl Relation {
    fn compares<T: Ord>(self, one: &T, other: &T) -> bool {
        match self {
            Relation::Eq => one == other,
            Relation::Ne => one != other,
            Relation::Lt => one < other,
            Relation::Le => one <= other,
            Relation::Gt => one > other,
            Relation::Ge => one >= other,
        }
    }
}

impl<'e> Asked<'e> {
    /// The numbers at which the answer may change.
    fn numbers(&self) -> Vec<i64> {
        match self {
            Asked::Test(Test::Order(_, Right::Literal(Literal::Int(number)))) => vec![*number],
            Asked::Test(Test::In(Set::Ints(ranges))) => {
                ranges.iter().flat_map(|range| [*range.start(), *range.end()]).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The addresses at which the answer may change.
    fn addresses(&self) -> Vec<IpAddr> {
        match self {
            Asked::Test(Test::Order(_, Right::Literal(Literal::Ip(address)))) => vec![*address],
            Asked::Test(Test::In(Set::Ips(ranges))) => {
                ranges.iter().flat_map(|range| [range.first, range.last]).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The texts that are mentioned, and the empty one.
    fn texts(&self) -> Vec<&'e [u8]> {
        let mentioned: Vec<&[u8]> = match self {
            Asked::Test(Test::Order(_, Right::Literal(Literal::Bytes(text)))) => vec![text],
            Asked::Test(Test::In(Set::Bytes(texts))) => texts.iter().map(AsRef::as_ref).collect(),
            _ => Vec::new(),
        };
        [b"".as_slice()].into_iter().chain(mentioned).collect()
    }

    /// The answer for one text, where it takes no program to say.
    fn of_text(&self, text: &[u8]) -> Option<bool> {
        match self {
            Asked::StartsWith(affix) => Some(text.starts_with(affix)),
            Asked::EndsWith(affix) => Some(text.ends_with(affix)),
            Asked::Test(Test::Order(relation, Right::Literal(Literal::Bytes(other)))) => {
                Some(relation.compares(&text, &other.as_ref()))
            }
            Asked::Test(Test::Contains(part)) => Some(holds_part(text, part)),
            Asked::Test(Test::Matches(pattern)) => Some(pattern.regex.is_match(text)),
            Asked::Test(Test::In(Set::Bytes(texts))) => Some(texts.iter().any(|other| other.as_ref() == text)),
            _ => None,
        }
    }
}

impl Texts {
    fn of(operand: &Operand) -> Texts {
        let case = match &operand.base {
            Base::Call(call) if operand.path.is_empty() => match (call.function, call.arguments.as_slice()) {
                (Function::Lower, [Argument::Operand(of)]) => Some((of, false)),
                (Function::Upper, [Argument::Operand(of)]) => Some((of, true)),
                _ => None,
            },
            _ => None,
        };
        if let Some((of, is_upper)) = case {
            let mut texts = Texts::of(of);
            let change = if is_upper { <[u8]>::make_ascii_uppercase } else { <[u8]>::make_ascii_lowercase };
            texts.pieces.iter_mut().for_each(|piece| change(piece));
            texts.never.push(if is_upper { u8::is_ascii_lowercase } else { u8::is_ascii_uppercase });
            return texts;
        }
        let known = |pieces: &[&str], least, never: fn(&u8) -> bool| Texts {
            pieces: pieces.iter().map(|piece| piece.as_bytes().to_vec()).collect(),
            least,
            never: vec![never],
        };
        match standard(operand) {
            Some(Field::HttpHost) => known(&[], 1, |byte| b"/?#@ ".contains(byte)),
            Some(Field::HttpRequestMethod) => known(&[], 1, u8::is_ascii_lowercase),
            Some(Field::HttpRequestVersion) => known(&[], 1, |_| false),
            Some(Field::HttpRequestUri | Field::RawHttpRequestUri) => known(&["/"], 1, |byte| *byte == b'#'),
            Some(Field::HttpRequestUriPath | Field::RawHttpRequestUriPath) => {
                known(&["/"], 1, |byte| b"?#".contains(byte))
            }
            Some(Field::HttpRequestUriPathExtension | Field::RawHttpRequestUriPathExtension) => {
                known(&[], 0, |byte| byte.is_ascii_uppercase() || b"/?#".contains(byte))
            }
            Some(Field::HttpRequestFullUri) => known(&["http", "://", "/"], 9, |byte| *byte == b'#'),
            Some(Field::RawHttpRequestFullUri) => known(&["http", "://"], 8, |byte| *byte == b'#'),
            _ => Texts::default(),
        }
    }

    fn prefix(&self) -> &[u8] {
        self.pieces.first().map_or(&[], Vec::as_slice)
    }

    fn can_be(&self, text: &[u8]) -> bool {
        text.len() >= self.least && text.starts_with(self.prefix()) && self.can_hold(text)
    }

    fn can_hold(&self, text: &[u8]) -> bool {
        !text.iter().any(|byte| self.never.iter().any(|never| never(byte)))
    }

    fn can_begin_with(&self, text: &[u8]) -> bool {
        let prefix = self.prefix();
        self.can_hold(text) && prefix.iter().zip(text).all(|(one, other)| one == other)
    }

    /// The answer that is the same for all texts, but for those that are mentioned.
    fn answer(&self, asked: &Asked) -> Option<bool> {
        let yes = |is_so: bool| is_so.then_some(true);
        let no = |is_so: bool| is_so.then_some(false);
        match asked {
            Asked::StartsWith(text) => yes(self.prefix().starts_with(text)).or(no(!self.can_begin_with(text))),
            Asked::EndsWith(text) => yes(text.is_empty()).or(no(!self.can_hold(text))),
            Asked::Test(Test::Contains(part)) => {
                let is_held = part.is_empty() || self.pieces.iter().any(|piece| holds_part(piece, part));
                yes(is_held).or(no(!self.can_hold(part)))
            }
            Asked::Test(Test::Order(relation, Right::Literal(Literal::Bytes(text)))) => self.order(*relation, text),
            Asked::Test(Test::In(Set::Bytes(_))) => Some(false),
            Asked::Test(Test::Matches(pattern)) => yes(always_matches(pattern, self)),
            Asked::Test(Test::Wildcard(wildcard)) => self.wildcard(wildcard),
            _ => None,
        }
    }

    /// How texts other than this one relate to it.
    fn order(&self, relation: Relation, text: &[u8]) -> Option<bool> {
        let differ = self.prefix().iter().zip(text).find(|(one, other)| one != other);
        match (relation, differ) {
            (Relation::Eq, _) => Some(false),
            (Relation::Ne, _) => Some(true),
            (relation, Some((one, other))) => Some(relation.compares(one, other)),
            // Others that begin with it come behind it.
            (relation, None) if text.len() <= self.prefix().len() => {
                Some(matches!(relation, Relation::Gt | Relation::Ge))
            }
            (_, None) => None,
        }
    }

    fn wildcard(&self, wildcard: &Wildcard) -> Option<bool> {
        let fold = |text: &[u8]| if wildcard.strict { text.to_vec() } else { text.to_ascii_lowercase() };
        let segments: Vec<Vec<u8>> = wildcard.segments().iter().map(|segment| fold(segment)).collect();
        let pieces: Vec<Vec<u8>> = self.pieces.iter().map(|piece| fold(piece)).collect();
        let (first, rest) = segments.split_first()?;
        let prefix = pieces.first().map_or(&[][..], Vec::as_slice);
        let is_impossible = first.iter().zip(prefix).any(|(one, other)| one != other)
            || first.len() < prefix.len() && rest.is_empty()
            || wildcard.strict && !segments.iter().all(|segment| self.can_hold(segment));
        if is_impossible {
            return Some(false);
        }
        let (last, middle) = rest.split_last()?;
        // What the first segment takes of the first piece is not there for others.
        let mut left = pieces.iter().skip(usize::from(!first.is_empty()));
        let is_held = |segment: &Vec<u8>| segment.is_empty() || left.any(|piece| holds_part(piece, segment));
        (prefix.starts_with(first) && last.is_empty() && middle.iter().all(is_held)).then_some(true)
    }
}

fn holds_part(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}

/// The field whose value an operand is.
fn standard(operand: &Operand) -> Option<Field> {
    match &operand.base {
        Base::Field(field) if operand.path.is_empty() => field.standard(),
        _ => None,
    }
}

/// Whether there is a value for every request.
fn is_present(operand: &Operand) -> bool {
    let argument = |argument: &Argument| match argument {
        Argument::Literal(_) => true,
        Argument::Operand(operand) => is_present(operand),
        Argument::Condition(_) | Argument::Pattern(_) => false,
    };
    match &operand.base {
        Base::Field(_) => standard(operand).is_some_and(|field| ALWAYS.contains(&field)),
        Base::Call(Call { mapped: true, .. }) => false,
        Base::Call(call) if operand.path.is_empty() => match call.function {
            Function::Lower | Function::Upper | Function::Len | Function::ToString | Function::RemoveBytes => {
                call.arguments.first().is_some_and(argument)
            }
            Function::Coalesce | Function::Concat => call.arguments.iter().any(argument),
            _ => false,
        },
        Base::Call(_) => false,
    }
}

/// The least and the largest number that an operand can be.
fn numbers(operand: &Operand) -> (i64, i64) {
    if let Base::Call(Call { function: Function::Len, arguments, .. }) = &operand.base {
        let least = match arguments.as_slice() {
            [Argument::Operand(of)] if of.value_type == Type::Bytes => Texts::of(of).least,
            _ => 0,
        };
        return (i64::try_from(least).unwrap_or_default(), i64::MAX);
    }
    match standard(operand) {
        Some(Field::HttpRequestTimestampSec) => (0, i64::MAX),
        Some(Field::HttpRequestTimestampMsec) => (0, 999),
        Some(Field::CfEdgeServerPort | Field::TcpDstport) => (0, u16::MAX.into()),
        Some(Field::IpSrcAsnum) => (0, u32::MAX.into()),
        _ => (i64::MIN, i64::MAX),
    }
}

/// An address, and those before and behind it.
fn neighbours(address: IpAddr) -> [IpAddr; 3] {
    match address {
        IpAddr::V4(v4) => {
            let bits = v4.to_bits();
            [bits.saturating_sub(1), bits, bits.saturating_add(1)].map(|bits| Ipv4Addr::from_bits(bits).into())
        }
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            [bits.saturating_sub(1), bits, bits.saturating_add(1)].map(|bits| Ipv6Addr::from_bits(bits).into())
        }
    }
}

/// Whether a regular expression finds something in every such text, line ends aside.
fn always_matches(pattern: &Pattern, texts: &Texts) -> bool {
    let parsed = regex_syntax::ParserBuilder::new().utf8(false).unicode(false).build().parse(&pattern.text);
    let alternatives = |hir: &Hir| match hir.kind() {
        HirKind::Alternation(all) => all.clone(),
        _ => vec![hir.clone()],
    };
    parsed.is_ok_and(|hir| {
        alternatives(&hir)
            .iter()
            .any(|hir| matches_nothing(hir, Edge::Start) || matches_nothing(hir, Edge::End) || takes(hir, texts))
    })
}

/// A place that every text has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Edge {
    Start,
    End,
    /// Neither for certain.
    Somewhere,
}

/// Whether a regular expression matches the empty text there.
fn matches_nothing(hir: &Hir, edge: Edge) -> bool {
    match hir.kind() {
        HirKind::Empty => true,
        HirKind::Literal(_) | HirKind::Class(_) => false,
        HirKind::Look(Look::Start | Look::StartLF | Look::StartCRLF) => edge == Edge::Start,
        HirKind::Look(Look::End | Look::EndLF | Look::EndCRLF) => edge == Edge::End,
        HirKind::Look(_) => false,
        HirKind::Repetition(repetition) => repetition.min == 0 || matches_nothing(&repetition.sub, edge),
        HirKind::Capture(capture) => matches_nothing(&capture.sub, edge),
        HirKind::Concat(parts) => parts.iter().all(|part| matches_nothing(part, edge)),
        HirKind::Alternation(parts) => parts.iter().any(|part| matches_nothing(part, edge)),
    }
}

/// Whether a regular expression matches what every text begins with, and then nothing more or all that is left.
fn takes(hir: &Hir, texts: &Texts) -> bool {
    let parts = flat(hir);
    let (mut at, mut known) = (Edge::Start, texts.prefix());
    let mut is_one_left = known.is_empty() && texts.least > 0;
    for (index, part) in parts.iter().enumerate() {
        let rest = &parts[index + 1..];
        if matches_nothing(part, at) && !takes_all(part) {
            continue;
        }
        match part.kind() {
            HirKind::Literal(literal) if known.starts_with(&literal.0) => known = &known[literal.0.len()..],
            HirKind::Class(_) if is_any(part) && !known.is_empty() => known = &known[1..],
            HirKind::Class(_) if is_any(part) && is_one_left => is_one_left = false,
            _ if takes_all(part) => {
                let HirKind::Repetition(repetition) = part.kind() else { return false };
                let is_enough = match repetition.min {
                    0 => true,
                    1 => is_one_left || !known.is_empty(),
                    _ => false,
                };
                return is_enough && rest.iter().all(|part| matches_nothing(part, Edge::End));
            }
            _ => return false,
        }
        at = Edge::Somewhere;
    }
    true
}

/// The parts of a regular expression that follow each other.
fn flat(hir: &Hir) -> Vec<Hir> {
    match hir.kind() {
        HirKind::Concat(parts) => parts.iter().flat_map(flat).collect(),
        HirKind::Capture(capture) => flat(&capture.sub),
        _ => vec![hir.clone()],
    }
}

/// Whether it is any number of any bytes.
fn takes_all(hir: &Hir) -> bool {
    matches!(hir.kind(), HirKind::Repetition(repetition) if repetition.max.is_none() && is_any(&repetition.sub))
}

/// Whether it is any byte, line ends aside.
fn is_any(hir: &Hir) -> bool {
    let HirKind::Class(class) = hir.kind() else { return false };
    let is_in = |byte: u8| match class {
        Class::Bytes(class) => class.iter().any(|range| (range.start()..=range.end()).contains(&byte)),
        Class::Unicode(class) => class.iter().any(|range| (range.start()..=range.end()).contains(&char::from(byte))),
    };
    (0..=u8::MAX).all(|byte| matches!(byte, b'\r' | b'\n') || is_in(byte))
}

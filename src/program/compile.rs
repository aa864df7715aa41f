//! Expressions → code in which every part occurs once.

use std::hash::{Hash, Hasher};

use rustc_hash::FxHashMap;

use super::code::{Argument, Call, Code, Node, Predicate, PredicateId, Prepared, Set, SetId, Source, SourceId, Test};
use super::lists::{List, Lists};
use super::literal::{self, Place};
use super::pattern::{LazyRegex, Matching};
use super::sets::{ByteSet, HostnameSet, IpSet, Ranges};
use super::substring::Substring;
use super::wildcard::WildcardPattern;
use crate::language::expression::{
    self, Base, Comparison, Condition, Index, Literal, Operand, Pattern, Quantifier, Relation, Right, Wildcard,
};
use crate::language::{Expression, Function};
use crate::request::Type;

/// Compiles expressions one after the other.
pub struct Compiler<'s> {
    lists: &'s Lists,
    code: Code,
    known_sources: FxHashMap<Source, SourceId>,
    known_predicates: FxHashMap<PredicateKey, PredicateId>,
    known_sets: FxHashMap<SetKey, SetId>,
}

/// What makes two predicates the same.
#[derive(PartialEq, Eq, Hash)]
enum PredicateKey {
    Truth(SourceId, bool),
    Compare(SourceId, TestKey, bool),
    Quantified(Quantifier, Node),
}

/// What makes two tests the same.
#[derive(PartialEq, Eq, Hash)]
enum TestKey {
    Plain(Place, Box<[u8]>),
    Order(Relation, Literal),
    OrderWith(Relation, SourceId),
    Matches(SameText),
    Wildcard(Wildcard),
    In(SetId),
    Bits(i64),
    Nothing,
}

/// What makes two sets the same.
#[derive(PartialEq, Eq, Hash)]
enum SetKey {
    Written(expression::Set),
    List(String),
}

/// Patterns with the same text are the same.
#[derive(PartialEq)]
struct SameText(Pattern);

impl Eq for SameText {}

impl Hash for SameText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}

impl<'s> Compiler<'s> {
    pub fn new(lists: &'s Lists) -> Self {
        Compiler {
            lists,
            code: Code::default(),
            known_sources: FxHashMap::default(),
            known_predicates: FxHashMap::default(),
            known_sets: FxHashMap::default(),
        }
    }

    /// The code, with no more memory than it needs.
    pub fn finish(mut self) -> Code {
        self.code.sources.shrink_to_fit();
        self.code.prepared.shrink_to_fit();
        self.code.predicates.shrink_to_fit();
        self.code.sets.shrink_to_fit();
        self.code
    }

    pub fn expression(&mut self, expression: &Expression) -> Node {
        self.condition(&expression.root)
    }

    fn condition(&mut self, condition: &Condition) -> Node {
        match condition {
            Condition::Constant(value) => Node::Constant(*value),
            Condition::Truth(operand) => Node::Test(self.truth(operand)),
            Condition::Compare(comparison) => Node::Test(self.compare(comparison)),
            Condition::Not(inner) => Node::Not(Box::new(self.condition(inner))),
            Condition::Chain(connective, parts) => {
                Node::Chain(*connective, parts.iter().map(|part| self.condition(part)).collect())
            }
            Condition::Quantified(quantifier, inner) => {
                let node = self.condition(inner);
                Node::Test(self.predicate(PredicateKey::Quantified(*quantifier, node)))
            }
        }
    }

    fn truth(&mut self, operand: &Operand) -> PredicateId {
        if let Some((place, of, text)) = affix(operand) {
            let source = self.operand(of);
            return self.predicate(PredicateKey::Compare(source, TestKey::Plain(place, text.into()), false));
        }
        let source = self.operand(operand);
        let each = operand.each || operand.value_type != Type::Bool;
        self.predicate(PredicateKey::Truth(source, each))
    }

    fn compare(&mut self, comparison: &Comparison) -> PredicateId {
        let source = self.operand(&comparison.left);
        let each = comparison.left.each;
        let key = PredicateKey::Compare(source, self.test_key(&comparison.test), each);
        self.predicate(key)
    }

    fn test_key(&mut self, test: &expression::Test) -> TestKey {
        match test {
            expression::Test::Order(Relation::Eq, Right::Literal(Literal::Bytes(text))) => {
                TestKey::Plain(Place::Whole, text.clone())
            }
            expression::Test::Order(relation, Right::Literal(literal)) => TestKey::Order(*relation, literal.clone()),
            expression::Test::Order(relation, Right::Operand(right)) => {
                TestKey::OrderWith(*relation, self.operand(right))
            }
            expression::Test::Contains(part) => TestKey::Plain(Place::Anywhere, part.clone()),
            expression::Test::Matches(pattern) => match literal::plain(&pattern.text) {
                Some((place, text)) => TestKey::Plain(place, text),
                None => TestKey::Matches(SameText(pattern.clone())),
            },
            expression::Test::Wildcard(wildcard) => TestKey::Wildcard(wildcard.clone()),
            expression::Test::In(set) => TestKey::In(self.set(SetKey::Written(set.clone()))),
            expression::Test::InList(name) if self.lists.contains_key(name) => {
                TestKey::In(self.set(SetKey::List(name.clone())))
            }
            expression::Test::InList(_) => TestKey::Nothing,
            expression::Test::Bits(bits) => TestKey::Bits(*bits),
        }
    }

    fn set(&mut self, key: SetKey) -> SetId {
        if let Some(&known) = self.known_sets.get(&key) {
            return known;
        }
        let id = SetId(self.code.sets.len() as u32);
        self.code.sets.push(match &key {
            SetKey::Written(expression::Set::Ints(ranges)) => Set::Ints(Ranges::of_ints(ranges)),
            SetKey::Written(expression::Set::Ips(ranges)) => Set::Ips(IpSet::new(ranges)),
            SetKey::Written(expression::Set::Bytes(strings)) => {
                Set::Bytes(ByteSet::new(strings.iter().map(AsRef::as_ref)))
            }
            SetKey::List(name) => match self.lists.get(name) {
                Some(List::Ip(ranges)) => Set::Ips(IpSet::new(ranges)),
                Some(List::Hostname(names)) => Set::Hostnames(HostnameSet::new(names)),
                Some(List::Asn(numbers)) => Set::Ints(Ranges::of_numbers(numbers)),
                None => Set::Ints(Ranges::of_numbers(&[])),
            },
        });
        self.known_sets.insert(key, id);
        id
    }

    fn predicate(&mut self, key: PredicateKey) -> PredicateId {
        if let Some(&known) = self.known_predicates.get(&key) {
            return known;
        }
        let id = PredicateId(self.code.predicates.len() as u32);
        self.code.predicates.push(match &key {
            PredicateKey::Truth(source, each) => Predicate::Truth { source: *source, each: *each },
            PredicateKey::Compare(source, test, each) => {
                Predicate::Compare { source: *source, test: test.test(), each: *each }
            }
            PredicateKey::Quantified(quantifier, node) => Predicate::Quantified(*quantifier, node.clone()),
        });
        self.known_predicates.insert(key, id);
        id
    }

    /// The source of an operand's value: up to its first `[*]` as the value of one element after the other is asked
    /// for, or all of it where what follows the first `[*]` has to be flattened.
    fn operand(&mut self, operand: &Operand) -> SourceId {
        let (mut source, mut path) = match (&operand.base, operand.path.as_slice()) {
            (Base::Field(field), [Index::Key(key), rest @ ..]) => {
                (self.source(Source::Entry(*field, key.clone()), Prepared::Nothing), rest)
            }
            (Base::Field(field), path) => (self.source(Source::Field(*field), Prepared::Nothing), path),
            (Base::Call(call), path) => (self.call(call), path),
        };
        while let [step, rest @ ..] = path {
            let next = match step {
                Index::Key(key) => Source::Key(source, key.clone()),
                Index::At(index) => Source::At(source, *index),
                Index::Each if rest.is_empty() => break,
                Index::Each => {
                    return self.source(Source::Flatten(source, path.into()), Prepared::Nothing);
                }
            };
            source = self.source(next, Prepared::Nothing);
            path = rest;
        }
        source
    }

    fn call(&mut self, call: &expression::Call) -> SourceId {
        let mut regex = None;
        let arguments = call.arguments.iter().map(|argument| match argument {
            expression::Argument::Literal(literal) => Argument::Literal(literal.clone()),
            expression::Argument::Operand(operand) => Argument::Source(self.operand(operand)),
            expression::Argument::Condition(condition) => Argument::Condition(self.condition(condition)),
            expression::Argument::Pattern(pattern) => {
                regex = Some(LazyRegex::from(pattern));
                Argument::Literal(Literal::Bytes(pattern.text.as_bytes().into()))
            }
        });
        let call = Call { function: call.function, arguments: arguments.collect(), mapped: call.mapped };
        let prepared = regex.map_or_else(|| Prepared::of(&call), Prepared::Regex);
        self.source(Source::Call(call), prepared)
    }

    fn source(&mut self, source: Source, prepared: Prepared) -> SourceId {
        if let Some(&known) = self.known_sources.get(&source) {
            return known;
        }
        let id = SourceId(self.code.sources.len() as u32);
        self.known_sources.insert(source.clone(), id);
        self.code.sources.push(source);
        self.code.prepared.push(prepared);
        id
    }
}

/// `starts_with` and `ends_with` of a text that is written out are tests of their first argument. (Mapped ones are
/// not: all of nothing is not all of what is missing.)
fn affix(operand: &Operand) -> Option<(Place, &Operand, &[u8])> {
    let Base::Call(call) = &operand.base else { return None };
    let place = match call.function {
        Function::StartsWith => Place::Start,
        Function::EndsWith => Place::End,
        _ => return None,
    };
    match call.arguments.as_slice() {
        [expression::Argument::Operand(of), expression::Argument::Literal(Literal::Bytes(text))] if !call.mapped => {
            Some((place, of, text))
        }
        _ => None,
    }
}

impl TestKey {
    fn test(&self) -> Test {
        match self {
            TestKey::Plain(Place::Whole, text) => Test::Equal(text.clone()),
            TestKey::Plain(Place::Start, text) => Test::Prefix(text.clone()),
            TestKey::Plain(Place::End, text) => Test::Suffix(text.clone()),
            TestKey::Plain(Place::Anywhere, text) => Test::Contains(Substring::new(text.clone())),
            TestKey::Order(relation, literal) => Test::Order(*relation, literal.clone()),
            TestKey::OrderWith(relation, right) => Test::OrderWith(*relation, *right),
            TestKey::Matches(SameText(pattern)) => Test::Matches(Box::new(Matching::new(pattern))),
            TestKey::Wildcard(wildcard) => Test::Wildcard(Box::new(WildcardPattern::new(wildcard))),
            TestKey::In(set) => Test::In(*set),
            TestKey::Bits(bits) => Test::Bits(*bits),
            TestKey::Nothing => Test::Nothing,
        }
    }
}

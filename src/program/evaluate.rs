//! Code + subject → truth, without touching the heap.

use std::cell::Cell;
use std::cmp::Ordering;
use std::net::IpAddr;

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;

use super::code::{Argument, Call, Code, Node, Predicate, PredicateId, Prepared, Source, SourceId, Test};
use super::function;
use crate::language::expression::{Connective, Index, Literal, Quantifier, Relation};
use crate::request::{Subject, Value};

/// One evaluation: remembers every value and every truth it has found out.
pub struct Evaluation<'a, S> {
    pub(super) code: &'a Code,
    subject: &'a S,
    arena: &'a Bump,
    values: &'a [Cell<Slot<'a>>],
    truths: Truths<'a>,
}

/// What is known of a source's value.
#[derive(Clone, Copy)]
enum Slot<'a> {
    Unknown,
    Known(Option<Value<'a>>),
}

impl<'a, S: Subject> Evaluation<'a, S> {
    pub fn new(code: &'a Code, subject: &'a S, arena: &'a Bump) -> Self {
        Evaluation {
            code,
            subject,
            arena,
            values: arena.alloc_slice_fill_with(code.sources.len(), |_| Cell::new(Slot::Unknown)),
            truths: Truths::new(code.predicates.len(), arena),
        }
    }

    /// The truth of a condition without `each`.
    pub fn truth(&self, node: &'a Node) -> bool {
        match node {
            Node::Constant(value) => *value,
            Node::Test(id) => self.predicate(*id),
            Node::Not(inner) => !self.truth(inner),
            Node::Chain(connective, parts) => chain(*connective, parts, |part| self.truth(part)),
        }
    }

    /// How many elements a condition with `each` has; a chain is as long as its shortest part. `None` for a condition
    /// that is true or false once.
    pub fn length(&self, node: &'a Node) -> Option<usize> {
        match node {
            Node::Constant(_) => None,
            Node::Test(id) => match self.code.predicate(*id) {
                Predicate::Truth { source, each: true } | Predicate::Compare { source, each: true, .. } => {
                    Some(self.value(*source).map_or(0, count))
                }
                _ => None,
            },
            Node::Not(inner) => self.length(inner),
            Node::Chain(_, parts) => parts.iter().filter_map(|part| self.length(part)).min(),
        }
    }

    /// The truth of a condition with `each` for one element.
    pub fn truth_at(&self, node: &'a Node, index: usize) -> bool {
        match node {
            Node::Constant(value) => *value,
            Node::Test(id) => match self.code.predicate(*id) {
                Predicate::Truth { source, each: true } => self.element(*source, index) == Some(Value::Bool(true)),
                Predicate::Compare { source, test, each: true } => {
                    self.element(*source, index).is_some_and(|value| self.passes(value, test))
                }
                _ => self.predicate(*id),
            },
            Node::Not(inner) => !self.truth_at(inner, index),
            Node::Chain(connective, parts) => chain(*connective, parts, |part| self.truth_at(part, index)),
        }
    }

    fn predicate(&self, id: PredicateId) -> bool {
        if let Some(known) = self.truths.get(id) {
            return known;
        }
        let truth = match self.code.predicate(id) {
            Predicate::Truth { source, .. } => self.value(*source) == Some(Value::Bool(true)),
            Predicate::Compare { source, test, .. } => {
                self.value(*source).is_some_and(|value| self.passes(value, test))
            }
            Predicate::Quantified(quantifier, node) => self.quantified(*quantifier, node),
        };
        self.truths.set(id, truth);
        truth
    }

    fn quantified(&self, quantifier: Quantifier, node: &'a Node) -> bool {
        // All of a field that is missing is false, although all of nothing is true (rules language, section 5).
        if let Node::Test(id) = node
            && let Predicate::Truth { source, .. } = self.code.predicate(*id)
            && self.value(*source).is_none()
        {
            return false;
        }
        let Some(length) = self.length(node) else { return self.truth(node) };
        match quantifier {
            Quantifier::Any => (0..length).any(|index| self.truth_at(node, index)),
            Quantifier::All => (0..length).all(|index| self.truth_at(node, index)),
        }
    }

    fn passes(&self, value: Value<'a>, test: &'a Test) -> bool {
        match (test, value) {
            (Test::Order(relation, literal), value) => relate(*relation, value, of_literal(literal)),
            (Test::OrderWith(relation, right), value) => {
                self.value(*right).is_some_and(|right| relate(*relation, value, right))
            }
            (Test::Contains(part), Value::Bytes(bytes)) => part.find(bytes).is_some(),
            (Test::Matches(regex), Value::Bytes(bytes)) => regex.is_match(bytes),
            (Test::Wildcard(pattern), Value::Bytes(bytes)) => pattern.matches(bytes, self.arena),
            (Test::Bytes(set), Value::Bytes(bytes)) => set.has(bytes),
            (Test::Hostnames(set), Value::Bytes(bytes)) => set.has(bytes),
            (Test::Ints(set), Value::Int(number)) => set.has(number),
            (Test::Bits(bits), Value::Int(number)) => number & bits != 0,
            (Test::Ips(set), Value::Ip(address)) => set.has(address),
            _ => false,
        }
    }

    /// The value of a source; `None` where it is missing.
    pub fn value(&self, id: SourceId) -> Option<Value<'a>> {
        let slot = &self.values[id.0 as usize];
        if let Slot::Known(value) = slot.get() {
            return value;
        }
        let value = match self.code.source(id) {
            Source::Field(field) => self.subject.field(*field, self.arena),
            Source::Entry(field, key) => self.subject.entry(*field, key, self.arena),
            Source::Key(of, key) => self.value(*of).and_then(|map| map.get(key)),
            Source::At(of, index) => self.value(*of).and_then(|array| array.at(*index as usize)),
            Source::Flatten(of, path) => self.value(*of).map(|value| self.flatten(value, path)),
            Source::Call(call) => self.call(call, &self.code.prepared[id.0 as usize]),
        };
        slot.set(Slot::Known(value));
        value
    }

    fn element(&self, source: SourceId, index: usize) -> Option<Value<'a>> {
        element(self.value(source)?, index)
    }

    fn flatten(&self, value: Value<'a>, path: &[Index]) -> Value<'a> {
        let mut found = BumpVec::new_in(self.arena);
        follow(value, path, &mut found);
        Value::Array(found.into_bump_slice())
    }

    fn call(&self, call: &'a Call, prepared: &'a Prepared) -> Option<Value<'a>> {
        let arguments = call.arguments.iter().map(|argument| self.argument(argument));
        let arguments = self.arena.alloc_slice_fill_iter(arguments);
        if !call.mapped {
            return function::call(call.function, arguments, prepared, self.arena);
        }
        let mapped = *arguments.first()?;
        let mapped = mapped?;
        let mut results = BumpVec::with_capacity_in(count(mapped), self.arena);
        for index in 0..count(mapped) {
            arguments[0] = element(mapped, index);
            results.extend(function::call(call.function, arguments, prepared, self.arena));
        }
        Some(Value::Array(results.into_bump_slice()))
    }

    fn argument(&self, argument: &'a Argument) -> Option<Value<'a>> {
        match argument {
            Argument::Literal(literal) => Some(of_literal(literal)),
            Argument::Source(source) => self.value(*source),
            Argument::Condition(node) => Some(match self.length(node) {
                None => Value::Bool(self.truth(node)),
                Some(length) => {
                    let mut truths = BumpVec::with_capacity_in(length, self.arena);
                    truths.extend((0..length).map(|index| Value::Bool(self.truth_at(node, index))));
                    Value::Array(truths.into_bump_slice())
                }
            }),
        }
    }
}

fn chain<'n>(connective: Connective, parts: &'n [Node], mut truth: impl FnMut(&'n Node) -> bool) -> bool {
    match connective {
        Connective::And => parts.iter().all(truth),
        Connective::Or => parts.iter().any(truth),
        Connective::Xor => parts.iter().fold(false, |odd, part| odd ^ truth(part)),
    }
}

/// Whether `left relation right`. Values of different kinds, and addresses of different families, are unequal and in no
/// order.
fn relate(relation: Relation, left: Value<'_>, right: Value<'_>) -> bool {
    match relation {
        Relation::Eq => left == right,
        Relation::Ne => left != right,
        Relation::Lt => order(left, right) == Some(Ordering::Less),
        Relation::Le => matches!(order(left, right), Some(Ordering::Less | Ordering::Equal)),
        Relation::Gt => order(left, right) == Some(Ordering::Greater),
        Relation::Ge => matches!(order(left, right), Some(Ordering::Greater | Ordering::Equal)),
    }
}

fn order(left: Value<'_>, right: Value<'_>) -> Option<Ordering> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(&right)),
        (Value::Bytes(left), Value::Bytes(right)) => Some(left.cmp(right)),
        (Value::Ip(IpAddr::V4(left)), Value::Ip(IpAddr::V4(right))) => Some(left.cmp(&right)),
        (Value::Ip(IpAddr::V6(left)), Value::Ip(IpAddr::V6(right))) => Some(left.cmp(&right)),
        _ => None,
    }
}

fn of_literal(literal: &Literal) -> Value<'_> {
    match literal {
        Literal::Bool(value) => Value::Bool(*value),
        Literal::Int(value) => Value::Int(*value),
        Literal::Ip(value) => Value::Ip(*value),
        Literal::Bytes(value) => Value::Bytes(value),
    }
}

fn count(value: Value<'_>) -> usize {
    match value {
        Value::Array(values) => values.len(),
        Value::Map(entries) => entries.len(),
        _ => 0,
    }
}

fn element(value: Value<'_>, index: usize) -> Option<Value<'_>> {
    match value {
        Value::Array(values) => values.get(index).copied(),
        Value::Map(entries) => entries.get(index).map(|(_, value)| *value),
        _ => None,
    }
}

/// Appends what `path` finds in `value`; what is missing on the way is skipped.
fn follow<'a>(value: Value<'a>, path: &[Index], found: &mut BumpVec<'_, Value<'a>>) {
    let Some((step, rest)) = path.split_first() else {
        found.push(value);
        return;
    };
    match step {
        Index::Key(key) => value.get(key).into_iter().for_each(|value| follow(value, rest, found)),
        Index::At(index) => value.at(*index as usize).into_iter().for_each(|value| follow(value, rest, found)),
        Index::Each => {
            (0..count(value)).filter_map(|index| element(value, index)).for_each(|value| follow(value, rest, found));
        }
    }
}

/// Predicates whose truth is known: two bits for each.
struct Truths<'a> {
    words: &'a [Cell<u64>],
}

impl<'a> Truths<'a> {
    const PER_WORD: usize = 32;

    fn new(predicates: usize, arena: &'a Bump) -> Self {
        Truths { words: arena.alloc_slice_fill_with(predicates.div_ceil(Self::PER_WORD), |_| Cell::new(0)) }
    }

    fn get(&self, id: PredicateId) -> Option<bool> {
        let (word, shift) = self.place(id);
        match word.get() >> shift & 3 {
            0 => None,
            known => Some(known == 3),
        }
    }

    fn set(&self, id: PredicateId, truth: bool) {
        let (word, shift) = self.place(id);
        word.set(word.get() | (1 | u64::from(truth) << 1) << shift);
    }

    fn place(&self, id: PredicateId) -> (&'a Cell<u64>, usize) {
        let index = id.0 as usize;
        (&self.words[index / Self::PER_WORD], index % Self::PER_WORD * 2)
    }
}

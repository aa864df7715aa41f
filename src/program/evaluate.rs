//! Code + subject → truth, without touching the heap.

use std::cell::Cell;
use std::cmp::Ordering;
use std::net::IpAddr;

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;

use super::code::{Argument, Call, Code, Node, Predicate, PredicateId, Prepared, Set, SetId, Source, SourceId, Test};
use super::function;
use super::memory::Memory;
use crate::language::expression::{Connective, Index, Literal, Quantifier, Relation};
use crate::request::{Subject, Value};

/// One evaluation: remembers what it has found out, as far as [`Memory`] says.
pub struct Evaluation<'a, S> {
    pub(super) code: &'a Code,
    memory: &'a Memory,
    pub(super) subject: &'a S,
    pub(super) arena: &'a Bump,
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
    #[inline]
    pub fn new(code: &'a Code, memory: &'a Memory, subject: &'a S, arena: &'a Bump) -> Self {
        Evaluation {
            code,
            memory,
            subject,
            arena,
            values: places(memory.values(), Slot::Unknown, arena),
            truths: Truths::new(memory.truths(), arena),
        }
    }

    /// The truth of a condition without `each`.
    #[inline(always)]
    pub fn truth(&self, node: &'a Node) -> bool {
        match node {
            Node::Test(id) => self.predicate(*id),
            _ => self.compound(node),
        }
    }

    /// The truth of a predicate without `each`.
    pub fn holds(&self, id: PredicateId) -> bool {
        self.predicate(id)
    }

    fn compound(&self, node: &'a Node) -> bool {
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

    #[inline(always)]
    fn predicate(&self, id: PredicateId) -> bool {
        let Some(place) = self.memory.place_of_truth(id) else { return self.find_out(id) };
        self.truths.get(place).unwrap_or_else(|| {
            let truth = self.find_out(id);
            self.truths.set(place, truth);
            truth
        })
    }

    #[inline(always)]
    fn find_out(&self, id: PredicateId) -> bool {
        match self.code.predicate(id) {
            Predicate::Compare { source, test, .. } => match self.value(*source) {
                Some(value) => self.passes(value, test),
                None => false,
            },
            Predicate::Truth { source, .. } => matches!(self.value(*source), Some(Value::Bool(true))),
            Predicate::Quantified(quantifier, node) => self.quantified(*quantifier, node),
        }
    }

    fn quantified(&self, quantifier: Quantifier, node: &'a Node) -> bool {
        if let Node::Test(id) = node {
            match self.code.predicate(*id) {
                // All of a field that is missing is false, although all of nothing is true
                // (docs/protocol/rules-language.md#missing-values).
                Predicate::Truth { source, .. } if self.value(*source).is_none() => return false,
                Predicate::Compare { source, test, each: true } => {
                    let mut passing = self.value(*source).into_iter().flat_map(elements);
                    return match quantifier {
                        Quantifier::Any => passing.any(|value| self.passes(value, test)),
                        Quantifier::All => passing.all(|value| self.passes(value, test)),
                    };
                }
                _ => {}
            }
        }
        let Some(length) = self.length(node) else { return self.truth(node) };
        match quantifier {
            Quantifier::Any => (0..length).any(|index| self.truth_at(node, index)),
            Quantifier::All => (0..length).all(|index| self.truth_at(node, index)),
        }
    }

    #[inline(always)]
    fn passes(&self, value: Value<'a>, test: &'a Test) -> bool {
        match (test, value) {
            (Test::Equal(text), Value::Bytes(bytes)) => *bytes == **text,
            (Test::Prefix(text), Value::Bytes(bytes)) => bytes.starts_with(text),
            (Test::Suffix(text), Value::Bytes(bytes)) => bytes.ends_with(text),
            (Test::Contains(text), Value::Bytes(bytes)) => text.is_in(bytes),
            (Test::In(set), value) => self.is_in(value, *set),
            _ => self.passes_otherwise(value, test),
        }
    }

    /// The tests that cost more than a call.
    #[inline(never)]
    fn passes_otherwise(&self, value: Value<'a>, test: &'a Test) -> bool {
        match (test, value) {
            (Test::Order(relation, literal), value) => relate(*relation, value, of_literal(literal)),
            (Test::OrderWith(relation, right), value) => {
                self.value(*right).is_some_and(|right| relate(*relation, value, right))
            }
            (Test::Matches(matching), Value::Bytes(bytes)) => matching.is_match(bytes),
            (Test::Wildcard(pattern), Value::Bytes(bytes)) => pattern.matches(bytes, self.arena),
            (Test::Bits(bits), Value::Int(number)) => number & bits != 0,
            _ => false,
        }
    }

    fn is_in(&self, value: Value<'a>, set: SetId) -> bool {
        match (self.code.set(set), value) {
            (Set::Bytes(set), Value::Bytes(bytes)) => set.has(bytes),
            (Set::Hostnames(set), Value::Bytes(bytes)) => set.has(bytes),
            (Set::Ints(set), Value::Int(number)) => set.has(number),
            (Set::Ips(set), Value::Ip(address)) => set.has(address),
            _ => false,
        }
    }

    /// The value of a source; `None` where it is missing.
    #[inline(always)]
    pub fn value(&self, id: SourceId) -> Option<Value<'a>> {
        let Some(place) = self.memory.place_of_value(id) else { return self.compute(id) };
        if let Slot::Known(value) = self.values[place].get() {
            return value;
        }
        let value = self.compute(id);
        self.values[place].set(Slot::Known(value));
        value
    }

    #[inline(always)]
    fn compute(&self, id: SourceId) -> Option<Value<'a>> {
        match self.code.source(id) {
            Source::Field(field) => self.subject.field(*field, self.arena),
            _ => self.derive(id),
        }
    }

    /// The value of a source that is no whole field.
    #[inline(never)]
    fn derive(&self, id: SourceId) -> Option<Value<'a>> {
        match self.code.source(id) {
            Source::Field(field) => self.subject.field(*field, self.arena),
            Source::Entry(field, key) => self.subject.entry(*field, key, self.arena),
            Source::Key(of, key) => self.value(*of).and_then(|map| map.get(key)),
            Source::At(of, index) => self.value(*of).and_then(|array| array.at(*index as usize)),
            Source::Flatten(of, path) => self.value(*of).map(|value| self.flatten(value, path)),
            Source::Call(call) => self.call(call, &self.code.prepared[id.0 as usize]),
        }
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
        if let ([argument], false) = (&*call.arguments, call.mapped) {
            return function::call(call.function, &[self.argument(argument)], prepared, self.arena);
        }
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

/// An array's elements, or a map's values.
pub fn elements(value: Value<'_>) -> impl Iterator<Item = Value<'_>> {
    (0..count(value)).filter_map(move |index| element(value, index))
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
            elements(value).for_each(|value| follow(value, rest, found));
        }
    }
}

/// Truths that are known: two bits for each place.
struct Truths<'a> {
    words: &'a [Cell<u64>],
}

impl<'a> Truths<'a> {
    const PER_WORD: usize = 32;

    #[inline]
    fn new(count: usize, arena: &'a Bump) -> Self {
        Truths { words: places(count.div_ceil(Self::PER_WORD), 0, arena) }
    }

    fn get(&self, place: usize) -> Option<bool> {
        let (word, shift) = self.bits(place);
        match word.get() >> shift & 3 {
            0 => None,
            known => Some(known == 3),
        }
    }

    fn set(&self, place: usize, truth: bool) {
        let (word, shift) = self.bits(place);
        word.set(word.get() | (1 | u64::from(truth) << 1) << shift);
    }

    fn bits(&self, place: usize) -> (&'a Cell<u64>, usize) {
        (&self.words[place / Self::PER_WORD], place % Self::PER_WORD * 2)
    }
}

/// Cells that begin with the same content; none cost nothing.
#[inline]
fn places<T: Copy>(count: usize, content: T, arena: &Bump) -> &[Cell<T>] {
    if count == 0 {
        return &[];
    }
    arena.alloc_slice_fill_with(count, |_| Cell::new(content))
}

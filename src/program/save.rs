//! Saving programs, and loading them again.
//!
//! What is saved are the conditions and the code that they refer to. Everything that follows from these, the indexes
//! above all, is worked out again when a program is loaded. The bytes may come from anywhere: what they refer to is
//! checked once, so that nothing has to be checked when a request is evaluated.

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::code::{Argument, Code, Node, Predicate, PredicateId, SetId, Source, SourceId, Test};
use super::index::Index;
use super::{CompiledEntry, Parts, Program};
use crate::language::expression::Connective;
use crate::language::{MAX_CHARACTERS, MAX_NESTING};

impl Serialize for Program {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bypasses: Vec<&[usize]> = self.bypasses.iter().map(|bypass| &*bypass.rules).collect();
        (&self.code, &self.entries, &self.rules, bypasses).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Program {
    /// The program that was saved, without what it was compiled from.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Program, D::Error> {
        let (mut code, entries, rules, bypasses): (Code, _, _, _) = Deserialize::deserialize(deserializer)?;
        code.prepare();
        let parts = Parts { code, entries, rules, bypasses };
        check(&parts).map_err(D::Error::custom)?;
        Ok(Program::assemble(parts, None, Index::new))
    }
}

/// A part of a condition; what it consists of follows it.
#[derive(Serialize, Deserialize)]
enum Step {
    Constant(bool),
    Test(PredicateId),
    Not,
    Chain(Connective, u32),
}

impl Serialize for Node {
    /// As its parts one after the other, so that no nesting is read before it is known how deep it is.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut steps = Vec::new();
        write_steps(self, &mut steps);
        steps.serialize(serializer)
    }
}

fn write_steps(node: &Node, steps: &mut Vec<Step>) {
    match node {
        Node::Constant(value) => steps.push(Step::Constant(*value)),
        Node::Test(id) => steps.push(Step::Test(*id)),
        Node::Not(inner) => {
            steps.push(Step::Not);
            write_steps(inner, steps);
        }
        Node::Chain(connective, parts) => {
            steps.push(Step::Chain(*connective, parts.len() as u32));
            parts.iter().for_each(|part| write_steps(part, steps));
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_seq(Steps)
    }
}

/// Reads a condition from its parts.
struct Steps;

impl<'de> Visitor<'de> for Steps {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("the parts of a condition")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut steps: A) -> Result<Node, A::Error> {
        let node = read_steps(&mut steps, Extent::MOST.height)?;
        match steps.next_element::<Step>()? {
            None => Ok(node),
            Some(_) => Err(A::Error::custom("a condition goes on behind its end")),
        }
    }
}

fn read_steps<'de, A: SeqAccess<'de>>(steps: &mut A, height: u32) -> Result<Node, A::Error> {
    /// No more is set aside for the parts of a chain before they have been read.
    const EXPECTED: u32 = 16;
    let step = steps.next_element()?.ok_or_else(|| A::Error::custom("a condition ends before its end"))?;
    let below = height.checked_sub(1).ok_or_else(|| A::Error::custom(Invalid::TooDeep))?;
    Ok(match step {
        Step::Constant(value) => Node::Constant(value),
        Step::Test(id) => Node::Test(id),
        Step::Not => Node::Not(Box::new(read_steps(steps, below)?)),
        Step::Chain(connective, count) => {
            let mut parts = Vec::with_capacity(count.min(EXPECTED) as usize);
            for _ in 0..count {
                parts.push(read_steps(steps, below)?);
            }
            Node::Chain(connective, parts.into())
        }
    })
}

/// Why no compiler can have written a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Invalid {
    #[error("something refers to a part that is not there")]
    NotThere,
    #[error("something is nested too deep")]
    TooDeep,
    #[error("something is too large")]
    TooLarge,
}

/// Whether all that the parts of a program refer to is there, and nothing refers to itself.
fn check(parts: &Parts) -> Result<(), Invalid> {
    let Parts { code, entries, rules, bypasses } = parts;
    let mut checker = Checker::new(code);
    for source in 0..code.sources.len() {
        checker.source(SourceId(source as u32), Extent::MOST.height)?;
    }
    for predicate in 0..code.predicates.len() {
        checker.predicate(PredicateId(predicate as u32), Extent::MOST.height)?;
    }
    for node in entries.iter().map(|entry| &entry.when).chain(rules) {
        checker.node(node, Extent::MOST.height)?;
    }
    let has_bypass = |entry: &CompiledEntry| entry.bypass < bypasses.len();
    let mut bypassing = bypasses.iter().flatten();
    let is_there = entries.iter().all(has_bypass) && bypassing.all(|&rule| rule < rules.len());
    is_there.then_some(()).ok_or(Invalid::NotThere)
}

/// How much there is to a part of a program with everything that it refers to.
#[derive(Clone, Copy, Default)]
struct Extent {
    /// How deep it is nested; every walk through a program recurses as deep.
    height: u32,
    /// How many parts there are, those that are referred to twice counted twice: some walks meet them as often.
    weight: u32,
}

impl Extent {
    /// What no text leads to. One level of nesting makes a few: a chain for each connective, a call and its argument.
    const MOST: Extent = Extent { height: 5 * MAX_NESTING as u32, weight: MAX_CHARACTERS as u32 };

    fn and(self, other: Extent) -> Extent {
        Extent { height: self.height.max(other.height), weight: self.weight.saturating_add(other.weight) }
    }
}

/// Measures the parts of a program, each once.
struct Checker<'c> {
    code: &'c Code,
    sources: Vec<Option<Extent>>,
    predicates: Vec<Option<Extent>>,
}

impl<'c> Checker<'c> {
    fn new(code: &'c Code) -> Self {
        Checker { code, sources: vec![None; code.sources.len()], predicates: vec![None; code.predicates.len()] }
    }

    /// Measures a source; whatever it refers to may be nested less deep than `height`.
    fn source(&mut self, id: SourceId, height: u32) -> Result<Extent, Invalid> {
        let at = id.0 as usize;
        if let Some(known) = self.sources.get(at).ok_or(Invalid::NotThere)? {
            return fitting(*known, height);
        }
        let below = height.checked_sub(1).ok_or(Invalid::TooDeep)?;
        let extent = match &self.code.sources[at] {
            Source::Field(_) | Source::Entry(..) => Extent::default(),
            Source::Key(of, _) | Source::At(of, _) | Source::Flatten(of, _) => self.source(*of, below)?,
            Source::Call(call) => {
                let mut all = Extent::default();
                for argument in &call.arguments {
                    all = all.and(match argument {
                        Argument::Literal(_) => Extent::default(),
                        Argument::Source(of) => self.source(*of, below)?,
                        Argument::Condition(node) => self.node(node, below)?,
                    });
                }
                all
            }
        };
        let extent = around(extent)?;
        self.sources[at] = Some(extent);
        Ok(extent)
    }

    /// The same of a predicate.
    fn predicate(&mut self, id: PredicateId, height: u32) -> Result<Extent, Invalid> {
        let at = id.0 as usize;
        if let Some(known) = self.predicates.get(at).ok_or(Invalid::NotThere)? {
            return fitting(*known, height);
        }
        let below = height.checked_sub(1).ok_or(Invalid::TooDeep)?;
        let extent = match &self.code.predicates[at] {
            Predicate::Truth { source, .. } => self.source(*source, below)?,
            Predicate::Compare { source, test, .. } => self.source(*source, below)?.and(self.test(test, below)?),
            Predicate::Quantified(_, node) => self.node(node, below)?,
        };
        let extent = around(extent)?;
        self.predicates[at] = Some(extent);
        Ok(extent)
    }

    fn test(&mut self, test: &Test, height: u32) -> Result<Extent, Invalid> {
        match test {
            Test::OrderWith(_, right) => self.source(*right, height),
            Test::In(SetId(set)) if *set as usize >= self.code.sets.len() => Err(Invalid::NotThere),
            _ => Ok(Extent::default()),
        }
    }

    fn node(&mut self, node: &Node, height: u32) -> Result<Extent, Invalid> {
        let below = height.checked_sub(1).ok_or(Invalid::TooDeep)?;
        let extent = match node {
            Node::Constant(_) => Extent::default(),
            Node::Test(id) => self.predicate(*id, below)?,
            Node::Not(inner) => self.node(inner, below)?,
            Node::Chain(_, parts) => {
                let mut all = Extent::default();
                for part in parts {
                    all = all.and(self.node(part, below)?);
                }
                all
            }
        };
        Ok(Extent { height: extent.height + 1, weight: extent.weight.saturating_add(1) })
    }
}

/// The extent of a source or predicate that refers to something of this extent.
fn around(extent: Extent) -> Result<Extent, Invalid> {
    let Extent { height, weight } = extent;
    (weight < Extent::MOST.weight).then_some(Extent { height: height + 1, weight: weight + 1 }).ok_or(Invalid::TooLarge)
}

fn fitting(extent: Extent, height: u32) -> Result<Extent, Invalid> {
    (extent.height <= height).then_some(extent).ok_or(Invalid::TooDeep)
}

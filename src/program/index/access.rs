//! Which predicates a condition can be filed under.

use super::keys::keys;
use crate::language::Function;
use crate::language::expression::{Connective, Quantifier};
use crate::program::code::{Argument, Code, Node, Predicate, PredicateId, Set, Source, SourceId, Test};
use crate::request::Field;

/// Where a condition is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filed {
    /// It can only be true if one of these predicates is; if there is none, never.
    Under(Vec<PredicateId>),
    /// Nowhere: it is always evaluated.
    Nowhere,
}

/// Files conditions, each where the fewest others are likely to be found with it.
pub fn file(code: &Code, conditions: &[&Node]) -> Vec<Filed> {
    let mut uses = vec![0; code.predicates.len()];
    conditions.iter().for_each(|node| count(code, node, &mut uses));
    let clerk = Clerk { code, uses };
    let filed = conditions.iter().map(|node| match clerk.access(node) {
        Some(access) => Filed::Under(access.predicates),
        None => Filed::Nowhere,
    });
    filed.collect()
}

fn count(code: &Code, node: &Node, uses: &mut [u64]) {
    match node {
        Node::Constant(_) => {}
        Node::Test(id) => {
            uses[id.0 as usize] += 1;
            if let Predicate::Quantified(_, inner) = code.predicate(*id) {
                count(code, inner, uses);
            }
        }
        Node::Not(inner) => count(code, inner, uses),
        Node::Chain(_, parts) => parts.iter().for_each(|part| count(code, part, uses)),
    }
}

/// Predicates of which one must be true, and how much evaluating they are expected to cause.
struct Access {
    predicates: Vec<PredicateId>,
    cost: u64,
}

struct Clerk<'c> {
    code: &'c Code,
    /// How often each predicate occurs.
    uses: Vec<u64>,
}

impl Clerk<'_> {
    fn access(&self, node: &Node) -> Option<Access> {
        match node {
            Node::Constant(false) => Some(Access { predicates: Vec::new(), cost: 0 }),
            Node::Constant(true) | Node::Not(_) => None,
            Node::Test(id) => self.access_of_test(*id),
            Node::Chain(Connective::And, parts) => {
                parts.iter().filter_map(|part| self.access(part)).min_by_key(|access| access.cost)
            }
            Node::Chain(Connective::Or | Connective::Xor, parts) => {
                let mut all = Access { predicates: Vec::new(), cost: 0 };
                for part in parts {
                    let access = self.access(part)?;
                    all.predicates.extend(access.predicates);
                    all.cost += access.cost;
                }
                Some(all)
            }
        }
    }

    fn access_of_test(&self, id: PredicateId) -> Option<Access> {
        match self.code.predicate(id) {
            Predicate::Quantified(Quantifier::Any, inner) => self.access(inner),
            Predicate::Quantified(Quantifier::All, _) | Predicate::Truth { .. } => None,
            Predicate::Compare { source, test, .. } => {
                keys(test, self.code)?;
                let odds = odds(test, self.code).max(if has_few_values(*source, self.code) { 100 } else { 0 });
                let cost = (odds + effort(*source, self.code)) * self.uses[id.0 as usize];
                Some(Access { predicates: vec![id], cost })
            }
        }
    }
}

/// A guess at how many of a thousand requests pass a test.
fn odds(test: &Test, code: &Code) -> u64 {
    let of_text = |length: usize, of_long: u64| match length {
        0..3 => 300,
        3 => 50,
        _ => of_long,
    };
    match test {
        Test::Equal(text) => of_text(text.len() + 1, 1),
        Test::Prefix(text) => of_text(text.len(), 5),
        Test::Suffix(text) => of_text(text.len(), 3),
        Test::Contains(text) => of_text(text.text().len(), 8),
        Test::Wildcard(pattern) => of_text(pattern.longest_segment().len(), 12),
        Test::Matches(_) => 20,
        Test::In(set) => match code.set(*set) {
            Set::Bytes(set) => 1 + set.count() as u64 / 10,
            Set::Hostnames(_) | Set::Ints(_) | Set::Ips(_) => 4,
        },
        Test::Order(..) | Test::OrderWith(..) | Test::Bits(_) | Test::Nothing => 4,
    }
}

/// Whether many requests have the same value there.
fn has_few_values(source: SourceId, code: &Code) -> bool {
    let Source::Field(field) = code.source(source) else { return false };
    matches!(
        field.standard(),
        Some(
            Field::HttpRequestMethod
                | Field::HttpRequestVersion
                | Field::HttpRequestUriPathExtension
                | Field::IpSrcCountry
                | Field::IpSrcContinent
        )
    )
}

/// What it costs to look a source's value up where nothing else asks for it; functions may be costly.
fn effort(source: SourceId, code: &Code) -> u64 {
    match code.source(source) {
        Source::Field(_) => 0,
        Source::Entry(..) => 1,
        Source::Key(of, _) | Source::At(of, _) | Source::Flatten(of, _) => 1 + effort(*of, code),
        Source::Call(call) => {
            let own = match call.function {
                Function::Lower | Function::Upper | Function::UpperUnicode | Function::Substring | Function::Len => 1,
                _ => 50,
            };
            let arguments = call.arguments.iter().map(|argument| match argument {
                Argument::Source(of) => effort(*of, code),
                Argument::Literal(_) | Argument::Condition(_) => 0,
            });
            own + arguments.sum::<u64>()
        }
    }
}

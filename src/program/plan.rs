//! How a program finds the first true condition of many, for people.

use super::Program;
use super::code::{Code, Node, Predicate, PredicateId};
use super::index::{Filed, Index, file};
use crate::language::Expression;
use crate::language::expression::Condition;

/// How a program goes about its conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How the entry is found.
    pub entries: Approach,
    /// How the bypass rule is found, for each list of rules that there is.
    pub bypasses: Vec<BypassPlan>,
}

/// How a bypass rule is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BypassPlan {
    /// The entries whose rules these are.
    pub entries: Vec<usize>,
    /// Indexes into [`super::Site::rules`], in order.
    pub rules: Vec<usize>,
    /// How the first true one is found.
    pub approach: Approach,
}

/// The two ways of finding the first true condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Approach {
    /// One after the other is evaluated. With few conditions, or few that can be filed, this is faster.
    InOrder,
    /// Values of the request are looked up, and what is filed there is evaluated. Aligned with the conditions.
    Indexed(Vec<Filing>),
}

/// Where a condition is filed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filing {
    /// It is evaluated only if one of these parts of it is found true.
    Under(Vec<String>),
    /// It is always evaluated.
    Always,
    /// It cannot be true, and is never evaluated.
    Never,
}

impl Program {
    /// How this program goes about its conditions; it was decided when it was compiled. `None` for a program that was
    /// loaded: it no longer knows what it was compiled from.
    pub fn plan(&self) -> Option<Plan> {
        let expressions = self.expressions.as_ref()?;
        let whens = self.entries.iter().zip(&expressions.entries);
        let whens: Vec<Written> = whens.map(|(entry, expression)| (&**expression, &entry.when)).collect();
        let bypasses = self.bypasses.iter().enumerate().map(|(number, bypass)| {
            let entries = self.entries.iter().enumerate().filter(|(_, entry)| entry.bypass == number);
            let rules = bypass.rules.iter().map(|&rule| (&*expressions.rules[rule], &self.rules[rule]));
            BypassPlan {
                entries: entries.map(|(entry, _)| entry).collect(),
                rules: bypass.rules.to_vec(),
                approach: self.approach(bypass.index.as_ref(), &rules.collect::<Vec<_>>()),
            }
        });
        Some(Plan { bypasses: bypasses.collect(), entries: self.approach(self.index.as_ref(), &whens) })
    }

    fn approach(&self, index: Option<&Index>, conditions: &[Written]) -> Approach {
        let Some(index) = index else { return Approach::InOrder };
        let nodes: Vec<&Node> = conditions.iter().map(|(_, node)| *node).collect();
        let filed = file(&self.code, &nodes).into_iter().zip(conditions).enumerate();
        let filings = filed.map(|(position, (filed, condition))| self.filing(index, position, filed, condition));
        Approach::Indexed(filings.collect())
    }

    fn filing(&self, index: &Index, position: usize, filed: Filed, (expression, node): &Written) -> Filing {
        match filed {
            Filed::Under(predicates) if predicates.is_empty() => Filing::Never,
            Filed::Under(predicates) if !index.is_unfiled(position) => {
                let text = |id: &PredicateId| text_of(*id, &expression.root, node, &self.code);
                Filing::Under(predicates.iter().filter_map(text).collect())
            }
            _ => Filing::Always,
        }
    }
}

/// An expression and what it was compiled to.
type Written<'a> = (&'a Expression, &'a Node);

/// The part of a condition, which has the shape of its node, that a predicate was made from.
fn text_of(id: PredicateId, condition: &Condition, node: &Node, code: &Code) -> Option<String> {
    match (condition, node) {
        (_, Node::Test(found)) if *found == id => Some(condition.to_string()),
        (Condition::Quantified(_, inner), Node::Test(found)) => match code.predicate(*found) {
            Predicate::Quantified(_, node) => text_of(id, inner, node, code),
            _ => None,
        },
        (Condition::Not(inner), Node::Not(node)) => text_of(id, inner, node, code),
        (Condition::Chain(_, conditions), Node::Chain(_, nodes)) => {
            conditions.iter().zip(nodes).find_map(|(condition, node)| text_of(id, condition, node, code))
        }
        _ => None,
    }
}

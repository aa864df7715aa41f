//! How a verdict came about, for people.

use bumpalo::Bump;
use serde::Serialize;

use super::code::{self, Node, Predicate, Source, SourceId};
use super::evaluate::Evaluation;
use super::memory::Memory;
use super::{Expressions, Program, Verdict};
use crate::language::Expression;
use crate::language::expression::{Argument, Base, Condition, Connective, Index, Operand};
use crate::request::{Subject, Value, is_secret_entry, is_secret_field, without_secrets};

/// How a verdict came about.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The same as [`Program::evaluate`] says.
    pub verdict: Verdict,
    /// Each entry that was tried, in order; the last one matched if any did.
    pub entries: Vec<(usize, Trace)>,
    /// Each bypass rule of the matched entry that was tried, by index into [`super::Site::rules`], in order.
    pub rules: Vec<(usize, Trace)>,
}

/// How one condition came out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trace {
    /// The condition as canonical text.
    pub text: String,
    /// Its value; `None` where it was not evaluated because the outcome was already clear. For a condition that is
    /// mapped over elements: whether any element is true.
    pub result: Option<bool>,
    /// For a comparison: what its left side was, as text (`missing` where the request has none); for a call its first
    /// argument, for a bare value the value. Cookies, credentials and tokens are not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saw: Option<String>,
    /// The parts of a `not`, a chain, any or all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Trace>,
}

impl Program {
    /// Evaluates what decides about one request, in the order of [`Program::evaluate`], and tells what each part saw.
    /// `None` for a program that was loaded: it no longer knows what it was compiled from.
    pub fn explain<S: Subject>(&self, subject: &S) -> Option<Explanation> {
        let expressions = self.expressions.as_ref()?;
        let arena = Bump::new();
        let memory = Memory::of_everything(&self.code);
        let tracer = Tracer { evaluation: Evaluation::new(&self.code, &memory, subject, &arena) };
        let mut explanation = Explanation { verdict: Verdict::Nothing, entries: Vec::new(), rules: Vec::new() };
        explanation.verdict = self.trace_entries(expressions, &tracer, &mut explanation);
        Some(explanation)
    }

    fn trace_entries<'a, S: Subject>(
        &'a self,
        expressions: &Expressions,
        tracer: &Tracer<'a, S>,
        explanation: &mut Explanation,
    ) -> Verdict {
        for (entry, (compiled, expression)) in self.entries.iter().zip(&expressions.entries).enumerate() {
            let trace = tracer.expression(expression, &compiled.when);
            let matched = trace.result == Some(true);
            explanation.entries.push((entry, trace));
            if !matched {
                continue;
            }
            for rule in self.bypass_of(compiled) {
                let trace = tracer.expression(&expressions.rules[rule], &self.rules[rule]);
                let bypasses = trace.result == Some(true);
                explanation.rules.push((rule, trace));
                if bypasses {
                    return Verdict::Bypassed { entry, rule };
                }
            }
            return Verdict::Matched { entry };
        }
        Verdict::Nothing
    }
}

struct Tracer<'a, S> {
    evaluation: Evaluation<'a, S>,
}

/// How a condition is to be evaluated.
#[derive(Clone, Copy, PartialEq)]
enum Evaluate {
    Once,
    ForEach,
    Not,
}

impl<'a, S: Subject> Tracer<'a, S> {
    fn expression(&self, expression: &Expression, node: &'a Node) -> Trace {
        self.trace(&expression.root, node, Evaluate::Once)
    }

    fn trace(&self, condition: &Condition, node: &'a Node, how: Evaluate) -> Trace {
        Trace {
            text: condition.to_string(),
            parts: self.parts(condition, node, how),
            saw: if how == Evaluate::Not { None } else { self.saw(condition, node) },
            result: match how {
                Evaluate::Once => Some(self.evaluation.truth(node)),
                Evaluate::ForEach => {
                    let elements = self.evaluation.length(node).unwrap_or(0);
                    Some((0..elements).any(|index| self.evaluation.truth_at(node, index)))
                }
                Evaluate::Not => None,
            },
        }
    }

    /// The parts of a node, which has the shape of its condition.
    fn parts(&self, condition: &Condition, node: &'a Node, how: Evaluate) -> Vec<Trace> {
        match (condition, node) {
            (Condition::Not(inner), Node::Not(node)) => vec![self.trace(inner, node, how)],
            (Condition::Chain(connective, conditions), Node::Chain(_, nodes)) => {
                self.chain(*connective, conditions, nodes, how)
            }
            (Condition::Quantified(_, inner), Node::Test(id)) => match self.evaluation.code.predicate(*id) {
                Predicate::Quantified(_, node) if how == Evaluate::Not => vec![self.trace(inner, node, how)],
                Predicate::Quantified(_, node) => {
                    let is_mapped = self.evaluation.length(node).is_some();
                    vec![self.trace(inner, node, if is_mapped { Evaluate::ForEach } else { Evaluate::Once })]
                }
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    fn chain(&self, connective: Connective, conditions: &[Condition], nodes: &'a [Node], how: Evaluate) -> Vec<Trace> {
        let mut how = how;
        let mut traces = Vec::new();
        for (condition, node) in conditions.iter().zip(nodes) {
            let trace = self.trace(condition, node, how);
            let is_decided = match connective {
                Connective::And => trace.result == Some(false),
                Connective::Or => trace.result == Some(true),
                Connective::Xor => false,
            };
            traces.push(trace);
            if how == Evaluate::Once && is_decided {
                how = Evaluate::Not;
            }
        }
        traces
    }

    fn saw(&self, condition: &Condition, node: &'a Node) -> Option<String> {
        let operand = match condition {
            Condition::Truth(operand) => operand,
            Condition::Compare(comparison) => &comparison.left,
            _ => return None,
        };
        let Node::Test(id) = node else { return None };
        let source = match self.evaluation.code.predicate(*id) {
            Predicate::Truth { source, .. } => self.looked_at(*source),
            Predicate::Compare { source, .. } => *source,
            Predicate::Quantified(..) => return None,
        };
        Some(match self.evaluation.value(source) {
            None => "missing".to_owned(),
            Some(Value::Bytes(_) | Value::Array(_) | Value::Map(_)) if is_secret(operand) => "not shown".to_owned(),
            Some(value) => shortened(show(value)),
        })
    }

    /// Of a condition such as `starts_with(field, "…")` its first argument: what it comes to is the result already.
    fn looked_at(&self, source: SourceId) -> SourceId {
        match self.evaluation.code.source(source) {
            Source::Call(call) => match call.arguments.first() {
                Some(code::Argument::Source(argument)) => *argument,
                _ => source,
            },
            _ => source,
        }
    }
}

/// Whether an operand's value is, or is made of, something that must not be shown.
fn is_secret(operand: &Operand) -> bool {
    match (&operand.base, operand.path.first()) {
        (Base::Field(field), Some(Index::Key(key))) => is_secret_entry(*field, key),
        (Base::Field(field), _) => is_secret_field(*field),
        (Base::Call(call), _) => call.arguments.iter().any(|argument| match argument {
            Argument::Operand(operand) => is_secret(operand),
            _ => false,
        }),
    }
}

fn show(value: Value<'_>) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Ip(value) => value.to_string(),
        Value::Bytes(bytes) => show_bytes(bytes),
        Value::Array(values) => {
            let shown: Vec<String> = values.iter().map(|value| show(*value)).collect();
            format!("[{}]", shown.join(", "))
        }
        Value::Map(entries) => {
            let shown: Vec<String> =
                entries.iter().map(|(key, value)| format!("{}: {}", show_bytes(key), show(*value))).collect();
            format!("{{{}}}", shown.join(", "))
        }
    }
}

/// As a literal of the language: `"` and `\` escaped, and every byte that is not part of printable text as `\xHH`.
fn show_bytes(bytes: &[u8]) -> String {
    let mut shown = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for character in without_secrets(chunk.valid()).chars() {
            match character {
                '"' | '\\' => shown.extend(['\\', character]),
                _ if character.is_control() => {
                    character.to_string().bytes().for_each(|byte| shown.push_str(&format!("\\x{byte:02x}")));
                }
                _ => shown.push(character),
            }
        }
        chunk.invalid().iter().for_each(|byte| shown.push_str(&format!("\\x{byte:02x}")));
    }
    shown.push('"');
    shown
}

/// A trace is read by people: values of more than this many characters are cut.
const SHOWN: usize = 200;

fn shortened(text: String) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

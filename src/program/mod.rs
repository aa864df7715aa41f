//! Checked expressions → one program → verdict.
//!
//! A [`Program`] holds all triggers and bypass rules of a site. [`Program::evaluate`] asks a [`Subject`] for what it
//! needs, at most once for each field, and allocates nothing once its [`Scratch`] is warm. The same part of two
//! expressions is one part of the program: its value or truth is found out once for a request.
//!
//! The module knows nothing of Queue-it and nothing of HTTP hosts.

use std::collections::HashMap;
use std::sync::Arc;

use bumpalo::Bump;
use serde::{Deserialize, Serialize};

use crate::language::Expression;
use crate::request::Subject;

mod bits;
mod code;
mod compile;
mod evaluate;
mod explain;
mod function;
mod index;
mod lists;
mod literal;
mod memory;
mod needs;
mod pattern;
mod plan;
mod save;
mod sets;
mod substring;
#[cfg(test)]
mod tests;
mod wildcard;

use code::{Code, Node};
use compile::Compiler;
use evaluate::Evaluation;
use index::Index;
use memory::Memory;

pub use explain::{Explanation, Trace};
pub(crate) use function::encoding::url_decode;
pub use lists::{Hostname, List, ListKind, Lists};
pub use needs::Needs;
pub use plan::{Approach, BypassPlan, Filing, Plan};

/// What a program is compiled from.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// Conditions in order; the first that is true is the one that matched.
    pub entries: Vec<Entry>,
    /// Bypass rules, referred to by index.
    pub rules: Vec<Arc<Expression>>,
    /// The lists that expressions name. A name that is not here matches nothing.
    pub lists: Lists,
}

/// One integration, or one room placed by host and path.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When it applies.
    pub when: Arc<Expression>,
    /// Indexes into [`Site::rules`], in order: the first that is true lets the request bypass this entry's room. An
    /// index that is not there counts for nothing.
    pub bypass: Vec<usize>,
}

/// What a program says of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No entry matched.
    Nothing,
    /// Entry `entry` matched, and its bypass rule `rule` (an index into [`Site::rules`]) is true.
    Bypassed {
        /// Index into [`Site::entries`].
        entry: usize,
        /// Index into [`Site::rules`].
        rule: usize,
    },
    /// Entry `entry` matched.
    Matched {
        /// Index into [`Site::entries`].
        entry: usize,
    },
}

/// All triggers and rules of a site, compiled. Immutable and shareable between threads.
///
/// An evaluation leaves the heap alone, with these exceptions: the regex engine grows its caches until they are warm,
/// `regex_replace` with group references, `lookup_json_*` in text that is no JSON or has nesting or escapes, and what a
/// subject does (a request view when Queue-it's normalisation changes its URL).
#[derive(Debug)]
pub struct Program {
    code: Code,
    memory: Memory,
    entries: Vec<CompiledEntry>,
    /// For finding the first entry; without one, entries are tried one after the other.
    index: Option<Index>,
    rules: Vec<Node>,
    bypasses: Vec<Bypass>,
    needs: Needs,
    /// A program that was saved and loaded has none.
    expressions: Option<Expressions>,
}

#[derive(Debug, Serialize, Deserialize)]
struct CompiledEntry {
    when: Node,
    /// Index into [`Program::bypasses`]. Entries with the same rules share it.
    bypass: usize,
}

/// Bypass rules of one or more entries, in order.
#[derive(Debug)]
struct Bypass {
    /// Indexes into [`Program::rules`].
    rules: Box<[usize]>,
    index: Option<Index>,
}

/// What everything else of a program follows from.
struct Parts {
    code: Code,
    entries: Vec<CompiledEntry>,
    rules: Vec<Node>,
    /// Each list of bypass rules once.
    bypasses: Vec<Box<[usize]>>,
}

/// What a program was compiled from, for people.
#[derive(Debug)]
struct Expressions {
    entries: Vec<Arc<Expression>>,
    rules: Vec<Arc<Expression>>,
}

/// Memory that requests reuse, one after the other; one for each thread.
#[derive(Debug, Default)]
pub struct Scratch {
    arena: Bump,
}

impl Scratch {
    /// What one extraordinary request needed is given back to the system from this size on, in bytes.
    const KEPT: usize = 1 << 20;

    /// Begins a request: what was built for the one before is forgotten, and the arena is lent for this one.
    pub fn start(&mut self) -> &Bump {
        if self.arena.allocated_bytes() > Self::KEPT {
            self.arena = Bump::new();
        }
        self.arena.reset();
        &self.arena
    }
}

impl Program {
    /// Compiles a site. Where there are many entries or many rules they are indexed, so that the cost of a request
    /// hardly depends on how many there are.
    pub fn compile(site: &Site) -> Program {
        Program::with_indexes(site, Index::new)
    }

    /// Compiles a site without indexes: entries and rules are evaluated one after the other. It says the same as
    /// [`Program::compile`]'s, which is held against it.
    pub fn compile_plain(site: &Site) -> Program {
        Program::with_indexes(site, |_, _| None)
    }

    /// Compiles one expression, for [`Program::matches`].
    pub fn single(expression: &Expression, lists: &Lists) -> Program {
        let entry = Entry { when: Arc::new(expression.clone()), bypass: Vec::new() };
        Program::compile(&Site { entries: vec![entry], rules: Vec::new(), lists: lists.clone() })
    }

    fn with_indexes(site: &Site, new_index: impl Fn(&Code, &[&Node]) -> Option<Index>) -> Program {
        let mut compiler = Compiler::new(&site.lists);
        let whens: Vec<Node> = site.entries.iter().map(|entry| compiler.expression(&entry.when)).collect();
        let rules: Vec<Node> = site.rules.iter().map(|rule| compiler.expression(rule)).collect();
        let mut bypasses = Bypasses::default();
        let numbers = site.entries.iter().map(|entry| bypasses.number(&entry.bypass, rules.len()));
        let entries = whens.into_iter().zip(numbers).map(|(when, bypass)| CompiledEntry { when, bypass }).collect();
        let expressions = Expressions {
            entries: site.entries.iter().map(|entry| Arc::clone(&entry.when)).collect(),
            rules: site.rules.clone(),
        };
        let parts = Parts { code: compiler.finish(), entries, rules, bypasses: bypasses.all };
        Program::assemble(parts, Some(expressions), new_index)
    }

    /// Adds to the parts of a program what follows from them.
    fn assemble(
        parts: Parts,
        expressions: Option<Expressions>,
        new_index: impl Fn(&Code, &[&Node]) -> Option<Index>,
    ) -> Program {
        let Parts { code, entries, rules, bypasses } = parts;
        let index = new_index(&code, &entries.iter().map(|entry| &entry.when).collect::<Vec<_>>());
        let bypasses = bypasses.into_iter().map(|of| {
            let index = new_index(&code, &of.iter().map(|&rule| &rules[rule]).collect::<Vec<_>>());
            Bypass { rules: of, index }
        });
        let bypasses: Vec<Bypass> = bypasses.collect();
        let indexes = index.iter().chain(bypasses.iter().filter_map(|bypass| bypass.index.as_ref()));
        let conditions = entries.iter().map(|entry| &entry.when).chain(&rules);
        let memory = Memory::new(&code, conditions, indexes.flat_map(Index::sources));
        Program { needs: Needs::of(&code), code, memory, entries, index, rules, bypasses, expressions }
    }

    /// Decides about one request. Entries and rules are tried in order; temporaries are built in `arena`.
    pub fn evaluate<S: Subject>(&self, subject: &S, arena: &Bump) -> Verdict {
        let evaluation = Evaluation::new(&self.code, &self.memory, subject, arena);
        let Some(entry) = self.first_entry(&evaluation) else { return Verdict::Nothing };
        match self.first_rule(&self.bypasses[self.entries[entry].bypass], &evaluation) {
            Some(rule) => Verdict::Bypassed { entry, rule },
            None => Verdict::Matched { entry },
        }
    }

    /// Whether any entry matches; for a program of one expression: whether it is true.
    #[inline]
    pub fn matches<S: Subject>(&self, subject: &S, arena: &Bump) -> bool {
        self.first_entry(&Evaluation::new(&self.code, &self.memory, subject, arena)).is_some()
    }

    /// Whether an entry's condition is true, evaluated by itself; for telling what it costs. `None` if there is no such
    /// entry.
    pub fn entry_is_true<S: Subject>(&self, entry: usize, subject: &S, arena: &Bump) -> Option<bool> {
        let entry = self.entries.get(entry)?;
        Some(Evaluation::new(&self.code, &self.memory, subject, arena).truth(&entry.when))
    }

    /// Whether a rule is true, evaluated by itself; for telling what it costs. `None` if there is no such rule.
    pub fn rule_is_true<S: Subject>(&self, rule: usize, subject: &S, arena: &Bump) -> Option<bool> {
        let rule = self.rules.get(rule)?;
        Some(Evaluation::new(&self.code, &self.memory, subject, arena).truth(rule))
    }

    /// How many entries there are.
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// How many rules there are.
    pub fn rules(&self) -> usize {
        self.rules.len()
    }

    /// Whether it knows what it was compiled from; a program that was loaded does not.
    pub fn has_texts(&self) -> bool {
        self.expressions.is_some()
    }

    /// When an entry applies, as it was written; `None` for a program that was loaded.
    pub fn entry(&self, entry: usize) -> Option<&Expression> {
        self.expressions.as_ref()?.entries.get(entry).map(Arc::as_ref)
    }

    /// A bypass rule as it was written; `None` for a program that was loaded.
    pub fn rule(&self, rule: usize) -> Option<&Expression> {
        self.expressions.as_ref()?.rules.get(rule).map(Arc::as_ref)
    }

    /// What a host must supply.
    pub fn needs(&self) -> &Needs {
        &self.needs
    }

    #[inline]
    fn first_entry<'a, S: Subject>(&'a self, evaluation: &Evaluation<'a, S>) -> Option<usize> {
        match &self.index {
            Some(index) => index.first(evaluation, |entry| &self.entries[entry].when),
            None => self.entries.iter().position(|entry| evaluation.truth(&entry.when)),
        }
    }

    fn first_rule<'a, S: Subject>(&'a self, bypass: &'a Bypass, evaluation: &Evaluation<'a, S>) -> Option<usize> {
        let condition = |position: usize| &self.rules[bypass.rules[position]];
        let first = match &bypass.index {
            Some(index) => index.first(evaluation, condition),
            None => (0..bypass.rules.len()).find(|&position| evaluation.truth(condition(position))),
        };
        first.map(|position| bypass.rules[position])
    }

    fn bypass_of(&self, entry: &CompiledEntry) -> impl Iterator<Item = usize> {
        self.bypasses[entry.bypass].rules.iter().copied()
    }
}

/// Lists of rules, each once.
#[derive(Default)]
struct Bypasses {
    all: Vec<Box<[usize]>>,
    known: HashMap<Box<[usize]>, usize>,
}

impl Bypasses {
    /// The number of a list; rules that are not there are left out of it.
    fn number(&mut self, rules: &[usize], count: usize) -> usize {
        let rules: Box<[usize]> = rules.iter().copied().filter(|&rule| rule < count).collect();
        *self.known.entry(rules).or_insert_with_key(|rules| {
            self.all.push(rules.clone());
            self.all.len() - 1
        })
    }
}

//! Checked expressions → one program → verdict.
//!
//! A [`Program`] holds all triggers and bypass rules of a site. [`Program::evaluate`] asks a [`Subject`] for what it
//! needs, at most once for each field, and allocates nothing once its [`Scratch`] is warm. The same part of two
//! expressions is one part of the program: its value or truth is found out once for a request.
//!
//! The module knows nothing of Queue-it and nothing of HTTP hosts.

use bumpalo::Bump;

use crate::language::Expression;
use crate::request::Subject;

mod code;
mod compile;
mod evaluate;
mod explain;
mod function;
mod lists;
mod needs;
mod sets;
#[cfg(test)]
mod tests;
mod wildcard;

use code::{Code, Node};
use compile::Compiler;
use evaluate::Evaluation;

pub use explain::{Explanation, Trace};
pub use lists::{Hostname, List, ListKind, Lists};
pub use needs::Needs;

/// What a program is compiled from.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// Conditions in order; the first that is true is the one that matched.
    pub entries: Vec<Entry>,
    /// Bypass rules, referred to by index.
    pub rules: Vec<Expression>,
    /// The lists that expressions name. A name that is not here matches nothing.
    pub lists: Lists,
}

/// One integration, or one room placed by host and path.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When it applies.
    pub when: Expression,
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
    entries: Vec<CompiledEntry>,
    rules: Vec<Rule>,
    needs: Needs,
}

#[derive(Debug)]
struct CompiledEntry {
    when: Rule,
    bypass: Vec<usize>,
}

/// An expression and what it was compiled to.
#[derive(Debug)]
struct Rule {
    expression: Expression,
    node: Node,
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
    /// Compiles a site.
    pub fn compile(site: &Site) -> Program {
        let mut compiler = Compiler::new(&site.lists);
        let mut compile =
            |expression: &Expression| Rule { expression: expression.clone(), node: compiler.expression(expression) };
        let entries = site.entries.iter().map(|entry| CompiledEntry {
            when: compile(&entry.when),
            bypass: entry.bypass.iter().copied().filter(|&rule| rule < site.rules.len()).collect(),
        });
        let entries = entries.collect();
        let rules = site.rules.iter().map(compile).collect();
        let code = compiler.finish();
        Program { needs: Needs::of(&code), code, entries, rules }
    }

    /// Compiles one expression, for [`Program::matches`].
    pub fn single(expression: &Expression, lists: &Lists) -> Program {
        let entry = Entry { when: expression.clone(), bypass: Vec::new() };
        Program::compile(&Site { entries: vec![entry], rules: Vec::new(), lists: lists.clone() })
    }

    /// Decides about one request. Entries and rules are tried in order; temporaries are built in `arena`.
    pub fn evaluate<S: Subject>(&self, subject: &S, arena: &Bump) -> Verdict {
        self.decide(&Evaluation::new(&self.code, subject, arena))
    }

    /// Whether any entry matches; for a program of one expression: whether it is true.
    pub fn matches<S: Subject>(&self, subject: &S, arena: &Bump) -> bool {
        self.evaluate(subject, arena) != Verdict::Nothing
    }

    /// What a host must supply.
    pub fn needs(&self) -> &Needs {
        &self.needs
    }

    fn decide<'a, S: Subject>(&'a self, evaluation: &Evaluation<'a, S>) -> Verdict {
        let Some(entry) = self.entries.iter().position(|entry| evaluation.truth(&entry.when.node)) else {
            return Verdict::Nothing;
        };
        let is_true = |rule: &usize| evaluation.truth(&self.rules[*rule].node);
        match self.entries[entry].bypass.iter().copied().find(is_true) {
            Some(rule) => Verdict::Bypassed { entry, rule },
            None => Verdict::Matched { entry },
        }
    }
}

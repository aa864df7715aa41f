//! Checked expressions → one program → verdict.
//!
//! A [`Program`] holds all triggers and bypass rules of a site. [`Program::evaluate`] asks a [`Subject`] for what it
//! needs, at most once for each field, and allocates nothing once its [`Scratch`] is warm.
//!
//! The module knows nothing of Queue-it and nothing of HTTP hosts.

use crate::language::Expression;
use crate::request::{Fault, FieldId, Subject};

mod lists;

pub use lists::{Hostname, List, ListKind, Lists};

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
    /// Indexes into [`Site::rules`], in order: the first that is true lets the request bypass this entry's room.
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
#[derive(Debug)]
pub struct Program {}

/// Memory that evaluations reuse; one for each thread.
#[derive(Debug, Default)]
pub struct Scratch {}

/// What a host must supply for a program to do its work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Every field that some expression reads, sorted.
    pub fields: Vec<FieldId>,
    /// Names of the headers it reads, lower case, sorted; those behind fields such as `http.user_agent` included.
    pub headers: Vec<String>,
    /// Whether it must see every header (names, values, or `[*]` on the map of headers).
    pub all_headers: bool,
    /// Whether it reads the request's body.
    pub body: bool,
}

impl Program {
    /// Compiles a site.
    pub fn compile(_site: &Site) -> Program {
        todo!()
    }

    /// Decides about one request. Entries and rules are tried in order.
    pub fn evaluate<S: Subject>(&self, _subject: &S, _scratch: &mut Scratch) -> Result<Verdict, Fault> {
        todo!()
    }

    /// What a host must supply.
    pub fn needs(&self) -> &Needs {
        todo!()
    }

    /// Evaluates everything that decides about one request, and tells what each part saw.
    pub fn explain<S: Subject>(&self, _subject: &S) -> Explanation {
        todo!()
    }
}

/// How a verdict came about.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The same as [`Program::evaluate`] says.
    pub verdict: Result<Verdict, Fault>,
    /// Each entry that was tried, in order; the last one matched if any did.
    pub entries: Vec<(usize, Trace)>,
    /// Each bypass rule of the matched entry that was tried, by index into [`Site::rules`], in order.
    pub rules: Vec<(usize, Trace)>,
}

/// How one condition came out.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// The condition as canonical text.
    pub text: String,
    /// Its value; `None` where it was not evaluated because the outcome was already clear. For a condition that is
    /// mapped over elements: whether any element is true.
    pub result: Option<bool>,
    /// For a comparison or bare value: what its left side was, as text (`missing` where the request has none).
    pub saw: Option<String>,
    /// The parts of a `not`, a chain, any or all.
    pub parts: Vec<Trace>,
}

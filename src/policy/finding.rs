//! What is wrong in a policy's sources, and where.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use super::place;
use crate::language::{Code, Diagnostic, Place, Severity};

/// Why a policy does not compile: all that there is to say of its sources, with at least one error among it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings(pub(super) Vec<Diagnostic>);

impl Findings {
    /// Everything, by file and place.
    pub fn all(&self) -> &[Diagnostic] {
        &self.0
    }

    /// What the policy is refused for.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter().filter(|found| found.severity == Severity::Error)
    }
}

impl IntoIterator for Findings {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// How many errors there are, and the first of them.
impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.errors().next().map(ToString::to_string).unwrap_or_default();
        write!(f, "{} errors, first {first}", self.errors().count())
    }
}

impl std::error::Error for Findings {}

/// How many problems of one file are told one by one; a file of rubbish must not flood the report.
const TOLD: usize = 100;

/// All that was found so far.
#[derive(Debug, Default)]
pub struct Report {
    findings: RefCell<Vec<Diagnostic>>,
    counts: RefCell<BTreeMap<String, Count>>,
}

/// How many problems of a file are told, and how many are not.
#[derive(Debug, Default)]
struct Count {
    told: usize,
    untold_errors: usize,
    untold_warnings: usize,
}

impl Report {
    /// A problem of a whole file.
    pub fn add(&self, file: &str, problem: Diagnostic) {
        self.push(file, problem, Place::default);
    }

    /// A problem of a whole line.
    pub fn add_line(&self, file: &str, line: usize, problem: Diagnostic) {
        self.push(file, problem, || Place { line, ..Place::default() });
    }

    /// Whether there is an error among them.
    pub fn has_errors(&self) -> bool {
        self.findings.borrow().iter().any(|finding| finding.severity == Severity::Error)
            || self.counts.borrow().values().any(|count| count.untold_errors > 0)
    }

    /// Everything, by file and place.
    pub fn into_findings(self) -> Vec<Diagnostic> {
        for (file, count) in self.counts.take() {
            let Count { untold_errors, untold_warnings, .. } = count;
            if untold_errors + untold_warnings > 0 {
                let message = format!("{untold_errors} more errors and {untold_warnings} more warnings in this file");
                let severity = if untold_errors > 0 { Severity::Error } else { Severity::Warning };
                self.add(&file, Diagnostic { severity, ..Diagnostic::error(Code::More, message) });
            }
        }
        let mut findings = self.findings.into_inner();
        findings.sort_by(|a, b| in_order(&a.place).cmp(&in_order(&b.place)));
        findings
    }

    /// Adds a problem; where it is, is worked out only if it is told.
    fn push(&self, file: &str, problem: Diagnostic, place: impl FnOnce() -> Place) {
        let mut counts = self.counts.borrow_mut();
        let count = counts.entry(file.to_owned()).or_default();
        if count.told == TOLD {
            match problem.severity {
                Severity::Error => count.untold_errors += 1,
                Severity::Warning => count.untold_warnings += 1,
            }
            return;
        }
        count.told += 1;
        let subject = problem.place.subject;
        let place = Place { file: file.to_owned(), subject, ..place() };
        self.findings.borrow_mut().push(Diagnostic { place, ..problem });
    }
}

/// By file, and in the order of its text.
fn in_order(place: &Place) -> (&str, usize, usize) {
    (&place.file, place.line, place.column)
}

/// What is at a byte of a text.
fn at(text: &str, offset: usize) -> Place {
    let (line, column) = place::position(text, offset);
    Place { offset, line, column, ..Place::default() }
}

/// One text of the policy, and where to report its problems.
#[derive(Clone, Copy)]
pub struct File<'s> {
    /// Relative to the folder of the policy.
    pub path: &'s str,
    /// What stands in it.
    pub text: &'s str,
    /// Where its problems go.
    pub report: &'s Report,
}

impl File<'_> {
    /// A problem of some bytes of the file.
    pub fn add(&self, span: Range<usize>, problem: Diagnostic) {
        self.report.push(self.path, problem.at(span.clone()), || Place {
            snippet: Some(place::snippet(self.text, span.clone())),
            ..at(self.text, span.start)
        });
    }

    /// A problem of some bytes that must not be shown.
    pub fn add_unseen(&self, offset: usize, problem: Diagnostic) {
        self.report.push(self.path, problem.at(offset..offset), || at(self.text, offset));
    }

    /// A problem of a text inside the file, such as an expression in JSON: `offset` is where it is in the file, and
    /// `span` what is meant of `inner`.
    pub fn add_inner(&self, offset: usize, inner: &str, span: Range<usize>, problem: Diagnostic) {
        self.report.push(self.path, problem.at(span.clone()), || Place {
            within: Some(place::position(inner, span.start)),
            snippet: Some(place::snippet(inner, span)),
            ..at(self.text, offset)
        });
    }
}

/// "did you mean": the known word that is nearest to a misspelt one, if any is near.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let lower = word.to_lowercase();
    let scored = known.into_iter().map(|known| (strsim::damerau_levenshtein(&lower, &known.to_lowercase()), known));
    let (distance, known) = scored.min_by_key(|(distance, _)| *distance)?;
    (distance <= (word.chars().count() / 3).max(1)).then_some(known)
}

/// The help line of [`nearest`].
pub fn did_you_mean<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    nearest(word, known).map(|known| format!("did you mean `{known}`?"))
}

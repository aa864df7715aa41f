//! What is wrong in a policy's sources, and where.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use super::place;
use crate::language::Severity;

/// A problem in a policy's sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Error or warning.
    pub severity: Severity,
    /// Stable code, such as `E0102` for expressions and `P0003` for files.
    pub code: String,
    /// Path as in [`super::Sources`].
    pub file: String,
    /// 1-based; 0 where the whole file is meant.
    pub line: usize,
    /// 1-based, in bytes; 0 where the whole line is meant.
    pub column: usize,
    /// What it is about: `rule "admins" of room shop`, `integration 3 (Checkout)`, …; empty for a file.
    pub subject: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The source line and carets, if there are any.
    pub snippet: Option<String>,
    /// For an expression: line and column within it, as above.
    pub within: Option<(usize, usize)>,
}

/// The kinds of problems that are not about the text of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file is missing, unreadable or not UTF-8.
    Unreadable = 1,
    /// A file is not JSON or TOML.
    Syntax = 2,
    /// A key that nobody knows.
    UnknownKey = 3,
    /// A value of the wrong type.
    WrongType = 4,
    /// A key that must be there.
    MissingKey = 5,
    /// A value that is not allowed.
    BadValue = 6,
    /// Two of something that there may be one of.
    Duplicate = 7,
    /// A room that nothing defines.
    UnknownRoom = 8,
    /// A list that nothing defines.
    UnknownList = 9,
    /// A list of another kind than the field's.
    WrongList = 10,
    /// A list without members.
    EmptyList = 11,
    /// A field that bypass rules must not use.
    BarredField = 12,
    /// A field the target cannot supply.
    UnsuppliedField = 13,
    /// A field that needs something to be set up.
    UnconfiguredField = 14,
    /// A condition that is always or never true.
    Constant = 15,
    /// A value in the integration JSON that the engine does not know and works around.
    IgnoredValue = 16,
    /// Something that makes an integration fail for every visitor.
    BrokenIntegration = 17,
    /// Something in an integration that works, and probably surprises.
    Surprise = 18,
    /// Problems beyond those that are told one by one.
    More = 19,
    /// A rule that lets everybody pass, and does not say that it is meant to.
    OpensForEverybody = 20,
    /// A cookie that browsers do not take.
    CookieDomain = 21,
    /// A page that visitors are sent to and had better not be.
    TargetUrl = 22,
    /// A setting that is kept and that nothing acts on yet.
    NotActedOn = 23,
    /// What makes redirects lead back to where visitors did not come from.
    PublicAddress = 24,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "P{:04}", *self as u16)
    }
}

/// A problem on its way into the report.
#[derive(Clone, Debug)]
pub struct Problem {
    severity: Severity,
    code: String,
    subject: String,
    message: String,
    help: Option<String>,
}

impl Problem {
    pub fn error(kind: Kind, message: impl Into<String>) -> Problem {
        Problem::new(Severity::Error, kind.to_string(), message.into())
    }

    pub fn warning(kind: Kind, message: impl Into<String>) -> Problem {
        Problem { severity: Severity::Warning, ..Problem::error(kind, message) }
    }

    pub fn new(severity: Severity, code: String, message: String) -> Problem {
        Problem { severity, code, subject: String::new(), message, help: None }
    }

    /// The same as a warning.
    pub fn softened(self) -> Problem {
        Problem { severity: Severity::Warning, ..self }
    }

    /// What it is about.
    pub fn about(mut self, subject: &str) -> Problem {
        self.subject = subject.to_owned();
        self
    }

    /// What to do about it.
    pub fn help(self, help: impl Into<String>) -> Problem {
        self.maybe_help(Some(help.into()))
    }

    /// What to do about it, if that is known.
    pub fn maybe_help(mut self, help: Option<String>) -> Problem {
        self.help = help.or(self.help);
        self
    }
}

/// How many problems of one file are told one by one; a file of rubbish must not flood the report.
const TOLD: usize = 100;

/// All problems found so far.
#[derive(Debug, Default)]
pub struct Report {
    findings: RefCell<Vec<Finding>>,
    counts: RefCell<BTreeMap<String, Count>>,
}

/// How many problems of a file are told, and how many are not.
#[derive(Debug, Default)]
struct Count {
    told: usize,
    untold_errors: usize,
    untold_warnings: usize,
}

/// Where a problem is, as a finding says it.
#[derive(Default)]
struct Place {
    at: (usize, usize),
    snippet: Option<String>,
    within: Option<(usize, usize)>,
}

impl Report {
    /// A problem of a whole file.
    pub fn add(&self, file: &str, problem: Problem) {
        self.push(file, problem, Place::default);
    }

    /// A problem of a whole line.
    pub fn add_line(&self, file: &str, line: usize, problem: Problem) {
        self.push(file, problem, || Place { at: (line, 0), ..Place::default() });
    }

    pub fn has_errors(&self) -> bool {
        self.findings.borrow().iter().any(|finding| finding.severity == Severity::Error)
            || self.counts.borrow().values().any(|count| count.untold_errors > 0)
    }

    /// Everything, by file and place.
    pub fn into_findings(self) -> Vec<Finding> {
        for (file, count) in self.counts.take() {
            let Count { untold_errors, untold_warnings, .. } = count;
            if untold_errors + untold_warnings > 0 {
                let message = format!("{untold_errors} more errors and {untold_warnings} more warnings in this file");
                let severity = if untold_errors > 0 { Severity::Error } else { Severity::Warning };
                self.add(&file, Problem { severity, ..Problem::error(Kind::More, message) });
            }
        }
        let mut findings = self.findings.into_inner();
        findings.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        findings
    }

    /// Adds a problem; where it is, is worked out only if it is told.
    fn push(&self, file: &str, problem: Problem, place: impl FnOnce() -> Place) {
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
        let Problem { severity, code, subject, message, help } = problem;
        let Place { at: (line, column), snippet, within } = place();
        let file = file.to_owned();
        let finding = Finding { severity, code, file, line, column, subject, message, help, snippet, within };
        self.findings.borrow_mut().push(finding);
    }
}

/// One text of the policy, and where to report its problems.
#[derive(Clone, Copy)]
pub struct File<'s> {
    pub path: &'s str,
    pub text: &'s str,
    pub report: &'s Report,
}

impl File<'_> {
    /// A problem of some bytes of the file.
    pub fn add(&self, span: Range<usize>, problem: Problem) {
        self.report.push(self.path, problem, || Place {
            at: place::position(self.text, span.start),
            snippet: Some(place::snippet(self.text, span.clone())),
            within: None,
        });
    }

    /// A problem of some bytes that must not be shown.
    pub fn add_unseen(&self, at: usize, problem: Problem) {
        self.report.push(self.path, problem, || Place { at: place::position(self.text, at), ..Place::default() });
    }

    /// A problem of a text inside the file, such as an expression in JSON: `at` is where it is in the file, and
    /// `span` what is meant of `inner`.
    pub fn add_inner(&self, at: usize, inner: &str, span: Range<usize>, problem: Problem) {
        self.report.push(self.path, problem, || Place {
            at: place::position(self.text, at),
            within: Some(place::position(inner, span.start)),
            snippet: Some(place::snippet(inner, span)),
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

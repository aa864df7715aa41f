//! What is wrong with an expression, where, and what to write instead.

use std::ops::Range;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The expression is refused.
    Error,
    /// It is accepted, and probably not what was meant.
    Warning,
}

/// The kind of a mistake; stable, and printed as `E…`/`W…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// The text does not follow the grammar.
    Syntax,
}

/// One finding about an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// What kind of mistake it is.
    pub code: Code,
    /// Bytes of the expression's text it is about; an empty range points at one place.
    pub span: Range<usize>,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// What to write instead, if known.
    pub help: Option<String>,
}

impl Diagnostic {
    /// The finding with its source line and carets, several lines, no trailing newline. `origin` names the file (or
    /// rule), `line` is the number of the expression's first line in that file (1-based).
    pub fn render(&self, _text: &str, _origin: &str, _line: usize) -> String {
        todo!()
    }

    /// Line and column (both 1-based, columns count bytes) of the start of the span in `text`.
    pub fn position(&self, _text: &str) -> (usize, usize) {
        todo!()
    }
}

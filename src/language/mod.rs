//! The rules language: text → checked expression.
//!
//! `grammar/expression.pest` is the one source of syntax. [`parse`] turns text into an [`Expression`] whose names,
//! types and literals are checked against a [`Scheme`], or into [`Diagnostic`]s that say what to write instead.
//! [`lint`] warns of expressions that parse and betray, and [`certainty`] sees which are the same for every request. An expression prints itself as canonical text.
//!
//! The module knows nothing of programs and nothing of Queue-it.

mod canonical;
mod certainty;
mod check;
mod diagnostic;
pub mod expression;
mod format;
pub mod function;
mod grammar;
mod lint;
mod recover;
mod scheme;
mod suggest;

pub use certainty::certainty;
pub use diagnostic::{Code, Diagnostic, Kind, Place, Severity, position};
pub use expression::Expression;
pub use function::Function;
pub use lint::lint;
pub use scheme::Scheme;

use grammar::{Grammar, Rule};
use pest::Parser as _;

/// The longest expression, in characters (Cloudflare's documented limit).
pub const MAX_CHARACTERS: usize = 4_096;

/// The deepest nesting of parentheses, `not`, calls and any/all.
pub const MAX_NESTING: usize = 128;

/// Parses and checks an expression; reports every error that can be told apart.
pub fn parse(text: &str, scheme: &Scheme) -> Result<Expression, Vec<Diagnostic>> {
    let length = text.chars().count();
    if length > MAX_CHARACTERS {
        let message = format!("the expression has {length} characters, and {MAX_CHARACTERS} are allowed");
        let help = "move long sets to a list, or split the rule".to_owned();
        return Err(vec![check::error(Code::TooLong, 0..text.len(), message, Some(help))]);
    }
    let trimmed = text.trim();
    let base = text.len() - text.trim_start().len();
    match Grammar::parse(Rule::text, trimmed) {
        Ok(matched) => check::check(trimmed, base, matched, scheme),
        Err(refusal) => Err(recover::diagnose(trimmed, base, &refusal, scheme)),
    }
}

/// By [`Scheme::standard`].
impl std::str::FromStr for Expression {
    type Err = Vec<Diagnostic>;

    fn from_str(text: &str) -> Result<Expression, Vec<Diagnostic>> {
        parse(text, Scheme::standard())
    }
}

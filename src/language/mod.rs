//! The rules language: text → checked expression.
//!
//! `grammar/expression.pest` is the one source of syntax. [`parse`] turns text into an [`Expression`] whose names,
//! types and literals are checked against a [`Scheme`], or into [`Diagnostic`]s that say what to write instead.
//! [`lint`] warns of expressions that parse and betray. An expression prints itself as canonical text.
//!
//! The module knows nothing of programs and nothing of Queue-it.

mod country;
mod diagnostic;
pub mod expression;
mod format;
mod function;
mod grammar;
mod lint;
mod scheme;
mod suggest;

pub use diagnostic::{Code, Diagnostic, Severity};
pub use expression::Expression;
pub use function::Function;
pub use lint::lint;
pub use scheme::Scheme;

/// The longest expression, in characters (Cloudflare's documented limit).
pub const MAX_CHARACTERS: usize = 4_096;

/// The deepest nesting of parentheses, `not`, calls and any/all.
pub const MAX_NESTING: usize = 128;

/// Parses and checks an expression; reports every error that can be told apart.
pub fn parse(_text: &str, _scheme: &Scheme) -> Result<Expression, Vec<Diagnostic>> {
    todo!()
}

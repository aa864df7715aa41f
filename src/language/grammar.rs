//! The parser that pest makes of `grammar/expression.pest`.

use pest::iterators::Pair;

/// Generated; [`Rule`] names the grammar's rules.
#[derive(pest_derive::Parser)]
#[grammar = "../grammar/expression.pest"]
pub(super) struct Grammar;

/// What one rule matched, with everything inside it.
pub(super) type Node<'t> = Pair<'t, Rule>;

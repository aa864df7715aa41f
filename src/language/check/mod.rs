//! From what the grammar matched to a checked expression: names resolved, literals read, types agreed.
//!
//! A part that is wrong is reported and becomes `None`; its neighbours are still checked, so that one run tells
//! every error that can be told apart.

mod call;
mod comparison;
mod literal;

use std::ops::Range;

use pest::iterators::Pairs;

use super::expression::*;
use super::grammar::{Node, Rule};
use super::{Code, Diagnostic, Function, Scheme, suggest};
use crate::request::Type;

/// Checks what [`Rule::text`] matched. `base` is where the matched text starts in the author's text.
pub(super) fn check(
    text: &str,
    base: usize,
    mut matched: Pairs<'_, Rule>,
    scheme: &Scheme,
) -> Result<Expression, Vec<Diagnostic>> {
    let mut checker = Checker { text, base, scheme, diagnostics: Vec::new(), replacements: Vec::new() };
    let expression = matched.next().and_then(|whole| inner(whole).next());
    let root = expression.and_then(|expression| checker.root(expression));
    let mut diagnostics = checker.diagnostics;
    match root {
        Some(root) if diagnostics.is_empty() => Ok(Expression { root }),
        _ => {
            diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
            Err(diagnostics)
        }
    }
}

struct Checker<'t> {
    /// The trimmed text, as the grammar saw it.
    text: &'t str,
    base: usize,
    scheme: &'t Scheme,
    diagnostics: Vec<Diagnostic>,
    /// The calls of `regex_replace` and `wildcard_replace` so far.
    replacements: Vec<(Function, Span)>,
}

/// A condition, and whether it is one for each element.
struct Checked {
    condition: Condition,
    many: bool,
}

impl Checker<'_> {
    fn root(&mut self, expression: Node<'_>) -> Option<Condition> {
        let span = self.span(&expression);
        let checked = self.expression(expression)?;
        if checked.many {
            let help = format!("write `any({0})` or `all({0})`", self.as_argument(&checked.condition, &span));
            let message = "this is an array of truth values, and an expression must be a single one";
            self.error(Code::NotOneBool, span, message, Some(help));
            return None;
        }
        Some(checked.condition)
    }

    /// Conditions and connectives by turns.
    fn expression(&mut self, node: Node<'_>) -> Option<Checked> {
        let mut parts = Vec::new();
        let mut connectives = Vec::new();
        let mut many = None;
        let (mut is_sound, mut is_mixed) = (true, false);
        let mut previous = None;
        for child in inner(node) {
            match child.as_rule() {
                Rule::connective => connectives.push(connective(&child)),
                Rule::wrong_comment => self.comment(&child),
                _ => {
                    match self.condition(child.clone(), previous.as_ref()) {
                        Some(part) => {
                            is_mixed |= *many.get_or_insert(part.many) != part.many;
                            parts.push(part.condition);
                        }
                        None => is_sound = false,
                    }
                    previous = Some(child);
                }
            }
        }
        if is_mixed && is_sound {
            let span = self.whole(&previous);
            self.mixed(span);
        }
        if is_mixed || !is_sound {
            return None;
        }
        Some(Checked { condition: bind(&mut parts.into_iter(), &connectives)?, many: many? })
    }

    fn mixed(&mut self, span: Span) {
        let message = "a single truth value is joined with an array of them";
        let help = "join them outside: any(… for each element …) and …";
        self.error(Code::MixedConditions, span, message, Some(help.to_owned()));
    }

    fn condition(&mut self, node: Node<'_>, previous: Option<&Node<'_>>) -> Option<Checked> {
        match node.as_rule() {
            Rule::negation => {
                let checked = self.condition(inner(node).next()?, None)?;
                Some(Checked { condition: Condition::Not(Box::new(checked.condition)), many: checked.many })
            }
            Rule::group => self.expression(inner(node).next()?),
            Rule::quantified => self.quantified(node),
            Rule::constant => Some(Checked { condition: Condition::Constant(is_yes(&node)), many: false }),
            Rule::comparison => self.comparison(node),
            _ => {
                self.value_as_condition(&node, previous);
                None
            }
        }
    }

    /// `… or "b"`
    fn value_as_condition(&mut self, node: &Node<'_>, previous: Option<&Node<'_>>) {
        let help = previous.and_then(|previous| self.repeated(previous, node.as_str()));
        let help = help.map(|repeated| format!("repeat the field and the operator: `{repeated}`"));
        let message = "a value stands here where a condition is expected";
        self.error(Code::MissingOperator, self.span(node), message, help);
    }

    /// The comparison `previous` with another value.
    fn repeated(&self, previous: &Node<'_>, value: &str) -> Option<String> {
        if previous.as_rule() != Rule::comparison {
            return None;
        }
        let test = inner(previous.clone()).nth(1)?;
        let old = inner(test).last()?;
        let upto = old.as_span().start() - previous.as_span().start();
        Some(format!("{}{value}", previous.as_str().get(..upto)?))
    }

    fn quantified(&mut self, node: Node<'_>) -> Option<Checked> {
        let span = self.span(&node);
        let mut children = inner(node);
        let word = children.next()?;
        let quantifier = if word.as_rule() == Rule::any { Quantifier::Any } else { Quantifier::All };
        let argument = children.next()?;
        let argument_span = self.span(&argument);
        let unparenthesised = children.next();
        if let Some(chain) = &unparenthesised {
            self.unparenthesised(&quantifier.to_string(), &argument, chain.clone());
        }
        let value = inner(argument).next()?;
        let checked = match value.as_rule() {
            Rule::expression => self.expression(value)?,
            Rule::comparison if inner(value.clone()).nth(1).is_some() => self.comparison(value)?,
            Rule::comparison => {
                let operand = self.operand(inner(value).next()?)?;
                if operand.each || operand.value_type != Type::Bool.array() {
                    self.not_for_each(quantifier, argument_span, &operand);
                    return None;
                }
                truth(operand)
            }
            Rule::wrong_quotes => return self.quotes(&value),
            _ => {
                self.single(quantifier, argument_span);
                return None;
            }
        };
        if unparenthesised.is_some() {
            return None;
        }
        if !checked.many {
            self.single(quantifier, span);
            return None;
        }
        Some(Checked { condition: Condition::Quantified(quantifier, Box::new(checked.condition)), many: false })
    }

    /// `any(x[*])`, `any(names)`
    fn not_for_each(&mut self, quantifier: Quantifier, span: Span, operand: &Operand) {
        let text = self.slice(&span);
        let help = match (&operand.value_type, operand.each) {
            (Type::Bool, true) => format!("write `{quantifier}({})`", text.trim_end_matches("[*]")),
            (Type::Bool, false) => format!("write `{text}` alone"),
            (_, true) => format!("compare each element: `{quantifier}({text} eq …)`"),
            (Type::Array(_) | Type::Map(_), false) => {
                format!("compare each element: `{quantifier}({text}[*] eq …)`")
            }
            (_, false) => format!("`{text}` is a single value: compare it without {quantifier}"),
        };
        let given = match operand.each {
            true => format!("each {}", operand.value_type),
            false => operand.value_type.to_string(),
        };
        let message = format!("{quantifier} takes an array of truth values, not {given}");
        self.error(Code::Quantified, span, message, Some(help));
    }

    fn single(&mut self, quantifier: Quantifier, span: Span) {
        let message = format!("{quantifier} takes an array of truth values, not a single one");
        let help = format!("test each element with `[*]`, or leave out {quantifier}");
        self.error(Code::Quantified, span, message, Some(help));
    }

    /// `any(a and b)`, `any(x[*] wildcard "a" or "b")`
    fn unparenthesised(&mut self, callee: &str, argument: &Node<'_>, chain: Node<'_>) {
        let span = argument.as_span().start()..chain.as_span().end();
        let mut corrected = argument.as_str().trim_end().to_owned();
        let mut previous = inner(argument.clone()).next().filter(|value| value.as_rule() == Rule::comparison);
        for part in inner(chain) {
            match part.as_rule() {
                Rule::connective => corrected += &format!(" {} ", part.as_str().trim()),
                Rule::wrong_condition => {
                    let repeated = previous.as_ref().and_then(|previous| self.repeated(previous, part.as_str()));
                    corrected += repeated.as_deref().unwrap_or(part.as_str());
                }
                _ => {
                    corrected += part.as_str().trim();
                    self.condition(part.clone(), None);
                    previous = Some(part);
                }
            }
        }
        let message = "an argument is a single condition unless it stands in parentheses of its own";
        let span = span.start + self.base..span.end + self.base;
        let help = format!("write `{callee}(({corrected}))`");
        self.error(Code::Unparenthesised, span, message, Some(help));
    }

    /// A comparison, or a value of type Bool alone.
    fn comparison(&mut self, node: Node<'_>) -> Option<Checked> {
        let span = self.span(&node);
        let mut children = inner(node);
        let left_node = children.next()?;
        let left_text = left_node.as_str();
        let left = self.operand(left_node);
        let Some(test) = children.next() else {
            return self.alone(left?, span);
        };
        let test = self.test(left.as_ref(), left_text, &span, test);
        let (left, test) = (left?, test?);
        let many = left.each;
        Some(Checked { condition: Condition::Compare(Comparison { left, test, span }), many })
    }

    /// A value without an operator.
    fn alone(&mut self, operand: Operand, span: Span) -> Option<Checked> {
        match &operand.value_type {
            Type::Bool => Some(truth(operand)),
            Type::Array(of) if **of == Type::Bool && !operand.each => Some(truth(operand)),
            Type::Map(of) if **of == Type::Bool => {
                let text = self.slice(&span);
                let help = format!("take one entry, `{text}[\"…\"]`");
                let message = "a map of truth values is not a condition";
                self.error(Code::NotOneBool, span, message, Some(help));
                None
            }
            of => {
                let message = format!("a value of type {of} is not a condition: an operator is missing");
                let text = self.slice(&span);
                let help = match of {
                    Type::Array(_) => format!("compare each element: `any({text}[*] eq …)`"),
                    Type::Map(_) => format!("take one entry, `{text}[\"…\"]`, and compare it"),
                    _ => format!("compare it: `{text} eq …`"),
                };
                self.error(Code::MissingOperator, span, message, Some(help));
                None
            }
        }
    }

    /// A field or call with its indexes.
    fn operand(&mut self, node: Node<'_>) -> Option<Operand> {
        let span = self.span(&node);
        let mut children = inner(node).peekable();
        let name = children.next()?;
        let (base, mut value_type) = match children.next_if(|next| next.as_rule() == Rule::arguments) {
            Some(arguments) => {
                let (call, result) = self.call(&name, arguments)?;
                (Base::Call(call), result)
            }
            None => {
                let (field, of) = self.field(&name)?;
                (Base::Field(field), of)
            }
        };
        let mut path = Vec::new();
        let mut each = false;
        for bracket in children {
            let (index, of) = self.index(bracket, &value_type)?;
            each |= index == Index::Each;
            path.push(index);
            value_type = of;
        }
        Some(Operand { base, path, value_type, each, span })
    }

    fn field(&mut self, node: &Node<'_>) -> Option<(crate::request::FieldId, Type)> {
        let name = node.as_str();
        if let Some((field, of)) = self.scheme.field(name) {
            return Some((field, of.clone()));
        }
        let diagnostic = unknown_field(name, self.span(node), self.scheme);
        self.diagnostics.push(diagnostic);
        None
    }

    /// One step into an array or map of type `of`.
    fn index(&mut self, bracket: Node<'_>, of: &Type) -> Option<(Index, Type)> {
        let span = self.span(&bracket);
        let step = inner(bracket).next()?;
        let index = match step.as_rule() {
            Rule::each => Index::Each,
            Rule::quoted => Index::Key(self.key(step)?),
            Rule::int => Index::At(self.place(&step)?),
            _ => {
                let message = "an index is a number, a text in double quotes, or `*`";
                let key = literal::contents(&step);
                self.error(Code::IndexLiteral, self.span(&step), message, Some(format!("write `[{}]`", quote(key))));
                return None;
            }
        };
        match (of, &index) {
            (Type::Array(element), Index::At(_) | Index::Each) => return Some((index, (**element).clone())),
            (Type::Map(element), Index::Key(_) | Index::Each) => return Some((index, (**element).clone())),
            _ => {}
        }
        let (message, help) = match of {
            Type::Array(_) => ("an array is indexed by position, not by key", Some("write `[0]` or `[*]`")),
            Type::Map(_) => ("a map is indexed by key, not by position", Some("write `[\"key\"]` or `[*]`")),
            _ => ("only arrays and maps have elements", None),
        };
        let message = format!("{message}; this is of type {of}");
        self.error(Code::IndexType, span, message, help.map(str::to_owned));
        None
    }

    fn key(&mut self, node: Node<'_>) -> Option<Box<[u8]>> {
        let span = self.span(&node);
        let key = self.bytes(node)?;
        if std::str::from_utf8(&key).is_err() {
            self.error(Code::IndexLiteral, span, "a key must be UTF-8", None);
            return None;
        }
        Some(key)
    }

    fn place(&mut self, node: &Node<'_>) -> Option<u32> {
        let place = literal::int(node.as_str()).and_then(|place| u32::try_from(place).ok());
        if place.is_none() {
            let message = "a position is a number from 0 to 4294967295";
            let is_name = node.as_str().starts_with(|first: char| first.is_ascii_alphabetic());
            let help = is_name.then(|| format!("write `[{}]` for a key", quote(node.as_str())));
            self.error(Code::IndexLiteral, self.span(node), message, help);
        }
        place
    }

    fn comment(&mut self, node: &Node<'_>) {
        let help = "delete it; a rule's description is the place for notes".to_owned();
        self.error(Code::Comment, self.span(node), "the language has no comments", Some(help));
    }

    fn error(&mut self, code: Code, span: Span, message: impl Into<String>, help: Option<String>) {
        self.diagnostics.push(error(code, span, message, help));
    }

    /// Where a node stands in the author's text.
    fn span(&self, node: &Node<'_>) -> Span {
        let span = node.as_span();
        let end = span.start() + span.as_str().trim_end_matches([' ', '\r', '\n']).len();
        span.start() + self.base..end + self.base
    }

    fn slice(&self, span: &Span) -> &str {
        self.text.get(span.start - self.base..span.end - self.base).unwrap_or_default()
    }

    /// From the start of the text that was matched before `last` up to its end.
    fn whole(&self, last: &Option<Node<'_>>) -> Span {
        last.as_ref().map_or(0..0, |last| self.span(last))
    }

    /// The text of a condition as it must stand inside any/all.
    fn as_argument(&self, condition: &Condition, span: &Span) -> String {
        match condition {
            Condition::Chain(..) => format!("({})", self.slice(span)),
            _ => self.slice(span).to_owned(),
        }
    }
}

/// Joins conditions with the connectives between them, the weakest outermost.
fn bind(parts: &mut std::vec::IntoIter<Condition>, connectives: &[Connective]) -> Option<Condition> {
    let weakest = |connective: &&Connective| match connective {
        Connective::Or => 0,
        Connective::Xor => 1,
        Connective::And => 2,
    };
    let Some(&outermost) = connectives.iter().min_by_key(weakest) else { return parts.next() };
    let length = connectives.iter().filter(|&&connective| connective == outermost).count() + 1;
    let mut chain = Vec::with_capacity(length);
    for run in connectives.split(|&connective| connective == outermost) {
        chain.push(bind(parts, run)?);
    }
    Some(Condition::Chain(outermost, chain))
}

/// A value of type Bool or Array<Bool> as a condition.
fn truth(operand: Operand) -> Checked {
    let mapped_call = matches!(&operand.base, Base::Call(call) if call.mapped) && operand.path.is_empty();
    let whole_array = operand.value_type == Type::Bool.array();
    let operand = match mapped_call && whole_array {
        true => Operand { value_type: Type::Bool, each: true, ..operand },
        false => operand,
    };
    Checked { many: operand.each || whole_array, condition: Condition::Truth(operand) }
}

fn is_yes(constant: &Node<'_>) -> bool {
    constant.as_str().starts_with('t')
}

fn connective(node: &Node<'_>) -> Connective {
    match node.as_str().as_bytes().first() {
        Some(b'a' | b'&') => Connective::And,
        Some(b'o' | b'|') => Connective::Or,
        _ => Connective::Xor,
    }
}

/// What stands inside a node, the end of the input left out.
fn inner(node: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    node.into_inner().filter(|child| child.as_rule() != Rule::EOI)
}

pub(super) fn error(code: Code, span: Range<usize>, message: impl Into<String>, help: Option<String>) -> Diagnostic {
    Diagnostic::error(code, message).at(span).maybe_help(help)
}

pub(super) fn unknown_field(name: &str, span: Span, scheme: &Scheme) -> Diagnostic {
    if let Some(function) = Function::by_name(name) {
        let help = format!("write `{}`", function.usage());
        return error(Code::CallSyntax, span, format!("`{name}` is a function and needs its arguments"), Some(help));
    }
    let help = match name {
        "any" | "all" => Some(format!("write `{name}(…)`")),
        "and" | "or" | "xor" => Some(format!("`{name}` joins two conditions: one is missing before it")),
        _ => suggest::field(name, scheme).map(|meant| format!("did you mean `{meant}`?")),
    };
    error(Code::UnknownField, span, format!("there is no field `{name}`"), help)
}

pub(super) fn unknown_function(name: &str, span: Span, scheme: &Scheme) -> Diagnostic {
    if scheme.field(name).is_some() {
        let help = "write it without parentheses".to_owned();
        return error(Code::CallSyntax, span, format!("`{name}` is a field and takes no arguments"), Some(help));
    }
    let message = format!("there is no function `{name}`");
    let help = match suggest::function(name, scheme.is_of_triggers()) {
        _ if suggest::ALL_OPERATORS.contains(&name) => {
            Some(format!("`{name}` is an operator and stands between two values"))
        }
        meant => meant.map(|meant| format!("did you mean `{meant}(…)`?")),
    };
    error(Code::UnknownFunction, span, message, help)
}

/// The text between double quotes, as it must be written.
pub(super) fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

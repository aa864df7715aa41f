//! What stands after a comparison's left side.

use super::literal::{HostBits, contents, network_range};
use super::{Checker, inner, quote};
use crate::language::expression::*;
use crate::language::grammar::{Node, Rule};
use crate::language::{Code, Function, suggest};
use crate::request::Type;

/// A comparison whose right side is being checked.
struct Left<'a> {
    /// `None` where it is wrong and has been reported.
    operand: Option<&'a Operand>,
    text: &'a str,
    /// The whole comparison.
    span: &'a Span,
}

/// An operator as it is written.
struct Word<'t> {
    text: &'t str,
    span: Span,
}

impl Checker<'_> {
    pub(super) fn test(&mut self, operand: Option<&Operand>, text: &str, span: &Span, node: Node<'_>) -> Option<Test> {
        let left = Left { operand, text: text.trim_end(), span };
        match node.as_rule() {
            Rule::ordering => self.ordering(&left, node),
            Rule::containing => self.containing(&left, node),
            Rule::matching => self.matching(&left, node),
            Rule::wildcarding => self.wildcarding(&left, node),
            Rule::membership => self.membership(&left, node),
            Rule::bits => self.bits(&left, node),
            Rule::wrong_symbol => self.wrong_symbol(&left, node),
            Rule::wrong_not => self.wrong_not(&left, node),
            Rule::wrong_infix => self.wrong_infix(&left, node),
            Rule::wrong_spaced_index => self.spaced_index(&left, node),
            _ => self.wrong_operator(&left, node),
        }
    }

    fn ordering(&mut self, left: &Left<'_>, node: Node<'_>) -> Option<Test> {
        let mut children = inner(node);
        let (operator, value) = (children.next()?, children.next()?);
        let relation = match operator.as_str() {
            "eq" | "==" => Relation::Eq,
            "ne" | "!=" => Relation::Ne,
            "lt" | "<" => Relation::Lt,
            "le" | "<=" => Relation::Le,
            "gt" | ">" => Relation::Gt,
            _ => Relation::Ge,
        };
        let operator = self.word(&operator);
        let of = self.accepts(left, &operator, &value, &[Type::Bytes, Type::Int, Type::Ip])?;
        let right = match value.as_rule() {
            Rule::operand => self.right_operand(left, value, &of).map(|right| Right::Operand(Box::new(right))),
            Rule::list | Rule::set => self.not_by_order(left, relation, &value),
            Rule::bare if of == Type::Ip && is_network(value.as_str()) => self.one_network(left, relation, &value),
            _ => self.literal(value, &[of]).map(Right::Literal),
        }?;
        Some(Test::Order(relation, right))
    }

    /// The type of the left side if the operator takes it; otherwise says why not.
    fn accepts(&mut self, left: &Left<'_>, operator: &Word<'_>, value: &Node<'_>, types: &[Type]) -> Option<Type> {
        let Some(operand) = left.operand else {
            self.stray(value.clone());
            return None;
        };
        if types.contains(&operand.value_type) {
            return Some(operand.value_type.clone());
        }
        self.stray(value.clone());
        let (span, written) = (operator.span.clone(), operator.text);
        match &operand.value_type {
            Type::Bool => {
                let wants_false = written.starts_with(['n', '!']) ^ (value.as_str().trim() == "false");
                let corrected = if wants_false { format!("not {}", left.text) } else { left.text.to_owned() };
                let message = "a truth value is not compared; it is a condition by itself";
                self.error(Code::BoolCompared, span, message, Some(format!("write `{corrected}`")));
            }
            of @ (Type::Array(element) | Type::Map(element)) if types.contains(element) => {
                let message = format!("this is of type {of}, and `{written}` compares a single {element}");
                let help = format!("write `any({}[*] {} {})`", left.text, written, value.as_str().trim());
                self.error(Code::WholeCollection, span, message, Some(help));
            }
            of @ (Type::Array(_) | Type::Map(_)) => {
                let step = if matches!(of, Type::Map(_)) { "[\"…\"]" } else { "[0]" };
                let message = format!("this is of type {of}, and `{written}` compares a single value");
                let help = format!("take one entry first: `{}{step}`", left.text);
                self.error(Code::WholeCollection, span, message, Some(help));
            }
            of => {
                let names: Vec<String> = types.iter().map(Type::to_string).collect();
                let message = format!("`{written}` takes {}, not {of}", names.join(" or "));
                self.error(Code::OperatorType, span, message, None);
            }
        }
        None
    }

    /// A right side whose left side is unknown: only what is wrong by itself is told.
    fn stray(&mut self, value: Node<'_>) {
        match value.as_rule() {
            Rule::operand if inner(value.clone()).any(|part| part.as_rule() == Rule::arguments) => {
                self.operand(value);
            }
            Rule::quoted => {
                self.bytes(value);
            }
            Rule::wrong_quotes => {
                self.quotes::<()>(&value);
            }
            _ => {}
        }
    }

    /// `path eq raw.path`
    fn right_operand(&mut self, left: &Left<'_>, value: Node<'_>, of: &Type) -> Option<Operand> {
        let name = value.as_str();
        let is_name = inner(value.clone()).nth(1).is_none();
        let is_word = is_name && self.scheme.field(name).is_none() && Function::by_name(name).is_none();
        if is_word && !(name.contains('.') && suggest::field(name, self.scheme).is_some()) {
            return self.not_a_value(&value, of);
        }
        let operand = self.operand(value)?;
        if operand.each {
            let message = "`[*]` may only stand on the left side of a comparison";
            self.error(Code::MisplacedEach, operand.span, message, None);
            return None;
        }
        if operand.value_type != *of {
            let message = format!("`{}` is of type {of}, and this is of type {}", left.text, operand.value_type);
            self.error(Code::SidesDiffer, operand.span, message, None);
            return None;
        }
        Some(operand)
    }

    /// `host eq example`
    fn not_a_value<T>(&mut self, value: &Node<'_>, of: &Type) -> Option<T> {
        let text = value.as_str().trim();
        let span = self.span(value);
        match of {
            Type::Bytes => {
                let help = format!("write `{}`", quote(text));
                self.error(Code::Unquoted, span, "text must stand in double quotes", Some(help));
            }
            Type::Int => self.error(Code::Literal, span, format!("`{text}` is not a number"), None),
            _ => self.error(Code::Literal, span, format!("`{text}` is not an address"), None),
        }
        None
    }

    /// `ip.src eq $list`, `host eq {"a"}`
    fn not_by_order<T>(&mut self, left: &Left<'_>, relation: Relation, value: &Node<'_>) -> Option<T> {
        let negation = if relation == Relation::Ne { "not " } else { "" };
        let help = format!("write `{negation}{} in {}`", left.text, value.as_str().trim());
        let message = "a set or list is compared with `in`";
        self.error(Code::Membership, self.span(value), message, Some(help));
        None
    }

    /// `ip.src eq 192.0.2.0/24`
    fn one_network<T>(&mut self, left: &Left<'_>, relation: Relation, value: &Node<'_>) -> Option<T> {
        let network = match network_range(value.as_str()) {
            Some(Err(HostBits { meant })) => meant,
            _ => value.as_str().to_owned(),
        };
        let negation = if relation == Relation::Ne { "not " } else { "" };
        let help = format!("write `{negation}{} in {{{network}}}`", left.text);
        let message = "this is a network, and a single address is compared here";
        self.error(Code::Network, self.span(value), message, Some(help));
        None
    }

    fn containing(&mut self, left: &Left<'_>, node: Node<'_>) -> Option<Test> {
        let whole = node.clone();
        let value = inner(node).next()?;
        let operator = self.word_before(&whole, &value);
        self.accepts(left, &operator, &value, &[Type::Bytes])?;
        let bytes = match value.as_rule() {
            Rule::quoted | Rule::raw | Rule::bare => self.bytes(value),
            _ => self.not_text(left, &operator, &value),
        }?;
        Some(Test::Contains(bytes))
    }

    fn matching(&mut self, left: &Left<'_>, node: Node<'_>) -> Option<Test> {
        let whole = node.clone();
        let value = inner(node).next()?;
        let operator = self.word_before(&whole, &value);
        self.accepts(left, &operator, &value, &[Type::Bytes])?;
        let text = match value.as_rule() {
            Rule::regex => regex_text(value.clone()),
            Rule::raw => contents(&value).to_owned(),
            Rule::quoted => {
                let help = "close the `[`, or write `\\[` for the character".to_owned();
                let message = "a `[` in this regular expression is not closed, so the quote does not end it";
                self.error(Code::Unclosed, self.span(&value), message, Some(help));
                return None;
            }
            _ => return self.not_text(left, &operator, &value),
        };
        let span = self.span(&value);
        self.pattern(text, &span).map(Test::Matches)
    }

    /// Compiles a regular expression; the messages of the engine are cut to their last line.
    pub(super) fn pattern(&mut self, text: String, span: &Span) -> Option<Pattern> {
        match Pattern::compile(&text) {
            Ok(regex) => Some(Pattern { text, regex }),
            Err(regex::Error::CompiledTooBig(limit)) => {
                let message = format!("this regular expression is larger than {} MiB when compiled", limit >> 20);
                self.error(Code::RegexSize, span.clone(), message, Some("repeat less: `{1,1000}` costs".to_owned()));
                None
            }
            Err(problem) => {
                let (message, help) = explain(&problem.to_string());
                self.error(Code::Regex, span.clone(), message, help);
                None
            }
        }
    }

    fn wildcarding(&mut self, left: &Left<'_>, node: Node<'_>) -> Option<Test> {
        let mut children = inner(node);
        let (operator, value) = (children.next()?, children.next()?);
        let strict = operator.as_rule() == Rule::strict_wildcard;
        let operator = self.word(&operator);
        self.accepts(left, &operator, &value, &[Type::Bytes])?;
        let span = self.span(&value);
        let pattern = match value.as_rule() {
            Rule::quoted | Rule::raw => self.bytes(value),
            _ => self.not_text(left, &operator, &value),
        }?;
        self.wildcard(&pattern, &span)?;
        Some(Test::Wildcard(Wildcard { pattern, strict }))
    }

    /// Whether a wildcard pattern is well formed.
    pub(super) fn wildcard(&mut self, pattern: &[u8], span: &Span) -> Option<()> {
        let mut rest = pattern;
        let mut after_star = false;
        let problem = loop {
            rest = match rest {
                [] => return Some(()),
                [b'\\', b'*' | b'\\', rest @ ..] => {
                    after_star = false;
                    rest
                }
                [b'\\', ..] => break "in a wildcard pattern a backslash only stands before `*` or another backslash",
                [b'*', ..] if after_star => break "two stars in a row: one matches everything already",
                [first, rest @ ..] => {
                    after_star = *first == b'*';
                    rest
                }
            };
        };
        let help = match after_star {
            true => "write `*`, or `\\*` in a raw string for a star itself",
            false => "write `r\"\\\\\"` for a backslash, and `?` as it is",
        };
        self.error(Code::Wildcard, span.clone(), problem, Some(help.to_owned()));
        None
    }

    fn membership(&mut self, left: &Left<'_>, node: Node<'_>) -> Option<Test> {
        let whole = node.clone();
        let value = inner(node).next()?;
        let operator = self.word_before(&whole, &value);
        let of = self.accepts(left, &operator, &value, &[Type::Bytes, Type::Int, Type::Ip])?;
        match value.as_rule() {
            Rule::set => self.set(value, &of).map(Test::In),
            Rule::list => Some(Test::InList(inner(value).next()?.as_str().to_owned())),
            Rule::wrong_list => self.list_name(&value),
            Rule::wrong_round => self.round(left, "in", &value, true),
            _ => {
                let help = format!("write `{} in {{{}}}`", left.text, value.as_str().trim());
                let message = "`in` takes a set `{…}` or a list `$name`";
                self.error(Code::Membership, self.span(&value), message, Some(help));
                None
            }
        }
    }

    fn list_name<T>(&mut self, value: &Node<'_>) -> Option<T> {
        let written = value.as_str().trim();
        let lower = written.to_ascii_lowercase().replace('-', "_");
        let help = format!("rename the list and write `{lower}`");
        let message = "a list's name has only lower-case letters, digits and `_`";
        self.error(Code::ListName, self.span(value), message, Some(help));
        None
    }

    fn bits(&mut self, left: &Left<'_>, node: Node<'_>) -> Option<Test> {
        let whole = node.clone();
        let value = inner(node).next()?;
        let operator = self.word_before(&whole, &value);
        self.accepts(left, &operator, &value, &[Type::Int])?;
        match self.literal(value, &[Type::Int])? {
            Literal::Int(bits) => Some(Test::Bits(bits)),
            _ => None,
        }
    }

    /// `=`
    fn wrong_symbol(&mut self, left: &Left<'_>, node: Node<'_>) -> Option<Test> {
        let mut children = inner(node);
        let operator = children.next()?;
        let value = children.next();
        self.no_operator(left, &operator, value);
        None
    }

    /// `host has "a"`
    fn wrong_operator(&mut self, left: &Left<'_>, node: Node<'_>) -> Option<Test> {
        let mut children = inner(node);
        let operator = children.next()?;
        let value = children.next();
        let written = operator.as_str().trim();
        if suggest::ALL_OPERATORS.contains(&written) {
            let help = match written {
                "in" => format!("write `{} in {{…}}` or `{0} in $list`", left.text),
                _ => format!("write `{} {written} \"…\"`", left.text),
            };
            let message = format!("`{written}` needs a value on its right");
            self.error(Code::Syntax, self.span(&operator), message, Some(help));
            return None;
        }
        if left.operand.is_none() && suggest::operator(written).is_none() {
            // What is wrong on the left has been told, and is likely the reason.
            return None;
        }
        self.no_operator(left, &operator, value);
        None
    }

    fn no_operator(&mut self, left: &Left<'_>, operator: &Node<'_>, value: Option<Node<'_>>) {
        let written = operator.as_str().trim();
        let value_text = value.as_ref().map_or("…", |value| value.as_str().trim());
        let lower = written.to_ascii_lowercase();
        let is_bool = left.operand.is_some_and(|operand| operand.value_type == Type::Bool);
        let help = match (suggest::operator(written), written) {
            _ if ["and", "or", "xor"].contains(&lower.as_str()) => {
                Some(format!("operators are lower case: write `{lower}`"))
            }
            _ if is_bool => Some("conditions are joined with `and`, `or` or `xor`".to_owned()),
            (_, "!~") => Some(format!("write `not {} matches {value_text}`", left.text)),
            (Some(meant), _) => Some(format!("did you mean `{} {meant} {value_text}`?", left.text)),
            (None, _) if Function::by_name(written).is_some() => {
                Some(format!("`{written}` is a function: write `{written}({}, {value_text})`", left.text))
            }
            (None, _) => Some(format!("operators are {}", suggest::ALL_OPERATORS.join(", "))),
        };
        self.error(Code::UnknownOperator, self.span(operator), format!("there is no operator `{written}`"), help);
        if let Some(value) = value {
            self.stray(value);
        }
    }

    /// `host not contains "a"`
    fn wrong_not(&mut self, left: &Left<'_>, node: Node<'_>) -> Option<Test> {
        let start = self.span(&node).start;
        let test = inner(node).next()?;
        let help = format!("write `not {} {}`", left.text, test.as_str().trim());
        let message = "`not` stands before the whole comparison";
        self.error(Code::MisplacedNot, start..start + 3, message, Some(help));
        self.test(left.operand, left.text, left.span, test)
    }

    /// `path starts_with "/x"`
    fn wrong_infix(&mut self, left: &Left<'_>, node: Node<'_>) -> Option<Test> {
        let mut children = inner(node);
        let word = children.next()?;
        let function = if word.as_rule() == Rule::starts_written { "starts_with" } else { "ends_with" };
        let value = children.next();
        let text = match &value {
            Some(value) if value.as_rule() == Rule::wrong_quotes => quote(contents(value)),
            Some(value) => value.as_str().trim().trim_matches(['(', ')']).to_owned(),
            None => "\"…\"".to_owned(),
        };
        let help = format!("write `{function}({}, {text})`", left.text);
        let message = format!("`{}` is not an operator but a function", word.as_str().trim());
        self.error(Code::Infix, self.span(&word), message, Some(help));
        None
    }

    /// `headers ["a"]`
    fn spaced_index(&mut self, left: &Left<'_>, node: Node<'_>) -> Option<Test> {
        let span = self.span(&node);
        let brackets = node.as_str().trim();
        let message = "no space may stand before the bracket";
        let help = format!("write `{}{brackets}`", left.text);
        self.error(Code::IndexLiteral, span.start..span.start + 1, message, Some(help));
        None
    }

    /// `contains("a")`, `in ("a" "b")`
    fn round<T>(&mut self, left: &Left<'_>, operator: &str, value: &Node<'_>, as_set: bool) -> Option<T> {
        let items: Vec<String> = inner(value.clone())
            .filter(|item| item.as_rule() != Rule::wrong_comma)
            .map(|item| match item.as_rule() {
                Rule::wrong_quotes => quote(contents(&item)),
                _ => item.as_str().trim().to_owned(),
            })
            .collect();
        let items = items.join(" ");
        let corrected = if as_set { format!("{{{items}}}") } else { items };
        let message = match as_set {
            true => "a set stands in braces",
            false => "the right side stands without parentheses",
        };
        let help = format!("write `{} {operator} {corrected}`", left.text);
        self.error(Code::RoundBrackets, self.span(value), message, Some(help));
        None
    }

    fn word<'t>(&self, operator: &Node<'t>) -> Word<'t> {
        Word { text: operator.as_str().trim(), span: self.span(operator) }
    }

    /// The operator of a test that names it only by its kind: what stands before the value.
    fn word_before<'t>(&self, test: &Node<'t>, value: &Node<'_>) -> Word<'t> {
        let length = value.as_span().start() - test.as_span().start();
        let text = test.as_str().get(..length).unwrap_or_default().trim();
        let start = self.span(test).start;
        Word { span: start..start + text.len(), text }
    }

    /// What is on the right of contains, matches or wildcard, and is no literal for it.
    fn not_text<T>(&mut self, left: &Left<'_>, operator: &Word<'_>, value: &Node<'_>) -> Option<T> {
        match value.as_rule() {
            Rule::wrong_quotes => self.quotes(value),
            Rule::wrong_round => self.round(left, operator.text, value, false),
            Rule::set => {
                let message = format!("`{}` takes one text, not a set", operator.text);
                let help = format!("repeat it: `{0} {1} \"…\" or {0} {1} \"…\"`", left.text, operator.text);
                self.error(Code::Membership, self.span(value), message, Some(help));
                None
            }
            Rule::list => {
                let message = format!("`{}` takes a text, not a list", operator.text);
                self.error(
                    Code::Membership,
                    self.span(value),
                    message,
                    Some(format!("write `{} in {}`", left.text, value.as_str().trim())),
                );
                None
            }
            _ => self.not_a_value(value, &Type::Bytes),
        }
    }
}

fn is_network(text: &str) -> bool {
    text.contains('/') && network_range(text).is_some()
}

/// The pattern of a quoted regular expression: `\"` becomes `"`, all else stays.
fn regex_text(node: Node<'_>) -> String {
    let piece = |piece: Node<'_>| match piece.as_rule() {
        Rule::regex_quote => "\"".to_owned(),
        _ => piece.as_str().to_owned(),
    };
    inner(node).map(piece).collect()
}

/// The regex engine's multi-line message as one line, and what to do instead.
fn explain(problem: &str) -> (String, Option<String>) {
    let reason = problem.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it does not compile");
    let reason = reason.trim().trim_start_matches("error: ");
    let caret = problem.lines().find(|line| line.trim_start().starts_with('^')).and_then(|line| line.find('^'));
    // The engine indents the pattern by four spaces.
    let place =
        caret.and_then(|column| column.checked_sub(4)).map(|offset| format!(" (at byte {offset} of the pattern)"));
    let help = if problem.contains("look-around") || problem.contains("backreferences") {
        Some("the engine has no look-around and no back-references; combine several conditions instead".to_owned())
    } else if problem.contains("Unicode") {
        Some("Unicode is off: write `(?u)` at the start of the pattern to switch it on".to_owned())
    } else if problem.contains("repetition operator missing expression") {
        Some("write `.*` for anything, or use `wildcard` instead of `matches`".to_owned())
    } else {
        None
    };
    (format!("the regular expression does not compile: {reason}{}", place.unwrap_or_default()), help)
}

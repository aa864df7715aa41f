//! Calls: the right arguments for the function (docs/protocol/rules-language.md#functions).

use super::{Checked, Checker, inner, is_yes, unknown_function};
use crate::language::expression::*;
use crate::language::function::{Accepts, Parameter, Source};
use crate::language::grammar::{Node, Rule};
use crate::language::{Code, Function, suggest};
use crate::request::Type;

/// An argument that has been checked by itself.
struct Given {
    argument: Argument,
    value_type: Type,
    /// Whether `[*]` makes it several values.
    each: bool,
    span: Span,
}

impl Checker<'_> {
    pub(super) fn call(&mut self, name: &Node<'_>, arguments: Node<'_>) -> Option<(Call, Type)> {
        let span = self.span(name).start..self.span(&arguments).end;
        let written: Vec<Node<'_>> = inner(arguments).collect();
        let usable = |function: &Function| self.scheme.is_of_triggers() || !function.is_of_triggers();
        let Some(function) = Function::by_name(name.as_str()).filter(usable) else {
            let mut diagnostic = unknown_function(name.as_str(), self.span(name), self.scheme);
            if let ([left, right], true) = (&written[..], suggest::ALL_OPERATORS.contains(&name.as_str())) {
                let corrected = format!("{} {} {}", left.as_str().trim(), name.as_str(), right.as_str().trim());
                diagnostic.help = Some(format!("write `{corrected}`"));
            }
            self.diagnostics.push(diagnostic);
            written.into_iter().for_each(|argument| self.stray_argument(argument));
            return None;
        };
        self.replaces_once(function, &span);
        let separated = self.separated(function, &written);
        let given = self.arguments(function, written, separated.map(|()| span));
        separated?;
        let given = given?;
        self.values(function, &given)?;
        let first = given.first()?;
        let (mapped, of) = (first.each, function.signature().result_type(&first.value_type));
        let result = if mapped { of.array() } else { of };
        let arguments = given.into_iter().map(|given| given.argument).collect();
        Some((Call { function, arguments, mapped }, result))
    }

    /// In the arguments of an unknown function, what is wrong by itself.
    fn stray_argument(&mut self, argument: Node<'_>) {
        for value in inner(argument) {
            match value.as_rule() {
                Rule::comparison => {
                    if let Some(operand) = inner(value).next() {
                        self.operand(operand);
                    }
                }
                Rule::expression => {
                    self.expression(value);
                }
                _ => {}
            }
        }
    }

    /// Commas and parentheses between the arguments.
    fn separated(&mut self, function: Function, written: &[Node<'_>]) -> Option<()> {
        let mut sound = Some(());
        let mut previous = None;
        for node in written {
            match node.as_rule() {
                Rule::wrong_gap => {
                    let help = format!("write `{}`", function.usage());
                    let message = "a comma is missing between two arguments";
                    self.error(Code::CallSyntax, self.span(node), message, Some(help));
                }
                Rule::wrong_comma => {
                    let message = "no argument follows the last comma";
                    self.error(Code::CallSyntax, self.span(node), message, Some("delete the comma".to_owned()));
                }
                Rule::wrong_chain => {
                    if let Some(argument) = previous {
                        self.unparenthesised(function.name(), argument, node.clone());
                    }
                }
                _ => {
                    previous = Some(node);
                    continue;
                }
            }
            sound = None;
        }
        sound
    }

    /// Number, types and kinds of the arguments. The number is told only where `span` is given.
    fn arguments(&mut self, function: Function, written: Vec<Node<'_>>, span: Option<Span>) -> Option<Vec<Given>> {
        let signature = function.signature();
        let arguments: Vec<Node<'_>> = written.into_iter().filter(|node| node.as_rule() == Rule::argument).collect();
        if let Some(span) = span {
            self.number_of_arguments(function, arguments.len(), span);
        }
        let mut given: Vec<Option<Given>> = Vec::new();
        let mut first_type: Option<Type> = None;
        for (position, argument) in arguments.into_iter().enumerate() {
            let Some(parameter) = signature.parameter(position) else { break };
            let value = self.argument(function, parameter, position, first_type.as_ref(), argument);
            if position == 0 {
                first_type = value.as_ref().map(|given| given.value_type.clone());
            }
            given.push(value);
        }
        let given: Vec<Given> = given.into_iter().collect::<Option<_>>()?;
        (given.len() >= signature.required).then_some(given)
    }

    fn number_of_arguments(&mut self, function: Function, number: usize, span: Span) {
        let signature = function.signature();
        if (signature.required..=signature.maximum).contains(&number) {
            return;
        }
        let wanted = match (signature.required, signature.maximum) {
            (1, 1) => "one argument".to_owned(),
            (least, most) if least == most => format!("{least} arguments"),
            (least, usize::MAX) => format!("at least {least} arguments"),
            (least, most) => format!("{least} to {most} arguments"),
        };
        let message = format!("`{}` takes {wanted}, not {number}", function.name());
        self.error(Code::ArgumentCount, span, message, Some(format!("write `{}`", function.usage())));
    }

    fn argument(
        &mut self,
        function: Function,
        parameter: &Parameter,
        position: usize,
        first: Option<&Type>,
        node: Node<'_>,
    ) -> Option<Given> {
        let span = self.span(&node);
        let value = inner(node).next()?;
        let given = match value.as_rule() {
            Rule::quoted | Rule::raw | Rule::bare | Rule::wrong_quotes => {
                return self.literal_argument(function, parameter, first, value, span);
            }
            Rule::constant => Given {
                argument: Argument::Literal(Literal::Bool(is_yes(&value))),
                value_type: Type::Bool,
                each: false,
                span,
            },
            Rule::expression => condition(self.expression(value)?, span),
            _ if inner(value.clone()).nth(1).is_some() => condition(self.comparison(value)?, span),
            _ => {
                let operand = self.operand(inner(value).next()?)?;
                let (value_type, each) = (operand.value_type.clone(), operand.each);
                Given { argument: Argument::Operand(operand), value_type, each, span }
            }
        };
        let is_literal = matches!(given.argument, Argument::Literal(_));
        if parameter.source == Source::Literal && !is_literal || parameter.source == Source::Field && is_literal {
            return self.wrong_source(function, parameter, given.span);
        }
        if given.each && position > 0 {
            let message = format!("`[*]` may only stand in the first argument of `{}`", function.name());
            self.error(Code::MisplacedEach, given.span, message, None);
            return None;
        }
        if !parameter.accepts.takes(&given.value_type, first) {
            self.wrong_type(function, parameter, first, &given);
            return None;
        }
        Some(given)
    }

    fn literal_argument(
        &mut self,
        function: Function,
        parameter: &Parameter,
        first: Option<&Type>,
        node: Node<'_>,
        span: Span,
    ) -> Option<Given> {
        if parameter.source == Source::Field {
            return self.wrong_source(function, parameter, span);
        }
        let is_text = matches!(node.as_rule(), Rule::quoted | Rule::raw);
        let wanted = parameter.accepts.literals(first);
        if wanted.is_empty() || is_text && !wanted.contains(&Type::Bytes) {
            let of = if is_text { "String" } else { "a literal" };
            let wants = parameter.accepts.describe(first);
            let message = format!("`{}` of `{}` must be {wants}, not {of}", parameter.name, function.name());
            self.error(Code::ArgumentType, span, message, None);
            return None;
        }
        let literal = self.literal(node, &wanted)?;
        let value_type = match &literal {
            Literal::Int(_) => Type::Int,
            Literal::Ip(_) => Type::Ip,
            Literal::Bool(_) => Type::Bool,
            Literal::Bytes(_) => Type::Bytes,
        };
        let argument = match literal {
            Literal::Bytes(bytes) if parameter.accepts == Accepts::Pattern => {
                let Ok(text) = String::from_utf8(bytes.into_vec()) else {
                    self.error(Code::Regex, span, "a regular expression must be UTF-8", None);
                    return None;
                };
                Argument::Pattern(self.pattern(text, &span)?)
            }
            literal => Argument::Literal(literal),
        };
        Some(Given { argument, value_type, each: false, span })
    }

    fn wrong_source(&mut self, function: Function, parameter: &Parameter, span: Span) -> Option<Given> {
        let what = match parameter.source {
            Source::Literal => "must be a literal",
            _ => "must be a field or a call, not a literal",
        };
        let message = format!("`{}` of `{}` {what}", parameter.name, function.name());
        self.error(Code::ArgumentType, span, message, Some(format!("write `{}`", function.usage())));
        None
    }

    fn wrong_type(&mut self, function: Function, parameter: &Parameter, first: Option<&Type>, given: &Given) {
        let wants = parameter.accepts.describe(first);
        let of = &given.value_type;
        let message = format!("`{}` of `{}` must be {wants}, not {of}", parameter.name, function.name());
        let help = match of {
            Type::Array(element) | Type::Map(element) if parameter.accepts.takes(element, first) => {
                let text = self.slice(&given.span);
                let step = if matches!(of, Type::Map(_)) { "[\"…\"]" } else { "[0]" };
                Some(format!("take each element, `{text}[*]`, or one of them, `{text}{step}`"))
            }
            _ => None,
        };
        self.error(Code::ArgumentType, given.span.clone(), message, help);
    }

    /// Literals whose values the function restricts.
    fn values(&mut self, function: Function, given: &[Given]) -> Option<()> {
        match function {
            Function::Cidr => self.within(given, 1, 1..=32).and(self.within(given, 2, 1..=128)),
            Function::Cidr6 => self.within(given, 1, 1..=128),
            Function::Split => self.within(given, 2, 1..=128).and(self.not_empty(given, 1)),
            Function::UrlDecode => self.flags(given, 1, b"ru"),
            Function::EncodeBase64 => self.flags(given, 1, b"up"),
            Function::IsTimedHmacValidV0 => self
                .flags(given, 5, b"s")
                .and(self.within(given, 2, 0..=i64::MAX))
                .and(self.within(given, 4, 0..=i64::MAX)),
            Function::WildcardReplace => {
                let Some(Given { argument: Argument::Literal(Literal::Bytes(pattern)), span, .. }) = given.get(1)
                else {
                    return None;
                };
                self.wildcard(pattern, span).and(self.flags(given, 3, b"s"))
            }
            Function::HashInRange => match (number(given, 0), number(given, 1)) {
                (Some(least), Some(most)) if least > most => {
                    let help = Some(format!("write `hash_in_range({most}, {least}, …)`"));
                    let message = "the minimum is greater than the maximum";
                    self.error(Code::ArgumentValue, given[0].span.clone(), message, help);
                    None
                }
                _ => Some(()),
            },
            _ => Some(()),
        }
    }

    fn within(&mut self, given: &[Given], position: usize, range: std::ops::RangeInclusive<i64>) -> Option<()> {
        match number(given, position) {
            Some(value) if !range.contains(&value) => {
                let most = match range.end() {
                    &i64::MAX => "or more".to_owned(),
                    end => format!("to {end}"),
                };
                let message = format!("this must be {} {most}", range.start());
                self.error(Code::ArgumentValue, given.get(position)?.span.clone(), message, None);
                None
            }
            _ => Some(()),
        }
    }

    fn not_empty(&mut self, given: &[Given], position: usize) -> Option<()> {
        match given.get(position) {
            Some(Given { argument: Argument::Literal(Literal::Bytes(bytes)), span, .. }) if bytes.is_empty() => {
                self.error(Code::ArgumentValue, span.clone(), "this must not be empty", None);
                None
            }
            _ => Some(()),
        }
    }

    fn flags(&mut self, given: &[Given], position: usize, known: &[u8]) -> Option<()> {
        match given.get(position) {
            Some(Given { argument: Argument::Literal(Literal::Bytes(bytes)), span, .. })
                if !bytes.iter().all(|flag| known.contains(flag)) =>
            {
                let known: Vec<String> = known.iter().map(|&flag| format!("`{}`", char::from(flag))).collect();
                let message = format!("there is no such option; known: {}", known.join(" and "));
                self.error(Code::ArgumentValue, span.clone(), message, None);
                None
            }
            _ => Some(()),
        }
    }

    /// `regex_replace` and `wildcard_replace`: each once, and not one within the other.
    fn replaces_once(&mut self, function: Function, span: &Span) {
        if !matches!(function, Function::RegexReplace | Function::WildcardReplace) {
            return;
        }
        let clash = self
            .replacements
            .iter()
            .find(|(other, outer)| *other == function || outer.start <= span.start && span.end <= outer.end);
        if let Some((other, _)) = clash {
            let message = match *other == function {
                true => format!("`{}` may stand only once in an expression", function.name()),
                false => format!("`{}` may not stand within `{}`", function.name(), other.name()),
            };
            self.error(Code::ReplaceTwice, span.clone(), message, None);
        }
        self.replacements.push((function, span.clone()));
    }
}

fn condition(checked: Checked, span: Span) -> Given {
    let value_type = if checked.many { Type::Bool.array() } else { Type::Bool };
    Given { argument: Argument::Condition(Box::new(checked.condition)), value_type, each: false, span }
}

fn number(given: &[Given], position: usize) -> Option<i64> {
    match given.get(position)?.argument {
        Argument::Literal(Literal::Int(value)) => Some(value),
        _ => None,
    }
}

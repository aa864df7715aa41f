//! Checks an operator's expression: what the language says of it, and whether this policy and its target can keep
//! what it asks for.

use std::ops::Range;

use super::document::{Node, inside_string};
use super::finding::{File, did_you_mean};
use super::settings::Settings;
use crate::language::expression::{Argument, Base, Condition, Operand, Right, Test};
use crate::language::{self, Code, Diagnostic, Expression, Scheme};
use crate::program::{List, Lists};
use crate::request::{Field, FieldId, Supply, Target, Type};

/// Checks expressions of one policy.
pub struct Checker<'a> {
    /// For which hosts, fields and lists there are.
    pub settings: &'a Settings,
    /// The lists that expressions may name.
    pub lists: &'a Lists,
}

/// Where an expression stands.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    /// The file.
    pub file: File<'a>,
    /// The JSON text that holds it, or that it was made from.
    pub node: &'a Node<'a>,
    /// What it is about.
    pub subject: &'a str,
}

impl Checker<'_> {
    /// The checked expression, unless there are errors. Everything wrong with it is reported.
    pub fn expression(&self, origin: Origin, text: &str) -> Option<Expression> {
        let scheme = Scheme::standard();
        match language::parse(text, scheme) {
            Ok(expression) => {
                let expression = expression.with_canonical_addresses();
                let mut told = language::lint(&expression);
                told.sort_by_key(|diagnostic| diagnostic.span.start);
                told.into_iter().for_each(|diagnostic| origin.tell(text, diagnostic));
                visit(&expression.root, &mut |seen| self.seen(origin, text, seen));
                Some(expression)
            }
            Err(diagnostics) => {
                diagnostics.into_iter().for_each(|diagnostic| origin.tell(text, diagnostic));
                None
            }
        }
    }

    /// Whether bypass rules may use a field here.
    pub fn can_use(&self, field: Field) -> bool {
        self.field_problem(field).is_none()
    }

    fn seen(&self, origin: Origin, text: &str, seen: Seen) {
        match seen {
            Seen::Field(field, span) => {
                let problem = field.standard().and_then(|field| self.field_problem(field));
                problem.into_iter().for_each(|problem| origin.add(text, span.clone(), problem));
            }
            Seen::List(name, of, span) => {
                let problem = self.list_problem(name, of);
                problem.into_iter().for_each(|problem| origin.add(text, span.clone(), problem));
            }
        }
    }

    fn field_problem(&self, field: Field) -> Option<Diagnostic> {
        let name = field.info().name;
        if field.is_barred_from_bypass_rules() {
            let message = format!("bypass rules must not use `{name}`");
            return Some(Diagnostic::error(Code::BarredField, message).help("test something else, such as `ip.src`"));
        }
        let target = self.settings.target;
        if target == Target::GoogleCloud && self.settings.google_cloud.headers.contains_key(name) {
            return None;
        }
        match field.info().supply(target) {
            Supply::Always => None,
            Supply::Never => {
                let message = format!("{} cannot supply `{name}`", target_name(target));
                let help = "where a field is missing, a negated test of it is true for everybody";
                Some(Diagnostic::error(Code::UnsuppliedField, message).help(help))
            }
            Supply::Configured(what) if self.is_configured(field, what) => None,
            Supply::Configured(what) => {
                let message = format!("`{name}` needs {what}");
                let help = match target {
                    Target::GoogleCloud => {
                        "set it up, and name the variable in `google_cloud.variables` or the header in `google_cloud.headers`"
                    }
                    Target::Proxy | Target::Worker => "name the MMDB file in the section [geoip]",
                };
                Some(Diagnostic::error(Code::UnconfiguredField, message).help(help))
            }
        }
    }

    fn is_configured(&self, field: Field, what: &str) -> bool {
        let geoip = &self.settings.geoip;
        let by_database = match field {
            Field::IpSrcAsnum => geoip.asn.is_some(),
            Field::IpSrcCountry | Field::IpSrcContinent | Field::IpSrcIsInEuropeanUnion => {
                geoip.country.is_some() || geoip.city.is_some()
            }
            place => place.info().name.starts_with("ip.src.") && geoip.city.is_some(),
        };
        by_database || self.settings.google_cloud.variables.iter().any(|name| what.contains(&format!("{{{name}}}")))
    }

    fn list_problem(&self, name: &str, of: &Type) -> Option<Diagnostic> {
        let Some(list) = self.lists.get(name) else {
            let known = self.lists.keys().map(String::as_str);
            let help = did_you_mean(name, known).unwrap_or("name its file in the section [lists]".to_owned());
            return Some(Diagnostic::error(Code::UnknownList, format!("there is no list `${name}`")).help(help));
        };
        let (is_fit, holds) = match list {
            List::Ip(_) => (*of == Type::Ip, "addresses"),
            List::Hostname(_) => (*of == Type::Bytes, "host names"),
            List::Asn(_) => (*of == Type::Int, "AS numbers"),
        };
        let problem = Diagnostic::error(Code::WrongList, format!("the list `${name}` holds {holds}, and this is {of}"));
        (!is_fit).then(|| problem.help("set the `kind` of the list in velvetrope.toml"))
    }
}

impl Origin<'_> {
    fn tell(&self, text: &str, diagnostic: Diagnostic) {
        self.add(text, diagnostic.span.clone(), diagnostic);
    }

    /// A problem of some bytes of the expression.
    pub fn add(&self, text: &str, span: Range<usize>, problem: Diagnostic) {
        let is_verbatim = self.node.as_text() == Some(text);
        let at = if is_verbatim { inside_string(self.file.text, self.node.at, span.start) } else { self.node.at };
        self.file.add_inner(at, text, span, problem.about(self.subject));
    }
}

fn target_name(target: Target) -> &'static str {
    match target {
        Target::Worker => "a Worker",
        Target::GoogleCloud => "a Google Cloud callout",
        Target::Proxy => "the proxy",
    }
}

/// The names of lists that an expression uses and that are not there, or hold other values than it looks for.
pub(crate) fn unfit_lists<'e>(expression: &'e Expression, lists: &Lists) -> Vec<&'e str> {
    let settings = Settings::new(String::new());
    let checker = Checker { settings: &settings, lists };
    let mut unfit = Vec::new();
    visit(&expression.root, &mut |seen| match seen {
        Seen::List(name, of, _) if checker.list_problem(name, of).is_some() => unfit.push(name),
        _ => {}
    });
    unfit
}

/// The names of the lists that an expression uses.
pub fn lists_of(expression: &Expression) -> Vec<&str> {
    let mut names = Vec::new();
    visit(&expression.root, &mut |seen| {
        if let Seen::List(name, ..) = seen {
            names.push(name);
        }
    });
    names
}

/// The standard fields that an expression asks for.
pub fn fields_of(expression: &Expression) -> Vec<Field> {
    let mut fields = Vec::new();
    visit(&expression.root, &mut |seen| {
        if let Seen::Field(field, _) = seen {
            fields.extend(field.standard());
        }
    });
    fields
}

/// What an expression asks for.
enum Seen<'e> {
    Field(FieldId, &'e Range<usize>),
    /// A list, the type of what is looked up in it, and the comparison.
    List(&'e str, &'e Type, &'e Range<usize>),
}

fn visit<'e>(condition: &'e Condition, see: &mut impl FnMut(Seen<'e>)) {
    match condition {
        Condition::Constant(_) => {}
        Condition::Truth(operand) => visit_operand(operand, see),
        Condition::Not(inner) | Condition::Quantified(_, inner) => visit(inner, see),
        Condition::Chain(_, parts) => parts.iter().for_each(|part| visit(part, see)),
        Condition::Compare(comparison) => {
            visit_operand(&comparison.left, see);
            match &comparison.test {
                Test::Order(_, Right::Operand(right)) => visit_operand(right, see),
                Test::InList(name) => see(Seen::List(name, &comparison.left.value_type, &comparison.span)),
                _ => {}
            }
        }
    }
}

fn visit_operand<'e>(operand: &'e Operand, see: &mut impl FnMut(Seen<'e>)) {
    match &operand.base {
        Base::Field(field) => see(Seen::Field(*field, &operand.span)),
        Base::Call(call) => {
            for argument in &call.arguments {
                match argument {
                    Argument::Operand(operand) => visit_operand(operand, see),
                    Argument::Condition(condition) => visit(condition, see),
                    Argument::Literal(_) | Argument::Pattern(_) => {}
                }
            }
        }
    }
}

//! Expressions that parse and betray (docs/protocol/rules-language.md#traps).
//!
//! Looks at one checked expression. What depends on where a rule is used (fields a host cannot supply, fields barred
//! from bypass rules) is for those who know that.

use std::ops::RangeInclusive;

use super::expression::*;
use super::{Code, Diagnostic, Expression, Function};
use crate::request::country::{is_country, meant_country};
use crate::request::{Authority, Field, FieldId, Type};

/// Warnings about an expression that parses and may not do what its author meant.
pub fn lint(expression: &Expression) -> Vec<Diagnostic> {
    let mut lint = Lint { findings: Vec::new() };
    lint.condition(&expression.root, Sense { negated: false, guards: &[] });
    lint.findings.sort_by_key(|finding| (finding.span.start, finding.span.end));
    lint.findings
}

struct Lint {
    findings: Vec<Diagnostic>,
}

/// How a condition contributes to the whole.
#[derive(Clone, Copy)]
struct Sense<'e> {
    /// Under an odd number of `not`.
    negated: bool,
    /// The other parts of the `and` around it, any of which may demand that a value is there.
    guards: &'e [Condition],
}

impl Lint {
    fn warn(&mut self, code: Code, span: &Span, message: impl Into<String>, help: impl Into<Option<String>>) {
        let (message, help) = (message.into(), help.into());
        self.findings.push(Diagnostic::warning(code, message).at(span.clone()).maybe_help(help));
    }

    fn condition(&mut self, condition: &Condition, sense: Sense<'_>) {
        match condition {
            Condition::Constant(_) => {}
            Condition::Truth(operand) => {
                self.absence(operand, sense);
                self.operand(operand);
            }
            Condition::Compare(comparison) => {
                self.absence(&comparison.left, sense);
                self.operand(&comparison.left);
                self.comparison(comparison);
            }
            Condition::Not(inner) => self.condition(inner, Sense { negated: !sense.negated, ..sense }),
            Condition::Chain(connective, parts) => {
                let guards = if *connective == Connective::And && !sense.negated { parts } else { sense.guards };
                for part in parts {
                    self.condition(part, Sense { guards, ..sense });
                }
            }
            Condition::Quantified(Quantifier::Any, inner) => self.condition(inner, sense),
            // `all` of nothing is true, as a negated `any` of nothing is; of a missing *field* it is false.
            Condition::Quantified(Quantifier::All, inner) => {
                self.condition(inner, Sense { negated: is_mapped_entry(inner) && !sense.negated, ..sense });
            }
        }
    }

    fn absence(&mut self, operand: &Operand, sense: Sense<'_>) {
        let Some(what) = sense.negated.then(|| may_be_absent(operand)).flatten() else { return };
        if sense.guards.iter().any(|guard| demands(guard, operand)) {
            return;
        }
        let help = match (&operand.base, operand.path.first()) {
            (Base::Field(_), Some(Index::Key(_))) => {
                let holder = Operand { path: operand.path[..1].to_vec(), each: false, ..operand.clone() };
                format!("if it must be there, add `len({holder}) > 0 and …`")
            }
            _ => match operand.value_type {
                Type::Int => format!("if it must be there, add `{operand} gt 0 and …`"),
                _ => format!("if it must be there, add `{operand} ne \"\" and …`"),
            },
        };
        let message = format!("this is true for every visitor without {what}, whatever it is compared with");
        self.warn(Code::TrueWhenAbsent, &operand.span, message, help);
    }

    fn operand(&mut self, operand: &Operand) {
        let Base::Call(call) = &operand.base else { return };
        for argument in &call.arguments {
            match argument {
                Argument::Operand(operand) => self.operand(operand),
                Argument::Condition(condition) => self.condition(condition, Sense { negated: false, guards: &[] }),
                Argument::Literal(_) | Argument::Pattern(_) => {}
            }
        }
        if let (
            Function::StartsWith | Function::EndsWith,
            [Argument::Operand(subject), Argument::Literal(Literal::Bytes(affix))],
        ) = (call.function, call.arguments.as_slice())
        {
            self.affix(operand, call.function, subject, affix);
        }
    }

    fn affix(&mut self, call: &Operand, function: Function, subject: &Operand, affix: &[u8]) {
        if affix.is_empty() {
            self.warn(Code::EmptyText, &call.span, "every value begins and ends with the empty text", None);
            return;
        }
        self.never_this_case(subject, affix, &call.span);
        self.host_with_more(subject, affix, &call.span);
        if function == Function::StartsWith {
            self.path_without_slash(subject, affix, &call.span, "this is never true");
        }
    }

    fn comparison(&mut self, comparison: &Comparison) {
        let Comparison { left, test, span } = comparison;
        match test {
            Test::Order(relation, Right::Literal(Literal::Bytes(text))) => match relation {
                Relation::Eq => self.whole_value(left, text, span, "this is never true"),
                Relation::Ne => self.whole_value(left, text, span, "this is true of every request"),
                _ => {}
            },
            Test::Order(..) | Test::InList(_) | Test::Bits(_) => {}
            Test::Contains(text) if text.is_empty() => {
                self.warn(Code::EmptyText, span, "every value contains the empty text", None);
            }
            Test::Contains(text) => {
                self.never_this_case(left, text, span);
                self.host_with_more(left, text, span);
            }
            Test::Matches(pattern) => self.pattern(left, pattern, span),
            Test::Wildcard(wildcard) => self.wildcard(left, wildcard, span),
            Test::In(set) => self.set(left, set, span),
        }
    }

    /// Text that the left side as a whole shall equal, or shall not; `so` is what comes of it if it never can.
    fn whole_value(&mut self, left: &Operand, text: &[u8], span: &Span, so: &str) {
        self.never_this_case(left, text, span);
        self.host_with_more(left, text, span);
        self.path_without_slash(left, text, span, so);
        if field_of(left) == Some(Field::IpSrcCountry) && !is_country(text) {
            let code = String::from_utf8_lossy(text);
            let help = meant_country(text).map(|meant| format!("did you mean \"{meant}\"?"));
            self.warn(Code::CountryCode, span, format!("\"{code}\" is not a country code of ISO 3166-1 alpha-2"), help);
        }
    }

    fn pattern(&mut self, left: &Operand, pattern: &Pattern, span: &Span) {
        let text = pattern.text.as_str();
        let doubled = text.match_indices(r"\\").find(|(at, _)| {
            text[at + 2..].starts_with(|next: char| next.is_ascii_alphabetic() || ".+*?()[]{}|^$/-".contains(next))
        });
        if doubled.is_some() {
            let message = "the regular expression looks for a backslash here: a quoted pattern is passed on as it is";
            let single = text.replace(r"\\", r"\");
            let help = format!("write each escape with one backslash: `{left} matches r\"{single}\"`");
            self.warn(Code::DoubleBackslash, span, message, help);
        } else if !text.is_empty() && !text.contains(|c: char| r"\.+*?()|[]{}^$#&-~".contains(c)) {
            let text = Literal::Bytes(text.as_bytes().into());
            let help = format!("`{left} contains {text}` says the same");
            self.warn(Code::PlainPattern, span, "nothing in this regular expression has a special meaning", help);
        }
    }

    fn wildcard(&mut self, left: &Operand, wildcard: &Wildcard, span: &Span) {
        let pattern: &[u8] = &wildcard.pattern;
        if pattern.is_empty() {
            let help = format!("to test for that, write `{left} eq \"\"`; to match anything, `wildcard \"*\"`");
            self.warn(Code::EmptyWildcard, span, "the empty wildcard matches nothing but the empty text", help);
            return;
        }
        if wildcard.strict {
            self.never_this_case(left, pattern, span);
        }
        self.host_with_more(left, pattern, span);
        if !pattern.starts_with(b"*") {
            self.path_without_slash(left, pattern, span, "this is never true");
        }
    }

    fn set(&mut self, left: &Operand, set: &Set, span: &Span) {
        let overlap = match set {
            Set::Ints(ranges) => overlap(ranges.clone(), |range| (*range.start(), *range.end())),
            Set::Ips(ranges) => overlap(ranges.clone(), |range| (range.first, range.last)),
            Set::Bytes(strings) => {
                for text in strings {
                    self.whole_value(left, text, span, &format!("it is never {}", Shown(text)));
                }
                overlap(strings.iter().map(|text| Shown(text)).collect(), |text| (text.0, text.0))
            }
        };
        if let Some((one, other)) = overlap {
            self.warn(Code::SetOverlap, span, format!("`{one}` and `{other}` in this set overlap"), None);
        }
        if set.is_empty() {
            self.warn(Code::EmptySet, span, "nothing is in an empty set, so this is never true", None);
        }
    }

    fn path_without_slash(&mut self, left: &Operand, text: &[u8], span: &Span, so: &str) {
        let is_path = matches!(
            field_of(left),
            Some(
                Field::HttpRequestUriPath
                    | Field::RawHttpRequestUriPath
                    | Field::HttpRequestUri
                    | Field::RawHttpRequestUri
            )
        );
        if is_path && !text.starts_with(b"/") {
            let rooted = Literal::Bytes([b"/", text].concat().into());
            let help = format!("did you mean {rooted}?");
            self.warn(Code::PathWithoutSlash, span, format!("a path begins with `/`, so {so}"), help);
        }
    }

    fn never_this_case(&mut self, left: &Operand, text: &[u8], span: &Span) {
        let (never, always): (fn(&u8) -> bool, &str) = match (&left.base, field_of(left)) {
            (Base::Call(Call { function: Function::Lower, .. }), _) => (u8::is_ascii_uppercase, "lower-case"),
            (Base::Call(Call { function: Function::Upper, .. }), _) => (u8::is_ascii_lowercase, "upper-case"),
            (_, Some(Field::HttpRequestMethod)) => (u8::is_ascii_lowercase, "upper-case"),
            (_, Some(Field::HttpRequestUriPathExtension)) => (u8::is_ascii_uppercase, "lower-case"),
            _ => return,
        };
        if text.iter().any(never) {
            let mended = if always == "lower-case" { text.to_ascii_lowercase() } else { text.to_ascii_uppercase() };
            let help = format!("did you mean {}?", Literal::Bytes(mended.into()));
            self.warn(Code::NeverThisCase, span, format!("the left side is always {always}, this text is not"), help);
        }
    }

    fn host_with_more(&mut self, left: &Operand, text: &[u8], span: &Span) {
        if field_of(left) != Some(Field::HttpHost) {
            return;
        }
        let text = String::from_utf8_lossy(text);
        let (scheme, rest) = text.split_once("://").unwrap_or(("", &text));
        let authority = rest.split('/').next().unwrap_or_default();
        let default_port = |port: &&str| matches!((scheme, *port), ("" | "https", "443") | ("" | "http", "80"));
        let port = Authority::of(authority).port().filter(default_port);
        let host = port.map_or(authority, |_| Authority::of(authority).host());
        let message = match port {
            _ if authority.len() < text.len() => {
                "http.host is a host, and a port where one is named; it has no scheme and no path"
            }
            Some("443") => "http.host names no port that is the scheme's own, as 443 is of https",
            Some(_) => "http.host names no port that is the scheme's own, as 80 is of http",
            None => return,
        };
        let help = (!host.is_empty()).then(|| format!("did you mean \"{host}\"?"));
        self.warn(Code::HostWithMore, span, message, help);
    }
}

impl Set {
    fn is_empty(&self) -> bool {
        match self {
            Set::Ints(ranges) => ranges.is_empty(),
            Set::Ips(ranges) => ranges.is_empty(),
            Set::Bytes(strings) => strings.is_empty(),
        }
    }
}

/// A byte string that prints as a literal.
struct Shown<'e>(&'e [u8]);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Literal::Bytes(self.0.into()).fmt(f)
    }
}

/// Two members of a set that share a value, as they print.
fn overlap<T: Printed, B: Ord>(mut members: Vec<T>, bounds: impl Fn(&T) -> (B, B)) -> Option<(String, String)> {
    members.sort_by_key(&bounds);
    let mut widest: Option<&T> = None;
    for member in &members {
        if let Some(before) = widest.filter(|before| bounds(member).0 <= bounds(before).1) {
            return Some((before.printed(), member.printed()));
        }
        widest = Some(member);
    }
    None
}

/// Members of sets as they are written.
trait Printed {
    fn printed(&self) -> String;
}

impl Printed for RangeInclusive<i64> {
    fn printed(&self) -> String {
        if self.start() == self.end() { self.start().to_string() } else { format!("{}..{}", self.start(), self.end()) }
    }
}

impl Printed for IpRange {
    fn printed(&self) -> String {
        self.to_string()
    }
}

impl Printed for Shown<'_> {
    fn printed(&self) -> String {
        self.to_string()
    }
}

/// The field whose text an operand is, looking through changes of case.
fn field_of(operand: &Operand) -> Option<Field> {
    match &operand.base {
        Base::Field(field) if operand.path.is_empty() => field.standard(),
        Base::Call(Call { function: Function::Lower | Function::Upper, arguments, .. }) => match arguments.as_slice() {
            [Argument::Operand(inner)] => field_of(inner),
            _ => None,
        },
        _ => None,
    }
}

/// The field (and key) at the bottom of an operand.
fn source(operand: &Operand) -> Option<(FieldId, Option<&Index>)> {
    match &operand.base {
        Base::Field(field) => Some((*field, operand.path.first().filter(|index| matches!(index, Index::Key(_))))),
        Base::Call(Call { function: Function::Coalesce, .. }) => None,
        Base::Call(call) => call.arguments.iter().find_map(|argument| match argument {
            Argument::Operand(operand) => source(operand),
            _ => None,
        }),
    }
}

/// What a visitor may lack, in words.
fn may_be_absent(operand: &Operand) -> Option<String> {
    let (field, key) = source(operand)?;
    let field = field.standard()?;
    let name = match key {
        Some(Index::Key(key)) => String::from_utf8_lossy(key).into_owned(),
        _ => String::new(),
    };
    match field {
        Field::HttpRequestHeaders if key.is_some() => Some(format!("the header `{name}`")),
        Field::HttpRequestCookies if key.is_some() => Some(format!("the cookie `{name}`")),
        Field::HttpRequestUriArgs | Field::RawHttpRequestUriArgs if key.is_some() => {
            Some(format!("the argument `{name}`"))
        }
        Field::HttpCookie => Some("cookies".to_owned()),
        Field::HttpUserAgent => Some("a user agent".to_owned()),
        Field::HttpReferer => Some("a referer".to_owned()),
        Field::HttpXForwardedFor => Some("X-Forwarded-For".to_owned()),
        Field::IpSrcAsnum => Some("a known AS number".to_owned()),
        Field::IpSrcCountry => Some("a known country".to_owned()),
        field if (Field::IpSrcContinent..=Field::IpSrcIsInEuropeanUnion).contains(&field) => {
            Some(format!("a known `{}`", field.info().name))
        }
        _ => None,
    }
}

/// Whether `all` over this condition maps over an entry that may be absent (and is then true).
fn is_mapped_entry(condition: &Condition) -> bool {
    match condition {
        Condition::Truth(operand) => operand.each,
        Condition::Compare(comparison) => comparison.left.each,
        Condition::Not(inner) => is_mapped_entry(inner),
        Condition::Chain(_, parts) => parts.iter().any(is_mapped_entry),
        Condition::Constant(_) | Condition::Quantified(..) => false,
    }
}

/// Whether `test` is `has_key(map, "key")` for the entry that the operand is of.
fn asks_for_key(test: &Operand, operand: &Operand) -> bool {
    let Base::Call(Call { function: Function::HasKey, arguments, .. }) = &test.base else { return false };
    match (arguments.as_slice(), source(operand)) {
        ([Argument::Operand(map), Argument::Literal(Literal::Bytes(asked))], Some((field, Some(Index::Key(key))))) => {
            asked == key && source(map) == Some((field, None))
        }
        _ => false,
    }
}

/// Whether a guard can only be true where the operand's value is present.
fn demands(guard: &Condition, operand: &Operand) -> bool {
    match guard {
        Condition::Truth(other) => asks_for_key(other, operand) || source(other) == source(operand),
        Condition::Compare(comparison) => source(&comparison.left) == source(operand),
        Condition::Quantified(Quantifier::Any, inner) => demands(inner, operand),
        Condition::Chain(Connective::And, parts) => parts.iter().any(|part| demands(part, operand)),
        Condition::Chain(Connective::Or, parts) => parts.iter().all(|part| demands(part, operand)),
        _ => false,
    }
}

//! The rule builder: rows of field, operator and value, any group of which must be true as a whole; and the way to an
//! expression and back, where an expression is of that shape.

use serde::{Deserialize, Serialize};

use velvetrope::internal::check::Checker;
use velvetrope::internal::language::expression::{
    Argument, Base, Comparison, Condition, Connective, Index, Literal, Operand, Pattern, Quantifier, Relation, Right,
    Set, Test, Wildcard,
};
use velvetrope::internal::language::{Diagnostic, Expression, Scheme, parse};
use velvetrope::internal::policy::Settings;
use velvetrope::internal::program::Lists;
use velvetrope::internal::request::{Field, Type};

/// What the builder shows: groups joined by `or`, the rows of each by `and`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Builder {
    /// At least one, each with at least one row.
    pub groups: Vec<Vec<Row>>,
}

/// One comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The name of a field.
    pub field: String,
    /// Which entry, for fields that are maps: the name of a header, a cookie, an argument.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How it is compared.
    pub operator: Operator,
    /// With what; several for [`Operator::In`], none for [`Operator::IsTrue`].
    #[serde(default)]
    pub values: Vec<String>,
}

/// How a field is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "named as people read them; see `label`")]
pub enum Operator {
    Equals,
    NotEqual,
    LessThan,
    LessOrEqual,
    GreaterThan,
    GreaterOrEqual,
    Contains,
    DoesNotContain,
    Wildcard,
    StrictWildcard,
    MatchesRegex,
    In,
    NotIn,
    InList,
    NotInList,
    StartsWith,
    EndsWith,
    IsTrue,
    IsFalse,
}

/// How a value is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Editor {
    Text,
    Number,
    Address,
    Country,
    Method,
    /// Nothing is entered.
    None,
}

/// A field that the builder offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// As in expressions.
    pub name: &'static str,
    /// For people.
    pub label: &'static str,
    /// Whether a row needs a key.
    pub has_key: bool,
    /// How values are entered.
    pub editor: Editor,
    /// What can be done with it.
    pub operators: &'static [Operator],
}

/// Fields by what people call them, the most used first; others go by their names.
const LABELS: &[(Field, &str)] = &[
    (Field::HttpRequestUriPath, "URI path"),
    (Field::HttpRequestUriQuery, "URI query string"),
    (Field::HttpRequestUri, "URI"),
    (Field::HttpRequestFullUri, "URI full"),
    (Field::HttpHost, "Hostname"),
    (Field::IpSrc, "IP source address"),
    (Field::IpSrcCountry, "Country"),
    (Field::IpSrcContinent, "Continent"),
    (Field::IpSrcAsnum, "AS number"),
    (Field::HttpRequestMethod, "Request method"),
    (Field::HttpUserAgent, "User agent"),
    (Field::HttpReferer, "Referer"),
    (Field::HttpCookie, "Cookie header"),
    (Field::HttpRequestHeaders, "Header"),
    (Field::HttpRequestCookies, "Value of cookie"),
    (Field::HttpRequestUriArgs, "Value of query argument"),
    (Field::Ssl, "SSL/HTTPS"),
];

const ON_TEXT: &[Operator] = &[
    Operator::Equals,
    Operator::NotEqual,
    Operator::Contains,
    Operator::DoesNotContain,
    Operator::StartsWith,
    Operator::EndsWith,
    Operator::In,
    Operator::NotIn,
    Operator::Wildcard,
    Operator::StrictWildcard,
    Operator::MatchesRegex,
    Operator::InList,
    Operator::NotInList,
];
/// Where one of several values decides; lists are looked up for single values only.
const ON_TEXTS: &[Operator] = &[
    Operator::Equals,
    Operator::NotEqual,
    Operator::Contains,
    Operator::DoesNotContain,
    Operator::StartsWith,
    Operator::EndsWith,
    Operator::In,
    Operator::NotIn,
    Operator::Wildcard,
    Operator::StrictWildcard,
    Operator::MatchesRegex,
];
const ON_NUMBER: &[Operator] = &[
    Operator::Equals,
    Operator::NotEqual,
    Operator::LessThan,
    Operator::LessOrEqual,
    Operator::GreaterThan,
    Operator::GreaterOrEqual,
    Operator::In,
    Operator::NotIn,
    Operator::InList,
    Operator::NotInList,
];
const ON_ADDRESS: &[Operator] =
    &[Operator::Equals, Operator::NotEqual, Operator::In, Operator::NotIn, Operator::InList, Operator::NotInList];
const ON_FLAG: &[Operator] = &[Operator::IsTrue, Operator::IsFalse];

impl Operator {
    /// For people.
    pub fn label(self) -> &'static str {
        match self {
            Operator::Equals => "equals",
            Operator::NotEqual => "does not equal",
            Operator::LessThan => "less than",
            Operator::LessOrEqual => "less than or equal to",
            Operator::GreaterThan => "greater than",
            Operator::GreaterOrEqual => "greater than or equal to",
            Operator::Contains => "contains",
            Operator::DoesNotContain => "does not contain",
            Operator::Wildcard => "wildcard",
            Operator::StrictWildcard => "strict wildcard",
            Operator::MatchesRegex => "matches regex",
            Operator::In => "is in",
            Operator::NotIn => "is not in",
            Operator::InList => "is in list",
            Operator::NotInList => "is not in list",
            Operator::StartsWith => "starts with",
            Operator::EndsWith => "ends with",
            Operator::IsTrue => "is on",
            Operator::IsFalse => "is off",
        }
    }

    /// Without its "not", and whether it had one. `does not equal` is a relation of its own.
    fn positive(self) -> (Operator, bool) {
        match self {
            Operator::DoesNotContain => (Operator::Contains, true),
            Operator::NotIn => (Operator::In, true),
            Operator::NotInList => (Operator::InList, true),
            Operator::IsFalse => (Operator::IsTrue, true),
            other => (other, false),
        }
    }

    /// Whether an empty value would make it true of everybody, or of nobody. To equal nothing at all means something: a
    /// request without the header.
    fn needs_text(self) -> bool {
        !matches!(self, Operator::Equals | Operator::In | Operator::IsTrue | Operator::IsFalse)
    }

    fn negative(self) -> Option<Operator> {
        match self {
            Operator::Contains => Some(Operator::DoesNotContain),
            Operator::In => Some(Operator::NotIn),
            Operator::InList => Some(Operator::NotInList),
            Operator::IsTrue => Some(Operator::IsFalse),
            _ => None,
        }
    }
}

/// The fields that rules of a policy with these settings may use.
pub fn choices(settings: &Settings) -> Vec<Choice> {
    let checker = Checker { settings, lists: &Lists::new() };
    let known = LABELS.iter().map(|(field, label)| (*field, *label));
    let is_new = |field: &Field| !LABELS.iter().any(|(known, _)| known == field);
    let others = Field::ALL.iter().filter(|field| is_new(field)).map(|field| (*field, field.info().name));
    let usable = known.chain(others).filter(|(field, _)| !field.is_of_triggers() && checker.can_use(*field));
    usable.filter_map(|(field, label)| choice(field, label)).collect()
}

fn choice(field: Field, label: &'static str) -> Option<Choice> {
    let info = field.info();
    let (has_key, element) = shape(&info.value_type())?;
    let is_single = info.value_type() == element;
    let (operators, editor) = match element {
        Type::Bytes if field == Field::IpSrcCountry => (ON_TEXT, Editor::Country),
        Type::Bytes if field == Field::HttpRequestMethod => (ON_TEXT, Editor::Method),
        Type::Bytes if is_single => (ON_TEXT, Editor::Text),
        Type::Bytes => (ON_TEXTS, Editor::Text),
        Type::Int if is_single => (ON_NUMBER, Editor::Number),
        Type::Ip if is_single => (ON_ADDRESS, Editor::Address),
        Type::Bool if is_single => (ON_FLAG, Editor::None),
        _ => return None,
    };
    Some(Choice { name: info.name, label, has_key, editor, operators })
}

/// Whether a value of this type is asked for by key, and what is compared in the end.
fn shape(value_type: &Type) -> Option<(bool, Type)> {
    match value_type {
        Type::Map(inner) => shape(inner).map(|(_, element)| (true, element)),
        Type::Array(inner) => Some((false, (**inner).clone())),
        single => Some((false, single.clone())),
    }
}

/// Why rows say nothing, in words for whoever fills them in.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Incomplete {
    /// There is not one row.
    #[error("there are no rows")]
    NoRows,
    /// A group has not one row.
    #[error("a group has no rows")]
    EmptyGroup,
    /// No field has this name.
    #[error("there is no field `{0}`")]
    UnknownField(String),
    /// The field is of a type that rows have no operators for.
    #[error("no row can test `{0}`")]
    Untestable(String),
    /// The field has entries, and it is not said which of them.
    #[error("name the entry of `{0}`")]
    NoKey(String),
    /// The field has no entries, and one is named.
    #[error("`{0}` has no entries to name")]
    NoEntries(String),
    /// A value is missing.
    #[error("give a value for `{0}`")]
    NoValue(String),
    /// There is more than the one value that the operator takes.
    #[error("give one value for `{0}`")]
    SeveralValues(String),
    /// There is not one value for a set.
    #[error("give values for `{0}`")]
    NoValues(String),
    /// An empty text is in, begins and ends every text.
    #[error("give a value for `{0}`: an empty one would decide for everybody")]
    EmptyValue(String),
    /// The value is not what the field is compared with.
    #[error("`{text}` is no {expected}")]
    NotA {
        /// What it should be.
        expected: &'static str,
        /// What it is.
        text: String,
    },
    /// The value is no regular expression.
    #[error("no regular expression: {0}")]
    Regex(#[from] regex::Error),
    /// Values of this type are not compared.
    #[error("there is nothing to compare")]
    Incomparable,
    /// The language does not allow it.
    #[error("{}", .0.message)]
    Refused(Box<Diagnostic>),
}

/// Why an expression has no rows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRows {
    /// It has errors.
    #[error("the expression has errors")]
    Errors,
    /// It uses something that rows cannot say.
    #[error("the builder has no rows for {what}, as in `{condition}`")]
    Beyond {
        /// What that is.
        what: &'static str,
        /// The condition that uses it.
        condition: String,
    },
    /// Its rows would say something else.
    #[error("the builder cannot say exactly this")]
    Inexact,
}

impl Builder {
    /// The expression that says the same.
    pub fn expression(&self) -> Result<String, Incomplete> {
        let many = self.groups.len() > 1;
        let mut groups = Vec::new();
        for group in &self.groups {
            let rows: Vec<String> = group.iter().map(Row::expression).collect::<Result<_, _>>()?;
            match rows.is_empty() {
                true => return Err(Incomplete::EmptyGroup),
                false if many && rows.len() > 1 => groups.push(format!("({})", rows.join(" and "))),
                false => groups.push(rows.join(" and ")),
            }
        }
        match groups.is_empty() {
            true => Err(Incomplete::NoRows),
            false => Ok(groups.join(" or ")),
        }
    }

    /// The rows of an expression.
    pub fn of(text: &str) -> Result<Builder, NoRows> {
        let expression = parse(text, Scheme::standard()).map_err(|_| NoRows::Errors)?;
        let groups = alternatives(&expression.root).iter().map(|group| rows(group)).collect::<Result<_, _>>()?;
        let builder = Builder { groups };
        // Whatever is not said by rows would be lost silently.
        match builder.expression().ok().and_then(|text| parse(&text, Scheme::standard()).ok()) {
            Some(same) if same_meaning(&same, &expression) => Ok(builder),
            _ => Err(NoRows::Inexact),
        }
    }
}

fn same_meaning(one: &Expression, other: &Expression) -> bool {
    let text = |expression: &Expression| {
        let groups = alternatives(&expression.root);
        groups.iter().map(|group| parts(group).iter().map(ToString::to_string).collect()).collect::<Vec<Vec<_>>>()
    };
    text(one) == text(other)
}

fn alternatives(root: &Condition) -> Vec<&Condition> {
    match root {
        Condition::Chain(Connective::Or, parts) => parts.iter().collect(),
        other => vec![other],
    }
}

fn parts(group: &Condition) -> Vec<&Condition> {
    match group {
        Condition::Chain(Connective::And, parts) => parts.iter().collect(),
        other => vec![other],
    }
}

fn rows(group: &Condition) -> Result<Vec<Row>, NoRows> {
    parts(group).into_iter().map(row).collect()
}

fn row(condition: &Condition) -> Result<Row, NoRows> {
    match condition {
        Condition::Not(inner) => {
            let row = row(inner)?;
            let operator = row.operator.negative().ok_or_else(|| beyond(condition, "`not`"))?;
            Ok(Row { operator, ..row })
        }
        Condition::Truth(operand) => truth(operand).ok_or_else(|| beyond(condition, "a function")),
        Condition::Compare(comparison) => compared(comparison).ok_or_else(|| beyond(condition, "a function or index")),
        Condition::Quantified(Quantifier::Any, inner) => match &**inner {
            Condition::Compare(comparison) if comparison.left.each => compared(comparison),
            Condition::Truth(operand) if operand.each => truth(operand),
            _ => None,
        }
        .ok_or_else(|| beyond(condition, "`any`")),
        Condition::Quantified(Quantifier::All, _) => Err(beyond(condition, "`all`")),
        Condition::Chain(..) => Err(beyond(condition, "parentheses")),
        Condition::Constant(_) => Err(beyond(condition, "a constant")),
    }
}

fn beyond(condition: &Condition, what: &'static str) -> NoRows {
    NoRows::Beyond { what, condition: condition.to_string() }
}

/// A flag, or a function that is an operator here.
fn truth(operand: &Operand) -> Option<Row> {
    match &operand.base {
        Base::Field(_) => {
            let (field, key) = place(operand)?;
            Some(Row { field, key, operator: Operator::IsTrue, values: Vec::new() })
        }
        Base::Call(call) => {
            let operator = match call.function.name() {
                "starts_with" => Operator::StartsWith,
                "ends_with" => Operator::EndsWith,
                _ => return None,
            };
            let [Argument::Operand(of), Argument::Literal(Literal::Bytes(text))] = &call.arguments[..] else {
                return None;
            };
            let (field, key) = place(of)?;
            Some(Row { field, key, operator, values: vec![utf8(text)?] })
        }
    }
}

fn compared(comparison: &Comparison) -> Option<Row> {
    let (field, key) = place(&comparison.left)?;
    let (operator, values) = match &comparison.test {
        Test::Order(relation, Right::Literal(literal)) => (related(*relation), vec![literal_text(literal)?]),
        Test::Contains(text) => (Operator::Contains, vec![utf8(text)?]),
        Test::Matches(pattern) => (Operator::MatchesRegex, vec![pattern.text.clone()]),
        Test::Wildcard(Wildcard { pattern, strict: false }) => (Operator::Wildcard, vec![utf8(pattern)?]),
        Test::Wildcard(Wildcard { pattern, strict: true }) => (Operator::StrictWildcard, vec![utf8(pattern)?]),
        Test::In(set) => (Operator::In, members(set)?),
        Test::InList(name) => (Operator::InList, vec![name.clone()]),
        Test::Order(_, Right::Operand(_)) | Test::Bits(_) => return None,
    };
    Some(Row { field, key, operator, values })
}

/// A field, and the key of its entry if it is a map.
fn place(operand: &Operand) -> Option<(String, Option<String>)> {
    let Base::Field(field) = &operand.base else { return None };
    let field = field.standard()?;
    let key = match &operand.path[..] {
        [] | [Index::Each] => None,
        [Index::Key(key)] | [Index::Key(key), Index::Each] => Some(utf8(key)?),
        _ => return None,
    };
    Some((field.info().name.to_owned(), key))
}

fn related(relation: Relation) -> Operator {
    match relation {
        Relation::Eq => Operator::Equals,
        Relation::Ne => Operator::NotEqual,
        Relation::Lt => Operator::LessThan,
        Relation::Le => Operator::LessOrEqual,
        Relation::Gt => Operator::GreaterThan,
        Relation::Ge => Operator::GreaterOrEqual,
    }
}

fn literal_text(literal: &Literal) -> Option<String> {
    match literal {
        Literal::Bytes(text) => utf8(text),
        Literal::Int(number) => Some(number.to_string()),
        Literal::Ip(address) => Some(address.to_string()),
        Literal::Bool(_) => None,
    }
}

fn members(set: &Set) -> Option<Vec<String>> {
    match set {
        Set::Bytes(texts) => texts.iter().map(|text| utf8(text)).collect(),
        Set::Ips(ranges) => Some(ranges.iter().map(ToString::to_string).collect()),
        Set::Ints(ranges) => {
            let text =
                |first: &i64, last: &i64| if first == last { first.to_string() } else { format!("{first}..{last}") };
            Some(ranges.iter().map(|range| text(range.start(), range.end())).collect())
        }
    }
}

fn utf8(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

impl Row {
    /// The row as an expression.
    fn expression(&self) -> Result<String, Incomplete> {
        let name = || self.field.clone();
        let field = Field::by_name(&self.field).filter(|field| !field.is_of_triggers());
        let field = field.ok_or_else(|| Incomplete::UnknownField(name()))?;
        let value_type = field.info().value_type();
        let (has_key, element) = shape(&value_type).ok_or_else(|| Incomplete::Untestable(name()))?;
        let mut left = name();
        match (&self.key, has_key) {
            (Some(key), true) if !key.is_empty() => left += &format!("[{}]", quoted(key)),
            (_, true) => return Err(Incomplete::NoKey(name())),
            (Some(_), false) => return Err(Incomplete::NoEntries(name())),
            (None, false) => {}
        }
        let is_single = value_type == element;
        if !is_single {
            left += "[*]";
        }
        let (operator, is_negated) = self.operator.positive();
        let condition = self.condition(operator, &left, &element)?;
        let condition = if is_single { condition } else { format!("any({condition})") };
        let text = if is_negated { format!("not {condition}") } else { condition };
        match parse(&text, Scheme::standard()).map_err(|diagnostics| diagnostics.into_iter().next()) {
            Err(Some(first)) => Err(Incomplete::Refused(Box::new(first))),
            Ok(_) | Err(None) => Ok(text),
        }
    }

    fn condition(&self, operator: Operator, left: &str, element: &Type) -> Result<String, Incomplete> {
        if self.is_empty() && self.operator.needs_text() {
            return Err(Incomplete::EmptyValue(self.field.clone()));
        }
        let relation = |word: &str| Ok(format!("{left} {word} {}", literal(self.value()?, element)?));
        match operator {
            Operator::Equals => relation("eq"),
            Operator::NotEqual => relation("ne"),
            Operator::LessThan => relation("lt"),
            Operator::LessOrEqual => relation("le"),
            Operator::GreaterThan => relation("gt"),
            Operator::GreaterOrEqual => relation("ge"),
            Operator::Contains => Ok(format!("{left} contains {}", quoted(self.value()?))),
            Operator::StartsWith => Ok(format!("starts_with({left}, {})", quoted(self.value()?))),
            Operator::EndsWith => Ok(format!("ends_with({left}, {})", quoted(self.value()?))),
            Operator::Wildcard | Operator::StrictWildcard => {
                let pattern = self.value()?.as_bytes().into();
                Ok(format!("{left} {}", Wildcard { pattern, strict: operator == Operator::StrictWildcard }))
            }
            Operator::MatchesRegex => {
                let text = self.value()?.to_owned();
                let regex = Pattern::compile(&text)?;
                Ok(format!("{left} matches {}", Pattern { text, regex }))
            }
            Operator::In => {
                let values = self.values.iter().filter(|value| !value.is_empty() || *element == Type::Bytes);
                let members: Vec<String> = values.map(|value| member(value, element)).collect::<Result<_, _>>()?;
                match members.is_empty() {
                    true => Err(Incomplete::NoValues(self.field.clone())),
                    false => Ok(format!("{left} in {{{}}}", members.join(" "))),
                }
            }
            Operator::InList => Ok(format!("{left} in ${}", list_name(self.value()?)?)),
            // Negations have been taken off before.
            _ => Ok(left.to_owned()),
        }
    }

    /// Whether one of the values is empty, or all are.
    fn is_empty(&self) -> bool {
        self.values.iter().any(String::is_empty)
    }

    fn value(&self) -> Result<&str, Incomplete> {
        match &self.values[..] {
            [value] => Ok(value),
            [] => Err(Incomplete::NoValue(self.field.clone())),
            _ => Err(Incomplete::SeveralValues(self.field.clone())),
        }
    }
}

fn quoted(text: &str) -> String {
    Literal::Bytes(text.as_bytes().into()).to_string()
}

fn literal(text: &str, element: &Type) -> Result<String, Incomplete> {
    match element {
        Type::Bytes => Ok(quoted(text)),
        Type::Int => text.trim().parse::<i64>().map(|number| number.to_string()).map_err(|_| no("number", text)),
        Type::Ip => {
            text.trim().parse::<std::net::IpAddr>().map(|address| address.to_string()).map_err(|_| no("address", text))
        }
        _ => Err(Incomplete::Incomparable),
    }
}

/// A member of a set: a literal, a range, or a network.
fn member(text: &str, element: &Type) -> Result<String, Incomplete> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'/' | b'-');
    let text = if *element == Type::Bytes { text } else { text.trim() };
    match element {
        Type::Bytes => Ok(quoted(text)),
        Type::Int | Type::Ip if !text.is_empty() && text.bytes().all(is_plain) => Ok(text.to_owned()),
        Type::Int => Err(no("number or range", text)),
        _ => Err(no("address, network or range", text)),
    }
}

fn list_name(text: &str) -> Result<&str, Incomplete> {
    let name = text.strip_prefix('$').unwrap_or(text);
    match velvetrope::internal::is_list_name(name) {
        true => Ok(name),
        false => Err(no("list", text)),
    }
}

fn no(expected: &'static str, text: &str) -> Incomplete {
    Incomplete::NotA { expected, text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn row(field: &str, operator: Operator, values: &[&str]) -> Row {
        Row { field: field.into(), key: None, operator, values: values.iter().map(|&value| value.into()).collect() }
    }

    #[test]
    fn rows_become_expressions() {
        let header =
            Row { key: Some("X-Partner".into()), ..row("http.request.headers", Operator::DoesNotContain, &["a"]) };
        for (row, text) in [
            (
                row("http.request.uri.path", Operator::EndsWith, &["/userverified"]),
                r#"ends_with(http.request.uri.path, "/userverified")"#,
            ),
            (row("ip.src", Operator::InList, &["admins"]), "ip.src in $admins"),
            (row("ip.src", Operator::NotInList, &["$admins"]), "not ip.src in $admins"),
            (row("ip.src", Operator::In, &["192.0.2.1", " 10.0.0.0/8"]), "ip.src in {192.0.2.1 10.0.0.0/8}"),
            (row("ip.src.country", Operator::NotIn, &["DE", "DK"]), r#"not ip.src.country in {"DE" "DK"}"#),
            (row("ip.src.asnum", Operator::GreaterOrEqual, &["64496"]), "ip.src.asnum ge 64496"),
            (row("http.host", Operator::Equals, &["a\"\\b"]), r#"http.host eq "a\"\\b""#),
            (row("http.host", Operator::MatchesRegex, &[r"^a\.b$"]), r#"http.host matches r"^a\.b$""#),
            (row("http.host", Operator::Wildcard, &["*.example"]), r#"http.host wildcard "*.example""#),
            (row("ssl", Operator::IsTrue, &[]), "ssl"),
            (row("ssl", Operator::IsFalse, &[]), "not ssl"),
            (header, r#"not any(http.request.headers["X-Partner"][*] contains "a")"#),
        ] {
            let builder = Builder { groups: vec![vec![row]] };
            assert_eq!(builder.expression().as_deref(), Ok(text));
        }
    }

    #[test]
    fn groups_are_joined_by_or() {
        let flag = |operator| row("ssl", operator, &[]);
        let [on, off] = [Operator::IsTrue, Operator::IsFalse];
        let builder = Builder { groups: vec![vec![flag(on), flag(off)], vec![flag(off)]] };
        assert_eq!(builder.expression().as_deref(), Ok("(ssl and not ssl) or not ssl"));
        assert_eq!(Builder::of("ssl and not ssl or not ssl"), Ok(builder));
    }

    #[test]
    fn what_rows_cannot_say_is_named() {
        for (text, part) in [
            ("ssl xor ssl", "parentheses"),
            ("ssl and (ssl or not ssl)", "parentheses"),
            ("not http.host eq \"a\"", "`not`"),
            ("lower(http.host) eq \"a\"", "a function"),
            ("http.request.headers[\"a\"][0] eq \"a\"", "index"),
            ("all(http.request.headers.names[*] eq \"a\")", "`all`"),
            ("http.host eq http.referer", "a function"),
            ("http.host eq \"\\xff\"", "a function"),
            ("true", "a constant"),
            ("http.hots", "errors"),
        ] {
            let reason = Builder::of(text).unwrap_err().to_string();
            assert!(reason.contains(part), "{text}: {reason}");
        }
    }

    #[test]
    fn bad_rows_are_refused_in_words() {
        for (row, part) in [
            (row("http.hots", Operator::Equals, &["a"]), "no field `http.hots`"),
            (row("http.host", Operator::Equals, &[]), "give a value"),
            (row("http.host", Operator::Equals, &["a", "b"]), "give one value"),
            (row("ip.src", Operator::Equals, &["nobody"]), "no address"),
            (row("ip.src", Operator::In, &["1.2.3.4} or true or ip.src in {1.1.1.1"]), "no address"),
            (row("ip.src", Operator::In, &[]), "give values"),
            (row("ip.src", Operator::InList, &["a b"]), "no list"),
            (row("ip.src.asnum", Operator::LessThan, &["x"]), "no number"),
            (row("http.host", Operator::MatchesRegex, &["("]), "no regular expression"),
            (row("http.request.headers", Operator::Equals, &["a"]), "name the entry"),
            (row("http.host", Operator::Contains, &[""]), "give a value"),
            (row("http.host", Operator::DoesNotContain, &[""]), "give a value"),
            (row("http.host", Operator::StartsWith, &[""]), "give a value"),
            (row("http.host", Operator::EndsWith, &[""]), "give a value"),
            (row("http.host", Operator::NotEqual, &[""]), "give a value"),
            (row("http.host", Operator::NotIn, &["a", ""]), "give a value"),
            (row("http.host", Operator::MatchesRegex, &[""]), "give a value"),
            (row("http.host", Operator::Wildcard, &[""]), "give a value"),
            (row("http.host", Operator::StrictWildcard, &[""]), "give a value"),
            (row("http.host", Operator::GreaterOrEqual, &[""]), "give a value"),
        ] {
            let reason = Builder { groups: vec![vec![row]] }.expression().unwrap_err().to_string();
            assert!(reason.contains(part), "{reason}");
        }
        assert!(Builder::default().expression().is_err());
    }

    fn value(choice: &Choice, operator: Operator) -> BoxedStrategy<Vec<String>> {
        let one = |strategy: BoxedStrategy<String>| strategy.prop_map(|value| vec![value]).boxed();
        let text = || "[ -~é\u{1}]{1,8}".boxed();
        let numbers = || any::<i32>().prop_map(|number| number.to_string()).boxed();
        let addresses = || any::<std::net::IpAddr>().prop_map(|address| address.to_string()).boxed();
        let several = |strategy: BoxedStrategy<String>| prop::collection::vec(strategy, 1..4).boxed();
        match (operator, choice.editor) {
            (Operator::IsTrue | Operator::IsFalse, _) => Just(Vec::new()).boxed(),
            (Operator::InList | Operator::NotInList, _) => one("[a-z0-9_]{1,9}".boxed()),
            (Operator::MatchesRegex, _) => one(r##"[a-c"#/^$.]{1,6}(\\[.d])?"##.boxed()),
            (Operator::Wildcard | Operator::StrictWildcard, _) => {
                one(r##"[a-c"/]{1,3}(\*[a-c]{1,2}|\\\*|\\\\){0,2}"##.boxed())
            }
            (Operator::In | Operator::NotIn, Editor::Number) => several(numbers()),
            (Operator::In | Operator::NotIn, Editor::Address) => several(addresses()),
            (Operator::In | Operator::NotIn, _) => several(text()),
            (_, Editor::Number) => one(numbers()),
            (_, Editor::Address) => one(addresses()),
            _ => one(text()),
        }
    }

    fn any_row() -> impl Strategy<Value = Row> {
        let choices: Vec<Choice> = Field::ALL
            .iter()
            .filter(|field| !field.is_of_triggers())
            .filter_map(|field| choice(*field, field.info().name))
            .collect();
        select(choices).prop_flat_map(|choice| {
            let key = if choice.has_key { "[A-Za-z\"-]{1,6}".prop_map(Some).boxed() } else { Just(None).boxed() };
            (select(choice.operators), key).prop_flat_map(move |(operator, key)| {
                let field = choice.name.to_owned();
                value(&choice, operator).prop_map(move |values| Row {
                    field: field.clone(),
                    key: key.clone(),
                    operator,
                    values,
                })
            })
        })
    }

    proptest! {
        #[test]
        fn what_rows_say_comes_back_as_rows(
            groups in prop::collection::vec(prop::collection::vec(any_row(), 1..4), 1..4)
        ) {
            let builder = Builder { groups };
            let text = builder.expression()?;
            prop_assert_eq!(Builder::of(&text)?, builder, "{}", text);
        }
    }
}

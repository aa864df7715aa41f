//! Queue-it's triggers → expressions (docs/protocol/queue-it.md#how-operators-compare), exactly as the engine evaluates
//! them.
//!
//! The fields behind the expressions (`trigger.*`) are never missing. What is already clear from the configuration is
//! folded: a trigger that can never be true becomes `false`.

use super::config_error::ConfigError;
use super::document::{Node, Value, number, number_text};
use crate::language::expression::{
    Argument, Base, Call, Comparison, Condition, Connective, Index, Literal, Operand, Relation, Right, Set, Test,
};
use crate::language::{Expression, Function};
use crate::request::{Field, FieldId, Type};

/// Lowers the `Triggers` of one integration; any of them suffices.
pub(super) fn lower(triggers: &Node, place: &str, normalized: bool) -> Result<Expression, ConfigError> {
    let mut any = Vec::new();
    for (index, trigger) in elements(triggers, place)?.iter().enumerate() {
        any.push(lower_trigger(trigger, &format!("{place}[{index}]"), normalized)?);
    }
    Ok(Expression { root: chain(Connective::Or, any) })
}

fn lower_trigger(trigger: &Node, place: &str, normalized: bool) -> Result<Condition, ConfigError> {
    if !matches!(trigger.value, Value::Object(_)) {
        return Err(ConfigError::shape(trigger, place, "an object"));
    }
    // Only the exact text `Or` means or.
    let is_or = trigger.get("LogicalOperator").and_then(Node::as_text) == Some("Or");
    let place = format!("{place}.TriggerParts");
    let parts = trigger.get("TriggerParts").ok_or_else(|| ConfigError::missing(trigger, &place))?;
    let mut lowered = Vec::new();
    for (index, part) in elements(parts, &place)?.iter().enumerate() {
        lowered.push(lower_part(part, &format!("{place}[{index}]"), normalized)?);
    }
    Ok(chain(if is_or { Connective::Or } else { Connective::And }, lowered))
}

fn lower_part(part: &Node, place: &str, normalized: bool) -> Result<Condition, ConfigError> {
    if !matches!(part.value, Value::Object(_)) {
        return Err(ConfigError::shape(part, place, "an object"));
    }
    // An unknown validator is false whatever else the part says.
    let Some(subject) = Subject::of(part, place, normalized)? else { return Ok(Condition::Constant(false)) };
    let negative = part.get("IsNegative").is_some_and(Node::is_truthy);
    let ignore_case = part.get("IsIgnoreCase").is_some_and(Node::is_truthy);
    let subject = if ignore_case { subject.upper_cased() } else { subject };
    match part.get("Operator").and_then(Node::as_text) {
        Some("Equals") => Ok(subject.equals(value_to_compare(part, place, ignore_case)?, negative)),
        Some("Contains") => Ok(match value_to_compare(part, place, ignore_case)? {
            // `*` stands for any text but the empty one, and then negation counts for nothing.
            Compare::Text(star) if star == "*" && negative => Condition::Constant(true),
            compare => negate(subject.contains(&compare), negative),
        }),
        Some("EqualsAny") => Ok(negate(subject.equals_any(values_to_compare(part, place, ignore_case)?), negative)),
        Some("ContainsAny") => {
            let values = values_to_compare(part, place, ignore_case)?;
            let any = values.iter().map(|compare| subject.contains(compare)).collect();
            Ok(negate(chain(Connective::Or, any), negative))
        }
        // So is an unknown operator.
        _ => Ok(Condition::Constant(false)),
    }
}

/// What a part looks at.
#[derive(Clone)]
enum Subject {
    /// A text of the request.
    Value(Operand),
    /// Always the empty text.
    Empty,
}

impl Subject {
    /// `None` for an unknown validator.
    fn of(part: &Node, place: &str, normalized: bool) -> Result<Option<Subject>, ConfigError> {
        let validator = part.get("ValidatorType").and_then(Node::as_text);
        Ok(Some(match validator {
            Some("UrlValidator") => match (part.get("UrlPart").and_then(Node::as_text), normalized) {
                (Some("HostName"), false) => Subject::field(Field::TriggerHostName),
                (Some("HostName"), true) => Subject::field(Field::TriggerNormalizedHostName),
                (Some("PagePath"), false) => Subject::field(Field::TriggerPagePath),
                (Some("PagePath"), true) => Subject::field(Field::TriggerNormalizedPagePath),
                (Some("PageUrl"), false) => Subject::field(Field::TriggerPageUrl),
                (Some("PageUrl"), true) => Subject::field(Field::TriggerNormalizedPageUrl),
                _ => Subject::Empty,
            },
            Some("CookieValidator") => match name(part, "CookieName", place)? {
                Some(name) => Subject::Value(entry(Field::TriggerCookies, name)),
                None => Subject::Empty,
            },
            Some("HttpHeaderValidator") => match name(part, "HttpHeaderName", place)? {
                Some(name) => Subject::Value(entry(Field::TriggerHeaders, name.to_ascii_lowercase())),
                None => Subject::Empty,
            },
            Some("UserAgentValidator") => Subject::field(Field::TriggerUserAgent),
            Some("RequestBodyValidator") => Subject::field(Field::TriggerBody),
            _ => return Ok(None),
        }))
    }

    fn field(field: Field) -> Subject {
        Subject::Value(operand(Base::Field(field.into()), Vec::new()))
    }

    fn upper_cased(self) -> Subject {
        match self {
            Subject::Value(inner) => Subject::Value(upper(inner)),
            Subject::Empty => Subject::Empty,
        }
    }

    fn equals(&self, with: Compare, negative: bool) -> Condition {
        let relation = if negative { Relation::Ne } else { Relation::Eq };
        match (self, with) {
            (Subject::Value(operand), Compare::Text(text)) => {
                let literal = Literal::Bytes(text.into_bytes().into());
                compare(operand.clone(), Test::Order(relation, Right::Literal(literal)))
            }
            (Subject::Empty, Compare::Text(text)) => Condition::Constant(text.is_empty() != negative),
            // A text is never strictly equal to a number.
            (_, Compare::Other(_)) => Condition::Constant(negative),
        }
    }

    fn contains(&self, what: &Compare) -> Condition {
        let (Compare::Text(text) | Compare::Other(text)) = what;
        match self {
            Subject::Empty => Condition::Constant(text.is_empty()),
            _ if matches!(what, Compare::Text(text) if text == "*") => self.equals(Compare::Text(String::new()), true),
            Subject::Value(_) if text.is_empty() => Condition::Constant(true),
            Subject::Value(operand) => compare(operand.clone(), Test::Contains(text.as_bytes().into())),
        }
    }

    fn equals_any(&self, values: Vec<Compare>) -> Condition {
        let mut texts: Vec<Box<[u8]>> = Vec::new();
        for value in values {
            if let Compare::Text(text) = value {
                texts.push(text.into_bytes().into());
            }
        }
        match self {
            Subject::Empty => Condition::Constant(texts.iter().any(|text| text.is_empty())),
            _ if texts.is_empty() => Condition::Constant(false),
            Subject::Value(operand) => compare(operand.clone(), Test::In(Set::Bytes(texts))),
        }
    }
}

/// What a part compares its subject with.
enum Compare {
    /// A text, upper-cased where the part ignores case.
    Text(String),
    /// The text of something that is none: it may be contained, and never be equal.
    Other(String),
}

impl Compare {
    fn of(node: &Node, place: &str, ignore_case: bool) -> Result<Compare, ConfigError> {
        let other = match &node.value {
            Value::Text(text) if ignore_case => return Ok(Compare::Text(text.to_uppercase())),
            Value::Text(text) => return Ok(Compare::Text(text.clone().into_owned())),
            _ if ignore_case => return Err(ConfigError::shape(node, place, "a text, because case is ignored")),
            Value::Null => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Number(digits) => number_text(number(digits)),
            Value::Array(_) | Value::Object(_) => return Err(ConfigError::shape(node, place, "a text")),
        };
        Ok(Compare::Other(other))
    }
}

fn value_to_compare(part: &Node, place: &str, ignore_case: bool) -> Result<Compare, ConfigError> {
    match part.get("ValueToCompare").filter(|node| node.is_truthy()) {
        Some(node) => Compare::of(node, &format!("{place}.ValueToCompare"), ignore_case),
        None => Ok(Compare::Text(String::new())),
    }
}

fn values_to_compare(part: &Node, place: &str, ignore_case: bool) -> Result<Vec<Compare>, ConfigError> {
    let Some(values) = part.get("ValuesToCompare").filter(|node| node.value != Value::Null) else {
        return Ok(Vec::new());
    };
    let place = format!("{place}.ValuesToCompare");
    let values = elements(values, &place)?.iter().enumerate();
    values.map(|(index, value)| Compare::of(value, &format!("{place}[{index}]"), ignore_case)).collect()
}

/// The name of a cookie or header; `None` where there is none.
fn name(part: &Node, key: &str, place: &str) -> Result<Option<String>, ConfigError> {
    match part.get(key) {
        None => Ok(None),
        Some(node) => match &node.value {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text.clone().into_owned())),
            _ => Err(ConfigError::shape(node, &format!("{place}.{key}"), "a text")),
        },
    }
}

/// The elements of an array, as the engine must be able to walk through it.
fn elements<'n, 't>(node: &'n Node<'t>, place: &str) -> Result<&'n [Node<'t>], ConfigError> {
    node.as_array().ok_or_else(|| ConfigError::shape(node, place, "an array"))
}

fn negate(condition: Condition, negative: bool) -> Condition {
    match condition {
        condition if !negative => condition,
        Condition::Constant(value) => Condition::Constant(!value),
        Condition::Not(inner) => *inner,
        condition => Condition::Not(Box::new(condition)),
    }
}

/// Joins conditions as the engine does, from left to right and no further than needed.
fn chain(connective: Connective, conditions: Vec<Condition>) -> Condition {
    let neutral = connective == Connective::And;
    let mut kept = Vec::with_capacity(conditions.len());
    for condition in conditions {
        match condition {
            Condition::Constant(value) if value == neutral => {}
            Condition::Constant(_) => {
                kept.push(condition);
                break;
            }
            Condition::Chain(inner, parts) if inner == connective => kept.extend(parts),
            condition => kept.push(condition),
        }
    }
    match kept.len() {
        0 => Condition::Constant(neutral),
        1 => kept.swap_remove(0),
        _ => Condition::Chain(connective, kept),
    }
}

fn entry(field: Field, key: String) -> Operand {
    operand(Base::Field(FieldId::from(field)), vec![Index::Key(key.into_bytes().into())])
}

fn upper(inner: Operand) -> Operand {
    let arguments = vec![Argument::Operand(inner)];
    operand(Base::Call(Call { function: Function::UpperUnicode, arguments, mapped: false }), Vec::new())
}

fn operand(base: Base, path: Vec<Index>) -> Operand {
    Operand { base, path, value_type: Type::Bytes, each: false, span: 0..0 }
}

fn compare(left: Operand, test: Test) -> Condition {
    Condition::Compare(Comparison { left, test, span: 0..0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Published;

    fn lowered(triggers: &str) -> Result<Condition, ConfigError> {
        let text = format!(r#"{{"Version": 1, "Integrations": [{{"Triggers": {triggers}}}]}}"#);
        Published::parse(&text, false).map(|published| published.all[0].1.root.clone())
    }

    fn part(json: &str) -> Condition {
        lowered(&format!(r#"[{{"TriggerParts": [{{{json}}}]}}]"#)).unwrap()
    }

    #[test]
    fn what_is_clear_from_the_configuration_is_folded() {
        let url = r#""ValidatorType": "UrlValidator", "UrlPart": "PagePath""#;
        let cases = [
            (r#""ValidatorType": "Unknown", "Operator": "Equals", "IsNegative": true"#.to_owned(), false),
            (format!(r#"{url}, "Operator": "equals", "IsNegative": true"#), false),
            (format!(r#"{url}, "Operator": "Contains", "ValueToCompare": "*", "IsNegative": true"#), true),
            (format!(r#"{url}, "Operator": "Contains", "ValueToCompare": null"#), true),
            (format!(r#"{url}, "Operator": "EqualsAny", "IsNegative": true"#), true),
            (format!(r#"{url}, "Operator": "ContainsAny", "ValuesToCompare": []"#), false),
            (format!(r#"{url}, "Operator": "Equals", "ValueToCompare": 5"#), false),
            (r#""ValidatorType": "UrlValidator", "Operator": "Equals", "ValueToCompare": """#.to_owned(), true),
            (r#""ValidatorType": "UrlValidator", "Operator": "Contains", "ValueToCompare": "*""#.to_owned(), false),
        ];
        for (json, value) in cases {
            assert_eq!(part(&json), Condition::Constant(value), "{json}");
        }
    }

    #[test]
    fn triggers_print_as_expressions() {
        let url = r#""ValidatorType": "UrlValidator", "UrlPart": "HostName""#;
        let cookie = r#""ValidatorType": "CookieValidator", "CookieName": "a b""#;
        let header = r#""ValidatorType": "HttpHeaderValidator", "HttpHeaderName": "X-Kind""#;
        let cases = [
            (format!(r#"{url}, "Operator": "Equals", "ValueToCompare": "a""#), r#"trigger.host_name eq "a""#),
            (
                format!(r#"{url}, "Operator": "Equals", "ValueToCompare": "straße", "IsIgnoreCase": true"#),
                r#"upper_unicode(trigger.host_name) eq "STRASSE""#,
            ),
            (
                format!(r#"{cookie}, "Operator": "Contains", "ValueToCompare": "x", "IsNegative": true"#),
                r#"not trigger.cookies["a b"] contains "x""#,
            ),
            (
                format!(r#"{header}, "Operator": "Contains", "ValueToCompare": "*""#),
                r#"trigger.headers["x-kind"] ne """#,
            ),
            (
                format!(r#"{header}, "Operator": "EqualsAny", "ValuesToCompare": ["a", 5, "b"], "IsNegative": true"#),
                r#"not trigger.headers["x-kind"] in {"a" "b"}"#,
            ),
            (
                r#""ValidatorType": "RequestBodyValidator", "Operator": "ContainsAny", "ValuesToCompare": ["*", 5]"#
                    .to_owned(),
                r#"trigger.body ne "" or trigger.body contains "5""#,
            ),
            (format!(r#"{cookie}, "Operator": "Unknown", "IsNegative": true"#), "false"),
        ];
        for (json, text) in cases {
            assert_eq!(Expression { root: part(&json) }.to_string(), text, "{json}");
        }
    }

    #[test]
    fn triggers_and_their_parts_are_joined_as_they_say() {
        let part = |value: &str| {
            format!(r#"{{"ValidatorType": "UserAgentValidator", "Operator": "Equals", "ValueToCompare": "{value}"}}"#)
        };
        let trigger = |operator: &str, parts: [&str; 2]| {
            format!(r#"{{"LogicalOperator": "{operator}", "TriggerParts": [{}]}}"#, parts.map(part).join(","))
        };
        let triggers = format!("[{}, {}]", trigger("And", ["a", "b"]), trigger("Or", ["c", "d"]));
        let root = lowered(&triggers).unwrap();
        let [a, b, c, d] = ["a", "b", "c", "d"].map(|value| format!("trigger.user_agent eq \"{value}\""));
        assert_eq!(Expression { root }.to_string(), format!("{a} and {b} or {c} or {d}"));
    }

    #[test]
    fn normalisation_needs_who_asks_and_who_offers() {
        for (asks, offers) in [(false, false), (false, true), (true, false), (true, true)] {
            let text = format!(
                r#"{{"Version": 1, "Integrations": [{{"IsNormalizationEnabled": {asks}, "Triggers": [{{"TriggerParts": [
                {{"ValidatorType": "UrlValidator", "UrlPart": "PageUrl", "Operator": "Contains", "ValueToCompare": "a"}}
                ]}}]}}]}}"#
            );
            let when = Published::parse(&text, offers).unwrap().all[0].1.to_string();
            let field = if asks && offers { "trigger.normalized.page_url" } else { "trigger.page_url" };
            assert_eq!(when, format!("{field} contains \"a\""));
        }
    }

    #[test]
    fn empty_triggers_are_never_and_empty_parts_follow_their_operator() {
        for (triggers, value) in [
            ("[]", false),
            (r#"[{"TriggerParts": []}]"#, true),
            (r#"[{"LogicalOperator": "or", "TriggerParts": []}]"#, true),
            (r#"[{"LogicalOperator": "Or", "TriggerParts": []}]"#, false),
        ] {
            assert_eq!(lowered(triggers), Ok(Condition::Constant(value)), "{triggers}");
        }
    }

    #[test]
    fn a_wrong_shape_is_refused_with_its_place() {
        let part = r#"[{"TriggerParts": [{"ValidatorType": "UserAgentValidator", "Operator": "EqualsAny","#;
        for (triggers, place) in [
            ("null".to_owned(), "Integrations[0].Triggers"),
            ("{}".to_owned(), "Integrations[0].Triggers"),
            ("[null]".to_owned(), "Integrations[0].Triggers[0]"),
            ("[{}]".to_owned(), "Integrations[0].Triggers[0].TriggerParts"),
            (r#"[{"TriggerParts": null}]"#.to_owned(), "Integrations[0].Triggers[0].TriggerParts"),
            (
                format!(r#"{part} "ValuesToCompare": "ab"}}]}}]"#),
                "Integrations[0].Triggers[0].TriggerParts[0].ValuesToCompare",
            ),
            (
                format!(r#"{part} "ValuesToCompare": ["a", null], "IsIgnoreCase": true}}]}}]"#),
                "Integrations[0].Triggers[0].TriggerParts[0].ValuesToCompare[1]",
            ),
        ] {
            let Err(ConfigError::Shape { place: found, .. }) = lowered(&triggers) else { panic!("{triggers}") };
            assert_eq!(found, place, "{triggers}");
        }
    }
}

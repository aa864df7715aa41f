//! The reference evaluator: walks the expression as it stands, keeps nothing, copies everything. It is what every faster
//! way of evaluating must agree with, so it shares none of their code.

use bumpalo::Bump;
use velvetrope::internal::language::Expression;
use velvetrope::internal::language::expression::{
    Argument, Base, Call, Comparison, Condition, Connective, Index, Literal, Operand, Quantifier, Relation, Right, Set,
    Test, Wildcard,
};
use velvetrope::internal::program::{Hostname, List, Lists};
use velvetrope::internal::request::{OwnedValue, Subject, Value};

mod functions;
pub mod table;

/// The value of an expression.
pub fn evaluate<S: Subject>(expression: &Expression, subject: &S, lists: &Lists) -> bool {
    let arena = Bump::new();
    match (Oracle { subject, lists, arena: &arena }).condition(&expression.root) {
        Truth::One(truth) => truth,
        Truth::Many(_) => panic!("an expression has one value"),
    }
}

struct Oracle<'s, S> {
    subject: &'s S,
    lists: &'s Lists,
    arena: &'s Bump,
}

/// What a condition comes to.
enum Truth {
    One(bool),
    Many(Vec<bool>),
}

/// What an operand comes to.
enum Found {
    One(Option<OwnedValue>),
    /// For each element of what `[*]` was applied to; `None` if that is missing.
    Each(Option<Vec<OwnedValue>>),
}

impl<S: Subject> Oracle<'_, S> {
    fn condition(&self, condition: &Condition) -> Truth {
        match condition {
            Condition::Constant(truth) => Truth::One(*truth),
            Condition::Truth(operand) => self.truth(operand),
            Condition::Compare(comparison) => self.compare(comparison),
            Condition::Not(inner) => match self.condition(inner) {
                Truth::One(truth) => Truth::One(!truth),
                Truth::Many(truths) => Truth::Many(truths.into_iter().map(|truth| !truth).collect()),
            },
            Condition::Chain(connective, parts) => {
                let parts = parts.iter().map(|part| self.condition(part));
                parts.reduce(|left, right| join(*connective, left, right)).expect("a chain has parts")
            }
            Condition::Quantified(quantifier, inner) => Truth::One(self.quantified(*quantifier, inner)),
        }
    }

    fn truth(&self, operand: &Operand) -> Truth {
        let is_true = |value: &OwnedValue| *value == OwnedValue::Bool(true);
        match self.operand(operand) {
            Found::Each(values) => Truth::Many(values.unwrap_or_default().iter().map(is_true).collect()),
            Found::One(Some(OwnedValue::Array(values))) => Truth::Many(values.iter().map(is_true).collect()),
            Found::One(Some(OwnedValue::Map(values))) => Truth::Many(values.values().map(is_true).collect()),
            Found::One(Some(value)) => Truth::One(is_true(&value)),
            Found::One(None) if operand.each || operand.value_type != velvetrope::internal::request::Type::Bool => {
                Truth::Many(Vec::new())
            }
            Found::One(None) => Truth::One(false),
        }
    }

    fn compare(&self, comparison: &Comparison) -> Truth {
        match self.operand(&comparison.left) {
            Found::One(None) => Truth::One(false),
            Found::One(Some(value)) => Truth::One(self.test(&value, &comparison.test)),
            Found::Each(values) => {
                Truth::Many(values.unwrap_or_default().iter().map(|value| self.test(value, &comparison.test)).collect())
            }
        }
    }

    fn quantified(&self, quantifier: Quantifier, inner: &Condition) -> bool {
        if let Condition::Truth(operand) = inner
            && let Found::One(None) = self.operand(operand)
        {
            return false;
        }
        match (quantifier, self.condition(inner)) {
            (_, Truth::One(truth)) => truth,
            (Quantifier::Any, Truth::Many(truths)) => truths.contains(&true),
            (Quantifier::All, Truth::Many(truths)) => !truths.contains(&false),
        }
    }

    fn operand(&self, operand: &Operand) -> Found {
        let base = match &operand.base {
            Base::Field(field) => self.subject.field(*field, self.arena).map(owned),
            Base::Call(call) => self.call(call),
        };
        let mut values: Vec<OwnedValue> = base.into_iter().collect();
        let mut each = None;
        for index in &operand.path {
            if *index == Index::Each && each.is_none() {
                each = Some(!values.is_empty());
            }
            values = values.into_iter().flat_map(|value| step(value, index)).collect();
        }
        match each {
            None => Found::One(values.pop()),
            Some(true) => Found::Each(Some(values)),
            Some(false) => Found::Each(None),
        }
    }

    fn call(&self, call: &Call) -> Option<OwnedValue> {
        let rest = || call.arguments[1..].iter().map(|argument| self.argument(argument));
        if !call.mapped {
            let all: Vec<_> = std::iter::once(self.argument(&call.arguments[0])).chain(rest()).collect();
            return functions::call(call, &all);
        }
        let Argument::Operand(first) = &call.arguments[0] else { panic!("only an operand is mapped") };
        let Found::Each(elements) = self.operand(first) else { panic!("a mapped argument has [*]") };
        let results = elements?.into_iter().filter_map(|element| {
            let all: Vec<_> = std::iter::once(Some(element)).chain(rest()).collect();
            functions::call(call, &all)
        });
        Some(OwnedValue::Array(results.collect()))
    }

    fn argument(&self, argument: &Argument) -> Option<OwnedValue> {
        match argument {
            Argument::Literal(literal) => Some(of_literal(literal)),
            Argument::Operand(operand) => match self.operand(operand) {
                Found::One(value) => value,
                Found::Each(values) => values.map(OwnedValue::Array),
            },
            Argument::Condition(condition) => Some(match self.condition(condition) {
                Truth::One(truth) => OwnedValue::Bool(truth),
                Truth::Many(truths) => OwnedValue::Array(truths.into_iter().map(OwnedValue::Bool).collect()),
            }),
            Argument::Pattern(pattern) => Some(OwnedValue::from(pattern.text.as_str())),
        }
    }

    fn test(&self, value: &OwnedValue, test: &Test) -> bool {
        match (test, value) {
            (Test::Order(relation, Right::Literal(literal)), left) => relate(*relation, left, &of_literal(literal)),
            (Test::Order(relation, Right::Operand(operand)), left) => match self.operand(operand) {
                Found::One(Some(right)) => relate(*relation, left, &right),
                _ => false,
            },
            (Test::Contains(part), OwnedValue::Bytes(bytes)) => contains(bytes, part),
            (Test::Matches(pattern), OwnedValue::Bytes(bytes)) => pattern.regex.is_match(bytes),
            (Test::Wildcard(wildcard), OwnedValue::Bytes(bytes)) => wildcard_regex(wildcard).is_match(bytes),
            (Test::In(Set::Bytes(items)), OwnedValue::Bytes(bytes)) => items.iter().any(|item| **item == **bytes),
            (Test::In(Set::Ints(items)), OwnedValue::Int(number)) => items.iter().any(|item| item.contains(number)),
            (Test::In(Set::Ips(items)), OwnedValue::Ip(address)) => {
                items.iter().any(|item| is_between(*address, item.first, item.last))
            }
            (Test::InList(name), value) => self.lists.get(name).is_some_and(|list| is_listed(list, value)),
            (Test::Bits(bits), OwnedValue::Int(number)) => number & bits != 0,
            _ => false,
        }
    }
}

fn join(connective: Connective, left: Truth, right: Truth) -> Truth {
    let join = |left: bool, right: bool| match connective {
        Connective::And => left && right,
        Connective::Or => left || right,
        Connective::Xor => left != right,
    };
    match (left, right) {
        (Truth::One(left), Truth::One(right)) => Truth::One(join(left, right)),
        (Truth::Many(left), Truth::Many(right)) => {
            Truth::Many(left.into_iter().zip(right).map(|(left, right)| join(left, right)).collect())
        }
        _ => panic!("Bool is never mixed with Array<Bool>"),
    }
}

fn step(value: OwnedValue, index: &Index) -> Vec<OwnedValue> {
    match (index, value) {
        (Index::Each, OwnedValue::Array(values)) => values,
        (Index::Each, OwnedValue::Map(entries)) => entries.into_values().collect(),
        (Index::At(at), OwnedValue::Array(values)) => values.into_iter().nth(*at as usize).into_iter().collect(),
        (Index::Key(key), OwnedValue::Map(mut entries)) => entries.remove(&key[..]).into_iter().collect(),
        (index, value) => panic!("{index:?} of {value:?}"),
    }
}

fn relate(relation: Relation, left: &OwnedValue, right: &OwnedValue) -> bool {
    use OwnedValue::{Bytes, Int, Ip};
    match relation {
        Relation::Eq => return left == right,
        Relation::Ne => return left != right,
        _ => {}
    }
    let order = match (left, right) {
        (Int(left), Int(right)) => left.cmp(right),
        (Bytes(left), Bytes(right)) => left.cmp(right),
        (Ip(left), Ip(right)) if left.is_ipv4() == right.is_ipv4() => left.cmp(right),
        _ => return false,
    };
    match relation {
        Relation::Lt => order.is_lt(),
        Relation::Le => order.is_le(),
        Relation::Gt => order.is_gt(),
        _ => order.is_ge(),
    }
}

fn is_between(address: std::net::IpAddr, first: std::net::IpAddr, last: std::net::IpAddr) -> bool {
    address.is_ipv4() == first.is_ipv4() && first <= address && address <= last
}

fn is_listed(list: &List, value: &OwnedValue) -> bool {
    match (list, value) {
        (List::Ip(items), OwnedValue::Ip(address)) => {
            items.iter().any(|item| is_between(*address, item.first, item.last))
        }
        (List::Asn(items), OwnedValue::Int(number)) => items.contains(number),
        (List::Hostname(items), OwnedValue::Bytes(name)) => items.iter().any(|item| match item {
            Hostname::Exact(known) => known.as_bytes() == name,
            Hostname::Below { suffix, apex } => {
                let parent = format!(".{suffix}");
                (*apex && suffix.as_bytes() == name) || (name.len() > parent.len() && name.ends_with(parent.as_bytes()))
            }
        }),
        _ => false,
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    part.is_empty() || bytes.windows(part.len()).any(|window| window == part)
}

/// The regular expression that says the same; each star is a group.
fn wildcard_regex(wildcard: &Wildcard) -> regex::bytes::Regex {
    let mut pattern = String::from(if wildcard.strict { r"(?s-u)\A" } else { r"(?si-u)\A" });
    let mut bytes = wildcard.pattern.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'*' => pattern.push_str("(.*?)"),
            b'\\' => pattern.push_str(&format!(r"\x{:02x}", bytes.next().expect("an escaped byte"))),
            byte => pattern.push_str(&format!(r"\x{byte:02x}")),
        }
    }
    pattern.push_str(r"\z");
    regex::bytes::Regex::new(&pattern).expect("a pattern")
}

fn owned(value: Value<'_>) -> OwnedValue {
    match value {
        Value::Bool(value) => OwnedValue::Bool(value),
        Value::Int(value) => OwnedValue::Int(value),
        Value::Ip(value) => OwnedValue::Ip(value),
        Value::Bytes(value) => OwnedValue::Bytes(value.to_vec()),
        Value::Array(values) => OwnedValue::Array(values.iter().map(|value| owned(*value)).collect()),
        Value::Map(entries) => {
            OwnedValue::Map(entries.iter().map(|(key, value)| (key.to_vec(), owned(*value))).collect())
        }
    }
}

fn of_literal(literal: &Literal) -> OwnedValue {
    match literal {
        Literal::Bool(value) => OwnedValue::Bool(*value),
        Literal::Int(value) => OwnedValue::Int(*value),
        Literal::Ip(value) => OwnedValue::Ip(*value),
        Literal::Bytes(value) => OwnedValue::Bytes(value.to_vec()),
    }
}

use std::sync::Arc;

use super::*;
use crate::language::expression::{
    Base, Comparison, Condition, Connective, Index, Literal, Operand, Quantifier, Relation, Right, Test,
};
use crate::request::{Field, FieldId, OwnedRequest, Type, Value};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// A table of texts by field that notes what it was asked for.
#[derive(Default)]
struct Table {
    values: BTreeMap<FieldId, String>,
    asked: RefCell<Vec<FieldId>>,
}

impl Table {
    fn with(fields: &[(Field, &str)]) -> Table {
        let values = fields.iter().map(|(field, text)| ((*field).into(), (*text).to_owned())).collect();
        Table { values, ..Table::default() }
    }
}

impl Subject for Table {
    fn field<'a>(&'a self, field: FieldId, _: &'a Bump) -> Option<Value<'a>> {
        self.asked.borrow_mut().push(field);
        self.values.get(&field).map(|text| Value::Bytes(text.as_bytes()))
    }
}

fn operand(field: Field, path: &[Index], value_type: Type) -> Operand {
    let each = path.contains(&Index::Each);
    Operand { base: Base::Field(field.into()), path: path.to_vec(), value_type, each, span: 0..0 }
}

fn compare(left: Operand, relation: Relation, text: &str) -> Condition {
    let right = Right::Literal(Literal::Bytes(text.as_bytes().into()));
    Condition::Compare(Comparison { left, test: Test::Order(relation, right), span: 0..0 })
}

fn eq(field: Field, text: &str) -> Condition {
    compare(operand(field, &[], Type::Bytes), Relation::Eq, text)
}

fn entry(when: Condition, bypass: &[usize]) -> Entry {
    Entry { when: Expression { root: when }.into(), bypass: bypass.to_vec() }
}

const HOST: Field = Field::HttpHost;
const PATH: Field = Field::HttpRequestUriPath;

fn site() -> Site {
    let rule = |path| Arc::new(Expression { root: eq(PATH, path) });
    Site {
        entries: vec![
            entry(eq(HOST, "a"), &[1, 0]),
            entry(eq(HOST, "b"), &[9]),
            entry(Condition::Chain(Connective::Or, vec![eq(HOST, "a"), eq(HOST, "c")]), &[0]),
        ],
        rules: vec![rule("/x"), rule("/x"), rule("/y")],
        lists: Lists::new(),
    }
}

#[test]
fn the_first_entry_and_its_first_rule_decide() {
    let program = Program::compile(&site());
    let mut scratch = Scratch::default();
    for (host, path, expected) in [
        ("a", "/x", Verdict::Bypassed { entry: 0, rule: 1 }),
        ("a", "/y", Verdict::Matched { entry: 0 }),
        ("b", "/x", Verdict::Matched { entry: 1 }),
        ("c", "/x", Verdict::Bypassed { entry: 2, rule: 0 }),
        ("d", "/x", Verdict::Nothing),
    ] {
        let table = Table::with(&[(HOST, host), (PATH, path)]);
        assert_eq!(program.evaluate(&table, scratch.start()), expected, "{host}{path}");
        assert_eq!(program.explain(&table).map(|explained| explained.verdict), Some(expected), "{host}{path}");
    }
}

#[test]
fn what_is_the_same_is_there_once_and_asked_for_once() {
    let program = Program::compile(&site());
    assert_eq!(program.code.sources.len(), 2);
    assert_eq!(program.code.predicates.len(), 5);
    let table = Table::with(&[(HOST, "c"), (PATH, "/z")]);
    let _ = program.evaluate(&table, &Bump::new());
    assert_eq!(*table.asked.borrow(), [HOST.into(), PATH.into()]);
    let untouched = Table::with(&[(HOST, "none")]);
    let _ = program.evaluate(&untouched, &Bump::new());
    assert_eq!(*untouched.asked.borrow(), [HOST.into()], "the path is nobody's business");
}

#[test]
fn needs_name_the_headers_behind_fields() {
    let key = |name: &str| Index::Key(name.as_bytes().into());
    let conditions = vec![
        eq(Field::HttpUserAgent, "x"),
        compare(operand(Field::HttpRequestCookies, &[key("a"), Index::At(0)], Type::Bytes), Relation::Eq, "x"),
        compare(operand(Field::TriggerHeaders, &[key("X-A")], Type::Bytes), Relation::Eq, "x"),
        compare(operand(Field::HttpRequestHeaders, &[key("x-b"), Index::At(1)], Type::Bytes), Relation::Eq, "x"),
    ];
    let mut site = Site { entries: vec![entry(Condition::Chain(Connective::And, conditions), &[])], ..Site::default() };
    let needs = Program::compile(&site).needs().clone();
    assert_eq!(needs.headers, ["cookie", "user-agent", "x-a", "x-b"]);
    assert!(!needs.all_headers && !needs.body);
    assert_eq!(needs.fields.len(), 4);
    site.entries.push(entry(eq(Field::TriggerBody, ""), &[]));
    let each = operand(Field::HttpRequestHeaders, &[Index::Each, Index::At(0)], Type::Bytes);
    let any = Condition::Quantified(Quantifier::Any, Box::new(compare(each, Relation::Eq, "x")));
    site.entries.push(entry(any, &[]));
    let program = Program::compile(&site);
    assert!(program.needs().all_headers && program.needs().body);
}

#[test]
fn a_trace_tells_what_was_seen_and_what_was_not_needed() {
    let key = Index::Key(Box::from(*b"x-a"));
    let header = operand(Field::HttpRequestHeaders, &[key, Index::Each], Type::Bytes);
    let any = Condition::Quantified(Quantifier::Any, Box::new(compare(header, Relation::Eq, "2")));
    let root = Condition::Chain(
        Connective::Or,
        vec![Condition::Not(Box::new(eq(PATH, "/a"))), eq(Field::HttpCookie, "s"), any, eq(HOST, "h")],
    );
    let program = Program::single(&Expression { root }, &Lists::new());
    let request = OwnedRequest::new("http://h/a").header("cookie", "a=1").header("x-a", "1").header("X-A", "2");
    let explanation = request.with_view(|view| program.explain(view)).expect("a program that was not loaded");
    let (_, trace) = &explanation.entries[0];
    let results: Vec<_> = trace.parts.iter().map(|part| part.result).collect();
    assert_eq!(results, [Some(false), Some(false), Some(true), None]);
    assert_eq!(trace.parts[0].parts[0].saw.as_deref(), Some("\"/a\""));
    assert_eq!(trace.parts[1].saw.as_deref(), Some("not shown"));
    assert_eq!(trace.parts[2].parts[0].saw.as_deref(), Some("[\"1\", \"2\"]"));
    assert_eq!(trace.parts[3].saw, None);
}

#[test]
fn programs_are_shared_between_threads() {
    fn is_shared<T: Send + Sync>() {}
    fn is_sent<T: Send>() {}
    is_shared::<Program>();
    is_sent::<Scratch>();
}

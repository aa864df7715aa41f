//! The program and the reference evaluator agree on generated expressions and requests, and so do an expression and its
//! canonical text.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use bumpalo::Bump;
use proptest::collection::{btree_map, vec};
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use velvetrope::internal::language::expression::IpRange;
use velvetrope::internal::language::{Code, Expression, Scheme, parse};
use velvetrope::internal::program::{Entry, Hostname, List, Lists, Program, Site, Verdict};
use velvetrope::internal::request::{OwnedRequest, OwnedValue, Subject, Type};

use crate::oracle;
use crate::oracle::table::{self, Table};

static SCHEME: LazyLock<Scheme> = LazyLock::new(|| table::scheme(include_str!("../vectors/rules/scheme.json")));

const TEXTS: &[&str] = &[
    "",
    "a",
    "A",
    "b",
    "ab",
    "aBa",
    "a,b,,a",
    "/a/b.a",
    "%41%2541+",
    "%u0041%uD83D%uDE00",
    "a=1&b=2&a",
    "YWI=",
    "é",
    "*",
    "{\"a\":{\"b\":[1,\"a\"]},\"b\":-7}",
    "[1,\"a\",{\"a\":\"b\\n\"}]",
    "m1700000000-MwxCdsONqMcO9hMLnzWdUiUSLr735AOCGoivbkwKqEI%3D",
];
const ADDRESSES: &[&str] = &["10.0.0.1", "10.0.1.7", "192.0.2.1", "::1", "::ffff:10.0.0.1", "2001:db8::7"];
const NUMBERS: &[i64] = &[0, 1, 2, 3, -1, 10, 64_500, i64::MIN, i64::MAX];

proptest! {
    // Failures are not kept in a file: what was found becomes a case of its own.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn program_and_reference_agree(
        texts in vec(condition(), 1..6),
        bypass in vec(vec(0_usize..6, 0..4), 6),
        tables in vec(subject(), 3),
        request in request(),
    ) {
        let expressions: Vec<Arc<Expression>> = texts.iter().filter_map(|text| parsed(text)).map(Arc::new).collect();
        let entries = expressions.iter().zip(&bypass);
        let site = Site {
            entries: entries.map(|(when, bypass)| Entry { when: when.clone(), bypass: bypass.clone() }).collect(),
            rules: expressions.iter().rev().cloned().collect(),
            lists: lists(),
        };
        let program = Program::compile(&site);
        let loaded = loaded(&program);
        for table in &tables {
            check(&program, &loaded, &site, table)?;
        }
        request.with_view(|view| check(&program, &loaded, &site, view))?;
    }

    #[test]
    fn canonical_text_means_the_same(text in condition(), tables in vec(subject(), 3), request in request()) {
        if let Some(expression) = in_standard_fields(&text).and_then(|text| parsed(&text)) {
            let canonical = expression.to_string();
            let again = parsed(&canonical).expect("canonical text is not much longer");
            prop_assert_eq!(again.to_string(), canonical);
            for table in &tables {
                let before = oracle::evaluate(&expression, table, &lists());
                prop_assert_eq!(before, oracle::evaluate(&again, table, &lists()));
            }
            let evaluate = |expression| request.with_view(|view| oracle::evaluate(expression, view, &lists()));
            prop_assert_eq!(evaluate(&expression), evaluate(&again));
        }
    }
}

proptest! {
    // Each case is a set of rules and 32 requests.
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: ProptestConfig::default().cases / 8,
        ..ProptestConfig::default()
    })]

    /// So many conditions that they are indexed.
    #[test]
    fn indexed_and_plain_programs_and_the_reference_agree(
        texts in vec(seldom(), 40..80),
        bypass in vec(0_usize..80, 0..60),
        tables in vec(subject(), 24),
        requests in vec(request(), 8),
    ) {
        let expressions: Vec<Arc<Expression>> = texts.iter().filter_map(|text| parsed(text)).map(Arc::new).collect();
        let whens = expressions.iter().take(expressions.len() / 2).cloned();
        let always = Arc::new(parsed("true").expect("a condition"));
        let site = Site {
            entries: whens.chain([always]).map(|when| Entry { when, bypass: bypass.clone() }).collect(),
            rules: expressions.clone(),
            lists: lists(),
        };
        let indexed = Program::compile(&site);
        let programs = [loaded(&indexed), indexed, Program::compile_plain(&site)];
        for table in &tables {
            agree(&programs, &site, table)?;
        }
        for request in &requests {
            request.with_view(|view| agree(&programs, &site, view))?;
        }
    }
}

/// The same with standard fields instead of those of the tests, because only these have a name in canonical text;
/// `None` where there is no standard field of the type.
fn in_standard_fields(text: &str) -> Option<String> {
    let text = text
        .replace("test.str", "http.referer")
        .replace("test.ints", "cf.bot_management.detection_ids")
        .replace("test.int", "cf.edge.server_port")
        .replace("test.ips[1]", "ip.src")
        .replace("test.ip ", "cf.edge.server_ip ")
        .replace("test.bool ", "cf.client.bot ");
    (!text.contains("test.")).then_some(text)
}

/// The program after it was saved.
fn loaded(program: &Program) -> Program {
    let saved = postcard::to_allocvec(program).expect("every program can be saved");
    postcard::from_bytes(&saved).unwrap_or_else(|error| panic!("{error}: {program:?}"))
}

/// The program, its explanation, and the program after it was saved say what the reference evaluator says.
fn check<S: Subject>(program: &Program, loaded: &Program, site: &Site, subject: &S) -> Result<(), TestCaseError> {
    let expected = expected(site, subject);
    prop_assert_eq!(program.evaluate(subject, &Bump::new()), expected);
    prop_assert_eq!(loaded.evaluate(subject, &Bump::new()), expected);
    prop_assert_eq!(program.explain(subject).map(|explained| explained.verdict), Some(expected));
    Ok(())
}

/// All programs, such as one with indexes and one without, say what the reference evaluator says.
fn agree<S: Subject>(programs: &[Program], site: &Site, subject: &S) -> Result<(), TestCaseError> {
    let expected = expected(site, subject);
    for program in programs {
        prop_assert_eq!(program.evaluate(subject, &Bump::new()), expected);
    }
    Ok(())
}

/// The first entry and its first rule that the reference evaluator finds true.
fn expected<S: Subject>(site: &Site, subject: &S) -> Verdict {
    let is_true = |expression: &Expression| oracle::evaluate(expression, subject, &site.lists);
    match site.entries.iter().position(|entry| is_true(&entry.when)) {
        None => Verdict::Nothing,
        Some(entry) => {
            let rules = site.entries[entry].bypass.iter().copied().filter(|&rule| rule < site.rules.len());
            match rules.into_iter().find(|&rule| is_true(&site.rules[rule])) {
                None => Verdict::Matched { entry },
                Some(rule) => Verdict::Bypassed { entry, rule },
            }
        }
    }
}

/// Whatever is generated is well typed; it may only be beyond a limit.
fn parsed(text: &str) -> Option<Expression> {
    match parse(text, &SCHEME) {
        Ok(expression) => Some(expression),
        Err(errors)
            if errors.iter().all(|error| matches!(error.code, Code::TooLong | Code::TooDeep | Code::ReplaceTwice)) =>
        {
            None
        }
        Err(errors) => panic!("{}", errors[0].render(text, "generated", 1)),
    }
}

fn lists() -> Lists {
    let range = |first: &str, last: &str| IpRange {
        first: first.parse().expect("an address"),
        last: last.parse().expect("an address"),
    };
    Lists::from([
        ("office".to_owned(), List::Ip(vec![range("10.0.0.0", "10.0.0.255"), range("2001:db8::", "2001:db8::ffff")])),
        ("asns".to_owned(), List::Asn(vec![64_500, 1, 1])),
        (
            "hosts".to_owned(),
            List::Hostname(vec![
                Hostname::Exact("ab".to_owned()),
                Hostname::Below { suffix: "a".to_owned(), apex: false },
            ]),
        ),
    ])
}

/// A value for some of the fields.
fn subject() -> impl Strategy<Value = Table> {
    let fields: Vec<_> = [
        "http.host",
        "http.request.uri.path",
        "http.user_agent",
        "http.request.headers",
        "http.request.headers.names",
        "http.request.uri.args.values",
        "ip.src",
        "ip.src.asnum",
        "ssl",
        "test.str",
        "test.int",
        "test.ip",
        "test.bool",
        "test.bools",
        "test.ints",
        "test.ips",
        "test.aab",
        "test.map.str",
        "test.map.int",
        "test.map.ip",
        "test.map.bool",
    ]
    .iter()
    .map(|name| {
        let (field, value_type) = SCHEME.field(name).unwrap_or_else(|| panic!("{name}"));
        weighted(0.8, value(value_type)).prop_map(move |value| value.map(|value| (field, value)))
    })
    .collect();
    fields.prop_map(|values| Table(values.into_iter().flatten().collect()))
}

fn value(value_type: &Type) -> BoxedStrategy<OwnedValue> {
    match value_type {
        Type::Bool => any::<bool>().prop_map(OwnedValue::Bool).boxed(),
        Type::Int => select(NUMBERS).prop_map(OwnedValue::Int).boxed(),
        Type::Ip => select(ADDRESSES).prop_map(|text| OwnedValue::Ip(text.parse().expect("an address"))).boxed(),
        Type::Bytes => select(TEXTS).prop_map(OwnedValue::from).boxed(),
        Type::Array(of) => vec(value(of), 0..4).prop_map(OwnedValue::Array).boxed(),
        Type::Map(of) => btree_map(select(&["a", "b", "x", "x-a"][..]), value(of), 0..4)
            .prop_map(|entries| {
                let entries = entries.into_iter().map(|(key, value)| (key.as_bytes().to_vec(), value));
                OwnedValue::Map(entries.collect::<BTreeMap<_, _>>())
            })
            .boxed(),
    }
}

fn request() -> impl Strategy<Value = OwnedRequest> {
    let headers = vec((select(&["x", "X-A", "a", "Cookie", "User-Agent", "host"][..]), select(TEXTS)), 0..6);
    (select(TEXTS), select(TEXTS), headers, weighted(0.8, select(ADDRESSES))).prop_map(
        |(path, query, headers, address)| {
            let mut request = OwnedRequest::new(format!("https://a.example/{path}?{query}"));
            request.headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
            request.client_ip = address.map(|text| text.parse::<IpAddr>().expect("an address"));
            request
        },
    )
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn literal() -> impl Strategy<Value = String> {
    select(TEXTS).prop_map(quoted)
}

fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(texts).prop_map(str::to_owned)
}

fn number() -> impl Strategy<Value = String> {
    select(NUMBERS).prop_map(|number| number.to_string())
}

/// Something of type String.
fn bytes() -> BoxedStrategy<String> {
    let fields = one_of(&[
        "http.host",
        "http.request.uri.path",
        "http.user_agent",
        "test.str",
        "test.str",
        "http.request.headers[\"x\"][0]",
        "http.request.headers.names[1]",
        "test.map.str[\"a\"]",
        "test.aab[1][0]",
        "http.request.uri.query",
    ]);
    let nested = fields.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            one_text_function(inner.clone()),
            (inner.clone(), literal()).prop_map(|(first, second)| format!("concat({first}, {second})")),
            (inner.clone(), inner.clone()).prop_map(|(first, second)| format!("coalesce({first}, {second})")),
            (inner.clone(), 0..4).prop_map(|(source, at)| format!("split({source}, \",\", 3)[{at}]")),
            (one_of(&["http.request.headers.names", "test.aab[0]"]), literal())
                .prop_map(|(array, separator)| format!("join({array}, {separator})")),
            one_of(&[
                "to_string(test.int)",
                "to_string(ip.src)",
                "to_string(ssl)",
                "join(lower(test.aab[*][*]), \"-\")"
            ]),
        ]
    });
    nested.boxed()
}

/// A function of one text (which may be mapped) that gives a text.
fn one_text_function(source: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let templates = one_of(&[
        "lower(@)",
        "upper(@)",
        "concat(@, \"x\", test.str)",
        "substring(@, 1)",
        "substring(@, -2, 9)",
        "substring(@, test.int, -1)",
        "url_decode(@)",
        "url_decode(@, \"ru\")",
        "url_decode(@, \"u\")",
        "remove_bytes(@, \"a,\")",
        "decode_base64(@)",
        "encode_base64(@)",
        "encode_base64(@, \"up\")",
        "sha256(@)",
        "lookup_json_string(@, \"a\", \"b\", 1)",
        "lookup_json_string(@, 1)",
        "lookup_json_string(@, 2, \"a\")",
        "remove_query_args(@, \"a\")",
        "regex_replace(@, \"(a)(b)?\", \"<${2}${1}$$>\")",
        "regex_replace(@, \"a\", \"x\")",
        "wildcard_replace(@, \"A*,*\", \"${2}${1}\")",
        "wildcard_replace(@, \"*a*\", \"${1}-${2}\", \"s\")",
    ]);
    (templates, source).prop_map(|(template, source)| template.replace('@', &source))
}

fn int() -> impl Strategy<Value = String> {
    prop_oneof![
        one_of(&[
            "test.int",
            "ip.src.asnum",
            "test.ints[0]",
            "test.map.int[\"a\"]",
            "len(test.map.str)",
            "len(test.aab)"
        ]),
        (
            one_of(&[
                "len(@)",
                "lookup_json_integer(@, \"b\")",
                "lookup_json_integer(@, \"a\", \"b\", 0)",
                "hash_in_range(0, 3, @)",
                "hash_in_range(test.int, 10, @, test.int, ip.src)"
            ]),
            bytes()
        )
            .prop_map(|(template, source)| template.replace('@', &source)),
    ]
}

fn ip() -> impl Strategy<Value = String> {
    let fields = one_of(&["ip.src", "test.ip", "test.ips[1]", "test.map.ip[\"x\"]"]);
    let templates = one_of(&["@", "cidr(@, 24, 112)", "cidr6(@, 64)", "cidr(@, test.int, 128)"]);
    (templates, fields).prop_map(|(template, field)| template.replace('@', &field))
}

fn truth() -> impl Strategy<Value = String> {
    prop_oneof![
        one_of(&[
            "ssl",
            "test.bool",
            "test.bools[0]",
            "test.map.bool[\"a\"]",
            "has_key(http.request.headers, \"x\")",
            "has_value(http.request.headers.names, \"a\")",
            "has_value(test.map.int, 1)",
            "http.host in $hosts",
            "true",
            "is_timed_hmac_valid_v0(\"mysecrettoken\", test.str, 10, test.int)",
            "is_timed_hmac_valid_v0(\"k\", test.str, 10, test.int, 1, \"s\")",
            "has_value(test.ints, test.int)",
        ]),
        (one_of(&["starts_with", "ends_with"]), bytes(), prop_oneof![literal(), bytes()])
            .prop_map(|(function, source, affix)| format!("{function}({source}, {affix})")),
    ]
}

fn relation() -> impl Strategy<Value = String> {
    one_of(&["eq", "ne", "lt", "le", "gt", "ge", "==", "!=", "<", ">="])
}

fn bytes_test() -> impl Strategy<Value = String> {
    prop_oneof![
        (relation(), literal()).prop_map(|(relation, literal)| format!("{relation} {literal}")),
        (relation(), bytes()).prop_map(|(relation, right)| format!("{relation} {right}")),
        literal().prop_map(|literal| format!("contains {literal}")),
        vec(literal(), 0..9).prop_map(|items| format!("in {{{}}}", items.join(" "))),
        one_of(&["matches \"a\"", "~ r\"^a.*b\"", "matches \"(?i)B$\"", "~ \"^$\"", "matches r\"[^a]\""]),
        one_of(&[
            "wildcard \"*\"",
            "wildcard r\"A*b\"",
            "strict wildcard \"*a*\"",
            "wildcard r\"\\**\"",
            "wildcard \"\"",
            "strict wildcard \"*a*b*a\""
        ]),
    ]
}

fn int_test() -> impl Strategy<Value = String> {
    prop_oneof![
        (relation(), number()).prop_map(|(relation, number)| format!("{relation} {number}")),
        relation().prop_map(|relation| format!("{relation} test.int")),
        one_of(&["in {1 3..10 -5..0}", "in {}", "& 3", "bitwise_and 64500", "in $asns", "in $none"]),
    ]
}

fn ip_test() -> impl Strategy<Value = String> {
    prop_oneof![
        (relation(), select(ADDRESSES)).prop_map(|(relation, address)| format!("{relation} {address}")),
        relation().prop_map(|relation| format!("{relation} test.ip")),
        one_of(&["in {10.0.0.0/8 ::1}", "in {10.0.0.1..10.0.1.0 ::/64 192.0.2.1}", "in $office", "in $none", "in {}"]),
    ]
}

/// Something of type String that comes once for each element.
fn each_bytes() -> BoxedStrategy<String> {
    let fields = one_of(&[
        "http.request.headers.names[*]",
        "http.request.headers[*][*]",
        "http.request.headers[\"x\"][*]",
        "http.request.headers[*][0]",
        "http.request.uri.args.values[*]",
        "test.aab[*][*]",
        "test.aab[0][*]",
        "test.aab[*][1]",
        "test.map.str[*]",
    ]);
    let nested = fields.prop_recursive(2, 4, 1, |inner| {
        prop_oneof![
            one_text_function(inner.clone()).prop_map(|call| format!("{call}[*]")),
            (inner.clone(), one_of(&["[*][*]", "[*][0]", "[1][*]"]))
                .prop_map(|(source, path)| format!("split({source}, \",\"){path}")),
        ]
    });
    nested.boxed()
}

/// A condition that is true or false for each element, fit to stand in any, all or another of its kind.
fn vector() -> BoxedStrategy<String> {
    let leaves = prop_oneof![
        (each_bytes(), bytes_test()).prop_map(|(left, test)| format!("{left} {test}")),
        (one_of(&["test.ints[*]", "test.map.int[*]", "len(test.aab[*])[*]", "len(test.map.str[*])[*]"]), int_test())
            .prop_map(|(left, test)| format!("{left} {test}")),
        (one_of(&["test.ips[*]", "test.map.ip[*]", "cidr(test.ips[*], 8, 16)[*]"]), ip_test())
            .prop_map(|(left, test)| format!("{left} {test}")),
        (each_bytes(), literal()).prop_map(|(source, prefix)| format!("starts_with({source}, {prefix})")),
        one_of(&["test.bools"]),
    ];
    let nested = leaves.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|part| format!("not {part}")),
            (vec(inner, 2..4), one_of(&["and", "or", "xor", "&&"]))
                .prop_map(|(parts, connective)| format!("({})", parts.join(&format!(" {connective} ")))),
        ]
    });
    nested.boxed()
}

/// An expression.
fn condition() -> BoxedStrategy<String> {
    let leaves = prop_oneof![
        (bytes(), bytes_test()).prop_map(|(left, test)| format!("{left} {test}")),
        (int(), int_test()).prop_map(|(left, test)| format!("{left} {test}")),
        (ip(), ip_test()).prop_map(|(left, test)| format!("{left} {test}")),
        truth(),
        (one_of(&["any", "all"]), vector()).prop_map(|(quantifier, inner)| format!("{quantifier}({inner})")),
    ];
    let nested = leaves.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|part| format!("not {part}")),
            (vec(inner, 2..4), one_of(&["and", "or", "xor", "||", "^^"]))
                .prop_map(|(parts, connective)| format!("({})", parts.join(&format!(" {connective} ")))),
        ]
    });
    nested.boxed()
}

/// An expression that is seldom true, so that some conditions of many are, and not only the first.
fn seldom() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => (filed(), condition()).prop_map(|(filed, condition)| format!("{filed} and {condition}")),
        1 => (filed(), filed(), condition()).prop_map(|(one, other, last)| format!("({one} or {other}) and {last}")),
        1 => vec(condition(), 4).prop_map(|parts| format!("({})", parts.join(") and ("))),
    ]
}

/// A test that an index has a table for.
fn filed() -> impl Strategy<Value = String> {
    let texts = one_of(&[
        "http.host",
        "http.user_agent",
        "test.str",
        "lower(test.str)",
        "http.request.uri.path",
        "http.request.headers[\"x\"][0]",
        "http.request.headers[\"a\"][0]",
        "http.request.headers[\"b\"][0]",
        "http.request.headers[\"x-a\"][0]",
        "http.request.cookies[\"a\"][0]",
        "test.map.str[\"a\"]",
    ]);
    let parts =
        one_of(&["matches \"^a.*b\"", "matches \"(a|/a)/?b\"", "wildcard \"*/A*\"", "matches \"a$\"", "in $hosts"]);
    prop_oneof![
        (texts, prop_oneof![bytes_test(), parts]).prop_map(|(left, test)| format!("{left} {test}")),
        (one_of(&["starts_with", "ends_with"]), bytes(), literal())
            .prop_map(|(function, source, affix)| format!("{function}({source}, {affix})")),
        (one_of(&["test.int", "ip.src.asnum", "test.ints[0]"]), int_test())
            .prop_map(|(left, test)| format!("{left} {test}")),
        (one_of(&["ip.src", "test.ip"]), ip_test()).prop_map(|(left, test)| format!("{left} {test}")),
        (each_bytes(), bytes_test()).prop_map(|(left, test)| format!("any({left} {test})")),
    ]
}

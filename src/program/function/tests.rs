use bumpalo::Bump;

use super::*;
use crate::language::expression::Wildcard;
use crate::program::pattern::LazyRegex;
use crate::program::wildcard::WildcardPattern;

fn b(text: &str) -> Option<Value<'_>> {
    Some(Value::Bytes(text.as_bytes()))
}

fn i(number: i64) -> Option<Value<'static>> {
    Some(Value::Int(number))
}

fn ip(text: &str) -> Option<Value<'static>> {
    Some(Value::Ip(text.parse().expect("an address")))
}

/// Checks what a function makes of its arguments.
fn check(function: Function, cases: &[(&[Option<Value<'_>>], Option<Value<'_>>)]) {
    for (arguments, expected) in cases {
        let arena = Bump::new();
        assert_eq!(call(function, arguments, &Prepared::Nothing, &arena), *expected, "{function:?} {arguments:?}");
    }
}

#[test]
fn missing_arguments() {
    check(Function::Lower, &[(&[None], None)]);
    check(Function::StartsWith, &[(&[b("a"), None], None)]);
    check(
        Function::Concat,
        &[(&[None, None], None), (&[None, b("a"), None, b("b")], b("ab")), (&[b(""), None], b(""))],
    );
    check(Function::Coalesce, &[(&[None, None], None), (&[None, b("a"), b("b")], b("a"))]);
}

#[test]
fn texts() {
    check(Function::Lower, &[(&[b("AbÉ")], b("abÉ"))]);
    check(Function::Upper, &[(&[b("aBé")], b("ABé"))]);
    check(Function::UpperUnicode, &[(&[b("straße ﬁ é ı a")], b("STRASSE FI É I A")), (&[b("abc")], b("ABC"))]);
    check(
        Function::StartsWith,
        &[(&[b("abc"), b("ab")], Some(Value::Bool(true))), (&[b("a"), b("")], Some(Value::Bool(true)))],
    );
    check(
        Function::EndsWith,
        &[(&[b("abc"), b("bc")], Some(Value::Bool(true))), (&[b("a"), b("ba")], Some(Value::Bool(false)))],
    );
    check(Function::RemoveBytes, &[(&[b("www.x.w"), b(".w")], b("x")), (&[b("abc"), b("z")], b("abc"))]);
    check(
        Function::Substring,
        &[
            (&[b("asdfghjk"), i(2), i(5)], b("dfg")),
            (&[b("abc"), i(-2)], b("bc")),
            (&[b("abc"), i(-9), i(-1)], b("ab")),
            (&[b("abc"), i(2), i(1)], b("")),
            (&[b("abc"), i(9)], b("")),
            (&[b("abc"), i(i64::MIN), i(i64::MAX)], b("abc")),
        ],
    );
    check(
        Function::RemoveQueryArgs,
        &[
            (&[b("category=Foo&order=desc&category=Bar"), b("category")], b("order=desc")),
            (&[b("a&b=1&c"), b("a"), b("c")], b("b=1")),
            (&[b("a=1"), b("b")], b("a=1")),
            (&[b("a=1"), b("a")], b("")),
        ],
    );
    check(
        Function::ToString,
        &[(&[i(-7)], b("-7")), (&[Some(Value::Bool(true))], b("true")), (&[ip("2001:db8::1")], b("2001:db8::1"))],
    );
}

#[test]
fn arrays() {
    let abc = [b("a"), b(""), b("c")].map(|value| value.expect("a value"));
    let first_and_rest = [b("a"), b(",c")].map(|value| value.expect("a value"));
    check(
        Function::Split,
        &[
            (&[b("a,,c"), b(",")], Some(Value::Array(&abc))),
            (&[b("a,,c"), b(","), i(2)], Some(Value::Array(&first_and_rest))),
            (&[b("a"), b("")], None),
            (&[b("a"), b(","), i(0)], None),
        ],
    );
    let array = Some(Value::Array(&abc));
    check(Function::Join, &[(&[array, b("-")], b("a--c")), (&[Some(Value::Array(&[])), b(",")], b(""))]);
    check(Function::Len, &[(&[array], i(3)), (&[b("é")], i(2))]);
    check(
        Function::HasValue,
        &[(&[array, b("c")], Some(Value::Bool(true))), (&[array, b("x")], Some(Value::Bool(false)))],
    );
    let map = Some(Value::Map(&[(b"k", Value::Int(1))]));
    check(Function::HasKey, &[(&[map, b("k")], Some(Value::Bool(true))), (&[map, b("K")], Some(Value::Bool(false)))]);
    check(Function::HasValue, &[(&[map, i(1)], Some(Value::Bool(true)))]);
}

#[test]
fn networks() {
    check(
        Function::Cidr,
        &[
            (&[ip("113.10.0.2"), i(24), i(24)], ip("113.10.0.0")),
            (&[ip("2001:db8:ffff::1"), i(24), i(32)], ip("2001:db8::")),
            (&[ip("113.10.0.2"), i(33), i(24)], None),
            (&[ip("113.10.0.2"), i(-1), i(24)], None),
        ],
    );
    check(
        Function::Cidr6,
        &[(&[ip("113.10.0.2"), i(24)], ip("113.10.0.2")), (&[ip("2001:0:130f::1"), i(24)], ip("2001::"))],
    );
}

#[test]
fn percent_encoding() {
    check(
        Function::UrlDecode,
        &[
            (&[b("an%20xss+attack")], b("an xss attack")),
            (&[b("%zz%4%")], b("%zz%4%")),
            (&[b("%%41")], b("%A")),
            (&[b("%2541")], b("%41")),
            (&[b("%2541"), b("r")], b("A")),
            (&[b("%2525252B"), b("r")], b(" ")),
            (&[b("%%3441"), b("r")], b("D1")),
            (&[b("%u2601%E2%98%81"), b("u")], b("☁☁")),
            (&[b("%u2601")], b("%u2601")),
            (&[b("%uD83D%uDE00"), b("u")], b("😀")),
            (&[b("%uD83Dx%uDE00"), b("u")], b("%uD83Dx%uDE00")),
            (&[b("%25u0041"), b("ur")], b("A")),
            (&[b("plain")], b("plain")),
        ],
    );
}

#[test]
fn repeated_decoding_takes_linear_time() {
    let text = format!("%{}41", "25".repeat(500_000));
    check(Function::UrlDecode, &[(&[b(&text), b("r")], b("A"))]);
}

#[test]
fn base64() {
    check(
        Function::DecodeBase64,
        &[(&[b("aGVsbG8=")], b("hello")), (&[b("aGVsbG8")], b("hello")), (&[b("aGVsb*8")], None), (&[b("")], b(""))],
    );
    check(
        Function::EncodeBase64,
        &[
            (&[b("hello")], b("aGVsbG8")),
            (&[b("hello"), b("p")], b("aGVsbG8=")),
            (&[b("~~~?"), b("u")], b("fn5-Pw")),
            (&[b("~~~?"), b("up")], b("fn5-Pw==")),
        ],
    );
}

#[test]
fn json() {
    let record = r#"{"version":2,"name":"x\n","list":[{"a":1},{"a":-5}],"float":42.0,"null":null,"version":3}"#;
    check(
        Function::LookupJsonInteger,
        &[
            (&[b(record), b("version")], i(3)),
            (&[b(record), b("list"), i(1), b("a")], i(-5)),
            (&[b(record), b("list"), i(2), b("a")], None),
            (&[b(record), b("float")], None),
            (&[b(record), b("name")], None),
            (&[b(record), b("none")], None),
            (&[b(r#"["first", -234]"#), i(1)], i(-234)),
            (&[b("{\"a\":1"), b("a")], None),
            (&[b("{\"a\":1}x"), b("a")], None),
            (&[b("{\"a\":18446744073709551615}"), b("a")], None),
            (&[b(&"[".repeat(100_000)), i(0)], None),
        ],
    );
    check(
        Function::LookupJsonString,
        &[
            (&[b(record), b("name")], b("x\n")),
            (&[b(record), b("version")], None),
            (&[b(record), b("list")], None),
            (&[b("\"a\""), b("x")], None),
        ],
    );
}

#[test]
fn hashes() {
    let arena = Bump::new();
    let Some(Value::Bytes(hash)) = call(Function::Sha256, &[b("abc")], &Prepared::Nothing, &arena) else { panic!() };
    assert_eq!(hash[..4], [0xba, 0x78, 0x16, 0xbf]);
    let in_range = |min, max, seed: &str| match call(
        Function::HashInRange,
        &[i(min), i(max), b(seed)],
        &Prepared::Nothing,
        &arena,
    ) {
        Some(Value::Int(number)) => number,
        other => panic!("{other:?}"),
    };
    // These must never change: roll-outs depend on them.
    assert_eq!(["a", "b", "c"].map(|seed| in_range(1, 100, seed)), [9, 61, 11]);
    let mut seen = [0; 4];
    (0..1000).for_each(|seed| seen[in_range(5, 8, &seed.to_string()) as usize - 5] += 1);
    assert!(seen.iter().all(|&count| count > 200), "{seen:?}");
    in_range(i64::MIN, i64::MAX, "x");
    assert_eq!(in_range(7, 7, "x"), 7);
    check(Function::HashInRange, &[(&[i(2), i(1), b("x")], None)]);
}

#[test]
fn timed_macs() {
    // The MAC was computed with another implementation.
    let signed = "/download/cat.jpg?verify=1484063787-MwxCdsONqMcO9hMLnzWdUiUSLr735AOCGoivbkwKqEI%3D";
    let valid = |key: &str, signed: &str, now: i64, separator: i64| {
        let arena = Bump::new();
        let arguments = [b(key), b(signed), i(10_800), i(now), i(separator)];
        call(Function::IsTimedHmacValidV0, &arguments, &Prepared::Nothing, &arena) == Some(Value::Bool(true))
    };
    assert!(valid("mysecrettoken", signed, 1_484_063_787, 8));
    assert!(valid("mysecrettoken", signed, 1_484_063_787 + 10_800, 8));
    assert!(!valid("mysecrettoken", signed, 1_484_063_787 + 10_801, 8));
    assert!(!valid("anothersecret", signed, 1_484_063_787, 8));
    assert!(!valid("mysecrettoken", signed, 1_484_063_787, 7));
    assert!(!valid("mysecrettoken", &signed.replace("cat", "dog"), 1_484_063_787, 8));
    for broken in ["", "-", "1484063787-", "x1484063787-%", "x148406378x-9JQB8vP1z0yc5DEBnH6JGWM3mBmvIeMrnnxFi3WtJLE"] {
        assert!(!valid("mysecrettoken", broken, 0, 0), "{broken}");
        assert!(!valid("mysecrettoken", broken, 0, i64::MAX), "{broken}");
    }
}

#[test]
fn replacements() {
    let arena = Bump::new();
    let regex = |pattern: &str, text: &str, replacement: &str| {
        let prepared = Prepared::Regex(LazyRegex::new(pattern));
        match call(Function::RegexReplace, &[b(text), b(pattern), b(replacement)], &prepared, &Bump::new()) {
            Some(Value::Bytes(bytes)) => String::from_utf8(bytes.to_vec()).expect("text"),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(regex("b+", "abbcb", "X"), "aXcb");
    assert_eq!(regex("^/(.*)/(.*)$", "/x/y", "/${2}/${1}/$$1${9}${3}$"), "/y/x/$1${9}$");
    assert_eq!(regex("z", "abc", "X$$"), "abc");
    let wildcard = Wildcard { pattern: Box::from(*b"http://*/api/*"), strict: false };
    let prepared = Prepared::Wildcard(WildcardPattern::new(&wildcard));
    let replace = |text| {
        let arguments = [b(text), b("http://*/api/*"), b("https://${1}/${2}")];
        call(Function::WildcardReplace, &arguments, &prepared, &arena)
    };
    assert_eq!(replace("http://H/API/x/api/y"), b("https://H/x/api/y"));
    assert_eq!(replace("http://h/"), b("http://h/"));
}

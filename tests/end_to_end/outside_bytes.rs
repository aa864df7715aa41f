//! Outside bytes never cause a panic: replays what fuzzing once found (`fuzz/regressions`), and the texts of the
//! conformance vectors, whole and cut off.

#[path = "../../fuzz/src/lib.rs"]
mod entries;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

type Entry = fn(&[u8]);

const TARGETS: [(&str, Entry); 7] = [
    ("expression", entries::expression),
    ("token", entries::token),
    ("cookie", entries::cookie),
    ("integration", entries::integration),
    ("push", entries::push),
    ("saved", entries::saved),
    ("url", entries::url),
];

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

#[test]
fn what_fuzzing_found_stays_mended() {
    for (target, entry) in TARGETS {
        let Ok(folder) = fs::read_dir(root().join("fuzz/regressions").join(target)) else { continue };
        for file in folder {
            let path = file.expect("a readable folder").path();
            println!("{}", path.display());
            entry(&fs::read(path).expect("a readable file"));
        }
    }
}

#[test]
fn recorded_texts_may_end_anywhere() {
    let mut texts = 0;
    for case in cases("rules") {
        texts += cut(entries::expression, case["expr"].as_str());
    }
    for case in cases("queueit") {
        texts += cut(entries::token, case["token"].as_str());
        texts += cut(entries::cookie, case.pointer("/request/headers/Cookie").and_then(Value::as_str));
        texts += cut(entries::integration, case["integration"].as_object().map(|_| case["integration"].to_string()));
        texts += cut(entries::url, case.pointer("/request/url").and_then(Value::as_str));
        texts += cut(entries::push, case.pointer("/request/body").and_then(Value::as_str));
    }
    assert!(texts > 1_000, "only {texts} texts");
}

/// With a checksum that is right all the same.
#[test]
fn saved_policies_may_end_or_differ_anywhere() {
    const HEADER: usize = 28;
    let saved = fs::read(root().join("tests/data/saved.vrp")).expect("the record");
    let payload = &saved[HEADER..];
    assert_eq!(entries::with_header(payload), saved);
    for end in (0..payload.len()).step_by(37) {
        entries::saved(&payload[..end]);
    }
    let mut changed = payload.to_vec();
    for at in (0..payload.len()).step_by(17) {
        for value in [payload[at] ^ 1, 0xff] {
            changed[at] = value;
            entries::saved(&changed);
        }
        changed[at] = payload[at];
    }
}

#[test]
fn hostile_bytes_are_refused_or_answered() {
    let deep = |open: &str, middle: &str, close: &str, times: usize| {
        format!("{}{middle}{}", open.repeat(times), close.repeat(times)).into_bytes()
    };
    let hostile: Vec<Vec<u8>> = vec![
        vec![],
        vec![0; 1000],
        vec![0xff; 100_000],
        b"%".to_vec(),
        b"a=%".to_vec(),
        deep("(", "ssl", ")", 100_000),
        deep("not ", "ssl", "", 100_000),
        deep("!", "ssl", "", 100_000),
        deep("[", "", "]", 100_000),
        deep("{\"Integrations\":[", "", "]}", 10_000),
        deep("lower(", "http.host", ")", 100_000),
        deep("any(", "x", ")", 100_000),
        "~".repeat(1_000_000).into_bytes(),
        "a_b~".repeat(100_000).into_bytes(),
        "a=b; ".repeat(10_000).into_bytes(),
        format!("{{\"integrationInfo\":\"{}\",\"hash\":\"x\"}}", "7b".repeat(100_000)).into_bytes(),
    ];
    for (_, entry) in TARGETS {
        hostile.iter().for_each(|bytes| entry(bytes));
    }
}

/// Runs the text, and a dozen of its beginnings.
fn cut(entry: Entry, text: Option<impl AsRef<str>>) -> usize {
    let Some(text) = text else { return 0 };
    let bytes = text.as_ref().as_bytes();
    entry(bytes);
    (0..bytes.len()).step_by(bytes.len() / 12 + 1).for_each(|end| entry(&bytes[..end]));
    1
}

fn cases(folder: &str) -> Vec<Value> {
    let mut cases = Vec::new();
    for file in fs::read_dir(Path::new(&root()).join("tests/vectors").join(folder)).expect("the vectors") {
        let path = file.expect("a readable folder").path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            let text = fs::read_to_string(path).expect("a readable file");
            cases.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")));
        }
    }
    cases
}

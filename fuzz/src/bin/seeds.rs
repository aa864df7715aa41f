//! Writes a seed corpus made from the conformance vectors: `seeds VECTORS CORPUS`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs, io};

use serde_json::Value;
use velvetrope::internal::language::{self, Scheme};
use velvetrope::internal::policy::{Policy, Published, Settings};

fn main() -> io::Result<()> {
    let folders: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [vectors, corpus] = folders.as_slice() else {
        return Err(io::Error::other("usage: seeds VECTORS CORPUS"));
    };
    let rules = cases(&vectors.join("rules"))?;
    let queueit = cases(&vectors.join("queueit"))?;
    let of = |pointer: &str| -> BTreeSet<String> {
        queueit.iter().filter_map(|case| case.pointer(pointer)?.as_str().map(str::to_owned)).collect()
    };
    write(corpus, "expression", rules.iter().filter_map(|case| case["expr"].as_str().map(str::to_owned)).collect())?;
    write(corpus, "token", of("/token"))?;
    let mut cookies = of("/request/headers/Cookie");
    cookies.extend(of("/request/headers/cookie"));
    write(corpus, "cookie", cookies)?;
    let mut integrations = of("/integration_raw");
    integrations.extend(queueit.iter().filter_map(|case| case.get("integration").map(Value::to_string)));
    write(corpus, "integration", integrations)?;
    write(corpus, "push", of("/request/body"))?;
    let rope = fs::read_to_string(vectors.join("../rope/cases.jsonl"))?;
    let rope = rope.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    write(
        corpus,
        "url",
        rope.map(|case| format!("shop.example\n{}", case["target"].as_str().unwrap_or("/"))).collect(),
    )?;
    let saved = rules.iter().filter_map(|case| saved(case["expr"].as_str()?));
    write(corpus, "saved", saved.collect())
}

/// The payload of a saved policy that asks for one expression.
fn saved(text: &str) -> Option<Vec<u8>> {
    const HEADER: usize = 28;
    let when = Arc::new(language::parse(text, Scheme::standard()).ok()?);
    let integration = serde_json::json!({"Version": 1, "Integrations": [{"Triggers": []}]}).to_string();
    let mut published = Published::parse(&integration, true).ok()?;
    published.all[0].1 = when;
    Some(Policy::of_integrations(Settings::new("fuzz"), published).save().split_off(HEADER))
}

fn cases(folder: &Path) -> io::Result<Vec<Value>> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            for line in fs::read_to_string(path)?.lines() {
                cases.push(serde_json::from_str(line)?);
            }
        }
    }
    Ok(cases)
}

fn write<S: AsRef<[u8]>>(corpus: &Path, target: &str, seeds: BTreeSet<S>) -> io::Result<()> {
    let folder = corpus.join(target);
    fs::create_dir_all(&folder)?;
    for (number, seed) in seeds.iter().enumerate() {
        fs::write(folder.join(format!("seed-{number:04}")), seed)?;
    }
    println!("{target}: {} seeds", seeds.len());
    Ok(())
}

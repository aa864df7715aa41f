//! No hot path may need 5 % more instructions than are on record in `benches/instructions.toml`, unless the record is
//! changed with it: `VELVETROPE_RENEW=1 cargo test --features instruction-counts --test instructions` writes it anew.
//!
//! Unlike times, counts are the same on a busy machine. They are taken by callgrind (of valgrind) of the program in
//! `benches/instructions.rs`. Another architecture, compiler or set of processor features makes other counts; there,
//! this test says that it cannot compare, and passes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

/// By how much a count may grow, as a factor.
const GROWTH: f64 = 1.05;

const HEADER: &str = "\
# Instructions that each hot path needs, once it is warm: counted by callgrind, which sees every instruction of the
# program and none of the system. Renew this file with
# VELVETROPE_RENEW=1 cargo test --features instruction-counts --test instructions

";

/// What is on record.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    machine: Machine,
    instructions: BTreeMap<String, u64>,
}

/// What counts depend on, besides the code.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Machine {
    architecture: String,
    rustc: String,
    /// Features of the processor as valgrind presents it.
    features: String,
}

#[test]
fn hot_paths_need_no_more_instructions_than_on_record() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.toml");
    let counted = count(&build());
    counted.instructions.iter().for_each(|(name, count)| println!("{count:>12}  {name}"));
    if std::env::var_os("VELVETROPE_RENEW").is_some() {
        let text = toml::to_string(&counted).expect("a record can be written");
        fs::write(&path, format!("{HEADER}{text}")).expect("the record can be written");
        return;
    }
    let text = fs::read_to_string(&path).expect("there is a record");
    let record: Record = toml::from_str(&text).expect("the record is well-formed");
    if record.machine != counted.machine {
        println!("cannot compare: counted on {:?}, on record is {:?}", counted.machine, record.machine);
        return;
    }
    let differences = differences(&record.instructions, &counted.instructions);
    assert!(differences.is_empty(), "{}\n(see the head of tests/instructions.rs)", differences.join("\n"));
}

/// What is not as on record; a sentence for each.
fn differences(record: &BTreeMap<String, u64>, counted: &BTreeMap<String, u64>) -> Vec<String> {
    let gone = record.keys().filter(|name| !counted.contains_key(*name)).map(|name| format!("{name} is gone"));
    let grown = counted.iter().filter_map(|(name, &count)| match record.get(name) {
        None => Some(format!("{name} is not on record")),
        Some(&before) if count as f64 > before as f64 * GROWTH => Some(format!(
            "{name} needs {count} instructions, {:.1} % more than the {before} on record",
            (count as f64 / before as f64 - 1.0) * 100.0
        )),
        Some(_) => None,
    });
    gone.chain(grown).collect()
}

#[test]
fn growth_is_noticed() {
    let counts = |of: &[(&str, u64)]| of.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    let record = counts(&[("a", 100), ("b", 100), ("c", 100), ("d", 100)]);
    let found = differences(&record, &counts(&[("a", 105), ("b", 106), ("c", 1), ("e", 1)]));
    let expected = ["d is gone", "b needs 106 instructions, 6.0 % more than the 100 on record", "e is not on record"];
    assert_eq!(found, expected);
}

/// The program, optimised, in a folder of its own beside what cargo builds for tests.
fn build() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("counted");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--quiet", "--profile", "counted", "--bin", "instructions"])
        .args(["--no-default-features", "--features", "instruction-counts", "--target-dir"])
        .arg(&target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(status.expect("cargo runs").success(), "the program that is counted can be built");
    target.join("counted/instructions")
}

fn count(program: &Path) -> Record {
    let folder = tempfile::tempdir().expect("folders can be made");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=instructions::measured*"])
        .arg("--dump-after=instructions::noted*")
        .arg(format!("--callgrind-out-file={}", folder.path().join("counts").display()))
        .arg(program)
        .output()
        .expect("valgrind runs; `make tools` installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).expect("names are UTF-8");
    let (features, names) = printed.split_once('\n').expect("it tells of the processor first");
    let counts = names.lines().zip(1..).map(|(name, number)| {
        let dump = folder.path().join(format!("counts.{number}"));
        (name.to_owned(), total(&fs::read_to_string(dump).expect("there is a dump of each path")))
    });
    let machine =
        Machine { architecture: std::env::consts::ARCH.to_owned(), rustc: rustc(), features: features.to_owned() };
    Record { machine, instructions: counts.collect() }
}

/// The sum of a dump of callgrind.
fn total(dump: &str) -> u64 {
    let total = dump.lines().find_map(|line| line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: ")));
    total.and_then(|total| total.trim().parse().ok()).filter(|total| *total > 0).expect("instructions were counted")
}

/// The version of the compiler.
fn rustc() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or("rustc".into());
    let output = Command::new(rustc).arg("--version").output().expect("the compiler runs");
    String::from_utf8(output.stdout).expect("versions are UTF-8").trim().to_owned()
}

//! Reading vectors, counting and printing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Where the vectors are.
pub fn vectors() -> PathBuf {
    match std::env::var_os("VELVETROPE_VECTORS") {
        Some(directory) => directory.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors"),
    }
}

/// The cases of a folder of families, each with the name of its file (the family).
pub fn cases(folder: &str) -> Vec<(String, Value)> {
    let directory = vectors().join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let family = file.file_stem().expect("a file name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for (number, line) in text.lines().enumerate() {
            let case =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{}:{}: {error}", file.display(), number + 1));
            cases.push((family.clone(), case));
        }
    }
    cases
}

/// What became of the cases of each family.
#[derive(Default)]
pub struct Report {
    families: BTreeMap<String, Tally>,
    failures: Vec<String>,
}

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    noted: usize,
}

impl Report {
    /// The answer was the recorded one, or the deviating one.
    pub fn passed(&mut self, family: &str) {
        self.families.entry(family.to_owned()).or_default().passed += 1;
    }

    /// It was neither.
    pub fn failed(&mut self, family: &str, why: String) {
        self.families.entry(family.to_owned()).or_default().failed += 1;
        self.failures.push(why);
    }

    /// A case that is not pass or fail; `why` is printed where the answer differs from the record.
    pub fn noted(&mut self, family: &str, why: Option<String>) {
        self.families.entry(family.to_owned()).or_default().noted += 1;
        if let Some(why) = why {
            println!("noted: {why}");
        }
    }

    /// A failure that belongs to no case.
    pub fn complain(&mut self, why: String) {
        self.failures.push(why);
    }

    /// Prints the table, and panics if anything failed.
    pub fn conclude(self) {
        for (family, tally) in &self.families {
            let noted = if tally.noted > 0 { format!(", {} noted", tally.noted) } else { String::new() };
            println!("{family:28} {} passed, {} failed{noted}", tally.passed, tally.failed);
        }
        for failure in self.failures.iter().take(40) {
            eprintln!("{failure}\n");
        }
        assert!(self.failures.is_empty(), "{} failures, the first of them above", self.failures.len());
        assert!(!self.families.is_empty(), "no case was run");
    }
}

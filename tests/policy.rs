//! Folders of policies, and what is found in them.
//!
//! `tests/policy/invalid/NAME` must be refused, `tests/policy/valid/NAME` accepted; a folder without a
//! `velvetrope.toml` is a bare `integration.json`. The snapshots hold every finding.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use velvetrope::host::files;
use velvetrope::language::Severity;
use velvetrope::policy::{Finding, Policy};

#[test]
fn bad_policies_are_refused_with_everything_that_is_wrong() {
    for folder in folders("invalid") {
        let (policy, findings) = compile(&folder);
        assert!(policy.is_none(), "{} was accepted", folder.display());
        snapshot("invalid", &folder, &findings.iter().map(render).collect::<String>());
    }
}

fn folders(kind: &str) -> Vec<PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policy").join(kind);
    let entries = all.read_dir().expect("the fixtures can be read");
    let mut folders: Vec<_> = entries.map(|entry| entry.expect("a fixture can be read").path()).collect();
    folders.sort();
    assert!(!folders.is_empty());
    folders
}

fn compile(folder: &Path) -> (Option<Policy>, Vec<Finding>) {
    let has_settings = folder.join("velvetrope.toml").exists();
    let path = if has_settings { folder.to_owned() } else { folder.join("integration.json") };
    let files = files::read(&path).expect("the main file can be read");
    assert_eq!(files.findings, []);
    Policy::compile(&files.sources, None)
}

fn render(finding: &Finding) -> String {
    let Finding { severity, code, file, line, column, subject, message, help, snippet } = finding;
    let severity = if *severity == Severity::Error { "error" } else { "warning" };
    let mut text = format!("{severity}[{code}] {file}:{line}:{column}");
    if !subject.is_empty() {
        let _ = write!(text, " ({subject})");
    }
    let _ = writeln!(text, "\n  {message}");
    for line in snippet.iter().flat_map(|snippet| snippet.lines()) {
        let _ = writeln!(text, "    | {line}");
    }
    if let Some(help) = help {
        let _ = writeln!(text, "  help: {help}");
    }
    text + "\n"
}

fn snapshot(kind: &str, folder: &Path, text: &str) {
    let name = folder.file_name().and_then(|name| name.to_str()).expect("names are UTF-8");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("policy/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(format!("{kind}-{name}"), text));
}

//! Folders of policies, and what is found in them.
//!
//! `tests/policy/invalid/NAME` must be refused, `tests/policy/valid/NAME` accepted; a folder without a
//! `velvetrope.toml` is a bare `integration.json`. The snapshots hold every finding.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use bumpalo::Bump;
use serde_json::Value;
use velvetrope::internal::language::{Diagnostic, Place, Severity};
use velvetrope::internal::policy::{Compiled, Findings, Integration, Policy, Sources};
use velvetrope::internal::program::Verdict;
use velvetrope::internal::queueit::TriggerView;
use velvetrope::internal::request::{NoFacts, RequestParts, RequestView, Target};
use velvetrope_serve::files;

#[test]
fn bad_policies_are_refused_with_everything_that_is_wrong() {
    for folder in folders("invalid") {
        let findings = compile(&folder).expect_err(&format!("{} was accepted", folder.display()));
        snapshot("invalid", &folder, &findings.all().iter().map(render).collect::<String>());
    }
}

#[test]
fn good_policies_are_accepted_and_mean_what_they_say() {
    for folder in folders("valid") {
        let Compiled { policy, warnings } =
            compile(&folder).unwrap_or_else(|findings| panic!("{} was refused: {findings:#?}", folder.display()));
        let mut text: String = warnings.iter().map(render).collect();
        if folder.ends_with("everything") {
            let _ = writeln!(text, "{:#?}", policy.settings);
        }
        text.push_str(&describe(&policy));
        snapshot("valid", &folder, &text);
    }
}

#[test]
fn the_example_is_accepted_without_a_word() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("examples/ticketing");
    assert_eq!(compile(&folder).expect("it compiles").warnings, []);
}

#[test]
fn the_fixture_of_every_key_names_every_key() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("tests/policy/valid/everything");
    let settings = fs::read_to_string(folder.join("velvetrope.toml")).expect("the fixture is there");
    let settings: toml::Table = settings.parse().expect("the fixture is TOML");
    let settings = serde_json::to_value(settings).expect("TOML is JSON");
    let rooms = fs::read_to_string(folder.join("rooms.json")).expect("the fixture is there");
    let rooms: Value = serde_json::from_str(&rooms).expect("the fixture is JSON");
    for (name, schema) in velvetrope::internal::policy::schemas() {
        let schema: Value = serde_json::from_str(&schema).expect("a schema is JSON");
        match name {
            "velvetrope.json" => names_every_key(&schema, &schema, &settings),
            "rooms.json" => names_every_key(&schema, &schema["$defs"]["room"], &rooms[0]),
            _ => {}
        }
    }
}

/// Asserts that an object has every property of its schema, but for what only one of two can have.
fn names_every_key(root: &Value, schema: &Value, value: &Value) {
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        if matches!(key.as_str(), "when" | "trusted_hops") {
            continue;
        }
        assert!(value.get(key).is_some(), "the fixture lacks {key}");
        if let Some(name) = property["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
            names_every_key(root, &root["$defs"][name], &value[key]);
        }
    }
}

#[test]
fn the_most_specific_room_stands_before_a_request() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("tests/policy/valid/rooms");
    let policy = compile(&folder).expect("the fixture is accepted").policy;
    for (method, url, ip, expected) in [
        ("GET", "https://tickets.example/", None, "all"),
        ("GET", "https://tickets.example/shop", None, "shop"),
        ("GET", "https://TICKETS.example.:8443/./%73hop//seats", None, "shop"),
        ("GET", "https://tickets.example/shopping", None, "all"),
        ("GET", "https://tickets.example/shop/vip", None, "deep"),
        ("GET", "https://tickets.example/shop/vip?x=1", Some("192.0.2.1"), "bypassed by deep/1"),
        ("GET", "https://tickets.example/shop/vipper", None, "shop"),
        ("GET", "https://tickets.example/shop/vip/off", None, "deep"),
        ("GET", "https://other.example/anything", None, "deep"),
        ("GET", "https://tickets.example.evil.example/shop", None, "nothing"),
        ("POST", "https://elsewhere.example/shop", None, "post"),
    ] {
        assert_eq!(verdict(&policy, method, url, ip), expected, "{method} {url}");
    }
}

fn verdict(policy: &Policy, method: &str, url: &str, ip: Option<&str>) -> String {
    let authority = url.split('/').nth(2).unwrap_or_default();
    let headers = [("host", authority.as_bytes())];
    let arena = Bump::new();
    let parts = RequestParts {
        method,
        url,
        version: "HTTP/1.1",
        headers: &headers,
        client_ip: ip.map(|ip| ip.parse().expect("a test's address is one")),
        body: "",
        received_ms: 0,
        facts: &NoFacts,
    };
    let view = TriggerView::new(RequestView::new(parts, &arena), url);
    let verdict = policy.program().evaluate(&view, &arena);
    match (verdict, policy.matched(verdict)) {
        (Verdict::Bypassed { rule, .. }, _) => format!("bypassed by {}", policy.rules()[rule].id),
        (_, Some(integration)) => integration.title().to_owned(),
        (_, None) => "nothing".to_owned(),
    }
}

#[test]
fn a_target_refuses_what_it_cannot_supply() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("tests/policy/invalid/target-fields");
    let sources = files::read(&folder).expect("the fixture can be read").sources;
    let accepted = |target| Policy::compile(&sources, Some(target)).is_ok();
    assert!(accepted(Target::Worker));
    assert!(!accepted(Target::GoogleCloud));
    assert!(!accepted(Target::Proxy));
}

#[test]
fn a_configuration_to_be_delivered_may_be_missing() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("tests/policy/valid");
    let awaits = |name| compile(&folder.join(name)).expect("the fixture is accepted").policy.awaits_configuration();
    assert!(awaits("delivered"));
    assert!(!awaits("minimal") && !awaits("rooms") && !awaits("everything"));
}

#[test]
fn rubbish_is_refused_without_flooding_the_report() {
    let settings = "customer_id = \"c\"\nintegration = \"i\"\nrules.x = \"r.json\"\nlists.l = \"l\"";
    for rules in ["[".repeat(100_000), format!("[{}1]", "1,".repeat(100_000)), "\0\u{1}{".repeat(1_000)] {
        let list = "rubbish\n".repeat(100_000);
        let files = [("velvetrope.toml", settings), ("r.json", &rules), ("i", "{}"), ("l", &list)];
        let sources: Sources = files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).into();
        let findings = Policy::compile(&sources, None).expect_err("rubbish");
        let findings = findings.all();
        assert!(findings.len() < 300, "{}", findings.len());
        assert!(findings.iter().any(|finding| finding.message == "99900 more errors and 0 more warnings in this file"));
    }
}

fn folders(kind: &str) -> Vec<PathBuf> {
    let all = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("tests/policy").join(kind);
    let entries = all.read_dir().expect("the fixtures can be read");
    let mut folders: Vec<_> = entries.map(|entry| entry.expect("a fixture can be read").path()).collect();
    folders.sort();
    assert!(!folders.is_empty());
    folders
}

fn compile(folder: &Path) -> Result<Compiled, Findings> {
    let has_settings = folder.join("velvetrope.toml").exists();
    let path = if has_settings { folder.to_owned() } else { folder.join("integration.json") };
    let files = files::read(&path).expect("the main file can be read");
    assert_eq!(files.findings, []);
    Policy::compile(&files.sources, None)
}

/// What came of the sources.
fn describe(policy: &Policy) -> String {
    let mut text = String::new();
    for (index, integration) in policy.integrations().all.iter().enumerate() {
        let Integration { action, event_id, queue_domain, .. } = integration;
        let when = policy.program().entry(index).expect("a policy that was not loaded");
        let (title, room) = (integration.title(), event_id.as_deref().unwrap_or("-"));
        let domain = queue_domain.as_deref().unwrap_or("-");
        let _ = writeln!(text, "{title}: {action:?}, room {room} at {domain}, when {when}");
        for (index, rule) in policy.rules_of(integration) {
            let draft = if rule.enabled { "" } else { "draft " };
            let _ = writeln!(text, "  {draft}{}: {}", rule.id, policy.program().rule(index).expect("one of its rules"));
        }
    }
    for (name, list) in policy.lists() {
        let _ = writeln!(text, "${name}: {} of {:?}", list.members, list.kind);
    }
    text
}

fn render(finding: &Diagnostic) -> String {
    let Diagnostic { severity, code, message, help, place, .. } = finding;
    let Place { file, line, column, subject, snippet, .. } = place;
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
    settings.set_snapshot_path("../policy/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(format!("{kind}-{name}"), text));
}

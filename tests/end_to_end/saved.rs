//! Policies that are saved and loaded again decide as before, and bytes that are no saved policy are refused.

use std::fs;
use std::path::{Path, PathBuf};

use bumpalo::Bump;
use velvetrope::internal::policy::{LoadError, Policy, SETTINGS_FILE, Sources};
use velvetrope::internal::program::{Program, Verdict};
use velvetrope::internal::queueit::TriggerView;
use velvetrope::internal::request::{Field, OwnedRequest};
use velvetrope_serve::files;

use crate::workload::{
    Workload, hostile, integrations, mixed, networks, operators, unfilable, visit, visitor, with_header,
};

/// Saved by the first version that writes this format, of [`one_of_everything`].
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/saved.vrp");

/// One rule for each thing that a program can do.
const RULES: &[&str] = &[
    r#"http.request.uri.path eq "/none""#,
    r#"starts_with(http.request.uri.path, "/no") or ends_with(http.request.uri.path, "ne")"#,
    r#"http.host matches r"^(tickets|shop)[0-9]+\.example$""#,
    r#"http.user_agent contains "bot" xor not (http.request.method in {"POST" "PUT"} or ssl)"#,
    r#"http.request.uri.path strict wildcard r"/a/*/b\*/*" or http.referer wildcard "*://X.example/*""#,
    r#"ip.src in {192.0.2.0/24 2001:db8::/32 10.0.0.1..10.0.0.9} and ip.src.asnum in {1..9 64496}"#,
    "ip.src in $office or http.host in $partners or ip.src.asnum in $providers",
    "ip.src.asnum & 4096 and cf.edge.server_port gt 1024 and ip.src ne 192.0.2.1",
    r#"any(http.request.headers["x-a"][*] == "b") and all(http.request.headers.names[*] ne "x-none")"#,
    r#"any(lower(http.request.uri.args["q"][*])[*] contains "ticket")"#,
    r#"http.request.cookies["vip"][0] eq "yes" or len(http.request.uri.query) le 3"#,
    r#"regex_replace(http.request.uri.path, "^/(.+)/x$", "/${1}") eq "/tickets""#,
    r#"wildcard_replace(http.request.uri.path, "/*/seats", "/${1}", "s") eq "/tickets/2026""#,
    r#"cidr(ip.src, 24, 64) eq 203.0.113.0 and substring(http.host, 0, 4) eq http.request.uri.args["h"][0]"#,
    r#"concat(http.host, "/", to_string(ip.src.asnum)) eq "h/1" or hash_in_range(0, 99, http.cookie) lt 3"#,
    r#"split(http.request.uri.path, "/", 3)[1] eq "tickets" and url_decode(http.request.uri.query) contains "é""#,
];

/// A policy in which everything occurs that can be saved.
fn one_of_everything() -> Sources {
    let rule = |text: &&str| serde_json::json!({"action": "bypass_waiting_room", "expression": text});
    let rules: serde_json::Value = RULES.iter().map(rule).collect();
    let settings = r#"
        customer_id = "example"
        target = "worker"
        integration = "integration.json"
        rooms = "rooms.json"
        [rules]
        shop = "rules.json"
        "*" = "draft.json"
        [lists]
        office = "office.txt"
        partners = { file = "partners.txt", kind = "hostname" }
        providers = { file = "providers.txt", kind = "asn" }
    "#;
    let integration = integrations::document(24);
    let rooms = r#"[{"name": "shop", "host": "shop.example.com", "path": "/tickets", "session_duration": 7},
        {"name": "sale", "velvetrope": {"when": "http.host contains \"sale\"", "event_id": "sale-1"}}]"#;
    let draft = r#"[{"action": "bypass_waiting_room", "expression": "ssl", "enabled": false}]"#;
    let texts = [
        (SETTINGS_FILE, settings),
        ("integration.json", &integration),
        ("rooms.json", rooms),
        ("rules.json", &rules.to_string()),
        ("draft.json", draft),
        ("office.txt", "192.0.2.0/24\n2001:db8::1\n"),
        ("partners.txt", "partner.example\n*.partners.example\n"),
        ("providers.txt", "64497\n64500\n"),
    ];
    texts.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).into_iter().collect()
}

#[track_caller]
fn compiled(sources: &Sources) -> Policy {
    Policy::compile(sources, None).unwrap_or_else(|findings| panic!("{findings:#?}")).policy
}

/// Requests that reach some rules and integrations of the policies here.
fn requests() -> Vec<OwnedRequest> {
    let mut requests: Vec<OwnedRequest> = (0..24).map(integrations::request_for).collect();
    requests.extend((0..15).map(mixed::request_for));
    for path in ["/", "/shop", "/shop/a", "/tickets", "/tickets/x", "/a/b/b*/c", "/every/key", "/checkout/userverified"]
    {
        for host in ["shop.example.com", "tickets.example", "m.tickets.example", "tickets7.example", "sale.example"] {
            requests.push(visit(&format!("https://{host}{path}?q=Tickets&h={}", &host[..4])));
        }
    }
    for address in ["192.0.2.1", "10.0.0.7", "2001:db8::7", "203.0.113.9"] {
        let request = visitor().client_ip(address.parse().expect("an address"));
        requests.extend([1, 64_497, 4_096].map(|number| request.clone().fact(Field::IpSrcAsnum, number)));
    }
    requests.push(with_header(visitor(), "Host", "shop.partners.example"));
    requests.push(with_header(visitor(), "User-Agent", "a bot").method("POST"));
    requests.push(with_header(visitor(), "Cookie", "vip=yes"));
    requests.push(with_header(visitor(), "X-A", "b"));
    requests
}

fn verdict(program: &Program, request: &OwnedRequest) -> Verdict {
    request.with_view(|view| program.evaluate(&TriggerView::new(view.clone(), view.parts().url), &Bump::new()))
}

/// How many different verdicts there are, which are the same before and after.
#[track_caller]
fn assert_same(before: &Program, after: &Program, requests: &[OwnedRequest]) -> usize {
    let mut verdicts = Vec::new();
    for request in requests {
        let expected = verdict(before, request);
        assert_eq!(verdict(after, request), expected, "{}", request.url);
        if !verdicts.contains(&expected) {
            verdicts.push(expected);
        }
    }
    assert_eq!(after.needs(), before.needs());
    verdicts.len()
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.filter(|path| path.join(SETTINGS_FILE).exists()).collect()
}

#[test]
fn every_policy_decides_as_before() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let folders: Vec<_> =
        ["tests/policy/valid", "examples"].into_iter().flat_map(|parent| folders(&root.join(parent))).collect();
    assert!(folders.len() > 6);
    for folder in folders {
        println!("{}", folder.display());
        let policy = compiled(&files::read(&folder).expect("a policy").sources);
        let saved = policy.save();
        let loaded = Policy::load(&saved).unwrap_or_else(|error| panic!("{error}"));
        assert_same(policy.program(), loaded.program(), &requests());
        assert_eq!(loaded.save(), saved);
        assert_eq!(format!("{:?}", loaded.settings), format!("{:?}", policy.settings));
        assert_eq!(format!("{:?}", loaded.integrations()), format!("{:?}", policy.integrations()));
        assert_eq!(format!("{:?}", loaded.rules()), format!("{:?}", policy.rules()));
        assert_eq!(format!("{:?}", loaded.rooms()), format!("{:?}", policy.rooms()));
        assert_eq!(loaded.lists(), policy.lists());
    }
}

#[test]
fn every_part_of_a_program_is_kept() {
    let policy = compiled(&one_of_everything());
    let loaded = Policy::load(&policy.save()).expect("what was saved");
    let verdicts = assert_same(policy.program(), loaded.program(), &requests());
    assert!(verdicts > 12, "{verdicts} verdicts tell little");
}

#[test]
fn every_workload_decides_as_before() {
    let mut workloads: Vec<Workload> = [20, 1_000].into_iter().flat_map(mixed_and_integrations).collect();
    workloads.push(unfilable::workload(100));
    workloads.extend(hostile::WORKLOADS.map(|(_, workload)| workload()));
    workloads.extend(operators::OPERATORS.iter().map(operators::workload));
    for Workload { name, site, request, verdict: expected } in workloads {
        let program = Program::compile(&site);
        let saved = postcard::to_allocvec(&program).expect("it can be saved");
        let loaded: Program = postcard::from_bytes(&saved).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(verdict(&loaded, &request), expected, "{name}");
        assert_same(&program, &loaded, &requests());
    }
}

fn mixed_and_integrations(count: usize) -> Vec<Workload> {
    let mut all = vec![mixed::none_true(count), integrations::none_true(count)];
    all.extend((count / 2..count / 2 + 5).map(|number| mixed::hit(count, number)));
    all.extend((count / 2..count / 2 + 6).map(|number| integrations::hit(count, number)));
    all
}

#[test]
fn long_lists_are_kept() {
    let policy = compiled(&networks::policy(10_000));
    let loaded = Policy::load(&policy.save()).expect("what was saved");
    let addresses = (0..20_000).step_by(97).map(networks::address_in);
    let requests: Vec<_> = addresses.map(|address| integrations::request_for(0).client_ip(address)).collect();
    assert_same(policy.program(), loaded.program(), &requests);
    assert_eq!(loaded.lists(), policy.lists());
}

/// A host need not read text to know the settings; but nobody can be told what was written.
#[test]
fn a_loaded_policy_has_no_texts() {
    let loaded = Policy::load(&compiled(&one_of_everything()).save()).expect("what was saved");
    assert!(!loaded.program().has_texts() && loaded.program().entry(0).is_none() && loaded.program().rule(0).is_none());
    assert!(visitor().with_view(|view| loaded.program().explain(view)).is_none() && loaded.program().plan().is_none());
}

#[test]
fn a_saved_policy_is_a_source_like_any_other() {
    let policy = compiled(&one_of_everything());
    let sources = Sources::from([("site.vrp".to_owned(), policy.save())]);
    assert_same(policy.program(), compiled(&sources).program(), &requests());
    let refused =
        Policy::compile(&sources, Some(velvetrope::internal::request::Target::Proxy)).expect_err("another target");
    assert_eq!(refused.all()[0].message, "it was compiled for worker");
    let refused = Policy::compile(&Sources::from([("site.vrp".to_owned(), vec![])]), None).expect_err("an empty file");
    assert_eq!(refused.all()[0].message, "this is no compiled policy");
}

/// If this fails, what is saved has changed its shape: raise the number of the format, and record it anew by removing
/// the file and running this test.
#[test]
fn what_was_saved_before_can_still_be_loaded() {
    let policy = compiled(&one_of_everything());
    if !Path::new(RECORDED).exists() {
        fs::write(RECORDED, policy.save()).expect("it can be written");
    }
    let recorded = fs::read(RECORDED).expect("the record");
    let loaded = Policy::load(&recorded).unwrap_or_else(|error| panic!("{error}"));
    assert_same(policy.program(), loaded.program(), &requests());
    assert_eq!(loaded.save(), recorded);
}

#[test]
fn damage_is_noticed() {
    let saved = compiled(&Sources::from([("i.json".to_owned(), integrations::document(2).into_bytes())])).save();
    for end in 0..saved.len() {
        assert!(Policy::load(&saved[..end]).is_err(), "cut off at {end}");
    }
    let mut damaged = saved.clone();
    for bit in 0..saved.len() * 8 {
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(Policy::load(&damaged).is_err(), "bit {bit}");
        damaged[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(Policy::load(&[&saved[..], &[0]].concat()).is_err());
    assert!(Policy::load(&damaged).is_ok());
}

#[test]
fn refusals_say_what_to_do() {
    let saved = compiled(&one_of_everything()).save();
    let changed = |at: usize| {
        let mut bytes = saved.clone();
        bytes[at] ^= 1;
        Policy::load(&bytes).unwrap_err()
    };
    assert_eq!(Policy::load(b"customer_id = \"c\"").unwrap_err(), LoadError::NotCompiled);
    assert_eq!(changed(0), LoadError::NotCompiled);
    assert!(matches!(changed(8), LoadError::OtherFormat { .. }));
    assert!(changed(8).to_string().ends_with("compile the policy again"), "{}", changed(8));
    assert_eq!(changed(12), LoadError::OtherVocabulary);
    assert!(matches!(changed(16), LoadError::Length { .. }));
    assert_eq!(changed(24), LoadError::Checksum);
    assert_eq!(changed(saved.len() - 1), LoadError::Checksum);
}

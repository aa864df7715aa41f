//! The way between a policy's files and the store.

use http::Method;
use serde_json::{Value, json};
use velvetrope::internal::policy::{Policy, Sources};
use velvetrope_manage::failure::Failure;
use velvetrope_manage::snapshot;

use super::support::{SETTINGS, Site, files, rule};

fn text(sources: &Sources, name: &str) -> String {
    String::from_utf8(sources.get(name).unwrap_or_else(|| panic!("no {name}")).clone()).unwrap()
}

fn exported(site: &Site) -> Sources {
    let exported: Result<_, Failure> =
        site.store.read(|store| snapshot::export(store, &store.zone("site")?.expect("the zone")));
    exported.expect("files")
}

#[track_caller]
fn compiled(sources: &Sources) -> Policy {
    Policy::compile(sources, None).unwrap_or_else(|findings| panic!("{findings:?}")).policy
}

#[test]
fn a_new_zone_has_what_its_files_say() {
    let site = Site::new();
    let rules = site.get(&site.rules_of("ticketshop"));
    let said = |rule: &Value| (rule["id"].clone(), rule["enabled"].clone());
    assert_eq!(said(&rules[0]), (json!("admins"), json!(true)));
    assert_eq!(said(&rules[1]), (json!("ticketshop/2"), json!(false)));
    let lists = site.get("/accounts/site/rules/lists");
    assert_eq!((&lists[0]["name"], &lists[0]["num_items"]), (&json!("admins"), &json!(4)));
    let items = site.get(&format!("/accounts/site/rules/lists/{}/items", lists[0]["id"].as_str().unwrap()));
    assert_eq!((&items[0]["ip"], &items[0]["comment"]), (&json!("192.0.2.1"), &json!("Ann")));
    assert_eq!((&items[2]["ip"], &items[3]["ip"]), (&json!("203.0.113.0/31"), &json!("203.0.113.2")));
}

#[test]
fn what_the_store_holds_compiles_in_place_of_the_files() {
    let site = Site::new();
    site.call(Method::POST, &site.rules_of("presale"), &rule("ip.src in $admins")).result();
    let mut sources = files();
    sources.extend(site.texts());
    // Nothing of these is read any more.
    ["rooms.json", "rules/shop.json", "lists/admins.txt"].iter().for_each(|file| _ = sources.remove(*file));
    let policy = compiled(&sources);
    assert_eq!((policy.rooms().len(), policy.rules().len(), policy.lists().len()), (1, 3, 2));
    assert!(policy.rules().iter().any(|rule| &*rule.room == "presale" && &*rule.file == "store:rules/presale.json"));
}

#[test]
fn an_export_is_a_policy_that_says_the_same() {
    let site = Site::new();
    site.call(Method::POST, "/zones/site/waiting_rooms/*/rules", &rule("ssl")).result();
    let files = exported(&site);
    let settings = text(&files, "velvetrope.toml");
    assert!(
        settings.starts_with("# What comments say is kept.") && settings.contains("internal = \"closed\""),
        "{settings}"
    );
    let policy = compiled(&files);
    assert_eq!((policy.rooms().len(), policy.rules().len(), policy.lists().len()), (1, 3, 2));

    let other = Site::of(&files);
    assert_eq!(exported(&other).keys().collect::<Vec<_>>(), files.keys().collect::<Vec<_>>());
    for file in files.keys().filter(|file| **file != "rooms.json") {
        let without_times = |text: String| {
            let lines = text.lines().filter(|line| !line.contains("last_updated"));
            lines.collect::<Vec<_>>().join("\n")
        };
        assert_eq!(without_times(text(&exported(&other), file)), without_times(text(&files, file)), "{file}");
    }
}

#[test]
fn an_import_replaces_everything() {
    let site = Site::new();
    site.call(Method::POST, &site.rules_of("presale"), &rule("ssl")).result();
    let mut changed = files();
    changed.insert("rooms.json".into(), br#"[{"name": "final", "host": "tickets.example"}]"#.to_vec());
    changed.insert("lists/admins.txt".into(), b"192.0.2.9\n".to_vec());
    let import = |files: &Sources| -> Result<(), Failure> {
        site.store.change("import", |store| snapshot::import(store, "site", files))
    };
    import(&changed).unwrap();
    assert_eq!(text(&site.texts(), "store:lists/admins.txt"), "192.0.2.9\n");
    let rooms = site.get("/zones/site/waiting_rooms");
    let names: Vec<_> = rooms.as_array().unwrap().iter().map(|room| room["name"].clone()).collect();
    assert_eq!(names, ["final", "ticketshop"]);

    changed.insert(
        "rules/shop.json".into(),
        b"[{\"action\": \"bypass_waiting_room\", \"expression\": \"sssl\"}]".to_vec(),
    );
    let refused = import(&changed).unwrap_err();
    assert!(refused.errors[0].message.contains("rules/shop.json:1:"), "{refused:?}");
    assert_eq!(site.get(&site.rules_of("ticketshop")).as_array().unwrap().len(), 2);
}

#[test]
fn a_policy_managed_by_files_is_followed_and_not_changed_otherwise() {
    let mut managed = files();
    let settings = SETTINGS.replace("rooms =", "managed = \"files\"\nrooms =");
    managed.insert("velvetrope.toml".into(), settings.into_bytes());
    let site = Site::of(&managed);
    let rules = site.rules_of("ticketshop");
    for (method, path, body) in [
        (Method::POST, rules.clone(), rule("ssl")),
        (Method::PUT, rules.clone(), json!([])),
        (Method::DELETE, format!("{rules}/admins"), Value::Null),
        (Method::POST, "/zones/site/waiting_rooms".to_owned(), json!({})),
        (Method::POST, "/accounts/site/rules/lists".to_owned(), json!({ "name": "a", "kind": "ip" })),
    ] {
        let (status, code, message, _) = site.call(method, &path, &body).refusal();
        assert_eq!((status, code), (409, 1008), "{message}");
        assert!(message.contains("velvetrope.toml"), "{message}");
    }
    assert_eq!(site.texts(), Sources::new());

    managed.insert("rules/shop.json".into(), b"[]".to_vec());
    let take =
        || -> Result<(), Failure> { site.store.change("files", |store| snapshot::take_files(store, "site", &managed)) };
    take().unwrap();
    assert_eq!(site.get(&rules), json!([]));
    // Nothing is written where nothing differs, or processes would wake each other for ever.
    let changes = || site.get("/zones/site/waiting_rooms/audit").as_array().unwrap().len();
    let before = changes();
    take().unwrap();
    assert_eq!(changes(), before);
}

#[test]
fn files_do_not_overwrite_a_store_that_owns_them() {
    let site = Site::new();
    let rules = site.rules_of("ticketshop");
    site.call(Method::PUT, &rules, &json!([])).result();
    let mut other = files();
    let integration = text(&other, "integration.json").replace("ticketshop", "newshop");
    other.insert("integration.json".into(), integration.into_bytes());
    let settings = SETTINGS.replace("ticketshop =", "newshop =");
    other.insert("velvetrope.toml".into(), settings.into_bytes());
    let taken: Result<(), Failure> = site.store.change("files", |store| snapshot::take_files(store, "site", &other));
    taken.unwrap();
    // The room of the old integration had no rules any more, so it is gone; the new one has none yet.
    assert_eq!(site.get(&site.rules_of("newshop")), json!([]));
    let rooms = site.get("/zones/site/waiting_rooms");
    assert!(rooms.as_array().unwrap().iter().all(|room| room["name"] != "ticketshop"), "{rooms}");
}

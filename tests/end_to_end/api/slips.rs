//! What a slip must not do: open the rope for everybody, meet another site or another room, or lose what was there.

use http::Method;
use serde_json::{Value, json};
use velvetrope::internal::language::Code;
use velvetrope::internal::policy::Policy;
use velvetrope_manage::failure::Failure;
use velvetrope_manage::snapshot;

use super::support::{Site, files, rule};

const ROOMS: &str = "/zones/site/waiting_rooms";
const LISTS: &str = "/accounts/site/rules/lists";
const OPENS: u64 = 1014;

fn acknowledged(expression: &str) -> Value {
    let mut rule = rule(expression);
    rule["velvetrope"] = json!({ "opens_for_everybody": true });
    rule
}

fn messages(reply: &super::support::Reply) -> String {
    reply.body["messages"].to_string()
}

#[test]
fn a_rule_for_everybody_is_refused_unless_it_says_so() {
    let site = Site::new();
    let every = "/zones/site/waiting_rooms/%2A/rules".to_owned();
    for rules in [site.rules_of("presale"), every] {
        for expression in [
            "true",
            r#"http.host contains """#,
            r#"starts_with(http.request.uri.path, "/")"#,
            r#"http.request.uri.path ne "checkout""#,
            r#"http.user_agent matches ".*""#,
            r#"http.user_agent wildcard "*""#,
            "ip.src in {0.0.0.0/0 ::/0}",
        ] {
            let (status, code, message, pointer) = site.call(Method::POST, &rules, &rule(expression)).refusal();
            assert_eq!((status, code, pointer.as_str()), (400, OPENS, "/expression"), "{message}");
            assert!(message.contains("\"opens_for_everybody\": true"), "{message}");
            let put = site.call(Method::PUT, &rules, &json!([rule(expression)])).refusal();
            assert_eq!((put.1, put.3.as_str()), (OPENS, "/0/expression"));
        }
        let reply = site.call(Method::POST, &rules, &acknowledged("true"));
        assert!(messages(&reply).contains("as it says"), "{reply:?}");
        let told = reply.result();
        assert_eq!(told[0]["velvetrope"], json!({ "opens_for_everybody": true }));
        let no_word = json!({ "opens_for_everybody": "yes" });
        let mut wrong = rule("true");
        wrong["velvetrope"] = no_word;
        assert_eq!(site.call(Method::POST, &rules, &wrong).refusal().0, 400);
    }
}

#[test]
fn what_was_acknowledged_is_one_expression() {
    let site = Site::new();
    let rules = site.rules_of("presale");
    let mut draft = rule("true");
    draft["enabled"] = json!(false);
    let reply = site.call(Method::POST, &rules, &draft);
    assert!(messages(&reply).contains("would let everybody pass"), "{reply:?}");
    let id = reply.result()[0]["id"].as_str().unwrap().to_owned();
    let path = format!("{rules}/{id}");
    let patch = |body: Value| site.call(Method::PATCH, &path, &body);
    // A draft comes into force, by a change that says nothing of its expression.
    assert_eq!(patch(json!({ "enabled": true })).refusal().1, OPENS);
    assert_eq!(patch(json!({ "status": "enabled" })).refusal().1, OPENS);
    patch(json!({ "enabled": true, "velvetrope": { "opens_for_everybody": true } })).result();
    // What is said of it stays while it is the same one.
    patch(json!({ "description": "the door is open" })).result();
    patch(json!({ "position": { "index": 1 } })).result();
    patch(json!({ "enabled": false })).result();
    patch(json!({ "enabled": true })).result();
    assert_eq!(patch(json!({ "velvetrope": { "opens_for_everybody": false } })).refusal().1, OPENS);
    // A replacement by clients that do not know it keeps it, too.
    let mut same = rule("true");
    same["id"] = json!(id);
    site.call(Method::PUT, &rules, &json!([same])).result();
    assert_eq!(site.get(&rules)[0]["velvetrope"]["opens_for_everybody"], true);
    // Another expression is acknowledged by nobody.
    patch(json!({ "expression": "ssl" })).result();
    assert!(site.get(&rules)[0].get("velvetrope").is_none());
    assert_eq!(patch(json!({ "expression": "true" })).refusal().1, OPENS);
    // An earlier version comes back with what was said of it.
    let room = site.room("presale");
    let version = (1..20).find(|version| {
        let at = format!("{ROOMS}/{room}/rules/versions/{version}");
        site.get(&at)[0]["velvetrope"]["opens_for_everybody"] == true
    });
    let restore = format!("{ROOMS}/{room}/rules/versions/{}/restore", version.expect("a version"));
    assert_eq!(site.call(Method::POST, &restore, &Value::Null).result()[0]["expression"], "true");
}

/// The texts come into force as they are, and leave the store as a policy and come back to another one.
#[test]
fn what_was_acknowledged_goes_with_the_rule() {
    let site = Site::new();
    site.call(Method::POST, &site.rules_of("presale"), &acknowledged("true")).result();
    let exported: Result<_, Failure> = site.store.read(|store| {
        let zone = store.zone("site")?.expect("the zone");
        snapshot::export(store, &zone)
    });
    let exported = exported.expect("files");
    assert!(Policy::compile(&exported, None).is_ok());
    let other = Site::of(&exported);
    assert_eq!(other.get(&other.rules_of("presale"))[0]["velvetrope"]["opens_for_everybody"], true);
}

/// A store of an earlier version may hold what would be refused now: it stays in force, and is told of.
#[test]
fn what_was_in_force_before_stays_in_force() {
    let site = Site::new();
    site.call(Method::POST, &site.rules_of("presale"), &acknowledged("true")).result();
    let rules = site.rules_of("presale");
    site.store
        .transaction(|database| {
            let done = database.query("UPDATE rules SET opens_for_everybody = 0 WHERE expression = 'true'", &[]);
            (done.expect("it is forgotten"), true)
        })
        .expect("a transaction");
    let mut sources = files();
    sources.extend(site.texts());
    let warnings = Policy::compile(&sources, None).expect("it compiles").warnings;
    assert!(warnings.iter().any(|warning| warning.code == Code::OpensForEverybody), "{warnings:?}");
    let id = site.get(&rules)[0]["id"].as_str().unwrap().to_owned();
    let moved = site.call(Method::PATCH, &format!("{rules}/{id}"), &json!({ "position": { "index": 1 } }));
    assert!(moved.status == 200 && messages(&moved).contains("everybody would pass"), "{moved:?}");
}

#[test]
fn every_rule_can_be_named() {
    let site = Site::new();
    let rules = site.rules_of("presale");
    for id in ["", ".", "..", "a\nb", &"x".repeat(201)] {
        let mut wrong = rule("ssl");
        wrong["id"] = json!(id);
        let refused = site.call(Method::PUT, &rules, &json!([wrong])).refusal();
        assert_eq!((refused.0, refused.3.as_str()), (400, "/0/id"), "{id:?}");
    }
    let mut odd = rule("ssl");
    odd["id"] = json!("shop/2 ä?#%");
    site.call(Method::PUT, &rules, &json!([odd])).result();
    let path = format!("{rules}/shop%2F2%20%C3%A4%3F%23%25");
    assert_eq!(site.call(Method::DELETE, &path, &Value::Null).result(), json!([]));
}

#[test]
fn filters_filter() {
    let site = Site::new();
    let more: Result<_, Failure> = site.store.change("files", |store| {
        ["shop", "workshop"].iter().try_for_each(|zone| snapshot::take_files(store, zone, &files()))
    });
    more.expect("two more zones");
    let ids = |path: &str| -> Vec<String> {
        let all = site.get(path);
        all.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    for (query, expected) in [
        ("", &["shop", "site", "workshop"][..]),
        ("?name=shop", &["shop"]),
        ("?name=nothing", &[]),
        ("?name=contains:SHOP", &["shop", "workshop"]),
        ("?name=contains_case_sensitive:SHOP", &[]),
        ("?name=starts_with:s", &["shop", "site"]),
        ("?name=ends_with:shop&direction=desc", &["workshop", "shop"]),
        ("?name=not_equal:shop", &["site", "workshop"]),
        ("?account.id=site", &["site"]),
        ("?account.name=site", &["site"]),
        ("?account.id=site&name=shop", &[]),
        ("?account.id=site&name=shop&match=any", &["shop", "site"]),
        ("?status=active&order=name&page=1&per_page=50", &["shop", "site", "workshop"]),
        ("?status=pending", &[]),
        ("?name=shop&page=2", &[]),
    ] {
        assert_eq!(ids(&format!("/zones{query}")), expected, "{query}");
    }
    assert_eq!(ids("/accounts?name=shop"), ["shop"]);
    assert_eq!(ids("/accounts?direction=desc"), ["workshop", "site", "shop"]);
    assert_eq!(ids(&format!("{LISTS}?name=admins")), ["admins"]);
    assert_eq!(ids(&format!("{LISTS}?kind=hostname")), ["partners"]);
    assert_eq!(ids(&format!("{ROOMS}?name=presale")), ["presale"]);
    assert_eq!(ids("/accounts/site/waiting_rooms?name=presale"), ["presale"]);
}

/// A filter that nobody knows would yield everything, and a misspelt dry run would be none.
#[test]
fn what_is_not_understood_is_not_ignored() {
    let site = Site::new();
    for path in [
        "/zones?nmae=shop",
        "/zones?account=shop",
        "/zones?name=a&name=b",
        "/zones?match=some",
        "/zones/site?name=shop",
        "/accounts?id=shop",
        &format!("{ROOMS}?host=a"),
        &format!("{LISTS}?id=a"),
    ] {
        let (status, _, message, _) = site.call(Method::GET, path, &Value::Null).refusal();
        assert_eq!(status, 400, "{path}: {message}");
    }
    let misspelt = format!("{}?dryrun=true", site.rules_of("presale"));
    let refused = site.call(Method::POST, &misspelt, &rule("ssl")).refusal();
    assert!(refused.0 == 400 && refused.2.contains("`dry_run`"), "{refused:?}");
    assert_eq!(site.get(&site.rules_of("presale")), json!([]));
}

fn room(name: &str) -> Value {
    json!({
        "name": name, "host": "a.example", "path": format!("/{name}"),
        "total_active_users": 200, "new_users_per_minute": 200,
    })
}

#[test]
fn a_room_keeps_what_the_public_api_does_not_know() {
    let site = Site::new();
    let ours = json!({ "event_id": "gala-2026", "queue_domain": "q.example", "layout": "dark" });
    let mut wanted = room("gala");
    wanted["velvetrope"] = ours.clone();
    let made = site.call(Method::POST, ROOMS, &wanted).result();
    let path = format!("{ROOMS}/{}", made["id"].as_str().unwrap());
    let ours_of = |room: &Value| (room["velvetrope"]["event_id"].clone(), room["velvetrope"]["layout"].clone());
    let kept = (json!("gala-2026"), json!("dark"));
    let mut replacement = room("gala");
    replacement["session_duration"] = json!(7);
    let replaced = site.call(Method::PUT, &path, &replacement).result();
    assert_eq!((ours_of(&replaced), &replaced["session_duration"]), (kept.clone(), &json!(7)));
    let wrapped = site.call(Method::PUT, &path, &json!({ "waiting_room": room("gala") })).result();
    assert_eq!(ours_of(&wrapped), kept);
    let patched = site.call(Method::PATCH, &path, &json!({ "velvetrope": { "layout": "light" } })).result();
    assert_eq!(ours_of(&patched), (json!("gala-2026"), json!("light")));
    let patched = site.call(Method::PATCH, &path, &json!({ "waiting_room": { "session_duration": 9 } })).result();
    assert_eq!((ours_of(&patched).0, &patched["session_duration"]), (json!("gala-2026"), &json!(9)));
    // Who says it means it, and is told.
    let mut moved = room("gala");
    moved["velvetrope"] = json!({ "event_id": "other" });
    let reply = site.call(Method::PUT, &path, &moved);
    assert!(messages(&reply).contains("\\\"gala-2026\\\""), "{reply:?}");
    assert_eq!(ours_of(&reply.result()), (json!("other"), Value::Null));
}

#[test]
fn settings_that_nothing_acts_on_are_named() {
    let site = Site::new();
    let mut wanted = room("gala");
    for (key, value) in [
        ("queue_all", json!(true)),
        ("queueing_method", json!("random")),
        ("queueing_status_code", json!(429)),
        ("json_response_enabled", json!(true)),
        ("custom_page_html", json!("<p>")),
        ("cookie_suffix", json!("a")),
        ("enabled_origin_commands", json!(["revoke"])),
        ("turnstile_mode", json!("visible_managed")),
        ("turnstile_action", json!("infinite_queue")),
        ("cookie_attributes", json!({ "samesite": "strict" })),
    ] {
        wanted[key] = value;
    }
    let reply = site.call(Method::POST, ROOMS, &wanted);
    let told = messages(&reply);
    for key in wanted.as_object().unwrap().keys().filter(|key| !["name", "host", "path"].contains(&key.as_str())) {
        assert!(told.contains(&format!("`{key}")), "{key}: {told}");
    }
    assert_eq!(reply.body["messages"].as_array().unwrap().len(), 12);
    reply.result();
    // What acts is not named, nor is what is as it is anyway.
    let usual = json!({ "queue_all": false, "queueing_method": "fifo", "session_duration": 7, "suspended": true,
        "turnstile_mode": "off", "default_template_language": "da-DK", "disable_session_renewal": true });
    let mut wanted = room("usual");
    wanted.as_object_mut().unwrap().extend(usual.as_object().unwrap().clone());
    assert_eq!(site.call(Method::POST, ROOMS, &wanted).body["messages"].as_array().unwrap().len(), 2);
    let settings = format!("{ROOMS}/settings");
    let on = site.call(Method::PATCH, &settings, &json!({ "search_engine_crawler_bypass": true }));
    assert!(messages(&on).contains("nothing acts on it yet"), "{on:?}");
    let off = site.call(Method::PUT, &settings, &json!({ "search_engine_crawler_bypass": false }));
    assert_eq!(off.body["messages"], json!([]));
}

/// The newest entry of the audit trail with this action.
fn entry(site: &Site, action: &str) -> Value {
    let trail = site.get(&format!("{ROOMS}/audit?per_page=100"));
    trail.as_array().unwrap().iter().find(|entry| entry["action"] == action).expect(action).clone()
}

fn undo(site: &Site, entry: &Value) -> super::support::Reply {
    site.call(Method::POST, &format!("{ROOMS}/audit/{}/undo", entry["number"]), &Value::Null)
}

fn items(site: &Site, path: &str) -> Vec<(Value, Value, Value)> {
    let items = site.get(&format!("{path}/items?per_page=1000"));
    let items = items.as_array().unwrap().iter();
    items.map(|item| (item["id"].clone(), item["ip"].clone(), item["comment"].clone())).collect()
}

#[test]
fn changes_of_lists_are_kept_item_by_item_and_can_be_undone() {
    let site = Site::new();
    let made = site.call(Method::POST, LISTS, &json!({ "name": "office", "kind": "ip" })).result();
    let path = format!("{LISTS}/{}", made["id"].as_str().unwrap());
    let change = |method: Method, body: Value| {
        site.call(method, &format!("{path}/items"), &body).result();
        site.run_operations();
    };
    change(Method::POST, json!([{ "ip": "192.0.2.1", "comment": "a" }, { "ip": "192.0.2.2" }, { "ip": "192.0.2.3" }]));
    let before = items(&site, &path);
    change(Method::PUT, json!([{ "ip": "192.0.2.1", "comment": "b" }, { "ip": "192.0.2.2" }, { "ip": "10.0.0.1" }]));
    let replaced = entry(&site, "list.replace");
    let changed = site.get(&format!("{ROOMS}/audit/{}/items", replaced["number"]));
    let comments: Vec<_> = changed
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["value"].clone(), item["before"]["comment"].clone(), item["after"]["comment"].clone()))
        .collect();
    let line = |value: &str, before: Value, after: Value| (json!(value), before, after);
    assert_eq!(
        comments,
        [
            line("10.0.0.1", Value::Null, json!("")),
            line("192.0.2.1", json!("a"), json!("b")),
            line("192.0.2.3", json!(""), Value::Null),
        ]
    );
    undo(&site, &replaced).result();
    assert_eq!(items(&site, &path), before);
    // Undoing it is a change, too: nothing of the first one is left to be undone, but the undoing is.
    assert_eq!(undo(&site, &replaced).refusal().0, 409);
    undo(&site, &entry(&site, "list.undo")).result();
    assert_eq!(items(&site, &path).len(), 3);
    assert_eq!(items(&site, &path)[0].1, "10.0.0.1");
    undo(&site, &entry(&site, "list.undo")).result();

    let ids: Vec<Value> = before[..2].iter().map(|(id, ..)| json!({ "id": id })).collect();
    change(Method::DELETE, json!({ "items": ids }));
    let removed = entry(&site, "list.remove");
    assert_eq!(items(&site, &path).len(), 1);
    // Somebody puts one of them back with another comment: it is left as it is.
    change(Method::POST, json!([{ "ip": "192.0.2.1", "comment": "c" }]));
    assert_eq!(undo(&site, &removed).refusal().0, 409);
    undo(&site, &entry(&site, "list.add")).result();
    undo(&site, &removed).result();
    assert_eq!(items(&site, &path), before);

    site.call(Method::DELETE, &path, &Value::Null).result();
    let deleted = entry(&site, "list.delete");
    let same_name = site.call(Method::POST, LISTS, &json!({ "name": "office", "kind": "asn" })).result();
    assert_eq!(undo(&site, &deleted).refusal().0, 409);
    site.call(Method::DELETE, &format!("{LISTS}/{}", same_name["id"].as_str().unwrap()), &Value::Null).result();
    undo(&site, &deleted).result();
    assert_eq!(items(&site, &path), before);
    assert_eq!(site.get(&path)["created_on"], made["created_on"]);
    assert_eq!(undo(&site, &deleted).refusal().0, 409);
}

#[test]
fn a_room_that_was_stopped_or_deleted_comes_back() {
    let site = Site::new();
    let path = format!("{ROOMS}/{}", site.room("presale"));
    site.call(Method::POST, &format!("{path}/rules"), &rule("ssl")).result();
    site.call(Method::POST, &format!("{path}/rules"), &acknowledged("true")).result();
    site.call(Method::PATCH, &path, &json!({ "total_active_users": 300, "new_users_per_minute": 300 })).result();
    site.now.set(site.now.get() + 1000);
    site.call(Method::PATCH, &path, &json!({ "suspended": true })).result();
    let stopped = entry(&site, "room.change");
    undo(&site, &stopped).result();
    assert_eq!(site.get(&path)["suspended"], false);
    assert_eq!(undo(&site, &stopped).refusal().0, 409);

    let rules = site.get(&format!("{path}/rules"));
    let before = site.get(&path);
    site.call(Method::DELETE, &path, &Value::Null).result();
    let deleted = entry(&site, "room.delete");
    let mut other = room("other");
    (other["host"], other["path"]) = (before["host"].clone(), before["path"].clone());
    let other = site.call(Method::POST, ROOMS, &other).result();
    assert_eq!(undo(&site, &deleted).refusal().0, 400);
    site.call(Method::DELETE, &format!("{ROOMS}/{}", other["id"].as_str().unwrap()), &Value::Null).result();
    undo(&site, &deleted).result();
    let mut after = site.get(&path);
    after["modified_on"] = before["modified_on"].clone();
    assert_eq!(after, before);
    assert_eq!(site.get(&format!("{path}/rules")), rules);
    // Its versions go on.
    let version = site.get(&format!("{path}/rules/versions/1"));
    assert_eq!(version.as_array().unwrap().len(), 1);
    assert_eq!(undo(&site, &deleted).refusal().0, 409);
    // Rules have versions of their own.
    let (status, _, message, _) = undo(&site, &entry(&site, "rule.create")).refusal();
    assert!(status == 400 && message.contains("restore version 1"), "{message}");
    assert_eq!(site.call(Method::POST, &format!("{ROOMS}/audit/999/undo"), &Value::Null).refusal().0, 404);
}

//! Bypass rules.

use http::Method;
use serde_json::{Value, json};

use super::support::{Reply, Site, rule};

/// A room with the rules a, b, c, d, and where they are.
fn four() -> (Site, String) {
    let site = Site::new();
    let rules = site.rules_of("presale");
    for name in ["a", "b", "c", "d"] {
        let body = rule(&format!("http.request.uri.path eq \"/{name}\""));
        site.call(Method::POST, &rules, &merged(body, json!({ "description": name }))).result();
    }
    (site, rules)
}

fn merged(mut body: Value, more: Value) -> Value {
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn names(rules: &Value) -> String {
    rules.as_array().unwrap().iter().map(|rule| rule["description"].as_str().unwrap()).collect()
}

fn id_of(rules: &Value, name: &str) -> String {
    let rule = rules.as_array().unwrap().iter().find(|rule| rule["description"] == name).unwrap();
    rule["id"].as_str().unwrap().to_owned()
}

#[test]
fn every_call_yields_the_whole_list() {
    let (site, rules) = four();
    let all = site.get(&rules);
    assert_eq!(names(&all), "abcd");
    let first = &all[0];
    assert_eq!(first["id"].as_str().unwrap().len(), 32);
    assert_eq!((&first["version"], &first["enabled"]), (&json!("1"), &json!(true)));
    assert_eq!(first["action"], "bypass_waiting_room");
    assert_eq!(first["last_updated"], "2023-11-14T22:13:20.000Z");

    site.now.set(site.now.get() + 1000);
    let path = format!("{rules}/{}", id_of(&all, "b"));
    let changed = site.call(Method::PATCH, &path, &json!({ "enabled": false, "description": "B" })).result();
    assert_eq!(names(&changed), "aBcd");
    assert_eq!((&changed[1]["version"], &changed[1]["enabled"]), (&json!("2"), &json!(false)));
    assert_eq!(changed[1]["last_updated"], "2023-11-14T22:13:21.000Z");
    assert_eq!(changed[0]["last_updated"], first["last_updated"]);
    // Nothing is different, so nothing has changed.
    let same = site.call(Method::PATCH, &path, &json!({ "enabled": false })).result();
    assert_eq!(same, changed);

    let deleted = site.call(Method::DELETE, &path, &Value::Null).result();
    assert_eq!(names(&deleted), "acd");
    assert_eq!(site.call(Method::DELETE, &path, &Value::Null).refusal().0, 404);
    assert_eq!(site.get(&rules), deleted);
}

#[test]
fn a_rule_moves_to_every_kind_of_position() {
    let (site, rules) = four();
    let all = site.get(&rules);
    let ids: Vec<String> = ["a", "b", "c", "d"].map(|name| id_of(&all, name)).into();
    for (moved, position, expected) in [
        (3, json!({ "index": 1 }), "dabc"),
        (3, json!({ "index": 3 }), "abdc"),
        (0, json!({ "index": 100 }), "bdca"),
        (0, json!({ "index": 0 }), "abdc"),
        (2, json!({ "before": "" }), "cabd"),
        (2, json!({ "after": "" }), "abdc"),
        (3, json!({ "after": ids[2] }), "abcd"),
        (3, json!({ "before": ids[0] }), "dabc"),
        (3, json!({ "after": ids[0] }), "adbc"),
        (0, json!({ "before": ids[1] }), "dabc"),
    ] {
        let path = format!("{rules}/{}", ids[moved]);
        let moved = site.call(Method::PATCH, &path, &json!({ "position": position })).result();
        assert_eq!(names(&moved), expected, "{position}");
        assert_eq!(site.get(&rules), moved);
    }
}

#[test]
fn impossible_positions_are_refused() {
    let (site, rules) = four();
    let all = site.get(&rules);
    let id = id_of(&all, "a");
    let path = format!("{rules}/{id}");
    for (position, pointer) in [
        (json!({ "index": 1, "before": "" }), "/position"),
        (json!({}), "/position"),
        (json!({ "index": -1 }), "/position/index"),
        (json!({ "index": "1" }), "/position/index"),
        (json!({ "before": "nobody" }), "/position/before"),
        (json!({ "after": id }), "/position/after"),
        (json!({ "behind": "" }), "/position"),
    ] {
        let (status, _, message, at) = site.call(Method::PATCH, &path, &json!({ "position": position })).refusal();
        assert_eq!((status, at.as_str()), (400, pointer), "{position}: {message}");
    }
    assert_eq!(site.get(&rules), all);
}

#[test]
fn all_rules_are_replaced_at_once() {
    let (site, rules) = four();
    let before = site.get(&rules);
    let b = id_of(&before, "b");
    let wanted = json!([
        rule("ssl"),
        merged(rule(r#"http.request.uri.path eq "/b""#), json!({ "id": b, "description": "b" })),
        merged(rule("not ssl"), json!({ "enabled": false })),
    ]);
    let after = site.call(Method::PUT, &rules, &wanted).result();
    assert_eq!(after[1], before[1]);
    assert_eq!((&after[0]["version"], &after[2]["enabled"]), (&json!("1"), &json!(false)));
    // As some clients send it.
    let wrapped = site.call(Method::PUT, &rules, &json!({ "rules": [rule("ssl")] })).result();
    assert_eq!(wrapped.as_array().unwrap().len(), 1);
    // One bad rule, and nothing is replaced.
    let (status, code, _, pointer) = site.call(Method::PUT, &rules, &json!([rule("ssl"), rule("sssl")])).refusal();
    assert_eq!((status, code, pointer.as_str()), (400, 1003, "/1/expression"));
    assert_eq!(site.get(&rules), wrapped);
    assert_eq!(site.call(Method::PUT, &rules, &json!([])).result(), json!([]));
}

#[test]
fn what_is_wrong_with_a_rule_is_said_and_where() {
    let site = Site::new();
    let rules = site.rules_of("presale");
    let too_long = format!("http.host eq \"{}\"", "x".repeat(4_096));
    for (body, code, pointer, part) in [
        (rule("ip.src in $nobody"), 1003, "/expression", "there is no list `$nobody`"),
        (rule("ip.src in $partners"), 1003, "/expression", "holds host names"),
        (rule("cf.bot_management.score gt 1"), 1003, "/expression", "bypass rules must not use"),
        (rule("cf.edge.server_port eq 1 and ip.src.asnum eq 1"), 1003, "/expression", "ip.src.asnum"),
        (rule("http.hots eq \"x\""), 1003, "/expression", "did you mean `http.host`"),
        (rule(&too_long), 1003, "/expression", "4096"),
        (json!({ "action": "allow", "expression": "ssl" }), 1002, "/action", "`bypass_waiting_room`"),
        (json!({ "expression": "ssl" }), 1002, "", "`action` is missing"),
        (json!({ "action": "bypass_waiting_room" }), 1002, "", "`expression` is missing"),
        (merged(rule("ssl"), json!({ "enabled": "yes" })), 1002, "/enabled", "true or false"),
        (merged(rule("ssl"), json!({ "enabeld": true })), 1002, "/enabeld", "did you mean `enabled`"),
        (merged(rule("ssl"), json!({ "description": "x".repeat(501) })), 1002, "/description", "500"),
        (json!("ssl"), 1002, "", "expected an object"),
        (json!([rule("ssl")]), 1002, "", "expected an object"),
    ] {
        let (status, found, message, at) = site.call(Method::POST, &rules, &body).refusal();
        assert_eq!((status, found, at.as_str()), (400, code, pointer), "{message}");
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(site.get(&rules), json!([]));
}

#[test]
fn an_expression_is_shown_with_carets() {
    let site = Site::new();
    let rules = site.rules_of("presale");
    let (_, _, message, _) = site.call(Method::POST, &rules, &rule("ssl and\nhttp.hots eq \"a\"")).refusal();
    let shown: Vec<&str> = message.lines().collect();
    assert_eq!(shown[..2], ["Filter parsing error (2:1):", "http.hots eq \"a\""]);
    assert!(shown[2].starts_with("^^^^^^^^^ "), "{message}");
}

#[test]
fn bodies_that_are_no_json_are_refused() {
    let site = Site::new();
    let rules = site.rules_of("presale");
    for body in [&b""[..], b"{", b"{\"action\": \"\xff\"}", b"nonsense", &[b'['; 100_000][..]] {
        let (status, code, ..) = site.send(site.request(&Method::POST, &rules, body)).refusal();
        assert_eq!((status, code), (400, 1001));
    }
}

#[test]
fn a_dry_run_changes_nothing_and_refuses_the_same() {
    let (site, rules) = four();
    let before = site.get(&rules);
    let dry = format!("{rules}?dry_run=true");
    let reply = site.call(Method::POST, &dry, &rule("ssl"));
    assert_eq!((reply.status, &reply.body["result"], &reply.body["success"]), (200, &Value::Null, &json!(true)));
    assert_eq!(site.call(Method::POST, &dry, &rule("sssl")).refusal().0, 400);
    assert_eq!(site.call(Method::PUT, &dry, &json!([])).status, 200);
    assert_eq!(site.call(Method::POST, &format!("{rules}?dry_run=1"), &rule("ssl")).refusal().0, 400);
    assert_eq!(site.get(&rules), before);
}

#[test]
fn what_is_doubtful_is_done_and_said() {
    let site = Site::new();
    let rules = site.rules_of("presale");
    let reply = site.call(Method::POST, &rules, &rule("ssl and not ssl"));
    let messages = reply.body["messages"].to_string();
    assert!(reply.status == 200 && messages.contains("can never apply"), "{reply:?}");
}

#[test]
fn two_people_do_not_overwrite_each_other() {
    let (site, rules) = four();
    let seen = site.call(Method::GET, &rules, &Value::Null).etag.expect("a version");
    let put = |version: &str| {
        let mut request = site.request(&Method::POST, &rules, rule("ssl").to_string());
        request.headers_mut().insert("if-match", version.parse().unwrap());
        site.send(request)
    };
    let first: Reply = put(&seen);
    assert_ne!(first.etag.as_deref(), Some(&*seen));
    let (status, code, message, _) = put(&seen).refusal();
    assert_eq!((status, code), (412, 1006), "{message}");
    put(&format!("\"0\", {}", first.etag.unwrap())).result();
    put("*").result();
    assert_eq!(site.get(&rules).as_array().unwrap().len(), 7);
}

#[test]
fn earlier_versions_can_be_read_and_restored() {
    let (site, rules) = four();
    let mut versions = vec![site.get(&rules)];
    let mut note = |reply: Reply| versions.push(reply.result());
    let id = |name: &str| id_of(&site.get(&rules), name);
    note(site.call(Method::PATCH, &format!("{rules}/{}", id("d")), &json!({ "position": { "index": 2 } })));
    let both = json!({ "expression": "ssl", "position": { "after": "" } });
    note(site.call(Method::PATCH, &format!("{rules}/{}", id("a")), &both));
    note(site.call(Method::DELETE, &format!("{rules}/{}", id("b")), &Value::Null));
    note(site.call(Method::PUT, &rules, &json!([merged(rule("ssl"), json!({ "description": "z" }))])));
    note(site.call(Method::POST, &rules, &merged(rule("ssl"), json!({ "description": "y" }))));

    assert_eq!(site.get(&format!("{rules}/versions/0")), json!([]));
    for (version, expected) in (4..).zip(&versions) {
        assert_eq!(site.get(&format!("{rules}/versions/{version}")), *expected, "version {version}");
    }
    for version in ["10", "-1", "x"] {
        assert_eq!(site.call(Method::GET, &format!("{rules}/versions/{version}"), &Value::Null).refusal().0, 404);
    }
    let restored = site.call(Method::POST, &format!("{rules}/versions/5/restore"), &Value::Null).result();
    assert_eq!(names(&restored), "adbc");
    assert_eq!(id_of(&restored, "d"), id_of(&versions[0], "d"));
    assert_eq!(site.get(&format!("{rules}/versions/9")), versions[5]);
}

#[test]
fn every_change_is_in_the_trail() {
    let (site, rules) = four();
    let id = id_of(&site.get(&rules), "c");
    site.call(Method::PATCH, &format!("{rules}/{id}"), &json!({ "enabled": false })).result();
    site.call(Method::DELETE, &format!("{rules}/{id}"), &Value::Null).result();
    let trail = site.get("/zones/site/waiting_rooms/audit?per_page=2");
    let [deleted, changed] = &trail.as_array().unwrap()[..] else { panic!("{trail}") };
    assert_eq!((&deleted["action"], &deleted["actor"]), (&json!("rule.delete"), &json!("tester")));
    assert_eq!((&deleted["after"], &deleted["before"]["index"]), (&Value::Null, &json!(2)));
    assert_eq!(changed["action"], "rule.change");
    assert_eq!(
        (&changed["before"]["rule"]["enabled"], &changed["after"]["rule"]["enabled"]),
        (&json!(true), &json!(false))
    );
    let older = site.get(&format!("/zones/site/waiting_rooms/audit?per_page=1&before={}", changed["number"]));
    assert_eq!((&older[0]["action"], &older[0]["after"]["rule"]["description"]), (&json!("rule.create"), &json!("d")));
}

#[test]
fn rules_for_every_room_have_a_place_of_their_own() {
    let site = Site::new();
    let rules = "/zones/site/waiting_rooms/%2A/rules";
    site.call(Method::POST, rules, &rule("ip.src in $admins")).result();
    let texts = site.texts();
    let manifest = String::from_utf8(texts["store:manifest.json"].clone()).unwrap();
    assert!(manifest.contains(r#""*": "store:rules/*.json""#), "{manifest}");
}

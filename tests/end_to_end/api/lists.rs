//! Lists and their items.

use http::Method;
use serde_json::{Value, json};

use super::support::{Site, rule};

const LISTS: &str = "/accounts/site/rules/lists";

fn created(site: &Site, name: &str, kind: &str) -> String {
    let list = site.call(Method::POST, LISTS, &json!({ "name": name, "kind": kind, "description": "d" })).result();
    format!("{LISTS}/{}", list["id"].as_str().unwrap())
}

fn values(items: &Value, kind: &str) -> Vec<Value> {
    items.as_array().unwrap().iter().map(|item| item[kind].clone()).collect()
}

/// What becomes of an operation, once it is done.
fn outcome(site: &Site, operation: &Value) -> Value {
    let path = format!("{LISTS}/bulk_operations/{}", operation["operation_id"].as_str().unwrap());
    assert_eq!(site.get(&path)["status"], "pending");
    site.run_operations();
    site.get(&path)
}

#[test]
fn a_list_lives_and_dies() {
    let site = Site::new();
    let path = created(&site, "office", "ip");
    let list = site.get(&path);
    assert_eq!(
        (&list["kind"], &list["num_items"], &list["num_referencing_filters"]),
        (&json!("ip"), &json!(0), &json!(0))
    );
    assert_eq!(site.call(Method::PUT, &path, &json!({ "description": "new" })).result()["description"], "new");
    assert_eq!(site.get(LISTS).as_array().unwrap().len(), 3);
    site.call(Method::DELETE, &path, &Value::Null).result();
    assert_eq!(site.call(Method::GET, &path, &Value::Null).refusal().0, 404);
    for (body, pointer) in [
        (json!({ "name": "Office", "kind": "ip" }), "/name"),
        (json!({ "name": "x".repeat(51), "kind": "ip" }), "/name"),
        (json!({ "name": "a", "kind": "redirect" }), "/kind"),
        (json!({ "name": "a" }), ""),
        (json!({ "name": "a", "kind": "ip", "description": "x".repeat(501) }), "/description"),
    ] {
        let (status, _, message, at) = site.call(Method::POST, LISTS, &body).refusal();
        assert_eq!((status, at.as_str()), (400, pointer), "{message}");
    }
    let twice = site.call(Method::POST, LISTS, &json!({ "name": "admins", "kind": "ip" })).refusal();
    assert_eq!((twice.0, twice.3.as_str()), (409, "/name"));
}

#[test]
fn items_come_and_go_afterwards() {
    let site = Site::new();
    let path = created(&site, "office", "ip");
    let items = format!("{path}/items");
    let asked = site.call(
        Method::POST,
        &items,
        &json!([
            { "ip": "10.0.0.0/8", "comment": "inside" }, { "ip": "2001:DB8::/64" }, { "ip": "192.0.2.1" },
        ]),
    );
    assert_eq!(asked.status, 201);
    let done = outcome(&site, &asked.result());
    assert_eq!((&done["status"], done["completed"].is_string()), (&json!("completed"), true));
    let all = site.get(&items);
    assert_eq!(values(&all, "ip"), ["10.0.0.0/8", "192.0.2.1", "2001:db8::/64"]);
    assert_eq!((&all[0]["comment"], all[0]["id"].as_str().unwrap().len()), (&json!("inside"), 32));
    assert_eq!(site.get(&format!("{items}/{}", all[1]["id"].as_str().unwrap())), all[1]);

    // The same again has a new comment and the old id.
    outcome(&site, &site.call(Method::POST, &items, &json!([{ "ip": "10.0.0.0/8", "comment": "new" }])).result());
    let again = site.get(&items);
    assert_eq!((&again[0]["id"], &again[0]["comment"]), (&all[0]["id"], &json!("new")));

    let gone = json!({ "items": [{ "id": all[0]["id"] }, { "id": all[2]["id"] }] });
    outcome(&site, &site.call(Method::DELETE, &items, &gone).result());
    assert_eq!(values(&site.get(&items), "ip"), ["192.0.2.1"]);
    outcome(&site, &site.call(Method::PUT, &items, &json!([{ "ip": "192.0.2.1" }, { "ip": "192.0.2.2" }])).result());
    let replaced = site.get(&items);
    assert_eq!(values(&replaced, "ip"), ["192.0.2.1", "192.0.2.2"]);
    assert_eq!(replaced[0]["id"], all[1]["id"]);
    outcome(&site, &site.call(Method::PUT, &items, &json!([])).result());
    assert_eq!(site.get(&items), json!([]));
}

#[test]
fn operations_are_done_in_the_order_in_which_they_were_asked() {
    let site = Site::new();
    let items = format!("{}/items", created(&site, "providers", "asn"));
    for number in [64496, 64497, 64498] {
        site.call(Method::PUT, &items, &json!([{ "asn": number }])).result();
    }
    site.run_operations();
    assert_eq!(values(&site.get(&items), "asn"), [64498]);
}

#[test]
fn an_operation_on_a_list_that_is_gone_fails() {
    let site = Site::new();
    let path = created(&site, "office", "ip");
    let asked = site.call(Method::POST, &format!("{path}/items"), &json!([{ "ip": "192.0.2.1" }])).result();
    site.call(Method::DELETE, &path, &Value::Null).result();
    let done = outcome(&site, &asked);
    assert_eq!((&done["status"], &done["error"]), (&json!("failed"), &json!("the list has been deleted")));
}

#[test]
fn pages_and_searches_find_items() {
    let site = Site::new();
    let items = format!("{}/items", created(&site, "office", "ip"));
    let many: Vec<Value> = (0..250).map(|number| json!({ "ip": format!("10.0.{}.0/24", number) })).collect();
    outcome(&site, &site.call(Method::POST, &items, &json!(many)).result());
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let reply = site.call(Method::GET, &format!("{items}?per_page=100&cursor={cursor}"), &Value::Null);
        found.extend(values(&reply.body["result"], "ip"));
        match reply.body["result_info"]["cursors"]["after"].as_str() {
            Some(after) => cursor = after.to_owned(),
            None => break,
        }
    }
    assert_eq!(found, many.iter().map(|item| item["ip"].clone()).collect::<Vec<_>>());
    let search = |text: &str| site.get(&format!("{items}?per_page=500&search={text}")).as_array().unwrap().len();
    assert_eq!((search("10.0.24"), search("10.0.249.0/24"), search("11"), search("%25")), (11, 1, 0, 0));
    assert_eq!(site.call(Method::GET, &format!("{items}?cursor=!"), &Value::Null).refusal().0, 400);
}

#[test]
fn items_that_are_none_are_named() {
    let site = Site::new();
    for (kind, item, pointer, part) in [
        ("ip", json!({ "ip": "10.0.0.1/8" }), "/1/ip", "write `10.0.0.0/8`"),
        ("ip", json!({ "ip": "0.0.0.0/0" }), "/1/ip", "too wide"),
        ("ip", json!({ "ip": "nobody" }), "/1/ip", "not an address"),
        ("ip", json!({ "ip": "192.0.2.1..192.0.2.9" }), "/1/ip", "not an address"),
        ("ip", json!({ "ip": 5 }), "/1/ip", "expected an item"),
        ("ip", json!({ "asn": 5 }), "/1", "`ip` is missing"),
        ("ip", json!({ "ip": "192.0.2.1", "comment": "x".repeat(501) }), "/1/comment", "500"),
        ("asn", json!({ "asn": -1 }), "/1/asn", "not an AS number"),
        ("asn", json!({ "asn": 4_294_967_296_u64 }), "/1/asn", "not an AS number"),
        (
            "hostname",
            json!({ "hostname": { "url_hostname": "a.*.example" } }),
            "/1/hostname/url_hostname",
            "not a host name",
        ),
        ("hostname", json!({ "hostname": "a.example" }), "/1/hostname", "expected an item"),
    ] {
        let list = match site.get(LISTS).as_array().unwrap().iter().find(|list| list["name"] == kind) {
            Some(list) => format!("{LISTS}/{}", list["id"].as_str().unwrap()),
            None => created(&site, kind, kind),
        };
        let good = match kind {
            "ip" => json!({ "ip": "192.0.2.1" }),
            "asn" => json!({ "asn": 1 }),
            _ => json!({ "hostname": { "url_hostname": "a.example" } }),
        };
        let (status, _, message, at) =
            site.call(Method::POST, &format!("{list}/items"), &json!([good, item])).refusal();
        assert_eq!((status, at.as_str()), (400, pointer), "{message}");
        assert!(message.contains(part), "{part}: {message}");
        assert_eq!(site.get(&list)["num_items"], 0);
    }
}

#[test]
fn a_list_in_use_is_not_deleted() {
    let site = Site::new();
    let lists = site.get(LISTS);
    let admins = lists.as_array().unwrap().iter().find(|list| list["name"] == "admins").unwrap();
    assert_eq!(admins["num_referencing_filters"], 1);
    let path = format!("{LISTS}/{}", admins["id"].as_str().unwrap());
    let (status, code, message, _) = site.call(Method::DELETE, &path, &Value::Null).refusal();
    assert_eq!((status, code), (409, 1009));
    assert!(message.contains("rule \"admins\" of room ticketshop"), "{message}");

    // A draft uses it, too; a text that only looks like it does not.
    let rules = site.rules_of("ticketshop");
    let texts =
        json!([{ "action": "bypass_waiting_room", "expression": "http.host eq \"$admins\"", "enabled": false }]);
    site.call(Method::PUT, &rules, &texts).result();
    let mut draft = rule("ip.src in $admins");
    draft["enabled"] = json!(false);
    site.call(Method::POST, &rules, &draft).result();
    assert_eq!(site.call(Method::DELETE, &path, &Value::Null).refusal().0, 409);
    site.call(Method::PUT, &rules, &texts).result();
    site.call(Method::DELETE, &path, &Value::Null).result();
}

#[test]
fn lists_hold_no_more_than_they_may() {
    let site = Site::new();
    let path = created(&site, "many", "asn");
    let items = format!("{path}/items");
    let numbers = |range: std::ops::Range<u32>| {
        let items: Vec<String> = range.map(|number| format!("{{\"asn\":{number}}}")).collect();
        format!("[{}]", items.join(","))
    };
    let put = |body: String| site.send(site.request(&Method::POST, &items, body));
    let (status, _, message, _) = put(numbers(0..500_001)).refusal();
    assert_eq!(status, 400, "{message}");
    // There are five others already.
    let done = outcome(&site, &put(numbers(0..499_995)).result());
    assert_eq!(done["status"], "completed", "{done}");
    let done = outcome(&site, &put(numbers(499_990..499_996)).result());
    assert_eq!((&done["status"], &site.get(&path)["num_items"]), (&json!("failed"), &json!(499_995)));
}

//! Waiting rooms, zones and their settings.

use http::Method;
use serde_json::{Value, json};

use super::support::{Site, rule};

const ROOMS: &str = "/zones/site/waiting_rooms";

fn everything() -> Value {
    json!({
        "name": "concert",
        "host": "Shop.example.com",
        "path": "/concert",
        "additional_routes": [{ "host": "www.example.com", "path": "/c" }],
        "cookie_suffix": "abc",
        "cookie_attributes": { "samesite": "lax", "secure": "always" },
        "total_active_users": 300,
        "new_users_per_minute": 200,
        "session_duration": 10,
        "disable_session_renewal": true,
        "queue_all": true,
        "queueing_method": "random",
        "queueing_status_code": 202,
        "suspended": false,
        "json_response_enabled": true,
        "custom_page_html": "<p>{{waitTime}}</p>",
        "default_template_language": "da-DK",
        "description": "The <b>concert</b>",
        "enabled_origin_commands": ["revoke"],
        "turnstile_mode": "off",
        "turnstile_action": "log",
    })
}

fn least() -> Value {
    json!({ "name": "small", "host": "a.example", "total_active_users": 200, "new_users_per_minute": 200 })
}

#[test]
fn every_field_is_kept() {
    let site = Site::new();
    let room = site.call(Method::POST, ROOMS, &everything()).result();
    for (key, value) in everything().as_object().unwrap() {
        assert_eq!(&room[key], value, "{key}");
    }
    assert_eq!(
        (&room["created_on"], &room["next_event_start_time"]),
        (&json!("2023-11-14T22:13:20.000Z"), &Value::Null)
    );
    let path = format!("{ROOMS}/{}", room["id"].as_str().unwrap());
    assert_eq!(site.get(&path), room);

    site.now.set(site.now.get() + 1000);
    let changed = site.call(Method::PATCH, &path, &json!({ "suspended": true, "description": null })).result();
    assert_eq!((&changed["suspended"], &changed["host"]), (&json!(true), &room["host"]));
    assert_eq!(changed["description"], "");
    assert_eq!(
        (&changed["created_on"], &changed["modified_on"]),
        (&room["created_on"], &json!("2023-11-14T22:13:21.000Z"))
    );

    let replaced = site.call(Method::PUT, &path, &least()).result();
    assert_eq!((&replaced["name"], &replaced["queueing_method"]), (&json!("small"), &json!("fifo")));
    assert_eq!((&replaced["id"], &replaced["session_duration"]), (&room["id"], &json!(5)));
    assert_eq!(site.call(Method::DELETE, &path, &Value::Null).result(), json!({ "id": room["id"] }));
    assert_eq!(site.call(Method::GET, &path, &Value::Null).refusal().0, 404);
}

#[test]
fn what_is_wrong_with_a_room_is_said_and_where() {
    let site = Site::new();
    site.call(Method::POST, ROOMS, &everything()).result();
    let with = |key: &str, value: Value| {
        let mut body = least();
        body[key] = value;
        body
    };
    for (body, pointer) in [
        (with("name", json!("a b")), "/name"),
        (with("name", json!("Concert")), "/name"),
        (with("host", json!("https://a.example")), "/host"),
        (with("path", json!("/a*")), "/path"),
        (with("total_active_users", json!(199)), "/total_active_users"),
        (with("new_users_per_minute", json!(201)), "/new_users_per_minute"),
        (with("session_duration", json!(31)), "/session_duration"),
        (with("queueing_method", json!("lifo")), "/queueing_method"),
        (with("queueing_status_code", json!(404)), "/queueing_status_code"),
        (with("suspended", json!("no")), "/suspended"),
        (
            with("additional_routes", json!([{ "host": "shop.example.com", "path": "/concert/" }])),
            "/additional_routes/0",
        ),
        (with("cookie_attributes", json!({ "samesite": "sometimes" })), "/cookie_attributes/samesite"),
        (with("turnstile_mode", json!("loud")), "/turnstile_mode"),
        (with("unknown", json!(1)), "/unknown"),
        (json!({ "name": "x", "host": "a.example", "new_users_per_minute": 200 }), ""),
        (json!({ "host": "a.example", "total_active_users": 200, "new_users_per_minute": 200 }), ""),
    ] {
        let (status, _, message, at) = site.call(Method::POST, ROOMS, &body).refusal();
        assert_eq!((status, at.as_str()), (400, pointer), "{message}");
    }
}

#[test]
fn pages_of_rooms_tell_how_many_there_are() {
    let site = Site::new();
    for number in 0..5 {
        let mut room = least();
        room["name"] = json!(format!("room-{number}"));
        room["path"] = json!(format!("/{number}"));
        site.call(Method::POST, ROOMS, &room).result();
    }
    let reply = site.call(Method::GET, &format!("{ROOMS}?page=2&per_page=3"), &Value::Null);
    let info = &reply.body["result_info"];
    assert_eq!(*info, json!({ "page": 2, "per_page": 3, "count": 3, "total_count": 7, "total_pages": 3 }));
    let names: Vec<_> = reply.body["result"].as_array().unwrap().iter().map(|room| room["name"].clone()).collect();
    assert_eq!(names, ["room-2", "room-3", "room-4"]);
    assert_eq!(site.get("/accounts/site/waiting_rooms").as_array().unwrap().len(), 7);
    for query in ["page=0", "per_page=0", "per_page=1001", "page=x"] {
        assert_eq!(site.call(Method::GET, &format!("{ROOMS}?{query}"), &Value::Null).refusal().0, 400, "{query}");
    }
}

#[test]
fn of_published_rooms_only_the_rules_are_managed() {
    let site = Site::new();
    let path = format!("{ROOMS}/{}", site.room("ticketshop"));
    assert_eq!(site.get(&path)["velvetrope"]["origin"], "published");
    for (method, body) in [(Method::PUT, least()), (Method::PATCH, json!({})), (Method::DELETE, Value::Null)] {
        assert_eq!(site.call(method, &path, &body).refusal().0, 409);
    }
    let (status, _, message, _) = site.call(Method::GET, &format!("{path}/status"), &Value::Null).refusal();
    assert_eq!(status, 404);
    assert!(message.contains("Queue-it"), "{message}");
    assert_eq!(site.get(&format!("{path}/rules")).as_array().unwrap().len(), 2);
}

#[test]
fn a_room_takes_its_rules_with_it() {
    let site = Site::new();
    let room = site.call(Method::POST, ROOMS, &least()).result();
    let path = format!("{ROOMS}/{}", room["id"].as_str().unwrap());
    site.call(Method::POST, &format!("{path}/rules"), &rule("ssl")).result();
    assert!(site.texts().contains_key("store:rules/small.json"));
    site.call(Method::DELETE, &path, &Value::Null).result();
    assert!(!site.texts().contains_key("store:rules/small.json"));
}

#[test]
fn zones_lead_to_everything_else() {
    let site = Site::new();
    assert_eq!(site.get("/zones")[0]["id"], "site");
    assert_eq!(site.get("/zones/site")["account"]["id"], "site");
    assert_eq!(site.get("/accounts")[0]["id"], "site");
    let (status, _, message, _) = site.call(Method::GET, "/zones/other/waiting_rooms", &Value::Null).refusal();
    assert_eq!(status, 404);
    assert!(message.contains("`site`"), "{message}");

    let settings = format!("{ROOMS}/settings");
    assert_eq!(site.get(&settings), json!({ "search_engine_crawler_bypass": false }));
    let on = json!({ "search_engine_crawler_bypass": true });
    assert_eq!(site.call(Method::PATCH, &settings, &on).result(), on);
    assert_eq!(site.call(Method::PATCH, &settings, &json!({})).result(), on);
    assert_eq!(site.get(&settings), on);
    assert_eq!(site.call(Method::PUT, &settings, &json!({ "crawlers": true })).refusal().0, 400);
}

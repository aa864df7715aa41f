//! What a visitor meets: the room, the rope, the way past it.

use serde_json::{Value, json};
use velvetrope::internal::queueit::Secret;
use velvetrope::internal::room::{AllowedHosts, Pace, Room, RoomConfig, Visit};
use velvetrope_demo::{Demo, line};
use velvetrope_serve::proxy::{PolicySource, Proxy};

use super::support::*;

const SESSION: &str = "QueueITAccepted-SDFrts345E-V3_shop";

fn room() -> Room {
    let pace = Pace { least_wait_seconds: 10, ..Pace::default() };
    let config = RoomConfig {
        customer_id: "acme".into(),
        hosts: ["tickets.example"].into_iter().collect::<AllowedHosts>(),
        default_target: None,
        secret: Secret::new(SECRET),
        token_seconds: 60,
        refresh_seconds: 5,
    };
    Room::new(config, [("shop".to_owned(), pace)].into())
}

#[tokio::test]
async fn a_first_visit_waits_and_comes_back_to_stay() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "").await;
    let room = room();

    let first = get(proxy.address, "/shop?a=1", &[]).await;
    assert_eq!(first.status, 302);
    assert_eq!(first.header("x-queueit-connector"), Some("proxy"));
    assert!(first.header("cache-control").is_some_and(|value| value.contains("no-store")));
    let location = first.header("location").expect("a room").to_owned();
    let path = location.strip_prefix("http://room.example").expect(&location);
    assert!(path.contains("c=acme&e=shop") && path.contains("&kupver=proxy-"), "{path}");

    let now_ms = 1_900_000_000_000;
    let visit =
        Visit { method: "GET", path_and_query: path, cookie: "", accept: "", secure: false, now_ms, random: [1; 32] };
    let page = room.answer(&visit);
    assert_eq!(page.status, 200);
    let place = page.headers.iter().find(|(name, _)| *name == "Set-Cookie").map(|(_, value)| cookie_pair(value));
    let admitted = room.answer(&Visit { cookie: &place.expect("a place"), now_ms: now_ms + 10_000, ..visit });
    assert_eq!(admitted.status, 302);
    let back = admitted.headers.iter().find(|(name, _)| *name == "Location").map(|(_, value)| value.clone());
    let back = back.expect("a target");
    let path = back.strip_prefix("http://tickets.example").expect(&back);

    let arrived = get(proxy.address, path, &[]).await;
    assert_eq!((arrived.status, arrived.header("location")), (302, Some("/shop?a=1")));
    let session = cookie_pair(arrived.header("set-cookie").expect("a session"));
    assert!(session.starts_with(SESSION), "{session}");

    let inside = get(proxy.address, "/shop?a=1", &[("Cookie", &session)]).await;
    assert_eq!(inside.status, 200);
    assert!(inside.body.starts_with("GET /shop?a=1\n"), "{}", inside.body);
    assert!(inside.body.contains("x-velvetrope-verdict: session;room=shop"), "{}", inside.body);

    let left = get(proxy.address, "/leave", &[("Cookie", &session)]).await;
    assert_eq!(left.status, 302);
    let location = left.header("location").expect("a room");
    assert!(location.starts_with("http://room.example/cancel/multiple/acme?wrl=shop~"), "{location}");
    assert!(left.all("set-cookie").iter().any(|cookie| cookie.starts_with(&format!("{SESSION}=;"))), "{left:?}");
    proxy.stop().await;
}

#[tokio::test]
async fn rules_and_integrations_let_through_what_they_name() {
    let origin = Origin::start().await;
    let (observer, events) = observer();
    let config = config(PolicySource::Fixed(sources("[proxy]\ntrusted_hops = 1")), origin.address);
    let proxy =
        Proxy::bind(velvetrope_serve::proxy::Config { observer: Some(observer), ..config }).await.expect("a proxy");
    let spoofed = [("X-Velvetrope-Verdict", "session;room=shop")];
    for (path, headers, verdict) in [
        ("/", &spoofed[..], "pass"),
        ("/shop/tickets/1/userverified", &spoofed[..], "bypass;rule=links"),
        ("/shop", &[("X-Forwarded-For", "6.6.6.6, 192.0.2.10")][..], "bypass;rule=admins"),
        ("/shop/assets/x.css", &[][..], "ignore"),
        ("/leave", &[][..], "cancel"),
    ] {
        let answer = get(proxy.address, path, headers).await;
        assert_eq!(answer.status, 200, "{path}");
        let told: Vec<&str> = answer.body.lines().filter(|line| line.starts_with("x-velvetrope-verdict")).collect();
        assert_eq!(told, [format!("x-velvetrope-verdict: {verdict}")], "{path}");
        assert_eq!(answer.header("x-queueit-connector"), Some("proxy"), "{path}");
        assert!(answer.all("set-cookie").is_empty(), "{path}");
    }
    let spoofed = get(proxy.address, "/shop", &[("X-Forwarded-For", "192.0.2.10, 6.6.6.6")]).await;
    assert_eq!(spoofed.status, 302, "only the last entry is believed");
    let events = events.lock().expect("a lock").clone();
    assert_eq!(events[1].rule.as_deref(), Some("links"));
    assert_eq!((events[5].decision, events[5].room.as_deref(), events[5].status), ("queue", Some("shop"), 302));
    proxy.stop().await;
}

#[tokio::test]
async fn scripts_are_told_where_to_go() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "").await;
    let page = "http%3A%2F%2Ftickets.example%2Fshop%2Fpage";
    let answer = get(proxy.address, "/shop/api", &[("x-queueit-ajaxpageurl", page)]).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    let redirect = answer.header("x-queueit-redirect").expect("a redirect");
    assert!(redirect.starts_with("http%3A%2F%2Froom.example%2F"), "{redirect}");
    assert_eq!(answer.header("access-control-expose-headers"), Some("x-queueit-redirect"));
    proxy.stop().await;
}

#[tokio::test]
async fn a_body_that_a_trigger_looks_at_arrives_whole() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "").await;
    let mut body = vec![b'x'; 300_000];
    let passed = send(proxy.address, "POST", "/form", &[], &body).await;
    assert_eq!(passed.status, 200);
    let whole = format!("body: 300000 bytes, sum {}\n", sum(&body));
    assert!(passed.body.ends_with(&whole), "{}", passed.body);

    body[2_000..2_008].copy_from_slice(b"queue-me");
    assert_eq!(send(proxy.address, "POST", "/form", &[], &body).await.status, 303);
    body[2_000..2_008].fill(b'x');
    body[2_045..2_053].copy_from_slice(b"queue-me");
    assert_eq!(send(proxy.address, "POST", "/form", &[], &body).await.status, 200, "beyond what triggers see");
    proxy.stop().await;
}

#[tokio::test]
async fn rules_ask_where_a_visitor_is() {
    let origin = Origin::start().await;
    let databases = concat!(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."), "/tests/data/mmdb");
    let more = format!(
        "[proxy]\ntrusted_hops = 1\n[geoip]\ncountry = \"{databases}/GeoIP2-Country-Test.mmdb\"\n\
         asn = \"{databases}/GeoLite2-ASN-Test.mmdb\""
    );
    let mut sources = sources(&more);
    let rules = r#"[{"id":"sweden","action":"bypass_waiting_room","expression":"ip.src.country eq \"SE\""},
        {"id":"telstra","action":"bypass_waiting_room","expression":"ip.src.asnum eq 1221"}]"#;
    sources.insert("rules.json".into(), rules.into());
    let proxy = Proxy::bind(config(PolicySource::Fixed(sources), origin.address)).await.expect("a proxy");
    for (address, status) in [("89.160.20.112", 200), ("1.128.0.0", 200), ("127.0.0.1", 302), ("unknown", 302)] {
        let answer = get(proxy.address, "/shop", &[("X-Forwarded-For", address)]).await;
        assert_eq!(answer.status, status, "{address}");
    }
    proxy.stop().await;
}

#[tokio::test]
async fn the_demo_shows_what_it_says() {
    let (observer, events) = observer();
    let demo = Demo::start(observer).await.expect("a demo");
    assert!(demo.greeting().contains(&format!("http://{}/shop", demo.proxy)));
    let host = demo.proxy.to_string();
    let ask = async |address, path: &str, header: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{header}\r\n");
        raw(address, request.as_bytes()).await
    };
    let home = ask(demo.proxy, "/", "").await;
    assert!(home.body.contains("<code id=\"verdict\">pass</code>"), "{}", home.body);
    let shop = ask(demo.proxy, "/shop", "").await;
    let location = shop.header("location").expect("a room").to_owned();
    let path = location.strip_prefix(&format!("http://{}", demo.room)).expect(&location);
    let page = ask(demo.room, path, "").await;
    assert!(page.body.contains("You are number"), "{}", page.body);
    let admin = ask(demo.proxy, "/shop", "X-Forwarded-For: 192.0.2.10\r\n").await;
    assert!(admin.body.contains("<code id=\"verdict\">bypass;rule=admins</code>"), "{}", admin.body);
    for path in ["/shop/tickets/4711/userverified", "/shop/assets/style.css"] {
        assert_eq!(ask(demo.proxy, path, "").await.status, 200, "{path}");
    }
    assert_eq!(ask(demo.proxy, "/presale", "").await.status, 302);
    let lines: Vec<String> = events.lock().expect("a lock").iter().map(line).collect();
    assert_eq!(lines.len(), 6);
    assert!(lines[2].contains("bypass") && lines[2].contains("by rule admins"), "{lines:?}");
    // The same demo: two at a time would be after the same ports.
    its_rooms_follow_what_is_managed(&demo).await;
    demo.stop().await;
}

async fn its_rooms_follow_what_is_managed(demo: &Demo) {
    assert!(demo.greeting().contains(&demo.token));
    let host = demo.proxy.to_string();
    let call = async |method: &str, path: &str, body: &Value| {
        let token = format!("Bearer {}", demo.token);
        let path = format!("/client/v4/zones/ticketing/waiting_rooms{path}");
        let answer = send(demo.admin, method, &path, &[("Authorization", &token)], body.to_string().as_bytes()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str::<Value>(&answer.body).expect("JSON")["result"].take()
    };
    let visit = async |address, path: &str| {
        raw(address, format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes()).await
    };
    let wait = async |path: &str| {
        let location = visit(demo.proxy, path).await.header("location").expect("a room").to_owned();
        let page = visit(demo.room, location.strip_prefix(&format!("http://{}", demo.room)).expect(&location)).await;
        assert!(page.body.contains("You are number"), "{}", page.body);
    };
    let rooms = call("GET", "", &Value::Null).await;
    let shop = rooms.as_array().and_then(|rooms| rooms.iter().find(|room| room["name"] == "ticketshop"));
    let shop = shop.and_then(|room| room["id"].as_str()).expect("the shop");
    let status = async |id: &str| call("GET", &format!("/{id}/status"), &Value::Null).await;
    let nobody = json!({
        "status": "not_queueing", "event_id": "", "estimated_queued_users": 0, "estimated_total_active_users": 0,
        "max_estimated_time_minutes": 0,
    });
    wait("/shop").await;
    let queueing = status(shop).await;
    assert_eq!((&queueing["status"], &queueing["estimated_queued_users"]), (&json!("queueing"), &json!(2)));
    assert_eq!(queueing["max_estimated_time_minutes"], 1);

    let gala = json!({
        "name": "gala", "host": "127.0.0.1", "path": "/gala", "total_active_users": 200, "new_users_per_minute": 200,
    });
    let gala = call("POST", "", &gala).await["id"].take();
    let gala = gala.as_str().expect("an id");
    assert_eq!(status(gala).await, nobody);
    wait("/gala").await;
    assert_eq!(status(gala).await["status"], "queueing");
    call("PATCH", &format!("/{gala}"), &json!({ "suspended": true })).await;
    assert_eq!(status(gala).await["status"], "suspended");
    assert_eq!(visit(demo.proxy, "/gala").await.status, 404, "passes to a site that has no such page");
}

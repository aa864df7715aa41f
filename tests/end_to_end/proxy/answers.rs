//! What the answers say besides their pages: to caches, to scripts, and to forms.

use super::support::*;

#[tokio::test]
async fn what_is_behind_a_rope_is_private() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "").await;
    let session = arrive(proxy.address).await;
    for (lines, told) in [
        (&[][..], "private, no-cache"),
        (&["cache-control: public, max-age=600"], "private, max-age=600"),
        (
            &["cache-control: public", "cache-control: s-maxage=600", "cdn-cache-control: max-age=9"],
            "private, no-cache",
        ),
        (&["expires: Fri, 01 Jan 2100 00:00:00 GMT", "surrogate-control: max-age=9"], "private"),
        (&["last-modified: Mon, 01 Jan 2024 00:00:00 GMT", "x-accel-expires: 600"], "private, no-cache"),
        (&["cache-control: no-store"], "private, no-store"),
    ] {
        let said: Vec<(&str, &str)> = lines.iter().map(|line| (SAYS, *line)).collect();
        let inside = get(proxy.address, "/shop", &[&[("Cookie", &*session)], &said[..]].concat()).await;
        assert_eq!((inside.status, inside.all("cache-control")), (200, vec![told]), "{lines:?}");
        for name in ["cdn-cache-control", "surrogate-control", "x-accel-expires"] {
            assert_eq!(inside.header(name), None, "{lines:?}");
        }
        for path in ["/", "/shop/tickets/1/userverified", "/shop/assets/a.css"] {
            let outside = get(proxy.address, path, &[&[("Cookie", &*session)], &said[..]].concat()).await;
            let told: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("cache-control: ")).collect();
            assert_eq!((outside.status, outside.all("cache-control")), (200, told), "{path}");
        }
    }
    proxy.stop().await;
}

#[tokio::test]
async fn errors_of_our_own_are_not_stored() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "[proxy]\nconnect_timeout = 1").await;
    let session = arrive(proxy.address).await;
    let refused = raw(proxy.address, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    assert_eq!((refused.status, refused.header("cache-control")), (400, Some("no-store")));
    drop(origin);
    let dead = get(proxy.address, "/", &[]).await;
    assert_eq!((dead.status / 100, dead.header("cache-control")), (5, Some("no-store")));
    let dead = get(proxy.address, "/shop", &[("Cookie", &session)]).await;
    assert_eq!((dead.status / 100, dead.header("cache-control")), (5, Some("private, no-store")));
    proxy.stop().await;
}

const ASKS: [(&str, &str); 2] = [("Origin", "https://www.tickets.example"), ("Access-Control-Request-Method", "PUT")];

#[tokio::test]
async fn preflights_reach_the_site_and_bring_back_headers_alone() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "").await;
    let says = [(SAYS, "access-control-allow-methods: PUT"), (SAYS, "content-encoding: gzip")];
    let asked = send(proxy.address, "OPTIONS", "/shop/api", &[&ASKS[..], &says].concat(), b"").await;
    assert_eq!((asked.status, asked.body.as_str()), (200, ""));
    assert_eq!(asked.header("access-control-allow-methods"), Some("PUT"));
    assert_eq!((asked.header("content-encoding"), asked.header("content-length")), (None, Some("0")));
    for some in [&ASKS[..1], &ASKS[1..]] {
        assert_eq!(send(proxy.address, "OPTIONS", "/shop/api", some, b"").await.status, 303);
    }
    let upgrade = [("Connection", "upgrade"), ("Upgrade", "websocket")];
    assert_eq!(send(proxy.address, "OPTIONS", "/shop", &[&ASKS[..], &upgrade].concat(), b"").await.status, 303);
    assert_eq!(send_http2(proxy.address, "OPTIONS", "/shop/api", &ASKS, "").await, 303, "something may follow");
    assert_eq!(send_http2(proxy.address, "OPTIONS", "/shop/api", &ASKS, "more than a question").await, 303);
    proxy.stop().await;
    let strict = proxy_with(origin.address, "preflight = \"queue\"").await;
    assert_eq!(send(strict.address, "OPTIONS", "/shop/api", &ASKS, b"").await.status, 303);
    strict.stop().await;
}

#[tokio::test]
async fn operators_learn_which_host_is_refused() {
    let origin = Origin::start().await;
    let proxy = proxy_with(origin.address, "hosts = [\"localhost:8080\"]").await;
    let refused = get(proxy.address, "/", &[]).await;
    assert_eq!((refused.status, refused.body.contains("hosts`")), (421, false), "{refused:?}");
    for number in 0..40 {
        let head = format!("GET / HTTP/1.1\r\nHost: h{number}.example\r\nConnection: close\r\n\r\n");
        assert_eq!(raw(proxy.address, head.as_bytes()).await.status, 421);
    }
    let metrics = get(proxy.admin_address, "/metrics", &[]).await.body;
    let counted: Vec<_> =
        metrics.lines().filter_map(|line| line.strip_prefix("velvetrope_misdirected_total")).collect();
    assert!(counted.contains(&"{host=\"tickets.example\"} 1"), "{counted:?}");
    assert!(counted.contains(&"{host=\"other\"} 9"), "{counted:?}");
    assert_eq!(counted.len(), 33);
    assert!(metrics.contains("`hosts`") && metrics.contains("`unknown_hosts`"), "which setting it was");
    proxy.stop().await;
}

#[tokio::test]
async fn what_is_no_navigation_gets_an_answer_for_scripts() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "").await;
    let asked = [("Origin", "https://www.tickets.example"), ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty")];
    let page = ("Referer", "http://tickets.example/shop/page");
    let told = get(proxy.address, "/shop/api", &[&asked[..], &[page]].concat()).await;
    assert_eq!((told.status, told.header("content-type")), (429, Some("application/json")));
    for (name, value) in [
        ("access-control-allow-origin", "https://www.tickets.example"),
        ("access-control-allow-credentials", "true"),
        ("access-control-expose-headers", "x-queueit-redirect"),
        ("vary", "Origin"),
    ] {
        assert_eq!(told.header(name), Some(value));
    }
    let json: serde_json::Value = serde_json::from_str(&told.body).expect("JSON");
    assert_eq!((&json["error"], &json["room"]), (&"must_queue".into(), &"shop".into()));
    let url = json["queue_url"].as_str().expect("a URL");
    assert!(url.starts_with("http://room.example/?c=acme&e=shop"), "{url}");
    assert!(url.contains("&t=http%3A%2F%2Ftickets.example%2Fshop%2Fpage&"), "{url}");
    let frame = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "iframe")];
    assert_eq!(get(proxy.address, "/shop", &frame).await.status, 302);
    proxy.stop().await;
    let as_before = proxy_with(origin.address, "script_requests = \"redirect\"").await;
    assert_eq!(get(as_before.address, "/shop/api", &asked).await.status, 302);
    as_before.stop().await;
}

#[tokio::test]
async fn a_form_that_comes_with_a_token_arrives_whole() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "").await;
    let body = b"tickets=2";
    let path = format!("/shop/order?a=1&queueittoken={}", token());
    let passed = send(proxy.address, "POST", &path, &[], body).await;
    assert_eq!((passed.status, passed.header("cache-control")), (200, Some("private, no-cache")));
    assert!(passed.body.starts_with("POST /shop/order?a=1"), "{}", passed.body);
    assert!(passed.body.ends_with(&format!("body: 9 bytes, sum {}\n", sum(body))), "{}", passed.body);
    let session = cookie_pair(passed.header("set-cookie").expect("a session"));
    assert_eq!(get(proxy.address, "/shop", &[("Cookie", &session)]).await.status, 200);
    let waits = send(proxy.address, "POST", "/shop/order", &[], body).await;
    assert_eq!(waits.status, 303);
    assert!(waits.header("location").is_some_and(|url| url.starts_with("http://room.example/?c=acme")), "{waits:?}");
    proxy.stop().await;
}

#[tokio::test]
async fn the_way_without_the_token_leads_nowhere_else() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "").await;
    for (path, location) in [
        ("//evil.example/shop", "/.//evil.example/shop"),
        ("/\\evil.example/shop", "/./\\evil.example/shop"),
        ("/shop//evil.example", "/shop//evil.example"),
    ] {
        let arrived = get(proxy.address, &format!("{path}?queueittoken={}", token()), &[]).await;
        if arrived.status != 400 {
            assert_eq!((arrived.status, arrived.header("location")), (302, Some(location)), "{path}");
        }
    }
    proxy.stop().await;
}

#[tokio::test]
async fn who_keeps_no_cookies_does_not_go_round_and_round() {
    let origin = Origin::start().await;
    let proxy = proxy(origin.address, "").await;
    let mut path = "/shop/page?a=1".to_owned();
    let mut rounds = 0;
    let told = loop {
        let answer = get(proxy.address, &path, &[]).await;
        let Some(location) = answer.header("location") else { break answer };
        path = match location.strip_prefix("http://room.example/") {
            // The room sends back whom it is sent.
            Some(room) => {
                rounds += 1;
                let target = room.split(['?', '&']).find_map(|part| part.strip_prefix("t=")).expect("a target");
                let target = target.replace("%3A", ":").replace("%2F", "/").replace("%3F", "?").replace("%3D", "=");
                format!("{}&queueittoken={}", target.strip_prefix("http://tickets.example").expect("a page"), token())
            }
            None => location.to_owned(),
        };
        assert!(rounds < 5, "goes round and round");
    };
    assert_eq!((told.status, rounds), (403, 2), "{told:?}");
    assert!(told.body.contains("<a href=\"/shop/page?a=1\">"), "{}", told.body);

    let arrived = get(proxy.address, &format!("/shop/page?a=1&queueittoken={}", token()), &[]).await;
    let session = cookie_pair(arrived.header("set-cookie").expect("a session"));
    let marked = arrived.header("location").expect("a page");
    let kept = get(proxy.address, marked, &[("Cookie", &session)]).await;
    assert_eq!((kept.status, kept.header("location")), (302, Some("/shop/page?a=1")));
    proxy.stop().await;
}

//! Answers of this project that deviate from those of the public Cloudflare connector: because it is built on an older
//! engine (3.7.10), or because a defect is mended. Worked out from the record.

use bumpalo::Bump;
use serde_json::{Value, json};
use velvetrope::internal::queueit::Secret;
use velvetrope::internal::queueit::cookie::{self, NewSession, Session, SetCookie};
use velvetrope::internal::queueit::encoding::Enc;

use super::{headers, integer, text};

const KUPVER: &str = "&kupver=cloudflare-1.2.3";

/// All tokens go, and `?` stays where other parameters follow; and [`stays_on_site`].
pub fn url_means_the_same(expected: &mut Value, case: &Value) {
    let url = without_tokens(text(&case["request"], "url"));
    change_header(expected, "location", |_| url);
    stays_on_site(expected, case);
}

/// What redirects to the same site without the token names path and query alone.
pub fn stays_on_site(expected: &mut Value, case: &Value) {
    let url = text(&case["request"], "url");
    let path = url.find("://").and_then(|at| Some(at + 3 + url[at + 3..].find('/')?)).expect("a path");
    change_header(expected, "location", |location| location.strip_prefix(&url[..path]).unwrap_or(location).to_owned());
}

/// What passes with a session is for no shared cache; the site said nothing of caching.
pub fn is_private(expected: &mut Value) {
    if expected["forwarded_to_origin"] == json!(true) {
        let headers = expected["headers"].as_array_mut().expect("headers");
        headers.insert(0, json!(["cache-control", "private, no-cache"]));
    }
}

/// What has a body goes on as a GET.
pub fn see_other(expected: &mut Value) {
    if expected["status"] == json!(302) {
        expected["status"] = json!(303);
    }
}

fn without_tokens(url: &str) -> String {
    let (before, query) = url.split_once('?').unwrap_or((url, ""));
    let is_token = |parameter: &&str| parameter.to_lowercase().starts_with("queueittoken=");
    let others: Vec<&str> = query.split('&').filter(|parameter| !is_token(parameter)).collect();
    if others.concat().is_empty() { before.to_owned() } else { format!("{before}?{}", others.join("&")) }
}

/// A token that cannot be decoded is as bad as any other that is not signed; its visitor does not pass.
pub fn token_is_refused(expected: &mut Value, case: &Value) {
    let url = text(&case["request"], "url");
    let token = url.split("queueittoken=").nth(1).and_then(|rest| rest.split('&').next()).expect("a token");
    let mut location = waiting_room(case, "error/hash/");
    location.push_str(&format!("&queueittoken={token}&ts={}", case["now"]));
    if text(&integration(case), "RedirectLogic") != "EventTargetUrl" {
        location.push_str(&format!("&t={}", Enc(&without_tokens(url))));
    }
    *expected = answer(302, &[("location", &format!("{location}{KUPVER}"))]);
}

/// An ajax header that cannot be decoded tells no page, as in 5.x; its visitor does not pass.
pub fn queue_without_target(expected: &mut Value, case: &Value) {
    let redirect = format!("{}{KUPVER}", Enc(&waiting_room(case, "")));
    let exposed = "x-queueit-redirect";
    *expected = answer(200, &[("access-control-expose-headers", exposed), (exposed, &redirect)]);
}

/// 5.x deletes only cookies it can read.
pub fn unreadable_cookie_stays(expected: &mut Value) {
    expected["headers"].as_array_mut().expect("headers").retain(|header| header[0] != json!("set-cookie"));
}

/// 5.x cancels several rooms at once, with another URL.
pub fn cancel_of_5(expected: &mut Value, case: &Value) {
    let customer = text(case, "customer_id");
    change_header(expected, "location", |location| {
        let (origin, rest) = location.split_once("/cancel/").expect("a cancel URL");
        let (path, query) = rest.split_once('?').expect("a query");
        let rooms: Vec<&str> = path.split('/').skip(1).collect();
        let target = query.split('&').find(|parameter| parameter.starts_with("r=")).expect("a target");
        format!("{origin}/cancel/multiple/{customer}?wrl={}&{target}{KUPVER}", rooms.join("~"))
    });
}

/// 5.x tells more of its configuration, and has no error page for a debug token.
pub fn debug_of_5(expected: &mut Value, case: &Value) {
    stays_on_site(expected, case);
    if expected["headers"].to_string().contains("/error/eventid/") {
        change_header(expected, "location", |location| {
            let to_queue = location.replace("/error/eventid/", "/");
            let is_of_token = |parameter: &&str| parameter.starts_with("queueittoken=") || parameter.starts_with("ts=");
            to_queue.split('&').filter(|parameter| !is_of_token(parameter)).collect::<Vec<_>>().join("&")
        });
    }
    change_header(expected, "set-cookie", |cookie| {
        let cookie = cookie.replace("%26Version%3A", "%26AllowedWaitingRoomIds%3A%26Version%3A");
        let cookie = cookie.replace("%26CookieDomain%3A", "%26QueuePathPrefix%3A%26CookieDomain%3A");
        cookie.replace("; expires", "%26VerifyActionEnabled%3Afalse%26QueueIdUsageLimit%3A; expires")
    });
}

/// The connector keeps only the last Set-Cookie, so that in debug mode sessions are never extended. Every one is kept.
pub fn debug_of_5_and_every_cookie(expected: &mut Value, case: &Value) {
    debug_of_5(expected, case);
    let integration = integration(case);
    let room = text(&integration, "EventId");
    let (headers, now) = (headers(case), integer(case, "now"));
    let arena = Bump::new();
    let name = cookie::name_of(room, &arena);
    let Some(Ok(value)) = cookie::all_of(&headers, name, &arena).next() else { return };
    let Some(session) = Session::parse(value) else { return };
    if integration["ExtendCookieValidity"] != json!(true) || !session.is_extendable() {
        return;
    }
    let extended = NewSession {
        event_id: room,
        queue_id: session.queue_id,
        fixed_validity: "",
        redirect_type: session.redirect_type,
        hashed_ip: session.hashed_ip,
    };
    let extended = SetCookie {
        name,
        value: extended.sign(&Secret::new(text(case, "secret")), now, &arena),
        domain: integration["CookieDomain"].as_str(),
        expires: now + 86_400,
        http_only: integration["IsCookieHttpOnly"] == json!(true),
        secure: integration["IsCookieSecure"] == json!(true),
    };
    let headers = expected["headers"].as_array_mut().expect("headers");
    let debug = headers.iter().position(|header| header[0] == json!("set-cookie")).expect("the debug cookie");
    headers.insert(debug, json!(["set-cookie", extended.header(&arena)]));
}

/// A pushed configuration is read whole, or not at all.
pub fn push_is_refused(expected: &mut Value) {
    let headers = [("x-queueit-connector", "cloudflare")];
    *expected = json!({ "forwarded_to_origin": false, "status": 400, "headers": headers, "body": "Fail!" });
}

/// A pushed configuration is UTF-8, not Latin-1.
pub fn utf8_is_kept(expected: &mut Value, case: &Value) {
    let body: Value = serde_json::from_str(text(&case["request"], "body")).expect("a body");
    let hex = text(&body, "integrationInfo");
    let bytes = (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex"));
    let stored = String::from_utf8(bytes.collect()).expect("UTF-8");
    expected["stored"][0]["value"] = json!(stored);
}

fn integration(case: &Value) -> Value {
    let stored: Value = serde_json::from_str(text(case, "stored_config")).expect("a configuration");
    stored["Integrations"][0].clone()
}

/// A URL of the waiting room up to the layout.
fn waiting_room(case: &Value, path: &str) -> String {
    let stored: Value = serde_json::from_str(text(case, "stored_config")).expect("a configuration");
    let integration = &stored["Integrations"][0];
    let mut url = format!(
        "https://{}/{path}?c={}&e={}&ver=v3-javascript-3.7.10&cver={}&man={}",
        text(integration, "QueueDomain"),
        Enc(text(case, "customer_id")),
        Enc(text(integration, "EventId")),
        stored["Version"],
        Enc(text(integration, "Name")),
    );
    for (parameter, key) in [("cid", "Culture"), ("l", "LayoutName")] {
        if !text(integration, key).is_empty() {
            url.push_str(&format!("&{parameter}={}", Enc(text(integration, key))));
        }
    }
    url
}

/// An answer that must not be cached.
fn answer(status: u16, more: &[(&str, &str)]) -> Value {
    let mut headers = vec![
        ("cache-control", "no-cache, no-store, must-revalidate, max-age=0"),
        ("expires", "Fri, 01 Jan 1990 00:00:00 GMT"),
        ("pragma", "no-cache"),
        ("x-queueit-connector", "cloudflare"),
    ];
    headers.extend(more);
    headers.sort();
    json!({ "forwarded_to_origin": false, "status": status, "headers": headers, "body": "" })
}

fn change_header(expected: &mut Value, name: &str, change: impl FnOnce(&str) -> String) {
    let headers = expected["headers"].as_array_mut().expect("headers");
    if let Some(header) = headers.iter_mut().find(|header| header[0] == json!(name)) {
        header[1] = json!(change(header[1].as_str().expect("a text")));
    }
}

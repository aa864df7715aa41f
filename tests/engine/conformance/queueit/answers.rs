//! Answers of this project that deviate from those of the engine, worked out from the record.

use bumpalo::Bump;
use serde_json::{Value, json};
use velvetrope::internal::policy::Published;
use velvetrope::internal::queueit::Secret;
use velvetrope::internal::queueit::cookie::{self, NewSession, Session};

use velvetrope::internal::queueit::encoding::Enc;

use super::{headers, integer, text};

/// A forged or expired session is not signed anew.
pub fn no_cookie(expected: &mut Value) {
    expected["set_cookies"] = json!([]);
}

/// A session whose hash is that of the text in lower case, as it is written, is as good as any other, whatever other
/// cookies of its name there are.
pub fn session_is_recognised(expected: &mut Value, case: &Value) {
    let secret = Secret::new(text(case, "secret"));
    let integration = &case["integration"]["Integrations"][0];
    let name = format!("{}{}", cookie::NAME_PREFIX, text(integration, "EventId"));
    let (headers, arena) = (headers(case), Bump::new());
    let mut twins = cookie::all_of(&headers, &name, &arena);
    let Some(session) = twins.find_map(|twin| Session::parse(twin.ok()?)) else { return };
    let lower = session.event_id.to_lowercase();
    let Session { queue_id, fixed_validity, redirect_type, issue_time, hashed_ip, .. } = session;
    let signed = [&*lower, queue_id, fixed_validity, redirect_type, issue_time, hashed_ip];
    if expected["do_redirect"] != json!(true) || !secret.sign(&signed).is(session.hash) {
        return;
    }
    expected["do_redirect"] = json!(false);
    expected["redirect_url"] = Value::Null;
    expected["queue_id"] = json!(session.queue_id);
    expected["redirect_type"] = json!(session.redirect_type);
    expected["set_cookies"] = match integration["ExtendCookieValidity"] == json!(true) && session.is_extendable() {
        false => json!([]),
        true => {
            let now = integer(case, "now");
            let extended = NewSession {
                event_id: text(integration, "EventId"),
                queue_id: session.queue_id,
                fixed_validity: "",
                redirect_type: session.redirect_type,
                hashed_ip: session.hashed_ip,
            };
            json!([{
                "name": name,
                "value": extended.sign(&secret, now, &arena),
                "domain": integration["CookieDomain"],
                "expires_at": now + 86_400,
                "expires_in": 86_400,
                "http_only": integration["IsCookieHttpOnly"] == json!(true),
                "secure": integration["IsCookieSecure"] == json!(true),
            }])
        }
    };
}

/// A token that no room writes is as bad as any other that is not signed; its visitor does not pass.
pub fn token_is_refused(expected: &mut Value, case: &Value) {
    let (outcome, token) = (&case["expect"], text(case, "token"));
    let is_refused_already = outcome["error"].is_null() && outcome["do_redirect"] != json!(false);
    // 0 in decimal is nothing else.
    if is_refused_already || token.contains("~cv_0~") {
        return;
    }
    let integration = &case["integration"]["Integrations"][0];
    let url = format!("{}&queueittoken={token}&ts={}", waiting_room(case, "error/hash/"), case["now"]);
    *expected = json!({
        "action": "Queue",
        "event_id": integration["EventId"],
        "queue_id": null,
        "redirect_type": null,
        "action_name": integration["Name"],
        "waiting_rooms": integration["InvolvedWaitingRoomIds"].as_array().cloned().unwrap_or_default(),
        "is_ajax": false,
        "do_redirect": true,
        "redirect_url": with_target(url, case),
        "set_cookies": [],
        "matched_index": outcome["matched_index"],
        "matched_name": outcome["matched_name"],
    });
}

/// A session that no connector writes is none: its cookie is deleted, and its visitor queues.
pub fn session_is_refused(expected: &mut Value, case: &Value) {
    let integration = &case["integration"]["Integrations"][0];
    if expected["do_redirect"] != json!(false) || !text(case, "token").is_empty() {
        return;
    }
    expected["do_redirect"] = json!(true);
    expected["redirect_url"] = json!(with_target(waiting_room(case, ""), case));
    expected["queue_id"] = Value::Null;
    expected["redirect_type"] = Value::Null;
    expected["set_cookies"] = json!([{
        "name": format!("{}{}", cookie::NAME_PREFIX, text(integration, "EventId")),
        "value": "",
        "domain": integration["CookieDomain"],
        "expires_at": 0,
        "expires_in": null,
        "http_only": integration["IsCookieHttpOnly"] == json!(true),
        "secure": integration["IsCookieSecure"] == json!(true),
    }]);
}

/// Nor is there anything to cancel then.
pub fn nothing_to_cancel(expected: &mut Value, case: &Value) {
    expected["do_redirect"] = json!(false);
    expected["redirect_url"] = Value::Null;
    expected["queue_id"] = Value::Null;
    expected["redirect_type"] = case["expect"]["action_name"].clone();
    expected["action_name"] = Value::Null;
    expected["set_cookies"] = json!([]);
}

/// A URL of the waiting room up to the layout.
fn waiting_room(case: &Value, path: &str) -> String {
    let integration = &case["integration"]["Integrations"][0];
    let prefix = match text(integration, "QueuePathPrefix").trim_matches('/') {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    };
    let mut url = format!(
        "https://{}/{prefix}{path}?c={}&e={}&ver=javascript-5.0.1&cver={}&man={}",
        text(integration, "QueueDomain").trim_end_matches('/'),
        Enc(text(case, "customer_id")),
        Enc(text(integration, "EventId")),
        case["integration"]["Version"],
        Enc(text(integration, "Name")),
    );
    for (parameter, key) in [("cid", "Culture"), ("l", "LayoutName")] {
        if !text(integration, key).is_empty() {
            url.push_str(&format!("&{parameter}={}", Enc(text(integration, key))));
        }
    }
    url
}

fn with_target(url: String, case: &Value) -> String {
    let integration = &case["integration"]["Integrations"][0];
    let target = match text(integration, "RedirectLogic") {
        "ForcedTargetUrl" => text(integration, "ForcedTargetUrl"),
        "EventTargetUrl" => "",
        _ => case["pure_url"].as_str().unwrap_or(text(&case["request"], "url")),
    };
    if target.is_empty() { url } else { format!("{url}&t={}", Enc(target)) }
}

/// Every JSON parser has its own words for what is wrong.
pub fn json_error_is_ours(expected: &mut Value, case: &Value) {
    if expected["error"]["kind"] != json!("SyntaxError") {
        return;
    }
    let error = Published::parse(text(case, "integration_raw"), false).expect_err("an error, as recorded");
    for cookie in expected["set_cookies"].as_array_mut().expect("cookies") {
        let told = text(cookie, "value").split("|Exception=").next().unwrap_or_default();
        cookie["value"] = json!(format!("{told}|Exception={error}"));
    }
}

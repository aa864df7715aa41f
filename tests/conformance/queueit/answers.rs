//! Answers of this project that deviate from those of the engine, worked out from the record.

use bumpalo::Bump;
use serde_json::{Value, json};
use velvetrope::policy::Published;
use velvetrope::session::Secret;
use velvetrope::session::cookie::{self, NewSession, Session};

use super::{headers, integer, text};

/// A forged or expired session is not signed anew.
pub fn no_cookie(expected: &mut Value) {
    expected["set_cookies"] = json!([]);
}

/// A session whose hash is that of the text in lower case, as it is written, is as good as any other.
pub fn session_is_recognised(expected: &mut Value, case: &Value) {
    let secret = Secret::new(text(case, "secret"));
    let integration = &case["integration"]["Integrations"][0];
    let name = format!("{}{}", cookie::NAME_PREFIX, text(integration, "EventId"));
    let (headers, arena) = (headers(case), Bump::new());
    let Ok(Some(value)) = cookie::find(&headers, &name, &arena) else { return };
    let session = Session::parse(value);
    let lower = (session.event_id.to_lowercase(), session.redirect_type.to_lowercase());
    let signed = [&lower.0, session.queue_id, session.fixed_validity, &lower.1, session.issue_time, session.hashed_ip];
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

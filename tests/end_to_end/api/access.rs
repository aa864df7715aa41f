//! Who may do what.

use http::{Method, Request};
use serde_json::{Value, json};
use velvetrope_manage::failure::Failure;
use velvetrope_manage::store::tokens::Scope;

use super::support::{Site, rule};

fn with_token(site: &Site, token: &str) -> u16 {
    let request = Request::get("/client/v4/zones").header("authorization", format!("Bearer {token}"));
    site.send(request.body(Vec::new()).unwrap()).status
}

#[test]
fn nothing_is_shown_without_a_token() {
    let site = Site::new();
    for request in [
        Request::get("/client/v4/zones").body(Vec::new()),
        Request::get("/client/v4/zones").header("authorization", "Basic abc").body(Vec::new()),
        Request::get("/client/v4/zones").header("authorization", "Bearer ").body(Vec::new()),
        Request::get("/client/v4/zones").header("x-auth-email", "a@b.example").body(Vec::new()),
    ] {
        let (status, code, message, _) = site.send(request.unwrap()).refusal();
        assert_eq!((status, code), (401, 10000), "{message}");
    }
    let older = Request::get("/client/v4/zones").header("x-auth-key", &site.token).body(Vec::new());
    assert_eq!(site.send(older.unwrap()).status, 200);
    // The description of the API tells nothing of what is managed.
    let description = site.send(Request::get("/client/v4/openapi.json").body(Vec::new()).unwrap());
    assert_eq!((description.status, &description.body["openapi"]), (200, &json!("3.1.0")));
}

#[test]
fn a_token_that_may_look_changes_nothing() {
    let mut site = Site::new();
    let rules = site.rules_of("presale");
    let made: Result<_, Failure> = site.store.change("test", |store| Ok(store.create_token("viewer", Scope::Read)?));
    site.token = made.unwrap().1;
    assert_eq!(site.get(&rules), json!([]));
    let (status, code, ..) = site.call(Method::POST, &rules, &rule("ssl")).refusal();
    assert_eq!((status, code), (403, 1012));
    assert_eq!(site.get("/user/tokens/verify")["status"], "active");
}

#[test]
fn a_revoked_token_is_wrong() {
    let site = Site::new();
    let revoked: Result<_, Failure> = site.store.change("test", |store| {
        let token = store.tokens()?.remove(0);
        Ok((store.revoke_token(&token.id)?, store.revoke_token(&token.id)?))
    });
    assert_eq!(revoked.unwrap(), (true, false));
    assert_eq!(with_token(&site, &site.token), 401);
}

#[test]
fn no_secret_is_kept() {
    let site = Site::new();
    let kept: Result<_, Failure> = site.store.read(|store| Ok(format!("{:?}", store.tokens()?)));
    assert!(!kept.unwrap().contains(&site.token));
    let trail = site.get("/zones/site/waiting_rooms/audit").to_string();
    assert!(!trail.contains(&site.token) && !trail.contains("digest"), "{trail}");
}

#[test]
fn who_guesses_keeps_nobody_out() {
    let site = Site::new();
    for _ in 0..1_000 {
        assert_eq!(with_token(&site, "vr_0000"), 401);
    }
    assert_eq!(with_token(&site, &site.token), 200);
}

#[test]
fn paths_and_methods_that_are_not_there_are_refused() {
    let site = Site::new();
    assert_eq!(site.call(Method::GET, "/zones/site/firewall", &Value::Null).refusal().0, 404);
    let (status, _, message, _) = site.call(Method::DELETE, "/zones/site/waiting_rooms", &Value::Null).refusal();
    assert_eq!(status, 405);
    assert!(message.contains("GET, POST"), "{message}");
    assert_eq!(site.send(Request::get("/elsewhere").body(Vec::new()).unwrap()).status, 404);
}

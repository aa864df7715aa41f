//! Cases of the engine: decided from the integration JSON, or by the local-config API.

use std::cell::RefCell;

use bumpalo::Bump;
use serde_json::{Map, Value, json};
use velvetrope::internal::policy::{ConfigError, Number, Published};
use velvetrope::internal::program::{Entry, Program, Site, Verdict};
use velvetrope::internal::queueit::cookie::SetCookie;
use velvetrope::internal::queueit::encoding::Enc;
use velvetrope::internal::queueit::token::Token;
use velvetrope::internal::queueit::{
    CancelConfig, ClientIp, Configuration, Decision, DirectPassCall, DirectPassReply, DirectPassSettings, Exception,
    Extension, Failure, NoAnswer, Outside, QueueConfig, QueueIdUse, Secrets, Services, TriggerView, Visit,
    cancel_local, extend, queue_local, resolve,
};
use velvetrope::internal::request::{NoFacts, RequestParts, RequestView};

use super::{headers, integer, list, text};

/// What the connector answers, in the shape of the record's `expect`.
pub fn answer(case: &Value) -> Value {
    let arena = Bump::new();
    let headers = headers(case);
    let secrets = Secrets::new(text(case, "secret"), None);
    let mocks = Mocks::new(case);
    let visit = Visit {
        customer_id: text(case, "customer_id"),
        secrets: &secrets,
        sdk: "javascript-5.0.1",
        url: text(&case["request"], "url"),
        pure_url: pure_url(case),
        token: Token::parse(text(case, "token")),
        headers: &headers,
        client_ip: ClientIp::Text(text(&case["request"], "ip")),
        now_ms: integer(case, "now_ms"),
        waiting_room_origin: None,
        shared_sessions: true,
        token_leeway: 0,
        answers_scripts: false,
        services: mocks.services(),
        arena: &arena,
    };
    let mut answer = match text(case, "api") {
        "" => by_configuration(case, &visit, &mocks),
        "queue_local" => local_queue(case, &visit, &mocks),
        "cancel_local" => local_cancel(case, &visit, &mocks),
        "extend" => extension(case, &visit),
        api => panic!("no such api: {api}"),
    };
    mocks.tell_calls(&mut answer);
    Value::Object(answer)
}

fn pure_url(case: &Value) -> &str {
    case["pure_url"].as_str().unwrap_or(text(&case["request"], "url"))
}

type Answer = Map<String, Value>;

fn by_configuration(case: &Value, visit: &Visit<'_>, mocks: &Mocks<'_>) -> Answer {
    let configuration = match case["integration_raw"].as_str() {
        Some(raw) => raw.to_owned(),
        None => case["integration"].to_string(),
    };
    let published = Published::parse(&configuration, case["mocks"]["normalization"] == json!(true));
    let matched = published.as_ref().ok().and_then(|published| matching(case, published));
    let configuration = match &published {
        Err(error) => Configuration::Refused(error),
        Ok(published) => {
            let matched = matched.map(|index| &published.all[index].0);
            Configuration::InForce { version: &published.version, matched }
        }
    };
    let mut answer = describe(resolve(visit, configuration, mocks), visit);
    // The record tells what matched even where the engine did not come to look, and its name as it is written.
    let matched = matched.filter(|_| !visit.pure_url.is_empty());
    let name = matched.map_or(Value::Null, |index| case["integration"]["Integrations"][index]["Name"].clone());
    answer.insert("matched_index".into(), json!(matched));
    answer.insert("matched_name".into(), name);
    answer
}

fn matching(case: &Value, published: &Published) -> Option<usize> {
    let entries = published.all.iter().map(|(_, when)| Entry { when: when.clone(), bypass: Vec::new() }).collect();
    let program = Program::compile(&Site { entries, ..Site::default() });
    let headers = headers(case);
    let arena = Bump::new();
    let parts = RequestParts {
        method: text(&case["request"], "method"),
        url: text(&case["request"], "url"),
        version: "HTTP/1.1",
        headers: &headers,
        client_ip: text(&case["request"], "ip").parse().ok(),
        body: text(&case["request"], "body"),
        received_ms: integer(case, "now_ms"),
        facts: &NoFacts,
    };
    let view = TriggerView::new(RequestView::new(parts, &arena), pure_url(case));
    match program.evaluate(&view, &arena) {
        Verdict::Nothing => None,
        Verdict::Bypassed { entry, .. } | Verdict::Matched { entry } => Some(entry),
    }
}

fn local_queue(case: &Value, visit: &Visit<'_>, mocks: &Mocks<'_>) -> Answer {
    let local = &case["local_config"];
    let rooms = strings(local, "allowed_waiting_rooms");
    let version = local["version"].to_string();
    let config = local.is_object().then(|| QueueConfig {
        event_id: local["event_id"].as_str(),
        involved_rooms: &rooms,
        layout: local["layout_name"].as_str(),
        culture: local["culture"].as_str(),
        queue_domain: local["queue_domain"].as_str(),
        queue_path_prefix: local["queue_path_prefix"].as_str(),
        extend_cookie_validity: local["extend_cookie_validity"] == json!(true),
        cookie_validity_minute: number(&local["cookie_validity_minute"]),
        cookie_domain: local["cookie_domain"].as_str(),
        cookie_http_only: local["is_cookie_http_only"] == json!(true),
        cookie_secure: local["is_cookie_secure"] == json!(true),
        version: &version,
        action_name: local["action_name"].as_str().or(Some("unspecified")),
        verify_queue_id: false,
        queue_id_usage_limit: Number::Missing,
    });
    describe(queue_local(visit, config.as_ref(), visit.pure_url, mocks), visit)
}

fn local_cancel(case: &Value, visit: &Visit<'_>, mocks: &Mocks<'_>) -> Answer {
    let local = &case["local_config"];
    let rooms = strings(local, "waiting_rooms");
    let rooms: Vec<&str> = rooms.iter().map(String::as_str).collect();
    let version = local["version"].to_string();
    let config = local.is_object().then(|| CancelConfig {
        waiting_rooms: &rooms,
        queue_domain: local["queue_domain"].as_str(),
        queue_path_prefix: local["queue_path_prefix"].as_str(),
        cookie_domain: local["cookie_domain"].as_str(),
        cookie_http_only: local["is_cookie_http_only"] == json!(true),
        cookie_secure: local["is_cookie_secure"] == json!(true),
        version: &version,
        action_name: local["action_name"].as_str().or(Some("unspecified")),
    });
    describe(cancel_local(visit, config.as_ref(), visit.pure_url, mocks), visit)
}

fn extension(case: &Value, visit: &Visit<'_>) -> Answer {
    let local = &case["local_config"];
    let extension = Extension {
        event_id: text(local, "event_id"),
        cookie_validity_minute: local["cookie_validity_minute"].as_f64().unwrap_or_default(),
        cookie_domain: local["cookie_domain"].as_str(),
        cookie_http_only: local["is_cookie_http_only"] == json!(true),
        cookie_secure: local["is_cookie_secure"] == json!(true),
    };
    match extend(visit, &extension) {
        Ok(cookie) => object(json!({ "set_cookies": described(cookie.as_slice(), visit) })),
        Err(exception) => failed(&Failure { exception, cookies: &[] }, visit),
    }
}

fn describe(outcome: Result<Decision<'_>, Failure<'_>>, visit: &Visit<'_>) -> Answer {
    match outcome {
        Ok(decision) => decided(&decision, visit),
        Err(failure) => failed(&failure, visit),
    }
}

fn decided(decision: &Decision<'_>, visit: &Visit<'_>) -> Answer {
    let mut answer = object(json!({
        "action": decision.kind.map(|kind| kind.name()),
        "event_id": decision.event_id,
        "queue_id": decision.queue_id,
        "redirect_type": decision.redirect_type,
        "action_name": decision.action_name,
        "waiting_rooms": decision.waiting_rooms,
        "is_ajax": decision.ajax,
        "do_redirect": decision.redirect.is_some(),
        "redirect_url": decision.redirect,
        "set_cookies": described(decision.cookies, visit),
    }));
    if let (Some(url), Some(true)) = (decision.redirect, decision.ajax) {
        let header = json!({ "name": "x-queueit-redirect", "value": Enc(url).to_string() });
        answer.insert("ajax_header".into(), header);
    }
    answer
}

fn failed(failure: &Failure<'_>, visit: &Visit<'_>) -> Answer {
    let kind = match &failure.exception {
        Exception::Outside(_) => "MockError",
        exception => exception.kind(),
    };
    let message = match &failure.exception {
        Exception::Configuration(ConfigError::Syntax { .. } | ConfigError::Shape { .. }) => None,
        exception => Some(exception.to_string()),
    };
    object(json!({
        "error": { "kind": kind, "message": message },
        "set_cookies": described(failure.cookies, visit),
    }))
}

fn described(cookies: &[SetCookie<'_>], visit: &Visit<'_>) -> Vec<Value> {
    let describe = |cookie: &SetCookie<'_>| {
        json!({
            "name": cookie.name,
            "value": cookie.value,
            "domain": cookie.domain,
            "expires_at": cookie.expires,
            "expires_in": (cookie.expires != 0).then(|| cookie.expires - visit.now()),
            "http_only": cookie.http_only,
            "secure": cookie.secure,
        })
    };
    cookies.iter().map(describe).collect()
}

fn object(value: Value) -> Answer {
    match value {
        Value::Object(object) => object,
        _ => unreachable!("made as an object"),
    }
}

fn strings(local: &Value, key: &str) -> Vec<String> {
    list(local, key).iter().map(|item| item.as_str().expect("a room").to_owned()).collect()
}

fn number(value: &Value) -> Number {
    value.as_f64().map_or(Number::Null, Number::Is)
}

/// Whoever is asked, as the record says, and what was asked.
struct Mocks<'c> {
    mocks: &'c Value,
    api_key: &'c Value,
    calls: RefCell<Answer>,
}

impl<'c> Mocks<'c> {
    fn new(case: &'c Value) -> Self {
        Mocks { mocks: &case["mocks"], api_key: &case["api_key"], calls: RefCell::default() }
    }

    fn called(&self, service: &str, call: Value) {
        let mut calls = self.calls.borrow_mut();
        let list = calls.entry(service).or_insert_with(|| json!([]));
        list.as_array_mut().expect("made as a list").push(call);
    }

    fn tell_calls(self, answer: &mut Answer) {
        answer.extend(self.calls.into_inner());
    }
}

impl Outside for Mocks<'_> {
    fn services(&self) -> Services<'_> {
        let direct_pass = &self.mocks["direct_pass"];
        Services {
            verify_queue_id: self.mocks["verify"].is_object() && self.mocks["verify"]["service"] != json!("null"),
            enqueue_token: self.mocks["enqueue_token"].is_string(),
            direct_pass: direct_pass.is_object().then(|| DirectPassSettings {
                disabled: direct_pass["disabled"] == json!(true),
                proxy_key: text(direct_pass, "proxy_key"),
                timeout_ms: direct_pass["timeout_ms"].as_f64(),
            }),
        }
    }

    fn verify_queue_id(&self, asked: &QueueIdUse<'_>) -> Result<bool, NoAnswer> {
        let limit = match asked.usage_limit {
            Number::Is(limit) => super::number(limit),
            Number::Null | Number::Missing => Value::Null,
        };
        self.called(
            "verify_calls",
            json!({
                "customer_id": asked.customer_id,
                "waiting_room_id": asked.event_id,
                "queue_id": asked.queue_id,
                "queue_id_usage_limit": limit,
                "api_key": self.api_key,
                "action_name": asked.action_name,
            }),
        );
        self.mocks["verify"]["allowed"].as_bool().ok_or("verify failed".into())
    }

    fn direct_pass(&self, asked: &DirectPassCall<'_>) -> Result<DirectPassReply, NoAnswer> {
        self.called(
            "direct_pass_calls",
            json!({
                "customer_id": asked.customer_id,
                "waiting_room_id": asked.event_id,
                "action_name": asked.action_name,
                "protected_url": asked.protected_url,
                "proxy_key": asked.proxy_key,
                "client_ip": asked.client_ip,
                "user_agent": asked.user_agent,
                "referer": asked.referer,
                "timeout_ms": asked.timeout_ms,
                "sdk_version": asked.sdk,
            }),
        );
        let mock = &self.mocks["direct_pass"];
        match text(mock, "outcome") {
            "error" => Err("direct pass failed".into()),
            outcome => {
                let token = mock["token"].as_str().map(str::to_owned);
                Ok(DirectPassReply { has_passed: outcome == "pass", token })
            }
        }
    }

    fn enqueue_token(&self, event_id: &str) -> Result<Option<String>, NoAnswer> {
        self.called("enqueue_calls", json!(event_id));
        Ok(self.mocks["enqueue_token"].as_str().map(str::to_owned))
    }
}

//! Whole HTTP exchanges of the public Cloudflare connector, against the host-independent wrapper.

use bumpalo::Bump;
use serde_json::{Value, json};
use velvetrope::internal::edge::{self, FailureClass, Identity, Incoming, Outcome, Reply, WayBack};
use velvetrope::internal::policy::{ConfigError, Policy, Published, Settings};
use velvetrope::internal::program::Scratch;
use velvetrope::internal::queueit::Secrets;
use velvetrope::internal::request::{CanonicalUrl, NoFacts};

use super::{headers, integer, text};

/// What the wrapper answers, in the shape of the record's `expect`.
pub fn answer(case: &Value) -> Value {
    let identity = Identity {
        sdk: "v3-javascript-3.7.10".into(),
        platform: "cloudflare-1.2.3".into(),
        connector: "cloudflare".into(),
    };
    let secrets = Secrets::new(text(case, "secret"), None);
    let request = &case["request"];
    if edge::push::is_push(text(request, "url")) {
        let arena = Bump::new();
        let compiles = |text: &str| Published::parse(text, false).map(|_| ()).map_err(|error| error.to_string());
        let push = edge::push::accept(text(request, "body").as_bytes(), &secrets, &identity, &arena, compiles);
        let mut answer = describe(push.reply);
        if let Some(stored) = push.accepted {
            answer["stored"] = json!([{ "key": "info", "value": stored }]);
        }
        return answer;
    }
    match policy(case) {
        Ok(policy) => handle(case, edge::Site { policy: &policy, secrets: &secrets, identity: &identity }),
        Err(class) => {
            let scratch = &mut Scratch::default();
            describe(edge::handle_failure(class, &Default::default(), &identity, "no configuration", scratch))
        }
    }
}

fn handle(case: &Value, site: edge::Site<'_>) -> Value {
    let request = &case["request"];
    let body = match case["read_request_body"] == json!(true) {
        true => String::from_utf16_lossy(&text(request, "body").encode_utf16().take(2048).collect::<Vec<_>>()),
        false => String::new(),
    };
    let url = match CanonicalUrl::of(text(request, "url")) {
        Ok(url) => url,
        Err(malformed) => return describe(edge::refuse(malformed, site.identity, &mut Scratch::default())),
    };
    let incoming = Incoming {
        method: text(request, "method"),
        url: &url,
        version: "HTTP/1.1",
        headers: &headers(case),
        client_ip: text(&request["headers"], "cf-connecting-ip").parse().ok(),
        body: &body,
        has_body: !body.is_empty(),
        now_ms: integer(case, "now_ms"),
        facts: &NoFacts,
    };
    describe(edge::handle(site, &incoming, &mut Scratch::default()))
}

fn policy(case: &Value) -> Result<Policy, FailureClass> {
    let stored = case["stored_config"].as_str().ok_or(FailureClass::NoConfiguration)?;
    let published = Published::parse(stored, false).map_err(|error| match error {
        ConfigError::Empty => FailureClass::NoConfiguration,
        _ => FailureClass::InvalidConfiguration,
    })?;
    let settings = Settings { shared_sessions: true, ..Settings::new(text(case, "customer_id")) };
    Ok(Policy::of_integrations(settings, published))
}

fn describe(reply: Reply<'_>) -> Value {
    let (forwarded, status, headers, body) = match reply.outcome {
        Outcome::Forward { response_headers, .. } => (true, 200, response_headers, "origin"),
        Outcome::Answer { status, headers, body } => (false, status, headers, body),
    };
    // The site said nothing of caching.
    let private = edge::private([]);
    let mut headers = headers.to_vec();
    if let Outcome::Forward { way_back: WayBack::Private, .. } = reply.outcome {
        headers.push(("cache-control", &private.cache_control));
    }
    headers.sort_by_key(|(name, _)| *name);
    json!({ "forwarded_to_origin": forwarded, "status": status, "headers": headers, "body": body })
}

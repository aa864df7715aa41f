//! Deviations that hold for every case that they are about.

use blake2::Blake2sMac;
use blake2::digest::consts::U16;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use velvetrope::internal::queueit::Secret;
use velvetrope::internal::queueit::cookie::{NAME_PREFIX, Session};
use velvetrope::internal::queueit::encoding::encode_uri_component;

use super::text;

/// Changes what is expected of a case.
pub fn apply(answer: &str, expected: &mut Value, case: &Value) {
    match answer {
        "a session is sealed" => sealed(expected, text(case, "secret")),
        "a deletion is for the host, too" => for_the_host_too(expected),
        "a session without a queue id comes with a seal" => {}
        other => panic!("deviations.toml: no such answer: {other}"),
    }
}

/// Changes what is asked, and says whether it has.
pub fn ask(answer: &str, case: &mut Value) -> bool {
    if answer != "a session without a queue id comes with a seal" {
        return false;
    }
    let secret = text(case, "secret").to_owned();
    let headers = case.get_mut("request").and_then(|request| request["headers"].as_object_mut());
    let mut cookies = headers.into_iter().flatten().filter(|(name, _)| name.eq_ignore_ascii_case("cookie"));
    let Some((_, header)) = cookies.next() else { return false };
    let before = header.as_str().expect("a text");
    let with_seals = before.split(';').map(|cookie| with_seal_for_queue_id(cookie, &secret));
    let with_seals = with_seals.collect::<Vec<_>>().join(";");
    let has_changed = with_seals != before;
    *header = json!(with_seals);
    has_changed
}

/// Only what is signed gets a seal.
fn with_seal_for_queue_id(cookie: &str, secret: &str) -> String {
    let sealed = || {
        let (name, value) = cookie.split_once('=').filter(|(name, _)| name.trim().starts_with(NAME_PREFIX))?;
        let value = percent_encoding::percent_decode_str(value).decode_utf8().ok()?;
        let session = Session::parse(&value).filter(|session| session.queue_id.is_empty())?;
        let Session { event_id, fixed_validity, redirect_type, issue_time, hashed_ip, hash, .. } = session;
        let signed = [event_id, fixed_validity, redirect_type, issue_time, hashed_ip];
        let is_signed = Secret::new(secret).sign(&signed).is(hash);
        is_signed.then(|| format!("{name}={}", encode_uri_component(&with_seal(&value, secret))))
    };
    sealed().unwrap_or_else(|| cookie.to_owned())
}

/// Every session that is written has one field more.
fn sealed(expected: &mut Value, secret: &str) {
    for cookie in list(expected, "set_cookies") {
        if text(cookie, "name").starts_with(NAME_PREFIX) {
            cookie["value"] = json!(with_seal(text(cookie, "value"), secret));
        }
    }
    for header in list(expected, "headers").iter_mut().filter(|header| header[0] == json!("set-cookie")) {
        let cookie = header[1].as_str().expect("a text");
        let Some((name, rest)) = cookie.split_once('=').filter(|(name, _)| name.starts_with(NAME_PREFIX)) else {
            continue;
        };
        let (value, attributes) = rest.split_once(';').expect("attributes");
        let value = percent_encoding::percent_decode_str(value).decode_utf8().expect("UTF-8");
        let value = with_seal(&value, secret);
        header[1] = json!(format!("{name}={};{attributes}", encode_uri_component(&value)));
    }
}

/// Worked out anew here, as the seal is described.
fn with_seal(value: &str, secret: &str) -> String {
    if value.is_empty() || value.contains("&Seal=") {
        return value.to_owned();
    }
    let fields = ["EventId=", "QueueId=", "FixedValidityMins=", "RedirectType=", "IssueTime=", "Hip="];
    let (signed, hash) = value.rsplit_once("&Hash=").expect("a hash");
    let starts: Vec<_> = fields.iter().map(|name| signed.find(name)).collect();
    let parts: Vec<&str> = fields
        .iter()
        .zip(&starts)
        .map(|(name, start)| {
            let Some(start) = start else { return "" };
            let end = starts.iter().flatten().filter(|other| *other > start).min().map_or(signed.len(), |end| end - 1);
            &signed[start + name.len()..end]
        })
        .collect();
    let hash = (0..32).map(|at| u8::from_str_radix(&hash[2 * at..2 * at + 2], 16).expect("hex"));
    let mut message: Vec<u8> = std::iter::once(1).chain(hash).collect();
    parts.iter().for_each(|part| message.extend((part.len() as u16).to_be_bytes()));
    parts.iter().for_each(|part| message.extend(part.as_bytes()));
    let key = hmac(secret.as_bytes(), b"velvetrope\0session seal\x001");
    let mac = Blake2sMac::<U16>::new_from_slice(&key).expect("a key of 32 bytes");
    let seal: String =
        mac.chain_update(&message).finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{value}&Seal={seal}")
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.chain_update(message).finalize().into_bytes().to_vec()
}

/// What is deleted for a domain is deleted for the host alone, too.
fn for_the_host_too(expected: &mut Value) {
    let is_deletion = |cookie: &Value| cookie["expires_at"] == json!(0) && !text(cookie, "domain").is_empty();
    repeat(list(expected, "set_cookies"), |cookie| {
        is_deletion(cookie).then(|| {
            let mut of_host = cookie.clone();
            of_host["domain"] = Value::Null;
            of_host
        })
    });
    repeat(list(expected, "headers"), |header| {
        let cookie = header[1].as_str().filter(|cookie| cookie.contains("01 Jan 1970"))?;
        let (before, rest) = cookie.split_once(" domain=")?;
        let (_, after) = rest.split_once(';')?;
        Some(json!(["set-cookie", format!("{before}{after}")]))
    });
}

/// Adds behind some entries what belongs there.
fn repeat(entries: &mut Vec<Value>, twin: impl Fn(&Value) -> Option<Value>) {
    let with_twins = entries.drain(..).flat_map(|entry| {
        let twin = twin(&entry);
        std::iter::once(entry).chain(twin)
    });
    *entries = with_twins.collect();
}

fn list<'e>(expected: &'e mut Value, key: &str) -> &'e mut Vec<Value> {
    match expected.get_mut(key).and_then(Value::as_array_mut) {
        Some(list) => list,
        None => Box::leak(Box::default()),
    }
}

//! Enqueue tokens, form QT1: what a site tells the waiting room about a visitor it sends there
//! (docs/protocol/queue-it.md#enqueue-token).
//!
//! `header.payload.hash`, each part base64url without padding. The hash is a plain SHA-256 over the first two parts and
//! the secret, as the room expects it; so a secret that signs these should sign nothing else that is as weak.

use std::fmt::Write;

use aes::Aes256;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeEncrypt, KeyIvInit};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use md5::Md5;
use sha2::{Digest, Sha256};

use super::Secret;

/// What an enqueue token says. Empty text is left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct EnqueueToken<'e> {
    /// Queue-it's customer id.
    pub customer_id: &'e str,
    /// The waiting room.
    pub event_id: &'e str,
    /// Time of issue, milliseconds since the Unix epoch.
    pub issued_ms: i64,
    /// How long it is valid, in milliseconds; for ever if `None`.
    pub validity_ms: Option<i64>,
    /// A random UUID (version 4), new for every token.
    pub token_identifier: &'e str,
    /// The visitor's address.
    pub ip: &'e str,
    /// The request's X-Forwarded-For.
    pub x_forwarded_for: &'e str,
    /// The visitor's key, a random UUID (version 4), if keys are in use.
    pub key: &'e str,
    /// Anything else, in order. Names should differ.
    pub custom_data: &'e [(&'e str, &'e str)],
}

impl EnqueueToken<'_> {
    /// The signed token, with its payload encrypted.
    pub fn sign(&self, secret: &Secret) -> String {
        let mut token = URL_SAFE_NO_PAD.encode(self.header());
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(encrypt(&self.payload(), self.token_identifier, secret)));
        let hash = Sha256::new().chain_update(&token).chain_update(secret.bytes()).finalize();
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(hash));
        token
    }

    fn header(&self) -> String {
        let mut header = Object::new();
        header.text("typ", "QT1");
        header.text("enc", "AES256");
        header.number("iss", self.issued_ms);
        if let Some(validity) = self.validity_ms {
            header.number("exp", self.issued_ms.saturating_add(validity));
        }
        let named = [
            ("ti", self.token_identifier),
            ("c", self.customer_id),
            ("e", self.event_id),
            ("ip", self.ip),
            ("xff", self.x_forwarded_for),
        ];
        for (name, value) in named.into_iter().filter(|(_, value)| !value.is_empty()) {
            header.text(name, value);
        }
        header.finish()
    }

    fn payload(&self) -> String {
        let mut payload = Object::new();
        if !self.key.is_empty() {
            payload.text("k", self.key);
        }
        if !self.custom_data.is_empty() {
            let mut custom = Object::new();
            for (name, value) in self.custom_data {
                custom.text(name, value);
            }
            payload.raw("cd", &custom.finish());
        }
        payload.text("o", "Connector");
        payload.finish()
    }
}

fn encrypt(payload: &str, token_identifier: &str, secret: &Secret) -> Vec<u8> {
    let key = Sha256::digest(secret.bytes());
    let iv = Md5::digest(token_identifier);
    cbc::Encryptor::<Aes256>::new(&key, &iv).encrypt_padded_vec::<Pkcs7>(payload.as_bytes())
}

/// A JSON object whose keys stay in order.
struct Object(String);

impl Object {
    fn new() -> Object {
        Object(String::from("{"))
    }

    fn raw(&mut self, name: &str, json: &str) {
        let comma = if self.0.len() > 1 { "," } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(self.0, "{comma}{}:{json}", serde_json::Value::from(name));
    }

    fn text(&mut self, name: &str, value: &str) {
        self.raw(name, &serde_json::Value::from(value).to_string());
    }

    fn number(&mut self, name: &str, value: i64) {
        self.raw(name, &value.to_string());
    }

    fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_payload_leave_out_what_is_empty() {
        let token = EnqueueToken { token_identifier: "t", event_id: "e\"", issued_ms: 5, ..Default::default() };
        assert_eq!(token.header(), r#"{"typ":"QT1","enc":"AES256","iss":5,"ti":"t","e":"e\""}"#);
        assert_eq!(token.payload(), r#"{"o":"Connector"}"#);
        let token = EnqueueToken { key: "k", custom_data: &[("a", "1"), ("b", "2")], ..token };
        assert_eq!(token.payload(), r#"{"k":"k","cd":{"a":"1","b":"2"},"o":"Connector"}"#);
    }
}
